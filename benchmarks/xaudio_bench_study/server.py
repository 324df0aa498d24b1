"""The server as a process of its own, which can be killed at any moment, and what its database holds."""

from __future__ import annotations

import atexit
import hashlib
import http.client
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from xaudio.plugin import XaudioError

COMMAND = [sys.executable, "-c", "from xaudio.cli.app import main; main()", "study"]
START_SECONDS = 120.0
Answer = tuple[int, bytes]


def run_command(*arguments: object) -> str:
    """Run ``xaudio study ...`` and return what it printed.

    Raises
    ------
    XaudioError
        If it fails.
    """
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise XaudioError(f"xaudio study {arguments[0]} failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


class Server:
    """``xaudio study serve`` on a port of its own.

    Parameters
    ----------
    study : Path
    largest_file : int or None
        Bytes that no file of the process may exceed, as if the disk were full then.
    """

    def __init__(self, study: Path, largest_file: int | None = None) -> None:
        self.study, self.largest_file = study, largest_file
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.output: list[str] = []
        atexit.register(lambda: self.process.kill())  # when the proof fails in between
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(  # noqa: S603
            [*COMMAND, "serve", str(self.study), "--port", str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=self._limit if self.largest_file else None,
        )
        deadline = time.monotonic() + START_SECONDS
        client = Client(self.port)
        while time.monotonic() < deadline:
            try:
                if client.once("GET", "/api/study")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise XaudioError(f"The server did not start: {self.stop()}")

    def _limit(self) -> None:
        import resource

        assert self.largest_file is not None  # noqa: S101
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest_file, self.largest_file))

    def kill(self) -> None:
        """SIGKILL: no chance to write anything more."""
        os.kill(self.process.pid, signal.SIGKILL)
        self._collect()

    def stop(self) -> str:
        """End it, and return all that it printed."""
        if self.process.poll() is None:
            self.process.terminate()
        self._collect()
        return "".join(self.output)

    def _collect(self) -> None:
        self.output.append(self.process.communicate()[0].decode(errors="replace"))


class Client:
    """Sends requests, one after another, over a connection that it opens again when it breaks."""

    def __init__(self, port: int, token: str = "") -> None:
        self.port, self.token = port, token
        self.connection: http.client.HTTPConnection | None = None
        self.broken = 0

    def once(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Status and content.

        Raises
        ------
        OSError
            If the connection could not be made, or broke before the answer was there.
        """
        identified = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent = identified | ({"Content-Type": "application/json"} if body is not None else {})
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            self.connection.request(method, path, body, {name: value for name, value in sent.items() if value})
            response = self.connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            self.broken += 1
            raise OSError(str(error)) from error

    def until_answered(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """The same request again and again until the server has answered, as the page does."""
        while True:
            try:
                status, content = self.once(method, path, body)
            except OSError:
                time.sleep(0.1)
                continue
            if status not in (429, 503):
                return status, content
            time.sleep(0.2)


def digest(study: Path) -> str:
    """A hash of everything that the database holds."""
    connection = sqlite3.connect(study / "answers.sqlite")
    try:
        return hashlib.sha256("\n".join(connection.iterdump()).encode()).hexdigest()
    finally:
        connection.close()


def stored_answers(study: Path) -> list[tuple[str, str, int, str, str]]:
    """Participant, item, position, value and time of every stored answer."""
    connection = sqlite3.connect(study / "answers.sqlite")
    try:
        rows = connection.execute("SELECT participant, item, position, value, answered FROM answers").fetchall()
    finally:
        connection.close()
    return [tuple(row) for row in rows]
