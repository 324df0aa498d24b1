"""Whatever is sent, by whomever: what is not the participant's next step changes nothing and is refused."""

import json
import sqlite3
import string

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from starlette.testclient import TestClient

from xaudio_study.building.settings import Serving
from xaudio_study.plan import read_public
from xaudio_study.server.app import Server
from xaudio_study.server.store import read_study
from xaudio_web import Gate

FORM = {"gender": "diverse", "experience": "zero", "hearing": "very good"}
pytestmark = pytest.mark.sweep
MANY = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Halfway:
    """A study with one participant halfway, who was just given a sound; what all tests here attack."""

    def __init__(self, folder):
        self.folder, self.clock = folder, Clock()
        server = Server(folder, Serving(requests_per_second=1e9), self.clock)
        server.strangers.rate = server.strangers.burst = 1e9
        self.client = TestClient(Gate(server.app()), raise_server_exceptions=False)
        one, two = server.visits.database.invite(2)
        self.headers = {"Authorization": f"Bearer {server.links.token(one)}", "Content-Type": "application/json"}
        self.fresh = {"Authorization": f"Bearer {server.links.token(two)}", "Content-Type": "application/json"}
        self.post("consent", {"agree": True, "language": "en"})
        self.post("form", {"answers": FORM})
        self.sent = []
        while len(self.sent) < 5 or not self.trial()["media"][0]["seconds"]:
            sent = self.valid()
            assert self.post("answer", sent).status_code == 200
            self.sent.append(sent)
        self.current = self.valid()
        self.before = self.dump()

    def trial(self):
        return self.client.get("/api/state", headers=self.headers).json()["trial"]

    def valid(self):
        trial = self.trial()
        self.clock.now += 10
        sound = int(trial["media"][0]["kind"] == "sound")
        return {"item": trial["item"], "value": "one", "response_ms": 3000.0, "plays": sound}

    def post(self, path, content):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.client.post(f"/api/{path}", content=body, headers=self.headers)

    def dump(self):
        connection = sqlite3.connect(self.folder / "answers.sqlite")
        found = list(connection.iterdump())
        connection.close()
        return found

    def refused(self, response):
        assert 400 <= response.status_code < 500, (response.status_code, response.text)
        assert self.dump() == self.before
        return response.status_code


@pytest.fixture(scope="module")
def halfway(make_study, tmp_path_factory):
    attacked = Halfway(make_study(tmp_path_factory.mktemp("forged") / "study", checks={"level": False}))
    with attacked.client:  # one thread of the server for all requests
        yield attacked


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@MANY
@given(st.sampled_from(["answer", "consent", "form", "level", "enrol"]), values)
def test_any_json(halfway, path, content):
    halfway.refused(halfway.post(path, content))


@MANY
@given(st.sampled_from(["answer", "consent", "form", "level", "withdraw", "enrol"]), st.binary(max_size=300))
def test_any_bytes(halfway, path, content):
    if content.strip() not in (b'{"heard":true}', b'{"delete":true}', b"{}"):
        halfway.refused(halfway.post(path, content))


@MANY
@given(st.sampled_from(["item", "value", "response_ms", "plays", "more"]), values)
def test_an_answer_with_any_field_changed(halfway, name, value):
    sent = halfway.current | {name: value}
    acceptable = (
        name == "response_ms" and isinstance(value, float | int) and not isinstance(value, bool) and 100 <= value <= 12_000
    ) or (name == "plays" and isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000)
    if not acceptable and sent != halfway.current and value not in ("zero", "one", "two"):
        halfway.refused(halfway.post("answer", sent))


@MANY
@given(st.data())
def test_answers_out_of_their_turn(halfway, data):
    known = {sent["item"] for sent in halfway.sent} | {halfway.current["item"]}
    others = [trial.item for trial in read_public(halfway.folder).items if trial.item not in known]
    item = data.draw(st.sampled_from(others))
    value = data.draw(st.sampled_from(["zero", "one", "two"]))
    sent = {"item": item, "value": value, "response_ms": data.draw(st.floats(500, 9000)), "plays": data.draw(st.integers(0, 3))}
    assert halfway.refused(halfway.post("answer", sent)) == 409


@MANY
@given(st.data())
def test_replays_with_another_answer_and_as_they_were(halfway, data):
    sent = data.draw(st.sampled_from(halfway.sent))
    changed = sent | data.draw(
        st.sampled_from([{"value": "two"}, {"value": "zero"}, {"response_ms": 3000.5}, {"plays": sent["plays"] + 1}])
    )
    assert halfway.refused(halfway.post("answer", changed)) == 409
    again = halfway.post("answer", sent)
    assert (again.status_code, again.json()["item"]) == (200, sent["item"])
    assert halfway.dump() == halfway.before


@MANY
@given(st.text(string.ascii_letters + string.digits + "._-=", max_size=120))
def test_any_token(halfway, token):
    for path in ("answer", "withdraw"):
        content = json.dumps(halfway.current if path == "answer" else {"delete": True})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        assert halfway.refused(halfway.client.post(f"/api/{path}", content=content, headers=headers)) == 401


@MANY
@given(st.integers(0, 200), st.characters(codec="ascii", categories=("Lu", "Ll", "Nd")))
def test_a_token_with_one_character_changed(halfway, place, letter):
    token = halfway.headers["Authorization"]
    place = 7 + place % (len(token) - 7)
    if token[place] != letter:
        headers = halfway.headers | {"Authorization": token[:place] + letter + token[place + 1 :]}
        body = json.dumps(halfway.current)
        assert halfway.refused(halfway.client.post("/api/answer", content=body, headers=headers)) == 401


@MANY
@given(st.sampled_from(["answer", "form", "level"]))
def test_steps_of_somebody_who_has_not_consented(halfway, path):
    content = {"answer": halfway.current, "form": {"answers": FORM}, "level": {"heard": True}}[path]
    response = halfway.client.post(f"/api/{path}", content=json.dumps(content), headers=halfway.fresh)
    assert halfway.refused(response) == 409


@MANY
@given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]), st.text(string.printable.strip() + "äß\u202e", max_size=60))
def test_any_path(halfway, method, path):
    if path.strip("/?#").partition("?")[0].partition("#")[0]:
        response = halfway.client.request(method, "http://testserver/media/" + path.replace("#", "%23"), headers=halfway.headers)
        halfway.refused(response)


def test_after_all_that_the_study_goes_on(halfway):
    assert halfway.post("answer", halfway.current).status_code == 200
    assert len(read_study(halfway.folder).answers) == len(halfway.sent) + 1
