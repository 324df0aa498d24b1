"""What the layers of a model do in a forward pass: with which weights, and which batch normalisation reads which layer."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from xaudio.plugin import ModelError

from ._chain import describe
from ._normalisation import affine, per_channel
from ._products import CONVOLUTIONS, SAME, LayerCall, Product, Used, tensors_in

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED, nn.Linear)
"""What a rule can apply to."""


@dataclass
class Observed:
    """What a forward pass showed.

    Parameters
    ----------
    used : dict of str to Used
        Of layers whose forward computes the weights.
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


def may_be_filter(module: nn.Module) -> bool:
    """Whether a module of one's own may be a convolution, such as a bank of filters of a few parameters."""
    of_torch = type(module).__module__.startswith("torch.") or isinstance(module, (*WEIGHTED, _BatchNorm, torch.jit.ScriptModule))
    return not of_torch and not any(True for _ in module.children())


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
    own = {
        name
        for name, module in copy.named_modules()
        if (is_own(module) if isinstance(module, WEIGHTED) else may_be_filter(module))
    }
    if not own and not first and not any(isinstance(module, _BatchNorm) for module in copy.modules()):
        return Observed()
    key, description = (features.shape[1:], features.dtype, features.device), describe(model)
    seen = _SEEN.setdefault(model, {}).get(key)
    if seen and seen.description == description:
        return seen.observed
    observed = _Watch(copy, own).run(features)
    if not observed.used:
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
        self.products: dict[str, Product] = {}
        self.observed = Observed()
        self.layer: LayerCall | None = None
        self.normalising = 0

    def run(self, features: Tensor) -> Observed:
        handles = []
        for module in self.model.modules():
            if isinstance(module, WEIGHTED) or self.names[module] in self.own:
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
        self.observed.first = next((name for name in self.order if self._has_rule(name)), "")
        self.observed.merges = tuple(self._merges())
        self.observed.used = dict(self._computed())
        return self.observed

    def _has_rule(self, name: str) -> bool:
        return isinstance(self.model.get_submodule(name), WEIGHTED) or name in self.products

    def _computed(self) -> Iterator[tuple[str, Used]]:
        """Layers that use something else than their own parameters."""
        for name, product in self.products.items():
            module = self.model.get_submodule(name)
            kind = base_of(module) if isinstance(module, WEIGHTED) else CONVOLUTIONS[product.function]
            same = all(getattr(product, key) is module._parameters.get(key) for key in ("weight", "bias"))
            if not same or not isinstance(module, WEIGHTED):
                yield name, Used(product, kind)

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self._consumed(inputs)
        if self.layer is not None and isinstance(self.layer.module, WEIGHTED):
            reason = f"the layer {self.names[module]!r} runs inside it"
            raise ModelError(_refusal(self.names[self.layer.module], self.layer.module, reason))
        if self.names[module] in self.own:
            self.layer = LayerCall(module, inputs[0]) if inputs and isinstance(inputs[0], Tensor) else None

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        name = self.names[module]
        if name in self.own:
            layer, self.layer = self.layer, None
            product = layer.product_of(output) if layer and isinstance(output, Tensor) else None
            if isinstance(module, WEIGHTED):
                self.products[name] = _checked(name, module, layer, product)
            elif product and _is_filter(product) and name not in self.order:
                self.products[name] = product
            elif layer and layer.after and not layer.others and not isinstance(output, Tensor):
                raise ModelError(_refusal(name, module, "it gives more than the product of its input with a weight"))
            else:  # a module of any other kind
                self.products.pop(name, None)
                self._consumed(inputs)
                return
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
        elif not self.normalising and next(tensors_in(result), None) is not None:
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
        self.read_elsewhere |= {self.outputs[id(tensor)][0] for tensor in tensors_in(values) if id(tensor) in self.outputs}

    def _merges(self) -> Iterator[tuple[str, str]]:
        read = [source for sources in self.sources.values() for source in sources]
        for norm, sources in self.sources.items():
            layer = sources[0]
            once = bool(layer) and len(sources) == 1 and read.count(layer) == self.order.count(layer) == 1
            if once and layer not in self.read_elsewhere and self._channels_agree(layer, norm):
                yield layer, norm

    def _channels_agree(self, layer: str, norm: str) -> bool:
        """Whether the channels that are normalised are the rows of the layer's weight."""
        module, channels = self.model.get_submodule(layer), self.model.get_submodule(norm).num_features
        product = self.products.get(layer)
        if (isinstance(module, TRANSPOSED) and module.groups != 1) or (product and not product.cut) or not self._has_rule(layer):
            return False
        output = next(tensor for tensor in self.alive if self.outputs[id(tensor)][0] == layer)
        weight: Any = product.weight if product else module.weight
        rows = weight.shape[1 if isinstance(module, TRANSPOSED) else 0]
        return bool(rows == channels and output.ndim == weight.ndim)


def _is_filter(product: Product) -> bool:
    return product.function in CONVOLUTIONS and not product.weight.requires_grad


def _checked(name: str, module: nn.Module, layer: LayerCall | None, product: Product | None) -> Product:
    """The product that a layer is.

    Raises
    ------
    ModelError
        If its output is not one product of its input with a weight.
    """
    if product is None:
        others = ", ".join(dict.fromkeys(layer.others)) if layer else ""
        done = f" (its forward also computes {others})" if others else ""
        raise ModelError(_refusal(name, module, f"it is not one product of its input with a weight{done}"))
    if any(tensor is not None and tensor.requires_grad for tensor in (product.weight, product.bias)):
        raise ModelError(_refusal(name, module, "its weight depends on its input"))
    return product


def _refusal(name: str, module: nn.Module, reason: str) -> str:
    return (
        f"lrp: layer {name!r} ({type(module).__name__}) computes something else than its weight says: {reason}. Take it apart "
        "into modules of torch, or use an explainer that needs no rules, such as integrated_gradients."
    )


def _is_same(before: Tensor, after: Tensor) -> bool:
    """Whether a function gave its input back, as dropout does in evaluation mode, and did not write to it."""
    same = after.data_ptr() == before.data_ptr() and after.shape == before.shape and after.stride() == before.stride()
    return same and after._version == 0
