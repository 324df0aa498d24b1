"""Two result folders side by side."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from xaudio import ModelError
from xaudio.cli.app import app
from xaudio.measuring.comparison import compare


def results(folder, accuracy, settings=None, recordings=600, speakers=12, name="audionet-digit-fold0", seed=0, first=0):
    """A folder with predictions of a given accuracy."""
    rng = np.random.default_rng(seed)
    path = folder / "models" / name
    path.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"settings": settings or {"seed": 0}}))
    with (path / "predictions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["index", "fold", "speaker", "label", "predicted"])
        for index in range(recordings):
            label = int(rng.integers(10))
            right = rng.random() < accuracy
            rows.writerow([first + index, 0, f"s{index % speakers}", label, label if right else (label + 1) % 10])
    return folder


def test_a_large_difference_is_beyond_noise_and_a_small_one_is_not(tmp_path):
    one = results(tmp_path / "one", 0.80)
    near = results(tmp_path / "near", 0.81, seed=1)
    far = results(tmp_path / "far", 0.95, seed=2)
    (found,) = compare(one, far)[1]
    assert found.beyond_noise
    assert found.low < found.second - found.first < found.high
    assert not compare(one, near)[1][0].beyond_noise
    same = compare(one, one)[1][0]
    assert (same.low, same.high, same.paired) == (0, 0, True)
    for first, second in [(0.8, 0.9), (0.9, 0.8)]:  # the same recordings, of which the better model is right about more
        pair = [results(tmp_path / f"{first}-{side}", accuracy) for side, accuracy in (("one", first), ("other", second))]
        found = compare(*pair)[1][0]
        assert found.paired
        assert found.low < found.second - found.first < found.high
        assert found.beyond_noise


@pytest.mark.sweep
def test_the_interval_covers_the_truth_about_as_often_as_it_says(tmp_path):
    """Forty pairs of equal accuracy: at 95 % about two are taken for different; eight would be far too many."""
    wrong = 0
    for trial in range(40):
        pair = [results(tmp_path / f"{trial}-{side}", 0.7, seed=100 + 2 * trial + side, recordings=240) for side in (0, 1)]
        wrong += compare(*pair)[1][0].beyond_noise
    assert wrong < 8


def test_other_recordings_are_not_paired(tmp_path):
    one, other = results(tmp_path / "a", 0.8), results(tmp_path / "b", 0.8, first=1000)
    assert not compare(one, other)[1][0].paired


def test_settings_that_differ_are_listed(tmp_path):
    one = results(tmp_path / "a", 0.8, {"seed": 0, "training": {"audionet digit": {"steps": 5}}})
    other = results(tmp_path / "b", 0.8, {"seed": 1, "training": {"audionet digit": {"steps": 5, "momentum": 0.5}}})
    assert compare(one, other)[0] == [("seed", 0, 1), ("training.audionet digit.momentum", None, 0.5)]
    shown = printed(one, other)
    assert "2 settings differ" in shown
    assert ["seed", "0", "1"] in [line.split() for line in shown.splitlines()]
    assert "of 1 accuracy differs beyond noise" in shown
    assert "audionet-digit-fold0" in shown
    record = json.loads(printed(one, other, "--json"))
    assert record["settings"] == ["seed: 0, 1", "training.audionet digit.momentum: None, 0.5"]
    assert record["differences"][0]["beyond_noise"] in (True, False)
    assert "0 settings differ" in printed(one, one)


def printed(*words):
    return CliRunner().invoke(app, ["bench", "compare", *map(str, words)]).stdout


@pytest.mark.slow
def test_what_differs_is_told_in_a_short_table_and_the_rest_counted(tmp_path):
    """Of a long list the first entry that differs, of many settings the first, of many trainings those beyond noise."""
    files = [f"recording{number}.wav" for number in range(2500)]
    settings = {"data": {"files": files}, "steps": {f"task{number}": 5 for number in range(20)}, "name": "x" * 500}
    one = results(tmp_path / "a", 0.8, settings)
    changed = {"data": {"files": [*files[:7], "[new].wav", *files[8:], "more.wav"]}, "name": "y" * 500}
    other = results(tmp_path / "b", 0.8, changed | {"steps": dict.fromkeys(settings["steps"], 6)})
    for number in range(1, 20):
        for folder, seed in ((one, 0), (other, number == 3)):
            again = results(tmp_path / f"{folder.name}{number}", 0.95 if seed else 0.8, name=f"audionet-digit-fold{number}")
            (again / "models" / f"audionet-digit-fold{number}").rename(folder / "models" / f"audionet-digit-fold{number}")
    lines = printed(one, other).splitlines()
    assert len(lines) < 35
    assert max(map(len, lines)) <= 160
    text = "\n".join(lines)
    assert "22 settings differ" in text
    assert "data.files[7]" in text
    assert "'[new].wav' (of 2501)" in text
    assert "and 10 more, which --json lists" in text
    assert "1 of 20 accuracies differs beyond noise" in text
    assert [line.split()[0] for line in lines if line.strip().startswith("audionet")] == ["audionet-digit-fold3"]
    assert "and 19 more, which --json lists" in text
    assert len(json.loads(printed(one, other, "--json"))["settings"]) == 22


def test_folders_without_results_or_without_common_trainings_are_named(tmp_path):
    one, other = results(tmp_path / "a", 0.8), results(tmp_path / "b", 0.8, name="alexnet-sex-fold1")
    with pytest.raises(ModelError, match="no training in common: audionet-digit-fold0 against alexnet-sex-fold1"):
        compare(one, other)
    with pytest.raises(ModelError, match=r"run.json: there is no such file"):
        compare(one, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text('{"settings": {}}')
    with pytest.raises(ModelError, match="holds no predictions"):
        compare(one, tmp_path / "empty")


@pytest.mark.slow
def test_resampling_has_the_spread_of_a_plain_two_stage_bootstrap():
    from xaudio.measuring.comparison import _resampled_means

    rng = np.random.default_rng(0)
    speakers = np.array(["a"] * 30 + ["b"] * 50 + ["c"] * 20)
    values = rng.choice([-1.0, 0.0, 1.0], 100, p=[0.2, 0.5, 0.3])
    values[:30] = 1

    def plain():
        chosen = [np.flatnonzero(speakers == name) for name in rng.choice(["a", "b", "c"], 3)]
        return values[np.concatenate([rng.choice(part, len(part)) for part in chosen])].mean()

    slow, fast = np.array([plain() for _ in range(4000)]), _resampled_means(values, speakers, rng)
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.03)
    assert fast.std() == pytest.approx(slow.std(), rel=0.1)
