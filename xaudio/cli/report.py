"""`xaudio report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModelError
from ..registry import registry
from ..runs import read_json


def report(folder: Annotated[Path, typer.Argument(help="Folder of a benchmark's results.")]) -> None:
    """Write the report of a benchmark anew from its results."""
    results = read_json(folder / "results.json")
    name = results.get("benchmark") if isinstance(results, dict) else None
    if not name:
        raise ModelError(f"{folder}: holds no benchmark's results. Give the --out folder of xaudio bench.")
    benchmark = registry().create("benchmark", name)
    print(f"Report: {benchmark.report(folder)}")
