"""What a model says of the relevant part alone, or of the rest: relevance as a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xaudio import Classifier, Explanation, PluginError, evaluation_mode, in_batches
from xaudio.types import FloatArray

from ._parts import Block, Parts


def _increase(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    return 100 * (_of_target(after.softmax(1), target) > _of_target(before.softmax(1), target)).double()


def _drop(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    whole = _of_target(before.softmax(1), target)
    return 100 * (whole - _of_target(after.softmax(1), target)).clamp(min=0) / whole


def _drop_double_softmax(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    return _drop(before.softmax(1), after.softmax(1), target)


def _gain(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    """With 1 - p as the sum of the other classes, which is exact where p is nearly 1; 0 where there is no doubt to lose."""
    doubt, left = _doubt(before, target), _doubt(after, target)
    return 100 * (doubt - left).clamp(min=0) / torch.where(doubt > 0, doubt, 1)


def _fall(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    return _of_target(before.softmax(1), target) - _of_target(after.softmax(1), target)


def _same_class(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    del target
    return (before.argmax(1) == after.argmax(1)).double()


def _of_target(values: Tensor, target: Tensor) -> Tensor:
    return values.gather(1, target[:, None])[:, 0]


def _doubt(logits: Tensor, target: Tensor) -> Tensor:
    return logits.softmax(1).scatter(1, target[:, None], 0).sum(1)


VALUES: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "average_increase": _increase,
    "average_drop": _drop,
    "average_drop_double_softmax": _drop_double_softmax,
    "average_gain": _gain,
    "faithfulness_ff": _fall,
    "fid_in": _same_class,
}
"""Value (batch,) of each metric, by the logits (batch, classes) before and after masking, in float64, and the explained class."""


@dataclass(frozen=True)
class Masking:
    """A metric of `VALUES`; see `xaudio_faithfulness` for its definition and options.

    Raises
    ------
    PluginError
        If an option is out of its range.
    """

    parts: Parts
    normalisation: str
    percentile: float
    top: float

    def __post_init__(self) -> None:
        for name, value, most in (("percentile", self.percentile, 100), ("top", self.top, 1)):
            if not 0 < value <= most:
                raise PluginError(f"{self.parts.metric}: {name} is {value:g}; expected above 0, to {most}.")

    @property
    def better(self) -> Mapping[str, str]:
        """Which direction is good."""
        return {self.parts.metric: "lower" if "drop" in self.parts.metric else "higher"}

    def __call__(self, classifier: Classifier, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """One value (n,) per explanation."""
        found = [np.zeros(0)]
        for block in self.parts.blocks(classifier, explanations):
            logits = self._logits(classifier, block).cpu().double()
            found.append(VALUES[self.parts.metric](logits[0::2], logits[1::2], block.target.cpu()).numpy())
        return {self.parts.metric: np.concatenate(found)}

    @torch.no_grad()
    def _logits(self, classifier: Classifier, block: Block) -> Tensor:
        """Logits (2 batch, classes) of each recording, and next of what its mask leaves."""
        masks = self._masks(block.scores)
        if self.parts.metric == "faithfulness_ff":
            masks = 1 - masks

        def classified(jobs: Tensor) -> Tensor:
            recordings, masked = jobs // 2, (jobs % 2).bool()
            kept = torch.where(masked.view(-1, *[1] * (masks.ndim - 1)), masks[recordings], 1)
            return classifier.logits(block.mixed(recordings, kept))

        jobs = torch.arange(2 * len(masks), device=masks.device)
        with evaluation_mode(classifier.network):
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
