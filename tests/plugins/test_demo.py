"""The ready model: there at once, as good as it says on voices it never heard, and silent about what is no digit."""

import csv
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

import xaudio
import xaudio_demo
from xaudio.testing import checks_of
from xaudio_demo import measuring, scenes, sounds, training as trained

FOLDER = Path(xaudio_demo.__file__).parent / "demo"
SAID = json.loads((FOLDER / "provenance.json").read_text())


@pytest.fixture(scope="module")
def model():
    return xaudio.load_model("demo", device="cpu")


def answers(model, heard):
    return [model.classes[index] for index in measuring.logits_of(model, heard).argmax(1)]


@pytest.mark.parametrize("check", checks_of("loader", "demo"))
def test_keeps_the_contract(check):
    check()


def test_it_is_small_offline_and_always_the_same(monkeypatch, model):
    monkeypatch.setattr(socket, "socket", None)
    again = xaudio.load_model("demo", device="cpu")
    assert again.digest() == model.digest()
    assert again.source == "demo"
    assert model.classes == (*"0123456789", "no digit")
    assert (FOLDER / "model.safetensors").stat().st_size < 1e6
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1.2e6


def test_it_says_what_it_was_trained_on_and_no_place_of_a_machine():
    assert all("CC BY" in licence or "program" in licence for licence in SAID["trained_on"].values())
    assert {"AudioMNIST", f"FSDD, {SAID['tested_on']}"} < set(SAID["scores"])
    told = (FOLDER / "provenance.json").read_text() + str((FOLDER / "model.safetensors").read_bytes()[:5000])
    assert not any(place in told for place in ("/home", "/tmp", "/work", "/root"))


@pytest.mark.parametrize("seconds", [0.1, 0.4, 1, 3])
def test_silence_noise_and_tones_are_no_digit(model, seconds):
    random, samples = np.random.default_rng(7), int(16000 * seconds)
    tone = 0.2 * np.sin(2 * np.pi * 500 / 16000 * np.arange(samples))
    clips = [np.zeros(samples), random.normal(0, 0.1, samples), np.cumsum(random.normal(0, 1e-3, samples)), tone]
    explanations = xaudio.explain(model, clips, sample_rate=16000, explainer="gradient", device="cpu")
    assert {explanation.classes[explanation.predicted] for explanation in explanations} == {"no digit"}


def test_lrp_keeps_the_sum(model):
    sound = np.random.default_rng(0).normal(0, 0.1, 48000)
    explanation = xaudio.explain(
        model, sound, sample_rate=48000, explainer="lrp", composite="epsilon", constants=True, device="cpu"
    )
    assert explanation.provenance["completeness"]["holds"]
    assert explanation.provenance["completeness"]["miss"] < 1e-3


def test_it_is_as_good_as_it_says(real_data, model):
    for name, heard in {
        f"FSDD, {SAID['tested_on']}": sounds.fsdd(real_data("fsdd"), [SAID["tested_on"]]),
        "AudioMNIST": sounds.digit_files(real_data("audiomnist-en")),
        "Speech Commands": sounds.commands(real_data("speech-commands")),
        "environmental sounds, ESC-10 fold 5": sounds.environment(real_data("esc10"), "5"),
    }.items():
        correct = np.array(answers(model, heard)) == np.array(model.classes)[heard.classes]
        assert correct.mean() == pytest.approx(SAID["scores"][name]["accuracy"], abs=1.5 / len(heard)), name


def test_measurements_leave_out_the_voices_it_knows(real_data, model):
    with pytest.warns(xaudio.XaudioWarning, match="2500 of 3000 recordings of FSDD are left out"):
        dataset, indices = xaudio.held_out(model, "fsdd", real_data("fsdd"))
    assert {dataset.speakers[index] for index in indices} == {SAID["tested_on"]}


def test_a_dog_and_a_seven_on_the_command_line(run_command, real_data, tmp_path):
    seven = real_data("fsdd") / "recordings" / f"7_{SAID['tested_on']}_1.wav"
    dog = sorted((real_data("esc10") / "001 - Dog bark").glob("5-*.ogg"))[0]
    run_command("explain", seven, dog, "--model", "demo", "--render", "visual", "--out", tmp_path / "seen")
    kept = [xaudio.Explanation.load(path) for path in sorted((tmp_path / "seen").rglob("*.safetensors"))]
    assert {one.classes[one.predicted] for one in kept} == {"7", "no digit"}


@pytest.mark.slow
def test_scenes_follow_from_the_seed_and_hold_what_they_should():
    tone = np.sin(np.arange(3000, dtype=np.float32))
    words = sounds.Sounds([tone, tone[:2000], tone], np.array([3, 8, sounds.NO_DIGIT]))
    made = scenes.Scenes(words, [np.random.default_rng(1).normal(size=40000)], seed=5)
    waveforms, classes = made.batch(2, 64)
    assert torch.equal(waveforms, made.batch(2, 64)[0])
    assert not torch.equal(waveforms, made.batch(3, 64)[0])
    assert waveforms.shape == (64, sounds.RATE)
    assert set(classes.tolist()) == {3, 8, sounds.NO_DIGIT}
    assert torch.isfinite(waveforms).all()
    assert waveforms.abs().amax(1).max() <= 1


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_training_command(real_data, tmp_path, training, monkeypatch):
    for name in [f"{digit}_{speaker}_0.wav" for digit in range(10) for speaker in ("george", "theo", "yweweler")]:
        (tmp_path / "data/fsdd").mkdir(parents=True, exist_ok=True)
        shutil.copy(real_data("fsdd") / "recordings" / name, tmp_path / "data/fsdd")
    for fold in "12345":
        (tmp_path / "data/esc10").mkdir(exist_ok=True)
        shutil.copy(next((real_data("esc10") / "001 - Dog bark").glob(f"{fold}-*")), tmp_path / "data/esc10")
    (tmp_path / "data/arabic-commands").mkdir()
    for part in ("train", "test"):
        shutil.copy(real_data("fsdd") / "recordings" / "0_lucas_0.wav", tmp_path / f"data/arabic-commands/{part}.wav")
        (tmp_path / f"data/arabic-commands/{part}.csv").write_text(f"file,class\n{part}.wav,open\n")
    for module in (trained, measuring):
        monkeypatch.setattr(module, "WORDS", ["yes", "no", "house"])
    trained.main(tmp_path / "data", tmp_path / "out", steps=2, voices=1)
    kept = xaudio.Model.load(tmp_path / "out")
    assert kept.classes == sounds.CLASSES
    with (tmp_path / "out" / "recordings.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 20
    assert "AudioMNIST" not in json.loads((tmp_path / "out" / "provenance.json").read_text())["scores"]
