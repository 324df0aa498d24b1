"""Largest change of the relevance for sounds that are nearly the same."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from xaudio.plugin import (
    Better,
    Explainer,
    Explanation,
    FloatArray,
    Model,
    ModelError,
    Representation,
    attribute,
    in_batches,
    seeded_generator,
)

from ._given import as_array, given, jobs, level, the_explainer


@dataclass(frozen=True)
class MaxSensitivity:
    """Yeh et al. 2019 (arXiv 1901.09392), definition 3.1, relative to R; see `xaudio_robustness.max_sensitivity`.

    max over d of |R(x + d) - R(x)| / |R(x)|, with the Euclidean norm, for the class that was explained. The maximum is over
    draws from the box |d|_inf <= r, and so less than the true one. Where R(x) is 0 everywhere, |R(x + d)| stands below the
    line: 0 if nothing changes, else 1.
    """

    perturb: str
    radius: float
    draws: int
    seed: int
    batch_size: int

    @property
    def name(self) -> str:
        """Of the value."""
        return "max_sensitivity" if self.perturb == "sound" else "max_sensitivity_features"

    @property
    def better(self) -> Mapping[str, Better]:
        """Lower."""
        return {self.name: "lower"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure.

        Returns
        -------
        dict
            The name: (n,), not negative; 0 for an explainer that always says the same.

        Raises
        ------
        ModelError
            For what `xaudio.plugin.check_explanations` refuses, for views, for several explainers, if the model is not what
            was explained, and if the features alone are perturbed of an explainer that listens to the sound.
        """
        items = given(model, explanations, self.name, self.batch_size)
        explainer = the_explainer(explanations, self.name)
        around = items.waveforms
        if self.perturb == "features":
            model, explainer, around = _reading(model.fitting(around)), _deaf(explainer, explanations[0]), items.features
        generator = seeded_generator(self.seed)
        shape = (self.draws, *around.shape[1:])
        drawn = 2 * torch.rand(shape, generator=generator, dtype=torch.float32) - 1  # on the CPU: the same on every device
        moves, levels = (self.radius * drawn).to(around), level(around)

        def norms(recording: Tensor, draw: Tensor) -> Tensor:
            near = around[recording] + moves[draw] * levels[recording]
            relevance = attribute(model, explainer, near, items.target[recording])[1]
            return torch.stack([_norm(relevance - items.relevance[recording]), _norm(relevance)], dim=1)

        distances = as_array(in_batches(norms, *jobs(len(around), self.draws, around.device), size=self.batch_size))
        change, after = torch.from_numpy(distances).view(-1, self.draws, 2).unbind(2)
        before = torch.from_numpy(as_array(_norm(items.relevance)))[:, None].expand_as(after)
        whole = torch.where(before > 0, before, after)
        return {self.name: torch.where(whole > 0, change / whole, 0).amax(1).numpy()}


def _norm(relevance: Tensor) -> Tensor:
    """Euclidean norm (n,)."""
    return torch.as_tensor(torch.linalg.vector_norm(relevance.flatten(1), dim=1))


class _AsTheyAre:
    """Stands for the representation where features are given instead of waveforms."""

    def __init__(self, read: Representation) -> None:
        self.sample_rate, self.samples, self.placement = read.sample_rate, read.samples, read.placement
        self.axes, self.unit = read.axes, read.unit

    def __call__(self, features: Tensor) -> Tensor:
        return features


def _reading(model: Model) -> Model:
    """The same model, given features instead of waveforms."""
    representation: Any = _AsTheyAre(model.representation)
    return replace(model, representation=representation, mean=None)


def _deaf(explainer: Explainer, explanation: Explanation) -> Explainer:
    """The same explainer without the sound, which perturbed features do not have.

    Raises
    ------
    ModelError
        If it cannot do without.
    """
    sound = inspect.signature(explainer).parameters.get("sound")
    if sound is not None and sound.default is inspect.Parameter.empty:
        raise ModelError(
            f"{explanation.explainer} listens to the sound, so its features cannot be perturbed alone: use perturb=sound."
        )

    def deaf(model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        return explainer(model, features, target)

    deaf.__name__ = explanation.explainer
    return deaf
