"""Separators: sources that sum to the recording."""

from collections.abc import Mapping
from typing import Any, Literal

from xaudio.plugin import Count, Positive, Separator, hookimpl


def harmonic_percussive(*, window: Positive = 0.064, width: Count = 17, power: Positive = 2.0) -> Separator:
    """What sounds on (tones) and what strikes (clicks), by median filters along time and frequency.

    Parameters
    ----------
    window : float
        Length of the Hann window of the spectrogram in seconds; the hop is a quarter.
    width : int
        Length of the median filters in frames and in bins, odd.
    power : float
        Exponent of the two filtered magnitudes in the masks; large values decide for one or the other.
    """
    from ._separation import HarmonicPercussive

    return HarmonicPercussive(window, width, power)


def nmf(
    *,
    sources: Count = 4,
    divergence: Literal["kullback_leibler", "frobenius"] = "kullback_leibler",
    iterations: Count = 100,
    window: Positive = 0.064,
    seed: int = 0,
) -> Separator:
    """Sources with a spectrum of their own, by non-negative matrix factorisation of the magnitudes.

    Parameters
    ----------
    sources : int
        Number of sources.
    divergence : {"kullback_leibler", "frobenius"}
        What the multiplicative updates make smaller.
    iterations : int
        Number of updates.
    window : float
        Length of the Hann window of the spectrogram in seconds; the hop is a quarter.
    seed : int
        Of the start, which is the same for all recordings.
    """
    from ._separation import Nmf

    return Nmf(sources, divergence, iterations, window, seed)


@hookimpl
def xaudio_separators() -> Mapping[str, Any]:
    """Offer the separators."""
    return {"harmonic_percussive": harmonic_percussive, "nmf": nmf}
