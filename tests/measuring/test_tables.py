"""Tables of an evaluation, and paired differences between explainers that hold what they claim."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import permutation_test

from xaudio import DataError
from xaudio.measuring.evaluation import Evaluation
from xaudio.measuring.scoring import Column
from xaudio.measuring.statistics import exchange_tests
from xaudio.plugin import bootstrap_interval, difference_tests, measured

RECORDINGS = 24


def evaluation(values, *, better="higher", refused=None, explainers=None):
    """An evaluation by one metric, "score", of which these are the values of each explainer."""
    count = max(map(len, values.values()))
    right = np.arange(count)
    return Evaluation(
        indices=right,
        labels=right % 2,
        predicted=right % 2,
        chance=0.5,
        p_value=0.0,
        unlearned="",
        columns=[Column("score", "score", better, False, "A score.")],
        values={(name, "score", "score"): np.asarray(numbers) for name, numbers in values.items()},
        refused=refused or {},
        milliseconds={},
        folders={name: Path(name) for name in explainers or values},
    )


@pytest.fixture(scope="module")
def compared():
    """An explainer that is better than two controls on every recording by a little, and one that refuses."""
    noise = np.random.default_rng(0).standard_normal((4, RECORDINGS))
    recording, (good, random, amplitude) = 10 * noise[0], 0.3 * noise[1:]
    values = {"good": recording + 1 + good, "random": recording + random, "amplitude": recording + amplitude}
    return evaluation(values, refused={("picky", ""): "picky wants another model."}, explainers=[*values, "picky"])


def test_a_row_says_what_the_interval_is_or_why_there_is_none(compared):
    table = compared.table()
    good = next(iter(table))
    assert (good["mean"], good["low"], good["high"]) == bootstrap_interval(compared.values["good", "score", "score"])
    assert good["recordings"] == RECORDINGS
    assert table.column("rank") == [1, 1, 1, None], "apart the intervals overlap, since recordings differ"
    assert table.column("refused")[-1] == "picky wants another model."
    rows = list(csv.DictReader(io.StringIO(compared.to_csv())))
    assert float(rows[0]["mean"]) == good["mean"]


def test_paired_differences_see_what_lies_the_same_way_on_every_recording(compared):
    table = {(row["first"], row["second"]): row for row in compared.differences()}
    assert set(table) == {("good", "random"), ("good", "amplitude"), ("random", "amplitude")}
    for control in ("random", "amplitude"):
        row = table["good", control]
        assert row["winner"] == "good"
        assert 0 < row["low"] < 1 < row["high"]
        assert row["p"] <= row["p_holm"] < 0.001
    controls = table["random", "amplitude"]
    assert controls["winner"] is None
    assert controls["low"] < 0 < controls["high"]


@pytest.mark.parametrize(("better", "winner"), [("lower", "random"), ("none", None)])
def test_the_winner_follows_from_what_is_better(compared, better, winner):
    values = {name: compared.values[name, "score", "score"] for name in ("good", "random")}
    assert [row["winner"] for row in evaluation(values, better=better).differences()] == [winner]


def test_few_recordings_have_a_test_and_no_interval():
    (row,) = evaluation({"one": np.arange(8.0) + 1, "other": np.zeros(8)}).differences()
    assert (row["low"], row["high"]) == (None, None)
    assert 2 / 2**8 <= row["p"] < 0.02
    (same,) = evaluation({"one": np.ones(20), "other": np.ones(20)}).differences()
    assert (same["difference"], same["p"], same["winner"]) == (0, 1, None)


@pytest.mark.parametrize("count", [5, 12])
def test_exchanging_signs_is_the_test_of_scipy(count):
    values = np.random.default_rng(count).exponential(size=(count, 2)) - 0.3
    exact = [permutation_test((one,), np.mean, permutation_type="samples", n_resamples=2**count).pvalue for one in values.T]
    assert exchange_tests(values, np.random.default_rng(0)) == pytest.approx(exact)
    assert exchange_tests(-values, np.random.default_rng(0)) == pytest.approx(exact)


def test_drawn_signs_are_near_all_of_them():
    values = np.random.default_rng(0).standard_normal((16, 1)) + 0.5
    patterns = np.arange(2**16)[:, None] >> np.arange(16) & 1
    exact = (np.abs((2 * patterns - 1) @ values) >= abs(values.sum()) - 1e-9).mean()
    assert exchange_tests(values, np.random.default_rng(0)) == pytest.approx(exact, abs=0.01)


@pytest.mark.slow
def test_a_difference_counts_where_0_lies_outside_its_interval():
    """Exponential differences about a mean at which the two tests disagree."""
    rng = np.random.default_rng(3)
    for shift in np.linspace(0.3, 1.2, 10):
        values = rng.exponential(size=24) - shift
        interval = bootstrap_interval(values)
        (p,) = difference_tests(values[:, None])
        if p < 0.04:
            assert not interval.low <= 0 <= interval.high
        if interval.low <= 0 <= interval.high:
            assert p > 0.04
    assert difference_tests(np.ones((64, 1))) == pytest.approx(2 / 20_001)


@pytest.mark.parametrize("values", [[[]], [1.0], [[1.0, np.nan]]])
def test_what_is_no_table_of_numbers_is_refused(values):
    with pytest.raises(DataError, match="a row per recording"):
        difference_tests(np.array(values).reshape(0, 1) if values == [[]] else values)


@pytest.mark.slow
def test_controls_that_could_be_exchanged_are_rarely_told_apart():
    """In at most 5 % of all evaluations any of six pairs; a simulation of 100, with their chance."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(100):
        scores = rng.standard_normal(12) + rng.exponential(size=(4, 12))
        table = evaluation({f"control{number}": row for number, row in enumerate(scores)}).differences()
        wrong += any(table.column("winner"))
    assert wrong / 100 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)


def test_tables_for_papers_have_a_row_for_each_explainer(compared):
    lines = compared.to_markdown().splitlines()
    assert lines[0] == "| Explainer | score (higher is better) |"
    assert len(lines) == 8
    assert lines[2].startswith("| good | ")
    assert "[" in lines[2]
    assert lines[5] == "| picky |  |"
    assert r"\toprule" in compared.to_latex()
    assert repr(compared) == "<Evaluation of 24 recordings, 100% correctly predicted: 4 explainers by 1 metric>"
    assert len(measured(compared)) == 4


def test_a_picture_has_a_point_and_an_interval_for_each_explainer_that_did_not_refuse(compared):
    panel = compared.plot().axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["good", "random", "amplitude", "picky"]
    assert panel.get_xlabel() == "score (higher is better)"
    drawn = [line.get_xydata().tolist() for line in panel.lines]
    rows = [row for row in compared.table() if row["mean"] is not None]
    expected = [[[[row["low"], line], [row["high"], line]], [[row["mean"], line]]] for line, row in enumerate(rows)]
    assert drawn == [points for pair in expected for points in pair]
    hollow = [line.get_markerfacecolor() == "white" for line in panel.lines if line.get_marker() == "o"]
    assert hollow == [False, True, True]


def test_a_picture_is_drawn_into_axes_of_ones_own(compared):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert compared.plot(right, metric="score") is figure
    assert (len(left.lines), len(right.lines)) == (0, 6)
    with pytest.raises(DataError, match="for each value .score.: expected 1, got 2"):
        compared.plot([left, right])
    with pytest.raises(DataError, match="Unknown metric 'scores'"):
        compared.plot(metric="scores")


def test_too_few_recordings_have_a_point_without_an_interval():
    panel = evaluation({"one": np.arange(4.0)}).plot().axes[0]
    assert [line.get_xydata().tolist() for line in panel.lines] == [[[1.5, 0]]]
