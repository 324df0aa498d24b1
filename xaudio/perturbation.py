"""Take cells away from what a network reads, in a given order, and see what it then says (pixel flipping)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from .classifier import Classifier, evaluation_mode
from .errors import ModelError

Share = Literal["nonzero", "all"]
"""Of what a fraction is taken: of a recording's cells that are not zero, or of all cells."""


def ranks(scores: Tensor, features: Tensor) -> Tensor:
    """Position of each cell when cells are taken away by descending score; cells that are zero already come last.

    Parameters
    ----------
    scores, features : Tensor, shape (batch, channels, *axes)

    Returns
    -------
    Tensor of int64, shape (batch, cells)
        Ties are broken by position, so that the order is the same each time.
    """
    flat = scores.flatten(1).masked_fill(features.flatten(1) == 0, -torch.inf)
    order = flat.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def counts(features: Tensor, fractions: Sequence[float], share: Share) -> Tensor:
    """How many cells are taken away at each fraction, (batch, fractions) of int64, rounded to the nearest."""
    if share == "all":
        total = torch.full((len(features), 1), features[0].numel(), device=features.device)
    else:
        total = (features.flatten(1) != 0).sum(1, keepdim=True)
    # In float64 on the CPU: some devices have none, and 0.29 * 100 must not become 28.
    wanted = total.cpu().double() * torch.tensor(list(fractions), dtype=torch.float64)
    return wanted.round().long().to(features.device)


@torch.no_grad()
def flipped_logits(
    classifier: Classifier,
    features: Tensor,
    scores: Tensor,
    fractions: Sequence[float],
    *,
    share: Share = "nonzero",
    batch_size: int = 200,
) -> Tensor:
    """Logits after the highest-scoring fraction of each recording's cells was set to 0.

    Each recording is sorted once; recordings and fractions together fill the batches.

    Parameters
    ----------
    classifier : Classifier
    features : Tensor, shape (batch, channels, *axes)
        What the network reads.
    scores : Tensor, same shape
        Such as relevance, |amplitude| or random numbers.
    fractions : sequence of float
        In [0, 1].
    share : {"nonzero", "all"}
    batch_size : int
        Inputs classified at once.

    Returns
    -------
    Tensor, shape (batch, fractions, classes)

    Raises
    ------
    ModelError
        If the shapes differ or a fraction is outside [0, 1].
    """
    if scores.shape != features.shape:
        raise ModelError(f"The scores have shape {tuple(scores.shape)}; expected that of the features, {tuple(features.shape)}.")
    if not all(0 <= fraction <= 1 for fraction in fractions):
        raise ModelError(f"Fractions must lie in [0, 1]; got {list(fractions)}.")
    places, taken = ranks(scores, features), counts(features, fractions, share)
    recordings, steps = taken.shape
    jobs = torch.arange(recordings * steps, device=features.device)
    parts = []
    with evaluation_mode(classifier.network):
        for start in range(0, len(jobs), batch_size):
            recording, step = jobs[start : start + batch_size] // steps, jobs[start : start + batch_size] % steps
            kept = places[recording] >= taken[recording, step][:, None]
            parts.append(classifier.logits(features[recording] * kept.view(-1, *features.shape[1:])))
    return torch.cat(parts).view(recordings, steps, -1)
