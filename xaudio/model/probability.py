"""Probabilities of logits: the one place that knows what a model's outputs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast, get_args

import numpy as np

from ..errors import ModelError
from ..types import FloatArray, Kind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ASSUMED = (
    "The outputs are taken for classes that exclude each other (softmax); say kind='classes' if they are, or kind='labels' if "
    "several can be true at once."
)
"""What is noted where nobody said what a model's outputs are."""

PROBABLE = ("classes", "labels")
"""Kinds of outputs that have probabilities."""

IMPROBABLE = "The model's outputs are of the kind {!r}, which have no probabilities: choose what asks for scores."

Logits = TypeVar("Logits", "Tensor", "FloatArray")


def checked_kind(kind: object) -> Kind:
    """The same kind.

    Raises
    ------
    ModelError
        If it is none.
    """
    if not isinstance(kind, str) or kind not in get_args(Kind):
        raise ModelError(
            f"The kind of the model's outputs is {kind!r}; expected 'classes' (one is true), 'labels' (several may be), "
            "'frames', 'ctc', 'embedding' or 'values'."
        )
    return cast("Kind", kind)


def kind_of(kind: Kind, outputs: int) -> Kind:
    """The kind of so many outputs: a single class is a label."""
    return "labels" if outputs == 1 and kind == "classes" else kind


def probabilities(logits: Logits, kind: Kind) -> Logits:
    """Probabilities, shaped like the logits (..., outputs), of a tensor or an array.

    Raises
    ------
    ModelError
        If outputs of this kind have none.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (..., outputs)
    kind : {"classes", "labels"}
        See `Kind`.
    """
    if kind not in PROBABLE:
        raise ModelError(IMPROBABLE.format(kind))
    alone = kind_of(kind, logits.shape[-1]) == "labels"
    if isinstance(logits, np.ndarray):
        import torch

        return probabilities(torch.tensor(logits), kind).numpy()
    return logits.sigmoid() if alone else logits.softmax(-1)


def default_target(kind: Kind, count: int, device: torch.device) -> Tensor | None:
    """What is explained where nobody says it: None for what is predicted, the first of values.

    Raises
    ------
    ModelError
        If nothing stands out, as in an embedding.
    """
    import torch

    if kind == "embedding":
        raise ModelError(
            "An embedding has no output that stands for itself: say what is asked of it, as in "
            "target=xaudio.Similarity('other.wav') or --target similar:other.wav."
        )
    return torch.zeros(count, dtype=torch.int64, device=device) if kind == "values" else None


def log_odds(logits: Tensor, target: Tensor, kind: Kind) -> Tensor:
    """ln(p / (1 - p)) of the target (batch,), from logits (batch, outputs).

    The probability is its sigmoid; unlike the probability itself it keeps all digits next to 0 and to 1.

    Parameters
    ----------
    logits : Tensor, shape (batch, outputs)
    target : Tensor of int64, shape (batch,)
    kind : {"classes", "labels"}
    """
    if kind not in PROBABLE:
        raise ModelError(IMPROBABLE.format(kind))
    chosen = logits.gather(1, target[:, None])[:, 0]
    if kind_of(kind, logits.shape[1]) == "labels":
        return chosen
    return chosen - logits.scatter(1, target[:, None], -float("inf")).logsumexp(1)


def predicted_outputs(logits: FloatArray, kind: Kind) -> list[int]:
    """Indices of the outputs that are predicted: the largest logit of classes, the labels above 1/2, the largest first.

    Of outputs without probabilities there are none.
    """
    if kind not in PROBABLE:
        return []
    if kind_of(kind, len(logits)) == "classes":
        return [int(np.argmax(logits))]
    return [int(index) for index in np.argsort(-logits, kind="stable") if logits[index] > 0]
