"""Infidelity of relevance to what the model does under perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import (
    Baseline,
    Better,
    Explanation,
    FloatArray,
    Model,
    PluginError,
    Sound,
    baseline_features,
    evaluation_mode,
    in_batches,
    seeded_generator,
)

from ._given import Given, as_array, given, jobs, level


@dataclass(frozen=True)
class Infidelity:
    """Yeh, Hsieh, Suggala, Inouye and Ravikumar 2019 (arXiv 1901.09392), definition 2.1; see `xaudio_robustness.infidelity`.

    E[(I.G - (f(x) - f(x - I)))^2] over random perturbations I, with f the logit of the explained class. G is the relevance
    R ("gradient") or, since R then sums to the logit's difference from a baseline x0, R / (x - x0), 0 where x = x0
    ("contribution"). The scaled value has b G for G, with b = E[I.G (f(x) - f(x - I))] / E[(I.G)^2], which makes it least.
    """

    perturbation: str
    reading: str
    draws: int
    size: float
    baseline: Baseline
    seed: int
    batch_size: int

    def __post_init__(self) -> None:
        if self.perturbation == "removal" and self.size > 1:
            raise PluginError(f"infidelity: size is {self.size:g}; expected a share of each axis, above 0 and at most 1.")
        if (self.perturbation, self.reading) == ("gaussian", "gradient") and self.baseline != "zero":
            raise PluginError(
                f"infidelity: noise takes nothing away, so baseline={self.baseline} would do nothing; choose "
                "perturbation=removal or reading=contribution."
            )

    @property
    def name(self) -> str:
        """Of the value, with what differs from the first definition."""
        removal, contribution = self.perturbation == "removal", self.reading == "contribution"
        return "infidelity" + "_removal" * removal + "_contribution" * contribution

    @property
    def better(self) -> Mapping[str, Better]:
        """Lower, with and without scaling."""
        return {self.name: "lower", f"{self.name}_scaled": "lower"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure.

        Returns
        -------
        dict
            The name and the name with "_scaled": (n,), not negative, squared logits. Scaled, it is at most
            E[(f(x) - f(x - I))^2], which relevance gets that says nothing of the perturbations.

        Raises
        ------
        ModelError
            For what `xaudio.plugin.check_explanations` refuses, for views, and if the model is not what was explained.
        """
        items = given(model, explanations, self.name, self.batch_size)
        said, did = self._said_and_did(model, items)
        products, squares = (said * did).mean(1), (said**2).mean(1)
        factor = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
        return {
            self.name: ((said - did) ** 2).mean(1),
            f"{self.name}_scaled": ((factor[:, None] * said - did) ** 2).mean(1),
        }

    @torch.no_grad()
    def _said_and_did(self, model: Model, items: Given) -> tuple[FloatArray, FloatArray]:
        """I.G and f(x) - f(x - I), both (n, draws)."""
        features, target = items.features, items.target[:, None]
        patterns = self._patterns(features)
        reference = self._reference(model, items)
        scale = level(features) if self.perturbation == "gaussian" else features - reference
        slopes = items.relevance if self.reading == "gradient" else _ratio(items.relevance, features - reference)

        def measured(recording: Tensor, draw: Tensor) -> Tensor:
            perturbation = patterns[draw] * scale[recording]
            logits = model.logits(features[recording] - perturbation).gather(1, target[recording])[:, 0]
            return torch.stack([(perturbation * slopes[recording]).flatten(1).sum(1), logits], dim=1)

        with evaluation_mode(model.network):
            changes = in_batches(measured, *jobs(len(features), self.draws, features.device), size=self.batch_size)
        said, after = as_array(changes).reshape(len(features), self.draws, 2).transpose(2, 0, 1)
        return said, as_array(items.logits.gather(1, target)) - after

    def _reference(self, model: Model, items: Given) -> Tensor:
        """What stands in for what is removed, shaped like the features."""
        sound = Sound(items.waveforms, model.fitting(items.waveforms).representation, model.features, model.kind)
        return baseline_features(self.baseline, items.features, sound, seed=self.seed)

    def _patterns(self, features: Tensor) -> Tensor:
        """The draws (draws, channels, *axes) before they are scaled by each recording: normal noise, or 1 in a window."""
        generator = seeded_generator(self.seed)
        shape = features.shape[1:]
        if self.perturbation == "gaussian":
            # Drawn on the CPU, so that it is the same on every device.
            return (self.size * torch.randn(self.draws, *shape, generator=generator, dtype=torch.float32)).to(features)
        axes = shape[1:]
        extents = [max(1, round(self.size * length)) for length in axes]
        patterns = torch.ones(self.draws, 1, *axes)
        for axis, (length, extent) in enumerate(zip(axes, extents, strict=True)):
            start = torch.randint(length - extent + 1, (self.draws, 1), generator=generator)
            place = torch.arange(length)
            inside = (place >= start) & (place < start + extent)
            patterns *= inside.view(self.draws, 1, *(length if other == axis else 1 for other in range(len(axes))))
        return patterns.to(features)


def _ratio(relevance: Tensor, difference: Tensor) -> Tensor:
    """R / (x - x0), and 0 where they are equal."""
    equal = difference == 0
    return torch.where(equal, 0, relevance / torch.where(equal, 1, difference))
