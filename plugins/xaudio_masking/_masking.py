"""What the explainers share: groups of recordings cut into parts, scores of mixes, relevance spread over the features."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from xaudio.plugin import Baseline, Sound, in_sight, probabilities

from ._parts import Cut

SILENT = 1e-7
"""A part that nowhere exceeds this share (-140 dB) of the recording's largest magnitude is rounding, not sound."""


@dataclass(frozen=True, eq=False)
class Group:
    """Recordings that are computed together.

    Attributes
    ----------
    sound : Sound
    target : Tensor of int64, shape (recordings,)
    parts : Tensor, shape (recordings, parts, samples), or (recordings, parts, channels, samples)
    change : Tensor, same shape
        Each part less what stands in for it.
    audible : Tensor of bool, shape (recordings, parts)
    magnitude : Tensor, shape (recordings, channels, *axes)
        Of the recording in each cell.
    total : Tensor, same shape
        Sum of the magnitudes of the parts in each cell.
    at_once : int
        Waveforms computed at once.
    """

    sound: Sound
    target: Tensor
    parts: Tensor
    change: Tensor
    audible: Tensor
    magnitude: Tensor
    total: Tensor
    at_once: int

    def mixes(self, masks: Tensor) -> Tensor:
        """Recordings in which each part is present to the degree of the masks.

        Parameters
        ----------
        masks : Tensor, shape (masks, parts)
            1 keeps a part, 0 replaces it by what stands in for it; a silent part is kept.

        Returns
        -------
        Tensor, shape (recordings, masks, samples)
        """
        absent = (1 - masks) * self.audible[:, None]
        changes = absent @ self.change.flatten(2)
        return self.sound.waveforms[:, None] - changes.reshape(*changes.shape[:2], *self.change.shape[2:])

    def spread(self, coefficients: Tensor) -> Tensor:
        """Relevance of the parts (recordings, parts) spread over the features (recordings, channels, *axes).

        Part c has the share |s_c| / sum_d |s_d| in a cell, where |s| is the magnitude of the representation; its relevance
        is divided in proportion to this share of the recording's own magnitude. So the sum over the cells is the sum over
        the parts, and a cell in which the recording is silent has none. The relevance of a silent part is left out.
        """
        share = torch.where(self.total > 0, self.magnitude / self.total, 0)[:, None]
        relevance = torch.zeros_like(self.magnitude)
        for chosen in _slices(self.parts.shape[1], self.at_once // len(self.parts)):
            weights = _magnitudes(self.sound, self.parts[:, chosen]) * share
            totals = weights.flatten(2).sum(2)
            factors = torch.where(self.audible[:, chosen] & (totals > 0), coefficients[:, chosen].to(totals) / totals, 0)
            relevance += torch.einsum("bc,bc...->b...", factors, weights)
        return relevance


@dataclass(frozen=True)
class Masking:
    """Options that all explainers here have; see `xaudio_masking.audiolime`.

    Parameters
    ----------
    explainer : str
        For messages.
    score : {"logit", "probability"}
    baseline : str
    seed : int
    internal_batch_size : int or None
    """

    explainer: str
    score: str
    baseline: Baseline
    seed: int
    internal_batch_size: int | None

    def groups(self, sound: Sound, target: Tensor, cut: Cut) -> Iterator[Group]:
        """Recordings, cut into parts, as many at a time as `internal_batch_size` has room for (at least one)."""
        at_once = self.internal_batch_size or sys.maxsize
        for rows in _slices(len(target), 1 if cut.alone else at_once // cut.load):
            yield self._group(_rows(sound, rows), target[rows], cut, at_once)

    def _group(self, sound: Sound, target: Tensor, cut: Cut, at_once: int) -> Group:
        parts = cut.parts(sound)
        magnitude = sound.representation.amplitude(sound.waveforms)
        sounding, total, loudest = magnitude > 0, torch.zeros_like(magnitude), []
        for chosen in _slices(parts.shape[1], at_once // len(parts)):
            magnitudes = _magnitudes(sound, parts[:, chosen])
            total += magnitudes.sum(1)
            loudest.append((magnitudes * sounding[:, None]).flatten(2).amax(2))
        audible = torch.cat(loudest, 1) > SILENT * magnitude.flatten(1).amax(1, keepdim=True)
        change = parts
        if self.baseline != "silence":
            change = parts - cut.stand_ins(sound, parts, self.baseline, self.seed)
        return Group(sound, target, parts, change, audible, magnitude, total, at_once)

    def scores(self, model: nn.Module, group: Group, masks: Tensor) -> Tensor:
        """The target's logit, or probability where it has one, (recordings, masks) in the mixes of masks (masks, parts)."""
        of_mixes = []
        for chosen in in_sight(_slices(len(masks), group.at_once // len(group.target))):
            mixes = group.mixes(masks[chosen].to(group.change))
            logits = model(group.sound.features(mixes.flatten(0, 1)))
            probable = self.score == "probability" and group.sound.kind in ("classes", "labels")
            values = probabilities(logits, group.sound.kind) if probable else logits
            targets = group.target.repeat_interleave(mixes.shape[1])[:, None]
            of_mixes.append(values.gather(1, targets).view(mixes.shape[:2]))
        return torch.cat(of_mixes, 1)


def _rows(sound: Sound, rows: slice) -> Sound:
    """Some of the recordings."""
    return replace(sound, waveforms=sound.waveforms[rows], excerpts=sound.excerpts[rows])


def _magnitudes(sound: Sound, parts: Tensor) -> Tensor:
    """Magnitudes (recordings, parts, channels, *axes) of parts (recordings, parts, samples)."""
    magnitudes = sound.representation.amplitude(parts.flatten(0, 1))
    return magnitudes.reshape(*parts.shape[:2], *magnitudes.shape[1:])


def _slices(count: int, size: int) -> list[slice]:
    """Consecutive slices of at most ``size``, and at least 1, that cover ``count``."""
    size = max(1, min(size, count))
    return [slice(start, start + size) for start in range(0, count, size)]
