"""What the metrics are given, as tensors on the model's device, after it was checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import (
    Explainer,
    Explanation,
    FloatArray,
    Model,
    ModelError,
    check_explanations,
    check_outputs,
    evaluation_mode,
    explainer_of,
    in_batches,
)

TOLERANCE = 0.01
"""Difference of the logits, as a share of the largest, that another device or precision may make."""


class Given(NamedTuple):
    """Recordings, what the model reads and says of them, and what an explainer said; n of each."""

    waveforms: Tensor
    features: Tensor
    relevance: Tensor
    logits: Tensor
    target: Tensor


def given(model: Model, explanations: Sequence[Explanation], name: str, batch_size: int) -> Given:
    """The explanations as tensors.

    Raises
    ------
    ModelError
        If they are views, or the model is not the one that they explain.
    """
    check_explanations(explanations)
    check_outputs(name, model, explanations[0])
    if "view" in explanations[0].provenance:
        raise ModelError(
            f"{name} compares relevance with what the model does to its features, but the explanation of "
            f"{explanations[0].clip.source} is a {explanations[0].domain} view: measure the explanation itself."
        )
    waveforms = _stacked(model, [explanation.clip.waveform for explanation in explanations])
    with evaluation_mode(model.network), torch.no_grad():
        features = in_batches(model.features, waveforms, size=batch_size)
        _refuse_other_features(features, explanations[0])
        logits = in_batches(lambda part: model.logits(part.clone()), features, size=batch_size)
    _refuse_other_model(logits, explanations)
    relevance = _stacked(model, [explanation.relevance for explanation in explanations]).to(features.dtype)
    target = torch.tensor([explanation.target for explanation in explanations], device=model.device)
    return Given(waveforms, features, relevance, logits, target)


def the_explainer(explanations: Sequence[Explanation], name: str) -> Explainer:
    """The explainer of all the explanations, made again.

    Raises
    ------
    ModelError
        If there are several.
    """
    names = sorted({explanation.explainer for explanation in explanations})
    if len(names) > 1:
        raise ModelError(f"{name} explains again, but the explanations are by {' and '.join(names)}: measure them apart.")
    return explainer_of(explanations[0])


def level(values: Tensor) -> Tensor:
    """Root mean square of each recording over what is not exactly 0, such as padding: (n, 1, ...); 0 for silence."""
    flat = values.flatten(1)
    mean = flat.square().sum(1) / (flat != 0).sum(1).clamp(min=1)
    return mean.sqrt().view(-1, *(1,) * (values.ndim - 1))


def jobs(recordings: int, draws: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Index of the recording and of the draw for every pair of them, each (recordings * draws,)."""
    every = torch.arange(recordings * draws, device=device)
    return torch.div(every, draws, rounding_mode="floor"), every % draws


def as_array(values: Tensor) -> FloatArray:
    """Values in float64, as numpy has them."""
    return values.cpu().numpy().astype(np.float64)


def _stacked(model: Model, arrays: Sequence[FloatArray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(model.device)


def _refuse_other_features(features: Tensor, explanation: Explanation) -> None:
    if tuple(features.shape[1:]) != explanation.features.shape:
        raise ModelError(
            f"The model reads features of shape {tuple(features.shape[1:])}, but {explanation.clip.source} was explained "
            f"with {explanation.features.shape}: give the model that was explained."
        )


def _refuse_other_model(logits: Tensor, explanations: Sequence[Explanation]) -> None:
    """That a model gives other logits for the same recordings is the only sure sign that it is another one."""
    for now, explanation in zip(as_array(logits), explanations, strict=True):
        then = explanation.logits
        if now.shape != then.shape or np.abs(now - then).max() > TOLERANCE * max(np.abs(then).max(), TOLERANCE):
            raise ModelError(
                f"The model gives other logits for {explanation.clip.source} than the one that was explained: give the "
                f"model that was explained."
            )
