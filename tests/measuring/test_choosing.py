"""Some of many recordings, evenly spread."""

import numpy as np
import pytest

from xaudio.measuring.statistics import tails
from xaudio.plugin import evenly, spread


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 99, 200])
def test_so_many_each_once_and_in_order(size, count):
    indices = 3 * np.arange(size)
    for chosen in (evenly(indices, count), spread(indices, count, None), spread(indices, count, 0)):
        assert len(chosen) == min(size, count)
        assert (np.diff(chosen) > 0).all()
        assert set(chosen) <= set(indices)


def test_the_first_and_the_last_or_the_first_of_each_part():
    assert evenly(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert spread(np.arange(10), 4, None).tolist() == [0, 2, 5, 7]
    assert len(evenly(np.arange(0), 4)) == 0


def test_what_is_left_out_is_the_same_on_both_sides():
    assert tails(0.95) == pytest.approx((0.025, 0.975))
