"""When the frames of a model are: what its layers of convolution do to the times of its features."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from xaudio.plugin import Axis

from ._levels import LogMel
from ._twin import Twin
from ._twins import SeamlessM4T

TDNN = ("tdnn_kernel", "tdnn_dilation")


class Layer(NamedTuple):
    """A convolution along time."""

    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """How many of its inputs lie under the kernel, gaps included."""
        return (self.kernel - 1) * self.dilation + 1


class Times(NamedTuple):
    """Frames at ``first + k * hop``, in samples of the recording, of which there are so many as the layers leave."""

    first: float
    hop: float
    layers: tuple[Layer, ...]

    def count(self, inputs: int) -> int:
        """How many frames so many of the features' frames become."""
        for layer in self.layers:
            inputs = max(0, (inputs + 2 * layer.padding - layer.extent) // layer.stride + 1)
        return inputs

    def axis(self, count: int, rate: int) -> Axis:
        """The centres of so many frames in seconds."""
        return Axis("time", "s", (self.first + self.hop * np.arange(count)) / rate)


def layers_of(config: Any) -> tuple[Layer, ...]:
    """The convolutions between the features and the answer's frames, as a configuration tells them."""
    layers = [Layer(*pair) for pair in zip(getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ()), strict=False)]
    if getattr(config, "add_adapter", False):
        layers += [Layer(config.adapter_kernel_size, config.adapter_stride, 1)] * config.num_adapter_layers
    encoder = getattr(config, "encoder_config", None)
    factor = getattr(encoder, "subsampling_factor", None)
    if encoder is not None and factor:
        kernel, stride = encoder.subsampling_conv_kernel_size, encoder.subsampling_conv_stride
        layers += [Layer(kernel, stride, (kernel - 1) // 2)] * int(math.log2(factor))
    return tuple(layers)


def times_of(twin: Twin, config: Any) -> Times:
    """When the answer's frames are."""
    first, hop = (twin.spectra.centre, float(twin.spectra.hop)) if isinstance(twin, LogMel) else (0.0, 1.0)
    if isinstance(twin, SeamlessM4T):
        stride = twin.extractor.stride
        first, hop = first + hop * (stride - 1) / 2, hop * stride
    layers = layers_of(config)
    for layer in layers:
        first += ((layer.extent - 1) / 2 - layer.padding) * hop
        hop *= layer.stride
    return Times(first, hop, layers)


def fewest_samples(twin: Twin, config: Any, *, xvector: bool) -> int:
    """The fewest samples that leave a frame of the answer, or enough of them for the layers of an x-vector."""
    layers = layers_of(config)
    if xvector:
        kernels, dilations = (getattr(config, name, ()) for name in TDNN)
        layers += tuple(Layer(kernel, 1, 0, dilation) for kernel, dilation in zip(kernels, dilations, strict=False))
    needed = 2 if xvector else 1  # its mean and deviation are over frames
    needed = max(needed, getattr(config, "squeeze_factor", 1))  # frames are averaged by so many
    for layer in reversed(layers):
        needed = max(1, (needed - 1) * layer.stride + layer.extent - 2 * layer.padding)
    if not isinstance(twin, LogMel):
        return needed
    frames = needed * (twin.extractor.stride if isinstance(twin, SeamlessM4T) else 1)
    return max(1, int((frames - 1) * twin.spectra.hop + len(twin.spectra.window) - 2 * twin.spectra.margin))
