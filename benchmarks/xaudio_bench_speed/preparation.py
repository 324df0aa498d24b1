"""Reading and preparing recordings: xaudio, librosa, and the published pipeline, file by file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import xaudio
import xaudio.plugin

from .records import Comparison, LeftOut
from .timing import Clock, Run, fresh

SAMPLES, RATE, RECORDED = 8000, 8000, 48000
"""What the networks read: samples, and their rate in Hz; the rate of the recordings of AudioMNIST."""

WINDOWS, WINDOW = 230, 455
"""Of the published spectrogram, before it is cropped: their number, and the samples of each."""


def preparation(count: int, clock: Clock) -> Iterator[Comparison | LeftOut]:
    """Files of AudioMNIST's format to what AlexNet reads; files to samples, and samples to log-mel levels.

    Parameters
    ----------
    count : int
        Files.
    clock : Clock
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _files(folder, count)
        data = xaudio.plugin.SpeakerDataset(
            name="files",
            title="files",
            tasks={"digit": tuple("0123456789")},
            recordings=[xaudio.plugin.Recording(str(path), "1", {"digit": 0}) for path in files],
            test_speakers={"digit": []},
            resampling="fft",
        )
        representation = xaudio.create("representation", "spectrogram", placement="start")
        network = nn.Sequential(nn.Flatten(), nn.Linear(227 * 227, 10)).eval()
        model = xaudio.Model(network, representation, tuple("0123456789"))
        caches = fresh(folder, "cache")
        kept = next(caches)
        known = np.stack([published(path) for path in files])
        ours = _prepared(model, data, kept)
        sounds = [xaudio.read_audio(path).waveform for path in files]
        sides: dict[str, Run] = {
            "xaudio": lambda: _prepared(model, data, next(caches)),
            "xaudio, again": lambda: _prepared(model, data, kept),
            "published pipeline": lambda: [published(path) for path in files],
            "its Fourier transforms alone": lambda: _transforms(sounds),
        }
        note = (
            f"{count} recordings of 0.5 to 0.8 s at 48 kHz, 16 bits, to spectrograms of 227 x 227 at 8 kHz; the published "
            "pipeline goes file by file. xaudio keeps the samples in its cache, from which it reads them again. The Fourier "
            "transforms are what nobody can do without who wants the same numbers; they are timed on one core."
        )
        made = clock.compare("preparation", "files to spectrograms", sides, note=note)
        yield made.model_copy(update={"values": {"largest difference in dB": float(np.abs(ours - known).max())}})
        librosa = _librosa()
        if isinstance(librosa, str):
            yield LeftOut(part="preparation", reason=librosa)
            return
        sides = {
            "xaudio": lambda: [xaudio.read_audio(path) for path in files],
            "librosa": lambda: [librosa.load(path, sr=None) for path in files],
        }
        yield clock.compare("preparation", "files to samples", sides, note=f"{count} recordings as above, at their own rate")
        yield clock.compare(
            "preparation", "samples to log-mel levels", _levels(librosa, count), note=f"{count} recordings of 1 s"
        )


def published(path: Path) -> NDArray[Any]:
    """What the published code makes of a recording (227, 227), with the recording at the start of the window.

    Samples are resampled by the spectrum, padded with zeros, transformed with Hann windows of 455, cropped, and told in decibels
    below their own maximum, down to -80 dB.

    Parameters
    ----------
    path : Path
    """
    from scipy.io import wavfile
    from scipy.signal import resample, stft

    rate, samples = wavfile.read(path)
    samples = samples.astype(np.float32)
    placed = np.zeros(SAMPLES, dtype=np.float32)
    shorter = resample(samples, -(-len(samples) * RATE // rate))
    placed[: len(shorter)] = shorter
    spectra = stft(placed, RATE, nperseg=455, noverlap=420)[2][:227, 2:-1]
    levels = 20 * np.log10(np.maximum(1e-5, np.abs(spectra)))
    return np.asarray(np.maximum(levels - levels.max(), -80))


def _transforms(sounds: Sequence[NDArray[Any]]) -> None:
    """The Fourier transforms of `published` alone: of each recording, of its spectrum at 8 kHz, and of 230 windows."""
    from scipy.fft import irfft, rfft

    for sound in sounds:
        shorter = -(-len(sound) * RATE // RECORDED)
        irfft(rfft(sound)[: shorter // 2 + 1], shorter)
        rfft(np.zeros((WINDOWS, WINDOW), dtype=np.float32))


def _prepared(model: xaudio.Model, data: Any, cache: Path) -> NDArray[Any]:
    """The same by xaudio (recordings, 227, 227), in batches."""
    with mock.patch.dict(os.environ, {"XAUDIO_CACHE": str(cache)}):
        batches = xaudio.plugin.placed_waveforms(model, data, np.arange(len(data)))
        return np.concatenate([model.features(waveforms).numpy()[:, 0] for _, waveforms in batches])


def _levels(librosa: Any, count: int) -> dict[str, Run]:
    waveforms = 0.1 * torch.randn(count, RATE, generator=torch.Generator().manual_seed(0))
    levels = xaudio.create("representation", "log_mel", convention="librosa", sample_rate=RATE)
    sounds = waveforms.numpy()
    return {
        "xaudio": lambda: levels(waveforms),
        "librosa": lambda: [librosa.power_to_db(librosa.feature.melspectrogram(y=sound, sr=RATE)) for sound in sounds],
    }


def _librosa() -> Any:
    """The module, or why there is none."""
    try:
        module: Any = import_module("librosa")
        module.load  # noqa: B018 (it is loaded when it is first used)
    except Exception as error:  # it imports many libraries, any of which may be missing or broken
        return f"librosa cannot be imported: {' '.join(str(error).split())}"
    return module


def _files(folder: Path, count: int) -> list[Path]:
    """Recordings of noise that fades, of many lengths."""
    generator = np.random.default_rng(0)
    files = []
    for number in range(count):
        samples = int(generator.integers(RECORDED // 2, RECORDED * 4 // 5))
        sound = generator.standard_normal(samples) * np.hanning(samples)
        files.append(folder / f"{number:03d}.wav")
        xaudio.write_audio(files[-1], (0.1 * sound).astype(np.float32), RECORDED)
    return files
