"""What the recordings of a data set are, whatever their names: a digest of the sound of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import AudioError, ModelError
from ..output.digests import digest_bytes, digest_text
from ..output.runs import cache_folder, read_json, write_json
from ..output.terminal import progress
from ..types import Clip, Dataset
from .audio import read_audio

VERSION = 1
"""Of the digests: counts up when a recording would get another one."""


def digest_of(clip: Clip) -> str:
    """A digest of a sound: its sample rate and its samples, whatever the format of its file."""
    return digest_bytes([f"{clip.sample_rate} ".encode(), np.ascontiguousarray(clip.waveform, dtype="<f4").tobytes()])


def digest_all(digests: Iterable[str]) -> str:
    """One digest of a set of recordings, whatever their order."""
    return digest_text("\n".join(sorted(digests)))


def recording_digests(dataset: Dataset) -> list[str]:
    """A digest of each recording of a data set by its content; two recordings have the same only if they are the same sound.

    A file is read as it lies there, before the data set's plugin does anything with it, so that it has one digest in all data
    sets, under any name and in any lossless format; a format that libsndfile does not know is read by the plugin. A data set
    that makes its sounds may have a method ``contents`` that says for each recording, in a text, what is heard in it. Others are
    read once, and their digests kept in the cache.

    Parameters
    ----------
    dataset : Dataset

    Raises
    ------
    AudioError
        For the first recording that cannot be read.
    OutputError
        If the cache cannot be written.
    """
    contents = getattr(dataset, "contents", None)
    texts: Sequence[str] | None = contents() if callable(contents) else None
    if texts is not None:
        return [digest_text(dataset.name, text) for text in texts]
    path = cache_folder() / "contents" / f"{digest_text(VERSION, dataset.name, dataset.fingerprint())}.json"
    kept = _read(path, len(dataset))
    if kept is not None:
        return kept
    digests = []
    with progress(f"Comparing the recordings of {dataset.title}", len(dataset)) as advance:
        for index in range(len(dataset)):
            digests.append(digest_of(_as_it_lies_there(dataset, index)))
            advance()
    write_json(path, digests)
    return digests


def _as_it_lies_there(dataset: Dataset, index: int) -> Clip:
    """A recording before the data set's plugin does anything with it, if it is a file of its own."""
    recordings = getattr(dataset, "recordings", None)
    source = recordings[index].source if recordings is not None else ""
    if source and Path(source).is_file():
        with contextlib.suppress(AudioError):  # a format that the plugin alone reads, or a fault that it tells
            return read_audio(source)
    return dataset[index]


def _read(path: Path, count: int) -> list[str] | None:
    """Digests in the cache, or None if they are not there or damaged."""
    try:
        digests = read_json(path)
    except ModelError:
        return None
    whole = isinstance(digests, list) and len(digests) == count and all(isinstance(digest, str) for digest in digests)
    return digests if whole else None
