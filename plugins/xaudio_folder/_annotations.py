"""Events that somebody marked in recordings, in files beside them, or for all as in BirdsongRecognition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from xaudio.plugin import DataError, counted
from xaudio_segments import read_events

from ._columns import Choice, Found
from ._items import Event, Item
from ._listing import Listing
from ._tables import read_text

BIRDSONG = "Annotation.xml"

ENDINGS = {
    ".txt": "label tracks",
    ".Table.1.selections.txt": "Raven",
    ".selections.txt": "Raven",
    ".TextGrid": "TextGrid",
    ".textgrid": "TextGrid",
    ".rttm": "RTTM",
    ".jams": "JAMS",
}
"""What is added to a recording's name, with or without its own ending, for a file beside it, and what such files are called."""

NUMBERS = re.compile(r"[-+.\d]+(\t[-+.\d]+)+")
"""What is left of a line of numbers after the first two."""


def annotated(listing: Listing, choice: Choice) -> Found | None:
    """Recordings beside which a file tells what is heard when; recordings without one are left out."""
    if BIRDSONG in listing.files and any(name.startswith("Wave/") for name in listing.audio):
        return _birdsong(listing, choice)
    told = {name: _sidecar(listing, name) for name in listing.audio}
    kinds = sorted({kind for kind, events in told.values() if events})
    if not kinds:
        return None
    items = []
    for name, (_, events) in told.items():
        if events is None:
            listing.left_out.add("recording without annotations", "recordings without annotations", name)
        else:
            items += _items(Item(listing.files[name], name), events, choice)
    return _found(f"recordings with annotations ({', '.join(kinds)})", items, choice)


def _found(layout: str, items: list[Item], choice: Choice) -> Found:
    count = sum(len(item.events or ()) for item in items)
    if choice.rows == "clips":
        return Found(
            f"{layout}, each event an excerpt of its file", [replace(item, events=None) for item in items], set(), "file"
        )
    return Found(f"{layout}: {counted(count, 'event')}", items, {"label"})


def _items(item: Item, events: Sequence[Event], choice: Choice) -> list[Item]:
    """A recording with its events, or an excerpt for each of them."""
    if choice.rows == "clips":
        return [
            replace(item, labels={"label": event.label}, start=event.start, stop=event.stop, group=item.name) for event in events
        ]
    return [replace(item, events=tuple(events), labels={"label": tuple(dict.fromkeys(event.label for event in events))})]


def _sidecar(listing: Listing, name: str) -> tuple[str, tuple[Event, ...] | None]:
    """The kind of what annotates a recording, and its events; None where nothing does."""
    stem = str(PurePosixPath(name).with_suffix(""))
    for ending, kind in ENDINGS.items():
        for beside in (f"{stem}{ending}", f"{name}{ending}"):
            events = _read(Path(listing.files[beside]), name) if beside in listing.files else None
            if events is not None:
                return kind, events
    return "", None


def _read(path: Path, recording: str) -> tuple[Event, ...] | None:
    """The events of a recording; None of a text that is something else, such as a description or a table of numbers."""
    try:
        events = read_events(path, recording)
    except DataError:
        if path.suffix != ".txt":
            raise
        return None
    if any(NUMBERS.fullmatch(event.label) for event in events):
        return None
    return tuple(Event(event.label or "event", event.start, event.end, event.low, event.high) for event in events)


def _birdsong(listing: Listing, choice: Choice) -> Found:
    """BirdsongRecognition: notes of sequences, whose positions are in samples."""
    text, _ = read_text(Path(listing.files[BIRDSONG]))
    if "<!DOCTYPE" in text:
        raise DataError(f"{BIRDSONG}: declares a document type, which is not taken.")
    try:
        sequences = ElementTree.fromstring(text.encode()).iter("Sequence")  # noqa: S314 (no document type, so no entities)
        notes = _notes(list(sequences))
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise DataError(f"{BIRDSONG}: is damaged ({error}).") from None
    items = []
    for name, events in notes.items():
        file = listing.files.get(f"Wave/{name}")
        if file is None:
            listing.left_out.add("file of Annotation.xml that is not there", "files of Annotation.xml that are not there", name)
            continue
        rate = _rate(file)
        seconds = [Event(event.label, event.start / rate, event.stop / rate) for event in events]
        items += _items(Item(file, f"Wave/{name}"), seconds, choice)
    for name in listing.audio:
        if PurePosixPath(name).name not in notes:
            listing.left_out.add("recording without annotations", "recordings without annotations", name)
    return _found("BirdsongRecognition (Annotation.xml)", items, choice)


def _notes(sequences: Sequence[ElementTree.Element]) -> dict[str, list[Event]]:
    """The notes of each file, in samples from its start."""
    notes: dict[str, list[Event]] = {}
    for sequence in sequences:
        position = int(sequence.findtext("Position") or 0)
        told = notes.setdefault(str(sequence.findtext("WaveFileName")), [])
        for note in sequence.iter("Note"):
            start = position + int(note.findtext("Position") or 0)
            told.append(Event(str(note.findtext("Label")), start, start + int(note.findtext("Length") or 0)))
    return notes


def _rate(file: str) -> int:
    import soundfile

    try:
        return int(soundfile.info(file).samplerate)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{file}: cannot be read as audio ({error.error_string}).") from None
