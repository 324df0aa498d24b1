"""The third party's plugins of the documentation: installed as anyone's, used through the command line."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def xaudio(processes, run_command, tmp_path_factory):
    """The command line where the examples are installed beside xaudio (in a folder of their own, to leave this one clean)."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(target)]
    examples = [str(DOCS / name) for name in ("example-plugin", "example-command")]
    subprocess.run([*command, *examples], check=True, capture_output=True, timeout=120)
    environment = os.environ | {"PYTHONPATH": str(target)}
    return lambda *arguments, **settings: run_command(*arguments, env=environment, **settings)


def test_it_explains_a_recording_through_the_command_line(xaudio, run_folder, recording, tmp_path):
    listed = json.loads(xaudio("plugins", "list", "--json").stdout)
    mine = [item for item in listed["plugins"] if item["name"] == "sensitivity"]
    assert [(item["kind"], item["distribution"]) for item in mine] == [("explainer", "xaudio-example-sensitivity")]
    options = ["--explainer", "sensitivity", "--render", "visual", "--json"]
    record = json.loads(xaudio("explain", recording, "--model", run_folder, "--out", tmp_path / "out", *options).stdout)
    assert record[0]["explainer"] == "sensitivity"
    assert (tmp_path / "out" / "explanation.png").stat().st_size > 10_000
    assert "FAIL" not in xaudio("plugins", "check", "sensitivity").stdout


def test_it_is_at_most_twelve_lines_of_code():
    source = (DOCS / "example-plugin" / "xaudio_example_sensitivity" / "__init__.py").read_text()
    ast.parse(source)
    assert len([line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]) <= 12


def test_its_command_is_one_of_xaudio_with_results_and_report(xaudio, run_folder, tmp_path):
    assert "Say which classes a model takes for which" in xaudio("--help").stdout
    out = tmp_path / "out"
    pairs = json.loads(xaudio("confusions", run_folder, "--out", out, "--json").stdout)
    trained = json.loads((run_folder / "results.json").read_text())
    wrong = trained["recordings"] - sum(row[place] for place, row in enumerate(trained["confusion"]))
    assert sum(pair["recordings"] for pair in pairs) == wrong > 0
    assert {path.name for path in out.iterdir()} == {"results.json", "run.json", "report.html"}
    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert xaudio("report", out).stdout == f"Report: {out / 'report.html'}\n"
    assert (out / "report.html").read_text() == page
    missing = xaudio("confusions", tmp_path / "none", "--out", tmp_path / "other", status=1)
    assert missing.stderr.count("xaudio: error:") == missing.stderr.count("\n") == 1
    assert not (tmp_path / "other").exists()
