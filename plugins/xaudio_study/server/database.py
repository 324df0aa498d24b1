"""What participants answered, in one SQLite file: each answer once, on disk before it is acknowledged."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xaudio.plugin import DataError, OutputError

DATABASE = "answers.sqlite"

WAIT = 10.0
"""Seconds to wait for another process that writes, such as an export or an invitation beside the server."""

SETTINGS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "wal_autocheckpoint=100")
"""FULL: a commit returns when the answer is on the disk, not only on its way. What is deleted is overwritten. The journal is
emptied into the file every 100 pages, so that it stays small."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS study (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS participants (
    participant TEXT PRIMARY KEY NOT NULL,
    invited TEXT NOT NULL,
    number INTEGER UNIQUE,
    language TEXT,
    enrolled TEXT,
    form TEXT,
    level INTEGER NOT NULL DEFAULT 0,
    shown TEXT,
    shown_at REAL,
    finished TEXT,
    withdrawn INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS checks (
    participant TEXT NOT NULL REFERENCES participants,
    item TEXT NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0),
    value TEXT NOT NULL,
    sent TEXT NOT NULL,
    answered TEXT NOT NULL,
    PRIMARY KEY (participant, item),
    UNIQUE (participant, position)
);
CREATE TABLE IF NOT EXISTS answers (
    participant TEXT NOT NULL REFERENCES participants,
    item TEXT NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0),
    value TEXT NOT NULL,
    response_ms REAL NOT NULL CHECK (response_ms >= 0),
    plays INTEGER NOT NULL CHECK (plays >= 0),
    sent TEXT NOT NULL,
    answered TEXT NOT NULL,
    PRIMARY KEY (participant, item),
    UNIQUE (participant, position)
);
"""

Row = sqlite3.Row


class StorageFullError(OutputError):
    """There is no room left to store something."""


class StorageBusyError(OutputError):
    """Another process held the database for too long."""


class Database:
    """The answers of a study; one connection, which the threads of a process take turns in.

    Parameters
    ----------
    folder : Path
        Of the study.
    digest : str
        Of the study's key, so that the answers to one study are never taken for those to another; "" only reads.

    Raises
    ------
    DataError
        If the file holds answers to another study, is damaged, or only reading was asked for and it is not there.
    StorageFullError, StorageBusyError
        If it cannot be made.
    """

    def __init__(self, folder: Path, digest: str = "") -> None:
        self.path = folder / DATABASE
        self._lock = threading.RLock()
        self.left_in_file = False
        """Whether what was deleted can still be found in the file, since others were reading it."""
        if not digest and not self.path.exists():
            raise DataError(f"{self.path}: there is no such file, so nobody was invited or answered yet.")
        with _clear(self.path):
            self._connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            for setting in SETTINGS:
                self._connection.execute(f"PRAGMA {setting}")
            self._file = self._identity()
        if digest:
            self._claim(digest)

    def _claim(self, digest: str) -> None:
        with _clear(self.path):
            tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "answers" not in tables:
                self._connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            kept_digest = self._connection.execute("SELECT digest FROM study").fetchone()
        if kept_digest is None:
            with self.transaction() as run:
                run("INSERT INTO study SELECT ? WHERE NOT EXISTS (SELECT 1 FROM study)", digest)
        elif kept_digest["digest"] != digest:
            raise DataError(
                f"{self.path}: holds the answers to another study, or key.json was changed. Build each study into its own folder."
            )

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Run statements that count together or not at all; yields ``run(statement, *values)``.

        Raises
        ------
        StorageFullError, StorageBusyError
            If nothing was stored because there is no room, or because another process held the database.
        DataError
            If the file is damaged, or no longer where it was.
        """
        with self._lock, _clear(self.path):
            self._check_file()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield lambda statement, *values: self._connection.execute(statement, values)
                self._connection.execute("COMMIT")
                if self.left_in_file:
                    self._empty_journal(wait=0)
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    self._empty_journal()  # which may make the room that was missing
                raise

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """Read what held at one moment, while others write; yields ``run(statement, *values)``."""
        with self._lock, _clear(self.path):
            self._check_file()
            self._connection.execute("BEGIN")
            try:
                yield lambda statement, *values: self._connection.execute(statement, values)
            finally:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def invite(self, count: int, most: int | None = None) -> list[str]:
        """Random names of so many new participants, who have not begun; of none if there were more than ``most`` in all then."""
        names = [secrets.token_hex(6) for _ in range(count)]
        with self.transaction() as run:
            if most is not None and run("SELECT COUNT(*) FROM participants").fetchone()[0] + count > most:
                return []
            for name in names:
                run("INSERT INTO participants (participant, invited) VALUES (?, ?)", name, now())
        return names

    def forget(self, participant: str) -> int:
        """Delete all that a participant gave, and leave only that there was one; the number of answers deleted.

        Raises
        ------
        DataError
            If there is no such participant.
        """
        with self.transaction() as run:
            if run("SELECT 1 FROM participants WHERE participant = ?", participant).fetchone() is None:
                raise DataError(f"{self.path}: has no participant {participant!r}. xaudio study status names them all.")
            run("DELETE FROM checks WHERE participant = ?", participant)
            deleted = run("DELETE FROM answers WHERE participant = ?", participant).rowcount
            run(
                "UPDATE participants SET withdrawn = 1, form = NULL, language = NULL, level = 0, finished = NULL, shown = NULL,"
                " shown_at = NULL, invited = '', enrolled = iif(enrolled IS NULL, NULL, '') WHERE participant = ?",
                participant,
            )
        self.left_in_file = True
        self._empty_journal()
        return int(deleted)

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_file(self) -> None:
        """Raise if the file is gone: SQLite would write on into what nobody finds any more."""
        if self._identity() != self._file:
            raise DataError(
                f"{self.path}: was deleted or replaced while it was in use; nothing was stored. Put it back, or start again."
            )

    def _empty_journal(self, wait: float | None = None) -> None:
        """Bring all changes into the file, also what is overwritten there, and cut the journal off, unless others read it."""
        with self._lock, suppress(sqlite3.OperationalError):
            self._connection.execute(f"PRAGMA busy_timeout = {1000 * (WAIT if wait is None else wait):.0f}")
            try:
                busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                self.left_in_file = self.left_in_file and bool(busy)
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {1000 * WAIT:.0f}")


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def canonical(content: Any) -> str:
    """JSON that is the same for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@contextmanager
def _clear(path: Path) -> Iterator[None]:
    """What SQLite raises, as one of our own errors."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            raise StorageBusyError(f"{path}: another process held it for {WAIT:g} s; nothing was stored. Try again.") from None
        raise StorageFullError(
            f"{path}: cannot be written ({text}); nothing was stored. Make room, or the file writable, then try again."
        ) from None
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: cannot be read as a database ({error}). Restore it from a copy.") from None
