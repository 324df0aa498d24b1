"""Relevance drawn over spectrograms and waveforms, in colours centred at zero."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from xaudio.plugin import (
    AGAINST,
    FOR,
    Axis,
    Explanation,
    FloatArray,
    OutputError,
    PluginError,
    by_channel,
    clean_texts,
    counted,
    own_style,
    save_figure,
)

from ._thinning import extremes, starts, thinned_bars, thinned_edges, thinned_levels, thinned_line, thinned_relevance
from ._words import LETTERS_BESIDE, WIDTH_OF_TITLE, cell_of, meaning_of_colours, title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._sheet import Sheet

WARNED = "#a33c00"
"""Of what makes an explanation doubtful; dark enough to be read on white."""

ZOOM_SECONDS = 0.05
WIDEST = 8.0
"""Inches of a picture, across."""

SHARPEST_KEPT = 200
"""Dots per inch of a figure that is kept for the next picture: its pixels take 10 MB."""


@dataclass(frozen=True, kw_only=True)
class Visual:
    """Renderer of pictures; see `xaudio_visual.visual` for the options.

    Raises
    ------
    PluginError
        If an option is out of range.
    """

    dpi: int = 150
    zoom: tuple[float, float] | None = None
    percentile: float = 99.5
    times: Literal["recording", "model"] = "recording"
    scale: Literal["linear", "log", "mel"] = "linear"
    format: Literal["png", "svg", "pdf"] = "png"

    shows_channels = "apart"

    def __post_init__(self) -> None:
        if self.zoom is not None and not 0 <= self.zoom[0] < self.zoom[1]:
            raise PluginError(
                f"The option zoom of renderer 'visual' is {self.zoom}; expected start and end in seconds, as 0.5+0.55."
            )

    def __call__(self, explanation: Explanation, folder: Path) -> list[Path]:
        """Write ``explanation.png`` (or the format of the options) into a folder, atomically."""
        path = folder / f"explanation.{self.format}"
        with own_style():
            return [self._saved(explanation, path)]

    def _saved(self, explanation: Explanation, path: Path) -> Path:
        from ._sheet import sheet_for

        key = (self, tuple((axis.name, axis.unit) for axis in explanation.axes), _panels(explanation))
        plain = self.format == "png" and self.scale == "linear" and self.dpi <= SHARPEST_KEPT and not _has_sum(explanation)
        with sheet_for(key if plain else None, *_panels(explanation)) as sheet:
            self._fill(sheet, explanation, columns=round(WIDEST * self.dpi) if self.format == "png" else None)
            title = {"Title": explanation.title()}
            return save_figure(sheet.figure, path, dpi=self.dpi, format=self.format, metadata=title)

    @own_style()
    def figure(self, explanation: Explanation) -> Figure:
        """A figure of its own (pyplot knows nothing of it) with title and colour bars, channels one below another.

        Raises
        ------
        OutputError
            If the features have more than two axes, or the relevance is not finite.
        """
        from ._sheet import Sheet

        sheet = Sheet(*_panels(explanation), constrained=True)
        self._fill(sheet, explanation)
        sheet.figure.align_ylabels(sheet.panels)
        clean_texts(sheet.figure)
        return sheet.figure

    def _fill(self, sheet: Sheet, explanation: Explanation, columns: int | None = None) -> None:
        """Draw an explanation into an empty sheet; its texts are cleaned later."""
        panels, channels = _panels(explanation)
        _write_title(sheet, explanation)
        limit = self.limit(explanation)
        beyond: Literal["both", "neither"] = "both" if self.percentile < 100 else "neither"
        for number, part in enumerate(by_channel([explanation])):
            first, last = panels * number, panels * (number + 1) - 1
            own = sheet.panels[first : last + 1]
            drawn = self.draw(part, *own, limit=limit, columns=columns)
            if part.channel_alone:
                above = part.channel_alone.capitalize() + "\n" * (panels == 3) + own[0].get_title("left")
                own[0].set_title(above, loc="left", fontsize="small")
            if panels == 1:
                sheet.bar(drawn["spectrogram"], last, "level", f"Level ({part.representation.unit})", aspect=30)
            label = meaning_of_colours(explanation, None if panels == 1 else LETTERS_BESIDE[channels > 1])
            sheet.bar(drawn["relevance"], last, "relevance", label, aspect=30 if panels == 1 else 12, extend=beyond)

    @own_style()
    def draw(
        self, explanation: Explanation, *axes: Axes, limit: float | None = None, columns: int | None = None
    ) -> dict[str, Any]:
        """Draw a single channel into given axes: one for features of two axes, for those of one axis one or three.

        The colours saturate at the limit, by default that of the explanation. Where the picture's columns of pixels are known, a
        long signal is drawn as these can show it.

        Returns
        -------
        dict
            What a colour bar can be made for: "relevance", and with two axes "spectrogram".
        """
        if len(explanation.axes) == 2 and len(axes) == 1:
            return self.draw_spectrogram(axes[0], explanation, limit)
        if len(explanation.axes) == 1 and len(axes) == 3:
            return self.draw_waveform(axes, explanation, limit, columns)
        if len(explanation.axes) == 1 and len(axes) == 1:
            return self.draw_line(axes[0], explanation, limit)
        raise OutputError(
            f"The renderer 'visual' draws features of two axes into one panel and of one axis into one or three; "
            f"got {counted(len(explanation.axes), 'axis', 'axes')} and {counted(len(axes), 'panel')}."
        )

    def draw_spectrogram(self, axes: Axes, explanation: Explanation, limit: float | None = None) -> dict[str, Any]:
        """The spectrogram in grey, as the representation gives it, under the relevance (as the paper's Figure 1)."""
        from ._picture import GREYS, RELEVANCE

        rows, columns = self._axes(explanation)
        level, relevance = explanation.levels(), _per_cell(explanation)
        if rows.name == "time":
            rows, columns, level, relevance = columns, rows, level.T, relevance.T
        limit = self.limit(explanation) if limit is None else limit
        grid = (thinned_edges(columns.edges), rows.edges)
        even = self.scale == "linear"
        fill = axes.pcolorfast if even else partial(axes.pcolormesh, rasterized=True)
        spectrogram = fill(*grid, thinned_levels(level), cmap=GREYS)
        heat_map = fill(*grid, thinned_relevance(relevance), cmap=RELEVANCE, vmin=-limit, vmax=limit)
        scale_axis(axes, "x", columns, self.scale)
        scale_axis(axes, "y", rows, self.scale)
        axes.set_xlabel(self._label(columns))
        axes.set_ylabel(self._label(rows))
        if columns.name == "time":
            self._mark_time(explanation, axes, zorder=1.5)
        if self.zoom is not None:
            _segment(columns.centres, self.zoom)
            axes.set_xlim(*self.zoom)
        return {"spectrogram": spectrogram, "relevance": heat_map}

    def draw_waveform(
        self, axes: tuple[Axes, ...], explanation: Explanation, limit: float | None = None, columns: int | None = None
    ) -> dict[str, Any]:
        """The waveform, its relevance, and a segment with every sample coloured (as the paper's Figure 2 a, b and c).

        A spectrum is drawn alike, with the sum of the relevance from 0 Hz up to each frequency as a line.
        """
        from ._picture import RELEVANCE_OVER_WHITE, add_bars, add_signal

        (axis,) = self._axes(explanation)
        signal, name = _signal(explanation)
        relevance, limit = _per_cell(explanation), self.limit(explanation) if limit is None else limit
        whole, below, detail = axes
        segment = _segment(axis.centres, self.zoom) if self.zoom else _most_relevant(axis, relevance)
        start, stop = axis.centres[segment][[0, -1]]
        cell = cell_of(explanation)

        first = starts(len(signal)) if columns is None else starts(len(signal), columns, most=2 * columns)
        add_signal(whole, axis.centres, signal, first, color="0.25", linewidth=0.6)
        whole.set_ylabel(name, parse_math=False)
        below.axhline(0, color="0.6", linewidth=0.6)
        for sign, colour in ((1, FOR), (-1, AGAINST)):
            add_bars(below, *thinned_bars(axis.centres, relevance, sign, first), color=colour, linewidth=0.6)
        below.set_ylabel("Relevance")
        if axis.name == "frequency":  # neighbours differ in sign where what is relevant is shorter than the recording
            total = below.twinx()
            total.plot(*thinned_line(axis.centres, np.cumsum(relevance)), color="0.1", linewidth=1)
            total.set_ylabel("Sum up to here (line)")
        for panel in (whole, below):
            panel.set_xlim(axis.centres[0], axis.centres[-1])
            panel.axvspan(start, stop, color="0.85", zorder=0)

        detail.plot(axis.centres[segment], signal[segment], color="0.6", linewidth=0.8, zorder=1)
        points = detail.scatter(
            axis.centres[segment],
            signal[segment],
            c=relevance[segment],
            cmap=RELEVANCE_OVER_WHITE,
            vmin=-limit,
            vmax=limit,
            s=16,
            edgecolors="0.45",
            linewidths=0.4,
            zorder=2,
        )
        detail.margins(x=0.01)
        detail.set_ylabel(name, parse_math=False)
        titles = (
            "(a) input",
            f"(b) relevance of every {cell}",
            f"(c) the shaded segment, every {cell} in its relevance's colour",
        )
        for title, panel in zip(titles, axes, strict=True):
            panel.set_xlabel(self._label(axis))
            scale_axis(panel, "x", axis, self.scale)
            if axis.name == "time":
                self._mark_time(explanation, panel, zorder=0.5)
            panel.set_title(title, loc="left", fontsize="small")
        return {"relevance": points}

    def draw_line(self, axes: Axes, explanation: Explanation, limit: float | None = None) -> dict[str, Any]:
        """The waveform or spectrum, each stretch of it in the colour of its strongest relevance."""
        from ._picture import RELEVANCE_OVER_GREY, add_stretches

        (axis,) = self._axes(explanation)
        signal, name = _signal(explanation)
        first = starts(len(signal), columns=1000, most=1000)
        low, high = extremes(signal, first)
        bottom = low if axis.name == "time" else np.full(len(first), signal.min())
        limit = self.limit(explanation) if limit is None else limit
        bars = add_stretches(axes, axis.centres[first], bottom, high, linewidth=1.2)
        bars.set(array=thinned_relevance(_per_cell(explanation)[None], first)[0], cmap=RELEVANCE_OVER_GREY, clim=(-limit, limit))
        axes.set_ylabel(name, parse_math=False)
        axes.set_xlabel(self._label(axis))
        axes.margins(x=0)
        scale_axis(axes, "x", axis, self.scale)
        if axis.name == "time":
            self._mark_time(explanation, axes, zorder=0.5)
        return {"relevance": bars}

    def _axes(self, explanation: Explanation) -> tuple[Axis, ...]:
        return explanation.recording_axes if self.times == "recording" else explanation.axes

    def _label(self, axis: Axis) -> str:
        if axis.name == "time" and self.times == "model":
            return f"Time in the model's window ({axis.unit})"
        return f"{axis.name.capitalize()} ({axis.unit})"

    def _mark_time(self, explanation: Explanation, axes: Axes, zorder: float) -> None:
        """Hatch the zeros around the recording, without changing what is in view, and write times in full."""
        shift = 0.0 if self.times == "recording" else explanation.window_start
        view = axes.get_xlim()
        style: dict[str, Any] = {
            "facecolor": "0.9",
            "edgecolor": "0.6",
            "alpha": 0.6,
            "hatch": "///",
            "linewidth": 0,
            "zorder": zorder,
        }
        for start, stop in explanation.padding:
            axes.axvspan(start - shift, stop - shift, **style)
            axes.set_xlim(view)
        axes.ticklabel_format(axis="x", useOffset=False)

    def limit(self, explanation: Explanation) -> float:
        """Magnitude of relevance at which the colour saturates, the same for all channels; 1 if there is no relevance.

        Raises
        ------
        OutputError
            If the relevance is not finite.
        """
        magnitude = np.abs(np.stack([_per_cell(part) for part in by_channel([explanation])]))
        if not np.isfinite(magnitude).all():
            raise OutputError(
                f"The relevance of {explanation.clip.source} holds NaN or infinity, so it cannot be drawn; check the explainer."
            )
        magnitude = magnitude[magnitude > 0]
        return float(np.percentile(magnitude, self.percentile)) if magnitude.size else 1.0


def scale_axis(axes: Axes, which: Literal["x", "y"], axis: Axis, scale: Literal["linear", "log", "mel"]) -> None:
    """Scale an axis in Hz; a logarithmic one begins where its first cell with a frequency above 0 does."""
    if scale == "linear" or axis.unit != "Hz":
        return
    edges, above = axis.edges, axis.centres[axis.centres > 0]
    if scale == "log":
        lowest = max(float(edges[0]), float(above[0]) / 2)
        axes.set(**{f"{which}scale": "log", f"{which}lim": (lowest, float(edges[-1]))})
    else:
        getattr(axes, f"set_{which}scale")("function", functions=(_to_mel, _from_mel))
        axes.set(**{f"{which}lim": (max(float(edges[0]), 0.0), float(edges[-1]))})


def _to_mel(frequency: FloatArray) -> FloatArray:
    """Hz to mel (O'Shaughnessy 1987), straight on below 0 Hz."""
    return np.asarray(np.sign(frequency) * 2595 * np.log10(1 + np.abs(frequency) / 700))


def _from_mel(mel: FloatArray) -> FloatArray:
    return np.asarray(np.sign(mel) * 700 * (10 ** (np.abs(mel) / 2595) - 1))


def _per_cell(explanation: Explanation) -> FloatArray:
    """Relevance (*axes), summed over the channels."""
    return np.asarray(explanation.relevance.astype(np.float64).sum(0))


def _signal(explanation: Explanation) -> tuple[FloatArray, str]:
    """What is drawn along a single axis, and its label: the sound itself where the cells are its samples."""
    waveform, unit = explanation.clip.waveform, explanation.representation.unit
    if explanation.relevance.shape[1:] == waveform.shape:
        return waveform, "Amplitude"
    return explanation.levels(), f"{'Level' if unit == 'dB' else 'Features'} ({unit})"


def _segment(centres: FloatArray, bounds: tuple[float, float]) -> slice:
    """The cells within bounds."""
    start, stop = np.searchsorted(centres, bounds)
    if stop - start < 2:
        raise OutputError(
            f"The zoom {bounds[0]:g} to {bounds[1]:g} holds fewer than two cells of the axis, which goes from "
            f"{centres[0]:g} to {centres[-1]:g}; choose another."
        )
    return slice(int(start), int(stop))


def _most_relevant(axis: Axis, relevance: FloatArray) -> slice:
    """The segment with the largest sum of magnitudes: 50 ms of time, or a twentieth of another axis."""
    count = len(axis.centres)
    step = (axis.centres[-1] - axis.centres[0]) / max(1, count - 1)
    length = round(ZOOM_SECONDS / step) if axis.unit == "s" and step > 0 else count // 20
    length = min(count, max(2, length))
    mass = np.concatenate([[0.0], np.cumsum(np.abs(relevance))])
    start = int(np.argmax(mass[length:] - mass[:-length]))
    return slice(start, start + length)


def _panels(explanation: Explanation) -> tuple[int, int]:
    """Panels of each channel, and channels."""
    return (1 if len(explanation.axes) == 2 else 3), len(by_channel([explanation]))


def _has_sum(explanation: Explanation) -> bool:
    """Whether a second axis stands in a panel, for the sum over frequencies."""
    return [axis.name for axis in explanation.axes] == ["frequency"]


def _write_title(sheet: Sheet, explanation: Explanation) -> None:
    """The title, and below it in a colour of their own what makes the explanation doubtful."""
    from matplotlib.text import Annotation

    warned = [line for text in explanation.warnings for line in textwrap.wrap(f"Warning: {text}", WIDTH_OF_TITLE)]
    sheet.title.set_text(title_of(explanation) + "\n" * len(warned))
    if warned:  # into the lines that the title leaves free
        place: dict[str, Any] = {"xy": (0.5, 0), "xycoords": sheet.title, "annotation_clip": False}
        style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": "medium", "color": WARNED, "parse_math": False}
        sheet.figure.add_artist(Annotation("\n".join(warned), **place, **style))
