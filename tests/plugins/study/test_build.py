"""Studies are built as their settings say, the same again, and tell participants nothing they must not know."""

import json
import re
import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, strategies as st

import xaudio
from xaudio import DataError, ModelError, PluginError
from xaudio.sound.levels import REFERENCE, loudness
from xaudio_study.building import choose as choosing
from xaudio_study.building.build import build_study, unjudged
from xaudio_study.building.choose import choose
from xaudio_study.building.order import headphone_order, latin_square, order_of, swapped
from xaudio_study.building.settings import MODES, Recordings, StudySettings, load_settings, settings_from
from xaudio_study.building.sounds import RATE, headphone_trials, level_noise
from xaudio_study.building.template import starting_point, to_toml
from xaudio_study.plan import Key, media_of, read_key, read_public
from xaudio_study.records import Item
from xaudio_study.server.texts import KEYS, read_texts


def key_of(conditions: int, recordings: int, catches: int = 0, order: str = "blocks", seed: int = 0) -> Key:
    items = [
        Item(item=f"{c}-{r}", mode=MODES[c % 4], question=f"q{c // 4}", recording=str(r))
        for c in range(conditions)
        for r in range(recordings)
    ]
    items += [Item(item=f"catch{n}", mode="visual-signal", question="q0", catch="1") for n in range(catches)]
    return Key(seed=seed, order=order, items=tuple(items), headphones={f"h{n}": "1" for n in range(6)})


@pytest.mark.parametrize("count", range(1, 9))
def test_latin_squares_are_balanced(count):
    square = latin_square(count)
    places = Counter((place, value) for row in square for place, value in enumerate(row))
    follows = Counter(pair for row in square for pair in pairwise(row))
    assert len(places) == count**2
    assert len(set(places.values())) == 1
    assert len(follows) == count * (count - 1)
    assert len(set(follows.values())) <= 1


@given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 5), st.sampled_from(["blocks", "mixed"]), st.integers(0, 99))
def test_everybody_gets_every_item_once(conditions, recordings, catches, order, number):
    key = key_of(conditions, recordings, catches, order)
    found = order_of(key, number)
    assert sorted(found) == sorted(item.item for item in key.items)
    assert not found[0].startswith("catch")
    assert found == order_of(key, number)


def test_blocks_counterbalance_modes_over_participants():
    key = key_of(4, 20)
    rows = [order_of(key, number) for number in range(40)]
    first = Counter(row[0].partition("-")[0] for row in rows)
    assert set(first.values()) == {10}
    for row in rows:
        assert len({name.partition("-")[0] for name in row[:20]}) == 1
    assert len({tuple(row) for row in rows}) == 40


def test_mixed_orders_hold_each_mode_once_in_each_round_and_no_recording_twice_in_one():
    key = key_of(4, 20, order="mixed")
    for number in range(8):
        row = [name.split("-") for name in order_of(key, number)]
        for start in range(0, 80, 4):
            modes, recordings = zip(*row[start : start + 4], strict=True)
            assert len(set(modes)) == len(set(recordings)) == 4


def test_catch_trials_are_spread():
    for number in range(20):
        places = [place for place, name in enumerate(order_of(key_of(4, 20, 4), number)) if name.startswith("catch")]
        assert [place // 21 for place in places] == [0, 1, 2, 3], places


def test_orders_never_change_between_versions():
    """Participants who go on after an update must find the order in which they began."""
    key = key_of(2, 3, 1, "mixed", seed=7)
    assert order_of(key, 5) == ["1-0", "catch0", "0-1", "0-0", "1-2", "1-1", "0-2"]
    assert headphone_order(key, 5) == ["h2", "h4", "h5", "h0", "h3", "h1"]
    assert [swapped(key, number, "0-1") for number in range(4)] in ([True, False] * 2, [False, True] * 2)


def predictions(right: int, wrong: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, right + wrong)
    predicted = np.where(np.arange(right + wrong) < right, labels, (labels + 1 + rng.integers(0, 9, right + wrong)) % 10)
    certainty = rng.uniform(0.3, 0.99, right + wrong)
    probabilities = np.full((right + wrong, 10), 0.0) + ((1 - certainty) / 9)[:, None]
    probabilities[np.arange(right + wrong), predicted] = certainty
    return probabilities, labels


@pytest.mark.parametrize("balance", ["none", "predicted"])
def test_choice_is_seeded_and_has_the_numbers_asked_for(balance):
    probabilities, labels = predictions(200, 60)
    wanted = Recordings(right=10, wrong=10, balance=balance)
    first, again = (choose(probabilities, labels, wanted, 3, "X") for _ in range(2))
    other = choose(probabilities, labels, wanted, 4, "X")
    assert (first.indices == again.indices).all()
    assert set(first.indices) != set(other.indices)
    assert len(set(first.indices)) == 20
    assert (first.predicted != labels[first.indices]).tolist() == [True] * 10 + [False] * 10
    if balance == "predicted":
        assert len(set(first.predicted[10:])) == len(set(labels[:200]))


def test_recordings_without_a_label_are_not_chosen():
    probabilities, labels = predictions(30, 30)
    labels[::2] = -1
    chosen = choose(probabilities, labels, Recordings(right=10, wrong=10), 0, "X").indices
    assert (labels[chosen] >= 0).all()


def test_too_few_wrong_predictions_name_their_number_and_the_next_best():
    probabilities, labels = predictions(50, 3)
    with pytest.raises(
        DataError, match=r"predicted 3 of 53 recordings of FSDD wrongly; the study asks for 10.*the 7 correctly"
    ) as error:
        choose(probabilities, labels, Recordings(), 0, "FSDD")
    assert "recordings.wrong = 3" in str(error.value)
    with pytest.raises(DataError, match=r"asks for 60\. Set recordings.wrong = 3, or take other data\."):
        choose(probabilities, labels, Recordings(wrong=60), 0, "FSDD")
    filled = choose(probabilities, labels, Recordings(fill=True), 0, "FSDD")
    certainty = probabilities.max(1)
    right = np.flatnonzero(probabilities.argmax(1) == labels)
    assert set(filled.indices[3:10]) == set(right[np.argsort(certainty[right])][:7])
    assert len(set(filled.indices)) == 20
    with pytest.raises(DataError, match="correctly; the study asks for"):
        choose(*predictions(4, 30), Recordings(), 0, "FSDD")


def test_headphone_trials_are_those_of_woods_and_others():
    trials = headphone_trials()
    assert Counter(answer for _, answer in trials) == {"1": 2, "2": 2, "3": 2}
    for sound, answer in trials:
        assert sound.shape == (2, 4 * RATE)
        tones = [sound[:, start : start + RATE] for start in (0, 3 * RATE // 2, 3 * RATE)]
        levels = [20 * np.log10(np.sqrt(np.mean(tone[0] ** 2))) for tone in tones]
        assert np.argmin(levels) + 1 == int(answer)
        assert sorted(levels)[1] - min(levels) == pytest.approx(6, abs=0.01)
        mixed = [np.abs(tone.sum(0)).max() for tone in tones]  # what loudspeakers do at the middle
        antiphase = int(np.argmin(mixed))
        assert mixed[antiphase] < 1e-12
        assert antiphase + 1 != int(answer)
        spectrum = np.abs(np.fft.rfft(tones[0][0]))
        assert np.argmax(spectrum) == 200  # Hz, of one second


def test_the_level_noise_and_the_tones_are_at_the_reference():
    noise = level_noise()
    assert loudness(noise, RATE) == pytest.approx(REFERENCE, abs=0.1)
    for sound, _ in headphone_trials():
        for ear in sound:
            tones = [loudness(ear[start : start + RATE], RATE) for start in (0, 3 * RATE // 2, 3 * RATE)]
            assert sorted(tones) == pytest.approx([REFERENCE - 6, REFERENCE, REFERENCE], abs=0.1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [power[(frequencies >= low) & (frequencies < 2 * low)].sum() for low in (125, 250, 500, 1000, 2000)]
    assert max(octaves) / min(octaves) < 1.6


# "{prediction}" has a meaning, which a study that asks for the prediction refuses
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).filter(
    lambda text: "\r" not in text and "{prediction}" not in text
)


@pytest.mark.slow
@given(texts, st.lists(texts, min_size=1, max_size=3), st.floats(0.1, 99.9))
def test_settings_read_back_as_they_were_written(title, names, percentile):
    settings = settings_from(
        {
            "title": {"en": title, "de": title},
            "labels": {"en": dict.fromkeys(names, title)},
            "texts": {"de": {"consent_text": f"{title}\n\n{title}"}},
            "pictures": {"percentile": percentile},
            "questions": [{"name": "a"}, {"name": "b", "kind": "rating", "text": {"en": title, "de": "?"}}],
        },
        "test",
    )
    assert settings_from(tomllib.loads(to_toml(settings)), "again") == settings


def test_the_template_explains_every_setting_and_reads_back(tmp_path):
    (tmp_path / "study.toml").write_text(to_toml(starting_point()))
    assert load_settings(tmp_path / "study.toml") == starting_point()
    template = Path(__file__).parents[3] / "docs" / "guide" / "study.toml"
    assert template.read_text(encoding="utf-8") == to_toml(starting_point()), "xaudio study build --init writes another"
    text = to_toml(StudySettings())
    for name in ("right", "explainers", "tell_mode", "catch_trials", "headphones", "failed_catch", "requests_per_second"):
        line = next(index for index, line in enumerate(text.splitlines()) if re.match(rf"{name} = ", line))
        assert text.splitlines()[line - 1].startswith("# "), name


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"sed": 1}, "'sed' is unknown. Did you mean 'seed'?"),
        ({"serving": {"open_enrollment": True}}, "'serving.open_enrollment' is unknown. Did you mean 'open_enrolment'?"),
        ({"questions": [{"kind": "rating"}]}, "'questions.0.name' is missing"),
        ({"recordings": {"right": -1}}, "recordings.right"),
        ({"recordings": {"right": 0, "wrong": 0}}, "both 0"),
        ({"languages": ["en", "fr"]}, "'fr' is not built in"),
        ({"texts": {"en": {"weclome_text": "x"}}}, "Did you mean 'welcome_text'"),
        ({"questions": [{"name": "a"}, {"name": "a"}]}, "name of a question is given twice: 'a'"),
        ({"questions": [{"name": "a", "modes": ["visual-signal"] * 2}]}, "modes of the question 'a' is given twice"),
        ({"explanations": {"explainers": ["lrp", "gradient", "lrp"]}}, "explanations.explainers is given twice: 'lrp'"),
        ({"languages": ["de", "de"]}, "languages is given twice: 'de'"),
        ({"form": [{"name": "age", "text": {"en": "?", "de": "?"}, "answers": [{"value": "1"}] * 2}]}, "given twice: '1'"),
        ({"questions": [{"name": "a", "kind": "preference"}]}, "compares explainers"),
        ({"questions": [{"name": "a", "text": {"en": "?"}}]}, "no text in 'de'"),
        (
            {"questions": [{"name": "a"}, {"name": "b", "kind": "rating", "text": {"en": "{prediction}?", "de": "?"}}]},
            "reveals the prediction",
        ),
        ({"form": [{"name": "age", "text": {"en": "Age?"}, "answers": [{"value": "1"}, {"value": "2"}]}]}, "'age' of the form"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(content, expected):
    with pytest.raises(DataError) as error:
        settings_from(content, "study.toml")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_both_languages_have_all_texts_with_the_same_gaps():
    for key in KEYS:
        english, german = (sorted(re.findall(r"\{\w+\}", read_texts(language)[key])) for language in ("en", "de"))
        assert english == german, key


@pytest.mark.slow
def test_a_study_has_all_modes_of_all_recordings(make_study, tmp_path):
    folder = make_study(tmp_path / "study")
    key, public = read_key(folder), read_public(folder)
    assert Counter(item.mode for item in key.items) == dict.fromkeys(MODES, 5)
    for mode in MODES:
        shown = [item for item in key.items if item.mode == mode]
        assert [item.right for item in shown] == [False, False, True, True, True]
        assert all((item.predicted == item.truth) == item.right for item in shown)
        assert all(item.explainer == ("lrp" if mode.endswith("explanation") else None) for item in shown)
    media = media_of(folder)
    for item in key.items:
        (path,) = media[item.item]
        assert path.suffix == (".wav" if item.mode.startswith("audible") else ".png")
        assert path.exists()
    assert {medium.seconds for trial in public.items for medium in trial.media if medium.kind == "sound"} == {0.2}
    assert [trial.item for trial in public.items] == sorted(trial.item for trial in public.items)


@pytest.mark.slow
def test_all_that_is_heard_is_at_the_reference(make_study, tmp_path):
    folder = make_study(tmp_path / "study", checks={"headphones": True, "level": True}, seconds=0.5)
    names = {medium.name for trial in read_public(folder).items for medium in trial.media if medium.kind == "sound"}
    for name in [*names, read_public(folder).level.name]:
        assert loudness(*soundfile.read(folder / "media" / name)) == pytest.approx(REFERENCE, abs=0.2)


@pytest.mark.slow
def test_explanation_and_signal_differ_and_pictures_differ_in_colour_alone(make_study, tmp_path):
    from PIL import Image
    from scipy.ndimage import binary_dilation

    folder = make_study(tmp_path / "study")
    key, media = read_key(folder), media_of(folder)
    by_mode = {mode: [media[item.item][0] for item in key.items if item.mode == mode] for mode in MODES}
    for explained, plain in zip(by_mode["visual-explanation"], by_mode["visual-signal"], strict=True):
        one, other = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (explained, plain))
        assert one.shape == other.shape == (420, 960, 3)
        assert (np.ptp(other, axis=2) == 0).all(), "the plain signal has no colour"
        coloured = np.ptp(one, axis=2) > 30
        assert coloured.sum() > 500
        differing, curve = (one != other).any(2), (other < 255).any(2)
        assert not (differing & ~binary_dilation(curve, iterations=2)).any()
    for explained, plain in zip(by_mode["audible-explanation"], by_mode["audible-signal"], strict=True):
        one, other = (soundfile.read(path)[0] for path in (explained, plain))
        assert len(one) == len(other) == 1600
        assert not np.allclose(one, other)


@pytest.mark.slow
def test_files_tell_nothing_of_their_content(make_study, tmp_path):
    folder = make_study(tmp_path / "study", checks={"headphones": True, "catch_trials": 1})
    for path in (folder / "media").iterdir():
        assert re.fullmatch(r"[0-9a-f]{24}\.(wav|png)", path.name)
        content = path.read_bytes()
        for word in (b"zero", b"one", b"two", b"lrp", b"recording", b"speaker", b"atplotlib", b"tEXt", b"LIST", b"audible"):
            assert word not in content, (path, word)
    public = (folder / "study.json").read_text()
    for word in ("recording0", "speaker", '"truth"', '"predicted"', '"right"', "lrp", *MODES):
        assert word not in public, word
    assert (folder / "secret.key").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_same_secret_gives_the_same_files_and_another_gives_other_names(make_study, tmp_path):
    first = make_study(tmp_path / "first", anew=True)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "secret.key").write_bytes((first / "secret.key").read_bytes())
    second, third = (make_study(tmp_path / name, anew=True) for name in ("second", "third"))
    for name in ("study.json", "key.json", "study.toml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    for path in (first / "media").iterdir():
        assert path.read_bytes() == (second / "media" / path.name).read_bytes()
    assert not {path.name for path in (first / "media").iterdir()} & {path.name for path in (third / "media").iterdir()}


@pytest.mark.slow
def test_preferences_and_ratings(make_study, tmp_path):
    folder = make_study(
        tmp_path / "study",
        right=1,
        explanations={"explainers": ["lrp", "gradient", "smoothgrad"]},
        questions=[
            {"name": "better", "kind": "preference", "modes": ["audible-explanation"]},
            {
                "name": "fits",
                "kind": "rating",
                "scale": 7,
                "modes": ["visual-explanation", "visual-signal"],
                "text": {"en": "It said {prediction}?", "de": "Es sagte {prediction}?"},
            },
        ],
        labels={"de": {"one": "eins"}},
    )
    key, public = read_key(folder), read_public(folder)
    pairs = Counter((item.explainer, item.against) for item in key.items if item.question == "better")
    assert pairs == {("lrp", "gradient"): 3, ("lrp", "smoothgrad"): 3, ("gradient", "smoothgrad"): 3}
    assert sum(item.question == "fits" for item in key.items) == 3 * 4
    trials = {trial.item: trial for trial in public.items}
    for item in key.items:
        trial = trials[item.item]
        assert len(trial.media) == (2 if item.question == "better" else 1)
        assert trial.hint["en"] == ("Listen to both sounds." if item.question == "better" else "Look at this picture.")
        if item.question == "fits":
            assert trial.answers == tuple("1234567")
            assert trial.text["de"] == f"Es sagte {'eins' if item.predicted == 'one' else item.predicted}?"


def test_a_silent_explanation_is_refused(tmp_path, make_study):
    with pytest.raises(DataError, match="would be silent"):
        make_study(tmp_path / "study", sign=-1)


@pytest.fixture(scope="module")
def built(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "study"
    settings = StudySettings(recordings={"right": 1, "wrong": 3})
    build_study(run_folder, folder, settings, dataset="synthetic:speakers=8,repetitions=1")
    return folder, settings


def test_a_study_is_built_from_a_run(built, run_folder):
    folder, _ = built
    model = xaudio.load_model(run_folder)
    dataset, test = xaudio.held_out(model, "synthetic:speakers=8,repetitions=1")
    known = {dataset[int(index)].source.rpartition("/")[2]: dataset[int(index)] for index in test}
    key = read_key(folder)
    assert Counter(item.right for item in key.items) == {True: 4, False: 12}
    for item in key.items:
        clip = known[item.recording]
        assert clip.speaker == item.speaker
        assert model.classes[clip.labels["digit"]] == item.truth
        placement = model.representation.placement
        alone = xaudio.explain(model, clip, resampling=model.facts["resampling"], placement=placement)
        assert alone.classes[alone.predicted] == item.predicted
    sound = next(media for item, media in zip(key.items, (media_of(folder)[item.item][0] for item in key.items), strict=True))
    assert soundfile.info(sound).samplerate == 8000
    assert load_settings(folder / "study.toml") == built[1]
    assert json.loads((folder / "run.json").read_text())["settings"]["weights"]


def test_a_build_that_was_stopped_goes_on_and_one_that_is_done_is_left_alone(built, run_folder):
    folder, settings = built
    before = {path.name: path.read_bytes() for path in [*folder.glob("*.json"), *(folder / "media").iterdir()]}
    gone = sorted((folder / "media").iterdir())[::3]
    for path in [*gone, folder / "study.json", folder / "key.json"]:
        path.unlink()
    with pytest.raises(DataError, match="did not finish"):
        read_public(folder)
    build_study(run_folder, folder, settings, dataset="synthetic:speakers=8,repetitions=1")
    for name, content in before.items():
        if name != "run.json":  # which says when
            path = folder / name if name.endswith(".json") else folder / "media" / name
            assert path.read_bytes() == content, name
    moment = (folder / "study.json").stat().st_mtime_ns
    build_study(run_folder, folder, settings, dataset="synthetic:speakers=8,repetitions=1")
    assert (folder / "study.json").stat().st_mtime_ns == moment
    with pytest.raises(ModelError, match="other settings: study.seed was 0, now 1"):
        build_study(run_folder, folder, settings.model_copy(update={"seed": 1}), dataset="synthetic:speakers=8,repetitions=1")


SPEECH = "synthetic:speakers=8,repetitions=1"


def test_other_settings_may_be_tried_after_a_refusal_and_the_model_is_not_asked_again(run_folder, tmp_path, monkeypatch):
    asked = []
    predicting = choosing.placed_waveforms
    monkeypatch.setattr(choosing, "placed_waveforms", lambda *given: asked.append(1) or predicting(*given))
    wanted = StudySettings(recordings={"right": 1, "wrong": 500})
    with pytest.raises(DataError, match="asks for 500"):
        build_study(run_folder, tmp_path, wanted, dataset=SPEECH)
    unknown = wanted.model_copy(update={"explanations": wanted.explanations.model_copy(update={"explainers": ("lpr",)})})
    with pytest.raises(PluginError, match="lrp"):
        build_study(run_folder, tmp_path, unknown, dataset=SPEECH)
    build_study(run_folder, tmp_path, StudySettings(recordings={"right": 1, "wrong": 1}), dataset=SPEECH)
    assert asked == [1]
    assert read_key(tmp_path).items


def test_predictions_of_another_model_or_of_other_data_are_not_taken_for_these(run_folder, tmp_path):
    (tmp_path / "probabilities.csv").write_text("# of another model\n" + "1,0,0,0,0,0,0,0,0,0\n" * 20)
    build_study(run_folder, tmp_path, StudySettings(recordings={"right": 1, "wrong": 1}), dataset=SPEECH)
    origin, *rows = (tmp_path / "probabilities.csv").read_text().splitlines()
    assert origin != "# of another model"
    assert all(sum(map(float, row.split(","))) == pytest.approx(1) for row in rows)
    assert rows[0] != "1,0,0,0,0,0,0,0,0,0"


def test_the_seed_is_that_of_an_explainer_that_draws(run_folder, tmp_path, monkeypatch):
    import xaudio_study.building.build as building

    given = []
    explaining = building.explain
    monkeypatch.setattr(
        building, "explain", lambda *a, explainer, **k: given.append(explainer) or explaining(*a, explainer=explainer, **k)
    )
    settings = StudySettings(
        seed=7,
        recordings={"right": 1, "wrong": 1},
        explanations={"explainers": ["random", "random:seed=3", "lrp", "smooth_grad:samples=2"]},
    )
    build_study(run_folder, tmp_path, settings, dataset=SPEECH)
    assert given == ["random:seed=7", "random:seed=3", "lrp", "smooth_grad:samples=2,seed=7"]
    names = {item.explainer for item in read_key(tmp_path).items}
    assert names == {None, *settings.explanations.explainers}


def test_labels_of_unknown_classes_are_refused(make_study, tmp_path):
    with pytest.raises(DataError, match=r"labels.de: .*'eins'"):
        make_study(tmp_path / "study", labels={"de": {"eins": "eins"}}, anew=True)
    assert not (tmp_path / "study" / "media").exists()


@pytest.mark.slow
def test_classes_that_are_never_predicted_are_named(make_study, tmp_path):
    heard = [{"name": "class", "modes": ["audible-signal"]}]
    folder = make_study(tmp_path / "study", right=3, wrong=1, questions=heard)
    wrong, right = unjudged(read_key(folder), ("zero", "one", "two", "three"))
    assert wrong.startswith("no wrongly predicted recording is predicted as zero, two, three:")
    assert right.startswith("no correctly predicted recording is predicted as three:")
    folder = make_study(tmp_path / "other", right=3, wrong=3, questions=heard)
    assert unjudged(read_key(folder), ("zero", "one", "two")) == []
