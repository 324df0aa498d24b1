"""`xaudio plugins new`: a distribution to start from, with a test of its contract."""

from __future__ import annotations

import keyword
import re
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Literal

import typer

from ..errors import OutputError, PluginError

Kind = Literal[
    "explainer", "metric", "renderer", "representation", "model", "loader", "dataset", "separator", "benchmark", "command"
]


def new(
    name: Annotated[str, typer.Argument(help="Of the plugin, such as my-explainer.")],
    kind: Annotated[Kind, typer.Option(help="What it is.")] = "explainer",
    out: Annotated[Path | None, typer.Option(help="Folder to make. [default: the plugin's name]")] = None,
) -> None:
    """Write a distribution with a plugin to start from and a test that it keeps its contract.

    Examples
    --------
    xaudio plugins new loudness --kind metric
    """
    folder = write_starter(name, kind, out or Path(name))
    print(
        f"{folder}: a {kind} to start from. Install it with: pip install -e '{folder}[test]', and test it with: pytest {folder}"
    )


def write_starter(name: str, kind: str, folder: Path) -> Path:
    """Write the distribution into a new folder, all of it or nothing.

    Raises
    ------
    PluginError
        If the name cannot be one of a plugin.
    OutputError
        If the folder is there already or cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise PluginError(f"{name!r} cannot name a plugin: expected small letters, digits and hyphens, as in my-explainer.")
    if folder.exists():
        raise OutputError(f"{folder}: is there already. Choose another --out.")
    package = f"xaudio_{name.replace('-', '_')}"
    words = {
        "name": name,
        "kind": kind,
        "article": _article(kind),
        "package": package,
        "distribution": f"xaudio-{name.replace('_', '-')}",
        "function": name.replace("-", "_"),
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        for template, path in _files(kind, package):
            (building / path).parent.mkdir(parents=True, exist_ok=True)
            (building / path).write_text(_filled(template, words), encoding="utf-8")
        building.chmod(0o755)
        building.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from None
    finally:
        if "building" in locals():
            shutil.rmtree(building, ignore_errors=True)
    return folder


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"


def _files(kind: str, package: str) -> list[tuple[str, str]]:
    """Templates, and the files that are made of them."""
    module = [(f"{kind}.py.j2", f"{package}/__init__.py")]
    if kind == "representation":
        module.append(("representation.companded.py.j2", f"{package}/companded.py"))
    return [
        ("pyproject.toml.j2", "pyproject.toml"),
        ("README.md.j2", "README.md"),
        *module,
        ("test.py.j2", f"tests/test_{package}.py"),
    ]


def _filled(template: str, words: dict[str, str]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("xaudio.cli", "starters"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Python and TOML, no page)
    )
    return environment.get_template(template).render(words)
