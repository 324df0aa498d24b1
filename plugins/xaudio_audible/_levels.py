"""How loud a sound is written: never above the peak, and as loud as the recording if that is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaudio.types import FloatArray

STEPS = 32767
"""From silence to full scale in a file of 16 bits."""

BLOCK_S = 0.4
"""Seconds of a block of ITU-R BS.1770, the shortest sound whose loudness it defines."""

LOWEST_RATE = 4000
"""In Hz; below, the shelf of the K-weighting does not fit under half the sample rate."""

TOLERANCE, ROUNDS = 0.01, 8
"""LU at which a match is good enough, and how often it is tried: gates open and close as the level changes."""


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
    limited : bool
        Whether the peak kept it from being as loud as the recording.
    reason : str
        Why it is silent, "" if it is not.
    """

    waveform: FloatArray
    sample_rate: int
    gain: float | None
    share: float | None = None
    limited: bool = False
    reason: str = ""

    def facts(self) -> dict[str, Any]:
        """JSON values: length, peak, rms, gain in dB, loudness in LUFS, share of relevance and reason."""
        measured = loudness(self.waveform, self.sample_rate)
        return {
            "sample_rate": self.sample_rate,
            "samples": len(self.waveform),
            "peak": float(np.abs(self.waveform).max(initial=0.0)),
            "rms": rms(self.waveform),
            "gain_db": None if self.gain is None else round(20 * math.log10(self.gain), 3),
            "loudness_lufs": round(measured, 2) if math.isfinite(measured) else None,
            "limited_by_peak": self.limited,
            "share_of_relevance": self.share,
            "reason": self.reason,
        }


def rms(waveform: FloatArray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0


def highest(peak: float) -> float:
    """The highest magnitude that rounding to 16 bits does not lift above a peak."""
    return math.floor(peak * STEPS) / STEPS


def rounds_to_silence(waveform: FloatArray) -> bool:
    """Whether no sample is left once it is rounded to 16 bits."""
    return not float(np.abs(waveform).max(initial=0.0)) * STEPS > 0.5


def loudness(waveform: FloatArray, rate: int) -> float:
    """Integrated loudness of a mono sound in LUFS (ITU-R BS.1770-4, by pyloudnorm); -inf if it has none.

    The standard averages over blocks of 400 ms and leaves out those below -70 LUFS. A shorter sound is measured with
    silence behind it up to 400 ms, so that it is one block: two sounds of one length compare as their weighted energies do.
    """
    import pyloudnorm

    sound = np.asarray(waveform, dtype=np.float64)
    if rate < LOWEST_RATE:
        import soxr

        sound, rate = soxr.resample(sound, rate, 2 * LOWEST_RATE), 2 * LOWEST_RATE
    missing = math.ceil(BLOCK_S * rate) - len(sound)
    if missing > 0:
        sound = np.pad(sound, (0, missing))
    if not sound.any():
        return -math.inf
    return float(pyloudnorm.Meter(rate).integrated_loudness(sound))


def matching_gain(sound: FloatArray, recording: FloatArray, rate: int) -> float:
    """The gain that makes a sound as loud as a recording, to 0.01 LU where the gates of the measurement allow.

    A recording too quiet to be measured (below -70 LUFS) is compared as if both were amplified until it peaks at full
    scale. What has no loudness even then, such as a constant, is compared by its root mean square.
    """
    lift = 1.0
    wanted = loudness(recording, rate)
    if not math.isfinite(wanted):
        lift = 1 / float(np.abs(recording).max())
        wanted = loudness(recording * lift, rate)
    gain = 1 / float(np.abs(sound).max())
    for _ in range(ROUNDS):
        measured = loudness(sound * (gain * lift), rate)
        if not (math.isfinite(wanted) and math.isfinite(measured)):
            return rms(recording) / rms(sound)
        gain *= 10 ** ((wanted - measured) / 20)
        if abs(wanted - measured) < TOLERANCE:
            break
    return gain
