"""The stretch of a long recording that a page holds, so that no page is too large to be opened."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from xaudio.plugin import Axis, Explanation, FloatArray

LONGEST = 1_500_000
"""Samples: of a longer recording a page holds so many, which with their sounds are at most 17 MB (of noise)."""


class Stretch(NamedTuple):
    """A stretch of what the model heard.

    Parameters
    ----------
    first, last : int
        Its samples.
    rate : int
        Of the model, in Hz.
    """

    first: int
    last: int
    rate: int

    def of_samples(self, values: FloatArray, rate: int) -> FloatArray:
        """Its part of a sound (..., samples) at a rate."""
        return values[..., round(self.first * rate / self.rate) : round(self.last * rate / self.rate)]

    def of_cells(self, axis: Axis, *arrays: FloatArray | None) -> tuple[Axis, list[Any]]:
        """Its part of an axis of time and of arrays (..., cells), with times from its start."""
        places = np.rint(axis.centres * self.rate)
        inside = (places >= self.first) & (places < self.last)
        part = Axis(axis.name, axis.unit, axis.centres[inside] - self.first / self.rate)
        return part, [None if array is None else array[..., inside] for array in arrays]

    def of_explanation(self, explanation: Explanation) -> Explanation | None:
        """Its part of an explanation, as if nothing else had been heard.

        None where the relevance knows no time, or what the model reads cannot be had of another length.
        """
        clip, place, seen = explanation.clip, _time_of(explanation), "view" in explanation.provenance
        make = None if seen else getattr(explanation.representation, "at", None)
        offset, start, heard = explanation.placed
        low, high = max(self.first, offset), min(self.last, offset + heard)
        if place is None or not (seen or make) or high <= low:
            return None
        part = replace(
            explanation,
            clip=replace(clip, waveform=self.of_samples(clip.waveform, clip.sample_rate)),
            provenance={
                **explanation.provenance,
                "placement": {"offset": low - self.first, "start": start + low - offset, "samples": high - low},
            },
            _representation=make and make(self.last - self.first),
        )
        axes = part.representation.axes
        cells = np.searchsorted(explanation.axes[place].edges[1:-1], axes[place].centres + self.first / self.rate)
        features, relevance = (np.take(array, cells, 1 + place) for array in (explanation.features, explanation.relevance))
        return replace(part, features=features, relevance=relevance, axes=axes)

    def of_file(self, content: bytes) -> bytes:
        """Its part of a sound file, in the same format."""
        import soundfile

        with soundfile.SoundFile(BytesIO(content)) as file:
            kind = {"samplerate": file.samplerate, "format": file.format, "subtype": file.subtype}
            samples = self.of_samples(file.read().T, file.samplerate).T
        part = BytesIO()
        soundfile.write(part, samples, **kind)
        return part.getvalue()

    def said(self, explanation: Explanation) -> str:
        """A sentence on it."""
        start, end = (explanation.window_start + place / self.rate for place in (self.first, self.last))
        return (
            f"Picture and sounds are those of {start:.3f} to {end:.3f} s, where most of the relevance lies, of the "
            f"{explanation.clip.duration:.0f} s that were explained. Windows show more: see --window."
        )


def stretch_of(explanation: Explanation) -> Stretch | None:
    """The stretch with the most relevance, by its magnitude, of a recording that is longer than `LONGEST`; else None."""
    clip = explanation.clip
    if clip.samples <= LONGEST:
        return None
    first = 0
    place = _time_of(explanation)
    if place is not None:
        magnitude = np.abs(explanation.relevance.astype(np.float64))
        magnitude = magnitude.sum(tuple(axis for axis in range(magnitude.ndim) if axis != place + 1))
        centres = explanation.axes[place].centres
        held = np.concatenate([[0.0], np.cumsum(magnitude)])
        ends = np.searchsorted(centres, centres + LONGEST / clip.sample_rate)
        first = round(float(centres[int(np.argmax(held[ends] - held[:-1]))] - centres[0]) * clip.sample_rate)
    first = min(max(first, 0), clip.samples - LONGEST)
    return Stretch(first, first + LONGEST, clip.sample_rate)


def _time_of(explanation: Explanation) -> int | None:
    """Which of the axes is time."""
    return next((number for number, axis in enumerate(explanation.axes) if axis.name == "time"), None)
