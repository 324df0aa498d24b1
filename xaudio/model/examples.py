"""Labelled recordings on a device, placed batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..sound.preparation import place
from ..sound.rules import PlacedClips
from ..types import IntArray

EVALUATION_BATCH = 50


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled recordings on the device, ready to be placed.

    Parameters
    ----------
    waveforms : Tensor, shape (recordings, samples) or (recordings, channels, samples)
        See `Prepared`.
    lengths, offsets : Tensor of int64, shape (recordings,)
    labels : Tensor of int64, shape (recordings,), or (recordings, classes) of 0 and 1
    per_step : bool
        Draw the offsets again at each training step.
    """

    waveforms: Tensor
    lengths: Tensor
    offsets: Tensor
    labels: Tensor
    per_step: bool

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> Tensor:
        """Placed waveforms (batch, samples), or (batch, channels, samples)."""
        return place(self.waveforms[indices], self.lengths[indices], self.offsets[indices])

    def batches(self, size: int = EVALUATION_BATCH) -> Iterator[Tensor]:
        """Indices of all recordings, some at a time."""
        for start in range(0, len(self), size):
            yield torch.arange(start, min(start + size, len(self)), device=self.labels.device)

    def training_batch(self, indices: Tensor) -> Tensor:
        """Placed waveforms, again at each call if the placement is per step."""
        if not self.per_step:
            return self.batch(indices)
        free = self.waveforms.shape[-1] - self.lengths[indices]
        draws = torch.rand(len(indices)).to(free.device)
        return place(self.waveforms[indices], self.lengths[indices], (draws * free).long())


def examples(placed: PlacedClips, labels: IntArray, indices: IntArray) -> Examples:
    """The chosen recordings of a data set as the model hears them, all on its device.

    Parameters
    ----------
    placed : PlacedClips
        All recordings.
    labels : ndarray of int, shape (all recordings,), or (all recordings, classes)
        Class indices, or 0 and 1 for each class.
    indices : ndarray of int, shape (recordings,)
        Which are taken.
    """
    device, prepared = placed.device, placed.prepared
    return Examples(
        torch.from_numpy(np.array(prepared.waveforms[indices])).to(device),
        torch.from_numpy(prepared.lengths[indices]).to(device),
        torch.from_numpy(placed.offsets[indices]).to(device),
        torch.from_numpy(np.asarray(labels)[indices]).to(device),
        placed.rules.placement == "step",
    )
