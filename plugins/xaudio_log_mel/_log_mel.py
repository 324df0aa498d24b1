"""Levels of mel bands, differentiable, and the way back to sound."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xaudio.plugin import Axis, Length, TimeFrequency, check_waveforms, create, exact, like, spectral_window

from ._conventions import Settings, settings_of
from ._filters import corners, filters, gains, transform_frequencies

VARIANCE = 1e-7
"""Added to the variance that levels are divided by the root of, so that silence gives zeros."""

LOGARITHMS = {"dB": torch.log10, "log10": torch.log10, "log": torch.log}


class LogMel(nn.Module):
    """Waveforms (batch, samples) to levels (batch, 1, bands, frames). See `xaudio_log_mel.log_mel` for the parameters.

    Parameters
    ----------
    convention : str
    options : mapping
        As they were given.

    Attributes
    ----------
    sample_rate, samples, placement, unit, axes
        See `xaudio.types.Representation`.
    """

    name = "log_mel"

    def __init__(self, convention: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.options = {"convention": convention, **options}
        self.settings = settings = settings_of(convention, options, self.name == "mfcc")
        self.sample_rate, self.samples, self.placement = settings.sample_rate, settings.samples, settings.placement
        self.unit = self._unit()
        self._window = _window(settings)
        self._filters = torch.from_numpy(filters(settings, transform_frequencies(settings)))
        first = settings.frame_length // 2 - settings.margin
        times = (first + np.arange(settings.frames) * settings.hop) / settings.sample_rate
        axes = (self._rows(), Axis("time", "s", times))
        self.axes: tuple[Axis, ...] = axes if settings.order == "frequency_time" else axes[::-1]

    @property
    def length(self) -> Length:
        """Any number of samples that gives a frame; that of the option ``samples`` alone, if it is given."""
        return Length(fixed=self.samples) if self.settings.fixed else Length(minimum=self.settings.minimum)

    def at(self, samples: int) -> Self:
        """The same for recordings of so many samples.

        Raises
        ------
        PluginError
            If they are too few for a frame.
        """
        made: Self = create("representation", self.name, **{**self.options, "samples": samples})
        return made

    def forward(self, waveforms: Tensor) -> Tensor:
        """Levels (batch, 1, bands, frames), or frames before bands, of waveforms (batch, samples) in [-1, 1]."""
        return self._arranged(self._normalised(self.cells(waveforms)))

    def cells(self, waveforms: Tensor) -> Tensor:
        """What is normalised and arranged: levels (batch, bands, frames)."""
        return self.levels(waveforms)

    def levels(self, waveforms: Tensor) -> Tensor:
        """Levels (batch, bands, frames) before normalisation."""
        settings, bands = self.settings, self.bands(waveforms)
        if settings.levels == "linear":
            return bands
        levels = self._logarithm(bands + settings.offset if settings.offset else bands)
        if settings.reference != 1:
            loudest = bands.amax((1, 2), keepdim=True)
            reference = loudest if settings.reference == "max" else torch.full_like(loudest, float(settings.reference))
            levels = levels - self._logarithm(reference)
        if settings.top_db is None:
            return levels
        # The floor is a constant: the loudest cell does not answer for the cells that are raised to it.
        floor = levels.detach().amax((1, 2), keepdim=True) - settings.top_db * self._per_decibel
        return torch.maximum(levels, floor)

    def bands(self, waveforms: Tensor) -> Tensor:
        """Magnitudes or powers (batch, bands, frames) of the bands.

        Raises
        ------
        ModelError
            If the waveforms have another shape.
        """
        check_waveforms(self.name, waveforms, self.samples)
        settings = self.settings
        frames = self._framed(waveforms * settings.gain if settings.gain != 1 else waveforms)
        spectra = torch.fft.rfft(frames * like(self._window, waveforms), n=settings.n_fft)
        cells = spectra.abs() if settings.power == 1 else spectra.real.square() + spectra.imag.square()
        summed: Tensor = like(self._filters, waveforms) @ cells.transpose(1, 2)
        return summed

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Magnitude of each band, (batch, 1, bands, frames), in full scales; the root of its power."""
        bands = self.bands(waveforms)
        magnitudes = bands if self.settings.power == 1 else bands.sqrt()
        return self._arranged(magnitudes / float(self._window.abs().sum()))

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """Sound (batch, samples) of short-time spectra times the mask, with their phases.

        Each frequency is weighted by the mask of the bands it is in, or of the nearest one, so that a mask of ones gives the
        recording itself, with what the model does not hear of it.
        """
        transform, weights, frames = self._masking
        wanted = self._disarranged(mask)[:, :, frames.to(mask.device)]
        sound: Tensor = transform.masked_waveform(waveforms, (like(weights, mask) @ wanted)[:, None])
        return sound

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, samples), x_n d/dx_n sum R_bm ln A_bm(x) with R_bm held constant.

        A band's magnitude A is homogeneous in the waveform, so that by Euler's identity the sums agree. What belongs to
        cells whose magnitude is exactly 0, as in padding, belongs to no sample and is lost.
        """
        sound = exact(waveforms).requires_grad_()
        with torch.enable_grad():
            cells = self._heard(sound)
            heard = cells > torch.finfo(cells.dtype).tiny * 1e10  # below, the gradient would overflow
            logarithms = torch.where(heard, cells, 1).log() / self.settings.power
            (gradient,) = torch.autograd.grad((self._disarranged(exact(relevance)) * logarithms).sum(), sound)
        return like((sound * gradient).detach(), relevance)

    def _heard(self, waveforms: Tensor) -> Tensor:
        """Magnitudes or powers that broadcast to the cells (batch, rows, frames)."""
        return self.bands(waveforms)

    def _unit(self) -> str:
        """Unit of the features."""
        settings = self.settings
        if settings.normalisation or (settings.mean, settings.std) != (0.0, 1.0):
            return "standard deviations"
        kinds = {"dB": "dB", "log": "ln", "log10": "log10", "linear": "magnitude" if settings.power == 1 else "power"}
        return kinds[settings.levels]

    def _rows(self) -> Axis:
        return Axis("frequency", "Hz", corners(self.settings)[1:-1])

    @cached_property
    def _masking(self) -> tuple[TimeFrequency, Tensor, Tensor]:
        """The transform in which masks weigh the sound, and the gains of its frequencies and the frame of its frames."""
        settings = self.settings
        length = max(4, settings.window_length)
        transform = TimeFrequency(
            self.sample_rate, self.samples, window="hann", length=length, hop=min(settings.hop, length // 2)
        )
        frequencies, seconds = (axis.centres for axis in transform.axes)
        start = next(axis for axis in self.axes if axis.name == "time").centres[0]
        frames = np.rint((seconds - start) * settings.sample_rate / settings.hop).astype(int)
        nearest = torch.from_numpy(frames.clip(0, settings.frames - 1))
        return transform, torch.from_numpy(gains(settings, frequencies)), nearest

    def _framed(self, waveforms: Tensor) -> Tensor:
        """Frames (batch, frames, frame length) of waveforms (batch, samples)."""
        settings, share = self.settings, self.settings.preemphasis
        if share and settings.preemphasis_of == "recording":
            waveforms = waveforms - share * self._before(waveforms)
        frames = self._padded(waveforms).unfold(1, settings.frame_length, settings.hop)[:, : settings.frames]
        if settings.remove_dc:
            frames = frames - frames.mean(2, keepdim=True)
        if share and settings.preemphasis_of == "frame":
            frames = frames - share * torch.cat([frames[..., :1], frames[..., :-1]], 2)
        return frames

    def _before(self, waveforms: Tensor) -> Tensor:
        """The sample before each, (batch, samples)."""
        first = torch.zeros_like(waveforms[:, :1])
        if self.settings.extrapolated and self.samples > 1:
            # What librosa adds to the first sample, which is meant as its extrapolation.
            first = (waveforms[:, 1:2] - 2 * waveforms[:, :1]) / self.settings.preemphasis
        return torch.cat([first, waveforms[:, :-1]], 1)

    def _padded(self, waveforms: Tensor) -> Tensor:
        """Waveforms with what stands before and behind them; a reflection goes on as often as it must, as in numpy.pad."""
        margin, padding = self.settings.margin, self.settings.padding
        if not margin:
            return waveforms
        if padding == "zero":
            return functional.pad(waveforms, (margin, margin))
        places = torch.from_numpy(np.pad(np.arange(self.samples), margin, mode=padding)).to(waveforms.device)  # type: ignore[call-overload]
        return torch.cat([waveforms[:, places[:margin]], waveforms, waveforms[:, places[-margin:]]], 1)

    def _logarithm(self, values: Tensor) -> Tensor:
        settings = self.settings
        values = values.clamp(min=settings.floor)
        logarithms = LOGARITHMS[settings.levels](torch.where(values > 0, values, 1))
        return logarithms * (20 / settings.power) if settings.levels == "dB" else logarithms

    @property
    def _per_decibel(self) -> float:
        """Units of the levels per dB."""
        per = {"dB": 1.0, "log10": self.settings.power / 20, "log": self.settings.power / 20 * float(np.log(10))}
        return per[self.settings.levels]

    def _normalised(self, cells: Tensor) -> Tensor:
        settings = self.settings
        if settings.normalisation:
            over = (1, 2) if settings.normalisation == "recording" else (2,)
            centred = cells - cells.mean(over, keepdim=True)
            return centred / (centred.square().mean(over, keepdim=True) + VARIANCE).sqrt()
        return cells if (settings.mean, settings.std) == (0.0, 1.0) else (cells - settings.mean) / settings.std

    def _arranged(self, cells: Tensor) -> Tensor:
        """Cells (batch, rows, frames) in the order of the axes, with a channel."""
        return (cells if self.settings.order == "frequency_time" else cells.transpose(1, 2))[:, None]

    def _disarranged(self, cells: Tensor) -> Tensor:
        """The inverse of `_arranged`."""
        return cells[:, 0] if self.settings.order == "frequency_time" else cells[:, 0].transpose(1, 2)


def _window(settings: Settings) -> Tensor:
    """The window (frame length,) in float64, in the middle of the frame."""
    length, is_povey = settings.window_length, settings.window == "povey"
    window = spectral_window("hann" if is_povey else settings.window, length, periodic=settings.periodic)
    left = (settings.frame_length - length) // 2
    return torch.from_numpy(np.pad(window**0.85 if is_povey else window, (left, settings.frame_length - length - left)))
