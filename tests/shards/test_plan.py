"""The plan: what follows from the rows alone, and what is refused."""

import json

import pytest
from jobs import numbered

from xaudio import DataError, ModelError
from xaudio.output.runs import versions
from xaudio.shards.plan import PLAN, planned, read_plan

IDENTITY = {"model": "squares"}


def plan_of(folder, fields, seconds=lambda one: 1.0, **settings):
    return planned(folder, IDENTITY, fields, seconds, **{"batch": 4, **settings})


def test_every_row_is_in_one_shard_and_all_is_read_again(tmp_path):
    plan = plan_of(tmp_path, numbered(50), shards=3)
    rows = [row for shard in range(3) for row in plan.rows_of(shard)]
    assert sorted(row.index for row in rows) == list(range(50))
    assert len({row.id for row in rows}) == 50
    assert read_plan(tmp_path) == plan == plan_of(tmp_path, numbered(50))
    assert [len(batch) for batch in plan.batches_of(0)][:-1] == [4] * (len(plan.batches_of(0)) - 1)


def test_shards_take_equally_long_though_recordings_do_not(tmp_path):
    plan = plan_of(tmp_path, numbered(60), lambda one: 100.0 if one["number"] < 3 else 1.0, shards=3)
    seconds = [sum(row.seconds for row in plan.rows_of(shard)) for shard in range(3)]
    assert max(seconds) - min(seconds) <= 1
    assert [sum(row.seconds == 100 for row in plan.rows_of(shard)) for shard in range(3)] == [1, 1, 1]


def test_excerpts_of_a_recording_stay_together_as_far_as_a_batch(tmp_path):
    fields = [{"source": f"{number // 8}.wav", "start": number % 8} for number in range(64)]
    plan = plan_of(tmp_path, fields, shards=4)
    shards = [[row.fields["source"] for row in plan.rows_of(shard)] for shard in range(4)]
    assert all(shard.count(source) % 4 == 0 for shard in shards for source in shard)


def test_a_row_that_is_said_twice_is_one_row_and_its_id_is_that_of_what_it_says(tmp_path):
    fields = [{"source": "a.wav"}, {"source": "b.wav", "start": 0.5}, {"source": "a.wav"}]
    plan = plan_of(tmp_path / "one", fields)
    assert plan.rows == 2
    other = plan_of(tmp_path / "other", reversed(fields))
    ids = [{row.id for row in one.rows_of(0)} for one in (plan, other)]
    assert ids[0] == ids[1]


def test_shards_grow_where_there_would_be_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr("xaudio.shards.plan.SHARDS_OF_FEW", 5)
    monkeypatch.setattr("xaudio.shards.plan.ROWS_OF_MANY", 10)
    assert plan_of(tmp_path / "few", numbered(12)).shards == 3
    assert plan_of(tmp_path / "more", numbered(40)).shards == 5
    assert plan_of(tmp_path / "many", numbered(100)).shards == 10


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"fields": numbered(51)}, "rows was"),
        ({"identity": {"model": "another"}}, "model was 'squares', now 'another'"),
        ({"batch": 8}, "batches of 4, now with"),
        ({"shards": 7}, "3 shards and batches of 4, now with 7 shards"),
    ],
)
def test_another_plan_in_the_same_folder_is_refused(tmp_path, changed, words):
    given = {"identity": IDENTITY, "fields": numbered(50), "batch": 4, "shards": 3}
    for settings in (given, given):
        planned(tmp_path, settings["identity"], settings["fields"], lambda one: 1.0, batch=4, shards=3)
    other = {**given, **changed}
    with pytest.raises(ModelError, match=words):
        planned(tmp_path, other["identity"], other["fields"], lambda one: 1.0, batch=other["batch"], shards=other["shards"])


def test_other_versions_are_refused(tmp_path, monkeypatch):
    plan_of(tmp_path, numbered(4))
    monkeypatch.setattr("xaudio.shards.plan.versions", lambda: {**versions(), "torch": "1.0", "platform": "other"})
    with pytest.raises(ModelError, match=r"versions\.torch was .* now '1\.0'"):
        plan_of(tmp_path, numbered(4))


def test_a_changed_plan_is_damaged_and_none_is_said(tmp_path):
    with pytest.raises(ModelError, match="no work was planned there"):
        read_plan(tmp_path)
    with pytest.raises(DataError, match="nothing to do"):
        plan_of(tmp_path, [])
    plan_of(tmp_path, numbered(4))
    told = json.loads((tmp_path / PLAN).read_text())
    (tmp_path / PLAN).write_text(json.dumps({**told, "rows": 5}))
    with pytest.raises(ModelError, match="is damaged"):
        read_plan(tmp_path)
