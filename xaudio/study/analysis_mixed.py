"""Do two conditions differ? Linear mixed models with participants and recordings as crossed random effects."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import PluginError
from ..statistics import LEVEL
from .analysis_table import Floats, Indices

FITTERS = ("lbfgs", "powell", "nm")
"""Optimisers, tried in this order."""

NEGLIGIBLE = 0.01
"""By how much a mean square must exceed the residual's, as a share of it, to count: an optimiser stops near 0, not at it."""

PAIRED = "difference = mean + participant + recording + residual"
UNPAIRED = "right = mean + condition + participant + recording + item + residual"


class Fit(NamedTuple):
    """A fixed effect of a mixed model, and the variances beside it.

    Parameters
    ----------
    model : str
    effect, error, df : float
    variances : dict of str to float
        "participant", "recording" and so on, and "residual".
    dropped : tuple of str
        Random effects left out since the fit did not converge with them.
    """

    model: str
    effect: float
    error: float
    df: float
    variances: Mapping[str, float]
    dropped: tuple[str, ...] = ()

    def test(self) -> tuple[float, float]:
        """T statistic and two-sided p; without any variance these are 0 and 1, or infinite and 0."""
        from scipy.stats import t

        if self.error == 0:
            return (float(np.sign(self.effect)) * np.inf, 0.0) if self.effect else (0.0, 1.0)
        statistic = self.effect / self.error
        return statistic, float(2 * t.sf(abs(statistic), self.df))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Interval of the effect by the t distribution."""
        from scipy.stats import t

        reach = float(t.ppf((1 + level) / 2, self.df)) * self.error
        return self.effect - reach, self.effect + reach


def paired_fit(difference: Floats) -> Fit:
    """The model of differences by statsmodels: restricted maximum likelihood, participants and recordings crossed.

    Each participant answered about each recording in both conditions: the difference of the two answers (1 right, 0 wrong)
    is in {-1, 0, 1}. A participant's random effect is how much more than others that person gains from the first
    condition, a recording's how much more is gained there; what both have in common falls out. So both may differ in how
    the conditions work for them (random slopes), and the mean is said of other participants and other recordings.

    Parameters
    ----------
    difference : ndarray, shape (participants, recordings)
        NaN where one of the answers is missing; two values or more, not all the same.

    Returns
    -------
    Fit
        With Satterthwaite's (1946) degrees of freedom.
    """
    participant, recording = np.nonzero(np.isfinite(difference))
    values = difference[participant, recording]
    people, sounds = _dense(participant), _dense(recording)
    design = np.ones((len(values), 1))
    fit = _reml(values, design, {"participant": people, "recording": sounds}, _moments(difference))
    df = _satterthwaite(fit.variances, len(values), people.max() + 1, sounds.max() + 1)
    return fit._replace(model=PAIRED, df=df)


def balanced_fit(difference: Floats) -> Fit:
    """The same without an optimiser, for complete tables (participants, recordings): REML has a closed form there.

    Mean squares of participants and of recordings that are smaller than the residual's are pooled with it, which is where
    the likelihood has its largest value with no negative variance.
    """
    people, sounds = difference.shape
    squares, freedom = _sums_of_squares(difference)
    variance = squares["residual"] / freedom["residual"]
    sizes = {"participant": sounds, "recording": people}
    pooled, degrees, own = squares["residual"], freedom["residual"], []
    for name in sorted(sizes, key=lambda one: squares[one] / freedom[one]):
        if squares[name] / freedom[name] <= variance:
            pooled, degrees = pooled + squares[name], degrees + freedom[name]
            variance = pooled / degrees
        else:
            own.append(name)
    found = {name: (squares[name] / freedom[name] - variance) / sizes[name] if name in own else 0.0 for name in sizes}
    error = np.sqrt(found["participant"] / people + found["recording"] / sounds + variance / difference.size)
    variances = {**found, "residual": variance}
    df = _satterthwaite(variances, difference.size, people, sounds)
    return Fit(PAIRED, float(difference.mean()), float(error), df, variances)


def unpaired_fit(right: Floats, first: Indices, participant: Indices, recording: Indices) -> Fit:
    """For conditions that no participant answered about the same recordings: all answers, by statsmodels.

    Parameters
    ----------
    right : ndarray, shape (answers,)
        1 where the answer is the model's prediction, else 0.
    first : ndarray of int, shape (answers,)
        1 for the first condition, 0 for the second.
    participant, recording : ndarray of int, shape (answers,)

    Returns
    -------
    Fit
        Degrees of freedom are the fewer of participants and recordings, less 2: a cautious choice.
    """
    people, sounds = _dense(participant), _dense(recording)
    items = _dense(recording * 2 + first)
    design = np.column_stack([np.ones(len(right)), first])
    factors = {"participant": people, "recording": sounds, "item": items}
    fit = _reml(right, design, factors, dict.fromkeys(factors, 0.05) | {"residual": 0.2})
    return fit._replace(model=UNPAIRED, df=float(max(1, min(people.max(), sounds.max()) - 1)))


def holm(chances: Sequence[float]) -> list[float]:
    """Probabilities corrected for their number (Holm 1979)."""
    order = np.argsort(chances)
    steps = np.asarray(chances)[order] * (len(chances) - np.arange(len(chances)))
    corrected = np.empty(len(chances))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]


def _reml(values: Floats, design: Floats, factors: Mapping[str, Indices], start: Mapping[str, float]) -> Fit:
    """The last fixed effect, by the first optimiser that converges, with the last random effects dropped if none does."""
    names = list(factors)
    for count in range(len(names), -1, -1):
        used = names[:count]
        for method in FITTERS:
            fit = _fitted(values, design, {name: factors[name] for name in used}, start, method)
            if fit is not None:
                return fit._replace(dropped=tuple(names[count:]))
    raise AssertionError  # without random effects the fit is a mean


def _fitted(
    values: Floats, design: Floats, factors: Mapping[str, Indices], start: Mapping[str, float], method: str
) -> Fit | None:
    """One attempt, or None if it does not converge."""
    if not factors:
        fixed, *_ = np.linalg.lstsq(design, values, rcond=None)
        scale = float(np.square(values - design @ fixed).sum() / max(1, len(values) - design.shape[1]))
        error = float(np.sqrt(scale * np.linalg.inv(design.T @ design)[-1, -1]))
        return Fit("", float(fixed[-1]), error, 1.0, {"residual": scale})
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec
    except ImportError:
        raise PluginError("The mixed-effects test needs statsmodels. Install it with: pip install 'xaudio[study]'.") from None
    columns = [[f"{name}{level}" for level in range(levels.max() + 1)] for name, levels in factors.items()]
    spec = VCSpec(list(factors), [[names] for names in columns], [[_indicators(levels)] for levels in factors.values()])
    fixed, *_ = np.linalg.lstsq(design, values, rcond=None)
    ratios = np.array([max(start[name] / max(start["residual"], 1e-9), 1e-4) for name in factors])
    begin = MixedLMParams.from_components(fe_params=fixed, cov_re=np.zeros((0, 0)), vcomp=ratios)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in ``converged``, or is that a variance is near 0
        try:
            model = MixedLM(values, design, groups=np.zeros(len(values)), exog_vc=spec)
            found = model.fit(reml=True, method=[method], start_params=begin)
        except (np.linalg.LinAlgError, ValueError):
            return None
    error = float(found.bse_fe[-1])
    if not found.converged or not np.isfinite(error):
        return None
    variances = dict(zip(factors, map(float, found.vcomp), strict=True)) | {"residual": float(found.scale)}
    return Fit("", float(found.fe_params[-1]), error, 1.0, variances)


def _moments(difference: Floats) -> dict[str, float]:
    """Variances to begin with: those of the analysis of variance, missing values filled with what rows and columns tell."""
    missing = ~np.isfinite(difference)
    if missing.any():
        rows, columns = (np.nan_to_num(_nanmean(difference, axis), nan=0.0) for axis in (1, 0))
        filled = np.where(missing, rows[:, None] + columns[None] - np.nanmean(difference), difference)
    else:
        filled = difference
    if min(filled.shape) < 2:
        return {"participant": 0.0, "recording": 0.0, "residual": float(filled.var()) or 1.0}
    squares, freedom = _sums_of_squares(filled)
    residual = squares["residual"] / freedom["residual"]
    return {
        "participant": max(0.0, (squares["participant"] / freedom["participant"] - residual) / filled.shape[1]),
        "recording": max(0.0, (squares["recording"] / freedom["recording"] - residual) / filled.shape[0]),
        "residual": residual,
    }


def _sums_of_squares(table: Floats) -> tuple[dict[str, float], dict[str, int]]:
    """Of a two-way layout without repetition, with their degrees of freedom."""
    people, sounds = table.shape
    deviations = table - table.mean()
    rows, columns = deviations.mean(1), deviations.mean(0)
    squares = {
        "participant": float(sounds * np.square(rows).sum()),
        "recording": float(people * np.square(columns).sum()),
        "residual": float(np.square(deviations - rows[:, None] - columns).sum()),
    }
    return squares, {"participant": people - 1, "recording": sounds - 1, "residual": (people - 1) * (sounds - 1)}


def _satterthwaite(variances: Mapping[str, float], count: int, people: int, sounds: int) -> float:
    """Degrees of freedom of the mean of a two-way layout (Satterthwaite 1946), from the expected mean squares."""
    residual = variances["residual"]
    squares = [
        (count / levels * variances.get(name, 0.0) + residual, levels - 1)
        for name, levels in (("participant", people), ("recording", sounds))
        if count / levels * variances.get(name, 0.0) > NEGLIGIBLE * residual and levels > 1
    ]
    if not squares:
        return float(max(1, count - 1))
    if len(squares) == 2:
        squares.append((-residual, max(1, count - people - sounds + 1)))
    total = sum(square for square, _ in squares)
    return float(max(1.0, total**2 / sum(square**2 / freedom for square, freedom in squares)))


def _dense(levels: Indices) -> Indices:
    return np.unique(levels, return_inverse=True)[1].astype(np.int64)


def _indicators(levels: Indices) -> Floats:
    return np.eye(levels.max() + 1)[levels]


def _nanmean(table: Floats, axis: int) -> Floats:
    known = np.isfinite(table)
    count = known.sum(axis)
    return np.where(count > 0, np.where(known, table, 0).sum(axis) / np.maximum(count, 1), np.nan)
