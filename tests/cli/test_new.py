"""`xaudio plugins new`: what it writes is installed, keeps its contract and is well-formed, whatever the kind."""

import os
import re
import shutil
import subprocess
import sys
from typing import get_args

import pytest
from typer.testing import CliRunner

from xaudio.cli.app import app
from xaudio.cli.new import Kind

KINDS = get_args(Kind)
PIP = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation")


@pytest.fixture(scope="module")
def starters(tmp_path_factory):
    """A distribution for each kind, as a person has it written."""
    folder = tmp_path_factory.mktemp("starters")
    for kind in KINDS:
        done = CliRunner().invoke(app, ["plugins", "new", f"my-{kind}", "--kind", kind, "--out", str(folder / kind)])
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def environment(processes, starters, tmp_path_factory):
    """Where all of them are installed, in a folder of its own."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", *PIP, "--target", str(site), *(f"./{kind}" for kind in KINDS)]
    subprocess.run(command, cwd=starters, check=True, capture_output=True, timeout=300)
    return os.environ | {"PYTHONPATH": str(site)}


def test_the_tests_that_it_writes_pass(starters, environment):
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", "."]
    done = subprocess.run([*command, *KINDS], cwd=starters, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"^PASSED (\w+)/tests/", done.stdout, re.M)) == set(KINDS)


def test_its_command_is_one_of_xaudio(environment, run_command):
    assert run_command("my-command", "Ada", env=environment).stdout == "Hello, Ada.\n"
    assert "my-command" in run_command("--help", env=environment).stdout


def test_ruff_has_nothing_to_say(processes, starters):
    ruff = [shutil.which("ruff"), "check", "--isolated", "--line-length", "130"]
    done = subprocess.run(
        [*ruff, "--select", "B,E,F,I,RUF,SIM,UP,W", "."], cwd=starters, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["My-Plugin", "two words", "class", "../up", "-x", ""])
def test_a_name_that_none_can_have_is_refused_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="cannot name a plugin: expected small letters"):
        CliRunner().invoke(app, ["plugins", "new", "--", name], catch_exceptions=False)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path):
    with pytest.raises(Exception, match="is there already"):
        CliRunner().invoke(app, ["plugins", "new", "mine", "--out", str(tmp_path)], catch_exceptions=False)
    assert not list(tmp_path.iterdir())
