"""Relevance drawn over spectrograms and waveforms, in colours centred at zero."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from numpy.typing import NDArray

from xaudio.plugin import (
    AGAINST,
    FOR,
    Axis,
    Explanation,
    FloatArray,
    OutputError,
    PluginError,
    clean_texts,
    own_style,
    save_figure,
)

"""For and against; they differ in lightness too and are told apart with any common colour blindness."""

GREYS = LinearSegmentedColormap.from_list("greys", ["white", "0.2"])
"""Loud is dark, but never so dark that a colour over it could not be seen."""

OPACITY = 0.7
"""Exponent from relevance, as a share of the limit, to opacity: below 1, so that weak relevance is seen on grey."""

WARNED = "#a33c00"
"""Of what makes an explanation doubtful; dark enough to be read on white."""

ZOOM_SECONDS = 0.05
WIDTH_OF_TITLE = 86


def _relevance_colours(steps: int = 257) -> ListedColormap:
    """Blue to red through transparent, so that the heat map hides nothing where there is no relevance."""
    strength = np.linspace(-1, 1, steps)
    colours = np.empty((steps, 4))
    colours[:, :3] = np.where(strength[:, None] < 0, to_rgb(AGAINST), to_rgb(FOR))
    colours[:, 3] = np.abs(strength) ** OPACITY
    return ListedColormap(colours, name="relevance")


RELEVANCE = _relevance_colours()


class Picture(Figure):
    """A figure that a notebook shows although pyplot knows nothing of it."""

    @own_style()
    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()


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
    format: Literal["png", "svg", "pdf"] = "png"

    def __post_init__(self) -> None:
        if self.zoom is not None and not 0 <= self.zoom[0] < self.zoom[1]:
            raise PluginError(
                f"The option zoom of renderer 'visual' is {self.zoom}; expected start and end in seconds, as 0.5+0.55."
            )

    def __call__(self, explanation: Explanation, folder: Path) -> list[Path]:
        """Write ``explanation.png`` (or the format of the options) into a folder, atomically."""
        path = folder / f"explanation.{self.format}"
        figure = self.figure(explanation)
        return [save_figure(figure, path, dpi=self.dpi, format=self.format, metadata={"Title": explanation.title()})]

    @own_style()
    def figure(self, explanation: Explanation) -> Figure:
        """A figure of its own (pyplot knows nothing of it) with title and colour bars.

        Raises
        ------
        OutputError
            If the features have more than two axes, or the relevance is not finite.
        """
        panels = 1 if len(explanation.axes) == 2 else 3
        figure = Picture(figsize=(7.2, 5.2) if panels == 1 else (8.0, 7.2), layout="constrained")
        FigureCanvasAgg(figure)
        _write_title(figure, explanation)
        axes = [figure.add_subplot(panels, 1, panel + 1) for panel in range(panels)]
        drawn = self.draw(explanation, *axes)
        if panels == 1:
            level = figure.colorbar(drawn["spectrogram"], ax=axes, pad=0.02, aspect=30)
            level.set_label(f"Level ({explanation.representation.unit})", parse_math=False)
        beyond: Literal["both", "neither"] = "both" if self.percentile < 100 else "neither"
        bar = figure.colorbar(drawn["relevance"], ax=axes[-1], pad=0.02, aspect=30 if panels == 1 else 12, extend=beyond)
        bar.set_label(_colour_label(explanation, wrapped=panels == 3), parse_math=False)
        if bar.solids is not None:
            bar.solids.set_edgecolor("none")
        clean_texts(figure)
        return figure

    @own_style()
    def draw(self, explanation: Explanation, *axes: Axes) -> dict[str, Any]:
        """Draw into given axes: one for features of two axes, three for those of one.

        Returns
        -------
        dict
            What a colour bar can be made for: "relevance", and with two axes "spectrogram".
        """
        if len(explanation.axes) == 2 and len(axes) == 1:
            return self.draw_spectrogram(axes[0], explanation)
        if len(explanation.axes) == 1 and len(axes) == 3:
            return self.draw_waveform(axes, explanation)
        raise OutputError(
            f"The renderer 'visual' draws features of two axes into one panel and of one axis into three; "
            f"got {len(explanation.axes)} axes and {len(axes)} panels."
        )

    def draw_spectrogram(self, axes: Axes, explanation: Explanation) -> dict[str, Any]:
        """The spectrogram in grey, as the representation gives it, under the relevance (as the paper's Figure 1)."""
        rows, columns = self._axes(explanation)
        level, relevance = explanation.levels(), _per_cell(explanation)
        if rows.name == "time":
            rows, columns, level, relevance = columns, rows, level.T, relevance.T
        limit = self.limit(explanation)
        grid = (columns.edges, rows.edges)
        spectrogram = axes.pcolorfast(*grid, level, cmap=GREYS)
        heat_map = axes.pcolorfast(*grid, relevance, cmap=RELEVANCE, vmin=-limit, vmax=limit)
        axes.set_xlabel(self._label(columns))
        axes.set_ylabel(self._label(rows))
        if columns.name == "time":
            self._mark_time(explanation, axes, zorder=1.5)
        if self.zoom is not None:
            _segment(columns.centres, self.zoom)
            axes.set_xlim(*self.zoom)
        return {"spectrogram": spectrogram, "relevance": heat_map}

    def draw_waveform(self, axes: tuple[Axes, ...], explanation: Explanation) -> dict[str, Any]:
        """The waveform, its relevance, and a segment with every sample coloured (as the paper's Figure 2 a, b and c).

        A spectrum is drawn alike, with the sum of the relevance from 0 Hz up to each frequency as a line.
        """
        (axis,) = self._axes(explanation)
        signal, name = _signal(explanation)
        relevance, limit = _per_cell(explanation), self.limit(explanation)
        whole, below, detail = axes
        segment = _segment(axis.centres, self.zoom) if self.zoom else _most_relevant(axis, relevance)
        start, stop = axis.centres[segment][[0, -1]]
        cell = _cell(explanation)

        whole.plot(axis.centres, signal, color="0.25", linewidth=0.6)
        whole.set_ylabel(name, parse_math=False)
        below.axhline(0, color="0.6", linewidth=0.6)
        for part, colour in ((relevance > 0, FOR), (relevance < 0, AGAINST)):
            below.vlines(axis.centres[part], 0, relevance[part], color=colour, linewidth=0.6)
        below.set_ylabel("Relevance")
        if axis.name == "frequency":  # neighbours differ in sign where what is relevant is shorter than the recording
            total = below.twinx()
            total.plot(axis.centres, np.cumsum(relevance), color="0.1", linewidth=1)
            total.set_ylabel("Sum up to here (line)")
        for panel in (whole, below):
            panel.set_xlim(axis.centres[0], axis.centres[-1])
            panel.axvspan(start, stop, color="0.85", zorder=0)

        detail.plot(axis.centres[segment], signal[segment], color="0.6", linewidth=0.8, zorder=1)
        points = detail.scatter(
            axis.centres[segment],
            signal[segment],
            c=relevance[segment],
            cmap=_over_white(RELEVANCE),
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
            if axis.name == "time":
                self._mark_time(explanation, panel, zorder=0.5)
            panel.set_title(title, loc="left", fontsize="small")
        return {"relevance": points}

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
        """Magnitude of relevance at which the colour saturates; 1 if there is no relevance.

        Raises
        ------
        OutputError
            If the relevance is not finite.
        """
        magnitude = np.abs(_per_cell(explanation))
        if not np.isfinite(magnitude).all():
            raise OutputError(
                f"The relevance of {explanation.clip.source} holds NaN or infinity, so it cannot be drawn; check the explainer."
            )
        magnitude = magnitude[magnitude > 0]
        return float(np.percentile(magnitude, self.percentile)) if magnitude.size else 1.0


def _per_cell(explanation: Explanation) -> FloatArray:
    """Relevance (*axes), summed over the channels."""
    return np.asarray(explanation.relevance.astype(np.float64).sum(0))


def _signal(explanation: Explanation) -> tuple[FloatArray, str]:
    """What is drawn along a single axis, and its label: the sound itself where the cells are its samples."""
    waveform, unit = explanation.clip.waveform, explanation.representation.unit
    if explanation.relevance.shape[1:] == waveform.shape:
        return waveform, "Amplitude"
    return explanation.levels(), f"{'Level' if unit == 'dB' else 'Features'} ({unit})"


def _cell(explanation: Explanation) -> str:
    """What a cell along the single axis is called."""
    if explanation.relevance.shape[1:] == explanation.clip.waveform.shape:
        return "sample"
    return {"time": "frame"}.get(explanation.axes[0].name, explanation.axes[0].name)


def _view(explanation: Explanation) -> str:
    """The view and its options, if the relevance was brought to another domain than the model's."""
    view = explanation.provenance.get("view")
    if not view:
        return ""
    options = ", ".join(f"{name} {value}" for name, value in view["options"].items())
    return f" · {view['name']} view" + (f" ({options})" if options else "")


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


def _over_white(colours: ListedColormap) -> ListedColormap:
    """The same colours without transparency, for markers that lie on a line."""
    table: NDArray[np.float64] = np.array(colours(np.arange(colours.N)))
    return ListedColormap(table[:, 3:] * table[:, :3] + 1 - table[:, 3:])


def _colour_label(explanation: Explanation, *, wrapped: bool) -> str:
    name = textwrap.shorten(explanation.classes[explanation.target], 24, placeholder="…")
    other = explanation.contrast_class
    against = "against" if other is None else f"for {textwrap.shorten(other, 24, placeholder='…')!r}"
    return f"Relevance{chr(10) if wrapped else ' '}(red: for {name!r}, blue: {against})"


def _write_title(figure: Figure, explanation: Explanation) -> None:
    """The title, and below it in a colour of their own what makes the explanation doubtful."""
    warned = [line for text in explanation.warnings for line in textwrap.wrap(f"Warning: {text}", WIDTH_OF_TITLE)]
    title = figure.suptitle(_title(explanation) + "\n" * len(warned), fontsize="medium", parse_math=False)
    if warned:  # into the lines that the title leaves free
        place: dict[str, Any] = {"xy": (0.5, 0), "xycoords": title, "ha": "center", "va": "bottom", "annotation_clip": False}
        style: dict[str, Any] = {"fontsize": "medium", "color": WARNED, "parse_math": False}
        figure.add_artist(Annotation("\n".join(warned), **place, **style))


def _title(explanation: Explanation) -> str:
    """Task, classes with their probabilities, explainer and data, in lines that fit the figure."""
    target, name = explanation.target, explanation.classes[explanation.target]
    explained = f"{name!r} ({explanation.probabilities[target]:.0%})"
    if explanation.contrast_class is not None:
        outcome = f"{explanation.prediction}, explained {explained} rather than {explanation.contrast_class!r}"
    elif explanation.predictions == (name,):
        outcome = f"predicted and explained {explained}"
    else:
        outcome = f"{explanation.prediction}, explained {explained}"
    truth = "" if explanation.label is None else f", truth {explanation.classes[explanation.label]!r}"
    task = f"{explanation.task}: " if explanation.task else ""
    data = [str(explanation.provenance.get(key) or "") for key in ("data", "note")]
    origin = " · ".join(part for part in (*data, explanation.clip.name) if part)
    nothing = "" if np.any(explanation.relevance) else "there is no relevance: it is zero everywhere"
    lines = [f"{task}{outcome}{truth}", explanation.explainer + _view(explanation), origin, nothing]
    return "\n".join(row for line in lines for row in textwrap.wrap(line, WIDTH_OF_TITLE))
