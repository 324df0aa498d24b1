"""The waveform itself as what a model reads."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge

from xaudio.plugin import Count, Placement, Representation, Share, hookimpl


def waveform(
    *,
    sample_rate: Count = 8000,
    samples: Annotated[int, Ge(2)] = 8000,
    placement: Placement = "file",
    normalisation: Literal["percentile", "none"] = "percentile",
    guard: Share = 0.01,
) -> Representation:
    """Waveform, one second at 8 kHz, divided by its 95th percentile as AudioNet reads it.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    samples : int
        Length of the waveforms; shorter recordings are placed within zeros.
    placement : {"file", "step", "centre", "start"}
        Where a shorter recording lies within the zeros; "file" is drawn once per recording, as published.
    normalisation : {"percentile", "none"}
        "percentile" divides by the 95th percentile of the signed, padded waveform, as published; "none" leaves it.
    guard : float
        The divisor is at least this share of the peak (0 to 1); 0 is as published, which divides by nearly nothing, or
        turns the sound upside down, where few samples are positive.
    """
    from ._waveform import Waveform

    return Waveform(sample_rate, samples, placement, normalisation, guard)


@hookimpl
def xaudio_representations() -> Mapping[str, Any]:
    """Offer the waveform."""
    return {"waveform": waveform}
