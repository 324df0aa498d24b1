"""Explainers made of the gradient of the target's logit.

They enable gradients themselves, so that they can be called anywhere, ask for none of the weights', and return
relevance shaped like the features (batch, channels, *axes) without a graph. What is drawn at random is drawn once for
all recordings, on the CPU, so that a result depends neither on the batch nor on the device.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import (
    Baseline,
    ModelError,
    ProductPrecision,
    Sound,
    baseline_features,
    difference_from_baseline,
    in_sight,
    network_name,
    seeded_generator,
)

FORWARD = "use an explainer that runs forward only, such as feature_ablation"


def blocks(total: int, size: int | None) -> Iterator[slice]:
    """Slices of at most a size, that follow one another."""
    step = size or max(total, 1)
    return (slice(start, min(start + step, total)) for start in range(0, total, step))


def tile(recordings: int, draws: int, at_once: int | None) -> tuple[int, int]:
    """How many recordings, and how many draws of each, are computed together if only so many inputs may be."""
    if at_once is None:
        return recordings, draws
    rows = min(recordings, at_once)
    return rows, at_once // rows


def differentiate(
    model: nn.Module, inputs: Tensor, target: Tensor | None, mode: AbstractContextManager[Any] | None = None
) -> tuple[Tensor, Tensor]:
    """Gradient of the target's logit, shaped like the inputs, and all logits (batch, classes).

    Parameters
    ----------
    model : nn.Module
    inputs : Tensor, shape (batch, channels, *axes)
    target : Tensor of int64, shape (batch,), or None
        None for the class with the largest logit.
    mode : context manager, optional
        Under which the model runs forward.

    Raises
    ------
    ModelError
        If there is no gradient because the model cuts the graph.
    """
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        with mode or nullcontext():
            logits = model(leaf.clone())  # a copy, because a model may begin with an operation in place
        score = logits.gather(1, (logits.argmax(1) if target is None else target)[:, None])
        gradient = backward(model, score.sum(), leaf)
    if gradient is None:
        raise ModelError(
            f"{network_name(model)} gives its features no gradient (is there a detach or no_grad in it, or is it quantised?): "
            f"{FORWARD}."
        )
    return gradient, logits.detach()


def backward(model: nn.Module, score: Tensor, values: Tensor) -> Tensor | None:
    """Gradient of a score for the values that it was computed from, None if nothing leads back to them.

    Raises
    ------
    ModelError
        If torch cannot compute it.
    """
    try:
        return torch.autograd.grad(score, values, allow_unused=True)[0] if score.requires_grad else None
    except RuntimeError as error:
        if any(words in str(error) for words in ("out of memory", "enough memory", "allocate memory")):
            raise
        reason = " ".join(str(error).split("\n")[0].split()).rstrip(".")
        raise ModelError(f"{network_name(model)} cannot be run backward ({reason}): {FORWARD}.") from error


def products_in(precision: ProductPrecision, inputs: Tensor) -> AbstractContextManager[Any]:
    """The number format of a network's products, for a while; float32 leaves all as it is."""
    return torch.autocast(inputs.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def gradients(
    model: nn.Module, inputs: Tensor, target: Tensor | None, at_once: int | None, precision: ProductPrecision
) -> tuple[Tensor, Tensor]:
    """The same, computed for at most so many at once; logits, and the class with the largest, are never of lower precision."""
    chunks = []
    for chosen in blocks(len(inputs), at_once):
        part, wanted = inputs[chosen], None if target is None else target[chosen]
        if precision == "float32":
            chunks.append(differentiate(model, part, wanted))
            continue
        with torch.no_grad():
            logits = model(part.detach().clone())
        gradient = differentiate(model, part, logits.argmax(1) if wanted is None else wanted, products_in(precision, part))[0]
        chunks.append((gradient, logits))
    return torch.cat([gradient for gradient, _ in chunks]), torch.cat([logits for _, logits in chunks])


def gradients_at(model: nn.Module, points: Tensor, target: Tensor, precision: ProductPrecision) -> Tensor:
    """The same for several points of each recording (batch, points, channels, *axes), all at once."""
    mode = products_in(precision, points)
    gradient = differentiate(model, points.flatten(0, 1), target.repeat_interleave(points.shape[1]), mode)[0]
    return gradient.reshape(points.shape)


def beside(values: Tensor, features: Tensor) -> Tensor:
    """Values (draws,) as (draws, 1, 1, ...), to be multiplied with features (batch, draws, channels, *axes)."""
    return values.to(features).reshape(-1, *[1] * (features.ndim - 1))


def promises_from(baseline: Baseline) -> frozenset[str]:
    """What holds of relevance that is in proportion to the way from a baseline: none is left on features of 0, if it is 0."""
    return frozenset({"nothing-on-zeros"} if baseline == "zero" else ())


@dataclass(frozen=True)
class Gradient:
    """Gradient of the target's logit; see `xaudio_gradients.gradient` and `xaudio_gradients.saliency`."""

    absolute: bool
    internal_batch_size: int | None
    precision: ProductPrecision = "float32"

    needs = "gradient"

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (Simonyan et al. 2013, arXiv 1312.6034, section 3)."""
        return self.with_logits(model, features, target)[0]

    def with_logits(self, model: nn.Module, features: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        """Relevance and logits (batch, classes), for target None of the predicted class; see `xaudio.types.Explainer`."""
        gradient, logits = gradients(model, features, target, self.internal_batch_size, self.precision)
        return gradient.abs() if self.absolute else gradient, logits


@dataclass(frozen=True)
class InputTimesGradient:
    """Features times the gradient of the target's logit; see `xaudio_gradients.input_x_gradient`."""

    internal_batch_size: int | None
    precision: ProductPrecision = "float32"

    needs = "gradient"
    promises = frozenset({"nothing-on-zeros"})

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (Shrikumar et al. 2016, arXiv 1605.01713)."""
        return self.with_logits(model, features, target)[0]

    def with_logits(self, model: nn.Module, features: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        """Relevance and logits (batch, classes), for target None of the predicted class; see `xaudio.types.Explainer`."""
        gradient, logits = gradients(model, features, target, self.internal_batch_size, self.precision)
        return features.detach() * gradient, logits


SMALLEST = 1e-6
"""Share of the way at which geometric spacing begins."""


def quadrature(steps: int, spacing: str) -> tuple[Tensor, Tensor]:
    """Places on the way, between 0 and 1, and their weights, which sum to 1; both (steps,) and in float64.

    Gauss and Legendre's, for "geometric" in the logarithm of the place: each weighs as much as it stands for of the way.
    """
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(steps))
    if spacing == "uniform":
        return (nodes + 1) / 2, weights / 2
    places = SMALLEST ** ((1 - nodes) / 2)
    lengths = weights * places
    return places, lengths / lengths.sum()


@dataclass(frozen=True)
class IntegratedGradients:
    """Gradients along the way from a baseline; see `xaudio_gradients.integrated_gradients`."""

    baseline: Baseline
    steps: int
    seed: int
    internal_batch_size: int | None
    spacing: str = "uniform"
    precision: ProductPrecision = "float32"

    needs = "gradient"

    @property
    def promises(self) -> frozenset[str]:
        """What holds of the relevance."""
        return promises_from(self.baseline)

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound | None = None) -> Tensor:
        """Relevance shaped like features (Sundararajan et al. 2017, arXiv 1703.01365, equation 1)."""
        features = features.detach()
        baseline = baseline_features(self.baseline, features, sound, seed=self.seed)
        way = features - baseline
        places, weights = (beside(values, features) for values in quadrature(self.steps, self.spacing))
        mean = torch.zeros_like(features)
        rows_at_once, steps_at_once = tile(len(features), self.steps, self.internal_batch_size)
        for steps in in_sight(list(blocks(self.steps, steps_at_once))):
            for rows in blocks(len(features), rows_at_once):
                points = baseline[rows, None] + places[steps] * way[rows, None]
                mean[rows] += (weights[steps] * gradients_at(model, points, target[rows], self.precision)).sum(1)
        return way * mean

    def expected_sum(
        self, model: nn.Module, features: Tensor, target: Tensor, logits: Tensor, *, sound: Sound | None = None
    ) -> Tensor:
        """The difference of the targets' logits from the baseline's, shape (batch,); see `xaudio.types.Explainer`."""
        at_once = self.internal_batch_size
        return difference_from_baseline(self.baseline, model, features, target, logits, sound, seeds=[self.seed], at_once=at_once)

    def alternatives(self) -> dict[str, "IntegratedGradients"]:
        """What may miss less, by the options that make it."""
        other = "geometric" if self.spacing == "uniform" else "uniform"
        steps, more = 4 * self.steps, {f"spacing={other}": replace(self, spacing=other)}
        more[f"steps={steps}"] = replace(self, steps=steps)
        more[f"steps={steps},spacing={other}"] = replace(self, steps=steps, spacing=other)
        return more | ({} if self.baseline == "noise_floor" else {"baseline=noise_floor": replace(self, baseline="noise_floor")})


@dataclass(frozen=True)
class GradientShap:
    """Gradients at random places between baselines and features; see `xaudio_gradients.gradient_shap`."""

    baseline: Baseline
    samples: int
    seed: int
    internal_batch_size: int | None
    precision: ProductPrecision = "float32"

    needs = "gradient"

    @property
    def promises(self) -> frozenset[str]:
        """What holds of the relevance."""
        return promises_from(self.baseline)

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound | None = None) -> Tensor:
        """Relevance shaped like features (Lundberg & Lee 2017, arXiv 1705.07874; Erion et al. 2021, arXiv 1906.10670)."""
        features = features.detach()
        drawn_places, seeds = self._draws()
        places = beside(drawn_places, features)
        total = torch.zeros_like(features)
        rows_at_once, draws_at_once = tile(len(features), self.samples, self.internal_batch_size)
        for draws in in_sight(list(blocks(self.samples, draws_at_once))):
            drawn = [baseline_features(self.baseline, features, sound, seed=seed) for seed in seeds[draws]]
            baselines = torch.stack(drawn, dim=1)
            for rows in blocks(len(features), rows_at_once):
                way = features[rows, None] - baselines[rows]
                points = baselines[rows] + places[draws] * way
                total[rows] += (way * gradients_at(model, points, target[rows], self.precision)).sum(1)
        return total / self.samples

    def expected_sum(
        self, model: nn.Module, features: Tensor, target: Tensor, logits: Tensor, *, sound: Sound | None = None
    ) -> Tensor:
        """Mean difference of the targets' logits from the baselines', shape (batch,); see `xaudio.types.Explainer`."""
        seeds, at_once = self._draws()[1], self.internal_batch_size
        return difference_from_baseline(self.baseline, model, features, target, logits, sound, seeds=seeds, at_once=at_once)

    def alternatives(self) -> dict[str, "GradientShap"]:
        """What may miss less, by the options that make it."""
        return {f"samples={samples}": replace(self, samples=samples) for samples in (4 * self.samples, 16 * self.samples)}

    def _draws(self) -> tuple[Tensor, list[int]]:
        """Places on the way (samples,), and the seed of the baseline at each."""
        generator = seeded_generator(self.seed)
        places = torch.rand(self.samples, generator=generator, dtype=torch.float64)
        return places, torch.randint(2**31, (self.samples,), generator=generator).tolist()


@dataclass(frozen=True)
class SmoothGrad:
    """Statistics of the gradient among noisy copies; see `xaudio_gradients.smooth_grad`."""

    samples: int
    noise: float
    statistic: str
    seed: int
    internal_batch_size: int | None
    precision: ProductPrecision = "float32"

    needs = "gradient"

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features.

        The mean is SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825), the mean square SmoothGrad-Squared (Hooker et al.
        2019, arXiv 1806.10758), the variance VarGrad (Adebayo et al. 2018, arXiv 1810.03307).
        """
        features = features.detach()
        generator = seeded_generator(self.seed)
        values = features.flatten(1)
        levels = beside(self.noise * (values.amax(1) - values.amin(1)), features)[:, None]
        mean, square = torch.zeros_like(features), torch.zeros_like(features)
        rows_at_once, draws_at_once = tile(len(features), self.samples, self.internal_batch_size)
        for draws in in_sight(list(blocks(self.samples, draws_at_once))):
            # One after the other, so that the noise does not depend on how many are computed at once.
            count, shape = draws.stop - draws.start, features.shape[1:]
            drawn = [torch.randn(shape, generator=generator, dtype=torch.float32) for _ in range(count)]
            noise = torch.stack(drawn).to(features)
            for rows in blocks(len(features), rows_at_once):
                noisy = gradients_at(model, features[rows, None] + levels[rows] * noise, target[rows], self.precision)
                mean[rows] += noisy.sum(1) / self.samples
                square[rows] += noisy.square().sum(1) / self.samples
        if self.statistic == "mean":
            return mean
        return square if self.statistic == "mean_square" else (square - mean.square()).clamp(min=0)
