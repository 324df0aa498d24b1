"""Intervals against a slow loop and by simulation, ranks against a double loop, chance against the binomial sum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from xaudio import DataError
from xaudio.measuring import statistics
from xaudio.measuring.statistics import Interval, require_enough
from xaudio.model.chance import above_chance, guessing
from xaudio.plugin import bootstrap_interval, ranks_with_ties

VALUES = arrays.arrays(np.float64, st.integers(16, 40), elements=st.floats(-1e3, 1e3), unique=True)


def slow_intervals(values, levels, draws, seed):
    """The bootstrap-t, one draw at a time."""
    rng, mean, root = np.random.default_rng(seed), np.mean(values), np.sqrt(len(values))
    studentised = []
    for _ in range(draws):
        drawn = rng.choice(values, len(values))
        studentised.append((np.mean(drawn) - mean) / (np.std(drawn) / root))
    shares = [((1 + level) / 2, (1 - level) / 2) for level in levels]
    return [[mean - np.quantile(studentised, share) * np.std(values) / root for share in pair] for pair in shares]


@pytest.mark.slow
def test_the_interval_is_that_of_a_slow_studentised_bootstrap():
    values, levels = np.random.default_rng(3).exponential(size=30), (0.8, 0.95)
    for level, (low, high) in zip(levels, slow_intervals(values, levels, 20_000, 1), strict=True):
        interval = bootstrap_interval(values, level=level, draws=20_000)
        assert interval.mean == pytest.approx(values.mean())
        assert interval.low == pytest.approx(low, abs=0.03 * (high - low))
        assert interval.high == pytest.approx(high, abs=0.03 * (high - low))


def test_the_interval_of_few_values_is_that_of_the_same_draws_by_hand():
    values = np.random.default_rng(5).exponential(size=16)
    drawn = values[np.random.default_rng(7).integers(16, size=(500, 16))]
    studentised = sorted((np.mean(row) - np.mean(values)) / np.std(row) for row in drawn)
    low, high = (np.mean(values) - studentised[position] * np.std(values) for position in (487, 12))  # 97.5 and 2.5 %
    assert bootstrap_interval(values, draws=500, seed=7) == pytest.approx((values.mean(), low, high))


def test_the_fewest_values_that_have_an_interval_have_one():
    assert bootstrap_interval([0.0] * 25 + [1, 2, 3, 4, 5]).mean == 0.5
    require_enough(8)
    with pytest.raises(DataError, match="7 recordings are too few"):
        require_enough(7)


DISTRIBUTIONS = {
    "normal": (lambda rng, size: rng.normal(size=size), 0),
    "uniform": (lambda rng, size: rng.random(size), 0.5),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1),
    "lognormal": (lambda rng, size: rng.lognormal(0, 1, size), np.exp(0.5)),
    "U-shaped": (lambda rng, size: rng.beta(0.5, 0.5, size), 0.5),
    "near 0": (lambda rng, size: rng.beta(0.2, 2, size), 0.2 / 2.2),
    "mostly 0": (lambda rng, size: (rng.random(size) < 0.5) * rng.random(size), 0.25),
    "heavy tails": (lambda rng, size: rng.standard_t(3, size), 0),
}


@pytest.mark.sweep
@pytest.mark.parametrize("count", [16, 32])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_it_covers_the_true_mean_about_as_often_as_it_says(name, count):
    """Of 95 %, in 500 samples no less than 88 % whatever the distribution; the bootstrap of the means alone covers 82 %."""
    draw, mean = DISTRIBUTIONS[name]
    rng = np.random.default_rng(0)
    covered, given_ = 0, 0
    for seed in range(500):
        try:
            _, low, high = bootstrap_interval(draw(rng, count), draws=400, seed=seed)
        except DataError:
            continue
        given_ += 1
        covered += low <= mean <= high
    assert given_ > 400
    assert covered / given_ > 0.88


@pytest.mark.sweep
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("count", [8, 16, 32, 64])
def test_rare_events_have_an_interval_that_covers_or_none(count, share):
    rng = np.random.default_rng(1)
    missed = 0
    for seed in range(400):
        try:
            _, low, high = bootstrap_interval((rng.random(count) < share).astype(float), draws=400, seed=seed)
        except DataError:
            continue
        missed += not low <= share <= high
    assert missed / 400 < 0.1


@pytest.mark.slow
@settings(max_examples=50)
@given(values=VALUES, scale=st.floats(0.1, 10), shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_it_moves_with_the_values(values, scale, shift, seed):
    interval = bootstrap_interval(values, draws=50, seed=seed)
    assert interval.low <= interval.mean <= interval.high
    assert interval == bootstrap_interval(values, draws=50, seed=seed)
    if np.ptp(values) < 1e-3:
        return  # rounding of the shifted values
    moved = bootstrap_interval(scale * values + shift, draws=50, seed=seed)
    np.testing.assert_allclose(moved, [scale * bound + shift for bound in interval], rtol=1e-6, atol=1e-6)


def test_it_depends_on_the_seed_and_not_on_how_many_values_are_drawn_at_a_time(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    interval = bootstrap_interval(values, seed=1)
    assert interval != bootstrap_interval(values, seed=2)
    monkeypatch.setattr(statistics, "_CELLS", 700)
    assert bootstrap_interval(values, seed=1) == pytest.approx(interval)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(15), r"15 recordings are too few for an interval; expected 16 or more\."),
        ([], "0 recordings are too few"),
        (np.full(20, 0.1), "20 of 20 values are the same: too few differ for an interval; expected 5 or more"),
        ([0.0] * 26 + [1, 2, 3, 4], "26 of 30 values are the same"),
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
