"""Recordings that are longer than a model takes: their silence or their end is left out, or their loudest window is kept."""

from __future__ import annotations

import numpy as np

from ..errors import AudioError
from ..output.words import counted
from ..types import Clip, Fit, FloatArray

TOLERANCE, TOLERANCE_SHARE = 0.010, 0.01
"""Seconds, and share of the length that is taken, by which a recording may be too long: its end is left out, with a note."""

EQUALLY_LOUD = 1e-3
"""Share of its energy by which a window may be below the loudest and still counts as loud, so that rounding moves none."""

SILENCE_DB = -40.0
"""Frames this far below the loudest frame are silence to `speech_bounds`."""


def fit_length(clip: Clip, samples: int, rule: Fit) -> tuple[FloatArray, int, str]:
    """A waveform of at most ``samples`` samples, where in the clip it starts, and what was done ("" if it was short enough).

    Parameters
    ----------
    clip : Clip
        Already at the wanted rate.
    samples : int
        The longest that is taken.
    rule : {"error", "trim", "loudest"}
        See `xaudio.types.Fit`.

    Raises
    ------
    AudioError
        If it is too long and the rule does not make it fit.
    """
    waveform, rate = clip.waveform, clip.sample_rate
    if clip.samples <= samples:
        return waveform, 0, ""
    if rule == "error":
        return _end_left_out(clip, (0, clip.samples), samples, rule)
    seconds = f"{clip.duration:.3f} s"
    if rule == "trim":
        start, stop = speech_bounds(waveform, rate)
        if stop - start > samples:
            return _end_left_out(clip, (start, stop), samples, rule)
        return waveform[..., start:stop], start, f"trimmed from {seconds} to {(stop - start) / rate:.3f} s"
    energy = np.concatenate([[0.0], np.cumsum(_energy(waveform))])
    start = _loudest(energy, samples, rate)
    note = f"loudest {samples / rate:.3f} s of {seconds} kept, from {start / rate:.3f} s"
    return waveform[..., start : start + samples], start, note


def _loudest(energy: FloatArray, samples: int, rate: int) -> int:
    """Where the loudest window starts, by the energy (samples + 1,) up to each sample; see `xaudio.types.Fit`."""
    last = len(energy) - 1 - samples
    step = max(1, min(rate, samples) // 100)
    starts = np.append(np.arange(0, last, step), last)
    held = energy[starts + samples] - energy[starts]
    return int(starts[np.flatnonzero(held >= (1 - EQUALLY_LOUD) * held.max())[0]])


def _end_left_out(clip: Clip, bounds: tuple[int, int], samples: int, rule: Fit) -> tuple[FloatArray, int, str]:
    """The part of a clip that is a few samples too long, less these; or an error that says how long it is."""
    (start, stop), rate = bounds, clip.sample_rate
    over = stop - start - samples
    if over <= min(TOLERANCE * rate, TOLERANCE_SHARE * samples):
        left_out = f"{counted(over, 'sample')} ({1000 * over / rate:.2f} ms) at the end {'was' if over == 1 else 'were'} left out"
        return clip.waveform[..., start : start + samples], start, left_out
    decimals = next(n for n in (3, 4, 5, 6, 9) if f"{(stop - start) / rate:.{n}f}" != f"{samples / rate:.{n}f}")
    within, advice = {
        "error": (
            "",
            "choose a rule: fit 'trim' removes silence at both ends, 'loudest' keeps the window with most energy; or let "
            "--window cut it into windows.",
        ),
        "trim": (" without the silence at both ends", "choose fit 'loudest'."),
    }[rule]
    raise AudioError(
        f"{clip.source}: is {(stop - start) / rate:.{decimals}f} s long{within}, longer than the "
        f"{samples / rate:.{decimals}f} s the model takes. Cut it, or {advice}"
    )


def speech_bounds(waveform: FloatArray, rate: int) -> tuple[int, int]:
    """Start and stop sample of what is louder than `SILENCE_DB` below the loudest 10 ms frame."""
    frame = max(1, rate // 100)
    samples = waveform.shape[-1]
    starts = np.arange(0, samples, frame)  # the last frame may be shorter
    energy = np.add.reduceat(_energy(waveform), starts) / np.diff(starts, append=samples)
    loud = np.flatnonzero(energy > energy.max(initial=0.0) * 10 ** (SILENCE_DB / 10))
    if not loud.size:
        return 0, samples
    return int(loud[0]) * frame, min(samples, (int(loud[-1]) + 1) * frame)


def _energy(waveform: FloatArray) -> FloatArray:
    """Squares (samples,) of the waveform less its median, float64, those of all channels together.

    A constant offset is no sound, but can hold more power than the speech. It is the median and not the mean, so that digital
    silence stays silent beside speech whose own mean is not 0.
    """
    energy: FloatArray = (waveform.astype(np.float64) - np.median(waveform, axis=-1, keepdims=True)) ** 2
    return energy if energy.ndim == 1 else energy.sum(0)
