"""From predictions before and after a change to numbers, intervals and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from xaudio.plugin import DRAWS, LEVEL, DataError, FloatArray, IntArray, counted, difference_tests, tails

from .results import ChangeResult, ClassResult, ControlResult, Difference, Draw
from .test_set import Control, Plan, draw_names

CHANCE = 0.05
"""Largest share of draws as costly as the change at which it still costs more than the control."""

LEAST = {"speakers": 3, "recordings": 8}
"""Fewest that can be resampled."""

FEW = 8
"""Below so many speakers a note warns that the intervals are rough."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a model made of a test set before and after a change.

    Parameters
    ----------
    labels : ndarray of int, shape (recordings,)
    groups : ndarray, shape (recordings,)
        What belongs together in the bootstrap, such as the speaker.
    predicted : ndarray of int, shape (recordings, versions)
        The first version is before the change; then those of `Plan.versions`.
    probability : ndarray, shape (recordings, versions)
        Of the true class.
    """

    labels: IntArray
    groups: Any
    predicted: IntArray
    probability: FloatArray

    @property
    def right(self) -> FloatArray:
        """1 where the prediction is that of the label (recordings, versions)."""
        return np.asarray(self.predicted == self.labels[:, None], dtype=np.float64)


def interval_over_groups(values: FloatArray, groups: Any, *, seed: int = 0) -> Difference:
    """Mean of values with the 95 % percentile interval of a bootstrap that draws whole groups, and its probability.

    The probability of a mean as large, if there is no difference, is that of `difference_tests` for the sums of the groups.

    Parameters
    ----------
    values : ndarray, shape (recordings,)
    groups : ndarray, shape (recordings,)
        Such as the speakers, whose recordings are not independent (the cluster bootstrap, Davison and Hinkley 1997, section 3.8).
    seed : int
    """
    names, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(names), size=(DRAWS, len(names)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, tails(LEVEL))
    mean = values.mean()
    p = float(difference_tests(sums[:, None], seed=seed)[0])
    return Difference(mean=float(mean), low=float(min(low, mean)), high=float(max(high, mean)), p=p)


def check_groups(groups: Any, over: Literal["speakers", "recordings"]) -> list[str]:
    """Notes on how many speakers there are.

    Raises
    ------
    DataError
        If there are too few for an interval.
    """
    count = len(np.unique(groups))
    if count < LEAST[over]:
        instead = (
            "" if over == "recordings" else " Give another data set, or draw recordings with over=recordings (--over recordings)."
        )
        what = counted(count, over.removesuffix("s"))
        raise DataError(f"{what} in the test set: too few for an interval, which needs {LEAST[over]} or more.{instead}")
    if over == "speakers" and count < FEW:
        few = counted(count, "speaker")
        return [f"the test set has {few} only, so that the intervals over speakers are rough and rather too narrow"]
    return []


def summarise(
    spec: str, plans: Sequence[Plan], outcomes: Outcomes, classes: Sequence[str], over: str, rows: str | None, seed: int
) -> ChangeResult:
    """All that is reported of a change, of which each model has a plan for its own test set; see `ChangeResult`."""
    plan = plans[0]
    right, change = outcomes.right, outcomes.probability - outcomes.probability[:, :1]
    before, after = right[:, 0], right[:, 1]
    controls, first = [], 2
    for control in plan.controls:
        part = slice(first, first + control.draws)
        controls.append(_control(plan, control, outcomes, part, classes, over, seed))
        first += control.draws
    return ChangeResult(
        change=spec,
        words=plan.words,
        before=float(before.mean()),
        after=float(after.mean()),
        cost=interval_over_groups(after - before, outcomes.groups, seed=seed),
        probability_change=float(change[:, 1].mean()),
        classes={name: _class(outcomes.labels == index, before, after, change[:, 1]) for index, name in enumerate(classes)},
        confusion_before=_confusion(outcomes.labels, outcomes.predicted[:, 0], len(classes)),
        confusion_after=_confusion(outcomes.labels, outcomes.predicted[:, 1], len(classes)),
        controls=controls,
        notes=list(dict.fromkeys(note for own in plans for note in own.notes)),
        rows=rows,
    )


def _control(
    plan: Plan, control: Control, rows: Outcomes, part: slice, classes: Sequence[str], over: str, seed: int
) -> ControlResult:
    right = rows.right
    drawn, after = right[:, part], right[:, 1]
    accuracies = drawn.mean(0)
    difference = interval_over_groups(after - drawn.mean(1), rows.groups, seed=seed)
    as_costly = int((accuracies <= after.mean()).sum())
    verdict = _verdict(difference, as_costly, control.draws)
    places: Sequence[dict[str, float] | None] = control.places or [None] * control.draws
    names = draw_names(control.name, control.draws)
    change = rows.probability[:, part] - rows.probability[:, :1]
    return ControlResult(
        name=control.name,
        words=control.words,
        accuracy=float(accuracies.mean()),
        low=float(accuracies.min()),
        high=float(accuracies.max()),
        draws=[
            Draw(name=name, accuracy=float(value), place=place)
            for name, value, place in zip(names, accuracies, places, strict=True)
        ],
        accuracy_per_class={name: _mean(drawn[rows.labels == index]) for index, name in enumerate(classes)},
        probability_change=float(change.mean()),
        difference=difference,
        as_costly=as_costly,
        verdict=verdict,
        statement=_statement(plan, control, right[:, 0].mean(), after.mean(), accuracies, difference, as_costly, verdict, over),
    )


def _verdict(difference: Difference, as_costly: int, draws: int) -> Literal["more", "not more", "less"]:
    if difference.high < 0 and (draws == 1 or as_costly <= CHANCE * draws):
        return "more"
    return "less" if difference.low > 0 else "not more"


def _statement(
    plan: Plan,
    control: Control,
    before: float,
    after: float,
    accuracies: FloatArray,
    difference: Difference,
    as_costly: int,
    verdict: str,
    over: str,
) -> str:
    drawn = f" ({accuracies.min():.1%} to {accuracies.max():.1%} over {control.draws} draws)" if control.draws > 1 else ""
    costly = f"; {as_costly} of {control.draws} draws are as costly" if control.draws > 1 else ""
    size = f"{100 * abs(difference.mean):.1f} points {'less' if difference.mean > 0 else 'more'}"
    points = sorted(0.0 - 100 * bound for bound in (difference.low, difference.high))
    words = {
        "more": "It costs more than the control, beyond chance",
        "less": "It costs less than the control, beyond chance",
        "not more": "It costs more than the control on average, but some draws cost as much"
        if difference.high < 0
        else "It does not cost more than the control, beyond chance",
    }[verdict]
    return (
        f"{plan.words} takes accuracy from {before:.1%} to {after:.1%}; {control.words}, to {accuracies.mean():.1%}{drawn}. "
        f"{words}: {size} (95 % interval over {over} {points[0]:.1f} to {points[1]:.1f}{costly})."
    )


def _class(chosen: Any, before: FloatArray, after: FloatArray, change: FloatArray) -> ClassResult:
    return ClassResult(
        recordings=int(chosen.sum()),
        before=_mean(before[chosen]),
        after=_mean(after[chosen]),
        probability_change=_mean(change[chosen]),
    )


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if values.size else None


def _confusion(labels: IntArray, predicted: IntArray, classes: int) -> list[list[int]]:
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    found: list[list[int]] = counts.tolist()
    return found
