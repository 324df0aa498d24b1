"""`xaudio probe`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xaudio.plugin import (
    MODEL_HELP,
    ChannelsOption,
    DataError,
    DataOption,
    Dataset,
    DeviceOption,
    JsonOption,
    OutOption,
    SeedOption,
    in_channels,
    names_of,
    prepare_command,
    print_end,
    print_json,
    print_table,
    when_stopped,
)

if TYPE_CHECKING:
    from .results import ProbeResults

Changes = Annotated[
    list[str],
    typer.Option(
        "--change",
        help="What is removed or moved: band:low=100,high=300 | slots:start=0.1,stop=0.2 | scale:factor=1.5 or "
        "scale:male=1.5,female=0.66 | level:gain=6 | relevant:explainer=lrp,share=0.1,view=time. Several are separated by "
        "commas; may be repeated. The guide lists all options.",
    ),
]


@when_stopped()
def probe(
    model: Annotated[
        list[str],
        typer.Option(
            help=f"{MODEL_HELP} May be repeated for the folds of one, each tested on its own test set.",
            autocompletion=names_of("loader"),
        ),
    ],
    change: Changes,
    out: OutOption,
    dataset: Annotated[
        str | None,
        typer.Option(help="Data set, with options; by default that of the training.", autocompletion=names_of("dataset")),
    ] = None,
    data: DataOption = None,
    channels: ChannelsOption = None,
    recordings: Annotated[
        int | None, typer.Option(min=1, help="At most so many test recordings, evenly spread. [default: all]")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws of each random control.")] = 20,
    over: Annotated[Literal["speakers", "recordings"], typer.Option(help="What the bootstrap resamples.")] = "speakers",
    batch_size: Annotated[int, typer.Option(help="Recordings at once.", min=1)] = 50,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Remove or move what an explanation points at, on a whole test set, against matched controls.

    Examples
    --------
    xaudio probe --model runs/sex --change scale:male=1.5,female=0.66 --out probed
    xaudio probe --model runs/sex --change band:low=100,high=300 --recordings 200 --out probed
    """
    from xaudio.plugin import held_out, load_model, spread

    from .changes import parse_changes
    from .probing import probe as run_probe

    prepare_command()
    parse_changes(change)  # before anything takes time
    dataset = in_channels(dataset, data, channels)
    models = [load_model(folder, device) for folder in model]
    datasets, indices = zip(*(held_out(one, dataset, data) for one in models), strict=True)
    _check_same_data(model, datasets)
    chosen = [own if recordings is None else spread(own, -(-recordings // len(model)), None) for own in indices]
    results = run_probe(models, datasets[0], chosen, change, draws=draws, seed=seed, over=over, batch_size=batch_size, folder=out)
    if as_json:
        print_json(results.model_dump())
        return
    print_table(
        ["change", "before", "after", "control", "after it", "lowest", "highest", "difference (95 %, points)", "costs more"],
        _rows(results),
    )
    for item in results.changes:
        print("\n" + "\n".join([control.statement for control in item.controls] + [f"note: {note}" for note in item.notes]))
    print(f"For comparison: chance {results.chance:.1%}, commonest label {results.commonest or 0:.1%}.")
    print_end(results.notes, "Report", out / "report.html")


def _check_same_data(folders: Sequence[str], datasets: Sequence[Dataset]) -> None:
    """Raise `DataError` if models were trained on other data than the first, whose recordings are changed for all of them."""
    contents = [opened.fingerprint() for opened in datasets]
    for folder, opened, content in zip(folders, datasets, contents, strict=True):
        if content != contents[0]:
            raise DataError(
                f"{folder}: was trained on {opened.title}, {folders[0]} on {datasets[0].title}, which hold other recordings. "
                "Probe them one by one, or name data that both have never heard (--dataset, --data)."
            )


def _points(share: float) -> str:
    """A share as points with a sign, and never -0.0."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def _rows(results: ProbeResults) -> list[list[str]]:
    return [
        [
            item.change,
            f"{item.before:.1%}",
            f"{item.after:.1%}",
            control.name,
            f"{control.accuracy:.1%}",
            f"{control.low:.1%}",
            f"{control.high:.1%}",
            "{} ({} to {})".format(*map(_points, (control.difference.mean, control.difference.low, control.difference.high))),
            control.verdict,
        ]
        for item in results.changes
        for control in item.controls
    ]
