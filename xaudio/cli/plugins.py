"""`xaudio plugins`: what is installed, its options, the conformance suite."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import PluginError, unknown
from ..options import REQUIRED, options_of, summary_of
from ..registry import KINDS, Registry, registry
from .common import JsonOption, print_json, print_table, warn_about_plugins

app = typer.Typer(help="What is installed, its options, and whether it keeps the contract.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the plugin, as kind/name where two kinds share it.")]


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """List all plugins by kind."""
    found = [_record(registry(), kind, name) for kind in KINDS for name in registry().names(kind)]
    if as_json:
        print_json({"plugins": found, "problems": registry().problems()})
        return
    rows = [[item["kind"], item["name"], f"{item['distribution']} {item['version']}", item["summary"]] for item in found]
    print_table(["kind", "name", "from", "what it is"], rows)
    warn_about_plugins()


def _record(plugins: Registry, kind: str, name: str) -> dict[str, Any]:
    try:
        owner, summary = plugins.owner(kind, name), summary_of(plugins.factory(kind, name))
    except PluginError as error:  # two plugins offer the name
        return {"kind": kind, "name": name, "distribution": "?", "version": "?", "summary": str(error)}
    return {"kind": kind, "name": name, "distribution": owner.distribution, "version": owner.version, "summary": summary}


def find(name: str) -> list[tuple[str, str]]:
    """Kinds and names that ``name`` or ``kind/name`` stands for.

    Raises
    ------
    PluginError
        If there is none, naming the nearest.
    """
    kind, slash, rest = name.rpartition("/")
    if slash and kind not in KINDS:
        raise PluginError(unknown("kind of plugin", kind, KINDS))
    kinds = [kind] if slash else list(KINDS)
    found = [(kind, rest) for kind in kinds if rest in registry().names(kind)]
    if not found:
        known = [other for kind in KINDS for other in registry().names(kind)]
        raise PluginError(unknown("plugin", name, known))
    return found


@app.command()
def show(name: Name, as_json: JsonOption = False) -> None:
    """Show a plugin's description and options."""
    records = []
    for kind, plugin in find(name):
        factory = registry().factory(kind, plugin)
        options = [
            {
                "name": option.name,
                "type": option.type_name,
                "default": "required" if option.default is REQUIRED else str(option.default),
                "description": option.description,
            }
            for option in options_of(factory).values()
        ]
        records.append({**_record(registry(), kind, plugin), "options": options})
    if as_json:
        print_json(records)
        return
    for record in records:
        print(f"{record['kind']} {record['name']}, from {record['distribution']} {record['version']}")
        print(record["summary"])
        if record["options"]:
            print()
            rows = [[item["name"], item["type"], item["default"], item["description"]] for item in record["options"]]
            print_table(["option", "type", "default", "meaning"], rows)


@app.command()
def check(name: Name) -> None:
    """Check that a plugin keeps the contract of its kind."""
    from ..conformance import check as conformance

    failed = 0
    for kind, plugin in find(name):
        for result in conformance(kind, plugin):
            verdict = (
                f"FAIL  {kind} {plugin}: {result.what}: {result.problem}"
                if result.problem
                else f"ok    {kind} {plugin}: {result.what}"
            )
            print(verdict)
            failed += bool(result.problem)
    if failed:
        raise PluginError(f"{failed} check{'s' * (failed > 1)} of {name!r} failed; see above.")
