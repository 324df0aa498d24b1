"""Layer-wise relevance propagation by zennit's hooks, for models of any structure."""

from typing import Any

import torch
from torch import Tensor, nn

from xaudio import ModelError

from . import _zennit as zennit
from ._chain import twin
from ._plan import Method


def relevance_by_hooks(model: nn.Module, features: Tensor, target: Tensor, method: Method) -> Tensor:
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
