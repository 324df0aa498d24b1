"""Work in batches that become smaller when memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import DeviceError, ModelError, XaudioWarning
from ..output.memory import out_of_memory
from ..output.terminal import passes_of


def in_batches(function: Callable[..., Tensor], *tensors: Tensor, size: int) -> Tensor:
    """What a function gives for tensors that it gets slice by slice along their first dimension, joined in order.

    When memory runs out, the size is halved and the work goes on with the slice that failed.

    Parameters
    ----------
    function : callable
        Takes a slice of each tensor and returns a tensor whose first dimension is that of the slices. Its result for a
        row must not depend on the other rows.
    *tensors : Tensor, shape (n, ...)
        At least one, all of the same length. If there is no row, the function is called once with none.
    size : int
        Rows at once.

    Returns
    -------
    Tensor, shape (n, ...)

    Warns
    -----
    XaudioWarning
        Once per call, at the first halving.

    Raises
    ------
    ModelError
        If the size is below 1 or the tensors differ in length.
    DeviceError
        If memory runs out with a single row.
    """
    lengths = [len(tensor) for tensor in tensors]
    if size < 1 or len(set(lengths)) != 1:
        raise ModelError(f"in_batches needs a size of 1 or more, and tensors of one length; got {size}, and lengths {lengths}.")
    results: list[Tensor] = []
    start, warned, reached = 0, False, passes_of(lengths[0])
    while start < lengths[0] or not results:
        part = [tensor[start : start + size] for tensor in tensors]
        result = _attempt(function, part)
        if result is None:
            size = len(part[0]) // 2
            if not warned:
                warnings.warn(f"Memory ran out with {len(part[0])} at once; going on with {size}.", XaudioWarning, stacklevel=2)
            warned = True
        else:
            results.append(result)
            start += size
            reached(start)
    return torch.cat(results)


def _attempt(function: Callable[..., Tensor], part: Sequence[Tensor]) -> Tensor | None:
    """The function's result, or None if memory ran out; then what it had taken is free again."""
    try:
        return function(*part)
    except Exception as error:
        if not out_of_memory(error):
            raise
        if len(part[0]) <= 1:
            raise DeviceError("Memory ran out with a single input: free some, or choose another device.") from error
    # Behind the handler: the error is gone, and with it the frames that held the function's tensors.
    torch.cuda.empty_cache()  # does nothing where there is no GPU
    return None
