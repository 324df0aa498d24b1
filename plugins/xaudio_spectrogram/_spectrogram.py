"""Spectrograms in decibels, and the way back to sound."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xaudio.plugin import Axis, Placement, PluginError, check_waveforms

FULL_SCALE = 32768.0
"""The published constant below belongs to 16-bit integers; our waveforms are those divided by this."""

AMIN = 1e-5
"""Lowest magnitude told apart, in 16-bit units (in librosa's amplitude_to_db, which the published code uses)."""

FRAMES_LEFT_OUT = {"code": (2, 1), "paper": (0, 3)}
"""Frames at the start and at the end that the crop leaves out."""


class Spectrogram(nn.Module):
    """Waveforms (batch, samples) to levels (batch, 1, frequencies, frames) in dB.

    See `xaudio_spectrogram.spectrogram` for the parameters. The grid before the crop has window // 2 + 1 frequencies
    and is that of scipy.signal.stft with its default zero boundary and padding: frame m is centred at sample m * hop.

    Attributes
    ----------
    sample_rate, samples, placement, unit, axes
        See `xaudio.types.Representation`.
    """

    def __init__(
        self, sample_rate: int, samples: int, placement: Placement, window: int, hop: int, crop: str, floor_db: float
    ) -> None:
        super().__init__()
        if hop > window // 2:
            # Half a window is what keeps every sample under a window that is not zero there: the inverse needs it.
            raise PluginError(f"A spectrogram needs a hop of 1 to half a window; got window {window}, hop {hop}.")
        self.sample_rate, self.samples, self.placement = sample_rate, samples, placement
        self.window, self.hop, self.floor_db = window, hop, floor_db
        self.unit = "dB"
        self._frames = 1 + -(-(samples + 2 * (window // 2) - window) // hop)
        self._first, self._last = FRAMES_LEFT_OUT[crop]
        if self._frames <= self._first + self._last:
            raise PluginError(f"A spectrogram of {samples} samples with hop {hop} has no frame left after the crop.")
        frequencies = np.arange(window // 2) * (sample_rate / window)
        times = np.arange(self._first, self._frames - self._last) * (hop / sample_rate)
        self.axes: tuple[Axis, ...] = (Axis("frequency", "Hz", frequencies), Axis("time", "s", times))

    def forward(self, waveforms: Tensor) -> Tensor:
        """Levels (batch, 1, frequencies, frames) in [floor_db, 0] dB of waveforms (batch, samples) in [-1, 1].

        20 log10(max(1e-5, |Z|)) in 16-bit units, relative to the recording's own maximum after the crop. Silence is
        as loud as its loudest cell, so it is 0 dB throughout, as in the published code.
        """
        magnitudes = FULL_SCALE * self.crop(self.stft(waveforms)).abs()
        decibels = 20 * magnitudes.clamp(min=AMIN).log10()
        return (decibels - decibels.amax((1, 2), keepdim=True)).clamp(min=self.floor_db)[:, None]

    def stft(self, waveforms: Tensor) -> Tensor:
        """Complex short-time spectra (batch, window // 2 + 1, frames) of waveforms (batch, samples), before the crop.

        Raises
        ------
        ModelError
            If the waveforms have another shape.
        """
        check_waveforms("spectrogram", waveforms, self.samples)
        window = self._hann(waveforms)
        padded = functional.pad(waveforms, (self.window // 2, self._padded - self.window // 2 - self.samples))
        # Scaled before the transform: 455 numbers instead of 52,440.
        frames = padded.unfold(1, self.window, self.hop) * (window / window.sum())
        spectra: Tensor = torch.fft.rfft(frames)
        return spectra.transpose(1, 2)

    def istft(self, spectra: Tensor) -> Tensor:
        """Waveforms (batch, samples) of complex spectra (batch, window // 2 + 1, frames): the exact inverse of `stft`.

        Of spectra that no waveform has, the waveform whose spectra are nearest in the least-squares sense
        (Griffin and Lim 1984, equation 6).
        """
        window = self._hann(spectra.real)
        frames = torch.fft.irfft(spectra.transpose(1, 2), n=self.window) * (window * window.sum())
        weights = (window**2).expand(1, self._frames, self.window)
        inside = slice(self.window // 2, self.window // 2 + self.samples)
        return self._overlap_add(frames)[:, inside] / self._overlap_add(weights)[:, inside]

    def crop(self, grid: Tensor) -> Tensor:
        """Cells that the model reads, of a grid (batch, window // 2 + 1, frames)."""
        return grid[:, : self.window // 2, self._first : self._frames - self._last]

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """|Z| of the cells, (batch, 1, frequencies, frames), in full scales."""
        return self.crop(self.stft(waveforms)).abs()[:, None]

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """Sound (batch, samples) of the spectra times the mask (batch, 1, frequencies, frames), with their phases.

        Cells outside the crop are left out: the model never heard them. So a mask of ones gives the recording without
        its highest frequency and the cropped frames.
        """
        bins = self.window // 2 + 1 - mask.shape[2]
        full = functional.pad(mask[:, 0], (self._first, self._last, 0, bins))
        return self.istft(self.stft(waveforms) * full)

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, samples), from that of the cells (batch, 1, frequencies, frames).

        R_n = x_n d/dx_n sum_mk R_mk ln|Y_mk(x)| with R_mk held constant. ln|Y| of a linear map is homogeneous, so that
        by Euler's identity the sums agree, and it is 0 where x is 0. Relevance of a cell whose magnitude is exactly 0,
        as in padding, belongs to no sample and is lost. The relevance of a quiet cell in the window of a loud sound
        becomes large numbers of both signs that cancel: so all is computed in float64 where the device has it.
        """
        exact = torch.float32 if waveforms.device.type == "mps" else torch.float64
        sound = waveforms.detach().to(exact).requires_grad_()
        with torch.enable_grad():
            magnitudes = self.amplitude(sound)
            # ln 1 = 0 takes the place of ln 0, and its gradient does not exist.
            logarithms = torch.where(magnitudes > 0, magnitudes, 1).log()
            (gradient,) = torch.autograd.grad((relevance.detach().to(exact) * logarithms).sum(), sound)
        return (sound * gradient).detach().to(relevance.dtype)

    @property
    def _padded(self) -> int:
        """Length of the waveform with zeros around it, as the frames cover it."""
        return (self._frames - 1) * self.hop + self.window

    def _hann(self, like: Tensor) -> Tensor:
        """Periodic Hann window; computed in float64 on the CPU, since some devices have no float64."""
        return torch.hann_window(self.window, dtype=torch.float64).to(like.dtype).to(like.device)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Sum (batch, padded samples) of overlapping frames (batch, frames, window)."""
        size = (1, self._padded)
        return functional.fold(frames.transpose(1, 2), size, (1, self.window), stride=(1, self.hop))[:, 0, 0]
