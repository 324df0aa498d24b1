"""`xaudio evaluate`: the leaderboard of a single model."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..registry.defaults import CONTROLS, DATASET_WITH_OPTIONS, EVALUATION, EXPLAINER_WITH_OPTIONS, SLOPE
from ..registry.loading import registry
from .common import (
    ChannelsOption,
    DataOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    SeedOption,
    in_channels,
    names_of,
    no_other_results,
    prepare_command,
    print_json,
)
from .sharing import EngineOption, WorkersOption
from .stopping import when_stopped

PartOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Measure the Kth of N parts of the explainers in this process: 1/N to N/N, or 0/N to (N-1)/N. Each part predicts "
        "all recordings. The last one writes the table.",
    ),
]


@when_stopped()
def evaluate(
    model: ModelOption,
    out: Annotated[
        Path, typer.Option(help="Folder for the results; the same command continues in it.", callback=no_other_results)
    ],
    explainers: Annotated[
        str,
        typer.Option(
            help=f"Explainers, with options as in {EXPLAINER_WITH_OPTIONS},{SLOPE}, separated by commas; "
            f"{' and '.join(reversed(CONTROLS))} are always among them. [default: all]",
            autocompletion=names_of("explainer"),
        ),
    ] = "",
    metrics: Annotated[
        str,
        typer.Option(help="Metrics, with options, separated by commas. [default: all]", autocompletion=names_of("metric")),
    ] = "",
    dataset: Annotated[
        str | None,
        typer.Option(
            help=f"Data set, with options as in {DATASET_WITH_OPTIONS}; by default that of the training.",
            autocompletion=names_of("dataset"),
        ),
    ] = None,
    data: DataOption = None,
    channels: ChannelsOption = None,
    recordings: Annotated[int, typer.Option(help="How many recordings that the model never heard, 8 or more.")] = 32,
    examples: Annotated[int, typer.Option(help="How many of them the report shows with picture and player.", min=0)] = 2,
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            help="Accuracy on these recordings, 0 to 1, below which explanations are not compared with the truth. "
            "[default: significantly above chance]"
        ),
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    engine: EngineOption = None,
    shard: PartOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure explainers by metrics on recordings that a model never heard.

    Examples
    --------
    xaudio evaluate --model runs/digits --out evaluation
    xaudio evaluate --model runs/digits --explainers lrp,gradient --recordings 100 --out evaluation
    """
    from ..output.runs import output_folder, read_json

    prepare_command()
    options: dict[str, Any] = {
        "models": (model,),
        "datasets": in_channels(dataset, data, channels) or "",
        "data": () if data is None else (data,),
        "explainers": explainers,
        "metrics": metrics,
        "recordings": recordings,
        "examples": examples,
        "min_accuracy": min_accuracy,
        "device": device,
        "seed": seed,
        **{name: value for name, value in (("workers", workers), ("engine", engine), ("shard", shard)) if value is not None},
    }
    benchmark = registry().create("benchmark", EVALUATION, options)
    quiet = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with quiet:
        benchmark(output_folder(out))
    if as_json and (out / "results.json").exists():  # not if others are still at work
        print_json(read_json(out / "results.json"))
