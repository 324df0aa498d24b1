"""Channels of a recording: what they are called, and as many as a model reads."""

from __future__ import annotations

from dataclasses import replace

from ..errors import AudioError
from ..output.words import counted
from ..registry.defaults import RAW
from ..types import Clip, Representation


def channels_in(representation: Representation) -> int:
    """How many channels of a recording a representation reads; one that does not say reads one."""
    return int(getattr(representation, "channels", 1))


def channel_names(count: int) -> tuple[str, ...]:
    """What channels are called: left and right, or their numbers from 1; a single one has no name."""
    return {1: (), 2: ("left", "right")}.get(count, tuple(map(str, range(1, count + 1))))


def with_channels(clip: Clip, count: int) -> Clip:
    """A clip with as many channels as a model reads: a single one is given to each of several.

    Raises
    ------
    AudioError
        If it has another number of them.
    """
    if clip.channels == count:
        return clip
    if clip.channels == 1:
        note = f"the recording has one channel, which is given to each of the {count} that the model reads"
        return replace(clip, waveform=clip.waveform[None].repeat(count, 0), notes=(*clip.notes, note))
    reads = counted(count, "channel")
    advice = (
        "choose one by channels 'mean', 'left' or an index, or say in the representation how many the model reads, as in "
        f"{RAW}:channels={clip.channels}"
        if count == 1
        else "choose one by channels 'mean', 'left' or an index, which is then given to each"
    )
    raise AudioError(f"{clip.source}: has {clip.channels} channels, and the model reads {reads}: {advice}.")
