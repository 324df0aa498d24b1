"""Whether explanations follow the model: under perturbations, near by, with random weights, and at a known frequency."""

from collections.abc import Mapping
from typing import Any, Literal

from xaudio.plugin import Baseline, Count, Positive, hookimpl


def infidelity(
    *,
    perturbation: Literal["gaussian", "removal"] = "gaussian",
    reading: Literal["gradient", "contribution"] = "gradient",
    draws: Count = 100,
    size: Positive = 0.1,
    baseline: Baseline = "zero",
    seed: int = 0,
    batch_size: Count = 64,
) -> Any:
    """Mean squared error of what the relevance says about perturbations: (I.R - (f(x) - f(x - I)))^2 (Yeh et al. 2019).

    Gives infidelity and, with R times the factor that fits best, infidelity_scaled. The name of a variant says which it is:
    infidelity_removal, infidelity_contribution, infidelity_removal_contribution.

    Parameters
    ----------
    perturbation : {"gaussian", "removal"}
        Noise on every feature, or a segment of time (of a spectrogram, a rectangle) replaced by the baseline.
    reading : {"gradient", "contribution"}
        What relevance is taken for: the logit's change per unit of a feature, as of gradients; or a feature's share of the
        logit, as of lrp, integrated_gradients or kernel_shap. Then I / (x - baseline) stands for I.
    draws : int
        Perturbations; the same for all recordings.
    size : float
        Standard deviation of the noise, relative to the recording's level; or the removed share of each axis.
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        What stands in for what is removed, and what contributions are relative to.
    seed : int
        Of the perturbations and of the baseline's noise.
    batch_size : int
        Perturbed recordings classified at once.
    """
    from ._infidelity import Infidelity

    return Infidelity(perturbation, reading, draws, size, baseline, seed, batch_size)


def max_sensitivity(
    *,
    perturb: Literal["sound", "features"] = "sound",
    radius: Positive = 0.02,
    draws: Count = 10,
    seed: int = 0,
    batch_size: Count = 32,
) -> Any:
    """Largest change of the relevance nearby: max over |d| <= r of |R(x + d) - R(x)| / |R(x)| (Yeh et al. 2019).

    Gives max_sensitivity or, with perturb=features, max_sensitivity_features. Explains draws times.

    Parameters
    ----------
    perturb : {"sound", "features"}
        What d is added to: the recording, or what the model reads of it.
    radius : float
        Largest d, relative to the recording's level (the features' level).
    draws : int
        How many d are tried, uniform in [-r, r] for each sample or feature; the same for all recordings.
    seed : int
        Of the draws.
    batch_size : int
        Perturbed recordings explained at once.
    """
    from ._sensitivity import MaxSensitivity

    return MaxSensitivity(perturb, radius, draws, seed, batch_size)


def model_randomisation(
    *,
    order: Literal["cascading", "independent"] = "cascading",
    values: Literal["signed", "absolute"] = "signed",
    seed: int = 0,
    batch_size: Count = 32,
) -> Any:
    """Rank correlation of the relevance with that of a model with random weights; 1 if the model does not matter.

    Gives model_randomisation, the mean over layers (Adebayo et al. 2018); variants add _independent and _absolute to the
    name. Explains as often as the model has layers with weights.

    Parameters
    ----------
    order : {"cascading", "independent"}
        All layers from the logits down to one are random, or one at a time.
    values : {"signed", "absolute"}
        Of R or of |R|.
    seed : int
        Of the random weights.
    batch_size : int
        Recordings explained at once.
    """
    from ._randomisation import ModelRandomisation

    return ModelRandomisation(order, values, seed, batch_size)


def f0_hit(*, male: tuple[float, float] = (50.0, 155.0), female: tuple[float, float] = (165.0, 300.0)) -> Any:
    """Whether the frequency of maximal relevance lies where voices of the speaker's sex have their fundamental: 1 or 0.

    Parameters
    ----------
    male, female : tuple of float
        Lowest and highest fundamental frequency in Hz.
    """
    from ._pitch import F0Hit

    return F0Hit(male, female)


@hookimpl
def xaudio_metrics() -> Mapping[str, Any]:
    """Offer the metrics."""
    return {
        "f0_hit": f0_hit,
        "infidelity": infidelity,
        "max_sensitivity": max_sensitivity,
        "model_randomisation": model_randomisation,
    }
