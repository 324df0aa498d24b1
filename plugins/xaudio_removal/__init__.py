"""Explainers by removal: they run the model forward only, on recordings from which parts are taken away.

The parts are equal boxes: slots of time, and bands of frequency where the features have such an axis. All channels of
a cell belong together. The relevance of a part is shared equally by those of its features that differ from the baseline.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge
from typing_extensions import Doc

from xaudio.plugin import Amount, AtOnce, Baseline, Count, Explainer, Positive, hookimpl
from xaudio_segments import Parts

Slots = Annotated[Count, Doc("Equal parts of time.")]
Bands = Annotated[
    int | None,
    Ge(1),
    Doc("Equal parts of frequency; none is half as many as slots. Features without frequencies have none."),
]
Samples = Annotated[int, Ge(2)]
StandIn = Annotated[
    Baseline,
    Doc(
        'What stands in for a part. "zero" is features of 0: silence in a waveform, in a spectrogram the training mean (or 0 dB '
        "where none is subtracted); the others are sounds, see `baseline_features` of `xaudio.plugin`."
    ),
]


def feature_ablation(
    *,
    slots: Slots = 20,
    bands: Bands = None,
    parts: Parts = None,
    baseline: StandIn = "zero",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Explainer:
    """How much the target's logit falls without each part: one forward pass for each.

    Parameters
    ----------
    seed : int
        Of a baseline with noise.
    """
    from ._removal import FeatureAblation

    return FeatureAblation(slots, bands, baseline, seed, internal_batch_size, parts)


def occlusion(
    *,
    slots: Slots = 20,
    bands: Bands = None,
    span: Count = 2,
    baseline: StandIn = "zero",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Explainer:
    """How much the target's logit falls behind a window that moves part by part; mean over the windows that cover a part.

    Parameters
    ----------
    span : int
        Parts that a window covers along each axis (all of an axis that has fewer). 1 is ``feature_ablation``.
    seed : int
        Of a baseline with noise.
    """
    from ._removal import Occlusion

    return Occlusion(slots, bands, baseline, seed, internal_batch_size, None, span)


def shapley_value_sampling(
    *,
    slots: Slots = 10,
    bands: Bands = None,
    parts: Parts = None,
    permutations: Count = 20,
    baseline: StandIn = "zero",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Explainer:
    """Shapley values from random orders in which the parts are added; they sum to the difference from the baseline.

    Parameters
    ----------
    permutations : int
        Orders, in pairs of one and its reverse; each costs one forward pass a part.
    seed : int
        Of the orders, which are the same for all recordings, and of a baseline with noise.
    """
    from ._removal import ShapleyValueSampling

    return ShapleyValueSampling(slots, bands, baseline, seed, internal_batch_size, parts, permutations)


def kernel_shap(
    *,
    slots: Slots = 10,
    bands: Bands = None,
    parts: Parts = None,
    samples: Samples = 512,
    baseline: StandIn = "zero",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Explainer:
    """Shapley values by a regression over random coalitions of parts; they sum to the difference from the baseline.

    Parameters
    ----------
    samples : int
        Coalitions, several times as many as parts; each costs a forward pass. Where there are not more of them (2 to the
        power of the parts), all are computed, and the Shapley values are exact.
    seed : int
        Of the coalitions, which are the same for all recordings, and of a baseline with noise.
    """
    from ._removal import KernelShap

    return KernelShap(slots, bands, baseline, seed, internal_batch_size, parts, samples)


def lime(
    *,
    slots: Slots = 10,
    bands: Bands = None,
    parts: Parts = None,
    samples: Samples = 512,
    kernel_width: Positive = 0.25,
    ridge: Amount = 1e-3,
    baseline: StandIn = "zero",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Explainer:
    """LIME: coefficients of a linear model of the target's logit, fitted to random coalitions of parts.

    Parameters
    ----------
    samples : int
        Coalitions, several times as many as parts; each costs a forward pass.
    kernel_width : float
        Of the kernel exp(-(d / kernel_width)²) that weights a coalition, d its cosine distance from the whole recording.
    ridge : float
        Penalty on the squares of the coefficients, relative to the mean squared error.
    seed : int
        Of the coalitions, which are the same for all recordings, and of a baseline with noise.
    """
    from ._removal import Lime

    return Lime(slots, bands, baseline, seed, internal_batch_size, parts, samples, kernel_width, ridge)


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
