"""Occlusion of the recording: bands of frequency or slots of time, taken away one at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaudio.plugin import Sound

from ._masking import Masking
from ._parts import Cut, Events, Grid, band_gains, slot_windows


def losses(masking: Masking, model: nn.Module, target: Tensor, sound: Sound, cut: Cut) -> Tensor:
    """What the target's score loses without each part, spread over the features (batch, channels, *axes).

    The relevance of part c is f(x) - f(x without c) (Zeiler and Fergus 2014, arXiv 1311.2901, section 3).
    """
    relevance = []
    for group in masking.groups(sound, target, cut):
        parts = group.parts.shape[1]
        scores = masking.scores(model, group, torch.cat([torch.ones(1, parts), 1 - torch.eye(parts)]).float())
        relevance.append(group.spread(scores[:, :1] - scores[:, 1:]))
    return torch.cat(relevance)


@dataclass(frozen=True)
class BandOcclusion:
    """Bands of frequency taken away; see `xaudio_masking.band_occlusion`."""

    masking: Masking
    bands: int
    spacing: str
    low: float
    high: float | None
    overlap: float

    joins_channels = True

    @property
    def internal_batch_size(self) -> int | None:
        """How many recordings are computed at once at most."""
        return self.masking.internal_batch_size

    @torch.no_grad()
    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound) -> Tensor:
        """Relevance shaped like features; its sum is the sum of what the target loses without each band."""
        gains = band_gains("band_occlusion", sound, self.bands, self.spacing, self.low, self.high, self.overlap)
        return losses(self.masking, model, target, sound, Grid(gains=gains)).to(features)


@dataclass(frozen=True)
class SlotOcclusion:
    """Slots of time taken away; see `xaudio_masking.slot_occlusion`."""

    masking: Masking
    slots: int
    overlap: float
    events: str | None = None

    joins_channels = True

    @property
    def internal_batch_size(self) -> int | None:
        """How many recordings are computed at once at most."""
        return self.masking.internal_batch_size

    @torch.no_grad()
    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound) -> Tensor:
        """Relevance shaped like features; its sum is the sum of what the target loses without each slot."""
        cut: Cut = Grid(windows=slot_windows("slot_occlusion", sound.waveforms.shape[-1], self.slots, self.overlap))
        if self.events is not None:
            cut = Events("slot_occlusion", self.events, self.overlap).of_all(sound)
        return losses(self.masking, model, target, sound, cut).to(features)
