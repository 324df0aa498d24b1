"""What the demo model is trained and tested on: spoken digits, other words, and sounds that are none, at the model's rate."""

from __future__ import annotations

import csv
import itertools
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xaudio import DataError, open_dataset, read_audio
from xaudio.plugin import FloatArray, IntArray

RATE = 8000
CLASSES = (*"0123456789", "no digit")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NO_DIGIT = len(DIGITS)

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-029", "en-us-nyc")
VARIANTS = (Path(__file__).parent / "voices.txt").read_text().split()
"""Speakers that espeak-ng derives from an accent; robots and whispers are left out."""

WORDS = (Path(__file__).parent / "words.txt").read_text().split()
"""Words that are no digits; every fifth is kept for the test."""


@dataclass(frozen=True, eq=False)
class Sounds:
    """Recordings at `RATE`, and the class of each."""

    waveforms: Sequence[FloatArray]
    classes: IntArray

    def __len__(self) -> int:
        return len(self.classes)

    def __add__(self, other: Sounds) -> Sounds:
        return Sounds([*self.waveforms, *other.waveforms], np.concatenate([self.classes, other.classes]))


def at_rate(path: Path) -> FloatArray:
    """A recording at the model's rate."""
    import soxr

    clip = read_audio(path)
    waveform: FloatArray = soxr.resample(clip.waveform, clip.sample_rate, RATE).astype(np.float32)
    return waveform


def read(paths: Iterable[Path], classes: int | Sequence[int] = NO_DIGIT) -> Sounds:
    """Recordings of files, by default of no digit."""
    waveforms = [at_rate(path) for path in paths]
    return Sounds(waveforms, np.broadcast_to(np.asarray(classes, dtype=np.int64), len(waveforms)))


def fsdd(folder: Path, speakers: Iterable[str]) -> Sounds:
    """The digits that some speakers of FSDD say."""
    data = open_dataset("fsdd", data=folder)
    chosen = np.flatnonzero(np.isin(data.speakers, list(speakers)))
    return Sounds([data[int(index)].waveform for index in chosen], data.labels("digit")[chosen])


def digit_files(folder: Path) -> Sounds:
    """Digits in files whose names begin with the digit, as those of AudioMNIST do."""
    paths = sorted(folder.rglob("[0-9]_*.wav"))
    return read(paths, [int(path.name[0]) for path in paths])


def environment(folder: Path, folds: str) -> Sounds:
    """Sounds of ESC-10, of some of its five folds."""
    return read(path for path in sorted(folder.rglob("*.ogg")) if path.name[0] in folds)


def arabic(folder: Path, part: str) -> Sounds:
    """Arabic words of the part "train" or "test", which share no speaker."""
    with (folder / f"{part}.csv").open(newline="", encoding="utf-8") as file:
        return read(folder / row["file"] for row in csv.DictReader(file))


def commands(folder: Path) -> Sounds:
    """English words in files that are named after them."""
    paths = sorted(folder.glob("*.wav"))
    return read(paths, [DIGITS.index(path.stem) if path.stem in DIGITS else NO_DIGIT for path in paths])


def spoken(words: Sequence[str], classes: int | Sequence[int], voices: int, seed: int) -> Sounds:
    """Words that espeak-ng says in so many voices each, of which accent, variant, pitch and speed are drawn.

    Raises
    ------
    DataError
        If espeak-ng is not installed.
    """
    generator = np.random.default_rng(seed)
    every = [f"{accent}+{variant}" for accent, variant in itertools.product(ACCENTS, VARIANTS)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.wav" for index in range(len(words) * voices)]
        for path, word in zip(paths, np.repeat(words, voices), strict=True):
            pitch, speed = generator.integers(25, 75), generator.integers(110, 200)
            _say(["-v", str(generator.choice(every)), "-p", str(pitch), "-s", str(speed), "-w", str(path), str(word)])
        each = classes if isinstance(classes, int) else np.repeat(classes, voices).tolist()
        said = read(paths, each)
    return Sounds([without_silence(waveform) for waveform in said.waveforms], said.classes)


def _say(arguments: Sequence[str]) -> None:
    try:
        subprocess.run(["espeak-ng", *arguments], check=True, capture_output=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        raise DataError(f"espeak-ng, which speaks a part of the words, does not run ({error}): install it.") from None


def without_silence(waveform: FloatArray) -> FloatArray:
    """A waveform without what lies more than 40 dB below its peak at both ends."""
    loud = np.flatnonzero(np.abs(waveform) > 0.01 * np.abs(waveform).max(initial=1e-9))
    return waveform[loud[0] : loud[-1] + 1] if len(loud) else waveform
