"""Segments as text files that other programs read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from ._events import one_line, one_word
from ._finding import Segment
from ._textgrid import textgrid

Texts = tuple[str, ...]


class Listed(NamedTuple):
    """Segments of a recording, without the rest unless a table has it.

    Parameters
    ----------
    segments : list of Segment
    seconds : float
        Length of the recording.
    highest : float
        Half its sample rate, in Hz.
    """

    segments: list[Segment]
    seconds: float
    highest: float

    @property
    def source(self) -> str:
        """Of the recording."""
        return self.segments[-1].source

    @property
    def labelled(self) -> list[Segment]:
        """All but the rest."""
        return [segment for segment in self.segments if segment.kind != "rest"]


def number(value: float | None) -> str:
    """Seconds, Hz or a share with up to nine digits after the point, and one at least: some readers want no whole numbers."""
    if value is None:
        return ""
    whole, _, digits = f"{value:.9f}".partition(".")
    return f"{whole}.{digits.rstrip('0') or '0'}"


def label_of(segment: Segment) -> str:
    """What label tracks say of a segment."""
    return f"against {segment.label}" if segment.kind == "against" else segment.label


def csv_table(recordings: Sequence[Listed]) -> str:
    """The table ``segments.csv``: every segment and the rest; sums as exact as the computer has them."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Segment._fields)
    for segment in _all(recordings):
        times = {key: number(getattr(segment, key)) for key in ("start_s", "end_s", "low_hz", "high_hz")}
        table.writerow(segment._replace(**times))  # type: ignore[arg-type]
    return text.getvalue()


def json_lines(recordings: Sequence[Listed]) -> str:
    """The same, one JSON object a line."""
    return "".join(json.dumps(segment._asdict(), ensure_ascii=False, allow_nan=False) + "\n" for segment in _all(recordings))


def _all(recordings: Sequence[Listed]) -> list[Segment]:
    return [segment for recording in recordings for segment in recording.segments]


def audacity(recordings: Sequence[Listed]) -> str:
    """Audacity's labels: start, end, text; where there are frequencies, a line with the lowest and highest below it."""
    lines = []
    for segment in recordings[0].labelled:
        lines.append(f"{number(segment.start_s)}\t{number(segment.end_s)}\t{one_line(label_of(segment))}\n")
        if segment.low_hz is not None:
            lines.append(f"\\\t{number(segment.low_hz)}\t{number(segment.high_hz)}\n")
    return "".join(lines)


RAVEN = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "File Offset (s)",
    "Label",
    "Score",
    "Relevance",
    "Share",
    "Kind",
)


def raven(recordings: Sequence[Listed]) -> str:
    """A selection table of Raven; of several recordings the times count on from file to file, as Raven opens them."""
    seconds = {recording.source: recording.seconds for recording in recordings}
    begins = dict(zip(seconds, [0.0, *accumulate(seconds.values())], strict=False))
    rows: list[Texts] = [RAVEN]
    for recording in recordings:
        begin = begins[recording.source]
        for segment in recording.labelled:
            low, high = (0.0, recording.highest) if segment.low_hz is None else (segment.low_hz, segment.high_hz)
            rows.append(
                (
                    str(len(rows)),
                    "Spectrogram 1",
                    str(segment.channel),
                    *map(number, (begin + segment.start_s, begin + segment.end_s, low, high)),
                    one_line(segment.source),
                    number(segment.start_s),
                    one_line(label_of(segment)),
                    number(segment.score),
                    repr(segment.relevance),
                    number(segment.share),
                    segment.kind,
                )
            )
    return "".join("\t".join(row) + "\n" for row in rows)


def rttm(recordings: Sequence[Listed]) -> str:
    """NIST's rich transcription: one line a segment, with _ for blanks within a field."""
    return "".join(
        f"SPEAKER {one_word(Path(segment.source).stem)} {segment.channel} {number(segment.start_s)} "
        f"{number(segment.end_s - segment.start_s)} <NA> <NA> {one_word(label_of(segment))} <NA> <NA>\n"
        for recording in recordings
        for segment in recording.labelled
    )


def praat(recordings: Sequence[Listed]) -> str:
    """A TextGrid of Praat: a tier for each label; boxes that overlap in time go into further tiers."""
    (recording,) = recordings
    end = max([recording.seconds, *(segment.end_s for segment in recording.labelled)])
    tiers: dict[str, list[tuple[str, str, str]]] = {}
    ends: dict[str, float] = {}
    for segment in sorted(recording.labelled, key=lambda one: one.start_s):
        label = one_line(label_of(segment))
        lanes = [label, *(f"{label} ({number})" for number in range(2, len(recording.labelled) + 1))]
        lane = next(name for name in lanes if ends.get(name, 0.0) <= segment.start_s)
        ends[lane] = segment.end_s
        tiers.setdefault(lane, []).append((number(segment.start_s), number(segment.end_s), label))
    return textgrid(list(tiers.items()) or [("segments", [])], number(end))


class Format(NamedTuple):
    """A kind of file: its name, what writes it, and whether it can hold several recordings."""

    file: str
    write: Callable[[Sequence[Listed]], str]
    several: bool


FORMATS: dict[str, Format] = {
    "csv": Format("segments.csv", csv_table, True),
    "jsonl": Format("segments.jsonl", json_lines, True),
    "audacity": Format("segments-audacity.txt", audacity, False),
    "raven": Format("segments-raven.txt", raven, True),
    "rttm": Format("segments.rttm", rttm, True),
    "textgrid": Format("segments.TextGrid", praat, False),
}


def of_one_recording(listed: list[Listed]) -> list[Listed]:
    """All segments as those of one recording, if they are: windows of it, or several explanations."""
    if len({recording.source for recording in listed}) != 1:
        return listed
    segments = sorted((segment for recording in listed for segment in recording.segments), key=lambda one: one.start_s)
    return [Listed(segments, max(recording.seconds for recording in listed), listed[0].highest)]


def texts(recordings: Sequence[Listed], formats: Sequence[str]) -> dict[str, Any]:
    """The content of each file, by its name; what holds one recording alone is left out for several."""
    chosen = [FORMATS[name] for name in formats if name in FORMATS and (FORMATS[name].several or len(recordings) == 1)]
    return {kind.file: kind.write(recordings) for kind in chosen}
