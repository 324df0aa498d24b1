"""Relevance against the truth, many recordings at once: relevance (batch, cells), truth (batch, cells) of bool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from xaudio.plugin import (
    Better,
    DataError,
    Explanation,
    FloatArray,
    Model,
    check_explanations,
    truth_domain,
    truth_mask,
)

from ._options import Cells

BATCH = 64
"""Explanations compared at a time: 26 MB of float64 for spectrograms of 227 x 227 cells."""

BoolArray = NDArray[np.bool_]
Measure = Callable[[FloatArray, BoolArray], FloatArray]
"""Relevance and truth, both (batch, cells), to scores (batch,)."""


@dataclass(frozen=True)
class Score:
    """A metric of relevance against the truth.

    Parameters
    ----------
    name : str
    measure : callable
        Relevance (batch, cells) and truth (batch, cells) to scores (batch,).
    cells : Cells
        Which cells and which truth.
    """

    name: str
    measure: Measure
    cells: Cells

    @property
    def better(self) -> Mapping[str, Better]:
        """More relevance on the evidence is better; on decoys it may be what the model looks at."""
        return {self.name: "none" if self.cells.of_decoys else "higher"}

    @property
    def needs_truth(self) -> bool:
        """Whether the explained class must be that of the recording: where decoys are does not depend on it."""
        return not self.cells.of_decoys

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Scores, one per explanation.

        Raises
        ------
        DataError
            If a recording has no truth that says something here, or the explained class is not the recording's.
        ModelError
            If relevance is not finite, has not the shape of the features, or cannot be brought to the domain.
        """
        del model
        check_explanations(explanations)
        values = [self.measure(relevance, truth) for relevance, truth in _batches(explanations, self.cells)]
        return {self.name: np.concatenate(values)}


def mass(relevance: FloatArray, truth: BoolArray) -> FloatArray:
    """Sum of R in the truth / sum of R; of nothing, as if it were spread evenly."""
    total = relevance.sum(1)
    even = truth.mean(1)
    inside = np.where(truth, relevance, 0).sum(1)
    return np.asarray(np.divide(inside, total, out=even, where=total > 0))


def rank(relevance: FloatArray, truth: BoolArray) -> FloatArray:
    """Cells of the truth among the K with the largest R, divided by K."""
    return np.asarray(_among_largest(relevance, truth) / truth.sum(1))


def pointing(relevance: FloatArray, truth: BoolArray) -> FloatArray:
    """Share of the cells with the largest R that are in the truth."""
    largest = relevance == relevance.max(1, keepdims=True)
    return np.asarray((largest & truth).sum(1) / largest.sum(1))


def intersection_over_union(threshold: float | None) -> Measure:
    """The Jaccard index of the truth and of the K largest cells, or of those above a share of the largest."""

    def of_largest(relevance: FloatArray, truth: BoolArray) -> FloatArray:
        both = _among_largest(relevance, truth)
        return np.asarray(both / (2 * truth.sum(1) - both))

    def of_threshold(relevance: FloatArray, truth: BoolArray) -> FloatArray:
        # Of cells with no relevance for the class at all, none is more relevant than another.
        largest = np.maximum(relevance.max(1, keepdims=True), 0)
        relevant = np.where(largest > 0, relevance >= (threshold or 0) * largest, True)
        return np.asarray((relevant & truth).sum(1) / (relevant | truth).sum(1))

    return of_largest if threshold is None else of_threshold


def area(relevance: FloatArray, truth: BoolArray) -> FloatArray:
    """Area under the ROC curve, from the sum of the truth's ranks (Mann and Whitney), ties at their mean rank."""
    inside = truth.sum(1)
    outside = truth.shape[1] - inside
    ranks = np.where(truth, rankdata(relevance, axis=1), 0).sum(1)
    return np.asarray((ranks - inside * (inside + 1) / 2) / (inside * outside))


def _among_largest(relevance: FloatArray, truth: BoolArray) -> FloatArray:
    """Cells of the truth among the K with the largest R, (batch,), K being the truth's size; the mean where cells tie."""
    sizes = truth.sum(1)
    ordered = np.sort(relevance, axis=1)
    last = np.take_along_axis(ordered, (truth.shape[1] - sizes)[:, None], axis=1)
    above, tied = relevance > last, relevance == last
    places = (sizes - above.sum(1)) / tied.sum(1)
    return np.asarray((above & truth).sum(1) + places * (tied & truth).sum(1))


def _batches(explanations: Sequence[Explanation], cells: Cells) -> Iterator[tuple[FloatArray, BoolArray]]:
    """Relevance and truth (batch, cells)."""
    for start in range(0, len(explanations), BATCH):
        batch = [_seen(explanation, cells) for explanation in explanations[start : start + BATCH]]
        truth = np.stack([_truth(explanation, cells) for explanation in batch]).reshape(len(batch), -1)
        relevance = np.stack([explanation.relevance for explanation in batch]).reshape(len(batch), -1).astype(np.float64)
        yield _signed(relevance, cells), truth


def _seen(explanation: Explanation, cells: Cells) -> Explanation:
    """An explanation of the true class, in the domain to measure in."""
    if explanation.target != explanation.label and not cells.of_decoys:
        label = explanation.label
        truth = "unknown" if label is None else repr(explanation.classes[label])
        raise DataError(
            f"The explained class of {explanation.clip.source} is {explanation.classes[explanation.target]!r}, the true one is "
            f"{truth}, and the truth is where the evidence for the true one lies: explain that, or leave the recording out."
        )
    if cells.domain != "auto":
        return explanation if explanation.domain == cells.domain else explanation.view(cells.domain)
    here, there = explanation.domain, truth_domain(explanation, cells.truth or None)
    return explanation.view(there) if {here, there} == {"time", "frequency"} else explanation


def _truth(explanation: Explanation, cells: Cells) -> BoolArray:
    return truth_mask(explanation, cells.truth or None, margin_s=cells.margin_s, margin_hz=cells.margin_hz)


def _signed(relevance: FloatArray, cells: Cells) -> FloatArray:
    """The part of the relevance that is compared."""
    if cells.sign == "signed":
        return relevance
    return np.abs(relevance) if cells.sign == "absolute" else np.maximum(relevance, 0)
