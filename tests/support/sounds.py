"""Explanations of sounds with known content, so that what the page shows and plays can be told from the numbers."""

from dataclasses import replace
from functools import cache

import numpy as np

from xaudio import Clip, Explanation, create

RATE, SAMPLES = 8000, 8000
CLICKS = tuple(0.1 * number for number in range(1, 10))
TIMES = np.arange(SAMPLES) / RATE


def speechlike(samples=8000, start=1500, stop=6000, seed=0):
    """A decaying harmonic sound within exact zeros, with a little noise."""
    time = np.arange(stop - start) / 8000
    sound = sum(np.sin(2 * np.pi * 140 * k * time + k) / k for k in range(1, 12)) * np.exp(-4 * time)
    sound += 0.02 * np.random.default_rng(seed).normal(size=stop - start)
    waveform = np.zeros(samples)
    waveform[start:stop] = 0.5 * sound / np.abs(sound).max()
    return waveform


def of_samples(sound, relevance, *, source="/recordings/sound.wav", target=0, classes=("zero", "one", "two"), **provenance):
    """An explanation of the samples of a sound."""
    made = create("representation", "waveform")
    sound = np.asarray(sound, np.float32)
    return Explanation(
        clip=Clip(sound, RATE, labels={"digit": 0}, speaker="jackson", source=source, notes=("resampled from 48000 to 8000 Hz",)),
        features=sound[None],
        relevance=np.asarray(relevance, np.float64)[None],
        axes=made.axes,
        logits=np.log([0.25, 0.7, 0.05]).astype(np.float32),
        classes=classes,
        target=target,
        task="digit",
        provenance={
            "explainer": {"name": "lrp", "options": {}, "given": {}},
            "representation": {"name": "waveform", "options": {}},
            "model": {"name": "audionet", "options": {}, "run": "runs/digits"},
            **provenance,
        },
        _representation=made,
    )


@cache
def clicks():
    """Nine clicks, all of which speak for the class."""
    sound = np.zeros(SAMPLES)
    sound[[round(time * RATE) for time in CLICKS]] = 0.8
    return of_samples(sound, sound)


@cache
def tone():
    """A tone of 440 Hz of which every sample is equally relevant, so that recording and explanation are the same sound."""
    return of_samples(0.5 * np.sin(2 * np.pi * 440 * TIMES), np.ones(SAMPLES))


@cache
def boxes():
    """Noise in time and frequency; one box speaks for the class, another against it, nothing else is relevant."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(SAMPLES)
    item = of_samples(noise, noise**2).view("time-frequency")
    frequency, time = (axis.centres for axis in item.axes)
    relevance = np.zeros_like(item.relevance)
    relevance[0] += 0.02 * np.outer((frequency > 500) & (frequency < 1000), (time > 0.2) & (time < 0.4))
    relevance[0] -= 0.01 * np.outer((frequency > 2000) & (frequency < 2500), (time > 0.6) & (time < 0.8))
    return item.with_relevance(relevance)


@cache
def choices():
    """One recording explained for two classes and their contrast, by two explainers, in three views."""
    sound = np.where((TIMES > 0.25) & (TIMES < 0.75), 0.4 * np.sin(2 * np.pi * 440 * TIMES), 0)
    found = []
    for explainer in ("lrp", "occlusion"):
        spec = {"name": explainer, "options": {}, "given": {}}
        one = of_samples(sound, sound**2 * (TIMES < 0.5), target=0, explainer=spec)
        other = of_samples(sound, -(sound**2) * (TIMES > 0.4), target=1, explainer=spec)
        for item in (one, other, one.contrast(other)):
            found += [item, item.view("frequency"), item.view("time-frequency")]
    return tuple(found)


def renamed(item, source):
    """The same explanation of a recording of another name."""
    return replace(item, clip=replace(item.clip, source=source))
