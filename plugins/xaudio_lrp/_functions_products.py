"""Sums, products, quotients, softmax and attention."""

import math
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from ._functions_elementwise import cells, of_same, stencil_of
from ._functions_kept import Kept
from ._functions_mode import Rules, Way, damped, dependent, rule


@rule("add", "sub", "subtract", "__radd__", "__rsub__", "rsub", writes=True)
def _sum(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """A sum of branches and constants."""
    if len(args) == 2 and not kwargs and args[0] is not args[1] and all(map(mode.is_signal, args)):
        return func(*args)
    operands = [*args, *(kwargs.pop(name) for name in ("input", "other") if name in kwargs)]
    scaled = map(mode.scaled, operands)
    if kwargs.pop("inplace", False):
        written: Tensor = getattr(Tensor, f"{func.__name__}_")(*scaled, **kwargs)
        return written
    result = func(*scaled, **kwargs)
    signal = next(dependent(operands))
    origin = mode.tracked(signal)
    assert origin is not None  # noqa: S101
    parts = [part for value in operands if (part := stencil_of(mode, value, origin)) is not None]
    if len(parts) == len(operands) and result.shape == signal.shape:
        return mode.track(result, origin, cells(partial(_SUMS[func.__name__], alpha=kwargs.get("alpha", 1)), *parts))
    return mode.as_gate(result) if all(map(mode.is_gate, dependent(operands))) else result


def _plus(one: float, two: float, alpha: float) -> float:
    return one + alpha * two


def _minus(one: float, two: float, alpha: float) -> float:
    return one - alpha * two


def _from(one: float, two: float, alpha: float) -> float:
    return two - alpha * one


_SUMS = {"add": _plus, "__radd__": _plus, "sub": _minus, "subtract": _minus, "__rsub__": _from, "rsub": _from}


NUMBERS = {"where": (1, 2), "masked_fill": (2,), "index_fill": (3,), "scatter": (3,)}
"""Places of arguments that may be numbers beside the values of a tensor."""


@rule(
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "where", "masked_fill"),
    *("masked_scatter", "index_put", "index_add", "index_copy", "index_fill", "scatter", "scatter_add", "maximum", "minimum"),
    *("fmax", "fmin", "cdist", "dist", "slice_scatter", "select_scatter"),
)
def _merged(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Constants beside what depends on the features, or in its place."""
    places = NUMBERS.get(func.__name__.removesuffix("_"), ())

    def scaled(value: Any, *, number: bool) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(scaled(part, number=False) for part in value)
        return mode.scaled(value) if number or isinstance(value, Tensor) else value

    values = [scaled(value, number=place in places) for place, value in enumerate(args)]
    result = func(*values, **{key: scaled(value, number=key in ("value", "other")) for key, value in kwargs.items()})
    return mode.as_gate(result) if all(map(mode.is_gate, dependent((args, kwargs)))) else result


@rule("__setitem__")
def _written(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Values written into a tensor, such as masks."""
    target, index, value = args
    if not target.requires_grad and target.is_floating_point() and bool(target.any()):
        target.mul_(mode.one)
    func(target, index, mode.scaled(value))


@rule("mul", "multiply", "__rmul__")
def multiply(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """A product of single values: of a signal and what weighs it, or of two signals."""
    first, second = args if len(args) == 2 else (args[0] if args else kwargs["input"], kwargs["other"])
    both = [value for value in (first, second) if isinstance(value, Tensor) and value.requires_grad]
    if len(both) == 2:
        with torch.no_grad():
            values = func(first.detach(), second.detach())
        same = of_same(mode, first, second, values)
        if same is not None:
            return same
        gates = mode.is_gate(first) and mode.is_gate(second)
        result = _product(mode, func, (first, second), {})
        return mode.as_gate(result) if gates else result
    result = func(first, second)
    origin = mode.tracked(both[0])
    assert origin is not None  # noqa: S101
    other = second if both[0] is first else first
    if result.shape != both[0].shape:
        return _like(mode, result, both[0])
    factor = float(other) if isinstance(other, int | float) else 1.0
    return mode.track(result, origin, cells(lambda value: value * factor, origin.stencil))


def _like(mode: Rules, result: Tensor, weighing: Tensor) -> Tensor:
    return mode.as_gate(result) if mode.is_gate(weighing) else result


@rule(
    *(
        "matmul",
        "__matmul__",
        "__rmatmul__",
        "mm",
        "bmm",
        "mv",
        "dot",
        "inner",
        "outer",
        "ger",
        "vdot",
        "kron",
        "cross",
        "tensordot",
    ),
    *("einsum", "linalg_multi_dot", "linalg_vecdot", "vecdot", "chain_matmul", "grid_sample", "complex", "polar"),
)
def _product(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """A product of tensors: what weighs others is held; signals share the relevance in equal parts."""
    factors = list(dependent((args, kwargs)))
    if len(factors) < 2:
        return func(*args, **kwargs)
    gates = [mode.method.products == "gate" and mode.is_gate(factor) for factor in factors]
    share = 1 / len(factors)
    mixed = any(gates) and not all(gates)

    def shared(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(shared(part) for part in value)
        if not isinstance(value, Tensor) or not value.requires_grad:
            return value
        if not mixed:
            return damped(value, share)
        signals = gates.count(False)
        return value.detach() if mode.is_gate(value) else damped(value, 1 / signals) if signals > 1 else value

    return func(*shared(tuple(args)), **{key: shared(value) for key, value in kwargs.items()})


@rule("div", "divide", "true_divide", "__truediv__", "__div__")
def _quotient(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Spreads are held: the numerator has all relevance."""
    above, below = args if len(args) == 2 else (args[0], kwargs.pop("other"))
    if not (isinstance(above, Tensor) and above.requires_grad):
        return func(above, below.detach(), **kwargs)
    result = func(above, below.detach() if isinstance(below, Tensor) else below, **kwargs)
    origin = mode.tracked(above)
    assert origin is not None  # noqa: S101
    if result.shape != above.shape:
        return _like(mode, result, above)
    around = stencil_of(mode, below, origin)
    return mode.track(result, origin, origin.stencil if around is None else cells(_over, origin.stencil, around))


def _over(above: float, below: float) -> float:
    return above / below if below else math.nan


@rule("addmm", "addmv", "addbmm", "baddbmm", "addr", "addcmul", "addcdiv", "lerp", "bilinear", "cosine_similarity")
def _composed(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Sums of products."""
    with mode:
        return _COMPOSED[func.__name__](*args, **kwargs)


def _added(product: Any) -> Any:
    def compute(start: Tensor, one: Tensor, two: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        result: Tensor = product(one, two)
        result = result if alpha == 1 else result * alpha
        return result if beta == 0 else result + (start if beta == 1 else start * beta)

    return compute


def _bilinear(first: Tensor, second: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    result = torch.einsum("...i,oij,...j->...o", first, weight, second)
    return result if bias is None else result + bias


def _cosine(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    norms = [torch.linalg.vector_norm(value, dim=dim, keepdim=True).clamp(min=eps) for value in (x1, x2)]
    result: Tensor = ((x1 / norms[0]) * (x2 / norms[1])).sum(dim)
    return result


_COMPOSED = {
    **{name: _added(torch.matmul) for name in ("addmm", "addmv", "baddbmm")},
    "addbmm": _added(lambda one, two: torch.bmm(one, two).sum(0)),
    "addr": _added(torch.outer),
    "addcmul": lambda start, one, two, *, value=1: start + one * two * value,
    "addcdiv": lambda start, one, two, *, value=1: start + one / two * value,
    "lerp": lambda start, end, weight: start + (end - start) * weight,
    "bilinear": _bilinear,
    "cosine_similarity": _cosine,
}


@rule("softmax", "_softmax")
def _softmax(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Weights of attention: held, or with their gradient (Achtibat et al. 2024, proposition 3.1)."""
    inputs, *rest = args or (kwargs.pop("input"),)
    held = mode.method.attention == "value"
    return mode.squash(func(inputs.detach() if held else inputs, *rest, **kwargs), inputs)


@rule("log_softmax", "_log_softmax", "logsumexp")
def _log_softmax(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Linear where the softmax is held: a mean by its weights, and their entropy as a constant."""
    inputs, *rest = args or (kwargs.pop("input"),)
    dim = rest[0] if rest else kwargs.get("dim", -1)
    soft = torch.softmax(inputs.detach(), dim if isinstance(dim, int) else dim[0])
    is_sum = func.__name__ == "logsumexp"
    if is_sum and not isinstance(dim, int) and len(dim) > 1:
        mode.refuse("logsumexp", "runs over several axes at once: take one after the other")
    keep = bool(is_sum and (rest[1] if len(rest) > 1 else kwargs.get("keepdim", False)))
    axis = dim if isinstance(dim, int) else dim[0]

    def compute(given: Tensor) -> Way:
        values = func(given, *rest, **kwargs)
        entropy = -torch.xlogy(soft, soft).sum(axis, keepdim=True)
        if not is_sum:
            return Way(
                values,
                lambda gradient: gradient - soft * gradient.sum(axis, keepdim=True),
                lambda gradient: -(gradient * entropy).sum(),
            )

        def wide(gradient: Tensor) -> Tensor:
            return gradient if keep else gradient.unsqueeze(axis)

        return Way(values, lambda gradient: soft * wide(gradient), lambda gradient: (wide(gradient) * entropy).sum())

    result = mode.held(inputs, compute)
    return result if is_sum else mode.squash(result, inputs)


FEW_WEIGHTS = 1 << 15
"""So few weights of attention are computed again on the way back, where torch would go back to queries and keys as well."""


def _weighing(func: Any, kept: Kept, scale: float | None, value: Tensor) -> Way:
    """Attention by weights that are held, with nothing but queries and keys kept."""

    def back(gradient: Tensor) -> Tensor:
        query, key = kept.tensors()
        scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-1, -2)
        return scores.softmax(-1).transpose(-1, -2) @ gradient

    return Way(func(*kept.tensors(), value, scale=scale), back)


@rule("scaled_dot_product_attention")
def _attention(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Attention in one function: through the values alone, or through queries and keys as well."""
    names = ("query", "key", "value", "attn_mask")
    given = dict(zip(names, args, strict=False)) | {name: kwargs.pop(name) for name in names if name in kwargs}
    tensors: list[Any] = [given.get(name) for name in names]
    query, key, value, mask = tensors
    if mode.method.attention == "value":
        if mask is None and value.requires_grad and _are_few(query, key, value):
            options = dict(zip(("dropout_p", "is_causal"), args[4:], strict=False)) | kwargs
            scale = options.pop("scale", None)
            if not any(options.values()):
                return mode.held(value, partial(_weighing, func, Kept(query, key, copies=mode.copies), scale))
        query, key, mask = map(_detached, (query, key, mask))
    else:
        parts = sum(tensor is not None and tensor.requires_grad for tensor in (query, key))
        query, key = (_damped_if(tensor, 0.5 / max(parts, 1)) for tensor in (query, key))
        value = _damped_if(value, 0.5 if parts else 1.0)
    return func(query, key, value, mask, *args[4:], **kwargs)


def _are_few(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether so few weights are computed again, of queries, keys and values of one size."""
    (*batch, rows, _), (*others, columns, _) = query.shape, key.shape
    return batch == others and query.shape[:-2] == value.shape[:-2] and rows * columns <= FEW_WEIGHTS


def _detached(tensor: Any) -> Any:
    return tensor if tensor is None else tensor.detach()


def _damped_if(tensor: Any, share: float) -> Any:
    return damped(tensor, share) if isinstance(tensor, Tensor) and tensor.requires_grad else tensor


@rule("glu")
def _glu(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    inputs, *rest = args
    dim = rest[0] if rest else kwargs.get("dim", -1)
    with mode:
        signal, gate = inputs.chunk(2, dim)
        return signal * gate.sigmoid()


@rule("prod")
def _prod(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """All factors have the same part."""
    inputs, *rest = args
    dim = rest[0] if rest else kwargs.get("dim")
    return func(damped(inputs, 1 / (inputs.numel() if dim is None else inputs.shape[dim])), *rest, **kwargs)


@rule("pad")
def _pad(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    inputs, pad, *rest = args
    settings = dict(zip(("mode", "value"), rest, strict=False)) | kwargs
    value = settings.pop("value", None)
    if not value or settings.get("mode", "constant") != "constant" or not math.isfinite(value):
        return func(*args, **kwargs)
    return func(inputs - value * mode.one, pad) + value * mode.one


def _never(*_: Any) -> bool:
    return False


def unfolded(func: Any) -> Callable[..., Any]:
    """A function that torch writes in Python, as one that calls its parts where a mode sees them."""
    asks = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    same = FunctionType(func.__code__, func.__globals__ | dict.fromkeys(asks, _never), func.__name__, func.__defaults__)
    same.__kwdefaults__ = func.__kwdefaults__
    return same


@rule(
    *("multi_head_attention_forward", "normalize", "local_response_norm", "lp_pool1d", "lp_pool2d", "lp_pool3d"),
    *("softmin", "gumbel_softmax"),
)
def _unfold(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """What torch composes of other functions."""
    with mode:
        return unfolded(func)(*args, **kwargs)
