"""What a participant may do next, and what becomes of what they send: one step at a time, each stored once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from xaudio.plugin import DataError
from xaudio_web import RefusedError

from ..building.order import headphone_order, order_of, swapped
from ..building.settings import Serving
from ..plan import MEDIA, Stage, Trial, read_key, read_public
from ..records import Record
from .database import canonical, now
from .store import open_database

EARLY_MS = 100.0
"""How much sooner than a sound ends an answer may come, for players that leave out silence at the end."""

LATE_MS = 2000.0
"""How much longer than on the server's clock an answer may have taken on the browser's."""

LONGEST_MS = 7 * 86_400_000.0
SWAPPED = {"1": "B", "2": "A"}
STRAIGHT = {"1": "A", "2": "B"}


class Request(Record):
    """Base of what a browser sends: nothing unknown, and no value that would have to be converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Consent(Request):
    """The participant agrees, in a language."""

    agree: Literal[True]
    language: str = Field(max_length=20)


class Form(Request):
    """What was chosen in the form."""

    answers: dict[str, str] = Field(max_length=100)


class Level(Request):
    """The volume is set."""

    heard: Literal[True]


class Answered(Request):
    """An answer to an item, or to a trial of the headphone check."""

    item: str = Field(pattern=r"^[0-9a-f]{16}$")
    value: str = Field(min_length=1, max_length=200)
    response_ms: float = Field(ge=0, le=LONGEST_MS, allow_inf_nan=False)
    plays: int = Field(ge=0, le=1000)


class Withdrawal(Request):
    """Everything is to be deleted."""

    delete: Literal[True]


class Visits:
    """The participants of a study, each going through it by their own order.

    Parameters
    ----------
    folder : Path
        Of a built study.
    serving : Serving
    clock : callable
        Seconds; time.time.

    Raises
    ------
    DataError, ModelError
        If there is no study, or it is damaged.
    OutputError
        If the answers cannot be stored.
    """

    def __init__(self, folder: Path, serving: Serving, clock: Callable[[], float] = time.time) -> None:
        self.public, self.key = read_public(folder), read_key(folder)
        self.folder, self.serving, self._clock = folder / MEDIA, serving, clock
        self._trials = {trial.item: trial for trial in (*self.public.items, *self.public.headphones)}
        shown = [medium for trial in self._trials.values() for medium in trial.media]
        for medium in [*shown, self.public.level] if self.public.level else shown:
            if not (self.folder / medium.name).exists():
                raise DataError(f"{self.folder / medium.name}: is missing. Restore it from a copy, or build the study again.")
        self.database = open_database(folder)
        self._kinds = {question.name: question.kind for question in self.public.questions}

    def enrol(self) -> str:
        """A new participant of a study that is open to all."""
        if not self.serving.open_enrolment:
            raise RefusedError(403, "invitation", "A personal link is needed.")
        participants = self.database.invite(1, self.serving.max_participants)
        if not participants:
            raise RefusedError(403, "closed", "No more participants are needed.")
        return participants[0]

    def state(self, participant: str) -> dict[str, Any]:
        """Where a participant is, and what comes next; marks the moment at which an item is first given out."""
        with self.database.transaction() as run:
            person = self._person(run, participant)
            stage, done, trial = self._stage(run, person)
            moment = self._clock()
            if trial is not None and (person["shown"] != trial.item or person["shown_at"] > moment):  # the clock was set back
                run("UPDATE participants SET shown = ?, shown_at = ? WHERE participant = ?", trial.item, moment, participant)
        if stage == "withdrawn":
            return {"stage": stage}
        total = len(self.public.headphones if stage == "headphones" else self.public.items)
        status = {"stage": stage, "language": person["language"], "code": participant, "done": done, "total": total}
        return status if trial is None else {**status, "trial": self._shown(trial, person)}

    def medium(self, participant: str, name: str) -> Path:
        """The file of a sound or picture that the participant is just being given; no other is handed out."""
        with self.database.snapshot() as run:
            person = self._person(run, participant)
            stage, _, trial = self._stage(run, person)
        current = self.public.level if stage == "level" else None
        media = trial.media if trial is not None and person["shown"] == trial.item else (current,) if current else ()
        if name not in [medium.name for medium in media]:
            raise RefusedError(404, "unknown", "There is no such file, or it is not its turn.")
        return self.folder / name

    def consent(self, participant: str, request: Consent) -> dict[str, Any]:
        """Enter the study: the participant gets the next number, which decides the order."""
        if request.language not in self.public.languages:
            raise RefusedError(422, "invalid", "The study has no such language.")
        with self.database.transaction() as run:
            person = self._person(run, participant, present=True)
            if person["enrolled"] is not None:
                return _again(person["language"] == request.language, {"enrolled": person["enrolled"]})
            enrolment = {"enrolled": now()}
            run(
                "UPDATE participants SET enrolled = ?, language = ?,"
                " number = (SELECT COALESCE(MAX(number) + 1, 0) FROM participants) WHERE participant = ?",
                *(enrolment["enrolled"], request.language, participant),
            )
        return enrolment

    def form(self, participant: str, request: Form) -> dict[str, Any]:
        """Store what was chosen in the form."""
        choices = {field.name: [answer.value for answer in field.answers] for field in self.public.form}
        if set(request.answers) != set(choices) or any(value not in choices[name] for name, value in request.answers.items()):
            raise RefusedError(422, "invalid", "Each question of the form needs one of its answers.")
        with self.database.transaction() as run:
            person = self._person(run, participant, present=True)
            if person["form"] is not None:
                return _again(json.loads(person["form"]) == request.answers, {"stored": "form"})
            self._expect(run, person, "form")
            run("UPDATE participants SET form = ? WHERE participant = ?", canonical(request.answers), participant)
        return {"stored": "form"}

    def level(self, participant: str, request: Level) -> dict[str, Any]:
        """Store that the volume is set."""
        with self.database.transaction() as run:
            person = self._person(run, participant, present=True)
            if not person["level"]:
                self._expect(run, person, "level")
                run("UPDATE participants SET level = 1 WHERE participant = ?", participant)
        return {"stored": "level"}

    def answer(self, participant: str, request: Answered) -> dict[str, Any]:
        """Store an answer, once: the same again gets the same acknowledgement, another is refused."""
        trial = self._trials.get(request.item)
        if trial is None:
            raise RefusedError(404, "unknown", "There is no such item.")
        stage: Stage = "headphones" if request.item in self.key.headphones else "items"
        table = "checks" if stage == "headphones" else "answers"
        sent = canonical(request.model_dump())
        with self.database.transaction() as run:
            person = self._person(run, participant, present=True)
            query = f"SELECT position, answered, sent FROM {table} WHERE participant = ? AND item = ?"  # noqa: S608 (no input)
            stored = run(query, participant, request.item).fetchone()
            if stored is not None:
                return _again(stored["sent"] == sent, _acknowledged(request.item, stored["position"], stored["answered"]))
            position = self._expect(run, person, stage, request.item)
            self._check_plausible(trial, person, request)
            answered = now()
            values: tuple[Any, ...]
            if table == "checks":
                values = (participant, request.item, position, request.value, sent, answered)
                run("INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?)", *values)
            else:
                value = self._meaning(request, trial, person)
                values = (participant, request.item, position, value, request.response_ms, request.plays, sent, answered)
                run("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values)
            last = stage == "items" and position + 1 == len(self.public.items)
            run(
                "UPDATE participants SET shown = NULL, shown_at = NULL, finished = ? WHERE participant = ?",
                *(answered if last else None, participant),
            )
        return _acknowledged(request.item, position, answered)

    def withdraw(self, participant: str, request: Withdrawal) -> dict[str, Any]:
        """Delete everything that the participant gave."""
        with self.database.snapshot() as run:
            person = self._person(run, participant)
        if not person["withdrawn"]:
            self.database.forget(participant)
        return {"deleted": True}

    def _person(self, run: Any, participant: str, *, present: bool = False) -> Any:
        person = run("SELECT * FROM participants WHERE participant = ?", participant).fetchone()
        if person is None:
            raise RefusedError(401, "link", "This link is not valid.")
        if present and person["withdrawn"]:
            raise RefusedError(410, "withdrawn", "The answers were deleted, and the link ended.")
        return person

    def _stage(self, run: Any, person: Any) -> tuple[Stage, int, Trial | None]:
        """Where a participant is, how many trials of this stage are done, and the one that comes next."""
        if person["withdrawn"]:
            return "withdrawn", 0, None
        if person["enrolled"] is None:
            return "consent", 0, None
        if person["form"] is None and self.public.form:
            return "form", 0, None
        if self.public.level is not None and not person["level"]:
            return "level", 0, None
        name, number = person["participant"], person["number"]
        checked = run("SELECT COUNT(*) FROM checks WHERE participant = ?", name).fetchone()[0]
        if checked < len(self.public.headphones):
            return "headphones", checked, self._trials[headphone_order(self.key, number)[checked]]
        done = run("SELECT COUNT(*) FROM answers WHERE participant = ?", name).fetchone()[0]
        if done < len(self.public.items):
            return "items", done, self._trials[order_of(self.key, number)[done]]
        return "done", done, None

    def _expect(self, run: Any, person: Any, stage: Stage, item: str = "") -> int:
        """Raise unless a participant is at this stage, and at this item of it; how many trials are done."""
        at, done, trial = self._stage(run, person)
        if at != stage or (item and (trial is None or trial.item != item or person["shown"] != item)):
            raise RefusedError(409, "order", "It is not the turn of this step.")
        return done

    def _check_plausible(self, trial: Trial, person: Any, request: Answered) -> None:
        """Raise unless the sounds can have been heard to their end since the item was given out."""
        if request.value not in trial.answers:
            raise RefusedError(422, "invalid", "This is none of the answers.")
        passed = (self._clock() - person["shown_at"]) * 1000
        if passed < 0:
            raise RefusedError(409, "order", "The server's clock was set back; the item is given out again.")
        least = trial.seconds * 1000 - EARLY_MS
        if trial.sounds and (request.plays < trial.sounds or request.response_ms < least or passed < least):
            raise RefusedError(422, "early", "The sound cannot have been heard to its end yet.")
        if request.response_ms > passed + LATE_MS or (not trial.sounds and request.plays):
            raise RefusedError(422, "invalid", "The times or the number of plays cannot be.")

    def _meaning(self, request: Answered, trial: Trial, person: Any) -> str:
        """A or B of a preference from what was chosen, the first or the second; else the answer itself."""
        if self._kinds[trial.question] != "preference":
            return request.value
        return (SWAPPED if swapped(self.key, person["number"], request.item) else STRAIGHT)[request.value]

    def _shown(self, trial: Trial, person: Any) -> dict[str, Any]:
        """What the browser gets of a trial."""
        kind = self._kinds.get(trial.question, "choice")
        media = list(trial.media)
        if kind == "preference" and swapped(self.key, person["number"], trial.item):
            media.reverse()
        return {
            "item": trial.item,
            "kind": kind,
            "media": [medium.model_dump() for medium in media],
            "text": trial.text[person["language"]],
            "hint": trial.hint.get(person["language"], ""),
            "answers": list(trial.answers),
        }


def _again(same: bool, acknowledgement: dict[str, Any]) -> dict[str, Any]:
    if not same:
        raise RefusedError(409, "answered", "This was already answered, and differently.")
    return acknowledgement


def _acknowledged(item: str, position: int, answered: str) -> dict[str, Any]:
    return {"item": item, "position": position, "answered": answered}
