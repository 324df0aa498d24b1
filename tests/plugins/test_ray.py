"""Actors of a local Ray: the same bytes as of one process."""

import os
import sys

import pytest
from jobs import Squares, numbered

import xaudio
from xaudio.shards.gathering import carry_out, gather
from xaudio.shards.plan import planned


def test_two_actors_give_the_bytes_of_one_process(processes, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # an actor finds the job as this process does
    written = []
    for name, engine in (("one", None), ("actors", xaudio.create("engine", "ray", workers=2))):
        plan = planned(tmp_path / name, {"model": Squares.digest}, numbered(12, n3={"wrong": 1}), lambda row: 1.0, batch=2)
        carry_out(plan, Squares, {"log": str(tmp_path / f"{name}.log")}, engine=engine)
        counts = gather(plan, plan.folder)
        assert (counts.done, counts.failed, counts.missing) == (11, 1, 0)
        written.append([(plan.folder / f"{kind}.jsonl").read_bytes() for kind in ("results", "errors")])
    assert written[0] == written[1]
    logs = [sorted((tmp_path / f"{name}.log").read_text().splitlines()) for name in ("one", "actors")]
    assert logs[0] == logs[1], "no batch is computed twice"
