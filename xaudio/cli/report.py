"""`xaudio report`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModelError
from ..output.runs import read_json
from ..registry.loading import registry


def report(
    folder: Annotated[
        Path, typer.Argument(help="--out of xaudio bench, evaluate, probe, groups, cluster, concepts or study analyze.")
    ],
) -> None:
    """Write the report of a folder anew from its results."""
    path = folder / "results.json"
    results = read_json(path) if path.exists() else None
    results = results if isinstance(results, dict) else {}
    if name := results.get("benchmark"):
        page = registry().create("benchmark", str(name)).report(folder)
    elif write := REPORTS.get(str(results.get("result"))):
        page = write(folder)
    else:
        raise ModelError(
            f"{folder}: holds no results that have a report. Give the --out folder of xaudio bench, evaluate, probe, groups, "
            "cluster, concepts or study analyze."
        )
    print(f"Report: {page}")


def _of_groups(folder: Path) -> Path:
    from xaudio_patterns.pages import report_groups

    return report_groups(folder)


def _of_clusters(folder: Path) -> Path:
    from xaudio_patterns.pages import report_clusters

    return report_clusters(folder)


def _of_probe(folder: Path) -> Path:
    from xaudio_probe.probing import report as report_probe

    return report_probe(folder)


def _of_concepts(folder: Path) -> Path:
    from xaudio_concepts.page import report as report_concepts

    return report_concepts(folder)


def _of_study(folder: Path) -> Path:
    from xaudio_study.analysis.report import write_results
    from xaudio_study.analysis.results import StudyResults

    from ..output.pages import read_results

    return write_results(folder, read_results(folder / "results.json", StudyResults))


REPORTS: Mapping[str, Callable[[Path], Path]] = {
    "groups": _of_groups,
    "clusters": _of_clusters,
    "probe": _of_probe,
    "concepts": _of_concepts,
    "study": _of_study,
}
"""What writes the page, by what ``results.json`` says that it holds under "result"."""
