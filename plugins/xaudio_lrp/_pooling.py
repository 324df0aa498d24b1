"""Max-pooling: the maximum, the same choice among other values, and the way back to the cells that were chosen."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]
"""A setting along (height, width)."""


class Windows(NamedTuple):
    """The windows of max-pooling over the last two axes: (height, width) of everything."""

    inputs: Pair
    outputs: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool


class MaxPool(Protocol):
    """Max-pooling over the last two axes; among equal cells of a window the first one wins, as in torch."""

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The maximum of every window, and which cell it is."""

    def pick(self, values: Tensor, choice: Tensor) -> Tensor:
        """Of other values of the same cells, those of the cells chosen."""

    def spread(self, relevance: Tensor, choice: Tensor) -> Tensor:
        """Each window's relevance to the cell chosen."""


def max_pool(windows: Windows) -> MaxPool:
    """The fastest way for these windows."""
    pairs = windows.stride == windows.kernel and windows.kernel in ((1, 2), (2, 1))
    whole = all(count * step == cells for count, step, cells in zip(windows.outputs, windows.stride, windows.inputs, strict=True))
    return PairPool(windows) if pairs and whole and windows.padding == (0, 0) else IndexPool(windows)


@dataclass(frozen=True)
class PairPool:
    """Windows of two cells each, none of them shared or left over.

    All first cells of a pair are one tensor and all second cells another (slices of step 2), which are compared and
    chosen from as a whole: in channels-last order on a CPU that takes half the time of indices.
    """

    windows: Windows

    def _cells(self, values: Tensor) -> tuple[Tensor, Tensor]:
        if self.windows.kernel == (1, 2):
            return values[..., 0::2], values[..., 1::2]
        return values[..., 0::2, :], values[..., 1::2, :]

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The larger of each pair, and 1 where that is the first of them, else 0."""
        first, second = self._cells(values)
        largest = torch.maximum(first, second)
        return largest, torch.eq(first, largest, out=torch.empty_like(largest))

    def pick(self, values: Tensor, choice: Tensor) -> Tensor:
        """One of each pair of other values."""
        first, second = self._cells(values)
        return torch.lerp(second, first, choice)  # exact for weights of 0 and 1

    def spread(self, relevance: Tensor, choice: Tensor) -> Tensor:
        """Relevance to one of each pair, 0 to the other."""
        found = _empty(relevance, self.windows.inputs)
        first, second = self._cells(found)
        torch.mul(relevance, choice, out=first)
        torch.sub(relevance, first, out=second)
        return found


@dataclass(frozen=True)
class IndexPool:
    """Windows of any kind, by the indices of the cells chosen."""

    windows: Windows

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The maximum of every window, and its place in the map."""
        _, _, kernel, stride, padding, dilation, ceil_mode = self.windows
        found: tuple[Tensor, Tensor] = functional.max_pool2d(
            values, kernel, stride, padding, dilation, ceil_mode, return_indices=True
        )
        return found

    def pick(self, values: Tensor, choice: Tensor) -> Tensor:
        """Other values at these places."""
        if values.stride(1) != 1:
            return values.flatten(2).gather(2, choice.flatten(2)).reshape(choice.shape)
        height, width = self.windows.outputs
        rows = (tensor.permute(0, 2, 3, 1).flatten(1, 2) for tensor in (values, choice))
        picked: Tensor = next(rows).gather(1, next(rows))
        return picked.reshape(len(picked), height, width, -1).permute(0, 3, 1, 2)

    def spread(self, relevance: Tensor, choice: Tensor) -> Tensor:
        """Relevance to these places; where windows share one, its sum."""
        inputs, _, kernel, stride, padding, dilation, ceil_mode = self.windows
        values = _empty(relevance, inputs)  # only its shape and layout are read
        gradient: Any = torch.ops.aten.max_pool2d_with_indices_backward
        settings = (list(kernel), list(stride), list(padding), list(dilation), ceil_mode)
        found: Tensor = gradient(relevance, values, *settings, choice)
        return found


def _empty(values: Tensor, size: Pair) -> Tensor:
    """A tensor of another height and width, in the same order in memory."""
    layout = torch.channels_last if values.stride(1) == 1 else torch.contiguous_format
    shape = (*values.shape[:2], *size)
    return torch.empty(shape, dtype=values.dtype, device=values.device, memory_format=layout)
