"""A hash of many files, which is kept while they are as they were."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError, ModelError, OutputError
from ..output.digests import digest_bytes, digest_text
from ..output.runs import cache_folder, read_json, write_json
from ..output.terminal import progress

SETTLED = 2.0
"""Seconds after which a file that was written cannot be written again under the same time of change."""


def files_fingerprint(paths: Sequence[str]) -> str:
    """A hash over names and contents of files, in their order; kept in the cache while their sizes and times are the same.

    Parameters
    ----------
    paths : sequence of str

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    states = [_state(path) for path in paths]
    place = cache_folder() / "fingerprints" / f"{digest_text(paths, states)}.json"
    kept = _kept(place)
    if kept is not None:
        return kept
    fingerprint = digest_bytes(_names_and_contents(paths))
    newest = max((max(state[1], state[2]) for state in states), default=0)
    if time.time() - newest / 1e9 > SETTLED and [_state(path) for path in paths] == states:
        _keep(place, fingerprint)
    return fingerprint


def _state(path: str) -> tuple[int, int, int, int]:
    """Size, times of change and number of a file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _unreadable(path: str, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}). Is the data set complete?")


def _names_and_contents(paths: Sequence[str]) -> Iterator[bytes]:
    with progress("Reading files for their fingerprint", len(paths), always=False) as advance:
        for path in paths:
            try:
                yield os.fsencode(Path(path).name) + b"\0"
                yield Path(path).read_bytes()
            except OSError as error:
                raise _unreadable(path, error) from None
            advance()


def _kept(place: Path) -> str | None:
    try:
        digest = read_json(place)
    except ModelError:
        return None
    return digest if isinstance(digest, str) and digest else None


def _keep(place: Path, fingerprint: str) -> None:
    try:
        write_json(place, fingerprint)
    except OutputError:  # it is computed again next time
        return
