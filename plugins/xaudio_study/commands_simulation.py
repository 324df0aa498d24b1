"""`xaudio study simulate`, `power` and `listen`: answers of simulated participants and of recognisers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from xaudio.plugin import (
    DataError,
    DataOption,
    DeviceOption,
    JsonOption,
    OutOption,
    SeedOption,
    names_of,
    prepare_command,
    print_json,
    print_table,
    warn_about_plugins,
)

from .commands_analysis import DrawsOption, analysed, results_folder, show

if TYPE_CHECKING:
    from .simulation.power import PowerResults
    from .simulation.simulation import Behaviour

RECORDINGS = 10
"""Of a model: so many correctly predicted ones, and as many wrongly predicted."""
MOVED = {"--power": "power", "--listener": "listen", "--model": "listen"}
"""Former options of `xaudio study simulate`, and the command that each of them is now."""

KnowsOption = Annotated[
    list[str] | None,
    typer.Option(help="Probability of knowing the model's prediction, as in audible-explanation=0.4; may be repeated."),
]
HearsOption = Annotated[
    list[str] | None, typer.Option(help="Probability of naming the true class otherwise, as in audible-signal=0.9.")
]
BiasOption = Annotated[list[str] | None, typer.Option(help="Weight of a class in guessing, as in 5=3. [default: 1]")]
PersonSpreadOption = Annotated[float, typer.Option(help="Standard deviation of the logit of knowing over participants.")]
ItemSpreadOption = Annotated[float, typer.Option(help="The same over items.")]
DropoutOption = Annotated[float, typer.Option(help="Share of participants who stop anywhere.")]
CarelessOption = Annotated[float, typer.Option(help="Share of participants who click at random.")]


class Simulate(TyperCommand):
    """`xaudio study simulate`, which says where its former options went."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option that is a command of its own now."""
        for option in (word.partition("=")[0] for word in args):
            if option in MOVED:
                raise typer.BadParameter(f"{option} belongs to a command of its own: xaudio study {MOVED[option]}.")
        return super().parse_args(ctx, args)


def simulate(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Folder or JSON of a study to be answered.")],
    out: OutOption,
    participants: Annotated[int, typer.Option(min=1, help="How many.")] = 40,
    knows: KnowsOption = None,
    hears: HearsOption = None,
    bias: BiasOption = None,
    person_spread: PersonSpreadOption = 0.5,
    item_spread: ItemSpreadOption = 0.5,
    dropout: DropoutOption = 0.0,
    careless: CarelessOption = 0.0,
    seconds: Annotated[float, typer.Option(help="Median response time.")] = 5.0,
    draws: DrawsOption = 2000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Answer a study by simulated participants, and analyse their answers.

    Everything it writes says that it was simulated.

    Examples
    --------
    xaudio study simulate study --participants 20 --knows audible-explanation=0.4 --out simulated
    """
    from .analysis.analysis import rules_of
    from .server.store import read_study
    from .simulation.simulation import simulate as run_simulation

    warn_about_plugins()
    behaviour = _behaviour(
        knows,
        hears,
        bias,
        person_spread=person_spread,
        item_spread=item_spread,
        dropout=dropout,
        careless=careless,
        seconds=seconds,
    )
    answered = run_simulation(read_study(study), behaviour, participants, seed)
    rules = rules_of(study) if study.is_dir() else None
    results = analysed(answered, out, {"study": study.name, "behaviour": behaviour.model_dump()}, rules, draws, seed)
    show(results, out, as_json)


def power(
    out: OutOption,
    study: Annotated[
        Path | None,
        typer.Argument(metavar="STUDY", help="Folder or JSON of a study of these classes and exclusion rules. [default: digits]"),
    ] = None,
    compare: Annotated[str, typer.Option(help="Two conditions.")] = "audible-explanation,visual-explanation",
    participants: Annotated[str, typer.Option(help="How many, as in 10,20,40.")] = "40",
    recordings: Annotated[str, typer.Option(help="How many of the group, as in 10,20.")] = "10",
    group: Annotated[Literal["wrong", "right", "all"], typer.Option(help="Recordings of which kind.")] = "wrong",
    simulations: Annotated[int, typer.Option(help="Studies of each size.")] = 200,
    knows: KnowsOption = None,
    hears: HearsOption = None,
    bias: BiasOption = None,
    person_spread: PersonSpreadOption = 0.5,
    item_spread: ItemSpreadOption = 0.5,
    dropout: DropoutOption = 0.0,
    careless: CarelessOption = 0.0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Simulate many studies, and count in how many of them the difference of two conditions is found.

    Examples
    --------
    xaudio study power --participants 10,20,40 --recordings 10,20 --out power
    """
    from xaudio.plugin import write_json, write_run

    from .analysis.analysis import rules_of
    from .server.store import read_study
    from .simulation.power import conditions_in, power as run_power

    warn_about_plugins()
    spreads = {"person_spread": person_spread, "item_spread": item_spread}
    behaviour = _behaviour(knows, hears, bias, **spreads, dropout=dropout, careless=careless)
    results = run_power(
        behaviour,
        conditions_in(compare),
        participants=_whole("participants", participants),
        recordings=_whole("recordings", recordings),
        classes=read_study(study).classes if study else tuple("0123456789"),
        group=group,
        rules=rules_of(study) if study and study.is_dir() else None,
        simulations=simulations,
        seed=seed,
    )
    write_run(results_folder(out), settings=results.model_dump(exclude={"cells"}), simulated=results.simulated)
    write_json(out / "power.json", results.model_dump(mode="json"))
    if as_json:
        print_json(results.model_dump(mode="json"))
        return
    _show_power(results, out)


def listen(
    listener: Annotated[
        list[Path],
        typer.Option(help="Run folder of a recogniser that answers by what it hears; may be repeated, each is a participant."),
    ],
    out: OutOption,
    study: Annotated[
        Path | None, typer.Argument(metavar="STUDY", help="Folder of a study to be answered; or give --model.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Instead of a STUDY: run folder of the explained model.")] = None,
    explainer: Annotated[
        list[str] | None,
        typer.Option(help="With --model: what explains; may be repeated. [default: lrp]", autocompletion=names_of("explainer")),
    ] = None,
    renderer: Annotated[
        list[str] | None,
        typer.Option(
            help="With --model: what makes the sounds; may be repeated. [default: audible]", autocompletion=names_of("renderer")
        ),
    ] = None,
    recordings: Annotated[
        int | None,
        typer.Option(min=1, help="With --model: correctly predicted recordings, and as many wrongly predicted. [default: 10]"),
    ] = None,
    view: Annotated[str | None, typer.Option(help="With --model: domain of the relevance, as in xaudio explain.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="With --model: data set; by default that of the training.", autocompletion=names_of("dataset")),
    ] = None,
    data: DataOption = None,
    draws: DrawsOption = 2000,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Let recognisers listen: to a study, or to explainers and renderers of a model before there is a study.

    Everything it writes says that no person was asked.

    Examples
    --------
    xaudio study listen study --listener runs/recogniser --out heard
    xaudio study listen --model runs/digits --listener runs/recogniser --explainer lrp --explainer gradient --out heard
    """
    from .analysis.exclusions import ExclusionRules
    from .simulation.listener import listen_to_model, listen_to_study

    prepare_command()
    of_model: dict[str, object] = {"explainer": explainer, "renderer": renderer, "recordings": recordings}
    of_model |= {"view": view, "dataset": dataset, "data": data}
    _refuse_unused(study, model, [name for name, value in of_model.items() if value])
    facts: dict[str, Any] = {"listeners": [path.name for path in listener]}
    if study is not None:
        answered = listen_to_study(study, listener, device)
    elif model is not None:
        facts |= {"model": model.name, "recordings": recordings or RECORDINGS}
        answered = listen_to_model(
            model,
            listener,
            explainer or ["lrp"],
            renderer or ["audible"],
            recordings=recordings or RECORDINGS,
            dataset=dataset,
            data=data,
            view=view,
            device=device,
            seed=seed,
        )
    else:
        raise typer.BadParameter("give the STUDY that should be answered, or --model with the run folder of the explained model.")
    everybody = ExclusionRules(finished=False, headphones=0, fastest_ms=0)
    show(analysed(answered, out, facts, everybody, draws, seed), out, as_json)


def _refuse_unused(study: Path | None, model: Path | None, of_model: Sequence[str]) -> None:
    """Refuse what would have no effect, so that nobody takes it for used."""
    if study is not None and model is not None:
        raise typer.BadParameter("a STUDY has no effect together with --model; leave it out.")
    if study is not None and of_model:
        raise typer.BadParameter(f"--{of_model[0]} has no effect together with a STUDY; leave it out.")


def _show_power(results: PowerResults, out: Path) -> None:
    from .analysis.report import in_percent

    print(f"SIMULATED: {results.first} less {results.second}, {results.group}; {results.simulations} studies of each size")
    rows = [
        [
            str(cell.participants),
            f"{cell.analysed:.1f}",
            str(cell.recordings),
            f"{100 * cell.mean_difference:.1f}",
            in_percent(cell.power),
            in_percent(cell.false_alarms),
        ]
        for cell in results.cells
    ]
    print_table(
        ["participants", "analysed", "recordings", "difference (points)", "found (%)", "found without difference (%)"], rows
    )
    print(f"Numbers: {out / 'power.json'}")


def _behaviour(knows: list[str] | None, hears: list[str] | None, bias: list[str] | None, **values: float) -> Behaviour:
    from pydantic import ValidationError

    from xaudio.plugin import first_fault

    from .simulation.simulation import Behaviour

    of_names = {"knows": _numbers("knows", knows), "hears": _numbers("hears", hears), "bias": _numbers("bias", bias)}
    try:
        return Behaviour(**of_names, **values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise DataError(f"The simulated behaviour: {first_fault(error)}.") from None


def _numbers(option: str, pairs: list[str] | None) -> dict[str, float]:
    """Numbers by name, from name=number."""
    numbers = {}
    for item in pairs or []:
        name, equals, value = item.rpartition("=")
        try:
            numbers[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise DataError(f"Cannot read --{option} {item!r}: expected name=number, such as audible-explanation=0.4.")
    return numbers


def _whole(option: str, text: str) -> list[int]:
    """Whole numbers, separated by commas."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise DataError(f"Cannot read --{option} {text!r}: expected whole numbers of 1 or more, such as 20 or 10,20,40.")
    return numbers
