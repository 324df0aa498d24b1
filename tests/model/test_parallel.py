"""Trainings side by side: the same weights, one line for what went wrong, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import xaudio
from xaudio import Experiment, ModelError
from xaudio.plugin import run_experiments

pytestmark = pytest.mark.usefixtures("processes", "training")  # each training is a process
CPU = torch.device("cpu")
SHORT = {"optimiser": "adam", "learning_rate": 3e-4, "batch_size": 4, "initialisation": "he", "steps": 2}


@pytest.fixture(scope="module")
def speech():
    return xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)


def _planned(speech, folder, **training):
    network = ("log-mel-cnn", {"width": 2, "bands": 16, "sample_rate": 8000})
    return [
        (Experiment(speech, "sex", fold, *network, training={**SHORT, **training}), folder / f"fold{fold}") for fold in (0, 1)
    ]


def test_side_by_side_they_end_as_one_after_the_other(speech, tmp_path, session_cache):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = list(run_experiments(_planned(speech, tmp_path / "alone"), CPU))
        torch.set_num_threads(2)
        beside = list(run_experiments(_planned(speech, tmp_path / "beside"), CPU, jobs=2))  # one thread each
    finally:
        torch.set_num_threads(threads)
    assert [result.fold for result in beside] == [0, 1]
    assert [result.accuracy for result in beside] == [result.accuracy for result in alone]
    for fold in ("fold0", "fold1"):
        one, other = (load_file(tmp_path / how / fold / "model.safetensors") for how in ("alone", "beside"))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_went_wrong_in_one_arrives_as_it_was_said(speech, tmp_path, session_cache, monkeypatch):
    monkeypatch.setattr("xaudio_local._local.CONTEXT", "fork")  # whose processes need not import torch again
    with pytest.raises(ModelError, match="log-mel-cnn sex fold 0: the loss became|NaN or infinite|no longer numbers"):
        list(run_experiments(_planned(speech, tmp_path, optimiser="sgd", learning_rate=1e30, steps=20), CPU, jobs=2))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_training_outlives_a_killed_command(tmp_path, session_cache):
    program = "import sys; from xaudio.cli.app import main; sys.argv[0] = 'xaudio'; main()"
    arguments = ["bench", "audiomnist", "--dataset", "synthetic:speakers=8,repetitions=1", "--models", "audionet", "--tasks"]
    arguments += ["sex", "--folds", "0,1", "--set", "steps=100000", "--jobs", "2", "--out", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.DEVNULL)
    try:
        # Two trainings and the tracker of their shared resources.
        children = _wait_for(lambda: len(found := _children(process.pid)) >= 3 and found, 120)
        _wait_for(lambda: len(list(tmp_path.glob("models/audionet-sex-fold*"))) == 2, 120)  # both are at work
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert _wait_for(lambda: not any(_alive(child) for child in children), 30)


def _children(parent):
    """Processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing after {seconds} s")
