"""The paper's benchmark, end to end with trainings of two steps, and its parts."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

import xaudio
import xaudio.plugin
from xaudio import DataError, ModelError, PluginError
from xaudio.plugin import Recording, SpeakerDataset, TrainingResult
from xaudio_bench_audiomnist import figures
from xaudio_bench_audiomnist.benchmark import parse_settings
from xaudio_bench_audiomnist.examples import Panel
from xaudio_bench_audiomnist.manipulation import move_frequencies
from xaudio_bench_audiomnist.presets import PRESETS, PUBLISHED, training_of
from xaudio_bench_audiomnist.results import Results
from xaudio_bench_audiomnist.tables import table_one
from xaudio_bench_audiomnist.trained import Run

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
TINY = {"dataset": "synthetic:speakers=8,repetitions=1", "set": ("steps=2", "batch_size=4"), "device": "cpu", "examples": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, session_cache, narrow):
    out = tmp_path_factory.mktemp("bench")
    xaudio.create("benchmark", "audiomnist", **TINY)(out)
    return out


def test_it_writes_tables_figures_sounds_and_report(folder):
    assert {path.name for path in (folder / "models").iterdir()} == {
        f"{model}-{task}-fold0" for model in ("alexnet", "audionet") for task in ("digit", "sex")
    }
    for name in (
        "figures/figure1.png",
        "figures/figure2.png",
        "figures/figure3.png",
        "figures/frequencies.png",
        "figures/spectra.png",
        "report.html",
        "results.json",
        "run.json",
    ):
        assert (folder / name).stat().st_size > 500, name
    for sound in folder.glob("audio/*/positive.wav"):
        samples, rate = soundfile.read(sound)
        assert rate == 8000
        assert np.abs(samples).max() < 1
    assert len(list(folder.glob("audio/*/explanation.html"))) == 4


def test_accuracies_follow_from_the_saved_predictions(folder):
    results = json.loads((folder / "results.json").read_text())
    for row in results["table1"]:
        for fold, accuracy in enumerate(row["folds"]):
            path = folder / "models" / f"{row['model']}-{row['task']}-fold{fold}" / "predictions.csv"
            with path.open() as file:
                rows = list(csv.DictReader(file))
            logits = np.array([[float(value) for key, value in r.items() if key.startswith("logit_")] for r in rows])
            labels = np.array([int(r["label"]) for r in rows])
            assert accuracy == pytest.approx(100 * (logits.argmax(1) == labels).mean())
        assert row["mean"] == pytest.approx(np.mean(row["folds"]))
        assert (row["published_mean"], row["published_std"]) == PUBLISHED[row["model"], row["task"]]


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.captions, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_report_names_its_data_everywhere_and_needs_no_network(folder):
    page = Page()
    source = (folder / "report.html").read_text()
    page.feed(source)
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    title = "synthetic speech (8 speakers, seed 0)"
    captions = re.findall(r"<caption>(.*?)</caption>", source, re.S)
    assert len(captions) == 2 + 1 + 2 + 1 + 4 + 1  # accuracy, frequencies, flipping, explanations, confusions, speed
    assert all(f"{title} (quick preset" in caption for caption in captions)
    assert "not the paper&#39;s protocol" in source or "not the paper's protocol" in source
    assert "no real speech" in page.text


def test_the_report_is_made_anew_from_the_results(folder):
    from typer.testing import CliRunner

    from xaudio.cli.app import app

    before = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0
    assert (folder / "report.html").read_text() == before
    with pytest.raises(ModelError, match="holds no results"):
        CliRunner().invoke(app, ["report", str(folder / "models")], catch_exceptions=False)


def test_explanations_are_measured_beside_the_controls(folder):
    rows = json.loads((folder / "results.json").read_text())["explanations"]
    assert [row["explainer"] for row in rows[:3]] == ["lrp:composite=epsilon_plus", "random", "amplitude"]
    waveform = [row for row in rows if row["model"] == "audionet"]
    assert all(row["silence"] == 0 for row in waveform if row["explainer"].startswith(("lrp", "amplitude")))
    assert all(row["silence"] > 0.1 for row in waveform if row["explainer"] == "random")


def test_the_same_command_repeats_no_training_makes_damaged_findings_again_and_another_is_refused(folder):
    models = sorted(folder.glob("models/*/model.safetensors"))
    before = [path.stat().st_mtime_ns for path in models]
    damaged = folder / "models" / "alexnet-sex-fold0" / "frequencies.json"
    content = damaged.read_text()
    damaged.write_text(content[:20])
    xaudio.create("benchmark", "audiomnist", **TINY)(folder)
    assert damaged.read_text() == content
    assert [path.stat().st_mtime_ns for path in models] == before
    with pytest.raises(ModelError, match=r"settings\.steps was 2, now 3"):
        xaudio.create("benchmark", "audiomnist", **TINY | {"set": ("steps=3", "batch_size=4")})(folder)


def test_the_paper_preset_is_the_papers_protocol():
    from xaudio.model.settings import settings_for

    for model, task, steps, rate, halve, clip in [
        ("alexnet", "digit", 10_000, 1e-3, 2_500, 5.0),
        ("alexnet", "sex", 10_000, 1e-3, 2_500, 5.0),
        ("audionet", "digit", 50_000, 1e-4, 10_000, None),
        ("audionet", "sex", 10_000, 1e-4, 5_000, None),
    ]:
        settings = settings_for(xaudio.create("model", model, classes=2), training_of("paper", model, task, {}))
        assert (settings.steps, settings.learning_rate, settings.halve_every, settings.clip_norm) == (steps, rate, halve, clip)
        assert (settings.optimiser, settings.momentum, settings.batch_size) == ("sgd", 0.9, 100)
        assert settings.initialisation == "published"
    assert PRESETS["paper"].folds is None
    assert [PRESETS[name].dataset for name in ("paper", "small", "quick")] == ["audiomnist", "audiomnist", "synthetic"]


def test_what_was_changed_in_a_preset_is_said():
    assert xaudio.create("benchmark", "audiomnist", preset="paper").label == "paper preset: the full protocol"
    changed = xaudio.create("benchmark", "audiomnist", preset="paper", set=("steps=5",), folds="0,1")
    assert changed.label == "paper preset: the full protocol; changed: steps=5, folds 0,1"
    changed = xaudio.create("benchmark", "audiomnist", preset="small", limit="all", draws=2)
    assert changed.label.endswith("; changed: limit all, draws 2")
    assert (changed.limit, changed.draws) == (None, 2)
    assert xaudio.create("benchmark", "audiomnist", preset="small").limit == 200


def test_the_texts_choices_can_be_taken_instead_of_the_codes(tmp_path, narrow):
    benchmark = xaudio.create(
        "benchmark",
        "audiomnist",
        **TINY,
        tasks="sex",
        models="alexnet,audionet:pool1=paper",
        representations="spectrogram:crop=paper,waveform:normalisation=none",
    )
    benchmark(tmp_path)
    audionet = xaudio.load_model(tmp_path / "models" / "audionet-sex-fold0", "cpu")
    assert audionet.network.convolutions[1].kernel_size == (1, 2)
    assert audionet.representation.unit == "full scale"
    alexnet = xaudio.load_model(tmp_path / "models" / "alexnet-sex-fold0", "cpu")
    assert alexnet.representation.axes[1].centres[0] == 0  # the text keeps the first frames
    assert "audionet:pool1=paper" in json.loads((tmp_path / "results.json").read_text())["label"]


def test_no_data_set_stands_in_for_another(tmp_path, monkeypatch):
    monkeypatch.setenv("XAUDIO_CACHE", str(tmp_path))
    for preset in ("small", "paper"):
        with pytest.raises(DataError, match="xaudio data fetch audiomnist"):
            xaudio.create("benchmark", "audiomnist", preset=preset)(tmp_path)


def test_settings_for_one_model_win_over_those_for_all():
    overrides = parse_settings(("steps=5", "alexnet.steps=7", "clip_norm=none"), ("alexnet", "audionet"))
    assert training_of("quick", "alexnet", "digit", overrides)["steps"] == "7"
    assert training_of("quick", "audionet", "digit", overrides)["steps"] == "5"
    assert training_of("quick", "audionet", "digit", overrides)["clip_norm"] is None
    with pytest.raises(PluginError, match="names the model 'resnet'"):
        parse_settings(("resnet.steps=5",), ("alexnet",))
    with pytest.raises(PluginError, match="expected name=value"):
        parse_settings(("steps",), ("alexnet",))


def test_wrong_choices_are_named(tmp_path):
    with pytest.raises(DataError, match=r"has no task 'age'; it has digit, sex"):
        xaudio.create("benchmark", "audiomnist", **TINY, tasks="age")(tmp_path)
    with pytest.raises(DataError, match=r"folds 0 to 4; got --folds \(9,\)"):
        xaudio.create("benchmark", "audiomnist", **TINY, tasks="digit", folds="9")(tmp_path)
    for wrong, message in [
        ({"folds": "0,0"}, "names a fold twice"),
        ({"models": "audionet,audionet:pool1=paper"}, "names one twice"),
        ({"examples": -1}, "^-1 does not fit option 'examples' .*: expected int, 0 or more"),
        ({"limit": 0}, "^0 does not fit option 'limit' .*: expected int, 1 or more"),
        ({"draws": 0}, "^0 does not fit option 'draws' .*: expected int, 1 or more"),
        ({"jobs": 0}, "^0 does not fit option 'jobs' .*: expected int, 1 or more"),
        ({"representations": "spectogram:crop=paper"}, "none of the models reads: alexnet reads spectrogram"),
    ]:
        with pytest.raises(PluginError, match=message):
            xaudio.create("benchmark", "audiomnist", **TINY | wrong)(tmp_path)
    with pytest.raises(PluginError, match="Unknown explainer 'lpr'"):
        xaudio.create("benchmark", "audiomnist", **TINY, explainer="lpr")(tmp_path)


def _result(fold, accuracy, speakers):
    return TrainingResult(
        model="alexnet",
        task="digit",
        fold=fold,
        data="",
        accuracy=accuracy,
        chance=0.1,
        commonest=1.0,
        recordings=10 * len(speakers),
        speakers=len(speakers),
        accuracy_per_speaker={},
        classes=[],
        confusion=[],
        train_recordings=0,
        seconds=0,
        speed=None,
        identity={},
    )


class Speakers:
    """Ten recordings of each of four speakers, all of label 0."""

    name = "audiomnist"
    size = 40
    notes = ()
    speakers = tuple(speaker for speaker in "abcd" for _ in range(10))

    def __len__(self):
        return self.size

    def labels(self, task):
        return np.zeros(40, dtype=int)


def _run(fold, speakers, wrong):
    """A training tested on some speakers, with so many wrong predictions of each."""
    predicted = {10 * "abcd".index(s) + k: int(k < wrong[s]) for s in speakers for k in range(10)}
    accuracy = np.mean([value == 0 for value in predicted.values()])
    return Run("alexnet", "digit", fold, None, _result(fold, accuracy, speakers), predicted)


def test_table_one_is_the_mean_and_deviation_over_folds():
    wrong = {"a": 1, "b": 1, "c": 2, "d": 2}
    runs, whole, part = [_run(0, "ab", wrong), _run(1, "cd", wrong)], Speakers(), Speakers()
    whole.size = 30_000
    row = table_one(runs, whole, as_published=True)[0]
    assert (row.mean, row.std, row.difference) == (pytest.approx(85), pytest.approx(5), pytest.approx(85 - 95.82))
    assert row.commonest == 100
    assert table_one(runs, whole, as_published=False)[0].difference is None
    assert table_one(runs, part, as_published=True)[0].difference is None
    other = Speakers()
    other.name = "fsdd"
    row = table_one([_run(0, "ab", wrong)], other)[0]
    assert row.std is None
    assert row.difference is None


def test_a_speaker_that_explains_the_spread_is_named():
    wrong = {"a": 0, "b": 0, "c": 0, "d": 9}
    lowest = table_one([_run(0, "ab", wrong), _run(1, "cd", wrong)], Speakers())[0].lowest_speaker
    assert (lowest.speaker, lowest.accuracy, lowest.median) == ("d", pytest.approx(10), pytest.approx(100))
    assert (lowest.mean_without, lowest.std_without, lowest.explains_spread) == (100, 0, True)
    wrong = {"a": 5, "b": 5, "c": 0, "d": 1}
    lowest = table_one([_run(0, "ab", wrong), _run(1, "cd", wrong)], Speakers())[0].lowest_speaker
    assert (lowest.speaker, lowest.explains_spread) == ("a", False)
    lowest = table_one([_run(0, "a", wrong), _run(1, "cd", wrong)], Speakers())[0].lowest_speaker
    assert (lowest.mean_without, lowest.std_without) == (pytest.approx(95), None)  # its fold is gone


def test_manipulations_start_at_the_accuracy_and_end_at_one_answer(folder):
    """Nothing taken away is the plain accuracy; everything taken away leaves no difference between the orders."""
    results = json.loads((folder / "results.json").read_text())
    accuracy = {(row["model"], row["task"]): row["mean"] for row in results["table1"]}
    for task, curves in results["flipping"].items():
        for curve in curves.values():
            assert curve["mean"][0] == pytest.approx(accuracy["audionet", task])
        assert len({round(curve["mean"][-1], 6) for curve in curves.values()}) == 1
    frequencies = results["frequencies"]
    assert frequencies["original"]["mean"] == frequencies["resampled"]["mean"] == pytest.approx(accuracy["alexnet", "sex"])
    assert sum(results["spectra"]["recordings"].values()) == 20


class Loudest(torch.nn.Module):
    """Which of some frequencies, 20 Hz a bin, is nearest to the loudest."""

    frequencies = (1560, 1580, 1600, 2400, 3580, 3600, 3620)

    def forward(self, levels):
        loudest = 20.0 * levels[:, 0].mean(2).argmax(1)
        return -(loudest[:, None] - torch.tensor(self.frequencies)).abs()


def test_men_are_moved_up_and_women_down_by_the_papers_factors(tmp_path, monkeypatch):
    """The paper scales the frequencies of men by 1.5 and those of women by 0.66: 2400 Hz becomes 3600 and 1584 Hz."""
    people = ["male", "female", "female", "male"]
    recordings = [Recording(f"{n}", f"s{n}", {"sex": ("female", "male").index(sex)}) for n, sex in enumerate(people)]
    tone = np.float32(0.1 * np.sin(2 * np.pi * 2400 * np.arange(2000) / 8000))
    data = SpeakerDataset(
        "tones",
        "Tones",
        {"sex": ("female", "male")},
        recordings,
        {"sex": [["s0", "s1"], ["s2", "s3"]]},
        read=lambda recording: xaudio.Clip(tone, 8000, recording.labels, recording.speaker, recording.source),
        fingerprint_of=lambda recordings: "tones of 2400 Hz",
    )
    read = xaudio.create("representation", "spectrogram", samples=2000, window=400, hop=200)
    model = xaudio.Model(Loudest(), read, tuple(map(str, Loudest.frequencies)), task="sex")
    monkeypatch.setattr(xaudio, "load_model", lambda folder, device: model)
    move_frequencies(Run("tones", "sex", 0, tmp_path, None, dict.fromkeys(range(4), 0)), data, "cpu", None)
    with (tmp_path / "frequencies.csv").open() as file:
        for row, sex in zip(csv.DictReader(file), people, strict=True):
            moved = {name: Loudest.frequencies[int(row[name])] for name in ("original", "manipulated", "swapped", "resampled")}
            own, other = (3600, 1580) if sex == "male" else (1580, 3600)
            assert moved == {"original": 2400, "manipulated": own, "swapped": other, "resampled": 2400}


def test_findings_follow_from_the_rows_that_are_kept(folder):
    results = json.loads((folder / "results.json").read_text())
    for name, row in results["frequencies"].items():
        with (folder / "models/alexnet-sex-fold0/frequencies.csv").open() as file:
            right = [rows["label"] == rows[name] for rows in csv.DictReader(file)]
        assert row["mean"] == pytest.approx(100 * np.mean(right))
    fractions = results["fractions"]
    for task, curves in results["flipping"].items():
        with (folder / f"models/audionet-{task}-fold0/flipping.csv").open() as file:
            rows = list(csv.DictReader(file))
        for order, curve in curves.items():
            chosen = [row for row in rows if row["order"].startswith(order)]
            for fraction, mean in zip(fractions, curve["mean"], strict=True):
                assert mean == pytest.approx(100 * np.mean([row["label"] == row[f"predicted {fraction:g}"] for row in chosen]))
            kept = np.array([[float(row[f"probability {fraction:g}"]) for fraction in fractions] for row in chosen])
            assert curve["aopc"] == pytest.approx((kept[:, :1] - kept).mean(), abs=1e-9)


def test_results_follow_their_schema_and_damaged_ones_are_named(folder, tmp_path):
    content = json.loads((folder / "results.json").read_text())
    assert Results.model_validate(content).model_dump() == content
    for damage, message in [
        ({"format": 1}, "has format 1; this version reads format 2"),
        ({"table1": "none"}, r"is damaged \(table1: input should be a valid list"),
        ({"surprise": 1}, r"is damaged \(surprise: extra inputs are not permitted"),
    ]:
        (tmp_path / "results.json").write_text(json.dumps(content | damage))
        with pytest.raises(ModelError, match=message):
            xaudio.plugin.read_results(tmp_path / "results.json", Results)


def test_the_published_schema_is_that_of_the_code():
    assert json.loads((RESULTS / "schema.json").read_text()) == Results.model_json_schema(mode="serialization")


@pytest.mark.parametrize("kept", sorted(RESULTS.glob("small-*")), ids=lambda path: path.name)
def test_kept_results_can_be_read_and_say_where_they_come_from(kept):
    results = xaudio.plugin.read_results(kept / "results.json", Results)
    run = json.loads((kept / "run.json").read_text())
    assert run["command"].startswith("xaudio bench audiomnist")
    assert results.data == run["data"]
    for row in results.table1:
        folds = [100 * run.accuracy for run in results.runs if (run.model, run.task) == (row.model, row.task)]
        assert row.folds == pytest.approx(folds)
        matrices = [np.array(run.confusion) for run in results.runs if (run.model, run.task) == (row.model, row.task)]
        assert row.mean == pytest.approx(100 * np.mean([np.trace(matrix) / matrix.sum() for matrix in matrices]))
        shown = f"| {row.model} | {row.task} | {row.mean:.2f} ± {row.std:.2f} |"
        assert shown in (RESULTS / "README.md").read_text(), f"the README should say {shown}"


def test_flipping_follows_from_the_definition(folder):
    """Accuracy and AOPC of one order recomputed recording by recording from the saved model."""
    from xaudio_bench_audiomnist.manipulation import FRACTIONS

    run = folder / "models" / "audionet-digit-fold0"
    found = json.loads((run / "flipping.json").read_text())
    speech = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
    model = xaudio.load_model(run, "cpu")
    indices = [int(row["index"]) for row in csv.DictReader((run / "predictions.csv").open())]
    right, drop = np.zeros(len(FRACTIONS)), 0.0
    for index in indices:
        _, waveform = next(iter(xaudio.plugin.placed_waveforms(model, speech, [index])))
        with torch.no_grad():
            features = model.features(waveform)
            start = model.network(features)
            order = np.argsort(-features[0, 0].abs().numpy(), kind="stable")
            alive = int((features != 0).sum())
            for step, fraction in enumerate(FRACTIONS):
                changed = features.clone()
                changed[0, 0, order[: round(fraction * alive)]] = 0
                logits = model.network(changed)
                right[step] += int(logits.argmax()) == speech.labels("digit")[index]
                target = int(start.argmax())
                drop += float(start.softmax(1)[0, target] - logits.softmax(1)[0, target])
    assert np.allclose(right / len(indices), found["accuracy"]["amplitude"][0])
    assert drop / len(FRACTIONS) / len(indices) == pytest.approx(found["aopc"]["amplitude"], abs=1e-4)


def test_a_title_that_wraps_leaves_the_lines_in_which_warnings_stand(tmp_path, monkeypatch):
    """Below the title of Figure 2, which takes the place of the picture's own, and not across it."""
    drawn = []
    monkeypatch.setattr(figures, "_save", lambda figure, path: drawn.append(figure) or path)
    model = xaudio.Model(Untouched(), xaudio.create("representation", "waveform"), ("female", "male"), task="sex")
    clip = xaudio.Clip(np.float32(0.1 * np.sin(np.arange(8000) / 5)), 8000)
    explanation = xaudio.explain(model, clip, explainer="gradient")
    texts = [f"finding number {number} of the doctor, {'which takes more than a line, ' * 4}" for number in range(3)]
    explanation.provenance["findings"] = [{"text": text} for text in texts]
    for long in ("", "with words that make it wrap " * 6):
        figures.write_figure_two(Panel(explanation, f"(a) 'zero' {long}"), tmp_path, f"some data {long}")
        figure = drawn.pop()
        FigureCanvasAgg(figure).draw()
        (warnings,) = (text for text in figure.artists if isinstance(text, Annotation))
        top_of_warnings, title = warnings.get_window_extent().y1, figure._suptitle
        title.set_text(title.get_text().rstrip("\n"))
        line = title.get_window_extent().height / len(title.get_text().splitlines())
        assert title.get_window_extent().y0 > top_of_warnings - line / 3  # a box holds the room of letters like g
        assert max(axes.get_tightbbox().y1 for axes in figure.axes) < warnings.get_window_extent().y0 + line / 3


class Untouched(torch.nn.Module):
    def forward(self, features):
        return torch.stack([features.sum((1, 2)), -features.sum((1, 2))], 1)
