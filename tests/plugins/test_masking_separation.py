"""Separators: against scipy and loops, and on sounds whose sources are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from xaudio import PluginError, create
from xaudio_separation._separation import factorise, median, stft

RATE = 8000
TIME = torch.arange(4000) / RATE
SEPARATORS = [
    ("harmonic_percussive", {}),
    ("harmonic_percussive", {"width": 5, "power": 1.0, "window": 0.02}),
    ("nmf", {"iterations": 10}),
    ("nmf", {"iterations": 10, "divergence": "frobenius", "sources": 2}),
]


@pytest.mark.parametrize(("name", "options"), SEPARATORS)
@settings(max_examples=8)
@given(samples=st.integers(2, 1500), seed=st.integers(0, 2**31))
def test_sources_sum_to_the_recording(name, options, samples, seed):
    waveforms = torch.rand(2, samples, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    waveforms[1] = 0
    sources = create("separator", name, **options)(waveforms, RATE)
    assert sources.shape[::2] == waveforms.shape
    torch.testing.assert_close(sources.sum(1), waveforms, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), SEPARATORS)
def test_sources_do_not_depend_on_the_batch_and_scale_with_the_recording(name, options):
    waveforms = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)) * 0.1
    separator = create("separator", name, **options)
    sources = separator(waveforms, RATE)
    torch.testing.assert_close(separator(waveforms[1:2], RATE), sources[1:2], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(separator(waveforms / 8, RATE), sources / 8, rtol=1e-3, atol=1e-6)
    assert torch.equal(separator(waveforms, RATE), sources)
    assert (sources[0, 0] - sources[0, 1]).abs().max() > 1e-3


def share(source, part):
    """Share of a part's energy that the source holds, by projection."""
    return float((source @ part) / (part @ part))


def test_harmonic_and_percussive_take_tone_and_clicks_apart():
    tone = 0.3 * torch.sin(2 * torch.pi * 1000 * TIME)
    clicks = torch.zeros(4000)
    clicks[500::1000] = 1.0
    harmonic, percussive = create("separator", "harmonic_percussive")((tone + clicks)[None], RATE)[0]
    assert share(harmonic, tone) > 0.95
    assert share(percussive, clicks) > 0.9
    assert abs(share(percussive, tone)) < 0.05
    assert abs(share(harmonic, clicks)) < 0.1


@pytest.mark.parametrize("divergence", ["kullback_leibler", "frobenius"])
def test_nmf_takes_two_notes_apart(divergence):
    """Each note of three partials, which sound alone and together."""
    notes = []
    for pitch, (start, end) in [(440, (0, 2500)), (622, (1500, 4000))]:
        note = sum(torch.sin(2 * torch.pi * pitch * partial * TIME) / partial for partial in (1, 2, 3))
        note[:start], note[end:] = 0, 0
        notes.append(0.2 * note)
    sources = create("separator", "nmf", sources=2, divergence=divergence)(sum(notes)[None], RATE)[0]
    order = [int((sources @ note).argmax()) for note in notes]
    assert sorted(order) == [0, 1]
    for index, note in zip(order, notes, strict=True):
        assert share(sources[index], note) > 0.9
        assert abs(share(sources[1 - index], note)) < 0.1


@pytest.mark.parametrize("divergence", ["kullback_leibler", "frobenius"])
def test_factorisation_is_the_textbooks(divergence):
    """Multiplicative updates element by element, gains first; the divergence never grows."""
    magnitudes = np.random.default_rng(0).random((1, 5, 7)) + 0.1
    target = magnitudes[0] / magnitudes.mean()
    starts = factorise(torch.from_numpy(magnitudes), 2, 0, divergence, 4)
    bases, gains = (part[0].numpy().copy() for part in starts)
    for _ in range(3):
        new, product = gains.copy(), bases @ gains
        for k in range(2):
            for t in range(7):
                if divergence == "frobenius":
                    ratio = (bases[:, k] @ target[:, t]) / (bases[:, k] @ product[:, t])
                else:
                    ratio = sum(bases[f, k] * target[f, t] / product[f, t] for f in range(5)) / bases[:, k].sum()
                new[k, t] *= ratio
        gains, product = new, bases @ new
        new = bases.copy()
        for f in range(5):
            for k in range(2):
                if divergence == "frobenius":
                    ratio = (gains[k] @ target[f]) / (gains[k] @ product[f])
                else:
                    ratio = sum(gains[k, t] * target[f, t] / product[f, t] for t in range(7)) / gains[k].sum()
                new[f, k] *= ratio
        bases = new
    found = factorise(torch.from_numpy(magnitudes), 2, 3, divergence, 4)
    np.testing.assert_allclose(found[0][0], bases, rtol=1e-9)
    np.testing.assert_allclose(found[1][0], gains, rtol=1e-9)
    distances = []
    for iterations in range(0, 20, 2):
        product = np.matmul(*(part[0].numpy() for part in factorise(torch.from_numpy(magnitudes), 2, iterations, divergence, 4)))
        kullback = (target * np.log(target / product) - target + product).sum()
        distances.append(kullback if divergence == "kullback_leibler" else ((target - product) ** 2).sum())
    assert np.all(np.diff(distances) < 1e-12)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("width", [1, 5, 17])
def test_the_median_is_scipys(axis, width):
    magnitudes = torch.rand(2, 20, 9, generator=torch.Generator().manual_seed(0))
    size = [1, 1, 1]
    size[axis] = width
    expected = ndimage.median_filter(magnitudes.numpy(), size=size, mode="nearest")
    np.testing.assert_array_equal(median(magnitudes, width, axis), expected)


def test_harmonic_masks_are_fitzgeralds():
    """Spectra of the sources, before the inverse transform makes them consistent, are masked by H^2 / (H^2 + P^2)."""
    waveforms = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0)).double()
    spectra = stft(waveforms, 512)
    harmonic, percussive = median(spectra.abs(), 17, 2), median(spectra.abs(), 17, 1)
    mask = harmonic**2 / (harmonic**2 + percussive**2)
    window = torch.hann_window(512, dtype=torch.float64)
    expected = torch.istft(spectra * mask, n_fft=512, hop_length=128, window=window, length=1000)
    found = create("separator", "harmonic_percussive")(waveforms, RATE)
    torch.testing.assert_close(found[:, 0], expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("harmonic_percussive", {"width": 4}, "width must be odd"),
        ("harmonic_percussive", {"power": 0.0}, "^0.0 does not fit option 'power' .*: expected float, above 0"),
        ("harmonic_percussive", {"window": 0.0}, "^0.0 does not fit option 'window' .*: expected float, above 0"),
        ("nmf", {"sources": 0}, "^0 does not fit option 'sources' .*: expected int, 1 or more"),
        ("nmf", {"iterations": 0}, "^0 does not fit option 'iterations' .*: expected int, 1 or more"),
        ("nmf", {"divergence": "itakura"}, "divergence"),
    ],
)
def test_impossible_options_are_one_line(name, options, message):
    with pytest.raises(PluginError, match=message) as caught:
        create("separator", name, **options)
    assert "\n" not in str(caught.value)
