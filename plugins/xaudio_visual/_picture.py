"""The figure and the colours of the pictures, apart from `Visual`: what needs matplotlib already when it is imported."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from xaudio.plugin import AGAINST, FOR, FloatArray, IntArray, own_style

from ._thinning import extremes

GREYS = LinearSegmentedColormap.from_list("greys", ["white", "0.2"])
"""Loud is dark, but never so dark that a colour over it could not be seen."""

OPACITY = 0.7
"""Exponent from relevance, as a share of the limit, to opacity: below 1, so that weak relevance is seen on grey."""


class Picture(Figure):
    """A figure that a notebook shows although pyplot knows nothing of it."""

    @own_style()
    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()


def picture(panels: int, channels: int = 1) -> Picture:
    """An empty picture for heat maps (one panel each) or waveforms (three each) of so many channels."""
    width, height = (7.2, 5.2) if panels == 1 else (8.0, 7.2)
    figure = Picture(figsize=(width, height * (1 + 0.7 * (channels - 1))))
    FigureCanvasAgg(figure)
    return figure


def add_signal(axes: Axes, places: FloatArray, values: FloatArray, first: IntArray, **style: Any) -> None:
    """A line through all values, or the area between the lowest and highest of each column that begins with one of the first."""
    if len(first) == len(values):
        axes.plot(places, values, **style)
    else:
        axes.fill_between(places[first], *extremes(values, first), **style)


def add_bars(axes: Axes, places: FloatArray, heights: FloatArray, **style: Any) -> PathPatch:
    """Vertical lines from 0, as ``axes.vlines`` draws them, which takes twenty times as long: each is a path of its own.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    places, heights : ndarray, shape (bars,)
    **style
        Of the lines.
    """
    ends = np.stack([np.repeat(places, 2), np.stack([np.zeros(len(heights)), heights], 1).ravel()], 1)
    codes = np.tile(np.array([Path.MOVETO, Path.LINETO], np.uint8), len(places))
    bars = PathPatch(Path(ends, codes), fill=False, snap=True, **style)
    axes.add_artist(bars)
    _autoscale(axes, ends)
    return bars


def add_stretches(axes: Axes, places: FloatArray, low: FloatArray, high: FloatArray, **style: Any) -> LineCollection:
    """Vertical lines that may differ in colour.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    places, low, high : ndarray, shape (stretches,)
    **style
        Of the lines.
    """
    ends = np.stack([np.stack([places, low], 1), np.stack([places, high], 1)], 1)
    stretches = LineCollection(list(ends), **style)
    axes.add_collection(stretches, autolim=False)
    _autoscale(axes, ends.reshape(-1, 2))
    return stretches


def _autoscale(axes: Axes, points: FloatArray) -> None:
    if len(points):
        axes.update_datalim([points.min(0), points.max(0)])
        axes.autoscale_view()


def _relevance_colours(steps: int = 257) -> ListedColormap:
    """Blue to red through transparent, so that the heat map hides nothing where there is no relevance."""
    strength = np.linspace(-1, 1, steps)
    colours = np.empty((steps, 4))
    colours[:, :3] = np.where(strength[:, None] < 0, to_rgb(AGAINST), to_rgb(FOR))
    colours[:, 3] = np.abs(strength) ** OPACITY
    return ListedColormap(colours, name="relevance")


def _over(colours: ListedColormap, grey: float) -> ListedColormap:
    table = np.array(colours(np.arange(colours.N)))
    return ListedColormap(table[:, 3:] * table[:, :3] + grey * (1 - table[:, 3:]))


RELEVANCE = _relevance_colours()

RELEVANCE_OVER_WHITE = _over(RELEVANCE, 1.0)
"""The same colours without transparency, for markers that lie on a line."""

RELEVANCE_OVER_GREY = _over(RELEVANCE, 0.62)
"""The same for the bars of a waveform, which are grey where there is no relevance."""
