"""Groups of explanations: the test against slow textbook versions, its error rate, and the command."""

import csv
import inspect
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import ttest_ind

import xaudio
import xaudio_patterns
from xaudio import Clip, DataError, Explanation, ModelError, PluginError
from xaudio.cli.app import app
from xaudio.plugin import Axis
from xaudio_patterns import commands_cluster, commands_groups
from xaudio_patterns.cells import relevance_cells
from xaudio_patterns.pages import findings_of
from xaudio_patterns.permutation import (
    _random_arrangements,
    _skewness,
    all_arrangements,
    doubt,
    number_of_arrangements,
    permutation_test,
)
from xaudio_patterns.results import GroupRelevance

RATE, SAMPLES = 1000, 200


def explanation(relevance, *, speaker="s0", sex=0, target=0, offset=0, samples=SAMPLES, start=0, source="some.wav"):
    """Relevance (samples,) of a recording of noise that lies at an offset within the zeros."""
    waveform = np.zeros(SAMPLES, np.float32)
    waveform[offset : offset + samples] = 0.1 * np.random.default_rng(1).standard_normal(samples)
    made = xaudio.create("representation", "waveform", sample_rate=RATE, samples=SAMPLES)
    return Explanation(
        clip=Clip(waveform, RATE, labels={"yes": target, "sex": sex}, speaker=speaker, source=source),
        features=waveform[None],
        relevance=np.asarray(relevance, dtype=np.float32)[None],
        axes=(Axis("time", "s", np.arange(SAMPLES) / RATE),),
        logits=np.array([1.0, 0.0]) if target == 0 else np.array([0.0, 1.0]),
        classes=("yes", "no"),
        target=target,
        task="yes",
        provenance={
            "placement": {"offset": offset, "samples": samples, "start": start},
            "explainer": {"name": "mine", "given": {}},
        },
        _representation=made,
    )


def corpus(speakers=10, each=4, effect=0.0, seed=0):
    """Recordings of speakers of two sexes; the relevance of women is larger in the last fifth, speakers differ anyhow."""
    rng = np.random.default_rng(seed)
    found = []
    for speaker in range(speakers):
        own = rng.random(SAMPLES)
        for recording in range(each):
            relevance = own + 0.3 * rng.random(SAMPLES)
            relevance[160:] += effect * (speaker % 2)
            name = f"s{speaker:02d}"
            found.append(
                explanation(relevance, speaker=name, sex=speaker % 2, target=recording % 2, source=f"{name}_{recording}")
            )
    return found


# The cells


def slow_cells(item, edges, start):
    """Relevance summed in bins of time, sample by sample."""
    cells = [0.0] * (len(edges) - 1)
    for index, value in enumerate(item.relevance[0]):
        time = (index - start) / RATE
        for cell, (low, high) in enumerate(itertools.pairwise(edges)):
            if low - 1e-9 <= time < high - 1e-9:
                cells[cell] += float(value)
    return np.array(cells)


@pytest.mark.parametrize("align", ["start", "window"])
def test_cells_sum_the_relevance_from_the_start_of_each_recording(align):
    rng = np.random.default_rng(0)
    items = [explanation(rng.standard_normal(SAMPLES), offset=offset, samples=100 + offset) for offset in (0, 17, 50)]
    cells = relevance_cells(items, "time", align=align, time_bins=7, normalise="none")
    (axis,) = cells.axes
    assert axis.edges[0] == 0
    assert axis.edges[-1] == pytest.approx(0.15 if align == "start" else 0.199)
    for item, offset, found in zip(items, (0, 17, 50), cells.values, strict=True):
        edges = [*axis.edges[:-1], axis.edges[-1] + 1e-6]  # the last sample belongs to the last bin
        slow = slow_cells(item, edges, offset if align == "start" else 0)
        np.testing.assert_allclose(found, slow, atol=1e-5)


def test_cells_count_from_the_start_of_a_recording_that_was_cut():
    """Of the same recording, one model heard all, another from sample 30 on: the cells are the same."""
    whole, cut = np.zeros(SAMPLES), np.zeros(SAMPLES)
    whole[[35, 120]], cut[[10 + 5, 10 + 90]] = (3, 1), (3, 1)
    items = [explanation(whole, samples=180), explanation(cut, offset=10, samples=150, start=30)]
    cells = relevance_cells(items, "time", time_bins=9)
    assert cells.axes[0].edges[-1] == pytest.approx(0.18)
    assert cells.values.tolist() == [[0, 0.75, 0, 0, 0, 0, 0.25, 0, 0]] * 2
    # A share of the duration is one of what was heard.
    assert relevance_cells(items[1:], "time", align="duration", time_bins=3).values.tolist() == [[0.75, 0.25, 0]]
    assert cells.outside == 0


def test_cells_of_the_duration_stretch_each_recording():
    one, other = np.zeros(SAMPLES), np.zeros(SAMPLES)
    one[50], other[20 + 25] = 1, 1  # both in the middle
    items = [explanation(one, samples=100), explanation(other, offset=20, samples=50)]
    cells = relevance_cells(items, "time", align="duration", time_bins=5)
    assert cells.values.tolist() == [[0, 0, 1, 0, 0]] * 2
    assert cells.axes[0].unit == "of the duration"
    cut = explanation(one, samples=100, start=300)  # of a longer recording, whose end was cut too
    assert relevance_cells([cut], "time", align="duration", time_bins=5).values.tolist() == [[0, 0, 1, 0, 0]]


def test_what_lies_outside_the_recordings_is_counted():
    relevance = (-1.0) ** np.arange(SAMPLES)  # by its magnitude
    cells = relevance_cells([explanation(relevance, offset=100, samples=50)], "time")
    assert cells.outside == pytest.approx(1 - 51 / 200, abs=1e-6)  # the sample on the end counts
    assert relevance_cells([explanation(relevance, offset=100, samples=50)], "time", align="window").outside == 0


@pytest.mark.parametrize(("view", "shape"), [("time", (64,)), ("frequency", (64,)), ("time-frequency:length=32,hop=8", (17, 24))])
def test_each_view_has_a_modest_grid_and_keeps_the_sum(view, shape):
    items = corpus(2, 2)
    cells = relevance_cells(items, view, normalise="none")
    assert cells.values.shape == (4, *shape)
    if view != "time-frequency:length=32,hop=8":  # there, frames reach beyond the recording
        np.testing.assert_allclose(cells.rows.sum(1), [item.relevance.sum() for item in items], rtol=1e-5)
    assert [len(axis.centres) for axis in cells.axes] == list(shape)


def test_normalisation():
    relevance = np.zeros(SAMPLES)
    relevance[[10, 30, 90]] = 6, -3, 1
    items = [explanation(relevance), explanation(100 * relevance), explanation(0 * relevance)]
    rows = {way: relevance_cells(items, "time", normalise=way, time_bins=10) for way in ("magnitude", "positive", "none")}
    assert rows["magnitude"].rows[0, [0, 1, 4]] == pytest.approx([0.6, -0.3, 0.1])
    assert rows["positive"].rows[0, [0, 1, 4]] == pytest.approx([6 / 7, 0, 1 / 7])
    assert rows["none"].rows[1, [0, 1, 4]] == pytest.approx([600, -300, 100])
    np.testing.assert_allclose(rows["magnitude"].rows[0], rows["magnitude"].rows[1])
    assert not rows["magnitude"].rows[2].any()
    assert [found.silent for found in rows.values()] == [1, 1, 1]


# The test


def t_statistic(one, other):
    """Student's t of two samples."""
    pooled = (np.sum((one - one.mean()) ** 2) + np.sum((other - other.mean()) ** 2)) / (len(one) + len(other) - 2)
    return (one.mean() - other.mean()) / np.sqrt(pooled * (1 / len(one) + 1 / len(other)))


def welch_deviate(one, other):
    """Magnitude of Welch's t (scipy's), as a normal deviate by Wallace's formula."""
    t = ttest_ind(one, other, equal_var=False)
    return (8 * t.df + 1) / (8 * t.df + 3) * np.sqrt(t.df * np.log1p(t.statistic**2 / t.df))


def slow_permutation_test(values, groups):
    """Exact p-values by Welch's t, one arrangement and one cell after the other."""
    units, cells = values.shape
    observed = [welch_deviate(values[groups == 0, cell], values[groups == 1, cell]) for cell in range(cells)]
    p, corrected, count = np.zeros(cells), np.zeros(cells), 0
    for chosen in itertools.combinations(range(units), int((groups == 0).sum())):
        first = np.isin(np.arange(units), chosen)
        found = [welch_deviate(values[first, cell], values[~first, cell]) for cell in range(cells)]
        p += np.array(found) >= np.array(observed) - 1e-9
        corrected += max(found) >= np.array(observed) - 1e-9
        count += 1
    return p / count, corrected / count


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 4))
def test_the_exact_test_is_that_of_welchs_t(seed, first, second):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((first + second, 3))
    values[:first, 0] += 2
    groups = np.repeat([0, 1], [first, second])
    found = permutation_test(values, groups)
    p, corrected = slow_permutation_test(values, groups)
    assert found.exact
    np.testing.assert_allclose(found.p[0], p)
    np.testing.assert_allclose(found.p_corrected[0], corrected)
    r = found.correlation[0, 0]
    t = t_statistic(values[groups == 0, 0], values[groups == 1, 0])
    assert r * np.sqrt((len(groups) - 2) / (1 - r**2)) == pytest.approx(t)


NORMAL, SKEWED = (lambda rng, shape: rng.normal(size=shape)), (lambda rng, shape: rng.exponential(size=shape) - 1)


@pytest.mark.sweep
@pytest.mark.parametrize("spread", [1, 3, 1 / 3])
@pytest.mark.parametrize(("first", "second"), [(12, 48), (24, 24)])
@pytest.mark.parametrize("draw", [NORMAL, SKEWED], ids=["normal", "skewed"])
def test_by_chance_no_more_is_marked_than_the_level_says(draw, first, second, spread):
    """At 5 % in 200 tests: 22 at most (99.9 %). With plain differences, 0.8 at 12 against 48 units and a spread of 3."""
    rng = np.random.default_rng(7)
    groups = np.repeat([0, 1], [first, second])
    scale = np.repeat([spread, 1.0], [first, second])[:, None]
    marked, refused = 0, 0
    for seed in range(200):
        values = draw(rng, (first + second, 16)) * scale
        if doubt(values, groups):
            refused += 1
        else:
            marked += permutation_test(values, groups, permutations=199, seed=seed).p_corrected.min() <= 0.05
    assert marked <= 22
    if draw is NORMAL or spread == 1:
        assert refused < 20  # what can be tested is tested
    else:
        assert refused > 150


def test_a_difference_is_found_where_spreads_differ():
    rng = np.random.default_rng(0)
    groups, scale = np.repeat([0, 1], [12, 48]), np.repeat([3.0, 1.0], [12, 48])[:, None]
    values = rng.normal(size=(60, 16)) * scale
    values[groups == 0, 5] += 6
    tested = permutation_test(values, groups)
    assert np.flatnonzero(tested.p_corrected[0] <= 0.05).tolist() == [5]


def test_spread_or_skewness_alone_is_no_doubt():
    rng, groups = np.random.default_rng(0), np.repeat([0, 1], 40)
    normal, skewed = rng.standard_normal((80, 100)), np.tile(rng.exponential(size=(40, 100)), (2, 1))
    wide = np.where(groups == 0, 3.0, 1.0)[:, None]
    assert doubt(normal, groups) == doubt(wide * normal, groups) == doubt(skewed, groups) == ""
    assert "differ in spread" in doubt(wide * skewed, groups)


def test_skewness_by_hand():
    """Of -1, -1 and 2 the second and the third moment are 2: the skewness is 2 / 2^1.5, and its square over 6 / 3 is 1 / 4."""
    assert _skewness(np.array([[-1.0, 0.0], [-1.0, 0.0], [2.0, 0.0]])) == pytest.approx(0.25)


def test_what_would_mark_more_than_it_says_is_not_tested():
    rng = np.random.default_rng(0)
    draws = [(rng.exponential(size=SAMPLES) - 1) ** 3 * (3 if index < 12 else 1) for index in range(60)]
    explanations = [explanation(draw, speaker=f"speaker {index}", target=int(index >= 12)) for index, draw in enumerate(draws)]
    result = xaudio_patterns.group_relevance(explanations, view="time", normalise="none", time_bins=4, permutations=99)
    assert [note for note in result.notes if "Nothing is tested: groups differ in spread" in note]
    assert result.contrasts[0].marked == 0
    assert result.contrasts[0].smallest_p == 1


@pytest.mark.slow
def test_several_groups_are_each_tested_against_the_others():
    rng = np.random.default_rng(3)
    values, groups = rng.standard_normal((7, 2)), np.array([0, 1, 2, 0, 1, 2, 2])
    found = permutation_test(values, groups)
    assert found.correlation.shape == (3, 2)
    largest, own = [], []
    for order in set(itertools.permutations(groups.tolist())):
        arranged = np.array(order)
        deviates = [
            [welch_deviate(values[arranged == group, cell], values[arranged != group, cell]) for cell in range(2)]
            for group in range(3)
        ]
        largest.append(np.max(deviates))
        own.append(deviates)
    assert found.arrangements == len(largest) == 210
    for group, cell in itertools.product(range(3), range(2)):
        assert found.correlation[group, cell] == pytest.approx(np.corrcoef(groups == group, values[:, cell])[0, 1])
        deviate = welch_deviate(values[groups == group, cell], values[groups != group, cell])
        assert found.p[group, cell] == pytest.approx(np.mean(np.array(own)[:, group, cell] >= deviate - 1e-9))
        assert found.p_corrected[group, cell] == pytest.approx(np.mean(np.array(largest) >= deviate - 1e-9))


def test_drawn_arrangements_agree_with_all():
    rng = np.random.default_rng(0)
    values, groups = rng.standard_normal((9, 4)), np.array([0, 1] * 4 + [0])
    values[groups == 0, 1] += 1.5
    exact, drawn = permutation_test(values, groups), permutation_test(values, groups, permutations=100, seed=5)
    assert (exact.exact, drawn.exact, drawn.arrangements) == (True, False, 101)
    many = [permutation_test(values, groups, permutations=100, seed=seed) for seed in range(40)]
    np.testing.assert_allclose(np.mean([found.p_corrected for found in many], 0), exact.p_corrected, atol=0.03)
    again = permutation_test(values, groups, permutations=100, seed=5)
    assert (again.p == drawn.p).all()
    assert (again.p_corrected == drawn.p_corrected).all()
    # The arrangement of the data is one of those that are compared, so that no chance is 0.
    values[groups == 0, 1] += 100
    few = permutation_test(values, groups, permutations=20, seed=1)
    assert few.p[0, 1] == few.p_corrected[0, 1] == pytest.approx(1 / 21)
    assert few.p.min() >= 1 / 21
    assert (few.p <= few.p_corrected).all()


def test_blocks_exchange_within_themselves_only():
    groups, blocks = np.array([0, 1, 1, 0, 0, 1]), np.array([0, 0, 0, 1, 1, 2])
    assert number_of_arrangements(groups, blocks) == 3
    found = np.concatenate(list(all_arrangements(groups, blocks, 2))).tolist()
    assert sorted(found) == [[0, 1, 1, 0, 0, 1], [1, 0, 1, 0, 0, 1], [1, 1, 0, 0, 0, 1]]


def test_arrangements_that_are_drawn_exchange_within_blocks_only_and_all_as_often():
    groups, blocks = np.array([0, 1, 0, 1, 1, 0, 1]), np.array([2, 0, 0, 1, 0, 2, 1])  # one block of three has several orders
    every = {tuple(row) for row in np.concatenate(list(all_arrangements(groups, blocks, 10))).tolist()}
    drawn = [tuple(row) for part in _random_arrangements(groups, blocks, 3000, 700, seed=0) for row in part.tolist()]
    assert len(drawn) == 3000
    assert set(drawn) == every == {(0, a, b, 1, c, 0, 1) for a, b, c in [(0, 1, 1), (1, 0, 1), (1, 1, 0)]}
    for row in every:  # 1000 are expected, with a deviation of 26
        assert abs(drawn.count(row) - 1000) < 5 * 26


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "permute", "arrangements"),
    [
        ("class", "auto", 6**4),  # two of four recordings, in each of four speakers
        ("class", "within-speakers", 6**4),
        ("class", "recordings", 12870),  # eight of sixteen recordings
        ("sex", "auto", 6),  # two of four speakers
        ("sex", "within-speakers", 1),  # no speaker has two sexes
        ("sex", "recordings", 12870),
    ],
)
def test_as_many_arrangements_as_what_is_exchanged_has(by, permute, arrangements):
    result = xaudio_patterns.group_relevance(corpus(4, 4), by=by, view="time", time_bins=2, permute=permute, permutations=12870)
    assert result.arrangements == arrangements


def test_differences_between_blocks_are_no_effect():
    """Speakers differ by far more than groups: within speakers the effect is found, over all recordings it is not."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(6), 8)
    groups = np.tile([0, 1], 24)
    values = 50 * rng.standard_normal(6)[speakers] + rng.standard_normal(48) + 2 * groups
    values = values[:, None]
    within = permutation_test(values, groups, speakers, permutations=500)
    assert within.p_corrected[0, 0] < 0.01
    assert permutation_test(values, groups, permutations=500).p_corrected[0, 0] > 0.5
    centred = values[:, 0] - np.array([values[speakers == speaker].mean() for speaker in speakers])
    assert within.correlation[0, 0] == pytest.approx(np.corrcoef(groups == 0, centred)[0, 1])


@pytest.mark.slow
def test_the_family_wise_error_is_near_its_level():
    """On data without any difference, something is marked in about a twentieth of all cases; without correction in most."""
    marked = uncorrected = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        values = rng.standard_normal((16, 30)) @ (np.eye(30) + 0.5 * np.eye(30, k=1))
        found = permutation_test(values, np.arange(16) % 2, permutations=199, seed=seed)
        marked += found.p_corrected.min() <= 0.05
        uncorrected += found.p.min() <= 0.05
    assert 0.02 <= marked / 400 <= 0.08  # 20 expected, standard deviation 4.4
    assert uncorrected / 400 > 0.5


def test_a_cell_that_does_not_vary_is_no_difference():
    values = np.random.default_rng(0).standard_normal((8, 3))
    values[:, 1] = 0.1
    found = permutation_test(values, np.arange(8) % 2)
    assert found.correlation[0, 1] == 0
    assert found.p[0, 1] == found.p_corrected[0, 1] == 1


# Groups of explanations


def test_a_difference_between_groups_of_speakers_is_found_and_placed():
    items = corpus(effect=1.0)
    result = xaudio_patterns.group_relevance(items, by="sex", view="time", time_bins=10, classes={"sex": ("male", "female")})
    assert result.unit == "speakers"
    assert (result.exact, result.arrangements) == (True, 252)
    (contrast,) = result.contrasts
    assert (contrast.group, contrast.against) == ("male", "female")
    marked = np.flatnonzero(np.array(contrast.p_corrected) <= result.level)
    assert {8, 9} <= set(marked.tolist())
    assert (np.array(contrast.difference)[[8, 9]] < 0).all()
    assert [(group.name, group.recordings, group.speakers) for group in result.groups] == [("male", 20, 5), ("female", 20, 5)]
    # Each speaker counts once, whatever the number of recordings.
    cells = relevance_cells(items, "time", time_bins=10).rows
    names = np.array([item.clip.speaker for item in items])
    means = [cells[names == f"s{number:02d}"].mean(0) for number in range(0, 10, 2)]
    np.testing.assert_allclose(result.groups[0].mean, np.mean(means, 0), rtol=1e-9)
    difference = np.array(result.groups[0].mean) - np.array(result.groups[1].mean)
    np.testing.assert_allclose(contrast.difference, difference, atol=1e-12)
    assert xaudio_patterns.group_relevance(items, by="sex", view="time", time_bins=10).groups[1].name == "sex 1"


def test_each_of_several_groups_differs_from_all_others_together():
    items = corpus(5, 6)
    names = ["a", "b", "b", "c", "c", "c"] * 5
    result = xaudio_patterns.group_relevance(items, by=names, view="time", time_bins=6, permute="recordings", permutations=50)
    cells = relevance_cells(items, "time", time_bins=6).rows
    for contrast in result.contrasts:
        inside = np.array(names) == contrast.group
        assert contrast.against == "all others"
        np.testing.assert_allclose(contrast.difference, cells[inside].mean(0) - cells[~inside].mean(0), atol=1e-12)
    assert [contrast.group for contrast in result.contrasts] == ["a", "b", "c"]


def test_no_difference_is_marked_where_there_is_none():
    result = xaudio_patterns.group_relevance(corpus(effect=0.0), by="sex", view="time", time_bins=10)
    assert result.contrasts[0].marked == 0


def test_what_is_exchanged_follows_from_the_groups():
    items = corpus()
    assert xaudio_patterns.group_relevance(items, by="class", view="time").unit == "recordings within speakers"
    assert xaudio_patterns.group_relevance(items, by="speaker", view="time", permutations=19).unit == "recordings"
    unknown = [replace(item, clip=replace(item.clip, speaker=None)) for item in items]
    result = xaudio_patterns.group_relevance(unknown, by="sex", view="time", permutations=19)
    assert (result.unit, result.groups[0].speakers) == ("recordings", None)
    with pytest.raises(DataError, match="Speakers of some recordings are not known"):
        xaudio_patterns.group_relevance(unknown, by="sex", permute="speakers")
    with pytest.raises(DataError, match="Speaker s00 has recordings in several groups"):
        xaudio_patterns.group_relevance(items, by="class", permute="speakers")


def test_speakers_in_one_group_only_are_said_not_to_count():
    items = corpus(4, 4)
    names = ["a"] * 4 + ["b"] * 4 + ["a", "b"] * 4
    result = xaudio_patterns.group_relevance(items, by=names, view="time", time_bins=5)
    assert result.notes == ["2 of 4 speakers have recordings in several groups: the test compares within these."]
    assert result.unit == "recordings within speakers"
    same = xaudio_patterns.group_relevance(items[8:], by=names[8:], view="time", time_bins=5)
    assert result.contrasts[0].p == same.contrasts[0].p
    assert same.notes == []


def test_groups_of_ones_own_and_what_is_left_out():
    items = corpus(4, 4)
    names = ["a", "b", None, "b"] * 3 + ["a", "b", "lone", None]
    result = xaudio_patterns.group_relevance(items, by=names, view="time", permute="recordings")
    assert [group.name for group in result.groups] == ["a", "b"]
    assert [group.recordings for group in result.groups] == [4, 7]
    assert "4 of 16 recordings belong to no group" in result.notes[0]
    assert "'lone' is left out: it has 1 of the 2" in result.notes[1]


def test_too_few_speakers_for_the_level_is_said():
    result = xaudio_patterns.group_relevance(corpus(6), by="sex", view="time")
    assert result.arrangements == 20
    assert "p cannot fall below 0.1" in result.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "age"}, "Unknown grouping 'age'.*Known: class, sex, speaker, yes"),
        ({"by": ["a"]}, "1 group is given for 16 explanations"),
        ({"by": ["a"] * 16}, "Fewer than two groups can be compared"),
    ],
)
def test_wrong_groups_are_named(change, message):
    with pytest.raises(DataError, match=message):
        xaudio_patterns.group_relevance(corpus(4, 4), **change)


def test_the_commands_have_the_defaults_of_their_functions():
    for command, function in (
        (commands_groups.groups, xaudio_patterns.group_relevance),
        (commands_cluster.cluster, xaudio_patterns.cluster_explanations),
    ):
        offered, taken = (inspect.signature(one).parameters for one in (command, function))
        names = taken.keys() - {"explanations", "classes"}
        assert {name: offered[name].default for name in names} == {name: taken[name].default for name in names}


def test_a_wrong_level_is_refused_before_anything_is_explained(tmp_path):
    with pytest.raises(PluginError, match="^5.0 does not fit level: expected float, above 0, below 1"):
        commands_groups.groups(tmp_path / "no model", tmp_path / "out", level=5.0)


def test_wrong_use_is_named():
    items = corpus(4, 4)
    with pytest.raises(PluginError, match="Unknown view 'cepstrum'"):
        xaudio_patterns.group_relevance(items, view="cepstrum")
    with pytest.raises(PluginError, match="^5 does not fit level: expected float, above 0, below 1"):
        xaudio_patterns.group_relevance(items, level=5)
    with pytest.raises(PluginError, match="^0 does not fit frequency_bins: expected int, 1 or more"):
        xaudio_patterns.group_relevance(items, frequency_bins=0)
    with pytest.raises(PluginError, match="'l2' does not fit normalise: expected magnitude"):
        xaudio_patterns.group_relevance(items, normalise="l2")
    with pytest.raises(DataError, match="There are no explanations"):
        xaudio_patterns.group_relevance([])
    with pytest.raises(DataError, match="Fewer than two groups can be compared. The group 'yes' is left out"):
        xaudio_patterns.group_relevance(items[:1])
    broken = explanation(np.full(SAMPLES, np.nan), source="broken.wav")
    with pytest.raises(ModelError, match=r"broken\.wav by mine holds NaN"):
        xaudio_patterns.group_relevance([*items, broken])
    other = replace(items[0], axes=(Axis("time", "s", np.arange(SAMPLES) / 999),))
    with pytest.raises(DataError, match="has other axes than the first"):
        xaudio_patterns.group_relevance([*items, other])


# The command

COUNTED = ("recordings", "speakers", "accuracy")
SPEECH = ("--dataset", "synthetic:speakers=8,repetitions=1", "--part", "all", "--recordings", "24")


def command(*arguments):
    from typer.testing import CliRunner

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(run_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("groups")
    done = command("groups", "--model", run_folder, *SPEECH, "--by", "sex", "--out", out, "--device", "cpu")
    assert done.exit_code == 0, done.output
    return out


def test_the_command_writes_numbers_picture_and_page(folder):
    result = json.loads((folder / "results.json").read_text())
    assert [group["name"] for group in result["groups"]] == ["male", "female"]
    assert sum(group["recordings"] for group in result["groups"]) == 24
    with (folder / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 64
    assert float(rows[3]["male - female: difference"]) == result["contrasts"][0]["difference"][3]
    assert float(rows[5]["frequency_from"]) == pytest.approx(5 * 62.5)
    (row,) = GroupRelevance.model_validate(result).table()
    assert [row[name] for name in ("group", "against", "cells")] == ["male", "female", 64]
    assert (row["different"], row["smallest_p"]) == tuple(result["contrasts"][0][name] for name in ("marked", "smallest_p"))
    assert [row[name] for name in COUNTED] == [result["groups"][0][name] for name in COUNTED]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "speakers were exchanged between the groups" in page
    findings = findings_of(GroupRelevance.model_validate(result), GroupRelevance.model_validate(result).contrasts[0])
    assert page.count("<td>female</td>") == max(1, min(len(findings), 10) + (len(findings) > 10))
    assert (folder / "groups.png").read_bytes().startswith(b"\x89PNG")


def found_in(values, p, axes):
    """A result of two groups with these correlations and differences (both ``values``) and corrected p."""
    grid = {"difference": values, "correlation": values, "p": p, "p_corrected": p}
    contrast = {"group": "a", "against": "b", "marked": 0, "smallest_p": 0.0, **grid}
    plain = {"task": "t", "explainer": "lrp", "view": "time", "by": "class", "normalise": "magnitude", "align": "start"}
    more = {"unit": "speakers", "level": 0.05, "arrangements": 9, "exact": True, "groups": [], "outside": 0.0, "notes": []}
    result = GroupRelevance(**plain, **more, axes=axes, contrasts=[contrast])
    return findings_of(result, result.contrasts[0])


def test_places_that_differ_are_named_in_runs_of_one_sign():
    time = {"name": "time", "unit": "s", "edges": [0, 0.1, 0.2, 0.3, 0.4, 0.5]}
    values, p = [0.1, 0.5, -0.6, -0.2, 0.3], [0.01, 0.02, 0.01, 0.05, 0.06]
    assert found_in(values, p, [time]) == [
        {"where": "0.2 to 0.4 s", "correlation": -0.6, "difference": -0.8, "p": 0.01},
        {"where": "0 to 0.2 s", "correlation": 0.5, "difference": 0.6, "p": 0.01},
    ]
    frequency = {"name": "frequency", "unit": "Hz", "edges": [0, 10, 20]}
    short = {"name": "time", "unit": "s", "edges": [0, 1, 2]}
    assert found_in([[0.1, 0.2], [0.3, -0.4]], [[0.5, 0.01], [0.5, 0.02]], [frequency, short]) == [
        {"where": "10 to 20 Hz, 1 to 2 s", "correlation": -0.4, "difference": -0.4, "p": 0.02},
        {"where": "0 to 10 Hz, 1 to 2 s", "correlation": 0.2, "difference": 0.2, "p": 0.01},
    ]
    assert found_in([0.1] * 5, [0.2] * 5, [time]) == []


def test_the_report_is_made_anew_from_the_results(folder):
    before = (folder / "report.html").read_text()
    for name in ("report.html", "groups.png"):
        (folder / name).unlink()
    done = command("report", folder)
    assert done.exit_code == 0, done.output
    assert done.output == f"Report: {folder / 'report.html'}\n"
    assert (folder / "report.html").read_text() == before


def test_the_same_command_goes_on_and_gives_the_same(folder, run_folder, monkeypatch):
    before = json.loads((folder / "results.json").read_text())
    kept = sorted((folder / "explanations").glob("*.safetensors"))
    assert len(kept) == 24
    kept[3].unlink()
    kept[7].write_bytes(kept[7].read_bytes()[:1000])  # a disk that was full, or a copy that was cut off
    asked = []
    explain = xaudio.explain

    def counted(model, clips, **options):
        asked.append(len(clips))
        return explain(model, clips, **options)

    monkeypatch.setattr("xaudio.explanation.collection.explain", counted)
    done = command("groups", "--model", run_folder, *SPEECH, "--by", "sex", "--out", folder, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert asked == [2]
    after = json.loads((folder / "results.json").read_text())
    for name in ("difference", "p", "p_corrected"):  # explained in another batch, it differs by rounding
        np.testing.assert_allclose(after["contrasts"][0][name], before["contrasts"][0][name], atol=1e-5)


def test_workers_give_the_same_groups(folder, run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("xaudio_local._local.CONTEXT", "fork")
    settings = ("--model", run_folder, *SPEECH, "--by", "sex", "--device", "cpu", "--permutations", "99")
    done = command("groups", *settings, "--workers", "2", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    files = [sorted((place / "explanations").glob("*.safetensors")) for place in (folder, tmp_path)]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    for one, other in zip(*files, strict=True):
        np.testing.assert_allclose(xaudio.Explanation.load(one).relevance, xaudio.Explanation.load(other).relevance, atol=1e-5)
    part = command("groups", *settings, "--shard", "1/2", "--out", tmp_path / "part")
    assert "24 of 24 recordings are the part of other workers" in str(part.exception)  # one batch is one shard, the first


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("--by", "class"), ModelError, "belongs to a run of other settings: by was 'sex', now 'class'"),
        (("--explainer", "gradient"), ModelError, "explainer.name was 'lrp', now 'gradient'"),
        (("--view", "cepstrum"), PluginError, "Unknown view 'cepstrum'"),
        (("--by", "age"), DataError, "Unknown grouping 'age'. Known: class, digit, sex, speaker."),
        (("--dataset", "truth:recordings=160"), DataError, "Unknown task"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(folder, run_folder, change, error, message):
    arguments = ["groups", "--model", run_folder, *SPEECH, "--by", "sex", "--out", folder, "--device", "cpu", *change]
    done = command(*arguments)
    assert isinstance(done.exception, error)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_explanations_are_shared_between_commands_but_not_between_models(folder, run_folder, spectrogram_run_folder, tmp_path):
    kept = ("--explanations", folder / "explanations", "--device", "cpu")
    done = command("groups", "--model", run_folder, *SPEECH, "--by", "class", "--view", "time", "--out", tmp_path / "a", *kept)
    assert done.exit_code == 0 or "Fewer than two groups" in str(done.exception)  # it was trained for one step only
    done = command("groups", "--model", spectrogram_run_folder, *SPEECH, "--out", tmp_path / "b", *kept)
    assert isinstance(done.exception, ModelError)
    assert "belongs to a run of other settings: model was" in str(done.exception)
