"""Processes that a command starts beside itself: the GPU that each sees, and their end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType

from ..output import terminal
from .claims import end_all

CHOICE = "CUDA_VISIBLE_DEVICES"


def prepare_process() -> None:
    """Prepare a process that was started beside others: plain lines, and an end when its parent ends or it is asked to end."""
    terminal.plain = True
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    end_all()
    os._exit(128 + number)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        end_all()  # it is not the work's fault
        os._exit(1)


def visible_devices() -> list[str]:
    """The names by which CUDA devices are chosen in the environment; none where there are less than two."""
    import torch

    chosen = os.environ.get(CHOICE)
    names = [name.strip() for name in chosen.split(",")] if chosen else [str(one) for one in range(torch.cuda.device_count())]
    return names if len(names) > 1 else []


@contextmanager
def seeing_device(worker: int, devices: list[str]) -> Iterator[None]:
    """Let a process that starts within the block see one CUDA device alone.

    Parameters
    ----------
    worker : int
        Its number among those that start.
    devices : list of str
        As `visible_devices` names them; with none, it sees what there is.
    """
    if not devices:
        yield
        return
    before = os.environ.get(CHOICE)
    os.environ[CHOICE] = devices[worker % len(devices)]
    try:
        yield
    finally:
        if before is None:
            del os.environ[CHOICE]
        else:
            os.environ[CHOICE] = before
