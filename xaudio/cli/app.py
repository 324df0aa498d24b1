"""The command line: each command reads its options and calls one function. Nothing here imports torch before it must."""

from __future__ import annotations

import codecs
import inspect
import os
import sys
import warnings
from functools import cache
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from .. import __version__
from ..errors import XaudioError, XaudioWarning
from ..output import terminal
from ..output.memory import out_of_memory
from ..output.runs import UNPRINTABLE, printable
from ..registry.loading import registry
from . import bench, data, doctor, evaluate, explain, plugins, report, stopping, train
from .common import warn_about_plugins, with_examples


class Commands(TyperGroup):
    """The commands of the core, and those that plugins bring, which are asked for when they are needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in registry().names("command") if name not in own)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Names and first sentences of all commands; the options of those that plugins bring are not read for it."""
        TyperGroup(commands={name: self._brief(ctx, name) for name in self.list_commands(ctx)}).format_commands(ctx, formatter)

    def _brief(self, ctx: Any, name: str) -> Any:
        own = super().get_command(ctx, name)
        offer = None if own else registry().factory("command", name)
        if own or isinstance(offer, typer.Typer):
            return self.get_command(ctx, name)
        return with_examples(TyperCommand(name, help=inspect.getdoc(offer)))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command of the core, or else one of a plugin, or None if there is none of that name."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in registry().names("command"):
            return own and with_examples(own)
        return _offered(cmd_name, registry().factory("command", cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is asked for; if there is none, which plugins could not be loaded, one of which may have it."""
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            warn_about_plugins()
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, and which plugins could not be loaded, whose commands it lacks."""
        super().format_help(ctx, formatter)
        warn_about_plugins()


@cache
def _offered(name: str, offer: Any) -> Any:
    """The command of a plugin."""
    if isinstance(offer, typer.Typer):
        offer.info.name = name
        return with_examples(get_command(offer))
    single = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    single.command(name)(offer)
    return with_examples(get_command(single))


app = typer.Typer(
    name="xaudio",
    cls=Commands,
    help="Why did the network decide this way? Explanations of audio classifiers, to see and to hear.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)
app.add_typer(plugins.app, name="plugins")
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")
app.command("train")(train.train)
app.command("explain")(explain.explain)
app.command("evaluate")(evaluate.evaluate)
app.command("doctor")(doctor.doctor)
app.command("report", cls=report.ReportCommand)(report.report)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"xaudio {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Options of the program itself."""
    terminal.in_command = True
    context.call_on_close(lambda: setattr(terminal, "in_command", False))


def _show_warnings() -> None:
    """Show warnings of our own as one line, without the line of code that Python adds; all others as before."""
    before = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, XaudioWarning):
            print(f"xaudio: warning: {message}", file=sys.stderr)
        else:
            before(message, category, *rest, **more)

    warnings.simplefilter("always", XaudioWarning)
    warnings.showwarning = show


def _shown(error: Any) -> tuple[str | bytes, int]:
    """What stands for letters that a console cannot show: their numbers, and for bytes that are no text what pages show."""
    letter, after = error.object[error.start], error.start + 1
    if printable(letter) != UNPRINTABLE:
        return letter.encode("ascii", "backslashreplace").decode(), after
    return (UNPRINTABLE.encode() if error.encoding == "utf-8" else "?"), after


def _show_any_name() -> None:
    """Let no console fail at a name that it cannot show, nor at one that is not UTF-8."""
    codecs.register_error("xaudio", _shown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="xaudio")


def main() -> None:
    """Run the command line: exit status 0 done, 1 an error the user can fix, 2 wrong usage, 130 after Ctrl-C."""
    _show_any_name()
    _show_warnings()
    stopping.watch()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's, or one that needs a display, may not be there; nothing is shown
    try:
        _run()
    except BaseException:  # Ctrl-C within an import, a callback or a handler takes many shapes
        if stopping.was_stopped():
            stopping.end(get_command(app), sys.argv[1:])
        raise


def _run() -> None:
    """The command, with errors in one line, also those of an output that nobody reads or that has no room."""
    status: Any = 0
    try:
        try:
            app()
        finally:
            if sys.stdout:  # closed by who started the program, it is None
                sys.stdout.flush()
    except XaudioError as error:
        print(f"xaudio: error: {printable(str(error))}", file=sys.stderr)
        status = 1
    except SystemExit as end:
        status = end.code
    except OSError as error:  # of files, all are told as errors of our own; this is the output's
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains of it at its end
        if not isinstance(error, BrokenPipeError):
            print(f"xaudio: error: {error.filename or 'the output'} cannot be used ({error.strerror}).", file=sys.stderr)
        status = 1
    except Exception as error:
        if not out_of_memory(error):
            raise
        print("xaudio: error: Memory ran out. Work on less at once, or choose another device.", file=sys.stderr)
        status = 1
    sys.exit(status)
