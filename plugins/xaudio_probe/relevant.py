"""What an explanation points at, removed from each recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import (
    FLOOR_DB,
    Axis,
    Domain,
    Explainer,
    PluginError,
    Representation,
    as_explainer,
    attribute,
    domain_name,
    like,
    other_domain,
    parse_spec,
    warn_about,
)
from xaudio_faithfulness import ranks

from .test_set import Batch, Control, HeldOut, Imputation, Plan

View = Literal["time", "frequency", "time-frequency"]
EDGES = {"time": 0.005, "frequency": 10.0}
"""Length of the edges of what is removed, in s and Hz; half a part if that is less."""

PARTS = {"time": "slots of time", "frequency": "bands of frequency", "time-frequency": "cells of time and frequency"}


@dataclass(frozen=True, kw_only=True)
class Relevant:
    """Remove the most relevant part of each recording; controls remove as many parts at random, and the loudest.

    Parameters
    ----------
    explainer : str
        With options as in lrp:composite=epsilon_plus+epsilon=1e-6.
    share : float
        Of the parts in which there is sound (all but those 80 dB or more below the loudest), above 0 and at most 1.
    view : {"time", "frequency", "time-frequency"} or None
        Domain in which relevance is ranked and removed; by default that of what the model reads.
    target : {"predicted", "true"}
        The class that is explained.
    imputation : {"zero", "noise_floor", "mean_spectrum"}
        What takes the place of what is removed.
    slot : float
        Length of a part in a view of time, in seconds, counted from the recording's start; 0 for single samples.
    band : float
        Width of a part in a view of frequency, in Hz; 0 for single frequencies.
    """

    explainer: str = "lrp"
    share: float = 0.1
    view: View | None = None
    target: Literal["predicted", "true"] = "predicted"
    imputation: Imputation = "zero"
    slot: float = 0.025
    band: float = 50.0

    def plan(self, held: HeldOut) -> Plan:
        """The plan for a test set.

        Raises
        ------
        PluginError
            If the explainer or an option does not fit.
        """
        if not (0 < self.share <= 1 and 0 <= self.slot < np.inf and 0 <= self.band < np.inf):
            raise PluginError(
                f"The change 'relevant' needs a share above 0 and at most 1, and a slot and a band of 0 or more; "
                f"got {self.share:g}, {self.slot:g} and {self.band:g}."
            )
        name, options = parse_spec(re.sub(r"\+(?=\w+=)", ",", self.explainer))
        method, spec = as_explainer(name, options)
        domain = other_domain(self.view, held.model.representation)
        parts = PARTS.get(self.view or domain_name(held.model.representation.axes), "cells")
        controls = [
            Control("random", f"as many {parts} at random among those with sound", held.draws),
            Control("amplitude", f"as many {parts}, the loudest"),
        ]
        warn_about(held.model, spec["name"], method)

        def logits(batch: Batch) -> Tensor:
            masks = self.masks(batch, domain, method, held.draws)
            seen = batch.model.representation if domain is None else domain
            return torch.stack([batch.logits(batch.without(seen, mask, self.imputation)) for mask in masks], dim=1)

        return Plan(f"Removing the most relevant {100 * self.share:g} % of the {parts} ({self.explainer})", controls, logits)

    def masks(self, batch: Batch, domain: Domain | None, method: Explainer, draws: int) -> list[Tensor]:
        """What is removed (batch, channels, *axes), 0 to 1: by relevance, by each draw, by amplitude; as many parts each time."""
        relevance, seen = self._relevance(batch, domain, method)
        amplitude = seen.amplitude(batch.waveforms).to(relevance).expand_as(relevance)
        loudest = amplitude.flatten(1).amax(1).reshape(-1, *[1] * (amplitude.ndim - 1))
        sounding = (amplitude > loudest * 10 ** (FLOOR_DB / 20)) & (amplitude > 0)
        sizes = {"time": self.slot, "frequency": self.band}
        parts = _parts(batch, seen.axes, sizes)
        count = int(parts.max()) + 1

        def in_parts(cells: Tensor) -> Tensor:
            return cells.new_zeros(len(cells), count).scatter_add_(1, parts, cells.flatten(1))

        has_sound = (in_parts(sounding.to(relevance)) > 0).to(relevance)
        wanted = (self.share * has_sound.sum(1, keepdim=True).cpu().double()).round().clamp(min=1).to(relevance.device)
        taken = torch.minimum(wanted.to(relevance), has_sound.sum(1, keepdim=True))
        drawn = (batch.uniform(draw, size=count).to(relevance) for draw in range(draws))
        orders = [in_parts(relevance), *drawn, in_parts(amplitude.square())]
        removed = ((ranks(scores, has_sound) < taken).to(relevance).gather(1, parts) for scores in orders)
        return [_softened(mask.view_as(relevance), seen.axes, sizes).to(batch.waveforms) for mask in removed]

    def _relevance(self, batch: Batch, domain: Domain | None, method: Explainer) -> tuple[Tensor, Domain | Representation]:
        """Relevance in the view (batch, channels, *axes), and the domain it lies in."""
        target = batch.labels if self.target == "true" else None
        _, relevance, _, _ = attribute(batch.model, method, batch.waveforms, target)
        if domain is None:
            return relevance, batch.model.representation
        exact = relevance if relevance.device.type == "mps" else relevance.double()
        in_time = batch.model.representation.to_waveform_relevance(batch.waveforms, exact)
        return like(domain.from_waveform_relevance(batch.waveforms, in_time), relevance), domain


def _parts(batch: Batch, axes: tuple[Axis, ...], sizes: dict[str, float]) -> Tensor:
    """Number of the part that each cell belongs to (batch, cells): slots or bands in a single axis, else the cells themselves."""
    device, cells = batch.waveforms.device, int(np.prod([len(axis.centres) for axis in axes]))
    size = sizes.get(axes[0].name, 0.0) if len(axes) == 1 else 0.0
    if size == 0:
        return torch.arange(cells, device=device).expand(len(batch.waveforms), -1)
    centres = torch.from_numpy(np.asarray(axes[0].centres, dtype=np.float64))
    start = batch.offsets.cpu().double()[:, None] / batch.model.representation.sample_rate
    position = centres - start if axes[0].name == "time" else centres.expand(len(start), -1)
    parts = torch.floor(position / size + 1e-9).long()
    return (parts - parts.amin(1, keepdim=True)).to(device)


def _softened(mask: Tensor, axes: tuple[Axis, ...], sizes: dict[str, float]) -> Tensor:
    """A mask of 0 and 1 with raised-cosine edges inside what is removed, where parts are slots or bands."""
    size = sizes.get(axes[0].name, 0.0) if len(axes) == 1 else 0.0
    if size == 0:
        return mask
    spacing = float(axes[0].centres[1] - axes[0].centres[0])
    reach = round(min(EDGES[axes[0].name], size / 2) / 2 / spacing)
    width = 2 * reach + 1
    flat = mask.flatten(0, 1)[:, None]
    inner = -functional.max_pool1d(functional.pad(-flat, (reach, reach), mode="replicate"), width, stride=1)
    lobe = torch.sin(torch.pi * torch.arange(1, width + 1, dtype=mask.dtype, device=mask.device) / (width + 1))
    smooth = functional.conv1d(functional.pad(inner, (reach, reach), mode="replicate"), (lobe / lobe.sum())[None, None])
    return smooth.view_as(mask).clamp(0, 1)
