"""Do two conditions differ? Linear mixed models with participants and recordings as crossed random effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from xaudio.plugin import LEVEL

from .table import Floats, Indices

STARTS = (0.5, 0.05)
"""Variances of the random effects, each as a share of its sum with the residual's, where the search for the likeliest begins."""

LARGEST = 1 - 1e-4
"""Of these shares; who comes near it is left without a residual, and the likelihood without a bound. See `Fit.saturated`."""

NEGLIGIBLE = 0.01
"""By how much a mean square must exceed the residual's, as a share of it, to count."""

PAIRED = "difference = mean + participant + recording + residual"
UNPAIRED = "right = mean + condition + participant + recording + item + residual"


class Fit(NamedTuple):
    """A fixed effect of a mixed model, and the variances beside it.

    Parameters
    ----------
    model : str
    effect, error, df : float
    variances : dict of str to float
        "participant", "recording" and so on, and "residual"; 0 where the data show none.
    """

    model: str
    effect: float
    error: float
    df: float
    variances: Mapping[str, float]

    @property
    def saturated(self) -> bool:
        """Whether participants or recordings explain all: then neither error nor test mean anything."""
        others = [value for name, value in self.variances.items() if name != "residual"]
        return self.variances["residual"] < 2 * (1 - LARGEST) * max(others)

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
    """The model of differences by restricted maximum likelihood, participants and recordings crossed.

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
    fit = _reml(values, design, {"participant": people, "recording": sounds})
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
    components = {name: (squares[name] / freedom[name] - variance) / sizes[name] if name in own else 0.0 for name in sizes}
    error = np.sqrt(components["participant"] / people + components["recording"] / sounds + variance / difference.size)
    variances = {**components, "residual": variance}
    df = _satterthwaite(variances, difference.size, people, sounds)
    return Fit(PAIRED, float(difference.mean()), float(error), df, variances)


def unpaired_fit(right: Floats, first: Indices, participant: Indices, recording: Indices) -> Fit:
    """For conditions that no participant answered about the same recordings: all answers.

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
    fit = _reml(right, design, {"participant": people, "recording": sounds, "item": items})
    return fit._replace(model=UNPAIRED, df=float(max(1, min(people.max(), sounds.max()) - 1)))


def _reml(values: Floats, design: Floats, factors: Mapping[str, Indices]) -> Fit:
    """The last fixed effect by restricted maximum likelihood, with the residual's variance and the fixed effects profiled out.

    The likelihood is that of Bates et al. (2015), https://doi.org/10.18637/jss.v067.i01. It needs only products of the
    indicators of the random effects' levels, so that thousands of answers take no longer than hundreds. A variance may be
    exactly 0: the search is bounded there, in the variance and not in its root, whose slope at 0 says nothing.
    """
    from scipy.optimize import minimize

    indicators = [np.eye(levels.max() + 1)[levels] for levels in factors.values()]
    sizes = [each.shape[1] for each in indicators]
    random, fixed = np.concatenate(indicators, 1), np.column_stack([design, values])
    within, across, whole = random.T @ random, random.T @ fixed, fixed.T @ fixed
    freedom, effects = len(values) - design.shape[1], slice(design.shape[1])

    def solved(shares: Floats) -> tuple[Floats, Floats, Floats, float]:
        """Triangle of the random effects' part; information about the fixed effects, these, and the residual's squares."""
        roots = np.repeat(np.sqrt(shares / (1 - shares)), sizes)
        triangle: Floats = np.linalg.cholesky(np.eye(len(roots)) + roots[:, None] * within * roots)
        explained = np.linalg.solve(triangle, roots[:, None] * across)
        left = whole - explained.T @ explained
        coefficients = np.asarray(np.linalg.solve(left[effects, effects], left[effects, -1]), np.float64)
        return triangle, left[effects, effects], coefficients, float(left[-1, -1] - left[effects, -1] @ coefficients)

    def deviance(shares: Floats) -> float:
        triangle, information, _, squares = solved(shares)
        logarithms = 2 * np.log(np.diag(triangle)).sum() + np.linalg.slogdet(information)[1]
        return float(freedom * np.log(squares) + logarithms)

    bounds = [(0, LARGEST)] * len(factors)
    searches = [minimize(deviance, np.full(len(factors), start), method="L-BFGS-B", bounds=bounds) for start in STARTS]
    shares = min(searches, key=lambda search: float(search.fun)).x
    _, information, coefficients, squares = solved(shares)
    residual = squares / freedom
    variances = {name: float(share / (1 - share) * residual) for name, share in zip(factors, shares, strict=True)}
    error = float(np.sqrt(residual * np.linalg.inv(information)[-1, -1]))
    return Fit("", float(coefficients[-1]), error, 1.0, variances | {"residual": residual})


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
