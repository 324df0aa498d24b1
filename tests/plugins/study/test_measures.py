"""Informedness, markedness and agreement against tables worked out by hand and against slow textbook versions."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xaudio_study.analysis import measures

# Predictions of the model in rows, answers in columns.
TABLE = np.array([[4, 1, 0], [2, 2, 1], [0, 3, 7]])


def test_measures_of_a_table_worked_out_by_hand():
    # Class 0: TP 4, P 5, FP 2, N 15; class 1: TP 2, P 5, FP 4, N 15; class 2: TP 7, P 10, FP 1, N 10.
    informed = [4 / 5 - 2 / 15, 2 / 5 - 4 / 15, 7 / 10 - 1 / 10]
    # Answered 6, 6, 8; FN 1, 3, 3; not answered 14, 14, 12.
    marked = [4 / 6 - 1 / 14, 2 / 6 - 3 / 14, 7 / 8 - 3 / 12]
    assert measures.informedness(TABLE) == pytest.approx(informed)
    assert measures.markedness(TABLE) == pytest.approx(marked)
    pooled = measures.pooled(TABLE)
    assert pooled.informedness_macro == pytest.approx(sum(informed) / 3)
    assert pooled.markedness_macro == pytest.approx(sum(marked) / 3)
    assert pooled.informedness_weighted == pytest.approx((6 * informed[0] + 6 * informed[1] + 8 * informed[2]) / 20)
    assert pooled.markedness_weighted == pytest.approx((5 * marked[0] + 5 * marked[1] + 10 * marked[2]) / 20)
    assert measures.accuracy(TABLE) == pytest.approx(13 / 20)


def test_classes_without_a_value_are_left_out():
    table = np.array([[3, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 2]])  # 1 was never predicted, 2 never answered
    informed, marked = measures.informedness(table), measures.markedness(table)
    assert np.isnan(informed).tolist() == [False, True, False, False]
    assert informed[2] == 0  # the participants' doing: it counts
    assert np.isnan(marked).tolist() == [False, True, True, False]
    assert measures.macro(informed) == pytest.approx((3 / 4 - 2 / 4 + 0 + 2 / 3) / 3)
    assert measures.pooled(table).informedness_weighted == pytest.approx((5 * informed[0] + 2 * informed[3]) / 7)
    assert measures.pooled(table).markedness_weighted == pytest.approx((4 * marked[0] + 3 * marked[3]) / 7)
    one = np.array([[2, 3], [0, 0]])
    assert np.isnan(measures.informedness(one)).all()
    assert np.isnan(measures.macro(measures.informedness(one)))
    assert np.isnan(measures.accuracy(np.zeros((2, 2))))


tables = st.integers(2, 5).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=n, max_size=n)
)


@given(tables)
def test_measures_of_each_class_are_those_of_its_two_by_two_table(rows):
    table = np.array(rows)
    for index in range(len(table)):
        tp = table[index, index]
        fp, fn = table[:, index].sum() - tp, table[index].sum() - tp
        tn = table.sum() - tp - fp - fn
        predicted = bool(tp + fn and fp + tn)  # sometimes, and not always
        for found, numbers in (
            (measures.informedness(table)[index], (tp, tp + fn, fp, fp + tn)),
            (measures.markedness(table)[index], (tp, tp + fp, fn, fn + tn)),
        ):
            first, of_first, second, of_second = numbers
            if of_first and of_second and predicted:
                assert found == pytest.approx(first / of_first - second / of_second)
                assert -1 <= found <= 1
            else:
                assert np.isnan(found)


@given(tables, st.randoms(use_true_random=False))
def test_measures_do_not_depend_on_the_order_of_classes_or_on_how_often_all_is_counted(rows, random):
    table = np.array(rows)
    order = list(range(len(table)))
    random.shuffle(order)
    shuffled = 3 * table[np.ix_(order, order)]
    np.testing.assert_allclose(measures.informedness(shuffled), measures.informedness(table)[order])
    for one, other in zip(measures.pooled(table), measures.pooled(shuffled), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_weighted_counts_are_counts_of_repeated_answers():
    predicted, answered, times = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1]), np.array([3, 0, 2, 1])
    repeated = measures.confusion(np.repeat(predicted, times), np.repeat(answered, times), 3)
    assert (measures.confusion(predicted, answered, 3, times) == repeated).all()
    slow = np.zeros((3, 3))
    for row, column, count in zip(predicted, answered, times, strict=True):
        slow[row, column] += count  # rows are the model's predictions
    assert (repeated == slow).all()


def slow_fleiss(ratings, classes):
    """Pairs of participants, one by one; all items answered by all."""
    agree = [np.mean([a == b for a, b in combinations(row, 2)]) for row in ratings]
    flat = [value for row in ratings for value in row]
    chance = sum((flat.count(c) / len(flat)) ** 2 for c in range(classes))
    return (np.mean(agree) - chance) / (1 - chance)


def slow_alpha(ratings, distance):
    """Observed and expected disagreement over all ordered pairs; None is a missing answer."""
    units = [[value for value in row if value is not None] for row in ratings]
    units = [row for row in units if len(row) >= 2]
    flat = [value for row in units for value in row]
    observed = sum(
        sum(distance(a, b) for (i, a), (j, b) in product(enumerate(row), repeat=2) if i != j) / (len(row) - 1) for row in units
    ) / len(flat)
    expected = sum(distance(a, b) for (i, a), (j, b) in product(enumerate(flat), repeat=2) if i != j) / (
        len(flat) * (len(flat) - 1)
    )
    return 1 - observed / expected


def votes_of(ratings, classes):
    return np.array([[row.count(c) for c in range(classes)] for row in ratings])


answers = st.lists(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=4, max_size=4), min_size=2, max_size=6)


@given(answers)
def test_alpha_is_the_slow_one(ratings):
    votes = votes_of(ratings, 4)
    used = [value for row in votes for value in np.repeat(np.arange(4), row) if row.sum() >= 2]
    for level, distance in (("nominal", lambda a, b: float(a != b)), ("interval", lambda a, b: float((a - b) ** 2))):
        found = measures.krippendorff_alpha(votes, level)
        if len(set(used)) < 2:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(slow_alpha(ratings, distance))


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=2, max_size=6))
def test_kappa_is_the_slow_one(ratings):
    votes = votes_of(ratings, 3)
    if len({value for row in ratings for value in row}) < 2:
        assert np.isnan(measures.fleiss_kappa(votes))
    else:
        assert measures.fleiss_kappa(votes) == pytest.approx(slow_fleiss(ratings, 3))


def test_kappa_is_that_of_statsmodels():
    from statsmodels.stats.inter_rater import fleiss_kappa

    votes = np.random.default_rng(0).multinomial(7, [0.1, 0.3, 0.6], size=20)
    assert measures.fleiss_kappa(votes) == pytest.approx(fleiss_kappa(votes))


def test_kappa_of_unequal_numbers_of_answers():
    # Item 1: both agree; item 2: one pair of three; item 3 has one answer and does not count. Answers: 3 and 2 of 5.
    expected = 9 / 25 + 4 / 25
    assert measures.fleiss_kappa([[2, 0], [1, 2], [0, 1]]) == pytest.approx((2 / 3 - expected) / (1 - expected))


def test_agreement_in_tables_of_the_literature():
    # Krippendorff (2011), Computing Krippendorff's alpha-reliability, C and D: four observers, twelve units, missing values.
    observers = "123321412***", "1233224125*3", "*3332342251*", "12332441251*"
    values = [[None if row[unit] == "*" else int(row[unit]) - 1 for row in observers] for unit in range(12)]
    votes = votes_of(values, 5)
    assert measures.krippendorff_alpha(votes) == pytest.approx(0.743, abs=5e-4)
    assert measures.krippendorff_alpha(votes, "interval") == pytest.approx(0.849, abs=5e-4)
    # Fourteen raters and ten subjects, the usual example of Fleiss' kappa.
    votes = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]]
    votes += [[7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    assert measures.fleiss_kappa(votes) == pytest.approx(0.210, abs=5e-4)


def test_both_measures_are_the_two_sides_of_the_correlation():
    """With two classes the product of both measures is the square of the correlation phi (Powers 2011)."""
    for seed in range(20):
        table = np.random.default_rng(seed).integers(1, 20, (2, 2))
        pooled, (tp, fn, fp, tn) = measures.pooled(table), table.ravel()
        phi = (tp * tn - fp * fn) / np.sqrt(float((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
        assert pooled.informedness_weighted * pooled.markedness_weighted == pytest.approx(phi**2)


def test_agreement_is_1_if_all_agree_and_near_0_by_chance():
    assert measures.fleiss_kappa([[5, 0], [0, 5]]) == measures.krippendorff_alpha([[5, 0], [0, 5]]) == 1
    votes = np.random.default_rng(1).multinomial(30, [0.25] * 4, size=300)
    assert abs(measures.fleiss_kappa(votes)) < 0.01
    assert abs(measures.krippendorff_alpha(votes)) < 0.01


def test_geometric_mean_of_times():
    assert measures.geometric_mean([100, 400]) == pytest.approx(200)
    assert measures.geometric_mean([0, 100]) == pytest.approx(10)  # 0 counts as one millisecond
    assert np.isnan(measures.geometric_mean([]))
