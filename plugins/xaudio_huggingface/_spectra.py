"""Log-mel spectra as `transformers.audio_utils.spectrogram` computes them, differentiable; and the way back to sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Edges = Literal["none", "reflect", "constant"]
Scale = Literal["log", "log10", "dB"]


def exact(waveforms: Tensor) -> torch.dtype:
    """float64 as numpy computes, where the device has it."""
    return torch.float32 if waveforms.device.type == "mps" else torch.float64


@dataclass(frozen=True, eq=False)
class Spectra:
    """Power in mel bands, frame by frame.

    Parameters
    ----------
    window : Tensor, shape (frame,)
        float64; as long as a frame.
    hop, bins : int
        Samples from frame to frame, and of the Fourier transform (at least a frame).
    filters : Tensor, shape (bins // 2 + 1, bands)
        float64.
    edges : {"none", "reflect", "constant"}
        What half a transform at both ends is filled with; "none" leaves incomplete frames out.
    kaldi : float or None
        Pre-emphasis of each frame for itself, after its mean was taken off.
    emphasis : float or None
        Pre-emphasis of the recording.
    """

    window: Tensor
    hop: int
    bins: int
    filters: Tensor
    edges: Edges = "none"
    kaldi: float | None = None
    emphasis: float | None = None

    @property
    def margin(self) -> int:
        """Samples that are added at each end."""
        return 0 if self.edges == "none" else len(self.window) // 2

    def frames(self, samples: int) -> int:
        """How many frames so many samples have."""
        return 1 + (samples + 2 * self.margin - len(self.window)) // self.hop

    @property
    def centre(self) -> float:
        """The sample around which the window of the first frame lies; not always a whole number."""
        weights = self.window.double()
        return float((torch.arange(len(weights)) * weights).sum() / weights.sum()) - self.margin

    def power(self, waveforms: Tensor) -> Tensor:
        """Power (batch, bands, frames) of waveforms (batch, samples), in their number format."""
        emphasised = waveforms
        if self.emphasis is not None:
            emphasised = torch.cat([waveforms[:, :1], waveforms[:, 1:] - self.emphasis * waveforms[:, :-1]], 1)
        if self.edges != "none":
            emphasised = functional.pad(emphasised[:, None], (self.margin, self.margin), mode=self.edges)[:, 0]
        frames = emphasised.unfold(1, len(self.window), self.hop)
        if self.kaldi is not None:
            centred = frames - frames.mean(2, keepdim=True)
            before = torch.cat([centred[..., :1], centred[..., :-1]], 2)
            frames = centred - self.kaldi * before
        spectra = torch.fft.rfft(frames * self.window.to(frames), n=self.bins)
        power: Tensor = (spectra.real.square() + spectra.imag.square()) @ self.filters.to(frames)
        return power.transpose(1, 2)

    def masked(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """The sound (batch, samples) left when a mask (batch, bands, frames) weights the bands of each frame.

        A bin is weighted by the mean of the masks of the bands that read it; what no band reads was not heard and is left out.
        The first and the last frame's mask go on to the ends of the recording. Frames are added up as Griffin and Lim (1984,
        equation 6) have it, so that a mask of ones changes nothing within the bands.
        """
        weights = self.filters.to(waveforms)
        gains = (mask.transpose(1, 2) @ weights.T) / weights.sum(1).clamp(min=torch.finfo(weights.dtype).tiny)
        size, samples = self.bins, waveforms.shape[1]
        window = torch.hann_window(size, dtype=torch.float64).to(waveforms)
        first = int(self.centre) - size // 2
        before = -(-(first + size) // self.hop)
        after = -(-(samples - first - (gains.shape[1] - 1) * self.hop) // self.hop)
        gains = torch.cat([gains[:, :1].expand(-1, before, -1), gains, gains[:, -1:].expand(-1, max(after, 0), -1)], 1)
        start, count = first - before * self.hop, gains.shape[1]
        length = (count - 1) * self.hop + size
        padded = functional.pad(waveforms, (-start, max(0, length + start - samples)))[:, :length]
        spectra = torch.fft.rfft(padded.unfold(1, size, self.hop) * window) * gains
        frames = torch.fft.irfft(spectra, n=size) * window
        sound, weight = (
            functional.fold(part.transpose(1, 2), (1, length), (1, size), stride=(1, self.hop))[:, 0, 0, -start : samples - start]
            for part in (frames, (window**2).expand(1, count, size))
        )
        whole: Tensor = sound / weight
        return whole


def logarithm(power: Tensor, scale: Scale, floor: float) -> Tensor:
    """Natural or decimal logarithm, or decibels, of power that is at least the floor."""
    clamped = power.clamp(min=floor)
    if scale == "log":
        return clamped.log()
    return clamped.log10() * (10 if scale == "dB" else 1)
