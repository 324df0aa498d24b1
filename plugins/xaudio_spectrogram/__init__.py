"""The spectrogram in decibels as what a model reads."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from xaudio.plugin import Count, Placement, Representation, hookimpl


def spectrogram(
    *,
    sample_rate: Count = 8000,
    samples: Count = 8000,
    placement: Placement = "file",
    window: Annotated[int, Ge(4)] = 455,
    hop: Count = 35,
    crop: Literal["code", "paper"] = "code",
    floor_db: Annotated[float, Lt(0)] = -80.0,
) -> Representation:
    """Spectrogram in dB relative to the recording's loudest cell, 227 x 227 cells by default as AlexNet reads it.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    samples : int
        Length of the waveforms; shorter recordings are placed within zeros.
    placement : {"file", "step", "centre", "start"}
        Where a shorter recording lies within the zeros; "file" is drawn once per recording, as published.
    window : int
        Length of the Hann window in samples.
    hop : int
        Samples from one frame to the next, at most half a window.
    crop : {"code", "paper"}
        Cells that are left out beside the highest frequency: "code" the first two frames and the last one, as in the
        published code, from which the published results come; "paper" the last three frames, as in the paper's text.
    floor_db : float
        Lowest level, below 0.
    """
    from ._spectrogram import Spectrogram

    return Spectrogram(sample_rate, samples, placement, window, hop, crop, floor_db)


@hookimpl
def xaudio_representations() -> Mapping[str, Any]:
    """Offer the spectrogram."""
    return {"spectrogram": spectrogram}
