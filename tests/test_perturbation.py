"""Pixel flipping against the loop one would write."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import xaudio
from xaudio import Classifier, ModelError
from xaudio.perturbation import counts, flipped_logits, ranks


class Reads(nn.Module):
    sample_rate, samples, placement, unit = 8000, 40, "start", ""
    axes = (xaudio.Axis("time", "s", np.arange(40) / 8000),)

    def forward(self, waveforms):
        return waveforms[:, None]


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 4), nn.Dropout(0.5))
    return Classifier(network, Reads(), tuple("abcd"))


def naive(classifier, features, scores, fractions, share):
    """One recording and one fraction at a time."""
    classifier.network.eval()
    found = torch.zeros(len(features), len(fractions), 4)
    for i in range(len(features)):
        cells = features[i].flatten().tolist()
        values = scores[i].flatten().tolist()
        alive = [j for j, cell in enumerate(cells) if cell != 0]
        alive.sort(key=lambda j: -values[j])
        dead = [j for j, cell in enumerate(cells) if cell == 0]
        total = len(alive) if share == "nonzero" else len(cells)
        for k, fraction in enumerate(fractions):
            changed = features[i].flatten().clone()
            for j in (alive + dead)[: round(fraction * total)]:
                changed[j] = 0
            with torch.no_grad():
                found[i, k] = classifier.network(changed.view(1, 1, -1))[0]
    return found


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), share=st.sampled_from(["nonzero", "all"]), batch_size=st.integers(1, 30))
def test_it_equals_the_naive_loop(classifier, seed, share, batch_size):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 1, 40, generator=generator)
    features[0, 0, :13] = 0
    scores = torch.randint(-3, 3, (3, 1, 40), generator=generator).float()  # with ties
    fractions = [0, 0.01, 0.1, 0.29, 0.5, 1]
    fast = flipped_logits(classifier, features, scores, fractions, share=share, batch_size=batch_size)
    assert torch.allclose(fast, naive(classifier, features, scores, fractions, share), atol=1e-6)


def test_ranks_are_a_permutation_with_zeros_last():
    features = torch.tensor([[[1.0, 0.0, 2.0, 3.0]]])
    assert ranks(torch.tensor([[[5.0, 9.0, 7.0, 6.0]]]), features).tolist() == [[2, 3, 0, 1]]


def test_counts_round_to_the_nearest():
    features = torch.ones(1, 1, 100)
    features[..., :50] = 0
    assert counts(features, [0.0, 0.29, 0.57, 1.0], "nonzero").tolist() == [[0, 14, 28, 50]]
    assert counts(features, [0.29, 0.57], "all").tolist() == [[29, 57]]


def test_wrong_input_is_named(classifier):
    features = torch.ones(1, 1, 40)
    with pytest.raises(ModelError, match="expected that of the features"):
        flipped_logits(classifier, features, torch.ones(1, 40), [0.5])
    with pytest.raises(ModelError, match=r"must lie in \[0, 1\]"):
        flipped_logits(classifier, features, features, [1.5])


def test_the_network_keeps_its_mode(classifier):
    classifier.network.train()
    flipped_logits(classifier, torch.ones(1, 1, 40), torch.ones(1, 1, 40), [0.5])
    assert classifier.network.training
