"""Steps that Ctrl-C does not break off: it waits for the end of the one that is under way."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class WholeSteps:
    """While it is entered, Ctrl-C and a request to end (SIGTERM) wait until `between` is called.

    Weights of which only some have been updated belong to no step: saved, they would continue as another training. A
    second Ctrl-C does not wait; `broken` tells that it came in the middle of a step. In other threads than the main one,
    which no signal reaches, nothing is changed.
    """

    def __init__(self) -> None:
        self.broken = False
        self._asked: int | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> WholeSteps:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(number)):
                    self._handlers[number] = handler
                    signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()
        if kind is None:
            self._stop()

    def between(self) -> None:
        """Stop now, if that was asked for during the step; raises what the signal raises, as a rule `KeyboardInterrupt`."""
        if self._asked is not None:
            self._restore()
            self._stop()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked is not None:
            self.broken = True
            self._restore()
            self._stop()
        self._asked = number

    def _stop(self) -> None:
        number, self._asked = self._asked, None
        if number is not None:
            signal.raise_signal(number)

    def _restore(self) -> None:
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler)
