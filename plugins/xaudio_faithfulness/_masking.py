"""What a model says of the relevant part alone, or of the rest: relevance as a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import (
    Better,
    Explanation,
    FloatArray,
    Model,
    ModelError,
    evaluation_mode,
    in_batches,
    log_odds,
    probabilities,
)

from ._parts import Block, Parts


def _increase(before: Tensor, after: Tensor) -> Tensor:
    return 100 * (after.sigmoid() > before.sigmoid()).double()


def _drop(before: Tensor, after: Tensor) -> Tensor:
    """By the ratio of the probabilities, from their logarithms: a number even where p(X) is 0 in floating point."""
    fall = functional.logsigmoid(after) - functional.logsigmoid(before)
    return -100 * torch.expm1(fall.clamp(max=0))


def _gain(before: Tensor, after: Tensor) -> Tensor:
    """The drop of 1 - p, whose log-odds are the negative ones."""
    return _drop(-before, -after)


def _fall(before: Tensor, after: Tensor) -> Tensor:
    return before.sigmoid() - after.sigmoid()


VALUES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "average_increase": _increase,
    "average_drop": _drop,
    "average_gain": _gain,
    "faithfulness_ff": _fall,
}
"""Value (batch,) of metrics by the log-odds (batch,) of the explained class before and after masking, in float64."""


def values(metric: str, before: Tensor, after: Tensor, target: Tensor, kind: Any) -> Tensor:
    """Values (batch,) of a metric, from logits (batch, classes) in float64."""
    if metric == "average_drop_double_softmax":
        if kind == "labels":
            raise ModelError(
                f"{metric}: is of classes that exclude each other, but this model gives labels, which have no softmax."
            )
        return _drop(*(log_odds(probabilities(logits, kind), target, kind) for logits in (before, after)))
    odds = [log_odds(logits, target, kind) for logits in (before, after)]
    if metric == "fid_in":
        same = (odds[0] > 0) == (odds[1] > 0) if kind == "labels" else before.argmax(1) == after.argmax(1)
        return same.double()
    return VALUES[metric](*odds)


@dataclass(frozen=True)
class Masking:
    """A metric of relevance as a mask; see `xaudio_faithfulness` for its definition and options.

    Raises
    ------
    PluginError
        If an option is out of its range.
    """

    parts: Parts
    direction: Better
    normalisation: str
    percentile: float
    top: float

    @property
    def better(self) -> Mapping[str, Better]:
        """Which direction is good."""
        return {self.parts.metric: self.direction}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """One value (n,) per explanation."""
        scores = [np.zeros(0)]
        for block in self.parts.blocks(model, explanations):
            logits = self._logits(model, block).cpu().double()
            before, after = logits[0::2], logits[1::2]
            scores.append(values(self.parts.metric, before, after, block.target.cpu(), model.kind).numpy() + 0.0)  # no -0
        return {self.parts.metric: np.concatenate(scores)}

    @torch.no_grad()
    def _logits(self, model: Model, block: Block) -> Tensor:
        """Logits (2 batch, classes) of each recording, and next of what its mask leaves."""
        masks = self._masks(block.scores)
        if self.parts.metric == "faithfulness_ff":
            masks = 1 - masks

        def classified(jobs: Tensor) -> Tensor:
            recordings, masked = jobs // 2, (jobs % 2).bool()
            kept = torch.where(masked.view(-1, *[1] * (masks.ndim - 1)), masks[recordings], 1)
            return model.logits(block.mixed(recordings, kept))

        jobs = torch.arange(2 * len(masks), device=masks.device)
        with evaluation_mode(model.network):
            logits = in_batches(classified, jobs, size=self.parts.at_once(masks.device))
        # A mask that leaves everything changes nothing, whatever rounding makes of another row of the batch.
        whole = (masks == 1).flatten(1).all(1)
        logits[1::2][whole] = logits[0::2][whole]
        return logits

    def _masks(self, scores: Tensor) -> Tensor:
        """Masks in [0, 1], shaped like the scores; 0 throughout where nothing is relevant."""
        flat = scores.flatten(1).clamp(min=0)
        if self.normalisation == "top":
            count = max(1, round(self.top * flat.shape[1]))
            least = flat.topk(count, dim=1).values[:, -1:]
            masks = ((flat >= least) & (flat > 0)).to(flat)
        else:
            highest = flat.amax(1, keepdim=True)
            if self.normalisation == "percentile":
                level = _percentile(flat, self.percentile)
                highest = torch.where(level > 0, level, highest)
            masks = (flat / torch.where(highest > 0, highest, 1)).clamp(max=1)
        return masks.view_as(scores)


def _percentile(flat: Tensor, percentile: float) -> Tensor:
    """The percentile (batch, 1) of each row, by linear interpolation."""
    ordered = flat.sort(dim=1).values  # torch.quantile is limited in size
    position = percentile / 100 * (flat.shape[1] - 1)
    below = int(position)
    above = min(below + 1, flat.shape[1] - 1)
    return ordered[:, below, None].lerp(ordered[:, above, None], position - below)
