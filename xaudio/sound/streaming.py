"""Long recordings, read and resampled block by block, and cut into windows, in memory that does not grow with their length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import AudioError
from ..output.words import counted
from ..types import Clip, FloatArray, Resampling
from .audio import LARGEST, chosen_channels, resample
from .decoding import decode_blocks

CHUNK = 1 << 18
"""Samples that are resampled at once."""

PIECES = 1 << 13
"""Of an outline."""


class Window(NamedTuple):
    """A piece of a recording.

    Parameters
    ----------
    number : int
        From 0.
    start : int
        Its first sample in the recording.
    waveform : ndarray, shape (samples,), or (channels, samples) of several channels
    """

    number: int
    start: int
    waveform: FloatArray


class Stream:
    """A recording at a sample rate, block by block; it may be read more than once.

    Parameters
    ----------
    recording : path or Clip
    rate : int
        In Hz.
    method : {"soxr", "fft"}
        How it is resampled, which "fft" can do with whole sounds only: with each of its `windows` by itself.
    channels : {"mean", "left", "right", "all"} or int, optional
        Of several channels of a file: all mixed down (by default), the first, the second, that of an index, or all of them.

    Raises
    ------
    AudioError
        If it is a pipe.

    Attributes
    ----------
    channel : int or None
        Which of the channels of its recording it is; see `Clip`.
    notes : tuple of str
        What was done to it; complete when it was read to its end, as are the others.
    samples : int
        How many there are at the rate.
    own_rate : int
        Of the recording.
    alone : bool
        Whether windows are resampled by themselves.
    outline : Outline
        Of what was read.
    """

    def __init__(
        self, recording: str | Path | Clip, rate: int, method: Resampling = "soxr", channels: str | int | None = None
    ) -> None:
        self.recording, self.rate, self.method, self.channels = recording, rate, method, channels
        self.source = recording.source if isinstance(recording, Clip) else str(recording)
        self.channel = recording.channel if isinstance(recording, Clip) else None
        self.notes: tuple[str, ...] = ()
        self.samples = self.own_rate = 0
        self.alone, self.outline = False, Outline()
        if not isinstance(recording, Clip) and Path(recording).is_fifo():
            raise AudioError(f"{recording}: is a pipe, which is read once; a long recording is read twice. Write it to a file.")

    def __iter__(self) -> Iterator[FloatArray]:
        """Blocks (samples,) or (channels, samples), float32.

        Raises
        ------
        AudioError
            If it cannot be read, holds samples that are no numbers, or is too short.
        """
        notes: list[str] = []
        self.samples, self.outline = 0, Outline()
        for block in self._at_rate(self._read(notes)):
            self.samples += block.shape[-1]
            self.outline.add(block)
            yield block
        self._ended(notes)

    def _ended(self, notes: list[str]) -> None:
        """Check and note what is known at the end."""
        if self.samples < 2:
            raise AudioError(f"{self.source}: has {counted(self.samples, 'sample')} at {self.rate} Hz; expected at least two.")
        if self.own_rate != self.rate:
            by_itself = ", each window by itself" if self.alone else ""
            notes.append(f"resampled from {self.own_rate} to {self.rate} Hz ({self.method}{by_itself})")
        self.notes = tuple(dict.fromkeys(notes))

    def windows(self, window: int, hop: int) -> Iterator[Window]:
        """Windows at the rate, in samples of it; see `windows_of`.

        Raises
        ------
        AudioError
            As reading does.
        """
        next(self._read([]), None)  # tells the recording's own rate
        self.alone = self.method == "fft" and self.own_rate != self.rate
        yield from self._by_themselves(window, hop) if self.alone else windows_of(self, window, hop)

    def _by_themselves(self, window: int, hop: int) -> Iterator[Window]:
        """Windows that are resampled one by one."""
        scale = Fraction(self.own_rate, self.rate)
        own_window = int(window * scale) if scale > 1 else ceil(window * scale)
        notes: list[str] = []
        for one in windows_of(self._counted(notes), own_window, hop * scale):
            waveform = resample(one.waveform, self.own_rate, self.rate, "fft")[..., :window]
            regular = one.start == round(one.number * hop * scale)
            yield Window(one.number, one.number * hop if regular else self.samples - waveform.shape[-1], waveform)
        self._ended(notes)

    def _counted(self, notes: list[str]) -> Iterator[FloatArray]:
        """Blocks at the recording's own rate, while it is counted how many samples these are at the other one."""
        own, self.outline = 0, Outline()
        for block in self._read(notes):
            own += block.shape[-1]
            self.samples = -(-own * self.rate // self.own_rate)
            self.outline.add(block)
            yield block

    @property
    def outline_step(self) -> float:
        """Samples of a piece of the outline, at the rate."""
        return self.outline.size * self.rate / self.own_rate if self.alone else self.outline.size

    def expected_samples(self) -> int:
        """About how many samples there will be, as far as the file's header says; 0 where it does not."""
        import soundfile

        if isinstance(self.recording, Clip):
            return self.recording.samples * self.rate // self.recording.sample_rate
        try:
            told = soundfile.info(self.source)
        except (soundfile.LibsndfileError, OSError, ValueError, TypeError):
            return 0
        return int(told.frames * self.rate // told.samplerate) if told.frames < 1 << 62 else 0

    def _read(self, notes: list[str]) -> Iterator[FloatArray]:
        """Blocks of the recording at its own rate."""
        if isinstance(self.recording, Clip):
            self.own_rate = self.recording.sample_rate
            notes += self.recording.notes
            yield from _pieces(self.recording.waveform)
            return
        peak, done = 0.0, 0
        for block, rate in decode_blocks(Path(self.recording), notes):
            self.own_rate = rate
            heard, self.channel, chosen = chosen_channels(block.T, self.channels, self.source)
            notes += chosen
            peak = max(peak, float(np.abs(heard).max(initial=0.0)))
            if heard.ndim == 2 and self.channels != "all":
                heard = heard.mean(0, dtype=np.float64)
            self._check(heard, done)
            done += heard.shape[-1]
            yield from _pieces(heard.astype(np.float32))
        if peak > 1:
            notes.append(f"peaks at {peak:.6g} times full scale")

    def _check(self, block: FloatArray, done: int) -> None:
        bad = np.flatnonzero(~np.isfinite(block).all(tuple(range(block.ndim - 1))))
        if bad.size:
            raise AudioError(f"{self.source}: sample {done + bad[0]} is NaN or infinite. Repair the recording.")
        if np.abs(block).max(initial=0.0) > LARGEST:
            raise AudioError(f"{self.source}: has samples too large for a sound; expected values in [-1, 1].")

    def _at_rate(self, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        """Blocks at the rate, as `xaudio.sound.audio.resample` gives them of the whole."""
        first = next(blocks, np.zeros(0, np.float32))
        if self.own_rate == self.rate:
            yield first
            yield from blocks
            return
        if self.method == "fft":
            raise AudioError(
                f"{self.source}: has {self.own_rate} Hz, and the resampling 'fft' to {self.rate} Hz needs the whole "
                "recording at once. Choose soxr, or bring the file to this rate."
            )
        yield from self._resampled(first, blocks)

    def _resampled(self, first: FloatArray, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        import soxr

        count = 1 if first.ndim == 1 else len(first)
        resampler: Any = soxr.ResampleStream(self.own_rate, self.rate, count, dtype="float32", quality="HQ")
        silence = np.zeros((*first.shape[:-1], -(-self.own_rate // self.rate) + 1), np.float32)

        def chunk(block: FloatArray, last: bool = False) -> FloatArray:
            resampled: FloatArray = resampler.resample_chunk(np.ascontiguousarray(block.T), last=last).T
            return np.ascontiguousarray(resampled)

        taken, emitted = first.shape[-1], 0
        yielded = chunk(first)
        while True:
            emitted += yielded.shape[-1]
            yield yielded
            block = next(blocks, None)
            if block is None:
                break
            taken += block.shape[-1]
            yielded = chunk(block)
        length = -(-taken * self.rate // self.own_rate)
        yield chunk(silence, last=True)[..., : max(0, length - emitted)]


def _pieces(waveform: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, waveform.shape[-1], CHUNK):
        yield waveform[..., start : start + CHUNK]


class Outline:
    """The lowest and the highest sample of each of at most 8192 equal pieces of a sound whose length is not known before.

    Of several channels it is the lowest and the highest of all.

    Attributes
    ----------
    size : int
        Samples of a piece.
    """

    def __init__(self) -> None:
        self.size = 1
        self._rest = np.zeros((2, 0))
        self._done = np.zeros((0, 2))

    def add(self, block: FloatArray) -> None:
        """Add the next samples, of one channel or several."""
        rows = np.atleast_2d(block)
        ends = np.concatenate([self._rest, [rows.min(0), rows.max(0)]], axis=1)
        whole = ends.shape[1] // self.size * self.size
        (low, high), self._rest = ends[:, :whole].reshape(2, -1, self.size), ends[:, whole:]
        self._done = np.concatenate([self._done, np.stack([low.min(1), high.max(1)], 1) if len(low) else self._done[:0]])
        while len(self._done) > PIECES:
            odd = len(self._done) % 2
            if odd:  # its samples are lost, but not its extremes
                self._rest = np.concatenate([np.repeat(self._done[-1][:, None], self.size, axis=1), self._rest], axis=1)
            pairs = self._done[: len(self._done) - odd].reshape(-1, 2, 2)
            self._done, self.size = np.stack([pairs[:, :, 0].min(1), pairs[:, :, 1].max(1)], 1), 2 * self.size

    @property
    def pieces(self) -> FloatArray:
        """Lowest and highest sample (pieces, 2); the last piece may be shorter."""
        last = [[self._rest[0].min(), self._rest[1].max()]] if self._rest.size else []
        return np.concatenate([self._done, last]) if last else self._done


def windows_of(blocks: Iterable[FloatArray], window: int, hop: int | Fraction) -> Iterator[Window]:
    """Windows of a recording, one every hop samples; if these leave an end over, one more that ends with the recording.

    A recording that is shorter than a window is one window, as short as it is.

    Parameters
    ----------
    blocks : iterable of ndarray
        As a `Stream` gives them.
    window, hop : int
        In samples, 1 or more; the way to the next window may be a fraction, of which the starts are rounded.
    """
    held, base, number, start = np.zeros(0, np.float32), 0, 0, 0
    for block in blocks:
        held = np.concatenate([held, block], axis=-1) if held.size else block
        while base + held.shape[-1] >= start + window:
            yield Window(number, start, held[..., start - base : start - base + window].copy())
            number, start = number + 1, round((number + 1) * hop)
        kept = min(start, base + held.shape[-1] - window)
        if kept > base:
            held, base = held[..., kept - base :], kept
    total = base + held.shape[-1]
    if number == 0:
        yield Window(0, 0, held.copy())
    elif round((number - 1) * hop) + window < total and start < total:
        yield Window(number, total - window, held[..., total - window - base :].copy())
