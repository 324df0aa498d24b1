"""Mel bands: where they lie, and how much of each frequency is in them."""

from __future__ import annotations

import numpy as np

from xaudio.plugin import FloatArray

from ._conventions import Settings

SLANEY_LINEAR = 200 / 3
"""Hz per mel below 1000 Hz."""

SLANEY_LOG = np.log(6.4) / 27
"""Growth of the logarithm of the frequency per mel above 1000 Hz, which is mel 15."""


def to_mel(hertz: FloatArray, scale: str) -> FloatArray:
    """Mel of frequencies in Hz.

    Slaney: linear up to 1000 Hz, then logarithmic (Auditory Toolbox, 1998). HTK: 2595 log10(1 + f / 700).
    Kaldi: 1127 ln(1 + f / 700).
    """
    if scale == "htk":
        return 2595.0 * np.log10(1 + hertz / 700)
    if scale == "kaldi":
        return 1127.0 * np.log1p(hertz / 700)
    return np.where(hertz < 1000, hertz / SLANEY_LINEAR, 15 + np.log(np.maximum(hertz, 1000) / 1000) / SLANEY_LOG)


def to_hertz(mel: FloatArray, scale: str) -> FloatArray:
    """The inverse of `to_mel`."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    if scale == "kaldi":
        return 700 * np.expm1(mel / 1127)
    return np.where(mel < 15, mel * SLANEY_LINEAR, 1000 * np.exp(SLANEY_LOG * (np.maximum(mel, 15) - 15)))


def corners(settings: Settings) -> FloatArray:
    """Corners (bands + 2,) of the bands in Hz: band b rises from corner b to b + 1 and falls to b + 2."""
    lowest, highest = to_mel(np.array([settings.fmin, settings.fmax]), settings.scale)
    return to_hertz(np.linspace(lowest, highest, settings.bands + 2), settings.scale)


def filters(settings: Settings, frequencies: FloatArray) -> FloatArray:
    """Weights (bands, frequencies) of frequencies in Hz in the bands."""
    points = edges = corners(settings)
    if settings.scale == "kaldi":
        points, frequencies = to_mel(edges, "kaldi"), to_mel(frequencies, "kaldi")
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    weights = np.minimum((frequencies - low) / (centre - low), (high - frequencies) / (high - centre)).clip(min=0)
    if settings.norm == "slaney":
        weights *= 2 / (edges[2:] - edges[:-2])[:, None]
    return weights


def transform_frequencies(settings: Settings) -> FloatArray:
    """Frequencies (n_fft // 2 + 1,) of the transform in Hz, as the convention has them."""
    if settings.whole_hertz and settings.scale != "kaldi":
        return np.linspace(0, settings.sample_rate // 2, settings.n_fft // 2 + 1)
    return np.arange(settings.n_fft // 2 + 1) * (settings.sample_rate / settings.n_fft)


def gains(settings: Settings, frequencies: FloatArray) -> FloatArray:
    """Weights (frequencies, bands) that sum to 1, by which masks of bands become gains of frequencies.

    A frequency that is in no band follows the nearest one.
    """
    weights = filters(settings, frequencies).T
    total = weights.sum(1)
    nearest = np.abs(frequencies[:, None] - corners(settings)[1:-1]).argmin(1)
    alone = np.eye(settings.bands)[nearest]
    return np.where(total[:, None] > 0, weights / np.where(total > 0, total, 1)[:, None], alone)
