"""What a model says when groups of features are taken away: the part that all explainers by removal share."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import PluginError, Sound, in_sight
from xaudio_segments import Partition

ENTRIES = 2**24
"""Entries of the table of coalitions that is held for a block of recordings."""


def parts_of(features: Tensor, sound: Sound | None, slots: int, bands: int | None, method: str) -> tuple[int, ...]:
    """How many parts each axis of the features is cut into.

    Parameters
    ----------
    features : Tensor, shape (batch, channels, *axes)
    sound : Sound or None
        Knows which axis is time and which is frequency; without it the last is time, and the one before it frequency.
    slots : int
        Parts of time.
    bands : int or None
        Parts of frequency; None is half as many as slots.
    method : str
        For messages.

    Raises
    ------
    PluginError
        If there are bands but no frequency, or more parts than cells.
    """
    count = features.ndim - 2
    names = [axis.name for axis in sound.representation.axes] if sound else ["", *[""] * count, "frequency", "time"][-count:]
    if bands is not None and "frequency" not in names:
        raise PluginError(f"{method}: bands={bands}, but these features have no frequency axis: cut time alone, with slots=.")
    wanted = {"time": slots, "frequency": bands or (slots + 1) // 2}
    parts = tuple(wanted.get(name, 1) for name in names)
    for name, number, cells in zip(names, parts, features.shape[2:], strict=True):
        if number > cells:
            option = "slots" if name == "time" else "bands"
            raise PluginError(f"{method}: {number} {option} of a {name} axis of {cells} cells; give {option}={cells} at most.")
    return parts


def grid(features: Tensor, parts: tuple[int, ...]) -> Tensor:
    """Group of each cell (*axes), int64: equal boxes, numbered with the last axis running fastest."""
    groups = torch.zeros((), dtype=torch.int64, device=features.device)
    for number, cells in zip(parts, features.shape[2:], strict=True):
        along = torch.arange(cells, device=features.device) * number // cells
        groups = groups[..., None] * number + along
    return groups


def event_groups(
    features: Tensor, cut: Partition, sound: Sound | None, bands: int | None, method: str
) -> tuple[tuple[int, ...], Tensor]:
    """How many parts each axis has, and the group of each cell (*axes), where time is cut by events.

    A cell belongs to the event in which its centre lies. Frequency is cut where bands are asked for.

    Raises
    ------
    PluginError
        If the features have no time.
    """
    axes = sound.representation.axes if sound else ()
    names = [axis.name for axis in axes]
    if sound is None or "time" not in names:
        raise PluginError(f"{method}: parts are stretches of time, and these features have no axis of time.")
    along = names.index("time")
    parts = list(parts_of(features, sound, 1, bands or 1 if "frequency" in names else bands, method))
    groups = grid(features, tuple(parts))  # those of time are all 0
    rate, samples = sound.representation.sample_rate, sound.representation.samples
    centres = np.arange(samples) if len(axes[along].centres) == samples else axes[along].centres * rate
    owners = torch.from_numpy(cut.owners[cut.stretches(centres)]).to(features.device)
    shape = [-1 if place == along else 1 for place in range(len(names))]
    parts[along] = len(cut.labels)
    return tuple(parts), groups * len(cut.labels) + owners.reshape(shape)


class Removal:
    """Features whose groups can be replaced by a baseline's, all channels of a cell together.

    Parameters
    ----------
    model : nn.Module
    features, baseline : Tensor, shape (batch, channels, *axes)
    target : Tensor of int64, shape (batch,)
    groups : Tensor of int64, shape (*axes,)
        As `grid` makes them.
    count : int
        Number of groups.
    at_once : int or None
        How many features are in the model at once.

    Attributes
    ----------
    cells : Tensor, shape (batch, groups)
        How many features of each group differ from the baseline.
    """

    def __init__(
        self,
        model: nn.Module,
        features: Tensor,
        baseline: Tensor,
        target: Tensor,
        groups: Tensor,
        count: int,
        at_once: int | None,
    ) -> None:
        self.model, self.features, self.baseline, self.target = model, features.detach(), baseline, target
        self.groups, self.count, self.at_once = groups, count, at_once
        self.changed = self.features != baseline
        cells = torch.zeros(len(features), count, dtype=torch.int64, device=features.device)
        everywhere = groups.expand_as(features).flatten(1)
        self.cells = cells.scatter_add_(1, everywhere, self.changed.flatten(1).to(torch.int64))

    def values(self, coalitions: Tensor) -> Tensor:
        """The target's logit (batch, coalitions), float64 on the CPU, when only the groups of a coalition are left.

        Parameters
        ----------
        coalitions : Tensor of bool, shape (coalitions, groups)
            The same for all recordings, so that a result does not depend on the batch.

        Notes
        -----
        A group that equals the baseline, such as padding, makes no difference: coalitions that differ in such groups only
        are computed once, and have exactly the same value.
        """
        size = max(1, ENTRIES // coalitions.numel())
        chunks = [self._values(rows, coalitions) for rows in torch.split(torch.arange(len(self.features)), size)]
        return torch.cat(chunks)

    def _values(self, rows: Tensor, coalitions: Tensor) -> Tensor:
        left = coalitions.cpu() | (self.cells[rows.to(self.cells.device)] == 0).cpu()[:, None]
        numbered = rows[:, None, None].expand(-1, len(coalitions), 1).to(torch.int32)
        table = torch.cat([numbered, left.to(torch.int32)], dim=2).flatten(0, 1)
        table, positions = torch.unique(table, dim=0, return_inverse=True)
        with torch.no_grad():
            scores = torch.cat(list(self._scores(table)))
        return scores[positions].reshape(len(rows), len(coalitions))

    def _scores(self, table: Tensor) -> Iterator[Tensor]:
        for part in in_sight(torch.split(table, self.at_once or len(table))):
            part = part.to(self.features.device)
            rows, left = part[:, 0].to(torch.int64), part[:, 1:].bool()[:, self.groups][:, None]
            logits = self.model(torch.where(left, self.features[rows], self.baseline[rows]))
            yield logits.gather(1, self.target[rows, None])[:, 0].cpu().to(torch.float64)

    def spread(self, scores: Tensor) -> Tensor:
        """Relevance shaped like the features: a group's score (batch, groups) in equal parts on what differs from the baseline.

        So the relevance of a group sums to its score, and padding, which a baseline of zeros leaves as it is, gets 0.
        """
        shares = scores.to(self.features) / self.cells.clamp(min=1)
        return torch.where(self.changed, shares[:, self.groups][:, None], 0)
