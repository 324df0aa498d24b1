"""Do groups differ? A permutation test of many cells at once, with control of the family-wise error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial, prod

import numpy as np

from xaudio.plugin import DataError, FloatArray, IntArray

CHUNK = 2**22
"""Correlations held at once: 32 MiB."""

TIE = 1e-9
"""Correlations that differ by less are equal: what is left is rounding."""

SPREAD = 1.25
"""Ratio of the standard deviations of groups above which they do not vary alike."""

SKEWED = 2.0
"""Squared skewness, in units of that of normal values, above which values are skewed."""

CONSTANT = 1e-9
"""A cell that varies by less than this share of its largest magnitude is constant."""


@dataclass(frozen=True, eq=False)
class Tested:
    """What `permutation_test` found.

    Parameters
    ----------
    correlation : ndarray, shape (contrasts, cells)
        Of membership in the group with the value, within blocks; in [-1, 1], positive where the group has more. An effect size:
        the test rests on the studentised difference.
    p : ndarray, shape (contrasts, cells)
        Of each cell by itself, two-sided.
    p_corrected : ndarray, shape (contrasts, cells)
        Corrected for all cells and contrasts: the chance that the largest of all would be as large.
    arrangements : int
        How many arrangements of the groups were compared, that of the data among them.
    exact : bool
        Whether these are all there are.
    """

    correlation: FloatArray
    p: FloatArray
    p_corrected: FloatArray
    arrangements: int
    exact: bool


def permutation_test(
    values: FloatArray, groups: IntArray, blocks: IntArray | None = None, *, permutations: int = 1999, seed: int = 0
) -> Tested:
    """Test each group against all others, in every cell.

    The statistic is the difference of the group from the others over its standard error, where groups may vary differently: the
    slope of the value on membership, after the mean of each block is taken from both, over the standard error HC2 of MacKinnon
    and White (1985). With one block it is Welch's t. So studentised, permutations hold their level for a difference of means also
    where groups differ in size and spread (Janssen 1997; Chung and Romano 2013; DiCiccio and Romano 2017), and not only where
    the units of a block may be exchanged. The largest |t| over all cells and contrasts of each arrangement gives corrected
    p-values that hold the family-wise error whatever the dependence between cells (Westfall and Young 1993; Nichols and Holmes
    2002).

    Parameters
    ----------
    values : ndarray, shape (units, cells)
    groups : ndarray of int, shape (units,)
        0, 1, ...; of two groups only the first is tested against the second, which is the same the other way round.
    blocks : ndarray of int, shape (units,), optional
        Groups are exchanged within blocks only; by default everything is one block.
    permutations : int
        Random arrangements; if there are no more than these at all, every one is taken, and p-values are exact.
    seed : int
        Of the arrangements.

    Raises
    ------
    DataError
        If there is only one group, or there are no permutations.
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    if count < 2 or permutations < 1:
        raise DataError(f"A permutation test needs two groups and a permutation; got {count} and {permutations}.")
    blocks = np.zeros(len(groups), np.int64) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    contrasts = np.arange(1 if count == 2 else count)
    members = (groups == contrasts[:, None]).astype(np.float64)  # (contrasts, units)
    shares = members - _within_blocks(members.T, blocks).T  # of each contrast in each unit's block, in all arrangements
    sizes = np.bincount(blocks)[blocks]
    standard = _standardised(values, blocks)
    squares = standard**2

    def statistics(arranged: IntArray) -> tuple[FloatArray, FloatArray]:
        """Correlations and studentised differences (arrangements, contrasts, cells) of groups (arrangements, units)."""
        away = (arranged[:, None] == contrasts[:, None]) - shares
        return _studentised(away, standard, squares, sizes)

    correlation, observed = (statistic[0] for statistic in statistics(groups[None]))
    magnitude = np.abs(observed) - TIE
    exact = number_of_arrangements(groups, blocks) <= permutations
    above = np.zeros(observed.shape) if exact else np.ones(observed.shape)  # drawn at random, the data's own is added
    largest = [] if exact else [np.abs(observed).max(keepdims=True).ravel()]
    size = max(1, CHUNK // (len(contrasts) * max(values.shape)))
    drawn = all_arrangements(groups, blocks, size) if exact else _random_arrangements(groups, blocks, permutations, size, seed)
    for arranged in drawn:
        drawn_magnitude = np.abs(statistics(arranged)[1])
        above += (drawn_magnitude >= magnitude).sum(0)
        largest.append(drawn_magnitude.max((1, 2)))
    maxima = np.sort(np.concatenate(largest))
    beyond = len(maxima) - np.searchsorted(maxima, magnitude, side="left")
    return Tested(correlation, above / len(maxima), beyond / len(maxima), len(maxima), exact)


def _studentised(away: FloatArray, standard: FloatArray, squares: FloatArray, sizes: IntArray) -> tuple[FloatArray, FloatArray]:
    """Correlations of membership with values, and their studentised differences as normal deviates, both (..., cells).

    Parameters
    ----------
    away : ndarray, shape (..., units)
        Membership less its mean in the unit's block.
    standard, squares : ndarray, shape (units, cells)
        Values less their block's mean, with a sum of squares of 1; and their squares.
    sizes : ndarray of int, shape (units,)
        Of each unit's block.

    Returns
    -------
    correlation, deviate : ndarray
        The deviate has the sign of the difference. It is t brought to the normal distribution by Wallace's formula (1959), with
        the degrees of freedom of Welch and Satterthwaite: t of few units that vary much has heavier tails than t of many, and
        the largest is taken over both.
    """
    spread = (away**2).sum(-1, keepdims=True)
    inverse = np.divide(1, spread, out=np.zeros_like(spread), where=spread > TIE)
    slope = (away @ standard) * inverse
    left = 1 - 1 / sizes - away**2 * inverse  # one less the leverage; 0 where a unit alone decides the slope
    weight = np.divide(away**2, left, out=np.zeros_like(away), where=left > TIE)
    alone = ((left <= TIE) & (np.abs(away) > TIE)).any(-1, keepdims=True)

    def error(inside: FloatArray) -> FloatArray:
        """The sum of weight * (value - slope * away)^2 over some units, without an array of units and cells for each."""
        some = weight * inside
        products = some @ squares - 2 * slope * ((some * away) @ standard) + slope**2 * (some * away**2).sum(-1, keepdims=True)
        return np.where(products > TIE * spread, products, 0)

    members, others = (away > 0).astype(np.float64), (away < 0).astype(np.float64)
    one, other = error(members), error(others)
    total = one + other
    freedom = [np.maximum((side * (weight > 0)).sum(-1, keepdims=True) - 1, 1) for side in (members, others)]
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = total**2 / (one**2 / freedom[0] + other**2 / freedom[1])
        t2 = (slope * spread) ** 2 / total
        deviate = (8 * degrees + 1) / (8 * degrees + 3) * np.sqrt(degrees * np.log1p(t2 / degrees))
    differs = (slope * spread) ** 2 > TIE**2
    deviate = np.where(total > 0, deviate, np.inf)
    return slope * np.sqrt(spread), np.where(differs & ~alone, np.sign(slope) * deviate, 0)


def doubt(values: FloatArray, groups: IntArray, blocks: IntArray | None = None) -> str:
    """Why a permutation test of these values would mark more by chance than it says, or "".

    Studentised permutations hold their level where groups differ in spread, if values are about normal, and where values are
    skewed or have heavy tails, if groups vary alike; not where both are so (a test simulates all of these).
    """
    blocks = np.zeros(len(groups), np.int64) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    count = int(groups.max()) + 1
    for contrast in range(1 if count == 2 else count):
        away = _within_blocks((groups == contrast)[:, None].astype(np.float64), blocks)[:, 0]
        varied, spread = np.abs(away) > TIE, float((away**2).sum())
        if spread <= TIE:
            continue
        standard = _standardised(values, blocks)
        residual = (standard - away[:, None] * (away @ standard / spread))[varied]
        inside = (groups == contrast)[varied]
        sides = [residual[inside], residual[~inside]]
        variances = [(side**2).sum(0) / max(len(side) - 1, 1) for side in sides]
        ratio = float(np.sqrt(np.sum(variances[0]) / max(np.sum(variances[1]), TIE**2)))
        skewness = max(_skewness(side) for side in sides)
        if max(ratio, 1 / max(ratio, TIE)) > SPREAD and skewness > SKEWED:
            return (
                f"groups differ in spread ({max(ratio, 1 / max(ratio, TIE)):.1f} times as large in one) and values are far from "
                "normal, so a permutation test would mark more by chance than its level says"
            )
    return ""


def _skewness(residual: FloatArray) -> float:
    """Mean over cells of the squared skewness, over what it is on average for so many normal values, 6 / n."""
    moment = (residual**2).mean(0)
    varies = moment > TIE**2
    if not varies.any():
        return 0.0
    skewness = (residual[:, varies] ** 3).mean(0) / moment[varies] ** 1.5
    return float((skewness**2).mean() * len(residual) / 6)


def number_of_arrangements(groups: IntArray, blocks: IntArray) -> int:
    """In how many ways the groups can be laid out within the blocks."""
    return prod(
        factorial(int((blocks == block).sum())) // prod(factorial(int(size)) for size in np.bincount(groups[blocks == block]))
        for block in np.unique(blocks)
    )


def all_arrangements(groups: IntArray, blocks: IntArray, size: int) -> Iterator[IntArray]:
    """Every way to lay the groups out within the blocks, in arrays (up to ``size``, units)."""
    order = np.argsort(blocks, kind="stable")
    parts = [groups[blocks == block].tolist() for block in np.unique(blocks)]
    rows: list[IntArray] = []
    for sequence in _sequences(parts):
        row = np.empty_like(groups)
        row[order] = sequence
        rows.append(row)
        if len(rows) == size:
            yield np.array(rows)
            rows = []
    if rows:
        yield np.array(rows)


def _sequences(parts: Sequence[list[int]]) -> Iterator[list[int]]:
    if not parts:
        yield []
        return
    for first in _orders(parts[0]):
        for rest in _sequences(parts[1:]):
            yield first + rest


def _orders(items: list[int]) -> Iterator[list[int]]:
    """The different orders of items, of which some are equal."""
    if not items:
        yield []
        return
    for first in sorted(set(items)):
        rest = items.copy()
        rest.remove(first)
        for more in _orders(rest):
            yield [first, *more]


def _random_arrangements(groups: IntArray, blocks: IntArray, count: int, size: int, seed: int) -> Iterator[IntArray]:
    rng = np.random.default_rng(seed)
    order = np.argsort(blocks, kind="stable")
    for start in range(0, count, size):
        keys = rng.random((min(size, count - start), len(groups))) + blocks  # shuffled within blocks, blocks in order
        arranged = np.empty(keys.shape, dtype=groups.dtype)
        arranged[:, order] = groups[np.argsort(keys, axis=1)]
        yield arranged


def _within_blocks(values: FloatArray, blocks: IntArray) -> FloatArray:
    """Values (units, cells) less the mean of their block."""
    counts = np.bincount(blocks)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, blocks, values)
    return np.asarray(values - (sums / counts[:, None])[blocks])


def _standardised(values: FloatArray, blocks: IntArray) -> FloatArray:
    """Values less their block's mean, with a sum of squares of 1 in every cell; 0 where a cell does not vary."""
    centred = _within_blocks(values, blocks)
    length = np.linalg.norm(centred, axis=0)
    varies = length > CONSTANT * np.abs(values).max(0) * np.sqrt(len(values))
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=varies))
