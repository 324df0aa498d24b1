"""Copies of a network to work on, whose weights are parameters like all others."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from types import BuiltinFunctionType, FunctionType, NoneType
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

CONSTANT = frozenset({NoneType, bool, int, float, complex, str, bytes, FunctionType, BuiltinFunctionType, type, torch.dtype})
"""Types of which a copy is the value itself."""

CONTAINERS = frozenset({dict, OrderedDict, set})
KNOWN = CONSTANT | CONTAINERS | {list, tuple}

COPYING = frozenset(
    [
        *("__deepcopy__", "__getnewargs__", "__getnewargs_ex__", "__getstate__", "__new__", "__reduce__", "__reduce_ex__"),
        *("__setstate__", "__slots__"),
    ]
)
"""By what a class says that it is copied in a way of its own."""


def plain_copy(network: nn.Module, *, fold: bool = True) -> nn.Module:
    """A copy of a network's modules on the same memory, in evaluation mode, whose weights nothing recomputes.

    Parametrisations (``torch.nn.utils.parametrizations`` and your own), weight and spectral normalisation by hooks, and the
    masks of ``torch.nn.utils.prune`` are folded into the weights that they give in evaluation mode; the weight and bias of
    a convolution or linear layer become parameters where they are buffers or mere attributes. The network is not touched.

    Parameters
    ----------
    network : nn.Module
    fold : bool
        If not, weights are recomputed as the network does it.

    Raises
    ------
    ModelError
        If a lazy module has no weights yet.
    """
    copy = _copied(network, _memo(network))
    for module in copy.modules():
        module.training = False  # some modules change their weights when they are told so by eval(): these are the network's
        if "_orig_mod" in module._modules:  # of torch.compile: compiling takes longer than all that is done with a copy
            vars(module)["forward"] = module._modules["_orig_mod"]
    if not fold:
        return copy
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
    own: dict[int, Any] = {}
    for name, module in network.named_modules():
        parameters = [tensor for tensor in module._parameters.values() if tensor is not None]
        buffers = [tensor for tensor in module._buffers.values() if tensor is not None]
        if any(is_lazy(tensor) for tensor in (*parameters, *buffers)):
            raise ModelError(
                f"The layer {name!r} ({type(module).__name__}) has no weights yet: run the model once on a recording, so that it "
                "learns its sizes."
            )
        attributes = [value for value in vars(module).values() if type(value) not in KNOWN and isinstance(value, Tensor)]
        memo |= {id(tensor): tensor.detach() for tensor in (*attributes, *buffers)}
        own |= {id(tensor): nn.Parameter(tensor.detach(), requires_grad=False) for tensor in parameters if id(tensor) not in own}
    return memo | own


def _copied(network: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """What `deepcopy` gives, in a fraction of the time: modules hold many dictionaries, most of them empty."""
    modules = list(network.modules())
    kinds = {kind for kind in set(map(type, modules)) if _is_simple(kind)}
    simple = [module for module in modules if type(module) in kinds]
    memo |= {id(module): object.__new__(type(module)) for module in simple}
    for module in simple:  # what is no constant comes after: it may hold a module that asks these copies whether they train
        vars(memo[id(module)]).update({name: value for name, value in vars(module).items() if type(value) in CONSTANT})
    for module in reversed(simple):  # what lies within first
        copy = vars(memo[id(module)])
        copy.update({name: _value(value, memo) for name, value in vars(module).items() if type(value) not in CONSTANT})
        copy.pop("_compiled_call_impl", None)
    result: nn.Module = deepcopy(network, memo)
    return result


def _is_simple(kind: type) -> bool:
    """Whether copies of modules of a class are copies of their attributes."""
    if issubclass(kind, nn.RNNBase | torch.jit.ScriptModule):
        return False
    own = {name for parent in kind.__mro__[:-1] for name in COPYING & vars(parent).keys() if not _is_of_torch(parent, name)}
    return not own


def _is_of_torch(kind: type, name: str) -> bool:
    """Whether a method is torch's own: without what was compiled, and with what modules of old files lack."""
    return name in ("__getstate__", "__setstate__") and kind.__module__.startswith("torch.nn.modules.")


def _value(value: Any, memo: dict[int, Any]) -> Any:
    """A copy of what is no constant."""
    if id(value) in memo:
        return memo[id(value)]
    if type(value) not in CONTAINERS or (type(value) is set and value):
        return deepcopy(value, memo)
    copy = memo[id(value)] = type(value)()
    for key, part in value.items() if value else ():
        copy[key if type(key) in CONSTANT else deepcopy(key, memo)] = part if type(part) in CONSTANT else _value(part, memo)
    return copy


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
