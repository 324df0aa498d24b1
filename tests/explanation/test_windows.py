"""Long recordings: windows to the sample, sums that hold, memory that does not grow, commands that go on."""

import csv
import io
import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, strategies as st
from parsed import Page
from sweeps import sweep
from torch import nn

import xaudio
from xaudio import AudioError, Clip, DataError, XaudioError, create
from xaudio.cli.windows import Done, facts_of
from xaudio.explanation.collection import KeptExplanations
from xaudio.explanation.window_question import WindowQuestion
from xaudio.explanation.windows import parse_choice
from xaudio.plugin import Axis, Model
from xaudio.sound import streaming
from xaudio.sound.audio import at_rate, read_audio
from xaudio.sound.streaming import Outline, Stream, windows_of
from xaudio_segments import read_events

RATE = 8000


def noise(seconds, rate=RATE, seed=0, channels=1):
    return 0.5 * np.random.default_rng(seed).uniform(-1, 1, (round(seconds * rate), channels)).astype(np.float32)


@pytest.fixture
def model():
    """A network of which relevance sums to the logit exactly: without biases, and piecewise linear."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv1d(1, 3, 50, stride=10, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 796, 2, bias=False)
        ).double()
    network.representation = "waveform:normalisation=none"
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "target"), [(44100, 16000), (8000, 16000), (22050, 44100), (48000, 8000), (16000, 16000)])
@pytest.mark.parametrize("samples", [20, 777, 400_001])
def test_a_stream_is_the_whole_recording(rate, target, samples, tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(samples / rate, rate, channels=2), rate, subtype="FLOAT")
    stream = Stream(tmp_path / "a.wav", target)
    streamed = np.concatenate(list(stream))
    whole = at_rate(read_audio(tmp_path / "a.wav"), target, "soxr")
    assert len(streamed) == len(whole.waveform) == stream.samples
    np.testing.assert_allclose(streamed, whole.waveform, rtol=0, atol=1e-6)
    assert stream.notes == whole.notes
    assert abs(stream.expected_samples() - stream.samples) <= 1
    clip = Clip(read_audio(tmp_path / "a.wav").waveform, rate)
    assert np.array_equal(np.concatenate(list(Stream(clip, target))), streamed)


def test_streams_refuse_what_cannot_be_had(tmp_path):
    broken = noise(1)
    broken[5000] = np.nan
    soundfile.write(tmp_path / "a.wav", broken, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="sample 5000 is NaN"):
        list(Stream(tmp_path / "a.wav", RATE))
    soundfile.write(tmp_path / "b.wav", noise(1), RATE)
    with pytest.raises(AudioError, match="needs the whole recording"):
        list(Stream(tmp_path / "b.wav", 16000, "fft"))
    (tmp_path / "c.wav").write_bytes((tmp_path / "b.wav").read_bytes()[:9000])
    with pytest.raises(AudioError, match="truncated"):
        list(Stream(tmp_path / "c.wav", RATE))


@pytest.mark.slow
@given(st.integers(2, 3000), st.integers(1, 500), st.integers(1, 700), st.integers(1, 400))
def test_windows_are_where_they_should_be(samples, window, hop, block):
    signal = np.arange(samples, dtype=np.float32)
    blocks = (signal[start : start + block] for start in range(0, samples, block))
    windows = list(windows_of(blocks, window, hop))
    if samples <= window:
        starts = [0]
    else:
        starts = list(range(0, samples - window + 1, hop))
        if starts[-1] + window < samples and starts[-1] + hop < samples:
            starts.append(samples - window)
    assert [one.start for one in windows] == starts
    assert [one.number for one in windows] == list(range(len(starts)))
    for one in windows:
        assert np.array_equal(one.waveform, signal[one.start : one.start + window])


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30), st.integers(0, 1000))
def test_an_outline_has_the_extremes_of_all_samples(blocks, seed):
    outline, draw = Outline(), np.random.default_rng(seed)
    signal = draw.normal(size=sum(blocks))
    for block in np.split(signal, np.cumsum(blocks)[:-1]):
        outline.add(block)
    pieces, size = outline.pieces, outline.size
    assert len(pieces) == -(-len(signal) // size) <= 8193
    starts = range(0, len(signal), size)
    assert np.array_equal(pieces, np.transpose([np.minimum.reduceat(signal, starts), np.maximum.reduceat(signal, starts)]))


@pytest.mark.parametrize("weights", ["mean", "sum"])
def test_relevance_of_overlapping_windows_sums_to_the_weighted_scores(weights, model):
    clip = Clip(noise(5.3)[:, 0], RATE, source="long")
    asked = {"window": 1, "hop": 0.37, "choose": "all", "explainer": "input_x_gradient", "weights": weights, "target": 1}
    long = xaudio.explain_windows(model, clip, **asked)
    assert len(long.scores) == len(long.explanations) == 13
    pieces = list(long.overlap_add())
    whole = math.fsum(float(piece.relevance.sum()) for piece in pieces)
    sums = (float(one.relevance.astype(float).sum()) for one in long.explanations)
    summed = math.fsum(weight * held for weight, held in zip(long.weights, sums, strict=True))
    assert whole == pytest.approx(summed, abs=1e-10)
    assert whole == pytest.approx(long.score, abs=1e-10 if long.explanations[0].relevance.dtype == np.float64 else 1e-5)
    relevance = np.zeros(len(clip.waveform))
    coverage = np.zeros(len(clip.waveform), int)
    for weight, one in zip(long.weights, long.explanations, strict=True):
        start = one.placed.start
        relevance[start : start + 8000] += weight * one.relevance[0]
        coverage[start : start + 8000] += 1
    for piece in pieces:
        here = slice(piece.start, piece.start + len(piece.relevance))
        np.testing.assert_allclose(piece.relevance, relevance[here], rtol=0, atol=1e-12)
        assert np.array_equal(piece.coverage, coverage[here])
    assert sum(len(piece.relevance) for piece in pieces) == len(clip.waveform)


def test_scores_are_those_of_the_windows_alone(model):
    clip = Clip(noise(3.21)[:, 0], RATE)
    long = xaudio.explain_windows(model, clip, window=1, hop=0.5, choose="1.2,2-2.4")
    for scored in long.scores:
        piece = Clip(clip.waveform[scored.start : scored.start + scored.samples], RATE)
        alone = xaudio.explain(model, piece, explainer="random")
        assert scored.predicted == scored.label == alone.classes[alone.predicted]
        assert scored.score == pytest.approx(alone.logits[alone.predicted])
        assert scored.probability == pytest.approx(alone.probabilities[alone.predicted])
    assert [one.start for one in long.scores] == [0, 4000, 8000, 12000, 16000, 17680]
    assert [one.recording_span[0] for one in long.explanations] == [0.5, 1.0, 1.5, 2.0, 2.21]


def test_a_recording_shorter_than_the_window_is_one_window(model):
    long = xaudio.explain_windows(model, Clip(noise(0.5)[:, 0], RATE), window=1, choose="all", explainer="input_x_gradient")
    (only,) = long.explanations
    assert (len(long.scores), long.scores[0].samples, only.recording_span) == (1, 4000, (0, 0.5))


def test_words_of_the_recording_are_parts_of_its_windows(model, tmp_path):
    (tmp_path / "words.txt").write_text("0.2\t0.6\tfirst\n2.1\t2.4\tsecond\n")
    clip = Clip(noise(3)[:, 0], RATE, source="a.wav")
    asked = {"window": 1, "choose": "all", "explainer": f"slot_occlusion:parts={tmp_path / 'words.txt'}"}
    long = xaudio.explain_windows(model, clip, **asked)
    rows = [row for one in long.explanations for row in create("renderer", "segments").segments(one)]
    parts = [(row.label, row.start_s, row.end_s, row.window) for row in rows if row.kind == "part"]
    assert parts == [("first", 0.2, 0.6, 0), ("second", 2.1, 2.4, 2)]


@pytest.mark.parametrize("choice", ["top:3", "threshold:0.6", "all", "2.5", "0-1.2,3"])
def test_choices(choice):
    from xaudio.explanation.windows import Scored

    chances = [0.5, 0.9, 0.7, 0.1, 0.8]
    scores = [Scored(n, n * 8, 8, float(n), n + 1.0, "a", chance, chance, "a") for n, chance in enumerate(chances)]
    expected = {"top:3": [1, 2, 4], "threshold:0.6": [1, 2, 4], "all": [0, 1, 2, 3, 4], "2.5": [2], "0-1.2,3": [0, 1, 3]}
    assert parse_choice(choice)(scores) == expected[choice]


@pytest.mark.parametrize(
    "choice", ["top:0", "top:x", "best", "threshold:nan", "threshold:2", "-3", "5-2", "", "nan", "inf", "1-inf"]
)
def test_choices_that_are_none(choice):
    with pytest.raises(DataError, match="expected top:5"):
        parse_choice(choice)


@pytest.mark.parametrize("wrong", [{"window": 0}, {"window": -1}, {"window": math.nan}, {"window": 1, "hop": 0}, {"window": 2}])
def test_windows_that_cannot_be(wrong, model):
    with pytest.raises(DataError):
        xaudio.explain_windows(model, Clip(noise(3)[:, 0], RATE), **wrong)


@pytest.mark.slow
def test_a_model_of_any_length_takes_any_window_and_says_so():
    class Levels(nn.Module):
        def forward(self, features):
            return torch.stack([features.flatten(1).mean(1), features.flatten(1).std(1)], 1)

    representation = create("representation", "log_mel")
    clip = Clip(noise(3, representation.sample_rate)[:, 0], representation.sample_rate)
    asked = {"window": 0.5, "choose": "all", "representation": representation, "explainer": "slot_occlusion:slots=4"}
    long = xaudio.explain_windows(Levels(), clip, **asked)
    assert [len(one.clip.waveform) for one in long.explanations] == [representation.sample_rate // 2] * 6
    assert any("may answer differently" in note for note in long.notes)
    summed = math.fsum(w * one.relevance.sum(dtype=float) for w, one in zip(long.weights, long.explanations, strict=True))
    assert math.fsum(piece.relevance.sum() for piece in long.overlap_add()) == pytest.approx(summed, rel=1e-5)


def test_arrays_are_recordings_too(model):
    sound = noise(2.5)[:, 0]
    of_array, of_clip = (
        xaudio.explain_windows(model, given, window=1, choose="top:1", **more)
        for given, more in ((sound, {"sample_rate": RATE}), (Clip(sound, RATE), {}))
    )
    assert list(of_array.scores) == list(of_clip.scores)
    with pytest.raises(AudioError, match="sample_rate"):
        xaudio.explain_windows(model, sound, window=1)


@pytest.mark.slow
def test_one_channel_of_several_is_cut_into_windows(model, tmp_path):
    both = noise(2.5, channels=2).T
    soundfile.write(tmp_path / "both.wav", both.T, RATE, subtype="FLOAT")
    asked = {"window": 1, "choose": "top:1", "sample_rate": RATE}
    for recording in (both, torch.from_numpy(both), Clip(both, RATE), tmp_path / "both.wav"):
        for channels, index in (("left", 0), ("right", 1), (1, 1)):
            long = xaudio.explain_windows(model, recording, channels=channels, **asked)
            assert list(long.scores) == list(xaudio.explain_windows(model, both[index], **asked).scores)
            assert [one.clip.channel for one in long.explanations] == [index]
            assert f"channel {index} of 2 taken" in long.notes
    mixed = [xaudio.explain_windows(model, recording, channels="mean", **asked) for recording in (both, tmp_path / "both.wav")]
    assert list(mixed[0].scores) == list(mixed[1].scores) == list(xaudio.explain_windows(model, both.mean(0), **asked).scores)
    for recording, channels, message in (
        (both, None, r"shape \(2, 20000\), and one long recording is explained at a time"),
        (np.tile(both, (2, 1)), None, r"shape \(4, 20000\), and one"),
        (both.T, None, "Transpose it"),
        (list(both), None, "Cannot explain a list"),
        (both, "all", "has 2 channels, and the model reads 1 channel"),
        (both, 2, "there is no channel 2"),
        (tmp_path / "both.wav", "all", "has 2 channels, and the model reads 1 channel"),
        (tmp_path / "both.wav", 2, "there is no channel 2"),
    ):
        with pytest.raises(AudioError, match=message):
            xaudio.explain_windows(model, recording, channels=channels, **asked)


class Apart(nn.Module):
    """What one network says of the left channel, less twice what it says of the right one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.single = nn.Sequential(nn.Conv1d(1, 4, 9), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self, waveforms):
        return self.single(waveforms[:, :1]) - 2 * self.single(waveforms[:, 1:])


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "resampling"), [(RATE, "soxr"), (11025, "soxr"), (11025, "fft")])
def test_all_channels_are_cut_into_windows(rate, resampling, tmp_path):
    """Of each channel the relevance that it has alone; of all, what the whole recording has without a window."""
    network = Apart().eval()
    sound = noise(2.5, rate, channels=2)
    sound[:, 1] *= 0.3
    soundfile.write(tmp_path / "both.wav", sound, rate, subtype="FLOAT")
    asked = {"window": 1, "hop": 0.75, "choose": "all", "target": 1, "explainer": "gradient", "kind": "classes", "device": "cpu"}
    asked["resampling"] = resampling
    long = xaudio.explain_windows(network, tmp_path / "both.wav", representation="raw:sample_rate=8000,channels=2", **asked)
    assert [one.channels for one in long.explanations] == [("left", "right")] * 3
    alone = [
        xaudio.explain_windows(
            network.single, tmp_path / "both.wav", channels=name, representation="raw:sample_rate=8000", **asked
        )
        for name in ("left", "right")
    ]
    for number, one in enumerate(long.explanations):
        for name, weight, of_channel in zip(one.channels, (1, -2), alone, strict=True):
            single, part = of_channel.explanations[number], one.channel(name)
            np.testing.assert_array_equal(part.clip.waveform, single.clip.waveform)
            np.testing.assert_allclose(part.relevance, weight * single.relevance, rtol=1e-4, atol=1e-7)
            assert part.placed == single.placed
            assert part.clip.channel == single.clip.channel
    scores = [[scored.score for scored in of_channel.scores] for of_channel in alone]
    np.testing.assert_allclose([scored.score for scored in long.scores], scores[0] - 2 * np.array(scores[1]), atol=1e-5)
    together, *parts = (list(one.overlap_add()) for one in (long, *alone))
    assert sum(len(piece.coverage) for piece in together) == long.samples
    for channel, weight, pieces in zip((0, 1), (1, -2), parts, strict=True):
        for piece, single in zip(together, pieces, strict=True):
            np.testing.assert_allclose(piece.relevance[channel], weight * single.relevance, rtol=1e-4, atol=1e-7)
            np.testing.assert_array_equal(piece.coverage, single.coverage)
    ends = [of_channel.outline for of_channel in alone]
    np.testing.assert_array_equal(long.outline[:, 0], np.minimum(*(one[:, 0] for one in ends)))
    np.testing.assert_array_equal(long.outline[:, 1], np.maximum(*(one[:, 1] for one in ends)))
    if (rate, resampling) == (RATE, "soxr"):
        told = {"representation": "raw:sample_rate=8000,channels=2", "kind": "classes", "explainer": "gradient", "device": "cpu"}
        whole = xaudio.explain(network, sound[:RATE].T.copy(), sample_rate=RATE, channels="all", target=1, **told)
        np.testing.assert_allclose(long.explanations[0].relevance, whole.relevance, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("form", ["path", "bytes", "file", "mapping of bytes", "mapping", "clip", "array"])
def test_all_channels_are_heard_of_a_recording_of_any_form(form, tmp_path):
    """Where the model reads several and nobody asks for another; an array must say that its rows are channels."""
    path = tmp_path / "both.wav"
    soundfile.write(path, noise(2.5, channels=2), RATE, subtype="FLOAT")
    both = noise(2.5, channels=2).T
    recording = {
        "path": path,
        "bytes": path.read_bytes(),
        "file": io.BytesIO(path.read_bytes()),
        "mapping of bytes": {"bytes": path.read_bytes()},
        "mapping": {"array": both, "sampling_rate": RATE},
        "clip": Clip(both, RATE),
        "array": both,
    }[form]
    asked = {"window": 1, "choose": "all", "explainer": "gradient", "kind": "classes", "device": "cpu"}
    asked |= {"representation": "raw:sample_rate=8000,channels=2"}
    if form == "array":
        with pytest.raises(AudioError, match='"all" of a model that reads several'):
            xaudio.explain_windows(Apart().eval(), both, sample_rate=RATE, **asked)
        asked |= {"sample_rate": RATE, "channels": "all"}
    long = xaudio.explain_windows(Apart().eval(), recording, **asked)
    of_path = xaudio.explain_windows(Apart().eval(), path, **asked)
    assert list(long.scores) == list(of_path.scores)
    for one, other in zip(long.explanations, of_path.explanations, strict=True):
        np.testing.assert_array_equal(one.relevance, other.relevance)
        assert not np.array_equal(*one.clip.waveform)


@pytest.mark.slow
def test_the_page_of_windows_shows_each_channel(tmp_path):
    asked = {"window": 1, "choose": "top:2", "sample_rate": RATE, "channels": "all", "target": 1, "explainer": "gradient"}
    asked |= {"kind": "classes", "device": "cpu", "representation": "raw:sample_rate=8000,channels=2"}
    long = xaudio.explain_windows(Apart().eval(), noise(2.5, channels=2).T.copy(), **asked)
    page = create("renderer", "html").long_page(long, {})
    assert page.count("<xaudio-player") == 4  # of each window one for each channel, with its own sound
    assert page.count("left channel") == page.count("right channel") > 1
    assert page.count('id="window-') == 2


def test_each_block_is_read_once_with_its_channels(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "both.wav", noise(2.5, channels=2), RATE, subtype="FLOAT")
    read, decode = [], streaming.decode_blocks
    monkeypatch.setattr(streaming, "decode_blocks", lambda *given: (read.append(len(one[0])) or one for one in decode(*given)))
    windows = list(Stream(tmp_path / "both.wav", RATE, channels="all").windows(RATE, RATE))
    assert [one.waveform.shape for one in windows] == [(2, RATE)] * 3
    assert sum(read) <= 2 * 2.5 * RATE  # the first block tells the rate


def test_a_model_of_several_channels_takes_windows_of_one_or_is_told_which(tmp_path):
    sound = noise(2.5)[:, 0]
    asked = {"window": 1, "choose": "top:1", "sample_rate": RATE, "representation": "raw:sample_rate=8000,channels=2"}
    asked |= {"kind": "classes", "device": "cpu"}
    long = xaudio.explain_windows(Apart().eval(), sound, **asked)
    assert any("one channel, which is given to each of the 2" in note for note in long.explanations[0].clip.notes)
    three = np.tile(sound, (3, 1))
    with pytest.raises(AudioError, match="has 3 channels, and the model reads 2 channels"):
        xaudio.explain_windows(Apart().eval(), three, channels="all", **asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"weights": "max"}, "weights"),
        ({"batch_size": -3}, "batch_size is -3; expected a whole number, 1 or more"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
    ],
)
def test_options_out_of_their_bounds_are_refused(asked, said, model):
    with pytest.raises(XaudioError, match=said):
        xaudio.explain_windows(model, Clip(noise(2)[:, 0], RATE), window=1, **asked)


def test_what_is_told_of_a_recording_reads_each_explanation_once(model, tmp_path, monkeypatch):
    asked = {"window": 1, "hop": 0.5, "choose": "all", "explainer": "input_x_gradient"}
    long = xaudio.explain_windows(model, Clip(noise(3)[:, 0], RATE), **asked)
    paths = [one.save(tmp_path / f"{number}.safetensors") for number, one in enumerate(long.explanations)]
    kept = replace(long, explanations=KeptExplanations(tuple(paths)))
    read, load = [], xaudio.Explanation.load
    monkeypatch.setattr(xaudio.Explanation, "load", lambda path: read.append(path) or load(path))
    told = facts_of(Done(kept, tmp_path, []))
    assert read == paths
    assert told["explained"] == [0, 1, 2, 3, 4]
    assert told["score"] == long.score
    assert told["relevance_sum"] == pytest.approx(long.score, rel=1e-6)
    assert told["covered_seconds"] == 3


def test_pipes_are_refused_at_once(model, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AudioError, match="is read twice"):
        xaudio.explain_windows(model, tmp_path / "pipe", window=1)


@pytest.fixture
def long_file(tmp_path):
    path = tmp_path / "long recording.wav"
    soundfile.write(path, noise(8, 11025, channels=2), 11025)
    return path


def command(long_file, run_folder, out, *more):
    asked = ["--window", 1, "--hop", 0.5, "--render", "segments:formats=csv"]
    return ["explain", long_file, "--model", run_folder, "--out", out, *asked, *more]


def test_the_command_writes_scores_and_goes_on_where_it_was(long_file, run_folder, run_command, tmp_path):
    out = tmp_path / "out"
    told = json.loads(run_command(*command(long_file, run_folder, out, "--explain", "top:2", "--json")).stdout)
    assert (told[0]["windows"], len(told[0]["explained"])) == (15, 2)
    table = out / "windows.csv"
    rows = list(csv.DictReader(table.open()))
    assert [float(row["start_s"]) for row in rows] == [number / 2 for number in range(15)]
    assert not list(out.glob("*part*"))
    # Scores that are there are not asked for again: an own mark in them stays. Half a line is made again.
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace(rows[0]["score"], "123.0")
    table.unlink()
    (out / "windows.part.csv").write_text("\n".join(lines[:6]) + "\n" + lines[6][:10])
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"unfinished": True}))
    untouched = {path: path.stat().st_mtime_ns for path in (out / "windows").rglob("*") if path.is_file()}
    again = json.loads(run_command(*command(long_file, run_folder, out, "--explain", "all", "--json")).stdout)
    assert len(again[0]["explained"]) == len(list((out / "windows").iterdir())) == 15
    assert table.read_text().splitlines()[1:] == [lines[1], *lines[2:]]
    assert all(path.stat().st_mtime_ns == time for path, time in untouched.items())
    segments = list(csv.DictReader((out / "segments.csv").open()))
    assert {int(row["window"]) for row in segments} == set(range(15))
    total = sum(float(row["relevance"]) for row in segments) / 15
    assert total == pytest.approx(again[0]["relevance_sum"], abs=1e-4)
    assert again[0]["covered_seconds"] == 8
    assert len(read_events(out / "segments.csv")) == len([row for row in segments if row["kind"] != "rest"])
    # Other settings are refused.
    contrast = command(long_file, run_folder, out, "--target", "3", "--contrast", "4")
    assert "other settings: target was None" in run_command(*contrast, status=1).stderr
    contrast[contrast.index(out)] = out = tmp_path / "contrast"
    table = out / "windows.csv"
    run_command(*contrast, "--explain", "0.2")
    assert [path.name for path in (out / "windows").iterdir()] == ["000000"]
    kept = table.read_text()
    told = json.loads(run_command(*contrast, "--explain", "top:1", "--json").stdout)
    assert table.read_text() == kept
    rows = list(csv.DictReader(table.open()))
    assert {(row["label"], row["probability"]) for row in rows} == {("3 rather than 4", "")}
    assert len(told[0]["explained"]) == 1
    # Of one window and of all together, float32 rounds otherwise in its last digits.
    assert told[0]["score"] == pytest.approx(max(float(row["score"]) for row in rows), abs=1e-5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--explain", "best"], "expected top:5"),
        (["--contrast", "3"], "A contrast of windows needs a target"),
        (["--threshold", "0.3"], "--threshold cannot be had"),
        (["--target", "1", "--target", "2"], "one --target"),
        (["--window", "20"], "longer than the 1 s"),
        (["--channels", "all"], "has 2 channels, and the model reads 1 channel"),
        (["--channels", "2"], "has 2 channels; there is no channel '2'"),
        (["--explain", "900"], "No window lies at 900 s"),
    ],
)
def test_the_command_refuses_in_one_line(more, said, long_file, run_folder, run_command, tmp_path):
    done = run_command(*command(long_file, run_folder, tmp_path / "out", *more), status=1)
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if "xaudio" in line.lower() and "error" in line.lower()]) <= 1
    if "--channels" in more:  # nothing that stands in the way of the right command
        assert not (tmp_path / "out").exists()
        run_command(*command(long_file, run_folder, tmp_path / "out", "--channels", "1"))


@pytest.mark.parametrize("channels", ["mean", "left", "right", "1"])
def test_the_command_cuts_a_channel_into_windows(channels, long_file, run_folder, run_command, tmp_path):
    sound = soundfile.read(long_file, dtype="float32")[0]
    alone = tmp_path / "alone.wav"
    soundfile.write(alone, {"mean": sound.mean(1), "left": sound[:, 0]}.get(channels, sound[:, 1]), 11025, subtype="FLOAT")
    run_command(*command(long_file, run_folder, tmp_path / "out", "--channels", channels, "--explain", "top:1"))
    run_command(*command(alone, run_folder, tmp_path / "alone", "--explain", "top:1"))
    tables = [list(csv.DictReader((tmp_path / name / "windows.csv").open())) for name in ("out", "alone")]
    for of_channel, of_file in zip(*tables, strict=True):
        assert float(of_channel["score"]) == pytest.approx(float(of_file["score"]), abs=1e-5)
    told = csv.DictReader((tmp_path / "out" / "segments.csv").open())
    assert {row["channel"] for row in told} == {"1" if channels in ("mean", "left") else "2"}
    again = command(long_file, run_folder, tmp_path / "out", "--channels", "left" if channels != "left" else "right")
    assert "other settings: channels was" in run_command(*again, status=1).stderr


READ = """
import resource, sys
from pathlib import Path
from xaudio.sound.streaming import Stream, windows_of

def most():
    # megabytes of this process alone: ru_maxrss begins with what its parent holds
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)

before = most()
count = sum(1 for _ in windows_of(Stream(sys.argv[1], 16000, channels=sys.argv[2]), 160_000, 80_000))
print(count, most() - before)
"""


@pytest.mark.parametrize(("channels", "count"), [("mean", 1), ("right", 2)])
def test_memory_does_not_grow_with_the_length(channels, count, run_python, tmp_path):
    """Reading and cutting twenty minutes at 44.1 kHz needs no more than ten, which are 100 MB as floats for each channel."""
    peaks = []
    for minutes in (10, 20):
        with soundfile.SoundFile(tmp_path / "long.wav", "w", 44100, count) as file:
            for second in range(6 * minutes):
                file.write(np.tile(noise(1, 44100, second, count), (10, 1)))
        windows, megabytes = run_python(READ, tmp_path / "long.wav", channels).stdout.split()
        assert int(windows) == 12 * minutes - 1
        peaks.append(float(megabytes))
    assert peaks[1] - peaks[0] < 40 * count, peaks
    assert peaks[1] < 250, peaks


def loudness(answer):
    """A function that the user brings."""
    return answer.scores.flatten(1).pow(2).sum(1)


class Framed(nn.Module):
    """The level of each of eight bands of samples, in frames of 500 samples."""

    representation = "waveform:normalisation=none"

    def forward(self, waveform):
        frames = waveform.reshape(len(waveform), -1, 4, 125)
        return (frames.abs().mean(3) - 0.25) * torch.tensor([40.0, 44, 48, 52])


ASKED = [
    ("classes", {"target": "1", "contrast": 0}),
    ("classes", {"target": xaudio.Contrast("1", "0")}),
    ("labels", {}),
    ("values", {}),
    ("values", {"target": loudness}),
    ("embedding", {"target": "similar:b.wav"}),
    ("embedding", {"target": xaudio.Similarity(torch.tensor([1.0, 2.0]), by="distance", name="two")}),
    ("frames", {}),
    ("frames", {"target": "b"}),
    ("frames", {"target": "b", "contrast": "c"}),
    ("frames", {"target": loudness}),
    ("frames", {"target": xaudio.Output("b", over="max")}),
    ("ctc", {"target": "c"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "asked"), sweep(ASKED, quick=[ASKED[place] for place in (0, 2, 4, 5, 8, 9, 12)]))
def test_of_each_window_the_same_is_asked_as_of_a_recording(kind, asked, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("b.wav", noise(0.5, seed=7), RATE)
    network, classes = (Framed(), ("<blank>", "b", "c", "d")) if kind in ("frames", "ctc") else (model, None)
    clip = Clip(noise(2.5)[:, 0], RATE)
    options = {"kind": kind, "classes": classes, "explainer": "input_x_gradient", **asked}
    long = xaudio.explain_windows(network, clip, window=1, hop=0.5, choose="all", **options)
    assert len(long.scores) == len(long.explanations) == 4
    for scored, explanation in zip(long.scores, long.explanations, strict=True):
        alone = xaudio.explain(network, Clip(clip.waveform[scored.start : scored.start + RATE], RATE), **options)
        assert scored.label == explanation.question == alone.question
        assert scored.score == pytest.approx(alone.explained_score) == pytest.approx(explanation.explained_score)
        assert (scored.probability is None) == (kind != "labels")
        assert (scored.predicted == "") == (kind not in ("classes", "labels"))
        assert np.allclose(explanation.relevance, alone.relevance)
    assert long.score == pytest.approx(np.mean([scored.score for scored in long.scores]))
    page = Page(create("renderer", "html").long_page(long, {}))
    assert any("what is asked" in text for _, text in page.find("p")) == (kind != "labels")


def test_when_frames_are_is_measured_once_for_each_length(monkeypatch):
    measured = []
    original = xaudio.model.model.frame_axis
    monkeypatch.setattr("xaudio.model.model.frame_axis", lambda *given: measured.append(given) or original(*given))
    own = xaudio.Model(Framed(), create("representation", "raw", sample_rate=RATE), ("a", "b", "c", "d"), kind="frames")
    asked = WindowQuestion(own, "b", None)
    sounds = torch.from_numpy(noise(3)[:, 0]).reshape(3, RATE)
    with torch.no_grad():
        for samples in (RATE, RATE, RATE // 2):
            model = own.at(samples)
            told = [asked.answers(model, model.features(sounds[:, :samples]), [0.0] * 3) for _ in range(2)]
            assert told[0] == told[1]
    assert len(measured) == 2


def test_the_score_of_a_window_and_its_explanation_take_the_same_times(monkeypatch):
    """Times that are measured anew may differ with the sound; here they differ by a second each time."""
    measured = []

    def frame_axis(network, features, axes, seconds):
        measured.append(seconds)
        return Axis("time", "s", (np.arange(network(features).shape[1]) + 0.5) * 500 / RATE + len(measured))

    monkeypatch.setattr("xaudio.model.model.frame_axis", frame_axis)

    def late(answer):
        return answer.scores[:, :, 0].mean(1) * float(answer.frames.centres[0])

    options = {"kind": "frames", "classes": ("a", "b", "c", "d"), "explainer": "input_x_gradient", "target": late}
    long = xaudio.explain_windows(Framed(), Clip(noise(3)[:, 0], RATE), window=1, choose="all", **options)
    assert measured == [1]
    assert len(long.scores) == 3
    for scored, explanation in zip(long.scores, long.explanations, strict=True):
        assert scored.label == explanation.question
        assert scored.score == pytest.approx(explanation.explained_score)


@pytest.mark.slow
def test_the_path_of_a_window_is_one_number():
    clip = Clip(noise(2)[:, 0], RATE)
    asked = {"kind": "ctc", "classes": ("<blank>", "b", "c", "d"), "explainer": "input_x_gradient"}
    long = xaudio.explain_windows(Framed(), clip, window=1, choose="all", **asked)
    for scored, explanation in zip(long.scores, long.explanations, strict=True):
        parts = xaudio.explain(Framed(), Clip(clip.waveform[scored.start : scored.start + RATE], RATE), **asked)
        assert len(parts) > 1
        assert scored.label == explanation.question == "best path"
        assert scored.score == pytest.approx(sum(part.score for part in parts), rel=1e-5)
        np.testing.assert_allclose(explanation.relevance, sum(part.relevance for part in parts), rtol=0, atol=1e-4)


def test_windows_without_probabilities_are_chosen_by_their_scores(model):
    clip = Clip(noise(4)[:, 0] * np.repeat([0.1, 1, 0.5, 0.2], RATE), RATE)
    asked = {"window": 1, "kind": "values", "target": loudness, "explainer": "random"}
    scores = [scored.score for scored in xaudio.explain_windows(model, clip, **asked).scores]
    assert np.argsort(scores).tolist() == [0, 3, 2, 1]
    chosen = xaudio.explain_windows(model, clip, choose=f"threshold:{scores[2]}", **asked).explanations
    assert [one.provenance["window"]["number"] for one in chosen] == [1, 2]
    chosen = xaudio.explain_windows(model, clip, choose="top:1", **asked).explanations
    assert [one.provenance["window"]["number"] for one in chosen] == [1]


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [
        ("embedding", {}, "no output that stands for itself"),
        ("classes", {"contrast": 1}, "needs a target"),
        ("frames", {"target": "1@0.2-0.4"}, "no span of seconds"),
        ("classes", {"target": "dog"}, "dog"),
        ("classes", {"fit": "squeeze"}, "squeeze"),
        ("classes", {"resampling": "linear"}, "linear"),
    ],
)
def test_what_cannot_be_asked_of_windows(kind, asked, said, model):
    network = Framed() if kind == "frames" else model
    with pytest.raises(xaudio.XaudioError, match=said):
        xaudio.explain_windows(network, Clip(noise(3)[:, 0], RATE), window=1, kind=kind, **asked)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [11025, 8192, 48000, 4000])
def test_by_fft_each_window_is_resampled_as_a_recording_of_its_own(rate, model, tmp_path):
    sound = noise(3.37, rate)
    soundfile.write(tmp_path / "a.wav", sound, rate, subtype="FLOAT")
    asked = {"explainer": "input_x_gradient", "target": 1, "resampling": "fft"}
    long = xaudio.explain_windows(model, tmp_path / "a.wav", window=1, hop=0.3, choose="all", **asked)
    assert [one.start for one in long.scores] == [*range(0, 19000, 2400), long.samples - 8000]
    assert long.samples == math.ceil(len(sound) * 8000 / rate)
    starts = [round(number * 0.3 * rate) for number in range(8)] + [len(sound) - rate]
    for start, scored, explanation in zip(starts, long.scores, long.explanations, strict=True):
        alone = xaudio.explain(model, Clip(sound[start : start + rate, 0], rate), **asked)
        assert scored.score == pytest.approx(alone.score)
        assert np.allclose(explanation.relevance, alone.relevance)
        assert explanation.provenance["resampling"] == "fft"
        assert explanation.provenance["window"]["resampled"] == "by itself"
    assert f"resampled from {rate} to 8000 Hz (fft, each window by itself)" in long.notes
    assert len(long.outline) * long.outline_step == pytest.approx(long.samples, rel=0.01)


def test_the_models_own_resampling_is_taken(model):
    facts = {"resampling": "fft", "fit": "loudest"}
    made = Model(model, create("representation", "waveform", normalisation="none"), ("a", "b"), facts=facts)
    clip = Clip(noise(2, 11025)[:, 0], 11025)
    long = xaudio.explain_windows(made, clip, window=1, choose="top:1", explainer="random")
    assert any("(fft, each window by itself)" in note for note in long.notes)
    with pytest.raises(DataError, match="fit 'loudest'"):
        xaudio.explain_windows(made, clip, window=1.5)


def test_of_windows_that_are_too_long_the_loudest_part_is_heard(model):
    loud = np.concatenate([np.full(RATE, level, np.float32) for level in (0.1, 0.1, 1, 0.1, 0.1, 0.5, 0.2)])
    clip = Clip(noise(7)[:, 0] * loud, RATE)
    asked = {"window": 3, "hop": 1, "choose": "all", "explainer": "input_x_gradient", "target": 1, "fit": "loudest"}
    long = xaudio.explain_windows(model, clip, **asked)
    assert [round(one.recording_span[0], 1) for one in long.explanations] == [2, 2, 2, 5, 5]
    assert any("1 s are heard at most" in note for note in long.notes)
    pieces = list(long.overlap_add())
    assert [(round(piece.start / RATE, 1), len(piece.relevance)) for piece in pieces] == [(2, RATE), (5, RATE)]
    assert [set(piece.coverage) for piece in pieces] == [{3}, {2}]
    assert math.fsum(piece.relevance.sum() for piece in pieces) == pytest.approx(long.score, abs=1e-5)
