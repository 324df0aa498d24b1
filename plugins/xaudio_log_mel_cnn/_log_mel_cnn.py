"""A modest residual network of plain modules, so that every explainer reads it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from xaudio.plugin import ModelError, PluginError

STAGES = 4

TRAINING: Mapping[str, Any] = MappingProxyType(
    {
        "optimiser": "adam",
        "learning_rate": 2e-3,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup": 50,
        "batch_size": 32,
        "steps": 1000,
        "shift": 0.25,
        "speed": 0.2,
        "masks": 2,
        "mixup": 0.2,
    }
)


class Residual(nn.Module):
    """Two convolutions whose sum is added to what goes into them: (batch, inputs, ...) to (batch, outputs, ... / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm, self.first_active = nn.BatchNorm2d(outputs), nn.ReLU()
        self.second, self.second_norm = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.active = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """The block's output."""
        inner = self.first_active(self.first_norm(self.first(features)))
        output: Tensor = self.active(self.second_norm(self.second(inner)) + self.around(features))
        return output


class LogMelCnn(nn.Module):
    """Levels (batch, 1, bands, frames) of any number of frames to logits (batch, classes).

    See `xaudio_log_mel_cnn.log_mel_cnn` for the parameters. Weights are drawn from torch's global generator.

    Attributes
    ----------
    representation : str
        Levels in dB, at most 80 below the loudest, of mean 0 and variance 1 in each recording.
    training_settings : mapping
        What it learns well with: recordings are moved, mixed and partly hidden, so that a few hundred are enough.
    """

    training_settings = TRAINING

    def __init__(self, classes: int, sample_rate: int, bands: int, window: float, hop: float, width: int, dropout: float) -> None:
        super().__init__()
        if classes < 1:
            raise PluginError(f"log-mel-cnn needs a class at least; got {classes}.")
        n_fft, step = round(window * sample_rate), round(hop * sample_rate)
        if n_fft < 4 or step < 1:
            raise PluginError(f"A window of {window:g} s every {hop:g} s is nothing at {sample_rate} Hz: give longer ones.")
        self.bands = bands
        self.representation = (
            f"log_mel:convention=librosa,sample_rate={sample_rate},n_fft={n_fft},hop={step},bands={bands},"
            "padding=reflect,normalisation=recording"
        )
        widths = [width * 2**stage for stage in range(STAGES)]
        self.stem = nn.Sequential(nn.Conv2d(1, width, 5, 2, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        pairs = zip([width, *widths], widths, strict=False)
        self.stages = nn.Sequential(*(Residual(inputs, outputs, min(outputs // width, 2)) for inputs, outputs in pairs))
        self.pool, self.flat, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)
        self.classifier = nn.Linear(widths[-1], classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of levels (batch, 1, bands, frames).

        Raises
        ------
        ModelError
            If the features have another shape.
        """
        if features.ndim != 4 or features.shape[1:3] != (1, self.bands):
            expected = f"(batch, 1, {self.bands}, frames)"
            raise ModelError(f"log-mel-cnn got features {tuple(features.shape)}; expected levels {expected}.")
        pooled = self.pool(self.stages(self.stem(features)))
        logits: Tensor = self.classifier(self.dropout(self.flat(pooled)))
        return logits
