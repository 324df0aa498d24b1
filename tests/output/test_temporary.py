"""Temporary files: those of dead processes go, those that are being written stay."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from xaudio.output import temporary
from xaudio.output.runs import replaced
from xaudio.output.temporary import LEFTOVER, OLD, remove_leftovers, temporary_prefix


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob(f"{LEFTOVER}*"))


def write_slowly(path: Path, half: object, rest: object) -> None:
    with replaced(path) as writing:
        writing.write_text("half")
        half.set()  # type: ignore[attr-defined]
        rest.wait()  # type: ignore[attr-defined]
        writing.write_text("whole")


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("killed", [False, True])
def test_what_another_process_writes_stays_until_it_is_dead(killed: bool, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    half, rest = context.Event(), context.Event()
    process = context.Process(target=write_slowly, args=(tmp_path / "a.txt", half, rest))
    process.start()
    half.wait(60)
    remove_leftovers(tmp_path)
    assert len(left_in(tmp_path)) == 1
    if killed:
        process.kill()
    else:
        rest.set()
    process.join()
    assert process.exitcode == (-9 if killed else 0)
    assert len(left_in(tmp_path)) == killed
    remove_leftovers(tmp_path)
    assert left_in(tmp_path) == []
    assert (tmp_path / "a.txt").exists() != killed


def test_what_this_process_writes_stays(tmp_path: Path) -> None:
    with replaced(tmp_path / "a.txt") as writing:
        remove_leftovers(tmp_path)
        writing.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("made", ["file", "folder"])
@pytest.mark.parametrize("name", ["of another machine", "of an earlier version"])
def test_what_a_process_elsewhere_left_goes_when_it_is_old(
    name: str, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(temporary, "machine", lambda: "another")
        path = tmp_path / f"{temporary_prefix() if 'machine' in name else LEFTOVER}a-long-name.txt"
    path.touch() if made == "file" else path.mkdir()
    remove_leftovers(tmp_path)
    assert path.exists()
    os.utime(path, (time.time() - OLD - 1,) * 2)
    remove_leftovers(tmp_path)
    assert not path.exists()


def test_a_number_that_is_given_again_is_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(temporary, "started", lambda pid: "earlier")
        (tmp_path / f"{temporary_prefix()}a.txt").touch()
    remove_leftovers(tmp_path)
    assert left_in(tmp_path) == []
