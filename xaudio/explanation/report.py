"""The one page of a benchmark's or a command's results."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..output.pages import Schema, data_address, read_results
from ..output.runs import read_json, write_text
from ..output.words import counted, without_folders
from ..registry.defaults import PAGE
from ..registry.loading import registry
from .channels import by_channel
from .explanation import Explanation


def report_writer(
    schema: type[Schema],
    package: str,
    content: Callable[[Schema], Mapping[str, Any]] = lambda results: {},
) -> Callable[[Path], Path]:
    """What writes the ``report.html`` of a folder from what the folder holds, as `xaudio_reports` and benchmarks need it.

    Parameters
    ----------
    schema : type
        Of ``results.json``, as `read_results` takes it.
    package : str
        Name of the package whose ``report.html.j2`` is filled, as by `write_page`.
    content : callable, optional
        From the results to what the template shows besides them; it gets the results under the name ``results``.

    Returns
    -------
    callable
        From the folder to the page. It raises a `ModelError` where a file is missing, damaged or of another version.
    """

    def write_report(folder: Path) -> Path:
        results = read_results(folder / "results.json", schema)
        return write_page(folder, package, results=results, **content(results))

    return write_report


def write_page(
    folder: Path,
    package: str,
    *,
    template: str = "report.html.j2",
    **content: Any,
) -> Path:
    """Write ``report.html`` from a template of a package.

    In the template ``name | embedded`` is the data address of a file in the folder, so that the page needs nothing else:
    with ``colours=64`` a picture with so many colours, with ``needed=false`` "" where there is no such file.
    ``folders | explained(level=4)`` shows the explanations that these folders hold (``explanation.safetensors``), those of one
    recording together, under a heading of this level; ``player()`` is what it needs in the page's head.

    Parameters
    ----------
    folder : Path
        With ``run.json``, which the template gets as text under the name ``run``, without the folders of absolute paths.
    package : str
        Name of the package that holds the template.
    template : str
        Name of its file.
    **content
        What the template shows.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If ``run.json`` is missing or damaged, or a file that the page needs is missing.
    OutputError
        If the page cannot be written.
    """
    import jinja2
    import markupsafe

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["counted"] = counted
    environment.filters["embedded"] = lambda name, **options: _embedded(folder / name, **options)
    renderer = cache(lambda: registry().create("renderer", PAGE, {}))  # most reports play nothing
    environment.filters["explained"] = lambda names, **options: _explained(
        [folder / name for name in names], renderer(), **options
    )
    environment.globals["player"] = lambda: markupsafe.Markup(renderer().assets())  # noqa: S704 (style and script)
    page = environment.from_string(files(package).joinpath(template).read_text(encoding="utf-8"))
    run = json.dumps(without_folders(read_json(folder / "run.json")), indent=2)
    return write_text(folder / "report.html", page.render(**content, run=run))


def _explained(folders: Sequence[Path], renderer: Any, **options: Any) -> str:
    """The component of the renderer ``html`` for the explanations in folders."""
    import markupsafe

    paths = [folder / "explanation.safetensors" for folder in folders]
    for path in paths:
        _refuse_missing(path)
    explanations = by_channel(Explanation.load(path) for path in paths)
    return markupsafe.Markup(renderer.component(explanations, **options))  # noqa: S704 (it escapes)


def _refuse_missing(path: Path) -> None:
    if not path.exists():
        raise ModelError(f"{path}: is missing, so the report cannot be made. Run the command again with the same --out.")


def _embedded(path: Path, *, colours: int | None = None, needed: bool = True) -> str:
    if needed:
        _refuse_missing(path)
    elif not path.exists():
        return ""  # such as a sound that would be silent
    content = path.read_bytes() if colours is None else _with_few_colours(path, colours)
    return data_address(content, path.suffix)


def _with_few_colours(path: Path, colours: int) -> bytes:
    """A picture with few colours, a third of the size: there are hundreds on a page."""
    from PIL import Image

    content = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(colours).save(content, "PNG", optimize=True)
    return content.getvalue()
