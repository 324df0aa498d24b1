"""Layer-wise relevance propagation by zennit's hooks, for models of any structure."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xaudio import ModelError
from xaudio.types import LayerRelevance

from . import _zennit as zennit
from ._chain import twin
from ._plan import Method


def at_layer_by_hooks(model: nn.Module, features: Tensor, target: Tensor, method: Method, layer: str) -> LayerRelevance:
    """Relevance at the output of a layer, and the way from there, each time from the logits anew.

    Raises
    ------
    ModelError
        See `relevance_by_hooks`.
    """
    found: list[Tensor] = []
    relevance_by_hooks(model, features, target, method, At(layer, found.append))

    def through(weights: Tensor) -> Tensor:
        return relevance_by_hooks(model, features, target, method, At(layer, lambda relevance: relevance * weights))

    return LayerRelevance(found[0], through)


class At(NamedTuple):
    """What is done with the relevance at the output of a layer: a function of it, which gives what goes on, or None."""

    layer: str
    change: Callable[[Tensor], Tensor | None]


def relevance_by_hooks(model: nn.Module, features: Tensor, target: Tensor, method: Method, at: At | None = None) -> Tensor:
    """Relevance shaped like features (batch, channels, *axes).

    zennit exchanges parameters and registers hooks while it works, and 1.0 puts other parameter objects back than it
    found (which an optimiser would no longer know), so it never gets the model itself.

    Raises
    ------
    ModelError
        If a batch normalisation has nothing that could be merged into the layer before it, or zennit cannot follow the model.
    """

    def start(logits: Tensor) -> Tensor:
        return torch.zeros_like(logits).scatter(1, target[:, None], logits.detach().gather(1, target[:, None]))

    try:
        own = twin(model)
        own.register_forward_pre_hook(lambda _, inputs: (inputs[0].clone(), *inputs[1:]))  # it may begin in place
        with torch.enable_grad(), zennit.Gradient(own, _composite(method)) as attributor:
            if at:  # behind zennit's own hooks, so that this is what its rule gets
                change = at.change
                own.get_submodule(at.layer).register_forward_hook(lambda *args: _watched(args[-1], change))
            relevance: Tensor = attributor(features.detach().clone(), start)[1]
    except (TypeError, AttributeError, RuntimeError) as error:
        if "out of memory" in str(error):
            raise
        _refuse_bare_normalisation(model, error)
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelError(
            f"lrp cannot follow {type(model).__name__} ({reason}): a layer without gradient or with several inputs, such as "
            "attention, has no rule. Use integrated_gradients, or feature_ablation, which needs no gradient."
        ) from error
    return relevance.detach()


def _watched(output: Tensor, change: Callable[[Tensor], Tensor | None]) -> Tensor:
    """A copy of a layer's output (what follows may write to it), the relevance of which is changed on its way back."""
    copy = output.clone()
    copy.register_hook(lambda gradient: change(gradient.detach()))  # type: ignore[no-untyped-call]
    return copy


def _refuse_bare_normalisation(model: nn.Module, error: Exception) -> None:
    """Raise `ModelError` for a batch normalisation without scale or statistics, which zennit cannot merge."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.weight is None or module.running_mean is None):
            raise ModelError(
                f"lrp cannot merge the batch normalisation {name!r} into the layer before it: it has no weights or no running "
                "statistics. Train it with affine=True and track_running_stats=True, or use integrated_gradients."
            ) from error


def _composite(method: Method) -> Any:
    layers = [
        *zennit.layer_map_base(),
        (zennit.Convolution, _rule(method.convolution, method)),
        (nn.Linear, _rule(method.linear, method)),
    ]
    first = [(zennit.Linear, _rule(method.first, method))] if method.first else []
    return zennit.SpecialFirstLayerMapComposite(layers, first, canonizers=[zennit.SequentialMergeBatchNorm()])


def _rule(name: str, method: Method) -> Any:
    zero = None if method.absorb else ["bias"]
    match name:
        case "epsilon":
            return zennit.Epsilon(method.epsilon, zero_params=zero)
        case "gamma":
            return zennit.Gamma(method.gamma, zero_params=zero)
        case "plus":
            return zennit.ZPlus(zero_params=zero)
        case "alpha2_beta1":
            return zennit.AlphaBeta(2, 1, zero_params=zero)
        case "flat":
            return zennit.Flat(zero_params=zero)
        case "box":
            return zennit.ZBox(method.low, method.high, zero_params=zero)
    raise ValueError(name)
