"""What the layers of a model do in a forward pass: with which weights, and which batch normalisation reads which layer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from xaudio import ModelError

from ._chain import describe, is_whole
from ._normalisation import affine, per_channel

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
"""What a rule can apply to."""

PRODUCTS = (
    *(functional.conv1d, functional.conv2d, functional.conv3d, functional.linear),
    *(functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
)
SAME = {"contiguous", "clone", "detach"}
CUTS = SAME | {"__getitem__", "narrow"}
COPIES = CUTS | {
    *("pad", "_pad", "cat", "concat", "stack", "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose"),
    *("permute", "swapaxes", "movedim", "moveaxis", "t", "expand", "expand_as", "view_as", "reshape_as", "to", "float", "double"),
    *("type_as", "chunk", "split", "index_select", "flip", "roll"),
}
"""Functions that give the same values in other places: nothing else may be between a layer's input, product and output."""


class Used(NamedTuple):
    """The product of a layer with a forward of its own: which of its products it is, and with what."""

    place: int
    weight: Tensor
    bias: Tensor | None
    own: bool
    cut: bool


@dataclass
class Observed:
    """What a forward pass showed.

    Parameters
    ----------
    used : dict of str to Used
        Of layers with a forward or hooks of their own.
    merges : tuple of (str, str)
        Layers, and the batch normalisations that alone read what these give.
    first : str
        The first layer with weights that ran.
    """

    used: dict[str, Used] = field(default_factory=dict)
    merges: tuple[tuple[str, str], ...] = ()
    first: str = ""


def base_of(module: nn.Module) -> type[nn.Module]:
    """Torch's own class of a layer with weights."""
    return next(kind for kind in type(module).__mro__ if kind in WEIGHTED)


def is_own(module: nn.Module) -> bool:
    """Whether a layer with weights may compute something else than its class in torch does with its parameters."""
    kind, base = type(module), base_of(module)
    if module._forward_hooks or module._forward_pre_hooks or hasattr(kind, "weight") or hasattr(kind, "bias"):
        return True
    names = [name for name in ("forward", "_conv_forward") if hasattr(base, name)]
    return any(name in vars(module) or getattr(kind, name) is not getattr(base, name) for name in names)


def _is_own_norm(module: nn.Module) -> bool:
    plain = type(module).forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward) and "forward" not in vars(module)
    return bool(not plain or module._forward_hooks or module._forward_pre_hooks)


class _Seen(NamedTuple):
    description: tuple[Any, ...]
    observed: Observed


_SEEN: WeakKeyDictionary[nn.Module, dict[Any, _Seen]] = WeakKeyDictionary()


def observe(model: nn.Module, copy: nn.Module, features: Tensor, *, first: bool) -> Observed:
    """What the layers of a plain copy of a model do with the first recording.

    It takes a forward pass of one recording, once for each model and shape, unless there are weights that only a forward
    pass computes; and none for models that have neither batch normalisation nor layers of one's own.

    Raises
    ------
    ModelError
        If a layer computes what no rule can share out.
    """
    own = {name for name, module in copy.named_modules() if isinstance(module, WEIGHTED) and is_own(module)}
    if not own and not first and not any(isinstance(module, _BatchNorm) for module in copy.modules()):
        return Observed()
    key, description = (features.shape[1:], features.dtype, features.device), describe(model)
    seen = _SEEN.setdefault(model, {}).get(key)
    if seen and seen.description == description:
        return seen.observed
    watch = _Watch(copy, own)
    observed = watch.run(features)
    if all(used.own for used in observed.used.values()):
        _SEEN[model] = {key: _Seen(description, observed)}
    return observed


class _Watch(TorchFunctionMode):
    """Watches one forward pass."""

    def __init__(self, model: nn.Module, own: set[str]) -> None:
        super().__init__()
        self.model, self.own = model, own
        self.names = {module: name for name, module in model.named_modules()}
        self.own_norms = {module for module in self.names if isinstance(module, _BatchNorm) and _is_own_norm(module)}
        self.order: list[str] = []
        self.outputs: dict[int, tuple[str, int]] = {}
        self.alive: list[Tensor] = []
        self.read_elsewhere: set[str] = set()
        self.sources: dict[str, list[str]] = {}
        self.observed = Observed()
        self.layer: _Layer | None = None
        self.normalising = 0

    def run(self, features: Tensor) -> Observed:
        handles = []
        for module in self.model.modules():
            if isinstance(module, WEIGHTED):
                handles.append(module.register_forward_pre_hook(self._enter, prepend=True))
                handles.append(module.register_forward_hook(self._leave))
            elif isinstance(module, _BatchNorm):
                handles.append(module.register_forward_pre_hook(self._enter_norm))
                handles.append(module.register_forward_hook(self._leave_norm))
        try:
            with torch.set_grad_enabled(bool(self.own)):
                entered = features[:1].detach().clone()
                entered = entered.requires_grad_().clone() if self.own else entered
                with self:
                    logits = self.model(entered)
        finally:
            for handle in handles:
                handle.remove()
        self._consumed(logits)
        self.observed.first = self.order[0] if self.order else ""
        self.observed.merges = tuple(self._merges())
        return self.observed

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self._consumed(inputs)
        if self.layer is not None:
            reason = f"the layer {self.names[module]!r} runs inside it"
            raise ModelError(_refusal(self.names[self.layer.module], self.layer.module, reason))
        if self.names[module] in self.own:
            self.layer = _Layer(module, inputs[0]) if inputs and isinstance(inputs[0], Tensor) else None

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        name = self.names[module]
        if name in self.own:
            layer, self.layer = self.layer, None
            self.observed.used[name] = _used(name, module, layer, output)
        self.order.append(name)
        if isinstance(output, Tensor):
            self._gave(name, output)

    def _enter_norm(self, module: nn.Module, inputs: Any) -> None:
        self.sources.setdefault(self.names[module], []).append(self._source(inputs[0]))
        self.normalising += 1

    def _leave_norm(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.normalising -= 1
        if module in self.own_norms:
            with torch.no_grad(), torch._C.DisableTorchFunction():
                factor, shift = (per_channel(values, inputs[0]) for values in affine(module))
                same = output.shape == inputs[0].shape and torch.allclose(output, inputs[0] * factor + shift, 1e-4, 1e-6)
            if not same:
                raise ModelError(_refusal(self.names[module], module, "its output is not what a batch normalisation gives"))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if self.layer is not None:
            self.layer.note(func, name, args, kwargs, result)
        elif not self.normalising and _holds_tensor(result):
            source = self._source(args[0]) if args and isinstance(args[0], Tensor) else ""
            if source and isinstance(result, Tensor) and (name in SAME or _is_same(args[0], result)):
                self._gave(source, result)
            else:
                self._consumed((args, kwargs))
        return result

    def _gave(self, name: str, output: Tensor) -> None:
        """Note that a tensor holds what a layer gave, as long as nothing writes to it."""
        self.outputs[id(output)] = (name, output._version)
        self.alive.append(output)

    def _source(self, tensor: Tensor) -> str:
        """The layer that gave this tensor, "" if none did or it has been written to since."""
        name, version = self.outputs.get(id(tensor), ("", 0))
        return name if tensor._version == version else ""

    def _consumed(self, values: Any) -> None:
        """Note that something else than a batch normalisation reads these."""
        if isinstance(values, Tensor):
            self.read_elsewhere.add(self.outputs.get(id(values), ("",))[0])
        elif isinstance(values, list | tuple):
            for value in values:
                self._consumed(value)
        elif isinstance(values, dict):
            self._consumed(list(values.values()))

    def _merges(self) -> Any:
        read = [source for sources in self.sources.values() for source in sources]
        for norm, sources in self.sources.items():
            layer = sources[0]
            once = len(sources) == 1 and read.count(layer) == self.order.count(layer) == 1
            if once and layer not in self.read_elsewhere and self._channels_agree(layer, norm):
                yield layer, norm

    def _channels_agree(self, layer: str, norm: str) -> bool:
        """Whether the channels that are normalised are the rows of the layer's weight."""
        module, channels = self.model.get_submodule(layer), self.model.get_submodule(norm).num_features
        used = self.observed.used.get(layer)
        if (isinstance(module, TRANSPOSED) and module.groups != 1) or (used and not used.cut):
            return False
        output = next(tensor for tensor in self.alive if self.outputs[id(tensor)][0] == layer)
        weight: Any = used.weight if used else module.weight
        rows = weight.shape[1 if isinstance(module, TRANSPOSED) else 0]
        return bool(rows == channels and output.ndim == weight.ndim)


class _Layer:
    """One call of a layer of one's own: products of its input, and what is copied from there to its output."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        self.module = module
        self.before: list[tuple[Tensor, int]] = [(inputs, inputs._version)]
        self.after: list[tuple[Tensor, int, _Product]] = []
        self.products = 0
        self.others: list[str] = []

    def note(self, func: Any, name: str, args: Any, kwargs: Any, result: Any) -> None:
        if func in PRODUCTS:
            self._product(func, args, kwargs, result)
            return
        results = list(_tensors(result))
        operands = [tensor for tensor in _tensors((args, kwargs)) if tensor.requires_grad]
        if not results or not operands:
            return
        products = [self._after(tensor) for tensor in operands]
        copies = name in COPIES and (name != "__getitem__" or is_whole(args[1]))
        if copies and all(map(self._is_before, operands)):
            self.before += [(tensor, tensor._version) for tensor in results]
        elif copies and products[0] and all(other is products[0] for other in products):
            product = products[0] if name in CUTS else products[0]._replace(cut=False)
            self.after += [(tensor, tensor._version, product) for tensor in results]
        else:
            self.others.append(name.strip("_"))

    def _product(self, func: Any, args: Any, kwargs: Any, result: Tensor) -> None:
        place, self.products = self.products, self.products + 1
        inputs, weight, bias = _operands(args, kwargs)
        if self._is_before(inputs):
            self.after.append((result, result._version, _Product(place, weight, bias, True)))

    def _is_before(self, tensor: Tensor) -> bool:
        return any(tensor is other and tensor._version == version for other, version in self.before)

    def _after(self, tensor: Tensor) -> Any:
        return next((found for other, version, found in self.after if tensor is other and tensor._version == version), None)


class _Product(NamedTuple):
    place: int
    weight: Tensor
    bias: Tensor | None
    cut: bool


def _used(name: str, module: nn.Module, layer: _Layer | None, output: Any) -> Used:
    """What a layer of one's own is for a rule.

    Raises
    ------
    ModelError
        If its output is not one product of its input with a weight.
    """
    product = layer._after(output) if layer and isinstance(output, Tensor) else None
    if product is None:
        done = f" (its forward also computes {', '.join(dict.fromkeys(layer.others))})" if layer and layer.others else ""
        raise ModelError(_refusal(name, module, f"it is not one product of its input with a weight{done}"))
    if any(tensor is not None and tensor.requires_grad for tensor in (product.weight, product.bias)):
        raise ModelError(_refusal(name, module, "its weight depends on its input"))
    own = product.weight is module._parameters.get("weight") and product.bias is module._parameters.get("bias")
    return Used(product.place, product.weight, product.bias, own, product.cut)


def _refusal(name: str, module: nn.Module, reason: str) -> str:
    return (
        f"lrp: layer {name!r} ({type(module).__name__}) computes something else than its weight says: {reason}. Take it apart "
        "into modules of torch, or use an explainer that needs no rules, such as integrated_gradients."
    )


def _operands(args: Any, kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight and bias of a product."""
    names = ("input", "weight", "bias")
    return tuple(args[place] if place < len(args) else kwargs.get(name) for place, name in enumerate(names))  # type: ignore[return-value]


def _tensors(values: Any) -> Any:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


def _is_same(before: Tensor, after: Tensor) -> bool:
    """Whether a function gave its input back, as dropout does in evaluation mode, and did not write to it."""
    same = after.data_ptr() == before.data_ptr() and after.shape == before.shape and after.stride() == before.stride()
    return same and after._version == 0


def _holds_tensor(values: Any) -> bool:
    return any(True for _ in _tensors(values))


class _Substitution(TorchFunctionMode):
    """Gives one product of a forward the parameters of its module."""

    def __init__(self, module: nn.Module, place: int) -> None:
        super().__init__()
        self.module, self.place, self.products = module, place, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in PRODUCTS:
            place, self.products = self.products, self.products + 1
            if place == self.place:
                inputs = _operands(args, kwargs)[0]
                for name in ("input", "weight", "bias"):
                    kwargs.pop(name, None)
                return func(inputs, self.module._parameters["weight"], self.module._parameters["bias"], *args[3:], **kwargs)
        return func(*args, **kwargs)


def use(module: nn.Module, used: Used) -> None:
    """Make the weights that a layer of one's own computes its parameters, which its forward then uses, in place."""
    kind = type(module)
    forward: Callable[..., Tensor] = vars(module).pop("forward", None) or kind.forward.__get__(module)

    def substituted(self: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        with _Substitution(self, used.place):
            return forward(*args, **kwargs)

    def setattr_but_weights(self: nn.Module, name: str, value: Any) -> None:
        if name not in ("weight", "bias") or isinstance(value, nn.Parameter):  # a hook may set what is folded
            nn.Module.__setattr__(self, name, value)

    held = {"weight": property(lambda self: self._parameters["weight"]), "bias": property(lambda self: self._parameters["bias"])}
    module.__class__ = type(kind.__name__, (kind,), {"forward": substituted, "__setattr__": setattr_but_weights, **held})
    for name, value in (("weight", used.weight), ("bias", used.bias)):
        module._parameters[name] = None if value is None else nn.Parameter(value.detach(), requires_grad=False)
