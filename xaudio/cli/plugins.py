"""`xaudio plugins`: what is installed, its options, the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PluginError, unknown
from ..registry.defaults import DATASET_OF_FILES
from ..registry.loading import KINDS, Registry, registry
from ..registry.options import REQUIRED, options_of, parse_spec, summary_of
from .common import JsonOption, names_of, print_json, print_table, warn_about_plugins
from .new import new

if TYPE_CHECKING:
    from ..testing import Result

app = typer.Typer(help="What is installed, its options, and whether it keeps the contract.", no_args_is_help=True)
app.command("new")(new)
COMMAND = "command"
"""Is listed with the other kinds, but has a help of its own."""
Name = Annotated[
    str, typer.Argument(help="Name of the plugin, as kind/name where two kinds share it.", autocompletion=names_of(*KINDS))
]


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """List all plugins by kind.

    Examples
    --------
    xaudio plugins list
    xaudio plugins list --json
    """
    records = [_record(registry(), kind, name) for kind in (*KINDS, COMMAND) for name in registry().names(kind)]
    if as_json:
        print_json({"plugins": records, "problems": registry().problems()})
        return
    rows = [[item["kind"], item["name"], f"{item['distribution']} {item['version']}", item["summary"]] for item in records]
    print_table(["kind", "name", "from", "what it is"], rows)
    warn_about_plugins()


def _record(plugins: Registry, kind: str, name: str) -> dict[str, Any]:
    try:
        owner, offer = plugins.owner(kind, name), plugins.factory(kind, name)
        summary = str(offer.info.help or "") if isinstance(offer, typer.Typer) else summary_of(offer)
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
    spelt = [(kind, registry().spelt(kind, rest)) for kind in kinds]
    matches = [(kind, name) for kind, name in spelt if name in registry().names(kind)]
    if not matches and rest in registry().names(COMMAND):
        raise PluginError(f"{rest!r} is a command of {registry().owner(COMMAND, rest)}: xaudio {rest} --help shows its options.")
    if not matches:
        names = [other for kind in KINDS for other in registry().names(kind)]
        raise PluginError(" ".join([unknown("plugin", name, names), *registry().problems()]))
    return matches


@app.command()
def show(name: Name, as_json: JsonOption = False) -> None:
    """Show a plugin's description and options.

    Examples
    --------
    xaudio plugins show lrp
    """
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
def check(
    plugin: Annotated[
        str,
        typer.Argument(
            help=f"Name of the plugin, with options as in {DATASET_OF_FILES}.", metavar="NAME", autocompletion=names_of(*KINDS)
        ),
    ],
    representation: Annotated[str | None, typer.Option(help="What a model reads, with options; by default its own.")] = None,
) -> None:
    """Check that a plugin keeps the contract of its kind; exit status 1 if it does not.

    Examples
    --------
    xaudio plugins check lrp:composite=epsilon
    """
    from ..testing import check as conformance

    name, options = parse_spec(plugin)
    failed = 0
    for kind, spelt in _taking(find(name), options):
        results = conformance(kind, spelt, options, representation=representation)
        _print_results(f"{kind} {spelt}", results)
        failed += sum(bool(result.problem) for result in results)
    if failed:
        raise PluginError(f"{failed} check{'s' * (failed > 1)} of {plugin!r} failed; see above.")


def _taking(plugins: list[tuple[str, str]], options: Mapping[str, str]) -> list[tuple[str, str]]:
    """Of plugins that share a name those that have the options, or all if none has."""
    taking = [(kind, name) for kind, name in plugins if set(options) <= set(options_of(registry().factory(kind, name)))]
    return taking or plugins


def _print_results(plugin: str, results: Sequence[Result]) -> None:
    """A line for each check, and one for all that could not be made for the same reason."""
    skipped: dict[str, list[str]] = {}
    for result in results:
        if result.skipped:
            skipped.setdefault(result.skipped, []).append(result.what)
        else:
            verdict = "FAIL" if result.problem else "ok  "
            print(f"{verdict}  {plugin}: {result.what}{f': {result.problem}' if result.problem else ''}")
    for reason, checks in skipped.items():
        print(f"-     {plugin}: not checked, since {' '.join(reason.split())}: {'; '.join(checks)}")
