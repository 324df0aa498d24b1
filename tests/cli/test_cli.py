"""The command line as a person uses it: exit status, one line for what is wrong, files that are there."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import xaudio


@pytest.fixture
def error_of(run_command) -> Callable[..., str]:
    """The one line that says what is wrong with a command."""

    def error(*arguments: object) -> str:
        lines = [line for line in run_command(*arguments, status=1).stderr.splitlines() if line.startswith("xaudio: error:")]
        assert len(lines) == 1
        return lines[0]

    return error


def test_explain_writes_picture_sounds_page_and_relevance(run_command, run_folder, recording, tmp_path):
    out = tmp_path / "out"
    done = run_command("explain", recording, "--model", run_folder, "--out", out, "--explainer", "lrp:composite=epsilon_plus")
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


def test_a_data_set_says_what_is_true_of_the_recordings(run_command, error_of, tmp_path):
    random = np.random.default_rng(0)
    for label in ("3", "no digit"):
        (tmp_path / "heard" / label).mkdir(parents=True)
        for take in "ab":
            soundfile.write(tmp_path / "heard" / label / f"{label}{take}.wav", random.normal(0, 0.1, 8000), 8000)
    soundfile.write(tmp_path / "other.wav", random.normal(0, 0.1, 8000), 8000)
    files = [tmp_path / "heard/3/3a.wav", tmp_path / "heard/no digit/no digitb.wav", tmp_path / "other.wav"]
    asked = ["--model", "demo", "--explainer", "gradient", "--render", "html"]
    run_command("explain", *files, *asked, "--data", tmp_path / "heard", "--out", tmp_path / "out")
    with (tmp_path / "out/index.csv").open(newline="") as file:
        rows = [(row["truth"], row["correct"]) for row in csv.DictReader(file)]
    assert rows == [("3", "no"), ("no digit", "yes"), ("", "")]
    page = (tmp_path / "out/report.html").read_text()
    assert 'data-name="truth"' in page
    assert '<td class="listing-truth" data-value="no digit">' in page
    told = error_of("explain", *files, *asked, "--data", tmp_path / "heard", "--window", "1", "--out", tmp_path / "windows")
    assert "--data and --dataset go with recordings that are explained whole" in told
    assert not (tmp_path / "windows").exists()
    told = error_of("explain", files[2], *asked, "--data", tmp_path / "heard", "--out", tmp_path / "one")
    assert "other.wav: is not among the recordings of heard" in told


def test_explain_several_recordings_and_explainers(run_command, spectrogram_run_folder, recording, tmp_path):
    copy = tmp_path / "other.flac"
    soundfile.write(copy, soundfile.read(recording)[0][:8000], 44100)
    options = ["--explainer", "random", "--explainer", "amplitude", "--render", "audible,html", "--json"]
    options += ["--target", "7", "--target", "3"]
    done = run_command("explain", recording, copy, "--model", spectrogram_run_folder, "--out", tmp_path / "out", *options)
    records = json.loads(done.stdout)
    assert [record["explainer"] for record in records] == ["random"] * 4 + ["amplitude"] * 4
    assert [record["explained"] for record in records] == ["7", "7", "3", "3"] * 2
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1)
    assert len({Path(path).parent for record in records for path in record["files"]}) == 8
    for record in records:
        assert all(Path(path).exists() for path in record["files"])
    report = (tmp_path / "out" / "report.html").read_text()
    assert "<h1>8 explanations of 2 recordings</h1>" in report
    assert report.count("<xaudio-player>") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--model": "nowhere"}, "nowhere: is not the run folder of a model"),
        ({"--explainer": "lpr"}, "Unknown explainer 'lpr'. Did you mean 'lrp'?"),
        ({"--explainer": "lrp:composite=epsilonplus"}, "'epsilonplus' does not fit option 'composite' of explainer 'lrp'"),
        ({"--explainer": "lrp:composite"}, "Cannot read 'composite'"),
        ({"--target": "nine"}, "Unknown class 'nine'"),
        ({"--device": "cuda:7"}, "The device 'cuda:7' is not available"),
        ({"--device": "gpu"}, "Unknown device 'gpu'. Expected auto, cpu, cuda, cuda:N or mps."),
        ({"--render": "visal"}, "Unknown renderer 'visal'. Did you mean 'visual'?"),
        ({"--out": "/proc/nowhere"}, "/proc/nowhere: cannot be written"),
        ({"file": "missing.wav"}, "missing.wav: there is no such file"),
        ({"file": __file__}, "cannot be read as audio"),
    ],
)
def test_bad_input_gets_one_line_and_status_one(error_of, run_folder, recording, tmp_path, change, message):
    given = {"--model": run_folder, "--out": tmp_path / "out", "--explainer": "gradient"} | change
    file = given.pop("file", recording)
    assert message in error_of("explain", file, *(part for pair in given.items() for part in pair))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def _wav(path, samples, rate=8000, subtype="FLOAT"):
    soundfile.write(path, np.asarray(samples, dtype=np.float32), rate, subtype=subtype)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.touch(), "the file is empty"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_text("no sound"), "cannot be read as audio"),
        (lambda path: path.write_bytes(_wav(path, np.zeros(4000)).read_bytes()[:8000]), "is truncated"),
        (lambda path: _wav(path, [0.0, np.nan, 0.5]), "1 of 3 samples is NaN or infinite"),
        (lambda path: _wav(path, [0.0, np.inf, 0.5]), "1 of 3 samples is NaN or infinite"),
        (lambda path: _wav(path, []), "has 0 samples"),
        (lambda path: _wav(path, [0.5]), "has 1 sample; expected at least two"),
        (lambda path: _wav(path, np.zeros(100), rate=10), "the sample rate is 10 Hz"),
        (lambda path: _wav(path, np.zeros(9000)), "longer than the 1.000 s the model takes"),
    ],
)
def test_recordings_that_cannot_be_used_get_one_line(error_of, run_folder, tmp_path, make, message):
    path = tmp_path / "bad.wav"
    make(path)
    assert message in error_of("explain", path, "--model", run_folder, "--out", tmp_path / "out", "--explainer", "gradient")
    assert not [found for found in (tmp_path / "out").rglob("*") if found.is_file()]


def test_explain_never_takes_the_place_of_what_is_there(error_of, run_folder, recording, tmp_path):
    mine = tmp_path / "original.wav"
    mine.write_bytes(recording.read_bytes())
    line = error_of("explain", mine, "--model", run_folder, "--out", tmp_path, "--render", "audible")
    assert "could be overwritten" in line
    assert mine.read_bytes() == recording.read_bytes()
    before = (run_folder / "run.json").read_bytes()
    assert "holds the results of another command" in error_of("explain", recording, "--model", run_folder, "--out", run_folder)
    assert (run_folder / "run.json").read_bytes() == before


def test_a_second_explain_takes_the_place_of_the_same_one_and_of_nothing_else(
    error_of, run_command, run_folder, recording, tmp_path
):
    """Another question, method or model is refused as another command is; so is what is not ours."""
    out, other = tmp_path / "out", tmp_path / "other.wav"
    other.write_bytes(recording.read_bytes())
    options = ["--render", "audible", "--explainer", "amplitude", "--out", out]
    run_command("explain", recording, other, "--model", run_folder, "--target", "7", "--target", "3", *options)
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    assert folders == {f"{stem}-{target}-amplitude" for stem in ("recording", "other") for target in (7, 3)}
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    same = ("explain", recording, other, "--model", run_folder, *options, "--target", "7", "--target")
    for differing, said in [((*same, "4"), "target was"), ((*same, "3", "--view", "frequency"), "view was None")]:
        assert f"belongs to a run of other settings: {said}" in error_of(*differing)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    record = json.loads((out / "run.json").read_text())
    assert {out / name for name in (*record["files"], "run.json")} == set(before)
    # What was left by the same command, interrupted, is its own.
    (out / "run.json").write_text(json.dumps({**record, "files": [], "unfinished": True}))
    run_command(*same, "3")
    assert {path for path in out.rglob("*") if path.is_file()} == set(before)
    (out / "notes.txt").write_text("mine")
    assert "holds notes.txt, which no" in error_of(*same, "3")
    assert (out / "notes.txt").read_text() == "mine"
    assert "unfinished" not in json.loads((out / "run.json").read_text())


def test_a_folder_of_another_command_is_refused(error_of, run_command, run_folder, recording, tmp_path):
    """By the command that its run.json names."""
    out = tmp_path / "out"
    run_command("explain", recording, "--model", run_folder, "--render", "audible", "--explainer", "amplitude", "--out", out)
    held = sorted(out.iterdir())
    for command in (["train"], ["probe", "--model", run_folder], ["bench", "speed"], ["evaluate", "--model", run_folder]):
        assert "holds the results of `xaudio explain`. Choose another --out." in error_of(*command, "--out", out)
    assert sorted(out.iterdir()) == held


def test_a_command_that_refuses_its_data_leaves_no_folder(error_of, run_folder, tmp_path):
    (tmp_path / "no-sound.wav").write_text("no sound")
    out = tmp_path / "new" / "out"
    for command, reason in {
        ("explain", "no-sound.wav"): "cannot be read as audio",
        ("explain", "no-sound.wav", "--window", "1"): "cannot be read as audio",
        ("evaluate", "--dataset", "synthetic:speakers=8,repetitions=1", "--recordings", "2"): "expected 8 or more",
        ("bench", "explainers", "--models", run_folder, "--data", tmp_path): "reads no files",
        ("study", "export", tmp_path): "study",
    }.items():
        model = [] if command[0] in ("bench", "study") else ["--model", run_folder]
        words = [tmp_path / word if word == "no-sound.wav" else word for word in command]
        assert reason in error_of(*words, *model, "--out", out)
        assert [path.name for path in tmp_path.iterdir()] == ["no-sound.wav"], command


def test_several_renderers_with_several_options(run_command, run_folder, recording, tmp_path):
    options = ["--render", "audible:peak=0.5,loudness=match,visual:dpi=40", "--explainer", "gradient"]
    run_command("explain", recording, "--model", run_folder, "--out", tmp_path / "out", *options)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".wav", ".png", ".json", ".safetensors"}
    assert json.loads((tmp_path / "out" / "audible.json").read_text())["loudness"] == "match"


def test_wrong_usage_has_status_two(run_command):
    assert "Missing option" in run_command("explain", "x.wav", status=2).stderr
    run_command("nonsense", status=2)
    run_command("explain", "x.wav", "--model", "m", "--out", "o", "--nonsense", status=2)
    refused = run_command("explain", "x.wav", "--model", "m", "--out", "o", "--fit", "cut", status=2)
    assert "Invalid value for '--fit'" in refused.stderr


def test_train_then_data_info_then_explain(run_command, training, tmp_path):
    dataset = "synthetic:speakers=8,repetitions=1"
    trained = ["--task", "sex", "--model", "audionet", "--set", "steps=1", "--set", "batch_size=4"]
    done = run_command("train", "--dataset", dataset, *trained, "--out", tmp_path / "run")
    assert "accuracy" in done.stdout
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "model.safetensors",
        "predictions.csv",
        "recordings.csv",
        "results.json",
        "run.json",
    }
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["steps"] == 1
    assert record["versions"]["torch"]
    found = json.loads(run_command("data", "info", dataset, "--json").stdout)
    assert (found["recordings"], found["speakers"], found["problems"]) == (80, 8, [])
    assert found["tasks"]["digit"]["classes"]["3"] == 8
    assert "task sex" in run_command("data", "info", dataset).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "syntetic"], "Unknown dataset 'syntetic'. Did you mean 'synthetic'?"),
        (["--task", "digits"], "Unknown task 'digits'. Did you mean 'digit'?"),
        (["--model", "alexnett"], "Unknown model 'alexnett'. Did you mean 'alexnet' or 'audionet'?"),
        (["--model", "audionet:pool1=other"], "'other' does not fit option 'pool1' of model 'audionet': expected code | paper"),
        (["--fold", "9"], "there is no fold 9"),
        (["--set", "steps"], "Cannot read --set 'steps'"),
        (["--set", "stepz=3"], "Did you mean 'steps'?"),
        (["--set", "seed=abc"], "'abc' does not fit the training setting 'seed'"),
        (["--set", "momentum=nan"], "The training setting 'momentum' is 'nan'"),
        (["--set", "learning_rate=inf"], "The training setting 'learning_rate' is 'inf'"),
        (["--model", "audionet:classes=3"], "leave out the option 'classes'"),
        (["--data", "."], "reads no files"),
        (["--dataset", "fsdd", "--data", "tests"], "recordings"),
        (["--dataset", "audiomnist", "--data", "nowhere"], "nowhere"),
        (["--representation", "spectrogram"], "AudioNet got features"),
    ],
)
def test_train_names_what_is_wrong(error_of, tmp_path, arguments, message):
    given = {"--dataset": "synthetic:speakers=8,repetitions=1", "--task": "digit", "--model": "audionet", "--set": "steps=1"}
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    line = error_of("train", *(part for pair in given.items() for part in pair), "--out", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_plugins_are_listed_shown_and_checked(error_of, run_command):
    listed = json.loads(run_command("plugins", "list", "--json").stdout)
    names = {(item["kind"], item["name"]) for item in listed["plugins"]}
    assert {("explainer", "lrp"), ("dataset", "synthetic"), ("model", "audionet"), ("benchmark", "audiomnist")} <= names
    commands = {item["name"]: item for item in listed["plugins"] if item["kind"] == "command"}
    assert commands["study"]["distribution"] == "xaudio"
    assert commands["groups"]["summary"].startswith("Mean relevance of classes")
    assert "'groups' is a command of patterns (xaudio " in error_of("plugins", "show", "groups")
    assert listed["problems"] == []
    assert "lrp" in run_command("plugins", "list").stdout
    shown = run_command("plugins", "show", "lrp").stdout
    assert "composite" in shown
    assert "epsilon_plus" in shown
    assert "Did you mean 'lrp'" in error_of("plugins", "show", "lpr")
    assert (
        "ok    explainer gradient: it returns relevance shaped like the features"
        in run_command("plugins", "check", "gradient").stdout
    )


def test_fetch_of_a_data_set_that_cannot_be_fetched(error_of):
    assert "cannot be fetched" in error_of("data", "fetch", "fsdd")


def test_version(run_command):
    assert run_command("--version").stdout.strip() == f"xaudio {xaudio.__version__}"


def test_a_benchmark_takes_its_options_from_a_file_and_from_the_command_line(error_of, run_command, training, tmp_path):
    """The command line wins; the effective settings are written down."""
    config = tmp_path / "bench.toml"
    config.write_text(
        'dataset = "synthetic:speakers=8,repetitions=1"\nmodels = ["audionet"]\ntasks = ["digit"]\nexamples = 1\nlimit = 2\n'
        'set = ["steps=5", "audionet.batch_size=4"]\nseed = 3\n'
    )
    run_command("bench", "audiomnist", "--config", config, "--seed", "4", "--set", "steps=2", "--out", tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "run.json").read_text())["settings"]
    assert (settings["seed"], settings["models"], settings["set"]) == (4, ["audionet"], ["steps=2"])
    assert settings["training"]["audionet digit"]["steps"] == "2"
    config.write_text("sed = 3")
    assert "Did you mean 'seed'" in error_of("bench", "audiomnist", "--config", config, "--out", tmp_path / "out")
    config.write_text("seed = ")
    assert "cannot be read as TOML" in error_of("bench", "audiomnist", "--config", config, "--out", tmp_path / "out")
    assert "'many' does not fit option 'seed'" in error_of("bench", "audiomnist", "--seed", "many", "--out", tmp_path / "out")


def test_a_benchmark_shows_its_options(run_command):
    shown = run_command("bench", "audiomnist", "--help").stdout
    for option in ("--preset", "--dataset", "--tasks", "--models", "--folds", "--explainer", "--device", "--set", "--config"):
        assert option in shown
    assert "audiomnist" in run_command("bench", "--help").stdout
    run_command("bench", "nonsense", status=2)


def test_ctrl_c_keeps_what_is_done_and_says_so(processes, training, tmp_path):
    program = "import sys; sys.argv[0] = 'xaudio'; from xaudio.cli.app import main; main()"
    arguments = ["train", "--dataset", "synthetic:speakers=8,repetitions=1", "--task", "sex", "--model", "audionet"]
    arguments += ["--set", "steps=1000", "--set", "batch_size=2", "--out", str(tmp_path)]
    # Where the tests themselves run in the background, Ctrl-C is ignored, and so it would be in what they start.
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stderr:
        if "Training" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert "stopped; what is done is kept" in rest
    assert "Traceback" not in rest
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    "console",
    [
        {"PYTHONIOENCODING": "cp1252"},  # of Windows
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "C"},
    ],
)
def test_any_name_is_explained_on_any_console(run_command, run_folder, recording, tmp_path, console):
    """Names that the console cannot show, and bytes that are no text at all, in files, folders and every output."""
    folder = os.fsencode(tmp_path) + b"/latin\xe9"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    files = [folder + b"/caf\xe9.wav", folder + "/日本語.wav".encode()]
    for path in files:
        shutil.copy(recording, path)
    out = folder + b"/out"
    for form in (("--out", folder + b"/all"), ("--out", out, "--json", "--render", "html")):
        done = run_command("explain", *files, "--model", run_folder, *form, text=False, env={**os.environ, **console})
    assert [os.fsencode(record["source"]) for record in json.loads(done.stdout)] == files
    kept = json.loads(Path(os.fsdecode(out), "run.json").read_text("utf-8"))
    assert [os.fsencode(name) for name in kept["settings"]["files"]] == files
    pages = [path.read_text("utf-8") for path in Path(os.fsdecode(out)).rglob("*.html")]
    assert any("caf\N{REPLACEMENT CHARACTER}.wav" in page for page in pages)
    done = run_command("explain", folder + b"/gone", "--model", run_folder, "--out", folder + b"/no", status=1, text=False)
    assert done.stderr.splitlines()[-1].endswith(b"gone: there is no such file. Check the path.")


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "latin\ufffd"), ("cp1252", "latin?"), ("ascii", "latin?")])
def test_what_is_no_text_is_shown_alike_everywhere(run_command, tmp_path, encoding, shown):
    """A byte of a name that is no UTF-8, and an escape sequence, which would speak to the terminal."""
    gone = os.fsencode(tmp_path) + b"/\x1b[31mlatin\xe9"
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    line = run_command("doctor", gone, status=1, text=False, env=env).stderr.decode(encoding)
    assert f"[31m{shown}: " in line
    assert "\x1b" not in line
    assert "udc" not in line
