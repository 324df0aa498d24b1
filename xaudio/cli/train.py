"""`xaudio train`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import PluginError
from ..registry.defaults import MODEL_WITH_OPTIONS
from ..types import Fit, Resampling
from .common import (
    ChannelsOption,
    DataOption,
    DatasetOption,
    DeviceOption,
    OutOption,
    SeedOption,
    in_channels,
    names_of,
    prepare_command,
)
from .stopping import when_stopped

Set = Annotated[list[str] | None, typer.Option("--set", help="A training setting, as in --set steps=500; may be repeated.")]


@when_stopped()
def train(
    model: Annotated[
        str, typer.Option(help=f"Model, with options as in {MODEL_WITH_OPTIONS}.", autocompletion=names_of("model"))
    ],
    out: OutOption,
    dataset: DatasetOption = None,
    data: DataOption = None,
    channels: ChannelsOption = None,
    task: Annotated[
        str | None, typer.Option(help="What to classify, such as digit; by default the data set's only task.")
    ] = None,
    fold: Annotated[int, typer.Option(help="Fold that is held out for the test.", min=0)] = 0,
    representation: Annotated[
        str | None,
        typer.Option(help="Representation, with options; by default the model's own.", autocompletion=names_of("representation")),
    ] = None,
    settings: Set = None,
    fit: Annotated[
        Fit | None, typer.Option(help="What to do with recordings that are too long; by default the data set's rule.")
    ] = None,
    resampling: Annotated[Resampling | None, typer.Option(help="How recordings are brought to the model's sample rate.")] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Train a model on one fold of a data set and test it on what it never heard: other speakers, where they are known.

    Examples
    --------
    xaudio train --data my-recordings --model log-mel-cnn --out runs/mine
    xaudio train --dataset fsdd --data fsdd --task digit --model audionet --set steps=500 --out runs/digits
    """
    from ..model.devices import resolve_device
    from ..model.experiment import Experiment, run_experiment
    from ..registry.options import parse_spec
    from ..sound.datasets import of_groups, open_dataset, task_of

    prepare_command()
    overrides = {}
    for item in settings or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise PluginError(f"Cannot read --set {item!r}: expected name=value, such as steps=500.")
        overrides[name.strip()] = None if value.strip() == "none" else value.strip()
    name, options = parse_spec(model)
    chosen, chosen_options = parse_spec(representation) if representation else (None, {})
    opened = open_dataset(in_channels(dataset, data, channels), data, seed)
    task = task_of(opened, task)
    experiment = Experiment(
        opened,
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
        f"{name} on {opened.title}, {task}, fold {fold}: {result.accuracy_beside} on {result.recordings} "
        f"recordings{of_groups(opened, result.speakers)} that it never heard. Results in {out}."
    )
    for note in opened.notes:
        print(f"note: {note}")
