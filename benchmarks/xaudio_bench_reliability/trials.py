"""Trials: one thing that goes wrong, and what became of it."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from xaudio.plugin import XaudioError

GOOD = ("read", "refused", "survived")
"""Outcomes that should be: it was read as it is, one line said what is wrong, or the results are those without the accident."""
BAD = ("silent", "traceback", "crash", "lost")
"""Outcomes that must not be: something changed and was not told, a bug, the end of the interpreter, results that differ."""

TRIES: dict[str, Callable[[Trial], tuple[str, str, str]]] = {}
"""What is tried in each part: what it was, its outcome, and what was said."""


class Trial(NamedTuple):
    """What a trial gets.

    Parameters
    ----------
    number : int
        Of the trial in its part.
    draw : random.Random
        Seeded by the part, the number and the seed of the benchmark.
    files : Path
        The whole files that all trials start from.
    place : Path
        A folder of its own.
    full : bool
        Whether the preset is the full one.
    """

    number: int
    draw: random.Random
    files: Path
    place: Path
    full: bool


def trial(part: str) -> Callable[[Callable[[Trial], tuple[str, str, str]]], Callable[[Trial], tuple[str, str, str]]]:
    """Name what is tried in a part."""

    def named(function: Callable[[Trial], tuple[str, str, str]]) -> Callable[[Trial], tuple[str, str, str]]:
        TRIES[part] = function
        return function

    return named


def asked(what: str, function: Callable[[], Any], expected: Callable[[Any], bool] = lambda value: True) -> tuple[str, str, str]:
    """The outcome of a call that reads something: what it gives must be as expected, or refused in one line."""
    try:
        value = function()
    except XaudioError as error:
        text = str(error)
        return (what, "refused", text) if text and "\n" not in text else (what, "traceback", f"not one line: {text}")
    return (what, "read", "") if expected(value) else (what, "silent", "something else was read, and it was not said")


def changed(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Bytes with something changed, and the name of the change."""
    data, place, length = bytearray(content), draw.randrange(len(content)), draw.randint(1, 64)
    kind = draw.choice(("bit", "byte", "zeros", "cut", "removed", "added", "header", "swapped"))
    if kind == "bit":
        data[place] ^= 1 << draw.randrange(8)
    elif kind == "byte":
        data[place] = draw.randrange(256)
    elif kind == "zeros":
        data[place : place + length] = bytes(len(data[place : place + length]))
    elif kind == "cut":
        del data[place:]
    elif kind == "removed":
        del data[place : place + length]
    elif kind == "added":
        data[place:place] = draw.randbytes(length)
    elif kind == "header":
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(min(64, len(data)))] = draw.randrange(256)
    else:
        other = draw.randrange(len(data))
        data[place : place + length], data[other : other + length] = data[other : other + length], data[place : place + length]
    return kind, bytes(data)


@contextmanager
def written(place: Path, name: str, content: bytes) -> Iterator[Path]:
    """A file with some bytes, for as long as it is needed."""
    path = place / name
    path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def checksum(path: Path) -> int:
    """Of a file's bytes."""
    return zlib.crc32(path.read_bytes())
