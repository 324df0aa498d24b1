"""Explanations of what is asked: recordings of one length together, and those of one question."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..doctor.warning import warn_about
from ..errors import ModelError, XaudioWarning
from ..model.model import Model
from ..model.questions import FRAMED, Question, is_of_recording, settled
from ..model.running import evaluation_mode
from ..sound.rules import PlacedClips, Rules
from ..types import Clip, Explainer
from .explanation import Explanation
from .prepared import explain_prepared, provenance_of
from .table import Explanations


def check_threshold(threshold: float | None, target: Any, contrast: Any, model: Model) -> None:
    """Raise `ModelError` if a threshold is asked of a model that gives no labels, or together with something else."""
    if threshold is None:
        return
    if model.kind != "labels" or not (target is None and contrast is None) or not 0 <= threshold < 1:
        raise ModelError(
            f"A threshold of {threshold} was given to a model of the kind {model.kind!r}: it is a probability of labels, 0 to 1, "
            "and takes the place of a target."
        )


class Asking(NamedTuple):
    """Recordings of one length of which the same is asked.

    Parameters
    ----------
    model : Model
        Whose outputs are what is asked.
    rows : ndarray of int
        Which of the recordings they are.
    placed : PlacedClips
    targets : list of list of int, or None
        For each output that is asked for, its index for each recording; None for what the model says is first.
    """

    model: Model
    rows: Any
    placed: PlacedClips
    targets: list[list[int]] | None


class Asker:
    """Explains recordings by one explainer.

    Parameters
    ----------
    model : Model
    explainer : callable
    spec : dict
        Of the explainer; see `as_explainer`.
    clips : sequence of Clip
    rules : Rules
    batch_size : int
    views : sequence of str or None
    """

    def __init__(
        self,
        model: Model,
        explainer: Explainer,
        spec: dict[str, Any],
        clips: Sequence[Clip],
        rules: Rules,
        batch_size: int,
        views: Sequence[str | None],
    ) -> None:
        self.model, self.explainer, self.spec, self.clips = model, explainer, spec, clips
        self.rules, self.batch_size, self.views = rules, batch_size, views
        self.groups = model.hear_each(clips, rules)
        self._findings: list[dict[str, str]] | None = None

    def __call__(self, questions: Sequence[Question] | None) -> Explanations:
        """Explanations: for each view of each recording, in their order, of each output that is asked for."""
        return self._in_order(self._askings(questions))

    def labels_above(self, threshold: float) -> Explanations:
        """Explanations of all labels whose probability is above a threshold, of each recording the likeliest first."""
        labels = self._above(threshold)
        if not any(labels):
            warnings.warn(f"No label is above {threshold:g} in any of the recordings.", XaudioWarning, stacklevel=5)
        return self._in_order(self._by_rank(labels))

    def _in_order(self, askings: Iterator[Asking]) -> Explanations:
        """What is explained by some askings: for each view of each recording, in their order, in the order of asking."""
        explanations: dict[int, list[list[Explanation]]] = {}
        for asking in askings:
            for row, columns in zip(asking.rows, self._explained(asking), strict=True):
                explanations.setdefault(int(row), []).extend(columns)
        views = range(len(self.views))
        flat = [(column[view], row) for view in views for row in sorted(explanations) for column in explanations[row]]
        return Explanations((item for item, _ in flat), (row for _, row in flat))

    def _by_rank(self, labels: list[list[int]]) -> Iterator[Asking]:
        """The first label of each recording that has one, then the second."""
        for rows, placed in self.groups:
            model = self.model.for_samples(placed.samples)
            for rank in range(max(len(labels[row]) for row in rows)):
                chosen = np.flatnonzero([len(labels[row]) > rank for row in rows])
                targets = [[labels[row][rank] for row in rows[chosen]]]
                yield Asking(model, rows[chosen], placed.only(chosen), targets)

    def _above(self, threshold: float) -> list[list[int]]:
        """For each recording the labels whose probability is above a threshold, the likeliest first."""
        labels: dict[int, list[int]] = {}
        for rows, placed in self.groups:
            for start in range(0, len(rows), self.batch_size):
                chosen = slice(start, start + self.batch_size)
                waveforms = placed.batch(chosen)
                model = self.model.fitting(waveforms)
                with torch.no_grad(), evaluation_mode(model.network):
                    shares = model.probabilities(model.logits(model.features(waveforms)).double()).cpu().numpy()
                for row, share in zip(rows[chosen], shares, strict=True):
                    labels[int(row)] = [int(index) for index in np.argsort(-share, kind="stable") if share[index] > threshold]
        return [labels[row] for row in sorted(labels)]

    def _askings(self, questions: Sequence[Question] | None) -> Iterator[Asking]:
        for rows, placed in self.groups:
            model = self.model.fitting(placed.batch(slice(0, 1)))
            if questions is None:
                yield Asking(model, rows, placed, None)
                continue
            asked = [questions[row] for row in rows]
            if all(isinstance(item, int) for item in asked):
                yield Asking(model, rows, placed, [asked])  # type: ignore[list-item]
                continue
            begins = self._begins(rows, placed) if model.kind in FRAMED else [0] * len(rows)
            for chosen in _together(asked, begins):
                part = placed.only(chosen)
                first = asked[chosen[0]]
                if isinstance(first, int):
                    yield Asking(model, rows[chosen], part, [[first] * len(chosen)])
                    continue
                shift = begins[chosen[0]] / model.representation.sample_rate
                score, frames = settled(first, model, part.batch(slice(0, 1)), shift)
                targets = [[column] * len(chosen) for column in range(len(score.names))]
                yield Asking(model.asked(score, frames), rows[chosen], part, targets)

    def _begins(self, rows: Any, placed: PlacedClips) -> list[int]:
        """The sample of each recording at which its window begins."""
        places = (placed.position(place) for place in range(len(rows)))
        return [self.clips[row].whole[0] + place.start - place.offset for row, place in zip(rows, places, strict=True)]

    def _explained(self, asking: Asking) -> list[list[list[Explanation]]]:
        """For each recording, for each output, its explanation in each view."""
        clips = [self.clips[row] for row in asking.rows]
        provenance = provenance_of(asking.model, self.spec, self.rules)
        if findings := self._warned(asking.model):
            provenance["findings"] = findings
        count, columns = len(clips), []
        for targets in asking.targets or [None]:  # type: ignore[list-item]
            flat = explain_prepared(
                asking.model,
                self.explainer,
                clips,
                asking.placed,
                targets,
                provenance,
                batch_size=self.batch_size,
                views=self.views,
            )
            columns.append([list(flat[row::count]) for row in range(count)])
        return [[column[row] for column in columns] for row in range(count)]

    def _warned(self, model: Model) -> list[dict[str, str]]:
        """What the doctor says of the first model that is asked: the others differ from it in what they are asked."""
        if self._findings is None:
            self._findings = warn_about(model, self.spec["name"], self.explainer, stacklevel=9)
        return self._findings


def _together(asked: Sequence[Question], begins: Sequence[int]) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """Which recordings can be asked together: the same question, and windows that begin at the same time of theirs."""
    keys: dict[Any, list[int]] = {}
    for row, (question, begin) in enumerate(zip(asked, begins, strict=True)):
        own = row if not isinstance(question, int) and is_of_recording(question) else -1
        keys.setdefault((id(question), begin, own), []).append(row)
    for rows in keys.values():
        yield np.array(rows, dtype=np.int64)


def contrasted(explanations: Explanations, others: Explanations) -> Explanations:
    """Each explanation less another.

    Raises
    ------
    ModelError
        If there are not as many.
    """
    if len(explanations) != len(others):
        raise ModelError(
            f"{len(explanations)} explanations cannot be contrasted with {len(others)}: give targets of as many parts."
        )
    differences = (one.contrast(other) for one, other in zip(explanations, others, strict=True))
    return Explanations(differences, explanations.rows)
