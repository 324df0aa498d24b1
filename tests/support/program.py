"""The commands of the program, those of plugins and benchmarks too."""

from typing import Any

from typer.main import get_command

from xaudio.cli.app import app


def commands_below(command: Any, names: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of each command of a group."""
    if not hasattr(command, "list_commands"):
        return [names]
    parts = [(part, command.get_command(None, part)) for part in command.list_commands(None)]
    return [words for part, below in parts for words in commands_below(below, (*names, part))]


def command_of(*names: str) -> Any:
    """A command of the program; without names the program."""
    command: Any = PROGRAM
    for name in names:
        command = command.get_command(None, name)
    return command


PROGRAM = get_command(app)
EVERY = commands_below(PROGRAM)
