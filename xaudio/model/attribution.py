"""Relevance of a batch of sounds by any explainer, checked."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import PluginError
from ..types import Excerpt, Explainer, Sound
from .model import Model
from .modes import HALF
from .probability import default_target
from .running import evaluation_mode
from .statements import check_offers
from .sums import Completeness, completeness

Attributed = tuple[Tensor, Tensor, Tensor, Tensor]


def attribute(
    model: Model,
    explainer: Explainer,
    waveforms: Tensor,
    target: Tensor | None = None,
    excerpts: Sequence[Excerpt] = (),
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Relevance of a batch.

    Parameters
    ----------
    model : Model
    explainer : callable
    waveforms : Tensor, shape (batch, samples)
        Placed, in [-1, 1], on the model's device.
    target : Tensor of int64, shape (batch,), optional
        By default the predicted classes, the first of values.
    excerpts : sequence of Excerpt
        Which recordings they are, for explainers that ask; empty where nobody knows.

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
    check_offers(model, explainer)
    model = model.fitting(waveforms)
    target = default_target(model.kind, len(waveforms), waveforms.device) if target is None else target
    with evaluation_mode(model.network):
        with torch.no_grad():
            features = model.features(waveforms)
        find = _together if hasattr(explainer, "with_logits") else _in_turn
        relevance, logits = find(
            model,
            explainer,
            features,
            target,
            Sound(waveforms, model.representation, model.features, model.kind, excerpts),
        )
    name = getattr(explainer, "__name__", type(explainer).__name__)
    if not isinstance(relevance, Tensor) or relevance.shape != features.shape:
        shape = tuple(relevance.shape) if isinstance(relevance, Tensor) else type(relevance).__name__
        raise PluginError(
            f"The explainer {name!r} returned {shape}; expected relevance shaped like the features, {tuple(features.shape)}."
        )
    if not torch.isfinite(relevance).all():
        raise PluginError(f"The explainer {name!r} returned relevance that is NaN or infinite: {_cause(model, features)}.")
    relevance = relevance.detach().float() if relevance.dtype in HALF else relevance.detach()
    return features, relevance, logits, logits.argmax(1) if target is None else target


def expected_sums(model: Model, explainer: Explainer, waveforms: Tensor, attributed: Attributed) -> Completeness | None:
    """What relevance sums to beside what it should; None where the explainer does not say what it sums to.

    Parameters
    ----------
    model : Model
    explainer : callable
        Says so by a method ``expected_sum``; see `xaudio.types.Explainer`.
    waveforms : Tensor, shape (batch, samples)
    attributed : tuple
        What `attribute` returned.

    Raises
    ------
    ModelError
        If the model is not finite for what the explainer compares with.
    """
    method = getattr(explainer, "expected_sum", None)
    if method is None:
        return None
    features, relevance, logits, target = attributed
    model = model.fitting(waveforms)
    sound = Sound(waveforms, model.representation, model.features, model.kind)
    with evaluation_mode(model.network), torch.no_grad():
        expected = method(model.network, features.clone(), target, logits, **sound_for(method, sound))
    return completeness(relevance, expected, logits)


def _cause(model: Model, features: Tensor) -> str:
    """Why relevance may not be finite, and what to do."""
    with torch.no_grad(), evaluation_mode(model.network):
        at_zero = model.network(torch.zeros_like(features[:1]))
    if not bool(torch.isfinite(at_zero).all()):
        return (
            "the model itself is NaN for features of 0, the baseline of most methods; choose another baseline (noise_floor), or "
            "let the model divide by no less than a small number"
        )
    return "run xaudio doctor on the model, or try other options of the explainer, such as a larger epsilon"


def _in_turn(model: Model, explainer: Explainer, features: Tensor, target: Tensor | None, sound: Sound) -> tuple[Any, Tensor]:
    """Relevance, after the logits (batch, classes)."""
    at_once = getattr(explainer, "internal_batch_size", None) or len(features)
    with torch.no_grad():  # of copies, since a network may begin with an operation in place
        parts = [model.logits(part.clone()) for part in torch.split(features, at_once)]
    logits = torch.cat(parts)
    chosen = logits.argmax(1) if target is None else target
    with torch.enable_grad():
        return explainer(model.network, features.clone(), chosen, **sound_for(explainer, sound)), logits


def _together(model: Model, explainer: Any, features: Tensor, target: Tensor | None, sound: Sound) -> tuple[Any, Tensor]:
    """Relevance and logits (batch, classes) of an explainer that offers both."""
    method = explainer.with_logits
    try:
        with torch.enable_grad():
            relevance, logits = method(model.network, features.clone(), target, **sound_for(method, sound))
    except Exception:
        with torch.no_grad():
            model.logits(features.clone())  # says so if the network is what does not fit
        raise
    return relevance, model.checked_logits(logits, len(features)).detach()


def sound_for(function: Any, sound: Sound) -> dict[str, Any]:
    """The argument ``sound`` for a function that declares it."""
    return {"sound": sound} if "sound" in inspect.signature(function).parameters else {}
