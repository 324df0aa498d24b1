"""Manipulations of what a network reads: cells taken away in a given order (pixel flipping), frequencies moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from xaudio.plugin import Model, ModelError, evaluation_mode, in_batches

Share = Literal["nonzero", "all"]
"""Of what a fraction is taken: of a recording's cells that are not zero, or of all cells."""

Order = Literal["descending", "ascending"]
"""Which scores go first: the highest or the lowest."""


def ranks(scores: Tensor, features: Tensor, ties: Tensor | None = None) -> Tensor:
    """Position of each cell when cells are taken away by descending score; cells that are zero already come last.

    Parameters
    ----------
    scores, features : Tensor, shape (batch, channels, *axes)
    ties : Tensor of int64, shape (cells,), optional
        The cells in the order in which equal scores are taken; by default that of their positions.

    Returns
    -------
    Tensor of int64, shape (batch, cells)
    """
    flat = scores.flatten(1).masked_fill(features.flatten(1) == 0, -torch.inf)
    if ties is None:
        order = flat.argsort(dim=1, descending=True, stable=True)
    else:
        order = ties[flat[:, ties].argsort(dim=1, descending=True, stable=True)]
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def tied(scores: Tensor, removable: Tensor, fractions: Sequence[float], orders: Sequence[Order], share: Share) -> Tensor:
    """Which fractions, bool (batch, orders, fractions), take some of several equal scores, so that these do not tell which.

    Parameters
    ----------
    scores : Tensor, shape (batch, channels, *axes)
    removable : Tensor of bool, of the same shape
    fractions, orders, share
        As of `logits_without`.
    """
    ordered = -(-scores.flatten(1)).masked_fill(removable.flatten(1) == 0, torch.inf).sort(dim=1).values
    most, taken = _taken(removable, fractions, share)
    ends = torch.cat([taken if order == "descending" else most - taken for order in orders], dim=1)
    last = ordered.gather(1, (ends - 1).clamp(min=0))
    following = ordered.gather(1, ends.clamp(max=ordered.shape[1] - 1))
    cut = (last == following) & (ends > 0) & (ends < most)
    return cut.view(len(scores), len(orders), len(fractions))


def _taken(removable: Tensor, fractions: Sequence[float], share: Share) -> tuple[Tensor, Tensor]:
    """How many cells can be taken away, int64 (batch, 1), and how many are at each fraction, (batch, fractions)."""
    most = (removable.flatten(1) != 0).sum(1, keepdim=True)
    return most, torch.minimum(counts(removable, fractions, share), most)


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
def logits_without(
    model: Model,
    scores: Tensor,
    removable: Tensor,
    fractions: Sequence[float],
    without: Callable[[Tensor, Tensor], Tensor],
    *,
    orders: Sequence[Order] = ("descending",),
    share: Share = "nonzero",
    batch_size: int = 200,
    ties: Tensor | None = None,
    only: Tensor | None = None,
) -> Tensor:
    """Logits after a fraction of each recording's cells was taken away, in order of their scores.

    Each recording is sorted once; recordings, orders and fractions together fill the batches, and what several of them have
    in common (nothing taken away, everything taken away) is classified once.

    Parameters
    ----------
    model : Model
    scores : Tensor, shape ``(batch, *cells)``
        Such as relevance.
    removable : Tensor, shape ``(batch, *cells)``
        False or 0 where taking a cell away changes nothing: such cells are never taken.
    fractions : sequence of float
        In [0, 1].
    without : callable
        Takes recordings, int64 (n,), and which of their cells are taken away, bool ``(n, *cells)``, and gives what the network
        reads, ``(n, channels, *axes)``.
    orders : sequence of {"descending", "ascending"}
        Highest or lowest scores first.
    share : {"nonzero", "all"}
        Whether fractions are those of the removable cells, or of all; then there is nothing left to take away before 1.
    batch_size : int
        Inputs classified at once.
    ties : Tensor of int64, shape (cells,), optional
        The cells in the order in which equal scores count as descending; by default that of their positions.
    only : Tensor of bool, shape (batch, orders, fractions), optional
        Where logits are wanted, by default everywhere; elsewhere they are NaN, and nothing is classified.

    Returns
    -------
    Tensor, shape (batch, orders, fractions, classes)

    Raises
    ------
    ModelError
        If a fraction is outside [0, 1].
    DeviceError
        If memory runs out with a single input.
    """
    if not all(0 <= fraction <= 1 for fraction in fractions):
        raise ModelError(f"Fractions must lie in [0, 1]; got {list(fractions)}.")
    places = ranks(scores, removable, ties).int()
    most, taken = _taken(removable, fractions, share)
    taken = taken[:, None].expand(-1, len(orders), -1)
    recording = torch.arange(len(scores), device=scores.device)[:, None, None].expand_as(taken)
    ascending = torch.tensor([order == "ascending" for order in orders], device=scores.device)[:, None].expand_as(taken)
    apart = (ascending & (taken > 0) & (taken < most[:, None])).long()  # elsewhere the order makes no difference
    wanted = torch.ones_like(ascending) if only is None else only
    jobs, positions = torch.unique(torch.stack([recording, apart, taken], dim=-1)[wanted], dim=0, return_inverse=True)

    def classified(jobs: Tensor) -> Tensor:
        recording, ascending, taken = jobs.unbind(1)
        first = torch.where(ascending == 1, most[recording, 0] - taken, 0)
        # In 32 bits, as the places are: half the time.
        place, first, last = places[recording], first.int()[:, None], (first + taken).int()[:, None]
        removed = (place >= first) & (place < last)
        return model.logits(without(recording, removed.view(-1, *scores.shape[1:])))

    with evaluation_mode(model.network):
        logits = in_batches(classified, jobs, size=batch_size)
    if only is None:
        return logits[positions].view(*taken.shape, -1)
    everywhere = logits.new_full((*taken.shape, logits.shape[-1]), torch.nan)
    everywhere[only] = logits[positions]
    return everywhere


def flipped_logits(
    model: Model,
    features: Tensor,
    scores: Tensor,
    fractions: Sequence[float],
    *,
    share: Share = "nonzero",
    batch_size: int = 200,
) -> Tensor:
    """Logits after the highest-scoring fraction of each recording's cells was set to 0; see `logits_without`.

    Parameters
    ----------
    model : Model
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

    def without(recordings: Tensor, removed: Tensor) -> Tensor:
        return features[recordings].masked_fill_(removed, 0)

    logits = logits_without(model, scores, features, fractions, without, share=share, batch_size=batch_size)
    return logits[:, 0]


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
