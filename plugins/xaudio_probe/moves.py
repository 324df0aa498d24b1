"""Frequencies and levels moved: by a value for all recordings, or by one for each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import DataError, ModelError, PluginError, unknown
from xaudio_faithfulness import scaled_frequencies

from .scaling import scaled_sound
from .test_set import Batch, Control, HeldOut, Plan

Domain = Literal["auto", "features", "sound"]


@dataclass(frozen=True)
class Values:
    """One number for all recordings, or one for each class.

    Parameters
    ----------
    name : str
        Of the number, such as "factor".
    single : float or None
    by_class : mapping of str to float
        Classes that are not in it get ``neutral``.
    neutral : float
        The number that changes nothing.
    """

    name: str
    single: float | None
    by_class: Mapping[str, float]
    neutral: float

    def per_class(self, classes: tuple[str, ...], change: str, options: tuple[str, ...]) -> Tensor:
        """The number of each class (classes,), float64.

        Raises
        ------
        DataError
            If the task has no such class.
        PluginError
            If no number is given, or both one for all and one for a class.
        """
        for name in self.by_class:
            if name not in classes:
                raise DataError(f"In the change {change!r}: {unknown('class or option', name, (*classes, *options))}")
        if (self.single is None) == (not self.by_class):
            example = f"{self.name}=..., or one for each class ({', '.join(classes)})"
            raise PluginError(f"The change {change!r} needs either {example}.")
        default = self.neutral if self.single is None else self.single
        return torch.tensor([self.by_class.get(name, default) for name in classes], dtype=torch.float64)

    def swapped(self) -> Values:
        """The numbers of the classes handed on to the next class that has one: for two classes, swapped."""
        names, numbers = list(self.by_class), list(self.by_class.values())
        return Values(self.name, self.single, dict(zip(names, numbers[1:] + numbers[:1], strict=True)), self.neutral)

    def __str__(self) -> str:
        if self.single is not None:
            return f"{self.single:g}"
        return ", ".join(f"{value:g} ({name})" for name, value in self.by_class.items())


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Scale all frequencies, fundamental and formants together, by a factor or by one for each class.

    Parameters
    ----------
    factor : float or None
        Of all recordings; or a factor for each class, by its name (1 for classes that are not named).
    on : {"auto", "features", "sound"}
        What is scaled: the frequency axis of the spectrogram that the model reads, or the sound itself by a phase vocoder; by
        default the spectrogram, for models that read one in dB.
    """

    factor: float | None = None
    on: Domain = "auto"
    by_class: Mapping[str, float] = field(default_factory=dict)

    def plan(self, held: HeldOut) -> Plan:
        """The plan for a test set.

        Raises
        ------
        PluginError
            If a factor is not positive, or none is given.
        DataError
            If the task has no such class.
        ModelError
            If the frequency axis of the features is asked for and there is none.
        """
        classes = held.model.classes
        values = Values("factor", self.factor, self.by_class, 1.0)
        factors = values.per_class(classes, "scale", ("factor", "on"))
        if not bool((factors > 0).all() and torch.isfinite(factors).all()):
            raise PluginError(f"Factors of frequency must be positive; got {values}.")
        if bool((factors == 1).all()):
            raise PluginError("A factor of 1 scales nothing; it is a control already. Give another.")
        change, scaled = self._scaling(held)
        swapped = values.swapped().per_class(classes, "scale", ()) if len(self.by_class) > 1 else None
        controls = [
            Control("random", "factors of the same magnitude, up or down at random for each recording", held.draws),
            Control("inverse", "the inverse factor") if swapped is None else Control("swapped", "the factors swapped"),
            Control("unscaled", "a factor of 1 by the same way"),
        ]

        def logits(batch: Batch) -> Tensor:
            own = factors[batch.labels.cpu()]
            there, back = change(batch, own), change(batch, 1 / own)
            other = back if swapped is None else change(batch, swapped[batch.labels.cpu()])
            drawn = _at_random(batch, there, back, held.draws)
            return torch.stack([there, *drawn, other, change(batch, torch.ones_like(own))], dim=1)

        return Plan(f"Scaling {scaled} by {values}", controls, logits)

    def _scaling(self, held: HeldOut) -> tuple[Callable[[Batch, Tensor], Tensor], str]:
        """What gives the logits of a batch for a factor per recording, and in words what is scaled."""
        representation = held.model.representation
        axes = [axis.name for axis in representation.axes]
        reads_levels = (
            representation.unit == "dB" and axes == ["frequency", "time"] and _is_linear(representation.axes[0].centres)
        )
        if self.on == "features" and not reads_levels:
            raise ModelError(
                f"The model reads no spectrogram in dB over frequencies from 0 Hz, but {' x '.join(axes) or 'other features'} in "
                f"{representation.unit}: scale the sound instead, with on=sound."
            )
        if self.on == "sound" or not reads_levels:
            return _on_sound, "the frequencies of the sound"

        return _on_levels, "the frequency axis of the spectrogram"


def _on_sound(batch: Batch, factors: Tensor) -> Tensor:
    rate = batch.model.representation.sample_rate
    return batch.logits(scaled_sound(batch.waveforms, factors.to(batch.waveforms), rate) * batch.inside)


def _on_levels(batch: Batch, factors: Tensor) -> Tensor:
    levels = batch.model.representation(batch.waveforms)
    moved = scaled_frequencies(levels, factors.to(levels))
    return batch.model.logits(moved if batch.model.mean is None else moved - batch.model.mean)


@dataclass(frozen=True, kw_only=True)
class Level:
    """Make recordings louder or quieter by a gain, or by one for each class. Nothing is clipped.

    Parameters
    ----------
    gain : float or None
        Of all recordings, in dB; or a gain for each class, by its name (0 for classes that are not named).
    """

    gain: float | None = None
    by_class: Mapping[str, float] = field(default_factory=dict)

    def plan(self, held: HeldOut) -> Plan:
        """The plan for a test set.

        Raises
        ------
        PluginError
            If no gain is given.
        DataError
            If the task has no such class.
        """
        values = Values("gain", self.gain, self.by_class, 0.0)
        decibels = values.per_class(held.model.classes, "level", ("gain",))
        if not bool(torch.isfinite(decibels).all() and decibels.any()):
            raise PluginError(f"A gain in dB must be finite and change something; got {values}.")
        controls = [
            Control("random", "gains of the same size, up or down at random for each recording", held.draws),
            Control("normalised", "the same gain after all recordings were made equally loud"),
        ]

        def amplified(batch: Batch, gains: Tensor) -> Tensor:
            return batch.logits(batch.waveforms * gains.to(batch.waveforms)[:, None])

        def logits(batch: Batch) -> Tensor:
            gains = 10 ** (decibels[batch.labels.cpu()] / 20)
            levels = root_mean_squares(batch.waveforms, batch.lengths).cpu()
            equal = torch.where(levels > 0, held.level / torch.where(levels > 0, levels, 1), 1)
            there, back = amplified(batch, gains), amplified(batch, 1 / gains)
            drawn = _at_random(batch, there, back, held.draws)
            return torch.stack([there, *drawn, amplified(batch, gains * equal)], dim=1)

        return Plan(f"A gain of {values} dB", controls, logits)


def root_mean_squares(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Root mean square (batch,) of recordings (batch, samples), the zeros around them apart."""
    return (waveforms.square().sum(1) / lengths.clamp(min=1)).sqrt()


def _at_random(batch: Batch, there: Tensor, back: Tensor, draws: int) -> list[Tensor]:
    """One of two outcomes (batch, classes) for each recording, at random, so many times."""
    chosen = [batch.uniform(draw) < 0.5 for draw in range(draws)]
    return [torch.where(first.to(there.device), there, back) for first in chosen]


def _is_linear(centres: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> bool:
    """Whether frequencies begin at 0 Hz and lie equally far apart."""
    return len(centres) > 1 and centres[0] == 0 and bool(np.allclose(np.diff(centres), centres[1]))
