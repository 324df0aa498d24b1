"""What a plan is made of: each step takes activations forward and relevance back."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ._normalisation import per_channel, share
from ._pooling import MaxPool
from ._rules import STABILISER, Product, Rule, side_by_side, stabilised


class Step(Protocol):
    """One step; ``size`` is the shape of one recording that it reads, None for any."""

    size: tuple[int, ...] | None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Outputs, and what the way back needs."""

    def backward(self, relevance: Tensor, kept: Any) -> Tensor:
        """Relevance of the inputs from that of the outputs."""


@dataclass(eq=False)
class WeightedStep:
    """A convolution or linear layer with its rule, and the max-pooling and ReLU behind it.

    Denominators are needed only where a window has its maximum, so they are pooled too; the maximum comes before ReLU,
    with which it commutes.

    Parameters
    ----------
    product : Product
    size : tuple of int
        (channels, height, width) or (features,).
    weight, bias : Tensor
        Of the layer itself.
    rule : Rule
    scale : float
        What the layer's output is multiplied by: the rest of a batch normalisation merged into it.
    pool : MaxPool or None
    relu : bool
    """

    product: Product
    size: tuple[int, ...] | None
    weight: Tensor
    bias: Tensor | None
    rule: Rule
    scale: float = 1.0
    pool: MaxPool | None = None
    relu: bool = False

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Outputs after pooling and ReLU; inputs, denominators and choice of the pooling for the way back."""
        read = inputs
        if self.rule.inputs == "split":
            read = side_by_side([inputs.clamp(min=0), inputs.clamp(max=0)], self.product.groups)
        outputs, denominators = self._products(inputs, read)
        if self.scale != 1:
            outputs = outputs * self.scale
        choice = None
        if self.pool:
            same = denominators[0] is outputs
            outputs, choice = self.pool.forward(outputs)
            denominators = [outputs] if same else [self.pool.pick(values, choice) for values in denominators]
        if self.rule.output == "difference":
            outputs.relu_()
            negative = denominators[0]
            return outputs, (read, [torch.sub(outputs if self.scale == 1 else outputs / self.scale, negative), negative], choice)
        denominators = [self._safe(*pair, outputs) for pair in zip(denominators, self.rule.branches, strict=True)]
        if self.relu:
            outputs.relu_()
        return outputs, (read, denominators, choice)

    def before_pooling(self, relevance: Tensor, kept: Any) -> Tensor:
        """Relevance of the layer's own output, from that of what the step gives."""
        return self.pool.spread(relevance, kept[2]) if self.pool else relevance

    def after_pooling(self, weights: Tensor, kept: Any) -> Tensor:
        """Of weights (batch, channels, *positions) of the layer's own output, those of the cells that the pooling chose."""
        if weights.ndim == 3:
            weights = weights[:, :, None]
        return self.pool.pick(weights, kept[2]) if self.pool else weights

    def _products(self, inputs: Tensor, read: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The layer's output and the output of each branch."""
        rule = self.rule
        if rule.inputs == "ones":
            outputs = self.product.apply(inputs, self.weight, self.bias)
            return outputs, [self._reach.expand_as(outputs)]
        if rule.inputs == "box":
            outputs = self.product.apply(inputs, self.weight, self.bias)
            assert rule.offset is not None  # noqa: S101
            return outputs, [outputs - rule.offset]
        branches = rule.branches[1:] if rule.output == "difference" else rule.branches
        denominators = [self.product.apply(read, branch.weight, branch.bias) for branch in branches]
        if rule.output != "only":
            return self.product.apply(inputs, self.weight, self.bias), denominators
        outputs = denominators[0]
        if rule.offset is not None:
            outputs = outputs + rule.offset.reshape(-1, *[1] * (outputs.ndim - 2))
        return outputs, denominators

    def _safe(self, denominators: Tensor, branch: Any, outputs: Tensor) -> Tensor:
        safe = stabilised(denominators, branch.stabiliser)
        if branch.side:
            other = ~(outputs > 0) if branch.side > 0 else ~(outputs < 0)
            safe.masked_fill_(other, torch.inf)  # so that it passes on nothing
        return safe

    @cached_property
    def _reach(self) -> Tensor:
        """How many inputs each output sees, which is all that the flat rule asks."""
        branch = self.rule.branches[0]
        assert self.size is not None  # noqa: S101
        return self.product.apply(self.weight.new_ones(1, *self.size), branch.weight, branch.bias)

    def backward(self, relevance: Tensor, kept: Any) -> Tensor:
        """Relevance of the inputs."""
        read, denominators, choice = kept
        assert self.size is not None  # noqa: S101
        rule, groups = self.rule, self.product.groups
        parts = {"split": 2, "box": 3}.get(rule.inputs, 1)
        size = (self.size[0] * parts, *self.size[1:])
        total = None
        for branch, denominator in zip(rule.branches, denominators, strict=True):
            share = relevance / denominator
            if self.pool:
                share = self.pool.spread(share, choice)
            back = self.product.transpose(share, branch.back, size)
            total = back if total is None else total.add_(back)
        assert total is not None  # noqa: S101
        if rule.inputs == "ones":
            return total
        if rule.inputs == "box":
            gradient, low, high = _parts(total, groups, 3).unbind(2)
            boxed: Tensor = read * gradient.flatten(1, 2)
            return boxed.add_(low.flatten(1, 2)).add_(high.flatten(1, 2))
        total.mul_(read)
        return _parts(total, groups, 2).sum(2).flatten(1, 2) if parts == 2 else total


def _parts(values: Tensor, groups: int, parts: int) -> Tensor:
    """What `side_by_side` put together, as (batch, groups, parts, channels, ...)."""
    return values.reshape(len(values), groups, parts, -1, *values.shape[2:])


@dataclass(eq=False)
class PoolStep:
    """Max-pooling that does not follow a layer with weights."""

    pool: MaxPool
    size: tuple[int, ...] | None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """The largest of each window, and which it was."""
        return self.pool.forward(inputs)

    def backward(self, relevance: Tensor, kept: Any) -> Tensor:
        """All relevance to the largest."""
        return self.pool.spread(relevance, kept)


@dataclass(eq=False)
class AverageStep:
    """Average pooling, shared out in proportion to the contributions."""

    module: nn.Module
    size: tuple[int, ...] | None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Averages."""
        outputs = self.module(inputs)
        return outputs, (inputs, outputs)

    def backward(self, relevance: Tensor, kept: Any) -> Tensor:
        """Inputs times the gradient of this layer alone."""
        inputs, outputs = kept
        with torch.enable_grad():
            variable = inputs.detach().requires_grad_()
            # The gradient of a sum: given what flows back, torch would import sympy, which takes longer than to explain.
            flowing = (self.module(variable) * (relevance / stabilised(outputs, STABILISER))).sum()
            (gradient,) = torch.autograd.grad(flowing, variable)
        shared: Tensor = inputs * gradient
        return shared


@dataclass(eq=False)
class AffineStep:
    """A batch normalisation that is not merged into the layer before it; it has the epsilon rule."""

    factor: Tensor
    shift: Tensor
    size: tuple[int, ...] | None
    epsilon: float
    absorb: bool

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Outputs; products with the factors and the denominators for the way back."""
        products = inputs * per_channel(self.factor, inputs)
        outputs = products + per_channel(self.shift, inputs)
        return outputs, (products, outputs if self.absorb else products)

    def backward(self, relevance: Tensor, kept: Any) -> Tensor:
        """Relevance in proportion to the products."""
        products, outputs = kept
        return share(relevance, products, outputs, self.epsilon)


@dataclass(eq=False)
class PassStep:
    """A layer that passes relevance on as it is: an activation."""

    module: nn.Module
    size: tuple[int, ...] | None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """What the layer makes of the inputs."""
        return self.module(inputs.clone() if getattr(self.module, "inplace", False) else inputs), None

    def backward(self, relevance: Tensor, kept: Any) -> Tensor:
        """The relevance itself."""
        return relevance
