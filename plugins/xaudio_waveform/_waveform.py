"""The waveform as features."""

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import Axis, ModelError, Placement

FULL_SCALE = 32768.0
"""The published constant below belongs to 16-bit integers; our waveforms are those divided by this."""

OFFSET = 0.001
"""Added to the percentile by the published code, in 16-bit units."""

QUANTILE = 0.95


class Waveform(nn.Module):
    """Waveforms (batch, samples) to features (batch, 1, samples). See `xaudio_waveform.waveform` for the parameters.

    Attributes
    ----------
    sample_rate, samples, placement, unit, axes
        See `xaudio.types.Representation`.
    """

    def __init__(self, sample_rate: int, samples: int, placement: Placement, normalisation: str, guard: float) -> None:
        super().__init__()
        self.sample_rate, self.samples, self.placement = sample_rate, samples, placement
        self.normalisation, self.guard = normalisation, guard
        self.unit = "95th percentiles" if normalisation == "percentile" else "full scale"
        self.axes: tuple[Axis, ...] = (Axis("time", "s", np.arange(samples) / sample_rate),)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Features (batch, 1, samples) of waveforms (batch, samples) in [-1, 1]; silence gives zeros.

        x / (p + 0.001), with p the 95th percentile of the signed, padded waveform in 16-bit units, as in the published
        code of arXiv 1807.03418, and the divisor at least ``guard`` times the peak: in a recording that is mostly
        padding, or whose few loud samples are negative, p is about 0 or below, and the division would blow it up or
        turn it upside down.

        Raises
        ------
        ModelError
            If the waveforms have another shape.
        """
        if waveforms.ndim != 2 or waveforms.shape[1] != self.samples:
            expected = f"(batch, {self.samples})"
            raise ModelError(f"The waveform representation got waveforms {tuple(waveforms.shape)}; expected {expected}.")
        if self.normalisation == "none":
            return waveforms[:, None]
        divisor = _percentile(waveforms) + OFFSET / FULL_SCALE
        if self.guard:
            divisor = torch.maximum(divisor, self.guard * waveforms.abs().amax(1))
        return (waveforms / divisor[:, None])[:, None]

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """|x|, (batch, 1, samples), in full scales."""
        return waveforms.abs()[:, None]

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """Each sample times its mask (batch, 1, samples), as waveforms (batch, samples)."""
        return waveforms * mask[:, 0]

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance (batch, 1, samples) without its channel: the cells are the samples."""
        del waveforms
        return relevance[:, 0]


def _percentile(waveforms: Tensor) -> Tensor:
    """95th percentile of each row by linear interpolation, as numpy.percentile has it.

    Only the upper 5 % are sorted out (topk), which is faster than torch.quantile and not limited in size.
    """
    position = QUANTILE * (waveforms.shape[1] - 1)
    below = int(position)
    upper = waveforms.topk(waveforms.shape[1] - below, dim=1).values
    low, high = upper[:, -1], upper[:, -2]
    return low + (high - low) * (position - below)
