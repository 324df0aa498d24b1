"""Events: stretches of a recording with a label, as other programs write them."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Event(NamedTuple):
    """A stretch of a recording with a label.

    Parameters
    ----------
    start, end : float
        In seconds of the recording, 0 <= start <= end.
    label : str
    low, high : float or None
        Frequencies in Hz, where the file has them.
    source : str
        The recording as the file names it; "" where the file holds one recording only.
    tier : str
        Of a TextGrid, or the namespace of a JAMS file; "" elsewhere.
    """

    start: float
    end: float
    label: str
    low: float | None = None
    high: float | None = None
    source: str = ""
    tier: str = ""


def of_recording(events: Iterable[Event], recording: str) -> list[Event]:
    """Those events that belong to a recording: by its path, else by its name with or without the ending; all that name none."""
    listed = list(events)
    for belongs in (lambda event: event.source == recording, lambda event: bool(_names(event.source) & _names(recording))):
        chosen = [event for event in listed if not event.source or belongs(event)]
        if any(event.source for event in chosen):
            return chosen
    return [event for event in listed if not event.source]


def one_word(text: str) -> str:
    """A text without blanks, as a field of a file in which blanks divide."""
    return "_".join(text.split()) or "_"


def one_line(text: str) -> str:
    """A text without tabs and ends of lines."""
    return " ".join(text.split())


def _names(source: str) -> set[str]:
    """How files name a recording; both kinds of slash divide folders."""
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    return {one_word(name), one_word(Path(name).stem)}
