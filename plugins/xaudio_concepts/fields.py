"""Receptive fields: the cells of the features that a position of a layer can depend on, followed back layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import IntArray, Model, evaluation_mode

Cells = tuple[IntArray, ...]
"""Which cells along each axis, ascending: those of convolution and pooling are all their combinations."""

Back = Callable[[Cells], Cells]
"""From cells of a layer's output to those of its input that they depend on."""

WINDOWS = (
    *(nn.Conv1d, nn.Conv2d, nn.MaxPool1d, nn.MaxPool2d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.LPPool1d, nn.LPPool2d),
)
ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
POINTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh),
    *(nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Threshold),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout),
)


@dataclass(frozen=True)
class ReceptiveFields:
    """The receptive fields of all positions of a layer.

    Parameters
    ----------
    sizes : tuple of int
        Cells of the features along each axis.
    positions : tuple of int
        Positions of the layer along each of its axes; none for a layer of units.
    back : tuple of callable
        From the layer to the features.
    unknown : str
        Why the fields are not known, so that each is taken to be everything; "" if they are.
    """

    sizes: tuple[int, ...]
    positions: tuple[int, ...]
    back: tuple[Back, ...]
    unknown: str = ""

    def at(self, position: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """First and last cell along each axis of the features that a position of the layer can depend on.

        A position that sees nothing but padding gets all cells.
        """
        cells: Cells = tuple(np.array([place]) for place in position)
        for back in () if self.unknown else self.back:
            cells = back(cells)
        if self.unknown or any(not len(span) for span in cells):
            return tuple((0, size - 1) for size in self.sizes)
        return tuple((int(span[0]), int(span[-1])) for span in cells)


class _Ran(NamedTuple):
    """A module as it ran, with the versions of its tensors: writing to one in place counts it up."""

    name: str
    module: nn.Module
    inputs: Tensor
    read: int
    outputs: Tensor
    written: int


class _LostError(Exception):
    """The way back to the features is not known."""


def receptive_fields(model: Model, layer: str) -> ReceptiveFields:
    """The receptive fields of a layer, in cells of what the network reads.

    They are exact where convolutions, pooling, flattening, linear layers and what works on each value by itself run one after the
    other as modules, with at most changes of shape in between.

    Parameters
    ----------
    model : Model
    layer : str
        As in ``network.named_modules()``.
    """
    read = model.representation
    with torch.no_grad(), evaluation_mode(model.network):
        features = model.features(torch.zeros(1, read.samples, device=model.device)).clone()
        start = _Ran("", nn.Identity(), features, features._version, features, features._version)
        ran = _ran(model, features, layer)
    sizes = tuple(features.shape[2:])
    positions = tuple(channels_first(ran[-1].module, ran[-1].outputs).shape[2:])
    back: list[Back] = []
    try:
        for before, one in zip([start, *ran], ran, strict=False):
            back += [_link(before, one), _through(one)]
    except _LostError as error:
        return ReceptiveFields(sizes, positions, (), str(error))
    return ReceptiveFields(sizes, positions, tuple(back[::-1]))


def channels_first(layer: nn.Module, values: Tensor) -> Tensor:
    """Values shaped like a layer's output as (batch, channels, *positions): linear layers have their channels last."""
    return values.movedim(-1, 1) if isinstance(layer, nn.Linear) else values


def _ran(model: Model, features: Tensor, layer: str) -> list[_Ran]:
    """The modules without children in the order in which they ran, up to the layer."""
    ran: list[_Ran] = []
    begun: dict[nn.Module, tuple[Tensor, int]] = {}
    names = {module: name for name, module in model.network.named_modules()}
    leaves = [module for module in names if not any(True for _ in module.children())]

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            begun[module] = (inputs[0], inputs[0]._version)

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module in begun and isinstance(output, Tensor) and not (ran and ran[-1].name == layer):
            ran.append(_Ran(names[module], module, *begun[module], output, output._version))

    handles = [leaf.register_forward_pre_hook(enter) for leaf in leaves]
    handles += [leaf.register_forward_hook(leave) for leaf in leaves]
    try:
        model.logits(features)
    finally:
        for handle in handles:
            handle.remove()
    return ran


def _link(before: _Ran, after: _Ran) -> Back:
    """From what a module reads to the output of the module before it, if that is the same memory."""
    one, other = before.outputs, after.inputs
    same = one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() and one.numel() == other.numel()
    if not same or before.written != after.read:
        raise _LostError(f"the layer {after.name!r} reads something else than the output of the module before it")
    kept, others = ([axis for axis in range(1, tensor.ndim) if tensor.shape[axis] > 1] for tensor in (one, other))
    sizes = tuple(one.shape[2:])
    if [(one.shape[axis], one.stride(axis)) for axis in kept] != [(other.shape[axis], other.stride(axis)) for axis in others]:
        return partial(_everything, sizes=sizes)
    place = dict(zip(kept, others, strict=True))
    return partial(_moved, axes=tuple(place.get(axis, 1) for axis in range(2, one.ndim)), sizes=sizes)


def _through(ran: _Ran) -> Back:
    """From the output of a module to its input."""
    module: Any = ran.module
    sizes, out_sizes = tuple(ran.inputs.shape[2:]), tuple(ran.outputs.shape[2:])
    if isinstance(module, POINTWISE):
        return _unchanged
    if isinstance(module, nn.Flatten | nn.Unflatten) or (isinstance(module, nn.Linear) and ran.outputs.ndim == 2):
        return partial(_everything, sizes=sizes)
    if isinstance(module, ADAPTIVE):
        return partial(_shared_out, sizes=sizes, out_sizes=out_sizes)
    if isinstance(module, WINDOWS) and getattr(module, "padding_mode", "zeros") == "zeros":
        count = len(sizes)
        kernel, dilation = _each(module.kernel_size, count), _each(getattr(module, "dilation", 1), count)
        padding = getattr(module, "padding", 0)
        if padding == "same":
            padding = tuple(reach * (length - 1) // 2 for reach, length in zip(dilation, kernel, strict=True))
        stride = _each(module.stride if module.stride is not None else kernel, count)
        before = _each(0 if padding == "valid" else padding, count)
        return partial(_windows, kernel=kernel, stride=stride, padding=before, dilation=dilation, sizes=sizes)
    raise _LostError(f"of the layer {ran.name!r}, a {type(module).__name__}, it is not known which cells its output depends on")


def _each(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (int(value),) * count


def _unchanged(cells: Cells) -> Cells:
    return cells


def _everything(cells: Cells, *, sizes: tuple[int, ...]) -> Cells:
    del cells
    return tuple(np.arange(size) for size in sizes)


def _moved(cells: Cells, *, axes: tuple[int, ...], sizes: tuple[int, ...]) -> Cells:
    """Cells along other axes; all of an axis that became that of the channels (a layer reads all of those) or has one cell."""
    return tuple(np.arange(size) if axis == 1 else cells[axis - 2] for axis, size in zip(axes, sizes, strict=True))


def _windows(
    cells: Cells,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    sizes: tuple[int, ...],
) -> Cells:
    """Output i reads the cells i stride - padding + j dilation for j below the kernel's length, without the padding."""
    windows = []
    for outputs, length, step, before, reach, size in zip(cells, kernel, stride, padding, dilation, sizes, strict=True):
        read = np.unique(outputs[:, None] * step - before + reach * np.arange(length))
        windows.append(read[(read >= 0) & (read < size)])
    return tuple(windows)


def _shared_out(cells: Cells, *, sizes: tuple[int, ...], out_sizes: tuple[int, ...]) -> Cells:
    """Adaptive pooling: output i of m reads the cells from floor(i n / m) to ceil((i + 1) n / m) - 1."""
    return tuple(
        np.unique(np.concatenate([np.arange(i * size // count, -(-(i + 1) * size // count)) for i in places]))
        for places, size, count in zip(cells, sizes, out_sizes, strict=True)
    )
