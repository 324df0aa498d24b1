"""Curves of the explained class's probability while cells are taken away in order, and what sums them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import Better, Explanation, FloatArray, Model, PluginError

from ._parts import Block, Parts
from ._perturbation import logits_without, tied


@dataclass(frozen=True)
class Area:
    """The area under a deletion or an insertion curve; see `xaudio_faithfulness.deletion_auc` and ``insertion_auc``.

    Parameters
    ----------
    inserts : bool
        Whether the curve puts cells in, the most relevant first, or takes them away.
    """

    parts: Parts
    inserts: bool
    share: Any
    steps: int

    @property
    def better(self) -> Mapping[str, Better]:
        """Which direction is good."""
        return {self.parts.metric: "higher" if self.inserts else "lower"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """One area (n,) per explanation, 0 to 1."""
        fractions = _evenly(self.steps)
        # With a fraction q in, the least relevant 1 - q are out: the same curve, read from its end.
        order = "ascending" if self.inserts else "descending"
        curves = probabilities(model, explanations, self.parts, fractions, [order], self.share)[:, 0]
        area: FloatArray = np.asarray(np.trapezoid(curves, fractions, axis=1))
        return {self.parts.metric: area}


@dataclass(frozen=True)
class PixelFlipping:
    """AOPC in both orders; see `xaudio_faithfulness.pixel_flipping`."""

    parts: Parts
    share: Any
    steps: int
    fractions: tuple[float, ...] | None = None

    better: ClassVar[Mapping[str, Better]] = {"aopc_morf": "higher", "aopc_lerf": "lower", "aopc_difference": "higher"}

    def __post_init__(self) -> None:
        if self.fractions is not None and not any(self.fractions):
            raise PluginError(f"{self.parts.metric}: fractions are {self.fractions}; expected one above 0.")

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """AOPC (n,) of the most relevant first, of the least relevant first, and their difference."""
        fractions = _evenly(self.steps) if self.fractions is None else sorted({0.0, *self.fractions})
        curves = probabilities(model, explanations, self.parts, fractions, ["descending", "ascending"], self.share)
        most, least = (curves[:, :, :1] - curves).mean(2).T
        return {"aopc_morf": most, "aopc_lerf": least, "aopc_difference": most - least}


def probabilities(
    model: Model,
    explanations: Sequence[Explanation],
    parts: Parts,
    fractions: Sequence[float],
    orders: Sequence[Any],
    share: Any,
) -> FloatArray:
    """Probability (n, orders, fractions) of the explained class without fractions of the cells, in float64.

    Where a fraction takes some of several equal scores they do not tell which: the mean is taken over two orders of the equal
    ones, one drawn at random and the same from its end. So a map of equal scores is worth exactly as much in one direction as
    in the other.
    """
    curves = [np.zeros((0, len(orders), len(fractions)))]
    for block in parts.blocks(model, explanations):
        curves.append(_curves(model, block, parts, fractions, orders, share).numpy())
    return np.concatenate(curves)


def _curves(model: Model, block: Block, parts: Parts, fractions: Sequence[float], orders: Sequence[Any], share: Any) -> Tensor:
    segments = [torch.arange(cells, device=block.scores.device) // parts.segment for cells in block.scores.shape[2:]]
    scores, removable = block.scores, block.removable
    if parts.segment > 1:
        scores, removable = _pooled(scores, segments), _pooled(removable.to(scores), segments) > 0

    def curves(chosen: Tensor, ties: Tensor, only: Tensor | None = None) -> Tensor:
        """Of the chosen recordings (n,), with equal scores in a given order, everywhere or only at some fractions."""

        def without(recordings: Tensor, removed: Tensor) -> Tensor:
            return block.mixed(chosen[recordings], ~_spread(removed, segments) if parts.segment > 1 else ~removed)

        logits = logits_without(
            parts.asked(model),
            scores[chosen],
            removable[chosen],
            fractions,
            without,
            orders=orders,
            share=share,
            batch_size=parts.at_once(scores.device),
            ties=ties,
            only=only,
        )
        logits = logits.cpu().double()
        target = block.target[chosen].cpu()[:, None, None, None].expand(*logits.shape[:3], 1)
        return model.probabilities(logits).gather(3, target)[..., 0]

    drawn = torch.randperm(scores[0].numel(), generator=torch.Generator().manual_seed(parts.seed)).to(scores.device)
    every = torch.arange(len(scores), device=scores.device)
    means = curves(every, drawn)
    cut = tied(scores, removable, fractions, orders, share)
    if len(undecided := every[cut.any((1, 2))]):
        other = curves(undecided, drawn.flip(0), cut[undecided])
        where = cut.cpu()
        means[where] = (means[where] + other[where[undecided.cpu()]]) / 2
    return means


def _pooled(cells: Tensor, segments: Sequence[Tensor]) -> Tensor:
    """Sums (batch, channels, *segments) of cells (batch, channels, *axes)."""
    for axis, segment in enumerate(segments, start=2):
        shape = (*cells.shape[:axis], int(segment[-1]) + 1, *cells.shape[axis + 1 :])
        cells = cells.new_zeros(shape).index_add_(axis, segment, cells)
    return cells


def _spread(cells: Tensor, segments: Sequence[Tensor]) -> Tensor:
    """Cells (batch, channels, *axes) that have the value of their segment."""
    for axis, segment in enumerate(segments, start=2):
        cells = cells.index_select(axis, segment)
    return cells


def _evenly(steps: int) -> list[float]:
    return [step / steps for step in range(steps + 1)]
