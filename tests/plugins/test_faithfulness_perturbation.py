"""Pixel flipping against the loop one would write."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import xaudio
import xaudio.plugin
from xaudio import Model, ModelError
from xaudio_faithfulness._perturbation import counts, flipped_logits, logits_without, ranks, scaled_frequencies, tied


class Reads(nn.Module):
    sample_rate, samples, placement, unit = 8000, 40, "start", ""
    axes = (xaudio.plugin.Axis("time", "s", np.arange(40) / 8000),)

    def forward(self, waveforms):
        return waveforms[:, None]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 4), nn.Dropout(0.5))
    return Model(network, Reads(), tuple("abcd"))


def naive(model, features, scores, fractions, share):
    """One recording and one fraction at a time."""
    model.network.eval()
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
                found[i, k] = model.network(changed.view(1, 1, -1))[0]
    return found


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), share=st.sampled_from(["nonzero", "all"]), batch_size=st.integers(1, 30))
def test_it_equals_the_naive_loop(model, seed, share, batch_size):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 1, 40, generator=generator)
    features[0, 0, :13] = 0
    scores = torch.randint(-3, 3, (3, 1, 40), generator=generator).float()  # with ties
    fractions = [0, 0.01, 0.1, 0.29, 0.5, 1]
    fast = flipped_logits(model, features, scores, fractions, share=share, batch_size=batch_size)
    assert torch.allclose(fast, naive(model, features, scores, fractions, share), atol=1e-6)


def test_ranks_are_a_permutation_with_zeros_last():
    features = torch.tensor([[[1.0, 0.0, 2.0, 3.0]]])
    assert ranks(torch.tensor([[[5.0, 9.0, 7.0, 6.0]]]), features).tolist() == [[2, 3, 0, 1]]


@given(cells=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=12), data=st.data())
def test_equal_scores_are_ranked_by_the_order_of_ties(cells, data):
    """Sorted as one would write it; cells that are zero last, whatever their score."""
    scores = torch.tensor([[[float(score) for score, _ in cells]]])
    features = torch.tensor([[[float(feature) for _, feature in cells]]])
    ties = data.draw(st.permutations(range(len(cells))))
    for order in (ties, range(len(cells))):
        expected = sorted(order, key=lambda cell: -cells[cell][0] if cells[cell][1] else 1)
        given_order = torch.tensor(ties) if order is ties else None
        assert ranks(scores, features, given_order)[0].argsort().tolist() == expected


@given(
    cells=st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 3)), min_size=1, max_size=12),
    fractions=st.lists(st.floats(0, 1), min_size=1, max_size=3),
    order=st.sampled_from(["descending", "ascending"]),
    share=st.sampled_from(["nonzero", "all"]),
    data=st.data(),
)
def test_tied_are_those_of_which_another_order_of_equal_scores_takes_other_cells(cells, fractions, order, share, data):
    scores = torch.tensor([[[float(score) for score, _ in cells]]])
    features = torch.tensor([[[float(feature) for _, feature in cells]]])
    ties = torch.tensor(data.draw(st.permutations(range(len(cells)))))
    most = int((features != 0).sum())
    taken = [min(most, count) for count in counts(features, fractions, share)[0].tolist()]
    one, other = (
        [set(cells_in_order[:count] if order == "descending" else cells_in_order[most - count : most]) for count in taken]
        for cells_in_order in (ranks(scores, features, drawn)[0].argsort().tolist() for drawn in (ties, ties.flip(0)))
    )
    differ = [cells != others for cells, others in zip(one, other, strict=True)]
    assert tied(scores, features, fractions, [order], share).tolist() == [[differ]]


def test_counts_round_to_the_nearest():
    features = torch.ones(1, 1, 100)
    features[..., :50] = 0
    assert counts(features, [0.0, 0.29, 0.57, 1.0], "nonzero").tolist() == [[0, 14, 28, 50]]
    assert counts(features, [0.29, 0.57], "all").tolist() == [[29, 57]]


def test_wrong_input_is_named(model):
    features = torch.ones(1, 1, 40)
    with pytest.raises(ModelError, match="expected that of the features"):
        flipped_logits(model, features, torch.ones(1, 40), [0.5])
    with pytest.raises(ModelError, match=r"must lie in \[0, 1\]"):
        flipped_logits(model, features, features, [1.5])


def test_the_network_keeps_its_mode(model):
    model.network.train()
    flipped_logits(model, torch.ones(1, 1, 40), torch.ones(1, 1, 40), [0.5])
    assert model.network.training


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


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), share=st.sampled_from(["nonzero", "all"]), batch_size=st.integers(1, 30))
def test_both_orders_equal_the_naive_loop(model, seed, share, batch_size):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 1, 40, generator=generator)
    features[0, 0, :13] = 0
    features[1] = 0
    scores = torch.randn(3, 1, 40, generator=generator)
    fractions = [0.5, 0, 0.01, 1, 0.29]

    def without(recordings, removed):
        return features[recordings] * ~removed

    found = logits_without(
        model,
        scores,
        features != 0,
        fractions,
        without,
        orders=["ascending", "descending"],
        share=share,
        batch_size=batch_size,
    )
    assert found.shape == (3, 2, 5, 4)
    assert torch.allclose(found[:, 0], naive(model, features, -scores, fractions, share), atol=1e-6)
    assert torch.allclose(found[:, 1], naive(model, features, scores, fractions, share), atol=1e-6)


def test_nothing_is_classified_twice_and_batches_are_full(model):
    features, seen = torch.randn(5, 1, 40), []
    features[0, 0, 2:] = 0  # of two cells, half is one

    def without(recordings, removed):
        seen.append(torch.cat([recordings[:, None], removed.flatten(1)], dim=1))
        return features[recordings] * ~removed

    fractions = [0, 0.25, 0.5, 0.75, 1]
    logits_without(model, features, features, fractions, without, orders=["descending", "ascending"], share="all", batch_size=7)
    assert {len(batch) for batch in seen[:-1]} == {7}
    jobs = torch.cat(seen)
    assert len(jobs) == len(jobs.unique(dim=0)) == 4 * (3 + 3 + 2) + 2  # the first recording: as it is, and without both


def test_only_what_is_wanted_is_classified(model):
    features, seen = torch.randn(3, 1, 40), []

    def without(recordings, removed):
        seen.append(len(recordings))
        return features[recordings] * ~removed

    only = torch.zeros(3, 2, 4, dtype=torch.bool)
    only[0, 0, 1] = only[2, 1, 3] = only[2, 0, 0] = True
    both = ["descending", "ascending"]
    fractions = [0, 0.25, 0.5, 0.75]
    every = logits_without(model, features, features, fractions, without, orders=both)
    seen.clear()
    some = logits_without(model, features, features, fractions, without, orders=both, only=only)
    assert sum(seen) == 3
    assert torch.allclose(some[only], every[only], atol=1e-6)
    assert some[~only].isnan().all()


def test_equal_scores_go_by_position_in_both_orders(model):
    removed = []

    def without(recordings, gone):
        removed.extend(gone.flatten(1).nonzero()[:, 1].tolist())
        return torch.zeros(len(recordings), 1, 40)

    some = torch.zeros(1, 1, 40)
    some[..., :4] = 1
    logits_without(model, torch.ones(1, 1, 40), some, [0.25], without, orders=["descending"])
    logits_without(model, torch.ones(1, 1, 40), some, [0.25], without, orders=["ascending"])
    assert removed == [0, 3]
