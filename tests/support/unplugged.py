"""What a disk may hold after the power failed, worked out from the system calls of a process.

POSIX promises of a write only what a later fsync of the file confirms, and of a name only what an fsync of its folder
confirms. `Disk` replays a trace of strace and gives any of the states that are left possible: all that was confirmed, and
of the rest any part, sector by sector.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
CALLS = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,sendto,mmap,writev,sendmsg"
STRACE = ["strace", "-f", "-y", "-x", "-s", "1000000", "-e", f"trace={CALLS}"]

CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+)", re.DOTALL)
FILE = re.compile(r"\d+<(?P<path>[^>]*)>")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class Call(NamedTuple):
    """A system call that has returned, or one that sends and has only begun."""

    name: str
    path: str
    arguments: str
    result: int

    @property
    def content(self) -> bytes:
        """The bytes that it writes or sends."""
        found = STRING.search(self.arguments)
        return ast.literal_eval(f"b{found[0]}") if found else b""

    @property
    def numbers(self) -> list[int]:
        """Its arguments behind the bytes."""
        return [int(number) for number in re.findall(r"(?<=, )\d+(?=$|, )", STRING.sub("", self.arguments))]


def calls(trace: Path) -> Iterator[Call]:
    """The calls of a trace, each when it returns; what is sent counts from its beginning, when nothing later is confirmed."""
    begun: dict[str, str] = {}
    for line in trace.read_text(encoding="latin-1").splitlines():
        process, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[process] = text.removesuffix("<unfinished ...>").rstrip()
            if text.startswith("sendto("):
                yield _call(f"{begun.pop(process)}) = 0")
            continue
        resumed = re.match(r"<\.\.\. (\w+) resumed>", text)
        if resumed:
            if process not in begun:
                continue
            text = begun.pop(process) + text[resumed.end() :]
        if CALL.match(text):
            yield _call(text)


def _call(text: str) -> Call:
    found = CALL.match(text)
    assert found is not None, text[:200]
    arguments = found["arguments"]
    named = STRING.search(arguments) if found["name"] in ("openat", "unlink", "unlinkat") else None
    file = FILE.match(arguments)
    path = ast.literal_eval(named[0]) if named else file["path"] if file else ""
    return Call(found["name"], path, arguments, int(found["result"]))


@dataclass
class Disk:
    """Files of one folder: what is certain, and what is only on its way."""

    folder: str
    names: dict[str, int] = field(default_factory=dict)
    certain_names: dict[str, int] = field(default_factory=dict)
    certain: list[bytes] = field(default_factory=list)
    waiting: list[list[tuple[int, bytes | None]]] = field(default_factory=list)
    confirmed: int = 0

    def replay(self, call: Call) -> bool:
        """Do what a call did; whether it concerned this disk."""
        folder, _, name = call.path.rpartition("/")
        if call.path == self.folder and call.name in ("fsync", "fdatasync"):
            self.certain_names = dict(self.names)
            self.confirmed += 1
            return True
        if folder != self.folder or name.endswith("-shm") or call.result < 0:
            return False  # the index of the journal is made anew from the journal
        if call.name == "openat":
            if name not in self.names and "O_CREAT" in call.arguments:
                self.names[name] = len(self.certain)
                self.certain.append(b"")
                self.waiting.append([])
            return True
        if call.name in ("unlink", "unlinkat"):
            del self.names[name]
            return True
        number = self.names[name]
        if call.name in ("fsync", "fdatasync"):
            self.certain[number] = _after(self.certain[number], self.waiting[number])
            self.waiting[number] = []
            self.confirmed += 1
        elif call.name == "pwrite64":
            self.waiting[number].append((call.numbers[-1], call.content))
        elif call.name == "ftruncate":
            self.waiting[number].append((call.numbers[-1], None))
        else:
            assert call.name == "mmap", call
            assert "PROT_WRITE" not in call.arguments, "what is written to a mapping is not seen by a trace"
        return True

    def after_failure(self, folder: Path, draw: random.Random | None) -> None:
        """Write one of the possible states: without a draw what is certain alone, else with any part of the rest."""
        for old in folder.iterdir():
            old.unlink()
        names = self.certain_names if draw is None or draw.random() < 0.5 else self.names
        for name, number in names.items():
            kept = [] if draw is None else [piece for write in self.waiting[number] for piece in _torn(write, draw)]
            (folder / name).write_bytes(_after(self.certain[number], kept))


def _torn(write: tuple[int, bytes | None], draw: random.Random) -> list[tuple[int, bytes | None]]:
    """The sectors of a write that reached the disk."""
    offset, content = write
    if content is None:
        return [write] if draw.random() < 0.5 else []
    cuts = sorted({0, len(content), *range(-offset % SECTOR, len(content), SECTOR)})
    return [(offset + start, content[start:stop]) for start, stop in pairwise(cuts) if draw.random() < 0.5]


def _after(content: bytes, writes: list[tuple[int, bytes | None]]) -> bytes:
    """A file after writes, and after truncations where there is no content."""
    found = bytearray(content)
    for offset, written in writes:
        if written is None:
            found[offset:] = b"" if offset <= len(found) else bytes(offset - len(found))
        else:
            found.extend(bytes(max(0, offset - len(found))))
            found[offset : offset + len(written)] = written
    return bytes(found)
