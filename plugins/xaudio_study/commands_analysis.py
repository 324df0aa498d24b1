"""`xaudio study analyze` and `xaudio study simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xaudio.plugin import (
    DataError,
    DataOption,
    DeviceOption,
    JsonOption,
    OutOption,
    OutputError,
    SeedOption,
    print_json,
    print_table,
    warn_about_plugins,
)

if TYPE_CHECKING:
    from .analysis.exclusions import ExclusionRules
    from .analysis.results import StudyResults
    from .records import StudyData
    from .simulation.power import PowerResults
    from .simulation.simulation import Behaviour

PEOPLE = ("participants", "knows", "hears", "bias", "person_spread", "item_spread", "dropout", "careless")
USED = {
    "a STUDY": ("study", "draws", "seconds", *PEOPLE),
    "--power": ("power", "study", "compare", "recordings", "group", "simulations", *PEOPLE),
    "a STUDY and --listener": ("study", "listener", "draws", "device"),
    "--model and --listener": (
        *("model", "listener", "explainer", "renderer", "recordings", "view", "dataset", "data", "draws", "device"),
    ),
}
"""What `xaudio study simulate` uses to answer, and beside it; another option is refused."""

DrawsOption = Annotated[int, typer.Option("--draws", min=100, help="Of the bootstrap.")]


def analyze(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="Folder of a study, or the JSON file of an export or simulation.")
    ],
    out: OutOption,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the exclusion rules. [default: study.toml of the folder; the default rules for a JSON file]"
        ),
    ] = None,
    draws: DrawsOption = 2000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Analyse the answers: informedness and markedness, intervals, tests, agreement, Figure 5, report."""
    from .analysis.analysis import rules_of
    from .server.store import read_study

    data = read_study(study)
    place = settings or (study if study.is_dir() else None)
    rules = rules_of(place) if place else None
    note = ""
    if settings and study.is_dir() and rules != rules_of(study):
        note = f"Who is left out follows the rules of {settings.name}, not those that the study stated before anybody answered."
    results = _analysed(data, out, {"study": study.name, "settings": settings and settings.name}, rules, draws, seed, note)
    _show(results, out, as_json)


def simulate(
    context: typer.Context,
    out: OutOption,
    study: Annotated[
        Path | None,
        typer.Argument(
            metavar="STUDY", help="Folder or JSON of a study to be answered; with --power its classes and exclusion rules count."
        ),
    ] = None,
    participants: Annotated[str, typer.Option(help="How many; with --power several, as in 10,20,40.")] = "40",
    knows: Annotated[
        list[str] | None,
        typer.Option(help="Probability of knowing the model's prediction, as in audible-explanation=0.4; may be repeated."),
    ] = None,
    hears: Annotated[
        list[str] | None, typer.Option(help="Probability of naming the true class otherwise, as in audible-signal=0.9.")
    ] = None,
    bias: Annotated[list[str] | None, typer.Option(help="Weight of a class in guessing, as in 5=3. [default: 1]")] = None,
    person_spread: Annotated[float, typer.Option(help="Standard deviation of the logit of knowing over participants.")] = 0.5,
    item_spread: Annotated[float, typer.Option(help="The same over items.")] = 0.5,
    dropout: Annotated[float, typer.Option(help="Share of participants who stop anywhere.")] = 0.0,
    careless: Annotated[float, typer.Option(help="Share of participants who click at random.")] = 0.0,
    seconds: Annotated[float, typer.Option(help="Median response time.")] = 5.0,
    power: Annotated[bool, typer.Option("--power", help="Simulate many studies: how often is the difference found?")] = False,
    compare: Annotated[str, typer.Option(help="With --power: two conditions.")] = "audible-explanation,visual-explanation",
    recordings: Annotated[
        str, typer.Option(help="With --power: how many of the group, as in 10,20. With --model: right ones, and as many wrong.")
    ] = "10",
    group: Annotated[Literal["wrong", "right", "all"], typer.Option(help="With --power: recordings of which kind.")] = "wrong",
    simulations: Annotated[int, typer.Option(help="With --power: studies of each size.")] = 200,
    listener: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder of a recogniser that answers by what it hears; may be repeated, each is a participant."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="With --listener, instead of a STUDY: run folder of the explained model."),
    ] = None,
    explainer: Annotated[list[str] | None, typer.Option(help="With --model: what explains; may be repeated.")] = None,
    renderer: Annotated[list[str] | None, typer.Option(help="With --model: what makes the sounds; may be repeated.")] = None,
    view: Annotated[str | None, typer.Option(help="With --model: domain of the relevance, as in xaudio explain.")] = None,
    dataset: Annotated[str | None, typer.Option(help="With --model: data set; by default that of the training.")] = None,
    data: DataOption = None,
    draws: DrawsOption = 2000,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Answer a study by simulated participants or recognisers; or find how many people a study needs.

    Everything it writes says that it was simulated.
    """
    from .analysis.exclusions import ExclusionRules

    warn_about_plugins()
    _refuse_unused(context)
    if listener:
        answered = _listened(study, model, listener, explainer, renderer, recordings, view, dataset, data, device, seed)
        facts: dict[str, Any] = {"listeners": [path.name for path in listener]}
        if model is not None:
            facts |= {"model": model.name, "recordings": _one("recordings", recordings)}
        everybody = ExclusionRules(finished=False, headphones=0, fastest_ms=0)
        _show(_analysed(answered, out, facts, everybody, draws, seed), out, as_json)
        return
    behaviour = _behaviour(
        knows=_numbers("knows", knows),
        hears=_numbers("hears", hears),
        bias=_numbers("bias", bias),
        person_spread=person_spread,
        item_spread=item_spread,
        dropout=dropout,
        careless=careless,
        seconds=seconds,
    )
    if power:
        _power(behaviour, compare, participants, recordings, group, simulations, study, out, seed, as_json)
        return
    if study is None:
        raise typer.BadParameter("give the STUDY that shall be answered, or --power, or --listener with --model.")
    from .analysis.analysis import rules_of
    from .server.store import read_study
    from .simulation.simulation import simulate as run_simulation

    answered = run_simulation(read_study(study), behaviour, _one("participants", participants), seed)
    rules = rules_of(study) if study.is_dir() else None
    results = _analysed(answered, out, {"study": study.name, "behaviour": behaviour.model_dump()}, rules, draws, seed)
    _show(results, out, as_json)


def _analysed(
    data: StudyData, out: Path, settings: dict[str, Any], rules: ExclusionRules | None, draws: int, seed: int, note: str = ""
) -> StudyResults:
    """Analyse, and write what `xaudio study analyze` writes; simulated answers as well."""
    from xaudio.plugin import write_json, write_run

    from .analysis.analysis import analyze as run_analysis
    from .analysis.report import write_results

    _results_folder(out)
    results = run_analysis(data, rules, draws=draws, seed=seed)
    if note:
        results = results.model_copy(update={"notes": [*results.notes, note]})
    write_run(out, settings={**settings, "rules": results.rules, "draws": draws, "seed": seed}, simulated=data.simulated)
    if data.simulated:
        write_json(out / "study-data.json", data.model_dump(mode="json"))
    write_results(out, results)
    return results


def _results_folder(out: Path) -> Path:
    """The folder for results, which must not be that of a study: its run.json says how the study was built."""
    from xaudio.plugin import output_folder

    from .plan import PUBLIC

    if (out / PUBLIC).exists():
        raise OutputError(f"{out}: is the folder of a study. Choose another --out.")
    return output_folder(out)


def _show(results: StudyResults, out: Path, as_json: bool) -> None:
    from .analysis.report import in_percent, in_words

    if as_json:
        print_json(results.model_dump(mode="json"))
        return
    if results.simulated:
        print(f"SIMULATED, not answered by people: {results.simulated}")
    rows = [
        [
            cell.condition,
            cell.group,
            str(cell.answers),
            in_percent(cell.accuracy),
            in_words(cell.informedness.macro),
            in_words(cell.informedness.weighted),
            in_words(cell.markedness.macro),
        ]
        for cell in results.cells
        if cell.group != "all"
    ]
    if rows:
        header = ["condition", "recordings", "answers", "right (%)", "informedness, macro", "weighted", "markedness, macro"]
        print_table(header, rows)
    left_out = [f"{item.rule} ({item.participants})" for item in results.exclusions if item.participants]
    print(f"{results.kept} of {results.enrolled} participants; left out: {', '.join(left_out) or 'nobody'}")
    print(f"Report: {out / 'report.html'}")


def _refuse_unused(context: typer.Context) -> None:
    """Refuse options that would have no effect, so that nobody takes them for used."""
    given = context.params
    listens = "--model and --listener" if given["model"] else "a STUDY and --listener"
    way = "--power" if given["power"] else listens if given["model"] or given["listener"] else "a STUDY"
    if given["model"] and not given["listener"]:
        raise typer.BadParameter("--model needs a --listener, which hears its explanations.")
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source and source.name == "COMMANDLINE" and option.name not in (*USED[way], "out", "seed", "as_json"):
            name = "a STUDY" if option.name == "study" else option.opts[0]
            raise typer.BadParameter(f"{name} has no effect beside {way}; leave it out.")


def _listened(
    study: Path | None,
    model: Path | None,
    listeners: list[Path],
    explainers: list[str] | None,
    renderers: list[str] | None,
    recordings: str,
    view: str | None,
    dataset: str | None,
    data: Path | None,
    device: str,
    seed: int,
) -> StudyData:
    from xaudio.plugin import keep_large_buffers

    from .simulation.listener import listen_to_model, listen_to_study

    keep_large_buffers()
    if model is None:
        if study is None:
            raise typer.BadParameter("--listener needs a STUDY to answer, or --model with the run folder of the explained model.")
        return listen_to_study(study, listeners, device)
    return listen_to_model(
        model,
        listeners,
        explainers or ["lrp"],
        renderers or ["audible"],
        recordings=_one("recordings", recordings),
        dataset=dataset,
        data=data,
        view=view,
        device=device,
        seed=seed,
    )


def _power(
    behaviour: Behaviour,
    compare: str,
    participants: str,
    recordings: str,
    group: Literal["wrong", "right", "all"],
    simulations: int,
    study: Path | None,
    out: Path,
    seed: int,
    as_json: bool,
) -> None:
    from xaudio.plugin import write_json, write_run

    from .analysis.analysis import rules_of
    from .server.store import read_study
    from .simulation.power import conditions_in, power

    pair = conditions_in(compare)
    classes = read_study(study).classes if study else tuple("0123456789")
    rules = rules_of(study) if study and study.is_dir() else None
    results = power(
        behaviour,
        pair,
        participants=_whole("participants", participants),
        recordings=_whole("recordings", recordings),
        classes=classes,
        group=group,
        rules=rules,
        simulations=simulations,
        seed=seed,
    )
    write_run(_results_folder(out), settings=results.model_dump(exclude={"cells"}), simulated=results.simulated)
    write_json(out / "power.json", results.model_dump(mode="json"))
    if as_json:
        print_json(results.model_dump(mode="json"))
        return
    _show_power(results, out)


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


def _behaviour(**values: Any) -> Behaviour:
    from pydantic import ValidationError

    from xaudio.plugin import first_fault

    from .simulation.simulation import Behaviour

    try:
        return Behaviour(**values)
    except ValidationError as error:
        raise DataError(f"The simulated behaviour: {first_fault(error)}.") from None


def _numbers(option: str, given: list[str] | None) -> dict[str, float]:
    """Numbers by name, from name=number."""
    found = {}
    for item in given or []:
        name, equals, value = item.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise DataError(f"Cannot read --{option} {item!r}: expected name=number, such as audible-explanation=0.4.")
    return found


def _one(option: str, given: str) -> int:
    """One whole number."""
    found = _whole(option, given)
    if len(found) > 1:
        raise DataError(f"Cannot use --{option} {given!r}: expected one number; several are for --power.")
    return found[0]


def _whole(option: str, given: str) -> list[int]:
    """Whole numbers, separated by commas."""
    try:
        found = [int(part) for part in given.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise DataError(f"Cannot read --{option} {given!r}: expected whole numbers of 1 or more, such as 20 or 10,20,40.")
    return found
