"""A bar on a terminal, plain lines elsewhere, nothing on stdout."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xaudio.cli.app import app
from xaudio.output import terminal as module
from xaudio.output.terminal import in_sight, progress, reported_to

WORK = """
import sys, time
from xaudio.output.terminal import progress
with progress("Training [bold]x[/bold] [/y]", 4, done=1) as advance:
    for step in range(3):
        time.sleep(0.02)
        advance(note=f"loss [/{step}]")
        if step == 1 and "fail" in sys.argv:
            raise RuntimeError("stopped")
print("result")
"""


def test_elsewhere_lines_are_plain_and_go_to_stderr(run_python: Any) -> None:
    done = run_python(WORK)
    assert done.stdout == "result\n"
    assert done.stderr == "Training [bold]x[/bold] [/y]: 3 to do\n"  # too short for more


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_long_work_says_how_fast_it_is_and_what_is_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Training", 100, done=20) as advance:
        for step in range(8):
            clock[0] += 5
            advance(10, note=f"loss {step}")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Training: 80 to do",
        "Training: 50/100 (2/s, 25 s left) loss 2",
        "Training: 80/100 (2/s, 10 s left) loss 5",
        "Training: 100/100 (2/s, 0 s left) loss 7",
    ]


def test_nothing_to_do_and_slow_work_divide_by_no_zero(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Nothing", 0):
        pass
    with progress("Slow", 10) as advance:
        clock[0] += 20
        advance(0)
    assert capsys.readouterr().err.splitlines() == ["Nothing: 0 to do", "Slow: 10 to do", "Slow: 0/10 (0/s, )"]


def on_a_terminal(*arguments: str) -> tuple[str, str]:
    """What the work shows on a terminal, and its stdout."""
    import pty

    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160"}
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, *arguments], stdout=subprocess.PIPE, stderr=follower, text=True, env=environment
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:  # the other end was closed
            break
        if not block:
            break
        shown += block
    os.close(leader)
    out, _ = process.communicate(timeout=60)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()), out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.usefixtures("processes")
def test_on_a_terminal_there_is_a_bar() -> None:
    shown, out = on_a_terminal()
    assert out == "result\n"
    last = shown.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("Training [bold]x[/bold] [/y] ")  # a title is text, not markup
    assert "━" in last
    assert "4/4" in last
    assert "/s" in last
    assert last.rstrip().endswith("loss [/2]")
    assert "to do" not in shown


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.usefixtures("processes")
def test_an_error_ends_the_bar_where_it_was() -> None:
    shown, out = on_a_terminal("fail")
    assert out == ""
    assert "3/4" in shown
    assert "4/4" not in shown
    assert "RuntimeError: stopped" in shown


def test_work_within_a_piece_is_told_beside_it(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Measuring", 2) as advance:
        for _ in range(2):
            with progress("Explaining", 40) as inner:
                for _ in in_sight(range(8)):
                    clock[0] += 4
                inner(20)
                clock[0] += 20
                inner(20)
            advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Measuring: 2 to do"
    assert lines[1] == "Measuring: 0/2 (0/s, ) pass 4/8, 16 s left of it"
    assert "Measuring: 0/2 (0/s, ) Explaining: 40/40" in lines
    assert not any(line.startswith("Explaining") for line in lines), "one bar at a time"


def test_python_is_quiet_and_commands_are_not(
    run_folder: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import xaudio

    xaudio.explain(run_folder, [recording] * 2, explainer="gradient", device="cpu")[0].render("html", folder=tmp_path)
    assert capsys.readouterr().err == ""
    options = ["--explainer", "gradient", "--render", "html", "--out", str(tmp_path / "out"), "--device", "cpu", "--json"]
    done = CliRunner().invoke(app, ["explain", str(recording), str(recording), "--model", str(run_folder), *options])
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)) == 2, "progress does not reach what a program reads"
    for line in ("Reading recordings", "Explaining with gradient", "Rendering"):
        assert f"{line}: 2 to do" in done.stderr
    xaudio.explain(run_folder, recording, explainer="gradient", device="cpu")
    assert capsys.readouterr().err == "", "quiet again"


@pytest.mark.parametrize("explainer", ["kernel_shap:internal_batch_size=16", "audiolime:internal_batch_size=16,samples=100"])
def test_slow_explainers_say_how_many_passes_are_done(
    run_folder: Path, recording: Path, explainer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import xaudio

    whole = xaudio.explain(run_folder, recording, explainer=explainer, device="cpu")
    monkeypatch.setattr(module, "PLAIN_INTERVAL", 0.0)
    with progress("Working", 1):
        told = xaudio.explain(run_folder, recording, explainer=explainer, device="cpu")
    assert re.search(r"Working: 0/1 .*pass \d+/\d+, \d+ s left of it", capsys.readouterr().err)
    assert (told.relevance == whole.relevance).all()


def test_progress_is_reported_to_a_function_which_may_end_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    class EnoughError(Exception):
        pass

    told: list[tuple[str, float]] = []

    def tell(text: str, share: float) -> None:
        told.append((text, share))
        if share > 0.5:
            raise EnoughError

    with pytest.raises(EnoughError), reported_to(tell), progress("Working", 2) as advance:
        advance()
        for _ in in_sight(range(4)):
            pass
    assert [(text.split(",")[0], share) for text, share in told] == [
        ("Working: 1/2", 0.5),
        ("pass 1/4", 0.25),
        ("pass 2/4", 0.5),
        ("pass 3/4", 0.75),
    ]
    assert capsys.readouterr().err == ""
    with progress("Working", 1):
        pass
    assert "Working" in capsys.readouterr().err
