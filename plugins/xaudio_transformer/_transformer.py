"""A transformer of plain modules behind one of two ways to make places of a sound."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from xaudio.plugin import ModelError, PluginError

TRAINING: Mapping[str, Any] = MappingProxyType(
    {
        "optimiser": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup": 100,
        "clip_norm": 1.0,
        "batch_size": 32,
        "steps": 1000,
        "shift": 0.25,
        "speed": 0.2,
        "mixup": 0.2,
    }
)
BANDS, PATCH = 64, (8, 8)
"""Mel bands, and the bands and frames of a patch."""
FILTER, STRIDES = 0.03, (0.005, 2, 2)
"""Seconds of the first filters of a waveform and from one to the next, and the strides of the convolutions behind them."""


class Patches(nn.Module):
    """Levels (batch, 1, bands, frames) to places (batch, bands / 8, frames / 8, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(1, width, PATCH, PATCH)

    def forward(self, features: Tensor) -> Tensor:
        """The places."""
        places: Tensor = self.project(features)
        return places.permute(0, 2, 3, 1)


class Frames(nn.Module):
    """Waveforms (batch, 1, samples) to places (batch, 1, frames, width), 20 ms apart.

    The first layer starts as windowed cosines and sines from 0 to half the sample rate, and is trained as all others.
    """

    def __init__(self, width: int, sample_rate: int) -> None:
        super().__init__()
        length = max(4, round(FILTER * sample_rate))
        first = nn.Conv1d(1, width, length, max(1, round(STRIDES[0] * sample_rate)), padding=length // 2)
        with torch.no_grad():
            first.weight.copy_(filters(width, length)[:, None])
        layers: list[nn.Module] = [first, nn.GELU()]
        for stride in STRIDES[1:]:
            layers += [nn.Conv1d(width, width, 3, int(stride), padding=1), nn.GELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """The places."""
        places: Tensor = self.layers(features)
        return places.transpose(1, 2)[:, None]


class Transformer(nn.Module):
    """Features to logits (batch, classes); see `xaudio_transformer.transformer`.

    Attributes
    ----------
    representation, training_settings
        See `xaudio.registry.hookspecs.xaudio_models`.
    """

    training_settings = TRAINING

    def __init__(self, classes: int, reads: str, sample_rate: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if classes < 1:
            raise PluginError(f"transformer needs a class at least; got {classes}.")
        if width % heads or width % 4:
            raise PluginError(f"The width {width} of transformer is not a multiple of {heads} heads and of 4: choose another.")
        self.reads_levels = reads == "log_mel"
        self.representation = f"waveform:sample_rate={sample_rate},samples=none,normalisation=standard"
        if self.reads_levels:
            n_fft, hop = max(4, round(0.032 * sample_rate)), max(1, round(0.01 * sample_rate))
            self.representation = (
                f"log_mel:convention=librosa,sample_rate={sample_rate},n_fft={n_fft},hop={hop},bands={BANDS},"
                "padding=reflect,normalisation=recording"
            )
        self.places: nn.Module = Patches(width) if self.reads_levels else Frames(width, sample_rate)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.classifier = nn.Linear(width, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of levels (batch, 1, 64, frames), or of waveforms (batch, 1, samples).

        Raises
        ------
        ModelError
            If the features have another shape.
        """
        expected = (1, BANDS) if self.reads_levels else (1,)
        if features.ndim != len(expected) + 2 or features.shape[1 : len(expected) + 1] != expected:
            what = f"levels (batch, 1, {BANDS}, frames)" if self.reads_levels else "waveforms (batch, 1, samples)"
            raise ModelError(f"transformer got features {tuple(features.shape)}; expected {what}.")
        places: Tensor = self.places(features)
        placed = places + positions(*places.shape[1:]).to(places)
        logits: Tensor = self.classifier(self.encoder(placed.flatten(1, 2)).mean(1))
        return logits


def positions(rows: int, columns: int, width: int) -> Tensor:
    """Sines and cosines (rows, columns, width) of 1 to 1/1000 radians per step: half of them of the row, half of the column."""
    rates = 1000 ** -(torch.arange(width // 4) / (width // 4))
    row, column = (torch.arange(count)[:, None] * rates for count in (rows, columns))
    both = [torch.cat([angle.sin(), angle.cos()], 1) for angle in (row, column)]
    return torch.cat([both[0][:, None].expand(-1, columns, -1), both[1][None].expand(rows, -1, -1)], 2)


def filters(count: int, length: int) -> Tensor:
    """Windowed cosines and sines (count, length), by turns, whose frequencies are spread over the spectrum."""
    time = torch.arange(length, dtype=torch.float64) - length / 2
    frequencies = (torch.arange(count) // 2 + 0.5) / (2 * ((count + 1) // 2))
    phase = 2 * torch.pi * frequencies[:, None] * time + torch.pi / 2 * (torch.arange(count) % 2)[:, None]
    window = torch.hann_window(length, dtype=torch.float64)
    return (phase.cos() * window * (4 / window.sum())).float()
