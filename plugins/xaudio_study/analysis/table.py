"""The answers to choices as columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xaudio.plugin import DataError

from ..records import Answer, Item, StudyData
from .results import Group

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Condition:
    """What is compared: a mode, and the explainer where there are several.

    Parameters
    ----------
    name : str
    mode : str
    explainer : str or None
    """

    name: str
    mode: str
    explainer: str | None


@dataclass(frozen=True, eq=False)
class Table:
    """One row per answer.

    Parameters
    ----------
    classes : sequence of str
    participants, recordings : sequence of str
        Those with answers, of which alone something can be said.
    conditions : sequence of Condition
    participant, recording, condition, predicted, answered, truth : ndarray of int, shape (answers,)
        Indices into these; ``truth`` is -1 where it is not a class or not known.
    right : ndarray of bool, shape (answers,)
        Whether the model was right.
    milliseconds, plays : ndarray, shape (answers,)
    """

    classes: Sequence[str]
    participants: Sequence[str]
    recordings: Sequence[str]
    conditions: Sequence[Condition]
    participant: Indices
    recording: Indices
    condition: Indices
    predicted: Indices
    answered: Indices
    truth: Indices
    right: NDArray[np.bool_]
    milliseconds: Floats
    plays: Floats

    def __len__(self) -> int:
        return len(self.answered)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the answer is the model's prediction."""
        return np.asarray(self.predicted == self.answered)

    def group(self, name: Group) -> NDArray[np.bool_]:
        """Which rows are about recordings of which the model was "right" or "wrong"; all of them for "all"."""
        return np.ones(len(self), np.bool_) if name == "all" else self.right == (name == "right")


GROUPS: tuple[Group, ...] = ("wrong", "right", "all")
"""What is reported apart: wrongly predicted recordings, correctly predicted ones, and both together."""


def conditions_of(items: Sequence[Item]) -> dict[str, Condition]:
    """The condition of each item by its name: its mode, with the explainer where the mode has several.

    Where several questions are asked, each has conditions of its own.
    """
    questions = {item.question for item in items}
    explainers: dict[str, set[str]] = {}
    for item in items:
        explainers.setdefault(item.mode, set()).add(item.explainer or "")
    conditions = {}
    for item in items:
        name = f"{item.mode}, {item.explainer}" if len(explainers[item.mode]) > 1 and item.explainer else item.mode
        conditions[item.item] = Condition(f"{item.question}: {name}" if len(questions) > 1 else name, item.mode, item.explainer)
    return conditions


def recording_of(item: Item) -> str:
    """What tells recordings apart: their source, or the item where that is not known."""
    return item.recording or item.item


def choice_table(data: StudyData) -> Table | None:
    """The answers to choices, without catch trials; None if the study asks for no choice, or nobody answered one.

    Raises
    ------
    DataError
        If an answer or prediction is not a class, or a recording has two predictions.
    """
    choices = {question.name for question in data.questions if question.kind == "choice"}
    items = {item.item: item for item in data.items if item.question in choices and item.catch is None}
    rows = [answer for answer in data.answers if answer.item in items]
    if not rows:
        return None
    classes = {name: index for index, name in enumerate(data.classes)}
    _check(rows, items, classes, data.title)
    named = conditions_of(list(items.values()))
    conditions = list({named[item].name: named[item] for item in items}.values())
    places = {condition.name: index for index, condition in enumerate(conditions)}
    answered = [items[answer.item] for answer in rows]
    rated, answering = {recording_of(item) for item in answered}, {answer.participant for answer in rows}
    recordings = [name for name in dict.fromkeys(map(recording_of, items.values())) if name in rated]
    positions = {name: index for index, name in enumerate(recordings)}
    people = [person.participant for person in data.participants if person.participant in answering]
    numbers = {name: index for index, name in enumerate(people)}
    return Table(
        classes=data.classes,
        participants=people,
        recordings=recordings,
        conditions=conditions,
        participant=_indices(numbers[answer.participant] for answer in rows),
        recording=_indices(positions[recording_of(item)] for item in answered),
        condition=_indices(places[named[item.item].name] for item in answered),
        predicted=_indices(classes[item.predicted] for item in answered),
        answered=_indices(classes[answer.value] for answer in rows),
        truth=_indices(classes.get(item.truth, -1) for item in answered),
        right=np.array([item.right for item in answered], np.bool_),
        milliseconds=np.array([answer.response_ms for answer in rows]),
        plays=np.array([answer.plays for answer in rows], np.float64),
    )


def _indices(values: object) -> Indices:
    return np.fromiter(values, np.int64)  # type: ignore[call-overload, no-any-return]


def _check(rows: Sequence[Answer], items: dict[str, Item], classes: dict[str, int], title: str) -> None:
    for item in items.values():
        if item.predicted not in classes:
            raise DataError(f"{title}: item {item.item} has the prediction {item.predicted!r}, which is none of its classes.")
    for answer in rows:
        if answer.value not in classes:
            raise DataError(
                f"{title}: {answer.participant} answered {answer.value!r} to item {answer.item}, which is none of its classes."
            )
    seen: dict[str, tuple[str, bool]] = {}
    for item in items.values():
        if seen.setdefault(recording_of(item), (item.predicted, item.right)) != (item.predicted, item.right):
            raise DataError(f"{title}: recording {recording_of(item)} has two different predictions; expected one model.")
