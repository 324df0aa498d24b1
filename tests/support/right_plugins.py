"""Plugins that are right but unusual; see test_conformance.py. The keys are as on the command line, with options."""

import time
from typing import Literal

import numpy as np
import torch
from torch import nn
from wrong_plugins import Net, Samples, Sounds, halves, right, sizes, text

from xaudio import DataError, ModelError, PluginError
from xaudio.plugin import hookimpl
from xaudio.sound.domains import TimeFrequency
from xaudio.types import Fold


def constant_for_a_constant():
    def explain(model, features, target):
        spread = features.amax((1, 2), keepdim=True) - features.amin((1, 2), keepdim=True)
        return torch.where(spread > 0, right(model, features, target), torch.ones_like(features))

    return explain


def slow(*, seconds: float = 0.3):
    def explain(model, features, target):
        time.sleep(seconds)
        print("explaining")
        return right(model, features, target)

    return explain


def needs_two_dimensions():
    def explain(model, features, target):
        if features.ndim != 4:
            raise ModelError(f"needs features in time and frequency; got {tuple(features.shape)}.")
        return right(model, features, target)

    return explain


def refuses_the_toys():
    def explain(model, features, target):
        raise ModelError("explains transformers only; choose another explainer.")

    return explain


def refuses_silence():
    def explain(model, features, target):
        if not features.flatten(1).any(1).all():
            raise DataError("a recording is silent; leave it out.")
        return right(model, features, target)

    return explain


def seeded(*, seed: int = 0):
    def explain(model, features, target):
        draws = torch.rand(features.shape[1:], generator=torch.Generator().manual_seed(seed))
        return right(model, features + 0.01 * draws, target)

    return explain


def positive_only():
    return lambda model, features, target: right(model, features, target).clamp(min=0)


class Control:
    control = True

    def __call__(self, model, features, target):
        return features.abs() + 1


def restores_the_model():
    def explain(model, features, target):
        handle = model[0].register_forward_pre_hook(lambda *_: None)
        model[1].train()
        relevance = right(model, features, target)
        model[1].eval()
        handle.remove()
        return relevance

    return explain


# Representations


class NoWayBack(Samples):
    def masked_waveform(self, waveforms, mask):
        raise ModelError("a spectrum of melody has no way back to sound.")

    to_waveform_relevance = masked_waveform


class Bands(Samples):
    """One number for each of four bands: too few cells to ask where they lie."""

    unit = "dB"

    def __init__(self):
        from xaudio.types import Axis

        super().__init__()
        self.axes = (Axis("band", "index", np.arange(4.0)),)

    def amplitude(self, waveforms):
        spectra = torch.fft.rfft(waveforms)[:, :2000].abs()
        return spectra.reshape(len(waveforms), 1, 4, 500).mean(3)

    def __call__(self, waveforms):
        return (self.amplitude(waveforms) + 1e-3).log10() * 20

    def masked_waveform(self, waveforms, mask):
        gains = nn.functional.pad(mask[:, 0].repeat_interleave(500, 1), (0, 1))
        return torch.fft.irfft(torch.fft.rfft(waveforms) * gains, n=4000)

    def to_waveform_relevance(self, waveforms, relevance):
        raise ModelError("bands say nothing of samples.")


def levels(*, length: int = 128, hop: int = 32):
    class Levels(TimeFrequency):
        def __call__(self, waveforms):
            return self.amplitude(waveforms).add(1e-4).log10() * 20

    return Levels(8000, 4000, window="hann", length=length, hop=hop)


# Models


class Ten(Net):
    def __init__(self, classes=10):
        super().__init__(10)


def refuses_another_number(*, classes: int):
    if classes != 527:
        raise ModelError(f"this tagger has 527 classes; {classes} were asked for.")
    return Net(527)


def default_number(*, classes: int = 10):
    if classes != 10:
        raise PluginError(f"got {classes}; this model is for digits.")
    return Ten()


def literal_number(*, classes: Literal[10] = 10):
    return Ten()


def says_its_classes(*, classes: int):
    network = Ten()
    network.classes = tuple("0123456789")
    return network


def two_classes(*, classes: int):
    return Net(classes)


def reads_another_plugin(*, classes: int):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, classes))
    network.representation = "levels:length=256,hop=64"
    return network


def reads_what_is_named(*, classes: int):
    network = Net(classes)
    network.representation = None
    return network


def batch_norm(*, classes: int):
    network = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout(0.5), Net(classes))
    network.representation = Net.representation
    return network


def two_channels(*, classes: int):
    network = nn.Sequential(
        nn.Conv1d(2, 4, 50, stride=10), nn.ReLU(), nn.AdaptiveAvgPool1d(9), nn.Flatten(), nn.Linear(36, classes)
    )
    network.representation = "raw:channels=2,samples=1000,sample_rate=4000"
    return network


def without_bias_and_bounded_features(*, classes: int):
    network = nn.Sequential(nn.LayerNorm(1000), Net(classes))
    network.representation = Net.representation
    return network


# Data sets


class Partly(Sounds):
    """Some recordings have no label, and one speaker is in no fold."""

    def labels(self, task):
        return np.where(np.arange(24) < 2, -1, np.arange(24) % 2)

    def __getitem__(self, index):
        from dataclasses import replace

        clip = super().__getitem__(index)
        return replace(clip, labels={"pitch": None if index < 2 else index % 2}, speaker=None)

    def folds(self, task):
        return tuple(Fold(*(part[part >= 2] for part in fold)) for fold in super().folds(task))


class Stereo(Sounds):
    def __getitem__(self, index):
        from dataclasses import replace

        clip = super().__getitem__(index)
        return replace(clip, waveform=np.stack([clip.waveform, clip.waveform[::-1]]))


class TooFewSpeakers(Sounds):
    def folds(self, task):
        raise DataError("two speakers are too few for folds; add recordings.")


def needs_an_option(*, size: int):
    assert size > 0
    return Sounds()


# Metrics


def metric(measure, **attributes):
    def made():
        def call(model, explanations):
            return {"score": measure(model, explanations)}

        call.better = {"score": "none"}
        vars(call).update(attributes)
        return call

    return made


def of_truth(model, explanations):
    if any(item.label is None or item.label != item.predicted or not item.clip.truth for item in explanations):
        raise DataError("the truth is not known; leave the metric out.")
    return sizes(explanations)


def refuses(model, explanations):
    raise ModelError("does not apply to toys; leave it out.")


# Renderers and a separator


def two_files():
    return lambda explanation, folder: [text(folder), text(folder, "more.txt")]


def closes_its_figure():
    def render(explanation, folder):
        import matplotlib.pyplot as plt

        with plt.rc_context({"font.size": 20}):
            figure, axes = plt.subplots()
            axes.plot(explanation.clip.waveform)
            figure.savefig(folder / "picture.png")
            plt.close(figure)
        return [folder / "picture.png"]

    return render


def refuses_two_dimensions():
    def render(explanation, folder):
        if explanation.relevance.ndim != 2:
            raise ModelError("draws relevance in time only; choose --view time.")
        return [text(folder)]

    return render


def halves_by_name():
    return lambda waveforms, rate: halves(waveforms)


RIGHT = {
    "explainer": [
        "constant_for_a_constant",
        "slow",
        "slow:seconds=0.01",
        "needs_two_dimensions",
        "refuses_the_toys",
        "refuses_silence",
        "seeded:seed=3",
        "positive_only",
        "control",
        "restores_the_model",
    ],
    "representation": ["no_way_back", "bands", "levels", "levels:length=256,hop=16"],
    "model": [
        "refuses_another_number",
        "refuses_another_number:classes=527",
        "default_number",
        "literal_number",
        "says_its_classes",
        "two_classes:classes=2",
        "reads_another_plugin",
        "batch_norm",
        "two_channels",
        "without_bias_and_bounded_features",
    ],
    "dataset": ["partly", "stereo", "too_few_speakers", "needs_an_option:size=3"],
    "metric": ["of_truth", "refuses"],
    "renderer": ["two_files", "closes_its_figure", "refuses_two_dimensions"],
    "separator": ["halves_by_name"],
}


def offered(*factories):
    return {factory.__name__: factory for factory in factories}


@hookimpl
def xaudio_explainers():
    functions = (constant_for_a_constant, slow, needs_two_dimensions, refuses_the_toys, refuses_silence, seeded)
    return {**offered(*functions, positive_only, restores_the_model), "control": Control}


@hookimpl
def xaudio_representations():
    return {"no_way_back": NoWayBack, "bands": Bands, "levels": levels}


@hookimpl
def xaudio_models():
    fixed = (refuses_another_number, default_number, literal_number, says_its_classes, two_classes)
    reading = (reads_another_plugin, reads_what_is_named, batch_norm, two_channels, without_bias_and_bounded_features)
    return offered(*fixed, *reading)


@hookimpl
def xaudio_datasets():
    return {
        "stereo": lambda: Stereo(),
        "partly": lambda: Partly(),
        "too_few_speakers": lambda: TooFewSpeakers(),
        "needs_an_option": needs_an_option,
    }


@hookimpl
def xaudio_metrics():
    return {"of_truth": metric(of_truth, needs_truth=True), "refuses": metric(refuses)}


@hookimpl
def xaudio_renderers():
    return offered(two_files, closes_its_figure, refuses_two_dimensions)


@hookimpl
def xaudio_separators():
    return offered(halves_by_name)
