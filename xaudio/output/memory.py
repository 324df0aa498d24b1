"""Memory that runs out, called by its name; on the CPU, on a GPU, in numpy and in torch."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DeviceError, XaudioError

OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|can(\'t|not) allocate memory|bad_alloc|alloc_failed", re.IGNORECASE)
"""How torch's messages say it."""


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that memory ran out."""
    if error is None:
        return False
    told = isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None
    lacking = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return told or lacking or isinstance(error, MemoryError) or out_of_memory(error.__cause__)


@contextmanager
def naming_memory(remedy: str) -> Iterator[None]:
    """Turn the error of memory that runs out into one line; also a decorator.

    Parameters
    ----------
    remedy : str
        A sentence on what to do.

    Raises
    ------
    DeviceError
        If memory ran out.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, XaudioError) or not out_of_memory(error):
            raise
        raise DeviceError(f"{_shortage(error)} {remedy}") from error


def _shortage(error: BaseException) -> str:
    """That memory ran out, with how much was asked for where the error says so."""
    asked = re.search(r"allocate ([\d.]+) ?(bytes|[KMGTPE]i?B)", str(error))
    amount = f" when {asked[1]} {asked[2]} more were asked for" if asked else ""
    return f"Memory ran out{amount}."
