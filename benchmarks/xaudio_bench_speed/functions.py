"""What LRP of any computation costs on networks of the size that is in use: transformers and residual networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

import xaudio
from xaudio.plugin import beside_torchvision

from .contenders import unit
from .records import Comparison
from .timing import Clock, Run

COMPOSITES = ("epsilon", "epsilon_plus", "epsilon_gamma")


class Logits(nn.Module):
    """A network of transformers that answers with its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        """Features to logits (batch, classes)."""
        logits: Tensor = self.network(features).logits
        return logits


def networks() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Names, networks with weights drawn at random (their speed is that of trained ones) and features."""
    with beside_torchvision():
        import transformers
    base = transformers.Wav2Vec2Config(num_labels=10)
    yield "wav2vec2-base, 2 x 1 s", transformers.Wav2Vec2ForSequenceClassification(base), torch.randn(2, 16000)
    residual = transformers.ResNetConfig(
        num_channels=1, layer_type="basic", depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], num_labels=10
    )
    yield "ResNet-18, 8 x 128 bands x 100", transformers.ResNetForImageClassification(residual), torch.randn(8, 1, 128, 100)
    patches = transformers.ASTConfig(
        max_length=512, num_hidden_layers=6, hidden_size=384, num_attention_heads=6, intermediate_size=1536, num_labels=10
    )
    yield "AST of 6 layers, 2 x 512 x 128 bands", transformers.ASTForAudioClassification(patches), torch.randn(2, 512, 128)


def sides(network: nn.Module, features: Tensor) -> Mapping[str, Run]:
    """The unit, which is a gradient to the input, and LRP by composites.

    Parameters
    ----------
    network : nn.Module
        Without gradients of its weights.
    features : Tensor
    """
    with torch.no_grad():
        target = network(features).argmax(1)
    runs: dict[str, Run] = {"unit": unit(network, features, target)}
    for composite in COMPOSITES:
        lrp = xaudio.create("explainer", "lrp", composite=composite, engine="functions")
        runs[composite] = partial(lrp, network, features, target)
    return runs


def functions(clock: Clock, count: int) -> Iterator[Comparison]:
    """LRP by the engine of functions, in units.

    Parameters
    ----------
    clock : Clock
    count : int
        How many networks.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for (name, network, features), _ in zip(networks(), range(count), strict=False):
            logits = Logits(network).eval().requires_grad_(False).to(clock.device)
            runs = sides(logits, features.to(clock.device))
            note = "lrp:engine=functions; a unit is one pass forward and one back to the input of the network itself"
            yield clock.compare("functions", name, runs, base="unit", note=note)
