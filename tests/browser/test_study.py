"""A browser goes through a whole study: with the mouse, by the keyboard alone, on a phone, and through crashes of the server."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from xaudio.study.links import Links
from xaudio.study.store import open_database, read_study


class Serving:
    """The server as a process of its own."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}/"
        self.start()

    def start(self):
        port = self.address.rstrip("/").rpartition(":")[2]
        command = [
            sys.executable,
            "-c",
            "from xaudio.cli import main; main()",
            "study",
            "serve",
            str(self.folder),
            "--port",
            port,
        ]
        self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(600):
            try:
                urllib.request.urlopen(self.address, timeout=5).read()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def stop(self):
        self.process.terminate()
        return self.process.communicate()[1].decode()

    def invited(self):
        database = open_database(self.folder)
        (name,) = database.invite(1)
        database.close()
        return name, f"{self.address}#{Links(self.folder).token(name)}"


@pytest.fixture
def serve(make_study, tmp_path, monkeypatch):
    for name, seconds in (("TONE_SECONDS", 0.2), ("PAUSE_SECONDS", 0.1), ("NOISE_SECONDS", 0.5)):
        monkeypatch.setattr(f"xaudio.study.sounds.{name}", seconds)
    running = []

    def start(*options, **settings):
        folder = make_study(tmp_path / "study", **{"right": 1, "wrong": 1, **settings})
        running.append(Serving(folder, *options))
        return running[-1]

    yield start
    assert [server.stop() for server in running] == [""] * len(running), "the server logs nothing"


def accessible(page):
    """No fault that axe finds; what it names is shown."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found] == []


def press(page, name):
    """A button by what a screen reader says of it."""
    page.get_by_role("button", name=name, exact=True).click()


def fits(page):
    """Nothing is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def heading(page, text, *, checked=True):
    page.wait_for_selector(f"h1:has-text('{text}')")
    if checked:
        accessible(page)
    fits(page)
    assert page.evaluate("document.activeElement.tagName") == "H1", "keyboard and screen reader begin at the top"


def go_through(page, tasks, checks=6):
    """All pages of a study in English, with the mouse."""
    heading(page, "What did the computer hear?")
    press(page, "Begin")
    heading(page, "Your consent")
    press(page, "Agree and continue")
    page.wait_for_selector("text=Please tick the box")
    page.check("input[name=agree]")
    press(page, "Agree and continue")
    heading(page, "About you")
    assert page.evaluate("location.href") in page.inner_text(".link")
    press(page, "Next")
    page.wait_for_selector("text=Please choose an answer to every question")
    for name, value in (("gender", "diverse"), ("experience", "zero"), ("hearing", "very good")):
        page.check(f"input[name={name}][value='{value}']")
    press(page, "Next")
    if checks:
        heading(page, "Set the volume")
        page.click("button[type=submit]", force=True)  # it is there, and says why it does not go on yet
        page.wait_for_selector("text=You can answer when the sound has played")
        press(page, "Play the noise")
        page.wait_for_selector("button[type=submit]:not([aria-disabled])")
        press(page, "The volume is right")
    for check in range(checks):
        heading(page, f"Headphone check {check + 1} of 6", checked=check == 0)
        answer(page, "2")
    heading(page, "What you do now")
    press(page, "Start")
    for task in range(tasks):
        heading(page, f"Task {task + 1} of {tasks}", checked=task % 2 == 0)  # two of each mode
        assert page.inner_text("#progress-text") == f"{task} of {tasks} tasks done"
        assert page.get_attribute("progress", "value") == str(task)
        answer(page, "one")
    heading(page, "Thank you!")


def answer(page, value):
    if page.query_selector(".player"):
        assert page.is_disabled(f"input[value='{value}']"), "open only after the sound was heard"
        page.click("button[type=submit]")
        page.wait_for_selector(".alert:has-text('You can answer when')")
        page.click(".player")
        page.wait_for_selector("fieldset:not([disabled])")
        assert page.inner_text("#spoken") == "Now you can answer."
    elif image := page.query_selector("img"):
        assert image.evaluate("image => image.naturalWidth") == 960
        assert image.get_attribute("alt") == "Picture of the sound over time"
    page.click("button[type=submit]")
    page.wait_for_selector(".alert:has-text('Please choose an answer first')")
    page.check(f"input[value='{value}']")
    page.click("button[type=submit]")


def test_a_whole_study_at_desktop_size(serve, browser_page):
    server = serve(checks={"headphones": True, "catch_trials": 1})
    name, address = server.invited()
    page = browser_page(address, locale="en-GB")
    assert page.evaluate("document.documentElement.lang") == "en"
    go_through(page, 9)
    assert name in page.inner_text("footer")
    data = read_study(server.folder)
    assert [answer.value for answer in data.answers] == ["one"] * 9
    assert data.participants[0].headphones == pytest.approx(2 / 6)
    modes = {item.item: item.mode for item in data.items}
    for one in data.answers:
        audible = modes[one.item].startswith("audible")
        assert one.plays == int(audible)
        assert one.response_ms >= (200 if audible else 0)
    press(page, "Stop and delete my answers")
    page.wait_for_selector("dialog[open]")
    accessible(page)
    press(page, "Keep my answers")
    press(page, "Stop and delete my answers")
    press(page, "Delete everything")
    heading(page, "Your answers are deleted")
    assert read_study(server.folder).answers == ()


def test_a_study_on_a_phone_in_open_enrolment_and_in_german(serve, browser_page):
    server = serve("--open", checks={"level": False})
    page = browser_page(server.address, width=360, height=640, locale="de-DE", has_touch=True, is_mobile=True)
    heading(page, "Was hat der Computer gehört?")
    assert page.evaluate("document.documentElement.lang") == "de"
    page.select_option("select", "en")
    page.wait_for_selector("h1:has-text('What did the computer hear?')")
    press(page, "Begin")
    heading(page, "Your consent")
    page.select_option("select", "de")
    heading(page, "Ihre Einwilligung")
    page.tap("input[name=agree]")
    press(page, "Einwilligen und weiter")
    heading(page, "Über Sie")
    for name in ("gender", "experience", "hearing"):
        page.tap(f"label:has(input[name={name}]) >> nth=1")
    press(page, "Weiter")
    heading(page, "Was Sie jetzt tun")
    press(page, "Los geht's")
    for task in range(8):
        heading(page, f"Aufgabe {task + 1} von 8", checked=task % 2 == 0)
        if page.query_selector(".player"):
            page.tap(".player")
            page.wait_for_selector("fieldset:not([disabled])")
        box = page.query_selector("label:has(input[value=two])").bounding_box()
        assert box["height"] >= 44, "large enough for a finger"
        page.tap("label:has(input[value=two])")
        press(page, "Weiter")
    heading(page, "Vielen Dank!")
    data = read_study(server.folder)
    assert [person.language for person in data.participants] == ["de"]
    assert len(data.answers) == 8


def test_the_keyboard_alone_is_enough(serve, browser_page):
    server = serve(checks={"level": True})
    _, address = server.invited()
    page = browser_page(address, locale="en-GB")
    keys = page.keyboard

    def tab_to(selector, limit=30):
        for _ in range(limit):
            keys.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached with Tab")

    page.wait_for_selector("text=Begin")
    tab_to("main button")
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('Your consent')")
    tab_to("input[name=agree]")
    keys.press("Space")
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('About you')")
    for name in ("gender", "experience", "hearing"):
        tab_to(f"input[name={name}]")
        keys.press("ArrowDown")
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('Set the volume')")
    tab_to(".player")
    keys.press("Enter")
    page.wait_for_selector("button[type=submit]:not([aria-disabled])")
    tab_to("button[type=submit]")
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('What you do now')")
    tab_to("main button")
    keys.press("Space")
    for task in range(8):
        page.wait_for_selector(f"h1:has-text('Task {task + 1} of 8')")
        if page.query_selector(".player"):
            tab_to(".player")
            keys.press("Space")
            page.wait_for_selector("fieldset:not([disabled])")
        tab_to("input[name=answer]")
        keys.press("ArrowRight")
        keys.press("ArrowRight")
        keys.press("Enter")
    page.wait_for_selector("h1:has-text('Thank you!')")
    assert [answer.value for answer in read_study(server.folder).answers] == ["two"] * 8


def begin(page):
    """From the invitation to the first task, where there is no level check."""
    press(page, "Begin")
    page.check("input[name=agree]")
    press(page, "Agree and continue")
    for name in ("gender", "experience", "hearing"):
        page.check(f"input[name={name}] >> nth=0")
    press(page, "Next")
    press(page, "Start")


def test_an_answer_waits_for_a_server_that_crashed(serve, browser_page):
    server = serve(checks={"level": False})
    _, address = server.invited()
    page = browser_page(address, locale="en-GB")
    begin(page)
    page.wait_for_selector("h1:has-text('Task 1 of 8')")
    if page.query_selector(".player"):
        page.click(".player")
        page.wait_for_selector("fieldset:not([disabled])")
    page.check("input[value=two]")
    server.kill()
    press(page, "Next")
    page.wait_for_selector(".alert:has-text('There is no connection')")
    accessible(page)
    server.start()
    page.wait_for_selector("h1:has-text('Task 2 of 8')")
    assert [answer.value for answer in read_study(server.folder).answers] == ["two"]
    other = browser_page(address, locale="en-GB")  # another device, from where the first one is
    press(other, "Start")
    other.wait_for_selector("h1:has-text('Task 2 of 8')")
    browser_page.complaints[:] = [line for line in browser_page.complaints if "ERR_CONNECTION_REFUSED" not in line]


def test_links_that_are_not_valid_are_told_in_words(serve, browser_page):
    server = serve(checks={"level": False})
    page = browser_page(server.address, locale="en-GB")
    page.wait_for_selector("text=you need a personal link")
    accessible(page)
    page = browser_page(f"{server.address}#forged.token", locale="en-GB")
    page.wait_for_selector("text=This link is not valid")
    accessible(page)
    browser_page.complaints[:] = [line for line in browser_page.complaints if "401" not in line]  # the browser's own note


def test_preferences_and_ratings(serve, browser_page):
    server = serve(
        checks={"level": False},
        explanations={"explainers": ["lrp", "gradient"]},
        questions=[
            {"name": "better", "kind": "preference", "modes": ["audible-explanation", "visual-explanation"]},
            {"name": "fits", "kind": "rating", "modes": ["audible-explanation"]},
        ],
    )
    _, address = server.invited()
    page = browser_page(address, locale="en-GB")
    begin(page)
    for task in range(8):
        heading(page, f"Task {task + 1} of 8", checked=task % 4 == 0)
        players = page.query_selector_all(".player")
        for place, player in enumerate(players):
            assert page.query_selector("fieldset[disabled]"), "both must be heard"
            player.click()
            page.wait_for_selector(f".player:has-text('Play again') >> nth={place}")
        page.check("input[name=answer] >> nth=1")
        press(page, "Next")
    heading(page, "Thank you!")
    data = read_study(server.folder)
    kinds = {item.item: item.question for item in data.items}
    assert sorted(answer.value for answer in data.answers if kinds[answer.item] == "fits") == ["2"] * 4
    assert {answer.value for answer in data.answers if kinds[answer.item] == "better"} <= {"A", "B"}
