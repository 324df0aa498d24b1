"""What a command leaves when it is stopped by Ctrl-C or by a request to end, and how to go on: one line, no traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

GOES_ON = "what is done is kept. Give the same command again to go on."
NOTHING = "nothing was written. Give the same command again to start anew."
KEPT = {
    "train": GOES_ON,
    "bench": GOES_ON,
    "evaluate": GOES_ON,
    "probe": GOES_ON,
    "groups": GOES_ON,
    "cluster": GOES_ON,
    "concepts": GOES_ON,
    "study build": GOES_ON,
    "explain": "what is in the folder of --out is whole. Give the same command again to make all of it.",
    "report": "the report is whole, the earlier one or the new one. Give the same command again to write it anew.",
    "data fetch": "what was downloaded is kept. Give the same command again to go on.",
    "study serve": "all answers that were acknowledged are stored. Give the same command again to serve the study.",
    "study invite": "invitations that were not shown may exist; see xaudio study status.",
    "study withdraw": "see xaudio study status for what was withdrawn. Give the same command again to withdraw the rest.",
}
"""By command; of all others there is nothing to keep."""

_received: list[int] = []


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


def end(words: Sequence[str]) -> None:
    """End a stopped program: say what is kept, with the exit status that shells have, 128 and the number of the signal.

    Parameters
    ----------
    words : sequence of str
        The command line without the program.
    """
    print(f"xaudio: stopped; {kept(words)}", file=sys.stderr)
    sys.exit(128 + _received[0])


def kept(words: Sequence[str]) -> str:
    """What a command leaves, and how to go on."""
    names = [" ".join(words[:count]) for count in (2, 1)]
    return next((KEPT[name] for name in names if name in KEPT), NOTHING)
