"""Held out means held out: no command takes a recording of the training as one that the model never heard, by content."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import xaudio
import xaudio_probe
from xaudio import DataError, ModelError, XaudioWarning
from xaudio.cli.app import app
from xaudio.model.relabelling import in_classes_of
from xaudio.model.splits import RECORDINGS, split_of
from xaudio.plugin import Recording, SpeakerDataset
from xaudio.sound.contents import recording_digests

CPU = torch.device("cpu")
ONE_STEP = {"steps": 1, "batch_size": 4}


def write_corpus(folder: Path, names: Callable[[int, int, int], str], speakers: range, seed: int = 0) -> Path:
    """Tones of a second's quarter, one for each of three digits by each speaker, another in each file."""
    for speaker in speakers:
        for digit in range(3):
            for repetition in range(2):
                rng = np.random.default_rng([seed, speaker, digit, repetition])
                path = folder / names(digit, speaker, repetition)
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, 0.1 * rng.standard_normal(2000), 8000, subtype="PCM_16")
    return folder


def numbered(digit: int, speaker: int, repetition: int) -> str:
    return f"{speaker:02d}/{digit}_{speaker:02d}_{repetition}.wav"


def by_name(digit: int, speaker: int, repetition: int) -> str:
    return f"{digit}_{'abcdefghij'[speaker]}_{repetition}.wav"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("corpora")
    return {
        "fsdd": write_corpus(root / "fsdd", by_name, range(6)),
        "audiomnist": write_corpus(root / "en", numbered, range(1, 11)),
        "audiomnist-az": write_corpus(root / "az", numbered, range(1, 11)),
    }


DATASETS = {
    "synthetic": "synthetic:speakers=8,repetitions=1,seed=1",
    "truth": "truth:recordings=160,seed=1",
    "fsdd": "fsdd",
    "audiomnist": "audiomnist:seed=1",
    "audiomnist-az": "audiomnist-az:seed=1",
}
OTHERS = {
    "synthetic": "synthetic:speakers=12,repetitions=2,seed=1,sample_rate=16000",
    "truth": "truth:recordings=240,seed=1,noise=-20",
    "fsdd": "fsdd",
    "audiomnist": "audiomnist-az:seed=7",
    "audiomnist-az": "audiomnist:seed=7",
}
TASKS = {"truth": "slot"}


@pytest.fixture(scope="module")
def runs(training: None, corpora: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run folder for a data set, trained for one step on a fold that no default would give."""
    made: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp("runs") / name
            data = xaudio.open_dataset(DATASETS[name], corpora.get(name))
            experiment = xaudio.Experiment(data, TASKS.get(name, "digit"), 1, "reference", training=ONE_STEP)
            xaudio.run_experiment(experiment, folder, CPU)
            made[name] = folder
        return made[name]

    return run


def sounds(dataset: Any, indices: Any) -> set[str]:
    """What is heard, byte by byte, whatever the data set says of itself."""
    return {hashlib.sha256(dataset[int(index)].waveform.tobytes()).hexdigest() for index in indices}


def trained_on(name: str, folder: Path, corpora: dict[str, Path]) -> set[str]:
    """The sounds of the training part as the data set was opened for the training."""
    data = xaudio.open_dataset(DATASETS[name], corpora.get(name))
    fold = data.folds(TASKS.get(name, "digit"))[1]
    return sounds(data, [*fold.train, *fold.validation])


# Every command and benchmark that takes held-out recordings, with the least that it needs. None gives the data set's seed.
COMMANDS: dict[str, list[str]] = {
    "evaluate": ["--explainers", "amplitude", "--metrics", "sparseness", "--recordings", "8", "--examples", "0"],
    "probe": ["--change", "level:gain=6", "--over", "recordings", "--draws", "1"],
    "concepts": ["--recordings", "2", "--top", "1", "--references", "1", "--draws", "1"],
    "groups": ["--recordings", "4", "--permutations", "9", "--explainer", "amplitude"],
    "cluster": ["--part", "test", "--recordings", "4", "--surrogates", "0", "--explainer", "amplitude"],
    "study build": [],
    "bench explainers": ["--explainers", "amplitude", "--metrics", "sparseness", "--recordings", "8", "--examples", "0"],
    "bench audible": ["--explainers", "amplitude", "--renderers", "audible", "--recordings", "8", "--examples", "0"],
    "bench gallery": ["--methods", "amplitude", "--recordings", "2"],
    "bench concepts": [],
}
SEEDLESS = {"study build"}


class AskedError(Exception):
    """What a command would go on with."""

    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset, self.indices = dataset, indices


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What every command takes as held out, caught as it is handed over."""
    from xaudio.model import splits

    original, seen = splits.held_out, []

    def held_out(*arguments: Any, **options: Any) -> Any:
        seen.append(original(*arguments, **options))
        raise AskedError(*seen[-1])

    places = (
        "xaudio",
        "xaudio.plugin",
        "xaudio.model.splits",
        "xaudio.explanation.collection",
    )  # faces keep what was asked of them
    for module in (*places, "xaudio_study.building.build", "xaudio_study.simulation.listener"):
        monkeypatch.setattr(f"{module}.held_out", held_out)
    return seen


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_takes_a_training_recording_as_never_heard(command, name, runs, corpora, asked, tmp_path):
    from typer.testing import CliRunner

    folder = runs(name)
    model = ["--models" if command.startswith("bench") else "--model", str(folder)]
    seed = [] if command in SEEDLESS else ["--seed", "5"]
    heard = trained_on(name, folder, corpora)
    done = CliRunner().invoke(app, [*command.split(), *model, "--out", str(tmp_path / "out"), *COMMANDS[command], *seed])
    assert isinstance(done.exception, AskedError), (done.output, done.exception)
    [(dataset, indices)] = asked
    assert len(indices) > 0
    assert not sounds(dataset, indices) & heard
    with (folder / "predictions.csv").open() as file:
        assert len(indices) == sum(1 for _ in file) - 1  # the recordings whose accuracy the training says


@pytest.mark.parametrize("name", DATASETS)
def test_data_named_anew_are_compared_by_content(name, runs, corpora, tmp_path):
    """Other options, a superset, another reader, and a renamed copy: what was in the training is left out, with a word."""
    model = xaudio.load_model(runs(name), "cpu")
    folder = corpora.get(name)
    if folder is not None:
        folder = Path(shutil.copytree(folder, tmp_path / "renamed"))
        names = by_name if name == "fsdd" else numbered
        write_corpus(folder, names, range(6, 9) if name == "fsdd" else range(20, 23), seed=1)
        strange = folder / names(3, 0 if name == "fsdd" else 1, 9)
        shutil.copy(folder / names(0, 5, 0), strange)  # a copy under another speaker's name
    with pytest.warns(XaudioWarning, match=r"are left out: the model was trained or validated on \d+ of them"):
        dataset, indices = xaudio.held_out(model, OTHERS[name], folder)
    assert len(indices) > 0
    digests = recording_digests(dataset)
    kept = [line.split(",") for line in (runs(name) / RECORDINGS).read_text().splitlines()[1:]]
    assert not {digests[index] for index in indices} & {content for part, _, content in kept if part != "test"}
    original = xaudio.open_dataset(DATASETS[name], corpora.get(name))
    fold = original.folds(model.task)[1]
    speakers = {original.speakers[index] for index in [*fold.train, *fold.validation]}
    assert not {dataset.speakers[index] for index in indices} & speakers
    with warnings.catch_warnings():  # the same data by name are the same fold, without a word
        warnings.simplefilter("error")
        again = xaudio.held_out(model, DATASETS[name], corpora.get(name))[1]
    assert again.tolist() == fold.test.tolist()


def test_data_that_changed_since_are_refused_with_the_reason(training, corpora, tmp_path):
    folder = Path(shutil.copytree(corpora["fsdd"], tmp_path / "data"))
    run = tmp_path / "run"
    experiment = xaudio.Experiment(xaudio.open_dataset("fsdd", folder), "digit", 0, "reference", training=ONE_STEP)
    xaudio.run_experiment(experiment, run, CPU)
    assert str(folder) == xaudio.load_model(run, "cpu").facts["options"]["data"]
    write_corpus(folder, by_name, range(3, 4), seed=9)
    with pytest.raises(DataError, match="is not as it was when .* of 24 train recordings 6 are gone or changed, and 6 are new"):
        xaudio.held_out(xaudio.load_model(run, "cpu"))
    moved = Path(shutil.move(folder, tmp_path / "moved"))
    with pytest.raises(DataError, match=r"there is no such folder\. Give --data PATH"):
        xaudio.held_out(xaudio.load_model(run, "cpu"))
    shutil.copytree(corpora["fsdd"], moved, dirs_exist_ok=True)
    dataset, indices = xaudio.held_out(xaudio.load_model(run, "cpu"), data=moved)
    assert {dataset.speakers[index] for index in indices} == {"a"}


def test_copies_within_the_data_are_left_out_of_the_test(training, corpora, tmp_path):
    folder = Path(shutil.copytree(corpora["fsdd"], tmp_path / "data"))
    shutil.copy(folder / "0_d_0.wav", folder / "0_a_7.wav")  # in the training and, under another name, in the test
    sound, rate = soundfile.read(folder / "1_e_0.wav")
    soundfile.write(folder / "1_a_7.wav", sound, rate, subtype="FLOAT")  # the same sound in another format
    run = tmp_path / "run"
    experiment = xaudio.Experiment(xaudio.open_dataset("fsdd", folder), "digit", 0, "reference", training=ONE_STEP)
    with pytest.warns(XaudioWarning, match="2 of 8 test recordings .* are copies"):
        result = xaudio.run_experiment(experiment, run, CPU)
    assert result.recordings == 6
    dataset, indices = xaudio.held_out(xaudio.load_model(run, "cpu"))
    assert sorted(Path(dataset[int(index)].source).name for index in indices) == [
        f"{digit}_a_{take}.wav" for digit in range(3) for take in range(2)
    ]


def test_a_part_of_nothing_but_copies_is_refused_and_called_that(corpora, tmp_path):
    folder = Path(shutil.copytree(corpora["fsdd"], tmp_path / "data"))
    for path in folder.glob("*_a_*.wav"):
        shutil.copy(folder / "0_d_0.wav", path)
    with pytest.raises(DataError, match=r"has no test recordings: all 6 are copies of what is trained or validated on\.$"):
        split_of(xaudio.open_dataset("fsdd", folder), "digit", 0)


@pytest.mark.parametrize(("tone", "rate", "heard"), [(9000, 24000, False), (3000, 24000, True), (3000, 8000, True)])
def test_sound_above_what_a_model_hears_is_told(training, tone, rate, heard, tmp_path):
    for number in range(6):
        sound = 0.3 * np.sin(2 * np.pi * (tone + 100 * number) * np.arange(rate) / rate) + 0.2  # an offset is no sound
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, rate)
    experiment = xaudio.Experiment(xaudio.open_dataset("folder", tmp_path / "data"), "label", 0, "audionet", training=ONE_STEP)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        xaudio.run_experiment(experiment, tmp_path / "run", CPU)
    told = [str(one.message) for one in caught if "does not hear" in str(one.message)]
    assert len(told) == (not heard)
    assert heard or "lies above 4000 Hz, which a model at 8000 Hz does not hear" in told[0]
    assert heard or "log-mel-cnn:sample_rate=24000" in told[0]


def test_a_run_that_does_not_say_what_it_heard_is_refused_in_one_line(runs, tmp_path):
    folder = Path(shutil.copytree(runs("truth"), tmp_path / "run"))
    model = xaudio.load_model(folder, "cpu")
    model.facts = {name: value for name, value in model.facts.items() if name != "parts"}
    for dataset in (None, DATASETS["truth"]):
        with pytest.raises(ModelError, match=r"does not say which recordings it was trained on.* Train it again\.") as error:
            xaudio.held_out(model, dataset)
        assert "\n" not in str(error.value)
    lines = (folder / RECORDINGS).read_text().splitlines(keepends=True)
    (folder / RECORDINGS).write_text("".join(lines[:-1]))
    with pytest.raises(ModelError, match="is not of the model beside it"):
        xaudio.held_out(xaudio.load_model(folder, "cpu"), OTHERS["truth"])
    (folder / RECORDINGS).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        xaudio.held_out(xaudio.load_model(folder, "cpu"), OTHERS["truth"])


class Votes(torch.nn.Module):
    """A logit for each class: the first is louder for sounds whose mean is negative."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self.order = order

    def forward(self, features):
        mean = features.mean((1, 2))
        return torch.stack([-mean, mean], dim=1)[:, self.order]


def up_and_down() -> SpeakerDataset:
    """Sounds above 0 ("up") and below ("down"), by eight speakers in four folds."""
    recordings = [Recording(f"{who} {take}", f"s{who}", {"way": take % 2}) for who in range(8) for take in range(4)]

    def read(recording: Recording) -> xaudio.types.Clip:
        who, take = map(int, recording.source.split())
        sound = np.random.default_rng([who, take]).uniform(0.1, 0.2, 800).astype(np.float32)
        return xaudio.types.Clip(
            sound if recording.labels["way"] else -sound, 8000, recording.labels, recording.speaker, recording.source
        )

    groups = [[f"s{who}", f"s{who + 4}"] for who in range(4)]
    return SpeakerDataset(
        "ways", "Ways", {"way": ("down", "up")}, recordings, {"way": groups}, read=read, fingerprint_of=lambda _: "ways"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "order"), [(("down", "up"), [0, 1]), (("up", "down"), [1, 0])])
def test_classes_are_matched_by_name(classes, order, tmp_path):
    """One model with its outputs and their names in another order has the same accuracy everywhere."""
    read = xaudio.create("representation", "waveform", samples=800, normalisation="none")
    model = xaudio.Model(Votes(order), read, classes, "way")
    data, indices = up_and_down(), np.arange(32)
    found = xaudio.evaluate(model, data, indices, explainers=["random"], metrics=["sparseness"], folder=tmp_path)
    assert found.accuracy == 1
    explanation = found.explanation("random", int(found.indices[0]))
    assert explanation.label == explanation.predicted
    probed = xaudio_probe.probe(model, data, indices, "level:gain=6", draws=1)
    assert probed.changes[0].before == 1
    aligned = in_classes_of(model, data)
    assert [classes[label] for label in aligned.labels("way")] == [data.tasks["way"][label] for label in data.labels("way")]
    assert [aligned[index].labels["way"] for index in range(4)] == aligned.labels("way")[:4].tolist()


def test_classes_that_do_not_fit_are_refused_in_one_line(tmp_path):
    read = xaudio.create("representation", "waveform", samples=800, normalisation="none")
    model = xaudio.Model(Votes([0, 1]), read, ("down", "sideways"), "way")
    data, indices = up_and_down(), np.arange(32)
    calls = {
        "evaluate": lambda: xaudio.evaluate(model, data, indices, explainers=[], metrics=[], folder=tmp_path),
        "probe": lambda: xaudio_probe.probe(model, data, indices, "level:gain=6"),
    }
    for name, call in calls.items():
        with pytest.raises(DataError, match="tells down, sideways apart") as error:
            call()
        assert "\n" not in str(error.value), name


def test_the_folder_of_a_run_tells_what_was_in_each_part(runs):
    lines = (runs("truth") / RECORDINGS).read_text().splitlines()
    assert lines[0] == "part,index,content"
    facts = json.loads((runs("truth") / "run.json").read_text())["data"]
    assert facts["options"]["seed"] == 1
    assert set(facts["parts"]) == {"train", "validation", "test"}
