"""Conditions compared with each other: the mixed-effects test, and differences of informedness."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from xaudio.plugin import CONTROLS, counted, holm, progress

from . import measures
from .cells import Drawn, optional_estimate
from .mixed import Fit, paired_fit, unpaired_fit
from .results import Contrast, Estimate, Group, Test
from .table import GROUPS, Condition, Floats, Table

MOST = 8
"""Conditions of which all pairs are compared; of more, those of `pairs_of`."""

LEAST_PAIRS = 2
"""Participants, and recordings, of a test; of fewer there is no variance."""

FIXED = 2
"""Fixed effects of the test without pairs; no more answers than these leave no residual."""


def contrasts_of(table: Table, drawn: Drawn) -> list[Contrast]:
    """Pairs of conditions in each group, with the chances corrected for all pairs of the group; see `pairs_of`."""
    pairs = pairs_of(table)
    contrasts: list[Contrast] = []
    with progress("Comparing", len(pairs) * len(GROUPS)) as advance:
        for place, group in enumerate(GROUPS):
            fits: list[tuple[int, int, tuple[Fit, dict[str, int]] | str]] = []
            for first, second in pairs:
                if _answered(table, first, group) and _answered(table, second, group):
                    fits.append((first, second, tested(table, first, second, group)))
                advance()
            chances = [outcome[0].test()[1] for _, _, outcome in fits if not isinstance(outcome, str)]
            corrected = iter(holm(chances))
            contrasts += [
                _contrast(table, drawn, (first, second, place), outcome, 1.0 if isinstance(outcome, str) else next(corrected))
                for first, second, outcome in fits
            ]
    return contrasts


def pairs_of(table: Table) -> list[tuple[int, int]]:
    """All pairs of conditions; of more than 8, each explanation with the plain signal of the same sense and with the controls."""
    numbers = range(len(table.conditions))
    if len(numbers) <= MOST:
        return list(combinations(numbers, 2))
    return [pair for pair in permutations(numbers, 2) if _is_yardstick(*(table.conditions[number] for number in pair))]


def _is_yardstick(explained: Condition, one: Condition) -> bool:
    """Whether one is the plain signal of the same sense, or a control that is shown or sounds as the explanation does."""
    if explained.explainer is None:
        return False
    if one.explainer is None:
        return one.mode == explained.mode.replace("explanation", "signal")
    (control, sound), (method, other) = (_parted(name) for name in (one.explainer, explained.explainer))
    return control in CONTROLS and method not in CONTROLS and (one.mode, sound) == (explained.mode, other)


def _parted(explainer: str) -> tuple[str, str]:
    """Name of an explainer without its options, and the renderer after it, which only simulated listeners compare."""
    method, _, sound = explainer.partition(" ")
    return method.partition(":")[0], sound


def differences(table: Table, first: int, second: int, group: Group) -> Floats:
    """First less second condition of each participant and recording (participants, recordings); NaN without both answers."""
    shape = (len(table.participants), len(table.recordings))
    sides = []
    for condition in (first, second):
        rows = (table.condition == condition) & table.group(group)
        side = np.full(shape, np.nan)
        side[table.participant[rows], table.recording[rows]] = table.correct[rows]
        sides.append(side)
    difference: Floats = sides[0] - sides[1]
    return difference


def _answered(table: Table, condition: int, group: Group) -> bool:
    return bool(((table.condition == condition) & table.group(group)).any())


def tested(table: Table, first: int, second: int, group: Group) -> tuple[Fit, dict[str, int]] | str:
    """The fit and what it rests on, or why there is none."""
    difference = differences(table, first, second, group)
    answered = np.isfinite(difference)
    if answered.any():
        people, sounds = int(answered.any(1).sum()), int(answered.any(0).sum())
        if reason := _too_few(people, sounds):
            return reason
        if np.ptp(difference[answered]) == 0:
            return f"the difference is {difference[answered][0]:g} for every participant and recording: there is no variance"
        return _unless_saturated(paired_fit(difference), int(answered.sum()), people, sounds)
    rows = np.flatnonzero(np.isin(table.condition, (first, second)) & table.group(group))
    people, sounds = len(np.unique(table.participant[rows])), len(np.unique(table.recording[rows]))
    if reason := _too_few(people, sounds):
        return reason
    if len(rows) <= FIXED:
        return f"{counted(len(rows), 'answer is', 'answers are')} too few for a test; expected {FIXED + 1} or more"
    right = table.correct[rows].astype(np.float64)
    if np.ptp(right) == 0:
        return f"all answers are {'right' if right[0] else 'wrong'}: there is no variance"
    is_first = (table.condition[rows] == first).astype(np.int64)
    return _unless_saturated(unpaired_fit(right, is_first, table.participant[rows], table.recording[rows]), 0, people, sounds)


def _unless_saturated(fit: Fit, pairs: int, people: int, sounds: int) -> tuple[Fit, dict[str, int]] | str:
    if fit.saturated:
        return "participants or recordings explain every answer: there is no residual variance"
    return fit, {"pairs": pairs, "participants": people, "recordings": sounds}


def _too_few(people: int, sounds: int) -> str:
    if min(people, sounds) < LEAST_PAIRS:
        found = f"{counted(people, 'participant')} and {counted(sounds, 'recording')}"
        return f"{found} are too few for a test; expected {LEAST_PAIRS} of each or more"
    return ""


def _contrast(
    table: Table, drawn: Drawn, which: tuple[int, int, int], outcome: tuple[Fit, dict[str, int]] | str, corrected: float
) -> Contrast:
    first, second, place = which
    return Contrast(
        first=table.conditions[first].name,
        second=table.conditions[second].name,
        group=GROUPS[place],
        test=None if isinstance(outcome, str) else _test(*outcome, corrected),
        untested=outcome if isinstance(outcome, str) else "",
        informedness_macro=_difference(table, drawn, which, "informedness_macro"),
        informedness_weighted=_difference(table, drawn, which, "informedness_weighted"),
    )


def _test(fit: Fit, basis: dict[str, int], corrected: float) -> Test:
    low, high = fit.interval()
    statistic, chance = fit.test()
    return Test(
        model=fit.model,
        difference=Estimate(value=fit.effect, low=low, high=high),
        standard_error=fit.error,
        df=fit.df,
        t=statistic,
        p=chance,
        p_holm=corrected,
        variances=dict(fit.variances),
        notes=[f"no variance between {name}s beyond the residual's" for name, value in fit.variances.items() if value == 0],
        **basis,
    )


def _difference(table: Table, drawn: Drawn, which: tuple[int, int, int], name: str) -> Estimate | None:
    """Difference of a pooled measure; the draws are the same for both conditions, so that what they share falls out."""
    first, second, place = which
    values = []
    for number in (first, second):
        rows = (table.condition == number) & table.group(GROUPS[place])
        counts = measures.confusion(table.predicted[rows], table.answered[rows], len(table.classes))
        values.append(float(getattr(measures.pooled(counts), name)))
    draws = getattr(drawn.pooled, name)
    return optional_estimate(values[0] - values[1], draws[first, :, place] - draws[second, :, place])
