"""The network on levels of mel bands: any rate and length, and what a run of it remembers."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

import xaudio
from xaudio import Experiment, Explanation, ModelError, PluginError, create
from xaudio.testing import checks_of

CLASSES = ("hum", "hiss")
RATE = 22050


def sound(label, number):
    """A hum or a hiss, of 0.3 to 0.5 s, at any place."""
    random = np.random.default_rng([number, label])
    samples = int(RATE * random.uniform(0.3, 0.5))
    noise = random.normal(size=samples)
    hum = np.sin(2 * np.pi * random.uniform(150, 400) * np.arange(samples) / RATE) + 0.05 * noise
    return (0.2 * (hum if label == 0 else noise)).astype(np.float32)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    made = []
    for number in range(16):
        for label, name in enumerate(CLASSES):
            path = folder / name / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, sound(label, number), RATE)
            made.append(xaudio.plugin.Recording(str(path), f"group {number % 4}", {"sound": label}))
    return xaudio.plugin.SpeakerDataset(
        "sounds", "sounds", {"sound": CLASSES}, made, {"sound": [[f"group {group}"] for group in range(4)]}, fit="loudest"
    )


@pytest.fixture(scope="module")
def run(recordings, tmp_path_factory, training):
    folder = tmp_path_factory.mktemp("runs") / "cnn"
    experiment = Experiment(
        recordings, "sound", 0, "log-mel-cnn", model_options={"width": 4, "bands": 16}, training={"steps": 40, "warmup": 5}
    )
    result = xaudio.run_experiment(experiment, folder, torch.device("cpu"))
    assert result.accuracy > 0.8
    return folder


@pytest.mark.parametrize("check", checks_of("model", "log-mel-cnn"))
def test_keeps_the_contract(check):
    check()


@pytest.mark.parametrize(("rate", "samples"), [(4000, 2000), (16000, 400), (44100, 100_000), (500_000, 60_000)])
def test_any_rate_and_length(rate, samples):
    network = create("model", "log-mel-cnn", classes=3, sample_rate=rate, width=2).eval()
    name, options = xaudio.plugin.parse_spec(network.representation)
    representation = create("representation", name, **options).at(samples)
    logits = network(representation(torch.randn(2, samples, generator=torch.Generator().manual_seed(0))))
    assert logits.shape == (2, 3)
    assert torch.isfinite(logits).all()


def test_what_does_not_fit_is_one_line():
    with pytest.raises(PluginError, match="is nothing at 100 Hz"):
        create("model", "log-mel-cnn", classes=3, sample_rate=100)
    with pytest.raises(ModelError, match=r"expected levels \(batch, 1, 64, frames\)"):
        create("model", "log-mel-cnn", classes=3)(torch.zeros(1, 1, 63, 30))


def test_it_is_trained_at_the_length_that_nine_of_ten_recordings_do_not_exceed(run, recordings):
    model = xaudio.load_model(run)
    lengths = sorted(len(clip.waveform) / clip.sample_rate for clip in map(recordings.__getitem__, range(len(recordings))))
    seconds = model.representation.samples / model.representation.sample_rate
    assert lengths[len(lengths) // 2] < seconds <= lengths[-1]
    assert model.representation_spec["options"]["samples"] == model.representation.samples


def test_a_run_may_take_any_length_and_says_at_which_it_was_trained(recordings, tmp_path, training):
    small = {"model_options": {"width": 4, "bands": 16}, "training": {"steps": 2, "length": "any"}}
    xaudio.run_experiment(Experiment(recordings, "sound", 0, "log-mel-cnn", **small), tmp_path / "any", torch.device("cpu"))
    model = xaudio.load_model(tmp_path / "any")
    for seconds in (0.3, 2.5):
        clip = xaudio.Clip(np.tile(sound(0, 1), 9)[: int(RATE * seconds)], RATE)
        explanation = xaudio.explain(model, clip, explainer="gradient")
        assert len(explanation.clip.waveform) == np.ceil(int(RATE * seconds) * 16000 / RATE)
        assert any("was trained at 0.4" in remark and "may answer differently" in remark for remark in explanation.remarks)
    other = Experiment(recordings, "sound", 0, "log-mel-cnn", training={"steps": 2, "length": "any", "subtract_mean": True})
    with pytest.raises(ModelError, match="length=any does not suit this model: it takes one length. The training setting"):
        xaudio.run_experiment(other, tmp_path / "mean", torch.device("cpu"))
    fixed = Experiment(recordings, "sound", 0, "audionet", training={"steps": 2, "length": "any"})
    with pytest.raises(ModelError, match="it takes one length. The representation takes 8000 samples and no other"):
        xaudio.run_experiment(fixed, tmp_path / "fixed", torch.device("cpu"))


def test_a_run_is_explained_saved_and_seen_again(run, recordings, tmp_path):
    explanations = xaudio.explain(run, [recordings[0], recordings[1]], explainer="gradient")
    for number, explanation in enumerate(explanations):
        kept = Explanation.load(explanation.save(tmp_path / f"{number}.safetensors"))
        assert kept.provenance["representation"] == explanation.provenance["representation"]
        np.testing.assert_allclose(kept.levels(), explanation.features[0], atol=1e-5)
        assert kept.view("time").relevance.shape == (1, len(kept.clip.waveform))
        assert kept.predicted == number


@pytest.mark.parametrize(("width", "channels_last"), [(8, False), (16, True)])
def test_channels_come_last_in_a_training_where_onednn_keeps_to_its_memory(recordings, tmp_path, training, width, channels_last):
    """With AVX2 it writes beyond it below 8 channels, with AVX-512 below 16: a crash, a standstill or wrong weights."""
    formats = []

    def look(optimiser, *_):
        formats.append({weight.stride(1) == 1 for weight in optimiser.param_groups[0]["params"] if weight.shape[2:] == (3, 3)})

    hook = register_optimizer_step_pre_hook(look)
    small = {"model_options": {"width": width, "bands": 16}, "training": {"steps": 1}}
    xaudio.run_experiment(Experiment(recordings, "sound", 0, "log-mel-cnn", **small), tmp_path / "run", torch.device("cpu"))
    hook.remove()
    assert formats == [{channels_last}]


def test_the_command_line_trains_with_an_optioned_representation(run_command, recordings, tmp_path, training, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = Path(recordings.recordings[0].source)
    run_command(
        *("train", "--data", first.parent.parent, "--out", "run", "--device", "cpu"),
        *("--model", "log-mel-cnn:width=2,bands=16,sample_rate=8000", "--set", "steps=2", "--set", "batch_size=4"),
        *("--representation", "log_mel:convention=torchaudio,sample_rate=8000,bands=16,samples=6000"),
    )
    options = {"convention": "torchaudio", "sample_rate": "8000", "bands": "16", "samples": "6000"}
    assert xaudio.load_model(tmp_path / "run").representation_spec == {"name": "log_mel", "options": options}
    run_command("explain", first, "--model", tmp_path / "run", "--explainer", "gradient", "--out", "seen")
    (kept,) = (tmp_path / "seen").rglob("*.safetensors")
    explanation = Explanation.load(kept)
    assert explanation.relevance.shape == (1, 16, 31)
    assert explanation.view("frequency").render("visual", "html", folder=tmp_path / "again")


def test_where_nothing_is_cut_the_longest_of_all_recordings_counts(tmp_path, training):
    made = []
    for number in range(24):
        label, group = number % 2, number % 4
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, sound(label, number)[: 3000 if number < 23 else 6000], RATE)
        made.append(xaudio.plugin.Recording(str(path), f"group {group}", {"sound": label}))
    folds = {"sound": [[f"group {group}"] for group in range(4)]}
    uneven = xaudio.plugin.SpeakerDataset("sounds", "sounds", {"sound": CLASSES}, made, folds, fit="error")
    small = {"model_options": {"width": 2, "bands": 8}, "training": {"steps": 1}}
    xaudio.run_experiment(Experiment(uneven, "sound", 3, "log-mel-cnn", **small), tmp_path / "run", torch.device("cpu"))
    representation = xaudio.load_model(tmp_path / "run").representation
    assert representation.samples / representation.sample_rate >= 6000 / RATE
