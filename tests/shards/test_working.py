"""A worker: rows that fail, rows that kill, memory, full disks; what is done is not done again."""

import json
import multiprocessing
from collections import Counter
from dataclasses import replace

import pytest
from jobs import Squares, numbered

from xaudio import ModelError, OutputError
from xaudio.shards.claims import Watch, claims_in, take
from xaudio.shards.gathering import carry_out, gather
from xaudio.shards.plan import planned
from xaudio.shards.records import outcomes_of
from xaudio.shards.working import is_done


def planned_in(folder, fields, batch=4, shards=2):
    return planned(folder, {"model": "squares"}, fields, lambda one: 1.0, batch=batch, shards=shards)


def finish(plan, **options):
    carry_out(plan, Squares, options)
    return gather(plan, plan.folder)


def rows_in(folder, name="results.jsonl"):
    return {row["source"]: row for row in map(json.loads, (folder / name).read_text().splitlines())}


def test_all_is_done_once_and_written_once(tmp_path):
    log = tmp_path / "log"
    plan = planned_in(tmp_path / "out", numbered(20))
    counts = finish(plan, log=str(log))
    assert str(counts) == "20 rows: 20 done, 0 failed, 0 missing"
    assert {name: row["square"] for name, row in rows_in(tmp_path / "out").items()} == {f"{n}.wav": n**2 for n in range(20)}
    asked = log.read_text()
    assert len(asked.split()) == 20
    assert finish(plan, log=str(log)).done == 20
    assert log.read_text() == asked, "what is done is not done again"


def test_rows_that_fail_are_kept_and_stop_nothing(tmp_path):
    plan = planned_in(tmp_path, numbered(16, n3={"wrong": 1}, n5={"bug": 1}, n7={"missing": str(tmp_path / "none")}), shards=1)
    counts = finish(plan)
    assert (counts.done, counts.failed, counts.poison, counts.missing) == (13, 3, 0, 0)
    errors = rows_in(tmp_path, "errors.jsonl")
    assert [errors[f"{n}.wav"]["error"] for n in (3, 5)] == ["this row is wrong", "ZeroDivisionError: a bug"]
    assert "No such file" in errors["7.wav"]["error"]
    assert {failure["source"] for failure in counts.failures} == set(errors)


def test_what_was_not_there_is_computed_in_its_batch_when_it_is_there_again(tmp_path):
    fields = numbered(8, n2={"missing": str(tmp_path / "data")})
    (tmp_path / "data").touch()
    whole = planned_in(tmp_path / "whole", fields)
    finish(whole)
    (tmp_path / "data").unlink()
    plan = planned_in(tmp_path / "out", fields)
    assert finish(plan).failed == 1
    (tmp_path / "data").touch()
    assert finish(plan).failed == 0
    assert (tmp_path / "out/results.jsonl").read_bytes() == (tmp_path / "whole/results.jsonl").read_bytes()


def test_what_another_is_trying_again_is_not_done_until_it_has(tmp_path):
    plan = planned_in(tmp_path / "out", numbered(4, n2={"missing": str(tmp_path / "none")}), shards=1)
    assert finish(plan).failed == 1
    claimed = len(claims_in(plan.folder_of(0)))
    with take(plan.folder_of(0), Watch()):
        assert not is_done(plan, 0, claimed), "what is there is older than this run"
    assert is_done(plan, 0, claimed)


def test_a_cause_that_may_pass_is_tried_again_at_the_end_and_no_other(tmp_path):
    log = tmp_path / "log"
    plan = planned_in(tmp_path / "out", numbered(8, n0={"wrong": 1}, n7={"missing": str(tmp_path / "none")}), batch=2)
    finish(plan, log=str(log))
    tried = log.read_text().splitlines()
    assert sum("0" in line.split() for line in tried) == 2, "once with its neighbour, once alone"


def test_memory_that_runs_out_halves_the_batch(tmp_path):
    log = tmp_path / "log"
    plan = planned_in(tmp_path / "out", numbered(16), batch=8, shards=1)
    assert finish(plan, log=str(log), most=2).done == 16
    assert [len(line.split()) for line in log.read_text().splitlines()] == [8, 4, 2, 2, 4, 2, 2] * 2


def test_a_full_disk_stops_with_its_own_line_and_is_no_error_of_a_row(tmp_path):
    plan = planned_in(tmp_path, numbered(8, n3={"full": 1}), shards=1)
    with pytest.raises(OutputError, match="cannot be written"):
        carry_out(plan, Squares, {})
    assert gather(plan, tmp_path).failed == 0


@pytest.mark.slow
def test_a_row_that_kills_its_process_is_found_and_the_others_are_done(tmp_path):
    """Twice with its batch, twice alone; every process that dies is one that the next takes over from."""
    plan = planned_in(tmp_path, numbered(12, n5={"kills": 1}), shards=1)
    context = multiprocessing.get_context("fork")
    codes = []
    while not codes or codes[-1]:
        process = context.Process(target=carry_out, args=(plan, Squares, {}))
        process.start()
        process.join()
        codes.append(process.exitcode)
    assert codes == [-9, -9, -9, -9, 0]
    counts = gather(plan, tmp_path)
    assert (counts.done, counts.failed, counts.poison) == (11, 1, 1)
    assert str(counts) == "12 rows: 11 done, 1 failed (1 of them killed their process), 0 missing"
    assert rows_in(tmp_path, "errors.jsonl")["5.wav"]["kind"] == "poison"
    assert rows_in(tmp_path)["4.wav"]["beside"] == [4, 6, 7], "the rest of the batch is computed together"
    carry_out(plan, Squares, {})  # and it is not tried again


def test_a_batch_that_dies_of_no_row_alone_is_computed_row_by_row(tmp_path, monkeypatch):
    """As where the system ends what takes too much memory: together it is too much, alone it is not."""
    monkeypatch.setattr("xaudio.shards.working.deaths", lambda folder: Counter({"batch 0": 4}))
    plan = planned_in(tmp_path, numbered(8), shards=1)
    assert finish(plan).done == 8
    assert rows_in(tmp_path)["1.wav"]["beside"] == [1]
    assert rows_in(tmp_path)["5.wav"]["beside"] == [4, 5, 6, 7]


def test_damaged_results_are_computed_again_and_those_of_another_plan_are_refused(tmp_path):
    plan = planned_in(tmp_path / "out", numbered(8))
    finish(plan)
    whole = (tmp_path / "out/results.jsonl").read_bytes()
    path = plan.folder_of(1) / "results.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"square": 1', b'"square": 2', 1))
    assert gather(plan, plan.folder).missing == len(plan.rows_of(1))
    assert finish(plan).missing == 0
    assert (tmp_path / "out/results.jsonl").read_bytes() == whole
    other = replace(plan, digest="another")
    with pytest.raises(ModelError, match="holds results of another plan"):
        gather(other, tmp_path)
    assert len(outcomes_of(plan, 0)) == len(plan.rows_of(0))


def test_a_worker_with_another_model_is_refused(tmp_path):
    plan = planned(tmp_path, {"model": "circles"}, numbered(4), lambda one: 1.0, batch=4)
    with pytest.raises(ModelError, match="was planned with the model circles; the one that was loaded is squares"):
        carry_out(plan, Squares, {})
