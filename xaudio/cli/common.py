"""Options that several commands share."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DataError, OutputError
from ..model.allocator import keep_large_buffers
from ..output.folders import missing_folders, remove_without_results
from ..output.runs import refuse_other_command
from ..registry.defaults import DATASET_WITH_OPTIONS, LOADER_WITH_OPTIONS
from ..registry.loading import registry
from .sharing import is_part

WIDE = 160
"""Characters of a line that no terminal limits."""

EXAMPLES = "\nExamples\n--------\n"
"""Heading in the docstring of a command; the lines below it are shown as they are."""


def with_examples(command: Any) -> Any:
    """A command whose examples, in its docstring, are shown below its options; so are those of the commands of a group."""
    command.help, _, lines = (command.help or "").partition(EXAMPLES)
    if lines:
        command.epilog = f"\b\nExamples:\n{textwrap.indent(lines, '  ')}"
    for part in getattr(command, "commands", {}).values():
        with_examples(part)
    return command


def no_other_results(context: typer.Context, out: Path | None) -> Path | None:
    """A callback of --out, which refuses a folder with the results of another command, and leaves no new one without results.

    Parameters
    ----------
    context : typer.Context
        At whose end a new folder that holds nothing but ``run.json`` is removed, unless other processes share the work.
    out : Path or None

    Returns
    -------
    Path or None
        The same.
    """
    if out is not None:
        refuse_other_command(out)
        made = missing_folders(out)
        context.call_on_close(lambda: None if is_part(context.params.get("shard")) else remove_without_results(made))
    return out


def names_of(*kinds: str) -> Callable[[str], list[str]]:
    """What a shell completes an option with: the names of plugins, also of the last of several that commas separate.

    Parameters
    ----------
    *kinds : str
        Kinds of plugins, as the registry names them.

    Returns
    -------
    callable
        From what was typed to what it may become, as the ``autocompletion`` of `typer.Option` takes it.
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",")
        names = [name for kind in kinds for name in registry().names(kind)]
        return [f"{before}{comma}{name}" for name in names if name.startswith(begun)]

    return complete


DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything that is random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of the data set.")]
ChannelsOption = Annotated[
    str | None,
    typer.Option(
        "--channels",
        help="What is read of recordings with several channels: mean (all mixed down), left, right, an index from 0, or all. "
        "[default: mean; all where the model reads several]",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the results.", callback=no_other_results)]
MODEL_HELP = f"Run folder of a model, or a loader with its options, as in {LOADER_WITH_OPTIONS} (see xaudio plugins list)."
ModelOption = Annotated[str, typer.Option("--model", help=MODEL_HELP, autocompletion=names_of("loader"))]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help=f"Data set, with options as in {DATASET_WITH_OPTIONS}; without it, what lies in --data.",
        autocompletion=names_of("dataset"),
    ),
]


def in_channels(dataset: str | None, data: Path | None, channels: str | None) -> str | None:
    """A data set with the channels that are asked for among its options.

    Parameters
    ----------
    dataset : str or None
        Name, with options; None for what lies in the folder.
    data : Path or None
    channels : str or None
        As `xaudio.read_audio` takes it; None leaves everything as it is.

    Raises
    ------
    DataError
        If neither a data set nor a folder is named.
    """
    if channels is None:
        return dataset
    if dataset is None and data is None:
        raise DataError("--channels is of recordings of your own: name them by --data or --dataset.")
    from ..sound.datasets import dataset_in

    spec = dataset or dataset_in(Path(data or ""))
    return f"{spec}{',' if ':' in spec else ':'}channels={channels}"


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


def print_rich_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as wide as the terminal, or wide enough for a file; of no rows only the title.

    Parameters
    ----------
    title : str
    header : sequence of str
    rows : sequence of sequence of str
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else WIDE)
    console.print(title)
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in header:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def print_end(notes: Sequence[str], title: str, page: Path) -> None:
    """Print the last lines of a command: what is to be said of the results, and where their page is.

    Parameters
    ----------
    notes : sequence of str
    title : str
        Of the page, such as "Report".
    page : Path
    """
    for note in notes:
        print(f"note: {note}")
    print(f"{title}: {page}")


def prepare_command() -> None:
    """What every command that computes does first: `warn_about_plugins`, and `xaudio.keep_large_buffers`."""
    warn_about_plugins()
    keep_large_buffers()


def warn_about_plugins() -> None:
    """Name on stderr the plugins that could not be loaded and the names that collide."""
    for problem in registry().problems():
        print(f"xaudio: warning: {problem}", file=sys.stderr)
