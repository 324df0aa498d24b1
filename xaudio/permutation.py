"""Do groups differ? A permutation test of many cells at once, with control of the family-wise error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial, prod

import numpy as np

from .errors import DataError
from .types import FloatArray, IntArray

CHUNK = 2**22
"""Correlations held at once: 32 MiB."""

TIE = 1e-9
"""Correlations that differ by less are equal: what is left is rounding."""

CONSTANT = 1e-9
"""A cell that varies by less than this share of its largest magnitude is constant."""


@dataclass(frozen=True, eq=False)
class Tested:
    """What `permutation_test` found.

    Parameters
    ----------
    correlation : ndarray, shape (contrasts, cells)
        Of membership in the group with the value, within blocks; in [-1, 1], positive where the group has more.
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

    The statistic is the correlation r of membership with the value, after the mean of each block is taken from both; with
    one block it grows with Student's t, t = r sqrt((n - 2) / (1 - r^2)). Under the null hypothesis the units of
    a block may be exchanged. The largest |r| over all cells and contrasts of each arrangement gives corrected p-values
    that hold the family-wise error whatever the dependence between cells (Westfall and Young 1993; Nichols and Holmes 2002).

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
    lengths = np.linalg.norm(_within_blocks(members.T, blocks), axis=0)
    weights = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > TIE)
    standard = _standardised(values, blocks)

    def correlations(arranged: IntArray) -> FloatArray:
        """(arrangements, contrasts, cells) of groups (arrangements, units)."""
        # The means of the blocks need not be taken from the members: the values already sum to 0 within each block.
        return np.asarray(((arranged[:, None] == contrasts[:, None]) * weights[:, None]) @ standard)

    observed = correlations(groups[None])[0]
    magnitude = np.abs(observed) - TIE
    exact = number_of_arrangements(groups, blocks) <= permutations
    above = np.zeros(observed.shape) if exact else np.ones(observed.shape)  # drawn at random, the data's own is added
    largest = [] if exact else [np.abs(observed).max(keepdims=True).ravel()]
    size = max(1, CHUNK // (len(contrasts) * max(values.shape)))
    drawn = all_arrangements(groups, blocks, size) if exact else _random_arrangements(groups, blocks, permutations, size, seed)
    for arranged in drawn:
        found = np.abs(correlations(arranged))
        above += (found >= magnitude).sum(0)
        largest.append(found.max((1, 2)))
    maxima = np.sort(np.concatenate(largest))
    beyond = len(maxima) - np.searchsorted(maxima, magnitude, side="left")
    return Tested(observed, above / len(maxima), beyond / len(maxima), len(maxima), exact)


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
