"""What is known of a long recording: the scores of its windows, and explanations of some of them, added where they overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from ..errors import DataError
from ..types import FloatArray, IntArray
from .channels import is_apart
from .explanation import Explanation

Weights = Literal["mean", "sum"]
"""What windows weigh in the score of the whole: 1 / their number each, or 1 each."""

Chooser = Callable[[Sequence["Scored"]], list[int]]
"""From the scores of all windows to the numbers of those that are explained."""


class Scored(NamedTuple):
    """What the model says of a window.

    Parameters
    ----------
    window : int
        Its number, from 0.
    start, samples : int
        Where it begins in the recording and how long it is, at the model's rate.
    start_s, end_s : float
        The same in seconds.
    label : str
        What is scored: the class that was asked for, or the predicted one, or the name of a score.
    score : float
        The number that is explained: the logit of this class, or the score.
    probability : float or None
        Of this class; None of a score and of a contrast, which have none.
    predicted : str
        The class with the largest logit; "" where the outputs have no probabilities.
    """

    window: int
    start: int
    samples: int
    start_s: float
    end_s: float
    label: str
    score: float
    probability: float | None
    predicted: str

    @property
    def strength(self) -> str:
        """The probability in percent, or the score where there is none, as people read it."""
        return f"score {self.score:.4g}" if self.probability is None else f"{self.probability:.0%}"


class Piece(NamedTuple):
    """A stretch of relevance of a long recording.

    Parameters
    ----------
    start : int
        Its first sample in the recording, at the model's rate.
    relevance : ndarray of float64, shape (samples,), or (channels, samples) of several channels that are read apart
        Sum of the weighted relevance of the windows that cover each sample.
    coverage : ndarray of int, shape (samples,)
        How many explained windows cover each.
    """

    start: int
    relevance: FloatArray
    coverage: Any


@dataclass(frozen=True, eq=False)
class LongExplanation:
    """A long recording: the scores of all its windows, and explanations of some of them.

    Parameters
    ----------
    source : str
    sample_rate : int
        Of the model, in Hz.
    samples : int
        Length of the recording at this rate.
    window, hop : int
        In samples.
    scores : sequence of Scored
        Of all windows.
    explanations : sequence of Explanation
        Of those that were chosen, in order of time; read from files where there are many.
    weights : ndarray of float64, shape (explanations,)
        What each weighs in the score of the whole.
    outline : ndarray, shape (pieces, 2)
        Lowest and highest sample of equal pieces of the sound.
    outline_step : float
        Samples of a piece at the model's rate, which may be no whole number where windows are resampled one by one.
    notes : tuple of str
    """

    source: str
    sample_rate: int
    samples: int
    window: int
    hop: int
    scores: Sequence[Scored]
    explanations: Sequence[Explanation]
    weights: FloatArray
    outline: FloatArray = field(repr=False)
    outline_step: float = 1
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Length of the recording in seconds."""
        return self.samples / self.sample_rate

    @property
    def score(self) -> float:
        """The score of the whole, sum_w a_w f_w over the explained windows: f is a window's score, a its weight."""
        return weighted(self.weights, (one.explained_score for one in self.explanations))

    def overlap_add(self) -> Iterator[Piece]:
        """Relevance of the recording, R(t) = sum_w a_w R_w(t), stretch by stretch where windows were explained.

        It is not divided by the coverage: the sum of the relevance is sum_w a_w sum R_w, and for an explainer whose relevance
        sums to what is asked it is the `score`. Relevance that a window has on zeros around a short recording is left out.
        """
        return overlap_added(self.explanations, self.weights)


def weighted(weights: Iterable[float], scores: Iterable[float]) -> float:
    """The score of a whole recording, sum_w a_w f_w; see `LongExplanation.score`."""
    return math.fsum(weight * score for weight, score in zip(weights, scores, strict=True))


def overlap_added(explanations: Iterable[Explanation], weights: Iterable[float]) -> Iterator[Piece]:
    """Weighted relevance of windows in order of their start, added where they overlap; see `LongExplanation.overlap_add`."""
    start, coverage = 0, np.zeros(0, np.int64)
    relevance: FloatArray | None = None
    for explanation, weight in zip(explanations, weights, strict=True):
        offset, begin, heard = explanation.placed
        # Of a window that is heard in part, the part begins later than the window, and may begin later than that of the next.
        since = explanation.provenance.get("window", {}).get("start", begin)
        own = relevance_in_time(explanation)
        relevance = own[..., :0] if relevance is None else relevance
        done = min(since - start, len(coverage))
        yield from _covered(start, relevance[..., :done], coverage[:done])
        start, relevance, coverage = since, relevance[..., done:], coverage[done:]
        first = begin - since
        more = np.zeros((*own.shape[:-1], max(0, first + heard - len(coverage))))
        relevance, coverage = np.concatenate([relevance, more], axis=-1), np.pad(coverage, (0, more.shape[-1]))
        relevance[..., first : first + heard] += weight * own[..., offset : offset + heard]
        coverage[first : first + heard] += 1
    if relevance is not None:
        yield from _covered(start, relevance, coverage)


def _covered(start: int, relevance: FloatArray, coverage: IntArray) -> Iterator[Piece]:
    """The stretches that some window covers."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], coverage > 0, [False]]).astype(np.int8))).tolist()
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield Piece(start + first, relevance[..., first:last], coverage[first:last])


def relevance_in_time(explanation: Explanation) -> FloatArray:
    """Relevance of each sample of the model's window, float64: (samples,), or (channels, samples) where channels are apart."""
    on_samples = explanation.relevance.shape[1:] == (explanation.clip.samples,)
    view = explanation if on_samples else explanation.view("time")
    relevance = np.asarray(view.relevance, np.float64)
    if explanation.channels and is_apart(view):
        return relevance
    total: FloatArray = relevance.sum(0)
    return total


def parse_choice(choice: str, probable: bool = True) -> Chooser:
    """A function that chooses the numbers of windows, in order; see ``choose`` of `explain_windows`.

    Parameters
    ----------
    choice : str
    probable : bool
        Whether windows have probabilities, which a threshold then is.

    Raises
    ------
    DataError
        If it is no such choice.
    """
    kind, _, value = choice.strip().partition(":")
    try:
        if choice.strip() == "all":
            return lambda scores: [one.window for one in scores]
        if kind == "top" and int(value) > 0:
            count = int(value)
            return lambda scores: sorted(one.window for one in sorted(scores, key=strongest_first)[:count])
        if kind == "threshold" and (0 <= float(value) <= 1 or (not probable and math.isfinite(float(value)))):
            least = float(value)
            return lambda scores: [one.window for one in scores if _strength(one) >= least]
        if not value:
            spans = [_span(part) for part in choice.split(",")]
            return lambda scores: _at(scores, spans)
    except ValueError:
        pass
    raise DataError(
        f"The choice of windows is {choice!r}; expected top:5, threshold:0.5 (a probability, or a score where there is none), "
        "all, or seconds and spans of the recording, as in 12.5,80-95."
    )


def strongest_first(one: Scored) -> tuple[float, float]:
    """What sorts windows: the most probable first; of several that are certain, and without probabilities, by their scores."""
    return -_strength(one), -one.score


def _strength(one: Scored) -> float:
    """The probability, or the score where there is none."""
    return one.score if one.probability is None else one.probability


def _span(text: str) -> tuple[float, float]:
    first, dash, last = text.strip().partition("-")
    span = float(first), float(last if dash else first)
    if not (0 <= span[0] <= span[1] < math.inf):
        raise ValueError
    return span


def _at(scores: Sequence[Scored], spans: Sequence[tuple[float, float]]) -> list[int]:
    """Windows that hold a time, or some of a span."""
    chosen: set[int] = set()
    for low, high in spans:
        windows = [one.window for one in scores if one.start_s <= high and (low < one.end_s or low == one.start_s)]
        if not windows:
            raise DataError(f"No window lies at {low:g} s: the windows end at {scores[-1].end_s:g} s.")
        chosen.update(windows)
    return sorted(chosen)
