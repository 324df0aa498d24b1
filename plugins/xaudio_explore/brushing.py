"""A recording without a region of it, or with nothing else: silenced in time, filtered in frequency, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from xaudio.plugin import Clip, DataError, Model, TimeFrequency

WINDOW = 0.032
"""Seconds of the windows of the transform in which regions are filtered: 31 Hz from one frequency to the next."""
OVERLAP = 8
"""Windows over each sample."""


class Region(BaseModel):
    """A stretch of time and of frequency; what is not given is open.

    Parameters
    ----------
    start, end : float, optional
        Seconds of the recording.
    low, high : float, optional
        Hz.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    start: float | None = Field(default=None, ge=0)
    end: float | None = Field(default=None, ge=0)
    low: float | None = Field(default=None, ge=0)
    high: float | None = Field(default=None, ge=0)

    def words(self) -> str:
        """Where it is, as in "0.20-0.35 s, 300-900 Hz"."""
        spans = [_span(self.start, self.end, "s", 2), _span(self.low, self.high, "Hz", 0)]
        return ", ".join(filter(None, spans)) or "all of it"


def _span(low: float | None, high: float | None, unit: str, digits: int) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"up to {high:.{digits}f} {unit}"
    return f"from {low:.{digits}f} {unit}" if high is None else f"{low:.{digits}f}-{high:.{digits}f} {unit}"


def heard(model: Model, clip: Clip) -> tuple[np.ndarray[Any, Any], float]:
    """What a model hears of a recording, at its rate and without the zeros around it, and at which second of it that begins."""
    placed = model.hear([clip], model.rules.of_own())
    offset, start, samples = placed.position(0)
    waveform = placed.batch(slice(0, 1))[0, offset : offset + samples].cpu().numpy()
    return waveform, start / model.representation.sample_rate


def brushed(model: Model, clip: Clip, regions: Sequence[Region], keep: bool) -> Clip:
    """A recording, as a model hears it, without regions of it, or with these alone.

    The regions are cells of a short-time Fourier transform that are left out, so that the edges are as soft as its windows
    (32 ms). What is left has the phases of the recording.

    Parameters
    ----------
    model : Model
    clip : Clip
    regions : sequence of Region
    keep : bool
        Keep the regions and take away the rest.

    Raises
    ------
    DataError
        If there is no region, or one is empty.
    """
    if not regions:
        raise DataError("There is no region to take away: draw one over the picture, or give its ends.")
    waveform, begin = heard(model, clip)
    rate = model.representation.sample_rate
    length = max(8, round(WINDOW * rate / OVERLAP) * OVERLAP)
    domain = TimeFrequency(rate, len(waveform), window="hann", length=length, hop=length // OVERLAP)
    frequencies, times = domain.axes[0].centres, domain.axes[1].centres + begin
    inside = np.zeros((len(frequencies), len(times)), bool)
    for region in regions:
        cells = np.outer(_between(frequencies, region.low, region.high), _between(times, region.start, region.end))
        if not cells.any():
            raise DataError(f"The region {region.words()} holds nothing of what the model hears: choose a larger one.")
        inside |= cells
    mask = torch.from_numpy(np.where(inside, float(keep), float(not keep)))[None, None]
    left = domain.masked_waveform(torch.from_numpy(waveform)[None], mask)[0].numpy().astype(np.float32)
    what = (
        f"only {' and '.join(region.words() for region in regions)}"
        if keep
        else (f"without {' and '.join(region.words() for region in regions)}")
    )
    return replace(clip, waveform=left, sample_rate=rate, source=f"{clip.name} {what}", notes=(*clip.notes, what), span=None)


def _between(centres: np.ndarray[Any, Any], low: float | None, high: float | None) -> np.ndarray[Any, Any]:
    inside: np.ndarray[Any, Any] = (centres >= (-np.inf if low is None else low)) & (
        centres <= (np.inf if high is None else high)
    )
    return inside
