"""Parts of recordings: which there are, how relevant they are, and what the model reads without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import (
    Around,
    Explanation,
    Model,
    ModelError,
    PluginError,
    Sound,
    baseline_features,
    baseline_waveforms,
    check_outputs,
)

BLOCK = 64
"""Explanations on the device at once: 53 MB of each quantity of spectrograms of 227 x 227 cells in float64."""

RINGING = 0.025
"""Longest time in s from a sound to its echo in the band-stop filter."""

Mixed = Callable[[Tensor, Tensor], Tensor]
"""Recordings (n,) and how much of each of their cells is kept (n, channels, *axes), in [0, 1], to what the network reads."""


@dataclass(frozen=True)
class Block:
    """Some explanations of one model, on its device.

    Attributes
    ----------
    target : Tensor of int64, shape (batch,)
        The explained classes.
    scores : Tensor, shape (batch, channels, *axes)
        Relevance, or its magnitude.
    removable : Tensor of bool, same shape
        Where taking a cell away changes something.
    mixed : callable
        See `Mixed`.
    """

    target: Tensor
    scores: Tensor
    removable: Tensor
    mixed: Mixed


class InBfloat16(Around):
    """A network whose products are computed in bfloat16."""

    def forward(self, features: Tensor) -> Tensor:
        """Logits, in float32."""
        with torch.autocast(features.device.type, torch.bfloat16):
            logits: Tensor = self.network(features)
        return logits.float()


@dataclass(frozen=True)
class Parts:
    """How parts are ranked and taken away; see `xaudio_faithfulness` for the options.

    Parameters
    ----------
    metric : str
        For messages.

    Raises
    ------
    PluginError
        If an option is out of its range, or the imputation does not fit the domain.
    """

    metric: str
    domain: str
    imputation: str
    order: str
    segment: int
    seed: int
    batch_size: int | None
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.imputation == "band_stop" and self.domain != "frequency":
            raise PluginError(
                f"{self.metric}: imputation=band_stop is a filter, which takes frequencies away, but domain={self.domain}; "
                "choose domain=frequency or another imputation."
            )

    def at_once(self, device: torch.device) -> int:
        """How many changed recordings are classified at once."""
        return self.batch_size or (32 if device.type == "cpu" else 256)

    def asked(self, model: Model) -> Model:
        """The model, with a network whose products have the number format of the options."""
        if self.precision == "float32":
            return model
        copied = copy(model)
        copied.network = InBfloat16(model.network)
        return copied

    def blocks(self, model: Model, explanations: Sequence[Explanation]) -> Iterator[Block]:
        """The explanations, some at a time.

        Raises
        ------
        ModelError
            If one is not of the model's, or its relevance does not fit or is not finite.
        """
        for start in range(0, len(explanations), BLOCK):
            block = explanations[start : start + BLOCK]
            yield self._block(model.for_samples(block[0].clip.samples), block)

    def _block(self, model: Model, explanations: Sequence[Explanation]) -> Block:
        for explanation in explanations:
            _check(self.metric, model, explanation)
        device = model.device
        with torch.no_grad():
            waveforms = _stacked([explanation.clip.waveform for explanation in explanations], device)
            sound = Sound(waveforms, model.representation, model.features, model.kind)
            if self.domain == "features":
                seen = [self._own(explanation) for explanation in explanations]
                removable, mixed = self._of_features(_stacked([item.features for item in seen], device), sound)
            else:
                seen = [explanation.view(self.domain) for explanation in explanations]
                domain = seen[0].representation if "view" in seen[0].provenance else model.representation
                removable, mixed = self._of_sound(domain, sound)
            relevance = _stacked([item.relevance for item in seen], device)
        return Block(
            torch.tensor([explanation.target for explanation in explanations], device=device),
            relevance.abs() if self.order == "absolute" else relevance,
            removable,
            mixed,
        )

    def _own(self, explanation: Explanation) -> Explanation:
        if "view" in explanation.provenance:
            raise ModelError(
                f"{_named(self.metric, explanation)} is a {explanation.domain} view, which no network reads: give the "
                f"explanation itself, or choose domain={explanation.domain}."
            )
        return explanation

    def _of_features(self, features: Tensor, sound: Sound) -> tuple[Tensor, Mixed]:
        baseline: Any = self.imputation
        absent = baseline_features(baseline, features, sound, seed=self.seed)

        def mixed(recordings: Tensor, kept: Tensor) -> Tensor:
            left = features[recordings].mul_(kept)
            return left if self.imputation == "zero" else left.addcmul_(absent[recordings], 1 - kept.to(left))

        return features != absent, mixed

    def _of_sound(self, domain: Any, sound: Sound) -> tuple[Tensor, Mixed]:
        """Cells of a domain; taken away from the sound, which the model then reads."""
        present = sound.waveforms
        silent = self.imputation in ("zero", "silence", "band_stop")
        baseline: Any = "silence" if silent else self.imputation
        absent = baseline_waveforms(baseline, sound, seed=self.seed)
        rate = sound.representation.sample_rate

        def mixed(recordings: Tensor, kept: Tensor) -> Tensor:
            gains = kept.to(present)
            if self.imputation == "band_stop":
                gains = _short(gains, present.shape[-1], round(RINGING * rate))
            waveforms = domain.masked_waveform(present[recordings], gains)
            if not silent:
                waveforms = waveforms + domain.masked_waveform(absent[recordings], 1 - gains)
            whole = kept.flatten(1).all(1) if kept.dtype == torch.bool else (kept == 1).flatten(1).all(1)
            # The recording itself, of which a transform and its inverse may leave out what the model does not read.
            return sound.features(torch.where(whole.view(-1, *[1] * (present.ndim - 1)), present[recordings], waveforms))

        return domain.amplitude(present - absent) != 0, mixed


def _check(metric: str, model: Model, explanation: Explanation) -> None:
    """Raise `ModelError` for an explanation that cannot be measured."""
    check_outputs(metric, model, explanation, probable=True)
    which = _named(metric, explanation)
    if explanation.relevance.shape != explanation.features.shape:
        shapes = f"{explanation.relevance.shape}; expected that of the features, {explanation.features.shape}"
        raise ModelError(f"{which} has relevance of shape {shapes}.")
    if not np.isfinite(explanation.relevance).all():
        raise ModelError(f"{which} holds NaN or infinity; check the explainer.")
    read, seen = model.representation, "view" in explanation.provenance
    explained = (explanation.clip.channels, explanation.clip.samples, () if seen else explanation.features.shape[1:])
    if explained != (model.channels, read.samples, () if seen else tuple(len(axis.centres) for axis in read.axes)):
        raise ModelError(f"{which} is not of this model: its channels, the length of its sound or its features are others.")


def _named(metric: str, explanation: Explanation) -> str:
    return f"{metric}: the explanation of {explanation.clip.source} by {explanation.explainer}"


def _stacked(arrays: Sequence[Any], device: torch.device) -> Tensor:
    """Arrays of one shape as a tensor (batch, ...); in float32 where the device has no float64."""
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked.to(device, torch.float32 if device.type == "mps" else stacked.dtype)


def _short(gains: Tensor, samples: int, ringing: int) -> Tensor:
    """Gains (n, 1, frequencies) of the filter of given gains, its impulse response cut to so many samples either way.

    The window method: the impulse response times a Hann window, which smooths the gains and leaves all ones as they are.
    """
    response = torch.fft.irfft(gains, n=samples)
    apart = torch.arange(samples, device=gains.device)
    apart = torch.minimum(apart, samples - apart)  # circular, and without a shift of phase
    window = torch.where(apart < ringing, (torch.pi * apart / (2 * ringing)).cos().square(), 0)
    smooth: Tensor = torch.fft.rfft(response * window.to(gains)).real
    return smooth
