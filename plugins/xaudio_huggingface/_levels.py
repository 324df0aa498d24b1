"""What the twins of extractors of levels in mel bands share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import Axis, ModelError

from ._spectra import Scale, Spectra, exact, logarithm
from ._twin import ROUNDING, Twin

NUMPY_FLOOR = 1e-10


class LogMel(Twin):
    """Levels in mel bands; features are (batch, 1, bands, frames), and relevance is taken there."""

    scale: Scale = "log"
    floor: float = NUMPY_FLOOR
    quiet = 1.0
    unit = "normalised logarithm of power"
    spectra: Spectra

    def __init__(self, extractor: Any, samples: int | None = None, least: int = 1) -> None:
        super().__init__(extractor, samples, least)
        self.spectra = self._spectra()
        bands = self._bands()
        _check_bands(self._name, bands, self.spectra, self.sample_rate)
        self.kept = self._kept(self.spectra.frames(self._sound(torch.zeros(1, self.samples)).shape[1]))
        times = self.spectra.centre + np.arange(self._frames(self.kept)) * self.spectra.hop
        self.axes = (Axis("frequency", "Hz", bands), Axis("time", "s", times / self.sample_rate))

    def _spectra(self) -> Spectra:
        raise NotImplementedError

    def _bands(self) -> np.ndarray[Any, Any]:
        """Centres of the bands in Hz."""
        raise NotImplementedError

    def _sound(self, waveforms: Tensor) -> Tensor:
        """The sound that is analysed: padded, repeated or cut, as the extractor does it."""
        return waveforms

    def _unrepeated(self, sound: Tensor) -> Tensor:
        """The recordings (batch, samples) of what is analysed."""
        return functional.pad(sound, (0, max(0, self.samples - sound.shape[1])))[:, : self.samples]

    def _kept(self, frames: int) -> int:
        """How many of the frames become features."""
        return frames

    def _frames(self, kept: int) -> int:
        """How many frames the features have, padding included."""
        return kept

    @property
    def padding(self) -> np.ndarray[Any, Any] | None:
        """Frames (frames,) in which nothing of the recording lies; None if there are none."""
        frames = np.arange(len(self.axes[1].centres))
        silent = (frames >= self.kept) | (frames * self.spectra.hop - self.spectra.margin >= self._sounding)
        return silent if silent.any() else None

    @property
    def _sounding(self) -> int:
        """How many samples of what is analysed are the recording's."""
        return self.samples

    def _logarithm(self, power: Tensor) -> Tensor:
        return logarithm(power, self.scale, self.floor)

    def _finished(self, levels: Tensor) -> Tensor:
        """Features (batch, bands, frames) of levels (batch, bands, kept frames)."""
        return levels

    def _power(self, waveforms: Tensor) -> Tensor:
        """Power in the bands (batch, bands, kept frames) in float64."""
        return self.spectra.power(self._sound(waveforms.to(exact(waveforms))))[..., : self.kept]

    def forward(self, waveforms: Tensor) -> Tensor:
        """Features (batch, 1, bands, frames) of waveforms (batch, samples) in [-1, 1]."""
        return self._finished(self._logarithm(self._power(waveforms))).to(waveforms.dtype)[:, None]

    def _spread(self, levels: Tensor) -> Tensor:
        """What levels are divided by; it broadcasts to them."""
        return torch.ones(1, 1, 1)

    def rounding(self, waveforms: Tensor) -> Tensor:
        """That of the levels, over what they are divided by."""
        levels = self._logarithm(self._power(waveforms))
        rounding = (ROUNDING * levels.abs().amax((1, 2), keepdim=True) / self._spread(levels)).expand_as(levels)
        return functional.pad(rounding, (0, len(self.axes[1].centres) - self.kept))[:, None]

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Square root of the power in each cell, (batch, 1, bands, frames); 0 in padding."""
        amplitude = functional.pad(self._power(waveforms).sqrt(), (0, len(self.axes[1].centres) - self.kept))
        return amplitude.to(waveforms.dtype)[:, None]

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """The sound (batch, samples) that is left when each cell is weighted by a mask (batch, 1, bands, frames)."""
        sound = self._sound(waveforms.to(exact(waveforms)))
        return self._unrepeated(self.spectra.masked(sound, mask[:, 0, :, : self.kept].to(sound))).to(waveforms.dtype)

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, samples), with the same sum as that of the cells in which there is sound.

        R_n = x_n d/dx_n sum_mk R_mk ln(P_mk(x)) / 2: the power of linear maps is homogeneous of degree 2, so that by Euler's
        identity the sums agree. Cells without any power, such as padding, belong to no sample, and their relevance is lost.
        """
        sound = waveforms.detach().to(exact(waveforms)).requires_grad_()
        with torch.enable_grad():
            power = self._power(sound)
            logarithms = torch.where(power > 0, power, 1).log() / 2  # ln 1 = 0 takes the place of ln 0
            weighted = relevance[:, 0, :, : self.kept].detach().to(power) * logarithms
            (gradient,) = torch.autograd.grad(weighted.sum(), sound)
        return (sound * gradient).detach().to(relevance.dtype)


def mel_centres(lowest: float, highest: float, bands: int, scale: str) -> np.ndarray[Any, Any]:
    from transformers.audio_utils import hertz_to_mel, mel_to_hertz

    first, last = (float(hertz_to_mel(float(hertz), mel_scale=scale)) for hertz in (lowest, highest))
    return np.asarray(mel_to_hertz(np.linspace(first, last, bands + 2)[1:-1], mel_scale=scale))


def _check_bands(name: str, bands: np.ndarray[Any, Any], spectra: Spectra, rate: int) -> None:
    """Raise `ModelError` if filters do not lie where bands are said to be."""
    width = rate / spectra.bins
    peaks, heard = spectra.filters.argmax(0).numpy() * width, spectra.filters.sum(0).numpy() > 0
    if len(peaks) != len(bands) or not (np.abs(peaks - bands)[heard] <= 1.5 * width).all():
        raise ModelError(f"The {name} has mel filters of its own: their bands are not known. Give a representation.")


def as_tensor(values: Any) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float64)
