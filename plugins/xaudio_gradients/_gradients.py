"""Explainers from captum, in the form that xaudio calls.

Each is given a copy of the features and enables gradients, so that it can be called anywhere, and returns relevance
shaped like the features (batch, channels, *axes) without a graph.
"""

from dataclasses import dataclass

import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.attr import Saliency
from torch import Tensor, nn

from xaudio import PluginError


def _input(features: Tensor) -> Tensor:
    """A copy of the features that requires a gradient, so that captum does not warn that it must ask for one."""
    return features.detach().clone().requires_grad_()


@dataclass(frozen=True)
class Gradient:
    """Gradient of the target's logit; see `xaudio_gradients.gradient`."""

    absolute: bool

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (Simonyan et al. 2013, arXiv 1312.6034, section 3)."""
        with torch.enable_grad():
            relevance: Tensor = Saliency(model).attribute(_input(features), target=target, abs=self.absolute)
        return relevance.detach()


@dataclass(frozen=True)
class InputTimesGradient:
    """Features times the gradient of the target's logit; see `xaudio_gradients.input_x_gradient`."""

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (Shrikumar et al. 2016, arXiv 1605.01713)."""
        with torch.enable_grad():
            relevance: Tensor = CaptumInputXGradient(model).attribute(_input(features), target=target)
        return relevance.detach()


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients from 0; see `xaudio_gradients.integrated_gradients`."""

    steps: int
    internal_batch_size: int | None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("internal_batch_size", self.internal_batch_size)):
            if value is not None and value < 1:
                raise PluginError(f"integrated_gradients: {name} must be at least 1; got {value}.")

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (Sundararajan et al. 2017, arXiv 1703.01365, equation 1)."""
        # captum needs room for one point of every recording, and warns where it is given less.
        at_once = self.internal_batch_size and max(self.internal_batch_size, len(features))
        with torch.enable_grad():
            relevance: Tensor = CaptumIntegratedGradients(model).attribute(
                _input(features), target=target, n_steps=self.steps, internal_batch_size=at_once
            )
        return relevance.detach()
