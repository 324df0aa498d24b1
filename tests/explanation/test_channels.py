"""Recordings of several channels: networks that read them, relevance of each channel, and what is refused in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import xaudio.plugin
from xaudio.cli.app import app
from xaudio.errors import XaudioError
from xaudio.explanation.rendering import render, save_and_render, write_report, write_together
from xaudio.explanation.summary import summary_of

RATE = 8000
READS = {
    "raw": "raw:sample_rate=8000,channels=2",
    "fixed": "raw:sample_rate=8000,channels=2,samples=3000",
    "log_mel": "log_mel:sample_rate=8000,channels=2,n_fft=256,bands=20",
}


class Each(nn.Module):
    """The sum of what one network says of each channel, each channel with a weight of its own."""

    def __init__(self, axes=1, weights=(1.0, -2.0)):
        super().__init__()
        convolution = nn.Conv1d if axes == 1 else nn.Conv2d
        pool = nn.AdaptiveAvgPool1d(1) if axes == 1 else nn.AdaptiveAvgPool2d(1)
        self.single = nn.Sequential(convolution(1, 4, 5), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, 3))
        self.weights = weights

    def forward(self, features):
        assert features.shape[1] == len(self.weights)
        return sum(weight * self.single(features[:, [row]]) for row, weight in enumerate(self.weights))


class Last(Each):
    """The same with the channels last."""

    def forward(self, features):
        return super().forward(features.transpose(1, 2))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def sound(samples=4000, channels=2, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(channels, samples)) * 0.1
    return (drawn * np.linspace(1, 0.2, channels)[:, None]).astype(np.float32)


@pytest.fixture
def stereo(tmp_path):
    return xaudio.write_audio(tmp_path / "stereo.wav", sound(), RATE)


def explain(network, audio, reads="raw", **more):
    known = {"representation": READS.get(reads, reads), "explainer": "gradient", "kind": "classes", "device": "cpu"}
    return xaudio.explain(network, audio, **{**known, **more})


@pytest.mark.parametrize("network", [Each, Last])
def test_relevance_of_a_stereo_network_is_its_gradient(network, stereo):
    made = network().eval()
    explanation = explain(made, stereo, target=1)
    waveform = torch.from_numpy(xaudio.read_audio(stereo, channels="all").waveform)[None].requires_grad_()
    entered = waveform.transpose(1, 2) if network is Last else waveform
    (gradient,) = torch.autograd.grad(made(entered)[:, 1].sum(), waveform)
    np.testing.assert_allclose(explanation.relevance, gradient[0].numpy(), atol=1e-9)
    assert explanation.channels == ("left", "right")
    assert not any("mixed down" in remark for remark in explanation.remarks)


@pytest.mark.slow
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("explainer", ["gradient", "input_x_gradient", "lrp:composite=epsilon", "integrated_gradients"])
def test_each_channel_has_the_relevance_that_it_has_alone(reads, explainer, stereo):
    """The network adds what it says of the channels, so that the gradient of one does not know of the other."""
    network = Each(2 if reads == "log_mel" else 1).eval()
    fit = {"fit": "loudest"} if reads == "fixed" else {}
    explanation = explain(network, stereo, reads, explainer=explainer, target=2, **fit)
    mono = READS[reads].replace(",channels=2", "")
    heard = explanation.clip.waveform
    assert [explanation.channel(name).clip.channel for name in explanation.channels] == [0, 1]
    for row, (name, weight) in enumerate(zip(explanation.channels, network.weights, strict=True)):
        alone = explain(network.single, heard[row], mono, explainer=explainer, target=2, sample_rate=RATE)
        part = explanation.channel(name)
        np.testing.assert_allclose(part.features, alone.features, atol=1e-5)
        scale = np.abs(alone.relevance).max()
        np.testing.assert_allclose(part.relevance / scale, weight * alone.relevance / scale, atol=2e-3)
        np.testing.assert_allclose(part.levels(), alone.levels(), atol=1e-4)
        for view in ("time", "frequency", "time-frequency"):
            np.testing.assert_allclose(part.view(view).relevance, explanation.view(view).channel(name).relevance, atol=1e-7)


@pytest.mark.slow
def test_several_recordings_go_together_whatever_their_lengths_and_channels(stereo):
    network = Each().eval()
    audio = [sound(3000, seed=1), stereo, sound(4000, 1, seed=2)[0], sound(3000, seed=3)]
    together = explain(network, audio, sample_rate=RATE, target=0)
    for item, explanation in zip(audio, together, strict=True):
        alone = explain(network, item, sample_rate=RATE, channels="all", target=0)
        np.testing.assert_allclose(explanation.relevance, alone.relevance, atol=1e-8)
    assert "the recording has one channel, which is given to each of the 2 that the model reads" in together[2].remarks
    np.testing.assert_array_equal(together[2].clip.waveform[0], together[2].clip.waveform[1])


@pytest.mark.slow
@pytest.mark.parametrize("explainer", xaudio.names("explainer"))
def test_every_explainer_explains_all_channels(explainer, stereo):
    spec = {"parts": None, "kernel_shap": "kernel_shap:samples=20", "lime": "lime:samples=20"}.get(explainer, explainer)
    explanation = explain(Each().eval(), stereo, "fixed", explainer=spec, fit="loudest")
    assert explanation.relevance.shape == (2, 3000)
    assert explanation.channel("left").relevance.any()
    assert explanation.channel("right").relevance.any()


def test_what_is_seen_keeps_its_sum_and_is_kept_in_a_file(stereo, tmp_path):
    explanation = explain(Each(2).eval(), stereo, "log_mel", explainer="input_x_gradient")
    for view in ("time", "frequency", "time-frequency:length=128,hop=64"):
        seen = explanation.view(view)
        assert seen.relevance.sum() == pytest.approx(explanation.relevance.sum(), rel=1e-4)
        seen.save(tmp_path / "seen.safetensors")
        again = xaudio.Explanation.load(tmp_path / "seen.safetensors").channel("right")
        assert again.representation.axes[0].centres.shape == seen.axes[0].centres.shape
        np.testing.assert_array_equal(again.relevance[0], seen.relevance[1])
    explanation.save(tmp_path / "e.safetensors")
    again = xaudio.Explanation.load(tmp_path / "e.safetensors")
    np.testing.assert_allclose(again.view("time").relevance, explanation.view("time").relevance, atol=1e-6)
    assert again.channel(1).levels().shape == explanation.relevance.shape[1:]


@pytest.mark.slow
def test_channels_are_drawn_below_each_other_and_heard_one_by_one(stereo, tmp_path):
    explanation = explain(Each().eval(), stereo, explainer="input_x_gradient")
    paths = explanation.render("visual:dpi=40", "audible", "html", folder=tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in paths}
    assert {"explanation.png", "left/positive.wav", "right/positive.wav", "left/explanation.html"} <= names
    heard = xaudio.read_audio(tmp_path / "out/right/original.wav").waveform
    np.testing.assert_allclose(heard, explanation.clip.waveform[1], atol=1e-4)
    assert len(explanation.plot().axes) == 8  # three panels and a colour bar for each channel
    assert "left channel" in explanation._repr_html_()
    share = np.abs(explanation.relevance[0]).sum() / np.abs(explanation.relevance).sum()
    assert f"left channel, {share:.0%} of the relevance" in explanation.channel("left").title()
    with pytest.raises(XaudioError, match="has the channels left, right: choose one"):
        explanation.play()


def test_a_page_made_by_hand_shows_the_channels_one_by_one(stereo):
    page = xaudio.create("renderer", "html").page(explain(Each().eval(), stereo))
    assert "stereo.wav, left channel" in page
    assert "stereo.wav, right channel" in page


class MidAndSide(nn.Module):
    """Two channels as their sum and their difference: no channel is there by itself."""

    channels, sample_rate, samples, placement, unit = 2, RATE, 4000, "start", "full scale"

    def __init__(self):
        super().__init__()
        self.axes = (xaudio.plugin.Axis("time", "s", np.arange(4000) / RATE),)

    def forward(self, waveforms):
        return torch.stack([waveforms.sum(1), waveforms[:, 0] - waveforms[:, 1]], 1)


def test_channels_that_are_read_at_once_are_written_where_no_renderer_shows_them_apart(stereo, tmp_path):
    explanations = explain(Each().eval(), [stereo, stereo], MidAndSide())
    with pytest.raises(XaudioError, match="reads all channels at once"):
        explanations[0].channel("left")
    written = save_and_render(explanations, [], tmp_path)
    assert [path.name for path in write_report(explanations, [], written, tmp_path)] == ["index.csv"]
    assert write_together(explanations, [], tmp_path) == []

    def shown(explanation, folder):
        return []

    shown.shows_channels = True
    assert render(explanations, [shown], tmp_path / "more") == []


@pytest.mark.parametrize("kept", [False, True])
def test_rows_that_are_no_channels_are_added_in_windows(kept, tmp_path):
    """Else the relevance of mid and side would be called that of left and right."""
    asked = {"window": 0.5, "choose": "all", "sample_rate": RATE, "channels": "all", "target": 1, "explainer": "gradient"}
    asked |= {"kind": "classes", "device": "cpu"}
    sounds = sound(8000)
    long = xaudio.explain_windows(Each().eval(), sounds, representation=MidAndSide(), **asked)
    explanations = list(long.explanations)
    if kept:
        paths = [one.save(tmp_path / f"{number}.safetensors") for number, one in enumerate(explanations)]
        explanations = [xaudio.Explanation.load(path) for path in paths]
    assert len(explanations) == 2
    added = np.concatenate([piece.relevance for piece in replace(long, explanations=explanations).overlap_add()], axis=-1)
    rows = np.concatenate([one.relevance for one in long.explanations], axis=1)
    np.testing.assert_allclose(added, rows.sum(0, dtype=np.float64) / 2, rtol=1e-6)
    apart = xaudio.explain_windows(Each().eval(), sounds, representation=READS["raw"], **asked)
    assert "relevance_of_channels" not in summary_of(explanations[0])
    assert list(summary_of(apart.explanations[0])["relevance_of_channels"]) == ["left", "right"]
    assert [one.relevance.shape for one in apart.overlap_add()] == [(2, 4000)] * 2


OWN = """
import sys

import torch

sys.path.insert(0, {folder!r})
from test_channels import Each, MidAndSide

def joined():
    torch.manual_seed(0)
    made = Each().eval()
    made.representation, made.kind, made.classes = MidAndSide(), "classes", ["a", "b", "c"]
    return made
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [("--window", "0.25", "--explain", "top:1"), (), ("--workers", "1")])
def test_channels_that_are_read_at_once_are_refused_before_anything_is_computed(how, stereo, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(OWN.format(folder=str(Path(__file__).parent)))
    words = ["explain", stereo, "--model", f"python:at={tmp_path / 'mine.py'}:joined", "--device", "cpu", *how]
    words += ["--explainer", "gradient", "--out", tmp_path / "out", "--render"]
    with monkeypatch.context() as patch:
        patch.setattr("xaudio.explanation.asking.Asker.__call__", None)
        patch.setattr("xaudio.explanation.windowing.LongWork.scores", None)
        for renderer in ("html", "segments", "audible", "visual"):
            done = CliRunner().invoke(app, [str(word) for word in (*words, renderer)])
            assert str(done.exception).startswith("The representation MidAndSide reads all channels at once, and a renderer")
            assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, [str(word) for word in (*words, "")])
    assert not done.exception, done.output
    assert len(list((tmp_path / "out").rglob("*.safetensors"))) == (how != ("--workers", "1"))


@pytest.mark.slow
def test_one_scale_of_colours_holds_for_all_channels(stereo):
    """Else a channel without relevance would look as full of it as the other."""
    explanation = explain(Each(weights=(1.0, 0.01)).eval(), stereo, explainer="gradient")
    bars = [axes for axes in explanation.plot().axes if axes.get_label() == "<colorbar>"]
    limits = [axes.get_ylim() for axes in bars]
    assert len(limits) == 2
    assert limits[0] == limits[1]


def test_more_channels_than_two_have_numbers():
    explanation = explain(Each(weights=(1, 2, 3)).eval(), sound(channels=3), "raw:channels=3,sample_rate=8000", channels="all",
                          sample_rate=RATE)  # fmt: skip
    assert explanation.channels == ("1", "2", "3")
    assert explanation.channel("3").relevance.shape == (1, 4000)
    assert explanation.channel(2).clip.channels == 1


MONO = "raw:sample_rate=8000"
REFUSED = {
    "two rows": (Each, {}, "two recordings, or two channels of one"),
    "all of a mono model": (
        lambda: Each(weights=(1.0,)),
        {"channels": "all", "representation": MONO},
        "the model reads 1 channel",
    ),
    "a stereo network of mono sound": (Each, {"channels": "left", "representation": MONO}, r"as in raw:channels=2"),
    "three of two": (
        lambda: Each(weights=(1, 1, 1)),
        {"channels": "all", "representation": "raw:sample_rate=8000,channels=3"},
        "has 2 channels, and the model reads 3 channels",
    ),
    "no such channel": (Each, {"channels": 2}, r"there is no channel 2 \(mean, left, right, all, or from 0\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_channels_that_do_not_fit_are_refused_in_one_line(case):
    network, options, message = REFUSED[case]
    made = network()
    if case == "a stereo network of mono sound":
        made = nn.Sequential(nn.Conv1d(2, 3, 9), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    with pytest.raises(XaudioError, match=message) as refused:
        explain(made.eval(), sound(), sample_rate=RATE, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("channels", ["mean", "left", 1])
def test_one_channel_is_heard_of_several_by_any_model(channels, stereo):
    explanation = explain(Each(weights=(1.0,)).eval(), stereo, MONO, channels=channels)
    whole = xaudio.read_audio(stereo, channels="all").waveform
    wanted = whole.mean(0) if channels == "mean" else whole[0 if channels == "left" else channels]
    np.testing.assert_allclose(explanation.clip.waveform, wanted, atol=1e-7)


@pytest.mark.slow
def test_the_doctor_and_similarities_take_all_channels(stereo):
    network = Each(weights=(1.0, 0.5)).eval()
    network.representation = READS["raw"]
    diagnosis = xaudio.diagnose(network, audio=stereo)
    assert not [finding for finding in diagnosis.findings if finding.severity == "error"]
    alike = explain(network, stereo, kind="embedding", target=xaudio.Similarity(stereo))
    assert alike.score == pytest.approx(1)


def test_a_function_of_several_channels_is_wrapped():
    """Explainers that ask for scores only take parts away in all channels at once, which is said."""

    def levels(waveforms):
        return np.abs(waveforms).mean(-1) * 10

    model = xaudio.wrap(levels, representation=READS["raw"], classes=["l", "r"], kind="classes", gives="logits")
    known = {"sample_rate": RATE, "channels": "all", "target": "r", "device": "cpu"}
    explanation = xaudio.explain(model, sound(), explainer="occlusion", **known)
    np.testing.assert_allclose(explanation.logits, 10 * np.abs(sound()).mean(1), rtol=1e-4)
    assert any("does not tell the channels apart" in remark for remark in explanation.remarks)
    told = explain(Each().eval(), sound(), sample_rate=RATE, channels="all", explainer="gradient")
    assert not any("tell the channels apart" in remark for remark in told.remarks)


CODE = """
import torch
from torch import nn

def stereo():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv1d({channels}, 3, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
    made.representation = "raw:sample_rate=8000,channels={channels}"
    made.kind, made.classes = "classes", ["a", "b", "c"]
    return made
"""


@pytest.mark.parametrize(
    ("reads", "channels", "remark"), [(1, "1", "channel 1 of 2 taken"), (1, None, "mixed down"), (2, None, "")]
)
def test_channels_are_chosen_on_the_command_line(reads, channels, remark, stereo, tmp_path, run_command):
    (tmp_path / "mine.py").write_text(CODE.format(channels=reads))
    words = ("explain", stereo, "--model", f"python:at={tmp_path / 'mine.py'}:stereo", "--explainer", "gradient", "--json")
    more = () if channels is None else ("--channels", channels)
    done = run_command(*words, *more, "--render", "visual:dpi=40", "--out", tmp_path / "out")
    (record,) = json.loads(done.stdout)
    assert any(note.startswith(remark) for note in record["notes"])
    kept = xaudio.Explanation.load(tmp_path / "out/explanation.safetensors")
    assert kept.relevance.shape[0] == reads
