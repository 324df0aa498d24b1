"""Intervals against scipy and by their properties, ranks against a double loop, chance against the binomial sum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import bootstrap

from xaudio import DataError, bootstrap_interval, ranks_with_ties, statistics
from xaudio.statistics import Interval, above_chance, guessing

VALUES = arrays.arrays(np.float64, st.integers(8, 40), elements=st.floats(-1e3, 1e3))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_that_of_scipys_percentile_bootstrap(level):
    values = np.random.default_rng(3).exponential(size=30)
    found = bootstrap_interval(values, level=level, draws=20_000)
    expected = bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    spread = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.03 * spread)
    assert found.high == pytest.approx(expected.high, abs=0.03 * spread)


def test_it_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(2, 1, 40), draws=400, seed=seed) for seed in range(300)]
    covered = np.mean([found.low <= 2 <= found.high for found in intervals])
    assert 0.89 < covered < 0.98


@settings(max_examples=50)
@given(values=VALUES, scale=st.floats(0.1, 10), shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_it_moves_with_the_values(values, scale, shift, seed):
    found = bootstrap_interval(values, draws=50, seed=seed)
    assert found.low <= found.mean <= found.high
    assert found == bootstrap_interval(values, draws=50, seed=seed)
    moved = bootstrap_interval(scale * values + shift, draws=50, seed=seed)
    np.testing.assert_allclose(moved, [scale * bound + shift for bound in found], rtol=1e-9, atol=1e-6)


def test_it_depends_on_the_seed_and_not_on_how_many_values_are_drawn_at_a_time(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    found = bootstrap_interval(values, seed=1)
    assert found != bootstrap_interval(values, seed=2)
    monkeypatch.setattr(statistics, "_CELLS", 700)
    assert bootstrap_interval(values, seed=1) == pytest.approx(found)


def test_equal_values_have_an_interval_of_no_width():
    assert bootstrap_interval(np.full(9, 0.1)) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(7), r"7 recordings are too few for an interval; expected 8 or more\."),
        ([], "0 recordings are too few"),
        ([1.0] * 8 + [np.nan], "needs finite values"),
        (np.ones((8, 2)), r"got shape \(8, 2\)"),
    ],
)
def test_what_has_no_interval_is_one_line(values, message):
    with pytest.raises(DataError, match=message) as caught:
        bootstrap_interval(values)
    assert "\n" not in str(caught.value)


def slow_ranks(intervals, better):
    ranks = []
    for mine in intervals:
        beaten_by = 0
        for other in intervals:
            if mine is not None and other is not None:
                beaten_by += other.low > mine.high if better == "higher" else other.high < mine.low
        ranks.append(None if mine is None else 1 + beaten_by)
    return ranks


INTERVALS = st.lists(
    st.none()
    | st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)).map(lambda t: Interval(t[0], t[0] - t[1], t[0] + t[2])),
    max_size=8,
)


@given(intervals=INTERVALS, better=st.sampled_from(["higher", "lower"]))
def test_ranks_are_those_of_a_double_loop(intervals, better):
    assert ranks_with_ties(intervals, better) == slow_ranks(intervals, better)


def test_ranks_tie_where_intervals_overlap():
    first, second, third = Interval(0.9, 0.8, 1.0), Interval(0.75, 0.7, 0.82), Interval(0.5, 0.4, 0.6)
    assert ranks_with_ties([third, None, second, first], "higher") == [3, None, 1, 1]
    assert ranks_with_ties([third, second, first], "lower") == [1, 2, 2]
    assert ranks_with_ties([third, first], "none") == [None, None]
    assert ranks_with_ties([], "higher") == []
    assert ranks_with_ties([None], "lower") == [None]


@given(recordings=st.integers(1, 30), chance=st.floats(0.01, 0.99), data=st.data())
def test_chance_is_the_sum_of_the_binomial_distribution(recordings, chance, data):
    right = data.draw(st.integers(0, recordings))
    terms = (math.comb(recordings, k) * chance**k * (1 - chance) ** (recordings - k) for k in range(right, recordings + 1))
    assert above_chance(right, recordings, chance) == pytest.approx(math.fsum(terms), rel=1e-6)


def test_always_naming_the_commonest_label():
    assert guessing([0, 1, 1, 2]) == 0.5
    assert guessing([3, 3]) == 1
    assert above_chance(2, 2, guessing([3, 3])) == 1
