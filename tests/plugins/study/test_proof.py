"""The proof itself, small: a real server process, killed, lied to and out of space; and that it can fail."""

import json

import pytest
from typer.testing import CliRunner

import xaudio
from xaudio.cli.app import app
from xaudio_bench_study.server import run_command
from xaudio_bench_study.taking_part import Participant


def run_here(*arguments):
    """Builds without a process of its own, which would import torch again."""
    if arguments[0] != "build":
        return run_command(*arguments)
    done = CliRunner().invoke(app, ["study", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def proof(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proof")
    benchmark = xaudio.create(
        "benchmark",
        "study",
        model=run_folder,
        dataset="synthetic:speakers=8,repetitions=1",
        participants=3,
        right=1,
        wrong=1,
        kills=2,
        requests=100,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xaudio_bench_study.benchmark.run_command", run_here)
        benchmark(folder)
    return folder, json.loads((folder / "results.json").read_text())


def test_nothing_is_lost_and_nothing_is_stored_twice(proof):
    _, results = proof
    crashes = results["crashes"]
    assert crashes["acknowledged"] == crashes["stored"] == 3 * 8
    assert (crashes["lost"], crashes["twice"], crashes["unasked"], crashes["finished"]) == (0, 0, 0, 3)
    assert len(crashes["seconds_down"]) == 2
    assert crashes["broken_connections"] > 0
    assert crashes["printed"] == []


def test_forged_requests_change_nothing(proof):
    _, results = proof
    forgery = results["forgery"]
    assert forgery["requests"] >= 100
    assert len(forgery["kinds"]) == 26
    assert forgery["surprises"] == []
    assert forgery["unchanged"]
    assert forgery["replays"] == forgery["replays_alike"] > 0


def test_nobody_is_sent_anything_of_others(proof):
    assert proof[1]["separation"]["data_of_others"] == 0
    assert proof[1]["separation"]["responses"] > 80


def test_a_full_disk_loses_nothing(proof):
    full = proof[1]["full_disk"]
    assert full["acknowledged"] == full["stored"]
    assert full["lost"] == 0
    assert full["refused"] > 0
    assert "no room left; nothing was stored" in full["message"]
    assert full["served_on"]
    assert full["stored_in_the_end"] == full["expected_in_the_end"] == 3 * 8


def test_the_report_shows_every_figure(proof):
    folder, results = proof
    page = xaudio.create("benchmark", "study").report(folder).read_text()
    assert "24 stored, 24 acknowledged, 24 expected" in page
    assert "simulated" in page
    assert ">NO<" not in page
    results["crashes"]["lost"] = 1
    (folder / "results.json").write_text(json.dumps(results))
    assert ">NO<" in xaudio.create("benchmark", "study").report(folder).read_text()


class Forgetful:
    """A server that acknowledges two answers to an item of which it has forgotten the first."""

    broken = 0

    def __init__(self):
        self.left = ["aaaa", "aaaa", "bbbb"]

    def until_answered(self, method, path, body=None):
        if path == "/api/study":
            return 200, b'{"form": []}'
        if path == "/api/answer":
            self.left = [item for place, item in enumerate(self.left) if place or item != json.loads(body)["item"]]
            return 200, b'{"stored": true}'
        trial = {"item": self.left[0], "answers": ["x"], "media": []} if self.left else None
        return 200, json.dumps({"stage": "items" if trial else "done", "code": "me", "trial": trial}).encode()


def test_an_answer_that_is_asked_for_again_counts_as_lost():
    person = Participant(0, "token", 0)
    person.draw.random = lambda: 1.0  # so that nothing is sent once more
    person.client = Forgetful()
    log = person.take_part()
    assert (log.finished, len(log.acknowledged), log.asked_again) == (True, 2, 1)
