"""LIME on parts of a recording that one can hear."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaudio.plugin import PluginError, Sound, XaudioWarning, create, parse_spec

from ._masking import Group, Masking
from ._parts import Cut, Events, Grid, Sources, band_gains, drawn, slot_windows

POOR = 0.2
"""Share of the variation below which the surrogate is said to explain nothing."""

CONSTANT = 1e-6
"""Scores that differ by less than this share of the largest are equal up to rounding."""


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Linear models of a network's score around recordings: intercept + coefficients . mask.

    Attributes
    ----------
    coefficients : Tensor of float64, shape (batch, parts)
        0 for a part that is silent.
    intercept : Tensor of float64, shape (batch,)
    fit : Tensor of float64, shape (batch,)
        Share of the weighted variation of the scores that the model explains (R squared); 1 where nothing varies.
    """

    coefficients: Tensor
    intercept: Tensor
    fit: Tensor


@dataclass(frozen=True)
class AudioLime:
    """LIME on audible parts; see `xaudio_masking.audiolime`."""

    masking: Masking
    components: str
    slots: int | None
    bands: int | None
    overlap: float
    samples: int
    kernel_width: float
    ridge: float
    events: str | None = None

    def __post_init__(self) -> None:
        if self.events is not None and (self.components, self.slots) != ("time", None):
            raise PluginError(
                f"audiolime: parts={self.events} are its components; leave out components={self.components} "
                f"and slots={self.slots}."
            )
        grid = self.components in ("time", "time_frequency")
        if (self.slots is not None and not grid) or (self.bands is not None and self.components != "time_frequency"):
            raise PluginError(
                f"audiolime: components={self.components} cannot have slots={self.slots} and bands={self.bands}; slots belong "
                "to time and time_frequency, bands to time_frequency."
            )
        if not grid:
            self._separator()  # an unknown name is an error before anything is computed

    joins_channels = True

    @property
    def internal_batch_size(self) -> int | None:
        """How many recordings are computed at once at most."""
        return self.masking.internal_batch_size

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound) -> Tensor:
        """Relevance shaped like features; its sum is the sum of the coefficients (Haunschmid et al. 2020, arXiv 2008.00582).

        Warns
        -----
        XaudioWarning
            If the linear model explains less than a fifth of the variation of the score.
        """
        relevance, fits = [], []
        with torch.no_grad():
            for group, surrogate in self._fitted(model, target, sound):
                relevance.append(group.spread(surrogate.coefficients))
                fits.append(surrogate.fit)
        worst = float(torch.cat(fits).min())
        if worst < POOR:
            warnings.warn(
                f"audiolime: its linear model explains only {max(worst, 0):.0%} of the variation of the target's "
                f"{self.masking.score}; use more samples, fewer components or other ones.",
                XaudioWarning,
                stacklevel=2,
            )
        return torch.cat(relevance).to(features)

    @torch.no_grad()
    def surrogate(self, model: nn.Module, target: Tensor, sound: Sound) -> Surrogate:
        """The linear models themselves: one coefficient per part, and how well they fit."""
        surrogates = [surrogate for _, surrogate in self._fitted(model, target, sound)]
        return Surrogate(
            torch.cat([part.coefficients for part in surrogates]),
            torch.cat([part.intercept for part in surrogates]),
            torch.cat([part.fit for part in surrogates]),
        )

    def _fitted(self, model: nn.Module, target: Tensor, sound: Sound) -> Iterator[tuple[Group, Surrogate]]:
        for group in self.masking.groups(sound, target, self._cut(sound)):
            masks = drawn(self.samples, group.parts.shape[1], 0.5, self.masking.seed)
            masks[0] = 1
            scores = self.masking.scores(model, group, masks)
            # Small, and in float64: on the CPU, since not all devices have it.
            yield group, fitted(masks, scores.cpu().double(), group.audible.cpu(), self.kernel_width, self.ridge)

    def _cut(self, sound: Sound) -> Cut:
        samples = sound.waveforms.shape[-1]
        if self.events is not None:
            return Events("audiolime", self.events, self.overlap).of_all(sound)
        if self.components == "time":
            return Grid(windows=slot_windows("audiolime", samples, self.slots or 16, self.overlap))
        if self.components == "time_frequency":
            gains = band_gains("audiolime", sound, self.bands or 8, "mel", 0.0, None, self.overlap)
            return Grid(gains, slot_windows("audiolime", samples, self.slots or 8, self.overlap))
        return self._separator()

    def _separator(self) -> Sources:
        name, options = parse_spec(self.components.replace("+", ","))
        try:
            return Sources(create("separator", name, **options), name)
        except PluginError as error:
            raise PluginError(f"audiolime: components are time, time_frequency or a separator. {error}") from None


def fitted(masks: Tensor, scores: Tensor, audible: Tensor, kernel_width: float, ridge: float) -> Surrogate:
    """Weighted ridge regression of scores on masks, in closed form for all recordings.

    Silent parts play no part: neither in the regression nor in the distance. The intercept is not penalised.

    Parameters
    ----------
    masks : Tensor, shape (masks, parts)
    scores : Tensor of float64, shape (batch, masks)
    audible : Tensor of bool, shape (batch, parts)
    kernel_width, ridge : float

    Raises
    ------
    PluginError
        If fewer masks count than there are parts: the solution would mean nothing.
    """
    design = masks.double() * audible[:, None]
    present = audible.sum(1, keepdim=True)
    # Cosine distance of a mask of 0 and 1 from one of ones.
    distances = 1 - (design.sum(2) / present.clamp(min=1)).sqrt()
    weights = (-((distances / kernel_width) ** 2)).exp()
    effective = weights.sum(1) ** 2 / (weights**2).sum(1)  # Kish 1965
    short = (effective <= present[:, 0]) & (present[:, 0] > 1)
    if bool(short.any()):
        raise PluginError(
            f"audiolime: of {len(masks)} samples with kernel_width {kernel_width:g} only {effective[short].min():.1f} count, "
            f"for {int(present[short].max())} components; give more samples, a larger kernel_width or fewer components."
        )
    shares = weights / weights.sum(1, keepdim=True)
    mean_mask, mean_score = shares[:, None] @ design, (shares * scores).sum(1, keepdim=True)
    deviations, rest = design - mean_mask, scores - mean_score
    weighted = deviations * weights[..., None]
    gram = weighted.mT @ deviations + ridge * torch.eye(masks.shape[1], dtype=torch.float64)
    solution = torch.linalg.pinv(gram, hermitian=True) @ (weighted.mT @ rest[..., None])
    varied = scores.amax(1) - scores.amin(1) > CONSTANT * scores.abs().amax(1)
    coefficients = solution[..., 0] * (audible & varied[:, None])
    left = rest - (deviations @ coefficients[..., None])[..., 0]
    fit = torch.where(varied, 1 - (weights * left**2).sum(1) / (weights * rest**2).sum(1), 1)
    intercept = mean_score[:, 0] - (mean_mask[:, 0] * coefficients).sum(1)
    return Surrogate(coefficients, intercept, fit)
