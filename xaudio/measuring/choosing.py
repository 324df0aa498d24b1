"""Some of many recordings, evenly spread, so that no class, speaker or folder is left out for its place in the order."""

from __future__ import annotations

import numpy as np

from ..types import IntArray


def evenly(indices: IntArray, count: int) -> IntArray:
    """So many of the indices at equal distances, the first and the last among them; all if there are no more.

    Parameters
    ----------
    indices : ndarray of int
    count : int
    """
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    chosen: IntArray = np.asarray(indices)[places]
    return chosen


def spread(indices: IntArray, count: int, seed: int | None) -> IntArray:
    """So many of the indices, one from each of as many equal parts; all if there are no more.

    Parameters
    ----------
    indices : ndarray of int
    count : int
    seed : int or None
        One is drawn from each part: a fixed stride could meet the same class again and again where the recordings are in the
        order of their classes. None takes the first of each.
    """
    edges = np.arange(count + 1) * len(indices) // count
    if count >= len(indices):
        return np.asarray(indices)
    places = edges[:-1] if seed is None else np.random.default_rng(seed).integers(edges[:-1], edges[1:])
    chosen: IntArray = np.asarray(indices)[places]
    return chosen
