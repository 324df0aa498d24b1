"""Sides timed in turns, round by round; ratios with intervals; and whether other work ran on the machine."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import comb
from pathlib import Path

import torch
from torch import Tensor

from .records import Calibrations, Comparison, Ratio

Run = Callable[[], object]

UNSURE = 0.05
"""How often an interval may miss the median."""

OWN_TIME, OWN_THREADS, SPREAD = 0.97, 0.85, 1.3
"""Bounds of a free machine: the share of the time that a thread gets, that all threads get, and how much the same work varies."""


class Clock:
    """Times sides in turns and, before each round, two pieces of work that are always the same.

    Parameters
    ----------
    device : torch.device
    rounds : int
    """

    def __init__(self, device: torch.device, rounds: int) -> None:
        self.device, self.rounds = device, rounds
        self.matrix = torch.ones(512, 512)
        self.loop: list[tuple[float, float]] = []
        self.product: list[tuple[float, float]] = []

    def times(self, runs: Sequence[Run], rounds: int | None = None) -> list[list[float]]:
        """Seconds of each run in each round; the order turns from round to round.

        Parameters
        ----------
        runs : sequence of callable
        rounds : int, optional
            By default those of the clock.
        """
        times: list[list[float]] = [[] for _ in runs]
        for number in range(rounds or self.rounds):
            self.calibrate()
            for position in range(len(runs)):
                index = (position + number) % len(runs)
                self._wait()
                start = time.perf_counter()
                runs[index]()
                self._wait()
                times[index].append(time.perf_counter() - start)
        return times

    def compare(self, part: str, name: str, runs: Mapping[str, Run], *, base: str = "xaudio", note: str = "") -> Comparison:
        """Time sides by name; each runs once before, since first calls are slower.

        Parameters
        ----------
        part, name, note : str
            As of `Comparison`.
        runs : mapping of str to callable
        base : str
            The side by whose time those of the others are divided.
        """
        for run in runs.values():
            run()
        seconds = dict(zip(runs, self.times(list(runs.values())), strict=True))
        return comparison(part, name, seconds, base=base, note=note)

    def calibrate(self) -> None:
        """Time the same work once more: a loop in one thread, and products of matrices in all."""
        if not self.product:
            self._products()
        start, own = time.perf_counter(), time.thread_time()
        sum(range(400_000))
        self.loop.append((time.perf_counter() - start, time.thread_time() - own))
        start, own = time.perf_counter(), time.process_time()
        self._products()
        self.product.append((time.perf_counter() - start, time.process_time() - own))

    def calibrations(self) -> Calibrations:
        """What the calibrations say of the machine."""
        walls = [[wall for wall, _ in pairs] for pairs in (self.loop, self.product)]
        own = [[cpu for _, cpu in pairs] for pairs in (self.loop, self.product)]
        threads = torch.get_num_threads()
        shares = [
            statistics.median(cpu / wall / count for wall, cpu in zip(*of, strict=True))
            for of, count in zip(zip(walls, own, strict=True), (1, threads), strict=True)
        ]
        spread = max(map(_spread, walls))
        return Calibrations(
            loop_seconds=walls[0],
            loop_cpu_seconds=own[0],
            product_seconds=walls[1],
            product_cpu_seconds=own[1],
            loop_share=shares[0],
            product_share=shares[1],
            spread=spread,
            beside_other_work=shares[0] < OWN_TIME or shares[1] < OWN_THREADS or spread > SPREAD,
        )

    def _products(self) -> Tensor:
        product = self.matrix
        for _ in range(8):
            product = self.matrix @ self.matrix
        return product

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def fresh(folder: Path, name: str) -> Iterator[Path]:
    """Places for what a side writes, another one for each run: NAME0, NAME1 and so on.

    Parameters
    ----------
    folder : Path
    name : str
    """
    return (folder / f"{name}{number}" for number in itertools.count())


def comparison(
    part: str, name: str, seconds: Mapping[str, Sequence[float]], *, base: str = "xaudio", note: str = ""
) -> Comparison:
    """A record of the seconds of all sides, with the ratios of the others to the base.

    Parameters
    ----------
    part, name, base, note : str
        As of `Comparison`.
    seconds : mapping of str to sequence of float
        Of each side in each round.
    """
    ratios = {side: ratio(seconds[base], values) for side, values in seconds.items() if side != base}
    own = {side: list(values) for side, values in seconds.items()}
    return Comparison(part=part, name=name, base=base, seconds=own, ratios=ratios, note=note)


def ratio(base: Sequence[float], other: Sequence[float]) -> Ratio:
    """How many times as long the other takes: the median over rounds, and its interval.

    Parameters
    ----------
    base, other : sequence of float
        Seconds of the same rounds.
    """
    ratios = [one / by for by, one in zip(base, other, strict=True)]
    low, high = median_interval(ratios) or (None, None)
    return Ratio(median=statistics.median(ratios), low=low, high=high)


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Bounds between which the median lies with 95 % or more, whatever the distribution; None of fewer than six values.

    The kth smallest and the kth largest value, with the largest k for which fewer than k of n fair coins fall on one side in at
    most 5 % of all cases (the interval that belongs to the sign test).

    Parameters
    ----------
    values : sequence of float
    """
    count, ordered = len(values), sorted(values)
    chances = [2 * sum(comb(count, heads) for heads in range(kth)) / 2**count for kth in range(1, count // 2 + 1)]
    kth = sum(chance <= UNSURE for chance in chances)
    return (ordered[kth - 1], ordered[count - kth]) if kth else None


def _spread(values: Sequence[float]) -> float:
    """The 90th percentile in multiples of the 10th."""
    if len(values) < 2:
        return 1.0
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return tenths[-1] / tenths[0]
