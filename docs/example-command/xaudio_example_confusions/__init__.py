"""`xaudio confusions`: which classes a trained model takes for which."""

from html import escape
from pathlib import Path
from typing import Annotated

import typer

from xaudio.plugin import JsonOption, OutOption, hookimpl, print_json, print_table

COLUMNS = ["label", "predicted", "recordings"]


def confusions(
    model: Annotated[Path, typer.Argument(help="Run folder of a trained model.")],
    out: OutOption,
    as_json: JsonOption = False,
) -> None:
    """Say which classes a model takes for which, the commonest first."""
    from xaudio.plugin import ModelError, output_folder, read_json, write_json, write_run

    trained = read_json(model / "results.json")
    if not isinstance(trained, dict) or not {"classes", "confusion"} <= set(trained):
        raise ModelError(f"{model}: is no run folder of a trained model. Give the --out folder of xaudio train.")
    classes = trained["classes"]
    pairs = [
        {"label": label, "predicted": predicted, "recordings": count}
        for label, row in zip(classes, trained["confusion"], strict=True)
        for predicted, count in zip(classes, row, strict=True)
        if count and label != predicted
    ]
    pairs.sort(key=lambda pair: -pair["recordings"])
    write_json(output_folder(out) / "results.json", {"result": "confusions", "pairs": pairs})
    write_run(out, settings={"model": str(model)})
    report(out)
    if as_json:
        print_json(pairs)
    else:
        print_table(COLUMNS, [[str(pair[column]) for column in COLUMNS] for pair in pairs])


def report(folder: Path) -> Path:
    """Write the page from the results."""
    from xaudio.plugin import read_json, write_text

    pairs = read_json(folder / "results.json")["pairs"]
    rows = [COLUMNS, *([pair[column] for column in COLUMNS] for pair in pairs)]
    table = "\n".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    page = f'<!doctype html><html lang="en"><title>Confusions</title><h1>Confusions</h1><table>{table}</table></html>'
    return write_text(folder / "report.html", page)


@hookimpl
def xaudio_commands():
    return {"confusions": confusions}


@hookimpl
def xaudio_reports():
    return {"confusions": report}
