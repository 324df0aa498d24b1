"""Relevance of a batch of sounds by any explainer, checked."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from .classifier import Classifier, evaluation_mode
from .errors import PluginError
from .types import Explainer, Sound


def attribute(
    classifier: Classifier, explainer: Explainer, waveforms: Tensor, target: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Relevance of a batch.

    Parameters
    ----------
    classifier : Classifier
    explainer : callable
    waveforms : Tensor, shape (batch, samples)
        Placed, in [-1, 1], on the classifier's device.
    target : Tensor of int64, shape (batch,), optional
        By default the predicted classes.

    Returns
    -------
    features, relevance : Tensor, shape (batch, channels, *axes)
    logits : Tensor, shape (batch, classes)
    target : Tensor, shape (batch,)

    Raises
    ------
    ModelError
        If the network does not fit.
    PluginError
        If what the explainer returns is not relevance: of another shape, or not finite.
    """
    with evaluation_mode(classifier.network):
        with torch.no_grad():
            features = classifier.features(waveforms)
        find = _together if hasattr(explainer, "with_logits") else _in_turn
        relevance, logits = find(
            classifier, explainer, features, target, Sound(waveforms, classifier.representation, classifier.features)
        )
    name = getattr(explainer, "__name__", type(explainer).__name__)
    if not isinstance(relevance, Tensor) or relevance.shape != features.shape:
        shape = tuple(relevance.shape) if isinstance(relevance, Tensor) else type(relevance).__name__
        raise PluginError(
            f"The explainer {name!r} returned {shape}; expected relevance shaped like the features, {tuple(features.shape)}."
        )
    if not torch.isfinite(relevance).all():
        raise PluginError(
            f"The explainer {name!r} returned relevance that is NaN or infinite; try other options, such as a larger epsilon."
        )
    return features, relevance.detach(), logits, logits.argmax(1) if target is None else target


def _in_turn(
    classifier: Classifier, explainer: Explainer, features: Tensor, target: Tensor | None, sound: Sound
) -> tuple[Any, Tensor]:
    """Relevance, after the logits (batch, classes)."""
    with torch.no_grad():
        logits = classifier.logits(features.clone())  # a network may begin with an operation in place
    chosen = logits.argmax(1) if target is None else target
    with torch.enable_grad():
        return explainer(classifier.network, features.clone(), chosen, **_heard(explainer, sound)), logits


def _together(
    classifier: Classifier, explainer: Any, features: Tensor, target: Tensor | None, sound: Sound
) -> tuple[Any, Tensor]:
    """Relevance and logits (batch, classes) of an explainer that offers both."""
    method = explainer.with_logits
    try:
        with torch.enable_grad():
            relevance, logits = method(classifier.network, features.clone(), target, **_heard(method, sound))
    except Exception:
        with torch.no_grad():
            classifier.logits(features.clone())  # says so if the network is what does not fit
        raise
    return relevance, classifier.checked_logits(logits, len(features)).detach()


def _heard(function: Any, sound: Sound) -> dict[str, Any]:
    return {"sound": sound} if "sound" in inspect.signature(function).parameters else {}
