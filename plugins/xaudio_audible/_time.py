"""What changes sounds in time: fades, slowing down, and the way to the recording's own sample rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from xaudio.plugin import Explanation, FloatArray, IntArray, original_recording

FRAME_S = 0.03
"""Seconds of a frame of WSOLA: two periods of the lowest voices."""


def faded(sound: FloatArray, start: int, stop: int, samples: int) -> FloatArray:
    """A sound that rises by a raised cosine over so many samples from ``start``, falls before ``stop``, and is 0 outside.

    Parameters
    ----------
    sound : ndarray, shape (samples,)
    start, stop : int
        Ends of the recording.
    samples : int
        Of a fade; at most half the recording.
    """
    samples = min(samples, (stop - start) // 2)
    ramp = np.sin(0.5 * np.pi * (np.arange(samples) + 0.5) / max(1, samples)) ** 2
    envelope = np.zeros(len(sound))
    envelope[start:stop] = 1
    envelope[start : start + samples] *= ramp
    envelope[stop - samples : stop] *= ramp[::-1]
    return sound * envelope


def slower(
    recording: FloatArray, rate: int, factor: float, by: Literal["stretch", "resample"]
) -> Callable[[FloatArray], FloatArray]:
    """What slows sounds down that belong to a recording: a linear map, so that sums of sounds stay sums.

    "resample" gives round(factor * samples) samples of the same sound at a lower pitch. "stretch" keeps the pitch: WSOLA
    (Verhelst and Roelands 1993) adds overlapping frames of 30 ms, each taken where the recording goes on most like the
    frame before. Where that is follows from the recording alone, so that its parts stay in step with it.

    Parameters
    ----------
    recording : ndarray, shape (samples,)
    rate : int
        In Hz.
    factor : float
        How many times as long, 1 or more.
    by : {"stretch", "resample"}
    """
    if by == "resample":
        import soxr

        length = round(factor * len(recording))

        def resampled(sound: FloatArray) -> FloatArray:
            return _of_length(soxr.resample(np.asarray(sound, np.float64), 1.0, factor, quality="VHQ"), length)

        return resampled
    half = max(2, round(FRAME_S * rate / 2))
    starts = _frame_starts(recording, half, factor)

    def stretched(sound: FloatArray) -> FloatArray:
        # Hann windows that overlap by half sum to 1.
        window = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * half) + 0.5) / half)
        padded = np.pad(np.asarray(sound, np.float64), 2 * half)
        total = np.zeros((len(starts) + 1) * half)
        for number, start in enumerate(starts):
            total[number * half : (number + 2) * half] += window * padded[start : start + 2 * half]
        return _of_length(total[half:], round(factor * len(recording)))

    return stretched


def _frame_starts(recording: FloatArray, half: int, factor: float) -> IntArray:
    """Where each frame of 2 * half samples starts in the recording with 2 * half zeros around it.

    Frame k is written at k * half and taken near k * half / factor: within half / 2 samples of it, where it correlates
    best with what follows the frame before.
    """
    padded = np.pad(np.asarray(recording, np.float64), 2 * half)
    count = -(-round(factor * len(recording)) // half) + 1
    starts = np.zeros(count, dtype=np.int64)
    starts[0] = half
    for number in range(1, count):
        ideal = half + round(number * half / factor)
        follows = padded[starts[number - 1] + half : starts[number - 1] + 3 * half]
        low = max(0, ideal - half // 2)
        high = min(len(padded) - 2 * half, ideal + half // 2)
        candidates = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[low : high + 1]
        energy = np.sqrt((candidates**2).sum(1))
        likeness = candidates[:, : len(follows)] @ follows / np.maximum(energy, 1e-9)
        # Where nothing is like it, as in silence, the frame is taken where it belongs.
        starts[number] = low + int(likeness.argmax()) if likeness.max(initial=0.0) > 0 else min(ideal, high)
    return starts


def at_own_rate(explanation: Explanation) -> tuple[FloatArray, int, Callable[[FloatArray], FloatArray]]:
    """The recording of an explanation at its own rate, the rate in Hz, and what brings sounds of the model's rate there.

    All are cut to what the model heard of the recording, and aligned sample by sample. A sound brought there has nothing
    above half the model's rate.

    Raises
    ------
    AudioError
        If the recording is not there at its own rate.
    """
    original = original_recording(explanation)
    offset, _, samples = explanation.placed
    ratio = original.sample_rate / explanation.clip.sample_rate
    cut = slice(round(original.start * ratio), round((original.start + samples) * ratio))
    by_fft = explanation.provenance.get("resampling") == "fft"

    def brought(sound: FloatArray) -> FloatArray:
        whole: FloatArray = np.zeros(original.length)
        whole[original.start : original.start + samples] = sound[offset : offset + samples]
        if ratio != 1:
            whole = _resampled(whole, ratio, len(original.waveform), by_fft)
        return whole[cut]

    return original.waveform[cut], original.sample_rate, brought


def _resampled(sound: FloatArray, ratio: float, length: int, by_fft: bool) -> FloatArray:
    """A sound of another rate, as the recording was brought to the model's."""
    if by_fft:
        from scipy.signal import resample

        return np.asarray(resample(sound, length))
    import soxr

    return _of_length(soxr.resample(sound, 1.0, ratio, quality="HQ"), length)


def _of_length(sound: FloatArray, length: int) -> FloatArray:
    """The sound cut, or with zeros behind it."""
    return np.pad(sound[:length], (0, max(0, length - len(sound))))
