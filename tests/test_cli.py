"""The command line as a person uses it: exit status, one line for what is wrong, files that are there."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import xaudio


def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess:
    program = "import sys; sys.argv[0] = 'xaudio'; from xaudio.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def error_of(*arguments: object) -> str:
    lines = [line for line in run(*arguments, status=1).stderr.splitlines() if line.startswith("xaudio: error:")]
    assert len(lines) == 1
    return lines[0]


def test_explain_writes_picture_sounds_page_and_relevance(run_folder, recording, tmp_path):
    out = tmp_path / "out"
    done = run("explain", recording, "--model", run_folder, "--out", out, "--explainer", "lrp:composite=epsilon_plus")
    names = {path.name for path in out.iterdir()}
    assert names == {
        "explanation.png",
        "original.wav",
        "positive.wav",
        "negative.wav",
        "complement.wav",
        "audible.json",
        "explanation.html",
        "explanation.safetensors",
        "run.json",
    }
    assert "explained" in done.stdout
    assert "mixed down from 2 channels" in done.stdout
    explanation = xaudio.Explanation.load(out / "explanation.safetensors")
    assert explanation.relevance.shape == (1, 8000)
    # The recording is half a second: outside it the sounds are exactly silent and there is no relevance.
    placed = explanation.provenance["placement"]
    outside = np.ones(8000, bool)
    outside[placed["offset"] : placed["offset"] + placed["samples"]] = False
    assert outside.sum() == 4000
    assert not explanation.relevance[0, outside].any()
    for name in ("original", "positive", "negative", "complement"):
        samples, rate = soundfile.read(out / f"{name}.wav")
        assert rate == 8000
        assert np.abs(samples).max() < 1
        assert not samples[outside].any()


def test_explain_several_recordings_and_explainers(spectrogram_run_folder, recording, tmp_path):
    copy = tmp_path / "other.flac"
    soundfile.write(copy, soundfile.read(recording)[0][:8000], 44100)
    options = ["--explainer", "random", "--explainer", "amplitude", "--render", "audible,html", "--json"]
    options += ["--target", "7", "--target", "3"]
    done = run("explain", recording, copy, "--model", spectrogram_run_folder, "--out", tmp_path / "out", *options)
    assert [os.fsencode(record["source"]) for record in json.loads(done.stdout)] == files
    kept = json.loads(Path(os.fsdecode(out), "run.json").read_text("utf-8"))
    assert [os.fsencode(name) for name in kept["settings"]["files"]] == files
    pages = [path.read_text("utf-8") for path in Path(os.fsdecode(out)).rglob("*.html")]
    assert any("caf\N{REPLACEMENT CHARACTER}.wav" in page for page in pages)
    done = subprocess.run([*command[:4], folder + b"/gone", *command[6:]], capture_output=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(b"gone: there is no such file. Check the path.")
