"""Weights to start from, for a training that is to get somewhere in few steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .examples import Examples
from .model import Model


def initialise(network: nn.Module, seed: int, deviation: float) -> None:
    """Draw the weights of all linear and convolutional layers from N(0, 2 / fan-in), biases 0 (He et al., 2015).

    Parameters
    ----------
    network : nn.Module
    seed : int
    deviation : float
        Standard deviation of what the network reads; the first layer's weights are divided by it, as if its input were
        normalised, since decibels and percentiles are far from the variance 1 that the rule supposes. The last layer's
        are a tenth of the rule's, so that training starts undecided instead of unlearning its first guesses.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)]
    with torch.random.fork_rng(), torch.no_grad():
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        for index, layer in enumerate(layers):
            fresh = nn.init.kaiming_normal_(torch.empty(layer.weight.shape), nonlinearity="relu")
            scale = 1 / deviation if index == 0 else 0.1 if index == len(layers) - 1 else 1.0
            layer.weight.copy_(fresh * scale)
            if layer.bias is not None:
                layer.bias.zero_()


@torch.no_grad()
def feature_statistics(model: Model, data: Examples) -> tuple[Tensor, float]:
    """Mean over recordings of what the representation gives, (channels, *axes), and the deviation of all cells from it."""
    exact = torch.float32 if model.device.type == "mps" else torch.float64  # MPS has no float64
    total: Tensor | float = 0.0
    squares = 0.0
    for indices in data.batches():
        features = model.representation(data.batch(indices)).to(exact)
        total = total + features.sum(0)
        squares += float(features.square().sum())
    mean = torch.as_tensor(total) / len(data)
    variance = squares / (len(data) * mean.numel()) - float(mean.square().mean())
    return mean.float(), max(variance, 1e-12) ** 0.5
