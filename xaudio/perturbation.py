"""Manipulations of what a network reads: cells taken away in a given order (pixel flipping), frequencies moved."""

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


Scale = Literal["dB", "magnitude"]
Fill = Literal["floor", "edge"]


def scaled_frequencies(
    features: Tensor, factors: Tensor, *, scale: Scale = "dB", order: Literal[0, 1] = 1, fill: Fill = "floor"
) -> Tensor:
    """Spectrograms whose frequency axis is stretched: S'(k, m) = S(k / s, m), anchored at 0 Hz, time untouched.

    Parameters
    ----------
    features : Tensor, shape (batch, channels, frequencies, frames)
        In dB, frequency 0 first.
    factors : Tensor, shape (batch,)
        s of each recording: above 1 moves everything up.
    scale : {"dB", "magnitude"}
        What is interpolated between bins: the levels, or the magnitudes 10^(dB / 20).
    order : {0, 1}
        0 takes the nearest bin, 1 interpolates linearly.
    fill : {"floor", "edge"}
        What stands in bins that would come from above the highest: each recording's lowest level, or the highest bin.

    Returns
    -------
    Tensor
        Shaped like the features.

    Raises
    ------
    ModelError
        If a factor is not positive.
    """
    if not bool((factors > 0).all()):
        raise ModelError(f"Factors of the frequency axis must be positive; got {factors.tolist()}.")
    bins = features.shape[2]
    source = torch.arange(bins, device=features.device, dtype=features.dtype) / factors.to(features)[:, None]
    if order == 0:
        source = source.round()
    # A factor of 1 must give each bin back exactly: the fraction is 0 there, and 0 * a + 1 * b = b.
    low = source.floor().clamp(max=bins - 1)
    fraction = (source - low).clamp(0, 1)[:, None, :, None]
    values = features if scale == "dB" else 10 ** (features / 20)

    def at(position: Tensor) -> Tensor:
        index = position.long().clamp(max=bins - 1)[:, None, :, None].expand(-1, features.shape[1], -1, features.shape[3])
        return values.gather(2, index)

    moved = (1 - fraction) * at(low) + fraction * at(low + 1)
    moved = moved if scale == "dB" else 20 * moved.log10()
    if fill == "edge":
        return moved
    beyond = (source > bins - 1)[:, None, :, None]
    return torch.where(beyond, features.amin((1, 2, 3), keepdim=True), moved)
