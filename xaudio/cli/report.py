"""`xaudio report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModelError
from ..output.runs import read_json
from ..registry.loading import registry
from .stopping import when_stopped


@when_stopped("the report is whole, the earlier one or the new one. Give the same command again to write it anew.")
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
    elif (kind := str(results.get("result"))) in registry().names("report"):
        page = registry().factory("report", kind)(folder)
    else:
        raise ModelError(
            f"{folder}: holds no results that have a report. Give the --out folder of xaudio bench, evaluate, probe, groups, "
            "cluster, concepts or study analyze."
        )
    print(f"Report: {page}")
