"""TextGrids of Praat: read in the long and the short text format, written in the long one."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from xaudio.plugin import DataError

from ._events import Event, one_line

TOKENS = re.compile(r'"((?:[^"]|"")*)"|(<[a-z]+>)|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|![^\n]*')
"""What Praat reads of a text file: texts in quotes, flags and free-standing numbers; the rest is for people."""

SAME = 1e-9
"""Seconds by which the end of an interval and the start of the next may differ."""

Tier = tuple[str, Sequence[tuple[str, str, str]]]
"""A name and its intervals: start, end and text, the times as they are written."""


def read_textgrid(text: str, path: Path) -> list[Event]:
    """The labelled intervals of all interval tiers; points and intervals without a text are left out.

    Raises
    ------
    DataError
        If it ends in the middle, or the intervals of a tier overlap.
    """
    values = _values(text)
    try:
        kinds = next(values), next(values)
        if kinds[1] != "TextGrid":
            raise DataError(f"{path}: holds a {kinds[1]}; expected a TextGrid.")
        _, _, _, tiers = (next(values) for _ in range(4))
        return [event for _ in range(_count(tiers)) for event in _tier(values, path)]
    except StopIteration:
        raise DataError(f"{path}: ends in the middle. Save the TextGrid as a text file again.") from None
    except ValueError:
        raise DataError(f"{path}: is not a TextGrid that can be read. Save it in Praat as a text file again.") from None


def _values(text: str) -> Iterator[str]:
    for match in TOKENS.finditer(text):
        quoted, flag, number = match.groups()
        if quoted is not None:
            yield quoted.replace('""', '"')
        elif flag or number:
            yield flag or number


def _count(value: str) -> int:
    return int(value)


def _tier(values: Iterator[str], path: Path) -> list[Event]:
    kind, name, _, _, count = (next(values) for _ in range(5))
    if kind == "TextTier":
        for _ in range(2 * _count(count)):
            next(values)
        return []
    if kind != "IntervalTier":
        raise ValueError
    events = []
    for _ in range(_count(count)):
        start, end, label = next(values), next(values), next(values)
        events.append(Event(float(start), float(end), label.strip(), tier=name))
    for first, second in pairwise(events):
        if second.start < first.end - SAME:
            raise DataError(
                f"{path}: in the tier {name!r} the interval at {second.start:g} s begins before the one before it ends "
                f"({first.end:g} s); expected intervals one after the other."
            )
    return [event for event in events if event.label]


def textgrid(tiers: Sequence[Tier], end: str) -> str:
    """A TextGrid from 0 to an end, in the long text format; gaps become intervals without a text.

    Parameters
    ----------
    tiers : sequence of (str, sequence of (str, str, str))
        Intervals in order, which do not overlap.
    end : str
        Of the recording in seconds.
    """
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, intervals) in enumerate(tiers, 1):
        filled = list(_without_gaps(intervals, end))
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f"        name = {_quoted(name)}",
            "        xmin = 0",
            f"        xmax = {end}",
            f"        intervals: size = {len(filled)}",
        ]
        for place, (first, last, text) in enumerate(filled, 1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {first}",
                f"            xmax = {last}",
                f"            text = {_quoted(text)}",
            ]
    return "\n".join(lines) + "\n"


def _without_gaps(intervals: Sequence[tuple[str, str, str]], end: str) -> Iterator[tuple[str, str, str]]:
    last = "0"
    for start, stop, text in intervals:
        if start != last:
            yield last, start, ""
        yield start, stop, text
        last = stop
    if last != end:
        yield last, end, ""


def _quoted(text: str) -> str:
    return '"' + one_line(text).replace('"', '""') + '"'
