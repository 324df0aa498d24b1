"""Long signals as a picture can show them: the extremes of what lies in the same column of pixels."""

from __future__ import annotations

import numpy as np

from xaudio.plugin import FloatArray, IntArray

COLUMNS = 4000
"""More than a picture has pixels across; signals of up to four times as many values are drawn as they are."""


def starts(count: int, columns: int = COLUMNS, most: int = 4 * COLUMNS) -> IntArray:
    """Where each of so many columns begins, which share the values equally; every value for itself if there are few."""
    step = 1 if count <= most else -(-count // columns)
    return np.arange(0, count, step)


def thinned_line(places: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A line that looks like the line through all values: through the lowest and the highest of each column."""
    first = starts(len(values))
    if len(first) == len(values):
        return places, values
    return np.repeat(places[first], 2), np.stack(extremes(values, first), 1).ravel()


def extremes(values: FloatArray, first: IntArray) -> tuple[FloatArray, FloatArray]:
    """The lowest and the highest of each column."""
    return np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)


def thinned_bars(
    places: FloatArray, values: FloatArray, sign: int, first: IntArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """The bars of one sign, the longest of each column."""
    first = starts(len(values)) if first is None else first
    longest = np.maximum.reduceat(np.maximum(sign * values, 0), first)
    return places[first][longest > 0], sign * longest[longest > 0]


def thinned_levels(levels: FloatArray) -> FloatArray:
    """Levels (rows, columns), the highest of each column of the picture."""
    first = starts(levels.shape[1])
    return levels if len(first) == levels.shape[1] else np.maximum.reduceat(levels, first, axis=1)


def thinned_relevance(relevance: FloatArray, first: IntArray | None = None) -> FloatArray:
    """Relevance (rows, columns), in each column of the picture that of the largest magnitude."""
    first = starts(relevance.shape[1]) if first is None else first
    if len(first) == relevance.shape[1]:
        return relevance
    lowest, highest = np.minimum.reduceat(relevance, first, axis=1), np.maximum.reduceat(relevance, first, axis=1)
    return np.where(highest >= -lowest, highest, lowest)


def thinned_edges(edges: FloatArray) -> FloatArray:
    """Edges of the columns of the picture."""
    return edges[[*starts(len(edges) - 1), len(edges) - 1]]
