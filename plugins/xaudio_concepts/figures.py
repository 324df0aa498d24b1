"""Pictures of concepts: excerpts with what flows through a channel, and the shares of the channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xaudio.plugin import AGAINST, FOR, Axis, Explanation, FloatArray, own_style, save_figure

from .excerpts import Field
from .results import Channel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 90
PERCENTILE = 99.5
"""Of the magnitudes of relevance in the field, at which the colour saturates."""


@own_style()
def picture_of(explanation: Explanation, field: Field, path: Path) -> Path:
    """Write the excerpt in grey with the relevance over or under it, red for the class and blue against it, as PNG."""
    relevance = explanation.relevance.astype(np.float64).sum(0)[tuple(slice(first, last + 1) for first, last in field)]
    magnitude = np.abs(relevance[relevance != 0])
    limit = float(np.percentile(magnitude, PERCENTILE)) if magnitude.size else 1.0
    figure, panels = _figure(3.4, 2.4, rows=3 - relevance.ndim)
    if relevance.ndim == 1:
        _draw_lines(panels, explanation, field, relevance, limit)
    else:
        _draw_map(panels[0], explanation, field, relevance, limit)
    panels[-1].locator_params(axis="x", nbins=5)
    for panel in panels:
        panel.tick_params(labelsize="x-small")
    return save_figure(figure, path, dpi=DPI)


def _draw_lines(panels: Sequence[Axes], explanation: Explanation, field: Field, relevance: FloatArray, limit: float) -> None:
    """The waveform (or what else has one axis), and the relevance below it."""
    ((first, last),) = field
    axis, above, below = explanation.recording_axes[0], *panels
    places = axis.centres[first : last + 1]
    waveform = explanation.clip.waveform
    whole = waveform if len(waveform) == len(axis.centres) else explanation.levels()
    above.plot(places, whole[first : last + 1], color="0.25", linewidth=0.7)
    above.set_xticklabels([])
    below.axhline(0, color="0.6", linewidth=0.6)
    for part, colour in ((relevance > 0, FOR), (relevance < 0, AGAINST)):
        below.vlines(places[part], 0, relevance[part], color=colour, linewidth=0.7)
    below.set_ylim(-1.1 * limit if (relevance < 0).any() else 0, 1.1 * limit)
    below.set_xlabel(_label(axis), fontsize="small")
    for panel, name in ((above, "sound"), (below, "relevance")):
        panel.set_xlim(places[0], places[-1] if len(places) > 1 else places[0] + 1e-6)
        panel.set_yticks([])
        panel.set_ylabel(name, fontsize="x-small")


def _draw_map(panel: Axes, explanation: Explanation, field: Field, relevance: FloatArray, limit: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    cells = tuple(slice(first, last + 1) for first, last in field)
    level = explanation.levels()[cells]
    axes = explanation.recording_axes
    rows, columns = (replace(axis, centres=axis.centres[part]) for axis, part in zip(axes, cells, strict=True))
    if rows.name == "time":
        level, relevance, rows, columns = level.T, relevance.T, columns, rows
    edges = (columns.edges, rows.edges)
    panel.pcolorfast(*edges, level, cmap=LinearSegmentedColormap.from_list("greys", ["white", "0.2"]))
    strength = np.linspace(-1, 1, 257)
    colours = np.array([[*_rgb(FOR if one > 0 else AGAINST), abs(one) ** 0.7] for one in strength])
    heat = colours[np.clip(np.round((relevance / (limit or 1.0) + 1) * 128), 0, 256).astype(int)]
    panel.pcolorfast(*edges, heat)
    panel.set_xlabel(_label(columns), fontsize="small")
    panel.set_ylabel(_label(rows), fontsize="small")


def _label(axis: Axis) -> str:
    return f"{axis.name.capitalize()} ({axis.unit})"


def _rgb(colour: str) -> tuple[float, float, float]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))  # type: ignore[return-value]


@own_style()
def picture_of_shares(channels: Sequence[Channel], shares: Sequence[float], path: Path) -> Path:
    """Write the shares of all channels, largest first, those of the top channels dark, as PNG."""
    figure, (panel,) = _figure(7.0, 2.2)
    ordered = np.sort(np.array(shares))[::-1]
    places = np.arange(1, len(ordered) + 1)
    panel.bar(places, 100 * ordered, width=1.0, color=np.where(ordered > 0, FOR, AGAINST).tolist(), alpha=0.35)
    panel.bar(places[: len(channels)], [100 * item.share for item in channels], width=1.0, color=FOR)
    panel.set_xlabel(f"all {len(ordered)} channels, largest share first", fontsize="small")
    panel.set_ylabel("share (%)", fontsize="small")
    panel.margins(x=0.01)
    return save_figure(figure, path, dpi=DPI)


def _figure(width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of its own (pyplot knows nothing of it) with panels below each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]
