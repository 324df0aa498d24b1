"""Events from the files of other programs: what a file is follows from its content."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xaudio.plugin import DataError

from ._columns import read_table
from ._events import Event, of_recording
from ._textgrid import read_textgrid

FORMATS = "Audacity labels, Raven selections, RTTM, TextGrid, JAMS, CSV or TSV with a header, or JSON lines"
ENDINGS = (".textgrid", ".txt", ".csv", ".tsv", ".jsonl", ".json", ".jams", ".rttm", ".lab")
"""Of files that are looked for beside a recording's name."""

LARGEST = 1 << 28
"""Bytes: more is no table of events."""

NUMBER = r"[-+]?\d+(?:[.,]\d*)?(?:[eE][-+]?\d+)?"
LABELS = re.compile(rf"({NUMBER})\s+({NUMBER})(?:[\t ]+(.*))?")
"""A line of Audacity's labels, of scaper, or of a .lab file: onset, offset, label."""

BOUNDS = re.compile(rf"\\\s+({NUMBER})\s+({NUMBER})")
"""Audacity's second line: the frequencies of the label above it; -1 where there is none."""

RTTM = ("SPEAKER", "SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "SPKR-INFO", "SU")


def read_events(path: str | Path, recording: str = "") -> list[Event]:
    """Events of a file, in order of their start.

    Parameters
    ----------
    path : path
        Audacity labels (also scaper's), a Raven selection table, RTTM, a TextGrid of Praat, JAMS, a CSV or TSV with a header
        (crowsetta, DCASE, ``segments.csv``), or JSON lines. A text in UTF-8 or UTF-16.
    recording : str
        A path or name; where the file names recordings, only the events of this one are read. "" reads all.

    Returns
    -------
    list of Event
        Empty for an empty file.

    Raises
    ------
    DataError
        In one line: a file that is none of these, an interval that begins before 0 or ends before it begins, a tier whose
        intervals overlap, or a file that names other recordings only.
    """
    path = Path(path)
    text = _text(path)
    events = [_checked(event, path) for event in _parsed(text, path)] if text.strip() else []
    if recording and any(event.source for event in events):
        chosen = of_recording(events, recording)
        if not chosen:
            named = sorted({event.source for event in events})
            raise DataError(
                f"{path}: names no event of {recording}, but those of {', '.join(named[:3])}{' ...' * (len(named) > 3)}. "
                "Give the file of this recording."
            )
        events = chosen
    return sorted(events, key=lambda event: (event.start, event.end))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: is larger than a table of events can be; expected {FORMATS}.")
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file. Check the path.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    try:
        return content.decode(_encoding(content)).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not text in UTF-8 or UTF-16. If it is text, convert it: iconv -f LATIN1 -t UTF-8.") from None


def _encoding(content: bytes) -> str:
    """UTF-16 by its mark, or by the zeros that it has beside each letter of ASCII; else UTF-8."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    head = content[:64]
    for name, zeros in (("utf-16-be", head[0::2]), ("utf-16-le", head[1::2])):
        if len(head) >= 4 and not any(zeros):
            return name
    return "utf-8-sig"


def _parsed(text: str, path: Path) -> Iterator[Event]:
    first = next(line for line in text.splitlines() if line.strip()).strip()
    if first.startswith("File type") or first.startswith('"ooTextFile"'):
        yield from read_textgrid(text, path)
    elif first.startswith("ooBinaryFile"):
        raise DataError(f"{path}: is a binary file of Praat. Save it as a text file (Save as text file...).")
    elif first[0] in "{[":
        yield from _json(text, path)
    elif first.split()[0] in RTTM or first.startswith(";;"):
        yield from _rttm(text, path)
    elif LABELS.fullmatch(first) or BOUNDS.fullmatch(first):
        yield from _labels(text, path)
    elif first[0] == "<":
        raise DataError(f"{path}: is XML or HTML; expected {FORMATS}.")
    else:
        yield from read_table(text, path, FORMATS)


def _labels(text: str, path: Path) -> Iterator[Event]:
    """Audacity labels; a point is an event of length 0."""
    last = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if bounds := BOUNDS.fullmatch(line.strip()):
            low, high = (_bound(part) for part in bounds.groups())
            if last is None:
                raise DataError(f"{path}: line {number} has frequencies, but no label stands before it.")
            yield last._replace(low=low, high=high)
            last = None
            continue
        if last is not None:
            yield last
        label = LABELS.fullmatch(line.strip())
        if not label:
            raise DataError(f"{path}: line {number} is {line.strip()[:60]!r}; expected a start, an end and a label.")
        last = Event(_number(label[1]), _number(label[2]), (label[3] or "").strip())
    if last is not None:
        yield last


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _bound(text: str) -> float | None:
    return None if _number(text) < 0 else _number(text)


def _rttm(text: str, path: Path) -> Iterator[Event]:
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith(";;") or fields[0] in ("SPKR-INFO", "NOSCORE", "NO_RT_METADATA"):
            continue
        try:
            _, uri, _, onset, duration, _, _, name, *_ = fields
            start, length = float(onset), float(duration)
        except ValueError:
            raise DataError(
                f"{path}: line {number} is {line[:60]!r}; expected SPEAKER, a recording, a channel, onset and "
                "duration in seconds, <NA>, <NA> and a label."
            ) from None
        yield Event(start, start + length, name, source=uri)


def _json(text: str, path: Path) -> Iterator[Event]:
    """JAMS, JSON lines, or a list of records."""
    try:
        content = json.loads(text)
    except ValueError:
        content = [_line(line, number, path) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    except RecursionError:
        raise DataError(f"{path}: is not JSON that can be read.") from None
    if isinstance(content, dict) and "annotations" in content:
        yield from _jams(content["annotations"], path)
        return
    records = content if isinstance(content, list) else [content]
    if not all(isinstance(record, dict) for record in records):
        raise DataError(f"{path}: holds no records; expected JAMS, or JSON lines with start_s, end_s and label.")
    yield from read_table(records, path, FORMATS)


def _line(line: str, number: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{path}: line {number} is not JSON: {line[:60]!r}.") from None


def _jams(annotations: Any, path: Path) -> Iterator[Event]:
    """Events of a JAMS file; scaper's background, which lasts all the time, is none."""
    try:
        for annotation in annotations:
            for row in _jams_rows(annotation["data"]):
                value = row["value"]
                told = value if isinstance(value, dict) else {"label": value}
                if told.get("role") == "background" or not isinstance(told.get("label"), str):
                    continue
                start = float(row["time"])
                yield Event(start, start + float(row["duration"]), told["label"], tier=str(annotation.get("namespace", "")))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise DataError(f"{path}: cannot be read as JAMS; expected time, duration and value of annotations.") from None


def _jams_rows(data: Any) -> list[dict[str, Any]]:
    """The rows of an annotation, which older files hold as columns."""
    if isinstance(data, dict):
        return [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]
    return list(data)


def _checked(event: Event, path: Path) -> Event:
    """The event, or an error that says what is wrong with it."""
    named = f"{path}: the event {event.label!r} at {event.start:g} s"
    times = (event.start, event.end, *(bound for bound in (event.low, event.high) if bound is not None))
    if not all(map(math.isfinite, times)):
        raise DataError(f"{named} has a time or frequency that is not a number.")
    if event.start < 0:
        raise DataError(f"{named} begins before the recording; expected times from 0 on.")
    if event.end < event.start:
        raise DataError(f"{named} ends at {event.end:g} s, before it begins.")
    if event.low is not None and event.high is not None and event.high < event.low:
        raise DataError(f"{named} has frequencies from {event.low:g} to {event.high:g} Hz; expected the lower one first.")
    return event
