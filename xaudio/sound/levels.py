"""How loud sounds are: one reference for all that a person hears, and parts as loud as the recording that they are parts of.

What is heard together must be equally loud, or the louder of two sounds seems the better one, and a volume that was set for
one is wrong for the next. Corpora differ by 30 dB (AudioMNIST peaks at 0.007 to 0.044 of full scale), so that what a page, a
notebook or a study plays is brought to `REFERENCE`: the recording and its parts by one and the same gain. Files that a
renderer writes for other programs stay at the recording's own level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..registry.loading import registry
from ..registry.options import choices_of, options_of
from ..types import FloatArray
from .loudness import BLOCK_S, GATE, integrated_loudness

REFERENCE = -23.0
"""In LUFS: the programme loudness of EBU R 128, which leaves 23 dB for peaks, so that speech and what is left of it fit."""

MOST_GAIN_DB = 30.0
"""By which a part is raised, to be as loud as the recording that it is a part of, at most; more would raise noise."""

PEAK = 0.95
"""Highest magnitude of a sample."""

LOWEST_RATE = 4000
"""In Hz; below, the shelf of the K-weighting does not fit under half the sample rate."""

TOLERANCE, ROUNDS = 0.01, 8
"""LU at which a match is good enough, and how often it is tried: gates open and close as the level changes."""


def ratio(decibels: float) -> float:
    """The ratio of amplitudes that is so many dB."""
    return float(10 ** (decibels / 20))


def loudness(waveform: FloatArray, rate: int) -> float:
    """Integrated loudness of a mono sound in LUFS (ITU-R BS.1770-4); -inf if it has none.

    The standard averages over blocks of 400 ms and leaves out those below -70 LUFS. A shorter sound is measured with
    silence behind it up to 400 ms, so that it is one block: two sounds of one length compare as their weighted energies do.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
    rate : int
        In Hz.
    """
    sound = np.asarray(waveform, dtype=np.float64)
    if rate < LOWEST_RATE:
        import soxr

        sound, rate = soxr.resample(sound, rate, 2 * LOWEST_RATE), 2 * LOWEST_RATE
    missing = math.ceil(BLOCK_S * rate) - len(sound)
    if missing > 0:
        sound = np.pad(sound, (0, missing))
    if not sound.any():
        return -math.inf
    return integrated_loudness(sound, rate)


def matching_gain(sound: FloatArray, recording: FloatArray, rate: int) -> float:
    """The gain that makes a sound as loud as a recording, to 0.01 LU where the gates of the measurement allow.

    A recording too quiet to be measured (below -70 LUFS) is compared as if both were amplified until it peaks at full
    scale. What has no loudness even then, such as a constant, is compared by its root mean square.

    Parameters
    ----------
    sound, recording : ndarray, shape (samples,)
        Neither silent.
    rate : int
        In Hz.
    """
    lift = 1.0
    wanted = loudness(recording, rate)
    if not math.isfinite(wanted):
        lift = 1 / float(np.abs(recording).max())
        wanted = loudness(recording * lift, rate)
    gain = _gain_to(wanted, sound, rate, lift) if math.isfinite(wanted) else None
    return gain or math.sqrt(float(np.mean(np.square(recording)) / np.mean(np.square(sound))))


def _gain_to(wanted: float, sound: FloatArray, rate: int, lift: float = 1.0) -> float | None:
    """The gain that brings a sound to a loudness in LUFS, measured after a lift; None if it has no loudness."""
    gain = 1 / float(np.abs(sound).max())
    for _ in range(ROUNDS):
        measured = loudness(sound * (gain * lift), rate)
        if not math.isfinite(measured):
            return None
        gain *= ratio(wanted - measured)
        if abs(wanted - measured) < TOLERANCE:
            break
    return gain


def reference_gain(recording: FloatArray, rate: int, peak: float = PEAK) -> float:
    """The gain that brings a recording to `REFERENCE`, but its samples not above a peak; 1 for silence.

    Parameters
    ----------
    recording : ndarray, shape (samples,)
    rate : int
        In Hz.
    peak : float
        Above 0 and up to 1.
    """
    loudest = float(np.abs(recording).max(initial=0.0))
    if not loudest:
        return 1.0
    most = ratio(REFERENCE - GATE)
    return min(_gain_to(REFERENCE, recording, rate) or most, most, peak / loudest)


def part_gain(sound: FloatArray, recording: FloatArray, rate: int, peak: float = PEAK) -> tuple[float, str]:
    """The gain that makes a part as loud as its recording, and what stood in the way: "peak", "gain" or "".

    Parameters
    ----------
    sound : ndarray, shape (samples,)
        Not silent; at the level at which the recording is given.
    recording : ndarray, shape (samples,)
    rate : int
        In Hz.
    peak : float
        Above 0 and up to 1.

    Returns
    -------
    (float, str)
        At most `MOST_GAIN_DB`, and no sample is above the peak.
    """
    wanted = matching_gain(sound, recording, rate) if recording.any() else math.inf
    bounds = {"": wanted, "peak": peak / float(np.abs(sound).max()), "gain": ratio(MOST_GAIN_DB)}
    limit = min(bounds, key=lambda name: bounds[name])
    return bounds[limit], limit


def renderer_for_listening(name: str, options: Mapping[str, Any], **defaults: Any) -> Any:
    """A renderer whose sounds a person hears at once: at the reference, unless its options say otherwise.

    Parameters
    ----------
    name : str
    options : mapping
    **defaults
        Of further options; those are set that the renderer has, as is its option ``level`` if that may be "reference".

    Raises
    ------
    PluginError
        As `xaudio.create`.
    """
    accepted = options_of(registry().factory("renderer", name))
    wanted = {key: value for key, value in defaults.items() if key in accepted}
    if "level" in accepted and "reference" in choices_of(accepted["level"].annotation):
        wanted["level"] = "reference"
    return registry().create("renderer", name, {**wanted, **options})
