"""Ratings on a scale, and preferences of A or B."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaudio.plugin import LEVEL, DataError

from ..records import Answer, Item, Question, StudyData
from . import measures
from .bootstrap import crossed_draws
from .cells import estimate, number_or_none, votes_of
from .results import Estimate, Group, Preference, Rating
from .table import GROUPS, Floats, Indices, conditions_of, recording_of

Judged = tuple[Answer, Item]


def ratings_of(data: StudyData, draws: int, seed: int) -> list[Rating]:
    """Mean rating of each condition and group, for each question that asks for one."""
    ratings = []
    for question, judged in _questions(data, "rating"):
        named = conditions_of([item for item in data.items if item.question == question.name and item.catch is None])
        for condition in dict.fromkeys(named[item.item].name for _, item in judged):
            own = [(answer, item) for answer, item in judged if named[item.item].name == condition]
            for group in GROUPS:
                chosen = [(answer, item) for answer, item in own if group == "all" or item.right == (group == "right")]
                if chosen:
                    ratings.append(_rating(question, condition, group, chosen, draws, seed))
    return ratings


def preferences_of(data: StudyData, draws: int, seed: int) -> list[Preference]:
    """Which explainer of each pair was preferred, for each question and mode."""
    preferences = []
    for question, judged in _questions(data, "preference"):
        for item in (item for _, item in judged):
            if item.explainer is None or item.against is None:
                raise DataError(f"{data.title}: item {item.item} asks for a preference but does not name two explainers.")
        keys = dict.fromkeys((item.mode, *sorted((item.explainer or "", item.against or ""))) for _, item in judged)
        for mode, first, second in keys:
            chosen = [
                (answer, item)
                for answer, item in judged
                if item.mode == mode and {item.explainer, item.against} == {first, second}
            ]
            preferences.append(_preference(question, mode, (first, second), chosen, draws, seed))
    return preferences


def _questions(data: StudyData, kind: str) -> list[tuple[Question, list[Judged]]]:
    """The questions of a kind that were answered, with their answers; catch trials are left out."""
    items = {item.item: item for item in data.items if item.catch is None}
    questions = []
    for question in (question for question in data.questions if question.kind == kind):
        judged = [
            (answer, items[answer.item])
            for answer in data.answers
            if answer.item in items and items[answer.item].question == question.name
        ]
        for answer, _ in judged:
            if answer.value not in question.answers:
                raise DataError(
                    f"{data.title}: {answer.participant} answered {answer.value!r} to {question.name!r}; expected one of "
                    f"{', '.join(question.answers)}."
                )
        if judged:
            questions.append((question, judged))
    return questions


def _rating(question: Question, condition: str, group: Group, judged: Sequence[Judged], draws: int, seed: int) -> Rating:
    places = np.array([question.answers.index(answer.value) for answer, _ in judged])
    people, sounds, strata = _crossed(judged)
    votes = votes_of(sounds, places, len(question.answers))
    return Rating(
        question=question.name,
        condition=condition,
        group=group,
        answers=len(judged),
        participants=int(people.max()) + 1,
        recordings=int(sounds.max()) + 1,
        mean=_mean(places + 1.0, people, sounds, strata, draws, seed),
        counts={value: int((places == index).sum()) for index, value in enumerate(question.answers)},
        krippendorff_alpha=number_or_none(measures.krippendorff_alpha(votes, "interval")),
    )


def _preference(
    question: Question, mode: str, pair: tuple[str, str], judged: Sequence[Judged], draws: int, seed: int
) -> Preference:
    from scipy.stats import binomtest

    first = np.array([(answer.value == "A") == (item.explainer == pair[0]) for answer, item in judged], np.float64)
    people, sounds, strata = _crossed(judged)
    shares = np.bincount(people, first) / np.bincount(people)
    prefer_first, prefer_second = int((shares > 0.5).sum()), int((shares < 0.5).sum())
    decided = prefer_first + prefer_second
    test = binomtest(prefer_first, decided) if decided else None
    exact = test.proportion_ci(LEVEL, method="exact") if test else None
    share = Estimate(value=prefer_first / decided, low=float(exact.low), high=float(exact.high)) if exact else None
    return Preference(
        question=question.name,
        mode=mode,
        first=pair[0],
        second=pair[1],
        answers=len(judged),
        recordings=int(sounds.max()) + 1,
        share=_mean(first, people, sounds, strata, draws, seed),
        prefer_first=prefer_first,
        prefer_second=prefer_second,
        undecided=int((shares == 0.5).sum()),
        share_of_participants=share,
        p=float(test.pvalue) if test else None,
    )


def _crossed(judged: Sequence[Judged]) -> tuple[Indices, Indices, Indices]:
    """Participant and recording of each answer (answers,), and whether each recording was correctly predicted (recordings,)."""
    people = np.unique([answer.participant for answer, _ in judged], return_inverse=True)[1].astype(np.int64)
    sounds = np.unique([recording_of(item) for _, item in judged], return_inverse=True)[1].astype(np.int64)
    strata = np.zeros(sounds.max() + 1, np.int64)
    strata[sounds] = [item.right for _, item in judged]
    return people, sounds, strata


def _mean(values: Floats, people: Indices, sounds: Indices, strata: Indices, draws: int, seed: int) -> Estimate:
    """Mean of answers with the interval of the bootstrap over participants and recordings."""
    weights = crossed_draws(int(people.max()) + 1, strata, draws=draws, seed=seed)
    if weights is None:
        return Estimate(value=float(values.mean()))
    drawn = [weight @ values / weight.sum() if weight.any() else np.nan for weight in weights.of(people, sounds)]
    return estimate(float(values.mean()), np.array(drawn))
