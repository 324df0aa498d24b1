"""`xaudio bench NAME`: one command per benchmark plugin, its options those of the plugin's factory."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ..errors import PluginError, unknown
from ..output.words import counted, counted_of
from ..registry.loading import registry
from ..registry.options import REQUIRED, examples_of, options_of, summary_of
from .common import EXAMPLES, JsonOption, OutOption, names_of, prepare_command, print_json, print_rich_table, with_examples
from .stopping import when_stopped

if TYPE_CHECKING:
    from ..measuring.comparison import Difference

MOST_ROWS, LONGEST_CELL = 12, 40
"""Of the tables of a comparison: rows, and characters of a value."""

COMPLETED = {
    "dataset": "dataset",
    "datasets": "dataset",
    "explainer": "explainer",
    "explainers": "explainer",
    "methods": "explainer",
    "metrics": "metric",
    "renderers": "renderer",
    "representations": "representation",
}
"""Options of benchmarks that name plugins, and of which kind."""


class BenchmarkGroup(TyperGroup):
    """Commands made from the benchmark plugins when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all benchmarks, and of the commands on their results."""
        return [*registry().names("benchmark"), *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a benchmark, or one on results, or None if there is none of that name."""
        if cmd_name not in registry().names("benchmark"):
            own = super().get_command(ctx, cmd_name)
            return own and with_examples(own)
        single = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(cmd_name)(_command(cmd_name, registry().factory("benchmark", cmd_name)))
        return with_examples(get_command(single))


app = typer.Typer(cls=BenchmarkGroup, help="Run a benchmark.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _benchmarks() -> None:
    """Run a benchmark."""


@app.command("compare")
def compare_results(
    first: Annotated[Path, typer.Argument(help="Folder of results.")],
    second: Annotated[Path, typer.Argument(help="Another.")],
    as_json: JsonOption = False,
) -> None:
    """Put two folders of results side by side and say what differs beyond noise.

    Examples
    --------
    xaudio bench compare runs/first runs/second
    """
    from ..measuring.comparison import compare

    settings, differences = compare(first, second)
    if as_json:
        rows = [asdict(item) | {"beyond_noise": item.beyond_noise} for item in differences]
        print_json({"settings": [str(setting) for setting in settings], "differences": rows})
        return
    folders = [str(first), str(second)]
    shown = [setting.in_short(LONGEST_CELL) for setting in settings[:MOST_ROWS]]
    print_rich_table(f"{counted(len(settings), 'setting differs', 'settings differ')}", ["setting", *folders], shown)
    _print_rest(len(settings) - len(shown))
    listed = differences if len(differences) <= MOST_ROWS else [item for item in differences if item.beyond_noise][:MOST_ROWS]
    beyond = sum(item.beyond_noise for item in differences)
    title = f"{counted_of(beyond, len(differences), 'accuracy', 'differs', 'differ', things='accuracies')} beyond noise"
    header = ["training", *folders, "difference (95 %, points)", "beyond noise", "recordings"]
    print_rich_table(title, header, [_difference_row(item) for item in listed])
    _print_rest(len(differences) - len(listed))


def _difference_row(item: Difference) -> list[str]:
    return [
        item.name,
        f"{item.first:.2%}",
        f"{item.second:.2%}",
        f"{100 * item.low:+.1f} to {100 * item.high:+.1f}",
        "yes" if item.beyond_noise else "no",
        "the same" if item.paired else "others",
    ]


def _print_rest(count: int) -> None:
    """Say how many rows of a table are not shown."""
    if count:
        print(f"and {count} more, which --json lists")


def _command(name: str, factory: Callable[..., Any]) -> Callable[..., None]:
    """A function whose signature is that of the factory, every value a string that the registry converts."""

    @when_stopped()
    def run(out: Path, **given: Any) -> None:
        from ..output.runs import output_folder

        prepare_command()
        config = given.pop("config")
        options = {} if config is None else read_config(name, config, factory)
        options |= {key: value for key, value in given.items() if value is not None}
        benchmark = registry().create("benchmark", name, options)
        benchmark(output_folder(out))

    default_out = Path("xaudio-runs") / name
    parameters = [inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=default_out, annotation=OutOption)]
    config = Annotated[Path | None, typer.Option("--config", help="TOML file of these options; those given here win.")]
    parameters.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=config))
    for option in options_of(factory).values():
        flag = f"--{option.name.replace('_', '-')}"
        many = option.annotation == tuple[str, ...] and option.name == "set"
        shown = "" if option.default in (REQUIRED, None, ()) else f" [default: {_shown(option.default)}]"
        completed = names_of(COMPLETED[option.name]) if option.name in COMPLETED else None
        setting = typer.Option(flag, help=f"{option.description} ({option.type_name}){shown}", autocompletion=completed)
        annotation: Any = Annotated[list[str] | None, setting] if many else Annotated[str | None, setting]
        parameters.append(inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    examples = examples_of(factory)
    run.__doc__ = f"{summary_of(factory)}\n{EXAMPLES}{examples}" if examples else summary_of(factory)
    return run


def read_config(name: str, path: Path, factory: Callable[..., Any]) -> dict[str, Any]:
    """Options of a benchmark from a TOML file; lists stand for several values.

    Raises
    ------
    PluginError
        If it cannot be read or names an option that does not exist.
    """
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PluginError(f"{path}: cannot be read as TOML ({error}).") from None
    options = options_of(factory)
    for key in content:
        if key.replace("-", "_") not in options:
            raise PluginError(f"{path}: {unknown(f'option of benchmark {name}', key, options)}")
    return {key.replace("-", "_"): tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def _shown(default: Any) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)
