"""Explainers that need gradients only, computed by captum."""

from collections.abc import Mapping
from typing import Any

from xaudio import hookimpl
from xaudio.types import Explainer


def gradient(*, absolute: bool = False) -> Explainer:
    """Gradient of the target's logit (saliency).

    Parameters
    ----------
    absolute : bool
        Give its absolute value, without the sign.
    """
    from ._gradients import Gradient

    return Gradient(absolute)


def input_x_gradient() -> Explainer:
    """Gradient of the target's logit times the features."""
    from ._gradients import InputTimesGradient

    return InputTimesGradient()


def integrated_gradients(*, steps: int = 50, internal_batch_size: int | None = 64) -> Explainer:
    """Integrated gradients from features of 0; they sum to the difference of the target's logits there and here.

    Features of 0 are silence in a waveform, and in a spectrogram the training mean (or 0 dB where none is subtracted).

    Parameters
    ----------
    steps : int
        Points of the Gauss-Legendre quadrature along the way.
    internal_batch_size : int or None
        How many features are computed at once (at least one per recording), to bound the memory; none computes all
        steps of all recordings at once.
    """
    from ._gradients import IntegratedGradients

    return IntegratedGradients(steps, internal_batch_size)


@hookimpl
def xaudio_explainers() -> Mapping[str, Any]:
    """Offer the explainers."""
    return {"gradient": gradient, "input_x_gradient": input_x_gradient, "integrated_gradients": integrated_gradients}
