"""Processes that are started, heard, and started anew when they die."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from xaudio.plugin import (
    Assignment,
    Counts,
    DeviceError,
    XaudioError,
    keep_large_buffers,
    prepare_process,
    seeing_device,
    visible_devices,
)

CONTEXT = "spawn"
"""How processes begin: anew, since a GPU is of no use to a copy of a process that has used it."""
READY = "ready"
STARTS = 3
"""Workers that may die in a row before one has made its job."""


class Processes:
    """See `xaudio_local.local`; implements `xaudio.plugin.Engine`."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._context: Any = multiprocessing.get_context(CONTEXT)

    def __call__(self, work: Assignment) -> Iterator[Counts]:
        """What the workers did, as it comes.

        Raises
        ------
        XaudioError
            As a worker raised it, or if workers die before they have begun.
        """
        devices = visible_devices()
        running = dict(self._started(work, number, devices) for number in range(min(self.workers, len(work.shards))))
        dead = 0
        try:
            while running:
                for heard in wait(list(running)):
                    number, process = running[heard]
                    said = _said(heard)
                    if isinstance(said, Counts):
                        yield said
                    elif said == READY:
                        dead = 0
                    else:
                        del running[heard]
                        process.join()
                        dead += process.exitcode != 0
                        if isinstance(said, XaudioError):
                            raise said
                        if dead >= STARTS:
                            raise DeviceError(_refusal(process, said))
                        if process.exitcode != 0:
                            running |= dict([self._started(work, number, devices)])
        finally:
            for _, process in running.values():
                process.terminate()
            for _, process in running.values():
                process.join()

    def _started(self, work: Assignment, number: int, devices: list[str]) -> tuple[Any, tuple[int, BaseProcess]]:
        """A new worker, by what it is heard through."""
        ours, theirs = self._context.Pipe(duplex=False)
        with seeing_device(number, devices):
            process = self._context.Process(target=_serve, args=(work, theirs), daemon=True)
            process.start()
        theirs.close()
        return ours, (number, process)


def _said(heard: Any) -> Any:
    """What a worker said; None where it ended or died."""
    try:
        return heard.recv()
    except (EOFError, OSError):
        return None


def _refusal(process: BaseProcess, said: Any) -> str:
    told = said or f"exit status {process.exitcode}"
    return f"Workers ended {STARTS} times before they could begin ({told}), perhaps because memory ran out. Give fewer --workers."


def _serve(work: Assignment, ours: Any) -> None:
    """The life of a worker."""
    prepare_process()
    keep_large_buffers()
    try:
        steps = work.start()
        ours.send(READY)
        for counts in steps:
            ours.send(counts)
    except XaudioError as error:
        ours.send(error)
    except Exception as error:  # such as a GPU that failed: another process may fare better
        ours.send(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None
