"""Pixel flipping against the loop one would write."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import xaudio
from xaudio import Classifier, ModelError
from xaudio.perturbation import counts, flipped_logits, ranks, scaled_frequencies


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


@pytest.mark.parametrize("scale", ["dB", "magnitude"])
@pytest.mark.parametrize("factor", [0.66, 1.0, 1.5, 2.0])
def test_frequencies_move_as_numpy_interpolates(factor, scale):
    levels = -80 * torch.rand(2, 1, 31, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = scaled_frequencies(levels, torch.full((2,), factor), scale=scale)
    bins = np.arange(31)
    for recording in range(2):
        for frame in range(5):
            column = levels[recording, 0, :, frame].numpy()
            values = column if scale == "dB" else 10 ** (column / 20)
            expected = np.interp(bins / factor, bins, values)
            expected = expected if scale == "dB" else 20 * np.log10(expected)
            expected[bins / factor > 30] = levels[recording].min()
            assert np.allclose(moved[recording, 0, :, frame].numpy(), expected, atol=1e-9)


def test_a_factor_of_one_changes_nothing():
    levels = -80 * torch.rand(3, 1, 227, 4)
    assert torch.equal(scaled_frequencies(levels, torch.ones(3)), levels)


def test_a_tone_moves_to_its_multiple():
    levels = torch.full((2, 1, 100, 3), -80.0)
    levels[:, :, 20] = 0
    moved = scaled_frequencies(levels, torch.tensor([1.5, 0.5]), fill="edge")
    assert moved[0, 0, :, 0].argmax() == 30
    assert moved[1, 0, :, 0].argmax() == 10
    nearest = scaled_frequencies(levels, torch.tensor([1.5, 0.5]), order=0)
    assert set(nearest.unique().tolist()) == {-80.0, 0.0}


def test_a_factor_that_is_not_positive_is_refused():
    with pytest.raises(ModelError, match="must be positive"):
        scaled_frequencies(torch.zeros(1, 1, 4, 4), torch.zeros(1))
