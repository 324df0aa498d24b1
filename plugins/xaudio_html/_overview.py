"""The strip above the players of a long recording: all of its sound, the scores of its windows, and what was explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xaudio.plugin import Explanation, LongExplanation, by_channel, counted, create

WIDTH, LEFT = 1200, 44
"""Columns of the strip, and of the names of its rows before it."""

FINE = 4
"""How many times as finely the sound is drawn, since the strip can be made wider."""

SOUND, SCORES, EXPLAINED, FOR, AGAINST = (8, 84), (96, 156), (166, 174), (182, 196), (198, 212)
"""Where the rows lie, from above."""

STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
"""Seconds between the marks of the time axis."""


def overview(long: LongExplanation, links: Mapping[int, str]) -> dict[str, Any]:
    """What the template of the strip shows.

    Parameters
    ----------
    long : LongExplanation
    links : mapping of int to str
        Where a click on an explained window leads, by its number; "" leads nowhere.
    """
    columns = _Columns(long.duration)
    return {
        "shown": _what_it_shows(long),
        "width": WIDTH,
        "left": LEFT,
        "sound": _outline(long, columns),
        "scores": _scores(long, columns),
        "covered": _covered(long, columns),
        "segments": _segments(long, columns),
        "windows": _windows(long, columns, links),
        "marks": columns.marks(),
    }


class _Columns:
    """Seconds of a recording as columns of the strip."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(seconds, 1e-9)

    def at(self, seconds: float) -> float:
        return round(LEFT + WIDTH * seconds / self.seconds, 2)

    def span(self, start: float, end: float) -> dict[str, float]:
        """Left edge and width of a stretch; what is narrower than a column is as wide as one."""
        left = self.at(start)
        return {"x": left, "width": round(max(1.0, self.at(end) - left), 2)}

    def marks(self) -> list[tuple[float, str]]:
        step = next((step for step in STEPS if self.seconds / step <= 12), 86400.0)
        return [(self.at(place * step), clock(place * step)) for place in range(int(self.seconds / step + 1e-9) + 1)]


def clock(seconds: float) -> str:
    """A time as people write it: 7.5 s, 1:05 or 1:02:05; parts of a second where there are any."""
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    part = f"{seconds - whole:.3f}".rstrip("0").rstrip(".").removeprefix("0")
    return (f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}") + part


def _outline(long: LongExplanation, columns: _Columns) -> str:
    """The path around the sound: its highest samples from left to right, its lowest back."""
    pieces = long.outline
    edges = np.unique(np.linspace(0, len(pieces), min(FINE * WIDTH, len(pieces)) + 1).astype(int))
    low = np.minimum.reduceat(pieces[:, 0], edges[:-1])
    high = np.maximum.reduceat(pieces[:, 1], edges[:-1])
    scale = max(float(high.max()), -float(low.min()), 1e-9)
    top, bottom = SOUND
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    times = edges[:-1] * long.outline_step / long.sample_rate
    upper = [f"{columns.at(time)},{middle - half * value / scale:.1f}" for time, value in zip(times, high, strict=True)]
    lower = [f"{columns.at(time)},{middle - half * value / scale + 0.5:.1f}" for time, value in zip(times, low, strict=True)]
    return "M" + " L".join([*upper, *reversed(lower)]) + "Z"


def _scores(long: LongExplanation, columns: _Columns) -> str:
    """The path of the probability, or of the score: in each column the largest of its windows."""
    low, high = _limits(long)
    highest = np.zeros(WIDTH)
    for scored in long.scores:
        first = int(WIDTH * scored.start_s / columns.seconds)
        last = max(first + 1, int(np.ceil(WIDTH * scored.end_s / columns.seconds)))
        np.maximum(highest[first:last], (height_of(scored) - low) / (high - low), out=highest[first:last])
    top, bottom = SCORES
    heights = [f"L{LEFT + place},{bottom - (bottom - top) * value:.1f} h1" for place, value in enumerate(highest)]
    return f"M{LEFT},{bottom} {' '.join(heights)} V{bottom}Z"


def height_of(scored: Any) -> float:
    """What the strip shows of a window: its probability, or its score where it has none."""
    return float(scored.score if scored.probability is None else scored.probability)


def _limits(long: LongExplanation) -> tuple[float, float]:
    """What the strip shows at the bottom and at the top: 0 and 1, or the least and the largest score."""
    if not long.scores or long.scores[0].probability is not None:
        return 0.0, 1.0
    heights = [height_of(scored) for scored in long.scores]
    return min(heights), max(max(heights), min(heights) + 1e-9)


def _what_it_shows(long: LongExplanation) -> str:
    """What the strip's scores are."""
    if not long.scores or long.scores[0].probability is not None:
        return "The score is the probability of the class of each window"
    low, high = _limits(long)
    return f"The score is what is asked of each window, from {low:.4g} at the bottom to {high:.4g} at the top"


def _covered(long: LongExplanation, columns: _Columns) -> list[dict[str, Any]]:
    """Stretches that explained windows cover, and how many do."""
    stretches: list[dict[str, Any]] = []
    spans = [one.recording_span for one in long.explanations]
    edges = sorted({edge for span in spans for edge in span})
    for start, end in pairwise(edges):
        count = sum(low <= start and end <= high for low, high in spans)
        if count:
            stretches.append({**columns.span(start, end), "count": count, "opacity": round(1 - 0.6**count, 2)})
    return stretches


def _segments(long: LongExplanation, columns: _Columns) -> list[dict[str, Any]]:
    """Segments of relevance of the explained windows."""
    find = create("renderer", "segments").segments
    parts = [part for explanation in long.explanations for part in by_channel([explanation])]
    rows = [row for part in parts for row in find(part) if row.kind != "rest"]
    return [
        {
            **columns.span(row.start_s, row.end_s),
            "kind": "against" if row.relevance < 0 else "for",
            "told": f"{row.label}, {clock(row.start_s)} to {clock(row.end_s)}: {row.share:.0%} of the window's relevance",
        }
        for row in rows
    ]


def long_facts(long: LongExplanation, left: int) -> str:
    """What the page says of the recording and its windows.

    Parameters
    ----------
    long : LongExplanation
    left : int
        Explained windows that have no player on the page.
    """
    window, hop = (samples / long.sample_rate for samples in (long.window, long.hop))
    told = (
        f"{clock(long.duration)} at {long.sample_rate} Hz; {counted(len(long.scores), 'window')} of {window:g} s, "
        f"one every {hop:g} s; {len(long.explanations)} explained."
    )
    if left:
        words = ("has no player here", "it lies") if left == 1 else ("have no player here", "they lie")
        told += f" {left} of them {words[0]}, since the page would be too large; {words[1]} in the folder windows."
    return told


def _windows(long: LongExplanation, columns: _Columns, links: Mapping[int, str]) -> list[dict[str, Any]]:
    """Explained windows, to click on."""
    return [
        {
            **columns.span(scored.start_s, scored.end_s),
            "link": links.get(scored.window, ""),
            "time": f"{clock(scored.start_s)} to {clock(scored.end_s)}",
            "label": scored.label,
            "strength": scored.strength,
        }
        for scored in (long.scores[number] for number in numbers_of(long.explanations))
    ]


def numbers_of(explanations: Sequence[Explanation]) -> list[int]:
    """Which windows were explained."""
    return [int(one.provenance["window"]["number"]) for one in explanations]
