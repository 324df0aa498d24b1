"""Recordings cut to a receptive field: what of them a position of a layer can hear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xaudio.plugin import Explanation, FloatArray, part_gain, reference_gain, seeded_generator

from .results import Span

FADE, CONTEXT, PAUSE = 0.002, 0.25, 0.2
"""Seconds: fades at both ends of an excerpt, against clicks; what the context adds on either side; between excerpts in a row."""

SILENT = 1e-6
"""Share of the recording's peak below which a sound is what rounding leaves of silence."""

Field = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A recording cut to a receptive field.

    Parameters
    ----------
    start, stop : int
        Samples of what the model hears between which it lies.
    sound : ndarray, shape (samples,)
        What lies in the cells of the field: cut in time, and in frequency where the field does not reach over all of it.
    part : ndarray, shape (samples,)
        The same, weighted by the positive relevance in these cells.
    context : ndarray, shape (samples,)
        The recording a quarter of a second around it.
    """

    start: int
    stop: int
    sound: FloatArray
    part: FloatArray
    context: FloatArray

    @property
    def sounds(self) -> dict[str, FloatArray]:
        """The sounds by name: "excerpt", "part" and "context"."""
        return {"excerpt": self.sound, "part": self.part, "context": self.context}


def spans_of(explanation: Explanation, field: Field) -> list[Span]:
    """A receptive field in the units of the axes, times in seconds of the recording."""
    return [
        Span(
            axis=axis.name,
            unit=axis.unit,
            first=first,
            last=last,
            low=float(axis.centres[first]),
            high=float(axis.centres[last]),
        )
        for axis, (first, last) in zip(explanation.recording_axes, field, strict=True)
    ]


def inside(explanation: Explanation, field: Field) -> FloatArray:
    """1 for the cells of a field and 0 for others, shaped like the features."""
    mask = np.zeros_like(explanation.features)
    mask[(slice(None), *(slice(first, last + 1) for first, last in field))] = 1
    return mask


def excerpt_of(explanation: Explanation, field: Field) -> Excerpt:
    """What a receptive field holds of an explained recording, to hear.

    A cell of a spectrogram hears a window around its centre, so that the sound of a field reaches beyond its first and last one.
    """
    read, clip = explanation.representation, explanation.clip
    mask = torch.from_numpy(inside(explanation, field))[None]
    relevance = torch.from_numpy(explanation.relevance).to(mask)[None].clamp(min=0) * mask
    weights = relevance / relevance.max() if relevance.max() > 0 else relevance
    recording = torch.from_numpy(clip.waveform)[None]
    noise = torch.randn(recording.shape, generator=seeded_generator(0), dtype=torch.float32)
    with torch.no_grad():
        kept_noise = read.masked_waveform(noise, mask)[0].abs()  # of noise, which is silent nowhere by itself
        sound, part = (read.masked_waveform(recording, cells)[0].numpy() for cells in (mask, weights))
    reached = torch.nonzero(kept_noise > SILENT * kept_noise.max())[:, 0]
    start, stop = (int(reached[0]), int(reached[-1]) + 1) if len(reached) else (0, len(clip.waveform))
    around = round(CONTEXT * clip.sample_rate)
    context = clip.waveform[max(0, start - around) : stop + around]
    return Excerpt(start, stop, sound[start:stop], part[start:stop], context)


def audible(sound: FloatArray, recording: FloatArray, rate: int) -> tuple[FloatArray | None, float | None]:
    """A sound as loud as its recording at the reference, faded at both ends, and its gain in dB; None and None if it is silent.

    Parameters
    ----------
    sound : ndarray, shape (samples,)
    recording : ndarray, shape (samples,)
        That it was taken from.
    rate : int
        In Hz.
    """
    if float(np.abs(sound).max(initial=0.0)) <= SILENT * float(np.abs(recording).max(initial=0.0)):
        return None, None
    common = reference_gain(recording, rate)
    gain = common * part_gain(sound * common, recording * common, rate)[0]
    ramp = np.ones(len(sound))
    fade = min(round(FADE * rate), len(sound) // 10)
    if fade:
        edge = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
        ramp[:fade], ramp[-fade:] = edge, edge[::-1]
    return np.clip(sound * gain * ramp, -1, 1), round(20 * float(np.log10(gain)), 2)


def in_a_row(sounds: Sequence[FloatArray], rate: int) -> FloatArray:
    """Sounds one after the other, with pauses."""
    pause = np.zeros(round(PAUSE * rate))
    return np.concatenate([part for sound in sounds for part in (sound, pause)])
