"""Scenes that the demo model is trained on: a word, or none, somewhere in silence, noise or a surrounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import FloatArray

from .sounds import NO_DIGIT, RATE, Sounds

SPEED = (0.8, 1.3)
"""Slower and lower, faster and higher: the voices of FSDD are those of men."""
ALIKE_BACKWARDS = (8, 9)
"""Digits that are hardly less a digit when they are played backwards."""


class Scenes:
    """Batches of scenes of one second, each of which follows from the seed and the batch's number.

    Parameters
    ----------
    words : Sounds
    surroundings : sequence of ndarray
        Sounds without a word.
    seed : int
    """

    def __init__(self, words: Sounds, surroundings: Sequence[FloatArray], seed: int) -> None:
        self.words, self.surroundings, self.seed = words, surroundings, seed
        digit = words.classes != NO_DIGIT
        self.digits, self.others = np.flatnonzero(digit), np.flatnonzero(~digit)

    def batch(self, number: int, size: int) -> tuple[Tensor, Tensor]:
        """Waveforms (size, samples) and classes (size,)."""
        generator = np.random.default_rng([self.seed, number])
        voices, backgrounds, heard = np.zeros((3, size, RATE))
        classes = np.full(size, NO_DIGIT)
        for row in range(size):
            backgrounds[row] = self._background(generator)
            word, classes[row] = self._word(generator) if generator.random() < 0.8 else (np.zeros(RATE // 10), NO_DIGIT)
            length = generator.integers(len(word), RATE + 1)
            start = (RATE - length) // 2 + generator.integers(0, length - len(word) + 1)
            voices[row, start : start + len(word)] = word
            heard[row, (RATE - length) // 2 : (RATE + length) // 2] = 1  # a short recording lies amid zeros
        below = 10 ** (-generator.uniform(0, 50, (size, 1)) / 20)
        below[(generator.random(size) < 0.2) & (classes != NO_DIGIT)] = 0
        sounds = heard * (at_unit_level(through_a_room(voices, generator)) + below * at_unit_level(backgrounds))
        levels = 10 ** generator.uniform(-2.5, 0, (size, 1)) / np.maximum(np.abs(sounds).max(1, keepdims=True), 1e-9)
        return torch.from_numpy((sounds * levels).astype(np.float32)), torch.from_numpy(classes)

    def _word(self, generator: np.random.Generator) -> tuple[FloatArray, int]:
        """A word at another speed, and its class; some digits are played backwards, and then are none."""
        index = int(generator.choice(self.digits if generator.random() < 0.8 else self.others))
        whole, own = self.words.waveforms[index], int(self.words.classes[index])
        places = np.arange(0, len(whole) - 1, generator.uniform(*SPEED))
        word = np.interp(places, np.arange(len(whole)), whole)[:RATE]
        if own not in (*ALIKE_BACKWARDS, NO_DIGIT) and generator.random() < 0.08:
            return word[::-1], NO_DIGIT
        return word, own

    def _background(self, generator: np.random.Generator) -> FloatArray:
        """A surrounding, a noise of a colour that is drawn, a hum in noise, or silence."""
        kind = generator.random()
        if kind < 0.4:
            whole = self.surroundings[int(generator.integers(len(self.surroundings)))]
            start = generator.integers(0, max(1, len(whole) - RATE))
            return np.resize(whole[start : start + RATE], RATE)
        if kind < 0.95:
            noise = coloured_noise(RATE, generator.uniform(-1.2, 0.3), generator)
            hum = np.sin(2 * np.pi * generator.uniform(40, 1500) / RATE * np.arange(RATE))
            return noise if kind < 0.8 else hum + generator.uniform(0, 0.3) * noise
        return np.zeros(RATE)


def coloured_noise(samples: int, slope: float, generator: np.random.Generator) -> FloatArray:
    """Noise of variance 1 whose amplitudes follow this power of the frequency: 0 is white, -0.5 pink, -1 brown."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 20)
    noise = np.fft.irfft(spectrum * frequencies**slope, samples)
    return np.asarray(noise / noise.std())


def through_a_room(voices: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Voices (batch, samples) through the band and the tilt of a microphone, and a third of them with a room's echo."""
    size, samples = voices.shape
    padded = samples + RATE // 2
    frequencies = np.maximum(np.fft.rfftfreq(padded, 1 / RATE), 20)
    low, high = generator.uniform(30, 350, (size, 1)), generator.uniform(2800, 4500, (size, 1))
    band = 1 / ((1 + (low / frequencies) ** 4) * (1 + (frequencies / high) ** 12))
    tilt = (frequencies / 1000) ** generator.uniform(-0.5, 0.5, (size, 1))
    decay = np.exp(-np.arange(RATE // 2) / (RATE * generator.uniform(0.01, 0.1, (size, 1))))
    strength = generator.uniform(0.02, 0.12, (size, 1)) * (generator.random((size, 1)) < 1 / 3)
    echo = np.fft.rfft(strength * decay * generator.standard_normal((size, RATE // 2)), padded)
    heard: FloatArray = np.fft.irfft(np.fft.rfft(voices, padded) * band * tilt * (1 + echo), padded)[:, :samples]
    return heard


def at_unit_level(sounds: FloatArray) -> FloatArray:
    """Sounds (batch, samples) whose loudest 50 ms have the mean power 1; silence stays silence."""
    power = (sounds.reshape(len(sounds), 20, -1) ** 2).mean(2).max(1, keepdims=True)
    return np.asarray(np.divide(sounds, np.sqrt(power), out=np.zeros_like(sounds), where=power > 1e-16))
