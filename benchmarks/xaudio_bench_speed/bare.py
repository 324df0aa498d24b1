"""The least that a picture of a gradient costs: torch, one network, one pass forward and back, one figure; a script."""

import sys
from itertools import pairwise

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import torch
from torch import nn


def main(picture: str) -> None:
    """Draw the gradient of AudioNet, as one writes it, for a second of noise."""
    channels = (1, 100, 64, 128, 128, 128, 128)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2)]
    layers += [nn.Flatten(), nn.Linear(128 * 125, 1024), nn.Linear(1024, 512), nn.Linear(512, 10)]
    sound = torch.randn(1, 1, 8000, requires_grad=True)
    gradient = torch.autograd.grad(nn.Sequential(*layers)(sound).max(), sound)[0]
    figure, axes = plt.subplots(2)
    axes[0].plot(sound.detach()[0, 0])
    axes[1].plot(gradient[0, 0])
    figure.savefig(picture)


if __name__ == "__main__":
    main(sys.argv[1])
