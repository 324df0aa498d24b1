"""Max-pooling as a few steps over whole tensors: the maximum, who it was, and the way back."""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

Slices = tuple[slice, ...]


@dataclass(frozen=True)
class MaxPool:
    """Max-pooling over the last two axes.

    The n-th cells of all windows are one tensor each (a slice with the stride as its step), which is compared, chosen
    from and written to as a whole: on a CPU and in channels-last order that is several times faster than indices, and
    the same on every run. Among equal cells of a window the first one wins, as in torch.

    Parameters
    ----------
    inputs, outputs : tuple of int
        (height, width) before and after.
    taps : tuple of (outputs, inputs)
        For each place in the window, in order: the windows that have a cell there, and those cells.
    whole : tuple of bool
        For each place, whether all windows have a cell there.
    overwrite : tuple of bool or None
        For each place, whether its cells belong to no earlier place; None if that differs between its cells, or if some
        cell belongs to no window.
    """

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    taps: tuple[tuple[Slices, Slices], ...]
    whole: tuple[bool, ...]
    overwrite: tuple[bool, ...] | None

    @classmethod
    def create(
        cls,
        inputs: tuple[int, int],
        outputs: tuple[int, int],
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> "MaxPool":
        """The places of every window; all pairs are (height, width)."""
        axes = [
            [_tap(*sizes, place) for place in range(kernel[axis])]
            for axis, sizes in enumerate(zip(inputs, outputs, stride, padding, dilation, strict=True))
        ]
        taps = tuple(
            ((..., rows[0], columns[0]), (..., rows[1], columns[1]))
            for rows, columns in product(*axes)
            if rows is not None and columns is not None
        )
        everywhere = (..., slice(0, outputs[0]), slice(0, outputs[1]))
        whole = tuple(windows == everywhere for windows, _ in taps)
        return cls(inputs, outputs, taps, whole, _overwrite(inputs, [cells for _, cells in taps]))

    def forward(self, values: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The maximum of every window, and for every place but the last 1 where the cell is the maximum, else 0."""
        if all(self.whole[:2]) and len(self.taps) > 1:
            largest = torch.maximum(values[self.taps[0][1]], values[self.taps[1][1]])
            others = self.taps[2:]
        else:
            largest = _like(values, self.outputs).fill_(-torch.inf)
            others = self.taps
        for windows, cells in others:
            part = largest[windows]
            torch.maximum(part, values[cells], out=part)
        marks = []
        for windows, cells in self.taps[:-1]:
            part = largest[windows]
            marks.append(torch.eq(values[cells], part, out=torch.empty_like(part)))
        return largest, marks

    def pick(self, values: Tensor, marks: list[Tensor]) -> Tensor:
        """Of other values of the same cells, those of the cells that won."""
        earlier = list(zip(self.taps[:-1], marks, strict=True))
        last_windows, last_cells = self.taps[-1]
        if all(self.whole[-2:]) and earlier:
            (_, cells), mark = earlier.pop()
            picked = torch.lerp(values[last_cells], values[cells], mark)  # exact for weights of 0 and 1
        else:
            picked = _like(values, self.outputs)
            if not self.whole[-1]:
                picked.fill_(1)  # where the last place is beyond the edge, an earlier one has won and overwrites this
            picked[last_windows] = values[last_cells]
        for (windows, cells), mark in reversed(earlier):
            part = picked[windows]
            torch.lerp(part, values[cells], mark, out=part)
        return picked

    def spread(self, relevance: Tensor, marks: list[Tensor]) -> Tensor:
        """Each window's relevance to the cell that won. Consumes the relevance."""
        found = _like(relevance, self.inputs)
        if self.overwrite is None:
            found.zero_()
        places = zip(self.taps, [*marks, None], self.overwrite or [False] * len(self.taps), strict=True)
        for (windows, cells), mark, overwrite in places:
            left, into = relevance[windows], found[cells]
            if mark is None:
                into.copy_(left) if overwrite else into.add_(left)
            elif overwrite:
                left -= torch.mul(left, mark, out=into)
            else:
                share = left * mark
                into += share
                left -= share
        return found


def _like(values: Tensor, size: tuple[int, int]) -> Tensor:
    layout = torch.channels_last if values.stride(1) == 1 else torch.contiguous_format
    return torch.empty(*values.shape[:2], *size, dtype=values.dtype, device=values.device, memory_format=layout)


def _tap(inputs: int, outputs: int, stride: int, padding: int, dilation: int, place: int) -> tuple[slice, slice] | None:
    """Windows with a cell at a place, and these cells, along one axis."""
    offset = place * dilation - padding
    first = max(0, -(offset // stride))
    stop = min(outputs, (inputs - 1 - offset) // stride + 1)
    if first >= stop:
        return None
    return slice(first, stop), slice(first * stride + offset, (stop - 1) * stride + offset + 1, stride)


def _overwrite(inputs: tuple[int, int], cells: list[Slices]) -> tuple[bool, ...] | None:
    """Which places meet their cells for the first time, if all or none of a place's cells are new and none is left out."""
    seen = torch.zeros(inputs, dtype=torch.bool)
    first = []
    for place in cells:
        before = seen[place]
        if bool(before.any()) and not bool(before.all()):
            return None
        first.append(not bool(before.any()))
        seen[place] = True
    return tuple(first) if bool(seen.all()) else None
