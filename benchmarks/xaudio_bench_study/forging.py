"""Requests that nobody may get through with: malformed, forged, replayed, out of order, too early, too large."""

from __future__ import annotations

import json
import random
import socket
import string
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .server import Client
from .taking_part import Log

WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    2.5,
    10**30,
    "",
    "x" * 300,
    [],
    {},
    ["0"],
    {"a": 1},
    "0",
    "\u0000",
    "'; DROP TABLE answers; --",
)


@dataclass(frozen=True)
class Forged:
    """One request.

    Parameters
    ----------
    kind : str
        What is wrong with it.
    expected : tuple of int
        Statuses that say so.
    token, method, path, body : str, str, str, bytes or None
    content_type, site : str
        Of these headers.
    raw : bytes
        Sent as it is instead of all others, if not empty.
    """

    kind: str
    expected: tuple[int, ...]
    token: str = ""
    method: str = "POST"
    path: str = "/api/answer"
    body: bytes | None = None
    content_type: str = "application/json"
    site: str = ""
    raw: bytes = b""


class Forger:
    """Makes forged requests around real participants.

    Parameters
    ----------
    study : Path
        Of which the names of items and media are known to the forger.
    fresh, halfway, finished, withdrawn : str or Log
        The token of a participant who has not consented, the logs of one in the middle and one at the end, and the token of
        one who withdrew.
    current : dict
        What the one in the middle was just given.
    seed : int
    """

    def __init__(
        self, study: Path, fresh: str, halfway: Log, finished: Log, withdrawn: str, current: dict[str, Any], seed: int
    ) -> None:
        self.draw = random.Random(seed)  # noqa: S311 (reproducible on purpose)
        self.fresh, self.halfway, self.finished, self.withdrawn, self.current = fresh, halfway, finished, withdrawn, current
        public = json.loads((study / "study.json").read_text(encoding="utf-8"))
        self.items = [item["item"] for item in public["items"]]
        self.media = [medium["name"] for item in public["items"] for medium in item["media"]]
        sounds = sum(medium["kind"] == "sound" for medium in current["media"])
        self.valid = {"item": current["item"], "value": current["answers"][0], "response_ms": 1500.0, "plays": sounds}
        self.makers: list[Callable[[], Forged]] = [
            self.no_link,
            self.changed_link,
            self.invented_link,
            self.cut_json,
            self.noise,
            self.wrong_type,
            self.missing_field,
            self.unknown_field,
            self.no_answer,
            self.not_its_turn,
            self.unknown_item,
            self.other_answer,
            self.too_early,
            self.impossible_time,
            self.too_large,
            self.wrong_content_type,
            self.other_site,
            self.wrong_method,
            self.unknown_path,
            self.way_out,
            self.media_of_others,
            self.second_consent,
            self.wrong_stage,
            self.closed_enrolment,
            self.after_withdrawal,
            self.broken_protocol,
        ]

    def make(self, count: int) -> Iterator[Forged]:
        """So many, of all kinds in turns."""
        for number in range(count):
            yield self.makers[number % len(self.makers)]()

    def answer(self, **changes: Any) -> bytes:
        """The answer that would be right, with changes."""
        return json.dumps(self.valid | changes).encode()

    def text(self, length: int) -> str:
        """Random letters."""
        return "".join(self.draw.choices(string.ascii_letters + string.digits, k=length))

    def no_link(self) -> Forged:
        """No token at all."""
        return Forged("no link", (401, 429), "", body=self.answer())

    def changed_link(self) -> Forged:
        """A real token with one character changed."""
        token = self.draw.choice([self.halfway.token, self.finished.token, self.fresh])
        place = self.draw.randrange(len(token))
        other = self.draw.choice([letter for letter in string.ascii_letters + string.digits if letter != token[place]])
        return Forged("changed link", (401, 429), token[:place] + other + token[place + 1 :], body=self.answer())

    def invented_link(self) -> Forged:
        """A token with an invented signature."""
        payload = self.halfway.token.partition(".")[0]
        tokens = (f"{payload}.{self.text(27)}", self.text(60), f"{payload}.", f".{payload}", payload, self.text(500))
        return Forged("invented link", (401, 429), self.draw.choice(tokens), body=self.answer())

    def cut_json(self) -> Forged:
        """The right answer, cut off."""
        body = self.answer()
        return Forged("cut JSON", (400,), self.halfway.token, body=body[: self.draw.randrange(1, len(body))])

    def noise(self) -> Forged:
        """Random bytes."""
        return Forged("noise", (400, 422), self.halfway.token, body=b"\xff" + self.draw.randbytes(self.draw.randrange(300)))

    def wrong_type(self) -> Forged:
        """A field of another type, or out of range."""
        name = self.draw.choice(list(self.valid))
        value = self.draw.choice([value for value in WRONG if value not in self.current["answers"]])
        if name == "response_ms" and value == 2.5:
            value = -0.5
        if name == "plays" and value == -1:
            value = 10**6
        return Forged("wrong type", (404, 422), self.halfway.token, body=self.answer(**{name: value}))

    def missing_field(self) -> Forged:
        """A field left out."""
        left = dict(self.valid)
        del left[self.draw.choice(list(left))]
        return Forged("missing field", (422,), self.halfway.token, body=json.dumps(left).encode())

    def unknown_field(self) -> Forged:
        """A field too many."""
        name = self.draw.choice(["participant", "position", "answered", "right", "admin", self.text(8)])
        return Forged("unknown field", (422,), self.halfway.token, body=self.answer(**{name: self.draw.choice(WRONG)}))

    def no_answer(self) -> Forged:
        """A value that is none of the answers."""
        return Forged(
            "none of the answers", (422,), self.halfway.token, body=self.answer(value=self.text(self.draw.randrange(3, 30)))
        )

    def not_its_turn(self) -> Forged:
        """An item of the study that is not the current one and not answered yet."""
        taken = {*self.halfway.acknowledged, self.current["item"]}
        item = self.draw.choice([item for item in self.items if item not in taken])
        return Forged("not its turn", (409,), self.halfway.token, body=self.answer(item=item, response_ms=5000.0, plays=1))

    def unknown_item(self) -> Forged:
        """An item that there is not."""
        return Forged("unknown item", (404,), self.halfway.token, body=self.answer(item=f"{self.draw.getrandbits(64):016x}"))

    def other_answer(self) -> Forged:
        """Another answer to what was answered."""
        log = self.draw.choice([self.halfway, self.finished])
        item = self.draw.choice(list(log.sent))
        sent = json.loads(log.sent[item])
        others = [value for value in self.current["answers"] if value != sent["value"]]
        changes = self.draw.choice([{"value": self.draw.choice(others)}, {"response_ms": sent["response_ms"] + 1}])
        return Forged("other answer", (409,), log.token, body=json.dumps(sent | changes).encode())

    def too_early(self) -> Forged:
        """An answer before the sound can have ended, or without having played it."""
        changes: dict[str, float] = self.draw.choice([{"response_ms": self.draw.uniform(0, 800)}, {"plays": 0}])
        return Forged("too early", (422,), self.halfway.token, body=self.answer(**changes))

    def impossible_time(self) -> Forged:
        """A time that is not finite, negative, or longer than the item was there."""
        value = self.draw.choice(["NaN", "Infinity", "-Infinity", "1e999", "-1", "6e8", "7e8", "1e300"])
        body = self.answer(response_ms="TIME").replace(b'"TIME"', value.encode())
        return Forged("impossible time", (400, 422), self.halfway.token, body=body)

    def too_large(self) -> Forged:
        """More than a page would ever send."""
        body = self.answer(value="x" * self.draw.randrange(17_000, 60_000))
        return Forged("too large", (413,), self.halfway.token, body=body)

    def wrong_content_type(self) -> Forged:
        """What a form of another page could send."""
        kind = self.draw.choice(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml"])
        return Forged("wrong content type", (415,), self.halfway.token, body=self.answer(), content_type=kind)

    def other_site(self) -> Forged:
        """What a browser marks as sent by the page of another site."""
        return Forged(
            "other site", (403,), self.halfway.token, body=self.answer(), site=self.draw.choice(["cross-site", "same-site"])
        )

    def wrong_method(self) -> Forged:
        """Another method."""
        method = self.draw.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "GET"])
        path = self.draw.choice(["/api/answer", "/api/withdraw", "/api/consent", "/api/form"])
        return Forged("wrong method", (405,), self.halfway.token, method, path)

    def unknown_path(self) -> Forged:
        """A path that there is not."""
        paths = ("/api/answers", "/api/export", "/admin", "/key.json", "/answers.sqlite", "/study.json", f"/{self.text(12)}")
        return Forged("unknown path", (404,), self.halfway.token, "GET", self.draw.choice(paths))

    def way_out(self) -> Forged:
        """A path that leads out of the folder."""
        name = self.draw.choice(["key.json", "secret.key", "answers.sqlite", "study.toml"])
        start = self.draw.choice(["/media/", "/static/"])
        up = self.draw.choice(["../", "..%2f", "%2e%2e/", "..%5c", "....//", "/"])
        return Forged("way out", (404,), self.halfway.token, "GET", start + up * self.draw.randrange(1, 4) + name)

    def media_of_others(self) -> Forged:
        """A sound or picture that is not the participant's to have now."""
        own = {medium["name"] for medium in self.current["media"]}
        name = self.draw.choice([name for name in self.media if name not in own])
        return Forged("media of others", (404,), self.draw.choice([self.halfway.token, self.fresh]), "GET", f"/media/{name}")

    def second_consent(self) -> Forged:
        """Consent that was refused, in no language, or given and now changed."""
        body = self.draw.choice([b'{"agree": false, "language": "en"}', b'{"agree": true, "language": "xx"}', b'{"agree": true}'])
        return Forged("no consent", (422,), self.draw.choice([self.fresh, self.halfway.token]), path="/api/consent", body=body)

    def wrong_stage(self) -> Forged:
        """A step that is not the participant's next."""
        steps = [
            ("/api/form", b'{"answers": {"gender": "male", "experience": "low", "hearing": "good"}}', self.fresh),
            ("/api/level", b'{"heard": true}', self.fresh),
            ("/api/answer", self.answer(), self.fresh),
            ("/api/answer", self.answer(response_ms=1e4), self.finished.token)
            if self.current["item"] not in self.finished.sent
            else ("/api/level", b'{"heard": true}', self.finished.token),
        ]
        path, body, token = self.draw.choice(steps)
        return Forged("wrong stage", (409,), token, path=path, body=body)

    def closed_enrolment(self) -> Forged:
        """Enrolment in a study that takes invited participants only."""
        body, expected = self.draw.choice([(b"{}", 403), (b'{"count": 5}', 422), (b"[]", 422)])
        return Forged("enrolment that is closed", (expected, 429), path="/api/enrol", body=body)

    def after_withdrawal(self) -> Forged:
        """A step of somebody who withdrew."""
        step = self.draw.choice([("/api/answer", self.answer()), ("/api/consent", b'{"agree": true, "language": "en"}')])
        return Forged("after withdrawal", (410,), self.withdrawn, path=step[0], body=step[1])

    def broken_protocol(self) -> Forged:
        """What is no HTTP."""
        host = b"Host: x\r\n"
        raw = self.draw.choice(
            [
                b"POST /api/answer HTTP/9.9\r\n" + host + b"\r\n",
                b"POST /api/answer\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01" + self.draw.randbytes(60) + b"\r\n\r\n",
                b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + host + b"\r\n",
                b"GET / HTTP/1.1\r\n" + host + b"X-Long: " + b"a" * 40_000 + b"\r\n\r\n",
                b"POST /api/answer HTTP/1.1\r\n" + host + b"Content-Length: -5\r\n\r\n",
                b"POST /api/answer HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                b"POST /api/answer HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
                b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
            ]
        )
        return Forged("broken protocol", (400, 401, 404, 414, 415, 431), raw=raw)


def try_all(port: int, forged: list[Forged]) -> tuple[Counter[str], list[str]]:
    """Send them all.

    Returns
    -------
    counts : Counter
        How many were sent, by what is wrong with them.
    surprises : list of str
        Those that were not refused as they should be.
    """
    counts: Counter[str] = Counter()
    surprises = []
    client = Client(port)
    for one in forged:
        counts[one.kind] += 1
        client.token = one.token
        try:
            if one.raw:
                status, content = _raw(port, one.raw)
            else:
                headers = {"Content_Type": one.content_type} if one.body is not None else {}
                status, content = client.once(one.method, one.path, one.body, **headers, Sec_Fetch_Site=one.site)
        except OSError as error:
            if one.kind == "too large":  # the server may hang up while it is still being sent
                continue
            surprises.append(f"{one.kind}: {error}")
            continue
        if status not in one.expected:
            surprises.append(
                f"{one.kind}: {one.method} {one.path} {(one.raw or one.body or b'')[:200]!r}: {status} {content[:100]!r}"
            )
    return counts, surprises


def _raw(port: int, content: bytes) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(content)
        answer = connection.recv(4096)
    parts = answer.split(b" ", 2)
    return (int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0), answer
