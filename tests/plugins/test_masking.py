"""Explainers that change the recording: against loops and brute force, planted truths, and what must always hold."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sweeps import sweep
from torch import nn

import xaudio
from xaudio import PluginError, create
from xaudio.plugin import Sound, baseline_waveforms
from xaudio_masking._masking import Masking
from xaudio_masking._parts import Grid, band_edges, drawn, hats, slot_windows, windows

RATE, SAMPLES = 8000, 1000
PLACES = torch.arange(SAMPLES)
TARGET = torch.tensor([0, 2, 1])
TINY = {
    "audiolime": {"samples": 40, "slots": 5},
    "band_occlusion": {"bands": 4},
    "slot_occlusion": {"slots": 6},
    "freqrise": {"masks": 12, "cells": 4},
}
REPRESENTATIONS = {
    "waveform": create("representation", "waveform", samples=SAMPLES, normalisation="none"),
    "spectrogram": create("representation", "spectrogram", samples=SAMPLES, window=64, hop=16),
}


def make_waveforms():
    """Noise with silence around it, each recording in its own place, the first two samples of sound included."""
    waveforms = 0.2 * torch.randn(3, SAMPLES, generator=torch.Generator().manual_seed(0))
    for row, (start, end) in enumerate([(0, 700), (130, 990), (400, 1000)]):
        waveforms[row, :start] = 0
        waveforms[row, end:] = 0
    return waveforms


def make_sound(name, waveforms=None):
    representation = REPRESENTATIONS[name]
    return Sound(make_waveforms() if waveforms is None else waveforms, representation, lambda batch: representation(batch) - 0.1)


def make_network(sound):
    size = sound.features(sound.waveforms)[0].numel()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(size, 12), nn.Tanh(), nn.Linear(12, 3))
        return network.to(sound.waveforms.dtype).eval()


def explain(name, sound, network, target=TARGET, **options):
    features = sound.features(sound.waveforms)
    return create("explainer", name, **options)(network, features, target, sound=sound)


def logit(network, sound, waveform, target):
    with torch.no_grad():
        return float(network(sound.features(torch.as_tensor(waveform)[None]))[0, target])


def textbook_spread(sound, row, parts, coefficients):
    """Each part's relevance over the cells, by its share of the magnitude there, cell by cell."""
    read = sound.representation
    whole = read.amplitude(sound.waveforms[row : row + 1])[0].numpy()
    each = [read.amplitude(torch.as_tensor(part)[None])[0].numpy() for part in parts]
    relevance = np.zeros_like(whole)
    for magnitudes, coefficient in zip(each, coefficients, strict=True):
        weights = np.zeros_like(whole)
        for cell in np.ndindex(whole.shape):
            total = sum(other[cell] for other in each)
            weights[cell] = whole[cell] * magnitudes[cell] / total if total > 0 else 0
        if weights.sum() > 0:
            relevance += coefficient * weights / weights.sum()
    return torch.from_numpy(relevance)


@pytest.mark.parametrize("name", REPRESENTATIONS)
@pytest.mark.parametrize("baseline", ["silence", "mean_spectrum"])
def test_band_occlusion_is_brute_force(name, baseline):
    """Bins of the Fourier transform set to 0, or to those of a noise with the recording's magnitudes, in loops."""
    sound = make_sound(name, make_waveforms().double())
    network = make_network(sound)
    found = explain("band_occlusion", sound, network, bands=3, spacing="linear", low=500, high=3500, overlap=0, baseline=baseline)
    stand_in = baseline_waveforms(baseline, sound).numpy()
    frequencies = np.arange(SAMPLES // 2 + 1) * RATE / SAMPLES
    for row, target in enumerate(TARGET.tolist()):
        waveform = sound.waveforms[row].numpy()
        parts, losses = [], []
        for low, high in [(500, 1500), (1500, 2500), (2500, 3500.1)]:
            spectrum, others, band = np.fft.rfft(waveform), np.fft.rfft(stand_in[row]), np.zeros(SAMPLES // 2 + 1, complex)
            for k, frequency in enumerate(frequencies):
                if low <= frequency < high:
                    band[k], spectrum[k] = spectrum[k], others[k]
            without = np.fft.irfft(spectrum, n=SAMPLES)
            parts.append(np.fft.irfft(band, n=SAMPLES))
            losses.append(logit(network, sound, waveform, target) - logit(network, sound, without, target))
        torch.testing.assert_close(found[row], textbook_spread(sound, row, parts, losses), rtol=1e-7, atol=1e-10)
        assert float(found[row].sum()) == pytest.approx(sum(losses), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_slot_occlusion_is_brute_force(name):
    """Slots replaced by noise as loud as the quietest frames, with raised cosines at their edges, sample by sample."""
    sound = make_sound(name, make_waveforms().double())
    network = make_network(sound)
    found = explain("slot_occlusion", sound, network, slots=4, overlap=0.4, baseline="noise_floor", seed=3)
    noise = baseline_waveforms("noise_floor", sound, seed=3).numpy()
    length, fade = SAMPLES / 4, 0.4 * SAMPLES / 4
    for row, target in enumerate(TARGET.tolist()):
        waveform = sound.waveforms[row].numpy()
        parts, losses = [], []
        for slot in range(4):
            window = np.zeros(SAMPLES)
            for n in range(SAMPLES):
                rise = np.clip((n + 0.5 - slot * length) / fade + 0.5, 0, 1) if slot > 0 else 1
                fall = np.clip((n + 0.5 - (slot + 1) * length) / fade + 0.5, 0, 1) if slot < 3 else 0
                window[n] = np.sin(np.pi / 2 * rise) ** 2 - np.sin(np.pi / 2 * fall) ** 2
            parts.append(window * waveform)
            without = waveform - window * waveform + window * noise[row]
            loss = logit(network, sound, waveform, target) - logit(network, sound, without, target)
            losses.append(loss if np.abs(parts[-1]).max() > 0 else 0)
        torch.testing.assert_close(found[row], textbook_spread(sound, row, parts, losses), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("domain", ["frequency", "time", "time_frequency"])
@pytest.mark.parametrize("centred", [False, True])
def test_freqrise_is_the_mean_of_score_times_mask(domain, centred):
    """Masks interpolated by numpy, applied one by one; the map is their weighted mean, at every cell of the features."""
    sound, masks, cells, probability = make_sound("spectrogram", make_waveforms().double()), 9, 4, 0.4
    network = make_network(sound)
    options = {"domain": domain, "masks": masks, "cells": cells, "probability": probability, "centred": centred}
    found = explain("freqrise", sound, network, seed=5, score="logit", **options)
    both = domain == "time_frequency"
    drawn_masks = drawn(masks, cells**2 if both else cells, probability, 5).double().numpy()
    centres = (np.arange(cells) + 0.5) / cells
    bins, times = np.arange(SAMPLES // 2 + 1) * 2 / SAMPLES, (np.arange(SAMPLES) + 0.5) / SAMPLES
    frequency, time = (axis.centres for axis in sound.representation.axes)
    for row, target in enumerate(TARGET.tolist()):
        waveform = sound.waveforms[row].numpy()
        spectrum, scores, maps = np.fft.rfft(waveform), [], []
        for mask in drawn_masks:
            if domain == "frequency":
                changed = np.fft.irfft(spectrum * np.interp(bins, centres, mask), n=SAMPLES)
                maps.append(np.interp(frequency * 2 / RATE, centres, mask)[:, None].repeat(len(time), 1))
            elif domain == "time":
                changed = waveform * np.interp(times, centres, mask)
                maps.append(np.interp(time * RATE / SAMPLES, centres, mask)[None].repeat(len(frequency), 0))
            else:
                grid = mask.reshape(cells, cells)
                changed, shown = np.zeros(SAMPLES), np.zeros((len(frequency), len(time)))
                for band, unit in enumerate(np.eye(cells)):
                    filtered = np.fft.irfft(spectrum * np.interp(bins, centres, unit), n=SAMPLES)
                    changed += filtered * np.interp(times, centres, grid[band])
                    weights = np.interp(frequency * 2 / RATE, centres, unit)
                    shown += np.outer(weights, np.interp(time * RATE / SAMPLES, centres, grid[band]))
                maps.append(shown)
            scores.append(logit(network, sound, changed, target))
        scores = np.array(scores) - (np.mean(scores) if centred else 0)
        expected = np.einsum("i,ift->ft", scores, np.stack(maps)) / (masks * probability)
        magnitude = sound.representation.amplitude(sound.waveforms)[row, 0].numpy()
        assert (magnitude == 0).any()
        np.testing.assert_allclose(found[row, 0], np.where(magnitude > 0, expected, 0), rtol=1e-7, atol=1e-9)


class TimeFirst:
    """A third party's spectrogram: frames before frequencies, in two channels, and no module."""

    inner = REPRESENTATIONS["spectrogram"]
    sample_rate, samples, placement, unit, axes = RATE, SAMPLES, "file", "dB", inner.axes[::-1]

    def __call__(self, waveforms):
        return self.inner(waveforms).mT.repeat(1, 2, 1, 1) / 2

    def amplitude(self, waveforms):
        return self.inner.amplitude(waveforms).mT.repeat(1, 2, 1, 1)


class Merge(nn.Module):
    """Features of `TimeFirst` to those of the spectrogram less 0.1 dB."""

    def forward(self, features):
        return features.mT.sum(1, keepdim=True) - 0.1


@pytest.mark.parametrize("name", TINY)
def test_the_axes_may_be_in_another_order_and_the_channels_many(name):
    sound = make_sound("spectrogram", make_waveforms().double())
    network = make_network(sound)
    expected = explain(name, sound, network, **TINY[name])
    other = Sound(sound.waveforms, TimeFirst(), TimeFirst())
    found = explain(name, other, nn.Sequential(Merge(), network), **TINY[name]).mT
    torch.testing.assert_close(found[:, 0], found[:, 1])
    # A map of the masks is repeated in each channel; what is spread is divided among them.
    combined = found.mean(1) if name == "freqrise" else found.sum(1)
    torch.testing.assert_close(combined, expected[:, 0])


def test_hats_are_torchs_linear_upsampling():
    places = (torch.arange(37, dtype=torch.float64) + 0.5) / 37
    expected = nn.functional.interpolate(torch.eye(5, dtype=torch.float64)[None], size=37, mode="linear")[0]
    torch.testing.assert_close(hats(5, places), expected)


@given(
    st.lists(st.floats(0.5, 100), min_size=1, max_size=8),
    st.floats(0, 1),
    st.floats(0, 50),
)
def test_windows_sum_to_one_between_the_outer_edges(widths, overlap, start):
    edges = start + torch.tensor([0.0, *widths], dtype=torch.float64).cumsum(0)
    places = torch.linspace(0, float(edges[-1]) + 3, 300, dtype=torch.float64)
    found = windows(edges, places, overlap)
    inside = (places >= edges[0]) & (places <= edges[-1])
    torch.testing.assert_close(found.sum(0), inside.double(), rtol=0, atol=1e-9)
    assert found.min() >= -1e-12
    assert found.max() <= 1 + 1e-12


def test_band_edges():
    assert band_edges(3, "octave", 0, 4000).tolist() == [0, 1000, 2000, 4000]
    assert band_edges(4, "linear", 100, 500).tolist() == [100, 200, 300, 400, 500]
    mels = 2595 * torch.log10(1 + band_edges(5, "mel", 50, 3000) / 700)
    torch.testing.assert_close(mels.diff(), mels.diff()[0].expand(5))


@pytest.mark.slow
@pytest.mark.parametrize("name", REPRESENTATIONS)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), bands=st.integers(1, 4), slots=st.integers(1, 6), at_once=st.integers(1, 30))
def test_spreading_keeps_the_sum_and_leaves_silence_alone(name, seed, bands, slots, at_once):
    generator = torch.Generator().manual_seed(seed)
    waveforms = make_waveforms().roll(int(torch.randint(SAMPLES, (1,), generator=generator)), 1)
    sound = make_sound(name, waveforms)
    edges = band_edges(bands, "linear", 0, RATE / 2)
    gains = windows(edges, torch.arange(SAMPLES // 2 + 1, dtype=torch.float64) * RATE / SAMPLES, 0.5)
    cut = Grid(gains, slot_windows("test", SAMPLES, slots, 0.5))
    for group in Masking("test", "logit", "silence", 0, at_once).groups(sound, TARGET, cut):
        torch.testing.assert_close(group.parts.sum(1), group.sound.waveforms, rtol=0, atol=1e-6)
        coefficients = torch.randn(group.audible.shape, generator=generator) * group.audible
        relevance = group.spread(coefficients)
        torch.testing.assert_close(relevance.flatten(1).sum(1), coefficients.sum(1), rtol=1e-4, atol=1e-4)
        assert not relevance[group.magnitude == 0].any()


@pytest.mark.parametrize("internal", [1, 10, 40])
def test_the_internal_batch_bounds_the_parts_in_memory(internal):
    """As many recordings as there is room for are cut at once, at least one; magnitudes likewise."""
    sound = make_sound("waveform")
    heard = []

    class Listening(type(sound.representation)):
        def amplitude(self, waveforms):
            heard.append(len(waveforms))
            return super().amplitude(waveforms)

    listening = Listening(RATE, SAMPLES, "file", "none", 0.01)
    cut = Grid(windows=slot_windows("test", SAMPLES, 20, 0.0))
    groups = list(
        Masking("test", "logit", "silence", 0, internal).groups(Sound(sound.waveforms, listening, listening), TARGET, cut)
    )
    assert [len(group.parts) for group in groups] == ([2, 1] if internal == 40 else [1, 1, 1])
    for group in groups:
        group.spread(torch.ones(group.audible.shape))
    assert max(heard) == internal


TONES = torch.stack(
    [
        (PLACES < SAMPLES // 2) * torch.sin(2 * torch.pi * 1250 / RATE * PLACES),
        (PLACES >= SAMPLES // 2) * torch.sin(2 * torch.pi * 3000 / RATE * PLACES),
    ]
)


class BandEnergy(nn.Module):
    """Logit 0 is the energy of the waveform around 1250 Hz, logit 1 around 3000 Hz."""

    def forward(self, features):
        energy = torch.fft.rfft(features[:, 0]).abs() ** 2 / SAMPLES
        bin_width = RATE / SAMPLES
        limits = [(1100, 1400), (2850, 3150)]
        return torch.stack([energy[:, int(low / bin_width) : int(high / bin_width)].sum(1) for low, high in limits], 1)


class BandLevel(nn.Module):
    """Mean magnitude in the cells of a spectrogram around 1250 Hz, and around 3000 Hz."""

    def forward(self, features):
        magnitudes = 10 ** (features[:, 0] / 20)
        return torch.stack([magnitudes[:, 8:13].mean((1, 2)), magnitudes[:, 22:27].mean((1, 2))], 1)


PLANTED = [
    ("band_occlusion", {"bands": 8, "spacing": "linear"}),
    ("band_occlusion", {"bands": 16, "overlap": 0.5}),
    ("slot_occlusion", {"slots": 10}),
    ("slot_occlusion", {"slots": 7, "overlap": 0.0}),
    ("audiolime", {"components": "time", "slots": 10, "samples": 200, "score": "logit", "ridge": 0.0}),
    ("audiolime", {"components": "time_frequency", "slots": 4, "bands": 4, "samples": 200, "score": "logit"}),
    ("freqrise", {"domain": "time_frequency", "cells": 6, "masks": 1500, "centred": True, "score": "logit"}),
    ("freqrise", {"domain": "frequency", "cells": 8, "masks": 300, "centred": True, "score": "logit"}),
    ("freqrise", {"domain": "time", "cells": 8, "masks": 300, "centred": True, "score": "logit"}),
]


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize(("name", "options"), PLANTED)
def test_a_planted_truth_is_found(name, options, representation, target):
    """Two tones, one after the other; the model reads one of them. What it reads has the relevance."""
    sound = make_sound(representation, TONES.sum(0, keepdim=True) * 0.5)
    network = BandEnergy() if representation == "waveform" else BandLevel()
    relevance = explain(name, sound, network, torch.tensor([target]), **options)[0, 0]
    own = REPRESENTATIONS[representation].amplitude(TONES)[:, 0]
    if options.get("domain") == "frequency" and representation == "spectrogram":
        own = own.mean(2, keepdim=True).expand_as(own)  # such a map is the same at all times
    truth = own[target] > own[1 - target]
    positive = relevance.clamp(min=0)
    assert float(positive[truth].sum() / positive.sum()) > 0.8
    assert float(relevance[truth].sum()) > 0
    assert float(relevance[~truth].abs().sum() / relevance[truth].abs().sum()) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("baseline", ["silence", "noise_floor", "mean_spectrum"])
def test_relevance_is_the_recordings_own(name, representation, baseline, recwarn):
    """Neither the batch nor the internal batch nor an earlier call matters; the seed matters where something is random."""
    sound = make_sound(representation)
    network = make_network(sound)
    state = torch.get_rng_state()
    options = {**TINY[name], "baseline": baseline}
    found = explain(name, sound, network, **options)
    assert found.shape == sound.features(sound.waveforms).shape
    assert not found.requires_grad
    assert found.abs().max() > 0
    assert torch.equal(found, explain(name, sound, network, **options))
    for internal in (1, 7, None):
        other = explain(name, sound, network, internal_batch_size=internal, **options)
        torch.testing.assert_close(other, found, rtol=1e-3, atol=2e-5)
    for row in range(3):
        alone = explain(
            name, make_sound(representation, sound.waveforms[row : row + 1]), network, TARGET[row : row + 1], **options
        )
        torch.testing.assert_close(alone[0], found[row], rtol=1e-3, atol=2e-5)
    reseeded = explain(name, sound, network, seed=1, **options)
    random = baseline != "silence" or name in ("audiolime", "freqrise")
    assert torch.equal(reseeded, found) != random
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("baseline", ["silence", "noise_floor"])
def test_padding_and_silence_have_no_relevance(name, baseline):
    sound = make_sound("waveform")
    relevance = explain(name, sound, make_network(sound), baseline=baseline, **TINY[name])
    padding = (sound.waveforms == 0)[:, None]
    assert padding.any()
    assert not relevance[padding].any()
    assert (relevance[~padding] != 0).float().mean() > 0.9
    for representation in REPRESENTATIONS:
        silent = make_sound(representation, torch.zeros(2, SAMPLES))
        nothing = explain(name, silent, make_network(silent), TARGET[:2], baseline=baseline, **TINY[name])
        assert not nothing.any()


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("internal", [1, 5, 64])
def test_the_internal_batch_bounds_what_reaches_model_and_representation(name, internal):
    sound = make_sound("spectrogram")
    network = make_network(sound)
    seen, heard = [], []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    hook = REPRESENTATIONS["spectrogram"].register_forward_pre_hook(lambda module, inputs: heard.append(len(inputs[0])))
    features = torch.zeros(3, 1, 32, 60)
    create("explainer", name, internal_batch_size=internal, **TINY[name])(network, features, TARGET, sound=sound)
    hook.remove()
    assert max(seen) <= internal
    assert max(heard) <= internal
    assert sum(seen) >= 3 * 5
    if internal == 64:
        assert max(seen) > 10  # recordings and masks fill the batches together


@pytest.mark.parametrize("name", TINY)
def test_the_score_can_be_the_probability(name):
    sound = make_sound("waveform")
    network = make_network(sound)
    probability = explain(name, sound, network, score="probability", **TINY[name])
    expected = explain(name, sound, nn.Sequential(network, nn.Softmax(1)), score="logit", **TINY[name])
    torch.testing.assert_close(probability, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(probability, explain(name, sound, network, score="logit", **TINY[name]), rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("band_occlusion", {"high": 4001}, "holds 0 to 4000 Hz"),
        ("band_occlusion", {"low": 3000, "high": 2000}, "low must be below high"),
        ("band_occlusion", {"low": -1}, "^-1 does not fit option 'low' .*: expected float, 0 or more"),
        ("band_occlusion", {"bands": 600}, "give fewer bands"),
        ("band_occlusion", {"bands": 3, "spacing": "octave", "low": 2500}, "give fewer bands"),
        ("band_occlusion", {"bands": 0}, "^0 does not fit option 'bands' .*: expected int, 1 or more"),
        ("band_occlusion", {"overlap": 1.5}, "^1.5 does not fit option 'overlap' .*: expected float, 0 or more, 1 at most"),
        ("slot_occlusion", {"slots": 1001}, "1001 slots are more than the 1000 samples"),
        ("slot_occlusion", {"slots": -2}, "^-2 does not fit option 'slots' .*: expected int, 1 or more"),
        (
            "slot_occlusion",
            {"overlap": float("nan")},
            "^nan does not fit option 'overlap' .*: expected float, 0 or more, 1 at most, finite",
        ),
        (
            "slot_occlusion",
            {"internal_batch_size": 0},
            "^0 does not fit option 'internal_batch_size' .*: expected int .* none, 1 or more",
        ),
        ("slot_occlusion", {"baseline": "zero"}, "expected silence"),
        ("freqrise", {"cells": 600}, "600 cells are too many"),
        ("freqrise", {"cells": 0}, "^0 does not fit option 'cells' .*: expected int, 1 or more"),
        ("freqrise", {"masks": 0}, "^0 does not fit option 'masks' .*: expected int, 1 or more"),
        ("freqrise", {"probability": 1.0}, "^1.0 does not fit option 'probability' .*: expected float, above 0, below 1"),
        ("freqrise", {"domain": "space"}, "domain"),
    ],
)
def test_impossible_options_are_one_line(name, options, message):
    sound = make_sound("waveform")
    with pytest.raises(PluginError, match=message) as caught:
        explain(name, sound, make_network(sound), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("model", sweep(["audionet", "alexnet"], quick=["audionet"]))
@pytest.mark.parametrize("name", TINY)
def test_works_for_both_models_from_a_sound(published, name, model, recording):
    network = published(model)
    options = {**TINY[name], "internal_batch_size": 8} | ({"samples": 12, "ridge": 1.0} if name == "audiolime" else {})
    found = xaudio.explain(network, recording, explainer=name, representation=network.representation, **options)
    assert found.relevance.shape == found.features.shape
    assert np.abs(found.relevance).max() > 0
    if model == "audionet":
        assert not found.relevance[0][found.clip.waveform == 0].any()
