"""Means with intervals over recordings, and ranks with ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError

LEVEL = 0.95
DRAWS = 2000
"""Of a bootstrap."""

LEAST = 8
"""Fewest recordings on which anything is measured."""

FEWEST_FOR_INTERVAL = 16
"""Fewest values for an interval: of 8 from a skewed distribution, an interval of 95 % covers the mean in as few as 58 %."""

DIFFERENT = 5
"""Values that differ from the commonest one, without which nothing is known of how values differ."""

_CELLS = 2**22
"""Values drawn at a time, 32 MB of indices."""


class Interval(NamedTuple):
    """A mean and the bounds of its interval.

    Parameters
    ----------
    mean : float
    low, high : float
        Bounds, in the unit of the mean.
    """

    mean: float
    low: float
    high: float


def tails(level: float) -> tuple[float, float]:
    """The quantiles between which so much of what was drawn lies, as much being left out on both sides.

    Parameters
    ----------
    level : float
        Between 0 and 1.
    """
    return (1 - level) / 2, (1 + level) / 2


def require_enough(count: int, what: str = "recordings") -> None:
    """Raise `DataError` if there are too few values for an interval."""
    if count < LEAST:
        raise DataError(f"{count} {what} are too few for an interval; expected {LEAST} or more.")


def bootstrap_interval(values: ArrayLike, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean with the studentised interval of the bootstrap (bootstrap-t: Efron 1982, Hall 1988).

    Values are resampled with replacement, and the mean less that of the values is divided by its standard error each time.
    At 16 values of normal, uniform, exponential, lognormal, beta and Student's t (3) distributions, and of mixtures with zeros,
    intervals of 95 % cover the mean in 92 to 98 % (a test simulates it); those of the drawn means themselves in 82 % and more.

    Parameters
    ----------
    values : array, shape (n,)
        One per recording, 16 or more, finite; at least 5 must differ from the commonest one.
    level : float
        How often the interval should cover the mean, between 0 and 1.
    draws : int
    seed : int

    Returns
    -------
    Interval
        ``(mean, low, high)`` with low <= mean <= high; the same for the same arguments.

    Raises
    ------
    DataError
        If there are too few values, or too few different ones, or one is not a finite number.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(f"An interval needs finite values, one per recording; got shape {values.shape} or a value that is not.")
    if len(values) < FEWEST_FOR_INTERVAL:
        raise DataError(f"{len(values)} recordings are too few for an interval; expected {FEWEST_FOR_INTERVAL} or more.")
    if (different := len(values) - int(np.unique(values, return_counts=True)[1].max())) < DIFFERENT:
        raise DataError(
            f"{len(values) - different} of {len(values)} values are the same: too few differ for an interval; expected "
            f"{DIFFERENT} or more."
        )
    mean, error = values.mean(), values.std() / np.sqrt(len(values))
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // len(values))
    sizes = [(min(rows, draws - start), len(values)) for start in range(0, draws, rows)]
    studentised = np.concatenate([_studentised(values[rng.integers(len(values), size=size)], mean) for size in sizes])
    low, high = np.quantile(studentised, tails(level), method="nearest")
    return Interval(float(mean), float(min(mean - high * error, mean)), float(max(mean - low * error, mean)))


def _studentised(drawn: NDArray[Any], mean: float) -> NDArray[Any]:
    """Means of drawn values (draws, n) less the mean, over their standard errors; infinite where all drawn are the same."""
    away = drawn.mean(1) - mean
    error = drawn.std(1) / np.sqrt(drawn.shape[1])
    varies = error > 1e-12 * np.abs(drawn).max(1)
    return np.where(varies, away / np.where(varies, error, 1), np.where(away == 0, 0, np.copysign(np.inf, away)))


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
