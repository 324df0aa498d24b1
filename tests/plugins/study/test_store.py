"""What is stored is stored once, survives, is exported whole, and is gone when it is deleted."""

import csv
import json
import sqlite3
import threading
from pathlib import Path

import pytest

from xaudio import DataError, ModelError
from xaudio_study.building.order import order_of
from xaudio_study.building.settings import Serving
from xaudio_study.plan import read_key
from xaudio_study.records import StudyData
from xaudio_study.server.database import Database, StorageBusyError, StorageFullError
from xaudio_study.server.store import export_study, open_database, read_study, status
from xaudio_study.server.visits import Answered, Consent, Form, Visits, Withdrawal
from xaudio_web import RefusedError

FORM = {"gender": "diverse", "experience": "zero", "hearing": "very good"}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def study(make_study, tmp_path):
    folder = make_study(tmp_path / "study", checks={"level": False}, right=2, wrong=1)
    return folder, Visits(folder, Serving(), clock := Clock()), clock


def begin(visits, language="en"):
    (person,) = visits.database.invite(1)
    visits.consent(person, Consent(agree=True, language=language))
    visits.form(person, Form(answers=FORM))
    return person


def answer(visits, clock, person, value="one"):
    trial = visits.state(person)["trial"]
    seconds = sum(medium["seconds"] for medium in trial["media"])
    clock.now += seconds + 1
    sent = Answered(
        item=trial["item"], value=value, response_ms=1000 * seconds + 500, plays=len(trial["media"]) if seconds else 0
    )
    return sent, visits.answer(person, sent)


def dump(folder: Path) -> list[str]:
    return list(sqlite3.connect(folder / "answers.sqlite").iterdump())


def test_a_participant_goes_through_their_own_order_and_everything_is_read_back(study):
    folder, visits, clock = study
    first, second = begin(visits), begin(visits, "de")
    key = read_key(folder)
    sent = [answer(visits, clock, first)[0] for _ in key.items]
    partly = [answer(visits, clock, second, "two")[0] for _ in range(4)]
    assert visits.state(first) == {"stage": "done", "language": "en", "code": first, "done": 12, "total": 12}
    data = read_study(folder)
    assert [person.participant for person in data.participants] == [first, second]
    assert [person.language for person in data.participants] == ["en", "de"]
    assert [person.form for person in data.participants] == [FORM, FORM]
    assert data.participants[0].finished is not None
    assert data.participants[1].finished is None
    assert data.participants[0].headphones is None
    for number, (person, whole) in enumerate(((first, sent), (second, partly))):
        answers = [one for one in data.answers if one.participant == person]
        assert [one.item for one in answers] == [one.item for one in whole] == order_of(key, number)[: len(whole)]
        assert [one.position for one in answers] == list(range(len(whole)))
        assert [(one.value, one.response_ms, one.plays) for one in answers] == [
            (one.value, one.response_ms, one.plays) for one in whole
        ]


def test_an_answer_is_stored_once(study):
    folder, visits, clock = study
    person = begin(visits)
    sent, acknowledged = answer(visits, clock, person)
    before = dump(folder)
    for _ in range(3):
        assert visits.answer(person, sent) == acknowledged
    for other in (sent.model_copy(update={"value": "two"}), sent.model_copy(update={"response_ms": sent.response_ms + 1})):
        with pytest.raises(RefusedError, match="differently") as refused:
            visits.answer(person, other)
        assert refused.value.status == 409
    assert dump(folder) == before
    assert visits.consent(person, Consent(agree=True, language="en"))["enrolled"]
    assert visits.form(person, Form(answers=FORM)) == {"stored": "form"}
    with pytest.raises(RefusedError):
        visits.form(person, Form(answers=FORM | {"gender": "male"}))
    with pytest.raises(RefusedError):
        visits.consent(person, Consent(agree=True, language="de"))
    assert dump(folder) == before


def test_statements_count_together_or_not_at_all(study):
    folder, visits, _ = study
    begin(visits)
    before = dump(folder)
    with pytest.raises(RefusedError), visits.database.transaction() as run:
        run("UPDATE participants SET level = 1")
        raise RefusedError(409, "order", "")
    assert dump(folder) == before


def test_answers_in_parallel_are_stored_once(study):
    folder, visits, clock = study
    person = begin(visits)
    trial = visits.state(person)["trial"]
    clock.now += 5
    plays = int(trial["media"][0]["kind"] == "sound")
    found: list[object] = []

    def send(value):
        try:
            found.append(visits.answer(person, Answered(item=trial["item"], value=value, response_ms=900, plays=plays)))
        except RefusedError as refused:
            found.append(refused.status)

    threads = [threading.Thread(target=send, args=(value,)) for value in ("one", "two", "zero") * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(409) == 16
    assert len([one for one in found if isinstance(one, dict)]) == 8
    assert len(read_study(folder).answers) == 1


def test_two_windows_of_one_participant_do_not_take_the_item_from_each_other(study, monkeypatch):
    """While one asks where it is, the other answers: what comes next must stay the next."""
    folder, visits, clock = study
    person, other = begin(visits), Visits(folder, Serving(), clock)
    transaction = visits.database.transaction

    def late():
        monkeypatch.undo()
        answer(other, clock, person)
        other.state(person)
        return transaction()

    monkeypatch.setattr(visits.database, "transaction", late)
    visits.state(person)
    waiting = other._trials[order_of(other.key, 0)[1]]
    sent = Answered(item=waiting.item, value="one", response_ms=1000, plays=waiting.sounds)
    clock.now += 5
    assert other.answer(person, sent)["position"] == 1


def test_what_was_stored_survives_a_new_start(study):
    folder, visits, clock = study
    person = begin(visits)
    sent, acknowledged = answer(visits, clock, person)
    waiting = visits.state(person)
    visits.database.close()
    again = Visits(folder, Serving(), clock)
    assert again.answer(person, sent) == acknowledged
    assert again.state(person) == waiting


def test_the_numbers_that_decide_the_order_are_given_out_to_those_who_begin(study):
    _, visits, _ = study
    invited = visits.database.invite(5)
    begun = [invited[3], invited[0]]
    for person in begun:
        visits.consent(person, Consent(agree=True, language="en"))
    with visits.database.snapshot() as run:
        numbers = {row["participant"]: row["number"] for row in run("SELECT participant, number FROM participants")}
    assert [numbers[person] for person in begun] == [0, 1]
    visits.withdraw(begun[0], Withdrawal(delete=True))
    visits.consent(invited[1], Consent(agree=True, language="en"))
    with visits.database.snapshot() as run:
        assert run("SELECT number FROM participants WHERE participant = ?", invited[1]).fetchone()[0] == 2  # each only once
    assert [numbers[person] for person in invited if person not in begun] == [None] * 3


def test_export_holds_everything(study, tmp_path):
    folder, visits, clock = study
    person = begin(visits)
    values = [answer(visits, clock, person, value)[0].value for value in ("zero", "one", "two", "one")]
    paths = export_study(folder, tmp_path / "out")
    assert [path.name for path in paths] == ["study-data.json", "answers.csv", "participants.csv"]
    assert read_study(paths[0]) == read_study(folder)
    assert StudyData.model_validate_json(paths[0].read_text()).answers[0].value == "zero"
    rows = list(csv.DictReader(paths[1].open()))
    key = {item.item: item for item in read_key(folder).items}
    assert [row["value"] for row in rows] == values
    for row in rows:
        item = key[row["item"]]
        assert (row["mode"], row["predicted"], row["truth"], row["right"]) == (
            item.mode,
            item.predicted,
            item.truth,
            str(item.right),
        )
        assert row["matches"] == str(row["value"] == item.predicted)
    people = list(csv.DictReader(paths[2].open()))
    assert {name: people[0][name] for name in FORM} == FORM
    assert people[0]["participant"] == person


def test_status_counts(study):
    folder, visits, clock = study
    person, gone = begin(visits), begin(visits)
    answer(visits, clock, person)
    visits.database.invite(2)
    visits.withdraw(gone, Withdrawal(delete=True))
    found = status(folder)
    assert {name: found[name] for name in ("items", "invited", "begun", "finished", "withdrawn", "answers")} == {
        "items": 12,
        "invited": 4,
        "begun": 2,
        "finished": 0,
        "withdrawn": 1,
        "answers": 1,
    }
    assert [row["participant"] for row in found["participants"][:2]] == [person, gone]


def test_what_is_deleted_is_gone_from_the_disk(study):
    folder, visits, clock = study
    person, other = begin(visits), begin(visits)
    for _ in range(3):
        sent, _ = answer(visits, clock, person)
        answer(visits, clock, other)
    marks = [json.dumps(sent.response_ms).encode(), b"very good"]
    visits.database.forget(other)
    assert any(marks[1] in path.read_bytes() for path in folder.glob("answers.sqlite*"))
    assert visits.database.forget(person) == 3
    for path in folder.glob("answers.sqlite*"):
        content = path.read_bytes()
        assert b"very good" not in content
        assert sent.item.encode() not in content
    data = read_study(folder)
    assert [one.enrolled for one in data.participants] == ["", ""]  # nor when they were there
    assert data.answers == ()
    assert [(one.withdrawn, one.form, one.finished) for one in data.participants] == [(True, {}, None)] * 2
    assert visits.state(person) == {"stage": "withdrawn"}
    with pytest.raises(RefusedError) as refused:
        visits.answer(person, sent)
    assert refused.value.status == 410
    with pytest.raises(DataError, match="no participant 'nobody'"):
        visits.database.forget("nobody")


def test_what_was_deleted_while_others_read_is_gone_when_they_have_ended(study, monkeypatch):
    folder, visits, clock = study
    person, other = begin(visits), begin(visits)
    sent, _ = answer(visits, clock, person)

    def found():
        return any(sent.item.encode() in path.read_bytes() for path in folder.glob("answers.sqlite*"))

    monkeypatch.setattr("xaudio_study.server.database.WAIT", 0.05)
    reader = sqlite3.connect(folder / "answers.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM answers").fetchall()
    visits.database.forget(person)
    assert found()
    assert visits.database.left_in_file
    visits.state(other)
    assert found()
    reader.close()
    visits.state(other)
    assert not found()
    assert not visits.database.left_in_file


def test_a_study_is_read_while_it_is_written(study):
    folder, visits, clock = study
    person = begin(visits)
    with visits.database.transaction() as run:
        run("UPDATE participants SET level = 1 WHERE participant = ?", person)
        assert len(read_study(folder).participants) == 1  # neither waits nor sees what is not whole
    answer(visits, clock, person)
    assert len(read_study(folder).answers) == 1


@pytest.mark.slow
def test_a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_room(study):
    folder, visits, clock = study
    people = [begin(visits) for _ in range(6)]
    connection = visits.database._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    acknowledged = 0
    with pytest.raises(StorageFullError, match="nothing was stored. Make room"):
        for person in people:
            for _ in read_key(folder).items:
                answer(visits, clock, person)
                acknowledged += 1
    assert 0 < acknowledged < 72
    assert len(read_study(folder).answers) == acknowledged == sum(visits.state(person)["done"] for person in people)
    connection.execute("PRAGMA max_page_count = 1000000")
    for person in people:
        while visits.state(person)["stage"] == "items":
            answer(visits, clock, person)
    assert len(read_study(folder).answers) == 72


def test_another_process_that_writes_for_long_is_told_of(study, monkeypatch):
    folder, visits, _ = study
    visits.database._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(folder / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusyError, match="nothing was stored"):
        visits.database.invite(1)
    other.execute("ROLLBACK")
    assert visits.database.invite(1)


@pytest.mark.slow
def test_answers_are_never_taken_for_those_to_another_study(study, make_study, tmp_path):
    folder, visits, _ = study
    visits.database.close()
    other = make_study(tmp_path / "other", seed=1)
    (other / "answers.sqlite").write_bytes((folder / "answers.sqlite").read_bytes())
    with pytest.raises(DataError, match="another study"):
        open_database(other)


def test_what_cannot_be_read_is_named(study, tmp_path):
    folder, visits, _ = study
    visits.database.close()
    with pytest.raises(DataError, match="holds no study"):
        read_study(tmp_path)
    with pytest.raises(DataError, match="nobody was invited"):
        Database(tmp_path)
    (tmp_path / "export.json").write_text('{"format": 1}')
    with pytest.raises(ModelError, match="damaged or of another version"):
        read_study(tmp_path / "export.json")
    for path in folder.glob("answers.sqlite-*"):
        path.unlink()
    (folder / "answers.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match="cannot be read as a database"):
        read_study(folder)


def test_a_commit_is_on_the_disk_before_it_returns(study):
    _, visits, _ = study
    assert visits.database._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert visits.database._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
