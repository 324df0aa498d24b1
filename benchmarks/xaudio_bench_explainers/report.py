"""The leaderboard as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xaudio.plugin
from xaudio.plugin import CONTROLS

from .results import Metric, ModelResult, Results, Score
from .table import headline, refusals

WIDTH = 160
"""Of the drawing of an interval, in units of its view box."""
MARGIN = 4
MOST = 4
"""Explainers that a digest names."""


def shown_on_page(results: Results) -> dict[str, Any]:
    """What the page shows besides the results."""
    models = [shown(model, results) for model in results.models]
    return {"models": models, "overall": overall(results) if len(models) > 1 else [], "controls": CONTROLS}


write_report = xaudio.plugin.report_writer(Results, __package__, shown_on_page)
"""Writes ``report.html`` from what a folder holds."""


def shown(model: ModelResult, results: Results) -> dict[str, Any]:
    """What the page shows of a model; the first metric that was measured is unfolded."""
    columns = [column(model, metric) for metric in results.metrics]
    unfolded = next((item for item in columns if item["reason"] is None), None)
    return {
        "model": model,
        "headline": headline(model),
        "refusals": refusals(results.explainers, model),
        "ranks": ranks(model, results),
        "columns": [{**item, "open": item is unfolded} for item in columns],
    }


def ranks(model: ModelResult, results: Results) -> list[dict[str, Any]]:
    """The rows of the table of ranks: an explainer with its score by each metric that knows better from worse."""
    titles = [metric.title for metric in results.metrics if metric.better != "none"]
    cells = {(score.explainer, score.column): score for score in model.scores}
    return [
        {
            "explainer": name,
            "milliseconds": model.milliseconds.get(name),
            "scores": [cells[name, title] for title in titles],
        }
        for name in results.explainers
    ]


def column(model: ModelResult, metric: Metric) -> dict[str, Any]:
    """A metric with its table, the best first, and the drawing of each interval on one scale."""
    scores = model.column(metric.title)
    measured = [score for score in scores if score.mean is not None]
    reasons = {score.refused for score in scores}
    low = min((score.low for score in measured if score.low is not None), default=0.0)
    high = max((score.high for score in measured if score.high is not None), default=1.0)
    rows = [
        {"score": score, "drawing": drawing(score, low, high), "ms": model.milliseconds.get(score.explainer)} for score in scores
    ]
    return {
        "metric": metric,
        "rows": rows,
        "low": low,
        "high": high,
        "digest": digest(metric, measured),
        "reason": next(iter(reasons)) if not measured and len(reasons) == 1 else None,
    }


def digest(metric: Metric, scores: Sequence[Score]) -> str:
    """What a metric says, in a few words: who comes first, unless chance does."""
    first = [score.explainer for score in scores if score.rank == 1]
    if not scores:
        return "not measured"
    if metric.better == "none":
        return "neither high nor low is better"
    if "random" in first:
        return "no explainer does better than random"
    more = f" and {len(first) - MOST} more that cannot be told apart" if len(first) > MOST else ""
    return f"first: {', '.join(first[:MOST])}{more}"


def drawing(score: Score, low: float, high: float) -> dict[str, float] | None:
    """Positions of an interval, its mean and 0 (-1 if it is outside) on a scale from low to high; None without a value."""
    if score.mean is None or score.low is None or score.high is None:
        return None
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / span, 1)

    return {
        "low": place(score.low),
        "high": place(score.high),
        "mean": place(score.mean),
        "zero": place(0.0) if low < 0 < high else -1,
    }


def overall(results: Results) -> list[dict[str, Any]]:
    """Ranks of each explainer in all models, for each metric that knows better from worse."""
    titles = [metric.title for metric in results.metrics if metric.better != "none"]
    cells = [{(score.explainer, score.column): score.rank for score in model.scores} for model in results.models]
    return [
        {"explainer": name, "ranks": [_together([cell[name, title] for cell in cells]) for title in titles]}
        for name in results.explainers
    ]


def _together(ranks: Sequence[int | None]) -> dict[str, Any]:
    measured = [rank for rank in ranks if rank is not None]
    text = " ".join("–" if rank is None else str(rank) for rank in ranks)
    return {"text": text, "mean": sum(measured) / len(measured) if measured else None}
