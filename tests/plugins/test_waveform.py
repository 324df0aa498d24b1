"""The waveform representation, against numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from xaudio import ModelError, PluginError, create


def speechlike(samples=8000, start=1500, stop=6000, seed=0):
    """A decaying harmonic sound within exact zeros, with more noise at the end."""
    time = np.arange(stop - start) / 8000
    sound = sum(np.sin(2 * np.pi * 140 * k * time + k) / k for k in range(1, 12)) * np.exp(-4 * time)
    sound += 0.02 * np.random.default_rng(seed).normal(size=stop - start)
    waveform = np.zeros(samples)
    waveform[start:stop] = 0.5 * sound / np.abs(sound).max()
    return waveform


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_published_normalisation_in_16_bit_units(dtype):
    integers = np.stack([np.round(32767 * speechlike(seed=seed)) for seed in range(3)])
    published = integers / (np.percentile(integers, 95, axis=1, keepdims=True) + 0.001)
    features = create("representation", "waveform", guard=0.0)(torch.from_numpy(integers / 32768).to(dtype))
    assert features.shape == (3, 1, 8000)
    assert features.dtype == dtype
    np.testing.assert_allclose(features[:, 0], published, rtol=1e-14 if dtype == torch.float64 else 1e-6, atol=0)


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


def test_is_differentiable():
    waveforms = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 30))).requires_grad_()
    assert torch.autograd.gradcheck(create("representation", "waveform", samples=30), waveforms)


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
