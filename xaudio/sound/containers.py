"""Where the sound lies in a file: chunks, pages and frames, read before libsndfile decodes them.

libsndfile reads what is left of a truncated file, the first link of a chained one, and as much of an MP3 file as its first
frame suggests, and says nothing of it. Here a file is either whole, or repaired where its header merely gives no length, or
refused with the reason.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .packets import IncompleteError, frames_of, links_of

NO_LENGTH = "its header gives no length: read to the end of the file"
TRUNCATED = "is truncated: its header promises more samples than it holds. Copy or download it again."

PLACEHOLDERS = (0x7F000000, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFF_FFFFFFFF, 0xFFFFFFFF_FFFFFFFF)
"""Lengths left by writers that could not go back to fill in the true one (a pipe), less a header or rounded to frames."""

TRAILERS: tuple[bytes, ...] = (
    *(b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"fact", b"PEAK", b"iXML", b"axml", b"_PMX", b"afsp", b"inst"),
    *(b"JUNK", b"PAD ", b"NAME", b"AUTH", b"ANNO", b"COMT", b"MARK", b"INST", b"APPL", b"(c) ", b"info", b"free"),
)
"""Names of chunks that can follow samples whose length is not known."""

TAIL = 1 << 20
"""Bytes at the end of a file in which such chunks are looked for."""


class Family(NamedTuple):
    """How a family of formats writes its chunks.

    Parameters
    ----------
    first : int
        Where the first chunk starts.
    name, size : int
        Bytes of a chunk's name and of its length.
    order : {"little", "big"}
    align : int
        Chunks start at multiples of this.
    counted : int
        Bytes of the chunk's own header that its length includes.
    data : bytes
        How the name of the chunk with the samples begins.
    before : int
        Bytes of its content before the first sample.
    """

    first: int
    name: int
    size: int
    order: str
    align: int
    counted: int
    data: bytes
    before: int = 0


class Chunk(NamedTuple):
    """Name of a chunk, where its content starts, how long it says it is, and where that length is written."""

    name: bytes
    start: int
    length: int
    field: int


RIFF = Family(12, 4, 4, "little", 2, 0, b"data")
FAMILIES = {
    b"RIFF": RIFF,
    b"RF64": RIFF,
    b"BW64": RIFF,
    b"RIFX": RIFF._replace(order="big"),
    b"FORM": Family(12, 4, 4, "big", 2, 0, b"SSND", 8),
    b"riff": Family(40, 16, 8, "little", 8, 24, b"data"),
    b"caff": Family(8, 4, 8, "big", 1, 0, b"data", 4),
}


def streams(file: BinaryIO, size: int) -> tuple[list[BinaryIO], tuple[str, ...]]:
    """What libsndfile is to decode, one after the other, and what is to be noted.

    Parameters
    ----------
    file : binary file
        At its start, which can be sought.
    size : int
        In bytes.

    Raises
    ------
    IncompleteError
        If samples are missing.
    """
    head = file.read(12)
    file.seek(0)
    if head[:4] == b"OggS":
        return links_of(file)
    if head[:4] in (b".snd", b"dns."):
        return _au_streams(file, size, "big" if head[:4] == b".snd" else "little")
    if head[:4] in FAMILIES and (head[:4] not in (b"RIFF", b"RIFX") or head[8:] == b"WAVE"):
        return _chunk_streams(file, size, head[:4])
    return frames_of(file)


def _chunk_streams(file: BinaryIO, size: int, kind: bytes) -> tuple[list[BinaryIO], tuple[str, ...]]:
    family = FAMILIES[kind]
    frame, long = 1, None
    for chunk in _chunks(file, family, family.first, size):
        if chunk.name == b"ds64":
            long = _number(file, chunk.start + 8, 8, family), chunk.start + 8
        elif chunk.name.startswith(b"fmt "):
            frame = max(1, _number(file, chunk.start + 12, 2, family))
        elif chunk.name.startswith(family.data):
            if long and chunk.length == 0xFFFFFFFF:
                chunk, family = chunk._replace(length=long[0], field=long[1]), family._replace(size=8)
            return _data_streams(file, size, family, chunk, frame)
    file.seek(0)
    return [file], ()


def _data_streams(file: BinaryIO, size: int, family: Family, chunk: Chunk, frame: int) -> tuple[list[BinaryIO], tuple[str, ...]]:
    """A file with its chunk of samples, whose length is put right where the writer did not know it."""
    holds = chunk.length > family.before
    chunks = family._replace(size=4) if family.first == RIFF.first else family
    if (holds and chunk.length <= size - chunk.start) or (
        not holds and _fills(file, chunks, chunk.start + max(0, chunk.length), size)
    ):
        file.seek(0)
        return [file], ()
    if holds and not _is_placeholder(chunk, frame):
        raise IncompleteError(TRUNCATED)
    length = _tail(file, chunks, chunk.start, size) - chunk.start + family.counted
    return [_patched(file, chunk.field, min(length, 256**family.size - 1).to_bytes(family.size, family.order))], (NO_LENGTH,)  # type: ignore[arg-type]


def _au_streams(file: BinaryIO, size: int, order: str) -> tuple[list[BinaryIO], tuple[str, ...]]:
    """A Sun or NeXT file: no chunks, but a header that says where the samples start and how long they are."""
    start, length = struct.unpack(">4xII" if order == "big" else "<4xII", file.read(12).ljust(12, b"\0"))
    file.seek(0)
    if length == 0xFFFFFFFF:  # the format's own word for a length that is not known
        return [file], (NO_LENGTH,)
    chunk = Chunk(b"", start, length, 8)
    if 0 < length <= size - start or start >= size:
        if length > max(0, size - start):
            raise IncompleteError(TRUNCATED)
        return [file], ()
    if length and not _is_placeholder(chunk, 1):
        raise IncompleteError(TRUNCATED)
    return [_patched(file, 8, (size - start).to_bytes(4, order))], (NO_LENGTH,)  # type: ignore[arg-type]


def _chunks(file: BinaryIO, family: Family, position: int, size: int) -> Iterator[Chunk]:
    """The chunks of a file from a position on, as far as their headers lie within it."""
    header = family.name + family.size
    while position + header <= size:
        file.seek(position)
        name = file.read(family.name)
        length = int.from_bytes(file.read(family.size), family.order, signed=family.size == 8) - family.counted  # type: ignore[arg-type]
        yield Chunk(name, position + header, length, position + family.name)
        if length < 0:
            return
        position += -(-(header + length) // family.align) * family.align


def _fills(file: BinaryIO, family: Family, position: int, size: int) -> bool:
    """Whether chunks follow each other from a position to the end of the file (the last byte of padding may be missing)."""
    end = position
    for chunk in _chunks(file, family, position, size):
        if chunk.length < 0 or not all(32 <= byte < 127 for byte in chunk.name[:4]):
            return False
        end = chunk.start + chunk.length
    return end in (size, size - size % family.align) if end != position else position >= size


def _tail(file: BinaryIO, family: Family, start: int, size: int) -> int:
    """Where samples of unknown length end: at the end of the file, or before the chunks that fill the rest of it."""
    begin = max(start, size - TAIL)
    file.seek(begin)
    rest = file.read()
    places = {begin + place for name in TRAILERS for place in _places(rest, name)}
    return next((place for place in sorted(places) if _fills(file, family, place, size)), size)


def _places(content: bytes, name: bytes) -> Iterator[int]:
    place = content.find(name)
    while place >= 0:
        yield place
        place = content.find(name, place + 1)


def _is_placeholder(chunk: Chunk, frame: int) -> bool:
    headers = (-8, 0, 8, 24, 36, chunk.start - 8, chunk.start)
    return any(0 <= base - header - chunk.length < frame for base in PLACEHOLDERS for header in headers)


def _number(file: BinaryIO, position: int, size: int, family: Family) -> int:
    file.seek(position)
    return int.from_bytes(file.read(size), family.order)  # type: ignore[arg-type]


def _patched(file: BinaryIO, position: int, content: bytes) -> BinaryIO:
    """A copy of a file with other bytes at a position."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (is closed with the last reference to it)
    file.seek(0)
    shutil.copyfileobj(file, copy)
    copy.seek(position)
    copy.write(content)
    copy.seek(0)
    return copy
