"""Copies of a network to work on, whose weights are parameters like all others."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ..errors import ModelError

WEIGHTED = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    nn.Linear,
)
"""Layers with a weight and a bias."""


def plain_copy(network: nn.Module) -> nn.Module:
    """A copy of a network's modules on the same memory, in evaluation mode, whose weights nothing recomputes.

    Parametrisations (``torch.nn.utils.parametrizations`` and your own), weight and spectral normalisation by hooks, and the
    masks of ``torch.nn.utils.prune`` are folded into the weights that they give in evaluation mode; the weight and bias of
    a convolution or linear layer become parameters where they are buffers or mere attributes. The network is not touched.

    Parameters
    ----------
    network : nn.Module

    Raises
    ------
    ModelError
        If a lazy module has no weights yet.
    """
    copy = deepcopy(network, _memo(network))
    for module in copy.modules():
        module.training = False  # some modules change their weights when they are told so by eval(): these are the network's
    with torch.no_grad():
        for module in list(copy.modules()):
            _fold_parametrisations(module)
            _fold_hooks(module)
            if isinstance(module, WEIGHTED):
                _register(module)
    return copy


def _memo(network: nn.Module) -> dict[int, Any]:
    """For `deepcopy`: the same memory instead of copies of tensors."""
    memo: dict[int, Any] = {}
    for name, module in network.named_modules():
        if any(is_lazy(tensor) for tensor in (*module._parameters.values(), *module._buffers.values())):
            raise ModelError(
                f"The layer {name!r} ({type(module).__name__}) has no weights yet: run the model once on a recording, so that it "
                "learns its sizes."
            )
        memo |= {id(value): value.detach() for value in vars(module).values() if isinstance(value, Tensor)}
    memo |= {id(buffer): buffer.detach() for buffer in network.buffers()}
    return memo | {id(parameter): nn.Parameter(parameter.detach(), requires_grad=False) for parameter in network.parameters()}


def _fold_parametrisations(module: nn.Module) -> None:
    if not parametrize.is_parametrized(module):
        return
    weights: Any = module.parametrizations
    values = {name: getattr(module, name).detach() for name in weights}
    module.__class__ = parametrize.type_before_parametrizations(module)  # the class is shared with the network itself
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


def _fold_hooks(module: nn.Module) -> None:
    hooks = {key: hook for key, hook in module._forward_pre_hooks.items() if _computes(hook)}
    for hook in hooks.values():
        hook(module, ())
    for key, hook in hooks.items():
        del module._forward_pre_hooks[key]
        value = vars(module).pop(_target(hook))
        module.register_parameter(_target(hook), nn.Parameter(value.detach(), requires_grad=False))


def _computes(hook: Any) -> bool:
    return isinstance(hook, WeightNorm | SpectralNorm | BasePruningMethod)


def _target(hook: Any) -> str:
    """Which tensor of its module a hook sets."""
    name: str = hook._tensor_name if isinstance(hook, BasePruningMethod) else hook.name
    return name


def _register(module: nn.Module) -> None:
    for name in ("weight", "bias"):
        value = module._buffers.get(name, None if module._forward_pre_hooks else vars(module).get(name))
        if value is not None and module._parameters.get(name) is None:
            module._buffers.pop(name, None)
            vars(module).pop(name, None)
            module.register_parameter(name, nn.Parameter(value.detach(), requires_grad=False))
