"""Who works on a folder: claims that are numbered, made by one process alone, and taken over when their owner is dead.

A claim is a file that its owner appends to: who it is, what it is at, a dot for each heartbeat, and "over" at the end. Its size
counts its heartbeats, so that no two clocks are compared: who watches a claim asks whether it grew, by a clock of its own. The
next claim has the next number, and the file system lets one process alone make it. A claim that ended without "over" and has a
successor says what its owner was at when it died.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ..errors import OutputError, XaudioError
from ..output.processes import machine, started
from ..output.temporary import temporary_prefix

BEAT = 10.0
"""Seconds from one heartbeat to the next."""

LEASE = 120.0
"""Seconds without a heartbeat after which the owner counts as dead; network file systems show a file's size up to 60 s late."""

OVER = "over"
_open: set[Claim] = set()


class Watch:
    """What one process saw of the claims of others, by its own clock."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float]] = {}

    def alive(self, path: Path) -> bool:
        """Whether the owner of a claim may still be at work."""
        lines = _lines(path)
        if OVER in lines or _known_dead(lines):
            return False
        size, now = sum(map(len, lines)), time.monotonic()
        before = self._seen.setdefault(path, (size, now))
        if before[0] != size:
            self._seen[path] = before = (size, now)
        return now - before[1] < LEASE


class Claim:
    """The right to work on a folder, while the block lasts; see the module.

    Parameters
    ----------
    path : Path
        Of the file, which is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._ended = threading.Event()

    def __enter__(self) -> Claim:
        _open.add(self)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Anything else is a bug, or a device that fails from now on: it counts as the death that it is.
        if error is None or isinstance(error, XaudioError) or not isinstance(error, Exception):
            self.end()
        self._ended.set()
        _open.discard(self)
        os.close(self._file)

    def at(self, token: str) -> None:
        """Say what comes next, so that it is known if this process dies of it.

        Raises
        ------
        OutputError
            If that cannot be written.
        """
        try:
            os.write(self._file, f"at {token}\n".encode())
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror}). Check the space left.") from error

    def end(self) -> None:
        """Say that the owner stops of its own accord."""
        with contextlib.suppress(OSError):
            os.write(self._file, f"{OVER}\n".encode())

    def is_lost(self) -> bool:
        """Whether another process has taken over."""
        return _path(self.path.parent, _number(self.path) + 1).exists()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError):  # a full disk is told by what writes results
                os.write(self._file, b".\n")


def take(folder: Path, watch: Watch) -> Claim | None:
    """The claim on a folder, None while another process holds it.

    Parameters
    ----------
    folder : Path
    watch : Watch

    Raises
    ------
    OutputError
        If no claim can be written.
    """
    paths = claims_in(folder)
    if paths and watch.alive(paths[-1]):
        return None
    path = _path(folder, _number(paths[-1]) + 1 if paths else 1)
    try:
        return Claim(path) if _made(path) else None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Check the folder and the space left.") from error


def wait_for(folder: Path) -> Iterator[Claim | None]:
    """The claim on a folder, with None for each second that another process holds it."""
    watch = Watch()
    while (claim := take(folder, watch)) is None:
        yield None
        time.sleep(1)
    yield claim


def claims_in(folder: Path) -> list[Path]:
    """All claims there ever were on a folder, in order."""
    return sorted(folder.glob("claim-*.log"))


def ended_since(folder: Path, count: int) -> bool:
    """Whether an owner has stopped of its own accord whose claim was made after the first ``count``."""
    return any(OVER in _lines(path) for path in claims_in(folder)[count:])


def deaths(folder: Path) -> Counter[str]:
    """How often a process died at what it said it was at; the last claim is that of who asks."""
    ends = [_lines(path) for path in claims_in(folder)[:-1]]
    return Counter(_last_at(lines) for lines in ends if OVER not in lines)


def end_all() -> None:
    """End all claims of this process, which is about to end for another reason than its work."""
    for claim in list(_open):
        claim.end()


def _last_at(lines: list[str]) -> str:
    return next((line.removeprefix("at ") for line in reversed(lines) if line.startswith("at ")), "")


def _path(folder: Path, number: int) -> Path:
    return folder / f"claim-{number:06d}.log"


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("claim-"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _made(path: Path) -> bool:
    """Make a claim's file unless it is there: by a link, which is exclusive also where making a file is not (NFS)."""
    first = f"{json.dumps(_self())}\n".encode()
    handle, name = tempfile.mkstemp(prefix=temporary_prefix(), dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(first)
        os.link(name, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        return _made_alone(path, first)  # a file system without links
    finally:
        os.unlink(name)
    return True


def _made_alone(path: Path, first: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(first)
    except FileExistsError:
        return False
    return True


def _self() -> dict[str, object]:
    return {"machine": machine(), "pid": os.getpid(), "started": started(os.getpid())}


def _known_dead(lines: list[str]) -> bool:
    """Whether the owner ran on this machine and is no more, which need not be waited for."""
    try:
        owner = json.loads(lines[0])
        return bool(owner["machine"] == machine() and started(int(owner["pid"])) != owner["started"])
    except (IndexError, ValueError, KeyError, TypeError):
        return False
