"""`xaudio explain --manifest`: the same rows from one process and from many that die, and what manifests may not do."""

import json
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import commands
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import xaudio
from xaudio import DataError, OutputError
from xaudio.cli.app import app
from xaudio.cli.sharing import part_in
from xaudio.explanation.corpus import ExplainRows, Recordings
from xaudio.output.runs import files_in
from xaudio.shards.gathering import carry_out, gather
from xaudio.shards.plan import planned
from xaudio.sound.manifests import read_manifest

MODEL = """
import time, torch

class Slow(torch.nn.Module):
    def forward(self, features):
        time.sleep({seconds})
        return features

def network():
    torch.manual_seed(0)
    nn = torch.nn
    layers = Slow(), nn.Conv1d(1, 8, 9, stride=4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3)
    made = nn.Sequential(*layers)
    made.representation, made.classes = "waveform:samples=1200,sample_rate=4000,normalisation=none", ("a", "b", "c")
    return made
"""


def make_corpus(folder, count, seconds=0.0):
    """Recordings with a manifest, and a small model."""
    (folder / "data/wav").mkdir(parents=True)
    (folder / "model.py").write_text(MODEL.format(seconds=seconds))
    rng, names = np.random.default_rng(0), [f"wav/{number:03d}.wav" for number in range(count)]
    for name in names:
        soundfile.write(folder / "data" / name, rng.uniform(-0.5, 0.5, rng.integers(400, 1200)), 4000)
    (folder / "data/m.csv").write_text("path\n" + "".join(f"{name}\n" for name in names))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), 24)


def words_of(corpus, out, *more):
    given = ["explain", "--manifest", corpus / "data/m.csv", "--model", f"python:at={corpus / 'model.py'}:network", "--out", out]
    return [str(word) for word in (*given, "--explainer", "gradient", "--batch-size", "8", *more)]


def explain(corpus, out, *more, status=0):
    result = CliRunner().invoke(app, words_of(corpus, out, *more))
    assert (1 if result.exception else 0) == status, result.output
    return result.output if status == 0 else str(result.exception)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_ten_kills_a_full_disk_and_data_that_go_and_come_change_no_bit(processes, tmp_path, monkeypatch):
    """SIGKILL of workers and of the command that started them, at random moments."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a forked worker would wait for the threads of its parent
    corpus = make_corpus(tmp_path, 96, seconds=0.025)
    context, rng, kills = multiprocessing.get_context("fork"), np.random.default_rng(1), 0  # torch is not imported again
    patches = {"xaudio_local._local.CONTEXT": "fork"}

    def begun(out, *more):
        folder = tmp_path / "streams"
        folder.mkdir(exist_ok=True)
        return commands.begin(context, words_of(corpus, tmp_path / out, *more), folder, patches)

    def ended(out, *more):
        process = begun(out, *more)
        process.join(120)
        return process.exitcode, (tmp_path / "streams/stdout").read_text(), (tmp_path / "streams/stderr").read_text()

    explain(corpus, tmp_path / "whole")
    while kills < 10:
        driver = begun("out", "--workers", "4")
        for _ in range(4):
            time.sleep(float(rng.uniform(0.05, 0.3)))
            workers = children_of(driver.pid)
            if workers:
                kills += killed(int(rng.choice(workers)))
        time.sleep(float(rng.uniform(0, 0.3)))
        kills += killed(driver.pid)
        driver.join()
        assert "Traceback" not in (tmp_path / "streams/stderr").read_text()
    fill_the_disk(corpus, tmp_path / "out")
    (tmp_path / "out/shards/00000/results.jsonl").unlink(missing_ok=True)  # something is left to do, however fast the machine is
    (corpus / "data").rename(corpus / "away")
    (corpus / "data").mkdir()
    (corpus / "data/m.csv").write_bytes((corpus / "away/m.csv").read_bytes())
    status, shown, _ = ended("out", "--workers", "4")
    assert status == 0
    assert "there is no such file" in shown
    (corpus / "data/m.csv").unlink()
    (corpus / "data").rmdir()
    (corpus / "away").rename(corpus / "data")
    beside = begun("out", "--workers", "2")  # two commands in one folder
    status, shown, _ = ended("out", "--workers", "2")
    beside.join(120)
    assert (status, beside.exitcode) == (0, 0)
    assert "96 rows: 96 done, 0 failed, 0 missing" in shown
    assert (tmp_path / "out/results.jsonl").read_bytes() == (tmp_path / "whole/results.jsonl").read_bytes()
    assert len({row["id"] for row in lines_of(tmp_path / "out/results.jsonl")}) == 96


def fill_the_disk(corpus, out):
    """A limit on the size of files stands for the disk; what is refused is one line, and nothing is half there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        assert "cannot be written" in explain(corpus, out, status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def children_of(parent):
    try:
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def killed(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


@pytest.mark.slow
def test_parts_of_a_cluster_are_the_same_rows(corpus, tmp_path, monkeypatch):
    explain(corpus, tmp_path / "whole", "--shards", "3")
    for part in ("1/2", "2/2"):
        said = explain(corpus, tmp_path / "out", "--shards", "3", "--shard", part)
    assert "24 rows: 24 done" in said
    for place in ("7", "8", "9"):
        for name, value in {"ID": place, "COUNT": "3", "MIN": "7"}.items():
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
        said = explain(corpus, tmp_path / "slurm", "--shards", "3")
        assert ("24 rows: 24 done" in said) == (place == "9")
    whole = (tmp_path / "whole/results.jsonl").read_bytes()
    assert whole == (tmp_path / "out/results.jsonl").read_bytes() == (tmp_path / "slurm/results.jsonl").read_bytes()


@pytest.mark.slow
def test_variables_of_a_cluster_cut_no_ordinary_command_and_what_they_cut_is_told(corpus, tmp_path, monkeypatch):
    for name, value in {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4", "RANK": "1", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    model, names = f"python:at={corpus / 'model.py'}:network", [str(corpus / f"data/wav/{number:03d}.wav") for number in range(3)]
    words = ["explain", *names, "--model", model, "--explainer", "gradient", "--render", "", "--out", str(tmp_path / "plain")]
    done = CliRunner().invoke(app, words)
    assert not done.exception, done.output
    assert len(list((tmp_path / "plain").rglob("explanation.safetensors"))) == len(names)
    said = explain(corpus, tmp_path / "part", "--shards", "4")
    assert "Part 1 of 4 alone, numbered from 0, since SLURM_ARRAY_TASK_ID is set; --workers 1 does all." in said
    assert "other shards are the work of others" in said
    assert "24 rows: 24 done" in explain(corpus, tmp_path / "part", "--shards", "4", "--workers", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "9")  # no part of 4, of which nothing is to be done
    assert "24 rows: 24 done" in CliRunner().invoke(app, ["explain", "--gather", "--out", str(tmp_path / "part")]).output


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({}, None),
        ({"RANK": "2", "WORLD_SIZE": "4"}, (2, 4)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "9",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_ARRAY_TASK_MIN": "5",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            (2, 3),
        ),
        ({"SLURM_ARRAY_TASK_ID": "3"}, None),
        ({"RANK": "4", "WORLD_SIZE": "3"}, "RANK 4/3: is not a part"),
        ({"RANK": "x", "WORLD_SIZE": "3"}, "RANK -1/3: is not a part"),
    ],
)
def test_the_part_that_a_cluster_says(variables, part):
    if isinstance(part, str):
        with pytest.raises(OutputError, match=part):
            part_in(variables)
    else:
        assert part_in(variables) == part


@pytest.mark.parametrize("shard", ["5/4", "x", "1/0", "-1/4", "1"])
def test_a_part_that_is_none_is_refused(corpus, tmp_path, shard):
    assert "is not a part" in explain(corpus, tmp_path, f"--shard={shard}", status=1)


@pytest.mark.slow
def test_a_row_says_what_the_explanation_says(corpus, tmp_path):
    explain(corpus, tmp_path, "--maps")
    row = lines_of(tmp_path / "results.jsonl")[3]
    (said,) = row["explanations"]
    kept = xaudio.Explanation.load(tmp_path / f"shards/{row['shard']:05d}/recordings/{row['id']}/explanation.safetensors")
    assert said["logit"] == kept.score
    assert said["predicted"] == kept.classes[kept.predicted]
    assert sum(said["relevance_along"]["time"]["sums"]) == pytest.approx(kept.relevance.sum(), abs=1e-6)
    assert row["source"] == f"wav/{row['row']:03d}.wav"
    assert row["device"] == "cpu"


TAGGER = """
import torch

class Peak(torch.nn.Module):
    representation, classes = "waveform:samples=1200,sample_rate=4000,normalisation=none", ("a", "b")

    def forward(self, features):
        loudest = features.flatten(1).abs().amax(1, keepdim=True)
        return 10 * loudest - torch.tensor([1.0, 2.0])
"""


@pytest.mark.parametrize("views", [[], ["time"], ["time", "frequency"]])
def test_labels_above_a_threshold_stay_with_their_recording(tmp_path, views):
    (tmp_path / "tagger.py").write_text(TAGGER)
    noise = np.random.default_rng(0).uniform(-1, 1, 1000)
    for name, loudness in {"loud": 0.8, "quiet": 0.01, "soft": 0.15}.items():
        soundfile.write(tmp_path / f"{name}.wav", loudness * noise, 4000)
    (tmp_path / "m.csv").write_text("path\nloud.wav\nquiet.wav\nsoft.wav\n")
    words = ["explain", "--manifest", str(tmp_path / "m.csv"), "--model", f"python:at={tmp_path / 'tagger.py'}:Peak,kind=labels"]
    words += ["--explainer", "gradient", "--threshold", "0.5", "--maps", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, *(word for view in views for word in ("--view", view))])
    assert not done.exception, done.output
    explained = {
        row["source"]: [item["explained"] for item in row["explanations"]] for row in lines_of(tmp_path / "out/results.jsonl")
    }
    assert explained == {
        "loud.wav": ["a", "b"] * max(1, len(views)),
        "quiet.wav": [],
        "soft.wav": ["a"] * max(1, len(views)),
    }


def test_excerpts_targets_and_errors_of_rows(corpus, tmp_path):
    soundfile.write(corpus / "data/long.wav", np.random.default_rng(5).uniform(-0.5, 0.5, 6000), 4000)
    (corpus / "data/damaged.wav").write_bytes(b"RIFF not a sound")
    manifest = corpus / "data/rows.jsonl"
    rows = [
        {"source": "long.wav", "start": 0.25, "end": 0.5, "target": "b"},
        {"source": "long.wav", "start": 0.5, "end": 0.75},
        {"source": "long.wav", "start": 9, "end": 9.5},
        {"source": "damaged.wav"},
        {"source": "wav/000.wav", "target": "nothing"},
        {"source": "wav/001.wav"},
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    words = [str(manifest) if word.endswith("m.csv") else word for word in words_of(corpus, tmp_path / "out")]
    shown = CliRunner().invoke(app, words).output
    assert "6 rows: 3 done, 3 failed" in shown
    done = {row["row"]: row["explanations"][0] for row in lines_of(tmp_path / "out/results.jsonl")}
    assert set(done) == {0, 1, 5}
    assert done[0]["explained"] == "b"
    assert done[0]["recording_span"] == [0.25, 0.5]
    alone = xaudio.explain(
        f"python:at={corpus / 'model.py'}:network",
        xaudio.read_audio(corpus / "data/long.wav").waveform[2000:3000],
        sample_rate=4000,
        explainer="gradient",
    )
    assert done[1]["logit"] == pytest.approx(alone.score, abs=1e-6)
    errors = {row["row"]: row["error"] for row in lines_of(tmp_path / "out/errors.jsonl")}
    assert "it ends at 1.5 s" in errors[2]
    assert "nothing" in errors[4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path\n../secret.wav\n", r"line 2: '\.\./secret\.wav' leads out of the folder of the manifest"),
        ("path\na/../../secret.wav\n", "leads out of the folder"),
        ("path\n/etc/passwd\n", "line 2: '/etc/passwd' is an absolute path"),
        ("path\nC:\\secret.wav\n", "is an absolute path"),
        ("path\n..\\secret.wav\n", "leads out of the folder"),
        ("name\na.wav\n", "has no column for the recording"),
        ("path,start\na.wav,soon\n", "'soon' is not a time"),
        ("path,start,end\na.wav,2,1\n", "is not an excerpt: 2 to 1 s"),
        ("path\n\0\n", "line 2: names no recording|cannot be read"),
    ],
)
def test_what_a_manifest_may_not_say(tmp_path, text, words):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        list(read_manifest(path))


@pytest.mark.parametrize(
    ("name", "text"), [("m.csv", "path,start\na.wav,0\n\n\nb.wav,soon\n"), ("m.jsonl", '{"path": "a.wav"}\n\n\n\n{"path": ""}\n')]
)
def test_a_row_behind_blank_lines_is_named_by_its_line(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=r"line 5: "):
        list(read_manifest(tmp_path / name))


def test_a_link_out_of_the_folder_is_an_error_of_its_row_and_outside_may_be_allowed(tmp_path):
    (tmp_path / "data").mkdir()
    soundfile.write(tmp_path / "secret.wav", np.zeros(100), 4000)
    (tmp_path / "data/link.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(DataError, match=r"link\.wav: leads out of .* by a link"):
        Recordings(str(tmp_path / "data"), False).clip({"source": "link.wav"})
    assert len(Recordings(str(tmp_path / "data"), True).clip({"source": "link.wav"}).waveform) == 100
    (tmp_path / "data/m.tsv").write_text(f"file\tlabel\n{tmp_path / 'secret.wav'}\tx\n")
    assert list(read_manifest(tmp_path / "data/m.tsv", outside=True)) == [{"source": str(tmp_path / "secret.wav")}]


@pytest.mark.slow
def test_windows_of_many_recordings_are_shared(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("xaudio_local._local.CONTEXT", "fork")
    for number in range(3):
        soundfile.write(corpus / f"data/long{number}.wav", np.random.default_rng(number).uniform(-0.5, 0.5, 4000), 4000)
    (corpus / "data/long.csv").write_text("path\n" + "".join(f"long{number}.wav\n" for number in range(3)))
    more = ("--window", "0.3", "--explain", "top:1", "--render", "segments")

    def of_windows(out, *how):
        words = [str(corpus / "data/long.csv") if word.endswith("m.csv") else word for word in words_of(corpus, tmp_path / out)]
        done = CliRunner().invoke(app, [*words, *more, *how])
        assert not done.exception, done.output
        return done.output

    of_windows("one")
    of_windows("two", "--workers", "2")
    assert "Done with this part" in of_windows("three", "--shard", "1/2")
    of_windows("three", "--shard", "2/2")
    tables = [
        {path.relative_to(tmp_path / out): path.read_bytes() for path in (tmp_path / out).glob("long*/*.csv")}
        for out in ("one", "two", "three")
    ]
    assert len(tables[0]) >= 3
    assert tables[0] == tables[1] == tables[2]


@pytest.mark.parametrize("part", [(), ("--shard", "1/2")])
def test_what_a_part_of_windows_began_is_left_to_the_others_where_it_fails(part, corpus, tmp_path, monkeypatch):
    def failing(*args):
        raise DataError("gone")

    monkeypatch.setattr("xaudio.cli.windows.share_recordings", failing)
    monkeypatch.setattr("xaudio.cli.windows.explain_recordings", failing)
    words = [*words_of(corpus, tmp_path / "out"), "--window", "0.3", "--render", "segments", *part]
    done = CliRunner().invoke(app, words)
    assert str(done.exception) == "gone"
    assert (tmp_path / "out/run.json").exists() == bool(part)


def test_what_a_killed_process_left_beside_its_windows_goes(corpus, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 4000), 4000)
    out = tmp_path / "out"
    words = ["explain", str(tmp_path / "long.wav"), "--model", f"python:at={corpus / 'model.py'}:network", "--out", str(out)]
    words += ["--window", "0.3", "--explainer", "gradient", "--render", "segments", "--explain"]
    assert not CliRunner().invoke(app, [*words, "top:1"]).exception
    for left in (out / ".xaudio-1", out / "windows/.xaudio-2"):
        left.mkdir()
        (left / "explanation.safetensors").write_text("half")
        os.utime(left, (0, 0))
    done = CliRunner().invoke(app, [*words, "top:2"])
    assert not done.exception, done.output
    assert not list(out.rglob(".xaudio-*"))
    (out / "windows/.xaudio-3").mkdir()
    (out / "windows/.xaudio-3/explanation.safetensors").write_text("what another writes at the moment")
    assert [path for path in files_in(out) if ".xaudio" in str(path.relative_to(out))] == []
    files = json.loads((out / "run.json").read_text())["files"]
    assert sorted(files) == sorted(path.relative_to(out).as_posix() for path in files_in(out) if path.name != "run.json")
    assert sum(name.endswith("explanation.safetensors") for name in files) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--hop", "0.1"], "--hop would be ignored: leave it out, or give it with --window"),
        (["--explain", "all", "--weights", "sum"], "--explain and --weights would be ignored"),
        (["--maps"], "--maps would be ignored: leave it out, or give it with --manifest or --workers"),
        (["--shards", "3"], "--shards would be ignored"),
        (["--window", "0.2", "--maps"], "and not with --window"),
        (["--allow-outside"], "--allow-outside would be ignored: leave it out, or give it with --manifest"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(corpus, tmp_path, more, words):
    model = f"python:at={corpus / 'model.py'}:network"
    given = ["explain", str(corpus / "data/wav/000.wav"), "--model", model, "--out", str(tmp_path / "out"), *more]
    assert words in str(CliRunner().invoke(app, given).exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--explainer", "none"], "Unknown explainer 'none'"),
        (["--target", "d"], "'d'"),
        (["--contrast", "d"], "'d'"),
        (["--threshold", "0.5"], "A threshold of 0.5 was given to a model of the kind 'classes': it is a probability of labels"),
        (["--render", "none"], "Unknown renderer 'none'"),
        (["--engine", "none"], "Unknown engine 'none'"),
        (["--shard", "1/2", "--workers", "2"], "cannot be combined"),
    ],
)
def test_what_no_row_could_be_explained_with_is_refused_at_once(corpus, tmp_path, more, words):
    assert words in explain(corpus, tmp_path / "out", *more, status=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_model_that_changed_is_refused(corpus, tmp_path):
    explain(corpus, tmp_path / "out")
    (tmp_path / "other.py").write_text((corpus / "model.py").read_text().replace("manual_seed(0)", "manual_seed(1)"))
    words = words_of(corpus, tmp_path / "out")
    words[words.index("--model") + 1] = f"python:at={tmp_path / 'other.py'}:network"
    assert "belongs to a run of other settings" in str(CliRunner().invoke(app, words).exception)
    fields = [{"source": "wav/000.wav"}]
    options = {"device": "cpu", "recordings": {"root": str(corpus / "data"), "outside": False}, "explainers": ["gradient"]}
    options |= {"targets": [None], "settings": {}, "maps": False, "renderers": []}
    plan = planned(tmp_path / "plan", {"model": "another"}, fields, lambda one: 1.0, batch=8)
    with pytest.raises(xaudio.ModelError, match="was planned with the model another"):
        carry_out(plan, ExplainRows, {"model": f"python:at={corpus / 'model.py'}:network", **options})
    assert gather(plan, tmp_path / "plan").missing == 1
