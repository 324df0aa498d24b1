"""Mel-frequency cepstral coefficients: the cosine transform of the levels of mel bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import Axis, FloatArray, PluginError, like

from ._conventions import Settings
from ._log_mel import LogMel


class MFCC(LogMel):
    """Waveforms (batch, samples) to coefficients (batch, 1, coefficients, frames). See `xaudio_log_mel.mfcc`.

    A coefficient is of all frequencies at once. So relevance is brought to samples from that of whole frames, and a mask
    weighs each frame by the mean of its coefficients' masks.

    Parameters
    ----------
    convention : str
    options : mapping
        As they were given.
    """

    name = "mfcc"
    views = ("time",)
    """The domains that relevance can be seen in."""

    def __init__(self, convention: str, options: Mapping[str, Any]) -> None:
        super().__init__(convention, options)
        self._transform = torch.from_numpy(_transform(self.settings))

    def cells(self, waveforms: Tensor) -> Tensor:
        """Coefficients (batch, coefficients, frames) before normalisation."""
        levels = self.levels(waveforms)
        return like(self._transform, levels) @ levels

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Magnitude of the whole frame, in each of its cells, (batch, 1, coefficients, frames), in full scales."""
        whole = self._disarranged(super().amplitude(waveforms)).square().sum(1, keepdim=True).sqrt()
        return self._arranged(whole.expand(-1, self.settings.coefficients, -1))

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """Sound (batch, samples) whose frames are weighted by the mean of their coefficients' masks."""
        frames = self._disarranged(mask).mean(1, keepdim=True)
        return super().masked_waveform(waveforms, self._arranged(frames.expand(-1, self.settings.bands, -1)))

    def _heard(self, waveforms: Tensor) -> Tensor:
        """Magnitudes or powers (batch, 1, frames) of whole frames."""
        return self.bands(waveforms).sum(1, keepdim=True)

    def _rows(self) -> Axis:
        settings = self.settings
        if settings.first + settings.coefficients > settings.bands:
            raise PluginError(
                f"{settings.bands} bands do not have {settings.coefficients} coefficients from number {settings.first} on: "
                "take fewer, or more bands."
            )
        return Axis("coefficient", "number", settings.first + np.arange(settings.coefficients, dtype=np.float64))


def _transform(settings: Settings) -> FloatArray:
    """The type-II cosine transform (coefficients, bands) of levels, with the lifter."""
    numbers = settings.first + np.arange(settings.coefficients)[:, None]
    cosines = 2 * np.cos(np.pi / settings.bands * numbers * (np.arange(settings.bands) + 0.5))
    if settings.orthonormal:
        cosines *= np.where(numbers == 0, 0.5, np.sqrt(0.5)) / np.sqrt(settings.bands)
    if settings.lifter:
        cosines *= 1 + settings.lifter / 2 * np.sin(np.pi * (numbers + settings.lifter_from) / settings.lifter)
    return np.asarray(cosines)
