"""From values per recording to the cells of a table: means, intervals, ranks, and how far metrics agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from xaudio.plugin import Column, Evaluation, FloatArray, Measured, Table, column_titles, measured

from .results import Metric, Score

FEWEST = 4
"""Explainers whose order two metrics must both know for the orders to be compared."""


def metrics_of(evaluations: Sequence[Evaluation]) -> list[Metric]:
    """The columns that the models have between them, each with a title of its own."""
    columns = {(column.metric, column.name): column for evaluation in evaluations for column in evaluation.columns}
    titles = column_titles(columns.values())
    return [
        Metric(
            metric=metric,
            name=name,
            title=titles[metric, name],
            better=column.better,
            needs_truth=column.needs_truth,
            definition=column.definition,
        )
        for (metric, name), column in columns.items()
    ]


def scores_of(evaluation: Evaluation, metrics: Sequence[Metric], seed: int) -> list[Score]:
    """All cells of a model's table, metric by metric."""
    titles = {(metric.metric, metric.name): metric.title for metric in metrics}
    columns = [Column(**metric.model_dump(exclude={"title"})) for metric in metrics]
    return [_score(cell, titles[cell.metric, cell.value]) for cell in measured(evaluation, seed, columns)]


def _score(cell: Measured, title: str) -> Score:
    kept = ("explainer", "recordings", "mean", "low", "high", "rank", "refused", "no_interval")
    return Score(column=title, **{name: getattr(cell, name) for name in kept})


def paired(differences: Table, first: str, metrics: Sequence[Metric]) -> list[list[Any]]:
    """How each explainer differs from the first one on the same recordings, which says more than two intervals side by side.

    Parameters
    ----------
    differences : Table
        Of all pairs; see `xaudio.plugin.Evaluation.differences`.
    first : str
        The explainer with which the others are compared.
    metrics : sequence of Metric

    Returns
    -------
    list of [explainer, title of the metric, recordings, mean difference, lower and upper bound]
        Of those that both have; no bounds where recordings are too few or too alike.
    """
    titles = {(metric.metric, metric.name): metric.title for metric in metrics}
    return [
        [
            row["second"],
            titles[row["metric"], row["value"]],
            row["recordings"],
            *map(_turned, (row["difference"], row["high"], row["low"])),
        ]
        for row in differences
        if row["first"] == first
    ]


def _turned(number: float | None) -> float | None:
    """Of the second less the first, where it was of the first less the second."""
    return None if number is None else 0.0 - number


def agreement(scores: Sequence[Score], metrics: Sequence[Metric]) -> tuple[list[str], list[list[float | None]]]:
    """How alike the metrics order the explainers.

    Returns
    -------
    titles : list of str
        Of the metrics of which better values are known.
    matrix : list of list of float or None
        Spearman's rank correlation of the means, turned so that 1 is the same order; None where fewer than 4 explainers
        have both, or one metric gives all of them the same.
    """
    directed = [metric for metric in metrics if metric.better != "none"]
    means = {
        metric.title: {score.explainer: score.mean for score in scores if score.column == metric.title} for metric in directed
    }
    rows: list[list[float | None]] = []
    for first in directed:
        row = []
        for second in directed:
            pairs = [(mean, means[second.title].get(name)) for name, mean in means[first.title].items()]
            complete = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
            sign = 1.0 if first.better == second.better else -1.0
            row.append(_correlation(complete, sign))
        rows.append(row)
    return [metric.title for metric in directed], rows


def _correlation(pairs: FloatArray, sign: float) -> float | None:
    if len(pairs) < FEWEST:
        return None
    ranks = rankdata(pairs, axis=0)
    ranks -= ranks.mean(0)
    length = float(np.sqrt((ranks[:, 0] ** 2).sum() * (ranks[:, 1] ** 2).sum()))
    return sign * float(ranks[:, 0] @ ranks[:, 1]) / length if length else None
