"""What a data set is made of before anything is decoded: recordings or excerpts with labels, a group and a part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PARTS = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "devel", "validate"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), "test"),
}
"""What people call the parts of a data set."""


class Event(NamedTuple):
    """Something that is heard in a recording: seconds, and Hz where they are known."""

    label: str
    start: float
    stop: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Item:
    """One recording, or an excerpt of one.

    Parameters
    ----------
    path : str
        Of the file, or "" for what is not in a file of its own.
    name : str
        How messages and results name it.
    labels : mapping of str to str, tuple of str or None
        Per task.
    group : str
        What no two folds may share; "" if there is none.
    part : str
        Of the data's own division: "train", "validation", "test", or the name of a fold.
    start, stop : float or None
        Of an excerpt, in seconds or samples.
    samples : bool
        Whether these are samples.
    channel : str, int or None
    events : tuple of Event, or None
        None where nobody annotated.
    content : bytes or callable
        What stands for the file: its bytes, or what gives them.
    """

    path: str
    name: str
    labels: Mapping[str, str | tuple[str, ...] | None] = field(default_factory=dict)
    group: str = ""
    part: str = ""
    start: float | None = None
    stop: float | None = None
    samples: bool = False
    channel: str | int | None = None
    events: tuple[Event, ...] | None = None
    content: Any = None

    @property
    def excerpt(self) -> bool:
        """Whether it is a part of its file."""
        return self.start is not None or self.stop is not None


def part_of(text: str) -> str:
    """A part as xaudio names it, or the name of a fold: "dev" is "validation", "fold 03" is "3"; "" for anything else."""
    plain = text.strip().lower()
    if plain in PARTS:
        return PARTS[plain]
    match = re.fullmatch(r"(?:fold|split|cv)?[ _-]*0*(\d{1,3})(?:\.0)?", plain)
    return match[1] if match else ""
