"""From the layers of a model to the steps of a plan."""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ._chain import Chain, Leaf, UnknownChainError
from ._normalisation import affine
from ._plan import Method, Place, Plan, Source
from ._pooling import MaxPool, Windows, max_pool
from ._rules import Product, Rule, Situation, box_rule, make_rule
from ._steps import AffineStep, AverageStep, PassStep, PoolStep, Step, WeightedStep

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""How far the plan's logits may be from the model's, relative to the largest."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
WEIGHTED = (*CONVOLUTIONS, nn.Linear)
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)
IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
SHAPES = (nn.Flatten, nn.Unflatten, *IDENTITIES)
POSITIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid)
SIGNED = (nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Softplus, nn.Hardtanh, nn.Softsign, nn.Mish)


class PlanBuilder:
    """Builds the plan of a recorded chain of layers.

    Attributes
    ----------
    plan : Plan
    sources : list of Source
        The tensors it depends on.

    Raises
    ------
    UnknownChainError
        If there is a layer that it does not know, or the plan's logits are not the model's.
    """

    def __init__(self, chain: Chain, method: Method) -> None:
        if chain.features.dtype not in TOLERANCE:
            raise UnknownChainError(f"its features are {chain.features.dtype}; expected float32 or float64")
        self.method = method
        self.sources: list[Source] = []
        self.positive = False
        self.first = True
        self.remainder = 0.0
        self.layers: dict[str, Place] = {}
        self.modules = dict(chain.model.named_modules())
        leaves = [leaf for leaf in chain.leaves if type(leaf.module) not in IDENTITIES]
        pairs = pairwise(leaves)
        self.merged = {after.name for before, after in pairs if _merges(before, after)}
        with torch.no_grad():
            steps = self._steps([leaf for leaf in chain.leaves if type(leaf.module) not in SHAPES])
        last = max((place for place, step in enumerate(steps) if _reads_maps(step)), default=-1)
        cells = max(math.prod(size) for leaf in chain.leaves for size in (leaf.inputs, leaf.outputs))
        self.plan = Plan(tuple(steps), last + 1, cells, exact=self.remainder == 0, layers=self.layers)
        logits = self.plan.logits(chain.features)
        difference, largest = (logits - chain.logits).abs().max(), chain.logits.abs().max()
        tolerance = TOLERANCE[logits.dtype] + 10 * self.remainder
        if logits.shape != chain.logits.shape or not difference <= tolerance * largest:
            raise UnknownChainError(f"its layers alone give other logits, by up to {float(difference):.3g}")

    def _steps(self, leaves: list[Leaf]) -> list[Step]:
        steps: list[Step] = []
        while leaves:
            leaf, leaves = leaves[0], leaves[1:]
            kind = type(leaf.module)
            if kind in WEIGHTED:
                step, leaves = self._weighted(leaf, leaves)
                self.layers[leaf.name] = Place(len(steps), leaf.outputs)
                steps.append(step)
                self.positive = step.relu
            elif kind in MAX_POOLS:
                steps.append(PoolStep(_max_pool(leaf), _size(leaf)))
            elif kind in AVERAGES:
                steps.append(AverageStep(_average(leaf.module), _size(leaf)))
            elif kind in NORMALISATIONS:
                self._use(leaf, "weight", "bias", "running_mean", "running_var", copy=True)
                steps.append(AffineStep(*affine(leaf.module), leaf.inputs, self.method.epsilon, self.method.absorb))
                self.positive = False
            elif kind in POSITIVE or kind in SIGNED:
                steps.append(PassStep(leaf.module, None))
                self.positive = kind in POSITIVE
            else:
                raise UnknownChainError(f"layer {leaf.name!r} is a {kind.__name__}, for which it has no rule")
        if self.first:
            raise UnknownChainError("it has no convolution or linear layer")
        return steps

    def _weighted(self, leaf: Leaf, rest: list[Leaf]) -> tuple[WeightedStep, list[Leaf]]:
        """A step for a layer and as many of the following ones as can be taken together with it."""
        product, size = _product(leaf), _size(leaf)
        name = self._rule_name(leaf)
        scale = 1.0
        weight: Tensor | None
        bias: Tensor | None
        normalised = rest[0] if rest and rest[0].name in self.merged else None
        if normalised is not None:
            weight, bias, scale = self._merged(leaf, normalised)
            rest = rest[1:]
        else:
            # The epsilon rule of a linear layer works with the weights as they are, so that these need not be copied.
            live = name == "epsilon" and type(leaf.module) is nn.Linear
            weight, bias = self._use(leaf, "weight", "bias", copy=not live)
        assert weight is not None  # noqa: S101
        weight = _as_2d(weight)
        pool, relu, rest = _followers(leaf, rest)
        # Layers multiply relevance by their input, so behind a ReLU what is not positive has none; a batch
        # normalisation or another activation in between would pass it on to where the input is 0.
        situation = Situation(self.positive, relu and _multiplied(rest))
        rule = self._rule(name, product, size, weight, bias, situation)
        return WeightedStep(product, size, weight, bias, rule, scale, pool, relu), rest

    def _rule_name(self, leaf: Leaf) -> str:
        convolution = type(leaf.module) in CONVOLUTIONS
        name = self.method.convolution if convolution else self.method.linear
        if self.first and self.method.first:
            name = self.method.first
        self.first = False
        return name

    def _rule(
        self, name: str, product: Product, size: tuple[int, ...], weight: Tensor, bias: Tensor | None, situation: Situation
    ) -> Rule:
        method = self.method
        if name == "box":
            assert method.low is not None and method.high is not None  # noqa: PT018, S101
            rule = box_rule(product, weight, bias, size, method.low, method.high)
        else:
            rule = make_rule(name, weight, bias, situation, epsilon=method.epsilon, gamma=method.gamma, absorb=method.absorb)
        branches = (branch._replace(weight=_as_2d(branch.weight), back=_as_2d(branch.back)) for branch in rule.branches)
        return rule._replace(branches=tuple(branches))

    def _use(self, leaf: Leaf, *attributes: str, copy: bool) -> list[Tensor | None]:
        """Tensors of a layer, or copies of them, noting that the plan depends on them."""
        tensors: list[Tensor | None] = []
        for attribute in attributes:
            tensor = getattr(leaf.module, attribute)
            if tensor is not None:
                tensor = tensor.detach()
            own = tensor.clone() if copy and tensor is not None else None
            module = self.modules[leaf.name]
            if tensor is None or _holds(module, attribute, tensor):
                self.sources.append(Source(leaf.name, attribute, tensor, own))
            else:
                self.sources += _origins(leaf.name, module, attribute)
            tensors.append(tensor if own is None else own)
        return tensors

    def _merged(self, leaf: Leaf, normalised: Leaf) -> tuple[Tensor, Tensor, float]:
        """Weight and bias of a layer with the batch normalisation behind it, and the scale that is left of it.

        As zennit does: what is left normalises a variance of 1, to which it still adds its epsilon.
        """
        weight, bias = self._use(leaf, "weight", "bias", copy=True)
        gain, shift, mean, variance = self._use(normalised, "weight", "bias", "running_mean", "running_var", copy=True)
        assert weight is not None  # noqa: S101
        epsilon = float(normalised.module.eps)  # type: ignore[arg-type]
        self.remainder += epsilon
        factor = (1 if gain is None else gain) / (variance + epsilon) ** 0.5  # type: ignore[operator]
        bias = ((0 if bias is None else bias) - mean) * factor + (0 if shift is None else shift)  # type: ignore[operator]
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1)), bias, float((1 + epsilon) ** -0.5)


def _merges(before: Leaf, after: Leaf) -> bool:
    """Whether a batch normalisation directly follows a layer, whose rows are its channels."""
    kinds = type(before.module) in WEIGHTED and type(after.module) in NORMALISATIONS
    rows = type(before.module) in CONVOLUTIONS or len(before.outputs) == 1
    return kinds and rows and before.outputs == after.inputs


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The tensors that a module itself holds, by name."""
    held = {**vars(module), **module._buffers, **module._parameters}
    return {name: value for name, value in held.items() if isinstance(value, Tensor)}


def _holds(module: nn.Module, attribute: str, tensor: Tensor) -> bool:
    """Whether a module holds this tensor, rather than what another is computed from."""
    held = _tensors(module).get(attribute)
    return held is not None and held.data_ptr() == tensor.data_ptr()


def _origins(name: str, module: nn.Module, attribute: str) -> list[Source]:
    """All tensors that a weight may be computed from: those of its layer and of the modules in it."""
    return [
        Source(".".join(filter(None, (name, path))), other, tensor.detach(), tensor.detach().clone())
        for path, part in module.named_modules()
        for other, tensor in _tensors(part).items()
        if other != attribute
    ]


def _reads_maps(step: Step) -> bool:
    """Whether a step is a convolution or pooling: reads more than a row of features."""
    return step.size is not None and len(step.size) > 1


def _followers(leaf: Leaf, rest: list[Leaf]) -> tuple[MaxPool | None, bool, list[Leaf]]:
    """Max-pooling and ReLU behind a layer, in either order, and what comes after them."""
    kinds = [type(other.module) for other in rest[:2]] + [None, None]
    relu_first = kinds[0] is nn.ReLU and kinds[1] in MAX_POOLS and _multiplied(rest[2:])
    place = 1 if relu_first else 0
    pools = type(leaf.module) in CONVOLUTIONS and kinds[place] in MAX_POOLS and _size(rest[place]) == _as_2d_size(leaf.outputs)
    if pools:
        relu = relu_first or kinds[1] is nn.ReLU
        return _max_pool(rest[place]), relu, rest[1 + relu :]
    relu = kinds[0] is nn.ReLU
    return None, relu, rest[relu:]


def _multiplied(rest: list[Leaf]) -> bool:
    """Whether relevance is multiplied by these values before anything else than pooling and ReLU happens to them."""
    following = (type(leaf.module) for leaf in rest)
    after = next((kind for kind in following if kind is not nn.ReLU and kind not in MAX_POOLS), None)
    return after is None or after in WEIGHTED or after in AVERAGES


def _size(leaf: Leaf) -> tuple[int, ...]:
    """The shape that a step reads: (channels, height, width) or (features,)."""
    if type(leaf.module) is nn.Linear:
        if len(leaf.inputs) != 1:
            raise UnknownChainError(f"layer {leaf.name!r} reads {len(leaf.inputs)} dimensions of each recording; expected 1")
        return leaf.inputs
    return _as_2d_size(leaf.inputs)


def _as_2d_size(size: tuple[int, ...]) -> tuple[int, ...]:
    return (size[0], 1, size[1]) if len(size) == 2 else size


def _as_2d(weight: Tensor) -> Tensor:
    """Weights of a convolution over one axis as those of one over images of height 1, in channels-last order on a CPU."""
    if weight.ndim == 2:
        return weight
    weight = weight[:, :, None] if weight.ndim == 3 else weight
    return weight.contiguous(memory_format=torch.channels_last) if weight.device.type == "cpu" else weight


def _pair(values: Any, one_axis: bool, across: int) -> tuple[int, int]:
    """A setting along (height, width); across is its value along a height of 1."""
    values = tuple(values) if isinstance(values, tuple | list) else (values,) * (1 if one_axis else 2)
    return (across, values[0]) if one_axis else values


def _product(leaf: Leaf) -> Product:
    module = leaf.module
    if isinstance(module, nn.Linear):
        return Product()
    assert isinstance(module, nn.Conv1d | nn.Conv2d)  # noqa: S101
    if module.padding_mode != "zeros":
        raise UnknownChainError(f"layer {leaf.name!r} pads by {module.padding_mode!r}; expected zeros")
    one_axis = isinstance(module, nn.Conv1d)
    kernel, stride, dilation = (_pair(values, one_axis, 1) for values in (module.kernel_size, module.stride, module.dilation))
    if module.padding == "same":
        missing = [reach * (length - 1) for reach, length in zip(dilation, kernel, strict=True)]
        (top, left), (bottom, right) = ([part // 2 for part in missing], [part - part // 2 for part in missing])
    else:
        top, left = bottom, right = (0, 0) if module.padding == "valid" else _pair(module.padding, one_axis, 0)
    return Product(stride, (left, right, top, bottom), dilation, module.groups)


def _max_pool(leaf: Leaf) -> MaxPool:
    module: Any = leaf.module
    one_axis = isinstance(module, nn.MaxPool1d)
    if len(leaf.inputs) != (2 if one_axis else 3):
        raise UnknownChainError(f"layer {leaf.name!r} reads {len(leaf.inputs)} dimensions of each recording")
    kernel, stride, dilation = (_pair(values, one_axis, 1) for values in (module.kernel_size, module.stride, module.dilation))
    padding = _pair(module.padding, one_axis, 0)
    inputs, outputs = _as_2d_size(leaf.inputs)[1:], _as_2d_size(leaf.outputs)[1:]
    return max_pool(Windows(inputs, outputs, kernel, stride, padding, dilation, module.ceil_mode))  # type: ignore[arg-type]


def _average(module: Any) -> nn.Module:
    """Average pooling over (height, width)."""
    if isinstance(module, nn.AdaptiveAvgPool1d):
        size = module.output_size
        return nn.AdaptiveAvgPool2d((1, size[0] if isinstance(size, tuple) else size))
    if isinstance(module, nn.AvgPool1d):
        kernel, stride = _pair(module.kernel_size, True, 1), _pair(module.stride, True, 1)
        return nn.AvgPool2d(kernel, stride, _pair(module.padding, True, 0), module.ceil_mode, module.count_include_pad)
    pool: nn.Module = module
    return pool
