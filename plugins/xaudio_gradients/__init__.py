"""Explainers that run the model backward: the gradient, and what is made of gradients."""

from collections.abc import Mapping
from typing import Any, Literal

from xaudio.plugin import Amount, AtOnce, Baseline, Count, Explainer, ProductPrecision, hookimpl


def gradient(*, internal_batch_size: AtOnce = 64, precision: ProductPrecision = "float32") -> Explainer:
    """Gradient of the target's logit, with its sign."""
    from ._gradients import Gradient

    return Gradient(False, internal_batch_size, precision)


def saliency(*, internal_batch_size: AtOnce = 64, precision: ProductPrecision = "float32") -> Explainer:
    """Absolute gradient of the target's logit: how much each feature would move it."""
    from ._gradients import Gradient

    return Gradient(True, internal_batch_size, precision)


def input_x_gradient(*, internal_batch_size: AtOnce = 64, precision: ProductPrecision = "float32") -> Explainer:
    """Gradient of the target's logit times the features."""
    from ._gradients import InputTimesGradient

    return InputTimesGradient(internal_batch_size, precision)


def integrated_gradients(
    *,
    baseline: Baseline = "zero",
    steps: Count = 50,
    spacing: Literal["uniform", "geometric"] = "uniform",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
    precision: ProductPrecision = "float32",
) -> Explainer:
    """Integrated gradients from a baseline; they sum to the difference of the target's logits there and here.

    How far the sum misses the difference every explanation tells (``provenance["completeness"]``).

    Parameters
    ----------
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        Where the way begins. "zero" is features of 0: silence in a waveform, in a spectrogram the training mean (or 0 dB
        where none is subtracted); the others are sounds, see ``xaudio.plugin.baseline_features``.
    steps : int
        Points of the Gauss-Legendre quadrature along the way; each costs a forward and a backward pass.
    spacing : {"uniform", "geometric"}
        Of the points. "geometric" spaces them evenly in the logarithm of the amplitude, from 1e-6 to 1: for models that
        normalise their input or take its logarithm, whose answer changes most close to silence.
    seed : int
        Of a baseline with noise.
    """
    from ._gradients import IntegratedGradients

    return IntegratedGradients(baseline, steps, seed, internal_batch_size, spacing, precision)


def gradient_shap(
    *,
    baseline: Baseline = "zero",
    samples: Count = 50,
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
    precision: ProductPrecision = "float32",
) -> Explainer:
    """Expected gradients (GradientSHAP): integrated gradients at random places, from a new baseline at each.

    Its sum is the difference of the logits only on average over many samples.

    Parameters
    ----------
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        Where the ways begin. Those with noise are drawn separately for each sample, which is what the method is for; "zero"
        and "silence" make it integrated gradients with a random quadrature.
    samples : int
        Places; each costs a forward and a backward pass.
    seed : int
        Of the places and of the baselines' noise, which are the same for all recordings.
    """
    from ._gradients import GradientShap

    return GradientShap(baseline, samples, seed, internal_batch_size, precision)


def smooth_grad(
    *,
    samples: Count = 50,
    noise: Amount = 0.1,
    statistic: Literal["mean", "mean_square", "variance"] = "mean",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
    precision: ProductPrecision = "float32",
) -> Explainer:
    """Mean gradient among copies of the features with noise (SmoothGrad); exact silence gets relevance, too.

    Parameters
    ----------
    samples : int
        Noisy copies; each costs a forward and a backward pass.
    noise : float
        Standard deviation of the noise, as a share of the recording's range (its largest feature less its smallest).
    statistic : {"mean", "mean_square", "variance"}
        Of the gradients: SmoothGrad, SmoothGrad-Squared or VarGrad; the last two have no sign.
    seed : int
        Of the noise, which is the same for all recordings.
    """
    from ._gradients import SmoothGrad

    return SmoothGrad(samples, noise, statistic, seed, internal_batch_size, precision)


def guided_backprop(*, internal_batch_size: AtOnce = 64) -> Explainer:
    """Guided backpropagation: the gradient, of which each ReLU lets only the positive part through.

    It shows what the first layers see more than what the class depends on; compare classes before you trust it.
    """
    from ._modified import GuidedBackprop

    return GuidedBackprop(internal_batch_size)


def deep_lift(*, baseline: Baseline = "zero", seed: int = 0, internal_batch_size: AtOnce = 64) -> Explainer:
    """DeepLIFT with the rescale rule; it sums to the difference of the target's logits from the baseline's.

    Parameters
    ----------
    baseline : {"zero", "silence", "noise_floor", "mean_spectrum"}
        What the activations are compared with. "zero" is features of 0: silence in a waveform, in a spectrogram the
        training mean (or 0 dB where none is subtracted); the others are sounds, see ``xaudio.plugin.baseline_features``.
    seed : int
        Of a baseline with noise.
    """
    from ._modified import DeepLift

    return DeepLift(baseline, seed, internal_batch_size)


def grad_cam(*, layer: str | None = None, relu: bool = True, internal_batch_size: AtOnce = 64) -> Explainer:
    """Grad-CAM: where a convolution's channels, weighted by their mean gradient, are active; interpolated to the features.

    Parameters
    ----------
    layer : str or None
        Name of the layer, as ``model.named_modules()`` has it; none is the last convolution in that order.
    relu : bool
        Keep only what speaks for the target, as published; otherwise the map has a sign.
    """
    from ._grad_cam import GradCam

    return GradCam(layer, relu, internal_batch_size)


@hookimpl
def xaudio_explainers() -> Mapping[str, Any]:
    """Offer the explainers."""
    return {
        "deep_lift": deep_lift,
        "grad_cam": grad_cam,
        "gradient": gradient,
        "gradient_shap": gradient_shap,
        "guided_backprop": guided_backprop,
        "input_x_gradient": input_x_gradient,
        "integrated_gradients": integrated_gradients,
        "saliency": saliency,
        "smooth_grad": smooth_grad,
    }
