"""Processes as files name them: which machine, and which process there."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path


def machine() -> str:
    """The machine since it was switched on, and the container: where a number of a process means one process."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # where there is no /proc, the name must do
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def started(pid: int) -> str:
    """When a process started, since its number may be given again; "" if it is not there, "?" if that cannot be told.

    Parameters
    ----------
    pid : int
    """
    if sys.platform == "win32":  # where the signal 0 is Ctrl-C
        return "?"
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except OSError:
            pass
        return "?"
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if words[0] in "ZX" else words[19]
