"""The controls."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import Sound


@dataclass(frozen=True)
class Random:
    """Random relevance; see `xaudio_controls.random`."""

    seed: int
    control = True

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance uniform in [-1, 1), shaped like features (batch, channels, *axes).

        The generator of each recording (numpy's default, PCG64) is seeded with the seed and the CRC-32 of its features'
        bytes as float32, so that the relevance does not depend on the batch the recording is in, nor on the device.
        """
        del model, target
        drawn = [self._draw(recording) for recording in features.detach().float().cpu().numpy()]
        return torch.from_numpy(np.stack(drawn)).to(features)

    def _draw(self, recording: np.ndarray) -> np.ndarray:
        checksum = crc32(np.ascontiguousarray(recording).tobytes())
        return np.random.default_rng([self.seed % 2**64, checksum]).uniform(-1, 1, recording.shape)


def amplitude(model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound) -> Tensor:
    """Magnitude of the sound in each cell, linear, shaped like features (batch, channels, *axes)."""
    del model, target
    with torch.no_grad():
        return sound.representation.amplitude(sound.waveforms).to(features)


amplitude.control = True  # type: ignore[attr-defined]
