"""Convolutions and linear maps, called as modules or as functions, with the rules that change their weights.

A rule shares out the relevance of an output in proportion to contributions that are weights times inputs, so that the way back
needs no division by the input: the relevance of the outputs over their denominators, times the weights that the signs choose.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import ModelError

from ._functions_kept import Kept, KeptLayer
from ._functions_mode import Rules, damped, no_view, rule
from ._plan import Method
from ._rules import STABILISER, stabilised

PLAIN = 1e-6
"""An epsilon so small is none: this engine divides by no output where the epsilon rule is the gradient."""


PIECE = 1 << 18
"""Cells of inputs that a second product is computed for at once, since torch takes three times their memory meanwhile."""

ROWS = 128
"""Rows of a linear map that the rule of gamma takes at once at least, as products of fewer take longer."""


class Settings(NamedTuple):
    """How a convolution runs, in the order of torch.convolution."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int


class Layer(NamedTuple):
    """A convolution, or without settings a linear map, as it was called.

    Parameters
    ----------
    inputs, weight : Tensor
    bias : Tensor or None
    settings : Settings or None
    rule : str
    signed : bool
        Whether some inputs are below 0.
    factor : Tensor or None
        Of the output channels, to be merged into the weight.
    """

    inputs: Tensor
    weight: Tensor
    bias: Tensor | None
    settings: Settings | None
    rule: str
    signed: bool = True
    factor: Tensor | None = None

    def apply(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Inputs times a weight, plus a bias."""
        if self.settings is None:
            return functional.linear(inputs, weight, bias)
        return torch.convolution(inputs, weight, bias, *self.settings)

    def transpose(self, outputs: Tensor, weight: Tensor, part: slice = slice(None)) -> Tensor:
        """Outputs, or those of a part of the recordings, times the transposed weight."""
        if self.settings is None:
            return outputs @ weight
        inputs, wanted = self.inputs.detach()[part], [True, False, False]
        result: Tensor = torch.ops.aten.convolution_backward(outputs, inputs, weight, None, *self.settings, wanted)[0]
        return result

    def per_output(self, values: Tensor) -> Tensor:
        """Values of each output channel, to be combined with outputs."""
        return values if self.settings is None else values.reshape(-1, *[1] * (self.weight.ndim - 2))

    def scaled(self, factor: Tensor, shift: Tensor) -> "Layer":
        """The layer with a factor and a shift of its output channels; the weight waits for `merged`, so that none is kept."""
        return self._replace(bias=shift if self.bias is None else self.bias * factor + shift, factor=factor)

    def merged(self) -> "Layer":
        """The layer with its factor in its weight."""
        if self.factor is None:
            return self
        rows = [1] * self.weight.ndim
        rows[1 if self.settings and self.settings.transposed else 0] = -1
        return self._replace(weight=self.weight * self.factor.reshape(rows), factor=None)


def _split(layer: Layer, positive: Tensor, negative: Tensor, bias: Tensor | None) -> Tensor:
    """The positive part of the inputs times one weight, and the negative part times another."""
    inputs = layer.inputs
    if not layer.signed:
        return layer.apply(inputs, positive, bias)
    outputs = layer.apply(inputs.clamp(min=0), positive, bias)
    for part in _pieces(layer):
        outputs[part].add_(layer.apply(inputs[part].clamp(max=0), negative))
    return outputs


def _both(layer: Layer, outputs: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Outputs times one transposed weight for inputs above 0, and another for those below."""
    back = layer.transpose(outputs, positive)
    if not layer.signed:
        return back
    for part in _pieces(layer):
        below, above = layer.transpose(outputs[part], negative, part), (layer.inputs[part] >= 0).to(back.dtype)
        back[part].mul_(above).add_(below.mul_(above.neg_().add_(1)))  # torch.where takes many times as long
    return back


def _pieces(layer: Layer) -> list[slice]:
    """A few recordings at a time."""
    inputs = layer.inputs
    if layer.settings is None or inputs.numel() <= PIECE:
        return [slice(None)]
    step = max(1, len(inputs) * PIECE // inputs.numel())
    return [slice(start, start + step) for start in range(0, len(inputs), step)]


def _bias(layer: Layer, method: Method) -> Tensor | None:
    return layer.bias if method.absorb else None


def _share(layer: Layer, outputs: Tensor, bias: Tensor | None) -> Tensor:
    """What a bias absorbs."""
    return outputs.new_zeros(()) if bias is None else (outputs * layer.per_output(bias)).sum()


def _epsilon(layer: Layer, method: Method, outputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    contributions = outputs if method.absorb or layer.bias is None else outputs - layer.per_output(layer.bias)
    safe = stabilised(contributions, method.epsilon)
    share = gradient * outputs / safe
    lost = (share * (safe - contributions)).sum()
    return layer.transpose(share, layer.weight), _share(layer, share, _bias(layer, method)) + lost


def _plus(layer: Layer, method: Method, outputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    relevance = gradient * outputs
    del outputs
    high, bias = layer.weight.clamp(min=0), _bias(layer, method)
    low = layer.weight.clamp(max=0) if layer.signed else high  # weights may be most of what is read
    above = None if bias is None else bias.clamp(min=0)
    share = relevance.div_(_split(layer, high, low, above).add_(STABILISER))
    return _both(layer, share, high, low), _share(layer, share, above) + share.sum() * STABILISER


def _alpha2_beta1(layer: Layer, method: Method, outputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    relevance = gradient * outputs
    del outputs
    high, low, bias = layer.weight.clamp(min=0), layer.weight.clamp(max=0), _bias(layer, method)
    above, below = (None, None) if bias is None else (bias.clamp(min=0), bias.clamp(max=0))
    total = relevance.sum()
    positive = (2 * relevance).div_(_split(layer, high, low, above).add_(STABILISER))
    negative = relevance.neg_().div_(_split(layer, low, high, below).sub_(STABILISER))
    back = _both(layer, positive, high, low).add_(_both(layer, negative, low, high))
    return back, total - (layer.inputs * back).sum()  # it makes relevance where nothing speaks against an output


def _gamma(layer: Layer, method: Method, outputs: Tensor, gradient: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """By the sizes of the contributions: what speaks for or against an output is half of its size and half of itself.

    So there is one product more than with a gradient for the denominators, and one back. Where biases absorb, nothing cancels, as
    an output has the sign of what it is divided by; where they are ignored, it may have the other one.
    """
    sizes = layer.weight.abs() if sizes is None else sizes
    half, weight, bias = method.gamma / 2, layer.weight, _bias(layer, method)
    offset, whole = None if bias is None else bias.abs(), bias is layer.bias
    contributions = outputs if whole else outputs - layer.per_output(layer.bias)  # type: ignore[arg-type]
    denominators = layer.apply(layer.inputs.abs() if layer.signed else layer.inputs, sizes, offset)
    signs = _signs(outputs)
    denominators.mul_(signs).mul_(half).add_(contributions, alpha=1 + half)
    away = signs if whole else _signs(denominators)
    denominators.add_(away, alpha=STABILISER)
    share = (gradient * outputs).div_(denominators)
    sided = torch.mul(share, signs, out=denominators)
    added = STABILISER * (sided if whole else share * away).sum()
    del outputs, contributions, denominators, signs, away
    absorbed = (1 + half) * _share(layer, share, bias) + half * _share(layer, sided, offset) + added
    if not layer.signed and torch.equal(share, sided):
        return layer.transpose(share, (sizes * half).add_(weight, alpha=1 + half)), absorbed
    back, sided = layer.transpose(share.mul_(1 + half), weight), sided.mul_(half)
    for part in _pieces(layer):
        of_sizes = layer.transpose(sided[part], sizes, part)
        back[part].add_(of_sizes.mul_(_signs(layer.inputs[part])) if layer.signed else of_sizes)
    return back, absorbed


def _gamma_by_rows(layer: Layer, method: Method, outputs: Tensor | None, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rule of gamma for a linear map: some rows at a time, whose outputs may have to be computed again."""
    inputs, gradient = (values.reshape(-1, values.shape[-1]) for values in (layer.inputs, gradient))
    known = outputs if outputs is None else outputs.reshape(-1, outputs.shape[-1])
    back, absorbed, sizes = torch.empty_like(inputs), gradient.new_zeros(()), layer.weight.abs()
    for rows in _rows(inputs):
        part = layer._replace(inputs=inputs[rows])
        own = layer.apply(part.inputs, layer.weight, layer.bias) if known is None else known[rows]
        back[rows], share = _gamma(part, method, own, gradient[rows], sizes)
        absorbed = absorbed + share
    return back.reshape(layer.inputs.shape), absorbed


def _rows(inputs: Tensor) -> list[slice]:
    """Some rows at a time, in parts of about one size; a GPU takes more of them at once."""
    most = max(ROWS, (16 * PIECE if inputs.is_cuda else PIECE // 8) // max(1, inputs.shape[1]))
    step = -(-len(inputs) // max(1, -(-len(inputs) // most)))
    return [slice(start, start + step) for start in range(0, len(inputs), step)]


def _signs(values: Tensor) -> Tensor:
    """1 or -1 for each value, of which 0 counts as positive; all operations take a fraction of the time of torch.where."""
    return (values >= 0).to(values.dtype).mul_(2).sub_(1)


_RULES = {"epsilon": _epsilon, "plus": _plus, "alpha2_beta1": _alpha2_beta1, "gamma": _gamma}
"""They let go of the outputs as soon as they can, which nothing else may need."""


def _kept(inputs: Tensor, outputs: Tensor, layer: Layer, mode: Rules) -> KeptLayer:
    """What the way back through a layer needs.

    Linear maps keep less of it: inputs and outputs of all of them would be twice what a gradient keeps in a transformer.
    """
    if layer.settings is not None or mode.copies:
        return KeptLayer(Kept(inputs, copies=mode.copies), outputs, Kept(outputs, copies=mode.copies))
    again, version = getattr(inputs, "_xaudio_again", (None, -1))
    cheap = layer.rule == "gamma" and layer.factor is None and outputs.shape[-1] >= inputs.shape[-1]
    kept = Kept(inputs) if again is None or version != inputs._version else again
    return KeptLayer(kept, outputs, None if cheap else Kept(outputs))


def _in_format(values: Any, number: torch.dtype) -> Any:
    return values if values is None else values.to(number)


class _Weighted(torch.autograd.Function):
    """A layer with a rule of its own."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, one: Tensor, layer: Layer, mode: Rules, compute: Callable[[], Tensor]) -> Tensor:
        values = no_view(compute())
        context.kept, context.passes = _kept(inputs, values, layer, mode), mode.passes
        context.layer, context.method = layer._replace(inputs=inputs.new_empty(0)), mode.method
        return values

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        number = context.layer.weight.dtype  # of the model, which may compute in lower precision by itself
        inputs, *outputs = (_in_format(values, number) for values in context.kept.tensors())
        if context.passes.last:
            del context.kept
        signed = context.layer.rule != "epsilon" and not bool(inputs.min() >= 0)
        layer = context.layer.merged()._replace(inputs=inputs, signed=signed)
        rule: Any = _gamma_by_rows if layer.rule == "gamma" and layer.settings is None else _RULES[layer.rule]
        back, absorbed = rule(layer, context.method, outputs.pop(), gradients[0].to(number))
        return back.to(gradients[0].dtype), absorbed, None, None, None


class _First(torch.autograd.Function):
    """The first layer with a rule that is not in proportion to its input: its relevance is that of the features."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, layer: Layer, mode: Rules, compute: Callable[[], Tensor]) -> Tensor:
        values = no_view(compute())
        context.kept = KeptLayer(Kept(inputs, copies=mode.copies), values, Kept(values, copies=mode.copies))
        context.layer, context.mode = layer._replace(inputs=inputs.new_empty(0)), mode
        return values

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        inputs, outputs = context.kept.tensors()
        layer, mode = context.layer.merged()._replace(inputs=inputs), context.mode
        relevance = (
            _flat(layer, outputs, gradients[0]) if layer.rule == "flat" else _box(layer, mode.method, outputs, gradients[0])
        )
        mode.direct = relevance if mode.direct is None else mode.direct + relevance
        return torch.zeros_like(inputs), None, None, None


def _flat(layer: Layer, outputs: Tensor, gradient: Tensor) -> Tensor:
    ones = torch.ones_like(layer.weight)
    reach = layer.apply(torch.ones_like(layer.inputs[:1]), ones)
    return layer.transpose(gradient * outputs / (reach + STABILISER), ones)


def _box(layer: Layer, method: Method, outputs: Tensor, gradient: Tensor) -> Tensor:
    assert method.low is not None and method.high is not None  # noqa: PT018, S101
    negative, positive = layer.weight.clamp(max=0), layer.weight.clamp(min=0)
    ones = torch.ones_like(layer.inputs[:1])
    offset = layer.apply(ones * method.low, positive) + layer.apply(ones * method.high, negative)
    contributions = outputs if layer.bias is None else outputs - layer.per_output(layer.bias)
    share = gradient * outputs / stabilised(contributions - offset, STABILISER)
    back: Tensor = layer.inputs * layer.transpose(share, layer.weight)
    return back - method.low * layer.transpose(share, positive) - method.high * layer.transpose(share, negative)


_LINEAR = ("input", "weight", "bias")
_CONVOLUTION = (*_LINEAR, "stride", "padding", "dilation", "groups")
_TRANSPOSED = (*_LINEAR, "stride", "padding", "output_padding", "groups", "dilation")


@rule("linear")
def _linear(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    if len(args) == 3 and not kwargs and _is_untouched(mode, mode.method.linear, *args):
        return func(args[0], args[1], mode.scaled(args[2]))
    given = dict(zip(_LINEAR, args, strict=False)) | kwargs
    return _weighted(mode, func, given, None, mode.method.linear)


@rule("conv1d", "conv2d", "conv3d")
def _convolution(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    if len(args) > 2 and args[2] is None and not kwargs and _is_untouched(mode, mode.method.convolution, *args[:3]):
        return func(*args)
    given = dict(zip(_CONVOLUTION, args, strict=False)) | kwargs
    axes = given["weight"].ndim - 2
    if isinstance(given.get("padding", 0), str):
        given = _padded(given, axes)
    stride, padding, dilation = (
        _of_axes(given.get(name, other), axes) for name, other in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    settings = Settings(stride, padding, dilation, False, (0,) * axes, given.get("groups", 1))
    return _weighted(mode, func, given, settings, mode.method.convolution)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    given = dict(zip(_TRANSPOSED, args, strict=False)) | kwargs
    axes = given["weight"].ndim - 2
    names = (("stride", 1), ("padding", 0), ("dilation", 1), ("output_padding", 0))
    stride, padding, dilation, more = (_of_axes(given.get(name, other), axes) for name, other in names)
    settings = Settings(stride, padding, dilation, True, more, given.get("groups", 1))
    return _weighted(mode, func, given, settings, mode.method.convolution)


def _of_axes(value: Any, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    return values * axes if len(values) == 1 else values


def _padded(given: dict[str, Any], axes: int) -> dict[str, Any]:
    """Padding by name as numbers; where it is uneven, the input itself is padded."""
    if given["padding"] == "valid":
        return given | {"padding": 0}
    dilation = _of_axes(given.get("dilation", 1), axes)
    missing = [reach * (length - 1) for reach, length in zip(dilation, given["weight"].shape[2:], strict=True)]
    if not any(part % 2 for part in missing):
        return given | {"padding": tuple(part // 2 for part in missing)}
    sides = [side for part in reversed(missing) for side in (part // 2, part - part // 2)]
    return given | {"padding": 0, "input": functional.pad(given["input"], sides)}


def _is_untouched(mode: Rules, name: str, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether a layer of the usual kind keeps its derivative, as most do; see `_weighted` for the others."""
    plain = not mode.first and _is_plain(mode, name, bias)
    return plain and inputs.requires_grad and not weight.requires_grad and weight.is_floating_point()


def _is_plain(mode: Rules, name: str, bias: Tensor | None) -> bool:
    return name == "epsilon" and mode.method.epsilon <= PLAIN and (mode.method.absorb or bias is None)


def _weighted(mode: Rules, func: Any, given: dict[str, Any], settings: Settings | None, name: str) -> Tensor:
    inputs, weight, bias = (given.get(key) for key in _LINEAR)
    assert isinstance(inputs, Tensor) and isinstance(weight, Tensor)  # noqa: PT018, S101
    if weight.requires_grad or not inputs.requires_grad:
        if inputs.requires_grad:
            inputs, weight = damped(inputs, 0.5), damped(weight, 0.5)
        return _call(func, given, inputs, weight, mode.scaled(bias) if mode.method.absorb else bias)
    if weight.is_complex():
        raise ModelError(f"lrp: the weights of {mode.where()} are complex numbers, for which there are no rules.")
    if settings and inputs.ndim < weight.ndim:
        return _weighted(mode, func, given | {"input": inputs[None]}, settings, name)[0]
    name, mode.first = (mode.method.first if mode.first else name), False
    plain = _is_plain(mode, name, bias)
    if plain and (settings is None or bias is None or mode.added is None or bias.requires_grad):
        return _call(func, given, inputs, weight, mode.scaled(bias))
    bias = bias.detach() if isinstance(bias, Tensor) else None
    if plain:
        assert bias is not None  # noqa: S101
        return mode.shifted(_call(func, given, inputs, weight, bias), bias)
    layer = Layer(inputs, weight.detach(), bias, settings, name)
    return mode.from_layer(_with_rule(mode, layer, lambda: _call(func, given, inputs.detach(), weight, bias)), layer)


def _call(func: Any, given: dict[str, Any], inputs: Tensor, weight: Tensor, bias: Any) -> Tensor:
    rest = {key: value for key, value in given.items() if key not in _LINEAR}
    result: Tensor = func(inputs, weight, bias, **rest)
    return result


def _with_rule(mode: Rules, layer: Layer, compute: Callable[[], Tensor]) -> Tensor:
    if layer.rule in ("flat", "box"):
        features = mode.leaves[0]
        if layer.inputs.numel() != features.numel() or not torch.equal(layer.inputs.flatten(), features.flatten()):
            raise ModelError(
                f"lrp: the {layer.rule} rule of the first layer needs one that reads the features themselves; "
                f"{mode.where()} reads something else. Choose a composite that does not end in _flat or _box."
            )
        result: Tensor = _First.apply(layer.inputs, layer, mode, compute)  # type: ignore[no-untyped-call]
        return result
    result = _Weighted.apply(layer.inputs, mode.one, layer, mode, compute)  # type: ignore[no-untyped-call]
    return result


def folded(mode: Rules, inputs: Tensor, factor: Tensor, shift: Tensor, compute: Callable[[], Tensor]) -> Tensor | None:
    """A batch normalisation together with the layer before it; None if that has no rule of its own."""
    layer = mode.layer_of(inputs)
    if (
        layer is None
        or layer.weight.ndim != inputs.ndim
        or (layer.settings and layer.settings.transposed and layer.settings.groups > 1)
    ):
        return None
    return mode.moved(inputs, _with_rule(mode, layer.scaled(factor, shift), compute))
