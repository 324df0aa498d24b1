"""When the frames of an answer are: measured by what of the features each of them depends on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..types import Axis

TRIES = 3
"""Frames whose reach is looked at on each side of the middle."""


def frame_axis(network: nn.Module, features: Tensor, axes: tuple[Axis, ...], seconds: float) -> Axis:
    """Where each frame of a network's answer lies, in seconds of its window.

    A frame lies in the middle of the features that its scores depend on. Where every frame depends on all of them (a
    recurrent layer, attention), and where the network has no gradient, the frames are taken as evenly spread.

    Parameters
    ----------
    network : nn.Module
        Features to scores (batch, frames, outputs).
    features : Tensor, shape ``(1, channels, *axes)``
        Of an example.
    axes : tuple of Axis
        Of the features.
    seconds : float
        Length of the window.
    """
    place = next((index for index, axis in enumerate(axes) if axis.name == "time"), None)
    with torch.no_grad():
        count = network(features.clone()).shape[1]
    centres = (np.arange(count) + 0.5) * seconds / count
    if place is not None and count > 1:
        measured = _measured(network, features, place, count, axes[place].centres)
        centres = centres if measured is None else measured
    return Axis("time", "s", centres)


def _measured(network: nn.Module, features: Tensor, place: int, count: int, times: np.ndarray) -> np.ndarray | None:  # type: ignore[type-arg]
    """Centres of frames, on the line through those whose reach does not end with the window; None if there are not two."""
    looked = np.unique(np.linspace(0, count - 1, min(count, 4 * TRIES + 1)).astype(int))
    reaches = {int(frame): _reach(network, features, place, int(frame)) for frame in looked}
    inner = {frame: reach for frame, reach in reaches.items() if reach and reach[0] > 0 and reach[1] < len(times) - 1}
    if len(inner) < 2:
        return None
    # The widest reach is that of all: where an activation is 0, a frame seems to depend on less.
    width = max(stop - start for start, stop in inner.values())
    full = {frame: (start + stop) / 2 for frame, (start, stop) in inner.items() if stop - start == width}
    if len(full) < 2:
        full = {frame: (start + stop) / 2 for frame, (start, stop) in inner.items()}
    slope, first = np.polyfit(list(full), list(full.values()), 1)
    cells = first + slope * np.arange(count)
    step = float(times[-1] - times[0]) / max(len(times) - 1, 1)
    return np.asarray(times[0] + step * np.round(cells, 6))


def _reach(network: nn.Module, features: Tensor, place: int, frame: int) -> tuple[int, int] | None:
    """First and last cell in time that a frame depends on; None where nothing can be said."""
    try:
        with torch.enable_grad():
            entered = features.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(network(entered.clone())[:, frame].sum(), entered)
    except RuntimeError:
        return None
    along = gradient.abs().transpose(2 + place, -1).flatten(0, -2).sum(0)
    cells = torch.nonzero(along)[:, 0]
    return (int(cells[0]), int(cells[-1])) if len(cells) else None
