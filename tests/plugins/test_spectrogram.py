"""The spectrogram representation, against scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import signal
from sounds import speechlike

from xaudio import ModelError, PluginError, create

CROPS = {"code": (slice(0, 227), slice(2, -1)), "paper": (slice(0, 227), slice(0, -3))}


def scipy_stft(waveforms, window=455, hop=35):
    return signal.stft(waveforms, window="hann", nperseg=window, noverlap=window - hop)[2]


def published_levels(waveforms, crop, floor=-80.0):
    """As in the published code: 16-bit units, crop, decibels relative to the loudest cell, floor."""
    magnitudes = np.abs(scipy_stft(32768 * waveforms))[:, *CROPS[crop]]
    power = 10 * np.log10(np.maximum(1e-10, magnitudes**2))
    power -= 10 * np.log10(np.maximum(1e-10, (magnitudes**2).max((1, 2), keepdims=True)))
    return np.maximum(power, floor)


@pytest.fixture
def waveforms():
    return np.stack([speechlike(), speechlike(start=0, stop=8000, seed=1), 1e-3 * speechlike(start=4000, stop=7999, seed=2)])


@pytest.mark.parametrize("crop", CROPS)
def test_equals_the_published_levels_in_float64(waveforms, crop):
    levels = create("representation", "spectrogram", crop=crop)(torch.from_numpy(waveforms))
    assert levels.shape == (3, 1, 227, 227)
    assert levels.dtype == torch.float64
    np.testing.assert_allclose(levels[:, 0], published_levels(waveforms, crop), rtol=0, atol=1e-9)


@pytest.mark.parametrize("crop", CROPS)
def test_equals_the_published_levels_in_float32(waveforms, crop):
    waveforms = waveforms.astype(np.float32)
    levels = create("representation", "spectrogram", crop=crop)(torch.from_numpy(waveforms))
    assert levels.dtype == torch.float32
    published = published_levels(waveforms.astype(np.float64), crop)
    error = np.abs(levels[:, 0].numpy() - published)
    assert error[published > -20].max() < 1e-4
    assert error.max() < 5e-3


def test_range_and_floor(waveforms):
    levels = create("representation", "spectrogram", floor_db=-45.0)(torch.from_numpy(waveforms))
    assert levels.amax((1, 2, 3)).tolist() == [0, 0, 0]
    assert levels.amin((1, 2, 3)).tolist() == [-45, -45, -45]


def test_silence_is_no_nan_and_its_gradient_is_zero():
    silence = torch.zeros(2, 8000, requires_grad=True)
    levels = create("representation", "spectrogram")(silence)
    assert torch.equal(levels, torch.zeros(2, 1, 227, 227))
    levels.sum().backward()
    assert torch.equal(silence.grad, torch.zeros(2, 8000))


def test_recordings_do_not_mix(waveforms):
    representation = create("representation", "spectrogram")
    waveforms = torch.from_numpy(waveforms)
    torch.testing.assert_close(representation(waveforms)[2:], representation(waveforms[2:]), rtol=0, atol=1e-10)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(4, 40), st.integers(1, 20), st.integers(100, 200), st.integers(0, 1000))
def test_any_window_and_hop_are_scipys_and_invertible(window, hop, samples, seed):
    hop = min(hop, window // 2)
    waveforms = np.random.default_rng(seed).normal(size=(2, samples))
    representation = create("representation", "spectrogram", samples=samples, window=window, hop=hop)
    spectra = representation.stft(torch.from_numpy(waveforms))
    np.testing.assert_allclose(spectra, scipy_stft(waveforms, window, hop), rtol=0, atol=1e-12)
    np.testing.assert_allclose(representation.istft(spectra), waveforms, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_inverse(waveforms, dtype, tolerance):
    representation = create("representation", "spectrogram")
    waveforms = torch.from_numpy(waveforms).to(dtype)
    spectra = representation.stft(waveforms)
    assert spectra.shape == (3, 228, 230)
    back = representation.istft(spectra)
    assert back.dtype == dtype
    assert (back - waveforms).abs().max() < tolerance


@pytest.mark.slow
def test_is_differentiable():
    waveforms = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 60))).requires_grad_()
    representation = create("representation", "spectrogram", samples=60, window=12, hop=5)
    assert torch.autograd.gradcheck(representation, waveforms)


def test_axes_are_where_scipy_has_them():
    frequencies, times, _ = signal.stft(np.zeros(8000), 8000, nperseg=455, noverlap=420)
    for crop, (rows, columns) in CROPS.items():
        frequency, time = create("representation", "spectrogram", crop=crop).axes
        assert (frequency.name, frequency.unit, time.name, time.unit) == ("frequency", "Hz", "time", "s")
        np.testing.assert_allclose(frequency.centres, frequencies[rows], rtol=1e-12)
        np.testing.assert_allclose(time.centres, times[columns], rtol=1e-12)


def test_axes_name_the_loudest_cell():
    representation = create("representation", "spectrogram", sample_rate=16000, samples=16000)
    sound = np.zeros(16000)
    sound[8000:8400] = np.sin(2 * np.pi * 3000 * np.arange(400) / 16000) * np.hanning(400)
    levels = representation(torch.from_numpy(sound)[None])[0, 0].numpy()
    row, column = np.unravel_index(levels.argmax(), levels.shape)
    frequency, time = representation.axes
    assert levels.shape == (len(frequency.centres), len(time.centres))
    assert frequency.centres[row] == pytest.approx(3000, abs=16000 / 455)
    assert time.centres[column] == pytest.approx(8200 / 16000, abs=35 / 16000)


def test_amplitude_is_the_cropped_magnitude(waveforms):
    amplitude = create("representation", "spectrogram").amplitude(torch.from_numpy(waveforms))
    rows, columns = CROPS["code"]
    np.testing.assert_allclose(amplitude[:, 0], np.abs(scipy_stft(waveforms))[:, rows, columns], rtol=0, atol=1e-15)


@pytest.mark.parametrize("crop", CROPS)
def test_masked_waveform_is_scipys_inverse_of_the_masked_spectra(waveforms, crop):
    mask = np.random.default_rng(0).random((3, 1, 227, 227))
    full = np.zeros((3, 228, 230))
    full[:, *CROPS[crop]] = mask[:, 0]
    expected = signal.istft(full * scipy_stft(waveforms), nperseg=455, noverlap=420)[1][:, :8000]
    masked = create("representation", "spectrogram", crop=crop).masked_waveform(
        torch.from_numpy(waveforms), torch.from_numpy(mask)
    )
    np.testing.assert_allclose(masked, expected, rtol=0, atol=1e-12)


def test_a_mask_of_ones_gives_what_the_model_heard():
    waveform = speechlike()
    representation = create("representation", "spectrogram")
    heard = representation.masked_waveform(torch.from_numpy(waveform)[None], torch.ones(1, 1, 227, 227))[0].numpy()
    assert np.abs(heard - waveform).max() < 2e-3  # the highest frequency is missing
    silent = representation.masked_waveform(torch.from_numpy(waveform)[None], torch.zeros(1, 1, 227, 227))
    assert not silent.any()


def textbook_relevance(representation, waveform, relevance):
    """R_n = x_n sum_mk R_mk Re(Y*_mk F_mkn) / |Y_mk|^2, with the transform F as a dense matrix."""
    matrix = representation.crop(representation.stft(torch.eye(len(waveform), dtype=torch.float64))).numpy()
    spectra = np.tensordot(waveform, matrix, 1)
    total = np.zeros(len(waveform))
    for row in range(spectra.shape[0]):
        for column in range(spectra.shape[1]):
            value = spectra[row, column]
            if value != 0:
                total += relevance[row, column] * (value.conj() * matrix[:, row, column]).real / abs(value) ** 2
    return waveform * total


def test_waveform_relevance_is_the_textbooks():
    rng = np.random.default_rng(0)
    representation = create("representation", "spectrogram", samples=120, window=21, hop=6)
    waveform = rng.normal(size=120)
    waveform[:50] = 0
    relevance = rng.normal(size=representation(torch.from_numpy(waveform)[None]).shape)
    result = representation.to_waveform_relevance(torch.from_numpy(waveform)[None], torch.from_numpy(relevance))
    np.testing.assert_allclose(result[0], textbook_relevance(representation, waveform, relevance[0, 0]), rtol=0, atol=1e-9)


def test_waveform_relevance_keeps_the_sum_and_spares_silence(waveforms):
    waveforms = torch.from_numpy(waveforms)
    representation = create("representation", "spectrogram")
    relevance = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 1, 227, 227)))
    result = representation.to_waveform_relevance(waveforms, relevance)
    # What lies on cells of exactly no magnitude, which belong to no sample, is lost.
    sounding = relevance * (representation.amplitude(waveforms) > 0)
    scale = sounding.abs().sum((1, 2, 3))
    assert ((result.sum(1) - sounding.sum((1, 2, 3))).abs() / scale).max() < 1e-10
    assert not result[waveforms == 0].any()
    assert result.abs().sum(1).min() > 0


def test_waveform_relevance_of_silence_is_zero_and_keeps_the_type():
    representation = create("representation", "spectrogram")
    with torch.no_grad():
        result = representation.to_waveform_relevance(torch.zeros(1, 8000), torch.ones(1, 1, 227, 227))
    assert result.dtype == torch.float32
    assert torch.equal(result, torch.zeros(1, 8000))


def test_wrong_shape_and_options_are_named():
    with pytest.raises(ModelError, match=r"\(2, 1, 8000\); expected \(batch, 8000\)"):
        create("representation", "spectrogram")(torch.zeros(2, 1, 8000))
    for options in ({"hop": 300}, {"hop": 0}, {"window": 2, "hop": 1}, {"floor_db": 0.0}, {"samples": 35}):
        with pytest.raises(PluginError):
            create("representation", "spectrogram", **options)
