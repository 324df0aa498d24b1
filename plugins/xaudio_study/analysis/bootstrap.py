"""Intervals over participants and recordings at once: both are resampled, so that a result is said about others of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xaudio.plugin import DRAWS, LEAST, LEVEL, tails

from .table import Floats, Indices, Table

DEFINED = 0.5
"""Least share of draws in which a measure has a value, for an interval: a class that a draw lacks has none."""


class Weights(NamedTuple):
    """How often each participant (draws, participants) and each recording (draws, recordings) was drawn."""

    participants: Floats
    recordings: Floats

    def of(self, participant: Indices, recording: Indices) -> Iterator[Floats]:
        """For each draw how often each answer counts, shape (answers,)."""
        for people, sounds in zip(self.participants, self.recordings, strict=True):
            yield people[participant] * sounds[recording]


def crossed_draws(
    participants: int, strata: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0, least: int = LEAST
) -> Weights | None:
    """Draw participants and recordings with replacement, independently: the pigeonhole bootstrap (Owen 2007).

    It is somewhat conservative: the noise of a single answer is counted up to three times.

    Parameters
    ----------
    participants : int
    strata : ndarray of int, shape (recordings,)
        Recordings are drawn within each stratum (correctly and wrongly predicted ones), as many as there were.
    draws, seed : int
    least : int
        Of fewer participants, or fewer recordings in a stratum, all are kept: the bootstrap of so few is far too narrow.

    Returns
    -------
    Weights or None
        None if nothing can be resampled.
    """
    if not drawn_anew(participants, strata, least):
        return None
    rng = np.random.default_rng(seed)
    people = _counts(rng, participants, draws, least)
    sounds = np.ones((draws, len(strata)))
    for stratum in np.unique(strata):
        chosen = np.flatnonzero(strata == stratum)
        sounds[:, chosen] = _counts(rng, len(chosen), draws, least)
    return Weights(people, sounds)


def drawn_anew(participants: int, strata: NDArray[np.int64], least: int = LEAST) -> list[str]:
    """What there is enough of to be drawn: "participants", and "recordings" (of each stratum)."""
    enough = np.unique(strata, return_counts=True)[1].min() >= least
    return ["participants"] * (participants >= least) + ["recordings"] * bool(enough)


def strata_of(table: Table) -> Indices:
    """1 for correctly and 0 for wrongly predicted recordings, shape (recordings,)."""
    strata: Indices = np.zeros(len(table.recordings), np.int64)
    strata[table.recording] = table.right
    return strata


def drawn_tables(table: Table, condition: int, weights: Weights) -> Floats:
    """Counts of predictions and answers in each draw, of one condition.

    Returns
    -------
    ndarray, shape (draws, 3, classes, classes)
        The second axis is wrongly and correctly predicted recordings, and all.
    """
    rows, classes = table.condition == condition, len(table.classes)
    cells = ((table.right * classes + table.predicted) * classes + table.answered)[rows]
    drawn = weights.of(table.participant[rows], table.recording[rows])
    parts = np.array([np.bincount(cells, weight, 2 * classes**2) for weight in drawn]).reshape(-1, 2, classes, classes)
    return np.concatenate([parts, parts.sum(1, keepdims=True)], 1)


def drawn_means(table: Table, condition: int, values: Floats, weights: Weights) -> Floats:
    """Mean of one value per answer (answers,) in each draw, of one condition, for wrong, right and all: (draws, 3)."""
    rows = table.condition == condition
    cells, chosen = table.right[rows].astype(np.int64), values[rows]
    drawn = list(weights.of(table.participant[rows], table.recording[rows]))
    sums, counts = (
        np.array([np.bincount(cells, weight * factor, 2) for weight in drawn]) for factor in (chosen, np.ones_like(chosen))
    )
    sums, counts = (np.column_stack([with_total, with_total.sum(1)]) for with_total in (sums, counts))
    return np.where(counts > 0, sums / np.where(counts > 0, counts, 1), np.nan)


def bounds(value: float, drawn: Floats, level: float = LEVEL) -> tuple[float, float] | None:
    """Bias-corrected percentile interval (Efron 1981) of a value from what was drawn (draws,).

    Returns
    -------
    (float, float) or None
        None if nothing was drawn, or the value is undefined in most draws.
    """
    from scipy.special import ndtr, ndtri

    finite = _known(drawn)
    if finite is None:
        return None
    below = (np.count_nonzero(finite < value) + np.count_nonzero(finite == value) / 2) / len(finite)
    shift = ndtri(np.clip(below, 0.5 / len(finite), 1 - 0.5 / len(finite)))
    reach = ndtri(tails(level)[1])
    low, high = np.quantile(finite, ndtr([2 * shift - reach, 2 * shift + reach]))
    return float(low), float(high)


def centred(value: float, drawn: Floats, level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of what was drawn (draws,), moved so that its median is the value; in [-1, 1].

    For markedness over classes. With few recordings of each class a draw lacks some, those that are left are then more
    often predicted than in the study, and nearly all draws lie above the value. `bounds` would then look for the interval
    in their thin tail, where it is far too narrow.

    Returns
    -------
    (float, float) or None
        As `bounds`.
    """
    finite = _known(drawn)
    if finite is None:
        return None
    low, middle, high = np.quantile(finite, [tails(level)[0], 0.5, tails(level)[1]])
    return float(max(-1.0, value + low - middle)), float(min(1.0, value + high - middle))


def _known(drawn: Floats) -> Floats | None:
    """The draws in which the value is defined, None if these are too few."""
    finite = drawn[np.isfinite(drawn)]
    return finite if len(finite) and len(finite) >= DEFINED * len(drawn) else None


def _counts(rng: np.random.Generator, count: int, draws: int, least: int) -> Floats:
    if count < least:
        return np.ones((draws, count))
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
