"""Loudness, windows and resampling without the import of scipy.signal: what pyloudnorm and scipy give."""

import numpy as np
import pyloudnorm
import pytest
import scipy.signal

from xaudio import PluginError
from xaudio.plugin import spectral_window
from xaudio.sound.audio import resample
from xaudio.sound.loudness import CHUNK, integrated_loudness, k_weighted


def sound(samples, seed=0):
    """Noise whose level rises and falls, so that some blocks are below a gate."""
    envelope = np.exp(-8 * np.cos(np.linspace(0, 9, samples)) ** 2)
    return 0.3 * envelope * np.random.default_rng(seed).standard_normal(samples)


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 44100, 96000])
@pytest.mark.parametrize("seconds", [0.4, 0.45, 1.0, 3.21])
@pytest.mark.parametrize("level", [1, 1e-3, 3e-4, 1e-6])
def test_loudness_is_that_of_pyloudnorm(rate, seconds, level):
    samples = np.ceil(seconds * rate).astype(int)
    waveform = level * sound(samples)
    assert integrated_loudness(waveform, rate) == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(waveform), abs=1e-9)


@pytest.mark.parametrize("kind", ["constant", "lows", "silence"])
def test_what_the_weighting_leaves_nearly_nothing_of(kind):
    time = np.arange(48_000) / 48_000
    waveform = {"constant": np.ones_like(time), "lows": np.sin(2 * np.pi * 3 * time), "silence": np.zeros_like(time)}[kind]
    with np.errstate(divide="ignore"):
        assert integrated_loudness(waveform, 48_000) == pytest.approx(pyloudnorm.Meter(48_000).integrated_loudness(waveform))


def test_long_sounds_are_weighted_in_chunks_without_seams():
    rate, waveform = 48_000, sound(2 * CHUNK + 12_345)
    filtered = waveform
    for stage in pyloudnorm.Meter(rate)._filters.values():
        filtered = stage.apply_filter(filtered)
    assert np.abs(np.concatenate(list(k_weighted(waveform, rate))) - filtered).max() < 1e-10 * np.abs(filtered).max()


@pytest.mark.parametrize("length", [1, 2, 3, 64, 455, 1001])
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("spec", "named"), [("hann", "hann"), ("kaiser+8.6", ("kaiser", 8.6)), ("boxcar", "boxcar")])
def test_windows_are_those_of_scipy_to_the_bit(spec, named, length, periodic):
    assert np.array_equal(
        spectral_window(spec, length, periodic=periodic), scipy.signal.get_window(named, length, fftbins=periodic)
    )


@pytest.mark.parametrize("spec", ["hexagon", "kaiser", "kaiser+wide", "hann+1"])
def test_what_is_no_window_is_refused_in_one_line(spec):
    with pytest.raises(PluginError, match="There is no window '") as refused:
        spectral_window(spec, 16)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("samples", [7, 8, 1000, 1001])
@pytest.mark.parametrize("rates", [(48_000, 8000), (8000, 16_000), (44_100, 8000), (8000, 8001)])
def test_resampling_by_the_spectrum_is_that_of_scipy_to_the_bit(samples, rates):
    waveform = sound(samples).astype(np.float32)
    brought = resample(waveform, *rates, "fft")
    expected = scipy.signal.resample(waveform.astype(np.float64), -(-samples * rates[1] // rates[0]))
    assert np.array_equal(brought, expected.astype(np.float32))
