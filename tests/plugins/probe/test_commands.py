"""`xaudio probe` as a person uses it."""

import csv
import json

import pytest
import torch

import xaudio
from xaudio_probe.results import ProbeResults

DATA = "synthetic:speakers=8,repetitions=1"


@pytest.fixture
def probe(run_command):
    def run(folder, out, *changes, over="recordings", status=0, more=()):
        given = ["--model", folder, "--dataset", DATA, "--out", out, "--over", over, "--draws", 2, *more]
        return run_command("probe", *given, *(part for change in changes for part in ("--change", change)), status=status)

    return run


def test_it_writes_what_it_found_and_says_it_in_words(probe, run_command, spectrogram_run_folder, tmp_path):
    out = tmp_path / "out"
    changes = ["band:low=100,high=300,slots:start=0.05+stop=0.1", "scale:factor=1.5"]
    done = probe(spectrogram_run_folder, out, *changes, more=["--recordings", 12])
    assert {path.name for path in out.iterdir()} == {
        "results.json",
        "report.html",
        "run.json",
        "rows-1-band.csv",
        "rows-2-slots.csv",
        "rows-3-scale.csv",
    }
    results = ProbeResults.model_validate_json((out / "results.json").read_text())
    assert [change.change for change in results.changes] == ["band:low=100,high=300", "slots:start=0.05+stop=0.1", changes[1]]
    assert results.recordings == 12
    for change in results.changes:
        for control in change.controls:
            assert control.statement in done.stdout
    table = done.stdout.splitlines()
    assert table[0].split()[:4] == ["change", "before", "after", "control"]
    assert sum(line.startswith("scale:factor=1.5 ") for line in table) == 3  # a line for each control
    with (out / "rows-3-scale.csv").open() as file:
        rows = list(csv.DictReader(file))
    held_out = {row["speaker"] for row in rows}
    trained = json.loads((spectrogram_run_folder / "run.json").read_text())
    assert held_out <= set(trained["data"]["test_speakers"])
    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert run_command("report", out).stdout == f"Report: {out / 'report.html'}\n"
    assert (out / "report.html").read_text() == page
    # The same command reads what is there; another is refused.
    again = probe(spectrogram_run_folder, out, *changes, more=["--recordings", 12, "--json"])
    assert json.loads(again.stdout) == json.loads((out / "results.json").read_text())
    assert "Probing" not in again.stderr
    refused = probe(spectrogram_run_folder, out, "band:low=100,high=300", status=1)
    assert refused.stderr.count("xaudio: error:") == 1


@pytest.mark.parametrize(
    ("change", "over", "message"),
    [
        ("bnd:low=100,high=300", "recordings", "Unknown change 'bnd'. Did you mean 'band'?"),
        ("band:low=100,high=5000", "recordings", "The band of 100 to 5000 Hz does not fit"),
        ("level:gain=6", "speakers", "too few for an interval, which needs 3 or more"),
    ],
)
def test_wrong_use_gets_one_line_and_writes_nothing(probe, run_folder, tmp_path, change, over, message):
    done = probe(run_folder, tmp_path / "out", change, over=over, status=1)
    lines = [line for line in done.stderr.splitlines() if line.startswith("xaudio: error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy_and_shows_how_a_change_is_written(run_python):
    program = (
        "import sys; from xaudio.cli.app import main\nsys.argv = ['xaudio', 'probe', '--help']\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, 'scipy' in sys.modules, file=sys.stderr)"
    )
    done = run_python(program)
    assert "band:low=100,high=300" in "".join(done.stdout.split())
    assert done.stderr.splitlines()[-1] == "False False"


def test_models_of_different_data_are_not_probed_as_one(run_command, spectrogram_run_folder, tmp_path):
    """An index of one data set is no recording of another."""
    speech = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1, seed=1)
    training = {"steps": 1, "batch_size": 4}
    other = xaudio.Experiment(speech, "digit", 1, "audionet", training=training)
    xaudio.run_experiment(other, tmp_path / "b", torch.device("cpu"))
    given = ["--change", "scale:factor=1.5", "--out", tmp_path / "out"]
    done = run_command("probe", "--model", spectrogram_run_folder, "--model", tmp_path / "b", *given, status=1)
    assert "b: was trained on synthetic speech (8 speakers, seed 1), " in done.stderr
    assert "hold other recordings" in done.stderr
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
