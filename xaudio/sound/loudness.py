"""Loudness by ITU-R BS.1770-4, as pyloudnorm measures it.

Not by pyloudnorm itself, since every explanation that is heard needs it: pyloudnorm imports scipy.signal, which takes more than
half as long as torch (``python -X importtime -c "import torch, pyloudnorm"``) and longer than to explain a recording.
A test holds the two to 1e-9 LU of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..types import FloatArray

GATE = -70.0
"""In LUFS: ITU-R BS.1770 hears nothing below. What lies there is raised no further than what lies just above."""

BELOW = 10.0
"""LU below the loudness of what passes the first gate, where the second one lies."""

BLOCK_S, OVERLAP = 0.4, 0.75
"""Seconds of a block, the shortest sound whose loudness is defined, and the share of it that the next one has too."""

MEMORY_S = 0.25
"""Seconds after which the weighting has forgotten a sample, to 1e-24: its slowest poles lie at 38 Hz."""

CHUNK = 2**18
"""Samples that are weighted at once."""


def integrated_loudness(sound: FloatArray, rate: int) -> float:
    """Loudness of a mono sound in LUFS; -inf if no block of it passes the gates.

    Parameters
    ----------
    sound : ndarray of float64, shape (samples,)
        At least `BLOCK_S` long.
    rate : int
        In Hz.
    """
    powers = _block_powers(k_weighted(sound, rate), len(sound), rate)
    audible = powers[_in_lufs(powers) >= GATE]
    if not len(audible):
        return -math.inf
    gate = max(GATE, float(_in_lufs(audible.mean())) - BELOW)
    passing = powers[_in_lufs(powers) > gate]
    return float(_in_lufs(passing.mean())) if len(passing) else -math.inf


def k_weighted(sound: FloatArray, rate: int) -> Iterator[FloatArray]:
    """A sound as the ear weights it, chunk by chunk: highs raised by 4 dB, and lows cut.

    The recursive filters are applied as products of spectra, to each chunk behind the `MEMORY_S` before it.

    Parameters
    ----------
    sound : ndarray of float64, shape (samples,)
    rate : int
        In Hz.
    """
    memory = math.ceil(MEMORY_S * rate)
    size = 1 << (min(len(sound), CHUNK) + memory - 1).bit_length()
    weights = _response(rate, size)
    for start in range(0, len(sound), size - memory):
        before = sound[max(0, start - memory) : start]
        behind = np.concatenate([np.zeros(memory - len(before)), before, sound[start : start + size - memory]])
        yield np.fft.irfft(np.fft.rfft(behind, size) * weights, size)[memory : len(behind)]


@lru_cache(maxsize=2)
def _response(rate: int, size: int) -> NDArray[np.complex128]:
    """The frequency response of both filters at the frequencies of a spectrum of so many samples.

    Biquads of the Audio EQ Cookbook, numerator and denominator each divided by the delay of one sample, which leaves their
    quotient and does not cancel at low frequencies.
    """
    angles = 2 * np.pi * np.arange(size // 2 + 1) / size
    cosines, sines = np.cos(angles), np.sin(angles)
    root = 10 ** (4 / 80)  # of the amplitude at half the gain of 4 dB
    half, corner = root**2, 2 * np.pi * 1500 / rate
    slope = 2j * root * (np.sin(corner) * np.sqrt(0.5)) * sines  # the quality of the shelf is sqrt(1/2)
    more, less, turn = half + 1, half - 1, np.cos(corner)
    shelf = half * ((more + less * turn) * cosines - (less + more * turn) + slope)
    shelf /= (more - less * turn) * cosines + (less - more * turn) + slope
    corner = 2 * np.pi * 38 / rate
    cut = -2 * (1 + np.cos(corner)) * np.sin(angles / 2) ** 2
    damped = 2j * np.sin(corner) * sines  # the quality of the high-pass is 1/2
    return np.asarray(shelf * cut / (4 * np.sin((corner + angles) / 2) * np.sin((corner - angles) / 2) + damped))


def _block_powers(chunks: Iterable[FloatArray], length: int, rate: int) -> FloatArray:
    """Mean squares of blocks that overlap, of a sound of so many samples that comes in chunks."""
    samples, step = BLOCK_S * rate, 1 - OVERLAP
    blocks = round((length / rate - BLOCK_S) / (BLOCK_S * step)) + 1
    bounds = [(int(BLOCK_S * (block * step) * rate), int(BLOCK_S * (block * step + 1) * rate)) for block in range(blocks)]
    powers: list[float] = []
    held, base, come = np.zeros(0), 0, 0
    for chunk in chunks:
        held = np.concatenate([held, np.square(chunk)])
        come += len(chunk)
        while len(powers) < blocks and (bounds[len(powers)][1] <= come or come == length):
            start, stop = bounds[len(powers)]
            powers.append(float(held[start - base : stop - base].sum() / samples))
        if len(powers) < blocks:
            base, held = bounds[len(powers)][0], held[bounds[len(powers)][0] - base :]
    return np.array(powers)


def _in_lufs(power: FloatArray | float) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.asarray(-0.691 + 10 * np.log10(power))
