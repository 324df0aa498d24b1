"""Ranks and their correlation, many recordings at once."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(values: Tensor, counted: Tensor) -> Tensor:
    """Rank of each cell among those that count, from 1; ties share their mean rank.

    Parameters
    ----------
    values : Tensor, shape (batch, ...)
    counted : Tensor of bool, shape (batch, cells)
        The rank of other cells means nothing.

    Returns
    -------
    Tensor of float32, shape (batch, cells)
        Exact for up to 2^23 cells.
    """
    # What does not count comes last, so that it moves no other rank.
    flat = values.detach().flatten(1).masked_fill(~counted, torch.inf).contiguous()
    ordered = flat.sort(dim=1).values
    below, upto = torch.searchsorted(ordered, flat), torch.searchsorted(ordered, flat, right=True)
    return (below + upto + 1).float() / 2


def rank_correlation(first: Tensor, second: Tensor, counted: Tensor) -> Tensor:
    """Pearson's correlation of ranks, which is Spearman's of the values.

    Parameters
    ----------
    first, second : Tensor, shape (batch, cells)
        As `ranks` gives them.
    counted : Tensor of bool, shape (batch, cells)

    Returns
    -------
    Tensor of float32, shape (batch,)
        1 if both rank all cells alike, 0 if only one does.
    """
    a, b = _centred(first, counted), _centred(second, counted)
    spread_a, spread_b = a.square().sum(1), b.square().sum(1)
    both = (spread_a * spread_b).sqrt()
    alike = ((spread_a == 0) & (spread_b == 0)).to(both)
    correlation: Tensor = torch.where(both > 0, (a * b).sum(1) / torch.where(both > 0, both, 1), alike)
    return correlation.float().to(first.device)


def _centred(values: Tensor, counted: Tensor) -> Tensor:
    """Ranks less their mean, 0 where they do not count; in float64, on the CPU where a device has none."""
    if values.device.type == "mps":
        values, counted = values.cpu(), counted.cpu()
    exact = values.double() * counted
    mean = exact.sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp(min=1)
    return (exact - mean) * counted
