"""What the benchmark writes: seconds of each side in each round, and what follows from them."""

from __future__ import annotations

from statistics import median
from typing import Literal

from pydantic import Field

from xaudio.plugin import FixedRecord

Rounds = dict[str, list[float]]


class Ratio(FixedRecord):
    """How many times as long one side takes as another: the median over rounds, each of which gives one ratio."""

    median: float
    low: float | None = Field(description="Of an interval of 95 % or more for the median; none of fewer than six rounds.")
    high: float | None

    @property
    def text(self) -> str:
        """The ratio with its interval."""
        interval = "" if self.low is None or self.high is None else f" ({self.low:.2f} to {self.high:.2f})"
        return f"{self.median:.2f}{interval}"


class Comparison(FixedRecord):
    """The same work by several sides."""

    part: str
    name: str
    base: str = Field(description="The side by whose seconds those of the others are divided.")
    seconds: Rounds = Field(description="Of each side, in each round.")
    ratios: dict[str, Ratio] = Field(description="Of each other side: its seconds over those of the base, round by round.")
    steps: Rounds = Field(default={}, description="Seconds of the steps of the work, in each round.")
    peak_bytes: dict[str, float] = Field(default={}, description="Most memory that a process of each side held.")
    values: dict[str, float] = Field(default={}, description="What else was measured, such as how alike the results are.")
    note: str = Field(default="", description="What was done, and what was scaled.")

    @property
    def medians(self) -> dict[str, float]:
        """Seconds of each side and each step, in the median over rounds."""
        return {name: median(seconds) for name, seconds in {**self.seconds, **self.steps}.items()}


class LeftOut(FixedRecord):
    """A part, or a side of it, that was not measured."""

    part: str
    reason: str


class Calibrations(FixedRecord):
    """Two pieces of work that are the same in each round: they say whether the machine did other work."""

    loop_seconds: list[float] = Field(description="A loop of Python, in one thread.")
    loop_cpu_seconds: list[float]
    product_seconds: list[float] = Field(description="Products of matrices, in all threads.")
    product_cpu_seconds: list[float]
    loop_share: float = Field(description="Median share of the time in which the loop's thread ran.")
    product_share: float = Field(description="Median share of the time in which all threads ran.")
    spread: float = Field(description="90th percentile of the seconds over the 10th, of the work that varies more.")
    beside_other_work: bool


class Row(FixedRecord):
    """One explanation by both sides; seconds are medians over rounds, ratios medians of the ratios of each round."""

    model: str
    method: str
    library: str
    unit_seconds: float = Field(description="Forward, and backward to the input.")
    seconds: float
    library_seconds: float
    units: float = Field(description="Time of xaudio in units.")
    library_units: float = Field(description="Time of the library in units.")
    ratio: float = Field(description="How many times faster xaudio is.")
    share_of_peak: float = Field(description="Share of the measured matrix peak that xaudio reaches.")
    library_share_of_peak: float
    difference: float = Field(description="Largest difference of the two, relative to the largest relevance.")
    low: float | None = Field(default=None, description="Of the interval of the ratio.")
    high: float | None = None
    rounds: Rounds = Field(default={}, description="Seconds of the unit, of xaudio and of the library.")

    @property
    def faster(self) -> Ratio:
        """How many times faster xaudio is, with its interval."""
        return Ratio(median=self.ratio, low=self.low, high=self.high)


class Long(FixedRecord):
    """Many recordings through `xaudio.explain`, against a loop over batches written with zennit."""

    model: str
    recordings: int
    seconds: float = Field(description="Of all recordings: the sum of rounds that share them.")
    library_seconds: float
    ratio: float
    low: float | None = None
    high: float | None = None
    rounds: Rounds = Field(default={}, description="Seconds of xaudio and of the library for a round's share of the recordings.")

    @property
    def faster(self) -> Ratio:
        """How many times faster xaudio is, with its interval."""
        return Ratio(median=self.ratio, low=self.low, high=self.high)


class Flip(FixedRecord):
    """The area under deletion curves by xaudio, against the forward passes alone, a naive loop and Quantus."""

    model: str
    recordings: int
    fractions: int
    forward_seconds: float = Field(description="As many forward passes as there are recordings times fractions.")
    seconds: float
    forwards: float = Field(description="Time of xaudio in multiples of the forward passes alone.")
    naive_ratio: float = Field(description="How many times faster than one recording and fraction at a time (timed on one).")
    library_ratio: float | None = Field(description="How many times faster than Quantus with the same fractions.")
    library_default_ratio: float | None = Field(
        description="The same, had Quantus a step for each cell, as by default: its time per step, times the cells."
    )
    left_out: str = Field(description="Why Quantus is left out, if it is.")
    difference: float = Field(description="Largest difference of an area.")
    rounds: Rounds = Field(default={}, description="Seconds of the forward passes, xaudio, the loop (of one) and Quantus.")


class Results(FixedRecord):
    """All numbers of a run."""

    format: Literal[1] = 1
    benchmark: Literal["speed"] = "speed"
    device: str
    threads: int
    batch: int
    rounds: int
    matrix_peak: float = Field(description="Operations per second of float32 matrix products, measured at the start.")
    rows: list[Row]
    long_runs: list[Long]
    flips: list[Flip] = Field(default=[])
    comparisons: list[Comparison] = Field(default=[])
    left_out: list[LeftOut] = Field(default=[])
    calibrations: Calibrations | None = None
    minutes: dict[str, float] = Field(default={}, description="How long each part took.")

    @property
    def work(self) -> str:
        """Whether other work ran on the machine, in words."""
        if self.calibrations is None:
            return "Whether other work ran on the machine was not measured."
        seen = self.calibrations
        facts = (
            f"{len(seen.loop_seconds)} times the same work in between: a thread had {seen.loop_share:.0%} of the time, "
            f"{self.threads} threads had {seen.product_share:.0%}, and the slow tenth took {seen.spread:.2f} times as long"
        )
        if seen.beside_other_work:
            return f"OTHER WORK ran on the machine: do not take seconds for what it can do, and ratios with care. {facts}."
        return f"No other work was noticed. {facts}."
