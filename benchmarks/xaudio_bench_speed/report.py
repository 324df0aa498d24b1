"""Results of the benchmark: their schema, as a table and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

import xaudio
import xaudio.plugin
from xaudio.plugin import FixedRecord


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


class Long(FixedRecord):
    """Many recordings through `xaudio.explain`, against a loop over batches written with zennit."""

    model: str
    recordings: int
    seconds: float
    library_seconds: float
    ratio: float


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


def table_text(results: Results) -> str:
    """The results as text."""
    side = f"{'seconds':>9s} {'units':>6s} {'peak':>5s}"
    lines = [
        f"{results.device}, {results.threads} threads, batches of {results.batch}, {results.rounds} rounds, "
        f"float32 matrix peak {results.matrix_peak / 1e9:.0f} Gflop/s",
        f"{'':42s} {'xaudio':^22s}  {'library':^22s}",
        f"{'model':15s} {'method':26s} {side}  {side}  ratio",
    ]
    for row in results.rows:
        ours = f"{row.seconds:7.3f} s {row.units:6.2f} {row.share_of_peak:5.0%}"
        theirs = f"{row.library_seconds:7.3f} s {row.library_units:6.2f} {row.library_share_of_peak:5.0%}"
        lines.append(f"{row.model:15s} {row.method:26s} {ours}  {theirs} {row.ratio:6.2f}  {row.library}")
    for long in results.long_runs:
        lines.append(
            f"{long.model:15s} {f'{long.recordings} recordings':26s} {long.seconds:7.1f} s {'':12s}  "
            f"{long.library_seconds:7.1f} s {'':12s} {long.ratio:6.2f}  zennit"
        )
    lines += map(_flip_line, results.flips)
    return "\n".join(lines)


def _flip_line(flip: Flip) -> str:
    library = flip.left_out
    if flip.library_ratio is not None and flip.library_default_ratio is not None:
        library = f"Quantus {flip.library_ratio:.2f}, and {flip.library_default_ratio:.0f} by its default of a step per cell"
    return (
        f"{flip.model:15s} {f'flipping {flip.recordings} recordings':26s} {flip.seconds:7.3f} s: {flip.forwards:.2f} times the "
        f"{flip.recordings * flip.fractions} forward passes alone. Times as long: naive loop {flip.naive_ratio:.2f}; {library}"
    )


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from ``results.json`` and ``run.json``.

    Raises
    ------
    ModelError
        If one of them is missing, damaged or of another version.
    """
    results = xaudio.plugin.read_results(folder / "results.json", Results)
    return xaudio.plugin.write_page(folder, __package__, results=results)
