"""No answer that was acknowledged is lost if the power fails, at whatever moment: a replay of all that the server wrote."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest
from unplugged import STRACE, Call, Disk, calls

from xaudio_bench_study.server import COMMAND, Client
from xaudio_bench_study.taking_part import Participant, all_at_once

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("strace") is None, reason="needs strace, which shows what a process writes"
)

ACKNOWLEDGED = re.compile(rb'\{"item":"([0-9a-f]{16})","position":(\d+),"answered":"([^"]+)"\}')


def traced(trace, *arguments):
    return [*STRACE, "-o", str(trace), *COMMAND, *map(str, arguments)]


@pytest.fixture(scope="module")
def recorded(processes, make_study, tmp_path_factory):
    """Traces of inviting and of serving a study that three people take part in; one has all deleted again."""
    folder = tmp_path_factory.mktemp("unplugged")
    study = make_study(
        folder / "study", right=4, wrong=2, seconds=0.12, checks={"level": False}, serving={"requests_per_second": 1e5}
    )
    inviting, serving = folder / "inviting", folder / "serving"
    done = subprocess.run(traced(inviting, "invite", study, "--count", "3"), capture_output=True, text=True, check=True)
    links = done.stdout.split()
    server = subprocess.Popen(traced(serving, "serve", study, "--port", 0), stdout=subprocess.PIPE, start_new_session=True)
    try:
        port = int(re.fullmatch(rb"Serving http://127.0.0.1:(\d+)/\n", server.stdout.readline())[1])
        people = [Participant(port, link.partition("#")[2], place) for place, link in enumerate(links)]
        logs = all_at_once(people)
        assert Client(port, logs[1].token).once("POST", "/api/withdraw", b'{"delete": true}')[0] == 200
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.communicate(timeout=30)
    return study, inviting, serving, links, logs


def rows_of(folder, query):
    connection = sqlite3.connect(folder / "answers.sqlite")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return set(connection.execute(query).fetchall())
    finally:
        connection.close()


def failures(disk, folder, seed, query):
    """What the database holds after a power failure now: with what is certain alone, and with parts of the rest."""
    for draw in (None, random.Random(seed), random.Random(seed + 1)):
        disk.after_failure(folder, draw)
        yield rows_of(folder, query)


def test_a_link_that_was_printed_stays_one(recorded, tmp_path):
    study, inviting, _, _, _ = recorded
    disk, printed = Disk(str(study)), 0
    for place, call in enumerate(calls(inviting)):
        printed += call.name == "write" and call.path != str(study) and call.content.startswith(b"http://")
        if (disk.replay(call) or call.name == "write") and printed:
            for people in failures(disk, tmp_path, place, "SELECT participant FROM participants"):
                assert len(people) == 3
    assert printed == 3
    assert disk.confirmed > 5


def test_an_answer_that_was_acknowledged_survives_a_power_failure_at_any_moment(recorded, tmp_path):
    study, inviting, serving, _, logs = recorded
    disk, told, moments, gone = Disk(str(study)), set(), 0, False
    for call in calls(inviting):
        disk.replay(call)
    withdrawn = logs[1].name
    for place, call in enumerate(calls(serving)):
        ours = disk.replay(call)
        if call.name == "sendto":
            for item, position, answered in ACKNOWLEDGED.findall(call.content):
                told.add((item.decode(), int(position), answered.decode()))
            gone = gone or b'{"deleted":true}' in call.content
        if not ours or not told:
            continue
        moments += 1
        leaving = len(told) == 3 * 24  # all have finished, so one of them may be having everything deleted
        for rows in failures(disk, tmp_path, place, "SELECT participant, item, position, answered FROM answers"):
            missing = told - {row[1:] for row in rows}
            left = {row for row in rows if row[0] == withdrawn}
            assert not missing or (leaving and not left and len(missing) == 24), f"call {place}: {call.name} {call.path}"
            assert not (gone and left)
    assert len(told) == 3 * len(logs[0].acknowledged) == 3 * 24
    assert gone
    assert moments > 500
    assert any(call.name == "pwrite64" and call.path.endswith("answers.sqlite") for call in calls(serving)), "no checkpoint"


def test_the_replay_finds_what_was_not_confirmed(processes, tmp_path):
    """The same check of a database that does not wait for the disk: answers are lost."""
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode=WAL'); c.execute(f'PRAGMA synchronous={sys.argv[2]}')\n"
        "c.execute('CREATE TABLE answers (n)')\n"
        "for n in range(20): c.execute('INSERT INTO answers VALUES (?)', (n,)); os.write(1, b'stored %d' % n)\n"
        "os._exit(0)"
    )
    lost = {}
    for setting in ("NORMAL", "FULL"):
        folder, trace, after = (tmp_path / setting / name for name in ("study", "trace", "after"))
        folder.mkdir(parents=True)
        after.mkdir()
        command = [*STRACE, "-o", str(trace), sys.executable, "-c", script, str(folder / "answers.sqlite"), setting]
        subprocess.run(command, check=True, capture_output=True)
        disk, told, lost[setting] = Disk(str(folder)), set(), 0
        for call in calls(trace):
            disk.replay(call)
            if call.name == "write" and call.content.startswith(b"stored"):
                told.add((int(call.content.split()[1]),))
                disk.after_failure(after, None)
                connection = sqlite3.connect(after / "answers.sqlite")
                try:
                    lost[setting] += not told <= set(connection.execute("SELECT n FROM answers"))
                except sqlite3.OperationalError:
                    lost[setting] += 1  # not even the table
                finally:
                    connection.close()
    assert lost["FULL"] == 0
    assert lost["NORMAL"] > 0


def test_replay_keeps_what_is_confirmed_and_any_part_of_the_rest(tmp_path):
    disk = Disk("/d")
    made = [
        Call("openat", "/d/f", "AT_FDCWD, O_CREAT", 3),
        Call("pwrite64", "/d/f", f'3, "{"a" * 1024}", 1024, 0', 1024),
        Call("fsync", "/d/f", "3", 0),
    ]
    for call in made:
        disk.replay(call)
    disk.after_failure(tmp_path, None)
    assert list(tmp_path.iterdir()) == [], "the name is not confirmed yet"
    disk.replay(Call("fdatasync", "/d", "4", 0))
    disk.replay(Call("pwrite64", "/d/f", f'3, "{"b" * 1024}", 1024, 512', 1024))
    found = set()
    for seed in range(40):
        disk.after_failure(tmp_path, random.Random(seed))
        found.add((tmp_path / "f").read_bytes())
    half = b"a" * 512, b"b" * 512
    assert found == {half[0] * 2, half[0] + half[1], half[0] * 2 + half[1], half[0] + half[1] * 2}
    disk.replay(Call("ftruncate", "/d/f", "3, 512", 0))
    disk.replay(Call("fsync", "/d/f", "3", 0))
    disk.replay(Call("unlink", "/d/f", "", 0))
    disk.after_failure(tmp_path, None)
    assert (tmp_path / "f").read_bytes() == half[0], "that it was removed is not confirmed"
