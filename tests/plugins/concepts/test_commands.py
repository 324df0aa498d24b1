"""`xaudio concepts` as a person uses it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from xaudio import Explanation
from xaudio_concepts.results import ConceptResults

DATA = "synthetic:speakers=8,repetitions=1"
PROGRAM = "import sys; sys.argv[0] = 'xaudio'; from xaudio.cli.app import main; main()"


@pytest.fixture(scope="module")
def concepts(run_command):
    def run(folder, out, *more, status=0):
        fewest = ["--top", 2, "--references", 2, "--draws", 2, "--recordings", 8]
        return run_command("concepts", "--model", folder, "--dataset", DATA, "--out", out, *fewest, *more, status=status)

    return run


@pytest.fixture(scope="module")
def written(concepts, run_folder, tmp_path_factory):
    """What the command writes for a recording, with the layer named."""
    folder = tmp_path_factory.mktemp("concepts")
    recording = folder / "nine.wav"
    time_s = np.arange(8000) / 16000
    soundfile.write(recording, 0.3 * np.sin(2 * np.pi * 440 * time_s) * np.hanning(8000), 16000)
    out = folder / "out"
    done = concepts(run_folder, out, recording, "--layer", "convolutions.3", "--class", "9", "--render", "audible:format=flac")
    return out, done, recording


def test_it_writes_channels_with_what_they_hear(written):
    out, done, _ = written
    results = ConceptResults.model_validate_json((out / "results.json").read_text())
    assert {path.name for path in out.iterdir()} == {
        *("results.json", "report.html", "run.json", "scan", "figures", "audio", "explanations")
    }
    assert (results.layer, results.kind, len(results.shares), results.explained_class) == ("convolutions.3", "Conv2d", 64, "9")
    assert sum(abs(share) for share in results.shares) == pytest.approx(1)
    assert results.recordings == 8
    assert results.switched is not None
    assert results.switched.statement in done.stdout
    for channel in results.channels:
        assert re.search(rf"^{channel.channel} ", done.stdout, re.M)
        for reference in channel.references:
            (span,) = reference.field
            assert 1 <= span.last - span.first + 1 <= 9  # 3 positions, each of a window of 3 every 2, of a kernel of 3
            assert (out / reference.picture).read_bytes().startswith(b"\x89PNG")
            for sound in reference.sounds.values():
                samples, rate = soundfile.read(out / sound)
                assert rate == 8000
                assert 0 < np.abs(samples).max() <= 1
            assert span.last - span.first + 1 == len(soundfile.read(out / reference.sounds["excerpt"])[0])


def test_parts_of_channels_are_ordinary_explanations(written):
    out, _, recording = written
    results = ConceptResults.model_validate_json((out / "results.json").read_text())
    (item,) = results.explained
    assert (item.source, item.explained) == (recording.name, "9")
    for channel, folder in item.parts.items():
        part = Explanation.load(out / folder / "explanation.safetensors")
        assert part.explainer == f"lrp:layer=convolutions.3,channels={channel}"
        assert part.classes[part.target] == "9"
        assert (out / folder / "positive.flac").exists()


def test_the_page_needs_nothing_else_and_is_made_anew(run_command, written):
    out, _, _ = written
    page = (out / "report.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!data:|#)[^\"]", page)
    assert page.count("<audio") > 4
    (out / "report.html").unlink()
    assert "report.html" in run_command("report", out).stdout
    assert (out / "report.html").read_text() == page


def test_the_same_command_measures_nothing_again_and_another_is_refused(concepts, written, run_folder, tmp_path):
    out, _, recording = written
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    given = [recording, "--layer", "convolutions.3", "--class", "9", "--render", "audible:format=flac"]
    again = concepts(run_folder, copy, *given, "--json")
    assert json.loads(again.stdout) == json.loads((out / "results.json").read_text())
    assert "Measuring channels of convolutions.3: 0 to do" in again.stderr
    refused = concepts(run_folder, copy, recording, "--layer", "convolutions.6", status=1)
    assert refused.stderr.count("xaudio: error:") == 1
    assert "belongs to a run of other settings" in refused.stderr


def test_the_default_layer_is_the_last_convolution_and_it_says_so(concepts, spectrogram_run_folder, tmp_path):
    done = concepts(spectrogram_run_folder, tmp_path / "out", "--top", 1, "--references", 1)
    assert "note: No layer was named, so this is the last convolution, 'convolutions.10'." in done.stdout
    results = ConceptResults.model_validate_json((tmp_path / "out" / "results.json").read_text())
    assert results.default_layer
    for channel in results.channels:
        for reference in channel.references:
            assert [(span.axis, span.unit) for span in reference.field] == [("frequency", "Hz"), ("time", "s")]
            # Back from one position: 163 cells, or fewer where it reaches over an edge.
            assert all(span.last - span.first + 1 <= 163 for span in reference.field)
            assert any(span.last - span.first + 1 == 163 or span.first == 0 or span.last == 226 for span in reference.field)


def test_it_goes_on_after_an_interruption(run_command, run_folder, tmp_path):
    arguments = ["concepts", "--model", run_folder, "--dataset", DATA, "--out", tmp_path / "out", "--top", 1, "--references", 1]
    arguments += ["--draws", 2]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    parts, whole = tmp_path / "out" / "scan", "[!.]*.safetensors"  # what begins with a dot is still being written
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not list(parts.glob(whole)):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert "Traceback" not in told
    assert list(parts.glob(whole))
    assert "0 to do" in run_command(*arguments).stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--layer", "convolutions.9x"], "Did you mean 'convolutions.9'"),
        (
            ["--layer", "convolutions.2"],
            "is a ReLU; expected a convolution or linear layer: convolutions.0 (Conv2d, 100 channels)",
        ),
        (["--explainer", "gradient"], "cannot tell what flows through single channels"),
        (["--class", "ten"], "Unknown class 'ten'"),
        (["missing.wav"], "missing.wav"),
    ],
)
def test_wrong_use_gets_one_line_and_writes_nothing(concepts, run_folder, tmp_path, more, message):
    done = concepts(run_folder, tmp_path / "out", *more, status=1)
    lines = [line for line in done.stderr.splitlines() if line.startswith("xaudio: error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy(run_python):
    program = (
        "import sys; from xaudio.cli.app import main\nsys.argv = ['xaudio', 'concepts', '--help']\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, 'scipy' in sys.modules, file=sys.stderr)"
    )
    done = run_python(program)
    assert "--references" in done.stdout
    assert done.stderr.splitlines()[-1] == "False False"
