"""Claims: one owner at a time, and what a dead one leaves."""

import json
import multiprocessing
import os
import time
from types import SimpleNamespace

import pytest

import xaudio.shards.claims
from xaudio import ModelError, OutputError
from xaudio.shards.claims import LEASE, Watch, claims_in, deaths, take


def test_a_claim_is_held_until_it_is_over(tmp_path):
    with take(tmp_path, Watch()) as claim:
        assert take(tmp_path, Watch()) is None
        assert not claim.is_lost()
    with take(tmp_path, Watch()) as second:
        assert second.path.name == "claim-000002.log"
        assert claim.is_lost()
    assert deaths(tmp_path) == {}
    assert len(claims_in(tmp_path)) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, OutputError, ModelError])
def test_what_a_user_can_mend_or_stopped_is_no_death(tmp_path, error):
    with pytest.raises(error), take(tmp_path, Watch()) as claim:
        claim.at("batch 0")
        raise error("x")
    take(tmp_path, Watch())
    assert deaths(tmp_path) == {}


def test_a_bug_counts_as_the_death_of_what_was_at_work(tmp_path):
    with pytest.raises(RuntimeError), take(tmp_path, Watch()) as claim:
        claim.at("batch 0")
        claim.at("batch 1")
        raise RuntimeError("CUDA error")
    record = json.loads(claim.path.read_text().splitlines()[0])
    claim.path.write_text(claim.path.read_text().replace(f'"pid": {record["pid"]}', f'"pid": {dead_process()}'))
    assert take(tmp_path, Watch()) is not None
    assert deaths(tmp_path) == {"batch 1": 1}


def dead_process():
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()
    return process.pid


def test_an_owner_elsewhere_counts_as_dead_when_its_count_stands_still_whatever_the_clocks_say(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(xaudio.shards.claims, "time", SimpleNamespace(monotonic=lambda: now[0]))
    path = tmp_path / "claim-000001.log"
    path.write_text('{"machine": "another", "pid": 1, "started": "1"}\nat batch 3\n')
    os.utime(path, (4e9, 4e9))  # written in the future, by the clock of that machine
    watch = Watch()
    for _ in range(6):
        assert take(tmp_path, watch) is None
        now[0] += 0.99 * LEASE
        with path.open("a") as file:
            file.write(".\n")
    assert take(tmp_path, watch) is None
    now[0] += 1.01 * LEASE
    assert take(tmp_path, watch).path.name == "claim-000002.log"
    assert deaths(tmp_path) == {"batch 3": 1}


def test_a_claim_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(xaudio.shards.claims, "BEAT", 0.02)
    with take(tmp_path, Watch()) as claim:
        end = time.monotonic() + 30
        while claim.path.read_text().splitlines().count(".") <= 2 and time.monotonic() < end:
            time.sleep(0.02)
    lines = claim.path.read_text().splitlines()
    assert lines.count(".") > 2
    assert lines[-1] == "over"


@pytest.mark.slow
@pytest.mark.parametrize("links", [True, False])
def test_of_many_at_once_one_gets_it(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(PermissionError(1, "not here")))
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        numbers = pool.map(_claims, [tmp_path] * 40)
    assert sum(numbers) == len(claims_in(tmp_path)) == 1


def _claims(folder):
    return take(folder, Watch()) is not None
