"""Each condition, in each group of recordings: measures with their intervals, times and agreement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import measures
from .bootstrap import Weights, bounds, centred, drawn_means, drawn_tables
from .results import Cell, ClassMeasures, Estimate, Measure, WithoutExclusions
from .table import GROUPS, Floats, Indices, Table


class Drawn:
    """Measures in each draw of the bootstrap, computed once; without draws where nothing can be drawn.

    Parameters
    ----------
    table : Table
    weights : Weights or None

    Attributes
    ----------
    accuracy, log_times : ndarray, shape (conditions, draws, 3)
        The last axis is that of `GROUPS`; mean logarithm of the milliseconds.
    informedness, markedness : ndarray, shape (conditions, draws, 3, classes)
    pooled : Pooled
        Each (conditions, draws, 3).
    """

    def __init__(self, table: Table, weights: Weights | None) -> None:
        logarithms, classes = np.log(np.maximum(table.milliseconds, 1)), len(table.classes)
        drawn = []
        for number in range(len(table.conditions)):  # one at a time: all tables of all draws would take gigabytes
            counts, times = np.empty((0, len(GROUPS), classes, classes)), np.empty((0, len(GROUPS)))
            if weights is not None:
                counts, times = drawn_tables(table, number, weights), drawn_means(table, number, logarithms, weights)
            of_classes = measures.informedness(counts), measures.markedness(counts)
            drawn.append((measures.accuracy(counts), times, *of_classes, *measures.pooled(counts)))
        self.accuracy, self.log_times, self.informedness, self.markedness, *pooled = map(np.array, zip(*drawn, strict=True))
        self.pooled = measures.Pooled(*pooled)


def cells_of(table: Table, drawn: Drawn) -> list[Cell]:
    """All conditions and groups that have answers."""
    cells = []
    for number, _ in enumerate(table.conditions):
        for place, group in enumerate(GROUPS):
            rows = np.flatnonzero((table.condition == number) & table.group(group))
            if len(rows):
                cells.append(_cell(table, drawn, number, place, rows))
    return cells


def _cell(table: Table, drawn: Drawn, number: int, place: int, rows: Indices) -> Cell:
    condition, classes = table.conditions[number], len(table.classes)
    counts = measures.confusion(table.predicted[rows], table.answered[rows], classes)
    accuracy = estimate(float(measures.accuracy(counts)), drawn.accuracy[number, :, place])
    truth = table.truth[rows]
    votes = votes_of(table.recording[rows], table.answered[rows], classes)
    time = measures.geometric_mean(table.milliseconds[rows])
    times = np.exp(drawn.log_times[number, :, place])
    return Cell(
        condition=condition.name,
        mode=condition.mode,
        explainer=condition.explainer,
        group=GROUPS[place],
        answers=len(rows),
        participants=len(np.unique(table.participant[rows])),
        recordings=len(np.unique(table.recording[rows])),
        accuracy=accuracy,
        chance=1 / classes,
        commonest=float(counts.sum(1).max() / counts.sum()),
        above_chance=None if accuracy.low is None else accuracy.low > 1 / classes,
        truth=float((truth == table.answered[rows]).mean()) if (truth >= 0).all() else None,
        informedness=_measure(table, counts, drawn, number, place, "informedness"),
        markedness=_measure(table, counts, drawn, number, place, "markedness"),
        classes=_classes(table, counts, drawn, (number, place), rows),
        median_ms=float(np.median(table.milliseconds[rows])),
        geometric_mean_ms=estimate(time, times),
        plays=float(table.plays[rows].mean()),
        fleiss_kappa=number_or_none(measures.fleiss_kappa(votes)),
        krippendorff_alpha=number_or_none(measures.krippendorff_alpha(votes)),
        confusion=counts.astype(int).tolist(),
    )


def _measure(table: Table, counts: Floats, drawn: Drawn, number: int, place: int, name: str) -> Measure:
    of_classes, pooled = getattr(measures, name)(counts), measures.pooled(counts)._asdict()
    interval = centred if name == "markedness" else bounds
    estimates = {
        kind: optional_estimate(
            float(pooled[f"{name}_{kind}"]), getattr(drawn.pooled, f"{name}_{kind}")[number, :, place], interval
        )
        for kind in ("macro", "weighted")
    }
    left_out = [name for name, value in zip(table.classes, of_classes, strict=True) if not np.isfinite(value)]
    return Measure(macro=estimates["macro"], weighted=estimates["weighted"], left_out=left_out)


def _classes(table: Table, counts: Floats, drawn: Drawn, which: tuple[int, int], rows: Indices) -> list[ClassMeasures]:
    informed, marked = measures.informedness(counts), measures.markedness(counts)
    number, place = which
    informed_draws, marked_draws = drawn.informedness[number, :, place], drawn.markedness[number, :, place]
    recordings, predicted = table.recording[rows], table.predicted[rows]
    return [
        ClassMeasures(
            name=name,
            recordings=len(np.unique(recordings[predicted == index])),
            predicted=int(counts[index].sum()),
            answered=int(counts[:, index].sum()),
            right=int(counts[index, index]),
            informedness=optional_estimate(float(informed[index]), informed_draws[:, index]),
            markedness=optional_estimate(float(marked[index]), marked_draws[:, index]),
            undefined=_undefined(counts, index),
        )
        for index, name in enumerate(table.classes)
    ]


def _undefined(counts: Floats, index: int) -> str:
    total = counts.sum()
    reasons = {
        "never predicted by the model": counts[index].sum() == 0,
        "always predicted by the model": counts[index].sum() == total,
        "never answered": counts[:, index].sum() == 0,
        "always answered": counts[:, index].sum() == total,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def votes_of(unit: Indices, answered: Indices, values: int) -> Floats:
    """How often each answer was given to each unit, shape (units, values)."""
    units = np.unique(unit, return_inverse=True)[1]
    counted = np.bincount(units * values + answered, minlength=(units.max() + 1) * values)
    return counted.reshape(-1, values).astype(np.float64)


Interval = Callable[[float, Floats], tuple[float, float] | None]


def estimate(value: float, draws: Floats, interval: Interval = bounds) -> Estimate:
    """A value with the interval of its draws (draws,), if there is one."""
    limits = interval(value, draws)
    if limits is None:
        return Estimate(value=value)
    return Estimate(value=value, low=limits[0], high=limits[1])


def optional_estimate(value: float, draws: Floats, interval: Interval = bounds) -> Estimate | None:
    """As `estimate`, or None if the value is undefined."""
    return estimate(value, draws, interval) if np.isfinite(value) else None


def number_or_none(value: float) -> float | None:
    """None for NaN, which JSON does not know."""
    return value if np.isfinite(value) else None


def plain_cells(table: Table) -> list[WithoutExclusions]:
    """The main measures of each condition and group, without intervals."""
    cells = []
    for number, condition in enumerate(table.conditions):
        for group in GROUPS:
            rows = np.flatnonzero((table.condition == number) & table.group(group))
            if not len(rows):
                continue
            counts = measures.confusion(table.predicted[rows], table.answered[rows], len(table.classes))
            pooled = measures.pooled(counts)
            cells.append(
                WithoutExclusions(
                    condition=condition.name,
                    group=group,
                    participants=len(np.unique(table.participant[rows])),
                    answers=len(rows),
                    accuracy=float(measures.accuracy(counts)),
                    informedness_macro=number_or_none(float(pooled.informedness_macro)),
                    markedness_macro=number_or_none(float(pooled.markedness_macro)),
                )
            )
    return cells
