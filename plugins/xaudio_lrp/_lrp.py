"""Layer-wise relevance propagation."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xaudio import ModelError, PluginError

from . import _zennit as zennit


class Rules(NamedTuple):
    """Names of the rules of a composite: in convolutions, in linear layers, and in the first layer if that differs."""

    convolution: str
    linear: str
    first: str = ""


COMPOSITES = {
    "epsilon": Rules("epsilon", "epsilon"),
    "gamma": Rules("gamma", "gamma"),
    "epsilon_plus": Rules("plus", "epsilon"),
    "epsilon_alpha2_beta1": Rules("alpha2_beta1", "epsilon"),
    "epsilon_gamma": Rules("gamma", "epsilon"),
    "epsilon_plus_flat": Rules("plus", "epsilon", "flat"),
    "epsilon_alpha2_beta1_flat": Rules("alpha2_beta1", "epsilon", "flat"),
    "epsilon_gamma_box": Rules("gamma", "epsilon", "box"),
}
DEFAULT_GAMMA = 0.25


def check_rules(composite: str, epsilon: float, gamma: float, low: float | None, high: float | None) -> None:
    """Raise `PluginError` for options that the rules of a composite cannot use, or do not have."""
    rules = COMPOSITES[composite]
    if not epsilon > 0:
        raise PluginError(f"lrp: epsilon must be positive, or shares of nothing are divided by nothing; got {epsilon}.")
    if not gamma >= 0:
        raise PluginError(f"lrp: gamma must not be negative; got {gamma}.")
    if gamma != DEFAULT_GAMMA and "gamma" not in rules:
        raise PluginError(f"lrp: composite {composite!r} has no gamma rule, so gamma={gamma} would do nothing.")
    if "box" not in rules and (low is not None or high is not None):
        raise PluginError(f"lrp: composite {composite!r} has no z-box rule, so low and high would do nothing.")
    if "box" in rules and (low is None or high is None or not low <= 0 <= high or low == high):
        raise PluginError(
            f"lrp: composite {composite!r} needs low and high, the lowest and highest feature that can occur, with 0 "
            f"between them; got low={low} and high={high}."
        )


def _twin(model: nn.Module) -> nn.Module:
    """A copy of a model's modules on the same memory of weights.

    zennit exchanges parameters and registers hooks while it works, and 1.0 puts other parameter objects back than it
    found (which an optimiser would no longer know), so it never gets the model itself.
    """
    memo: dict[int, Any] = {id(buffer): buffer.detach() for buffer in model.buffers()}
    memo |= {id(parameter): nn.Parameter(parameter.detach(), requires_grad=False) for parameter in model.parameters()}
    return deepcopy(model, memo)


@dataclass(frozen=True)
class LayerwiseRelevance:
    """An explainer; see `xaudio_lrp.lrp` for the parameters.

    Relevance starts as the target's logit and is shared out backwards, layer by layer, in proportion to what each
    input contributed (Bach et al. 2015, doi 10.1371/journal.pone.0130140). Max-pooling passes it to the largest input,
    ReLU passes it on; a batch normalisation is merged into the layer before it.
    """

    composite: str
    epsilon: float
    gamma: float
    low: float | None
    high: float | None
    bias: str

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (batch, channels, *axes).

        Parameters
        ----------
        model : nn.Module
            In evaluation mode. Every ReLU must be a module of its own. It is not touched.
        features : Tensor, shape (batch, channels, *axes)
        target : Tensor of int64, shape (batch,)

        Raises
        ------
        ModelError
            If the model has no layer that a rule applies to, so that the answer would be a mere gradient.
        """
        if not any(isinstance(module, zennit.Linear) for module in model.modules()):
            raise ModelError(f"lrp needs a model with convolutions or linear layers as modules; {type(model).__name__} has none.")

        def start(logits: Tensor) -> Tensor:
            return torch.zeros_like(logits).scatter(1, target[:, None], logits.detach().gather(1, target[:, None]))

        with torch.enable_grad(), zennit.Gradient(_twin(model), self._composite()) as attributor:
            relevance: Tensor = attributor(features.detach().clone(), start)[1]
        return relevance.detach()

    def _composite(self) -> Any:
        names = COMPOSITES[self.composite]
        layers = [
            *zennit.layer_map_base(),
            (zennit.Convolution, self._rule(names.convolution)),
            (nn.Linear, self._rule(names.linear)),
        ]
        first = [(zennit.Linear, self._rule(names.first))] if names.first else []
        return zennit.SpecialFirstLayerMapComposite(layers, first, canonizers=[zennit.SequentialMergeBatchNorm()])

    def _rule(self, name: str) -> Any:
        zero = ["bias"] if self.bias == "ignore" else None
        match name:
            case "epsilon":
                return zennit.Epsilon(self.epsilon, zero_params=zero)
            case "gamma":
                return zennit.Gamma(self.gamma, zero_params=zero)
            case "plus":
                return zennit.ZPlus(zero_params=zero)
            case "alpha2_beta1":
                return zennit.AlphaBeta(2, 1, zero_params=zero)
            case "flat":
                return zennit.Flat(zero_params=zero)
            case "box":
                return zennit.ZBox(self.low, self.high, zero_params=zero)
        raise ValueError(name)
