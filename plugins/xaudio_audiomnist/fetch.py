"""Download, unpack and verify AudioMNIST, so that the folder is either complete or not there."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from xaudio.plugin import AudioError, DataError, counted, read_audio

from ._corpus import METADATA, PER_SPEAKER, SPEAKERS, corpus_folder, default_folder, find_recordings, name, read_sexes
from .checksums import compare, refuse_damaged

URL = "https://github.com/soerenab/AudioMNIST/archive/refs/heads/master.zip"
TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""

# Bounds on what is unpacked. The corpus has 30,000 recordings of at most 1 s (96 kB) that compress to about a half.
MAX_MEMBERS = 100_000
MAX_MEMBER = 1_000_000
MAX_TOTAL = 4_000_000_000
MAX_RATIO = 100
CHUNK = 1 << 16
"""Bytes read at once; as many can be lost of a download that breaks off."""

_WANTED = re.compile(rf"(?:[^/]+/)?(data/[0-9]{{2}}/[0-9A-Za-z_]+\.wav|data/{re.escape(METADATA)}|LICENSE)")
_Step = Callable[[float], None]
# What the zip reader raises for damaged archives besides BadZipFile.
_DAMAGE = (EOFError, NotImplementedError, RuntimeError, ValueError, struct.error, zlib.error)


def fetch(
    destination: Path | None = None,
    *,
    url: str = URL,
    progress: bool = True,
    timeout: tuple[float, float] = TIMEOUT,
    speakers: int = SPEAKERS,
    per_speaker: int = PER_SPEAKER,
) -> Path:
    """Download, unpack and verify the corpus; if it is there already, only verify it.

    The archive is kept next to the destination until the folder is complete: a download that breaks off goes on where it
    stopped if the server can, and a complete one is not repeated. The folder appears by a rename, once all is verified.

    Parameters
    ----------
    destination : Path or None
        The folder to fill; None is the cache folder in which the data set looks.
    url : str
        A zip archive laid out as the repository's.
    progress : bool
        Show what is done, on stderr.
    timeout : (float, float)
        Seconds to wait for a connection, and for the next bytes of a server that stalls.
    speakers, per_speaker : int
        What `verify` expects.

    Returns
    -------
    Path
        The destination.

    Raises
    ------
    DataError
        If the download, the archive or the disk fails. The destination is then as it was.
    """
    destination = (default_folder() if destination is None else Path(destination)).resolve()
    archive = destination.with_name(f"{destination.name}.download.zip")
    try:
        if destination.is_dir() and any(destination.iterdir()):
            verify(destination, speakers=speakers, per_speaker=per_speaker, progress=progress)
            return destination
        if destination.exists() and not destination.is_dir():
            raise DataError(f"{destination}: is a file; expected a folder to fill. Choose another place.")
        destination.parent.mkdir(parents=True, exist_ok=True)
        if not archive.exists():
            download(url, archive, timeout=timeout, progress=progress)
        with tempfile.TemporaryDirectory(prefix=f".{destination.name}-", dir=destination.parent) as temporary:
            folder = Path(temporary) / "corpus"
            try:
                unpack(archive, folder, progress=progress)
                verify(folder, speakers=speakers, per_speaker=per_speaker, progress=progress)
            except DataError as error:
                archive.unlink()
                raise DataError(
                    f"{url}: {error} The archive was removed; run the command again to download a new copy."
                ) from None
            if destination.exists():
                destination.rmdir()
            folder.rename(destination)
        archive.unlink()
    except OSError as error:
        where = error.filename or destination
        raise DataError(
            f"{where}: cannot be read or written ({error.strerror or error}). Check the folder and the space left (3 GB)."
        ) from None
    return destination


def download(url: str, archive: Path, *, timeout: tuple[float, float] = TIMEOUT, progress: bool = True) -> None:
    """Download a file, continuing an earlier part of it if the server can.

    Raises
    ------
    DataError
        If the server cannot be reached, refuses, stalls, or sends fewer bytes than it promised.
    OSError
        If the file cannot be written.
    """
    import requests

    part = archive.with_name(f"{archive.name}.part")
    start = part.stat().st_size if part.exists() else 0
    # Identity: the length promised must be that of the file, not of a compressed transfer of it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if start and response.status_code == 416:
                part.unlink()
                raise DataError(f"{url}: the server cannot continue the download, so it was discarded. Run the command again.")
            if response.status_code not in (200, 206):
                raise DataError(f"{url}: the server answered {response.status_code} {response.reason}. Check the address.")
            start = start if response.status_code == 206 else 0
            length = response.headers.get("Content-Length", "")
            expected = start + int(length) if length.isdecimal() else None
            with part.open("ab" if start else "wb") as file, _shown("Downloading", expected, progress, unit="bytes") as step:
                step(start)
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    step(len(chunk))
    except requests.RequestException as error:
        raise DataError(
            f"{url}: {_reason(error, timeout)} Run the command again: it continues where it stopped, if the server can."
        ) from None
    # Recent versions of urllib3 notice this by themselves, older ones take it for the end.
    received = part.stat().st_size
    if expected is not None and received < expected:
        raise DataError(f"{url}: the download broke off after {received} of {expected} bytes. Run the command again.")
    os.replace(part, archive)


def _reason(error: Exception, timeout: tuple[float, float]) -> str:
    """What went wrong on the network, in one sentence."""
    import requests

    text = str(error)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {timeout[0]:g} s. Check the network."
    if isinstance(error, requests.exceptions.Timeout) or "Read timed out" in text:
        return f"the server sent nothing for {timeout[1]:g} s."
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "IncompleteRead" in text:
        return "the download broke off before its end."
    if isinstance(error, (requests.exceptions.MissingSchema, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return "this is not a download address (http:// or https://)."
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate cannot be verified."
    return "the server cannot be reached. Check the network and the address."


def unpack(archive: Path, folder: Path, *, progress: bool = True) -> None:
    """Unpack recordings, metadata and licence into a new folder.

    Raises
    ------
    DataError
        If the archive is no zip file, is damaged, or holds what a corpus of recordings does not: members outside its
        folder, links and special files, too many or too large members, or such that are compressed beyond reason.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            wanted = list(_checked(file.infolist()))
            with _shown("Unpacking", len(wanted), progress, unit="files") as step:
                for member, target in wanted:
                    path = folder / target
                    path.parent.mkdir(parents=True, exist_ok=True)
                    # One byte more than allowed, so that memory stays bounded whatever the headers say.
                    with file.open(member) as source, path.open("xb") as copy:
                        content = source.read(MAX_MEMBER + 1)
                        if len(content) != member.file_size:
                            raise DataError(f"{member.filename!r} in the archive is not as long as the archive says.")
                        copy.write(content)
                    step(1)
    except zipfile.BadZipFile as error:
        raise DataError(f"this is not a whole zip archive ({error}).") from None
    except (*_DAMAGE, OSError) as error:
        # A damaged directory can send the reader to an impossible place in the file; other errors are the disk's.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DataError(f"the archive is damaged ({error}).") from None
    if not wanted:
        raise DataError("the archive holds no recordings (data/NN/*.wav).")


def _checked(members: list[zipfile.ZipInfo]) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """The wanted members and where they go, after checking that the archive is what it should be."""
    if len(members) > MAX_MEMBERS:
        raise DataError(f"the archive has {len(members)} members; at most {MAX_MEMBERS} are taken.")
    total = 0
    seen: set[str] = set()
    for member in members:
        label = f"the member {member.filename[:100]!r}"
        _check_place(member, label)
        match = _WANTED.fullmatch(member.filename)
        if not match:
            continue
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{label} is encrypted or compressed in a way that is not taken.")
        total += member.file_size
        if member.file_size > MAX_MEMBER or total > MAX_TOTAL or member.file_size > MAX_RATIO * max(member.compress_size, 100):
            raise DataError(
                f"{label} unpacks to {member.file_size} bytes from {member.compress_size}: no recording, perhaps a zip bomb."
            )
        if match[1] in seen:
            raise DataError(f"{label} is in the archive twice.")
        seen.add(match[1])
        yield member, match[1]


def _check_place(member: zipfile.ZipInfo, label: str) -> None:
    """Refuse what would leave the folder, or is neither file nor folder."""
    parts = PurePosixPath(member.orig_filename.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in member.orig_filename:
        raise DataError(f"{label} lies outside the archive's folder; nothing was unpacked.")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{label} is a link or special file; nothing was unpacked.")


def verify(
    folder: Path,
    *,
    speakers: int = SPEAKERS,
    per_speaker: int = PER_SPEAKER,
    longest: float = 1.0,
    progress: bool = True,
) -> None:
    """Check that a corpus is complete and as published, and that its metadata and every recording can be read.

    Parameters
    ----------
    folder : Path
        With one folder per speaker, or with "data".
    speakers, per_speaker : int
        How many speakers, numbered from 1, and recordings of each there must be.
    longest : float
        No recording may be longer, in seconds.
    progress : bool
        Show what is done, on stderr.

    Raises
    ------
    DataError
        If something is missing, unreadable or too long; the message names the first such thing.
    """
    corpus = corpus_folder(folder)
    recordings = find_recordings(corpus)
    if (speakers, per_speaker) == (SPEAKERS, PER_SPEAKER):
        refuse_damaged(compare(recordings, shown=progress), folder)
    counts = dict.fromkeys(range(1, speakers + 1), 0)
    for _, speaker, _, _ in recordings:
        counts[speaker] = counts.get(speaker, 0) + 1
    if len(counts) > speakers or set(counts.values()) != {per_speaker}:
        wrong = next(speaker for speaker, count in counts.items() if count != per_speaker or speaker > speakers)
        raise DataError(
            f"{folder}: has {counted(counts[wrong], 'recording')} of speaker {name(wrong)}; expected {speakers} speakers with "
            f"{per_speaker} each. Remove the folder and fetch the corpus again."
        )
    _, problems = read_sexes(corpus)
    if problems:
        raise DataError(problems[0])
    with _shown("Checking", len(recordings), progress, unit="files") as step:
        for *_, path in recordings:
            try:
                seconds = read_audio(path).duration
            except AudioError as error:
                raise DataError(f"{error} Remove the folder {folder} and fetch the corpus again.") from None
            if seconds > longest:
                raise DataError(f"{path}: is {seconds:.3f} s long; no recording of the corpus is longer than {longest:g} s.")
            step(1)


@contextmanager
def _shown(title: str, total: int | None, progress: bool, *, unit: str) -> Iterator[_Step]:
    """A progress bar on stderr: call what it gives with the amount done since the last call."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amount: Any = [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
    columns: Iterable[Any] = (TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
