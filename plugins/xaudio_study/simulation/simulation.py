"""Participants of known behaviour: for sizing a study, and for testing its analysis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from xaudio.plugin import DataError, FixedRecord, counted, unknown

from ..analysis.table import Floats, Indices, conditions_of
from ..records import Answer, Item, Mode, Participant, Question, StudyData

MODES: tuple[Mode, ...] = ("audible-explanation", "audible-signal", "visual-explanation", "visual-signal")
START = datetime(2000, 1, 1, tzinfo=UTC)
"""When simulated participants enrol, so that the same seed gives the same file and nobody takes them for people."""

CARELESS_MS = 200.0
"""Median response time of a careless participant."""

RATING_SPREAD = 0.2
"""Standard deviation of ratings around the skill, of the whole scale."""

Value = TypeVar("Value")


class Behaviour(FixedRecord):
    """How simulated participants answer.

    To a choice, a participant knows the model's prediction with the probability ``knows``; else names the true class with
    the probability ``hears``; else guesses with the probabilities ``bias``. Without spread the expected informedness of
    every class is then ``knows`` (where nobody hears the true class), whatever the bias. A rating lies around ``knows`` on
    the scale; explainer A is preferred with the probability knows(A) / (knows(A) + knows(B)).

    Parameters
    ----------
    knows, hears : dict of str to float
        Probabilities by condition: a mode, or "mode, explainer" where explainers are compared; 0 for others.
    bias : dict of str to float
        Weights of the classes in guessing; 1 for a class that is not named.
    person_spread, item_spread : float
        Standard deviation over participants, and over items, of the logit of ``knows``.
    dropout : float
        Share of participants who stop, anywhere.
    careless : float
        Share who click at random in a fifth of a second and fail the headphone check.
    attention : float
        Probability of passing a catch trial, for those who are not careless.
    seconds, time_spread : float
        Median response time, and the standard deviation of its logarithm, half of it between participants.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    knows: dict[str, float] = Field(default_factory=dict)
    hears: dict[str, float] = Field(default_factory=dict)
    bias: dict[str, float] = Field(default_factory=dict)
    person_spread: float = Field(default=0, ge=0)
    item_spread: float = Field(default=0, ge=0)
    dropout: float = Field(default=0, ge=0, le=1)
    careless: float = Field(default=0, ge=0, le=1)
    attention: float = Field(default=0.98, ge=0, le=1)
    seconds: float = Field(default=5, gt=0)
    time_spread: float = Field(default=0.5, ge=0)

    @model_validator(mode="after")
    def _probabilities(self) -> Behaviour:
        for name, chances in (("knows", self.knows), ("hears", self.hears)):
            for condition, chance in chances.items():
                if not 0 <= chance <= 1:
                    raise ValueError(f"{name} of {condition!r} is {chance}; expected a probability, 0 to 1")
        if any(weight < 0 for weight in self.bias.values()):
            raise ValueError("bias has a negative weight; expected 0 or more")
        return self

    def described(self, participants: int, seed: int) -> str:
        """One sentence for `StudyData.simulated`."""
        changed = self.model_dump(exclude_defaults=True)
        parts = [f"{name.replace('_', ' ')} {_in_words(value)}" for name, value in changed.items()]
        return f"{counted(participants, 'participant')} of chosen behaviour ({'; '.join(parts) or 'guessing'}), seed {seed}."


def _in_words(value: float | dict[str, float]) -> str:
    return ", ".join(f"{name} {one:g}" for name, one in value.items()) if isinstance(value, dict) else f"{value:g}"


class Outcome(NamedTuple):
    """What simulated participants know of choices, each (participants, items).

    Parameters
    ----------
    answered : ndarray of int
        Class indices.
    skill : ndarray
        Probability of knowing.
    """

    answered: Indices
    skill: Floats


def simulate(design: StudyData, behaviour: Behaviour, participants: int, seed: int = 0) -> StudyData:
    """A study as simulated participants answer it.

    Parameters
    ----------
    design : StudyData
        Its items and questions; its participants and answers, if any, are left out.
    behaviour : Behaviour
    participants : int
    seed : int

    Returns
    -------
    StudyData
        With ``simulated`` set.

    Raises
    ------
    DataError
        If the behaviour names a condition or class that the study does not have.
    """
    check_behaviour(design, behaviour)
    people, answers = answers_of(design, behaviour, participants, np.random.default_rng(seed))
    update = {"participants": people, "answers": answers, "simulated": behaviour.described(participants, seed)}
    return design.model_copy(update=update)


def answers_of(
    design: StudyData, behaviour: Behaviour, participants: int, rng: np.random.Generator
) -> tuple[tuple[Participant, ...], tuple[Answer, ...]]:
    """Simulated participants and their answers; see `simulate`."""
    items, named = design.items, named_conditions(design)
    names = [named.get(item.item, "") for item in items]
    outcome = choices(design.classes, items, names, behaviour, participants, rng)
    careless = rng.random(participants) < behaviour.careless
    stops = np.where(rng.random(participants) < behaviour.dropout, rng.integers(0, len(items), participants), len(items))
    pace = rng.normal(0, behaviour.time_spread * np.sqrt(0.5), participants)
    people, answers = [], []
    for number in range(participants):
        name = f"simulated-{number + 1:04d}"
        order = rng.permutation(len(items))[: stops[number]]
        values = _values(design, behaviour, outcome, number, bool(careless[number]), rng)
        noise = rng.normal(0, behaviour.time_spread * np.sqrt(0.5), len(items))
        median = CARELESS_MS if careless[number] else 1000 * behaviour.seconds
        times = np.round(median * np.exp(pace[number] + noise))
        clock = START
        for position, index in enumerate(order):
            clock += timedelta(milliseconds=float(times[index]))
            plays = 1 if items[index].mode.startswith("audible") and items[index].catch is None else 0
            answers.append(_answer(name, items[index].item, position, values[index], float(times[index]), plays, clock))
        people.append(
            Participant(
                participant=name,
                enrolled=START.isoformat(),
                finished=clock.isoformat() if len(order) == len(items) else None,
                headphones=0.5 if careless[number] else 1.0,
            )
        )
    return tuple(people), tuple(answers)


def check_behaviour(design: StudyData, behaviour: Behaviour) -> None:
    """Raise `DataError` if the behaviour names a condition or class that the study does not have."""
    compared = [item for item in design.items if item.against is not None]
    pairs = {f"{item.mode}, {name}" for item in compared for name in (item.explainer, item.against)}
    conditions = {*named_conditions(design).values(), *pairs}
    for name in (*behaviour.knows, *behaviour.hears):
        if name not in conditions:
            raise DataError(unknown("condition", name, conditions))
    check_bias(design.classes, behaviour)


def named_conditions(design: StudyData) -> dict[str, str]:
    """The condition of each item, whatever is asked about it."""
    conditions = {}
    for question in design.questions:
        asked = [item for item in design.items if item.question == question.name and item.catch is None]
        conditions.update({name: condition.name for name, condition in conditions_of(asked).items()})
    return conditions


def check_bias(classes: Sequence[str], behaviour: Behaviour) -> None:
    """Raise `DataError` if the bias names another class, or gives none a weight."""
    for name in behaviour.bias:
        if name not in classes:
            raise DataError(unknown("class", name, classes))
    if not guesses(classes, behaviour).sum() > 0:
        raise DataError("The bias gives every class the weight 0; expected one above 0 at least.")


def guesses(classes: Sequence[str], behaviour: Behaviour) -> Floats:
    """Probabilities (classes,) of guessing each class."""
    weights = np.array([behaviour.bias.get(name, 1.0) for name in classes])
    total = weights.sum()
    return np.asarray(weights / total if total else weights)


def choices(
    classes: Sequence[str],
    items: Sequence[Item],
    conditions: Sequence[str],
    behaviour: Behaviour,
    participants: int,
    rng: np.random.Generator,
) -> Outcome:
    """Answers of participants to the choice about each item.

    Parameters
    ----------
    classes : sequence of str
    items : sequence of Item
    conditions : sequence of str
        Of each item.
    behaviour : Behaviour
    participants : int
    rng : numpy.random.Generator
    """
    places = {name: index for index, name in enumerate(classes)}
    predicted = np.array([places.get(item.predicted, 0) for item in items])
    truth = np.array([places.get(item.truth, 0) for item in items])
    knows = np.array([behaviour.knows.get(name, 0.0) for name in conditions])
    hears = np.array([behaviour.hears.get(name, 0.0) for name in conditions])
    shift = rng.normal(0, behaviour.person_spread, participants)[:, None] + rng.normal(0, behaviour.item_spread, len(items))
    skill = shifted(np.broadcast_to(knows, shift.shape), shift)
    guessed = rng.choice(len(classes), size=shift.shape, p=guesses(classes, behaviour))
    draws = rng.random((2, *shift.shape))
    answered = np.where(draws[0] < skill, predicted, np.where(draws[1] < hears, truth, guessed))
    return Outcome(answered.astype(np.int64), skill)


def shifted(chances: Floats, shift: Floats) -> Floats:
    """Probabilities whose logit is shifted; 0 and 1 stay."""
    odds = np.exp(shift) * chances
    return np.asarray(odds / (odds + 1 - chances))


def plain_design(
    classes: Sequence[str], right: int, wrong: int, conditions: Sequence[tuple[Mode, str | None]], seed: int = 0, catches: int = 0
) -> StudyData:
    """A study without media, to be answered by simulated participants.

    Parameters
    ----------
    classes : sequence of str
    right, wrong : int
        Recordings. The classes take turns in the predictions; the true class of a wrong one is drawn among the others.
    conditions : sequence of (mode, explainer or None)
        Each shows each recording.
    seed : int
    catches : int
        Catch trials.
    """
    rng = np.random.default_rng(seed)
    turns = np.concatenate([np.arange(count) % len(classes) for count in (right, wrong)]).astype(int)
    others = (turns + rng.integers(1, len(classes), right + wrong)) % len(classes)
    items = [
        Item(
            item=f"{place:02d}-{number:04d}",
            mode=mode,
            question="prediction",
            explainer=explainer,
            recording=f"recording-{number:04d}",
            predicted=classes[turns[number]],
            truth=classes[turns[number] if number < right else others[number]],
            right=number < right,
        )
        for place, (mode, explainer) in enumerate(conditions)
        for number in range(right + wrong)
    ]
    items += [
        Item(item=f"catch-{number}", mode="visual-signal", question="prediction", catch=classes[number % len(classes)])
        for number in range(catches)
    ]
    text = {"en": "What did the model predict?"}
    return StudyData(
        title="A design without media",
        classes=tuple(classes),
        questions=(Question(name="prediction", kind="choice", text=text, answers=tuple(classes)),),
        items=tuple(items),
        participants=(),
        answers=(),
    )


def _values(
    design: StudyData, behaviour: Behaviour, outcome: Outcome, number: int, careless: bool, rng: np.random.Generator
) -> list[str]:
    """What one participant answers to each item."""
    questions = {question.name: question for question in design.questions}
    values = []
    for index, item in enumerate(design.items):
        question = questions[item.question]
        if careless:
            values.append(_any(question.answers, rng))
        elif item.catch is not None:
            values.append(item.catch if rng.random() < behaviour.attention else _any(question.answers, rng))
        elif question.kind == "choice":
            values.append(design.classes[outcome.answered[number, index]])
        elif question.kind == "rating":
            place = outcome.skill[number, index] + rng.normal(0, RATING_SPREAD)
            last = len(question.answers) - 1
            values.append(question.answers[round(last * min(max(place, 0.0), 1.0))])
        else:
            first, second = (behaviour.knows.get(f"{item.mode}, {name}", 0.0) for name in (item.explainer, item.against))
            chance = first / (first + second) if first + second else 0.5
            values.append("A" if rng.random() < chance else "B")
    return values


def _any(values: Sequence[Value], rng: np.random.Generator) -> Value:
    return values[int(rng.integers(len(values)))]


def _answer(name: str, item: str, position: int, value: str, milliseconds: float, plays: int, clock: datetime) -> Answer:
    return Answer(
        participant=name,
        item=item,
        position=position,
        value=value,
        response_ms=milliseconds,
        plays=plays,
        answered=clock.isoformat(),
    )
