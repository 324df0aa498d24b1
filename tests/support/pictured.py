"""Explanations to draw: levels and samples, with relevance that a test plants."""

from dataclasses import replace

import numpy as np
import torch

from xaudio import Clip, Explanation
from xaudio.plugin import Axis

RATE, SAMPLES = 1000, 1000


class Levels:
    """Levels that rise with the frequency, whatever the sound is."""

    sample_rate, samples, placement, unit = RATE, SAMPLES, "file", "dB"
    axes = (Axis("frequency", "Hz", np.arange(20) * 25.0), Axis("time", "s", np.arange(40) * 0.025))

    def __call__(self, waveforms):
        return torch.linspace(-80, 0, 20)[None, None, :, None].expand(len(waveforms), 1, 20, 40)


class Samples:
    sample_rate, samples, placement, unit = RATE, SAMPLES, "file", "full scale"
    axes = (Axis("time", "s", np.arange(SAMPLES) / RATE),)

    def __call__(self, waveforms):
        return waveforms[:, None]


def explanation(representation, relevance, **changes):
    sound = np.sin(np.arange(SAMPLES) / 3).astype(np.float32) * 0.5
    made = Explanation(
        clip=Clip(sound, RATE, labels={"digit": 0}, source="/where/ever/zero.wav"),
        features=np.full(relevance.shape, 1e6, np.float32),  # must not be drawn: the training mean is subtracted from it
        relevance=relevance.astype(np.float32),
        axes=representation.axes,
        logits=np.log([0.2, 0.7, 0.1]),
        classes=("zero", "one", "two"),
        target=0,
        task="digit",
        provenance={
            "explainer": {"name": "lrp", "options": {"epsilon": 1e-6}, "given": {"epsilon": 1e-6}},
            "data": "Some Digits",
            "note": "no bias",
        },
        _representation=representation,
    )
    return replace(made, **changes)
