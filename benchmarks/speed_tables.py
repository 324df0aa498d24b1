"""Writes the tables of the guide to speed from the results that are kept: ``python benchmarks/speed_tables.py``.

xaudio bench speed --out runs/speed
cp runs/speed/results.json runs/speed/run.json benchmarks/results/speed-2-cores/
python benchmarks/speed_tables.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from xaudio_bench_speed.records import Comparison, Results

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results" / "speed-2-cores"
GUIDE = ROOT / "docs" / "guide" / "speed.md"
BLOCK = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""What stands between these comments is written by this script."""


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table of Markdown, after an empty one; none without rows."""
    lines = [titles, ["---"] * len(titles), *rows] if rows else []
    return ["", *(f"| {' | '.join(cells)} |" for cells in lines)] if lines else []


def machine(results: Results) -> list[str]:
    """When and where it was measured, and whether other work ran."""
    run = json.loads((KEPT / "run.json").read_text(encoding="utf-8"))
    versions = run.get("versions", {})
    named = ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "zennit", "captum", "quantus", "shap", "librosa") if name in versions
    )
    day = str(run["written"])[:10]
    return [
        f"Measured by `{run['command']}` on {day}: {results.device}, {results.threads} threads, {named}, "
        f"batches of {results.batch}, {results.rounds} rounds, float32, matrix peak {results.matrix_peak / 1e9:.0f} Gflop/s. "
        f"{results.work}"
    ]


def explainers(results: Results) -> list[str]:
    """LRP and gradients beside other libraries, and many recordings."""
    titles = ("network", "method", "ms a recording", "units", "other library", "its units", "times faster")
    rows = [
        (
            row.model,
            row.method,
            f"{1000 * row.seconds / results.batch:.1f}",
            f"{row.units:.2f}",
            f"{row.library} {1000 * row.library_seconds / results.batch:.1f}",
            f"{row.library_units:.2f}",
            row.faster.text,
        )
        for row in results.rows
    ]
    for many in results.long_runs:
        own, other = (1000 * seconds / many.recordings for seconds in (many.seconds, many.library_seconds))
        name = f"{many.recordings} recordings through `xaudio.explain`"
        rows.append((many.model, name, f"{own:.1f}", "", f"loop with zennit {other:.1f}", "", many.faster.text))
    return [*table(titles, rows), *left_out(results, "explainers")]


def left_out(results: Results, part: str) -> list[str]:
    """What of a part was not measured, and why."""
    return [line for left in results.left_out if left.part == part for line in ("", f"Left out: {left.reason}")]


def flipping(results: Results) -> list[str]:
    """Pixel flipping beside its forward passes, a loop and Quantus."""
    titles = (
        *("network", "recordings × fractions", "seconds", "of the forward passes alone", "naive loop takes"),
        *("Quantus, same fractions", "Quantus, a step per cell (computed)"),
    )
    rows = []
    for row in results.flips:
        library = [f"{ratio:.2f} times" if ratio is not None else "" for ratio in (row.library_ratio, row.library_default_ratio)]
        size = f"{row.recordings} × {row.fractions}"
        rows.append((row.model, size, f"{row.seconds:.2f}", f"{row.forwards:.2f}", f"{row.naive_ratio:.2f} times", *library))
    return table(titles, rows)


def compared(part: str) -> Callable[[Results], list[str]]:
    """A table of a part that compares sides by name."""

    def lines(results: Results) -> list[str]:
        made = [item for item in results.comparisons if item.part == part]
        rows = [cells for item in made for cells in _sides(item)]
        titles = ("what", "side", "seconds", "times as long", "as which", "and")
        return [*table(titles, rows), *left_out(results, part)]

    return lines


def _sides(item: Comparison) -> Iterator[tuple[str, ...]]:
    for number, (side, seconds) in enumerate(item.seconds.items()):
        facts = [f"{step} {median(rounds):.2f} s" for step, rounds in item.steps.items()] if number == 0 else []
        facts += [f"{name} {value:.3g}" for name, value in item.values.items()] if number == 0 else []
        facts += [f"at most {item.peak_bytes[side] / 1e9:.2f} GB"] if side in item.peak_bytes else []
        times = item.ratios[side].text if side in item.ratios else "1"
        yield (item.name if number == 0 else "", side, f"{median(seconds):.4g}", times, item.base, ", ".join(facts))


PARTS = ("command", "latency", "files", "long", "functions", "preparation", "training", "precision")
TABLES: dict[str, Callable[[Results], list[str]]] = {
    "machine": machine,
    "explainers": explainers,
    "flipping": flipping,
    **{part: compared(part) for part in PARTS},
}


def written(guide: str, results: Results) -> str:
    """The guide with the tables of these results; what they do not hold is left as it is."""

    def block(match: re.Match[str]) -> str:
        lines = TABLES[match[2]](results)
        return "\n".join([match[1] + "\n".join(lines).strip(), "", match[3]]) if lines else match[0]

    return BLOCK.sub(block, guide)


def main() -> None:
    """Write the guide again."""
    results = Results.model_validate_json((KEPT / "results.json").read_text(encoding="utf-8"))
    GUIDE.write_text(written(GUIDE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
