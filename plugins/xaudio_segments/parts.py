"""Parts of a recording from events: which word, syllable or sound it was."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xaudio.plugin import DataError, Excerpt, FloatArray, IntArray, PluginError

from ._events import Event
from ._reading import ENDINGS, read_events

if TYPE_CHECKING:
    from xaudio.plugin import Sound

ROUNDING = 0.05
"""Seconds by which an event may end after its recording: programs round times, to frames of 10 to 20 ms."""

REST = ""
"""Name of the part outside of all events."""


class Partition(NamedTuple):
    """A waveform cut into stretches, each of which belongs to one part.

    Parameters
    ----------
    edges : ndarray of int, shape (stretches + 1,)
        In samples of the waveform, from 0 to its length, strictly increasing.
    owners : ndarray of int, shape (stretches,)
        The part of each stretch; that of number 0 is what lies outside of all events.
    labels : tuple of str
        Of the parts; "" for the first.
    """

    edges: IntArray
    owners: IntArray
    labels: tuple[str, ...]

    def stretches(self, places: FloatArray | IntArray) -> IntArray:
        """The stretch of each place, in samples of the waveform."""
        return np.clip(np.searchsorted(self.edges, places, side="right") - 1, 0, len(self.owners) - 1)


def partition(parts: str, excerpt: Excerpt, rate: int, samples: int) -> Partition:
    """A waveform cut by the events of a recording.

    Parameters
    ----------
    parts : str
        See `Parts`.
    excerpt : Excerpt
        Where the recording lies in the waveform.
    rate : int
        Of the waveform, in Hz.
    samples : int
        Of the waveform.

    Raises
    ------
    DataError
        If there is no file for the recording, it cannot be read, or an event lies beyond the recording's end.
    """
    events = events_for(parts, excerpt)
    offset, start, heard = excerpt.placed
    spans = [(round(event.start * rate), round(min(event.end, excerpt.duration) * rate)) for event in events]
    spans = [(_within(first - start, heard) + offset, _within(last - start, heard) + offset) for first, last in spans]
    edges = np.unique([0, samples, *(place for first, last in spans if last > first for place in (first, last))])
    owner_of: dict[tuple[int, ...], int] = {(): 0}
    owners, labels = [], [REST]
    for first, last in pairwise(edges):
        inside = tuple(number for number, (low, high) in enumerate(spans) if low <= first and last <= high)
        if inside not in owner_of:
            owner_of[inside] = len(labels)
            labels.append(" + ".join(events[number].label or "?" for number in inside))
        owners.append(owner_of[inside])
    return Partition(edges, np.array(owners), tuple(labels))


def _within(place: int, heard: int) -> int:
    return min(max(place, 0), heard)


def partitions(parts: str, sound: Sound | None, explainer: str) -> list[Partition]:
    """For each of a batch of recordings.

    Raises
    ------
    PluginError
        If nobody says which recordings they are.
    """
    if sound is None or not sound.excerpts:
        raise PluginError(
            f"{explainer}: parts={parts} needs to know which recording it hears, which is not known here; explain with it."
        )
    recordings = {excerpt.source for excerpt in sound.excerpts}
    if len(recordings) > 1:
        _refuse_one_for_all(parts, sound.excerpts[0], len(recordings))
    representation = sound.representation
    return [partition(parts, excerpt, representation.sample_rate, representation.samples) for excerpt in sound.excerpts]


def _refuse_one_for_all(parts: str, excerpt: Excerpt, recordings: int) -> None:
    """Raise `DataError` if several recordings would have the events of one file that names none of them."""
    path, _ = _file_of(parts, excerpt.source)
    if Path(parts).is_dir() or path.parent == Path(parts.rpartition("#")[0]):
        return
    if not any(event.source for event in read_events(path)):
        raise DataError(
            f"{path}: does not say to which of the {recordings} recordings it belongs. Give a folder with a file for each, or "
            "explain them one by one."
        )


def events_for(parts: str, excerpt: Excerpt) -> list[Event]:
    """The events of a recording, all within it.

    Raises
    ------
    DataError
        As `partition`.
    """
    path, tier = _file_of(parts, excerpt.source)
    events = [event for event in read_events(path, excerpt.source) if event.end > event.start]
    if tier:
        events = _of_tier(events, tier, path)
    late = next((event for event in events if event.end > excerpt.duration + ROUNDING), None)
    if late:
        raise DataError(
            f"{path}: the event {late.label!r} ends at {late.end:g} s, beyond the end of {excerpt.source} at "
            f"{excerpt.duration:g} s. Give the file of this recording."
        )
    _one_tier(events, path)
    return events


def _of_tier(events: list[Event], tier: str, path: Path) -> list[Event]:
    chosen = [event for event in events if event.tier == tier]
    if not chosen:
        tiers = ", ".join(sorted({repr(event.tier) for event in events if event.tier})) or "none"
        raise DataError(f"{path}: has no tier {tier!r} with labelled intervals; its tiers are {tiers}.")
    return chosen


def _one_tier(events: Sequence[Event], path: Path) -> None:
    """Refuse tiers that say the same once more, such as words and their phones."""
    spans = {tier: [event for event in events if event.tier == tier] for tier in dict.fromkeys(event.tier for event in events)}
    for first, second in combinations(spans, 2):
        if any(one.start < other.end and other.start < one.end for one in spans[first] for other in spans[second]):
            raise DataError(f"{path}: the tiers {first!r} and {second!r} overlap; choose one, as in {path}#{first}.")


def _file_of(parts: str, source: str) -> tuple[Path, str]:
    """The file with the events of a recording, and the tier that is asked for."""
    place, tier = Path(parts), ""
    if not place.exists() and "#" in parts:
        file, _, tier = parts.rpartition("#")
        place = Path(file)
    if not place.is_dir():
        return place, tier
    stem = Path(source).stem
    files = [path for path in sorted(place.iterdir()) if path.stem == stem and path.suffix.lower() in ENDINGS]
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise DataError(f"{place}: expected one file of events for {Path(source).name}, such as {stem}.TextGrid; found {names}.")
    return files[0], tier
