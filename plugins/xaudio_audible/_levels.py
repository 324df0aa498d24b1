"""A sound as it is written, and what is known of how loud it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaudio.plugin import FloatArray, loudness

STEPS = 32767
"""From silence to full scale in a file of 16 bits."""


@dataclass(frozen=True, eq=False)
class Part:
    """A sound and what is known about it.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
        In [-peak, peak].
    sample_rate : int
        In Hz.
    gain : float or None
        What the weighted recording was multiplied by; None if it is silent.
    share : float or None
        Share of all |R| that the part stands for; None for the recording itself.
    limit : str
        What kept it from being as loud as the recording: "peak", "gain", or "" for nothing.
    recording_gain : float
        What the recording itself was multiplied by.
    reason : str
        Why it is silent, "" if it is not.
    """

    waveform: FloatArray
    sample_rate: int
    gain: float | None
    share: float | None = None
    limit: str = ""
    recording_gain: float = 1.0
    reason: str = ""

    def facts(self) -> dict[str, Any]:
        """JSON values: length, peak, rms, gains in dB, loudness in LUFS, share of relevance and reason."""
        measured = loudness(self.waveform, self.sample_rate)
        return {
            "sample_rate": self.sample_rate,
            "samples": len(self.waveform),
            "peak": largest(self.waveform),
            "rms": rms(self.waveform),
            "gain_db": _decibels(self.gain),
            "raised_db": None if self.gain is None else _decibels(self.gain / self.recording_gain),
            "loudness_lufs": round(measured, 2) if math.isfinite(measured) else None,
            "limited_by_peak": self.limit == "peak",
            "limited_by_gain": self.limit == "gain",
            "share_of_relevance": self.share,
            "reason": self.reason,
        }


def _decibels(gain: float | None) -> float | None:
    return None if gain is None else round(20 * math.log10(gain), 3)


def largest(waveform: FloatArray) -> float:
    """The largest magnitude of a sample, 0 of none."""
    return max(float(waveform.max(initial=0.0)), -float(waveform.min(initial=0.0)))


def rms(waveform: FloatArray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0


def highest(peak: float) -> float:
    """The highest magnitude that rounding to 16 bits does not lift above a peak."""
    return math.floor(peak * STEPS) / STEPS


def rounds_to_silence(waveform: FloatArray) -> bool:
    """Whether no sample is left once it is rounded to 16 bits."""
    return not largest(waveform) * STEPS > 0.5
