"""The numbers behind the picture of an explanation, as the component draws them."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaudio.plugin import Axis, Explanation, FloatArray, ModelError, OutputError

from ._packing import Packed, packed_axis
from ._stretch import Stretch

PERCENTILE = 99.5
"""Of the magnitudes of relevance: where the colours saturate, as in the renderer ``visual``."""


def picture_of(explanation: Explanation, packed: Packed, stretch: Stretch | None = None) -> dict[str, Any]:
    """Axes, relevance and what lies under it; the arrays go into ``packed``.

    Of a long recording they are those of a stretch. Two axes are given as (up, across), with time across where there is one.
    Relevance is summed over the channels. ``level`` is None where what lies under the relevance is the waveform itself.

    Raises
    ------
    OutputError
        If the relevance is not finite, or there are more than two axes.
    """
    axes, relevance, level, unit = drawn_of(explanation)
    if stretch is not None and axes[-1].name == "time":
        across, (relevance, level) = stretch.of_cells(axes[-1], relevance, level)
        axes = (*axes[:-1], across)
    kind = "int16" if len(axes) == 1 else "int8"
    return {
        "axes": [packed_axis(axis) for axis in axes],
        "relevance": packed.signed(relevance, kind, power=2),
        "limit": limit_of(relevance),
        "level": None if level is None else {**packed.levels(level), "unit": unit},
        "channels": len(explanation.relevance),
    }


def drawn_of(explanation: Explanation) -> tuple[tuple[Axis, ...], FloatArray, FloatArray | None, str]:
    """Axes, relevance (*axes), what lies under it or None, and its unit; see `picture_of`."""
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
    return axes, relevance, level, unit


def limit_of(relevance: FloatArray) -> float:
    """The magnitude of relevance at which the colours saturate; 1 if there is no relevance."""
    magnitude = np.abs(relevance[relevance != 0])
    return float(np.percentile(magnitude, PERCENTILE)) if magnitude.size else 1.0


def waveform_of(explanation: Explanation, packed: Packed, stretch: Stretch | None = None) -> dict[str, Any]:
    """The waveform as the model heard it, with its rate in Hz, and where in the recording it begins and is only zeros, in s."""
    waveform, rate, start = explanation.clip.waveform, explanation.clip.sample_rate, explanation.window_start
    if stretch is not None:
        waveform, start = stretch.of_samples(waveform, rate), start + stretch.first / rate
    place = {"start": start, "padding": explanation.padding}
    return {**packed.signed(waveform, "int16"), "rate": rate, "count": len(waveform), **place}


def _level(explanation: Explanation) -> tuple[FloatArray, str]:
    """What lies under the relevance, and its unit: the features (*axes) of the first channel.

    As the representation gives them; where it cannot be made again, as the network read them, less the training mean.
    """
    try:
        return explanation.levels(), explanation.representation.unit
    except ModelError:
        return explanation.features[0], ""
