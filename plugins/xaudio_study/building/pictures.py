"""Pictures of a sound, with or without its relevance in colour, and without a word that could give the class away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from xaudio.plugin import AGAINST, FOR, Axis, DataError, Explanation, FloatArray, own_style, save_figure

from .settings import Pictures

"""For and against; they differ in lightness too, and are told apart with any common colour blindness."""

DPI = 100
LABELS = 20
"""Size of the numbers at the axes in points, so that they can still be read on a phone."""


@own_style()
def draw_picture(path: Path, explanation: Explanation, settings: Pictures, *, coloured: bool) -> None:
    """Write a PNG of the sound over time (or of its spectrogram), atomically.

    Parameters
    ----------
    path : Path
    explanation : Explanation
        With one or two axes.
    settings : Pictures
    coloured : bool
        Whether relevance is shown: red for the explained class, blue against it. All else is the same either way.

    Raises
    ------
    DataError
        If the relevance is not finite, or has more than two axes.
    OutputError
        If the file cannot be written.
    """
    figure = Figure(figsize=(settings.width / DPI, settings.height / DPI), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.3, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    relevance = explanation.relevance.astype(np.float64).sum(0)
    if not np.isfinite(relevance).all() or relevance.ndim > 2:
        raise DataError(f"{explanation.clip.source}: its relevance cannot be drawn; it is not finite or has more than two axes.")
    magnitudes = np.abs(relevance[relevance != 0])
    limit = float(np.percentile(magnitudes, settings.percentile)) if magnitudes.size else 1.0
    strength = np.clip(relevance / limit, -1, 1)
    (_draw_plane if relevance.ndim == 2 else _draw_line)(axes, explanation, strength, coloured)
    save_figure(figure, path, dpi=DPI, metadata={"Software": None})  # without the metadata that matplotlib would add


def _draw_line(axes: Axes, explanation: Explanation, strength: FloatArray, coloured: bool) -> None:
    """The curve in grey; its segments in colour, the strongest drawn last, so that they are seen where many meet."""
    (axis,) = explanation.axes
    signal = explanation.clip.waveform if strength.shape == explanation.clip.waveform.shape else explanation.levels()
    axes.plot(axis.centres, signal, color="0.62", linewidth=0.7)
    if coloured:
        points = np.stack([axis.centres, signal], axis=1)
        segments = np.stack([points[:-1], points[1:]], axis=1)
        ends = np.stack([strength[:-1], strength[1:]])
        strongest = np.take_along_axis(ends, np.abs(ends).argmax(0)[None], axis=0)[0]
        order = np.argsort(np.abs(strongest), kind="stable")
        axes.add_collection(LineCollection(list(segments[order]), colors=_colours(strongest[order]), linewidths=1.3, zorder=3))
    axes.set_xlim(axis.centres[0], axis.centres[-1])
    axes.set_yticks([])
    _with_units(axes.xaxis, axis)


def _draw_plane(axes: Axes, explanation: Explanation, strength: FloatArray, coloured: bool) -> None:
    """The spectrogram in grey, dark where it is loud, with the relevance over it."""
    rows, columns = explanation.axes
    level = explanation.levels()
    if rows.name == "time":
        rows, columns, level, strength = columns, rows, level.T, strength.T
    extent = (columns.centres[0], columns.centres[-1], rows.centres[0], rows.centres[-1])
    shown: Callable[..., Any] = axes.imshow
    shown(level, cmap="Greys", vmax=level.max() + 0.25 * np.ptp(level), extent=extent, origin="lower", aspect="auto")
    if coloured:
        shown(_colours(strength), extent=extent, origin="lower", aspect="auto")
    _with_units(axes.xaxis, columns)
    _with_units(axes.yaxis, rows)


def _colours(strength: FloatArray) -> FloatArray:
    """Red or blue, the more opaque the stronger, (..., 4)."""
    colours = np.empty((*strength.shape, 4))
    colours[..., :3] = np.where(strength[..., None] < 0, to_rgb(AGAINST), to_rgb(FOR))
    colours[..., 3] = np.abs(strength) ** 0.7
    return colours


def _with_units(ticks: Any, axis: Axis) -> None:
    """Numbers with units instead of labels, which every language understands."""
    ticks.set_major_locator(MaxNLocator(5))
    ticks.set_tick_params(labelsize=LABELS)
    thousands = axis.unit == "Hz" and axis.centres[-1] >= 2000
    scale, unit = (1000, "kHz") if thousands else (1, axis.unit)
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value / scale:g} {unit}"))
