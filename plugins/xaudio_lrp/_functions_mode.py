"""Sees every function that a model calls, and gives those that need it another way back.

Relevance of a tensor is its value times a gradient g. Affine maps, sums, copies and maxima keep the gradient they have; every
other function gets a derivative that makes its output the sum of its inputs times it, but for constants. Then the whole
network is linear in its input and in what it adds, so that the answer is the sum of the relevance and of these constants.
The constants are multiplied by a scalar of 1, whose gradient is their share of the answer.
"""

import math
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xaudio.plugin import ModelError

from ._functions_kept import Again
from ._functions_watch import Place, Watch, Watched
from ._plan import Method
from ._products import tensors_in

Handler = Callable[["Rules", Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
HANDLERS: dict[str, Handler] = {}
"""What is done instead of a function, by its name in torch, where it depends on the features."""

AS_THEY_ARE: set[Handler] = set()
"""Those that leave functions their own derivative."""

WRITERS: set[Handler] = set()
"""Those that take ``inplace=True`` themselves, where the tensor that is written to depends on the features."""

OF_ANSWERS: set[Handler] = set()
"""Those that are asked about probabilities as well, which depend on nothing where they are held."""

QUESTIONS = frozenset(
    ["size", "dim", "ndimension", "numel", "nelement", "stride", "__len__", "is_contiguous", "is_floating_point", "is_complex"]
)
"""Functions that tell of a tensor and give none."""

NESTED = (list, tuple, dict)

Stencil = tuple[float, float, float]
STEP = 1e-4
STENCIL: Stencil = (-STEP, 0.0, STEP)
"""Where a function of single values is asked what it is and how it rises at 0."""

IN_PLACE = {f"__i{name}__": name for name in ("add", "sub", "mul", "pow", "matmul")} | {"__itruediv__": "div", "__idiv__": "div"}


def rule(*names: str, of_answers: bool = False, as_they_are: bool = False, writes: bool = False) -> Callable[[Handler], Handler]:
    """Let a handler stand for the functions of these names."""

    def register(handler: Handler) -> Handler:
        AS_THEY_ARE.update([handler] if as_they_are else [])
        WRITERS.update([handler] if writes else [])
        OF_ANSWERS.update([handler] if of_answers else [])
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


class Way(NamedTuple):
    """What a function gives, and the way back of a gradient: to its input, and to the scalar its constants are multiplied by."""

    values: Tensor
    back: Callable[[Tensor], Tensor]
    constant: Callable[[Tensor], Tensor] | None = None


class Passes:
    """Passes back through the same forward pass: whether this one is the last, behind which nothing is kept."""

    def __init__(self) -> None:
        self.last = True


def no_view(values: Tensor) -> Tensor:
    """What a function of one's own gives, so that it may be written to: torch gives some products and attention as views."""
    return values.data if values._is_view() else values


class _Held(torch.autograd.Function):
    """A function with a way back of its own."""

    @staticmethod
    def forward(
        context: Any, inputs: Tensor, one: Tensor, compute: Callable[[Tensor], Way], inplace: bool, passes: Passes
    ) -> Tensor:
        way = compute(inputs)
        context.back, context.constant, context.passes = way.back, way.constant, passes
        if not inplace:
            return no_view(way.values)
        context.mark_dirty(inputs)
        return inputs.copy_(way.values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        constant = context.constant(gradients[0]) if context.constant and context.needs_input_grad[1] else None
        back = context.back(gradients[0])
        if context.passes.last:
            context.back = context.constant = None
        return back, constant, None, None, None


class _Damped(torch.autograd.Function):
    """A tensor as it is, whose gradient is multiplied by a number."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, share: float) -> Tensor:
        context.share = share
        return inputs.view_as(inputs)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        return gradients[0] * context.share, None


def damped(tensor: Tensor, share: float) -> Tensor:
    """A tensor that gets only a share of its gradient."""
    result: Tensor = _Damped.apply(tensor, share)  # type: ignore[no-untyped-call]
    return result


def per_channel(gradient: Tensor) -> Tensor:
    """The sum of a gradient (batch, channels, ...) for each channel."""
    return gradient.sum((0, *range(2, gradient.ndim)))


class Track(NamedTuple):
    """That a tensor is a function of the single values of another one.

    Parameters
    ----------
    base : weak reference to the other tensor
    versions : tuple of int
        How often the other and the tensor itself had been written to.
    stencil : tuple of float
        The function around 0.
    """

    base: Any
    versions: tuple[int, int]
    stencil: Stencil


class Rules(TorchFunctionMode):
    """Exchanges the derivatives of functions while a model runs.

    Parameters
    ----------
    method : Method
        Rules of layers, and what is done with attention and products.
    leaves : tuple of Tensor
        The features, and the scalar of 1 that constants are multiplied by.
    model : nn.Module
        The copy that runs.
    """

    def __init__(self, method: Method, leaves: tuple[Tensor, Tensor], model: nn.Module) -> None:
        super().__init__()
        self.method, self.model = method, model
        self.leaves: tuple[Tensor, ...] = leaves
        self.one = leaves[1]
        self.first = bool(method.first)
        self.squashed: tuple[Tensor, Tensor] | None = None
        self.direct: Tensor | None = None
        self.watched: Watch | None = None
        self.copies = False
        self.passes = Passes()
        self.added: list[Tensor] | None = []
        """Parameters that were added somewhere, as leaves; None if constants are multiplied by the scalar."""
        self.absorbed: list[Tensor] = []
        """What biases of convolutions have, on the way back."""

    @cached_property
    def names(self) -> Mapping[nn.Module, str]:
        """Names of the modules, for messages and books."""
        return {module: name for name, module in self.model.named_modules()}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in QUESTIONS:
            return func(*args, **(kwargs or {}))
        if name == "__get__" and not isinstance(told := func(*args), Tensor):  # an attribute, such as the shape
            return told
        kwargs = kwargs or {}
        depends = self._depends((*args, *kwargs.values()) if kwargs else args)
        if depends is None:
            args, kwargs = self._without_foreign(args), self._without_foreign(kwargs)
            depends = self._depends((*args, *kwargs.values()))
        handler, base = HANDLERS.get(name), name
        if handler is None:
            base = _base_of(name)
            handler = HANDLERS.get(base)
        asked = depends or (handler in OF_ANSWERS and self.is_squashed(args))
        if handler is None or not asked or not torch.is_grad_enabled():
            result = func(*args, **kwargs)
            if name == "softmax" and not torch.is_grad_enabled():  # in a function with a derivative of its own
                result._xaudio_weighs = True
            return result
        if base is name and "inplace" not in kwargs:
            return handler(self, func, args, kwargs)
        others = {key: value for key, value in kwargs.items() if key != "inplace"}
        if kwargs.get("inplace") or base is not name:
            return self._in_place(handler, func, base, args, others)
        return handler(self, func, args, others)

    def _depends(self, values: Iterable[Any]) -> bool | None:
        """Whether one of nested values depends on the features; None if others want a gradient of one."""
        depends = False
        for value in values:
            if isinstance(value, Tensor):
                if not value.requires_grad:
                    continue
                if value.is_leaf and not any(value is leaf for leaf in self.leaves):
                    return None
                depends = True
            elif isinstance(value, NESTED):
                within = self._depends(value.values() if isinstance(value, dict) else value)
                if within is None:
                    return None
                depends = depends or within
        return depends

    def _in_place(self, handler: Handler, func: Any, base: str, args: Any, others: dict[str, Any]) -> Any:
        """Do what a handler does, and write it where the model wants it."""
        target, *rest = args
        kept = getattr(target.grad_fn, "kept", None)
        if kept is not None:
            kept.before_writing()
        if handler in AS_THEY_ARE:
            return func(*args, **others, **({"inplace": True} if func.__name__ == base else {}))
        if handler in WRITERS and target.requires_grad and not target._is_view():
            return handler(self, _functional(base), args, others | {"inplace": True})
        return target.copy_(handler(self, _functional(base), (target.clone(), *rest), others))

    def _without_foreign(self, values: Any) -> Any:
        """Nested values in which tensors that others want gradients of are constants."""
        if isinstance(values, Tensor):
            foreign = values.requires_grad and values.is_leaf and not any(values is leaf for leaf in self.leaves)
            return values.detach() if foreign else values
        if isinstance(values, dict):
            return {key: self._without_foreign(value) for key, value in values.items()}
        if type(values) in (list, tuple):
            return type(values)(self._without_foreign(value) for value in values)
        return values

    def held(self, inputs: Tensor, compute: Callable[[Tensor], Way], *, inplace: bool = False) -> Tensor:
        """What a function gives, with a way back of its own."""
        result: Tensor = _Held.apply(inputs, self.one, compute, inplace, self.passes)  # type: ignore[no-untyped-call]
        return result

    def begun(self, state: Tensor) -> Tensor:
        """A state to begin with, as something that is a constant, but not a weight."""
        return state if state.requires_grad else state * self.one

    def scaled(self, value: Any) -> Any:
        """A constant (tensor or number) that is added somewhere, times the scalar of 1; anything else as it is."""
        if type(value) is nn.Parameter and self.added is not None and not value.requires_grad and value.is_floating_point():
            self.added.append(value.detach().requires_grad_())
            return self.added[-1]
        if isinstance(value, Tensor):
            constant = not value.requires_grad and (value.is_floating_point() or value.is_complex())
            return value * self.one if constant and is_finite(value) else value
        if isinstance(value, int | float) and value and math.isfinite(value):
            return value * self.one
        return value

    def shifted(self, result: Tensor, bias: Tensor) -> Tensor:
        """Outputs of a convolution with a bias, for whose gradient torch would compute that of the weight."""
        absorbed = self.absorbed
        result.register_hook(lambda gradient: absorbed.append(per_channel(gradient) @ bias))  # type: ignore[no-untyped-call]
        return result

    def tracked(self, tensor: Any) -> Track | None:
        """Of which other tensor this one is a function, None if it is a constant."""
        if not isinstance(tensor, Tensor) or not tensor.requires_grad:
            return None
        track: Track | None = getattr(tensor, "_xaudio_track", None)
        if track is not None:
            base = track.base()
            if track.versions[1] == tensor._version and (base is None or base._version == track.versions[0]):
                return track
        return Track(weakref.ref(tensor), (tensor._version, tensor._version), STENCIL)

    def track(self, result: Tensor, origin: Track, stencil: Stencil) -> Tensor:
        """Note that a result is a function of the single values that a track begins at."""
        result._xaudio_track = Track(origin.base, (origin.versions[0], result._version), stencil)  # type: ignore[attr-defined]
        return result

    def is_signal(self, value: Any) -> bool:
        """Whether something depends on the features and no more is noted of it: that it weighs others, or a track."""
        depends = isinstance(value, Tensor) and value.requires_grad
        return depends and not hasattr(value, "_xaudio_weighs") and not hasattr(value, "_xaudio_track")

    def is_gate(self, tensor: Tensor) -> bool:
        """Whether a tensor weighs another rather than being a signal: a function of single values that is not 0 at 0."""
        if hasattr(tensor, "_xaudio_weighs"):
            return self.method.attention == "value"
        track = self.tracked(tensor) if hasattr(tensor, "_xaudio_track") else None
        return track is not None and track.stencil is not STENCIL and track.stencil[1] != 0

    def as_gate(self, result: Tensor) -> Tensor:
        """Note that a result weighs others."""
        own = self.tracked(result)
        assert own is not None  # noqa: S101
        return self.track(result, own, (1.0, 1.0, 1.0))

    def from_layer(self, result: Tensor, layer: Any) -> Tensor:
        """Note which layer gave a result: a batch normalisation behind it is merged into it."""
        result._xaudio_layer = (layer, result._version)  # type: ignore[attr-defined]
        return result

    def layer_of(self, tensor: Tensor) -> Any:
        """The layer that gave a tensor, None if none did or it has no rule of its own."""
        layer, version = getattr(tensor, "_xaudio_layer", (None, -1))
        return layer if tensor._version == version else None

    def computed_again(self, result: Tensor, again: Again) -> Tensor:
        """Note that the values of a result need not be kept."""
        result._xaudio_again = (again, result._version)  # type: ignore[attr-defined]
        return result

    def watch(self, output: Tensor) -> Tensor:
        """Let the relevance at the output of a layer be looked at and changed."""
        assert self.watched is not None  # noqa: S101
        place = Place(self.watched)
        result: Tensor = Watched.apply(output, place)  # type: ignore[no-untyped-call]
        result._xaudio_place = place  # type: ignore[attr-defined]
        return self.from_layer(result, self.layer_of(output))

    def moved(self, before: Tensor, after: Tensor) -> Tensor:
        """What follows a layer and is one with it: its relevance is that of the layer."""
        place = getattr(before, "_xaudio_place", None)
        if place is None:
            return after
        place.over = True
        return self.watch(after)

    def is_squashed(self, args: Any) -> bool:
        """Whether a function reads the last probabilities."""
        return bool(self.squashed and args and args[0] is self.squashed[0])

    def squash(self, result: Tensor, before: Tensor) -> Tensor:
        """Note what made a probability, should it be the answer: it is explained by what it was made of."""
        self.squashed = (result, before)
        return result

    def before_squashing(self, answer: Any) -> Any:
        """The answer, or what it was made of if it is a probability."""
        return self.squashed[1] if self.squashed and answer is self.squashed[0] else answer

    def where(self) -> str:
        """Which module of the model is at work."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and module in self.names:
                name = self.names[module]
                return f"{name} ({type(module).__name__})" if name else f"the forward of {type(module).__name__}"
            frame = frame.f_back
        return "the model"

    def refuse(self, name: str, reason: str) -> None:
        """Say that a function has no rule.

        Raises
        ------
        ModelError
            Unless the option strict is off.
        """
        if self.method.strict:
            raise ModelError(f"lrp: {name!r} in {self.where()} {reason}; strict=false takes its plain gradient.")


def _base_of(name: str) -> str:
    """The name of a function without what says that it works in place."""
    if name in IN_PLACE:
        return IN_PLACE[name]
    return name[:-1] if name.endswith("_") and not name.endswith("__") and name[:-1] in HANDLERS else name


def _functional(base: str) -> Callable[..., Any]:
    """The function that does the same in a tensor of its own."""
    for place in (torch, functional, Tensor):
        if hasattr(place, base):
            function: Callable[..., Any] = getattr(place, base)
            return function
    raise AttributeError(base)


def is_finite(values: Tensor) -> bool:
    """Whether all are numbers; their sum mostly tells, in one step."""
    simple = values.is_floating_point() and math.isfinite(float(values.detach().sum()))
    return simple or bool(values.isfinite().all())


def dependent(values: Any) -> Iterator[Tensor]:
    """The tensors in nested values that depend on the features."""
    return (tensor for tensor in tensors_in(values) if tensor.requires_grad)
