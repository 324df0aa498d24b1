"""Whose answers are left out: by the rules of the study's settings, stated before anybody answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from pydantic import Field

from xaudio.plugin import FixedRecord

from ..records import Answer, Item, Participant, StudyData
from .results import ExclusionCount


class ExclusionRules(FixedRecord):
    """Whose answers are left out of the analysis, stated before anybody has answered.

    Parameters
    ----------
    finished : bool
        Leave out who did not finish.
    failed_catch : int
        Catch trials that may be answered wrongly; who fails more is left out.
    headphones : float
        Least share of right answers in the headphone check (5 of 6 are 0.83), of those who took it; 0 for no rule.
    fastest_ms : float
        Leave out whose median response time is shorter than this many milliseconds; 0 for no rule.
    """

    finished: bool = True
    failed_catch: int = Field(default=1, ge=0)
    headphones: float = Field(default=0.8, ge=0, le=1)
    fastest_ms: float = Field(default=500, ge=0)


class Kept(NamedTuple):
    """A study without what is left out, and what that was.

    Parameters
    ----------
    data : StudyData
        With the participants that are kept, and their answers.
    counts : list of ExclusionCount
    """

    data: StudyData
    counts: list[ExclusionCount]


def apply_rules(data: StudyData, rules: ExclusionRules | None) -> Kept:
    """Leave participants out by the rules, or by none; one may fall under several.

    Who withdrew or never answered has no answers, and is left out without a rule.
    """
    items = {item.item: item for item in data.items}
    present = [person for person in data.participants if not person.withdrawn]
    of_person: dict[str, list[Answer]] = {person.participant: [] for person in present}
    for answer in data.answers:
        if answer.participant in of_person:
            of_person[answer.participant].append(answer)
    counts = [ExclusionCount(rule="withdrew", participants=len(data.participants) - len(present))]
    out: set[str] = set()
    for rule, wrong in _tests(rules, items).items():
        excluded = [person.participant for person in present if wrong(person, of_person[person.participant])]
        counts.append(ExclusionCount(rule=rule, participants=len(excluded)))
        out.update(excluded)
    people = tuple(person for person in present if person.participant not in out)
    answers = tuple(answer for person in people for answer in of_person[person.participant])
    return Kept(data.model_copy(update={"participants": people, "answers": answers}), counts)


def _tests(rules: ExclusionRules | None, items: dict[str, Item]) -> dict[str, Callable[[Participant, list[Answer]], bool]]:
    """The rules that leave somebody out, in words; those that are off, or have nothing to look at, are not among them."""
    catches = {name: item.catch for name, item in items.items() if item.catch is not None}
    tests: dict[str, Callable[[Participant, list[Answer]], bool]] = {}
    if rules is None or not rules.finished:
        tests["answered nothing"] = lambda _, answers: not answers
    if rules is None:
        return tests
    if rules.finished:
        tests["did not finish"] = lambda person, _: person.finished is None
    if rules.failed_catch < len(catches):
        tests[f"failed more than {rules.failed_catch} of {len(catches)} catch trials"] = lambda _, answers: (
            sum(catches.get(answer.item, answer.value) != answer.value for answer in answers) > rules.failed_catch
        )
    if rules.headphones > 0:
        tests[f"less than {rules.headphones:.0%} right in the headphone check"] = lambda person, _: (
            person.headphones is not None and person.headphones < rules.headphones
        )
    if rules.fastest_ms > 0:
        tests[f"median response faster than {rules.fastest_ms:g} ms"] = lambda _, answers: (
            _median_ms([answer for answer in answers if answer.item not in catches]) < rules.fastest_ms
        )
    return tests


def _median_ms(answers: list[Answer]) -> float:
    return float(np.median([answer.response_ms for answer in answers])) if answers else float("inf")
