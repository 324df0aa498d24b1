"""The test set that is probed, a batch of it, and the plan that a change makes for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import Baseline, Domain, FloatArray, IntArray, Model, Representation, Sound, baseline_waveforms

Imputation = Literal["zero", "noise_floor", "mean_spectrum"]
"""What takes the place of what is removed."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a change must know of the whole test set.

    Parameters
    ----------
    model : Model
    durations : ndarray, shape (recordings,)
        In seconds, as the model hears them.
    level : float
        Median of the recordings' root mean squares, silent ones apart; 0 if all are.
    draws, seed : int
        Of the random controls.
    """

    model: Model
    durations: FloatArray
    level: float
    draws: int
    seed: int

    @property
    def nyquist(self) -> float:
        """Highest frequency, in Hz."""
        return self.model.representation.sample_rate / 2


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of recordings as the model hears them.

    Parameters
    ----------
    model : Model
    waveforms : Tensor, shape (batch, samples)
        Placed, on the model's device.
    offsets, lengths : Tensor of int64, shape (batch,)
        Where each recording starts, and how many samples it has.
    labels : Tensor of int64, shape (batch,)
    indices : ndarray of int, shape (batch,)
        In the data set; what is random for a recording follows from it and the seed.
    seed : int
    """

    model: Model
    waveforms: Tensor
    offsets: Tensor
    lengths: Tensor
    labels: Tensor
    indices: IntArray
    seed: int

    def logits(self, waveforms: Tensor) -> Tensor:
        """Logits (batch, classes) of manipulated waveforms (batch, samples)."""
        return self.model.logits(self.model.features(waveforms))

    @property
    def since_start(self) -> Tensor:
        """Samples (batch, samples) since each recording's own start, negative before it."""
        return torch.arange(self.waveforms.shape[1], device=self.offsets.device) - self.offsets[:, None]

    @cached_property
    def inside(self) -> Tensor:
        """Where each recording is (batch, samples), and not the zeros around it."""
        return (self.since_start >= 0) & (self.since_start < self.lengths[:, None])

    def uniform(self, *key: int, size: int = 1) -> Tensor:
        """Numbers (batch, size) in [0, 1), float64, that depend on the seed, the key and each recording alone."""
        rows = [np.random.default_rng([self.seed, *key, int(index)]).random(size) for index in self.indices]
        return torch.from_numpy(np.stack(rows))

    def without(self, domain: Domain | Representation, mask: Tensor, imputation: Imputation) -> Tensor:
        """The sounds (batch, samples) without the part of a domain where a mask is 1.

        x - M(x) + M(b) within the recording, M the sound that the mask leaves and b what is imputed; so the zeros around the
        recording stay zeros.

        Parameters
        ----------
        domain : Representation or domain of a view
        mask : Tensor, shape (batch, channels, *axes)
            In [0, 1].
        imputation : {"zero", "noise_floor", "mean_spectrum"}
        """
        part = domain.masked_waveform(self.waveforms, mask)
        if imputation != "zero":
            part = part - domain.masked_waveform(self._imputed(imputation), mask)
        return self.waveforms - part * self.inside

    def _imputed(self, name: Baseline) -> Tensor:
        sound = Sound(self.waveforms, self.model.representation, self.model.features, self.model.kind)
        noise = baseline_waveforms(name, sound, seed=self.seed)
        if name != "mean_spectrum":
            return noise
        # The recording's energy lies in its own length, that of the noise in the whole window.
        return noise * (self.waveforms.shape[1] / self.lengths.clamp(min=1)).to(noise).sqrt()[:, None]


@dataclass(frozen=True)
class Control:
    """A manipulation to compare with.

    Parameters
    ----------
    name : str
        Such as "random".
    words : str
        As it stands in a sentence, such as "bands of the same width at random places".
    draws : int
        1 for one that is not random.
    places : sequence of mapping
        What was drawn for all recordings together, one per draw; empty if each recording has its own.
    """

    name: str
    words: str
    draws: int = 1
    places: Sequence[dict[str, float]] = ()


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done to a test set.

    Parameters
    ----------
    words : str
        As the subject of a sentence, such as "Removing 100 to 300 Hz".
    controls : sequence of Control
        The first is the one that the verdict on the change rests on.
    logits : callable
        A batch to its logits (batch, versions, classes): after the change, then each draw of each control.
    notes : sequence of str
        What a reader must know.
    """

    words: str
    controls: Sequence[Control]
    logits: Callable[[Batch], Tensor]
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def versions(self) -> list[str]:
        """Name of each version, such as "after", "random 1", "amplitude"."""
        return ["after", *(name for control in self.controls for name in draw_names(control.name, control.draws))]


def draw_names(control: str, draws: int) -> list[str]:
    """Names of the draws of a control."""
    return [control] if draws == 1 else [f"{control} {draw + 1}" for draw in range(draws)]


def beside(start: Any, stop: Any, top: Any, share: Any) -> Any:
    """Where a stretch as long as ``start`` to ``stop`` begins that lies in 0 to ``top`` and does not overlap it.

    All are numbers or tensors that broadcast; ``share`` in [0, 1) picks one of the free places, all equally likely. Where
    there is no room on either side, it is the place that overlaps least.
    """
    start, stop, top, share = (torch.as_tensor(value, dtype=torch.float64) for value in (start, stop, top, share))
    length = stop - start
    before, after = (start - length).clamp(min=0), (top - stop - length).clamp(min=0)
    chosen = share * (before + after)
    room_before, room_after = start >= length, top - stop >= length
    drawn = torch.where((chosen < before) | ~room_after, chosen, stop + chosen - before)
    farthest = torch.where(start >= top - stop, torch.zeros_like(start), top - length)
    return torch.where(room_before | room_after, drawn, farthest)
