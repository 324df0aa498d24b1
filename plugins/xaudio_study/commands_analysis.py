"""`xaudio study analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xaudio.plugin import JsonOption, OutOption, OutputError, SeedOption, print_json, print_table

if TYPE_CHECKING:
    from .analysis.exclusions import ExclusionRules
    from .analysis.results import StudyResults
    from .records import StudyData

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
    """Analyse the answers: informedness and markedness, intervals, tests, agreement, Figure 5, report.

    Examples
    --------
    xaudio study analyze study --out analysed
    xaudio study analyze exported/study-data.json --out analysed
    """
    from .analysis.analysis import rules_of
    from .server.store import read_study

    data = read_study(study)
    place = settings or (study if study.is_dir() else None)
    rules = rules_of(place) if place else None
    note = ""
    if settings and study.is_dir() and rules != rules_of(study):
        note = f"Who is left out follows the rules of {settings.name}, not those that the study stated before anybody answered."
    results = analysed(data, out, {"study": study.name, "settings": settings and settings.name}, rules, draws, seed, note)
    show(results, out, as_json)


def analysed(
    data: StudyData, out: Path, settings: dict[str, Any], rules: ExclusionRules | None, draws: int, seed: int, note: str = ""
) -> StudyResults:
    """Analyse, and write what `xaudio study analyze` writes; simulated answers as well."""
    from xaudio.plugin import write_json, write_run

    from .analysis.analysis import analyze as run_analysis
    from .analysis.report import write_results

    results_folder(out)
    results = run_analysis(data, rules, draws=draws, seed=seed)
    if note:
        results = results.model_copy(update={"notes": [*results.notes, note]})
    write_run(out, settings={**settings, "rules": results.rules, "draws": draws, "seed": seed}, simulated=data.simulated)
    if data.simulated:
        write_json(out / "study-data.json", data.model_dump(mode="json"))
    write_results(out, results)
    return results


def results_folder(out: Path) -> Path:
    """The folder for results, which must not be that of a study: its run.json says how the study was built."""
    from xaudio.plugin import output_folder

    from .plan import PUBLIC

    if (out / PUBLIC).exists():
        raise OutputError(f"{out}: is the folder of a study. Choose another --out.")
    return output_folder(out)


def show(results: StudyResults, out: Path, as_json: bool) -> None:
    """Print the results: a table, or all as JSON."""
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
