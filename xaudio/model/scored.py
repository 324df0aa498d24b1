"""A score of a network's answer as a network: features to one number per recording and target, as explainers take it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ..types import Axis, Kind
from .answers import Answer, Score, valid_frames
from .running import Around


class Scored(Around):
    """A network that answers only what is asked.

    Parameters
    ----------
    network : nn.Module
        Features ``(batch, channels, *axes)`` to scores (batch, *frames, outputs).
    score : Score
    kind : str
    classes : tuple of str
        Of the outputs.
    frames : Axis or None
        In seconds of the recording.
    """

    def __init__(self, network: nn.Module, score: Score, kind: Kind, classes: tuple[str, ...], frames: Axis | None) -> None:
        super().__init__(network)
        self.score, self.kind, self.classes, self.frames = score, kind, classes, frames

    def forward(self, features: Tensor) -> Tensor:
        """Numbers (batch, targets)."""
        valid = self.valid(features)
        return self.score(Answer(self.network(features), self.frames, self.kind, valid, self.classes))

    def __deepcopy__(self, memo: dict[int, Any]) -> Scored:
        """A copy of the network that answers the same question, which may hold anything."""
        return Scored(deepcopy(self.network, memo), self.score, self.kind, self.classes, self.frames)


class AboveMean:
    """For each output the mean of its scores over the frames where they are above their mean over all frames."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.names = classes

    def __call__(self, answer: Answer) -> Tensor:
        """Scores (batch, outputs)."""
        inside = valid_frames(answer)[..., None]
        chosen = above_mean(answer.scores, inside)
        return (answer.scores * chosen).sum(1) / chosen.sum(1)


def above_mean(scores: Tensor, inside: Tensor) -> Tensor:
    """Where scores (batch, frames, outputs) are above their mean over the frames inside; all of those where they are constant."""
    with torch.no_grad():
        mean = (scores * inside).sum(1, keepdim=True) / inside.sum(1, keepdim=True)
        above = (scores > mean) & inside
        return above | (inside & ~above.any(1, keepdim=True))


class OneLogit(Around):
    """A network of one logit z as one of two classes: -z and z, whose sigmoids are the probabilities of the two."""

    def forward(self, features: Tensor) -> Tensor:
        """Log-odds (batch, 2)."""
        logit = self.network(features)
        return torch.cat([-logit, logit], -1)
