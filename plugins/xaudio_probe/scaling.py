"""The frequencies of a sound scaled: pitch and formants moved together, the time axis kept."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import exact, like

WINDOW = 0.05
"""Seconds of a frame: long enough to tell the harmonics of a low voice apart."""

OVERLAP = 6
"""Frames over each sample."""

FINER = 2
"""At least so many times more frequencies than a frame has samples: a frame that a factor of 0.5 stretches still fits."""

CHUNK = 2**23
"""Cells that are worked on at once, 128 MB each time they are held."""


def scaled_sound(waveforms: Tensor, factors: Tensor, sample_rate: int) -> Tensor:
    """Sounds whose frequencies are all multiplied by a factor, as long as they were; a factor of 1 gives the sound itself.

    A phase vocoder. The short-time spectrum Z(k, m) is read at k / s, as `scaled_frequencies` reads levels. That scales
    the spectral envelope and the places of the harmonics within a frame, but would leave the frames out of step with each other:
    so the phases go on from frame to frame at s times each component's own frequency, which is read from its phases. All cells
    around a spectral peak turn together (identity phase locking, Laroche and Dolson 1999), so that the peak keeps its form. What
    comes to lie above half the sample rate is gone; above s times half the sample rate there is nothing.

    Parameters
    ----------
    waveforms : Tensor, shape (batch, samples)
    factors : Tensor, shape (batch,)
        Positive; above 1 moves everything up.
    sample_rate : int
        In Hz.

    Returns
    -------
    Tensor, shape (batch, samples)
        Computed in float64.
    """
    hop = max(1, round(WINDOW * sample_rate / OVERLAP))
    window = torch.hann_window(OVERLAP * hop, periodic=True, dtype=torch.float64)
    finer = 2 ** (FINER * len(window) - 1).bit_length()
    before = finer // 2 + hop
    frames = 1 + (waveforms.shape[1] + 2 * before - len(window)) // hop
    rows = max(1, CHUNK // (frames * finer))
    sound, scales = exact(waveforms), exact(factors)
    parts = [
        _scaled(sound[start : start + rows], scales[start : start + rows], window.to(sound), hop, finer, before)
        for start in range(0, len(sound), rows)
    ]
    return like(torch.cat(parts), waveforms)


def _scaled(sound: Tensor, factors: Tensor, window: Tensor, hop: int, finer: int, before: int) -> Tensor:
    length = len(window)
    framed = functional.pad(sound, (before, before)).unfold(1, length, hop) * window
    # The centre of each frame is sample 0 of its transform, so that the phases are those of the sound there.
    centred = torch.roll(functional.pad(framed, (0, finer - length)), -(length // 2), dims=2)
    turned = _turned(torch.fft.rfft(centred), factors, hop, finer)
    source = torch.arange(turned.shape[2], device=sound.device) / factors[:, None]
    low = source.floor().clamp(max=turned.shape[2] - 1)
    fraction = (source - low).clamp(0, 1)[:, None]
    inside = (source <= turned.shape[2] - 1)[:, None]

    def at(position: Tensor) -> Tensor:
        index = position.long().clamp(max=turned.shape[2] - 1)[:, None].expand_as(turned)
        return turned.gather(2, index)

    moved = ((1 - fraction) * at(low) + fraction * at(low + 1)) * inside
    grains = torch.roll(torch.fft.irfft(moved, n=finer), finer // 2, dims=2)
    size = (grains.shape[1] - 1) * hop + finer
    added = functional.fold(grains.transpose(1, 2), (1, size), (1, finer), stride=(1, hop))[:, 0, 0]
    # A grain's centre lies finer / 2 into it, and length / 2 into its frame.
    start = before + finer // 2 - length // 2
    return added[:, start : start + sound.shape[1]] * (hop / window.sum())


def _turned(spectra: Tensor, factors: Tensor, hop: int, finer: int) -> Tensor:
    """Spectra (batch, frames, frequencies) whose phases go on at the scaled frequencies, peaks in one piece."""
    bins = spectra.shape[2]
    phases, magnitudes = spectra.angle(), spectra.abs()
    expected = torch.arange(bins, device=spectra.device, dtype=phases.dtype) * (2 * torch.pi * hop / finer)
    steps = torch.diff(phases, dim=1, prepend=phases[:, :1]) - expected
    own = expected + steps - 2 * torch.pi * (steps / (2 * torch.pi)).round()
    extra = own * (factors - 1)[:, None, None]
    peaks = _nearest_peaks(magnitudes, 2 * round(finer / (OVERLAP * hop)))
    turns = torch.zeros_like(phases)
    turn = torch.zeros_like(phases[:, 0])
    for frame in range(1, spectra.shape[1]):
        turn = (turn + extra[:, frame]).gather(1, peaks[:, frame])
        turns[:, frame] = turn
    return spectra * torch.polar(torch.ones_like(turns), turns)


def _nearest_peaks(magnitudes: Tensor, radius: int) -> Tensor:
    """Index of the peak nearest to each cell (batch, frames, frequencies); a peak is the largest within a radius."""
    flat = magnitudes.flatten(0, 1)
    highest = functional.max_pool1d(flat[:, None], 2 * radius + 1, stride=1, padding=radius)[:, 0].view_as(magnitudes)
    bins = magnitudes.shape[2]
    index = torch.arange(bins, device=magnitudes.device).expand_as(magnitudes)
    is_peak = magnitudes == highest
    below = torch.where(is_peak, index, -bins).cummax(2).values
    above = torch.where(is_peak, index, 2 * bins).flip(2).cummin(2).values.flip(2)
    return torch.where(index - below <= above - index, below, above).clamp(0, bins - 1)
