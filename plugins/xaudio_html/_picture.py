"""The numbers behind the picture of an explanation, as the component draws them."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaudio.plugin import Explanation, FloatArray, ModelError, OutputError

from ._packing import Packed, packed_axis

PERCENTILE = 99.5
"""Of the magnitudes of relevance: where the colours saturate, as in the renderer ``visual``."""


def picture_of(explanation: Explanation, packed: Packed) -> dict[str, Any]:
    """Axes, relevance and what lies under it; the arrays go into ``packed``.

    Two axes are given as (up, across), with time across where there is one. Relevance is summed over the channels. ``level``
    is None where what lies under the relevance is the waveform itself.

    Raises
    ------
    OutputError
        If the relevance is not finite, or there are more than two axes.
    """
    source = explanation.clip.source
    if len(explanation.axes) not in (1, 2):
        raise OutputError(f"The relevance of {source} has {len(explanation.axes)} axes; a page shows one or two.")
    relevance = explanation.relevance.astype(np.float64).sum(0)
    if not np.isfinite(relevance).all():
        raise OutputError(f"The relevance of {source} holds NaN or infinity, so it cannot be drawn; check the explainer.")
    axes = explanation.axes
    turned = len(axes) == 2 and axes[0].name == "time"
    on_samples = len(axes) == 1 and axes[0].name == "time" and relevance.shape == explanation.clip.waveform.shape
    level, unit = (None, "") if on_samples else _level(explanation)
    if turned:
        axes, relevance, level = axes[::-1], relevance.T, None if level is None else level.T
    kind = "int16" if len(axes) == 1 else "int8"
    magnitude = np.abs(relevance[relevance != 0])
    return {
        "axes": [packed_axis(axis) for axis in axes],
        "relevance": packed.signed(relevance, kind, power=2),
        "limit": float(np.percentile(magnitude, PERCENTILE)) if magnitude.size else 1.0,
        "level": None if level is None else {**packed.levels(level), "unit": unit},
        "channels": len(explanation.relevance),
    }


def waveform_of(explanation: Explanation, packed: Packed) -> dict[str, Any]:
    """The waveform as the model heard it, with its rate in Hz, and where in the recording it begins and is only zeros, in s."""
    clip = explanation.clip
    place = {"start": explanation.window_start, "padding": explanation.padding}
    return {**packed.signed(clip.waveform, "int16"), "rate": clip.sample_rate, "count": len(clip.waveform), **place}


def _level(explanation: Explanation) -> tuple[FloatArray, str]:
    """What lies under the relevance, and its unit: the features (*axes) of the first channel.

    As the representation gives them; where it cannot be made again, as the network read them, less the training mean.
    """
    try:
        return explanation.levels(), explanation.representation.unit
    except ModelError:
        return explanation.features[0], ""
