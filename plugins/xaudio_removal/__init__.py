"""Explainers by removal: they run the model forward only, on recordings from which parts are taken away.

The parts are equal boxes: slots of time, and bands of frequency where the features have such an axis. All channels of
a cell belong together. The relevance of a part is shared equally by those of its features that differ from the baseline.
"""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import Baseline, Explainer, hookimpl


def feature_ablation(
    *,
    slots: int = 20,
    bands: int | None = None,
    baseline: Baseline = "zero",
    seed: int = 0,
    internal_batch_size: int | None = 64,
) -> Explainer:
    """How much the target's logit falls without each part: one forward pass for each.

    Parameters
    ----------
    slots : int
        Equal parts of time.
    bands : int or None
        Equal parts of frequency; none is half as many as slots. Features without frequencies have none.
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        What stands in for a part. "zero" is features of 0: silence in a waveform, in a spectrogram the training mean (or
        0 dB where none is subtracted); the others are sounds, see ``xaudio.plugin.baseline_features``.
    seed : int
        Of a baseline with noise.
    internal_batch_size : int or None
        How many features are in the model at once, to bound the memory; none is no bound.
    """
    from ._removal import FeatureAblation

    return FeatureAblation(slots, bands, baseline, seed, internal_batch_size)


def occlusion(
    *,
    slots: int = 20,
    bands: int | None = None,
    span: int = 2,
    baseline: Baseline = "zero",
    seed: int = 0,
    internal_batch_size: int | None = 64,
) -> Explainer:
    """How much the target's logit falls behind a window that moves part by part; mean over the windows that cover a part.

    Parameters
    ----------
    slots : int
        Equal parts of time.
    bands : int or None
        Equal parts of frequency; none is half as many as slots. Features without frequencies have none.
    span : int
        Parts that a window covers along each axis (all of an axis that has fewer). 1 is ``feature_ablation``.
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        What is behind the window. "zero" is features of 0: silence in a waveform, in a spectrogram the training mean (or
        0 dB where none is subtracted); the others are sounds, see ``xaudio.plugin.baseline_features``.
    seed : int
        Of a baseline with noise.
    internal_batch_size : int or None
        How many features are in the model at once, to bound the memory; none is no bound.
    """
    from ._removal import Occlusion

    return Occlusion(slots, bands, baseline, seed, internal_batch_size, span)


def shapley_value_sampling(
    *,
    slots: int = 10,
    bands: int | None = None,
    permutations: int = 20,
    baseline: Baseline = "zero",
    seed: int = 0,
    internal_batch_size: int | None = 64,
) -> Explainer:
    """Shapley values from random orders in which the parts are added; they sum to the difference from the baseline.

    Parameters
    ----------
    slots : int
        Equal parts of time.
    bands : int or None
        Equal parts of frequency; none is half as many as slots. Features without frequencies have none.
    permutations : int
        Orders, in pairs of one and its reverse; each costs one forward pass a part.
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        What stands in for a part. "zero" is features of 0: silence in a waveform, in a spectrogram the training mean (or
        0 dB where none is subtracted); the others are sounds, see ``xaudio.plugin.baseline_features``.
    seed : int
        Of the orders, which are the same for all recordings, and of a baseline with noise.
    internal_batch_size : int or None
        How many features are in the model at once, to bound the memory; none is no bound.
    """
    from ._removal import ShapleyValueSampling

    return ShapleyValueSampling(slots, bands, baseline, seed, internal_batch_size, permutations)


def kernel_shap(
    *,
    slots: int = 10,
    bands: int | None = None,
    samples: int = 512,
    baseline: Baseline = "zero",
    seed: int = 0,
    internal_batch_size: int | None = 64,
) -> Explainer:
    """Shapley values by a regression over random coalitions of parts; they sum to the difference from the baseline.

    Parameters
    ----------
    slots : int
        Equal parts of time.
    bands : int or None
        Equal parts of frequency; none is half as many as slots. Features without frequencies have none.
    samples : int
        Coalitions, several times as many as parts; each costs a forward pass. Where there are not more of them (2 to the
        power of the parts), all are computed, and the Shapley values are exact.
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        What stands in for a part. "zero" is features of 0: silence in a waveform, in a spectrogram the training mean (or
        0 dB where none is subtracted); the others are sounds, see ``xaudio.plugin.baseline_features``.
    seed : int
        Of the coalitions, which are the same for all recordings, and of a baseline with noise.
    internal_batch_size : int or None
        How many features are in the model at once, to bound the memory; none is no bound.
    """
    from ._removal import KernelShap

    return KernelShap(slots, bands, baseline, seed, internal_batch_size, samples)


def lime(
    *,
    slots: int = 10,
    bands: int | None = None,
    samples: int = 512,
    kernel_width: float = 0.25,
    ridge: float = 1e-3,
    baseline: Baseline = "zero",
    seed: int = 0,
    internal_batch_size: int | None = 64,
) -> Explainer:
    """LIME: coefficients of a linear model of the target's logit, fitted to random coalitions of parts.

    Parameters
    ----------
    slots : int
        Equal parts of time.
    bands : int or None
        Equal parts of frequency; none is half as many as slots. Features without frequencies have none.
    samples : int
        Coalitions, several times as many as parts; each costs a forward pass.
    kernel_width : float
        Of the kernel exp(-(d / kernel_width)²) that weights a coalition, d its cosine distance from the whole recording.
    ridge : float
        Penalty on the squares of the coefficients, relative to the mean squared error.
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        What stands in for a part. "zero" is features of 0: silence in a waveform, in a spectrogram the training mean (or
        0 dB where none is subtracted); the others are sounds, see ``xaudio.plugin.baseline_features``.
    seed : int
        Of the coalitions, which are the same for all recordings, and of a baseline with noise.
    internal_batch_size : int or None
        How many features are in the model at once, to bound the memory; none is no bound.
    """
    from ._removal import Lime

    return Lime(slots, bands, baseline, seed, internal_batch_size, samples, kernel_width, ridge)


@hookimpl
def xaudio_explainers() -> Mapping[str, Any]:
    """Offer the explainers."""
    return {
        "feature_ablation": feature_ablation,
        "kernel_shap": kernel_shap,
        "lime": lime,
        "occlusion": occlusion,
        "shapley_value_sampling": shapley_value_sampling,
    }
