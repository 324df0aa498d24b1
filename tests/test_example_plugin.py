"""The third party's plugin of the documentation: installed as anyone's, used through the command line."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "docs" / "example-plugin"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which the example is installed beside xaudio (in a folder of its own, to leave this one clean)."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*command, str(EXAMPLE)], check=True, capture_output=True, timeout=120)
    return os.environ | {"PYTHONPATH": str(target)}


def xaudio(environment, *arguments):
    program = "import sys; sys.argv[0] = 'xaudio'; from xaudio.cli.app import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_explains_a_recording_through_the_command_line(environment, run_folder, recording, tmp_path):
    listed = json.loads(xaudio(environment, "plugins", "list", "--json"))
    mine = [item for item in listed["plugins"] if item["name"] == "sensitivity"]
    assert [(item["kind"], item["distribution"]) for item in mine] == [("explainer", "xaudio-example-sensitivity")]
    options = ["--explainer", "sensitivity", "--render", "visual", "--json"]
    record = json.loads(xaudio(environment, "explain", recording, "--model", run_folder, "--out", tmp_path / "out", *options))
    assert record[0]["explainer"] == "sensitivity"
    assert (tmp_path / "out" / "explanation.png").stat().st_size > 10_000
    assert "FAIL" not in xaudio(environment, "plugins", "check", "sensitivity")


def test_it_is_at_most_twelve_lines_of_code():
    source = (EXAMPLE / "xaudio_example_sensitivity" / "__init__.py").read_text()
    ast.parse(source)
    assert len([line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]) <= 12
