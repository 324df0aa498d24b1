"""`xaudio concepts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xaudio.plugin import (
    ChannelsOption,
    DataOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    OutOption,
    SeedOption,
    in_channels,
    names_of,
    prepare_command,
    print_end,
    print_json,
    print_table,
    refuse_inside,
    when_stopped,
)

if TYPE_CHECKING:
    from .results import ConceptResults


@when_stopped()
def concepts(
    model: ModelOption,
    out: OutOption,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Recordings whose prediction the channels should carry. [default: the reference data]"),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Convolution or linear layer, as the model names it. [default: the last convolution]")
    ] = None,
    explained: Annotated[
        str | None, typer.Option("--class", help="Class to explain; by default the predicted one of each recording.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Channels that are shown.")] = 8,
    references: Annotated[int, typer.Option(min=1, help="Reference recordings of each channel.")] = 6,
    by: Annotated[Literal["relevance", "activation"], typer.Option(help="What references have most of.")] = "relevance",
    explainer: Annotated[
        str,
        typer.Option(
            help="Explainer that can tell what flows through a channel, with options.", autocompletion=names_of("explainer")
        ),
    ] = "lrp",
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set of the references, with options; by default that of the training.", autocompletion=names_of("dataset")
        ),
    ] = None,
    data: DataOption = None,
    channels: ChannelsOption = None,
    recordings: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many held-out recordings, drawn at random. [default: all]"),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Sets of other channels that are switched off to compare with.")] = 20,
    render: Annotated[
        str,
        typer.Option(help="Renderers of the explanations of FILES, separated by commas.", autocompletion=names_of("renderer")),
    ] = "visual:dpi=80,audible:format=flac",
    batch_size: Annotated[int, typer.Option(min=1, help="Recordings at once.")] = 32,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Channels of a layer that carry a prediction, each with the recordings that it answers to, to see and to hear.

    Examples
    --------
    xaudio concepts seven.wav --model runs/digits --out concepts
    """
    from xaudio.plugin import drawn, find_layer, held_out, load_model, split_specs

    from .channels import conditional_explainer
    from .finding import concepts as find_concepts

    prepare_command()
    refuse_inside(files or (), out)
    loaded = load_model(model, device)
    find_layer(loaded.network, layer)  # what can be wrong is said before the data are opened
    conditional_explainer(explainer)
    data_set, indices = held_out(loaded, in_channels(dataset, data, channels), data)
    result = find_concepts(
        loaded,
        data_set,
        drawn(indices, recordings, seed),
        layer,
        audio=files or (),
        target=explained,
        explainer=explainer,
        by=by,
        top=top,
        references=references,
        draws=draws,
        seed=seed,
        batch_size=batch_size,
        renderers=split_specs(render),
        folder=out,
    )
    if as_json:
        print_json(result.model_dump())
        return
    print_table(["channel", "share", "logit without it", "classes", "references"], _rows(result))
    if result.switched:
        print(result.switched.statement)
    print_end(result.notes, "Concepts", out / "report.html")


def _rows(result: ConceptResults) -> list[list[str]]:
    return [
        [
            str(channel.channel),
            f"{channel.share:+.1%}",
            f"{channel.effect:+.2f}",
            ", ".join(f"{name} {share:+.1%}" for name, share in list(channel.classes.items())[:3]),
            ", ".join(reference.source for reference in channel.references[:3]),
        ]
        for channel in result.channels
    ]
