"""The reference model for waveforms, and the one for spectrograms."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from xaudio.plugin import ModelError, PluginError

TRAINING: Mapping[str, Any] = MappingProxyType(
    {"optimiser": "adam", "learning_rate": 1e-3, "schedule": "cosine", "warmup": 20, "batch_size": 32, "steps": 800}
)
SAMPLES = 8000
CELLS = 227
"""Frequencies and frames of the spectrogram."""
BANDS, WINDOW, HOP = 96, 256, 16
"""Centre frequencies of the filters that the waveform model starts with, and their length and distance in samples."""
GAIN = 10.0
"""Response of a filter to a tone of amplitude 1 at its centre, so that the layers above see numbers near 1."""
CHANNELS, HIDDEN = 64, 128
LEVEL_SPREAD = 10.0
"""Standard deviation in dB that the first weights of the spectrogram model expect."""


class ReadsWaveform(nn.Module):
    """Features (batch, 1, 8000) to logits (batch, classes).

    The first layer starts as windowed cosines and sines from 0 to 4 kHz, the axis of the inner ear, and is trained as all
    others; rectified and averaged over 32 ms they measure the amplitude of each band. It starts from torch's global
    generator in all other weights.

    Parameters
    ----------
    classes : int

    Attributes
    ----------
    representation, training_settings
        See `xaudio.registry.hookspecs.xaudio_models`.
    """

    representation = "waveform"
    training_settings = TRAINING

    def __init__(self, classes: int) -> None:
        _check(classes)
        frames = ((SAMPLES - WINDOW) // HOP + 1) // 16
        super().__init__()
        first = nn.Conv1d(1, 2 * BANDS, WINDOW, stride=HOP)
        with torch.no_grad():
            first.weight.copy_(_filters()[:, None])
        self.layers = nn.Sequential(
            first,
            nn.ReLU(),
            nn.AvgPool1d(16),
            nn.Conv1d(2 * BANDS, CHANNELS, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Flatten(),
            nn.Linear(CHANNELS * (frames // 2), HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of waveforms.

        Raises
        ------
        ModelError
            If the features have another shape.
        """
        if features.ndim != 3 or features.shape[1:] != (1, SAMPLES):
            expected = f"waveforms (batch, 1, {SAMPLES})"
            raise ModelError(f"The model 'reference' got features {tuple(features.shape)}; expected {expected}.")
        logits: Tensor = self.layers(features)
        return logits


class ReadsSpectrogram(nn.Module):
    """Features (batch, 1, 227, 227), frequency before time, to logits (batch, classes).

    Each filter of the first layer hears all frequencies of five frames at once, so that what it finds at a frequency says
    nothing of its neighbours. See `ReadsWaveform` for the rest.
    """

    representation = "spectrogram"
    training_settings: Mapping[str, Any] = MappingProxyType({**TRAINING, "subtract_mean": True})

    def __init__(self, classes: int) -> None:
        _check(classes)
        frames = ((CELLS - 5) // 2 + 1) // 4
        super().__init__()
        first = nn.Conv2d(1, CHANNELS, (CELLS, 5), stride=(1, 2))
        with torch.no_grad():
            first.weight.div_(LEVEL_SPREAD)
        self.layers = nn.Sequential(
            first,
            nn.ReLU(),
            nn.AvgPool2d((1, 4)),
            nn.Conv2d(CHANNELS, CHANNELS, (1, 3), padding=(0, 1)),
            nn.ReLU(),
            nn.MaxPool2d((1, 2)),
            nn.Flatten(),
            nn.Linear(CHANNELS * (frames // 2), HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of spectrograms.

        Raises
        ------
        ModelError
            If the features have another shape.
        """
        if features.ndim != 4 or features.shape[1:] != (1, CELLS, CELLS):
            expected = f"spectrograms (batch, 1, {CELLS}, {CELLS}), which representation 'spectrogram' gives by default"
            raise ModelError(f"The model 'reference' got features {tuple(features.shape)}; expected {expected}.")
        logits: Tensor = self.layers(features)
        return logits


def _check(classes: int) -> None:
    if classes < 2:
        raise PluginError(f"The model 'reference' needs at least two classes; got {classes}.")


def _filters() -> Tensor:
    """Windowed cosines and sines (2 bands, window)."""
    time = torch.arange(WINDOW, dtype=torch.float64) - WINDOW / 2
    frequencies = (torch.arange(BANDS, dtype=torch.float64) + 0.5) / (2 * BANDS)
    phase = 2 * torch.pi * frequencies[:, None] * time
    window = torch.hann_window(WINDOW, dtype=torch.float64)
    return (torch.cat([phase.cos(), phase.sin()]) * window * (2 * GAIN / window.sum())).float()
