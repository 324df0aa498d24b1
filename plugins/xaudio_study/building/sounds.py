"""Sounds that are made, not recorded, at the reference: the headphone check and the noise of the level check."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from xaudio.plugin import FloatArray, reference_gain

RATE = 44_100
TONE_HZ = 200.0
TONE_SECONDS, RAMP_SECONDS, PAUSE_SECONDS = 1.0, 0.1, 0.5
SOFTER_DB = -6.0
NOISE_SECONDS = 5.0


def headphone_trials(rate: int = RATE) -> list[tuple[FloatArray, str]]:
    """The six orders of three tones of 200 Hz, with the place ("1" to "3") of the softest.

    One tone is 6 dB softer; one has the right channel in antiphase, so that over loudspeakers it cancels in part and seems
    the softest (Woods, Siegel, Traer, McDermott 2017, doi 10.3758/s13414-017-1361-2). Whoever wears headphones hears no
    cancellation and finds the softer one. The louder tones are as loud as all that is heard in a study.

    Returns
    -------
    list of (ndarray, shape (2, samples), str)
    """
    time = np.arange(round(TONE_SECONDS * rate)) / rate
    ramp = np.clip(np.minimum(time, time[::-1]) / RAMP_SECONDS, 0, 1)
    tone = np.sin(2 * np.pi * TONE_HZ * time) * np.sin(np.pi / 2 * ramp) ** 2
    tone *= reference_gain(tone, rate)
    kinds = {
        "plain": np.stack([tone, tone]),
        "softer": np.stack([tone, tone]) * 10 ** (SOFTER_DB / 20),
        "antiphase": np.stack([tone, -tone]),
    }
    pause = np.zeros((2, round(PAUSE_SECONDS * rate)))
    trials = []
    for order in permutations(kinds):
        first, second, third = (kinds[kind] for kind in order)
        trials.append((np.concatenate([first, pause, second, pause, third], axis=1), str(order.index("softer") + 1)))
    return trials


def level_noise(rate: int = RATE, seed: int = 0) -> FloatArray:
    """Noise with as much power in each octave from 100 Hz to 4 kHz, as loud as all that is heard; shape (samples,)."""
    count = round(NOISE_SECONDS * rate)
    frequencies = np.fft.rfftfreq(count, 1 / rate)
    in_band = (frequencies >= 100) & (frequencies <= 4000)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(frequencies))
    spectrum = np.where(in_band, np.exp(1j * phases) / np.sqrt(np.maximum(frequencies, 1)), 0)
    noise = np.fft.irfft(spectrum, count)
    time = np.arange(count) / rate
    noise *= np.clip(np.minimum(time, time[::-1]) / RAMP_SECONDS, 0, 1)
    noise /= np.abs(noise).max()
    return noise * reference_gain(noise, rate)
