"""`xaudio report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..errors import ModelError
from ..output.runs import read_json
from ..registry.loading import registry
from .stopping import when_stopped


class ReportCommand(TyperCommand):
    """The command, whose help names the commands that plugins bring."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Name them; the plugins are asked only here."""
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(f"Plugins bring {', '.join(registry().names('command'))}, whose results may have a report as well.")


@when_stopped("the report is whole, the earlier one or the new one. Run the same command again to rewrite it.")
def report(
    folder: Annotated[Path, typer.Argument(help="--out of a command that writes results, such as xaudio bench or evaluate.")],
) -> None:
    """Write the report of a folder again from its results.

    Examples
    --------
    xaudio report evaluation
    """
    path = folder / "results.json"
    results = read_json(path) if path.exists() else None
    results = results if isinstance(results, dict) else {}
    if name := results.get("benchmark"):
        page = registry().create("benchmark", str(name)).report(folder)
    elif (kind := str(results.get("result"))) in registry().names("report"):
        page = registry().factory("report", kind)(folder)
    else:
        raise ModelError(
            f"{folder}: holds no results that have a report. Give the --out folder of xaudio bench or evaluate, or results of "
            f"{', '.join(registry().names('report'))}."
        )
    print(f"Report: {page}")
