"""Several labels of one recording: training, tests, and the commands on the run."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, strategies as st

import xaudio
from xaudio.model.loss import loss_of
from xaudio.model.several import average_precision, labels_summary, mean_recall
from xaudio.plugin import truth_mask

RATE = 8000
TONES = {"low": 400.0, "high": 2000.0}


def scene(events: dict[str, tuple[float, float]], seed: int) -> np.ndarray:
    """A second of faint noise in which tones sound for a while."""
    time = np.arange(RATE) / RATE
    waveform = 0.01 * np.random.default_rng(seed).standard_normal(RATE)
    for name, (start, stop) in events.items():
        waveform += 0.3 * np.sin(2 * np.pi * TONES[name] * time) * ((time >= start) & (time < stop))
    return waveform


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes with one tone, both or none, and a label track beside each."""
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(48):
        start = 0.1 + 0.05 * (number % 7)
        events = {name: (start + 0.1 * k, start + 0.1 * k + 0.3) for k, name in enumerate(TONES) if number >> k & 1}
        soundfile.write(folder / f"{number:02d}.wav", scene(events, number), RATE)
        (folder / f"{number:02d}.txt").write_text("".join(f"{a}\t{b}\t{name}\n" for name, (a, b) in events.items()))
    return folder


@pytest.fixture(scope="module")
def run(scenes: Path, training: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "run"
    data = xaudio.open_dataset(None, scenes)
    settings = {"steps": 80, "batch_size": 16, "optimiser": "adam", "learning_rate": 1e-3}
    experiment = xaudio.Experiment(data, "label", 0, "reference", training=settings)
    xaudio.run_experiment(experiment, folder, torch.device("cpu"))
    return folder


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12))
def test_average_precision_is_that_of_the_definition(pairs: list[tuple[int, bool]]) -> None:
    scores, true = np.array([float(score) for score, _ in pairs]), np.array([int(flag) for _, flag in pairs])
    if not true.any():
        assert average_precision(scores, true) is None
        return
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        told = scores >= threshold
        recall, precision = true[told].sum() / true.sum(), true[told].mean()
        area, before = area + (recall - before) * precision, recall
    assert average_precision(scores, true) == pytest.approx(area)


def test_the_summary_counts_each_label_for_itself() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
    logits = np.array([[2.0, -1, -1], [1, 1, 1], [-1, -1, -1], [-2, -1, -3]])
    found = labels_summary(logits, labels, np.array(["a", "a", "b", "b"]), ("x", "y", "z"))
    assert found["accuracy"] == pytest.approx(10 / 12)
    assert found["confusion"] == [[1, 0, 1, 2], [3, 0, 0, 1], [3, 1, 0, 0]]
    assert found["average_precision"]["z"] is None
    assert found["mean_average_precision"] == pytest.approx((np.mean([1, 1, 3 / 4]) + 1) / 2)
    assert found["balanced_accuracy"] == pytest.approx(((2 / 3 + 1) / 2 + 1) / 2)
    assert found["prevalence"] == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert mean_recall(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])) == pytest.approx(0.75)


def test_the_loss_is_a_sigmoid_each() -> None:
    logits, labels = torch.tensor([[0.3, -2.0]]), torch.tensor([[1, 0]])
    expected = -(torch.log(torch.sigmoid(logits[0, 0])) + torch.log(1 - torch.sigmoid(logits[0, 1]))) / 2
    assert loss_of(logits, labels).item() == pytest.approx(expected.item())
    assert loss_of(logits, torch.tensor([1])).item() == pytest.approx(
        torch.nn.functional.cross_entropy(logits, torch.tensor([1])).item()
    )


def test_a_training_learns_labels_and_says_how_well(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert results["kind"] == "labels"
    assert results["mean_average_precision"] > results["prevalence"] + 0.2
    assert set(results["average_precision"]) == {"low", "high"}
    model = xaudio.load_model(run, "cpu")
    assert model.kind == "labels"
    rows = (run / "predictions.csv").read_text().splitlines()
    assert {row.split(",")[3] for row in rows[1:]} <= {"0", "1", "0+1", "none"}


def test_explanations_of_events_are_compared_with_where_they_are(run: Path) -> None:
    model = xaudio.load_model(run, "cpu")
    data, indices = xaudio.held_out(model)
    both = next(data[int(index)] for index in indices if data[int(index)].labels["label"] == ("low", "high"))
    for name in TONES:
        explained = xaudio.explain(model, both, explainer="gradient", target=name, view="time")
        assert explained.classes[explained.label] == name
        (start, stop, *_) = both.truth[f"boxes.label.{name}"][0]
        times = explained.axes[0].centres[truth_mask(explained)[0]] + explained.window_start
        assert times.min() == pytest.approx(start, abs=0.01)
        assert times.max() == pytest.approx(stop, abs=0.01)
    nothing = next(data[int(index)] for index in indices if data[int(index)].labels["label"] == ())
    assert xaudio.explain(model, nothing, explainer="gradient").label is None
    with pytest.raises(xaudio.DataError, match="no truth"):
        truth_mask(xaudio.explain(model, nothing, explainer="gradient", target="low"))


def test_evaluation_takes_a_prediction_for_right_that_is_one_of_the_true(run: Path, tmp_path: Path) -> None:
    model = xaudio.load_model(run, "cpu")
    data, indices = xaudio.held_out(model)
    found = xaudio.evaluate(
        model, data, indices, explainers=["gradient"], metrics=["relevance_mass"], folder=tmp_path, recordings=8
    )
    table = data.labels("label")[found.indices]
    right = table[np.arange(len(table)), found.predicted] == 1
    assert ((found.labels == found.predicted) == right).all()
    assert found.commonest == table.mean(0).max()
    if not found.unlearned:
        assert any(metric == "relevance_mass" for _, metric, _ in found.values)


def test_the_commands_work_or_say_why_not(run: Path, scenes: Path, run_command, tmp_path: Path) -> None:
    run_command("explain", scenes / "03.wav", "--model", run, "--explainer", "gradient", "--out", tmp_path / "e")
    run_command(
        "groups", "--model", run, "--explainer", "gradient", "--out", tmp_path / "g", "--recordings", "8", "--by", "label"
    )
    error = run_command("probe", "--model", run, "--change", "level:gain=6", "--out", tmp_path / "p", status=1).stderr
    assert "Several labels of a recording" in error


def test_a_model_of_classes_is_not_measured_on_labels(scenes: Path, run_folder: Path) -> None:
    model = xaudio.load_model(run_folder, "cpu")
    data = xaudio.open_dataset(None, scenes)
    model.task = "label"
    with pytest.raises(xaudio.DataError, match="one class for each recording"):
        model.check_kind(data)
