"""Segments of relevance: stretches of time, or boxes of time and frequency, that hold most of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.ndimage import find_objects, label as connected, uniform_filter1d

from xaudio.plugin import Axis, Excerpt, Explanation, FloatArray, IntArray, OutputError

from .parts import partition

Shape = Literal["auto", "time", "boxes"]


class Segment(NamedTuple):
    """A row of the table: a segment of relevance, a part, or the rest.

    Parameters
    ----------
    source : str
    channel : int
        Of the recording, from 1; of all that are mixed down, or explained together, the first.
    start_s, end_s : float
        In seconds of the recording.
    low_hz, high_hz : float or None
    label : str
        The explained class; of a part its own.
    score : float
        The model's probability of the explained class; what it says where that is no probability.
    relevance : float
        Its sum, of both signs.
    share : float
        Of the magnitude of all relevance, 0 to 1.
    kind : str
        "for" or "against" the class, "part", or "rest": all that is in no segment.
    window : int or None
        Number of the window of a long recording, from 0.
    """

    source: str
    channel: int
    start_s: float
    end_s: float
    low_hz: float | None
    high_hz: float | None
    label: str
    score: float
    relevance: float
    share: float
    kind: str
    window: int | None


@dataclass(frozen=True, eq=False)
class Cells:
    """Relevance on cells of which the place in the recording is known.

    Parameters
    ----------
    relevance : ndarray, shape ``(*axes)``
        Float64, summed over the channels, the time last.
    axes : tuple of Axis
    times : ndarray of int, shape (frames + 1,)
        Edges in samples of the recording, cut to what is heard of it; without a time axis, start and end of it.
    bands : ndarray, shape (frequencies + 1,) or None
        Edges in Hz.
    step : float
        From one cell to the next, in seconds; 0 without a time axis.
    """

    relevance: FloatArray
    axes: tuple[Axis, ...]
    times: IntArray
    bands: FloatArray | None
    step: float

    @property
    def along(self) -> int | None:
        """Which axis is time."""
        return self.relevance.ndim - 1 if self.axes[-1].name == "time" else None


@dataclass(frozen=True)
class Finder:
    """What a segment is; see `xaudio_segments.segments` for the options."""

    shape: Shape
    smooth_ms: float
    smooth_hz: float
    mass: float
    shortest_ms: float
    gap_ms: float
    most: int

    def segments(self, explanation: Explanation) -> list[Segment]:
        """Segments for and against the class in order of time, and at the end the rest; the relevance of all sums to the whole.

        Raises
        ------
        OutputError
            If the relevance is not finite, or lies on other axes than time and frequency.
        """
        cells = cells_of(seen_as(explanation, self.shape))
        signs, rows = self._signs(cells), []
        for sign, kind in ((1, "for"), (-1, "against")):
            numbers, count = connected(signs == sign, structure=np.ones((3,) * signs.ndim))
            sums, magnitudes = _sums(cells.relevance, numbers, count)
            for number, box in enumerate(find_objects(numbers), 1):
                first, last = _span(cells, box)
                if last - first >= self.shortest_ms / 1000 * explanation.clip.sample_rate:
                    rows.append((first, last, *_bounds(cells, box), kind, sums[number], magnitudes[number]))
        largest = sorted(rows, key=lambda row: -row[-1])[: self.most]
        return _table(explanation, cells.relevance, sorted(largest, key=lambda row: row[:2]))

    def _signs(self, cells: Cells) -> IntArray:
        """1 and -1 where the smoothed relevance of the cells is large, with short gaps closed, 0 elsewhere."""
        smooth, along = cells.relevance, cells.along
        if along is not None:
            smooth = _averaged(smooth, self.smooth_ms / 1000, cells.step, along)
        if cells.bands is not None:
            smooth = _averaged(smooth, self.smooth_hz, float(np.median(np.diff(cells.bands))), 0)
        signs = np.where(np.abs(smooth) >= _least(np.abs(smooth), self.mass), np.sign(smooth), 0).astype(np.int8)
        if along is None:
            return signs
        signs[..., np.diff(cells.times) == 0] = 0  # zeros around the recording
        return _closed(signs, round(self.gap_ms / 1000 / cells.step))


def part_segments(explanation: Explanation, parts: str) -> list[Segment]:
    """A segment for each part of the recording that events name, and the rest.

    Raises
    ------
    DataError
        As `partition`.
    OutputError
        If the explanation knows no time.
    """
    cells = cells_of(explanation)
    if cells.along is None:
        raise OutputError(f"{explanation.clip.name}: its relevance lies in frequency alone, so events in time hold none of it.")
    clip, (offset, start, _) = explanation.clip, explanation.placed
    excerpt = Excerpt(clip.source, duration_of(explanation), explanation.placed)
    cut = partition(parts, excerpt, clip.sample_rate, len(clip.waveform))
    stretches = np.broadcast_to(cut.stretches(_centres(explanation, cells.axes[-1])), cells.relevance.shape)
    sums, magnitudes = _sums(cells.relevance, stretches, len(cut.owners) - 1)
    rows, labels = [], []
    for number in np.flatnonzero(cut.owners):
        first, last = (cut.edges[number : number + 2] - offset + start).tolist()
        rows.append((first, last, None, None, "part", sums[number], magnitudes[number]))
        labels.append(cut.labels[cut.owners[number]])
    return _table(explanation, cells.relevance, rows, labels)


def seen_as(explanation: Explanation, shape: Shape) -> Explanation:
    """The explanation where segments of a shape are looked for."""
    if shape == "boxes" and explanation.domain != "time-frequency":
        return explanation.view("time-frequency")
    return explanation if shape != "time" or explanation.domain != "time-frequency" else _in_time(explanation)


def _in_time(explanation: Explanation) -> Explanation:
    """The explanation with its relevance summed over the frequencies; its features are no longer asked for."""
    frequency = next(place for place, axis in enumerate(explanation.axes) if axis.name == "frequency")
    axes = tuple(axis for axis in explanation.axes if axis.name == "time")
    relevance = explanation.relevance.astype(np.float64).sum(1 + frequency)
    return replace(explanation, relevance=relevance, features=np.zeros_like(relevance), axes=axes)


def cells_of(explanation: Explanation) -> Cells:
    """The relevance of an explanation with the places of its cells."""
    axes, name = explanation.axes, explanation.clip.name
    if sorted(axis.name for axis in axes) not in (["time"], ["frequency"], ["frequency", "time"]):
        raise OutputError(
            f"{name}: its relevance has the axes {', '.join(axis.name for axis in axes)}; segments need time, frequency or both."
        )
    relevance = explanation.relevance.astype(np.float64).sum(0)
    if not np.isfinite(relevance).all():
        raise OutputError(f"The relevance of {name} holds NaN or infinity, so it has no segments; check the explainer.")
    if len(axes) == 2 and axes[0].name == "time":
        axes, relevance = axes[::-1], relevance.T
    offset, start, heard = explanation.placed
    time = next((axis for axis in axes if axis.name == "time"), None)
    edges = np.array([offset, offset + heard]) if time is None else _time_edges(explanation, time)
    frequency = next((axis for axis in axes if axis.name == "frequency"), None)
    bands = None if frequency is None else np.clip(frequency.edges, 0, explanation.clip.sample_rate / 2)
    step = 0.0 if time is None else float(np.median(np.diff(edges))) / explanation.clip.sample_rate
    return Cells(relevance, axes, np.clip(edges, offset, offset + heard) - offset + start, bands, step)


def _on_samples(explanation: Explanation, time: Axis) -> bool:
    return len(time.centres) == len(explanation.clip.waveform)


def _time_edges(explanation: Explanation, time: Axis) -> IntArray:
    """Edges of the cells in samples of the waveform: a sample lasts until the next, other cells from halfway to halfway."""
    if _on_samples(explanation, time):
        return np.arange(len(time.centres) + 1)
    return np.rint(time.edges * explanation.clip.sample_rate).astype(np.int64)


def _centres(explanation: Explanation, time: Axis) -> FloatArray | IntArray:
    """Centres of the cells in samples of the waveform."""
    if _on_samples(explanation, time):
        return np.arange(len(time.centres))
    return time.centres * explanation.clip.sample_rate


def _averaged(values: FloatArray, width: float, step: float, axis: int) -> FloatArray:
    """A running mean over a width along an axis, both in its unit; beyond the ends is nothing."""
    cells = round(width / step) if step else 0
    return uniform_filter1d(values, cells, axis=axis, mode="constant") if cells > 1 else values


def _least(magnitude: FloatArray, mass: float) -> float:
    """The least magnitude of the cells that together hold a share of all, the largest cells first."""
    ordered = np.sort(magnitude[magnitude > 0])[::-1]
    if not ordered.size:
        return math.inf
    held = np.cumsum(ordered)
    return float(ordered[min(int(np.searchsorted(held, mass * held[-1])), len(ordered) - 1)])


def _closed(signs: IntArray, longest: int) -> IntArray:
    """Signs with gaps of at most some cells of time closed where both sides have the same sign."""
    if longest < 1 or not signs.any():
        return signs
    count = signs.shape[-1]
    place = np.broadcast_to(np.arange(count), signs.shape)
    before = np.maximum.accumulate(np.where(signs != 0, place, -1), axis=-1)
    after = np.minimum.accumulate(np.where(signs != 0, place, count)[..., ::-1], axis=-1)[..., ::-1]
    inside = (before >= 0) & (after < count)
    left = np.take_along_axis(signs, np.clip(before, 0, count - 1), -1)
    right = np.take_along_axis(signs, np.clip(after, 0, count - 1), -1)
    return np.where(inside & (left == right) & (after - before - 1 <= longest), left, signs)


def _sums(relevance: FloatArray, numbers: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Sum and magnitude (count + 1,) of the relevance of each number."""
    flat, places = relevance.ravel(), numbers.ravel()
    sums, magnitudes = (np.bincount(places, weights, count + 1).astype(np.float64) for weights in (flat, np.abs(flat)))
    return sums, magnitudes


def _span(cells: Cells, box: tuple[slice, ...]) -> tuple[int, int]:
    if cells.along is None:
        return int(cells.times[0]), int(cells.times[-1])
    return int(cells.times[box[-1].start]), int(cells.times[box[-1].stop])


def _bounds(cells: Cells, box: tuple[slice, ...]) -> tuple[float | None, float | None]:
    if cells.bands is None:
        return None, None
    return float(cells.bands[box[0].start]), float(cells.bands[box[0].stop])


def _table(explanation: Explanation, relevance: FloatArray, rows: Sequence[Any], labels: Sequence[str] = ()) -> list[Segment]:
    """Rows (start, end, low, high, kind, sum, magnitude) as segments, and the rest."""
    clip, rate = explanation.clip, explanation.clip.sample_rate
    window = explanation.provenance.get("window", {}).get("number")
    shares, total = explanation.probabilities, float(np.abs(relevance).sum())
    score = explanation.score if shares is None else float(shares[explanation.target])
    left = float(relevance.sum()) - math.fsum(row[5] for row in rows)
    left_share = max(0.0, 1 - math.fsum(row[6] for row in rows) / total) if total else 0.0
    channel = 1 + (clip.channel or 0)
    _, start, heard = explanation.placed

    def segment(row: Any, label: str) -> Segment:
        first, last, low, high, kind, held, magnitude = row
        share = float(magnitude) / total if total else 0.0
        return Segment(clip.source, channel, first / rate, last / rate, low, high, label, score, float(held), share, kind, window)

    question = explanation.question
    named = labels or [question] * len(rows)
    segments = [segment(row, label) for row, label in zip(rows, named, strict=True)]
    return [*segments, segment((start, start + heard, None, None, "rest", left, left_share * total), question)]


def duration_of(explanation: Explanation) -> float:
    """Length of the recording in seconds: that of its file where it is there, else up to where it was heard."""
    import soundfile

    heard = explanation.recording_span[1]
    told = explanation.provenance.get("recording_seconds")
    if told is not None:
        return float(told)
    try:
        info = soundfile.info(explanation.clip.source)
    except (soundfile.LibsndfileError, OSError, ValueError, TypeError):
        return heard
    return max(heard, float(info.frames / info.samplerate))
