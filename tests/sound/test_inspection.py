"""What a data set holds, on synthetic speech and on files with every kind of problem."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from xaudio import create
from xaudio.sound.datasets import Recording, SpeakerDataset
from xaudio.sound.inspection import describe, inspect


@pytest.fixture(scope="module")
def synthetic() -> Any:
    return create("dataset", "synthetic", speakers=8, repetitions=1)


@pytest.fixture(scope="module")
def found(synthetic: Any) -> dict[str, Any]:
    return inspect(synthetic, 1.0)


@pytest.mark.slow
def test_everything_is_counted(synthetic: Any, found: dict[str, Any]) -> None:
    clips = [synthetic[index] for index in range(len(synthetic))]
    assert (found["dataset"], found["title"], found["recordings"], found["speakers"]) == ("synthetic", synthetic.title, 80, 8)
    assert found["hours"] == pytest.approx(sum(len(clip.waveform) / clip.sample_rate for clip in clips) / 3600)
    durations = sorted(clip.duration for clip in clips)
    assert found["duration"]["shortest"] == pytest.approx(durations[0], abs=1e-4)
    assert found["duration"]["longest"] == pytest.approx(durations[-1], abs=1e-4)
    assert durations[39] - 1e-4 <= found["duration"]["median"] <= durations[40] + 1e-4
    assert found["sample_rates"] == {"8000": 80}
    assert found["problems"] == []
    assert found["fingerprint"] == synthetic.fingerprint()
    assert found["resampling"] == synthetic.resampling


def test_tasks_and_folds_are_those_of_the_data(synthetic: Any, found: dict[str, Any]) -> None:
    assert list(found["tasks"]) == ["digit", "sex"]
    assert list(found["tasks"]["digit"]["classes"].values()) == [8] * 10
    assert sorted(found["tasks"]["sex"]["classes"].values()) == [40, 40]
    speakers = np.array(synthetic.speakers)
    for task, facts in found["tasks"].items():
        folds = synthetic.folds(task)
        assert len(facts["folds"]) == len(folds)
        assert facts["problem"] == ""
        for shown, fold in zip(facts["folds"], folds, strict=True):
            assert shown["test_speakers"] == sorted(set(speakers[fold.test]))
            assert shown["test_recordings"] == len(fold.test)
            assert [shown[name] for name in fold._fields] == [len(set(speakers[part])) for part in fold]


def test_it_is_json_and_text(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    lines = describe(found).splitlines()
    assert lines[0].endswith(f": 80 recordings of 8 speakers, {found['hours']:.2f} h")
    assert "sample rates: 8000 Hz (80)" in lines
    assert any(line.startswith("task digit: ") for line in lines)
    assert sum(line.startswith("  fold ") for line in lines) == sum(len(facts["folds"]) for facts in found["tasks"].values())
    assert not any(line.startswith("problem") for line in lines)


@pytest.mark.slow
def test_recordings_that_must_be_fitted_are_counted(synthetic: Any, found: dict[str, Any]) -> None:
    limit = found["duration"]["median"]
    shorter = inspect(synthetic, limit, fit="loudest")
    longer = sum(len(synthetic[index].waveform) > round(limit * 8000) for index in range(80))
    assert shorter["fit"] == {"rule": "loudest", "seconds": limit, "fitted": longer}
    assert 0 < longer < 80
    refused = inspect(synthetic, limit, fit="error")
    assert refused["fit"]["fitted"] == 0
    assert len(refused["problems"]) == longer
    assert refused["duration"] == found["duration"]


def broken(folder: Path, **fields: Any) -> SpeakerDataset:
    """Five files: good, stereo at another rate, too long, not audio, missing."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, 2))
    soundfile.write(folder / "good.wav", noise[:4000, 0], 8000)
    soundfile.write(folder / "stereo.wav", noise[:4000], 16000)
    soundfile.write(folder / "long.wav", np.tile(noise[:, 0], 2), 8000)
    (folder / "text.wav").write_text("no sound")
    names = ["good", "stereo", "long", "text", "missing"]
    recordings = [Recording(str(folder / f"{name}.wav"), name, {"digit": 0 if name == "good" else None}) for name in names]
    return SpeakerDataset(
        "broken", "Broken", {"digit": ("null", "eins")}, recordings, {"digit": [[name] for name in names]}, **fields
    )


def test_every_problem_is_one_line_and_the_rest_is_counted(tmp_path: Path) -> None:
    found = inspect(broken(tmp_path, notes=("a note",)), 1.0)
    assert found["recordings"] == 5
    assert found["sample_rates"] == {"8000": 2, "16000": 1}
    assert found["duration"] == {"shortest": 0.25, "median": 0.5, "longest": 2.0}
    assert found["recording_notes"] == {"mixed down from 2 channels": 1}  # a count, not one line for each recording
    assert found["fingerprint"] == ""
    problems = {Path(line.split(":")[0]).name: line for line in found["problems"]}
    assert list(problems) == ["long.wav", "text.wav", "missing.wav"]
    assert len(found["problems"]) == 3
    assert "is 2.000 s long" in problems["long.wav"]
    assert "cannot be read as audio" in problems["text.wav"]
    assert "there is no such file" in problems["missing.wav"]
    assert found["tasks"]["digit"]["classes"] == {"null": 1, "eins": 0}
    assert found["tasks"]["digit"]["unlabelled"] == 4
    lines = describe(found).splitlines()
    assert "1 recording: mixed down from 2 channels" in lines
    assert "note: a note" in lines
    assert [line for line in lines if line.startswith("problem: ")] == [f"problem: {line}" for line in found["problems"]]
    assert any(line.endswith("; 4 without a label") for line in lines)
    json.dumps(found, allow_nan=False)


def test_data_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    recordings = [Recording(str(tmp_path / "missing.wav"), "a", {"digit": 0})]
    found = inspect(SpeakerDataset("gone", "Gone", {"digit": ("null",)}, recordings, {"digit": [["a"]]}), 1.0)
    assert found["hours"] == 0
    assert len(found["problems"]) == 1
    assert "has 1 fold; expected at least three" in found["tasks"]["digit"]["problem"]
    assert found["tasks"]["digit"]["folds"] == []
    assert "  " + found["tasks"]["digit"]["problem"] in describe(found).splitlines()
    json.dumps(found, allow_nan=False)


def test_a_file_that_vanishes_after_it_was_read_is_a_problem(tmp_path: Path) -> None:
    from xaudio.sound.datasets import read_recording
    from xaudio.types import Clip

    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)

    def read(recording: Recording) -> Clip:
        clip = read_recording(recording)
        Path(recording.source).unlink()
        return clip

    recordings = [Recording(str(tmp_path / "a.wav"), "a", {"digit": 0})]
    found = inspect(SpeakerDataset("gone", "Gone", {"digit": ("null",)}, recordings, {"digit": [["a"]]}, read=read), 1.0)
    assert len(found["problems"]) == 1
    assert "a.wav: there is no such file. Is the data set 'gone' complete?" in found["problems"][0]
