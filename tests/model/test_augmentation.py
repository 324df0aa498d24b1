"""What training does to recordings: moved, partly hidden, mixed; nothing where it is not asked for."""

import numpy as np
import pytest
import torch

from xaudio import PluginError
from xaudio.model.augmentation import WIDEST_MASK, at_other_speed, hidden, mixed, shifted
from xaudio.model.loss import loss_of, losses_of
from xaudio.model.settings import settings_for


@pytest.fixture(autouse=True)
def _same_draws():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_recordings_are_moved_in_a_circle_by_at_most_the_share():
    waveforms = torch.arange(200).expand(50, 200).clone()
    moved = shifted(waveforms, 0.1)
    moves = moved[:, 0]
    for row, first in enumerate(moves.tolist()):
        assert torch.equal(moved[row], waveforms[row].roll(-first))
    steps = torch.minimum(moves, 200 - moves)
    assert 10 < int(steps.max()) <= 20
    assert len(moves.unique()) > 10
    assert shifted(waveforms, 0) is waveforms


def test_recordings_are_played_slower_or_faster_around_their_middle():
    time = torch.arange(1001, dtype=torch.float64) - 500
    waveforms = torch.sin(2 * torch.pi * 0.01 * time).expand(40, 1001)
    changed = at_other_speed(waveforms, 0.2)
    spectra = torch.fft.rfft(changed[:, 250:750] * torch.hann_window(500), n=20_000).abs()
    frequencies = spectra.argmax(1) / 20_000
    assert 0.0079 < float(frequencies.min()) < 0.009
    assert 0.011 < float(frequencies.max()) < 0.0121
    assert changed[:, 500].abs().max() < 1e-9
    fast = changed[frequencies > 0.0101]
    assert (fast[:, 0] == 0).all()  # played faster, it ends within its window
    assert at_other_speed(waveforms, 0) is waveforms
    assert at_other_speed(torch.ones(2, 1), 0.1).shape == (2, 1)


def test_ranges_of_each_axis_are_hidden_by_the_mean():
    features = torch.rand(30, 1, 40, 50)
    changed = hidden(features, 1)
    for before, after in zip(features[:, 0], changed[:, 0], strict=True):
        other = before != after
        assert torch.allclose(after[other], before.mean(), atol=0.1)
        rows, columns = other.all(1), other.all(0)
        assert torch.equal(other, rows[:, None] | columns[None])  # whole rows and whole columns, nothing else
        assert rows.sum() <= np.ceil(WIDEST_MASK * 40)
        assert columns.sum() <= np.ceil(WIDEST_MASK * 50)
    assert hidden(features, 0) is features
    assert hidden(torch.rand(4, 1, 30), 2).shape == (4, 1, 30)


def test_recordings_are_mixed_with_others_and_their_own_share_is_the_larger():
    features = torch.rand(64, 1, 5, 6, dtype=torch.float64)
    both, others, shares = mixed(features, 0.4)
    weights = shares[:, None, None, None]
    torch.testing.assert_close(both, weights * features + (1 - weights) * features[others])
    assert float(shares.min()) >= 0.5
    assert sorted(others.tolist()) == list(range(64))
    same, _, whole = mixed(features, 0)
    assert same is features
    assert whole.eq(1).all()


@pytest.mark.parametrize("name", ["shift", "speed", "masks", "mixup", "weight_decay"])
def test_by_default_nothing_is_done(name):
    assert getattr(settings_for(object(), {}), name) == 0
    with pytest.raises(PluginError, match=name):
        settings_for(object(), {name: -1})


@pytest.mark.parametrize("labels", [torch.tensor([2, 0, 1, 1]), torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])])
def test_losses_of_recordings_have_the_loss_as_their_mean(labels):
    logits = torch.randn(4, 3)
    torch.testing.assert_close(losses_of(logits, labels).mean(), loss_of(logits, labels))
    assert losses_of(logits, labels).shape == (4,)


@pytest.mark.parametrize("change", [shifted, at_other_speed])
def test_channels_of_a_recording_are_changed_alike(change):
    waveforms = torch.randn(5, 2, 301)
    with torch.random.fork_rng():
        both = change(waveforms, 0.2)
    first, second = [], []
    for channel, kept in ((0, first), (1, second)):
        with torch.random.fork_rng():
            kept.append(change(waveforms[:, channel], 0.2))
    assert torch.equal(both, torch.stack([first[0], second[0]], 1))
    assert not torch.equal(both, waveforms)
