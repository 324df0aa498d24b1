"""A bar on a terminal, plain lines elsewhere, nothing on stdout."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from xaudio import terminal as module
from xaudio.terminal import progress

WORK = """
import sys, time
from xaudio.terminal import progress
with progress("Training [bold]x[/bold] [/y]", 4, done=1) as advance:
    for step in range(3):
        time.sleep(0.02)
        advance(note=f"loss [/{step}]")
        if step == 1 and "fail" in sys.argv:
            raise RuntimeError("stopped")
print("result")
"""


def test_elsewhere_lines_are_plain_and_go_to_stderr() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, timeout=60, check=True)
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
def test_an_error_ends_the_bar_where_it_was() -> None:
    shown, out = on_a_terminal("fail")
    assert out == ""
    assert "3/4" in shown
    assert "4/4" not in shown
    assert "RuntimeError: stopped" in shown
