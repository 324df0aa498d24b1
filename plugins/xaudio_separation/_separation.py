"""Separation by masks on the short-time Fourier transform.

A mask per source on the recording's own complex spectra. The masks sum to 1 in each cell and the inverse transform is
linear, so that the sources sum to the recording.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import PluginError, seeded_generator

TINY = 1e-12
"""Keeps the multiplicative updates from dividing by 0; magnitudes are scaled to a mean of 1."""


@dataclass(frozen=True)
class HarmonicPercussive:
    """Tones and clicks; see `xaudio_separation.harmonic_percussive`."""

    window: float
    width: int
    power: float

    def __post_init__(self) -> None:
        if self.width % 2 == 0:
            raise PluginError(f"harmonic_percussive: width must be odd; got {self.width}.")

    @torch.no_grad()
    def __call__(self, waveforms: Tensor, sample_rate: int) -> Tensor:
        """Harmonic and percussive sounds (batch, 2, samples) of waveforms (batch, samples).

        Medians of the magnitudes along time and along frequency, each to the power p, as shares of their sum
        (Fitzgerald 2010, equations 5 and 6 with p = 2).
        """
        spectra = stft(waveforms, _length(self.window, sample_rate))
        magnitudes = spectra.abs()
        harmonic, percussive = median(magnitudes, self.width, 2), median(magnitudes, self.width, 1)
        # Relative to the larger of the two, so that the powers neither overflow nor vanish.
        largest = torch.maximum(harmonic, percussive)
        scaled = torch.stack([harmonic, percussive], 1) / torch.where(largest > 0, largest, 1)[:, None]
        return _sources(waveforms, spectra, scaled**self.power)


@dataclass(frozen=True)
class Nmf:
    """Sources with a spectrum of their own; see `xaudio_separation.nmf`."""

    sources: int
    divergence: str
    iterations: int
    window: float
    seed: int

    @torch.no_grad()
    def __call__(self, waveforms: Tensor, sample_rate: int) -> Tensor:
        """Sources (batch, sources, samples) of waveforms (batch, samples)."""
        spectra = stft(waveforms, _length(self.window, sample_rate))
        bases, gains = factorise(spectra.abs(), self.sources, self.iterations, self.divergence, self.seed)
        return _sources(waveforms, spectra, torch.einsum("bfk,bkt->bkft", bases, gains))


def factorise(magnitudes: Tensor, sources: int, iterations: int, divergence: str, seed: int) -> tuple[Tensor, Tensor]:
    """Non-negative bases (batch, bins, sources) and gains (batch, sources, frames) whose product nears the magnitudes.

    Multiplicative updates of Lee and Seung 2001 (theorems 1 and 2), from a start that the seed draws; they never let the
    divergence grow. In float64 where the device has it, so that rounding does not depend on the batch.

    Parameters
    ----------
    magnitudes : Tensor, shape (batch, bins, frames)
    sources, iterations : int
    divergence : {"kullback_leibler", "frobenius"}
    seed : int
    """
    exact = torch.float32 if magnitudes.device.type == "mps" else torch.float64
    scale = magnitudes.mean((1, 2), keepdim=True).to(exact)
    target = magnitudes.to(exact) / torch.where(scale > 0, scale, 1)
    generator = seeded_generator(seed)
    shapes = (target.shape[1], sources), (sources, target.shape[2])
    drawn = [torch.rand(shape, generator=generator, dtype=torch.float32).to(target) for shape in shapes]
    bases, gains = (part.expand(len(target), -1, -1) + TINY for part in drawn)
    for _ in range(iterations):
        if divergence == "frobenius":
            gains = gains * (bases.mT @ target) / (bases.mT @ (bases @ gains) + TINY)
            bases = bases * (target @ gains.mT) / ((bases @ gains) @ gains.mT + TINY)
        else:
            gains = gains * (bases.mT @ (target / (bases @ gains + TINY))) / (bases.sum(1)[..., None] + TINY)
            bases = bases * ((target / (bases @ gains + TINY)) @ gains.mT) / (gains.sum(2)[:, None] + TINY)
    return bases, gains


def stft(waveforms: Tensor, length: int) -> Tensor:
    """Complex spectra (batch, length // 2 + 1, frames) with a Hann window; the hop is a quarter of it."""
    spectra: Tensor = torch.stft(waveforms, **_setting(waveforms, length), pad_mode="constant", return_complex=True)
    return spectra


def median(magnitudes: Tensor, width: int, axis: int) -> Tensor:
    """Running median of magnitudes (batch, bins, frames) along an axis; the borders are repeated outwards."""
    along = magnitudes.transpose(axis, 2)
    padded = functional.pad(along, (width // 2, width // 2), mode="replicate")
    return padded.unfold(2, width, 1).median(3).values.transpose(axis, 2)


def _sources(waveforms: Tensor, spectra: Tensor, weights: Tensor) -> Tensor:
    """Sources (batch, sources, samples), each with its share of the weights (batch, sources, bins, frames)."""
    total = weights.sum(1, keepdim=True)
    masks = torch.where(total > 0, weights / total, 1 / weights.shape[1]).to(spectra.real.dtype)
    length = 2 * (spectra.shape[1] - 1)
    masked = (masks * spectra[:, None]).flatten(0, 1)
    sounds: Tensor = torch.istft(masked, **_setting(waveforms, length), length=waveforms.shape[1])
    return sounds.view(*masks.shape[:2], -1)


def _setting(waveforms: Tensor, length: int) -> dict[str, Any]:
    window = torch.hann_window(length, dtype=torch.float64).to(waveforms.dtype).to(waveforms.device)
    return {"n_fft": length, "hop_length": length // 4, "window": window, "center": True}


def _length(window: float, sample_rate: int) -> int:
    """Samples of a window in seconds, a multiple of 4 and at least 16."""
    return max(16, 4 * round(window * sample_rate / 4))
