"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OutputError
from ..output.runs import refuse_other_command
from ..registry.defaults import DATASET_WITH_OPTIONS
from ..registry.loading import registry


def no_other_results(out: Path | None) -> Path | None:
    """A callback of --out, which refuses a folder with the results of another command.

    Parameters
    ----------
    out : Path or None

    Returns
    -------
    Path or None
        The same.
    """
    if out is not None:
        refuse_other_command(out)
    return out


DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything that is random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of the data set.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the results.", callback=no_other_results)]
DatasetOption = Annotated[str, typer.Option("--dataset", help=f"Data set, with options as in {DATASET_WITH_OPTIONS}.")]


def refuse_inside(files: Sequence[Path], out: Path) -> None:
    """Raise `OutputError` if a recording lies where the results go, which could overwrite it.

    Parameters
    ----------
    files : sequence of Path
    out : Path
    """
    for path in files:
        if path.resolve().is_relative_to(out.resolve()):
            raise OutputError(f"{path}: lies in --out {out}, where it could be overwritten. Choose another --out.")


def print_json(content: Any) -> None:
    """Print JSON that other programs can read.

    Parameters
    ----------
    content : object
        As `json.dumps` takes it.
    """
    print(json.dumps(content, indent=2, allow_nan=False))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Print aligned columns.

    Parameters
    ----------
    header : list of str
    rows : list of list of str
    """
    widths = [max(len(str(cell)) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in [header, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def warn_about_plugins() -> None:
    """Name on stderr the plugins that could not be loaded and the names that collide."""
    for problem in registry().problems():
        print(f"xaudio: warning: {problem}", file=sys.stderr)
