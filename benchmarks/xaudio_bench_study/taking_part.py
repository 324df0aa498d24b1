"""Simulated participants, who do what the page does: wait for every sound, send every answer until it is acknowledged."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xaudio.plugin import XaudioError

from .server import Client

REPEATED = 0.1
"""Share of the answers that are sent once more after they were acknowledged."""

AHEAD = 0.02
"""Seconds after the end of a sound until the answer."""


@dataclass
class Log:
    """What a participant was told.

    Parameters
    ----------
    name : str
    token : str
    acknowledged : dict
        The server's acknowledgement of each answer, by item.
    values : dict
        What was answered, by item.
    bodies : list of bytes
        Everything that the server sent.
    repeats, repeats_alike, asked_again, broken, refused : int
        Answers sent once more, those of them that got the same acknowledgement, items that were given out again although
        their answer was acknowledged, connections that broke, and answers that were refused for want of space.
    """

    name: str = ""
    token: str = ""
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    repeats: int = 0
    repeats_alike: int = 0
    asked_again: int = 0
    broken: int = 0
    refused: int = 0
    finished: bool = False


class Participant:
    """One simulated participant.

    Parameters
    ----------
    port : int
    token : str
    seed : int
    acknowledged : callable
        Told of every acknowledged answer.
    patience : int or None
        Requests refused for want of space until the participant gives up; None for no end.
    """

    def __init__(
        self, port: int, token: str, seed: int, acknowledged: Callable[[], None] = lambda: None, *, patience: int | None = None
    ) -> None:
        self.client, self.draw, self.told, self.patience = Client(port, token), random.Random(seed), acknowledged, patience  # noqa: S311
        self.log = Log(token=token)

    def send(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """Status and content of one request that was answered in the end."""
        body = None if content is None else json.dumps(content).encode()
        status, answer = self.client.until_answered(method, path, body)
        self.log.bodies.append(answer)
        return status, json.loads(answer) if answer[:1] == b"{" else answer

    def take_part(self, steps: int | None = None) -> Log:
        """Go through the study, or through so many tasks of it.

        Raises
        ------
        XaudioError
            If the server refuses what a page would send.
        """
        form = {field["name"]: field["answers"] for field in self.send("GET", "/api/study")[1]["form"]}
        while steps is None or len(self.log.acknowledged) < steps:
            status, state = self.send("GET", "/api/state")
            if status == 507:
                if self._gives_up():
                    break
                continue
            stage = state["stage"]
            self.log.name = state.get("code") or self.log.name
            if stage == "done":
                self.log.finished = True
                break
            if stage == "consent":
                content: Any = {"agree": True, "language": self.draw.choice(["en", "de"])}
            elif stage == "form":
                content = {"answers": {name: self.draw.choice(answers)["value"] for name, answers in form.items()}}
            elif stage == "items":
                if not self._answer(state["trial"]):
                    break
                continue
            else:
                raise XaudioError(f"A simulated participant met the stage {stage!r}, which the study of the proof has not.")
            status, answer = self.send("POST", f"/api/{stage}", content)
            if status == 507 and self._gives_up():
                break
            if status not in (200, 409, 507):
                raise XaudioError(f"The server refused the step {stage!r} of a simulated participant: {status} {answer}.")
        self.log.broken = self.client.broken
        return self.log

    def _gives_up(self) -> bool:
        self.log.refused += 1
        time.sleep(0.2)
        return self.patience is not None and self.log.refused > self.patience

    def _answer(self, trial: dict[str, Any]) -> bool:
        """Hear or see, then answer; whether it was stored."""
        begun = time.monotonic()
        for medium in trial["media"]:
            self.send("GET", f"/media/{medium['name']}")
        seconds = sum(medium["seconds"] for medium in trial["media"])
        time.sleep(max(0.0, begun + seconds + AHEAD - time.monotonic()))
        sounds = sum(medium["kind"] == "sound" for medium in trial["media"])
        value, item = self.draw.choice(trial["answers"]), trial["item"]
        self.log.asked_again += item in self.log.acknowledged
        content = {"item": item, "value": value, "response_ms": 1000 * (time.monotonic() - begun), "plays": sounds}
        status, answer = self.send("POST", "/api/answer", content)
        while status == 507:
            if self._gives_up():
                return False
            status, answer = self.send("POST", "/api/answer", content)
        if status != 200:
            raise XaudioError(f"The server refused an answer of a simulated participant: {status} {answer}.")
        self.log.acknowledged[item], self.log.values[item] = answer, value
        self.log.sent[item] = json.dumps(content).encode()
        self.told()
        if self.draw.random() < REPEATED:
            self.log.repeats += 1
            self.log.repeats_alike += self.send("POST", "/api/answer", content) == (200, answer)
        return True


def all_at_once(
    participants: list[Participant], meanwhile: Callable[[Callable[[], bool]], None] = lambda going: None
) -> list[Log]:
    """Let all take part at the same time, while something else is done, which is told whether anybody still takes part.

    Raises
    ------
    XaudioError
        The first that one of them met.
    """
    faults: list[BaseException] = []

    def go(participant: Participant) -> None:
        try:
            participant.take_part()
        except (XaudioError, KeyError, TypeError, ValueError) as error:
            faults.append(error)

    threads = [threading.Thread(target=go, args=(participant,), daemon=True) for participant in participants]
    for thread in threads:
        thread.start()
    meanwhile(lambda: any(thread.is_alive() for thread in threads))
    for thread in threads:
        thread.join()
    if faults:
        raise XaudioError(f"A simulated participant could not continue: {faults[0]!r}.")
    return [participant.log for participant in participants]
