"""`xaudio data`: fetch and inspect data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import DataError
from ..output.words import counted, counted_of
from ..registry.defaults import DATASET, DATASET_WITH_OPTIONS
from ..registry.loading import registry
from ..types import Fit
from .common import DataOption, JsonOption, names_of, print_json, warn_about_plugins
from .stopping import when_stopped

app = typer.Typer(help="Fetch and inspect data sets.", no_args_is_help=True)


@app.command()
@when_stopped("what was downloaded is kept. Run the same command again to continue.")
def fetch(
    dataset: Annotated[str, typer.Argument(help=f"Data set, such as {DATASET}.", autocompletion=names_of("dataset"))],
    out: Annotated[Path | None, typer.Option("--out", help="Where to put it; by default the cache.")] = None,
    url: Annotated[str | None, typer.Option(help="Another address of the same archive.")] = None,
) -> None:
    """Download and verify a data set.

    Examples
    --------
    xaudio data fetch audiomnist
    """
    download = getattr(registry().factory("dataset", dataset), "fetch", None)
    if download is None:
        raise DataError(
            f"The data set {dataset!r} cannot be fetched: get it as its description says and give its folder with --data."
        )
    folder = download(out, **({"url": url} if url else {}))
    print(f"{dataset} is in {folder}.")


@app.command()
def info(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help=f"Data set, with options as in {DATASET_WITH_OPTIONS}; without it, what lies in --data.",
            autocompletion=names_of("dataset"),
        ),
    ] = None,
    data: DataOption = None,
    seconds: Annotated[float, typer.Option(help="Length that a model takes; longer recordings are fitted.", min=0.01)] = 1.0,
    fit: Annotated[Fit | None, typer.Option(help="Rule for longer recordings; by default the data set's.")] = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Read the samples of all files, where by default a data set reads headers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show tasks, speakers, folds, durations, how many recordings must be fitted, and the problems found.

    Examples
    --------
    xaudio data info --data my-recordings
    xaudio data info fsdd --data fsdd --decode
    """
    from ..sound.datasets import open_dataset
    from ..sound.inspection import describe, inspect

    warn_about_plugins()
    inspection = inspect(open_dataset(dataset, data), seconds, fit, decode=decode)
    if as_json:
        print_json(inspection)
    else:
        print(describe(inspection))
    if problems := inspection["problems"]:
        of_all = counted(inspection["recordings"], "recording")
        raise DataError(f"{len(problems)} of {of_all} cannot be used; the first: {problems[0]}")
    if damaged := inspection.get("damaged"):
        found = counted_of(len(damaged), inspection["recordings"], "recording", "is not as it was", "are not as they were")
        raise DataError(f"{found} published: {', '.join(damaged[:10])}.")
