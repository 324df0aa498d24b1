"""Read a study with its answers, from its folder or an export, and export it; also while it is being served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xaudio.plugin import DataError, digest_bytes, write_json, write_rows

from ..plan import KEY, Key, PublicStudy, read_key, read_public, read_record
from ..records import Answer, Item, Participant, StudyData
from .database import DATABASE, Database

EXPORT = "study-data.json"


def read_study(path: str | Path) -> StudyData:
    """A study with all that was answered up to now.

    Parameters
    ----------
    path : path
        A study folder, also of one that is being served, or the JSON file of an export.

    Returns
    -------
    StudyData
        Participants in the order in which they began; of one who withdrew there is only that. Answers in the order in
        which each participant gave them.

    Raises
    ------
    DataError
        If there is no study.
    ModelError
        If a file is damaged.
    """
    path = Path(path)
    if path.is_file():
        return read_record(path, StudyData)
    public, key = read_public(path), read_key(path)
    participants, answers = _stored(path, public, key) if (path / DATABASE).exists() else ((), ())
    return StudyData(
        title=public.title[public.languages[0]],
        classes=public.classes,
        questions=public.questions,
        items=key.items,
        participants=participants,
        answers=answers,
    )


def _stored(folder: Path, public: PublicStudy, key: Key) -> tuple[tuple[Participant, ...], tuple[Answer, ...]]:
    database = Database(folder, key_digest(folder))
    try:
        with database.snapshot() as run:
            people = run("SELECT * FROM participants WHERE enrolled IS NOT NULL ORDER BY number").fetchall()
            checks = run("SELECT participant, item, value FROM checks").fetchall()
            rows = run("SELECT a.* FROM answers a JOIN participants USING (participant) ORDER BY number, position").fetchall()
    finally:
        database.close()
    right: dict[str, list[bool]] = {}
    for check in checks:
        right.setdefault(check["participant"], []).append(key.headphones.get(check["item"]) == check["value"])
    participants = tuple(
        Participant(
            participant=person["participant"],
            language=person["language"] or public.languages[0],
            enrolled=person["enrolled"],
            finished=person["finished"],
            form=json.loads(person["form"] or "{}"),
            headphones=_share(right.get(person["participant"], []), len(key.headphones)),
            withdrawn=bool(person["withdrawn"]),
        )
        for person in people
    )
    answers = tuple(Answer(**{name: row[name] for name in Answer.model_fields}) for row in rows)
    return participants, answers


def _share(right: list[bool], trials: int) -> float | None:
    """Share of right answers, once all trials are answered."""
    return sum(right) / trials if trials and len(right) == trials else None


def key_digest(folder: Path) -> str:
    """What tells the answers to this study from those to another."""
    try:
        return digest_bytes([(folder / KEY).read_bytes()])
    except OSError as error:
        raise DataError(f"{folder / KEY}: cannot be read ({error.strerror}). Build the study again.") from None


def open_database(folder: Path) -> Database:
    """The answers of a study, made if there are none yet; see `Database`."""
    read_public(folder)
    return Database(folder, key_digest(folder))


def export_study(folder: Path, out: Path) -> list[Path]:
    """Write ``study-data.json`` (`StudyData`), ``answers.csv`` and ``participants.csv``, as of one moment.

    In ``answers.csv`` each answer comes with all that is known about its item; ``matches`` says whether the answer to a
    choice is the model's prediction.

    Raises
    ------
    DataError, ModelError
        As `read_study`.
    OutputError
        If a file cannot be written.
    """
    data = read_study(folder)
    items = {item.item: item for item in data.items}
    columns = [name for name in Item.model_fields if name != "item"]
    choices = {question.name for question in data.questions if question.kind == "choice"}
    rows = [_row(answer, items[answer.item], columns, choices) for answer in data.answers]
    fields = sorted({name for person in data.participants for name in person.form})
    people = [name for name in Participant.model_fields if name != "form"]
    rows_of_people = [
        [*(getattr(person, name) for name in people), *(person.form.get(name, "") for name in fields)]
        for person in data.participants
    ]
    return [
        write_json(out / EXPORT, data.model_dump(mode="json")),
        write_rows(out / "answers.csv", [*Answer.model_fields, *columns, "matches"], rows),
        write_rows(out / "participants.csv", [*people, *fields], rows_of_people),
    ]


def _row(answer: Answer, item: Item, fields: list[str], choices: set[str]) -> list[Any]:
    matches = answer.value == item.predicted if item.question in choices and item.catch is None else ""
    return [*(getattr(answer, name) for name in Answer.model_fields), *(getattr(item, name) for name in fields), matches]


def status(folder: Path) -> dict[str, Any]:
    """How far a study is: JSON values with counts, and one row per participant.

    Raises
    ------
    DataError, ModelError
        As `read_study`.
    """
    public = read_public(folder)
    people: list[Any] = []
    if (folder / DATABASE).exists():
        database = open_database(folder)
        try:
            with database.snapshot() as run:
                people = run(
                    "SELECT participant, invited, enrolled, finished, withdrawn, language,"
                    " (SELECT COUNT(*) FROM answers a WHERE a.participant = p.participant) AS answers"
                    " FROM participants p ORDER BY number IS NULL, number, invited"
                ).fetchall()
        finally:
            database.close()
    rows = [dict(person) | {"withdrawn": bool(person["withdrawn"])} for person in people]
    return {
        "title": public.title[public.languages[0]],
        "items": len(public.items),
        "invited": len(rows),
        "begun": sum(row["enrolled"] is not None for row in rows),
        "finished": sum(row["finished"] is not None for row in rows),
        "withdrawn": sum(row["withdrawn"] for row in rows),
        "answers": sum(row["answers"] for row in rows),
        "participants": rows,
    }
