"""Which product a layer with a forward of its own is, and how the rules get its weight."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ._chain import is_whole

CONVOLUTIONS: dict[Any, type[nn.Module]] = {
    functional.conv1d: nn.Conv1d,
    functional.conv2d: nn.Conv2d,
    functional.conv3d: nn.Conv3d,
}
PRODUCTS = (
    *(*CONVOLUTIONS, functional.linear),
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


class Product(NamedTuple):
    """A product in a layer's forward.

    Parameters
    ----------
    function : callable
    place : int
        Which of the layer's products it is.
    weight, bias : Tensor
    cut : bool
        Whether nothing but cutting happens between the product and the layer's output.
    """

    function: Any
    place: int
    weight: Tensor
    bias: Tensor | None
    cut: bool


class Used(NamedTuple):
    """The product that a layer with a forward of its own is, and torch's class that has its rule."""

    product: Product
    kind: type[nn.Module]


class LayerCall:
    """One call of a layer with a forward of its own: products of its input, and what is copied from there to its output."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        self.module = module
        self.before: list[tuple[Tensor, int]] = [(inputs, inputs._version)]
        self.after: list[tuple[Tensor, int, Product]] = []
        self.products = 0
        self.others: list[str] = []

    def note(self, func: Any, name: str, args: Any, kwargs: Any, result: Any) -> None:
        if func in PRODUCTS:
            self._product(func, args, kwargs, result)
            return
        results = list(tensors_in(result))
        operands = [tensor for tensor in tensors_in((args, kwargs)) if tensor.requires_grad]
        if not results or not operands:
            return
        products = [self.product_of(tensor) for tensor in operands]
        copies = name in COPIES
        if copies and all(map(self._is_before, operands)):
            self.before += [(tensor, tensor._version) for tensor in results]
        elif copies and products[0] and all(other is products[0] for other in products):
            product = products[0]
            if name not in CUTS or (name == "__getitem__" and not is_whole(args[1])):
                product = product._replace(cut=False)
            self.after += [(tensor, tensor._version, product) for tensor in results]
        else:
            self.others.append(name.strip("_"))

    def _product(self, func: Any, args: Any, kwargs: Any, result: Tensor) -> None:
        place, self.products = self.products, self.products + 1
        inputs, weight, bias = _operands(args, kwargs)
        if self._is_before(inputs):
            self.after.append((result, result._version, Product(func, place, weight, bias, cut=True)))

    def _is_before(self, tensor: Tensor) -> bool:
        return any(tensor is other and tensor._version == version for other, version in self.before)

    def product_of(self, tensor: Tensor) -> Product | None:
        """The product that a tensor holds the values of."""
        return next((found for other, version, found in self.after if tensor is other and tensor._version == version), None)


def _operands(args: Any, kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight and bias of a product."""
    names = ("input", "weight", "bias")
    return tuple(args[place] if place < len(args) else kwargs.get(name) for place, name in enumerate(names))  # type: ignore[return-value]


def tensors_in(values: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dictionaries."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))


class _Substitution(TorchFunctionMode):
    """Gives one product of a forward the parameters of its module."""

    def __init__(self, parameters: Mapping[str, Tensor | None], place: int) -> None:
        super().__init__()
        self.parameters, self.place, self.products = parameters, place, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in PRODUCTS:
            place, self.products = self.products, self.products + 1
            if place == self.place:
                inputs = _operands(args, kwargs)[0]
                for name in ("input", "weight", "bias"):
                    kwargs.pop(name, None)
                return func(inputs, self.parameters["weight"], self.parameters["bias"], *args[3:], **kwargs)
        return func(*args, **kwargs)


def use(module: nn.Module, used: Used) -> None:
    """Make the weights that a layer of one's own computes its parameters, which its forward then uses, in place."""
    kind, computed_from = type(module), module._parameters
    forward: Callable[..., Tensor] = vars(module).pop("forward", None) or kind.forward.__get__(module)

    def substituted(self: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        folded, parameters = type(self), self._parameters
        try:  # its forward finds the layer as it was
            self.__class__, vars(self)["_parameters"] = kind, computed_from
            with _Substitution(parameters, used.product.place):
                return forward(*args, **kwargs)
        finally:
            self.__class__, vars(self)["_parameters"] = folded, parameters

    def setattr_but_weights(self: nn.Module, name: str, value: Any) -> None:
        """A hook may set what is folded: its forward finds it, the rules do not."""
        if name in ("weight", "bias"):
            (self._parameters if isinstance(value, nn.Parameter) else vars(self))[name] = value
        else:
            nn.Module.__setattr__(self, name, value)

    def getattr_as_it_was(self: nn.Module, name: str) -> Any:
        """What a hook may read."""
        return computed_from[name] if name in computed_from else nn.Module.__getattr__(self, name)

    held = {"weight": property(lambda self: self._parameters["weight"]), "bias": property(lambda self: self._parameters["bias"])}
    changed = {"forward": substituted, "__setattr__": setattr_but_weights, "__getattr__": getattr_as_it_was}
    module.__class__ = type(kind.__name__, (kind,), {**changed, **held, "rules_like": used.kind})
    vars(module)["_parameters"] = {
        name: None if value is None else nn.Parameter(value.detach(), requires_grad=False)
        for name, value in (("weight", used.product.weight), ("bias", used.product.bias))
    }


def kind_of(module: nn.Module) -> type[nn.Module]:
    """The class by which a module gets its rule."""
    kind: type[nn.Module] = getattr(module, "rules_like", type(module))
    return kind
