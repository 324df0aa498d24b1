"""What a command leaves when it is stopped by Ctrl-C or by a request to end, and how to go on: one line, no traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar

GOES_ON = "what is done is kept. Run the same command again to continue."
NOTHING = "nothing was written. Run the same command again to start over."
WORDS = "when_stopped"
"""Attribute in which a command says what it leaves."""

Command = TypeVar("Command", bound=Callable[..., Any])

_received: list[int] = []


def when_stopped(words: str = GOES_ON) -> Callable[[Command], Command]:
    """Say of a command what is kept when it is stopped, and how to go on; of others nothing is.

    Parameters
    ----------
    words : str
        Behind "stopped;", as in "what was downloaded is kept. Run the same command again to continue."
    """

    def say(command: Command) -> Command:
        setattr(command, WORDS, words)
        return command

    return say


def watch() -> None:
    """Let Ctrl-C and a request to end (SIGTERM) unwind what is under way; a second one ends the program at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):  # what runs in the background ignores Ctrl-C
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    if _received:
        os.write(2, b"xaudio: stopped at once.\n")
        os._exit(128 + number)
    _received.append(number)
    raise KeyboardInterrupt


def was_stopped() -> bool:
    """Whether the program was asked to stop."""
    return bool(_received)


def end(program: Any, words: Sequence[str]) -> None:
    """End a stopped program: say what is kept, with the exit status that shells have, 128 and the number of the signal.

    Parameters
    ----------
    program : click.Group
        What has the commands.
    words : sequence of str
        The command line without the program.
    """
    print(f"xaudio: stopped; {kept(program, words)}", file=sys.stderr)
    sys.exit(128 + _received[0])


def kept(program: Any, words: Sequence[str]) -> str:
    """What a command leaves, and how to go on."""
    command = program
    for word in words:
        if not hasattr(command, "get_command"):
            break
        command = command.get_command(None, word)
    words_of_command: str = getattr(getattr(command, "callback", None), WORDS, NOTHING)
    return words_of_command
