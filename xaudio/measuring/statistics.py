"""Means with intervals over recordings, and ranks with ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from ..output.words import counted

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
        few = counted(len(values), "recording is", "recordings are")
        raise DataError(f"{few} too few for an interval; expected {FEWEST_FOR_INTERVAL} or more.")
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
    bounds: NDArray[Any] = np.array([(item.low, item.high) for item in intervals if item is not None]).reshape(-1, 2)
    low, high = bounds.T if better == "higher" else -bounds.T[::-1]
    ranks = iter(1 + (low[None, :] > high[:, None]).sum(1))
    return [None if item is None else int(next(ranks)) for item in intervals]


ARRANGEMENTS = 20_000
"""Drawn by a test of differences; fewer where there are fewer in all."""


def difference_tests(differences: ArrayLike, *, seed: int = 0) -> NDArray[Any]:
    """Two-sided probabilities of mean differences as large as these, where there are none: the larger of two tests.

    One exchanges the two of each pair (all arrangements of the signs, where there are at most 20,000): it is exact where the
    two that are compared could be exchanged, such as two controls that know nothing. The other is the bootstrap of
    `bootstrap_interval`, which knows skewed differences. Of simulated evaluations with 16 recordings and 5 explainers of the
    same mean, 2 to 3 % told any two apart after Holm's correction where values were normal or mostly zero, 7 % where they were
    exponential and of very different spread, and 17 % where they were lognormal; with 64 recordings 2 to 3 % and 8 %.

    Parameters
    ----------
    differences : array, shape (n, pairs)
        One row per recording, finite.
    seed : int

    Returns
    -------
    ndarray, shape (pairs,)
        1 / 10,000 or 2 / 2**n at the least.

    Raises
    ------
    DataError
        If there is no row, or a value is not a finite number.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise DataError(f"Tests of differences need finite values, a row per recording; got shape {values.shape}.")
    rng = np.random.default_rng(seed)
    return np.asarray(np.maximum(exchange_tests(values, rng), _bootstrap_tests(values, rng)))


def exchange_tests(values: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Probabilities (pairs,) of sums as large, if signs of rows (n, pairs) could be exchanged."""
    count = len(values)
    least = np.abs(values.sum(0)) - 1e-12 * np.abs(values).sum(0)
    if 2**count <= ARRANGEMENTS:
        patterns = 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1) - 1
        return np.asarray((np.abs(patterns @ values) >= least).mean(0))
    drawn = (2 * rng.integers(2, size=size) - 1 for size in _sizes(count))
    as_large = np.sum([(np.abs(signs @ values) >= least).sum(0) for signs in drawn], axis=0)
    return np.asarray((1 + as_large) / (1 + ARRANGEMENTS))


def _bootstrap_tests(values: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Probabilities (pairs,) of intervals, drawn as by `bootstrap_interval`, that just reach 0."""
    count, centred = len(values), values - values.mean(0)
    scale = np.abs(values).max(0)
    observed = _over_error(values.mean(0), values.std(0), scale)
    below, above = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for rows, _ in _sizes(count):
        places = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        counts = np.bincount(places.ravel(), minlength=rows * count).reshape(rows, count)
        means = counts @ centred / count
        drawn = _over_error(means, np.sqrt(np.maximum(counts @ centred**2 / count - means**2, 0)), scale)
        below, above = below + (drawn <= observed).sum(0), above + (drawn >= observed).sum(0)
    return np.asarray(np.minimum(2 * (1 + np.minimum(below, above)) / (1 + ARRANGEMENTS), 1))


def _over_error(away: NDArray[Any], error: NDArray[Any], scale: NDArray[Any]) -> NDArray[Any]:
    """Means over their standard errors; infinite where all values are the same."""
    varies = error > 1e-9 * scale
    apart = np.where(np.abs(away) <= 1e-12 * scale, 0, np.copysign(np.inf, away))
    return np.where(varies, away / np.where(varies, error, 1), apart)


def _sizes(count: int) -> list[tuple[int, int]]:
    """Shapes of arrangements of so many values that are drawn at a time."""
    rows = max(1, _CELLS // count)
    return [(min(rows, ARRANGEMENTS - start), count) for start in range(0, ARRANGEMENTS, rows)]


def holm(chances: Sequence[float]) -> list[float]:
    """Probabilities corrected for their number (Holm 1979): the family-wise error holds however the tests depend on each other.

    Parameters
    ----------
    chances : sequence of float
    """
    order = np.argsort(chances)
    steps = np.asarray(chances, dtype=np.float64)[order] * (len(chances) - np.arange(len(chances)))
    corrected = np.empty(len(chances))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]
