"""Layer-wise relevance propagation by zennit's hooks, for models of any structure."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xaudio.plugin import LayerRelevance, ModelError, network_name, own_hooks, plain_copy

from . import _zennit as zennit
from ._finite import check_finite
from ._ledger import Ledger
from ._normalisation import Affine, make_affine, make_mergeable, refuse_batch_statistics
from ._plan import Method
from ._products import kind_of, use
from ._watch import WEIGHTED, Observed, observe


def at_layer_by_hooks(model: nn.Module, features: Tensor, target: Tensor, method: Method, layer: str) -> LayerRelevance:
    """Relevance at the output of a layer, and the way from there, each time from the logits again.

    Raises
    ------
    ModelError
        See `relevance_by_hooks`.
    """
    seen: list[Tensor] = []
    relevance_by_hooks(model, features, target, method, At(layer, seen.append, looks=True))

    def through(weights: Tensor) -> Tensor:
        return relevance_by_hooks(model, features, target, method, At(layer, lambda relevance: relevance * weights))

    return LayerRelevance(seen[0], through)


class At(NamedTuple):
    """What is done with the relevance at the output of a layer: a function of it, which gives what goes on, or only looks."""

    layer: str
    change: Callable[[Tensor], Tensor | None]
    looks: bool = False


def relevance_by_hooks(model: nn.Module, features: Tensor, target: Tensor, method: Method, at: At | None = None) -> Tensor:
    """Relevance shaped like features (batch, channels, *axes).

    zennit exchanges parameters and registers hooks while it works, and 1.0 puts other parameter objects back than it
    found (which an optimiser would no longer know), so it never gets the model itself.

    Raises
    ------
    ModelError
        If a layer computes something else than its weight says, a batch normalisation has no running statistics, zennit
        cannot follow the model, operations without a rule multiply the relevance, or the answer is NaN or infinite.
    """
    ledger = Ledger(len(features))
    explained: list[Tensor] = []

    def start(logits: Tensor) -> Tensor:
        explained.append(logits.detach().gather(1, target[:, None]))
        return torch.zeros_like(logits).scatter(1, target[:, None], explained[0])

    try:
        with own_hooks():
            own, observed = _prepared(model, features, method)
        own.register_forward_pre_hook(lambda _, inputs: (inputs[0].clone(), *inputs[1:]))  # it may begin in place
        composite = _composite(method, observed)
        with torch.enable_grad(), zennit.Gradient(own, composite) as attributor:
            _refuse_other_weights(own)
            for name, module in own.named_modules():
                if isinstance(module, Affine) or composite.module_map({}, name, module) is not None:
                    ledger.watch(module)
            if at:  # behind zennit's own hooks, so that this is what its rule gets
                change = at.change
                own.get_submodule(at.layer).register_forward_hook(lambda *args: _watched(args[-1], change))
            relevance: Tensor = attributor(features.detach().clone(), start)[1]
    except (TypeError, AttributeError, RuntimeError) as error:
        if "out of memory" in str(error):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelError(
            f"lrp cannot follow {network_name(model)} ({reason}): a layer without gradient or with several inputs, such as "
            "attention, has no rule. Use integrated_gradients, or feature_ablation, which needs no gradient."
        ) from error
    check_finite(model, features, explained[0][:, 0])
    if method.strict and (at is None or at.looks):
        ledger.check(relevance, explained[0][:, 0])
    return relevance.detach()


def _watched(output: Tensor, change: Callable[[Tensor], Tensor | None]) -> Tensor:
    """A copy of a layer's output (what follows may write to it), the relevance of which is changed on its way back."""
    copy = output.clone()
    copy.register_hook(lambda gradient: change(gradient.detach()))  # type: ignore[no-untyped-call]
    return copy


def _prepared(model: nn.Module, features: Tensor, method: Method) -> tuple[nn.Module, Observed]:
    """A copy of a model in which the weights that are used are the parameters of their layers, and how they are called."""
    copy = plain_copy(model)
    refuse_batch_statistics(copy)
    for name, module in copy.named_modules():
        if isinstance(module, WEIGHTED) and any(tensor.is_complex() for tensor in module.parameters()):
            raise ModelError(f"lrp: the weights of layer {name!r} are complex numbers, for which there are no rules.")
    observed = observe(model, copy, features, first=bool(method.first))
    for name, used in observed.used.items():
        use(copy.get_submodule(name), used)
    merged = {norm: layer for layer, norm in observed.merges}
    for name, module in list(copy.named_modules()):
        if name in merged:
            make_mergeable(copy.get_submodule(merged[name]), module)
        elif isinstance(module, _BatchNorm):
            make_affine(module, method.epsilon, method.absorb)
    return copy, observed


def _refuse_other_weights(model: nn.Module) -> None:
    """Let a layer raise `ModelError` if it runs with a weight that is not the one it has now."""

    def watch(name: str, weight: Tensor | None) -> Callable[..., None]:
        def check(module: nn.Module, *_: Any) -> None:
            if module._parameters.get("weight") is not weight:
                raise ModelError(
                    f"lrp: layer {name!r} ({type(module).__name__}) gets another weight each time it runs (a hook or "
                    "functional_call sets it), which no rule would see. Set it once, before the model is explained."
                )

        return check

    for name, module in model.named_modules():
        if isinstance(module, (*WEIGHTED, _BatchNorm)):
            module.register_forward_hook(watch(name, module._parameters.get("weight")))


def _composite(method: Method, observed: Observed) -> Any:
    layers = [
        *zennit.layer_map_base(),
        (nn.Mish, zennit.Pass()),
        (zennit.Convolution, _rule(method.convolution, method)),
        (nn.Linear, _rule(method.linear, method)),
    ]
    first = _rule(method.first, method) if method.first else None

    def rule_of(_: Any, name: str, module: nn.Module) -> Any:
        if first and name == observed.first:
            return first
        return next((rule for kinds, rule in layers if issubclass(kind_of(module), kinds)), None)

    merges = [((layer,), norm) for layer, norm in observed.merges]
    return zennit.Composite(rule_of, [zennit.NamedMergeBatchNorm(merges)])


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
