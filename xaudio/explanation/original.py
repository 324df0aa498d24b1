"""The recording of an explanation as it was before it was brought to the model's rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import AudioError
from ..sound.audio import at_rate, read_audio
from ..sound.rules import Rules
from ..types import Clip, FloatArray
from .explanation import Explanation


class Original(NamedTuple):
    """An explained recording as it was before it was brought to the model's rate.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
        All of it, at its own rate, mono, in [-1, 1].
    sample_rate : int
        In Hz.
    start : int
        Of its samples at the model's rate, the first that the model heard.
    length : int
        How many samples it has at the model's rate.
    """

    waveform: FloatArray
    sample_rate: int
    start: int
    length: int


def original_recording(explanation: Explanation) -> Original:
    """The recording of an explanation at its own sample rate, read from its file again unless the model's rate is its own.

    Parameters
    ----------
    explanation : Explanation

    Raises
    ------
    AudioError
        If the rates differ and the file is not there any more, or never was, or holds another recording.
    """
    clip, facts = explanation.clip, explanation.provenance
    rate = facts.get("original_sample_rate", clip.sample_rate)
    offset, start, samples = explanation.placed
    excerpt = clip.waveform[offset : offset + samples]
    if rate == clip.sample_rate:
        return Original(excerpt, rate, 0, len(excerpt))
    if not Path(clip.source).is_file():
        raise AudioError(
            f"{clip.source}: is not a file that can be read again, so the recording is known at the model's "
            f"{clip.sample_rate} Hz only and not at its own {rate} Hz. Explain a file, or take the model's rate."
        )
    for recording in _readings(clip.source):
        resampled = at_rate(recording, clip.sample_rate, facts.get("resampling", Rules.resampling))
        expected = resampled.waveform[start : start + len(excerpt)]
        if recording.sample_rate == rate and len(expected) == len(excerpt) and np.allclose(expected, excerpt, atol=1e-4):
            return Original(recording.waveform, rate, start, resampled.samples)
    raise AudioError(f"{clip.source}: is not the recording that was explained; it has changed since. Explain it again.")


def _readings(source: str) -> Iterator[Clip]:
    """A file as it may have been heard: mixed down, or one of its channels."""
    yield read_audio(source)
    together = read_audio(source, channels="all")
    if together.channels > 1:
        yield from (replace(together, waveform=waveform) for waveform in together.waveform)
