"""Explainers by removal: occlusion, ablation, Shapley values, Kernel SHAP and LIME.

Each asks the model about coalitions, sets of groups that are left while the others are replaced by a baseline. The
coalitions are drawn once for all recordings, on the CPU, so that a result depends neither on the batch nor on the device,
and are computed many recordings at a time.
"""

from dataclasses import dataclass
from math import comb, prod

import torch
from torch import Tensor, nn

from xaudio.plugin import Baseline, PluginError, Sound, baseline_features, difference_from_baseline, seeded_generator
from xaudio_segments import partitions

from ._values import Removal, event_groups, grid, parts_of


@dataclass(frozen=True)
class ByRemoval:
    """What all have in common: the groups, what stands in for them, and the bound on memory."""

    slots: int
    bands: int | None
    baseline: Baseline
    seed: int
    internal_batch_size: int | None
    events: str | None

    name = ""
    joins_channels = True

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound | None = None) -> Tensor:
        """Relevance shaped like features (batch, channels, *axes)."""
        baseline = baseline_features(self.baseline, features, sound, seed=self.seed)
        if self.events is not None:
            return self._by_events(self.events, model, features, target, sound, baseline)
        parts = parts_of(features, sound, self.slots, self.bands, self.name)
        groups = grid(features, parts)
        removal = Removal(model, features, baseline, target, groups, prod(parts), self.internal_batch_size)
        return removal.spread(self._scores(removal, parts).to(features.device))

    def _by_events(
        self, events: str, model: nn.Module, features: Tensor, target: Tensor, sound: Sound | None, baseline: Tensor
    ) -> Tensor:
        """Relevance with parts that each recording has for itself."""
        relevance = []
        for row, cut in enumerate(partitions(events, sound, self.name)):
            here = slice(row, row + 1)
            parts, groups = event_groups(features, cut, sound, self.bands, self.name)
            arguments = features[here], baseline[here], target[here], groups, prod(parts)
            removal = Removal(model, *arguments, self.internal_batch_size)
            relevance.append(removal.spread(self._scores(removal, parts).to(features.device)))
        return torch.cat(relevance)

    def _scores(self, removal: Removal, parts: tuple[int, ...]) -> Tensor:
        """Relevance (batch, groups) of each group, float64."""
        raise NotImplementedError


@dataclass(frozen=True)
class FeatureAblation(ByRemoval):
    """How much the logit falls without each group; see `xaudio_removal.feature_ablation`."""

    name = "feature_ablation"

    def _scores(self, removal: Removal, parts: tuple[int, ...]) -> Tensor:
        everything = torch.ones(1, removal.count, dtype=torch.bool)
        values = removal.values(torch.cat([everything, ~torch.eye(removal.count, dtype=torch.bool)]))
        return values[:, :1] - values[:, 1:]


@dataclass(frozen=True)
class Occlusion(ByRemoval):
    """How much the logit falls behind a window that moves over the features; see `xaudio_removal.occlusion`."""

    span: int

    name = "occlusion"

    def _scores(self, removal: Removal, parts: tuple[int, ...]) -> Tensor:
        """Each window's fall, in equal parts on what it changes; a group has the mean of the windows that cover it."""
        windows = _windows(parts, self.span)
        values = removal.values(torch.cat([torch.ones_like(windows[:1]), ~windows]))
        covering, cells = windows.to(torch.float64), removal.cells.cpu().to(torch.float64)
        each = (values[:, :1] - values[:, 1:]) / (cells @ covering.T).clamp(min=1)
        return each @ covering / covering.sum(0) * cells


def _windows(parts: tuple[int, ...], span: int) -> Tensor:
    """Boxes of `span` parts along each axis, or all of a shorter axis, as groups (windows, groups)."""
    windows = torch.ones(1, 1, dtype=torch.bool)
    for number in parts:
        wide = min(span, number)
        starts, positions = torch.arange(number - wide + 1)[:, None], torch.arange(number)
        along = (positions >= starts) & (positions < starts + wide)
        windows = (windows[:, None, :, None] & along[None, :, None, :]).flatten(2).flatten(0, 1)
    return windows


@dataclass(frozen=True)
class ShapleyValues(ByRemoval):
    """What the methods that share out the whole difference from the baseline have in common."""

    def expected_sum(
        self, model: nn.Module, features: Tensor, target: Tensor, logits: Tensor, *, sound: Sound | None = None
    ) -> Tensor:
        """The difference of the targets' logits from the baseline's, shape (batch,); see `xaudio.types.Explainer`."""
        at_once = self.internal_batch_size
        return difference_from_baseline(self.baseline, model, features, target, logits, sound, seeds=[self.seed], at_once=at_once)


@dataclass(frozen=True)
class ShapleyValueSampling(ShapleyValues):
    """Mean of what each group adds to those before it, over random orders; see `xaudio_removal.shapley_value_sampling`."""

    permutations: int

    name = "shapley_value_sampling"

    def _scores(self, removal: Removal, parts: tuple[int, ...]) -> Tensor:
        """Orders come in pairs, one the reverse of the other, which cancels all interactions of two groups."""
        count = removal.count
        generator = seeded_generator(self.seed)
        drawn = torch.rand((self.permutations + 1) // 2, count, generator=generator, dtype=torch.float32).argsort(1)
        place = torch.stack([drawn, count - 1 - drawn], dim=1).flatten(0, 1)[: self.permutations]
        before = place[:, None, :] < torch.arange(count + 1)[:, None]
        values = removal.values(before.flatten(0, 1)).reshape(-1, len(place), count + 1)
        added: Tensor = values.diff(dim=2).gather(2, place.expand(len(values), -1, -1))
        return added.mean(1)


@dataclass(frozen=True)
class KernelShap(ShapleyValues):
    """Shapley values as a weighted regression; see `xaudio_removal.kernel_shap`."""

    samples: int

    name = "kernel_shap"

    def _scores(self, removal: Removal, parts: tuple[int, ...]) -> Tensor:
        """Least squares under the condition that the scores sum to the difference of the logits (its theorem 2)."""
        count = removal.count
        coalitions, weights = self._coalitions(count)
        ends = torch.tensor([[False], [True]]).expand(2, count)
        design = coalitions.to(torch.float64)
        system = torch.ones(count + 1, count + 1, dtype=torch.float64)
        system[:count, :count], system[count, count] = design.T @ (weights[:, None] * design), 0
        _tells_apart(self.name, system, self.samples, count)
        values = removal.values(torch.cat([ends, coalitions]))
        rises = values[:, 2:] - values[:, :1]
        wanted = torch.cat([(rises * weights) @ design, values[:, 1:2] - values[:, :1]], dim=1)
        return _solve(system, wanted, removal.cells)

    def _coalitions(self, count: int) -> tuple[Tensor, Tensor]:
        """Coalitions (samples, groups) and their weights, which sum to 1: all there are, if there are not too many."""
        if 2**count - 2 <= self.samples:
            coalitions = torch.tensor([[number >> bit & 1 for bit in range(count)] for number in range(1, 2**count - 1)]).bool()
            coalitions = coalitions.reshape(-1, count)  # of a single group there are none
            weights = [1 / (comb(count, size) * size * (count - size)) for size in coalitions.sum(1).tolist()]
            exact = torch.tensor(weights, dtype=torch.float64)
            return coalitions, exact / exact.sum()
        generator = seeded_generator(self.seed)
        sizes = torch.arange(1, count, dtype=torch.float64)
        drawn = torch.multinomial(1 / (sizes * (count - sizes)), (self.samples + 1) // 2, replacement=True, generator=generator)
        rank = torch.rand(len(drawn), count, generator=generator, dtype=torch.float32).argsort(1).argsort(1)
        half = rank <= drawn[:, None]
        # Each with its complement, which cancels the noise of all interactions of two groups.
        coalitions = torch.stack([half, ~half], dim=1).flatten(0, 1)[: self.samples]
        return coalitions, torch.full((len(coalitions),), 1 / len(coalitions), dtype=torch.float64)


@dataclass(frozen=True)
class Lime(ByRemoval):
    """Coefficients of a linear model of the logit around the recording; see `xaudio_removal.lime`."""

    samples: int
    kernel_width: float
    ridge: float

    name = "lime"

    def _scores(self, removal: Removal, parts: tuple[int, ...]) -> Tensor:
        """Ridge regression with weights exp(-(d / kernel_width)²), d the cosine distance of a coalition from the whole."""
        count = removal.count
        generator = seeded_generator(self.seed)
        coalitions = torch.rand(self.samples - 1, count, generator=generator, dtype=torch.float32) < 0.5
        coalitions = torch.cat([torch.ones(1, count, dtype=torch.bool), coalitions])
        design = coalitions.to(torch.float64)
        weights = torch.exp(-((1 - design.mean(1).sqrt()) / self.kernel_width).square())
        weights /= weights.sum()
        design = design - weights @ design
        system = design.T @ (weights[:, None] * design)
        _tells_apart(self.name, system, self.samples, count)
        system += self.ridge * torch.eye(count, dtype=torch.float64)
        return _solve(system, (removal.values(coalitions) * weights) @ design, removal.cells)


def _tells_apart(name: str, system: Tensor, samples: int, count: int) -> None:
    """Refuse coalitions that leave open which of some parts it was: their scores would be right in sum only."""
    if torch.linalg.matrix_rank(system, hermitian=True) < len(system):
        raise PluginError(
            f"{name}: {samples} samples do not tell {count} parts apart: give samples={4 * count} or more, or fewer slots "
            "and bands."
        )


def _solve(system: Tensor, wanted: Tensor, cells: Tensor) -> Tensor:
    """Scores (batch, groups) that solve a symmetric system (n, n) for wanted (batch, n), n >= groups.

    Groups that equal the baseline (no cells) have a score of exactly 0 and are left out of the system, for each recording.
    """
    count = cells.shape[1]
    counts = torch.ones(len(wanted), len(system), dtype=torch.bool)
    counts[:, :count] = cells.cpu() > 0
    systems = torch.where(counts[:, :, None] & counts[:, None, :], system, 0)
    # The pseudo-inverse, because what is left out is a row of zeros.
    solved = torch.linalg.pinv(systems, hermitian=True) @ torch.where(counts, wanted, 0)[:, :, None]
    return torch.where(counts, solved[:, :, 0], 0)[:, :count]
