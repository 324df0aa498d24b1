"""What stands in for a part of a sound that is taken away."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import PluginError
from ..registry.randomness import seeded_generator
from ..types import Baseline, Sound

FRAME = 0.025
"""Seconds of a frame in which the noise floor is measured."""

QUIET = 0.1
"""Share of the frames that are taken for the noise floor."""


def baseline_waveforms(name: Baseline, sound: Sound, *, seed: int = 0) -> Tensor:
    """Sounds that say nothing, one for each recording of a batch.

    Parameters
    ----------
    name : {"silence", "noise_floor", "mean_spectrum"}
        Zeros; white noise as loud as the quietest tenth of the recording's frames of 25 ms (exact silence apart); or noise
        with the recording's own magnitude spectrum and random phases, which sounds like the recording's average.
    sound : Sound
    seed : int
        Of the noise, which is the same for all recordings, so that a result does not depend on the batch.

    Returns
    -------
    Tensor, shaped like the waveforms
    """
    waveforms = sound.waveforms
    if name == "silence":
        return torch.zeros_like(waveforms)
    noise = torch.randn(waveforms.shape[-1], generator=seeded_generator(seed), dtype=torch.float32).to(waveforms)
    if name == "noise_floor":
        return noise * noise_floor(waveforms, round(FRAME * sound.representation.sample_rate))[..., None]
    phases = torch.fft.rfft(noise)
    spectra = torch.fft.rfft(waveforms).abs() * phases / phases.abs()
    return torch.as_tensor(torch.fft.irfft(spectra, n=waveforms.shape[-1]))


def noise_floor(waveforms: Tensor, frame: int) -> Tensor:
    """Root mean square, (batch,) or (batch, channels), of the frame that a tenth of the frames do not exceed; 0 for silence."""
    frame = min(frame, waveforms.shape[-1])
    levels = waveforms.unfold(-1, frame, frame).square().mean(-1).sqrt()
    quiet = levels.masked_fill(levels == 0, torch.nan).nanquantile(QUIET, dim=-1)
    return quiet.nan_to_num(0.0)


def baseline_features(name: Baseline, features: Tensor, sound: Sound | None, *, seed: int = 0) -> Tensor:
    """What a model reads of a baseline.

    Parameters
    ----------
    name : {"zero", "silence", "noise_floor", "mean_spectrum"}
        "zero" is features of 0: silence in a waveform; in a spectrogram 0 dB, or the training mean where one is subtracted.
        The others are the features of `baseline_waveforms`.
    features : Tensor, shape (batch, channels, *axes)
    sound : Sound or None
        The recordings of the features; "zero" does without.
    seed : int

    Returns
    -------
    Tensor
        Shaped like the features.

    Raises
    ------
    PluginError
        If the baseline is made from the recordings and there are none.
    """
    if name == "zero":
        return torch.zeros_like(features)
    if sound is None:
        raise PluginError(f"The baseline {name!r} is made from the recording: give sound=, or explain through xaudio.explain.")
    with torch.no_grad():
        return sound.features(baseline_waveforms(name, sound, seed=seed)).to(features)
