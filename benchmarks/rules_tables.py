"""Writes the tables of the guide to rules of LRP from the results that are kept: ``python benchmarks/rules_tables.py``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from xaudio_bench_explainers.results import ModelResult, Results

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results"
GUIDE = ROOT / "docs" / "guide" / "rules.md"
BLOCK = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""What stands between these comments is written by this script."""
FLIPPING, TRUTH = "aopc_difference", "relevance_mass"
EPSILON, ATTNLRP = "lrp:composite=epsilon", "lrp:composite=epsilon,attention=attnlrp"
GAMMA, PLUS = "lrp:composite=epsilon_gamma", "lrp:composite=epsilon_plus"
PAIRS = ((GAMMA, PLUS), (GAMMA, EPSILON), (ATTNLRP, EPSILON))
"""What is compared on the same recordings: the first less the second."""


class Network(NamedTuple):
    """A model of a kept result, by its place there."""

    kept: str
    title: str
    place: int = 0


def tasks(kept: str) -> tuple[Network, ...]:
    """The networks of the tasks with ground truth."""
    names = [
        f"{task}, {network}" for task in ("carriers", "slot", "conjunction") for network in ("residual", "patches", "waveform")
    ]
    return tuple(Network(kept, name, place) for place, name in enumerate(names))


RESIDUAL = (
    Network("rules-demo", "FSDD, ready model"),
    Network("rules-fsdd", "FSDD, 500 steps"),
    Network("rules-fsdd-1500", "FSDD, 1,500 steps"),
    Network("rules-arabic", "Arabic words, 500 steps"),
    Network("rules-arabic-1000", "Arabic words, 1,000 steps"),
    Network("rules-esc10", "ESC-10"),
    Network("rules-az", "AZ digits"),
)
TRANSFORMERS = (
    Network("rules-fsdd", "FSDD, patches", 1),
    Network("rules-fsdd", "FSDD, waveform", 2),
    Network("rules-arabic-patches", "Arabic words, patches"),
    Network("rules-arabic-waveform", "Arabic words, waveform"),
    Network("rules-az-patches", "AZ digits, patches"),
    Network("rules-az-waveform", "AZ digits, waveform"),
    Network("rules-esc10-patches", "ESC-10, patches"),
    Network("rules-esc10-waveform", "ESC-10, waveform"),
)
AGAIN = (
    Network("rules-arabic-seed1", "Arabic words, residual, 1,000 steps"),
    Network("rules-arabic-patches-seed1", "Arabic words, patches"),
    Network("rules-arabic-waveform-seed1", "Arabic words, waveform"),
    Network("rules-az-patches-seed1", "AZ digits, patches"),
    Network("rules-az-waveform-seed1", "AZ digits, waveform"),
    Network("rules-esc10-patches-seed1", "ESC-10, patches"),
    Network("rules-esc10-waveform-seed1", "ESC-10, waveform"),
)
NETWORKS = {
    "truth": (TRUTH, tasks("rules-truth")),
    "truthagain": (TRUTH, tasks("rules-truth-seed1")),
    "residual": (FLIPPING, RESIDUAL),
    "transformers": (FLIPPING, TRANSFORMERS),
    "again": (FLIPPING, AGAIN),
}


@cache
def results_of(kept: str) -> Results:
    """All numbers of a kept result."""
    return Results.model_validate_json((KEPT / kept / "results.json").read_text(encoding="utf-8"))


def model_of(network: Network) -> ModelResult:
    """What was measured of a network."""
    return results_of(network.kept).models[network.place]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [titles, ["---"] * len(titles), *rows])


def scores(column: str, networks: Sequence[Network]) -> str:
    """A row for each explainer, a column for each network: means, and ranks where the network has learned its task."""
    models = [model_of(network) for network in networks]
    titles = [f"{network.title} ({100 * model.accuracy:.0f} %)" for network, model in zip(networks, models, strict=True)]
    explainers = list(dict.fromkeys(score.explainer for model in models for score in model.scores))
    return table(["explainer", *titles], [[f"`{name}`", *(cell(model, name, column) for model in models)] for name in explainers])


def cell(model: ModelResult, explainer: str, column: str) -> str:
    """Mean and rank of an explainer; nothing where it was not measured."""
    for score in model.scores:
        if (score.explainer, score.column) == (explainer, column) and score.mean is not None:
            return number(score.mean) + (f" ({score.rank})" if score.rank and not model.unlearned else "")
    return ""


def number(value: float) -> str:
    """Two decimals, and no minus before nothing."""
    return f"{round(value, 2) + 0.0:.2f}"


def pairs(networks: Sequence[Network]) -> str:
    """Differences on the same recordings with their intervals, and p where all pairs are kept."""
    titles = [f"`{first.partition('=')[2]}` less `{second.partition('=')[2]}`" for first, second in PAIRS]
    names = [network.title + ", again" * (network in AGAIN) for network in networks]
    rows = [[name, *(difference(network, *pair) for pair in PAIRS)] for name, network in zip(names, networks, strict=True)]
    return table(["network", *titles], rows)


def difference(network: Network, first: str, second: str) -> str:
    """Mean and interval of the first explainer less the second, by flipping; nothing where it is not kept."""
    for row in compared(network):
        if (row["first"], row["second"]) in ((first, second), (second, first)):
            sign = 1 if row["first"] == first else -1
            mean = sign * float(row["difference"])
            if not row["low"]:
                return number(mean)
            low, high = sorted((sign * float(row["low"]), sign * float(row["high"])))
            p = f", p {float(row['p_holm']):.2g}" if row.get("p_holm") else ""
            return f"{number(mean)} ({number(low)} to {number(high)}{p})"
    return ""


def compared(network: Network) -> Iterator[dict[str, str]]:
    """The kept differences of a network by flipping: of all pairs, or else from the first explainer."""
    folder, name = KEPT / network.kept, model_of(network).name
    path = folder / "differences.csv"
    first = results_of(network.kept).explainers[0]
    with (path if path.exists() else folder / "paired.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row.get("model", name) != name or FLIPPING not in (row.get("value"), row["metric"]):
                continue
            yield row if "first" in row else {**row, "first": row["explainer"], "second": first}


def written(guide: str) -> str:
    """The guide with the tables of the kept results."""
    real = (*RESIDUAL, *TRANSFORMERS, *AGAIN)

    def block(match: re.Match[str]) -> str:
        text = pairs(real) if match[2] == "pairs" else scores(*NETWORKS[match[2]])
        return f"{match[1]}{text}\n{match[3]}"

    return BLOCK.sub(block, guide)


def main() -> None:
    """Write the guide again."""
    GUIDE.write_text(written(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
