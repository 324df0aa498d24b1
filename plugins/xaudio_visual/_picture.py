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

from xaudio.plugin import AGAINST, FOR, FloatArray, own_style

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
    figure = Picture(figsize=(width, height * (1 + 0.7 * (channels - 1))), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_bars(axes: Axes, places: FloatArray, low: FloatArray, high: FloatArray, **style: Any) -> LineCollection:
    """Vertical lines, as ``axes.vlines`` draws them, which takes ten times as long: it masks each of them.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    places, low, high : ndarray, shape (bars,)
    **style
        Of the lines.
    """
    ends = np.stack([np.stack([places, low], 1), np.stack([places, high], 1)], 1)
    bars = LineCollection(list(ends), **style)
    axes.add_collection(bars, autolim=False)
    if len(ends):
        axes.update_datalim([ends.min((0, 1)), ends.max((0, 1))])
        axes.autoscale_view()
    return bars


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
