"""The layers of a model in the order in which they run, if they run one after the other."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xaudio.plugin import ModelError, plain_copy

from ._normalisation import refuse_batch_statistics

RECORDINGS = 2
"""A model is run on this many; with one alone, a shape that loses the batch could not be told from one that keeps it."""

# Between layers a model may ask for sizes and give the same values, in the same order, another shape.
SIZES = {"size", "dim", "ndimension", "numel", "nelement", "__len__", "is_contiguous", "is_floating_point", "__get__"}
RESHAPES = {"reshape", "view", "flatten", "unflatten", "unsqueeze", "squeeze", "contiguous", "detach", "clone"}


class UnknownChainError(ModelError):
    """The fast engine does not know how to explain a model; says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"lrp: engine=fast does not know this model: {reason}; engine=functions follows any computation.")


class Leaf(NamedTuple):
    """One layer as it ran; shapes are those of one recording."""

    name: str
    module: nn.Module
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Chain(NamedTuple):
    """Layers in order, those of a plain copy of a model, and what it answered to the recordings it was run on."""

    model: nn.Module
    leaves: tuple[Leaf, ...]
    features: Tensor
    logits: Tensor


class _Recorder(TorchFunctionMode):
    """Follows the features through a model: from layer to layer, and through what happens between them."""

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        super().__init__()
        self.names = names
        self.leaves: list[Leaf] = []
        self.inside: nn.Module | None = None
        self.current: list[tuple[Tensor, int]] = []

    def follow(self, tensor: Tensor, *, anew: bool = False) -> None:
        """A tensor with the values that the next layer reads, and how often it has been written to."""
        self.current = [*([] if anew else self.current), (tensor, tensor._version)]

    def follows(self, value: Any) -> bool:
        return any(value is tensor and value._version == version for tensor, version in self.current)

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        name = self.names[module]
        if any(leaf.module is module for leaf in self.leaves):
            raise UnknownChainError(f"layer {name!r} is used twice")
        if len(inputs) != 1 or not self.follows(inputs[0]) or len(inputs[0]) != RECORDINGS:
            raise UnknownChainError(f"layer {name!r} reads something else than the output of the layer before it")
        self.inside = module

    def leave(self, module: nn.Module, inputs: tuple[Tensor], output: Any) -> None:
        self.inside = None
        name = self.names[module]
        if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != RECORDINGS:
            raise UnknownChainError(f"layer {name!r}, a {type(module).__name__}, does not answer with one tensor per recording")
        self.leaves.append(Leaf(name, module, tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))
        self.follow(output, anew=True)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.inside is None:
            name = getattr(func, "__name__", str(func))
            if not isinstance(result, Tensor) and name in SIZES:
                return result
            known = name in RESHAPES or (name == "__getitem__" and is_whole(args[1]))
            if not (known and isinstance(result, Tensor) and self.follows(args[0]) and result.numel() == args[0].numel()):
                after = f"after layer {self.leaves[-1].name!r}" if self.leaves else "before its first layer"
                raise UnknownChainError(f"its forward computes {name!r} {after}, outside of any layer")
            self.follow(result)
        return result


def is_whole(index: Any) -> bool:
    """Whether an index that loses no value keeps their order: one made of tensors or lists may permute them."""
    return all(
        part is None or isinstance(part, int | slice | type(...)) for part in (index if isinstance(index, tuple) else (index,))
    )


def record_chain(model: nn.Module, features: Tensor) -> Chain:
    """Run a copy of the model's modules once on the first and last recording, and write down the layers.

    Parameters
    ----------
    model : nn.Module
        Explained in evaluation mode. It is not touched.
    features : Tensor, shape (batch, channels, *axes)

    Raises
    ------
    UnknownChainError
        If the layers do not run one after the other, each once, with nothing but changes of shape between them.
    """
    copy = plain_copy(model)
    for name, module in copy.named_modules():
        called = f"module {name!r}" if name else "the model itself"
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
            raise UnknownChainError(f"{called} has hooks")
        if "forward" in vars(module):
            raise UnknownChainError(f"{called} has a forward of its own")
    refuse_batch_statistics(copy)
    recorder = _Recorder({module: name for name, module in copy.named_modules()})
    handles = []
    for module in copy.modules():
        if not any(True for _ in module.children()):
            handles += [module.register_forward_pre_hook(recorder.enter), module.register_forward_hook(recorder.leave)]
    features = features.detach()[[0, -1]]
    recorder.follow(features)
    with torch.no_grad(), recorder:
        logits = copy(features)
    for handle in handles:  # the plan goes on to use some of these layers
        handle.remove()
    if not recorder.follows(logits) or logits.ndim != 2 or not recorder.leaves:
        raise UnknownChainError("its answer is not the output of its last layer, one row of logits per recording")
    _check_order(copy, recorder.leaves)
    return Chain(model, tuple(recorder.leaves), features, logits)


def _check_order(model: nn.Module, leaves: list[Leaf]) -> None:
    """Composites and the merging of batch normalisation go by the order in which layers are registered."""
    ran = [leaf.module for leaf in leaves]
    normalised = any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in ran)
    registered = [
        module
        for module in model.modules()
        if module in ran
        or next(module.parameters(recurse=False), None) is not None
        or (normalised and not any(True for _ in module.children()))  # it may stand between a layer and its normalisation
    ]
    for module in registered:
        if module not in ran:
            name = next(name for name, other in model.named_modules() if other is module)
            raise UnknownChainError(f"layer {name!r} is registered but does not run as one of its layers")
    if registered != ran:
        raise UnknownChainError("its layers do not run in the order in which they are registered")


def describe(model: nn.Module) -> tuple[Any, ...]:
    """What a plan depends on besides weights and shapes: modules, their types, settings and hooks."""
    return tuple((name, type(module), _hooks(module), _settings(module)) for name, module in model.named_modules())


def _hooks(module: nn.Module) -> tuple[int, ...]:
    """What tells hooks and a forward of the object from others: no two hooks have one key."""
    return (*module._forward_hooks, *module._forward_pre_hooks, id(vars(module).get("forward")))


def _settings(module: nn.Module) -> tuple[tuple[str, Any], ...]:
    plain = (bool, int, float, str, type(None))
    return tuple(
        (key, value)
        for key, value in vars(module).items()
        if isinstance(value, plain) or (isinstance(value, tuple) and all(isinstance(part, plain) for part in value))
    )
