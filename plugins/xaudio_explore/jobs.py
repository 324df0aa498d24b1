"""Work that takes long: in threads, with its progress, and an end when nobody waits for it any more."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from xaudio.plugin import XaudioError, reported_to

AT_ONCE = 2
"""Jobs that run at the same time; others wait."""
MOST = 16
"""Jobs that wait or run; more are refused."""

Result = dict[str, Any]


def quietly(act: Callable[..., Any], *given: Any) -> Any:
    """What a function gives that tells nobody how far it is.

    Parameters
    ----------
    act : callable
    *given
        Its arguments.
    """
    with reported_to(lambda text, share: None):
        return act(*given)


class Cancelled(BaseException):
    """Ends work that nobody waits for."""


class Job:
    """One piece of work, and how far it is.

    Parameters
    ----------
    act : callable
        Does it, and gives JSON values.
    """

    def __init__(self, act: Callable[[], Result]) -> None:
        self._act = act
        self.text, self.share, self.begun = "waiting", 0.0, 0.0
        self.result: Result | None = None
        self.error = ""
        self.ended, self._cancelled = threading.Event(), threading.Event()

    def run(self) -> None:
        """Do the work, unless it was cancelled; nothing that goes wrong leaves this."""
        self.begun = time.monotonic()
        try:
            with reported_to(self._tell):
                self._tell("working", 0.0)
                self.result = self._act()
        except Cancelled:
            self.error = "Cancelled."
        except XaudioError as error:
            self.error = str(error)
        except Exception as error:  # a bug: the terminal shows it whole, the page goes on
            traceback.print_exc()
            self.error = f"Something went wrong ({type(error).__name__}: {error}); the terminal says where."
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """Let the work end at its next pass."""
        self._cancelled.set()

    def _tell(self, text: str, share: float) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        self.text, self.share = text, share

    def state(self, wait: float) -> Result:
        """What there is after so many seconds, or as soon as it is done: the result, the error, or how far it is."""
        if not self.ended.wait(wait):
            return {"text": self.text, "share": self.share}
        return {"error": self.error} if self.error else {"result": self.result}


class Jobs:
    """Jobs by name."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="explore")
        self._jobs: dict[str, Job] = {}
        self._count, self._lock = 0, threading.Lock()

    def start(self, act: Callable[[], Result]) -> tuple[str, Job]:
        """Begin a piece of work as soon as there is room; its name.

        Raises
        ------
        XaudioError
            If too many wait already.
        """
        with self._lock:
            if sum(not job.ended.is_set() for job in self._jobs.values()) >= MOST:
                raise XaudioError(f"{MOST} explanations are already being computed. Wait for one, or cancel some.")
            while len(self._jobs) >= 2 * MOST:  # what nobody asked for
                self._jobs.pop(next(name for name, job in self._jobs.items() if job.ended.is_set()))
            self._count += 1
            name, job = f"j{self._count}", Job(act)
            self._jobs[name] = job
        self._threads.submit(job.run)
        return name, job

    def get(self, name: str) -> Job | None:
        """A job that is under way, or whose end was not told yet; None if there is none of that name."""
        return self._jobs.get(name)

    def forget(self, name: str) -> None:
        """Let a job go whose end was told."""
        self._jobs.pop(name, None)

    def stop(self) -> None:
        """Cancel all, and begin none any more."""
        for job in list(self._jobs.values()):
            job.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
