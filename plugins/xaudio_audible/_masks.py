"""From relevance to masks in [0, 1]: how strongly each cell is heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from xaudio.plugin import Axis, FloatArray

CELLS = 1 << 20
"""Cells of a row that are averaged at once."""

Normalisation = Literal["maximum", "percentile", "soft", "top"]


def mask_of(relevance: FloatArray, normalisation: Normalisation, percentile: float, top: float) -> FloatArray:
    """How strongly each cell is heard, by the magnitude of its relevance.

    With the n cells whose relevance is not 0:

    - "maximum": M = abs(R) / max abs(R);
    - "percentile": M = min(1, abs(R) / p), p the percentile of abs(R) over the n cells;
    - "top": M = 1 where abs(R) >= t, else 0, t the K-th largest abs(R), K = ceil(top * n); all that are tied with it count;
    - "soft": M = R^2 / (R^2 + t^2), the gain of a Wiener filter that takes t for the level of the noise.

    Parameters
    ----------
    relevance : ndarray
        Finite.
    normalisation : str
    percentile : float
        In (0, 100].
    top : float
        In (0, 1].

    Returns
    -------
    ndarray, same shape
        float64, in [0, 1]; 0 where the relevance is 0.
    """
    strength: FloatArray = relevance.astype(np.float64)
    np.abs(strength, out=strength)
    relevant = strength[strength > 0]
    if not relevant.size:
        return strength
    if normalisation == "maximum":
        strength /= relevant.max()
        return strength
    if normalisation == "percentile":
        strength /= np.percentile(relevant, percentile, overwrite_input=True)
        return np.minimum(strength, 1, out=strength)
    count = math.ceil(top * relevant.size)
    least = np.partition(relevant, -count)[-count]
    if normalisation == "top":
        return np.asarray(strength >= least, dtype=np.float64)
    power = (strength / least) ** 2
    return np.asarray(power / (power + 1))


def smoothed(mask: FloatArray, axes: Sequence[Axis], smooth_ms: float, smooth_hz: float) -> FloatArray:
    """A mask averaged over time and frequency.

    Parameters
    ----------
    mask : ndarray, shape ``(channels, *axes)``
        In [0, 1].
    axes : sequence of Axis
    smooth_ms, smooth_hz : float
        Widths w: a cell at a distance d < w / 2 weighs 1 + cos(2 pi d / w). At the edges, the cells that are there count.

    Returns
    -------
    ndarray, same shape
        In [0, 1]; ones stay ones.
    """
    for position, axis in enumerate(axes, start=1):
        width = {"time": smooth_ms / 1000, "frequency": smooth_hz}.get(axis.name, 0.0)
        kernel = _kernel(axis.centres, width)
        if len(kernel) > 1:
            mask = np.clip(np.apply_along_axis(_averaged, position, mask, kernel), 0, 1)
    return mask


def _averaged(row: FloatArray, kernel: FloatArray) -> FloatArray:
    """Weighted means of the cells around each one that are there (scipy.ndimage would take longer to import)."""
    half, means = len(kernel) // 2, np.empty(len(row))
    for start in range(0, len(row), CELLS):
        first, stop = max(0, start - half), min(len(row), start + CELLS)
        near = row[first : stop + half]
        sums, weights = (np.convolve(values, kernel)[half : half + len(near)] for values in (near, np.ones(len(near))))
        means[start:stop] = (sums / weights)[start - first : stop - first]
    return means


def _kernel(centres: FloatArray, width: float) -> FloatArray:
    """Weights of the cells around one, of an odd number."""
    if len(centres) < 2 or width <= 0:
        return np.ones(1)
    step = float(centres[-1] - centres[0]) / (len(centres) - 1)
    half = min(int(width / 2 / step), len(centres) - 1)
    return np.asarray(1 + np.cos(2 * np.pi * np.arange(-half, half + 1) * step / width))
