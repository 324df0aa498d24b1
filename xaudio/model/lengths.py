"""Which lengths of sound a representation takes, and the same representation for another length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from ..errors import AudioError, ModelError
from ..sound.channels import channels_in
from ..sound.preparation import Prepared, prepare_clip, prepare_clips, sound_key
from ..sound.rules import Rules
from ..types import Clip, FloatArray, IntArray, Representation

ANY = 2**62
"""Samples that no recording has."""


class Length(NamedTuple):
    """Which lengths of sound a representation takes, in samples at its rate.

    Parameters
    ----------
    fixed : int or None
        The only one, where it takes one only: shorter recordings lie within zeros.
    minimum : int
    maximum : int or None
    multiple : int
        Of which the length must be one.
    """

    fixed: int | None = None
    minimum: int = 1
    maximum: int | None = None
    multiple: int = 1


def length_of(representation: Representation) -> Length:
    """Which lengths a representation takes; one that does not say takes its own alone.

    Parameters
    ----------
    representation : Representation
    """
    length = getattr(representation, "length", None)
    return length if isinstance(length, Length) else Length(fixed=representation.samples)


class OneLength(nn.Module):
    """A representation of any length as one that takes its own alone, with zeros around shorter recordings.

    Parameters
    ----------
    whole : Representation
    """

    def __init__(self, whole: Representation) -> None:
        super().__init__()
        self.whole, self.length = whole, Length(fixed=whole.samples)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "whole":
                raise
            return getattr(self.whole, name)

    def forward(self, waveforms: Tensor) -> Tensor:
        """What the representation gives."""
        features: Tensor = self.whole(waveforms)
        return features


def at_length(representation: Representation, spec: Mapping[str, Any], samples: int) -> tuple[Representation, Mapping[str, Any]]:
    """The representation for a length, and its name and options; both as they are where it is theirs already.

    Raises
    ------
    ModelError
        If it does not take that length.
    """
    length = length_of(representation)
    if length.fixed == samples:
        return representation, spec
    if length.fixed is not None:
        raise ModelError(f"The representation takes {length.fixed} samples and no other number; got {samples}.")
    if samples < length.minimum or (length.maximum is not None and samples > length.maximum):
        most = "" if length.maximum is None else f" to {length.maximum}"
        raise ModelError(f"The representation takes {length.minimum}{most or ' or more'} samples; got {samples}.")
    adapted: Representation = representation.at(samples)  # type: ignore[attr-defined]
    options = spec.get("options", {})
    return adapted, {**spec, "options": {**options, "samples": samples}} if spec else spec


def prepared_by_length(clips: Sequence[Clip], representation: Representation, rules: Rules) -> list[tuple[IntArray, Prepared]]:
    """Clips as a representation takes them, those of one length together: their indices, and the sounds.

    Where it takes one length only they are all of that length, with zeros around the shorter ones; else none has any.

    Raises
    ------
    AudioError
        If a clip is too long and the rules do not make it fit, or too short.
    """
    length, rate = length_of(representation), representation.sample_rate
    channels = channels_in(representation)
    if length.fixed is not None:
        return [(np.arange(len(clips)), prepare_clips(clips, rate, length.fixed, rules.fit, rules.resampling, channels))]
    alone = [_prepared(clip, rate, length, rules, channels) for clip in clips]
    samples = np.array([waveform.shape[-1] for waveform, _, _ in alone])
    groups = [np.flatnonzero(samples == count) for count in dict.fromkeys(samples.tolist())]
    return [(group, _together([alone[index] for index in group])) for group in groups]


def _prepared(clip: Clip, rate: int, length: Length, rules: Rules, channels: int) -> tuple[FloatArray, int, tuple[str, ...]]:
    """A clip's waveform, what was cut off before it, and notes."""
    waveform, start, notes = prepare_clip(clip, rate, length.maximum or ANY, rules.fit, rules.resampling, channels)
    samples = waveform.shape[-1]
    kept = samples // length.multiple * length.multiple
    if kept < length.minimum:
        raise AudioError(f"{clip.source}: has {samples} samples at {rate} Hz; the model takes {length.minimum} or more.")
    if kept < samples:
        notes = (*notes, f"the last {samples - kept} samples are left out: the model takes multiples of {length.multiple}")
    return waveform[..., :kept], start, notes


def _together(alone: Sequence[tuple[FloatArray, int, tuple[str, ...]]]) -> Prepared:
    waveforms, starts, notes = zip(*alone, strict=True)
    lengths = np.array([waveform.shape[-1] for waveform in waveforms], dtype=np.int64)
    keys = np.array([sound_key(waveform) for waveform in waveforms], dtype=np.int64)
    stacked = np.stack(waveforms).astype(np.float32, copy=False)
    return Prepared(stacked, lengths, np.array(starts, dtype=np.int64), keys, [list(said) for said in notes])
