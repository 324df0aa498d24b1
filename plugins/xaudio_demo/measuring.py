"""How good the demo model is: on digits of voices that it never heard, and on what is no digit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaudio import Clip, Model
from xaudio.plugin import evaluation_mode

from .scenes import coloured_noise
from .sounds import NO_DIGIT, RATE, WORDS, Sounds, arabic, commands, digit_files, environment, spoken

AT_ONCE = 32


def tests(data: Path, speakers: Mapping[str, Sounds], seed: int) -> dict[str, Sounds]:
    """What the model is tested on: digits of voices, and sounds, that it never heard."""
    in_noise = {f"FSDD, {name}, somewhere in 3 s of noise": surrounded(sounds, 3, 15, seed) for name, sounds in speakers.items()}
    others = {"AudioMNIST": (digit_files, "audiomnist-en"), "Speech Commands": (commands, "speech-commands")}
    return {
        **{f"FSDD, {name}": sounds for name, sounds in speakers.items()},
        **in_noise,
        **{name: read(data / folder) for name, (read, folder) in others.items() if (data / folder).is_dir()},
        "environmental sounds, ESC-10 fold 5": environment(data / "esc10", "5"),
        "Arabic words, other speakers": arabic(data / "arabic-commands", "test"),
        "other English words, espeak-ng": spoken(WORDS[::5], NO_DIGIT, 4, seed + 1),
        "silence, noise and tones": silence_and_noise(seed + 1),
    }


@torch.no_grad()
def logits_of(model: Model, sounds: Sounds) -> Tensor:
    """Logits (recordings, classes)."""
    heard = model.hear([Clip(waveform, RATE) for waveform in sounds.waveforms])
    with evaluation_mode(model.network):
        rows = np.array_split(np.arange(len(sounds)), -(-len(sounds) // AT_ONCE))
        return torch.cat([model.logits(model.features(heard.batch(some))) for some in rows])


def score(model: Model, sounds: Sounds) -> dict[str, Any]:
    """How often the model is correct, how sure it is on the mean, and by how much both differ over ten bins of confidence."""
    probabilities, classes = logits_of(model, sounds).softmax(1), torch.from_numpy(np.array(sounds.classes))
    confidence, predicted = probabilities.max(1)
    correct = (predicted == classes).double()
    bins = (confidence * 10).long().clamp(max=9)
    gaps = [float((correct - confidence)[bins == one].sum().abs()) for one in range(10)]
    return {
        "recordings": len(classes),
        "accuracy": round(float(correct.mean()), 4),
        "confidence": round(float(confidence.mean()), 4),
        "calibration_error": round(sum(gaps) / len(classes), 4),
    }


def silence_and_noise(seed: int) -> Sounds:
    """Silence, noises of three colours and tones, of four lengths."""
    generator = np.random.default_rng(seed)
    waveforms = []
    for seconds in (0.3, 0.7, 1.5, 3.0):
        samples = round(seconds * RATE)
        waveforms += [np.zeros(samples), *(0.1 * coloured_noise(samples, slope, generator) for slope in (0, -0.5, -1) * 5)]
        waveforms += [0.3 * np.sin(2 * np.pi * pitch / RATE * np.arange(samples)) for pitch in (100, 440, 1000, 3000)]
    return Sounds([waveform.astype(np.float32) for waveform in waveforms], np.full(len(waveforms), NO_DIGIT))


def surrounded(sounds: Sounds, seconds: float, noise: float, seed: int) -> Sounds:
    """Recordings somewhere in so many seconds of pink noise, so many dB below them."""
    generator = np.random.default_rng(seed)
    waveforms = []
    for waveform in sounds.waveforms:
        whole = np.zeros(max(len(waveform), round(seconds * RATE)))
        start = generator.integers(0, len(whole) - len(waveform) + 1)
        whole[start : start + len(waveform)] = waveform
        level = np.sqrt(np.mean(waveform**2)) * 10 ** (-noise / 20)
        waveforms.append((whole + level * coloured_noise(len(whole), -0.5, generator)).astype(np.float32))
    return Sounds(waveforms, sounds.classes)
