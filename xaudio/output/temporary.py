"""Temporary files and folders, beside what they become: their names say which process makes them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from zlib import crc32

from .processes import machine, started

LEFTOVER = ".xaudio-"
"""How the names of temporary files begin."""

OLD = 24 * 3600.0
"""Seconds after which a temporary file is left over whose process cannot be asked for, such as that of another machine."""


def temporary_prefix() -> str:
    """How the names of temporary files of this process begin."""
    return f"{LEFTOVER}{_maker(os.getpid())}-"


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in a folder whose process is no more, such as one that was killed while it wrote.

    Those that another process writes at the moment stay. Of a process elsewhere that cannot be told: its files go after a day.

    Parameters
    ----------
    folder : Path
    """
    for path in filter(_is_left, folder.glob(f"{LEFTOVER}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_left(path: Path) -> bool:
    """Whether nobody writes it any more."""
    parts = path.name.removeprefix(LEFTOVER).split("-")
    if len(parts) > 3 and parts[0] == _short(machine()) and parts[1].isdecimal() and started(int(parts[1])) != "?":
        return "-".join(parts[:3]) != _maker(int(parts[1]))
    try:
        return time.time() - path.lstat().st_mtime > OLD
    except OSError:  # it is gone
        return False


def _maker(pid: int) -> str:
    """A process of this machine, in letters that a name may have."""
    return f"{_short(machine())}-{pid}-{_short(started(pid))}"


def _short(text: str) -> str:
    return f"{crc32(text.encode()):08x}"
