"""Relevance and activation of each channel of a layer, and the explanation that flows through some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import (
    ConditionalExplainer,
    Explainer,
    FloatArray,
    IntArray,
    LayerRelevance,
    Model,
    PluginError,
    as_explainer,
    evaluation_mode,
    in_this_thread,
    parse_spec,
)

from .fields import channels_first


@dataclass(frozen=True)
class Measured:
    """What was measured of recordings at a layer, a row for each.

    Parameters
    ----------
    rows : ndarray, shape (recordings, 4 channels + classes)
        Relevance of each channel summed over positions, where it is largest (position in the flattened map), the largest
        activation of each and where that is, and the logits.
    channels : int
    """

    rows: FloatArray
    channels: int

    @property
    def relevance(self) -> FloatArray:
        """Relevance of each channel, (recordings, channels)."""
        return self.rows[:, : self.channels]

    @property
    def activation(self) -> FloatArray:
        """Largest activation of each channel, (recordings, channels)."""
        return self.rows[:, 2 * self.channels : 3 * self.channels]

    @property
    def logits(self) -> FloatArray:
        """Shape (recordings, classes)."""
        return self.rows[:, 4 * self.channels :]

    @cached_property
    def shares(self) -> FloatArray:
        """Relevance of each channel as a share of the sum of magnitudes, (recordings, channels); 0 where there is none."""
        total = np.abs(self.relevance).sum(1, keepdims=True)
        shares: FloatArray = np.divide(self.relevance, total, out=np.zeros_like(self.relevance), where=total > 0)
        return shares

    def places(self, by: str) -> IntArray:
        """Where in the flattened map relevance or activation of each channel is largest, (recordings, channels)."""
        first = self.channels if by == "relevance" else 3 * self.channels
        return np.asarray(self.rows[:, first : first + self.channels], dtype=np.int64)


def conditional_explainer(explainer: str | Explainer) -> tuple[ConditionalExplainer, dict[str, Any]]:
    """An explainer that can tell what flows through a channel, and its name and options.

    Raises
    ------
    PluginError
        If it cannot, or there is no such explainer.
    """
    name, options = parse_spec(explainer) if isinstance(explainer, str) else (explainer, {})
    method, spec = as_explainer(name, dict(options))
    if not isinstance(method, ConditionalExplainer):
        raise PluginError(
            f"The explainer {spec['name']!r} cannot tell what flows through single channels (it has no method 'conditional'). "
            "Choose lrp."
        )
    if spec["given"].get("layer") is not None:
        raise PluginError(f"The explainer {explainer!r} is bound to a layer already; leave out its options layer and channels.")
    return method, spec


def measured(
    model: Model, explainer: ConditionalExplainer, layer: str, waveforms: Tensor, target: Tensor | None = None
) -> Tensor:
    """Rows of `Measured` of a batch, float64 on the CPU.

    Parameters
    ----------
    model : Model
    explainer : ConditionalExplainer
    layer : str
    waveforms : Tensor, shape (batch, samples)
        Placed, on the model's device.
    target : Tensor of int64, shape (batch,), optional
        By default the predicted classes.
    """
    outputs: list[Tensor] = []
    with evaluation_mode(model.network):
        handle = model.network.get_submodule(layer).register_forward_hook(
            in_this_thread(lambda module, inputs, output: outputs.append(channels_first(module, output.detach().clone())))
        )
        try:
            with torch.no_grad():
                features = model.features(waveforms)
                logits = model.logits(features.clone())
        finally:
            handle.remove()
        target = logits.argmax(1) if target is None else target
        with torch.enable_grad():
            relevance = explainer.conditional(model.network, features, target, layer).relevance.detach()
    if relevance.shape != outputs[0].shape or not bool(torch.isfinite(relevance).all()):
        raise PluginError(
            f"The explainer {type(explainer).__name__!r} gave relevance {tuple(relevance.shape)} at the layer {layer!r}; "
            f"expected finite numbers shaped like its output, {tuple(outputs[0].shape)}."
        )
    flat, activation = relevance.flatten(2) if relevance.ndim > 2 else relevance[..., None], outputs[0]
    activation = activation.flatten(2) if activation.ndim > 2 else activation[..., None]
    highest = activation.max(2)
    # Summed in float64, where the device has it.
    sums = flat.sum(2) if flat.device.type == "mps" else flat.double().sum(2)
    parts = [sums, flat.argmax(2), highest.values, highest.indices, logits]
    return torch.cat([part.cpu().double() for part in parts], 1)


@dataclass(frozen=True)
class Through:
    """An explainer: the part of another's relevance that flows through channels of a layer.

    Parameters
    ----------
    explainer : ConditionalExplainer
    layer : str
    channels : sequence of int
    """

    explainer: ConditionalExplainer
    layer: str
    channels: Sequence[int]

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features."""
        relevance, through = self.explainer.conditional(model, features, target, self.layer)
        return through(only(relevance, self.channels))


def only(relevance: Tensor, channels: Sequence[int]) -> Tensor:
    """Weights of 1 for some channels of a layer and 0 for the others, which broadcast to its relevance."""
    weights = relevance.new_zeros(relevance.shape[1])
    weights[list(channels)] = 1
    return weights.reshape(-1, *[1] * (relevance.ndim - 2))


def spec_through(spec: dict[str, Any], layer: str, channels: Sequence[int]) -> dict[str, Any]:
    """Name and options of `Through`, as explanations say where they come from."""
    chosen = {"layer": layer, "channels": "+".join(map(str, channels))}
    return {**spec, "options": {**spec["options"], **chosen}, "given": {**spec["given"], **chosen}}


def at_layer(model: Model, explainer: ConditionalExplainer, layer: str, waveforms: Tensor, target: Tensor) -> LayerRelevance:
    """Relevance at a layer of a batch of placed waveforms, and the way from there to the features."""
    with evaluation_mode(model.network):
        with torch.no_grad():
            features = model.features(waveforms)
        with torch.enable_grad():
            return explainer.conditional(model.network, features, target, layer)
