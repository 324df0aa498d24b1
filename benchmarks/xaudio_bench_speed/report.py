"""Results of the benchmark as text and as a page."""

from __future__ import annotations

from statistics import median

import xaudio
import xaudio.plugin

from .records import Comparison, Flip, Results


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
    for made in results.comparisons:
        lines += _comparison_lines(made)
    lines += [f"{left.part}: left out. {left.reason}" for left in results.left_out]
    lines.append(results.work)
    return "\n".join(lines)


def _flip_line(flip: Flip) -> str:
    library = flip.left_out
    if flip.library_ratio is not None and flip.library_default_ratio is not None:
        library = f"Quantus {flip.library_ratio:.2f}, and {flip.library_default_ratio:.0f} by its default of a step per cell"
    return (
        f"{flip.model:15s} {f'flipping {flip.recordings} recordings':26s} {flip.seconds:7.3f} s: {flip.forwards:.2f} times the "
        f"{flip.recordings * flip.fractions} forward passes alone. Times as long: naive loop {flip.naive_ratio:.2f}; {library}"
    )


def _comparison_lines(made: Comparison) -> list[str]:
    lines = [f"{made.part}: {made.name}"]
    for side, seconds in made.seconds.items():
        ratio = f" {made.ratios[side].text} times {made.base}" if side in made.ratios else ""
        peak = f", at most {made.peak_bytes[side] / 1e9:.2f} GB" if side in made.peak_bytes else ""
        lines.append(f"  {side:36s} {median(seconds):9.4f} s{ratio}{peak}")
    if made.steps:
        lines.append("  of which " + ", ".join(f"{step} {median(seconds):.2f} s" for step, seconds in made.steps.items()))
    if made.values:
        lines.append("  " + ", ".join(f"{name} {value:.3g}" for name, value in made.values.items()))
    return lines


write_report = xaudio.plugin.report_writer(Results, __package__)
"""Writes ``report.html`` from what a folder holds."""
