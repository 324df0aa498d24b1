"""Own models beside data of others: classes by name, also in part; and every command takes them from where they are."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import xaudio
from xaudio import DataError, XaudioWarning
from xaudio.model.relabelling import in_classes_of, labels_of
from xaudio.plugin import Recording, SpeakerDataset, in_one_window, split_specs, training_notes

READS = {"samples": 800, "normalisation": "none", "placement": "start"}


class Loudest(nn.Module):
    """A logit for each class: how loud the sound is in the part of it that stands for the class."""

    def forward(self, features):
        return features[:, 0].unflatten(1, (4, 200)).square().mean(2)


def model(*names, kind="classes", task=""):
    return xaudio.Model(Loudest(), xaudio.create("representation", "waveform", **READS), names, task, kind=kind)


def data(*classes, tasks=None):
    """Four recordings of each class, loud in the part that stands for it."""

    def read(recording):
        place, take = map(int, recording.source.split())
        sound = np.random.default_rng(take).normal(size=800).astype(np.float32) * 0.01
        sound[200 * place : 200 * place + 200] *= 10
        return xaudio.Clip(sound, 8000, recording.labels, recording.speaker, recording.source)

    recordings = [
        Recording(f"{place} {take}", f"s{take}", {"event": name}) for place, name in enumerate(classes) for take in range(4)
    ]
    groups = {"event": [[f"s{take}"] for take in range(4)]}
    return SpeakerDataset(
        "events",
        "Events",
        tasks or {"event": tuple(sorted(classes))},
        recordings,
        groups,
        read=read,
        fingerprint_of=lambda _: "x",
    )


FOUR = ("dog", "crying baby", "rain", "sea")


@pytest.mark.parametrize("names", [FOUR, ("Dog", "crying_baby", "RAIN", "sea"), ("dog", "crying-baby", "rain", "Sea ")])
@pytest.mark.parametrize("task", ["", "event"])
def test_a_model_that_knows_all_classes_is_right_whatever_their_order(names, task, tmp_path):
    evaluation = xaudio.evaluate(
        model(*names, task=task), data(*FOUR), np.arange(16), explainers=[], metrics=["sparseness"], folder=tmp_path
    )
    assert evaluation.accuracy == 1
    assert len(evaluation.indices) == 16


def test_recordings_of_classes_that_it_does_not_know_are_left_out_and_counted(tmp_path):
    known = model("dog", "another", "rain", "sea")
    with pytest.warns(XaudioWarning, match=r"4 of 16 recordings of Events are left out: their classes are not .*\(crying baby\)"):
        evaluation = xaudio.evaluate(known, data(*FOUR), np.arange(16), explainers=[], metrics=["sparseness"], folder=tmp_path)
    assert (len(evaluation.indices), evaluation.accuracy) == (12, 1)
    with pytest.warns(XaudioWarning):
        aligned = in_classes_of(known, data(*FOUR))
    assert [aligned[index].labels[""] for index in (0, 4, 8, 12)] == ["dog", None, "rain", "sea"]
    assert aligned.labels("").tolist() == [0] * 4 + [-1] * 4 + [2] * 4 + [3] * 4


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("dog", "x", "y", "z"), "tells dog, x, y, z apart, but the classes of task 'event' in Events are"),
        (("0", "1", "2", "3"), r"no task of Events has such classes .*name the model's outputs as the data do"),
    ],
)
def test_too_few_classes_in_common_are_refused_in_one_line(names, message):
    with pytest.raises(DataError, match=message) as caught:
        in_classes_of(model(*names), data(*FOUR))
    assert "\n" not in str(caught.value)


def test_the_only_task_of_the_data_is_meant_where_all_its_classes_are_known():
    assert (
        in_classes_of(model(*FOUR, task="sound"), data(*FOUR)).labels("sound").tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    )
    with pytest.raises(DataError, match="Unknown task of Events 'sound'. Known: event."):
        in_classes_of(model("dog", "crying baby", "rain", "x", task="sound"), data(*FOUR))
    two = replace(data(*FOUR), tasks={"event": FOUR, "other": FOUR}, test_speakers={"event": [], "other": []})
    with pytest.raises(DataError, match="Unknown task of Events 'sound'. Known: event, other."):
        in_classes_of(model(*FOUR, task="sound"), two)


def written(folder, labels):
    """A folder of files, in folders that are named after their labels."""
    for number, label in enumerate(labels):
        (folder / label).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / label / f"{number}.wav", np.full(800, 0.1), 8000)
    return folder


def test_a_data_set_says_what_is_true_of_its_files(tmp_path, monkeypatch):
    folder = written(tmp_path / "heard", ["rain", "dog", "rain", "sea"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.wav").symlink_to(folder / "dog" / "1.wav")
    paths = [Path("heard/rain/2.wav"), tmp_path / "link.wav", tmp_path / "elsewhere.wav"]
    assert labels_of(model(*FOUR), xaudio.open_dataset(None, folder), paths) == [2, 0, None]


def test_a_file_with_two_labels_has_none_and_with_several_has_all(tmp_path):
    folder = written(tmp_path, ["dog", "rain", "sea"])
    table = folder / "labels.csv"
    paths = [folder / "dog" / "0.wav", folder / "rain" / "1.wav", folder / "sea" / "2.wav"]
    table.write_text("file,label\ndog/0.wav,dog;rain\nrain/1.wav,rain\nsea/2.wav,\n")
    several = xaudio.open_dataset("folder:separator=semicolon", table)
    assert labels_of(model("dog", "rain", kind="labels"), several, paths) == [("dog", "rain"), ("rain",), None]
    recordings = [
        Recording(paths[0], "a", {"event": 0}),
        Recording(paths[0], "a", {"event": 1}),
        Recording(paths[1], "b", {"event": 1}),
    ]
    twice = SpeakerDataset("twice", "Twice", {"event": ("dog", "rain")}, recordings, {"event": [["a"], ["b"], ["c"]]})
    assert labels_of(model("dog", "rain"), twice, paths) == [None, 1, None]


def several(folder, *rows):
    """A data set of files with several labels each."""
    files = sorted(written(folder, ["heard"] * len(rows)).glob("heard/*.wav"), key=lambda path: int(path.stem))
    table = folder / "labels.csv"
    table.write_text("file,label\n" + "".join(f"heard/{file.name},{row}\n" for file, row in zip(files, rows, strict=True)))
    return xaudio.open_dataset("folder:separator=semicolon", table)


def test_several_labels_are_matched_by_name_as_one_is(tmp_path):
    heard, own = model(*FOUR, kind="labels"), several(tmp_path, "Dog;Rain", "Rain", "", "Sea;Crying_baby")
    aligned = in_classes_of(heard, own)
    assert [aligned[index].labels[""] for index in range(4)] == [("dog", "rain"), ("rain",), None, ("sea", "crying baby")]
    assert aligned.labels("").tolist() == [[1, 0, 1, 0], [0, 0, 1, 0], [-1] * 4, [0, 1, 0, 1]]
    explained = xaudio.explain(heard, aligned[0], explainer="gradient", device="cpu")
    assert explained.clip.labels[""] == ("dog", "rain")


def test_a_label_of_which_the_data_say_nothing_is_neither_right_nor_wrong(tmp_path):
    heard, options = model(*FOUR, kind="labels"), {"explainers": [], "metrics": ["sparseness"], "folder": tmp_path / "out"}
    with pytest.raises(DataError, match=r"never says whether sea is true, .*choose data with all labels") as caught:
        xaudio.evaluate(heard, several(tmp_path, *["Dog;Rain", "Crying baby;Rain"] * 8), np.arange(16), **options)
    assert "\n" not in str(caught.value)
    told = several(tmp_path / "told", *["dog;rain", "crying baby;sea"] * 8)
    assert len(xaudio.evaluate(heard, told, np.arange(16), **options).indices) == 16


def test_a_data_set_that_says_nothing_of_the_files_is_refused(tmp_path):
    folder = written(tmp_path / "heard", ["rain", "dog", "rain", "dog"])
    with pytest.raises(DataError, match=r"x\.wav: is not among the recordings of heard"):
        labels_of(model(*FOUR), xaudio.open_dataset(None, folder), [tmp_path / "x.wav"])
    gone = [Recording(str(folder / "gone" / f"{row}.wav"), "a", {"digit": 0}) for row in range(2)]
    moved = SpeakerDataset("moved", "Moved", {"digit": tuple("0123456789")}, gone, {"digit": []}, read=lambda recording: None)
    with pytest.raises(DataError, match="Moved: its recordings are no files, or none that are there"):
        labels_of(model(*"0123456789", task="digit"), moved, [tmp_path / "x.wav"])
    with pytest.raises(DataError, match="its recordings are no files"):
        labels_of(
            model(*"0123456789", task="digit"), xaudio.open_dataset("synthetic:speakers=8,repetitions=1"), [tmp_path / "x.wav"]
        )


@pytest.mark.parametrize("kind", ["labels", "frames", "embedding", "values"])
def test_what_has_no_class_for_each_recording_has_no_accuracy(kind, tmp_path):
    with pytest.raises(DataError, match="labels|frames|embedding|values") as caught:
        xaudio.evaluate(model(*FOUR, kind=kind), data(*FOUR), np.arange(16), explainers=[], metrics=[], folder=tmp_path)
    assert "\n" not in str(caught.value)


class Louder(nn.Module):
    """Whether the first or the second half of a recording of any length is louder."""

    def forward(self, features):
        half = features.shape[2] // 2
        return 100 * torch.stack([features[:, 0, :half].square().mean(1), features[:, 0, half:].square().mean(1)], 1)


def halves(*lengths):
    """Eight recordings of each class, of these lengths in turn."""

    def read(recording):
        place, take = map(int, recording.source.split())
        samples = lengths[take % len(lengths)]
        sound = np.random.default_rng(take).normal(size=samples).astype(np.float32) * 0.01
        sound[place * samples // 2 : (place + 1) * samples // 2] *= 10
        return xaudio.Clip(sound, 8000, recording.labels, recording.speaker, recording.source)

    recordings = [Recording(f"{place} {take}", f"s{take}", {"half": place}) for place in (0, 1) for take in range(8)]
    groups = {"half": [[f"s{take}"] for take in range(8)]}
    tasks = {"half": ("first", "second")}
    return SpeakerDataset("halves", "Halves", tasks, recordings, groups, read=read, fingerprint_of=lambda _: "x", fit="loudest")


def of_any_length():
    return xaudio.Model(Louder(), xaudio.create("representation", "raw", sample_rate=8000), ("first", "second"), "half")


@pytest.mark.slow
def test_recordings_of_different_lengths_are_measured_as_they_are(tmp_path):
    dataset = halves(1000, 1500, 2000)
    metrics = ["sparseness", "pixel_flipping:steps=2"]
    evaluation = xaudio.evaluate(
        of_any_length(), dataset, np.arange(16), explainers=["gradient"], metrics=metrics, recordings=16, folder=tmp_path
    )
    assert evaluation.accuracy == 1
    assert not evaluation.refused
    explanations = {int(index): evaluation.explanation("gradient", int(index)) for index in evaluation.indices}
    assert [item.relevance.shape for item in explanations.values()] == [(1, dataset[index].samples) for index in explanations]
    assert all(len(values) == 16 for values in evaluation.values.values())


@pytest.mark.parametrize(("lengths", "samples"), [((1200,), 1200), ((1000, 1500, 2000), 2000)])
def test_what_compares_recordings_hears_them_in_one_window_and_says_so(lengths, samples):
    model, notes = in_one_window(of_any_length(), halves(*lengths), np.arange(16))
    placed = model.hear_all(halves(*lengths))
    assert placed.batch(slice(0, 16)).shape == (16, samples)
    assert len(notes) == (len(lengths) > 1)
    if notes:
        assert "recordings of 0.125 to 0.25 s are heard in one window of 0.25 s, shorter ones within zeros" in notes[0]
    fixed = xaudio.Model(Louder(), xaudio.create("representation", "raw", sample_rate=8000, samples=900), ("first", "second"))
    assert in_one_window(fixed, halves(1000), np.arange(16)) == (fixed, [])


def test_a_recording_too_long_for_the_window_is_said_to_be_cut():
    _, notes = in_one_window(of_any_length(), halves(1000, 1000, 1000, 1000, 1000, 1000, 1000, 8000), np.arange(16))
    assert notes == [
        "the model takes any length: recordings of 0.125 to 1 s are heard in one window of 0.125 s, shorter ones within zeros, "
        "and of longer ones what the rule 'loudest' keeps"
    ]


def test_nothing_is_called_held_out_where_nobody_knows_what_it_was_trained_on():
    with pytest.warns(XaudioWarning, match="unknown, all recordings are used"):
        dataset, indices = xaudio.held_out(model(*FOUR), data(*FOUR))
    assert indices.tolist() == list(range(16))
    assert (
        dataset.notes[-1]
        == training_notes(model(*FOUR))[0]
        == "what the model was trained on is unknown, all recordings are used"
    )


def test_an_option_of_a_loader_belongs_to_the_model_before_the_comma():
    text = "runs/a,torchscript:path=m.pt,sample_rate=8000,representation=waveform:samples=800,runs/b"
    first, second, third = split_specs(text)
    assert (first, third) == ("runs/a", "runs/b")
    assert second == "torchscript:path=m.pt,sample_rate=8000,representation=waveform:samples=800"


CODE = """
import torch
from torch import nn

def digits():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv1d(1, 8, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 10)).eval()
    made.representation = "waveform:normalisation=none,placement=start"
    made.classes = list("0123456789")
    return made
"""
DATA = ("--dataset", "synthetic:speakers=8,repetitions=1")
MANY = (*DATA, "--explainer", "gradient", "--recordings", "16", "--view", "time")
COMMANDS = {
    "explain": ("explain", "{sound}", "--explainer", "gradient", "--render", "visual"),
    "evaluate": ("evaluate", *DATA, "--explainers", "gradient", "--metrics", "sparseness", "--recordings", "8"),
    "groups": ("groups", *MANY, "--by", "sex", "--permutations", "19"),
    "cluster": ("cluster", *MANY, "--surrogates", "0"),
    "probe": ("probe", *DATA, "--change", "level:gain=6", "--recordings", "16", "--draws", "1"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_take_a_model_from_where_it_is(command, recording, tmp_path, run_command):
    (tmp_path / "mine.py").write_text(CODE)
    words = [word.format(sound=recording) for word in COMMANDS[command]]
    out = tmp_path / "out"
    done = run_command(*words, "--model", f"python:at={tmp_path / 'mine.py'}:digits", "--out", out)
    assert "never heard" not in done.stdout + done.stderr
    if command != "explain":
        assert "is unknown, all recordings are used" in done.stdout + done.stderr
        results = json.loads((out / "results.json").read_text())
        notes = results["models"][0]["notes"] if command == "evaluate" else results["notes"]
        assert any("is unknown" in note for note in notes)


def test_a_function_is_explained_and_diagnosed_on_the_command_line(recording, tmp_path, run_command):
    (tmp_path / "mine.py").write_text(
        CODE
        + """
def scores():
    import xaudio
    made = digits()
    def function(sounds):
        return made(torch.from_numpy(sounds)[:, None]).detach().numpy()
    return xaudio.wrap(function, sample_rate=8000, classes=made.classes)
"""
    )
    spec = f"python:at={tmp_path / 'mine.py'}:scores"
    words = ("explain", recording, "--model", spec, "--render", "visual")
    assert "slot_occlusion" in run_command(*words, "--explainer", "slot_occlusion", "--out", tmp_path / "scores").stdout
    refused = run_command(*words, "--explainer", "lrp", "--out", tmp_path / "gradients", status=1).stderr
    assert "gives scores only. Explainers that work: audiolime" in refused
    assert "0 errors" in run_command("doctor", spec).stdout


def test_a_torchscript_run_is_as_the_module(recording, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
        torch.jit.save(torch.jit.script(network), tmp_path / "m.pt")
    spec = f"torchscript:path={tmp_path / 'm.pt'},sample_rate=8000,classes=a+b+c,kind=classes"
    found = xaudio.explain(spec, recording, explainer="gradient", device="cpu")
    reads = "raw:sample_rate=8000"
    plain = xaudio.explain(network, recording, representation=reads, classes=["a", "b", "c"], explainer="gradient", device="cpu")
    np.testing.assert_allclose(found.relevance, plain.relevance, atol=1e-7)
