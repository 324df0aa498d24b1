"""What a network is tried on: a sound that is always the same, with all that is random left as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from ..registry.randomness import seeded_generator
from ..sound.channels import channels_in
from ..sound.preparation import waveform_shape
from ..types import Representation
from .running import evaluation_mode


def example_sound(representation: Representation, samples: int | None = None) -> Tensor:
    """A sound in [-1, 1] as a representation takes it, (1, samples), or (1, channels, samples) of several channels.

    It is always the same: a buzz of 120 Hz with noise, a quarter of silence on both sides, each channel softer than the last.

    Parameters
    ----------
    representation : Representation
    samples : int, optional
        By default those of the representation.
    """
    samples = representation.samples if samples is None else samples
    sample_rate, channels = representation.sample_rate, channels_in(representation)
    time = torch.arange(samples, dtype=torch.float32) / sample_rate
    buzz = sum(torch.sin(2 * torch.pi * 120 * harmonic * time) / harmonic for harmonic in range(1, 20))
    noise = torch.rand(samples, generator=seeded_generator(0), dtype=torch.float32) - 0.5
    sound = 0.2 * torch.as_tensor(buzz) + 0.1 * noise
    sound[: samples // 4] = sound[samples - samples // 4 :] = 0
    return sound[None] if channels == 1 else torch.stack([sound * 0.8**channel for channel in range(channels)])[None]


def silence(representation: Representation) -> Tensor:
    """Zeros as a representation takes them, (1, samples), or (1, channels, samples) of several channels.

    Parameters
    ----------
    representation : Representation
    """
    return torch.zeros(1, *waveform_shape(channels_in(representation), representation.samples))


@contextmanager
def undisturbed(network: nn.Module, features: Tensor, *, evaluate: bool = True) -> Iterator[None]:
    """Evaluation mode; afterwards all generators of random numbers and the network's buffers are as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (a model may draw from any of them)
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    devices = [features.device] if features.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), evaluation_mode(network) if evaluate else nullcontext():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            for buffer, content in buffers:
                if not torch.equal(buffer, content):  # batch normalisation does not count its writing as such
                    with torch.no_grad():
                        buffer.copy_(content)
