"""How a model wants its sound, and recordings as it takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import NonNegativeInt

from ..registry.options import convert
from ..types import Fit, IntArray, Placed, Placement, Resampling
from .preparation import Prepared, place

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Rules:
    """How recordings become what a model takes.

    Parameters
    ----------
    fit : {"error", "trim", "loudest"}
        What is done to a recording that is too long.
    resampling : {"soxr", "fft"}
    placement : {"centre", "start", "file", "step"}
        Where a recording lies that is shorter than the model's window.
    seed : int
        Of the positions that are drawn, 0 or more.
    """

    fit: Fit = "error"
    resampling: Resampling = "soxr"
    placement: Placement = "start"
    seed: int = 0

    @classmethod
    def read(cls, facts: Mapping[str, Any], placement: Placement) -> Rules:
        """The rules that the facts of a model tell, which a file may hold; what they do not tell is as by default.

        Raises
        ------
        PluginError
            If one of them is no such rule.
        """
        kinds = {"fit": Fit, "resampling": Resampling, "seed": NonNegativeInt}
        told = {name: convert(f"the rule {name!r} of the model", kinds[name], facts[name]) for name in kinds if name in facts}
        return cls(placement=placement, **told)

    def of_own(
        self,
        fit: Fit | None = None,
        resampling: Resampling | None = None,
        placement: Placement | None = None,
        seed: int | None = None,
    ) -> Rules:
        """The rules for a user's own recordings: what was asked for, else as in the model's training.

        They are centred where training drew a position, unless a seed or a placement asks for such a draw.
        """
        drawn = self.placement in ("file", "step") and seed is None
        placement = placement or ("centre" if drawn else self.placement)
        return Rules(fit or self.fit, resampling or self.resampling, placement, self.seed if seed is None else seed)


@dataclass(frozen=True, eq=False)
class PlacedClips:
    """Recordings as a model takes them. They are put on its device batch by batch.

    Parameters
    ----------
    prepared : Prepared
    rules : Rules
        By which they were prepared.
    offsets : ndarray, shape (recordings,)
        The sample at which each begins.
    device : torch.device
        Where the model is.
    """

    prepared: Prepared
    rules: Rules
    offsets: IntArray
    device: torch.device

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def samples(self) -> int:
        """Length of the waveforms."""
        return int(self.prepared.waveforms.shape[-1])

    def batch(self, chosen: slice | IntArray) -> Tensor:
        """Waveforms of some recordings on the model's device, in their places, (batch, samples) or (batch, channels, samples)."""
        import torch

        waveforms, lengths = np.array(self.prepared.waveforms[chosen]), self.prepared.lengths[chosen]
        return place(*(torch.from_numpy(part).to(self.device) for part in (waveforms, lengths, self.offsets[chosen])))

    def only(self, rows: IntArray) -> PlacedClips:
        """Some of the recordings."""
        return replace(self, prepared=self.prepared.only(rows), offsets=self.offsets[rows])

    def position(self, index: int) -> Placed:
        """Where a recording lies."""
        return Placed(*(int(part[index]) for part in (self.offsets, self.prepared.starts, self.prepared.lengths)))
