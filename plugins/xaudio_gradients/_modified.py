"""Explainers that run the model with other derivatives than its own: guided backpropagation and DeepLIFT.

A mode of torch sees every function the model calls, whether through a module or not, and puts another in its place for
one forward pass. Nothing is hooked onto the model or changed in it, a ReLU may be used many times, and operations in
place keep their meaning.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xaudio.plugin import (
    Baseline,
    ModelError,
    Sound,
    baseline_features,
    completeness,
    difference_from_baseline,
    network_name,
)

from ._gradients import blocks, differentiate, promises_from

Function = Callable[[Tensor], Tensor]

RELU = frozenset({"relu", "relu_"})
IN_PLACE = frozenset({"leaky_relu", "elu", "selu", "celu", "sigmoid", "tanh", "hardtanh", "clamp", "clamp_min", "clamp_max"})
ELEMENTWISE = (
    RELU
    | IN_PLACE
    | {f"{name}_" for name in IN_PLACE}
    | {"relu6", "gelu", "silu", "mish", "softplus", "softsign", "prelu", "threshold", "_threshold", "hardsigmoid", "hardswish"}
    | {"logsigmoid", "log_sigmoid", "tanhshrink", "hardshrink", "softshrink", "exp", "log", "log1p", "log2", "log10"}
    | {"sqrt", "rsqrt", "square", "abs", "sin", "cos", "pow", "__pow__"}
)
MAXIMUM = frozenset(f"{kind}max_pool{axes}d" for kind in ("", "adaptive_") for axes in (1, 2, 3)) | {"amax"}

NEAR = 1e-6
"""Differences of activations smaller than this share of them are replaced by the derivative: their quotient is rounding."""


class _Replacing(TorchFunctionMode):
    """Puts `replace(function, input)` in the place of the functions of these names."""

    def __init__(self, names: frozenset[str], replace: Callable[[str, Function, Tensor], Tensor]) -> None:
        super().__init__()
        self.names, self.replace, self.calls = names, replace, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in self.names or not args or not isinstance(args[0], Tensor):
            return func(*args, **kwargs)
        self.calls += 1
        value, rest = args[0], args[1:]
        if not kwargs.get("inplace") and (not name.endswith("_") or name.startswith("__")):
            return self.replace(name, lambda tensor: func(tensor, *rest, **kwargs), value)
        result = self.replace(name, lambda tensor: func(tensor.clone(), *rest, **kwargs), value.clone())
        return value.copy_(result)


class _Guided(torch.autograd.Function):
    """ReLU that lets only what speaks for the target through on the way back."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        context.save_for_backward(value)
        context.set_materialize_grads(False)  # nothing that comes back is not a gradient of 0
        return value.clamp(min=0)

    @staticmethod
    def backward(context: Any, gradient: Tensor | None) -> Any:
        return None if gradient is None else gradient.clamp(min=0) * (context.saved_tensors[0] > 0)


def _pull_back(function: Function, value: Tensor, gradient: Tensor) -> Tensor:
    """The function's own derivative at a value, applied to a gradient."""
    with torch.enable_grad():
        value = value.detach().requires_grad_()
        return torch.autograd.grad((function(value) * gradient).sum(), value)[0]


class _AgainstReference(torch.autograd.Function):
    """A function whose derivative is to be one between the reference and the value."""

    @staticmethod
    def forward(context: Any, value: Tensor, reference: Tensor, function: Function) -> Tensor:
        context.save_for_backward(value, reference)
        context.function = function
        context.set_materialize_grads(False)
        return function(value)


class _Rescaled(_AgainstReference):
    """A function of each element whose derivative is the slope between the reference and the value."""

    @staticmethod
    def backward(context: Any, gradient: Tensor | None) -> Any:
        if gradient is None:
            return None, None, None
        value, reference = context.saved_tensors
        way = value - reference
        near = way.abs() <= NEAR * torch.maximum(value.abs(), reference.abs())
        rise = context.function(value) - context.function(reference)
        slope = gradient * rise / way.masked_fill(near, 1)
        if near.any():
            slope = torch.where(near, _pull_back(context.function, value, gradient), slope)
        return slope, None, None


class _RescaledMaximum(_AgainstReference):
    """A maximum over windows that gives its change to one input: the largest there is, now or in the reference.

    A maximum that grew is due to the input that is the largest now, one that fell to the input that was the largest in
    the reference; each changed at least as much as the maximum did, so the quotient is always between 0 and 1. Windows
    may overlap.
    """

    @staticmethod
    def backward(context: Any, gradient: Tensor | None) -> Any:
        if gradient is None:
            return None, None, None
        value, reference = context.saved_tensors
        function = context.function
        rise = function(value) - function(reference)
        shares = _pull_back(function, value, gradient * rise.clamp(min=0))
        shares += _pull_back(function, reference, gradient * rise.clamp(max=0))
        way = value - reference
        return torch.where(way == 0, 0, shares / way.masked_fill(way == 0, 1)), None, None


@dataclass(frozen=True)
class GuidedBackprop:
    """Gradient without what speaks against the target; see `xaudio_gradients.guided_backprop`."""

    internal_batch_size: int | None

    needs = "layers"

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (Springenberg et al. 2014, arXiv 1412.6806, section 3.4).

        Raises
        ------
        ModelError
            If the model calls no ReLU.
        """
        guided = _Replacing(RELU, lambda name, function, value: _Guided.apply(value))  # type: ignore[no-untyped-call]
        chunks = blocks(len(features), self.internal_batch_size)
        gradients = [differentiate(model, features[rows], target[rows], guided)[0] for rows in chunks]
        if not guided.calls:
            raise ModelError(f"guided_backprop changes the derivative of ReLU, and {network_name(model)} has none: use gradient.")
        return torch.cat(gradients)


@dataclass(frozen=True)
class DeepLift:
    """Differences of activations from a baseline's, shared out; see `xaudio_gradients.deep_lift`."""

    baseline: Baseline
    seed: int
    internal_batch_size: int | None

    needs = "layers"

    @property
    def promises(self) -> frozenset[str]:
        """What holds of the relevance."""
        return promises_from(self.baseline)

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound | None = None) -> Tensor:
        """Relevance shaped like features (Shrikumar et al. 2017, arXiv 1704.02685, rescale rule).

        Raises
        ------
        ModelError
            If the relevance misses the difference of the logits, because the model has a non-linear operation that the
            rule is not defined for.
        """
        features = features.detach()
        baseline = baseline_features(self.baseline, features, sound, seed=self.seed)
        chunks = blocks(len(features), self.internal_batch_size)
        return torch.cat([_deep_lift(model, features[rows], baseline[rows], target[rows]) for rows in chunks])

    def expected_sum(
        self, model: nn.Module, features: Tensor, target: Tensor, logits: Tensor, *, sound: Sound | None = None
    ) -> Tensor:
        """The difference of the targets' logits from the baseline's, shape (batch,); see `xaudio.types.Explainer`."""
        at_once = self.internal_batch_size
        return difference_from_baseline(self.baseline, model, features, target, logits, sound, seeds=[self.seed], at_once=at_once)


def _deep_lift(model: nn.Module, features: Tensor, baseline: Tensor, target: Tensor) -> Tensor:
    references: list[tuple[str, Tensor]] = []

    def record(name: str, function: Function, value: Tensor) -> Tensor:
        references.append((name, value.clone()))
        return function(value)

    with torch.no_grad(), _Replacing(ELEMENTWISE | MAXIMUM, record):
        reference = model(baseline.clone()).gather(1, target[:, None])[:, 0]
    recorded = iter(references)

    def rescale(name: str, function: Function, value: Tensor) -> Tensor:
        there, other = next(recorded, ("", value))
        if there != name or other.shape != value.shape:
            raise _refusal(model, "it computes other operations for the baseline than for the recording")
        kind = _RescaledMaximum if name in MAXIMUM else _Rescaled
        result: Tensor = kind.apply(value, other, function)  # type: ignore[no-untyped-call]
        return result

    slope, logits = differentiate(model, features, target, _Replacing(ELEMENTWISE | MAXIMUM, rescale))
    relevance = slope * (features - baseline)
    difference = logits.gather(1, target[:, None])[:, 0] - reference
    sums = completeness(relevance, difference, logits)
    if bool((~sums.holds & sums.total.isfinite() & sums.expected.isfinite()).any()):
        row = int(sums.miss.nan_to_num().argmax())
        raise _refusal(
            model,
            f"its relevance would sum to {sums.total[row]:.3g} where the logits differ by {sums.expected[row]:.3g}, since it has "
            "a non-linear operation that the rescale rule is not defined for (softmax, layer normalisation, attention, "
            "recurrence, a product, scripted code)",
        )
    return relevance


def _refusal(model: nn.Module, reason: str) -> ModelError:
    return ModelError(f"deep_lift cannot explain {network_name(model)}: {reason}: use integrated_gradients.")
