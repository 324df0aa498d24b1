"""`xaudio evaluate`: the leaderboard of a single model."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..registry.defaults import CONTROLS, DATASET_WITH_OPTIONS, EVALUATION, EXPLAINER_WITH_OPTIONS, SLOPE
from ..registry.loading import registry
from .common import DataOption, DeviceOption, JsonOption, SeedOption, no_other_results, print_json, warn_about_plugins
from .stopping import when_stopped


@when_stopped()
def evaluate(
    model: Annotated[Path, typer.Option(help="Run folder of a trained model.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the results; the same command continues in it.", callback=no_other_results)
    ],
    explainers: Annotated[
        str,
        typer.Option(
            help=f"Explainers, with options as in {EXPLAINER_WITH_OPTIONS},{SLOPE}, separated by commas; "
            f"{' and '.join(reversed(CONTROLS))} are always among them. [default: all]"
        ),
    ] = "",
    metrics: Annotated[str, typer.Option(help="Metrics, with options, separated by commas. [default: all]")] = "",
    dataset: Annotated[
        str | None, typer.Option(help=f"Data set, with options as in {DATASET_WITH_OPTIONS}; by default that of the training.")
    ] = None,
    data: DataOption = None,
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
    as_json: JsonOption = False,
) -> None:
    """Measure explainers by metrics on recordings that a model never heard."""
    from ..model.allocator import keep_large_buffers
    from ..output.runs import output_folder, read_json

    warn_about_plugins()
    keep_large_buffers()
    options: dict[str, Any] = {
        "models": (str(model),),
        "datasets": dataset or "",
        "data": () if data is None else (data,),
        "explainers": explainers,
        "metrics": metrics,
        "recordings": recordings,
        "examples": examples,
        "min_accuracy": min_accuracy,
        "device": device,
        "seed": seed,
    }
    benchmark = registry().create("benchmark", EVALUATION, options)
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        benchmark(output_folder(out))
    if as_json:
        print_json(read_json(out / "results.json"))
