"""The analysis against tables worked out by hand, independent tests, and simulated participants of known behaviour."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from xaudio.errors import DataError
from xaudio.output.runs import write_run
from xaudio.plugin import holm
from xaudio_study.analysis import measures
from xaudio_study.analysis.analysis import analyze, rules_of
from xaudio_study.analysis.bootstrap import (
    Weights,
    bounds,
    centred,
    crossed_draws,
    drawn_anew,
    drawn_means,
    drawn_tables,
    strata_of,
)
from xaudio_study.analysis.contrasts import differences
from xaudio_study.analysis.exclusions import ExclusionRules, apply_rules
from xaudio_study.analysis.mixed import balanced_fit, paired_fit, unpaired_fit
from xaudio_study.analysis.report import figure_of, ranking, write_results
from xaudio_study.analysis.results import StudyResults
from xaudio_study.analysis.table import choice_table
from xaudio_study.records import Answer, Item, Participant, Question, StudyData
from xaudio_study.simulation.power import PowerResults
from xaudio_study.simulation.simulation import MODES, Behaviour, plain_design, simulate

CLASSES = ("a", "b", "c")
EVERYBODY = ExclusionRules(finished=False, headphones=0, fastest_ms=0, failed_catch=99)
CHOICE = Question(name="prediction", kind="choice", text={"en": "?"}, answers=CLASSES)


def study(answers, items, *, questions=(CHOICE,), classes=CLASSES, simulated="", **people):
    """A study from (participant, item, value) or (participant, item, value, milliseconds)."""
    names = list(dict.fromkeys(row[0] for row in answers))
    return StudyData(
        title="By hand",
        classes=classes,
        questions=questions,
        items=tuple(items),
        participants=tuple(
            Participant(**{"participant": name, "enrolled": "t", "finished": "t", **people.get(name, {})}) for name in names
        ),
        answers=tuple(
            Answer(
                participant=row[0],
                item=row[1],
                position=place,
                value=row[2],
                response_ms=row[3] if len(row) > 3 else 1000,
                plays=1,
                answered="t",
            )
            for place, row in enumerate(answers)
        ),
        simulated=simulated,
    )


def item(name, predicted="a", truth=None, mode="audible-explanation", **more):
    truth = truth or predicted
    known = {"recording": name, "question": "prediction", "right": predicted == truth}
    return Item(**{**known, "item": name, "mode": mode, "predicted": predicted, "truth": truth, **more})


BY_HAND = study(
    [
        ("p", "1", "a", 1000),
        ("p", "2", "b", 2000),
        ("p", "3", "b", 4000),
        ("p", "4", "a", 8000),
        ("q", "1", "a", 1000),
        ("q", "2", "a", 1000),
        ("q", "3", "c", 1000),
        ("q", "4", "b", 1000),
    ],
    [item("1", "a"), item("2", "b"), item("3", "c"), item("4", "b", truth="a")],
)


def cell_of(results, condition, group):
    return next(cell for cell in results.cells if (cell.condition, cell.group) == (condition, group))


def test_a_study_worked_out_by_hand():
    results = analyze(BY_HAND, EVERYBODY, draws=100)
    cell = cell_of(results, "audible-explanation", "all")
    # Predicted a: answers a, a; b: b, a (item 2) and a, b (item 4); c: b, c.
    assert cell.confusion == [[2, 0, 0], [2, 2, 0], [0, 1, 1]]
    assert cell.accuracy.value == 5 / 8
    assert cell.truth == pytest.approx(5 / 8)  # a and a, b, c, and the a about item 4
    informed = [2 / 2 - 2 / 6, 2 / 4 - 1 / 4, 1 / 2 - 0 / 6]
    marked = [2 / 4 - 0 / 4, 2 / 3 - 2 / 5, 1 / 1 - 1 / 7]
    assert [one.informedness.value for one in cell.classes] == pytest.approx(informed)
    assert [one.markedness.value for one in cell.classes] == pytest.approx(marked)
    assert cell.informedness.macro.value == pytest.approx(np.mean(informed))
    assert cell.informedness.weighted.value == pytest.approx((4 * informed[0] + 3 * informed[1] + informed[2]) / 8)
    assert cell.markedness.weighted.value == pytest.approx((2 * marked[0] + 4 * marked[1] + 2 * marked[2]) / 8)
    assert cell.chance == 1 / 3
    assert cell.commonest == 4 / 8
    assert cell.median_ms == 1000
    assert cell.geometric_mean_ms.value == pytest.approx(1000 * 2 ** ((0 + 1 + 2 + 3) / 8))
    # Of the four items one has both participants agree; answers are a 4, b 3, c 1 of 8.
    chance = (16 + 9 + 1) / 64
    assert cell.fleiss_kappa == pytest.approx((1 / 4 - chance) / (1 - chance))
    # Alpha: 3 of 4 pairs differ; of 56 ordered pairs of answers 2 * (12 + 4 + 3) differ.
    assert cell.krippendorff_alpha == pytest.approx(1 - (3 / 4) / (38 / 56))
    assert cell.informedness.macro.low is None  # two people, four recordings: nothing can be drawn


def test_wrong_and_right_recordings_are_apart_and_missing_classes_are_named():
    results = analyze(BY_HAND, EVERYBODY, draws=100)
    wrong = cell_of(results, "audible-explanation", "wrong")
    assert wrong.confusion == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert wrong.truth == 1 / 2
    assert wrong.informedness.macro is None
    assert wrong.informedness.left_out == ["a", "b", "c"]
    assert [one.undefined for one in wrong.classes] == [
        "never predicted by the model",
        "always predicted by the model",
        "never predicted by the model, never answered",
    ]
    named = "a: never predicted by the model; b: always predicted by the model; c: never predicted by the model"
    assert any(named in note for note in results.notes)
    right = cell_of(results, "audible-explanation", "right")
    assert right.informedness.left_out == []
    nobody = study([("p", "1", "a"), ("p", "2", "a"), ("q", "1", "a"), ("q", "2", "c")], [item("1"), item("2", "b")])
    results = analyze(nobody, EVERYBODY, draws=100)
    assert any("nobody answered (audible-explanation: b)" in note for note in results.notes)
    measured = cell_of(results, "audible-explanation", "right")
    assert (measured.informedness.left_out, measured.markedness.left_out) == (["c"], ["b", "c"])


rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=8, max_size=8)


@pytest.mark.slow
@given(rows)
@settings(max_examples=25)
def test_results_do_not_depend_on_the_order_of_answers_or_the_names_of_people(pairs):
    items = [item(str(index), CLASSES[predicted]) for index, (predicted, _) in enumerate(pairs)]
    answers = [
        (person, str(index), CLASSES[(answered + shift) % 3])
        for shift, person in enumerate("pq")
        for index, (_, answered) in enumerate(pairs)
    ]
    one = analyze(study(answers, items), EVERYBODY, draws=100)
    other = analyze(study([("x" + row[0], *row[1:]) for row in reversed(answers)], items), EVERYBODY, draws=100)
    # Only the interval may differ: the draws are of people and recordings in their order.
    assert [cell.confusion for cell in one.cells] == [cell.confusion for cell in other.cells]
    assert [cell.fleiss_kappa for cell in one.cells] == pytest.approx([cell.fleiss_kappa for cell in other.cells])


def test_explainers_are_conditions_where_there_are_several():
    items = [item(f"{name}{index}", explainer=name, recording=str(index)) for name in ("lrp", "random") for index in range(2)]
    items.append(item("plain", mode="audible-signal"))
    results = analyze(study([(p, one.item, "a") for p in "pq" for one in items], items), EVERYBODY, draws=100)
    names = list(dict.fromkeys(cell.condition for cell in results.cells))
    assert names == ["audible-explanation, lrp", "audible-explanation, random", "audible-signal"]


def test_exclusions_are_counted_and_reported_with_and_without():
    items = [item("1"), item("2", "b"), item("catch", catch="c")]
    careful = [(person, one, value) for person in "pq" for one, value in (("1", "a"), ("2", "b"), ("catch", "c"))]
    careless = [("r", "1", "b", 100), ("r", "2", "a", 200), ("r", "catch", "a", 10_000)]
    data = study(
        [*careful, *careless, ("s", "1", "a")],
        items,
        r={"headphones": 0.5},
        s={"finished": None},
        p={"headphones": 5 / 6},
    )
    rules = ExclusionRules(failed_catch=0)
    found = {count.rule: count.participants for count in apply_rules(data, rules).counts}
    assert found == {
        "withdrew": 0,
        "did not finish": 1,
        "failed more than 0 of 1 catch trials": 1,
        "less than 80% right in the headphone check": 1,
        "median response faster than 500 ms": 1,  # the catch trial does not count
    }
    results = analyze(data, rules, draws=100)
    assert (results.enrolled, results.kept) == (4, 2)
    assert cell_of(results, "audible-explanation", "all").accuracy.value == 1
    assert cell_of(results, "audible-explanation", "all").answers == 4
    everybody = next(one for one in results.without_exclusions if one.group == "all")
    assert (everybody.participants, everybody.answers, everybody.accuracy) == (4, 7, pytest.approx(5 / 7))
    assert len(apply_rules(data, EVERYBODY).data.participants) == 4


def test_rules_come_from_the_settings_of_the_study(tmp_path):
    from xaudio_study.building.settings import StudySettings
    from xaudio_study.building.template import to_toml

    (tmp_path / "study.toml").write_text(to_toml(StudySettings(exclusion=ExclusionRules(fastest_ms=700, finished=False))))
    assert rules_of(tmp_path) == ExclusionRules(fastest_ms=700, finished=False)


def test_a_withdrawn_participant_is_only_a_count():
    data = BY_HAND.model_copy(
        update={"participants": (*BY_HAND.participants, Participant(participant="w", enrolled="t", withdrawn=True))}
    )
    results = analyze(data, EVERYBODY, draws=100)
    assert results.exclusions[0].participants == 1
    assert (results.enrolled, results.kept) == (3, 2)


def test_who_never_answered_is_neither_analysed_nor_drawn():
    """Two people answered and nine only began: no interval may pass for one over eleven people."""
    items = [item(str(number), CLASSES[number % 3]) for number in range(9)]
    answers = [(person, one.item, "a") for person in "pq" for one in items]
    data = study(answers, [*items, item("unheard", truth="b")])
    began = tuple(Participant(participant=f"began{number}", enrolled="t") for number in range(9))
    gone = Participant(participant="gone", enrolled="t", withdrawn=True)
    leftover = data.answers[0].model_copy(update={"participant": "gone"})  # which a withdrawal would have deleted
    data = data.model_copy(update={"participants": (*data.participants, *began, gone), "answers": (*data.answers, leftover)})
    results = analyze(data, ExclusionRules(finished=False), draws=100)
    assert (results.enrolled, results.kept) == (12, 2)
    assert results.drawn == ["recordings"]  # nor is the wrongly predicted one, which nobody heard, a stratum of one
    assert {one.rule: one.participants for one in results.exclusions}["answered nothing"] == 9
    assert any(note.startswith("2 participants are fewer than 8") for note in results.notes)
    assert {one.participants for one in results.without_exclusions} == {2}
    only = data.model_copy(update={"answers": data.answers[:3]})
    with pytest.raises(DataError, match=r"1 of 12 participants is left \(withdrew: 1; answered nothing: 10\)"):
        analyze(only, ExclusionRules(finished=False))


@pytest.mark.parametrize(
    ("milliseconds", "catch", "headphones", "kept"),
    [(500, 500, 0.8, 3), (499, 9000, 0.8, 2), (600, 100, 0.8, 3), (500, 500, 0.79, 2), (500, 500, None, 3)],
)
def test_rules_leave_out_who_is_beyond_the_limit_and_not_who_is_at_it(milliseconds, catch, headphones, kept):
    items = [item("1"), item("catch", catch="c")]
    answers = [(person, *rest) for person in "qr" for rest in (("1", "a"), ("catch", "c"))]
    answers += [("p", "1", "a", milliseconds), ("p", "catch", "c", catch)]
    found = analyze(study(answers, items, p={"headphones": headphones, "form": {"gender": "x"}}), draws=100)
    assert found.kept == kept
    assert sum(found.form.get("gender", {}).values()) == (3 if kept == 3 else 0)  # of those who are kept


def test_what_was_said_is_not_known_for_a_class_that_is_none():
    items = [item("1", "a", truth="another word"), item("2", "a", truth="b")]
    found = analyze(study([(p, one.item, "a") for p in "pq" for one in items], items), EVERYBODY, draws=100)
    assert cell_of(found, "audible-explanation", "wrong").truth is None


def test_default_rules_are_named_as_such():
    note = "Without settings of the study, the default rules say who is left out"
    assert any(note in one for one in analyze(BY_HAND, draws=100).notes)
    assert not any(note in one for one in analyze(BY_HAND, ExclusionRules(), draws=100).notes)


# The mixed-effects test


def layout(seed, people=12, sounds=9, person=0.3, sound=0.2):
    rng = np.random.default_rng(seed)
    return (
        0.1
        + person * rng.standard_normal(people)[:, None]
        + sound * rng.standard_normal(sounds)
        + 0.5 * rng.standard_normal((people, sounds))
    )


@pytest.mark.parametrize(("seed", "person", "sound"), [(0, 0.3, 0.2), (1, 0.4, 0.0), (2, 0.0, 0.3), (3, 0.0, 0.0)])
def test_the_search_and_the_closed_form_agree(seed, person, sound):
    table = layout(seed, person=person, sound=sound)
    fitted, closed = paired_fit(table), balanced_fit(table)
    assert fitted.effect == pytest.approx(closed.effect, abs=1e-9)
    assert fitted.error == pytest.approx(closed.error, rel=1e-4)
    assert fitted.test()[1] == pytest.approx(closed.test()[1], rel=1e-3)
    assert dict(fitted.variances) == pytest.approx(closed.variances, abs=1e-5)


# Differences of participants (one word each) about recordings: +, 0, - and . where an answer is missing. Expected is what
# R 4.2.2 says, with lme4 1.1-31 and lmerTest 3.1-3, of a data frame x with a row for each difference d of p about r:
#     m <- lmer(d ~ 1 + (1 | p) + (1 | r), data = x); summary(m)$coefficients; as.data.frame(VarCorr(m))
# In that order: estimate, standard error, df, p; variances of p, r and the residual.
OF_LME4 = {
    "complete": ("000+ 0000 0+0+ 0000", (0.1875, 0.145834, 3.167, 0.284487), (0.027778, 0.027778, 0.118055)),
    "a small variance between participants": (
        "0-+00++-0- 0+-+0+0+00 0+-0-00++0 ++00+00+0+ ++00+0+0+- +-0+0--+00 "
        "0++-0++--0 +++0+00+00 -00++++00- 00+00++0++ -0--0+-00+ -000+0-0++",
        (0.208333, 0.066809, 11.0, 0.009779),
        (0.001801, 0, 0.517593),
    ),
    "no variance but the residual's": ("-+-0 +0+0 +0-0 +00-", (0.0625, 0.192976, 15.000, 0.750504), (0, 0, 0.595833)),
    "both variances": ("-000- -+0+- +000- -0000 0+++0", (0, 0.24495, 5.225, 1), (0.080001, 0.160001, 0.299999)),
    "drop-outs, recordings differ": (
        "0+0-+ ..0.- 0+.0+ 000-+ ..... ++-+0",
        (0.186883, 0.189437, 3.804, 0.382392),
        (0, 0.056465, 0.515048),
    ),
    "a drop-out, participants differ": (
        "+0+00 ...0. 00000 000-0 0++++",
        (0.21971, 0.192531, 4.194, 0.31474),
        (0.134408, 0, 0.171533),
    ),
}


@pytest.mark.parametrize("name", OF_LME4)
def test_the_mixed_model_is_that_of_lme4(name):
    words, (effect, error, df, chance), variances = OF_LME4[name]
    fit = paired_fit(np.array([[{"+": 1, "0": 0, "-": -1, ".": np.nan}[sign] for sign in word] for word in words.split()]))
    assert fit.effect == pytest.approx(effect, abs=1e-5)
    assert fit.error == pytest.approx(error, rel=1e-4)
    assert dict(fit.variances) == pytest.approx(
        dict(zip(("participant", "recording", "residual"), variances, strict=True)), abs=2e-5
    )
    if "." in words:  # there the expected mean squares are those of a complete table of the mean size
        assert fit.df == pytest.approx(df, abs=0.25)
        assert fit.test()[1] == pytest.approx(chance, rel=0.02)
    else:
        assert fit.df == pytest.approx(df, rel=1e-3)
        assert fit.test()[1] == pytest.approx(chance, rel=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what statsmodels says of its derivatives at the largest likelihood
@pytest.mark.parametrize("seed", range(4))
def test_the_mixed_model_is_that_of_statsmodels_where_that_finds_the_largest_likelihood(seed):
    """By Powell's search: its searches along the slope stop beside it where a variance is small."""
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

    table = layout(seed, person=0.5, sound=0.4)
    table[np.random.default_rng(seed).random(table.shape) < 0.15] = np.nan
    places = dict(zip(("participant", "recording"), np.nonzero(np.isfinite(table)), strict=True))
    values = table[np.isfinite(table)]
    spec = VCSpec(
        list(places),
        [[[f"{name}{level}" for level in range(size)]] for name, size in zip(places, table.shape, strict=True)],
        [[np.eye(size)[levels]] for levels, size in zip(places.values(), table.shape, strict=True)],
    )
    begin = MixedLMParams.from_components(fe_params=np.zeros(1), cov_re=np.zeros((0, 0)), vcomp=np.array([0.7, 0.3]))
    model = MixedLM(values, np.ones((len(values), 1)), groups=np.zeros(len(values)), exog_vc=spec)
    found = model.fit(reml=True, method=["powell"], start_params=begin, xtol=1e-9, ftol=1e-12)
    fit = paired_fit(table)
    assert min(fit.variances.values()) > 0.01
    assert fit.effect == pytest.approx(float(found.fe_params[0]), abs=1e-5)
    assert dict(fit.variances) == pytest.approx(dict(zip(fit.variances, (*found.vcomp, found.scale), strict=True)), abs=1e-5)


def test_the_mixed_model_without_pairs_is_that_of_lme4():
    # y or n: right or wrong in the second condition, Y or N in the first, . no answer. As above, with
    #     lmer(y ~ c + (1 | p) + (1 | r) + (1 | i), data = x) where i is the item, paste(r, c).
    words = "nYyNyYn NnNnNnY n.yNyNn Y.Nn..N ..nNnYn YnYnYnY nNnNnYn .nNnNnN .YyY..y Y.YnYy. nYnY.Nn".split()
    found = [(p, r, sign) for p, word in enumerate(words) for r, sign in enumerate(word) if sign != "."]
    participant, recording = (np.array([row[place] for row in found]) for place in (0, 1))
    right = np.array([float(sign in "yY") for _, _, sign in found])
    first = np.array([int(sign in "YN") for _, _, sign in found])
    fit = unpaired_fit(right, first, participant, recording)
    assert fit.effect == pytest.approx(0.313222, abs=1e-5)
    assert fit.error == pytest.approx(0.106887, rel=1e-4)
    expected = {"participant": 0.056575, "recording": 0, "item": 0.002725, "residual": 0.165246}
    assert dict(fit.variances) == pytest.approx(expected, abs=2e-5)
    assert fit.df == 5  # 7 recordings less 2: fewer than the 12.6 of lmerTest


@pytest.mark.slow
@given(st.lists(st.lists(st.sampled_from([-1.0, 0.0, 1.0, np.nan]), min_size=5, max_size=5), min_size=3, max_size=8))
@settings(max_examples=50)
def test_every_table_has_a_finite_test(rows):
    table = np.array(rows)
    known = np.isfinite(table)
    if known.any(1).sum() < 2 or known.any(0).sum() < 2 or np.ptp(table[known]) == 0:
        return
    fit = paired_fit(table)
    assert np.isfinite([fit.effect, fit.error, fit.df, *fit.test(), *fit.interval()]).all()
    assert fit.error > 0
    assert -1 <= fit.effect <= 1
    assert min(fit.variances.values()) >= 0


def test_what_participants_explain_wholly_is_not_tested():
    items = [item(f"{number}{mode}", mode=mode, recording=str(number)) for number in range(4) for mode in MODES[:2]]
    answers = [(person, one.item, "b" if person in "pq" and one.mode == MODES[1] else "a") for person in "pqrst" for one in items]
    results = analyze(study(answers, items), EVERYBODY, draws=100)
    assert {one.untested for one in results.contrasts} == {
        "participants or recordings explain every answer: there is no residual variance"
    }


def test_without_recordings_that_differ_it_is_the_t_test_of_the_means_of_participants():
    people = np.random.default_rng(5).standard_normal(10)
    noise = np.random.default_rng(6).standard_normal((10, 6))
    noise -= noise.mean(1, keepdims=True) + noise.mean(0) - noise.mean()  # neither rows nor columns differ by it
    fit = balanced_fit(people[:, None] + 0.1 * noise)
    expected = stats.ttest_1samp(people, 0)
    assert fit.df == 9
    assert fit.test() == pytest.approx((expected.statistic, expected.pvalue))
    low, high = fit.interval()
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval()))


def test_missing_answers_are_left_to_the_likelihood():
    table = layout(7, people=20)
    holes = table.copy()
    holes[np.random.default_rng(0).random(table.shape) < 0.1] = np.nan
    whole, fit = paired_fit(table), paired_fit(holes)
    assert fit.effect == pytest.approx(whole.effect, abs=0.1)
    assert fit.error == pytest.approx(whole.error, rel=0.25)


def test_conditions_of_different_people_are_compared_without_pairs():
    rng = np.random.default_rng(0)
    participant, recording = (grid.ravel() for grid in np.meshgrid(np.arange(20), np.arange(8), indexing="ij"))
    first = (participant % 2).astype(np.int64)
    right = (rng.random(len(first)) < 0.2 + 0.5 * first).astype(float)
    fit = unpaired_fit(right, first, participant, recording)
    assert fit.effect == pytest.approx(right[first == 1].mean() - right[first == 0].mean(), abs=1e-6)
    assert fit.test()[1] < 0.01


def test_two_answers_of_different_people_are_no_test_and_no_variance_is_named():
    items = [item("1"), item("2s", "b", mode="audible-signal")]
    results = analyze(study([("p", "1", "a"), ("q", "2s", "a")], items), EVERYBODY, draws=100)
    assert {one.untested for one in results.contrasts} == {"2 answers are too few for a test; expected 3 or more"}
    items = [item(f"{number}{mode}", mode=mode, recording=str(number)) for number in range(4) for mode in MODES[:2]]
    wrong = [("p", 0), ("q", 1), ("r", 2), ("s", 3)]  # each about another recording: neither differ beyond the residual
    answers = [
        (person, one.item, "b" if (person, index // 2) in wrong and index % 2 else "a")
        for person in "pqrs"
        for index, one in enumerate(items)
    ]
    test = next(one.test for one in analyze(study(answers, items), EVERYBODY, draws=100).contrasts if one.group == "right")
    assert test.difference.value == 0.25
    assert test.notes == [f"no variance between {name}s beyond the residual's" for name in ("participant", "recording")]


def test_the_analysis_of_conditions_of_different_people():
    items = [item(f"{number}{mode}", mode=mode, recording=str(number)) for number in range(6) for mode in MODES[:2]]

    def compared(*wrong):
        answers = [
            (person, one.item, "b" if (person, one.recording) in wrong else "a")
            for person in "pqrs"
            for one in items
            if one.mode == MODES[person in "rs"]
        ]
        return next(one for one in analyze(study(answers, items), EVERYBODY, draws=100).contrasts if one.group == "right")

    found = compared(("p", "0"), ("r", "1"), ("r", "2"), ("s", "1"), ("s", "4"))
    assert (found.first, found.second) == tuple(MODES[:2])
    assert found.test.difference.value == pytest.approx(11 / 12 - 8 / 12, abs=0.05)
    assert (found.test.pairs, found.test.participants, found.test.recordings) == (0, 4, 6)
    assert found.test.model.startswith("right = mean + condition")
    assert found.test.df == 2
    assert compared().untested == "all answers are right: there is no variance"


def test_the_same_difference_everywhere_is_no_test():
    items = [item(f"{number}{mode}", mode=mode, recording=str(number)) for number in range(3) for mode in MODES[:2]]
    answers = [(person, one.item, "a" if one.mode == MODES[0] else "b") for person in "pq" for one in items]
    found = analyze(study(answers, items), EVERYBODY, draws=100).contrasts[0]
    assert found.untested == "the difference is 1 for every participant and recording: there is no variance"
    answers = [("p", one.item, "ab"[number % 2]) for number, one in enumerate(items)] + [("q", items[0].item, "a")]
    found = analyze(study(answers, items), EVERYBODY, draws=100).contrasts[0]
    assert found.untested == "1 participant and 3 recordings are too few for a test; expected 2 of each or more"


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    chances = [0.04, 0.001, 0.3, 0.02, 0.9]
    assert holm(chances) == pytest.approx(list(multipletests(chances, method="holm")[1]))
    assert holm([0.04, 0.03]) == [0.06, 0.06]  # never below that of a smaller one
    assert holm([]) == []


def test_differences_pair_the_answers_of_a_person_about_a_recording():
    items = [item("1"), item("2", "b"), item("1s", "a", mode="audible-signal", recording="1")]
    data = study([("p", "1", "a"), ("p", "1s", "b"), ("p", "2", "b"), ("q", "1s", "a")], items)
    table = choice_table(data)
    found = differences(table, 0, 1, "all")
    assert found[0, 0] == 1
    assert np.isnan([found[0, 1], found[1, 0], found[1, 1]]).all()


def test_the_bootstrap_draws_whole_people_and_recordings_within_their_kind():
    strata = np.array([0] * 9 + [1] * 8)
    weights = crossed_draws(10, strata, draws=200, seed=1)
    assert (weights.participants.sum(1) == 10).all()
    assert (weights.recordings[:, strata == 0].sum(1) == 9).all()
    assert (weights.recordings[:, strata == 1].sum(1) == 8).all()
    few = crossed_draws(3, strata, draws=50, seed=1)
    assert (few.participants == 1).all()  # three people cannot be drawn again
    assert not (few.recordings == 1).all()
    assert crossed_draws(3, strata[:5], draws=50) is None
    assert drawn_anew(8, strata) == ["participants", "recordings"]
    assert drawn_anew(7, strata[:-1]) == []  # of one kind there are seven recordings only


def test_a_draw_counts_each_answer_as_often_as_its_person_and_its_recording():
    table = choice_table(BY_HAND)  # p answered a, b, b, a and q a, a, c, b; predicted were a, b, c and (wrongly) b
    weights = Weights(np.array([[2.0, 0], [1, 1]]), np.array([[1.0, 0, 3, 1], [1, 1, 1, 1]]))
    wrong, right, both = drawn_tables(table, 0, weights)[0]
    assert right.tolist() == [[2, 0, 0], [0, 0, 0], [0, 6, 0]]
    assert wrong.tolist() == [[0, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert (both == wrong + right).all()
    assert drawn_tables(table, 0, weights)[1, 2].tolist() == [[2, 0, 0], [2, 2, 0], [0, 1, 1]]
    assert drawn_means(table, 0, table.milliseconds, weights)[0] == pytest.approx([8000, (2 * 1000 + 6 * 4000) / 8, 42000 / 10])
    assert strata_of(table).tolist() == [1, 1, 1, 0]


@pytest.mark.slow
def test_a_cell_is_made_of_its_own_answers_and_draws(simulated):
    answers = tuple(one.model_copy(update={"plays": 1 + place % 4}) for place, one in enumerate(simulated.answers))
    data = simulated.model_copy(update={"answers": answers})
    results, table = analyze(data, EVERYBODY, draws=150, seed=2), choice_table(data)
    weights = crossed_draws(len(table.participants), strata_of(table), draws=150, seed=2)
    for cell in results.cells:
        number, place = MODES.index(cell.condition), ("wrong", "right", "all").index(cell.group)
        rows = (table.condition == number) & table.group(cell.group)
        pairs = list(zip(table.predicted[rows], table.answered[rows], table.recording[rows], strict=True))
        drawn = drawn_tables(table, number, weights)[:, place]
        pooled, times = measures.pooled(drawn), drawn_means(table, number, np.log(table.milliseconds), weights)[:, place]
        for found, values, interval in (
            (cell.accuracy, measures.accuracy(drawn), bounds),
            (cell.geometric_mean_ms, np.exp(times), bounds),
            (cell.informedness.macro, pooled.informedness_macro, bounds),
            (cell.informedness.weighted, pooled.informedness_weighted, bounds),
            (cell.markedness.macro, pooled.markedness_macro, centred),
            (cell.markedness.weighted, pooled.markedness_weighted, centred),
        ):
            assert (found.low, found.high) == interval(found.value, values)
        assert cell.above_chance == (cell.accuracy.low > 1 / 3)
        for index, one in enumerate(cell.classes):
            for found, values in ((one.informedness, measures.informedness(drawn)), (one.markedness, measures.markedness(drawn))):
                assert (found.low, found.high) == bounds(found.value, values[:, index])
            assert one.recordings == len({sound for predicted, _, sound in pairs if predicted == index})
            assert one.answered == sum(answer == index for _, answer, _ in pairs)
            assert one.predicted == sum(predicted == index for predicted, _, _ in pairs)
            assert one.right == sum(predicted == answer == index for predicted, answer, _ in pairs)
        assert cell.commonest == max(one.predicted for one in cell.classes) / len(pairs)
        assert cell.plays == pytest.approx(table.plays[rows].mean())
        votes = [[sum((answer, sound) == (index, one) for _, answer, sound in pairs) for index in range(3)] for one in range(18)]
        assert cell.fleiss_kappa == pytest.approx(measures.fleiss_kappa(votes))
        assert cell.krippendorff_alpha == pytest.approx(measures.krippendorff_alpha(votes))
    for contrast in results.contrasts:
        first, second = (MODES.index(name) for name in (contrast.first, contrast.second))
        place = ("wrong", "right", "all").index(contrast.group)
        for found, name in ((contrast.informedness_macro, "macro"), (contrast.informedness_weighted, "weighted")):
            sides = [
                getattr(measures.pooled(drawn_tables(table, one, weights)), f"informedness_{name}") for one in (first, second)
            ]
            assert (found.low, found.high) == bounds(found.value, (sides[0] - sides[1])[:, place])
    for group in ("wrong", "right", "all"):
        tests = [one.test for one in results.contrasts if one.group == group]
        assert [test.p_holm for test in tests] == holm([test.p for test in tests])


def test_draws_that_equal_the_value_count_half():
    drawn = np.repeat([-1.0, 0.0, 1.0], [250, 500, 250])
    assert bounds(0.0, drawn) == (-1, 1)


def test_the_interval_is_the_percentile_interval_where_the_draws_are_not_biased():
    drawn = np.random.default_rng(0).normal(0, 1, 20_000)
    assert bounds(float(np.median(drawn)), drawn) == pytest.approx((-1.96, 1.96), abs=0.06)
    low, high = bounds(0.0, drawn + 0.5)  # drawn too high by half a standard deviation: corrected to both sides
    assert (low, high) == pytest.approx((0.5 - 1.0 - 1.96, 0.5 - 1.0 + 1.96), abs=0.1)
    assert bounds(0.0, np.full(10, np.nan)) is None


def test_the_interval_of_markedness_lies_around_the_value_whatever_the_draws_lack():
    drawn = np.random.default_rng(0).normal(0.5, 0.1, 20_000)
    drawn[::3] = np.nan
    assert centred(0.2, drawn) == pytest.approx((0.2 - 0.196, 0.2 + 0.196), abs=0.01)
    assert centred(0.95, drawn)[1] == 1
    assert centred(-0.95, drawn)[0] == -1
    drawn[1::3] = np.nan
    assert centred(0.2, drawn) is bounds(0.2, drawn) is None  # undefined in most draws


# Ratings and preferences


def test_ratings_and_preferences():
    rating = Question(name="clear", kind="rating", text={"en": "?"}, answers=("1", "2", "3"))
    better = Question(name="better", kind="preference", text={"en": "?"}, answers=("A", "B"))
    items = [item("r1", question="clear"), item("r2", question="clear")]
    items += [
        item("c1", question="better", explainer="lrp", against="random"),
        item("c2", question="better", explainer="random", against="lrp"),  # the other way round
        item("c3", question="better", explainer="lrp", against="random"),
    ]
    answers = []
    for number in range(10):
        person = f"p{number}"
        answers += [(person, "r1", "3"), (person, "r2", "1" if number < 5 else "2")]
        likes = "A" if number < 9 else "B"
        answers += [(person, "c1", likes), (person, "c2", {"A": "B", "B": "A"}[likes]), (person, "c3", likes)]
    results = analyze(study(answers, items, questions=(rating, better)), EVERYBODY, draws=200)
    assert results.cells == results.contrasts == []
    found = next(one for one in results.ratings if one.group == "all")
    assert found.mean.value == pytest.approx((10 * 3 + 5 * 1 + 5 * 2) / 20)
    assert found.counts == {"1": 5, "2": 5, "3": 10}
    (preference,) = results.preferences
    assert (preference.first, preference.second) == ("lrp", "random")
    assert preference.share.value == pytest.approx(0.9)
    assert (preference.prefer_first, preference.prefer_second, preference.undecided) == (9, 1, 0)
    assert preference.p == pytest.approx(stats.binomtest(9, 10).pvalue)
    assert preference.share_of_participants.low == pytest.approx(stats.beta.ppf(0.025, 9, 2))


# Wrong input


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": ()}, "nobody has answered"),
        ({"participants": BY_HAND.participants[:1]}, "belongs to no participant"),
        ({"answers": (*BY_HAND.answers, BY_HAND.answers[0])}, "answered 1 twice"),
        ({"classes": ("a", "b", "d")}, "prediction 'c', which is none"),
        ({"participants": (*BY_HAND.participants, BY_HAND.participants[1])}, "2 participants have the name q"),
        ({"items": (*BY_HAND.items, BY_HAND.items[2])}, "2 items have the name 3"),
        ({"items": (*BY_HAND.items[:3], BY_HAND.items[3].model_copy(update={"question": "x"}))}, "item 4 asks 'x', which is no"),
        ({"items": (*BY_HAND.items, item("5", "a", truth="c", recording="1"))}, "two different predictions"),
    ],
)
def test_wrong_input_gets_one_clear_line(change, said):
    with pytest.raises(DataError, match=said) as caught:
        analyze(BY_HAND.model_copy(update=change), EVERYBODY, draws=100)
    assert "\n" not in str(caught.value)


def test_too_few_participants_say_why():
    data = BY_HAND.model_copy(
        update={"participants": tuple(p.model_copy(update={"finished": None}) for p in BY_HAND.participants)}
    )
    with pytest.raises(DataError, match=r"0 of 2 participants are left \(did not finish: 2\); expected 2 or more"):
        analyze(data)


def test_ratings_of_right_and_wrong_recordings_and_undecided_people():
    rating = Question(name="clear", kind="rating", text={"en": "?"}, answers=("1", "2", "3"))
    better = Question(name="better", kind="preference", text={"en": "?"}, answers=("A", "B"))
    items = [item(f"r{number}", "a", truth="ab"[number < 8], question="clear") for number in range(16)]
    items += [item(f"c{number}", question="better", explainer="lrp", against="random") for number in range(2)]
    answers = [(p, f"r{number}", "1" if number < 8 else "23"[p == "p"]) for p in "pq" for number in range(16)]
    answers += [("p", "c0", "A"), ("p", "c1", "B"), ("q", "c0", "A"), ("q", "c1", "A")]
    results = analyze(study(answers, items, questions=(rating, better)), EVERYBODY, draws=200)
    means = {one.group: (one.mean.value, one.mean.low, one.mean.high) for one in results.ratings}
    # Drawn within their kind, eight recordings rated 1 and eight rated 2.5 in the mean are never more or fewer.
    assert means == {"wrong": (1, 1, 1), "right": (2.5, 2.5, 2.5), "all": (1.75, 1.75, 1.75)}
    alpha = next(one.krippendorff_alpha for one in results.ratings if one.group == "all")
    votes = [[2, 0, 0]] * 8 + [[0, 1, 1]] * 8
    assert alpha == pytest.approx(measures.krippendorff_alpha(votes, "interval"))
    assert alpha != pytest.approx(measures.krippendorff_alpha(votes))
    (preference,) = results.preferences
    assert (preference.prefer_first, preference.prefer_second, preference.undecided) == (1, 0, 1)


def test_the_condition_of_a_rating_does_not_depend_on_what_was_answered():
    rating = Question(name="clear", kind="rating", text={"en": "?"}, answers=("1", "2", "3"))
    items = [item(f"{name}1", question="clear", explainer=name, recording="1") for name in ("lrp", "random")]
    results = analyze(study([("p", "lrp1", "2"), ("q", "lrp1", "3")], items, questions=(rating,)), EVERYBODY, draws=100)
    assert {one.condition for one in results.ratings} == {"audible-explanation, lrp"}


# The page


@pytest.fixture(scope="module")
def simulated():
    design = plain_design(CLASSES, 9, 9, [(mode, None) for mode in MODES], catches=2)
    behaviour = Behaviour(knows={"audible-explanation": 0.6}, hears={"audible-signal": 0.8}, dropout=0.1, careless=0.1)
    return simulate(design, behaviour, 14, seed=3)


@pytest.mark.slow
def test_the_report_says_on_every_page_that_it_is_simulated(simulated, tmp_path):
    results = analyze(simulated, draws=200)
    write_run(tmp_path, settings={})
    page = write_results(tmp_path, results).read_text()
    assert "SIMULATED: nobody was asked" in page
    assert "SIMULATED" in figure_of(results).get_suptitle()
    assert "://" not in page.replace("http://www.w3.org", "")
    assert StudyResults.model_validate_json((tmp_path / "results.json").read_text()) == results
    assert json.loads((tmp_path / "results.json").read_text())["simulated"]
    assert (tmp_path / "figure5.png").stat().st_size > 10_000
    table = (tmp_path / "measures.csv").read_text().splitlines()
    assert len(table) == 1 + 4 * 3 * (3 + 2)
    people = results.model_copy(update={"simulated": "", "notes": []})
    assert "SIMULATED" not in write_results(tmp_path, people).read_text()


@pytest.mark.slow
def test_the_report_command_writes_the_page_anew(simulated, tmp_path):
    from typer.testing import CliRunner

    from xaudio.cli.app import app

    write_run(tmp_path, settings={})
    page = write_results(tmp_path, analyze(simulated, draws=100))
    before = page.read_text()
    for name in ("report.html", "figure5.png", "measures.csv"):
        (tmp_path / name).unlink()
    assert CliRunner().invoke(app, ["report", str(tmp_path)]).exit_code == 0
    assert page.read_text() == before
    assert (tmp_path / "figure5.png").exists()


@pytest.mark.slow
def test_the_figure_stands_odd_names_and_says_where_nothing_is_to_be_seen(tmp_path):
    odd = ("$x_{1}^$", 'a,"b"', "n" * 300)
    items = [item(str(number), odd[number % 3]) for number in range(9)]
    results = analyze(
        study([(p, one.item, one.predicted) for p in "pq" for one in items], items, classes=odd), EVERYBODY, draws=100
    )
    write_run(tmp_path, settings={})
    write_results(tmp_path, results)
    shown = [[text.get_text() for text in panel.texts] for panel in figure_of(results).axes]
    assert shown == [["no recordings"], [odd[0], odd[1], "n" * 15 + "…"]]
    with (tmp_path / "measures.csv").open(newline="") as file:
        assert [row["class"] for row in csv.DictReader(file)][:3] == list(odd)
    one = analyze(
        study([(p, str(n), "a") for p in "pq" for n in range(2)], [item(str(n)) for n in range(2)]), EVERYBODY, draws=100
    )
    assert [text.get_text() for text in figure_of(one).axes[1].texts] == ["no class has a value; the report says why"]
    write_results(tmp_path, results.model_copy(update={"cells": []}))  # the figure of an earlier analysis must not stay
    assert not (tmp_path / "figure5.png").exists()


@pytest.mark.slow
def test_the_figure_shows_the_numbers(simulated):
    results = analyze(simulated, draws=200)
    wrong, right = figure_of(results).axes
    for panel, group in ((wrong, "wrong"), (right, "right")):
        handles, labels = panel.get_legend_handles_labels()
        assert labels == [mode for mode in MODES if cell_of(results, mode, group).markedness.macro]
        for handle, label in zip(handles, labels, strict=True):
            cell = cell_of(results, label, group)
            place = (cell.informedness.macro.value, cell.markedness.macro.value)
            assert handle[0].get_xydata() == pytest.approx(np.array([place]))
            bars = [bar.get_segments()[0] for bar in handle[2]]
            assert bars[0][:, 0] == pytest.approx([cell.informedness.macro.low, cell.informedness.macro.high])
            assert bars[1][:, 1] == pytest.approx([cell.markedness.macro.low, cell.markedness.macro.high])
        classes = [
            (one.name, one.informedness.value, one.markedness.value)
            for mode in MODES
            for one in cell_of(results, mode, group).classes
            if one.informedness and one.markedness
        ]
        assert [(text.get_text(), *text.get_position()) for text in panel.texts] == classes


def test_the_schema_of_results_is_kept():
    schema = Path(__file__).parents[3] / "benchmarks/results/schema-study.json"
    assert json.loads(schema.read_text()) == StudyResults.model_json_schema(mode="serialization")
    kept = schema.parent / "study-simulated-fsdd/results.json"
    assert StudyResults.model_validate_json(kept.read_text()).simulated
    for name in ("power", "power-dropout"):
        assert PowerResults.model_validate_json((kept.parent / f"{name}.json").read_text()).simulated


@pytest.mark.slow
def test_the_analysis_is_the_same_again(simulated):
    assert analyze(simulated, draws=200) == analyze(simulated, draws=200)


@pytest.mark.slow
def test_of_many_conditions_each_is_compared_with_the_plain_signal():
    conditions = [("audible-explanation", f"e{number}") for number in range(9)] + [("audible-signal", None)]
    design = plain_design(CLASSES, 8, 8, conditions)
    results = analyze(simulate(design, Behaviour(knows={"audible-explanation, e3": 0.9}), 8), draws=100)
    assert Counter(contrast.second for contrast in results.contrasts) == {"audible-signal": 27}
    assert any("compared with the plain signal" in note for note in results.notes)
    assert ranking(results, "wrong")[0][1].condition == "audible-explanation, e3"
    assert ranking(results, "wrong")[0][0] == 1


def test_of_many_conditions_unanswered_classes_are_counted():
    conditions = [("audible-explanation", f"e{number}") for number in range(10)]
    data = simulate(
        plain_design(CLASSES, 8, 8, conditions),
        Behaviour(knows={f"audible-explanation, e{number}": 1.0 for number in range(10)}),
        3,
    )
    never = {item.item for item in data.items if item.explainer != "e0"}
    first = data.classes[0]
    answers = [
        one.model_copy(update={"value": data.classes[1] if one.item in never and one.value == first else one.value})
        for one in data.answers
    ]
    results = analyze(data.model_copy(update={"answers": answers}), draws=100)
    assert any(f"nobody answered ({first} in 9 of 10 conditions)." in note for note in results.notes)


@pytest.mark.slow
def test_of_many_conditions_each_is_compared_with_the_controls_of_its_kind():
    methods, controls = ("lrp:epsilon=1", "amplitude", "random"), ("amplitude", "random")
    conditions = [("audible-signal", None), ("visual-explanation", "random")]
    conditions += [("audible-explanation", f"{method} {sound}") for method in methods for sound in "abc"]
    design = plain_design(CLASSES, 4, 4, conditions)
    results = analyze(simulate(design, Behaviour(), 3), draws=100)
    found = {(one.first, one.second) for one in results.contrasts if one.group == "wrong"}
    heard = "audible-explanation, {}".format
    with_plain = {(heard(f"{method} {sound}"), "audible-signal") for method in methods for sound in "abc"}
    with_controls = {(heard(f"lrp:epsilon=1 {sound}"), heard(f"{control} {sound}")) for control in controls for sound in "abc"}
    assert found == with_plain | with_controls
    contrast = next(one for one in results.contrasts if one.second == heard("random b"))
    right = {one.condition: one.accuracy.value for one in results.cells if one.group == contrast.group}
    assert contrast.test.difference.value == pytest.approx(right[contrast.first] - right[contrast.second])
