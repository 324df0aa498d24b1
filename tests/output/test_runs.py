"""Files of a run folder are written whole or not at all, and say where they came from."""

import json
import os
import shlex
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaudio.errors import ModelError, OutputError, XaudioError
from xaudio.output.folders import missing_folders, remove_without_results
from xaudio.output.runs import (
    PACKAGES,
    command_line,
    output_folder,
    read_json,
    refuse_other_command,
    replaced,
    versions,
    write_json,
    write_run,
    write_text,
)
from xaudio.output.temporary import LEFTOVER


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with replaced(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.txt"]


def test_the_content_is_on_the_disk_before_the_name_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, confirmed = tmp_path / "a.txt", []

    def fsync(file: int) -> None:
        assert not path.exists()
        confirmed.append(os.pread(file, 100, 0))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(path, "whole")
    assert confirmed == [b"whole"]
    assert path.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OutputError])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = write_text(tmp_path / "a.txt", "old")

    def write() -> None:
        with replaced(path) as temporary:
            temporary.write_text("ne")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_who_reads_while_it_is_written_sees_whole_files(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "0" * 50_000)
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for digit in "123456789":
        write_text(path, digit * 50_000)
    stop.set()
    reader.join()
    assert seen
    assert all(len(text) == 50_000 and len(set(text)) == 1 for text in seen)


def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.txt", tmp_path / "folder", tmp_path / ("a" * 300)):
        with pytest.raises(OutputError, match=r"cannot be written \(.+\)\. Check the folder and the space left\.") as caught:
            write_text(path, "text")
        assert str(path) in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    assert names(tmp_path) == ["file", "folder"]


def test_text_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "häß €")
    assert (tmp_path / "a").read_bytes() == "häß €".encode()


def test_json_is_read_back(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True, "häß"], "b": {"c": 1e-300}}
    assert read_json(write_json(tmp_path / "a.json", content)) == content


@pytest.mark.parametrize("content", [float("nan"), float("inf"), {"a": [float("-inf")]}, object(), np.float32(1)])
def test_what_json_does_not_know_is_refused_and_leaves_the_old_file(tmp_path: Path, content: object) -> None:
    path = write_json(tmp_path / "a.json", 1)
    with pytest.raises((ValueError, TypeError)):
        write_json(path, content)
    assert read_json(path) == 1
    assert names(tmp_path) == ["a.json"]


def test_json_that_cannot_be_read_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.json: there is no such file\. Is this a run folder of xaudio\?"):
        read_json(tmp_path / "a.json")
    for content in (b"", b"{", b"\xff\xfe", b'{"a": 1}}'):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(ModelError, match=r"a\.json: cannot be read") as caught:
            read_json(tmp_path / "a.json")
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ModelError, match="cannot be read"):
        read_json(tmp_path)


def test_an_output_folder_is_made_and_checked(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert output_folder(folder) == folder
    assert output_folder(folder) == folder
    assert names(folder) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inner", Path("/proc/1/xaudio")):
        with pytest.raises(OutputError, match=r"cannot be written \(.+\)\. Choose another --out\."):
            output_folder(path)


def refused_in(folder: Path, write: Any) -> None:
    made = missing_folders(folder)
    write(output_folder(folder))
    remove_without_results(made)


def test_a_command_that_is_refused_leaves_no_folder_of_its_own(tmp_path: Path) -> None:
    """Neither one that is empty, nor one with nothing but what was to be done; those around it that were made for it go too."""

    def begin(made: Path) -> None:
        write_run(made, settings={})
        (made / "model0" / "work").mkdir(parents=True)

    for write in (lambda made: None, begin):
        refused_in(tmp_path / "a" / "b", write)
        assert names(tmp_path) == []


def test_a_command_that_is_refused_keeps_what_was_there_and_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    refused_in(tmp_path / "there", lambda made: None)
    refused_in(tmp_path / "around" / "new", lambda made: write_text(tmp_path / "around" / "of-others", ""))
    refused_in(tmp_path / "done", lambda made: (write_run(made, settings={}), write_text(made / "model0" / "scores.csv", "1")))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "around",
        "around/of-others",
        "done",
        "done/model0",
        "done/model0/scores.csv",
        "done/run.json",
        "there",
    ]


def test_versions_are_those_of_this_environment() -> None:
    found = versions()
    assert set(found) == {"python", "platform", *PACKAGES}
    assert found["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert json.loads(json.dumps(found)) == found


def test_the_command_line_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/bin/xaudio", "explain", "a file.wav", "--target", "it's"])
    assert shlex.split(command_line()) == ["xaudio", "explain", "a file.wav", "--target", "it's"]


def test_a_run_names_command_settings_versions_and_time(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    record = read_json(write_run(tmp_path, settings={"steps": 5}, device="cpu", data={"fingerprint": "abc"}))
    assert record["settings"] == {"steps": 5}
    assert (record["device"], record["data"]) == ("cpu", {"fingerprint": "abc"})
    assert record["command"] == command_line()
    assert record["versions"] == versions()
    assert before <= datetime.fromisoformat(record["written"]) <= datetime.now(UTC)
    assert names(tmp_path) == ["run.json"]


def test_a_process_that_is_killed_leaves_no_half_file(run_python: Any, tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "old")
    code = """
import os, sys
from pathlib import Path
from xaudio.output.runs import replaced
with replaced(Path(sys.argv[1])) as temporary:
    temporary.write_text("ne")
    os.kill(os.getpid(), 9)
"""
    run_python(code, path, status=-signal.SIGKILL)
    assert path.read_text() == "old"
    assert [name for name in names(tmp_path) if not (name.startswith(LEFTOVER) and "-a.txt." in name)] == ["a.txt"]


LONG = {"ascii": "x" * 240 + ".txt", "two bytes": "é" * 120 + ".txt", "ending": "x." + "y" * 250, "three bytes": "漢" * 80}


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path: Path, name: str) -> None:
    assert write_text(tmp_path / name, "text").read_text() == "text"
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("content", ["[1, 2]", '"text"', '{"command": "xaudio explain \'a.wav"}', '{"command": null}'])
def test_a_record_that_says_no_command_stands_in_nobodys_way(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    (tmp_path / "result.csv").write_text("a\n")
    refuse_other_command(tmp_path)


def test_every_error_of_the_core_is_one_that_the_command_line_shows() -> None:
    from xaudio import errors

    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    kinds = [kind for kind in found if not issubclass(kind, Warning)]
    assert len(kinds) >= 7
    assert all(issubclass(kind, XaudioError) for kind in kinds)
    assert not issubclass(XaudioError, OSError)  # or a message would be taken for that of a full disk
    assert os.linesep not in errors.unknown("task", "a\nb", ["x"])


def test_unknown_names_are_answered_with_the_nearest() -> None:
    from xaudio.errors import unknown

    assert unknown("task", "digt", ["sex", "digit"]) == "Unknown task 'digt'. Did you mean 'digit'? Known: digit, sex."
    assert unknown("task", "zzz", ["sex", "digit"]) == "Unknown task 'zzz'. Known: digit, sex."
    assert unknown("task", "a", []) == "Unknown task 'a'. Known: none."
