"""Means with intervals over recordings, ranks with ties, and whether a model does better than guessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError

LEVEL = 0.95
DRAWS = 2000
LEAST = 8
"""Fewest values for an interval: the bootstrap of fewer is far too narrow."""

_CELLS = 2**22
"""Values drawn at a time, 32 MB of indices."""


class Interval(NamedTuple):
    """A mean and the bounds of its interval."""

    mean: float
    low: float
    high: float


def require_enough(count: int, what: str = "recordings") -> None:
    """Raise `DataError` if there are too few values for an interval."""
    if count < LEAST:
        raise DataError(f"{count} {what} are too few for an interval; expected {LEAST} or more.")


def bootstrap_interval(values: ArrayLike, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean with the percentile interval of the bootstrap (Efron 1979): values drawn anew with replacement.

    Parameters
    ----------
    values : array, shape (n,)
        One per recording, 8 or more, finite.
    level : float
        Share of the drawn means that lie in the interval, between 0 and 1.
    draws : int
    seed : int

    Returns
    -------
    Interval
        ``(mean, low, high)`` with low <= mean <= high; the same for the same arguments.

    Raises
    ------
    DataError
        If there are fewer than 8 values, or one is not a finite number.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise DataError(f"An interval needs finite values, one per recording; got shape {found.shape} or a value that is not.")
    require_enough(len(found))
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // len(found))
    means = [
        found[rng.integers(len(found), size=(min(rows, draws - start), len(found)))].mean(1) for start in range(0, draws, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    mean = found.mean()  # rounding may lay it beside the interval of values that are all the same
    return Interval(float(mean), float(min(low, mean)), float(max(high, mean)))


def ranks_with_ties(intervals: Sequence[Interval | None], better: Literal["higher", "lower", "none"]) -> list[int | None]:
    """Ranks that say no more than the intervals do.

    Parameters
    ----------
    intervals : sequence of Interval or None
        Of the methods that are compared; None for one without a value.
    better : {"higher", "lower", "none"}

    Returns
    -------
    list of int or None
        One more than the number of methods whose interval lies wholly on the better side; two whose intervals overlap
        and that are beaten by equally many share a rank. None without a value, or where nothing is better.
    """
    if better == "none":
        return [None] * len(intervals)
    known: NDArray[Any] = np.array([(item.low, item.high) for item in intervals if item is not None]).reshape(-1, 2)
    low, high = known.T if better == "higher" else -known.T[::-1]
    ranks = iter(1 + (low[None, :] > high[:, None]).sum(1))
    return [None if item is None else int(next(ranks)) for item in intervals]


def guessing(labels: ArrayLike) -> float:
    """The accuracy that always naming the commonest of the labels would have; labels are integers, shape (n,)."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    return float(counts.max() / counts.sum())


def above_chance(right: int, recordings: int, chance: float) -> float:
    """Probability of guessing so many or more rightly: the one-sided binomial test.

    Parameters
    ----------
    right : int
        Rightly predicted recordings.
    recordings : int
    chance : float
        Probability of guessing one rightly, 0 to 1.
    """
    from scipy.stats import binomtest

    return float(binomtest(right, recordings, chance, alternative="greater").pvalue)
