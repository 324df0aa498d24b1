"""One self-contained page: tables, figures, players, configuration."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

import xaudio
from xaudio import ModelError

from .manipulation import CONDITIONS
from .results import FORMAT, Results

KINDS = {".png": "image/png", ".wav": "audio/wav"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from the results, figures and sounds in a folder.

    Parameters
    ----------
    folder : Path
        With ``results.json``, ``run.json`` and what they name.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If a file is missing or damaged, or the results are of another version.
    """
    import jinja2

    results = read_results(folder / "results.json")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["embedded"] = lambda name: embedded(folder / name)
    template = environment.from_string(files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    run = json.dumps(xaudio.read_json(folder / "run.json"), indent=2)
    page = template.render(**dict(results), conditions=CONDITIONS, run=run)
    return xaudio.write_text(folder / "report.html", page)


def read_results(path: Path) -> Results:
    """Read a ``results.json`` of the benchmark.

    Raises
    ------
    ModelError
        If it is missing, damaged, or of another version.
    """
    content = xaudio.read_json(path)
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ModelError(
            f"{path}: has format {found}; this version reads format {FORMAT}. Run the benchmark again with the same --out."
        )
    try:
        return Results.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ModelError(
            f"{path}: is damaged ({where}: {fault['msg'].lower()}). Run the benchmark again with the same --out."
        ) from None


def embedded(path: Path) -> str:
    """A file as a data address, so that the page needs nothing else."""
    if not path.exists():
        raise ModelError(f"{path}: is missing, so the report cannot be made. Run the benchmark again with the same --out.")
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
