"""Whether relevance sums to what its method says it sums to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..sound.baselines import baseline_features
from ..types import Baseline, Sound

TOLERANCE = 0.01
"""Share of what relevance should sum to that it may miss."""

ROUNDING = 8
"""Units of rounding, of the relevance's number format, by which a sum of its magnitudes and of the logits may be off."""

SAME_FOR_ALL = ("zero", "silence")
"""Baselines that do not depend on the recording."""


class Law(NamedTuple):
    """What an answer is made of: relevance of the features and of the constants, which must sum to it.

    Parameters
    ----------
    answer : float
        What is explained, of all recordings together.
    relevance : float
        Of the features.
    constants : float
        Of biases, positions, tokens and all else that is added on the way, and what the rules keep.
    module : str
        The module in which they part first where they miss the answer, "" where they do not.
    """

    answer: float
    relevance: float
    constants: float
    module: str = ""


class Completeness(NamedTuple):
    """What relevance sums to beside what it should sum to, each of shape (batch,) and in float64.

    Parameters
    ----------
    total, expected : Tensor
    rounding : Tensor
        By how much rounding alone may keep the two apart.
    """

    total: Tensor
    expected: Tensor
    rounding: Tensor

    @property
    def miss(self) -> Tensor:
        """What is missing or too much, as a share of what the relevance should sum to."""
        return (self.total - self.expected).abs() / torch.maximum(self.expected.abs(), self.rounding.clamp(min=1e-30))

    @property
    def holds(self) -> Tensor:
        """Where the miss is within `TOLERANCE`, but for rounding; shape (batch,), bool."""
        return (self.total - self.expected).abs() <= TOLERANCE * self.expected.abs() + self.rounding

    def record(self, row: int) -> dict[str, Any]:
        """The same of one recording, as JSON values."""
        return {
            "sum": float(self.total[row]),
            "expected": float(self.expected[row]),
            "miss": float(self.miss[row]),
            "holds": bool(self.holds[row]),
        }


def completeness(relevance: Tensor, expected: Tensor, logits: Tensor) -> Completeness:
    """Compare the sums of relevance with what they should be.

    Parameters
    ----------
    relevance : Tensor, shape (batch, channels, *axes)
    expected : Tensor, shape (batch,)
    logits : Tensor, shape (batch, classes)
        Whose magnitude says how exactly ``expected`` is known.
    """
    parts, wanted = relevance.detach().flatten(1).double(), expected.detach().double()
    scale = parts.abs().sum(1) + logits.detach().double().abs().amax(1) + wanted.abs()
    precision = min(torch.finfo(relevance.dtype).eps, torch.finfo(torch.float32).eps)
    return Completeness(parts.sum(1), wanted, ROUNDING * precision * scale)


def difference_from_baseline(
    name: Baseline,
    model: nn.Module,
    features: Tensor,
    target: Tensor,
    logits: Tensor,
    sound: Sound | None = None,
    *,
    seeds: Sequence[int] = (0,),
    at_once: int | None = None,
) -> Tensor:
    """The targets' logits less those of a baseline, shape (batch,): what many methods share out.

    Parameters
    ----------
    name : {"zero", "silence", "noise_floor", "mean_spectrum"}
        See `xaudio.plugin.baseline_features`.
    model : nn.Module
    features : Tensor, shape (batch, channels, *axes)
    target : Tensor of int64, shape (batch,)
    logits : Tensor, shape (batch, classes)
        Of the features.
    sound : Sound, optional
    seeds : sequence of int
        Of a baseline with noise; the mean over several.
    at_once : int, optional
        How many features are in the model at once.

    Raises
    ------
    ModelError
        If the model is NaN or infinite for the baseline.
    """
    there = torch.zeros_like(logits)
    for seed in seeds[:1] if name in SAME_FOR_ALL else seeds:
        baseline = baseline_features(name, features, sound, seed=seed)
        there += _logits(model, baseline[:1] if name in SAME_FOR_ALL else baseline, at_once)
    there /= 1 if name in SAME_FOR_ALL else len(seeds)
    if not bool(torch.isfinite(there).all()):
        raise ModelError(
            f"The model itself is NaN or infinite for the baseline {name!r}, with which the method compares; choose another "
            "baseline (noise_floor), or let the model divide by no less than a small number."
        )
    return (logits - there).gather(1, target[:, None])[:, 0]


def _logits(model: nn.Module, features: Tensor, at_once: int | None) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part.clone()) for part in torch.split(features, at_once or len(features))])
