"""Simulated participants do what they are told: measured against what must come out."""

import json
from pathlib import Path

import numpy as np
import pytest
from sweeps import sweep
from typer.testing import CliRunner

import xaudio
from xaudio.cli.app import app
from xaudio.errors import DataError, ModelError
from xaudio.model.model import weights_digest
from xaudio.output.runs import write_json
from xaudio.plugin import recording_digests, used_recordings
from xaudio_study.analysis import measures
from xaudio_study.analysis.analysis import analyze
from xaudio_study.analysis.exclusions import ExclusionRules
from xaudio_study.analysis.mixed import balanced_fit
from xaudio_study.analysis.table import choice_table
from xaudio_study.building.build import build_study
from xaudio_study.building.settings import StudySettings
from xaudio_study.records import Question, StudyData
from xaudio_study.simulation.listener import Explained, listen, load_listeners, recognised
from xaudio_study.simulation.power import _analysed, power
from xaudio_study.simulation.simulation import MODES, Behaviour, guesses, plain_design, shifted, simulate

CLASSES = tuple("0123456789")
TWO = [("audible-explanation", None), ("visual-explanation", None)]


def counts_of(data: StudyData, condition: str, group: str = "all"):
    table = choice_table(data)
    number = [one.name for one in table.conditions].index(condition)
    rows = (table.condition == number) & table.group(group)
    return measures.confusion(table.predicted[rows], table.answered[rows], len(table.classes))


def skills_of(classes, behaviour, condition):
    """Expected accuracy and markedness of each class of people alike who do not hear the truth, of equally frequent classes."""
    knows, bias = behaviour.knows.get(condition, 0.0), guesses(classes, behaviour)
    count = len(bias)
    answered = knows / count + (1 - knows) * bias
    hit = (knows + (1 - knows) * bias) / count
    with np.errstate(invalid="ignore"):  # a class that is never answered has none
        marked = hit / answered - (1 / count - hit) / (1 - answered)
    return float(hit.sum()), marked


DESIGN = plain_design(CLASSES, 20, 20, [(mode, None) for mode in MODES])


@pytest.mark.slow
@pytest.mark.parametrize("bias", [{}, {"5": 6.0, "9": 0.0}], ids=["even", "biased"])
@pytest.mark.parametrize("knows", sweep([0.0, 0.35, 0.8, 1.0], quick=[0.35]))
def test_informedness_is_the_probability_of_knowing_whatever_the_bias(knows, bias):
    behaviour = Behaviour(knows={"audible-explanation": knows}, bias=bias)
    counts = counts_of(simulate(DESIGN, behaviour, 150, seed=1), "audible-explanation")
    # 600 answers about each class, so the standard deviation of its informedness is 0.02 at most.
    np.testing.assert_allclose(measures.informedness(counts), knows, atol=0.08)
    accuracy, marked = skills_of(CLASSES, behaviour, "audible-explanation")
    assert measures.accuracy(counts) == pytest.approx(accuracy, abs=0.02)
    found = measures.markedness(counts)
    answered = np.isfinite(found)
    assert list(answered) == [bool(bias.get(name, 1) or knows) for name in CLASSES]
    np.testing.assert_allclose(found[answered], marked[answered], atol=0.12)


def test_who_hears_the_true_class_is_misled_where_the_model_is_wrong():
    data = simulate(DESIGN, Behaviour(hears={"audible-signal": 1.0}), 20)
    wrong = counts_of(data, "audible-signal", "wrong")
    assert measures.accuracy(wrong) == 0
    assert measures.macro(measures.informedness(wrong)) < -0.05  # as the paper found for the plain signal
    assert measures.accuracy(counts_of(data, "audible-signal", "right")) == 1


def test_skill_differs_by_mode_and_the_analysis_finds_it():
    behaviour = Behaviour(knows={"audible-explanation": 0.7, "visual-explanation": 0.2}, person_spread=0.3, item_spread=0.3)
    results = analyze(simulate(plain_design(CLASSES, 10, 10, TWO), behaviour, 12, seed=2), draws=300)
    contrast = next(one for one in results.contrasts if one.group == "all")
    # Knowing saves 0.9 of a guess: (0.7 - 0.2) * 0.9.
    assert contrast.test.difference.low < 0.45 < contrast.test.difference.high
    assert contrast.test.p_holm < 0.001
    assert contrast.informedness_weighted.low < 0.5 < contrast.informedness_weighted.high
    audible = next(cell for cell in results.cells if cell.condition == "audible-explanation" and cell.group == "all")
    assert audible.above_chance
    assert audible.informedness.macro.low < 0.7 < audible.informedness.macro.high


def test_participants_of_no_skill_are_at_chance():
    results = analyze(simulate(plain_design(CLASSES, 10, 10, TWO), Behaviour(), 12, seed=4), draws=300)
    for cell in results.cells:
        assert not cell.above_chance
        assert abs(cell.fleiss_kappa) < 0.1
        assert cell.informedness.macro.low < 0 < cell.informedness.macro.high


@pytest.mark.sweep
def test_intervals_cover_what_is_true():
    """In 40 studies at 95 %, four misses or more have a probability of 0.14 even if nothing were conservative; seven 0.003."""
    behaviour = Behaviour(knows={"audible-explanation": 0.4}, bias={"5": 4})
    design = plain_design(CLASSES, 10, 10, TWO[:1])
    marked = skills_of(CLASSES, behaviour, "audible-explanation")[1].mean()
    missed = np.zeros(2, int)
    for seed in range(40):
        results = analyze(simulate(design, behaviour, 12, seed), draws=300, seed=seed)
        cell = next(cell for cell in results.cells if cell.group == "wrong")
        found = (cell.informedness.macro, 0.4), (cell.markedness.macro, marked)
        missed += [not estimate.low <= value <= estimate.high for estimate, value in found]
    assert (missed < 7).all()


@pytest.mark.sweep
def test_intervals_of_markedness_cover_with_one_recording_of_each_class():
    """As in the paper: draws lack classes. In 60 studies at 95 %, eight misses or more have a probability of 0.01."""
    design, knows = plain_design(CLASSES, 0, 10, TWO[:1]), {"audible-explanation": 0.4}
    shift = np.random.default_rng(0).normal(0, np.sqrt(0.5), 100_000)
    true = shifted(np.full(len(shift), 0.4), shift).mean()  # people who guess evenly: markedness is informedness
    missed = np.zeros(3, int)
    for seed in range(60):
        data = simulate(design, Behaviour(knows=knows, person_spread=0.5, item_spread=0.5), 20, seed)
        cell = analyze(data, draws=200, seed=seed).cells[0]
        found = cell.informedness.macro, cell.markedness.macro, cell.markedness.weighted
        missed += [not estimate.low <= true <= estimate.high for estimate in found]
    assert (missed < 8).all()


def test_careless_participants_and_those_who_drop_out_fall_under_the_rules():
    design = plain_design(CLASSES, 10, 10, TWO, catches=4)
    data = simulate(design, Behaviour(careless=0.3, dropout=0.3, knows={"audible-explanation": 0.9}), 60, seed=1)
    results = analyze(data, draws=100)
    counts = {one.rule: one.participants for one in results.exclusions}
    assert counts["did not finish"] == sum(person.finished is None for person in data.participants)
    assert 10 <= counts["did not finish"] <= 26
    careless = sum(person.headphones == 0.5 for person in data.participants)
    assert counts["less than 80% right in the headphone check"] == careless
    # One who stops after a few answers may seem slow.
    assert careless - 2 <= counts["median response faster than 500 ms"] <= careless
    assert results.kept < 60 - careless + 1
    with_them, without = (
        next(one for one in found if one.condition == "audible-explanation" and one.group == "all")
        for found in (results.without_exclusions, results.cells)
    )
    assert with_them.accuracy < without.accuracy.value


def test_attention_is_the_chance_of_passing_a_catch_trial():
    design = plain_design(CLASSES, 1, 0, TWO[:1], catches=10)
    data = simulate(design, Behaviour(attention=0.5), 60, seed=1)
    catches = {item.item: item.catch for item in design.items if item.catch}
    passed = [answer.value == catches[answer.item] for answer in data.answers if answer.item in catches]
    # Half, and a tenth of the guesses of the others; the standard deviation is 0.02.
    assert np.mean(passed) == pytest.approx(0.55, abs=0.08)


def test_ratings_and_preferences_follow_the_skill():
    design = plain_design(CLASSES, 10, 0, [("audible-explanation", "lrp"), ("audible-explanation", "random")])
    rating = Question(name="clear", kind="rating", text={"en": "?"}, answers=tuple("12345"))
    better = Question(name="better", kind="preference", text={"en": "?"}, answers=("A", "B"))
    items = [
        *design.items,
        *(one.model_copy(update={"item": f"r{one.item}", "question": "clear"}) for one in design.items),
        *(
            one.model_copy(update={"item": f"p{one.item}", "question": "better", "against": "random"})
            for one in design.items
            if one.explainer == "lrp"
        ),
    ]
    design = design.model_copy(update={"items": tuple(items), "questions": (*design.questions, rating, better)})
    knows = {"audible-explanation, lrp": 0.9, "audible-explanation, random": 0.1}
    with pytest.raises(DataError, match="Unknown condition"):
        simulate(design, Behaviour(knows={"audible": 0.5}), 2)
    data = simulate(design, Behaviour(knows=knows), 20, seed=1)
    results = analyze(data, draws=100)
    (preference,) = results.preferences
    assert preference.share.value == pytest.approx(0.9, abs=0.06)
    means = {one.condition: one.mean.value for one in results.ratings if one.group == "all"}
    assert means["audible-explanation, lrp"] > means["audible-explanation, random"] + 2
    cells = {cell.condition: cell.accuracy.value for cell in results.cells if cell.group == "all"}
    assert cells["audible-explanation, lrp"] == pytest.approx(0.91, abs=0.08)


def test_simulated_studies_are_the_same_again_and_say_that_they_are_simulated():
    behaviour = Behaviour(knows={"audible-explanation": 0.5}, dropout=0.5)
    one, other, third = (simulate(DESIGN, behaviour, 5, seed) for seed in (1, 1, 2))
    assert one == other
    assert one.answers != third.answers
    assert one.simulated.startswith("5 participants of chosen behaviour")
    assert len({(answer.participant, answer.item) for answer in one.answers}) == len(one.answers)


def test_spread_moves_probabilities_and_leaves_certainty():
    np.testing.assert_allclose(shifted(np.array([0.0, 0.5, 1.0]), np.array([2.0, 2.0, 2.0])), [0, 1 / (1 + np.exp(-2)), 1])


# Power


@pytest.mark.sweep
def test_power_grows_with_the_study_and_false_alarms_keep_the_level():
    behaviour = Behaviour(knows={"audible-explanation": 0.5, "visual-explanation": 0.3}, person_spread=0.5, item_spread=0.5)
    found = power(
        behaviour,
        ("audible-explanation", "visual-explanation"),
        participants=(6, 24),
        recordings=(6, 20),
        simulations=100,
        seed=1,
    )
    small, few_people, _, large = (found.cells[index] for index in (0, 1, 2, 3))
    assert small.power.high < large.power.low
    assert large.power.value > 0.8
    assert few_people.participants == 6
    assert few_people.recordings == 20
    for cell in found.cells:
        # At a level of 0.05, 14 or more of 100 have a probability of 0.0005.
        assert cell.false_alarms.value < 0.14
        assert cell.false_alarms.low <= 0.05
    assert large.mean_difference == pytest.approx(0.2 * 0.9, abs=0.05)


def test_power_is_that_of_the_test_of_the_analysis():
    """One simulated study, analysed as people's answers would be, gives the p that power counts."""
    design = plain_design(CLASSES, 8, 8, TWO)
    data = simulate(design, Behaviour(knows={"audible-explanation": 0.5}, item_spread=1, person_spread=1), 10, seed=1)
    contrast = next(one for one in analyze(data, draws=100).contrasts if one.group == "wrong")
    table = choice_table(data)
    sides = np.zeros((2, 10, 16))
    sides[table.condition, table.participant, table.recording] = table.correct
    closed = balanced_fit((sides[0] - sides[1])[:, 8:])
    assert contrast.test.difference.value == pytest.approx(closed.effect, abs=1e-9)
    assert contrast.test.p == pytest.approx(closed.test()[1], rel=0.05)


PAIR = ("audible-explanation", "visual-explanation")
KNOWS = {"audible-explanation": 0.5, "visual-explanation": 0.25}


@pytest.mark.slow
def test_power_without_drop_outs_is_what_it_was():
    kept = Path(__file__).parents[3] / "benchmarks/results/study-simulated-fsdd/power.json"
    known = json.loads(kept.read_text())
    behaviour = Behaviour.model_validate(known["behaviour"])
    found = power(behaviour, PAIR, participants=(10,), recordings=(10,), simulations=known["simulations"])
    assert found.cells[0].model_dump() == known["cells"][0]
    # Nobody drops out in the one either, but it makes all records and applies the rules to them.
    nobody, never = (
        power(Behaviour(knows=KNOWS, dropout=share), PAIR, participants=(6,), recordings=(8,), simulations=40, group="all")
        for share in (0, 1e-12)
    )
    assert nobody.cells == never.cells


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("pair", [PAIR, ("audible-explanation, lrp", "audible-explanation, random")])
def test_power_with_drop_outs_is_that_of_the_analysis(finished, pair):
    """One simulated study with people who stop and people who click at random gives the p and the people of its analysis."""
    rules = ExclusionRules(finished=finished)
    design = plain_design(CLASSES, 0, 10, [tuple(name.split(", ")) if "," in name else (name, None) for name in pair])
    behaviour = Behaviour(knows=dict(zip(pair, (0.6, 0.1), strict=True)), dropout=0.4, careless=0.2, item_spread=0.5)
    data = simulate(design, behaviour, 16, seed=3)
    results = analyze(data, rules, draws=100)
    contrast = next(one for one in results.contrasts if one.group == "wrong")
    fit, left = _analysed(design, behaviour, 16, "wrong", rules, np.random.default_rng(3))
    answering = {answer.participant for answer in data.answers}
    careful = [one for one in data.participants if one.headphones == 1 and one.participant in answering]
    assert left == results.kept == sum(one.finished is not None or not finished for one in careful)
    assert fit.effect == pytest.approx(contrast.test.difference.value, abs=1e-6)
    assert fit.test()[1] == pytest.approx(contrast.test.p, rel=1e-3)


@pytest.mark.sweep
def test_who_drops_out_or_clicks_at_random_costs_as_much_power_as_staying_away():
    def found(people, rules=None, compare=PAIR, **more):
        knows = dict(zip(compare, (0.5, 0.25), strict=True))
        behaviour = Behaviour(knows=knows, item_spread=0.5, person_spread=0.5, **more)
        results = power(behaviour, compare, participants=(people,), recordings=(12,), simulations=150, rules=rules, seed=5)
        return results.cells[0]

    few, many, half = found(8), found(16), found(16, dropout=0.5)
    assert (few.analysed, many.analysed) == (8, 16)
    assert half.participants == 16
    assert half.analysed == pytest.approx(8, abs=0.7)  # four standard deviations of the mean
    # The same power but for what 150 studies each leave open: a standard deviation of 0.057.
    assert half.power.value == pytest.approx(few.power.value, abs=0.17)
    assert half.power.value < many.power.value - 0.15
    explainers = ("audible-explanation:lrp", "audible-explanation:random")
    careless = found(16, careless=0.5, compare=explainers)
    assert careless.analysed == pytest.approx(8, abs=0.7)
    assert careless.power.value == pytest.approx(few.power.value, abs=0.17)
    partial = found(16, ExclusionRules(finished=False), dropout=0.5)
    assert partial.analysed > 14  # all but those who stopped before their first answer
    assert half.power.value < partial.power.value + 0.1
    for cell in (half, careless, partial):
        assert cell.false_alarms.low <= 0.05  # at a level of 0.05, 17 or more of 150 have a probability of 0.001
        assert cell.false_alarms.value < 17 / 150
        assert cell.mean_difference == pytest.approx(0.9 * 0.25, abs=0.05)


@pytest.mark.slow
def test_a_study_of_which_too_few_are_left_finds_nothing():
    behaviour = Behaviour(knows={"audible-explanation": 0.9}, dropout=0.8)
    cell = power(behaviour, PAIR, participants=(3,), recordings=(12,), simulations=60).cells[0]
    assert 0 < cell.power.value < 0.3  # two or three of three finish in 10 % of the studies
    assert cell.analysed == pytest.approx(0.6, abs=0.35)  # nobody in half of them


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"compare": ("audible-signal", "audible-signal")}, "Both conditions"),
        ({"compare": ("audible", "visual")}, "Unknown mode"),
        ({"participants": (1,)}, "each 2 or more"),
        ({"simulations": 5}, "too few"),
        ({"group": "both"}, "Unknown group"),
        ({"behaviour": Behaviour(knows={"visual-signal": 0.4})}, "Unknown condition 'visual-signal'"),
        ({"behaviour": Behaviour(dropout=1)}, "Of 4 participants too few are left for a test in every simulated study"),
    ],
)
def test_power_refuses_what_makes_no_sense(change, said):
    options = {
        "behaviour": Behaviour(),
        "compare": ("audible-signal", "audible-explanation"),
        "participants": (4,),
        "recordings": (4,),
        "simulations": 20,
    }
    with pytest.raises(DataError, match=said):
        power(**{**options, **change})


# The commands


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_json(folder / "design.json", plain_design(CLASSES, 8, 8, TWO).model_dump(mode="json"))
    return folder


def run(*words):
    return CliRunner().invoke(app, ["study", *map(str, words)])


@pytest.mark.slow
def test_simulate_and_analyze_from_the_command_line(answered):
    knows = ("--knows", "audible-explanation=0.9", "--person-spread", "0", "--item-spread", "0")
    done = run("simulate", answered / "design.json", "--out", answered / "s", "--participants", 10, *knows, "--draws", 100)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("SIMULATED")
    assert json.loads((answered / "s/run.json").read_text())["simulated"]
    rows = (answered / "s/measures.csv").read_text().splitlines()
    assert {row.rpartition(",")[2] for row in rows} == {"simulated"}  # the head and each row
    again = run("analyze", answered / "s/study-data.json", "--out", answered / "a", "--draws", 100, "--json")
    assert json.loads(again.stdout) == json.loads((answered / "s/results.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("words", [("analyze", "design.json"), ("simulate", "design.json"), ("power",)])
def test_results_never_go_into_the_folder_of_a_study(answered, monkeypatch, make_study, tmp_path, words):
    monkeypatch.chdir(answered)
    folder = make_study(tmp_path / "study")
    before = sorted(folder.iterdir())
    done = run(*words, "--out", folder)
    assert done.exit_code == 1
    assert "is the folder of a study" in str(done.exception)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("answers", ["one", "many"])
def test_an_export_that_is_not_one_gets_one_line(answered, answers):
    data = simulate(StudyData.model_validate_json((answered / "design.json").read_text()), Behaviour(), 2)
    wrong = data.model_dump(mode="json")
    wrong["answers"][0]["response_ms"] = float("inf") if answers == "one" else -1
    (answered / "wrong.json").write_text(json.dumps(wrong))
    done = run("analyze", answered / "wrong.json", "--out", answered / "y")
    assert done.exit_code == 1
    assert "answers.0.response_ms" in str(done.exception)


@pytest.mark.slow
def test_rules_that_the_study_did_not_state_are_named(answered, make_study, tmp_path, monkeypatch):
    folder = make_study(tmp_path / "study")
    design = plain_design(CLASSES, 8, 8, TWO)
    data = simulate(design, Behaviour(), 4).model_copy(update={"simulated": ""})
    monkeypatch.setattr("xaudio_study.server.store.read_study", lambda _: data)
    other = tmp_path / "other.toml"
    for text, named in (("[exclusion]\nfinished = false\n", True), ("[exclusion]\nfinished = true\n", False)):
        other.write_text(text)
        done = run("analyze", folder, "--settings", other, "--out", tmp_path / "a", "--draws", 100)
        assert done.exit_code == 0, done.output
        note = "follows the rules of other.toml, not those that the study stated"
        assert (note in (tmp_path / "a/report.html").read_text()) == named


def test_power_from_the_command_line(answered):
    options = (
        "--participants",
        "6,12",
        "--recordings",
        "6",
        "--simulations",
        "20",
        "--knows",
        "audible-explanation=0.9",
    )
    done = run("power", "--out", answered / "p", *options)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("SIMULATED")
    cells = json.loads((answered / "p/power.json").read_text())["cells"]
    assert [cell["participants"] for cell in cells] == [6, 12]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("analyze", "nowhere.json"), "nowhere.json"),
        (("simulate", "design.json", "--knows", "audible-explanation"), "expected name=number"),
        (("simulate", "design.json", "--knows", "audible-explanation=2"), "expected a probability"),
        (("simulate", "design.json", "--bias", "ten=1"), "Unknown class 'ten'"),
        (("power", "--participants", "many"), "expected whole numbers"),
        (("power", "--recordings", "10,0"), "expected whole numbers of 1 or more"),
        (("simulate", "design.json", "--bias", "5=nan"), "should be a finite number"),
        (("power", "--compare", "audible-explanation"), "expected two"),
        (("power", "--knows", "audibel-explanation=0.4"), "Did you mean 'audible-explanation'"),
    ],
)
def test_wrong_use_gets_one_line(answered, monkeypatch, words, said):
    monkeypatch.chdir(answered)
    done = run(*words, "--out", "x")
    assert done.exit_code == 1
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("simulate", "design.json", "--recordings", "20"), "No such option: --recordings"),
        (("simulate", "design.json", "--compare", "a,b"), "No such option: --compare"),
        (("simulate", "design.json", "--device", "cpu"), "No such option: --device"),
        (("simulate", "design.json", "--participants", "many"), "Invalid value for '--participants'"),
        (("simulate", "design.json", "--participants", "10,20"), "Invalid value for '--participants'"),
        (("simulate",), "Missing argument 'STUDY'"),
        (("simulate", "--power"), "--power belongs to a command of its own: xaudio study power."),
        (("simulate", "design.json", "--listener=l"), "--listener belongs to a command of its own: xaudio study listen."),
        (("simulate", "--model", "m"), "--model belongs to a command of its own: xaudio study listen."),
        (("power", "--seconds", "2"), "No such option: --seconds"),
        (("power", "--draws", "200"), "No such option: --draws"),
        (("power", "--listener", "l"), "No such option: --listener"),
        (("listen", "design.json", "--listener", "l", "--dropout", "0.1"), "No such option: --dropout"),
        (("listen", "design.json", "--listener", "l", "--explainer", "lrp"), "--explainer has no effect together with a STUDY"),
        (("listen", "design.json", "--listener", "l", "--recordings", "10"), "--recordings has no effect together with a STUDY"),
        (("listen", "design.json", "--listener", "l", "--data", "d"), "--data has no effect together with a STUDY"),
        (("listen", "design.json", "--listener", "l", "--model", "m"), "a STUDY has no effect together with --model"),
        (("listen", "--listener", "l", "--model", "m", "--participants", "3"), "No such option: --participants"),
        (("listen", "--model", "m"), "Missing option '--listener'"),
        (("listen", "--listener", "l"), "give the STUDY that should be answered"),
    ],
)
def test_an_option_without_effect_is_refused(answered, monkeypatch, words, said):
    monkeypatch.chdir(answered)
    done = run(*words, "--out", "x")
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
    assert not (answered / "x").exists()


# Recognisers as listeners


@pytest.fixture(scope="module")
def sounds(tmp_path_factory, session_cache):
    """Three recordings of the synthetic data set as files, and silence."""
    folder = tmp_path_factory.mktemp("sounds")
    dataset = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
    found = {}
    for index in range(3):
        clip = dataset[index]
        found[f"s{index}"] = xaudio.write_audio(folder / f"{index}.wav", clip.waveform, clip.sample_rate)
    found["silent"] = xaudio.write_audio(folder / "silent.wav", np.zeros(8000, np.float32), 8000)
    return found


def test_a_recogniser_answers_what_it_hears_in_the_file(spectrogram_run_folder, sounds):
    listener = xaudio.load_model(spectrogram_run_folder, "cpu")
    clips = [xaudio.read_audio(path) for path in sounds.values()]
    placement = listener.rules.placement
    expected = [one.predicted for one in xaudio.explain(listener, clips[:3], explainer="amplitude", placement=placement)]
    assert recognised(listener, clips)[:3].tolist() == expected
    guesses = [recognised(listener, clips, seed)[3] for seed in range(30)]
    assert len(set(guesses)) > 4  # silence is guessed at
    assert recognised(listener, clips, 7)[3] == guesses[7]


def test_a_study_is_answered_where_there_is_something_to_hear(spectrogram_run_folder, sounds):
    listener = xaudio.load_model(spectrogram_run_folder, "cpu")
    design = plain_design(listener.classes, 3, 0, [("audible-signal", None), ("visual-signal", None)], catches=1)
    audible = [item for item in design.items if item.mode == "audible-signal"]
    media = {item.item: path for item, path in zip(audible, sounds.values(), strict=False)}
    data = listen(design, media, {"one": listener}, "a test.")
    assert [item.item for item in data.items] == [item.item for item in audible]
    assert [answer.item for answer in data.answers] == [item.item for item in audible]
    assert data.simulated == "a test."
    values = [data.classes[index] for index in recognised(listener, [xaudio.read_audio(path) for path in media.values()])]
    assert [answer.value for answer in data.answers] == values
    with pytest.raises(DataError, match="nothing to answer"):
        listen(design, {}, {"one": listener}, "a test.")


def test_a_recogniser_must_be_independent_of_the_model(run_folder, spectrogram_run_folder, tmp_path):
    model = xaudio.load_model(run_folder, "cpu")
    explained = Explained(weights_digest(model), model.facts["data"], frozenset(model.facts["test_speakers"]))
    assert list(load_listeners([spectrogram_run_folder], explained, model.classes, "cpu")) == ["listener-1"]
    with pytest.raises(ModelError, match="is the explained model itself"):
        load_listeners([run_folder], explained, model.classes, "cpu")
    with pytest.raises(ModelError, match="the study asks for a, b"):
        load_listeners([spectrogram_run_folder], explained, ("a", "b"), "cpu")
    other = xaudio.load_model(spectrogram_run_folder, "cpu")
    other.facts = {**other.facts, "test_speakers": ["somebody else"]}
    other.save(tmp_path)
    for known in (explained, explained._replace(data="")):  # where the data are not known they may be the same
        with pytest.raises(ModelError, match="was trained on speakers whose recordings are explained"):
            load_listeners([tmp_path], known, model.classes, "cpu")
    assert load_listeners([tmp_path], explained._replace(data="Other data"), model.classes, "cpu")
    # Under another title and other names of speakers a recording is what it sounds like.
    listener = xaudio.load_model(spectrogram_run_folder, "cpu")
    unheard = explained._replace(data="Other data", speakers=frozenset(), contents=frozenset(["of another sound"]))
    assert load_listeners([spectrogram_run_folder], unheard, model.classes, "cpu")
    trained_on = next(iter(used_recordings(listener)))
    with pytest.raises(ModelError, match=r"was trained or validated on 1 of the 2 recordings that are explained"):
        known = unheard._replace(contents=unheard.contents | {trained_on})
        load_listeners([spectrogram_run_folder], known, model.classes, "cpu")


def test_a_study_knows_which_recognisers_may_answer_it(run_folder, spectrogram_run_folder, tmp_path):
    """Without being told of the explained model."""
    folder, other = tmp_path / "study", tmp_path / "other"
    settings = StudySettings(recordings={"right": 0, "wrong": 1}, questions=[{"name": "prediction", "modes": ["audible-signal"]}])
    build_study(run_folder, folder, settings, dataset="synthetic:speakers=8,repetitions=1", device="cpu")
    (content,) = json.loads((folder / "run.json").read_text())["contents"]
    data, test = xaudio.held_out(xaudio.load_model(run_folder, "cpu"))
    assert content in {recording_digests(data)[index] for index in test}
    done = run("listen", folder, "--listener", run_folder, "--out", tmp_path / "x")
    assert "is the explained model itself" in str(done.exception)
    listener = xaudio.load_model(spectrogram_run_folder, "cpu")
    listener.facts = {**listener.facts, "test_speakers": ["somebody else"]}
    listener.save(other)
    for _ in range(2):
        done = run("listen", folder, "--listener", other, "--out", tmp_path / "x")
        assert "was trained on speakers whose recordings are explained" in str(done.exception)
        (folder / "run.json").unlink(missing_ok=True)  # then the data may be the same
    done = run("listen", folder, "--listener", spectrogram_run_folder, "--out", tmp_path / "x", "--draws", 100)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("SIMULATED")
    assert json.loads((tmp_path / "x/run.json").read_text())["simulated"].startswith("1 recogniser trained")


def test_renderers_are_ranked_by_recognisers_from_the_command_line(run_folder, spectrogram_run_folder, tmp_path):
    done = run(
        *("listen", "--model", run_folder, "--listener", spectrogram_run_folder, "--out", tmp_path, "--recordings", 1),
        *("--dataset", "synthetic:speakers=8,repetitions=1", "--explainer", "amplitude", "--explainer", "random"),
        *("--renderer", "audible:domain=waveform", "--draws", 100, "--device", "cpu"),
    )
    assert done.exit_code == 0, done.output
    data = StudyData.model_validate_json((tmp_path / "study-data.json").read_text())
    assert data.simulated.startswith("1 recogniser trained on plain recordings only, as proxy listener (")
    assert [item.explainer for item in data.items if item.right] == [
        None,
        "amplitude audible:domain=waveform",
        "random audible:domain=waveform",
    ]
    assert sorted({item.right for item in data.items}) == [False, True]
    assert "SIMULATED: nobody was asked" in (tmp_path / "report.html").read_text()
