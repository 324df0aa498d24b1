"""The waveform representation, against numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sounds import speechlike
from torch import nn

from xaudio import ModelError, PluginError, create, explain
from xaudio.plugin import Length


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_published_normalisation_in_16_bit_units(dtype):
    integers = np.stack([np.round(32767 * speechlike(seed=seed)) for seed in range(3)])
    published = integers / (np.percentile(integers, 95, axis=1, keepdims=True) + 0.001)
    features = create("representation", "waveform", guard=0.0)(torch.from_numpy(integers / 32768).to(dtype))
    assert features.shape == (3, 1, 8000)
    assert features.dtype == dtype
    np.testing.assert_allclose(features[:, 0], published, rtol=1e-14 if dtype == torch.float64 else 1e-6, atol=0)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(2, 300), st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_percentile_is_numpys(samples, seed, distinct):
    values = np.random.default_rng(seed).integers(-distinct, distinct, (2, samples)) / 1000
    features = create("representation", "waveform", samples=samples, guard=0.0)(torch.from_numpy(values))[:, 0]
    divisors = np.percentile(values, 95, axis=1, keepdims=True) + 0.001 / 32768
    np.testing.assert_allclose(features, values / divisors, rtol=1e-9, atol=1e-12)


def test_guard_bounds_the_features_and_keeps_the_sign():
    waveforms = torch.zeros(3, 8000, dtype=torch.float64)
    waveforms[0, :100] = torch.linspace(0.1, 0.9, 100)  # too short to reach the percentile, which is 0
    waveforms[1] = -0.5  # the percentile is negative
    waveforms[2, ::2] = -0.7
    features = create("representation", "waveform")(waveforms)
    assert features.abs().amax((1, 2)).tolist() == pytest.approx([100.0, 100.0, 100.0], rel=1e-3)
    assert (features[:, 0] * waveforms >= 0).all()


def test_guard_leaves_ordinary_recordings_as_published():
    waveforms = torch.from_numpy(speechlike())[None]
    guarded = create("representation", "waveform")(waveforms)
    assert torch.equal(guarded, create("representation", "waveform", guard=0.0)(waveforms))


@pytest.mark.parametrize("guard", [0.0, 0.01])
def test_silence_gives_zeros(guard):
    features = create("representation", "waveform", guard=guard)(torch.zeros(2, 8000))
    assert torch.equal(features, torch.zeros(2, 1, 8000))


def test_padding_stays_zero_and_recordings_do_not_mix():
    waveforms = torch.from_numpy(np.stack([speechlike(), speechlike(start=0, stop=3000, seed=1)]))
    representation = create("representation", "waveform")
    features = representation(waveforms)
    assert (features[:, 0] == 0).equal(waveforms == 0)
    assert torch.equal(features[1:], representation(waveforms[1:]))


def test_without_normalisation_the_features_are_the_waveforms():
    waveforms = torch.from_numpy(speechlike())[None]
    representation = create("representation", "waveform", normalisation="none")
    assert torch.equal(representation(waveforms)[:, 0], waveforms)
    assert representation.unit == "full scale"


@pytest.mark.parametrize("normalisation", ["percentile", "standard", "none"])
def test_is_differentiable(normalisation):
    waveforms = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 30))).requires_grad_()
    made = create("representation", "waveform", samples=30, normalisation=normalisation)
    assert torch.autograd.gradcheck(made, waveforms)


@pytest.mark.parametrize("samples", [2, 3, 16000, 100_001])
def test_standard_normalisation_is_that_of_wav2vec2(samples):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    waveform = np.random.default_rng(0).normal(0.1, 0.2, samples).astype(np.float32)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    expected = extractor(waveform, sampling_rate=16000, return_tensors="np").input_values
    made = create("representation", "waveform", sample_rate=16000, samples=None, normalisation="standard").at(samples)
    features = made(torch.from_numpy(waveform)[None])
    np.testing.assert_allclose(features[:, 0], expected, atol=2e-6)
    assert made.unit == "standard deviations"
    assert torch.equal(made(torch.zeros(1, samples)), torch.zeros(1, 1, samples))
    assert torch.equal(made.masked_waveform(features[:, 0], torch.ones(1, 1, samples)), features[:, 0])


def test_any_length_or_one():
    assert create("representation", "waveform").length == Length(fixed=8000)
    made = create("representation", "waveform", samples="none", sample_rate=16000, normalisation="none", placement="start")
    assert (made.samples, made.length) == (16000, Length(minimum=2))
    other = made.at(123)
    assert (other.samples, other.sample_rate, other.placement, len(other.axes[0].centres)) == (123, 16000, "start", 123)
    assert torch.equal(other(torch.ones(1, 123)), torch.ones(1, 1, 123))


def test_the_way_back():
    waveforms = torch.from_numpy(speechlike())[None]
    representation = create("representation", "waveform")
    mask = torch.rand(1, 1, 8000, dtype=torch.float64)
    assert torch.equal(representation.amplitude(waveforms)[:, 0], waveforms.abs())
    assert torch.equal(representation.masked_waveform(waveforms, mask), waveforms * mask[:, 0])
    assert torch.equal(representation.to_waveform_relevance(waveforms, mask), mask[:, 0])


def test_attributes():
    representation = create("representation", "waveform", sample_rate=16000, samples=400, placement="centre")
    assert (representation.sample_rate, representation.samples, representation.placement) == (16000, 400, "centre")
    (axis,) = representation.axes
    assert (axis.name, axis.unit) == ("time", "s")
    np.testing.assert_allclose(axis.centres, np.arange(400) / 16000)


def test_wrong_shape_and_options_are_named():
    with pytest.raises(ModelError, match=r"\(2, 7999\); expected \(batch, 8000\)"):
        create("representation", "waveform")(torch.zeros(2, 7999))
    with pytest.raises(PluginError, match="guard"):
        create("representation", "waveform", guard=2.0)
    with pytest.raises(PluginError, match="^0 does not fit option 'sample_rate' .* expected int, 1 or more"):
        create("representation", "waveform", sample_rate=0)


def test_raw_is_the_sound_of_any_length_and_rate():
    raw = create("representation", "raw", sample_rate=44100)
    assert raw.length == Length(minimum=2)
    waveforms = torch.from_numpy(speechlike())[None]
    longer = raw.at(waveforms.shape[1])
    assert (longer.sample_rate, longer.placement, longer.unit) == (44100, "start", "full scale")
    assert torch.equal(longer(waveforms)[:, 0], waveforms)
    fixed = create("representation", "raw", samples=100, normalisation="standard")
    assert fixed.length == Length(fixed=100)
    assert float(fixed(torch.rand(1, 100)).var(unbiased=False)) == pytest.approx(1, abs=1e-5)


def test_a_network_of_ones_own_is_told_of_the_division():
    network = nn.Sequential(nn.Flatten(), nn.Linear(8000, 2))
    sound = torch.from_numpy(speechlike()).float()
    for name, said in (("waveform", True), ("waveform:normalisation=none", False), ("raw:sample_rate=8000,samples=8000", False)):
        remarks = explain(network, sound, sample_rate=8000, representation=name, explainer="gradient").remarks
        assert any("95th percentile" in remark for remark in remarks) == said


@pytest.mark.parametrize("name", ["waveform", "spectrogram", "log_mel"])
def test_waveforms_of_another_shape_are_refused(name):
    representation = create("representation", name)
    samples = representation.samples
    for shape in ((samples,), (2, 5), (1, 2, samples)):
        with pytest.raises(ModelError) as caught:
            representation(torch.zeros(shape))
        assert str(caught.value) == f"The {name} representation got waveforms {shape}; expected (batch, {samples})."
