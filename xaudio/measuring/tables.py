"""What an evaluation says, as tables: means with intervals and ranks, and paired differences between explainers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..output.table import Table, in_words
from ..output.words import counted
from ..types import FloatArray, IntArray
from .metric import Better
from .scoring import Column
from .statistics import Interval, bootstrap_interval, difference_tests, holm, ranks_with_ties

SIGNIFICANCE = 0.05
DIRECTIONS = {"higher": " (higher is better)", "lower": " (lower is better)", "none": ""}


class Measured(NamedTuple):
    """An explainer by a metric.

    Parameters
    ----------
    explainer, metric : str
        As they were given, with their options.
    value : str
        Name of the value that the metric gives.
    better : {"higher", "lower", "none"}
    recordings : int
    mean, low, high : float or None
        With the bounds of an interval of 95 % over recordings.
    rank : int or None
        One more than the number of explainers whose interval lies wholly on the better side.
    refused : str or None
        Why there is no value.
    no_interval : str or None
        Why there is a value, but no interval and no rank.
    """

    explainer: str
    metric: str
    value: str
    better: Better
    recordings: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    rank: int | None = None
    refused: str | None = None
    no_interval: str | None = None


class Difference(NamedTuple):
    """How far two explainers lie apart by a metric, on the same recordings.

    Parameters
    ----------
    metric, value : str
    better : {"higher", "lower", "none"}
    first, second : str
        Explainers.
    recordings : int
    difference : float
        Mean of the first less the second.
    low, high : float or None
        Bounds of an interval of 95 % for this difference alone; None where there are too few recordings for one.
    p : float
        Of no difference; see `xaudio.plugin.difference_tests`.
    p_holm : float
        Corrected for all pairs of explainers by this value (Holm 1979).
    winner : str or None
        The explainer that is better beyond chance: ``p_holm`` is at most 0.05. None where that cannot be said.
    """

    metric: str
    value: str
    better: Better
    first: str
    second: str
    recordings: int
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    winner: str | None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Tables:
    """The tables of an evaluation, and what they are made of; `xaudio.Evaluation` describes the fields."""

    indices: IntArray
    labels: IntArray
    predicted: IntArray
    columns: Sequence[Column]
    values: Mapping[tuple[str, str, str], FloatArray]
    refused: Mapping[tuple[str, str], str]
    folders: Mapping[str, Path]

    def table(self, seed: int = 0) -> Table:
        """A row for each explainer and value: mean, interval of 95 % over recordings, rank, or why there is none.

        Parameters
        ----------
        seed : int
            Of the bootstrap.
        """
        return Table(Measured._fields, tuple(measured(self, seed)), _caption(self))

    def differences(self, seed: int = 0) -> Table:
        """A row for each pair of explainers and value: the mean paired difference, its interval, p, and p after Holm.

        The interval of 95 % is that of one difference alone. ``p_holm`` is corrected for all pairs by the same value, the
        controls `random` and `amplitude` among them; ``winner`` is the better one of a pair where it is at most 0.05.

        Parameters
        ----------
        seed : int
            Of the bootstrap and the test.
        """
        rows = [row for column in self.columns for row in _differences(self, column, seed)]
        return Table(Difference._fields, tuple(rows), f"{_caption(self)} Paired differences.")

    def to_csv(self, path: str | Path | None = None, seed: int = 0) -> str:
        """`table` as CSV; see `xaudio.plugin.Table.to_csv`."""
        return self.table(seed).to_csv(path)

    def to_markdown(self, path: str | Path | None = None, seed: int = 0) -> str:
        """A row for each explainer and a column for each value, "mean [interval]", in Markdown."""
        return _wide_table(self, seed).to_markdown(path)

    def to_latex(self, path: str | Path | None = None, seed: int = 0) -> str:
        """The same as `to_markdown` for LaTeX, with the rules of the package booktabs."""
        return _wide_table(self, seed).to_latex(path)

    def _repr_html_(self) -> str:
        return _wide_table(self, 0)._repr_html_()


def measured(evaluation: Tables, seed: int = 0, columns: Sequence[Column] | None = None) -> list[Measured]:
    """Every explainer by every value, in the order of the values.

    Parameters
    ----------
    evaluation : Evaluation
    seed : int
        Of the bootstrap.
    columns : sequence of Column, optional
        The values, such as those of several evaluations together; by default those that this one has.
    """
    return [cell for column in (evaluation.columns if columns is None else columns) for cell in _ranked(evaluation, column, seed)]


def _wide_table(evaluation: Tables, seed: int) -> Table:
    """A row for each explainer and a column for each value, as papers print it: the mean with its interval."""
    titles = column_titles(evaluation.columns)
    cells = {(cell.explainer, cell.metric, cell.value): _printed(cell) for cell in measured(evaluation, seed)}
    rows = [
        (explainer, *(cells[explainer, column.metric, column.name] for column in evaluation.columns))
        for explainer in evaluation.folders
    ]
    names = [titles[column.metric, column.name] + DIRECTIONS[column.better] for column in evaluation.columns]
    return Table(("Explainer", *names), tuple(rows), f"{_caption(evaluation)} Mean [95 % interval over recordings].")


def column_titles(columns: Iterable[Column]) -> dict[tuple[str, str], str]:
    """A title for each value, no two the same, by its metric and name.

    Parameters
    ----------
    columns : iterable of Column
    """
    pairs = [(column.metric, column.name) for column in columns]
    plain = [name for metric, name in pairs if ":" not in metric]
    return {
        (metric, name): name if ":" not in metric and plain.count(name) == 1 else f"{name} ({metric})" for metric, name in pairs
    }


def _ranked(evaluation: Tables, column: Column, seed: int) -> list[Measured]:
    cells = [_cell(evaluation, explainer, column, seed) for explainer in evaluation.folders]
    intervals = [
        None if cell.mean is None or cell.low is None or cell.high is None else Interval(cell.mean, cell.low, cell.high)
        for cell in cells
    ]
    ranks = ranks_with_ties(intervals, column.better)
    return [cell._replace(rank=rank) for cell, rank in zip(cells, ranks, strict=True)]


def _cell(evaluation: Tables, explainer: str, column: Column, seed: int) -> Measured:
    """Mean and interval, or why there is none; the rank is not known yet."""
    refused = evaluation.refused.get((explainer, ""), evaluation.refused.get((explainer, column.metric)))
    values = evaluation.values.get((explainer, column.metric, column.name), np.zeros(0))
    why = " It is measured on correctly predicted recordings." if column.needs_truth else ""
    cell = Measured(explainer, column.metric, column.name, column.better, len(values), refused=refused)
    if refused is not None:
        return cell
    if not len(values):
        return cell._replace(refused=f"There are no values.{why}")
    try:
        return cell._replace(**bootstrap_interval(values, seed=seed)._asdict())
    except DataError as error:
        return cell._replace(mean=float(values.mean()), no_interval=f"{error}{why}")


def _differences(evaluation: Tables, column: Column, seed: int) -> Iterator[Difference]:
    values = {
        explainer: evaluation.values[explainer, column.metric, column.name]
        for explainer in evaluation.folders
        if len(evaluation.values.get((explainer, column.metric, column.name), ()))
    }
    pairs = list(combinations(values, 2))
    apart = [values[first] - values[second] for first, second in pairs]
    chances = difference_tests(np.stack(apart, 1), seed=seed).tolist() if apart else []
    for (first, second), difference, p, p_holm in zip(pairs, apart, chances, holm(chances), strict=True):
        mean, low, high = _interval(difference, seed)
        leading = first if (mean > 0) == (column.better == "higher") else second
        winner = leading if p_holm <= SIGNIFICANCE and column.better != "none" else None
        compared = (column.metric, column.name, column.better, first, second)
        yield Difference(*compared, len(difference), mean, low, high, p, p_holm, winner)


def _interval(difference: FloatArray, seed: int) -> tuple[float, float | None, float | None]:
    try:
        mean, low, high = bootstrap_interval(difference, seed=seed)
        return mean, low, high
    except DataError:
        return float(difference.mean()), None, None


def _printed(cell: Measured) -> str | None:
    if cell.mean is None:
        return None
    bounds = "" if cell.low is None or cell.high is None else f" [{in_words(cell.low)}, {in_words(cell.high)}]"
    return f"{in_words(cell.mean)}{bounds}"


def _caption(evaluation: Tables) -> str:
    right = (evaluation.labels == evaluation.predicted).mean()
    return f"Explainers on {counted(len(evaluation.indices), 'recording')}, of which {right:.0%} are correctly predicted."
