"""A command that is stopped, or whose output has nowhere to go, says so in one line and leaves nothing half-written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from program import EVERY
from typer.main import get_command

from xaudio.cli.app import app
from xaudio.cli.stopping import GOES_ON, NOTHING, kept
from xaudio.output.temporary import LEFTOVER
from xaudio.plugin import when_stopped
from xaudio.registry.loading import registry

pytestmark = [
    pytest.mark.usefixtures("processes"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals"),
]

MAIN = "from xaudio.__main__ import main; main()"
INTERRUPTING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


def started(program, *arguments):
    """A process to which Ctrl-C comes through, also where the tests themselves run in the background."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def stopped(process, mark, number=signal.SIGINT):
    """What a process says after a signal that it gets once it has said something, and its exit status."""
    for line in process.stderr:
        if mark in line:
            break
    process.send_signal(number)
    _, rest = process.communicate(timeout=120)
    assert "Traceback" not in rest
    return rest, process.returncode


def test_explain_that_is_stopped_leaves_whole_files(run_folder, recording, tmp_path):
    options = ("--model", run_folder, "--out", tmp_path / "out", "--device", "cpu", "--explainer", "lime:samples=20000")
    rest, status = stopped(started(MAIN, "explain", *[recording] * 8, *options), "Explaining with lime")
    assert status == 130
    assert rest.splitlines() == [f"xaudio: stopped; {SAID['explain']}"]
    assert not list((tmp_path / "out").rglob(f"{LEFTOVER}*"))
    assert not (tmp_path / "out" / "run.json").exists()


def test_groups_that_are_asked_to_end_go_on(run_folder, tmp_path):
    arguments = ("groups", "--model", run_folder, "--out", tmp_path, "--device", "cpu", "--explainer", "lime:samples=20000")
    rest, status = stopped(started(MAIN, *arguments), "Explaining", signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert rest.splitlines()[-1] == f"xaudio: stopped; {GOES_ON}"
    assert not list(tmp_path.rglob(f"{LEFTOVER}*"))


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("typer", ("doctor", "x"), "xaudio: stopped; nothing was begun."),
        ("torch", ("doctor", "x"), f"xaudio: stopped; {NOTHING}"),
        ("torch", ("evaluate", "--model", "x", "--out", "y"), f"xaudio: stopped; {GOES_ON}"),
    ],
)
def test_while_modules_load(module, words, said, tmp_path):
    process = started(INTERRUPTING.format(module=module) + MAIN, *words)
    out, rest = process.communicate(timeout=120)
    assert (out, rest.splitlines(), process.returncode) == ("", [said], 130)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_checks_of_a_plugin_are_stopped_and_no_verdict(number):
    process = started(MAIN, "plugins", "check", "lime:samples=200000")
    for line in process.stderr:
        if "Checking" in line:
            break
    time.sleep(2)
    process.send_signal(number)
    out, rest = process.communicate(timeout=120)
    assert (out, rest.splitlines()[-1:], process.returncode) == ("", [f"xaudio: stopped; {NOTHING}"], 128 + number)


def test_a_second_time_ends_at_once():
    program = """
import os, signal, time
from xaudio.cli.app import stopping
stopping.watch()
try:
    os.kill(os.getpid(), signal.SIGINT)
finally:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(100)
"""
    process = started(program)
    _, rest = process.communicate(timeout=60)
    assert (rest, process.returncode) == ("xaudio: stopped at once.\n", 130)


SAID = {
    **dict.fromkeys(("train", "evaluate", "probe", "groups", "cluster", "concepts", "study build", "bench audiomnist"), GOES_ON),
    "explore": "only what you saved was kept. Run the same command again to start over.",
    "explain": "what is in the folder of --out is whole. Run the same command again to make all of it.",
    "report": "the report is whole, the earlier one or the new one. Run the same command again to rewrite it.",
    "data fetch": "what was downloaded is kept. Run the same command again to continue.",
    "study serve": "all answers that were acknowledged are stored. Run the same command again to serve the study.",
    "study invite": "invitations that were not shown may exist; see xaudio study status.",
    "study withdraw": "see xaudio study status for what was withdrawn. Run the same command again to withdraw the rest.",
}


def test_every_command_says_what_is_kept():
    program = get_command(app)
    benchmarks = {f"bench {name}": GOES_ON for name in registry().names("benchmark")}
    every = [" ".join(words) for words in EVERY]
    assert set(SAID) <= set(every)
    assert {words: kept(program, [*words.split(), "x"]) for words in every} == dict.fromkeys(every, NOTHING) | SAID | benchmarks
    for words, said in SAID.items():
        assert kept(program, [*words.split(), "--out", "study"]) == said
    for words in ("doctor x", "plugins check lrp", "data info fsdd", "study analyze x", "bench compare a b", "studies", ""):
        assert kept(program, words.split()) == NOTHING


def test_a_command_of_a_third_party_says_what_is_kept():
    @when_stopped("half of it is there.")
    def hello() -> None:
        """Say it."""

    assert kept(_program(hello), ["hello"]) == "half of it is there."
    assert kept(_program(lambda: None), ["hello"]) == NOTHING


def _program(command):
    group = typer.Typer()
    group.callback()(lambda: None)
    group.command("hello")(command)
    return get_command(group)


@pytest.mark.parametrize("words", ["plugins list", "plugins show lrp", "data info --help"])
def test_a_reader_that_ends_early_is_no_error_worth_a_traceback(words):
    process = started(MAIN, *words.split())
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "plugins", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "xaudio: error: the output cannot be used (No space left on device).\n"
