"""`xaudio train`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import PluginError
from ..registry.defaults import MODEL_WITH_OPTIONS
from ..sound.datasets import open_dataset
from ..types import Fit, Resampling
from .common import DataOption, DatasetOption, DeviceOption, OutOption, SeedOption, warn_about_plugins
from .stopping import when_stopped

Set = Annotated[list[str] | None, typer.Option("--set", help="A training setting, as in --set steps=500; may be repeated.")]


@when_stopped()
def train(
    dataset: DatasetOption,
    task: Annotated[str, typer.Option(help="What to classify, such as digit.")],
    model: Annotated[str, typer.Option(help=f"Model, with options as in {MODEL_WITH_OPTIONS}.")],
    out: OutOption,
    data: DataOption = None,
    fold: Annotated[int, typer.Option(help="Fold that is held out for the test.", min=0)] = 0,
    representation: Annotated[str | None, typer.Option(help="Representation, with options; by default the model's own.")] = None,
    settings: Set = None,
    fit: Annotated[
        Fit | None, typer.Option(help="What to do with recordings that are too long; by default the data set's rule.")
    ] = None,
    resampling: Annotated[Resampling | None, typer.Option(help="How recordings are brought to the model's sample rate.")] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Train a model on one fold of a data set and test it on speakers it never heard."""
    from ..model.allocator import keep_large_buffers
    from ..model.devices import resolve_device
    from ..model.experiment import Experiment, run_experiment
    from ..output.words import counted
    from ..registry.options import parse_spec

    warn_about_plugins()
    keep_large_buffers()
    overrides = {}
    for item in settings or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise PluginError(f"Cannot read --set {item!r}: expected name=value, such as steps=500.")
        overrides[name.strip()] = None if value.strip() == "none" else value.strip()
    name, options = parse_spec(model)
    chosen, chosen_options = parse_spec(representation) if representation else (None, {})
    experiment = Experiment(
        open_dataset(dataset, data, seed),
        task=task,
        fold=fold,
        model=name,
        model_options=options,
        representation=chosen,
        representation_options=chosen_options,
        training={"seed": seed, **overrides},
        fit=fit,
        resampling=resampling,
    )
    result = run_experiment(experiment, out, resolve_device(device))
    print(
        f"{name} on {experiment.dataset.title}, {task}, fold {fold}: {result.accuracy_beside} on {result.recordings} "
        f"recordings of {counted(result.speakers, 'speaker')} that it never heard. Results in {out}."
    )
    for note in experiment.dataset.notes:
        print(f"note: {note}")
