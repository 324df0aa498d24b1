"""How the sounds are put together: evidence, decoys that do not depend on the class, and where each of them lies.

Every random number is drawn whatever the class is, so that two sounds of different classes from the same random numbers
differ in the evidence alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xaudio.plugin import FloatArray

RATE, SAMPLES = 8000, 8000
"""In Hz; one second, so that every whole number of Hz is a frequency of the transform."""
AMPLITUDES = (0.6, 1.4)
"""Limits of the amplitude of a tone."""
HALF_WIDTH = 40
"""Hz from a tone to the edge of its box: the main lobe of the default spectrogram is 35 Hz wide on either side."""

CARRIERS = (620, 1140, 1980, 3010)
"""In Hz."""
GUARD = 90
"""Least distance in Hz of another tone from a carrier: their boxes do not touch."""
SPACING, LOWEST, HIGHEST = 40, 100, 3900
"""Least distance of other tones from each other and limits of their frequencies, in Hz."""

SLOTS, SLOT_BURST = 8, 400
"""Number of slots, and samples of a burst in one."""
DECOYS = (3, 5)
"""Limits of the number of tone bursts."""
TONES = (300, 3700)
"""Limits of the frequency of a tone burst in Hz."""

QUARTERS, LONG_BURST = 4, 800
"""Slots of the conjunction, of which the two in the middle matter, and samples of a burst in one."""
LOW, HIGH = 900, 2300
"""Frequencies that matter, in Hz."""
BESIDE = (1600, 3000)
"""Frequencies in Hz that do not."""
DETUNING, LONG_HALF_WIDTH = 50, 60
"""Largest deviation of a burst from its frequency, and from there to the edge of its box, in Hz."""

CLICK_SAMPLES, CLICK_LEVEL, CLICK_JITTER = 40, 6.0, 200
"""5 ms, more than the hop of the default spectrogram; amplitude relative to the root mean square of the tones; samples by
which the click is at most off the middle of its quarter."""
FAINT = 0.15
"""Amplitude of a carrier beside a click, relative to that of the other tones: the click is easier to learn."""

Box = tuple[float, float, float, float]
"""Start and end in s, lowest and highest frequency in Hz."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound, and where the evidence lies.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
        Tones have amplitudes within `AMPLITUDES`.
    evidence : ndarray, shape (samples,)
        The part of it that is the evidence: what is within the boxes, without what leaks into them.
    power : float
        What its power is like; it does not depend on the class.
    boxes, decoys : sequence of Box
    """

    waveform: FloatArray
    evidence: FloatArray
    power: float
    boxes: Sequence[Box]
    decoys: Sequence[Box]


def carriers(levels: Sequence[float] | FloatArray, others: int, rng: np.random.Generator) -> Sound:
    """The four carriers among other tones, at levels relative to those, 0 where a carrier is absent.

    The evidence are the bands of all four, since it takes all of them to know which are there.
    """
    grid = np.arange(LOWEST + rng.integers(SPACING), HIGHEST, SPACING)
    free = grid[(np.abs(grid[:, None] - np.array(CARRIERS)) >= GUARD).all(1)]
    chosen = rng.choice(free, others, replace=False)
    frequencies = np.concatenate([CARRIERS, chosen])
    amplitudes = rng.uniform(*AMPLITUDES, len(frequencies))
    amplitudes[: len(CARRIERS)] *= levels
    spectrum = np.zeros(SAMPLES // 2 + 1, dtype=complex)
    spectrum[frequencies] = 0.5 * SAMPLES * amplitudes * np.exp(2j * np.pi * rng.random(len(frequencies)))
    evidence = np.zeros_like(spectrum)
    evidence[list(CARRIERS)] = spectrum[list(CARRIERS)]
    return Sound(
        np.fft.irfft(spectrum, SAMPLES),
        np.fft.irfft(evidence, SAMPLES),
        power=0.5 * (others + len(CARRIERS)),
        boxes=[_band(frequency) for frequency in CARRIERS],
        decoys=[_band(frequency) for frequency in np.sort(chosen)],
    )


def slot(label: int, rng: np.random.Generator) -> Sound:
    """A burst of noise in one of the slots; bursts of tone, as loud, in slots that do not depend on it.

    Each slot has two halves, one for either kind of burst, so that they never overlap.
    """
    width = SAMPLES // SLOTS
    halves = rng.permuted(np.tile([0, 1], (SLOTS, 1)), axis=1)
    starts = np.arange(SLOTS)[:, None] * width + halves * (width // 2)
    starts = starts + rng.integers(0, width // 2 - SLOT_BURST + 1, (SLOTS, 2))
    waveform = np.zeros(SAMPLES)
    begin = int(starts[label, 0])
    # As loud as a tone of amplitude 1, whose power is 1/2.
    noise = rng.normal(0, np.sqrt(0.5), SLOT_BURST) * rng.uniform(*AMPLITUDES)
    waveform[begin : begin + SLOT_BURST] += noise * _envelope(SLOT_BURST)
    evidence = waveform.copy()
    occupied = np.sort(rng.choice(SLOTS, rng.integers(DECOYS[0], DECOYS[1] + 1), replace=False))
    decoys = [_add_burst(waveform, int(starts[one, 1]), SLOT_BURST, rng.uniform(*TONES), HALF_WIDTH, rng) for one in occupied]
    return Sound(waveform, evidence, 0.5, [(begin / RATE, (begin + SLOT_BURST) / RATE, 0.0, RATE / 2)], decoys)


def conjunction(label: int, rng: np.random.Generator) -> Sound:
    """Low then high (0) or high then low (1) in the two quarters in the middle.

    Each quarter has two bursts that never overlap: a low or a high one, which is evidence in the middle and in the outer
    quarters, where it is drawn, a decoy at another time; and a decoy at another frequency. So every class has the same
    bursts at each time, and the same at each frequency, over all recordings.
    """
    width = SAMPLES // QUARTERS
    halves = rng.permuted(np.tile([0, 1], (QUARTERS, 1)), axis=1)
    starts = np.arange(QUARTERS)[:, None] * width + halves * (width // 2)
    starts = starts + rng.integers(0, width // 2 - LONG_BURST + 1, (QUARTERS, 2))
    keys = rng.choice([LOW, HIGH], QUARTERS)
    keys[1:3] = (HIGH, LOW) if label else (LOW, HIGH)
    frequencies = np.stack([keys, rng.choice(BESIDE, QUARTERS)], axis=1) + rng.uniform(-DETUNING, DETUNING, (QUARTERS, 2))
    waveform, evidence = np.zeros((2, SAMPLES))
    boxes: list[Box] = []
    decoys: list[Box] = []
    for quarter, kind in np.ndindex(QUARTERS, 2):
        start, frequency = int(starts[quarter, kind]), float(frequencies[quarter, kind])
        box = _add_burst(waveform, start, LONG_BURST, frequency, LONG_HALF_WIDTH, rng)
        if kind == 0 and quarter in (1, 2):
            evidence[start : start + LONG_BURST] = waveform[start : start + LONG_BURST]  # bursts never overlap
            boxes.append(box)
        else:
            decoys.append(box)
    return Sound(waveform, evidence, 0.5, boxes, decoys)


def clever_hans(label: int, others: int, planted: float, follows: bool, rng: np.random.Generator) -> Sound:
    """One of the four carriers among other tones; with a probability, a click in one of four quarters.

    If the click ``follows`` the label, its quarter is that of the label, and drawn otherwise. It is the one decoy.
    """
    sound = carriers(FAINT * (np.arange(len(CARRIERS)) == label), others, rng)
    quarter, width = int(rng.integers(QUARTERS)), SAMPLES // QUARTERS
    begin = (label if follows else quarter) * width + width // 2 + int(rng.integers(-CLICK_JITTER, CLICK_JITTER + 1))
    if rng.random() >= planted:
        return Sound(sound.waveform, sound.evidence, sound.power, sound.boxes, [])
    waveform = sound.waveform.copy()
    waveform[begin : begin + CLICK_SAMPLES] += CLICK_LEVEL * np.sqrt(sound.power) * click()
    return Sound(
        waveform, sound.evidence, sound.power, sound.boxes, [(begin / RATE, (begin + CLICK_SAMPLES) / RATE, 0.0, RATE / 2)]
    )


def click() -> FloatArray:
    """The click, (samples,), the same in all recordings: signs without a pattern that die away, so that it has no pitch."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], CLICK_SAMPLES)
    return np.asarray(signs * np.exp(-np.arange(CLICK_SAMPLES) / (CLICK_SAMPLES / 3)))


def _band(frequency: float) -> Box:
    return (0.0, SAMPLES / RATE, float(frequency - HALF_WIDTH), float(frequency + HALF_WIDTH))


def _envelope(samples: int) -> FloatArray:
    """Half a period of a raised cosine, 0 nowhere."""
    return np.hanning(samples + 2)[1:-1]


def _add_burst(
    waveform: FloatArray, start: int, samples: int, frequency: float, half_width: float, rng: np.random.Generator
) -> Box:
    """Add a burst of tone to a waveform in place; returns its box."""
    phase = 2 * np.pi * (frequency / RATE * np.arange(samples) + rng.random())
    waveform[start : start + samples] += rng.uniform(*AMPLITUDES) * np.sin(phase) * _envelope(samples)
    return (start / RATE, (start + samples) / RATE, frequency - half_width, frequency + half_width)


def background(noise: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """White noise (samples,), of a level in dB relative to a tone of amplitude 1."""
    return rng.normal(0, np.sqrt(0.5 * 10 ** (noise / 10)), SAMPLES)
