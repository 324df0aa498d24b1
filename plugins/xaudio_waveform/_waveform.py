"""The waveform as features."""

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import Axis, Length, Placement, Samples, check_waveforms, create

FULL_SCALE = 32768.0
"""The published constant below belongs to 16-bit integers; our waveforms are those divided by this."""

OFFSET = 0.001
"""Added to the percentile by the published code, in 16-bit units."""

QUANTILE = 0.95

VARIANCE = 1e-7
"""Added to the variance by Wav2Vec2FeatureExtractor, in waveforms of [-1, 1]."""

DIVIDED = "the waveform is divided by its 95th percentile, as AudioNet reads it: representation='raw' leaves it as it is"
"""What is said to users of a network of their own, who may not expect it."""

UNITS = {"percentile": "95th percentiles", "standard": "standard deviations", "none": "full scale"}


class Waveform(Samples, nn.Module):
    """Waveforms (batch, samples) to features (batch, 1, samples). See `xaudio_waveform.waveform` for the parameters.

    Attributes
    ----------
    sample_rate, samples, placement, unit, axes, length, remark
        See `xaudio.types.Representation`.
    """

    def __init__(self, sample_rate: int, samples: int | None, placement: Placement, normalisation: str, guard: float) -> None:
        super().__init__()
        self.length = Length(minimum=2) if samples is None else Length(fixed=samples)
        samples = max(2, sample_rate) if samples is None else samples
        self.sample_rate, self.samples, self.placement = sample_rate, samples, placement
        self.normalisation, self.guard = normalisation, guard
        self.unit = UNITS[normalisation]
        self.remark = DIVIDED if normalisation == "percentile" else ""
        self.axes: tuple[Axis, ...] = (Axis("time", "s", np.arange(samples) / sample_rate),)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Features (batch, 1, samples) of waveforms (batch, samples) in [-1, 1]; silence gives zeros.

        x / (p + 0.001), with p the 95th percentile of the signed, padded waveform in 16-bit units, as in the published
        code of arXiv 1807.03418, and the divisor at least ``guard`` times the peak: in a recording that is mostly
        padding, or whose few loud samples are negative, p is about 0 or below, and the division would blow it up or
        turn it upside down.

        With "standard" (x - mean) / sqrt(variance + 1e-7), the variance that of the recording (divided by its samples).

        Raises
        ------
        ModelError
            If the waveforms have another shape.
        """
        check_waveforms("waveform", waveforms, self.samples)
        if self.normalisation == "none":
            return waveforms[:, None]
        if self.normalisation == "standard":
            return _standard(waveforms)[:, None]
        divisor = _percentile(waveforms) + OFFSET / FULL_SCALE
        if self.guard:
            divisor = torch.maximum(divisor, self.guard * waveforms.abs().amax(1))
        return (waveforms / divisor[:, None])[:, None]

    def at(self, samples: int) -> Self:
        """The same for waveforms of so many samples."""
        representation: Self = create(
            "representation",
            "waveform",
            sample_rate=self.sample_rate,
            samples=samples,
            placement=self.placement,
            normalisation=self.normalisation,
            guard=self.guard,
        )
        return representation


def _standard(waveforms: Tensor) -> Tensor:
    """Each row with mean 0 and variance 1; silence stays silent."""
    centred = waveforms - waveforms.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + VARIANCE).sqrt()


def _percentile(waveforms: Tensor) -> Tensor:
    """95th percentile of each row by linear interpolation, as numpy.percentile has it.

    Only the upper 5 % are sorted out (topk), which is faster than torch.quantile and not limited in size.
    """
    position = QUANTILE * (waveforms.shape[1] - 1)
    below = int(position)
    upper = waveforms.topk(waveforms.shape[1] - below, dim=1).values
    low, high = upper[:, -1], upper[:, -2]
    return low + (high - low) * (position - below)
