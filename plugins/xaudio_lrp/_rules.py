"""The rules of layer-wise relevance propagation as modified weights, computed once per layer.

A rule shares out the relevance of each output j of a layer among its inputs i in proportion to contributions z_ij, as
R_i = sum_j z_ij / (z_j + epsilon) R_j. Contributions differ between rules by which part of the weights meets which part
of the inputs, so each rule is a few `Branch`es, each a layer with other weights. Inputs after a ReLU have no negative
part, which saves half of the products; otherwise the positive and the negative part are two sets of input channels.

Rules and conventions are those of zennit, against which the tests hold them.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input

STABILISER = 1e-6
"""Added to the denominators of all rules but epsilon, which has its own."""

FEW = 4
"""So few channels waste most of a CPU's vectors in a strided convolution's way back; a product and a fold do not."""

Inputs = Literal["plain", "split", "ones", "box"]
"""What the weights of the branches meet: the input, its positive and its negative part, ones, or input, low and high."""


@dataclass(frozen=True)
class Product:
    """A convolution over (height, width), or, without a stride, a product of features with a matrix.

    Parameters
    ----------
    stride, dilation : tuple of int or None
    padding : tuple of int
        (left, right, top, bottom).
    """

    stride: tuple[int, int] | None = None
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def apply(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Inputs (batch, channels, ...) times the weight."""
        if self.stride is None:
            return functional.linear(inputs, weight, bias)
        symmetric, inputs = self._padded(inputs)
        return functional.conv2d(inputs, weight, bias, self.stride, symmetric, self.dilation, self.groups)

    def transpose(self, outputs: Tensor, weight: Tensor, size: tuple[int, ...]) -> Tensor:
        """Outputs times the transposed weight; size is the shape of the inputs of one recording."""
        if self.stride is None:
            return outputs @ weight
        left, right, top, bottom = self.padding
        channels, height, width = size
        if self._is_even():
            return self._transposed(outputs, weight, size, (top, left))
        padded = self._transposed(outputs, weight, (channels, height + top + bottom, width + left + right), (0, 0))
        return padded[:, :, top : top + height, left : left + width]

    def _transposed(self, outputs: Tensor, weight: Tensor, size: tuple[int, ...], padding: tuple[int, int]) -> Tensor:
        assert self.stride is not None  # noqa: S101
        if size[0] <= FEW and self.groups == 1 and self.stride != (1, 1) and outputs.device.type == "cpu":
            patches = weight.flatten(1).T @ outputs.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2)
            kernel = (weight.shape[2], weight.shape[3])
            return functional.fold(patches, size[1:], kernel, self.dilation, padding, self.stride)  # type: ignore[arg-type]
        shape = (len(outputs), *size)
        same = weight.to(outputs.dtype)  # autocast leaves this product as it is, and not every processor mixes formats
        found: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
            shape, same, outputs, self.stride, padding, self.dilation, self.groups
        )
        return found

    def _is_even(self) -> bool:
        left, right, top, bottom = self.padding
        return left == right and top == bottom

    def _padded(self, inputs: Tensor) -> tuple[tuple[int, int], Tensor]:
        """Even padding is left to the convolution."""
        left, _, top, _ = self.padding
        return ((top, left), inputs) if self._is_even() else ((0, 0), functional.pad(inputs, self.padding))


class Branch(NamedTuple):
    """A layer with other weights.

    Parameters
    ----------
    weight : Tensor
        For each kind of input in turn along dimension 1.
    bias : Tensor or None
        Where ``stabiliser`` is 0 it holds the stabiliser already.
    back : Tensor
        The weight times this branch's share of the relevance, for the way back.
    stabiliser : float
        Added to the output away from 0.
    side : int
        1 or -1 if it has the relevance of positive or negative outputs only, else 0.
    """

    weight: Tensor
    bias: Tensor | None
    back: Tensor
    stabiliser: float = STABILISER
    side: int = 0


class Rule(NamedTuple):
    """How a layer shares out relevance.

    Parameters
    ----------
    inputs : str
        See `Inputs`.
    branches : tuple of Branch
    output : {"own", "only", "difference"}
        Whether the layer's output takes a product of its own or is that of the only branch; "difference" is a product
        of its own that saves one of two branches: where relevance is, the first's is the output less the second's.
    offset : Tensor or None
        A bias that the branches ignore and the output has; for "box", what the denominator is less than the output.
    """

    inputs: Inputs
    branches: tuple[Branch, ...]
    output: Literal["own", "only", "difference"]
    offset: Tensor | None = None


class Situation(NamedTuple):
    """What a rule may rely on: that no input is negative, and that outputs below 0 have no relevance."""

    positive_inputs: bool
    positive_outputs: bool


def make_rule(
    name: str, weight: Tensor, bias: Tensor | None, situation: Situation, *, epsilon: float, gamma: float, absorb: bool
) -> Rule:
    """A rule for a layer, by name, but for "box" (see `box_rule`)."""
    given = bias if absorb else None
    if name == "epsilon":
        return Rule("plain", (Branch(weight, given, weight, epsilon),), "only", None if absorb else bias)
    share = weight.new_zeros(len(weight)) if given is None else given
    if name == "flat":
        ones = torch.ones_like(weight)
        return Rule("ones", (Branch(ones, torch.full_like(share, STABILISER), ones, 0),), "own")

    def weights(of_positive: Tensor, of_negative: Tensor) -> Tensor:
        return of_positive if situation.positive_inputs else torch.cat([of_positive, of_negative], 1)

    inputs: Inputs = "plain" if situation.positive_inputs else "split"
    low, high = weight.clamp(max=0), weight.clamp(min=0)
    below, above = share.clamp(max=0), share.clamp(min=0)
    # Sums of terms that are never negative (or never positive) are moved away from 0 by their bias.
    if name == "plus":
        raised = weights(high, low)
        return Rule(inputs, (Branch(raised, above + STABILISER, raised, 0),), "own")
    if name == "alpha2_beta1":
        raised, lowered = weights(high, low), weights(low, high)
        positive = Branch(raised, above + STABILISER, 2 * raised, 0)
        negative = Branch(lowered, below - STABILISER, -lowered, 0)
        # An output above 0 and what counts against it add up without cancelling; the stabiliser of the one serves both.
        difference = situation.positive_outputs and (absorb or bias is None)
        return Rule(inputs, (positive, negative), "difference" if difference else "own")
    if name == "gamma":
        raised = weights(weight + gamma * high, weight + gamma * low)
        if situation.positive_outputs:
            return Rule(inputs, (Branch(raised, share + gamma * above, raised),), "own")
        lowered = weights(weight + gamma * low, weight + gamma * high)
        positive = Branch(raised, share + gamma * above, raised, side=1)
        negative = Branch(lowered, share + gamma * below, lowered, side=-1)
        return Rule(inputs, (positive, negative), "own")
    raise ValueError(name)


def box_rule(product: Product, weight: Tensor, bias: Tensor | None, size: tuple[int, ...], low: float, high: float) -> Rule:
    """The z-box rule for inputs of a shape; what low and high contribute is the same for all recordings."""
    negative, positive = weight.clamp(max=0), weight.clamp(min=0)
    ones = weight.new_ones(1, *size)
    offset = product.apply(ones * low, positive, None) + product.apply(ones * high, negative, None)
    if bias is not None:
        offset = offset + bias.reshape(1, -1, *[1] * (offset.ndim - 2))
    back = torch.cat([weight, -low * positive, -high * negative], 1)
    return Rule("box", (Branch(weight, bias, back),), "own", offset)


def stabilised(values: Tensor, stabiliser: float) -> Tensor:
    """Values moved away from 0; 0 itself counts as positive."""
    if stabiliser == 0:
        return values
    return values + torch.copysign(values.new_tensor(stabiliser), values)


def side_by_side(parts: list[Tensor], groups: int) -> Tensor:
    """Several inputs (batch, channels, ...) as one, in which each group of channels holds its part of each of them."""
    if groups == 1:
        return torch.cat(parts, 1)
    grouped = [part.reshape(len(part), groups, -1, *part.shape[2:]) for part in parts]
    return torch.stack(grouped, 2).flatten(1, 3)
