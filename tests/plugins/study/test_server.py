"""The server: who is who, what is handed out, what is refused, and that the key stays at home."""

import asyncio
import http.client
import json
import re
import socket
import sqlite3
import string
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from itsdangerous import URLSafeSerializer
from starlette.requests import Request
from starlette.testclient import TestClient

from xaudio import DataError, XaudioWarning
from xaudio.plugin import write_audio
from xaudio_study.analysis.analysis import analyze as run_analysis
from xaudio_study.building.build import build_study
from xaudio_study.building.order import headphone_order
from xaudio_study.building.settings import MODES, Serving
from xaudio_study.building.template import starting_point
from xaudio_study.plan import read_key, read_public
from xaudio_study.records import StudyData
from xaudio_study.server import app as app_module
from xaudio_study.server.app import Server
from xaudio_study.server.links import Links, link
from xaudio_study.server.store import open_database, read_study, status
from xaudio_study.server.visits import Visits
from xaudio_web import Gate, RefusedError, headers as security_headers, is_loopback, read_json
from xaudio_web.limits import Impatient

FORM = {"gender": "diverse", "experience": "zero", "hearing": "very good"}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Person:
    """A participant who does what the page does."""

    def __init__(self, client, token, clock):
        self.client, self.clock, self.token = client, clock, token
        self.headers = {"Authorization": f"Bearer {token}"}
        self.bodies: list[bytes] = []

    def get(self, path):
        response = self.client.get(path, headers=self.headers)
        self.bodies.append(response.content)
        return response

    def post(self, path, content):
        response = self.client.post(f"/api/{path}", headers=self.headers, json=content)
        self.bodies.append(response.content)
        return response

    def state(self):
        return self.get("/api/state").json()

    def enter(self, language="en"):
        assert self.state()["stage"] == "consent"
        assert self.post("consent", {"agree": True, "language": language}).status_code == 200
        assert self.post("form", {"answers": FORM}).status_code == 200

    def trial(self, value=None, **changes):
        """Hear or see what comes next, and what to send for it."""
        trial = self.state()["trial"]
        for medium in trial["media"]:
            assert self.get(f"/media/{medium['name']}").status_code == 200
        seconds = sum(medium["seconds"] for medium in trial["media"])
        self.clock.now += seconds + 0.5
        plays = sum(medium["kind"] == "sound" for medium in trial["media"])
        sent = {"item": trial["item"], "value": value or trial["answers"][0], "response_ms": 1000 * seconds + 400, "plays": plays}
        return sent | changes

    def go_through(self):
        while (stage := self.state()["stage"]) != "done":
            sent = ("level", {"heard": True}) if stage == "level" else ("answer", self.trial())
            assert self.post(*sent).status_code == 200


@pytest.fixture(scope="module")
def folder(make_study, tmp_path_factory):
    return make_study(
        tmp_path_factory.mktemp("served") / "study", checks={"headphones": True, "catch_trials": 1}, right=2, wrong=1
    )


class Served:
    def __init__(self, folder, **serving):
        self.folder, self.clock = folder, Clock()
        settings = Serving(**{"requests_per_second": 1e6, **serving})
        server = Server(folder, settings, self.clock)
        self.each = server.each
        self.database = server.visits.database
        self.client = TestClient(Gate(server.app()), raise_server_exceptions=False)

    def invited(self):
        database = open_database(self.folder)
        (name,) = database.invite(1)
        database.close()
        return Person(self.client, Links(self.folder).token(name), self.clock), name


@pytest.fixture
def served(folder):
    for path in folder.glob("answers.sqlite*"):
        path.unlink()
    study = Served(folder)
    with study.client:  # one thread of the server for all requests
        yield study


@pytest.mark.slow
def test_a_whole_visit(served):
    person, name = served.invited()
    person.enter("de")
    state = person.state()
    assert (state["stage"], state["language"], state["code"]) == ("level", "de", name)
    assert person.post("level", {"heard": True}).json() == {"stored": "level"}
    key = read_key(served.folder)
    for done in range(6):
        state = person.state()
        assert (state["stage"], state["done"], state["total"]) == ("headphones", done, 6)
        assert state["trial"]["text"] == "Welcher der drei Töne ist der leiseste?"
        sent = person.trial()
        right = key.headphones[sent["item"]]
        sent["value"] = right if done < 4 else {"1": "2", "2": "3", "3": "1"}[right]
        assert person.post("answer", sent).json()["position"] == done
    for done in range(13):
        state = person.state()
        assert (state["stage"], state["done"], state["total"]) == ("items", done, 13)
        assert person.post("answer", person.trial()).json()["position"] == done
    assert person.state()["stage"] == "done"
    data = read_study(served.folder)
    assert data.participants[0].headphones == pytest.approx(4 / 6)
    assert data.participants[0].form == FORM
    assert len(data.answers) == 13


@pytest.mark.slow
def test_a_visit_goes_on_after_a_crash_on_any_device(served):
    person, _ = served.invited()
    person.enter()
    person.post("level", {"heard": True})
    for _ in range(8):
        person.post("answer", person.trial())
    waiting = person.state()
    again = Served(served.folder)  # another process, another browser
    again.clock.now = served.clock.now
    other = Person(again.client, person.token, again.clock)
    assert other.state() == waiting
    other.go_through()
    assert len(read_study(served.folder).answers) == 13


def test_an_answer_before_the_sound_could_end_is_refused(served):
    person, _ = served.invited()
    person.enter()
    person.post("level", {"heard": True})
    sent = person.trial()
    for changes in ({"response_ms": 100.0}, {"plays": 0}):
        refused = person.post("answer", sent | changes)
        assert (refused.status_code, refused.json()["error"]) == (422, "early")
    served.clock.now -= 2  # what the browser says of its clock is not enough
    refused = person.post("answer", sent)
    assert (refused.status_code, refused.json()["error"]) == (422, "early")
    served.clock.now += 2
    assert person.post("answer", sent | {"response_ms": 60_000.0}).status_code == 422  # longer than it was there
    assert person.post("answer", sent).status_code == 200


def test_a_clock_that_is_set_back_locks_nobody_out(served):
    person, _ = served.invited()
    person.enter()
    person.post("level", {"heard": True})
    sent = person.trial()
    served.clock.now -= 3600
    refused = person.post("answer", sent)
    assert (refused.status_code, refused.json()["error"]) == (409, "order")
    assert person.state()["trial"]["item"] == sent["item"]  # as the page asks then
    assert person.post("answer", sent).json()["error"] == "early"
    assert person.post("answer", person.trial()).status_code == 200


def test_when_the_file_of_the_answers_is_gone_nothing_is_acknowledged(served):
    person, _ = served.invited()
    person.enter()
    person.post("level", {"heard": True})
    sent = person.trial()
    path, moved = served.folder / "answers.sqlite", served.folder / "moved.sqlite"
    path.rename(moved)
    failed = person.post("answer", sent)
    assert (failed.status_code, failed.json()["error"]) == (500, "failed")
    moved.rename(path)
    assert person.post("answer", sent).status_code == 200
    for left in served.folder.glob("answers.sqlite*"):
        left.unlink()
    assert person.get("/api/state").status_code == 500
    open_database(served.folder).close()  # another file under the same name
    assert person.get("/api/state").status_code == 500


def test_repeated_and_different_answers(served):
    person, _ = served.invited()
    person.enter()
    person.post("level", {"heard": True})
    sent = person.trial("1")
    first = person.post("answer", sent)
    assert person.post("answer", sent).content == first.content
    assert person.post("answer", sent | {"value": "2"}).status_code == 409
    person.trial()
    assert person.post("answer", sent).content == first.content


def test_steps_out_of_their_order_are_refused(served):
    person, _ = served.invited()
    public, key = read_public(served.folder), read_key(served.folder)
    answer = {"item": public.items[0].item, "value": "one", "response_ms": 5000.0, "plays": 1}
    for path, content in (("form", {"answers": FORM}), ("level", {"heard": True}), ("answer", answer)):
        assert person.post(path, content).status_code == 409, path
    person.enter()
    assert person.post("answer", answer).status_code == 409
    person.post("level", {"heard": True})
    served.clock.now += 100
    current = person.state()["trial"]["item"]
    for item in [*key.headphones, *(item.item for item in key.items)]:
        if item != current:
            assert person.post("answer", answer | {"item": item, "value": "1"}).status_code == 409
    assert person.post("answer", answer | {"item": "0" * 16}).status_code == 404
    assert read_study(served.folder).answers == ()


@pytest.mark.slow
def test_media_are_handed_out_in_their_turn_only(served):
    person, _ = served.invited()
    names = [path.name for path in (served.folder / "media").iterdir()]
    assert {person.get(f"/media/{name}").status_code for name in names} == {404}
    person.enter()
    level = read_public(served.folder).level.name
    assert [name for name in names if person.get(f"/media/{name}").status_code == 200] == [level]
    person.post("level", {"heard": True})
    state = person.state()
    assert [name for name in names if person.get(f"/media/{name}").status_code == 200] == [state["trial"]["media"][0]["name"]]
    for name in ("../key.json", "..%2fkey.json", "key.json", "", "secret.key", "%2e%2e/secret.key"):
        assert person.get(f"/media/{name}").status_code == 404
    assert served.client.get(f"/media/{level}").status_code == 401


def test_an_item_begins_when_it_is_given_out(served):
    """Whoever knew what comes next could otherwise hear it before the time runs, or answer it without any."""
    person, _ = served.invited()
    person.enter()
    person.post("level", {"heard": True})
    coming = headphone_order(read_key(served.folder), 0)[0]
    (trial,) = (trial for trial in read_public(served.folder).headphones if trial.item == coming)
    served.clock.now += 100
    assert person.get(f"/media/{trial.media[0].name}").status_code == 404
    sent = {"item": coming, "value": "1", "response_ms": 9000.0, "plays": 1}
    assert person.post("answer", sent).status_code == 409
    assert person.state()["trial"]["item"] == coming
    assert person.get(f"/media/{trial.media[0].name}").status_code == 200


@pytest.mark.slow
def test_the_key_never_reaches_the_browser(served, folder):
    """Everything that is served in a whole visit: no word of the key, and not a byte that depends on it."""

    def crawl():
        for path in folder.glob("answers.sqlite*"):
            path.unlink()
        one = Served(folder)
        person, name = one.invited()
        for path in ("/", "/api/study", *re.findall(r'"(static/[^"]+)"', one.client.get("/").text)):
            person.get(path)
        for path in re.findall(r'from "\./(\w+\.js)"', "".join(map(str, person.bodies))):
            person.get(f"/static/{path}")
        person.enter()
        person.go_through()
        person.post("withdraw", {"delete": True})
        stamp = rb"\d{4}-\d\d-\d\dT[\d:.]+\+00:00"
        return [re.sub(stamp, b"", body).replace(name.encode(), b"") for body in person.bodies]

    bodies = crawl()
    for word in ("lrp", "recording0", "speaker", "predicted", '"truth"', '"right"', "explainer", "headphones_right", *MODES):
        assert not any(word.encode() in body for body in bodies), word
    original = (folder / "key.json").read_text()
    key = json.loads(original)
    for item in key["items"]:
        item.update(predicted=item["truth"], truth=item["predicted"], right=not item["right"], speaker="x", recording="y")
    key["headphones"] = dict.fromkeys(key["headphones"], "1")
    (folder / "key.json").write_text(json.dumps(key))
    try:
        assert crawl() == bodies
    finally:
        (folder / "key.json").write_text(original)


def test_every_response_has_the_secure_headers(served):
    person, _ = served.invited()
    responses = [
        served.client.get("/"),
        served.client.get("/static/main.js"),
        served.client.get("/nothing"),
        served.client.post("/"),
        served.client.get("/api/state"),
        person.get("/api/state"),
        person.post("answer", {}),
    ]
    assert [response.status_code for response in responses] == [200, 200, 404, 405, 401, 200, 422]
    for response in responses:
        assert {name: response.headers[name] for name in security_headers()} == security_headers()
    assert "unsafe" not in security_headers()["Content-Security-Policy"]
    assert security_headers()["Content-Security-Policy"].startswith("default-src 'none'")


def test_an_error_of_our_own_is_a_500_with_headers_and_without_a_trace(served, monkeypatch):
    person, _ = served.invited()

    def fail(self, participant):
        raise RuntimeError("SECRET")

    monkeypatch.setattr("xaudio_study.server.visits.Visits._person", fail)
    response = person.get("/api/state")
    assert response.status_code == 500
    assert "SECRET" not in response.text
    assert response.headers["X-Frame-Options"] == "DENY"


def test_pages_hold_no_script_of_their_own_and_name_no_other_host(served):
    page = served.client.get("/").text
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=|<style|javascript:", page)
    static = Path(app_module.__file__).parent / "static"
    for path in static.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|eval\(|document\.write", text), path
        assert served.client.get(f"/static/{path.name}").text == path.read_text()


@pytest.mark.parametrize(
    "token",
    ["", "x", "IjEi.AAAA", "a" * 5000, "ü", "null"],
)
def test_forged_links_are_refused(served, token):
    headers = {"Authorization": f"Bearer {token}".encode()}
    assert served.client.get("/api/state", headers=headers).status_code == 401


@pytest.mark.slow
def test_only_this_studys_secret_makes_links(served, make_study, tmp_path):
    person, name = served.invited()
    other = make_study(tmp_path / "other", right=1, wrong=1)
    for token in (
        Links(other).token(name),
        URLSafeSerializer(b"", salt="participant").dumps(name),
        URLSafeSerializer((served.folder / "secret.key").read_text(), salt="participant").dumps(name),
        person.token[:-1],
        person.token + "A",
        person.token.swapcase(),
        Links(served.folder).token("nobody"),
        Links(served.folder).token(""),
    ):
        assert served.client.get("/api/state", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert served.client.get("/api/state/", headers=person.headers, follow_redirects=False).status_code == 404
    links = Links(served.folder)
    letters = string.ascii_letters + string.digits + "-_"  # of which four mean the same at the end, since bits are left over
    assert [letter for letter in letters if links.participant(person.token[:-1] + letter)] == [person.token[-1]]
    for scheme in ("Basic", "bearer", ""):
        assert served.client.get("/api/state", headers={"Authorization": f"{scheme} {person.token}"}).status_code == 401
    assert served.client.get(f"/api/state?token={person.token}").status_code == 401
    assert link("https://x.org/study", person.token) == f"https://x.org/study/#{person.token}"


@pytest.mark.parametrize("content", ["", "00" * 31, "zz" * 32])
def test_a_damaged_secret_signs_nothing(tmp_path, content):
    (tmp_path / "secret.key").write_text(content)
    with pytest.raises(DataError, match=r"secret\.key: is missing or damaged"):
        Links(tmp_path)


@pytest.mark.slow
def test_participants_never_see_each_other(served):
    (one, first), (two, second) = served.invited(), served.invited()
    one.enter("de")
    two.enter("en")
    for person in (one, two):
        person.post("level", {"heard": True})
    for _ in range(7):
        one.post("answer", one.trial())
    assert two.state()["done"] == 0
    for own, other, token in ((one, second, two.token), (two, first, one.token)):
        assert not any(other.encode() in body or token.encode() in body for body in own.bodies)
    names = {name.decode() for body in one.bodies for name in re.findall(rb"[0-9a-f]{24}\.(?:wav|png)", body)}
    theirs = names - {two.state()["trial"]["media"][0]["name"]}
    assert len(theirs) > 5
    assert {two.get(f"/media/{name}").status_code for name in theirs} == {404}


def test_open_enrolment(folder):
    for path in folder.glob("answers.sqlite*"):
        path.unlink()
    shut, opened = Served(folder), Served(folder, open_enrolment=True, max_participants=2, enrolments_per_minute=3)
    assert shut.client.post("/api/enrol", json={}).json()["error"] == "invitation"
    assert not shut.client.get("/api/study").json()["open"]
    assert opened.client.get("/api/study").json()["open"]
    tokens = [
        opened.client.post("/api/enrol", content=b"{}", headers={"Content-Type": "application/json"}).json()["token"]
        for _ in "12"
    ]
    assert len(set(tokens)) == 2
    assert Person(opened.client, tokens[0], opened.clock).state()["stage"] == "consent"
    refused = [opened.client.post("/api/enrol", content=b"{}", headers={"Content-Type": "application/json"}) for _ in "12"]
    assert [response.status_code for response in refused] == [403, 429]
    assert refused[0].json()["error"] == "closed"


def test_open_enrolment_ends_in_time_when_many_come_at_once(folder):
    for path in folder.glob("answers.sqlite*"):
        path.unlink()
    visits = Visits(folder, Serving(open_enrolment=True, max_participants=5))
    start, found = threading.Barrier(20), []

    def enrol():
        start.wait()
        try:
            found.append(visits.enrol())
        except RefusedError as refused:
            found.append(refused.code)

    threads = [threading.Thread(target=enrol) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count("closed") == 15
    assert status(folder)["invited"] == 5


@pytest.fixture
def address(monkeypatch):
    """Of a server that waits for a request for a second."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    monkeypatch.setattr("xaudio_web.limits.HEAD_SECONDS", 1.0)
    server = uvicorn.Server(uvicorn.Config(app, http=Impatient, lifespan="off", log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


@pytest.mark.slow
def test_connections_without_a_request_are_closed(address):
    """Each counts towards the limit, so that those who send nothing would shut the others out."""
    with ExitStack() as connections:
        idle = [connections.enter_context(socket.create_connection(address, timeout=10)) for _ in range(3)]
        beginnings = (b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET")
        for connection, beginning in zip(idle, beginnings, strict=True):
            connection.sendall(beginning)
        for connection in idle:
            while connection.recv(4096):
                pass


@pytest.mark.slow
def test_a_connection_in_use_is_kept(address):
    used = http.client.HTTPConnection(*address, timeout=10)
    used.connect()
    used.auto_open = 0  # fails if it was closed
    for _ in range(25):
        used.request("GET", "/")
        assert used.getresponse().read() == b"ok"
        time.sleep(0.1)
    used.close()


def test_too_many_requests_of_one_do_not_hold_up_another(folder):
    one = Served(folder, requests_per_second=1)
    one.each._clock = lambda: 0.0  # however long the requests take here
    (busy, _), (calm, _) = one.invited(), one.invited()
    found = [busy.get("/api/state").status_code for _ in range(15)]
    assert found == [200] * 10 + [429] * 5
    assert calm.get("/api/state").status_code == 200


def test_large_and_strange_bodies_are_refused(served):
    person, _ = served.invited()
    headers = person.headers | {"Content-Type": "application/json"}

    def send(content, **more):
        return served.client.post("/api/consent", content=content, headers=headers | more).status_code

    assert send(b" " * 20_000) == 413
    assert send(b"{") == 400
    assert send(b"[" * 10_000) in (400, 422)
    assert send(b'{"agree": true, "language": "en", "x": 1}') == 422
    assert send(b'{"agree": "true", "language": "en"}') == 422
    assert send(b'{"agree": true, "language": "fr"}') == 422
    assert send(b'{"agree": true, "language": "en"}', **{"Content-Type": "text/plain"}) == 415
    assert send(b'{"agree": true, "language": "en"}', **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert served.client.get("/api/state?" + "x" * 3000, headers=person.headers).status_code == 414
    assert served.client.get("/" + "x" * 3000).status_code == 414
    assert served.client.get("/", headers={"X-Long": "x" * 9000}).status_code == 431
    assert person.state()["stage"] == "consent"
    assert send(b'{"agree": true, "language": "en"}') == 200


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("xaudio_web.limits.BODY_SECONDS", 0.05)
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}

    async def receive():
        await asyncio.sleep(10)

    with ThreadPoolExecutor(1) as thread, pytest.raises(RefusedError) as refused:  # here a browser's loop may be running
        thread.submit(lambda: asyncio.run(read_json(Request(scope, receive)))).result()
    assert refused.value.status == 408


def test_strangers_wear_out_their_own_allowance_alone(folder, monkeypatch):
    monkeypatch.setattr("xaudio_study.server.app.REFUSED_PER_MINUTE", 3)
    one = Served(folder)
    person, _ = one.invited()
    assert [one.client.get("/api/state").status_code for _ in range(5)] == [401] * 3 + [429] * 2
    assert person.get("/api/state").status_code == 200


def test_what_another_process_holds_up_is_not_acknowledged(served):
    person, _ = served.invited()
    served.database._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(served.folder / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    busy = person.post("consent", {"agree": True, "language": "en"})
    assert (busy.status_code, busy.json()["error"]) == (503, "busy")
    assert busy.headers["Retry-After"]
    other.close()
    assert person.post("consent", {"agree": True, "language": "en"}).status_code == 200


def test_withdrawal_by_the_participant(served):
    person, name = served.invited()
    person.enter()
    person.post("level", {"heard": True})
    person.post("answer", person.trial())
    assert person.post("withdraw", {"delete": False}).status_code == 422
    assert person.post("withdraw", {"delete": True}).json() == {"deleted": True}
    assert person.post("withdraw", {"delete": True}).json() == {"deleted": True}
    assert person.state() == {"stage": "withdrawn"}
    assert person.post("consent", {"agree": True, "language": "en"}).status_code == 410
    assert name in [one.participant for one in read_study(served.folder).participants if one.withdrawn]


@pytest.mark.slow
def test_a_full_disk_is_told_and_nothing_is_acknowledged(served):
    people = [served.invited()[0] for _ in range(6)]
    for person in people:
        person.enter()
        person.post("level", {"heard": True})
    connection = served.database._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    responses = [
        person.post("answer", person.trial()) for _ in range(19) for person in people if person.state()["stage"] != "done"
    ]
    refused = [response for response in responses if response.status_code != 200]
    assert 0 < len(refused) < len(responses)
    for response in refused:
        assert (response.status_code, response.json()["error"]) == (507, "full")
        assert "no room" in response.json()["message"]
        assert response.headers["Retry-After"]
    connection.execute("PRAGMA max_page_count = 100000")
    assert sum(read["answers"] for read in status(served.folder)["participants"]) + checks(connection) == len(responses) - len(
        refused
    )
    for person in people:
        person.go_through()
    assert len(read_study(served.folder).answers) == 6 * 13


def checks(connection):
    return connection.execute("SELECT COUNT(*) FROM checks").fetchone()[0]


@pytest.mark.slow
def test_nothing_personal_is_stored(served):
    """No address, no browser: neither where the columns are nor anywhere in the files."""
    person, _ = served.invited()
    person.headers |= {
        "User-Agent": "Marked-Browser/1.0",
        "X-Forwarded-For": "203.0.113.77",
        "Referer": "https://marked.example/",
    }
    person.enter()
    person.go_through()
    for path in served.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for mark in (b"Marked-Browser", b"203.0.113.77", b"marked.example", b"testclient", b"127.0.0.1"):
                assert mark not in content, (path, mark)
    assert set(StudyData.model_fields) == {
        "format",
        "title",
        "classes",
        "questions",
        "items",
        "participants",
        "answers",
        "simulated",
    }


@pytest.mark.slow
def test_in_a_preference_half_get_b_first_and_answers_mean_the_same(make_study, tmp_path):
    folder = make_study(
        tmp_path / "study",
        checks={"level": False},
        explanations={"explainers": ["lrp", "gradient"]},
        questions=[{"name": "better", "kind": "preference", "modes": ["audible-explanation"]}],
    )
    served = Served(folder)
    trials = {trial.item: trial for trial in read_public(folder).items}
    first: dict[str, list[bool]] = {}
    for _ in range(4):
        person, _ = served.invited()
        person.enter()
        while (state := person.state())["stage"] == "items":
            trial = state["trial"]
            straight = [medium["name"] for medium in trial["media"]] == [medium.name for medium in trials[trial["item"]].media]
            first.setdefault(trial["item"], []).append(straight)
            assert person.post("answer", person.trial(plays=1)).status_code == 422  # both must be heard
            assert person.post("answer", person.trial("A")).status_code == 422
            assert person.post("answer", person.trial("1" if straight else "2")).status_code == 200
    assert all(sorted(order) == [False, False, True, True] for order in first.values())
    assert {answer.value for answer in read_study(folder).answers} == {"A"}


def test_only_loopback_addresses_are_taken_for_such():
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.1", "example.org")] == (
        [True, True, True, False, False, False, False]
    )


def xaudio(*arguments):
    command = [sys.executable, "-c", "from xaudio.cli.app import main; main()", "study", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_commands(processes, served, tmp_path):
    folder = served.folder
    done = xaudio("invite", folder, "--count", 2, "--address", "https://study.example.org/x")
    links = done.stdout.split()
    assert len(links) == 2
    assert all(one.startswith("https://study.example.org/x/#") for one in links)
    person = Person(served.client, links[0].partition("#")[2], served.clock)
    person.enter()
    found = json.loads(xaudio("status", folder, "--json").stdout)
    assert (found["invited"], found["begun"]) == (2, 1)
    assert "1 begun" in xaudio("status", folder).stdout
    assert xaudio("export", folder, "--out", tmp_path / "out").returncode == 0
    assert len(read_study(tmp_path / "out" / "study-data.json").participants) == 1
    assert xaudio("withdraw", folder, links[0], "--yes").stdout.startswith("Participant ")
    assert person.state() == {"stage": "withdrawn"}
    missing = xaudio("withdraw", folder, "nobody", "--yes")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    for command in (["serve"], ["invite"], ["status"], ["export", "--out", tmp_path / "x"], ["withdraw", "--yes", "code"]):
        failed = xaudio(command[0], tmp_path / "none", *command[1:])
        assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
        assert "holds no study" in failed.stderr
    settings = tmp_path / "study.toml"
    assert xaudio("build", "--init", settings).returncode == 0
    assert "consent_text" in settings.read_text()
    assert xaudio("build", "--init", settings).returncode == 1


def test_a_link_whose_hash_was_encoded_leads_to_the_page(served):
    person, _ = served.invited()
    found = served.client.get(f"/%23{person.token}", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, f"./#{person.token}")
    assert found.headers["content-security-policy"]
    for path in ("/else", "/api", "/a%23b", "/%23a/b"):
        assert served.client.get(path, follow_redirects=False).status_code == 404


def test_a_study_without_one_of_its_files_is_not_served(make_study, tmp_path):
    folder = make_study(tmp_path / "study", right=1, wrong=1)
    for path in sorted((folder / "media").iterdir()):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(DataError, match=rf"{path.name}: is missing. Restore it from a copy, or build the study again"):
            Visits(folder, Serving())
        path.write_bytes(content)
    assert not (folder / "answers.sqlite").exists()
    Visits(folder, Serving()).database.close()


CODE = """
import torch
from torch import nn

def sounds():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv1d(1, 2, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
    made.representation, made.classes, made.kind = "raw:sample_rate=8000", ["high", "low"], "classes"
    return made
"""


@pytest.mark.slow
def test_a_study_of_an_own_model_is_built_served_and_analysed(tmp_path):
    """A network of the user's own, of any length, and recordings in folders."""
    (tmp_path / "mine.py").write_text(CODE)
    for number in range(12):
        sound = np.sin(np.arange(1600 + 400 * (number % 2)) * (0.1 + 0.2 * number)) * 0.3
        place = tmp_path / "data" / ("low", "high")[number % 2] / f"{number}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_audio(place, sound.astype(np.float32), 8000)
    settings = starting_point()
    settings = settings.model_copy(
        update={
            "recordings": settings.recordings.model_copy(update={"right": 1, "wrong": 1, "fill": True}),
            "explanations": settings.explanations.model_copy(update={"explainers": ("gradient",)}),
        }
    )
    spec = f"python:at={tmp_path / 'mine.py'}:sounds"
    with pytest.warns(XaudioWarning, match=r"is unknown|heard in one window of 0\.25 s"):
        build_study(spec, tmp_path / "study", settings, data=tmp_path / "data", device="cpu")
    served = Served(tmp_path / "study")
    with served.client:
        for _ in range(2):
            person, _ = served.invited()
            person.enter()
            person.go_through()
    data = read_study(tmp_path / "study")
    assert len(data.answers) == 2 * len(data.items) == 16
    assert data.classes == ("high", "low")
    assert run_analysis(data, None, draws=100).kept == 2
