"""From values per recording to cells with intervals, and to one table of the renderer's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import xaudio
import xaudio.plugin
from xaudio.plugin import CONTROLS, DataError, FloatArray

from .measures import MEASURES
from .results import Cell, Column, Row, Score

DIGITS = 4

Values = Mapping[str, Sequence[float | None]]


def columns() -> list[Column]:
    """The measures, in the order of the table."""
    return [
        Column(name=name, better=measure.better, needs_truth=measure.needs_truth, definition=measure.definition)
        for name, measure in MEASURES.items()
    ]


def cells_of(values: Mapping[tuple[str, str], Values], seed: int) -> list[Cell]:
    """A model's table."""
    return [
        Cell(
            explainer=explainer,
            renderer=renderer,
            scores={name: score_of(np.array(measures[name], dtype=np.float64), seed) for name in MEASURES},
            silent=sum(value is None for value in measures["clicks_db"]),
        )
        for (explainer, renderer), measures in values.items()
    ]


def score_of(values: FloatArray, seed: int) -> Score:
    """Mean and interval of the values that are there; NaN stands for those that are not."""
    return _scored(values, seed)[0]


def _scored(values: FloatArray, seed: int) -> tuple[Score, Any]:
    """The score, and the interval before rounding, or None."""
    finite = values[np.isfinite(values)]
    try:
        interval = xaudio.plugin.bootstrap_interval(finite, seed=seed)
    except DataError as error:
        if not len(finite):
            return Score(recordings=0, refused=str(error)), None
        return Score(mean=round(float(finite.mean()), DIGITS), recordings=len(finite), no_interval=str(error)), None
    mean, low, high = (round(value, DIGITS) for value in interval)
    return Score(mean=mean, low=low, high=high, recordings=len(finite)), interval


def overall(
    models: Sequence[Mapping[tuple[str, str], Values]], explainers: Sequence[str], renderers: Sequence[str], seed: int
) -> list[Row]:
    """Settings over all models and explainers but the controls: of each recording the mean over explainers, then as ever."""
    asked = [name for name in explainers if name not in CONTROLS] or list(explainers)
    scores: dict[str, dict[str, Score]] = {renderer: {} for renderer in renderers}
    ranks: dict[str, dict[str, int]] = {renderer: {} for renderer in renderers}
    for name, measure in MEASURES.items():
        intervals = []
        for renderer in renderers:
            means = [_means([values[spec, renderer][name] for spec in asked if (spec, renderer) in values]) for values in models]
            scores[renderer][name], interval = _scored(np.concatenate(means), seed)
            intervals.append(interval)
        for renderer, rank in zip(renderers, xaudio.plugin.ranks_with_ties(intervals, measure.better), strict=True):
            if rank is not None:
                ranks[renderer][name] = rank
    return [Row(renderer=renderer, scores=scores[renderer], ranks=ranks[renderer]) for renderer in renderers]


def _means(values: Sequence[Sequence[float | None]]) -> FloatArray:
    """Of each recording the mean over the explainers that have a value; NaN if none has."""
    numbers = np.array(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    count = finite.sum(0)
    return np.where(count > 0, np.where(finite, numbers, 0).sum(0) / np.maximum(count, 1), np.nan)
