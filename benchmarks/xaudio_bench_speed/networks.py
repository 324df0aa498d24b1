"""AudioNet as one writes it from the paper, to see what a user's own network gains."""

from __future__ import annotations

from torch import nn

TEXTBOOK = "audionet-conv1d"
CHANNELS = (100, 64, 128, 128, 128, 128)


def textbook_audionet(classes: int) -> nn.Module:
    """Features (batch, 1, 8000) to logits (batch, classes): Conv1d, ReLU and MaxPool1d six times, then linear layers."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip((1, *CHANNELS), CHANNELS, strict=False):
        layers += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2)]
    layers += [nn.Flatten(), nn.Linear(CHANNELS[-1] * 125, 1024), nn.Dropout(), nn.Linear(1024, 512), nn.Dropout()]
    network = nn.Sequential(*layers, nn.Linear(512, classes))
    network.representation = "waveform"  # type: ignore[assignment]
    return network
