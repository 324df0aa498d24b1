"""Training: stopped runs end as uninterrupted ones, wrong ones are refused."""

import shutil
import signal
import time
from pathlib import Path

import commands
import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch import nn

import xaudio
from xaudio import AudioError, Clip, DataError, Experiment, ModelError, OutputError, PluginError, run_experiment
from xaudio.model.examples import Examples, examples
from xaudio.model.experiment import usual_samples
from xaudio.model.initialisation import feature_statistics, initialise
from xaudio.model.settings import TrainingSettings, settings_for
from xaudio.model.training import _Order, _Step, evaluate, train
from xaudio.model.untrained import new_model
from xaudio.output.runs import first_difference
from xaudio.output.tensors import read_tensors
from xaudio.plugin import Recording, SpeakerDataset
from xaudio.registry.loading import registry

CPU = torch.device("cpu")
SHORT = {"optimiser": "adam", "learning_rate": 3e-4, "batch_size": 4, "initialisation": "he", "halve_every": None}


@pytest.fixture(scope="module")
def speech():
    return xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)


@pytest.fixture(scope="module")
def small(speech):
    """A small convolutional network over the first tenth of the waveform representation, and its examples."""
    model = _small(speech)
    fold = speech.folds("digit")[0]
    return model, examples(model.hear_all(speech), speech.labels("digit"), fold.train)


def _small(speech):
    model = new_model("audionet", speech.tasks["digit"], task="digit")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.network = nn.Sequential(
            *(nn.Conv1d(1, 8, 33, stride=16), nn.BatchNorm1d(8), nn.ReLU()),
            *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 498, 10)),
        )
    return model


def _weights(model):
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_stopped_training_ends_with_the_same_weights(training, speech, small, tmp_path, monkeypatch, optimiser):
    data = small[1]
    settings = TrainingSettings(steps=12, batch_size=8, optimiser=optimiser, learning_rate=1e-3, halve_every=5, clip_norm=1.0)
    whole = _small(speech)
    train(whole, data, settings, tmp_path / "whole", title="t", identity={})

    stopped = _small(speech)
    calls = 0
    step = _Step.__call__

    def interrupting(*arguments):
        nonlocal calls
        calls += 1
        loss = step(*arguments)
        if calls == 6:
            signal.raise_signal(signal.SIGINT)  # the weights are those of the next step, which is not counted yet
        return loss

    monkeypatch.setattr(_Step, "__call__", interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, data, settings, tmp_path / "stopped", title="t", identity={})
    assert (tmp_path / "stopped" / "checkpoint.safetensors").exists()
    continued = _small(speech)
    train(continued, data, settings, tmp_path / "stopped", title="t", identity={})
    assert calls == 12
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, _weights(continued)[name]), name


def test_a_second_ctrl_c_does_not_wait_and_keeps_the_last_checkpoint(training, speech, small, tmp_path, monkeypatch):
    """What would be saved in the middle of a step belongs to no step."""
    settings = TrainingSettings(steps=12, batch_size=8, optimiser="adam", learning_rate=1e-3)
    step = _Step.__call__
    done = []

    def interrupting(*arguments):
        loss = step(*arguments)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(loss)
        return loss

    monkeypatch.setattr(_Step, "__call__", interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(_small(speech), small[1], settings, tmp_path, title="t", identity={})
    assert not done
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_full_disk_stops_with_one_line_and_keeps_the_checkpoint(training, speech, small, tmp_path, monkeypatch):
    """A limit on the size of files stands for the disk: the writing itself fails, half-way through the file."""
    resource = pytest.importorskip("resource")
    data, settings = small[1], TrainingSettings(steps=8, batch_size=8, optimiser="adam", learning_rate=1e-3)
    whole = _small(speech)
    train(whole, data, settings, tmp_path / "whole", title="t", identity={})
    monkeypatch.setattr(xaudio.model.training, "CHECKPOINT_SECONDS", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    step = _Step.__call__

    def filling(self, number):
        if number == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        return step(self, number)

    try:
        with monkeypatch.context() as patched, pytest.raises(OutputError, match=r"checkpoint\.safetensors: cannot be written"):
            patched.setattr(_Step, "__call__", filling)
            train(_small(speech), data, settings, tmp_path / "full", title="t", identity={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["checkpoint.safetensors"]
    assert _read_step(tmp_path / "full/checkpoint.safetensors") == 5
    continued = _small(speech)
    train(continued, data, settings, tmp_path / "full", title="t", identity={})
    assert all(torch.equal(tensor, _weights(continued)[name]) for name, tensor in _weights(whole).items())


def _read_step(path):
    return read_tensors(path, "xaudio.checkpoint", "")[0]["step"]


def test_data_that_disappear_do_not_stop_a_training_and_are_named_when_they_are_needed(training, tmp_path, session_cache):
    spoken = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
    recordings = tmp_path / "fsdd" / "recordings"
    recordings.mkdir(parents=True)
    for index in range(len(spoken)):
        clip = spoken[index]
        name = f"{spoken.labels('digit')[index]}_{'abcdefgh'[index // 10]}_0.wav"  # ten digits of each speaker
        xaudio.write_audio(recordings / name, clip.waveform, clip.sample_rate)
    fsdd = xaudio.open_dataset("fsdd", tmp_path / "fsdd")
    first = run_experiment(Experiment(fsdd, "digit", 0, "audionet", training={**SHORT, "steps": 1}), tmp_path / "0", CPU)
    shutil.rmtree(tmp_path / "fsdd")
    second = run_experiment(Experiment(fsdd, "digit", 1, "audionet", training={**SHORT, "steps": 1}), tmp_path / "1", CPU)
    assert (first.fold, second.fold) == (0, 1)
    with pytest.raises(AudioError, match="there is no such file"):
        fsdd[0]
    with pytest.raises(DataError, match="fsdd"):
        xaudio.open_dataset("fsdd", tmp_path / "fsdd")


def test_a_command_killed_at_twenty_random_moments_ends_with_the_same_weights(processes, training, tmp_path):
    """SIGKILL while it prepares, trains or writes a checkpoint (one after every step here); then it finishes."""
    arguments = ["train", "--dataset", "synthetic:speakers=8,repetitions=1", "--task", "sex", "--fit", "loudest"]
    arguments += ["--model", "log-mel-cnn:width=2,bands=16,sample_rate=8000", "--set", "batch_size=4", "--set", "steps=60"]
    context = commands.start()

    def begun(out):
        words = [*arguments, "--out", str(tmp_path / out)]
        return commands.begin(context, words, tmp_path, {"xaudio.model.training.CHECKPOINT_SECONDS": 0})

    def finish(out):
        process = begun(out)
        process.join(300)
        assert process.exitcode == 0

    finish("first")  # which waits for the server, too
    start = time.monotonic()
    process = begun("whole")
    _wait_for_checkpoints(process, tmp_path / "whole", 1)
    preparing = time.monotonic() - start
    process.join(300)
    assert process.exitcode == 0
    step = (time.monotonic() - start - preparing) / 60
    rng = np.random.default_rng(0)
    kills, continued = 0, set()
    for count in rng.permutation(20) % 4:
        process = begun("killed")
        _wait_for_checkpoints(process, tmp_path / "killed", count)
        process.join(float(rng.uniform(0, min(step, 0.05) if count else preparing)))
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        continued |= {line for line in (tmp_path / "stderr").read_text().splitlines() if line.startswith("Training")}
    assert kills >= 10
    assert len(continued) > 5, "few runs went on from the checkpoint of another"
    finish("killed")
    whole, killed = (load_file(tmp_path / out / "model.safetensors") for out in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {
        "model.safetensors",
        "predictions.csv",
        "recordings.csv",
        "results.json",
        "run.json",
    }
    assert (tmp_path / "whole/predictions.csv").read_bytes() == (tmp_path / "killed/predictions.csv").read_bytes()


def _wait_for_checkpoints(process, folder, count):
    """Until a process has written a checkpoint so many times, or has ended."""

    def written():
        path = folder / "checkpoint.safetensors"
        return path.stat().st_ino if path.exists() else None

    before = written()
    while count and process.exitcode is None:
        time.sleep(0.001)
        now = written()
        count -= now not in (before, None)
        before = now


def test_a_checkpoint_of_other_settings_is_refused_and_the_difference_named(training, speech, small, tmp_path):
    _checkpoint(speech, small[1], tmp_path)
    settings = TrainingSettings(steps=4, batch_size=8, learning_rate=0.5)
    with pytest.raises(ModelError, match=r"settings\.learning_rate was 0\.001, now 0\.5"):
        train(_small(speech), small[1], settings, tmp_path, title="t", identity={"fold": 0})
    with pytest.raises(ModelError, match="fold was 0, now 1"):
        train(_small(speech), small[1], TrainingSettings(steps=4, batch_size=8), tmp_path, title="t", identity={"fold": 1})


def test_a_damaged_checkpoint_is_named(training, speech, small, tmp_path):
    path = _checkpoint(speech, small[1], tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"checkpoint\.safetensors: is damaged or not xaudio"):
        train(_small(speech), small[1], TrainingSettings(steps=4, batch_size=8), tmp_path, title="t", identity={"fold": 0})


def _checkpoint(speech, data, folder: Path) -> Path:
    settings = TrainingSettings(steps=4, batch_size=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xaudio.model.training, "CHECKPOINT_SECONDS", 0.0)
        train(_small(speech), data, settings, folder, title="t", identity={"fold": 0})
    return folder / "checkpoint.safetensors"


def test_a_loss_that_is_not_a_number_stops_with_one_line(training, speech, small, tmp_path):
    settings = TrainingSettings(steps=50, batch_size=8, learning_rate=1e30)
    with pytest.raises(ModelError, match=r"the loss became (nan|inf) by step \d+\. Lower the learning rate"):
        train(_small(speech), small[1], settings, tmp_path, title="t", identity={})


def test_a_last_step_that_diverges_is_noticed(training, speech, tmp_path):
    training = {**SHORT, "optimiser": "sgd", "steps": 1, "learning_rate": 1e30}
    with pytest.raises(ModelError, match="NaN or infinite|no longer numbers"):
        run_experiment(Experiment(speech, "digit", 0, "audionet", training=training), tmp_path, CPU)
    assert not (tmp_path / "model.safetensors").exists()


def test_an_empty_training_set_is_refused(small, tmp_path):
    model, data = small
    none = Examples(data.waveforms[:0], data.lengths[:0], data.offsets[:0], data.labels[:0], False)
    with pytest.raises(DataError, match="the training set is empty"):
        train(model, none, TrainingSettings(), tmp_path, title="t", identity={})


def test_the_loss_falls_and_the_test_is_above_chance(training, speech, small, tmp_path):
    """Four hundred recordings of six speakers are enough for a small network to beat chance on its training set."""
    model, data = _small(speech), small[1]
    before = (evaluate(model, data).argmax(1) == data.labels.numpy()).mean()
    settings = TrainingSettings(steps=60, batch_size=16, optimiser="adam", learning_rate=3e-3)
    train(model, data, settings, tmp_path, title="t", identity={})
    assert (evaluate(model, data).argmax(1) == data.labels.numpy()).mean() > max(0.3, 2 * before)


def test_every_pass_visits_every_example_once():
    order = _Order(23, seed=3)
    seen = np.concatenate([order.batch(step, 5) for step in range(23)])
    for start in range(0, 115, 23):
        assert sorted(seen[start : start + 23]) == list(range(23))
    assert len({tuple(one) for one in seen.reshape(5, 23)}) == 5  # each pass in an order of its own
    again = _Order(23, seed=3)
    assert np.array_equal(again.batch(7, 5), seen[35:40])
    assert not np.array_equal(_Order(23, seed=4).batch(0, 5), seen[:5])


def test_the_learning_rate_follows_its_schedule():
    halved = TrainingSettings(steps=10_000, learning_rate=1e-3, halve_every=2_500)
    assert [halved.rate_at(step) for step in (0, 2_499, 2_500, 5_000, 9_999)] == [1e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4]
    cosine = TrainingSettings(steps=100, learning_rate=1.0, schedule="cosine", warmup=10)
    assert cosine.rate_at(0) == pytest.approx(0.1)
    assert cosine.rate_at(50) == pytest.approx(0.5)
    assert cosine.rate_at(99) < 1e-3


@pytest.mark.slow
def test_the_published_settings_come_with_the_models():
    alexnet = settings_for(xaudio.create("model", "alexnet", classes=10), {})
    assert (alexnet.steps, alexnet.learning_rate, alexnet.halve_every, alexnet.clip_norm) == (10_000, 1e-3, 2_500, 5.0)
    assert (alexnet.optimiser, alexnet.momentum, alexnet.batch_size, alexnet.subtract_mean) == ("sgd", 0.9, 100, True)
    audionet = settings_for(xaudio.create("model", "audionet", classes=10), {})
    assert (audionet.steps, audionet.learning_rate, audionet.halve_every, audionet.clip_norm) == (50_000, 1e-4, 10_000, None)
    assert (audionet.initialisation, audionet.subtract_mean) == ("published", False)


def test_wrong_settings_are_named():
    with pytest.raises(PluginError, match="Did you mean 'steps'"):
        settings_for(nn.Identity(), {"stepps": 3})
    with pytest.raises(PluginError, match="'steps' is 'many'"):
        settings_for(nn.Identity(), {"steps": "many"})
    assert settings_for(nn.Identity(), {"steps": "3", "clip_norm": None}).steps == 3


def test_the_mean_and_deviation_are_those_of_numpy(speech, small):
    model, data = small
    mean, deviation = feature_statistics(model, data)
    features = torch.cat([model.representation(data.batch(indices)) for indices in data.batches()]).double().numpy()
    assert np.allclose(mean.numpy(), features.mean(0), atol=1e-6)
    assert deviation == pytest.approx(np.sqrt(((features - features.mean(0)) ** 2).mean()), rel=1e-6)


def test_initialisation_gives_hidden_values_of_order_one_and_undecided_outputs():
    network = nn.Sequential(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10))
    initialise(network, seed=0, deviation=20.0)
    with torch.no_grad():
        inputs = 20 * torch.randn(200, 400, generator=torch.Generator().manual_seed(0))
        assert 0.5 < float(network[:3](inputs).std()) < 3
        assert 0.05 < float(network(inputs).std()) < 0.3
    first = network[0].weight.clone()
    initialise(network, seed=0, deviation=20.0)
    assert torch.equal(first, network[0].weight)


@pytest.mark.slow
def test_placement_per_step_moves_recordings_only_in_training(speech):
    model = new_model("audionet", speech.tasks["digit"], representation="waveform", representation_options={"placement": "step"})
    data = examples(model.hear_all(speech), speech.labels("digit"), np.arange(4))
    indices = torch.arange(4)
    assert torch.equal(data.batch(indices), data.batch(indices))
    assert not torch.equal(data.training_batch(indices), data.training_batch(indices))
    assert torch.allclose(data.training_batch(indices).square().sum(1), data.batch(indices).square().sum(1), rtol=1e-5)


@pytest.mark.slow
def test_differences_are_named_by_their_path():
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "a.b was 1, now 2"
    assert first_difference({"a": 1}, {"a": 1, "c": 2}) == "c was None, now 2"
    assert first_difference({"a": [1, 2]}, {"a": [1, 2]}) == ""
    assert first_difference({"a": ["x"]}, {"a": ["y", None]}) == "a was ['x'], now ['y', None]"
    names = [f"recording {number}.wav" for number in range(5000)]
    changed = [*names[:17], "other \udcff.wav", *names[18:]]
    said = "files[17] was 'recording 17.wav', now 'other \N{REPLACEMENT CHARACTER}.wav' (5000 entries, now 5000)"
    assert first_difference({"files": names}, {"files": changed}) == said
    assert first_difference({"files": names}, {"files": names[:-1]}).endswith("now None (5000 entries, now 4999)")
    assert first_difference({"files": [*names, None]}, {"files": names}).endswith("was None, now None (5001 entries, now 5000)")
    assert len(first_difference({"a": "x" * 5000}, {"a": 5000 * ["x" * 5000]})) < 300
    assert len(first_difference({"a": [["x" * 500] * 2]}, {"a": [["x" * 500, "y" * 500]]})) < 400


def test_a_finished_experiment_is_read_and_another_is_refused(training, speech, tmp_path):
    experiment = Experiment(speech, "digit", 0, "audionet", training={**SHORT, "steps": 1})
    first = run_experiment(experiment, tmp_path, CPU)
    written = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert run_experiment(experiment, tmp_path, CPU) == first
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(ModelError, match="fold was 0, now 1"):
        run_experiment(Experiment(speech, "digit", 1, "audionet", training={**SHORT, "steps": 1}), tmp_path, CPU)
    with pytest.raises(DataError, match="folds 0 to 4; there is no fold 7"):
        run_experiment(Experiment(speech, "digit", 7, "audionet"), tmp_path, CPU)


def test_the_results_follow_from_the_predictions(training, speech, tmp_path):
    """Accuracy, confusion and speakers recomputed from predictions.csv."""
    import csv

    result = run_experiment(Experiment(speech, "digit", 2, "audionet", training={**SHORT, "steps": 1}), tmp_path, CPU)
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.recordings == len(speech.folds("digit")[2].test)
    right = [max(range(10), key=lambda k: float(row[f"logit_{k}"])) == int(row["label"]) for row in rows]
    assert result.accuracy == pytest.approx(np.mean(right))
    assert [int(row["predicted"]) == int(row["label"]) for row in rows] == right
    assert np.trace(result.confusion) == sum(right)
    assert np.sum(result.confusion) == len(rows)
    for speaker, value in result.accuracy_per_speaker.items():
        mine = [hit for hit, row in zip(right, rows, strict=True) if row["speaker"] == speaker]
        assert value == pytest.approx(np.mean(mine))
    assert set(result.accuracy_per_speaker).isdisjoint({speech.speakers[index] for index in speech.folds("digit")[2].train})


def test_auto_precision_is_decided_once_and_a_continued_run_keeps_it(training, speech, tmp_path, monkeypatch):
    """Killed where there are units for bfloat16 and continued where there are none, with a clock that lies throughout."""
    import time

    from xaudio.model import training
    from xaudio.output.tensors import read_tensors

    experiment = Experiment(speech, "digit", 2, "reference", training={**SHORT, "steps": 3, "precision": "auto"})
    monkeypatch.setattr("xaudio.model.precision.SIZES", (64,))  # large products in bfloat16 take minutes without units
    ticks = iter(np.random.default_rng(0).uniform(0, 1e6, 10**6).tolist())
    for clock in ("perf_counter", "monotonic"):
        monkeypatch.setattr(time, clock, lambda: next(ticks))
    monkeypatch.setattr("xaudio.model.precision._has_amx", lambda: True)
    finite = training._finite

    def interrupted(loss, step, *rest):
        if step == 2:
            raise KeyboardInterrupt
        return finite(loss, step, *rest)

    monkeypatch.setattr(training, "_finite", interrupted)
    monkeypatch.setattr(training, "LOSS_EVERY", 1)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, tmp_path, CPU)
    kept = read_tensors(tmp_path / "checkpoint.safetensors", "xaudio.checkpoint", "")[0]["identity"]["settings"]["precision"]
    assert kept == "bfloat16"
    monkeypatch.setattr(training, "_finite", finite)
    monkeypatch.setattr("xaudio.model.precision._has_amx", lambda: False)
    result = run_experiment(experiment, tmp_path, CPU)
    assert result.identity["settings"]["precision"] == "bfloat16"
    assert run_experiment(experiment, tmp_path, CPU) == result  # and once more, where it is read


class Ears(nn.Module):
    """A third party's network, which hears how loud each of two channels is."""

    def __init__(self, reads):
        super().__init__()
        self.linear, self.representation = nn.Linear(2, 2), f"raw:sample_rate=8000,channels=2,{reads}"

    def forward(self, features):
        return self.linear((features.square().mean(-1) + 1e-6).log())


@pytest.fixture
def stereo(tmp_path, monkeypatch):
    """Recordings of two channels, of which one is the louder, and the model that hears both."""
    draw = np.random.default_rng(0)
    for number in range(32):
        sound = draw.normal(0, 0.01, (900 + 10 * number, 2))
        sound[:, number % 2] *= 10
        folder = tmp_path / "heard" / ("left", "right")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", sound, 8000)

    def ears(*, classes: int, reads: str = "samples=2000"):
        return Ears(reads)

    plugins = registry()
    monkeypatch.setitem(plugins._offers, ("model", "ears"), [(plugins.plugins[0], ears)])
    return xaudio.open_dataset("folder:channels=all", tmp_path / "heard")


@pytest.mark.parametrize(
    ("reads", "more"),
    [
        ("samples=2000+placement=step", {}),
        ("samples=2000", {"shift": 0.1, "speed": 0.1, "masks": 1, "mixup": 0.2}),
        ("samples=none", {"length": "any"}),
    ],
)
def test_a_model_of_two_channels_is_trained_and_tested(training, stereo, tmp_path, reads, more):
    reads = reads.replace("+", ",")
    settings = {"steps": 60, "batch_size": 8, "optimiser": "adam", "learning_rate": 0.05, **more}
    experiment = Experiment(stereo, "label", 0, "ears", model_options={"reads": reads}, training=settings)
    assert run_experiment(experiment, tmp_path / "run", CPU).accuracy == 1
    model = xaudio.load_model(tmp_path / "run", "cpu")
    clip = stereo[0]
    assert clip.channels == model.channels == 2
    assert xaudio.explain(model, clip, explainer="gradient", device="cpu").relevance.shape[0] == 2


def test_a_finished_training_is_recognised_before_anything_is_decoded(training, stereo, tmp_path, monkeypatch):
    monkeypatch.setenv("XAUDIO_CACHE", str(tmp_path / "cache"))
    settings = {"steps": 2, "batch_size": 8, "optimiser": "adam", "learning_rate": 0.05}
    experiment = Experiment(stereo, "label", 0, "ears", model_options={"reads": "samples=none"}, training=settings, fit="error")
    first = run_experiment(experiment, tmp_path / "run", CPU)
    assert xaudio.load_model(tmp_path / "run").representation.samples == 900 + 10 * 31

    def decode(self, index):
        raise AssertionError(f"recording {index} is decoded")

    monkeypatch.setattr(type(stereo), "__getitem__", decode)
    assert run_experiment(experiment, tmp_path / "run", CPU) == first
    (kept,) = (tmp_path / "cache" / "lengths").glob("*.json")
    kept.write_text("-1")
    with pytest.raises(AssertionError, match="recording 0 is decoded"):
        run_experiment(experiment, tmp_path / "run", CPU)


def test_a_length_is_kept_of_one_data_set_only(tmp_path, monkeypatch):
    """A fingerprint of a plugin may say no more than its version."""
    monkeypatch.setenv("XAUDIO_CACHE", str(tmp_path / "cache"))

    def samples(name, *lengths):
        recordings = [Recording(str(length), "a", {"word": 0}) for length in lengths]

        def read(recording):
            return Clip(np.ones(int(recording.source), np.float32), 8000)

        tasks, made = {"word": ("no", "yes")}, {"fingerprint_of": lambda _: "1"}
        data = SpeakerDataset(name, name, tasks, recordings, {"word": []}, read=read, **made)
        return usual_samples(data, np.array([0, 1]), 8000, "error")

    assert samples("one", 100, 200) == samples("one", 300, 400) == 200
    assert samples("two", 300, 400) == 400
    assert samples("one", 300, 500, 600) == 500
