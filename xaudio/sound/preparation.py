"""From clips to the waveforms a representation takes: resampled, fitted, placed; decoded once into a cache."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError, OutputError
from ..output.digests import digest_text
from ..output.runs import cache_folder
from ..output.terminal import progress
from ..types import Clip, Dataset, Fit, FloatArray, IntArray, Placement, Representation, Resampling
from .audio import at_rate
from .channels import channels_in, with_channels
from .fitting import fit_length

if TYPE_CHECKING:
    from torch import Tensor

CACHE_VERSION = 4

SILENT = "the recording is silent"
"""The note on a recording in which every sample is 0."""

KEY_PARTS = 16
"""Parts of a sound whose powers its key compares."""

KEY_PAIRS = np.array([*((part, part + 1) for part in range(15)), *((part, part + 8) for part in range(8))])
"""Which of them are compared."""

KEY_SILENCE, KEY_QUIET = 100 * 2.0**-30, 0.04
"""Power, and share of the sound's mean power, below which the key hears nothing."""


AT_ONCE = 2**24
"""Samples of clips whose spectra are computed at once, as of 6 minutes at 48 kHz; a longer one is alone."""


class _Row(NamedTuple):
    """A prepared recording before its zeros: see `Prepared`."""

    waveform: FloatArray
    start: int
    key: int
    notes: list[str]


class _Begun(NamedTuple):
    """A recording that is being prepared: what waits for it, and its size in samples."""

    row: Callable[[], _Row]
    size: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """Recordings ready for a representation, not yet placed.

    Parameters
    ----------
    waveforms : ndarray, shape (recordings, samples), or (recordings, channels, samples) of several channels
        float32; each starts at sample 0 and is followed by zeros.
    lengths : ndarray, shape (recordings,)
        Samples of each before the zeros.
    starts : ndarray, shape (recordings,)
        Samples that were cut off before the first that is kept.
    keys : ndarray, shape (recordings,)
        The `sound_key` of each; its position depends on it.
    notes : sequence of sequence of str
        What was done to each.
    """

    waveforms: FloatArray
    lengths: IntArray
    starts: IntArray
    keys: IntArray
    notes: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.lengths)

    def only(self, rows: IntArray) -> Prepared:
        """Some of the recordings."""
        notes = [self.notes[row] for row in rows]
        return Prepared(self.waveforms[rows], self.lengths[rows], self.starts[rows], self.keys[rows], notes)

    def offsets(self, placement: Placement, seed: int) -> IntArray:
        """Where each recording starts, for the placement that does not change from step to step.

        The published code draws from [0, samples - length), once per recording. Here the draw depends on the seed and
        on the sound alone, so that a file is placed alike in a data set and on its own, and in 16 bits as in floats.
        """
        if seed < 0:
            raise DataError(f"The seed is {seed}; expected 0 or more.")
        free = self.waveforms.shape[-1] - self.lengths
        if placement == "start":
            return np.zeros_like(free)
        if placement == "centre":
            return np.asarray(free // 2)
        draws = [np.random.default_rng([seed, int(key)]).random() for key in self.keys]
        return np.asarray(np.floor(np.array(draws) * free), dtype=np.int64)


def prepare_clip(
    clip: Clip, rate: int, samples: int, fit: Fit, resampling: Resampling, channels: int = 1
) -> tuple[FloatArray, int, tuple[str, ...]]:
    """A clip's waveform at a rate and at most ``samples`` long, how many samples were cut off before it, and all notes.

    Raises
    ------
    AudioError
        If it is too long and the rule does not make it fit, or it has other channels than the model reads.
    """
    clip = at_rate(with_channels(clip, channels), rate, resampling)
    waveform, start, note = fit_length(clip, samples, fit)
    silence = "" if waveform.any() else SILENT
    return waveform, start, (*clip.notes, *filter(None, (note, silence)))


def prepare_clips(
    clips: Sequence[Clip], rate: int, samples: int, fit: Fit, resampling: Resampling, channels: int = 1
) -> Prepared:
    """Prepare clips in memory; see `prepare_dataset` for whole data sets.

    Parameters
    ----------
    clips : sequence of Clip
    rate : int
        Of the model, in Hz.
    samples : int
        Of the model's window.
    fit : {"error", "trim", "loudest"}
        What to do with a clip that is too long.
    resampling : {"soxr", "fft"}
    channels : int
        That the model reads.
    """
    waveforms = np.zeros((len(clips), *waveform_shape(channels, samples)), dtype=np.float32)
    lengths, starts, keys = np.zeros((3, len(clips)), np.int64)
    notes = []
    with closing(_rows(clips, rate, samples, fit, resampling, channels)) as rows:
        for index, (waveform, starts[index], keys[index], remarks) in enumerate(rows):
            lengths[index] = waveform.shape[-1]
            waveforms[index, ..., : lengths[index]] = waveform
            notes.append(remarks)
    return Prepared(waveforms, lengths, starts, keys, notes)


def _rows(
    clips: Sequence[Clip] | Dataset, rate: int, samples: int, fit: Fit, resampling: Resampling, channels: int
) -> Generator[_Row]:
    """What is made of each clip, in order. While spectra are computed in threads, the next clips are read in this one.

    What ends early, an error or Ctrl-C, waits only for the spectra that are being computed.
    """
    from concurrent.futures import ThreadPoolExecutor

    def row(clip: Clip) -> _Row:
        waveform, start, notes = prepare_clip(clip, rate, samples, fit, resampling, channels)
        return _Row(waveform, start, sound_key(waveform), list(notes))

    threads, begun = _threads(), deque[_Begun]()
    pool = ThreadPoolExecutor(threads)
    try:
        for index in range(len(clips)):
            try:
                clip = clips[index]
            except Exception as error:
                begun.append(_Begun(partial(_fail, error), 0))  # behind the faults of those before it
                break
            size, spectral = _size(clip, rate), resampling == "fft" and clip.sample_rate != rate
            while begun and _sizes(begun) + size > AT_ONCE:
                yield begun.popleft().row()
            begun.append(_Begun(pool.submit(row, clip).result if spectral else partial(row, clip), size))
            del clip  # a long one is not held while the next is read
            while begun and (len(begun) > 2 * threads or _sizes(begun) > AT_ONCE or not spectral):
                yield begun.popleft().row()
        while begun:
            yield begun.popleft().row()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _size(clip: Clip, rate: int) -> int:
    """Samples of a clip at its rate or a model's, whichever are more."""
    return clip.waveform.size * max(clip.sample_rate, rate) // clip.sample_rate


def _sizes(begun: Iterable[_Begun]) -> int:
    return sum(one.size for one in begun)


def _fail(error: Exception) -> _Row:
    raise error


def _threads() -> int:
    """In how many threads spectra are computed: no more than torch may use in this process, which may be one of several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, sys.modules["torch"].get_num_threads()) if "torch" in sys.modules else cores


def waveform_shape(channels: int, samples: int) -> tuple[int, ...]:
    """Shape of what a model hears: (samples,), or (channels, samples) of several channels."""
    return (samples,) if channels == 1 else (channels, samples)


def sound_key(waveform: FloatArray) -> int:
    """A number that tells sounds apart and is the same for a sound in 16 bits, 24 bits and floats.

    A checksum of samples changes with each rounding. This number follows from the length, from which of 16 parts are louder
    than the next one and than that half of the sound later, and from how bright the sound is (the power of its slope beside
    its own, in eighths of an octave), all without the offset. Differences of less than 1 %, or than 4 % of the sound's
    mean power, or than what lies 70 dB below full scale, are none, so that rounding decides nothing in silence, steady tones
    and clicks.

    Parameters
    ----------
    waveform : ndarray, shape (samples,) or (channels, samples)
        Full scale is [-1, 1]. Channels count as if one followed the other.
    """
    waveform = waveform.reshape(-1)
    if not len(waveform):
        return 0
    sound = waveform.astype(np.float64) - float(waveform.mean(dtype=np.float64))
    energy = sound**2
    starts = np.arange(KEY_PARTS) * len(sound) // KEY_PARTS
    powers = np.add.reduceat(energy, starts) * (KEY_PARTS / len(sound))
    silence = KEY_SILENCE + KEY_QUIET * float(energy.mean())
    first, second = powers[KEY_PAIRS[:, 0]], powers[KEY_PAIRS[:, 1]]
    louder = first > 1.01 * second + silence
    slope = float((np.diff(sound) ** 2).mean()) if len(sound) > 1 else 0.0
    brightness = round(8 * math.log2((slope + silence) / (float(energy.mean()) + silence)))
    order = int(np.dot(louder, 1 << np.arange(len(KEY_PAIRS))))
    return len(sound) << 32 | (brightness & 0xFF) << len(KEY_PAIRS) | order


def prepare_dataset(
    dataset: Dataset, representation: Representation, fit: Fit | None = None, resampling: Resampling | None = None
) -> Prepared:
    """All recordings of a data set, decoded and resampled once and then read from a memory-mapped cache.

    Parameters
    ----------
    dataset : Dataset
    representation : Representation
        Gives the rate, the length and the number of channels.
    fit, resampling : optional
        Instead of the data set's own rules.

    Raises
    ------
    AudioError
        For the first recording that cannot be used.
    OutputError
        If the cache cannot be written.
    """
    rate, samples, channels = representation.sample_rate, representation.samples, channels_in(representation)
    fit, resampling = fit or dataset.fit, resampling or dataset.resampling
    shape = (len(dataset), *waveform_shape(channels, samples))
    key = json.dumps([CACHE_VERSION, dataset.fingerprint(), rate, *shape[1:], fit, resampling])
    folder = cache_folder() / "prepared" / digest_text(key)
    cached = _load(folder, shape)
    if cached is not None:
        return cached
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"{folder.parent}: the cache cannot be written ({error.strerror}). Set XAUDIO_CACHE.") from None
    try:
        _build(building, dataset, rate, shape, fit, resampling)
        _publish(building, folder, shape)
    except OSError as error:
        raise OutputError(
            f"{folder.parent}: the cache cannot be written ({error.strerror}). Free space, or set XAUDIO_CACHE."
        ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    loaded = _load(folder, shape)
    if loaded is None:
        raise OutputError(f"{folder}: the cache was damaged while it was written. Delete it and run the command again.")
    return loaded


def _build(folder: Path, dataset: Dataset, rate: int, shape: tuple[int, ...], fit: Fit, resampling: Resampling) -> None:
    channels, samples = shape[1] if len(shape) == 3 else 1, shape[-1]
    lengths, starts, keys = np.zeros((3, shape[0]), np.int64)
    notes = []
    # Written row by row and not through a memory map, where a full disk would kill the process.
    with (
        (folder / "waveforms.npy").open("wb") as file,
        progress(f"Preparing {dataset.title}", shape[0]) as advance,
        closing(_rows(dataset, rate, samples, fit, resampling, channels)) as rows,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for index, (waveform, starts[index], keys[index], remarks) in enumerate(rows):
            lengths[index] = waveform.shape[-1]
            row = np.zeros(shape[1:], dtype="<f4")
            row[..., : lengths[index]] = waveform
            file.write(row.data)
            notes.append(remarks)
            advance()
    np.save(folder / "lengths.npy", lengths)
    np.save(folder / "starts.npy", starts)
    np.save(folder / "keys.npy", keys)
    (folder / "notes.json").write_text(json.dumps(notes))


def _publish(building: Path, folder: Path, shape: tuple[int, ...]) -> None:
    """Give a finished cache its name; another process that was faster wins, since the content is the same."""
    try:
        building.rename(folder)
    except OSError:
        if _load(folder, shape) is None:  # a damaged one is in the way
            shutil.rmtree(folder, ignore_errors=True)
            building.rename(folder)


def _load(folder: Path, shape: tuple[int, ...]) -> Prepared | None:
    """The cache of a folder, or None if it is not there or is damaged (it is then built again)."""
    try:
        waveforms = np.load(folder / "waveforms.npy", mmap_mode="r")
        lengths, starts, keys = (np.load(folder / f"{name}.npy") for name in ("lengths", "starts", "keys"))
        notes = json.loads((folder / "notes.json").read_text())
    except (OSError, ValueError, EOFError):
        return None
    if waveforms.shape != shape or {len(lengths), len(starts), len(keys), len(notes)} != {shape[0]}:
        return None
    return Prepared(waveforms, lengths, starts, keys, notes)


def place(waveforms: Tensor, lengths: Tensor, offsets: Tensor) -> Tensor:
    """Move each waveform to its offset within the zeros.

    Parameters
    ----------
    waveforms : Tensor, shape (batch, samples) or (batch, channels, samples)
        Each starts at sample 0 and is followed by zeros.
    lengths, offsets : Tensor of int64, shape (batch,)

    Returns
    -------
    Tensor, shaped like the waveforms
    """
    import torch

    samples = waveforms.shape[-1]
    position = torch.arange(samples, device=waveforms.device) - offsets[:, None]
    inside = (position >= 0) & (position < lengths[:, None])
    if waveforms.ndim == 3:
        position, inside = position[:, None].expand_as(waveforms), inside[:, None]
    return waveforms.gather(-1, position.clamp(0, samples - 1)) * inside
