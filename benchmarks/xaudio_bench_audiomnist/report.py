"""One self-contained page: tables, figures, players, configuration."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import xaudio

from .examples import Example
from .manipulation import CONDITIONS

KINDS = {".png": "image/png", ".wav": "audio/wav"}


def write_report(folder: Path, content: Mapping[str, Any], figures: Sequence[Path], examples: Sequence[Example]) -> Path:
    """Write ``report.html`` from results, figures and examples.

    Parameters
    ----------
    folder : Path
    content : mapping
        What ``results.json`` holds.
    figures : sequence of Path
    examples : sequence of Example

    Returns
    -------
    Path
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["embedded"] = embedded
    template = environment.from_string(files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        **content,
        figures=figures,
        examples=examples,
        conditions=CONDITIONS,
        run=json.dumps(json.loads((folder / "run.json").read_text(encoding="utf-8")), indent=2),
    )
    return xaudio.write_text(folder / "report.html", page)


def embedded(path: Path) -> str:
    """A file as a data address, so that the page needs nothing else."""
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
