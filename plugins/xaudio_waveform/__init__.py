"""The waveform itself as what a model reads."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge

from xaudio.plugin import Count, Placement, Representation, Share, hookimpl


def waveform(
    *,
    sample_rate: Count = 8000,
    samples: Annotated[int, Ge(2)] | None = 8000,
    placement: Placement = "file",
    normalisation: Literal["percentile", "standard", "none"] = "percentile",
    guard: Share = 0.01,
) -> Representation:
    """Waveform, one second at 8 kHz, divided by its 95th percentile as AudioNet reads it.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    samples : int or None
        Length of the waveforms; shorter recordings are placed within zeros. None takes recordings of any length.
    placement : {"file", "step", "centre", "start"}
        Where a shorter recording lies within the zeros; "file" is drawn once per recording, as published.
    normalisation : {"percentile", "standard", "none"}
        "percentile" divides by the 95th percentile of the signed, padded waveform, as published; "standard" brings each
        waveform to mean 0 and variance 1, as Wav2Vec2FeatureExtractor does; "none" leaves it.
    guard : float
        The divisor of "percentile" is at least this share of the peak (0 to 1); 0 is as published, which divides by nearly
        nothing, or turns the sound upside down, where few samples are positive.
    """
    from ._waveform import Waveform

    return Waveform(sample_rate, samples, placement, normalisation, guard)


def raw(
    *,
    sample_rate: Count = 16000,
    samples: Annotated[int, Ge(2)] | None = None,
    normalisation: Literal["none", "standard"] = "none",
    placement: Placement = "start",
    channels: Count = 1,
) -> Representation:
    """Waveform as it is, of any length and rate, for networks that read sound itself.

    Parameters
    ----------
    sample_rate : int
        In Hz; recordings are brought to it.
    samples : int or None
        Length of the waveforms, shorter recordings then end with zeros; None takes recordings of any length.
    normalisation : {"none", "standard"}
        "none" leaves samples between -1 and 1; "standard" brings each waveform to mean 0 and variance 1.
    placement : {"file", "step", "centre", "start"}
        Where a shorter recording lies within the zeros.
    channels : int
        Of a recording that the model reads, each normalised by itself; one is a recording mixed down.
    """
    from xaudio.plugin import channelwise

    from ._waveform import Waveform

    return channelwise(Waveform(sample_rate, samples, placement, normalisation, 0.0), channels)


@hookimpl
def xaudio_representations() -> Mapping[str, Any]:
    """Offer the waveform, as AudioNet reads it and as it is."""
    return {"raw": raw, "waveform": waveform}
