"""From values per recording to the cells of a table: means, intervals, ranks, and how far metrics agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

import xaudio
import xaudio.plugin
from xaudio.plugin import DataError, Evaluation, FloatArray, Interval

from .results import Metric, Score

FEWEST = 4
"""Explainers whose order two metrics must both know for the orders to be compared."""


def metrics_of(evaluations: Sequence[Evaluation]) -> list[Metric]:
    """The columns that the models have between them, each with a title of its own."""
    columns = {(column.metric, column.name): column for found in evaluations for column in found.columns}
    plain = [name for metric, name in columns if ":" not in metric]
    return [
        Metric(
            metric=metric,
            name=name,
            title=name if ":" not in metric and plain.count(name) == 1 else f"{name} ({metric})",
            better=column.better,
            needs_truth=column.needs_truth,
            definition=column.definition,
        )
        for (metric, name), column in columns.items()
    ]


def scores_of(evaluation: Evaluation, metrics: Sequence[Metric], seed: int) -> list[Score]:
    """All cells of a model's table, metric by metric."""
    return [score for metric in metrics for score in _column(evaluation, metric, seed)]


def _column(evaluation: Evaluation, metric: Metric, seed: int) -> list[Score]:
    scores = [_score(evaluation, explainer, metric, seed) for explainer in evaluation.folders]
    intervals = [
        Interval(score.mean, score.low, score.high)
        if score.mean is not None and score.low is not None and score.high is not None
        else None
        for score in scores
    ]
    ranks = xaudio.plugin.ranks_with_ties(intervals, metric.better)
    return [score.model_copy(update={"rank": rank}) for score, rank in zip(scores, ranks, strict=True)]


def _score(evaluation: Evaluation, explainer: str, metric: Metric, seed: int) -> Score:
    """Mean and interval of an explainer by a metric, or why there is none; the rank is not known yet."""
    refused = evaluation.refused.get((explainer, ""), evaluation.refused.get((explainer, metric.metric)))
    values = evaluation.values.get((explainer, metric.metric, metric.name), np.zeros(0))
    score = Score(explainer=explainer, column=metric.title, recordings=len(values), refused=refused)
    if refused is not None:
        return score
    if not len(values):
        why = " It is measured on correctly predicted recordings." if metric.needs_truth else ""
        return score.model_copy(update={"refused": f"There are no values.{why}"})
    try:
        mean, low, high = xaudio.plugin.bootstrap_interval(values, seed=seed)
    except DataError as error:
        why = " It is measured on correctly predicted recordings." if metric.needs_truth else ""
        return score.model_copy(update={"mean": float(values.mean()), "no_interval": f"{error}{why}"})
    return score.model_copy(update={"mean": mean, "low": low, "high": high})


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
            known = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
            sign = 1.0 if first.better == second.better else -1.0
            row.append(_correlation(known, sign))
        rows.append(row)
    return [metric.title for metric in directed], rows


def _correlation(pairs: FloatArray, sign: float) -> float | None:
    if len(pairs) < FEWEST:
        return None
    ranks = rankdata(pairs, axis=0)
    ranks -= ranks.mean(0)
    length = float(np.sqrt((ranks[:, 0] ** 2).sum() * (ranks[:, 1] ** 2).sum()))
    return sign * float(ranks[:, 0] @ ranks[:, 1]) / length if length else None
