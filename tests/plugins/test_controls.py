"""The controls."""

import pytest
import torch
from torch import nn

from xaudio import create
from xaudio.plugin import Sound


@pytest.fixture
def features():
    return torch.randn(4, 1, 30, 20, generator=torch.Generator().manual_seed(0))


def explain(features, **options):
    return create("explainer", "random", **options)(nn.Identity(), features, torch.zeros(len(features), dtype=torch.int64))


def test_random_relevance_does_not_depend_on_the_batch(features):
    together = explain(features)
    assert together.shape == features.shape
    assert torch.equal(together, torch.cat([explain(features[i : i + 1]) for i in range(4)]))
    assert torch.equal(together[[2, 0]], explain(features[[2, 0]]))


def test_random_relevance_depends_on_the_recording_and_the_seed(features):
    relevance = explain(features)
    assert not torch.equal(relevance[0], relevance[1])
    assert not torch.equal(relevance, explain(features, seed=1))
    assert torch.equal(relevance, explain(features, seed=0))
    assert explain(features, seed=-1).shape == features.shape


def test_random_relevance_is_uniform_and_leaves_torchs_generator_alone(features):
    state = torch.get_rng_state()
    relevance = explain(features)
    assert torch.equal(state, torch.get_rng_state())
    assert relevance.min() >= -1
    assert relevance.max() < 1
    assert relevance.mean().abs() < 0.05
    assert relevance.var().item() == pytest.approx(1 / 3, rel=0.1)


def test_random_relevance_is_the_same_in_another_precision_and_memory_order(features):
    exact = explain(features.double())
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact.float(), explain(features), rtol=0, atol=1e-7)
    assert torch.equal(explain(features.to(memory_format=torch.channels_last).mT.contiguous().mT), explain(features))


@pytest.mark.parametrize("name", ["waveform", "spectrogram"])
def test_amplitude_is_that_of_the_sound(name):
    representation = create("representation", name)
    waveforms = 0.1 * torch.randn(2, 8000, requires_grad=True)
    features = representation(waveforms) - 7
    sound = Sound(waveforms, representation, representation)
    relevance = create("explainer", "amplitude")(nn.Identity(), features, torch.zeros(2, dtype=torch.int64), sound=sound)
    assert relevance.shape == features.shape
    assert not relevance.requires_grad
    assert relevance.min() >= 0
    assert torch.equal(relevance, representation.amplitude(waveforms))
