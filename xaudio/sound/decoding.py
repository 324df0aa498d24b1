"""Files and pipes as samples: read whole, or refused with the reason."""

from __future__ import annotations

import os
import re
import select
import shlex
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import AudioError
from ..types import FloatArray
from .containers import TRUNCATED, streams
from .packets import IncompleteError

RATES = (1_000, 768_000)
"""Sample rates in Hz that are taken for real."""

READABLE = "WAV, FLAC, OGG (Vorbis, Opus, FLAC), MP3, AIFF, AU, CAF, W64, RF64 or NIST"
FORMATS_READ = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST")
"""Those of libsndfile's formats of which it can be told whether a file is whole."""

OTHER_KINDS = (
    (4, b"ftyp", "an MP4 file (m4a, video)"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM file (mka, mkv, video)"),
    (8, b"AVI ", "an AVI video"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a Windows Media file (wma, asf)"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"FLV", "a Flash video"),
    (0, b"DSD ", "a DSD file"),
    (0, b"TTA1", "a True Audio file"),
)
"""Where a mark stands, the mark, and what a file with it is."""

BLOCK = 1 << 22
"""Samples of each channel that are decoded at once."""

UNKNOWN_FRAMES = 1 << 62
"""From here on libsndfile's number of samples says that it does not know."""

PIPE_SECONDS = 10.0
"""How long a pipe may stay silent."""

PIPE_BYTES = 4 << 30


def decode_file(path: Path, content: BinaryIO | None = None) -> tuple[FloatArray, int, tuple[str, ...]]:
    """The samples (samples, channels) of a file, its rate in Hz, and what is to be noted.

    Parameters
    ----------
    path : Path
        The file, or the name of the content.
    content : binary file, optional
        What is read instead.

    Raises
    ------
    AudioError
        If it is missing, not audio, not whole, or changes while it is read.
    """
    with _reading(path, content) as (parts, notes):
        samples, rate = _decoded(parts, path)
    return samples, rate, notes


def decode_blocks(path: Path, notes: list[str]) -> Iterator[tuple[FloatArray, int]]:
    """The samples of a file in blocks (samples, channels), each with the rate in Hz; what is to be noted goes into ``notes``.

    Raises
    ------
    AudioError
        As `decode_file`; that a file is not whole shows at its end.
    """
    with _reading(path) as (parts, noted):
        notes += noted
        first: tuple[int, int] | None = None
        for number, part in enumerate(parts):
            for samples, rate in _blocks(part, path):
                kind = rate, samples.shape[1]
                first = first or kind
                _refuse_change(first, kind, number)
                yield samples, rate


@contextmanager
def _reading(path: Path, content: BinaryIO | None = None) -> Iterator[tuple[Sequence[BinaryIO], tuple[str, ...]]]:
    """The streams of a file and what is to be noted; what goes wrong while they are read is said in one line."""
    try:
        with _opened(path) if content is None else _copied(content, path) as file:
            before = os.fstat(file.fileno())
            head = file.read(16)
            file.seek(0)
            if not head:
                raise AudioError(f"{path}: the file is empty. Copy or download it again.")
            _refuse_other_kinds(path, head)
            yield streams(file, before.st_size)
            after = os.fstat(file.fileno())
    except (IncompleteError, AudioError) as error:
        raise AudioError(f"{path}: {error}" if isinstance(error, IncompleteError) else str(error)) from None
    except MemoryError:
        raise AudioError(f"{path}: cannot be read, it holds more samples than memory does. Cut it into pieces.") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte
        raise AudioError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise AudioError(f"{path}: changed while it was read. Wait until it is complete, and try again.")


def check_rate(rate: int, where: str) -> None:
    """Raise `AudioError` for a sample rate that no recording has."""
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(f"{where}: the sample rate is {rate} Hz; expected {RATES[0]} to {RATES[1]} Hz.")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file that can be sought: the file itself, or a copy of what a pipe holds."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a path with a NUL byte
        raise AudioError(f"{path}: there is no such file. Check the path.") from FileNotFoundError(path)
    if stat.S_ISDIR(mode):
        raise AudioError(f"{path}: is a folder; expected a recording ({READABLE}).")
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            yield file
    elif stat.S_ISFIFO(mode):
        with tempfile.TemporaryFile(buffering=0) as copy:  # libsndfile moves in it behind a buffer
            _copy_pipe(path, copy)
            copy.seek(0)
            yield copy
    else:
        raise AudioError(f"{path}: is a device, not a recording; expected a file or a pipe.")


@contextmanager
def _copied(content: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """A copy of what an open file, or anything that reads bytes, still holds."""
    with tempfile.TemporaryFile(buffering=0) as copy:  # libsndfile moves in it behind a buffer
        while part := content.read(1 << 20):
            if not isinstance(part, bytes):
                raise AudioError(f"{path}: gives {type(part).__name__}, not bytes; open the file in binary mode ('rb').")
            copy.write(part)
            if copy.tell() > PIPE_BYTES:
                raise AudioError(f"{path}: holds more than {PIPE_BYTES >> 30} GiB. Write it into a file first.")
        copy.seek(0)
        yield copy


def _copy_pipe(path: Path, copy: BinaryIO) -> None:
    """Copy what is written into a pipe, up to its end, without waiting for ever for a writer."""
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            if not select.select([pipe], [], [], PIPE_SECONDS)[0]:
                raise AudioError(f"{path}: nothing was written into this pipe for {PIPE_SECONDS:g} s. Check what writes into it.")
            content = os.read(pipe, 1 << 20)
            if not content:
                return
            copy.write(content)
            if copy.tell() > PIPE_BYTES:
                raise AudioError(f"{path}: more than {PIPE_BYTES >> 30} GiB came out of this pipe. Write it into a file first.")
    finally:
        os.close(pipe)


def _refuse_other_kinds(path: Path, head: bytes) -> None:
    """Name the files that people have and libsndfile does not read, and what converts them."""
    kind = next((name for start, mark, name in OTHER_KINDS if head[start : start + len(mark)] == mark), None)
    if kind:
        command = shlex.join(["ffmpeg", "-i", str(path), str(path.with_suffix(".wav"))])
        raise AudioError(f"{path}: is {kind}, which xaudio does not read. Convert it: {command}")


def _decoded(parts: Sequence[BinaryIO], path: Path) -> tuple[FloatArray, int]:
    """The samples (samples, channels) of all parts and their rate."""
    decoded = [_decode(part, path) for part in parts]
    shapes = [(rate, samples.shape[1]) for samples, rate in decoded]
    for number, shape in enumerate(shapes):
        _refuse_change(shapes[0], shape, number)
    return (decoded[0][0] if len(decoded) == 1 else np.concatenate([samples for samples, _ in decoded])), shapes[0][0]


def _refuse_change(first: tuple[int, int], kind: tuple[int, int], number: int) -> None:
    """Refuse a stream of another rate or number of channels than the first one."""
    if kind != first:
        (rate, channels), (other_rate, other_channels) = first, kind
        raise IncompleteError(
            f"holds recordings of different kinds one after the other: the first has {rate} Hz and {channels} "
            f"channel{'s' * (channels > 1)}, number {number + 1} {other_rate} Hz and {other_channels}. Split the file."
        )


def _decode(part: BinaryIO, path: Path) -> tuple[FloatArray, int]:
    """All samples (samples, channels) of a stream and their rate."""
    blocks = list(_blocks(part, path))
    samples = [block for block, _ in blocks]
    return (np.concatenate(samples) if len(samples) > 1 else samples[0]), blocks[0][1]


def _blocks(part: BinaryIO, path: Path) -> Iterator[tuple[FloatArray, int]]:
    """The samples (samples, channels) of a stream block by block, with their rate; at least one block, which may be empty."""
    import soundfile

    count, expected = 0, 0
    try:
        with _sequential()(_handle(part), closefd=False) as file:
            check_rate(file.samplerate, str(path))
            if file.format not in FORMATS_READ:
                raise IncompleteError(
                    f"is a {file.format} file, which xaudio does not read; expected {READABLE}. Convert it, as to WAV."
                )
            expected = file.frames
            while count < expected:
                block = _floats(file, min(BLOCK, expected - count))
                if not len(block):
                    break
                yield block, file.samplerate
                count += len(block)
            if not count:
                yield np.zeros((0, file.channels), np.float32), file.samplerate
            promised = _promised(file, part)
    except soundfile.LibsndfileError as error:
        if expected:
            raise IncompleteError(f"is truncated or damaged ({_reason(error)}). Copy or download it again.") from None
        raise IncompleteError(f"cannot be read as audio ({_reason(error)}). Expected {READABLE}.") from None
    if count < promised:
        raise IncompleteError(TRUNCATED)


@cache
def _sequential() -> Any:
    """A SoundFile that is read from start to end."""
    import soundfile

    class Sequential(soundfile.SoundFile):  # type: ignore[misc]
        """libsndfile cannot seek in GSM 6.10, nor at the end of a FLAC of unknown length."""

        def seekable(self) -> bool:
            return False

    return Sequential


def _floats(file: Any, frames: int) -> FloatArray:
    """The next samples (samples, channels); those of 16 bits are scaled by numpy, which gives the same bits in half the time."""
    if file.subtype != "PCM_16":
        return np.asarray(file.read(frames, dtype="float32", always_2d=True))
    return np.asarray(np.multiply(file.read(frames, dtype="int16", always_2d=True), np.float32(2.0**-15)))


def _handle(part: BinaryIO) -> Any:
    """A stream as libsndfile takes it; by its number and not its name, which may end in .raw or be no text."""
    if isinstance(part, BytesIO):
        return part
    os.lseek(part.fileno(), 0, os.SEEK_SET)
    return part.fileno()


def _reason(error: Any) -> str:
    return str(error.error_string).removeprefix("Error : ").strip().rstrip(".") or "unknown"


def _promised(file: Any, part: BinaryIO) -> int:
    """How many samples the header promises, as far as it does.

    libsndfile lowers the number for a NIST file that is cut, and estimates it for an MP3 file, whose frames were counted.
    """
    if file.format == "NIST":
        part.seek(0)
        count = re.search(rb"sample_count -i (\d+)", part.read(1024))
        return int(count[1]) if count else 0
    return 0 if file.frames >= UNKNOWN_FRAMES or file.format == "MP3" else int(file.frames)
