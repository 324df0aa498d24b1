"""Functions of single values: each passes its relevance on, so that its slope is the value over the input."""

import contextlib
import math
from collections.abc import Callable
from functools import lru_cache, partial
from operator import mul
from typing import Any

import torch
from torch import Tensor

from ._functions_kept import Again, Kept
from ._functions_mode import STENCIL, STEP, Rules, Stencil, Track, Way, rule


def _around_zero(func: Any, args: Any, kwargs: Any, stencil: Stencil = STENCIL) -> Stencil:
    """A function around 0; where it cannot be asked, it counts as one that is 0 there."""
    if not args and not kwargs:
        return _kept_around_zero(func, (), (), stencil)
    if not any(isinstance(value, Tensor) for value in (*args, *kwargs.values())):
        with contextlib.suppress(TypeError):  # of lists, which have no hash
            return _kept_around_zero(func, tuple(args), tuple(kwargs.items()), stencil)
    return _asked_around_zero(func, args, kwargs, stencil)


@lru_cache(maxsize=1024)
def _kept_around_zero(func: Any, args: Any, kwargs: Any, stencil: Stencil) -> Stencil:
    return _asked_around_zero(func, args, dict(kwargs), stencil)


def _asked_around_zero(func: Any, args: Any, kwargs: Any, stencil: Stencil) -> Stencil:
    with contextlib.suppress(RuntimeError, TypeError, ValueError):
        result: Tensor = func(torch.tensor(stencil, dtype=torch.float64, device="cpu"), *args, **kwargs).detach().double().cpu()
        if result.shape == (len(stencil),):
            return tuple(result.tolist())
    return (0.0, 0.0, 0.0)


def cells(combine: Callable[..., float], *stencils: Stencil) -> Stencil:
    """What a function of numbers makes of functions around 0."""
    below, zero, above = map(combine, *stencils)
    return below, zero, above


@lru_cache(maxsize=1024)
def _at_zero(stencil: Stencil) -> tuple[float, float]:
    """The value and the slope of a function of single values at 0."""
    below, zero, above = stencil
    slope = (above - below) / (2 * STEP)
    finite = abs(zero) < float("inf")
    return zero if finite else 0.0, slope if finite and abs(slope) < float("inf") else 0.0


def slope_of(values: Tensor, inputs: Tensor, zero: float, slope_there: float) -> Tensor:
    """What inputs are multiplied by to give the values, less the value at 0."""
    if zero:
        near = inputs.abs() <= torch.finfo(inputs.dtype).eps ** 0.5
        return (values - zero).div_(inputs).masked_fill_(near, slope_there)
    slope = values / inputs
    if slope.is_cuda or math.isnan(
        float(slope.sum())
    ):  # a mask takes several times as long as all the rest, and is seldom needed
        slope.masked_fill_(inputs == 0, slope_there)
    return slope


def _with_slope(
    mode: Rules,
    inputs: Tensor,
    function: Callable[[Tensor], Tensor],
    stencil: Stencil,
    *,
    inplace: bool = False,
    again: bool = False,
) -> Tensor:
    """Values of a function as the inputs times a slope, plus the value at 0.

    Where a layer keeps the inputs, the values are computed from them again on the way back, so that no slope is kept.
    """
    zero, slope_there = _at_zero(stencil)
    node: Any = inputs.grad_fn
    if again and not zero and not inplace and not mode.copies and hasattr(node, "kept"):
        later = Again(function, node.kept.outputs(inputs))
        return mode.computed_again(mode.held(inputs, partial(_slope_later, function, later, slope_there)), later)

    def compute(given: Tensor) -> Way:
        values = function(given)
        if not zero or inplace:
            slope = slope_of(values, given, zero, slope_there)
            return Way(values, slope.mul, (lambda gradient: gradient.sum() * zero) if zero else None)
        kept = Kept(given, values, copies=mode.copies)  # mostly a gate, whose slope nobody wants

        def back(gradient: Tensor) -> Tensor:
            given, values = kept.tensors()
            return gradient * slope_of(values, given, zero, slope_there)

        return Way(values, back, lambda gradient: gradient.sum() * zero)

    return mode.held(inputs, compute, inplace=inplace)


def _slope_later(function: Callable[[Tensor], Tensor], again: Again, slope_there: float, inputs: Tensor) -> Way:
    def back(gradient: Tensor) -> Tensor:
        given, values = again.last()
        return slope_of(values, given, 0.0, slope_there).mul_(gradient)

    return Way(function(inputs), back)


def of_same(mode: Rules, first: Tensor, second: Tensor, values: Tensor) -> Tensor | None:
    """The product of two functions of the same single values, which is such a function itself; None if they are not."""
    one, two = mode.tracked(first), mode.tracked(second)
    assert one is not None and two is not None  # noqa: PT018, S101
    base = one.base()
    if base is None or one.base is not two.base or base.shape != values.shape or base.is_complex():
        return None
    stencil = cells(mul, one.stencil, two.stencil)
    return mode.track(_with_slope(mode, base, lambda _: values, stencil), one, stencil)


@rule(
    *("gelu", "silu", "mish", "elu", "selu", "celu", "tanh", "softsign", "hardtanh", "hardswish", "relu6", "tanhshrink"),
    *("softshrink", "sin", "tan", "sinh", "asin", "asinh", "atan", "atanh", "arcsinh", "arctan", "erf", "expm1"),
    *("log1p", "sqrt", "square", "exp", "exp2", "cos", "cosh", "softplus", "logsigmoid", "log_sigmoid", "hardsigmoid"),
    *("sinc", "threshold", "hardshrink", "i0"),
    writes=True,
)
def activation(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """The identity rule: relevance passes."""
    inputs, *rest = args or (kwargs.pop("input"),)
    inplace = kwargs.pop("inplace", False)
    if inputs.is_complex():
        return inputs.copy_(func(inputs.clone(), *rest, **kwargs)) if inplace else func(inputs, *rest, **kwargs)

    def function(given: Tensor) -> Tensor:
        result: Tensor = func(given, *rest, **kwargs)
        return result

    origin = mode.tracked(inputs)
    assert origin is not None  # noqa: S101
    stencil = _around_zero(func, rest, kwargs)
    result = _with_slope(mode, inputs, function, stencil, inplace=inplace, again=True)
    if inplace:
        return result
    return mode.track(result, origin, stencil if origin.stencil is STENCIL else _around_zero(func, rest, kwargs, origin.stencil))


@rule("sigmoid", "expit")
def _sigmoid(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    inputs = args[0] if args else kwargs["input"]
    return mode.squash(activation(mode, func, (inputs,), {}), inputs)


@rule("relu", "leaky_relu", "rrelu", "prelu", "abs", "absolute", "neg", "negative", as_they_are=True)
def _homogeneous(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Functions whose own derivative is the value over the input."""
    result = func(*args, **kwargs)
    inputs = args[0] if args else kwargs["input"]
    origin = mode.tracked(inputs)
    if origin is not None and not inputs.is_complex():
        mode.track(
            result, origin, _around_zero(func, args[1:], {k: v for k, v in kwargs.items() if k != "input"}, origin.stencil)
        )
    return result


@rule("clamp", "clip", "clamp_min", "clamp_max")
def _clamp(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    bounds = [*args[1:], *kwargs.values()]
    if not any(isinstance(bound, Tensor) and bound.numel() > 1 for bound in bounds):
        return activation(mode, func, args, kwargs)
    names = {"clamp_min": ("min",), "clamp_max": ("max",)}.get(func.__name__, ("min", "max"))
    limits = dict(zip(names, args[1:], strict=False)) | kwargs
    result = args[0]
    with mode:
        if limits.get("min") is not None:
            result = torch.maximum(result, torch.as_tensor(limits["min"], dtype=result.dtype, device=result.device))
        if limits.get("max") is not None:
            result = torch.minimum(result, torch.as_tensor(limits["max"], dtype=result.dtype, device=result.device))
    return result


@rule("pow", "__pow__", "float_power")
def _power(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    inputs, exponent = args if len(args) == 2 else (args[0], kwargs.pop("exponent"))
    if not (isinstance(inputs, Tensor) and inputs.requires_grad):
        return func(inputs, exponent.detach(), **kwargs)
    if isinstance(exponent, Tensor):
        exponent = exponent.detach()
    if bool(torch.as_tensor(exponent).min() <= 0):
        return func(inputs.detach(), exponent, **kwargs)
    return activation(mode, func, (inputs, exponent), kwargs)


@rule(
    "rsqrt", "reciprocal", "sign", "sgn", "round", "floor", "ceil", "trunc", "heaviside", "__rpow__", "__rdiv__", "__rtruediv__"
)
def _spread(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Spreads and steps are held: they count as constants."""
    detached = [value.detach() if isinstance(value, Tensor) else value for value in args]
    return func(*detached, **kwargs)


@rule("log", "log2", "log10", "logit", "erfinv", "acos", "arccos", "acosh", "angle", "atan2", "arctan2", of_answers=True)
def _without_rule(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """What no rule conserves, but for the logarithm of a probability that is the answer."""
    inputs = args[0] if args else kwargs["input"]
    if mode.squashed and inputs is mode.squashed[0]:
        return mode.squash(func(*args, **kwargs), mode.squashed[1])
    if not inputs.requires_grad:
        return func(*args, **kwargs)
    mode.refuse(
        func.__name__,
        "has no rule that keeps the sum of the relevance. Explain from its output on: let the representation end there, as a "
        "log-mel spectrogram does, and the network begin",
    )
    return func(*args, **kwargs)


@rule(
    *("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose", "permute", "swapaxes", "movedim", "t"),
    *("expand", "expand_as", "view_as", "reshape_as", "contiguous", "clone", "to", "float", "double", "type_as", "type"),
    *("chunk", "split", "unbind", "__getitem__", "narrow", "select", "flip", "roll", "repeat", "repeat_interleave"),
    *("index_select", "__get__", "interpolate", "tile"),
    of_answers=True,
)
def _copies(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """The same values elsewhere: what weighs others still does, and a probability is one in any shape."""
    result = func(*args, **kwargs)
    inputs = args[0] if args else None
    if not isinstance(inputs, Tensor):
        return result
    if mode.squashed and inputs is mode.squashed[0] and isinstance(result, Tensor) and result.numel() == inputs.numel():
        mode.squash(result, func(mode.squashed[1], *args[1:], **kwargs))
    if mode.is_gate(inputs) and isinstance(result, Tensor | tuple | list):
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, Tensor) and part.requires_grad:
                mode.as_gate(part)
    return result


@rule("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", of_answers=True, as_they_are=True)
def _dropped(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """In evaluation mode the tensor itself."""
    training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
    return args[0] if args and training is False else _copies(mode, func, args, kwargs)


def stencil_of(mode: Rules, value: Any, origin: Track) -> Stencil | None:
    """What a summand or factor is around 0: that of a function of the same values, or a number; None for anything else."""
    if isinstance(value, Tensor):
        track = mode.tracked(value)
        return track.stencil if track is not None and track.base is origin.base else None
    return (float(value),) * 3 if isinstance(value, int | float) else None
