"""What a training makes smaller."""

from __future__ import annotations

from torch import Tensor, nn


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of logits (batch, classes): cross-entropy of a softmax, or of a sigmoid each where several labels may be true.

    Parameters
    ----------
    logits : Tensor, shape (batch, classes)
    labels : Tensor of int64, shape (batch,) of class indices, or (batch, classes) of 0 and 1
    """
    if labels.ndim == 2:
        return nn.functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    return nn.functional.cross_entropy(logits, labels)


def losses_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each recording (batch,), whose mean is `loss_of`."""
    if labels.ndim == 2:
        kept = nn.functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
        return kept.mean(1)
    return nn.functional.cross_entropy(logits, labels, reduction="none")
