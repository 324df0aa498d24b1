"""The layers of a network that one can look into."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import ModelError, unknown
from .running import network_name

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
LAYERS = (*CONVOLUTIONS, nn.Linear)
"""What has channels: the output channels of a convolution, the units of a linear layer."""


def layers_of(network: nn.Module) -> dict[str, nn.Module]:
    """The convolutions (1-D and 2-D) and linear layers of a network by their names in ``network.named_modules()``."""
    return {name: module for name, module in network.named_modules() if name and isinstance(module, LAYERS)}


def find_layer(network: nn.Module, name: str | None = None) -> str:
    """The name of a layer that has channels, after a look whether it is there.

    Parameters
    ----------
    network : nn.Module
    name : str, optional
        By default the last convolution.

    Raises
    ------
    ModelError
        If there is no such layer, or none is given and the network has no convolution; the message lists all layers.
    """
    layers = layers_of(network)
    convolutions = [layer for layer, module in layers.items() if isinstance(module, CONVOLUTIONS)]
    if name in layers:
        return str(name)
    if name is None and convolutions:
        return convolutions[-1]
    listed = ", ".join(f"{layer} ({type(module).__name__}, {channels_of(module)} channels)" for layer, module in layers.items())
    if not layers:
        raise ModelError(
            f"{network_name(network)} has no convolution or linear layer as a module, so it has no channels to show."
        )
    if name is None:
        raise ModelError(f"{network_name(network)} has no convolution, so name a layer. It has: {listed}.")
    others = dict(network.named_modules())
    if name in others:
        kind = type(others[name]).__name__
        raise ModelError(f"The layer {name!r} is a {kind}; expected a convolution or linear layer: {listed}.")
    raise ModelError(f"{unknown('layer', name, layers).partition(' Known:')[0]} The network has: {listed}.")


def channels_of(layer: nn.Module) -> int:
    """How many channels a layer has.

    Parameters
    ----------
    layer : nn.Module
        A linear layer or a convolution.
    """
    channels: Any = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    return int(channels)
