"""What training does to recordings so that few of them are enough: they are moved, changed in speed, hidden in parts and mixed.

All that is drawn comes from torch's global generator, which a training seeds at each step.
"""

from __future__ import annotations

import torch
from torch import Tensor

WIDEST_MASK = 0.2
"""Largest share of an axis that one mask hides."""


def shifted(waveforms: Tensor, share: float) -> Tensor:
    """Waveforms (batch, samples), each moved in a circle by up to this share of its length to either side.

    Of several channels, (batch, channels, samples), all are moved alike.
    """
    if not share:
        return waveforms
    count, samples = len(waveforms), waveforms.shape[-1]
    moves = ((2 * torch.rand(count, 1) - 1) * share * samples).long().to(waveforms.device)
    return _taken(waveforms, (torch.arange(samples, device=waveforms.device) - moves) % samples)


def _taken(waveforms: Tensor, places: Tensor) -> Tensor:
    """Samples of waveforms (batch, samples) or (batch, channels, samples) at places (batch, samples)."""
    return waveforms.gather(-1, places if waveforms.ndim == 2 else places[:, None].expand_as(waveforms))


def at_other_speed(waveforms: Tensor, share: float) -> Tensor:
    """Waveforms (batch, samples), each played slower or faster by up to this share, and so lower or higher.

    The middle stays where it is, and zeros come where there is no more sound. Between samples the waveform is a straight line.
    Of several channels, (batch, channels, samples), all are changed alike.
    """
    if not share:
        return waveforms
    count, samples = len(waveforms), waveforms.shape[-1]
    speeds = (1 + (2 * torch.rand(count, 1) - 1) * share).to(waveforms)
    middle = (samples - 1) / 2
    places = (torch.arange(samples, device=waveforms.device) - middle) * speeds + middle
    inside = (places >= 0) & (places <= samples - 1)
    before = places.floor().clamp(0, max(0, samples - 2)).long()
    after = (before + 1).clamp(max=samples - 1)
    between = (places - before).clamp(0, 1)
    earlier, later = _taken(waveforms, before), _taken(waveforms, after)
    inside, between = (part if waveforms.ndim == 2 else part[:, None] for part in (inside, between))
    return torch.where(inside, (1 - between) * earlier + between * later, 0)


def hidden(features: Tensor, masks: int) -> Tensor:
    """Features ``(batch, channels, *axes)`` of which so many ranges of each axis are replaced by the recording's mean.

    As SpecAugment (Park et al. 2019, arXiv 1904.08779), without its warping of time.
    """
    if not masks:
        return features
    count = len(features)
    mean = features.flatten(1).mean(1).reshape(-1, *[1] * (features.ndim - 1))
    for axis in range(2, features.ndim):
        size = features.shape[axis]
        place = torch.arange(size)
        widths = torch.rand(masks, count, 1) * WIDEST_MASK * size
        starts = torch.rand(masks, count, 1) * (size - widths)
        inside = ((place >= starts) & (place < starts + widths)).any(0).to(features.device)
        features = torch.where(
            inside.reshape(count, *(size if part == axis else 1 for part in range(1, features.ndim))), mean, features
        )
    return features


def mixed(features: Tensor, concentration: float) -> tuple[Tensor, Tensor, Tensor]:
    """Features of which each is mixed with those of another recording (Zhang et al. 2018, arXiv 1710.09412).

    Parameters
    ----------
    features : Tensor, shape ``(batch, channels, *axes)``
    concentration : float
        Both parameters of the Beta distribution of which the share is drawn; 0 mixes nothing.

    Returns
    -------
    mixed : Tensor, like features
    others : Tensor of int64, shape (batch,)
        Index of the recording that each is mixed with.
    shares : Tensor, shape (batch,)
        Of its own in each, 0.5 to 1.
    """
    count = len(features)
    if not concentration:
        return features, torch.arange(count, device=features.device), features.new_ones(count)
    drawn = torch.distributions.Beta(concentration, concentration).sample((count,))
    shares, others = torch.maximum(drawn, 1 - drawn).to(features), torch.randperm(count).to(features.device)
    weights = shares.reshape(-1, *[1] * (features.ndim - 1))
    return weights * features + (1 - weights) * features[others], others, shares
