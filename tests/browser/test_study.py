"""A browser goes through a whole study: with the mouse, by the keyboard alone, on a phone, and through crashes of the server."""

import re
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import commands
import pytest

from xaudio_study.server.links import Links
from xaudio_study.server.store import open_database, read_study
from xaudio_study.server.texts import read_texts


class Serving:
    """The server as a process of its own, at an address that it keeps when it is started again."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.port = folder, options, 0
        self.context = commands.start()
        self.start()

    def start(self):
        self.output = Path(tempfile.mkdtemp(dir=self.folder.parent))
        words = ["study", "serve", str(self.folder), "--port", str(self.port), *self.options]
        self.process = commands.begin(self.context, words, self.output)
        self.address = self._said(r"Serving (http://127\.0\.0\.1:\d+/)\n")
        self.port = int(self.address.rstrip("/").rpartition(":")[2])

    def _said(self, form):
        """What the server prints once it listens."""
        end, printed = time.monotonic() + 120, self.output / "stdout"
        while time.monotonic() < end and self.process.exitcode is None:
            if printed.exists() and (said := re.fullmatch(form, printed.read_text())):
                return said[1]
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {(self.output / 'stderr').read_text()}")

    def kill(self):
        self.process.kill()
        self.process.join()

    def stop(self):
        self.process.terminate()
        self.process.join()
        return (self.output / "stderr").read_text()

    def invited(self):
        database = open_database(self.folder)
        (name,) = database.invite(1)
        database.close()
        return name, f"{self.address}#{Links(self.folder).token(name)}"


@pytest.fixture
def serve(processes, make_study, tmp_path, monkeypatch):
    for name, seconds in (("TONE_SECONDS", 0.2), ("PAUSE_SECONDS", 0.1), ("NOISE_SECONDS", 0.5)):
        monkeypatch.setattr(f"xaudio_study.building.sounds.{name}", seconds)
    running = []

    def start(*options, **settings):
        folder = make_study(tmp_path / "study", **{"right": 1, "wrong": 1, **settings})
        running.append(Serving(folder, *options))
        return running[-1]

    yield start
    for server in running:
        assert re.fullmatch(r"xaudio: stopped; all answers [^\n]*\n", server.stop()), "beside this the server logs nothing"


def accessible(page):
    """No fault that axe finds; what it names is shown."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found] == []


def press(page, name):
    """A button by what a screen reader says of it."""
    page.get_by_role("button", name=name, exact=True).click()


def fits(page):
    """Nothing is wider than the screen (on a phone, window.innerWidth grows with what is too wide)."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def heading(page, text, *, checked=True, focused="H1"):
    page.wait_for_selector(f"h1:has-text('{text}')")
    if checked:
        accessible(page)
    fits(page)
    # Keyboard and screen reader begin at the top, once that can be read out.
    page.wait_for_function("tag => document.activeElement.tagName === tag", arg=focused)


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
    page.wait_for_selector("text=Please choose an answer for every question")
    for name, value in (("gender", "diverse"), ("experience", "zero"), ("hearing", "very good")):
        page.check(f"input[name={name}][value='{value}']")
    press(page, "Next")
    if checks:
        heading(page, "Set the volume")
        page.click("button[type=submit]", force=True)  # it is there, and says why it does not go on yet
        page.wait_for_selector("text=Please play the sound to the end first")
        press(page, "Play the noise")
        page.wait_for_selector("button[type=submit]:not([aria-disabled])")
        press(page, "The volume is right")
    for check in range(checks):
        heading(page, f"Headphone check {check + 1} of 6", checked=check == 0)
        answer(page, "2")
    heading(page, "What to do")
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
        page.wait_for_selector(".alert:has-text('Please play')")
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
    heading(page, "Your answers have been deleted")
    assert read_study(server.folder).answers == ()


def test_a_study_on_a_phone_in_open_enrolment_and_in_german(serve, browser_page):
    server = serve("--open", checks={"level": False})
    page = browser_page(server.address, width=360, height=640, locale="de-DE", has_touch=True, is_mobile=True)
    heading(page, "Was hat der Computer gehört?")
    assert page.evaluate("document.documentElement.lang") == "de"
    page.select_option("select", "en")
    heading(page, "What did the computer hear?", focused="SELECT")  # the arrow keys go on from there
    press(page, "Begin")
    heading(page, "Your consent")
    page.select_option("select", "de")
    heading(page, "Ihre Einwilligung", focused="SELECT")
    page.tap("input[name=agree]")
    press(page, "Einwilligen und weiter")
    heading(page, "Über Sie")
    for name in ("gender", "experience", "hearing"):
        page.tap(f"label:has(input[name={name}]) >> nth=1")
    press(page, "Weiter")
    heading(page, "Was Sie jetzt tun")
    press(page, "Los geht’s")
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
    page.wait_for_selector("h1:has-text('What to do')")
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


def begin_form(page):
    """From the invitation to what comes after the questions about the person."""
    press(page, "Begin")
    page.check("input[name=agree]")
    press(page, "Agree and continue")
    for name in ("gender", "experience", "hearing"):
        page.check(f"input[name={name}] >> nth=0")
    press(page, "Next")


def begin(page):
    """From the invitation to the first task, where there is no level check."""
    begin_form(page)
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
    page.get_by_role("alert").filter(has_text="There is no connection").wait_for()
    accessible(page)
    server.start()
    page.wait_for_selector("h1:has-text('Task 2 of 8')")
    assert [answer.value for answer in read_study(server.folder).answers] == ["two"]
    other = browser_page(address, locale="en-GB")  # another device, from where the first one is
    press(other, "Start")
    other.wait_for_selector("h1:has-text('Task 2 of 8')")
    forgive(browser_page)  # refused, reset or empty, by the moment at which the server died


def test_links_that_are_not_valid_are_told_in_words(serve, browser_page):
    server = serve(checks={"level": False})
    page = browser_page(server.address, locale="en-GB")
    page.wait_for_selector("text=you need a personal link")
    accessible(page)
    page = browser_page(f"{server.address}#forged.token", locale="en-GB")
    page.wait_for_selector("text=This link is not valid")
    accessible(page)
    page.evaluate("address => { location.href = address }", server.invited()[1])  # the whole link, into the same window
    page.wait_for_selector("main button:has-text('Begin')")
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
            others = "[player, ...document.querySelectorAll('.player')].forEach((one) => one.click())"
            player.evaluate(f"player => {others}")
            assert page.locator(".playing").count() <= 1, "never two sounds at once"
            page.wait_for_selector(f".player:has-text('Play again') >> nth={place}")
        page.check("input[name=answer] >> nth=1")
        press(page, "Next")
    heading(page, "Thank you!")
    data = read_study(server.folder)
    kinds = {item.item: item.question for item in data.items}
    assert sorted(answer.value for answer in data.answers if kinds[answer.item] == "fits") == ["2"] * 4
    assert {answer.value for answer in data.answers if kinds[answer.item] == "better"} <= {"A", "B"}


HASTE = "const real = window.setTimeout; window.setTimeout = (act, milliseconds) => real(act, milliseconds / 10)"
NOTES = ("Failed to load resource", "ERR_", "net::")  # the browser's own notes of what the tests break on purpose


def forgive(browser_page):
    browser_page.complaints[:] = [line for line in browser_page.complaints if not any(note in line for note in NOTES)]


def listen(page):
    """Hear all sounds of a task, if it has any."""
    for player in page.query_selector_all(".player"):
        player.click()
        page.wait_for_function("player => !player.classList.contains('playing')", arg=player)
    page.wait_for_selector("fieldset:not([disabled])")


def at_first_task(serve, browser_page, *, init=None, **settings):
    """The first task of a new participant, without level check."""
    server = serve(**{"checks": {"level": False}, **settings})
    name, address = server.invited()
    page = browser_page(address, locale="en-GB")
    if init:
        page.add_init_script(init)
        page.reload()
    begin(page)
    page.wait_for_selector("h1:has-text('Task 1 of')")
    return server, name, page


def test_an_answer_survives_all_that_a_network_does(serve, browser_page):
    server, _, page = at_first_task(serve, browser_page, init=HASTE)
    sent = []

    def hinder(route):
        sent.append(route.request.post_data)
        number = len(sent)
        if number == 1:
            route.fulfill(status=507, json={"error": "full"})
        elif number == 2:
            route.fulfill(status=200, content_type="text/html", body="<p>Please log in</p>")  # of a hotel's network
        elif number == 3:
            route.fulfill(status=408, json={"error": "invalid"})
        elif number == 4:
            route.fetch()  # it is stored, but the page is not told
            route.abort()
        elif number == 5:
            assert page.inner_text("#network").startswith("There is no connection. Your answer is kept")
            route.fulfill(status=429, json={"error": "busy"})
        else:
            route.continue_()

    page.route("**/api/answer", hinder)
    listen(page)
    page.check("input[value=two]")
    page.dblclick("button[type=submit]")
    page.wait_for_selector("#network:has-text('has no room to store your answer')")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.evaluate("location.reload()")
    page.wait_for_selector("h1:has-text('Task 2 of 8')")
    assert page.inner_text("#network") == ""
    assert page.inner_text("#spoken") == "Your answer is stored."
    assert asked == ["beforeunload"], "whoever closes the page meanwhile is asked first"
    assert len(sent) == 6
    assert len(set(sent)) == 1, "the same answer each time"
    assert [answer.value for answer in read_study(server.folder).answers] == ["two"]
    page.evaluate("location.reload()")  # nothing is kept back now, so nobody is asked
    page.wait_for_selector("h1:has-text('What to do')")
    assert asked == ["beforeunload"]
    forgive(browser_page)


def test_what_the_page_waits_for_is_told(serve, browser_page):
    server, _, page = at_first_task(serve, browser_page, init=HASTE, questions=[{"name": "p", "modes": ["audible-signal"]}])
    listen(page)
    page.check("input[value=two]")
    seen = []

    def hinder(route):
        if not seen:
            seen.append("")
            route.abort()
        elif len(seen) == 1:
            page.wait_for_selector("#network:has-text('The page will continue automatically')")
            seen.append("")
            time.sleep(0.3)
            route.continue_()
        else:
            route.continue_()

    page.route("**/media/*", hinder)
    press(page, "Next")
    page.wait_for_selector("h1:has-text('Task 2 of 2')")
    assert len(seen) == 2
    page.unroute("**/media/*")

    def slowly(route):
        page.wait_for_selector("main:has-text('Loading')")
        route.continue_()

    page.route("**/api/state", slowly)
    page.reload()
    page.wait_for_selector("h1:has-text('What to do')")
    page.unroute_all(behavior="wait")  # what holds the page up has let it go by then
    page.route("**/api/withdraw", lambda route: route.abort())
    press(page, "Stop and delete my answers")
    press(page, "Delete everything")
    page.wait_for_selector("dialog .alert:has-text('There is no connection')")
    accessible(page)
    page.unroute("**/api/withdraw")
    page.wait_for_selector("h1:has-text('Your answers have been deleted')")
    assert read_study(server.folder).answers == ()
    forgive(browser_page)


def test_a_sound_that_stops_or_fails_does_not_hold_up_the_task(serve, browser_page):
    _, _, page = at_first_task(serve, browser_page, questions=[{"name": "p", "modes": ["audible-signal"]}], seconds=8)
    page.click(".player")
    page.wait_for_selector(".player.playing")
    page.evaluate("document.querySelector('audio').pause()")  # as a call, or a key of the headphones
    page.wait_for_selector(".player:not(.playing):has-text('Play')")
    assert page.is_disabled("input[value=two]"), "not heard to its end"
    page.reload()
    press(page, "Start")
    page.click(".player")
    page.wait_for_selector(".player.playing")
    page.evaluate("document.querySelector('audio').playbackRate = 16")  # as an extension of the browser
    page.wait_for_selector("fieldset:not([disabled])")
    page.reload()
    press(page, "Start")
    page.wait_for_selector("h1:has-text('Task 1 of 2')")
    assert page.is_disabled("input[value=two]"), "what was heard before is not known after a reload"
    page.route("**/media/*", lambda route: route.fulfill(content_type="audio/wav", body="no sound"))
    page.reload()
    press(page, "Start")
    page.click(".player")
    page.wait_for_selector(".alert:has-text('The sound does not play')")
    accessible(page)
    assert page.inner_text(".player") == "Play"
    assert page.is_disabled("input[value=two]")


def test_a_sound_has_its_time_and_ends_with_its_page(serve, browser_page):
    server, _, page = at_first_task(serve, browser_page, questions=[{"name": "p", "modes": ["audible-signal"]}], seconds=8)
    page.evaluate("document.querySelector('audio').playbackRate = 16")
    listen(page)
    page.check("input[value=two]")
    press(page, "Next")
    page.wait_for_selector(".alert:has-text('You answered before the sound was over')")
    page.wait_for_timeout(8000)
    press(page, "Next")
    page.wait_for_selector("h1:has-text('Task 2 of 2')")
    (stored,) = read_study(server.folder).answers
    assert stored.response_ms >= 8000, "until it was accepted"
    page.evaluate("window.sound = document.querySelector('audio')")
    page.click(".player")
    page.wait_for_function("!window.sound.paused")
    press(page, "Stop and delete my answers")
    press(page, "Delete everything")
    page.wait_for_selector("h1:has-text('Your answers have been deleted')")
    page.wait_for_function("window.sound.paused")
    forgive(browser_page)


def test_two_windows_of_one_participant(serve, browser_page):
    server, _, first = at_first_task(serve, browser_page)
    second = browser_page(first.url, locale="en-GB")
    press(second, "Start")
    second.wait_for_selector("h1:has-text('Task 1 of 8')")
    for page, value in ((first, "two"), (second, "one")):
        listen(page)
        page.check(f"input[value={value}]")
        press(page, "Next")
        page.wait_for_selector("h1:has-text('Task 2 of 8')")
    assert first.inner_text("#alert") == ""
    second.wait_for_selector(".alert:has-text('You have already answered this task')")  # not for screen readers alone
    assert [answer.value for answer in read_study(server.folder).answers] == ["two"]
    press(first, "Stop and delete my answers")
    press(first, "Delete everything")
    first.wait_for_selector("h1:has-text('Your answers have been deleted')")
    listen(second)
    second.check("input[value=one]")
    press(second, "Next")
    second.wait_for_selector("h1:has-text('Your answers have been deleted')")
    forgive(browser_page)


def test_a_device_goes_on_when_another_moved_on_while_it_was_loading(serve, browser_page):
    _, _, page = at_first_task(serve, browser_page)
    asked = []

    def refuse_at_first(route):  # as the server does for what is no longer its turn
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=404, json={"error": "unknown", "message": ""})
        else:
            route.continue_()

    page.route("**/media/*", refuse_at_first)
    listen(page)
    page.check("input[value=one]")
    press(page, "Next")
    page.wait_for_selector("h1:has-text('Task 2 of 8')")
    assert len(asked) == 2
    page.unroute("**/media/*")
    page.route("**/media/*", lambda route: route.fulfill(status=404, json={"error": "unknown", "message": ""}))
    listen(page)
    page.check("input[value=one]")
    press(page, "Next")
    page.wait_for_selector("main:has-text('Something went wrong')")  # and does not ask for ever
    forgive(browser_page)


def test_open_enrolment_counts_a_double_click_once_and_goes_by_the_wishes_of_the_browser(serve, browser_page):
    server = serve("--open", checks={"level": False}, serving={"max_participants": 1})
    page = browser_page(server.address, width=390, height=844, locale="de-DE")
    page.add_init_script("Object.defineProperty(navigator, 'languages', { value: ['de-DE', 'de', 'en-US', 'en'] })")
    page.reload()
    page.wait_for_selector("h1:has-text('Was hat der Computer gehört?')")
    page.focus("select")
    page.select_option("select", "en")
    page.wait_for_selector("h1:has-text('What did the computer hear?')")
    assert page.evaluate("document.activeElement.tagName") == "SELECT", "the arrow keys go on to the next language"
    addresses = []
    page.on("request", lambda request: addresses.append(request.url))
    page.dblclick("main button")
    page.wait_for_selector("h1:has-text('Your consent')")
    with closing(sqlite3.connect(server.folder / "answers.sqlite")) as database:
        assert database.execute("SELECT COUNT(*) FROM participants").fetchone() == (1,)
    late = browser_page(server.address, locale="en-GB")
    press(late, "Begin")
    late.wait_for_selector("text=No more participants are needed")
    forgive(browser_page)
    page.check("input[name=agree]")
    press(page, "Agree and continue")
    page.wait_for_selector("h1:has-text('About you')")
    page.check("input[name=gender] >> nth=0")
    press(page, "Next")
    page.wait_for_selector("fieldset:has(input[name=experience]) .alert:has-text('Please choose an answer for every question')")
    top = page.evaluate("document.querySelector('fieldset .alert').getBoundingClientRect().top")
    assert 0 <= top < 844, "in sight"
    token = page.url.partition("#")[2]
    assert page.url == f"{server.address}#{token}"
    assert addresses
    assert not any(token in address.partition("#")[0] for address in addresses), "in no address that a server or proxy logs"
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    page.reload()
    page.wait_for_selector("h1:has-text('Über Sie'), h1:has-text('About you')")  # goes on, and does not begin again


def test_numbers_of_a_scale_are_no_classes(serve, browser_page):
    labels = {name: f"class {word}" for name, word in (("1", "A"), ("2", "B"), ("11", "C"))}
    server = serve(
        classes=tuple(labels),
        labels={"en": labels, "de": labels},
        checks={"level": False, "headphones": True, "catch_trials": 1},
        questions=[
            {"name": "r", "kind": "rating", "scale": 11, "modes": ["visual-signal"]},
            {"name": "p", "modes": ["visual-signal"]},
        ],
    )
    page = browser_page(server.invited()[1], locale="en-GB")
    begin_form(page)
    for check in range(6):
        page.wait_for_selector(f"h1:has-text('Headphone check {check + 1}')")
        assert page.inner_text(".answers").split() == ["1", "2", "3"]
        listen(page)
        page.check("input[value='1']")
        press(page, "Next")
    press(page, "Start")
    seen = set()
    for task in range(5):
        heading(page, f"Task {task + 1} of 5", checked=False)
        picture = page.query_selector("img")
        assert not picture or picture.get_attribute("alt") == "Picture of the sound over time"
        if "How well" in page.inner_text("legend"):
            assert "class" not in page.inner_text("main")
            page.get_by_role("radio", name="11 very well", exact=True).check()  # said with the number, not only shown below it
            boxes = page.query_selector_all(".choice")
            assert len(boxes) == 11
            assert len({box.bounding_box()["y"] for box in boxes}) == 1, "one row"
            page.set_viewport_size({"width": 320, "height": 568})
            fits(page)
            assert all(box.bounding_box()["width"] > 200 for box in boxes), "one column"
            page.set_viewport_size({"width": 1280, "height": 900})
            seen.add("rating" if picture else "catch")
        else:
            assert page.inner_text(".answers").split("\n") == ["class A", "class B", "class C"]
            page.check("input[value='2']")
            seen.add("choice")
        press(page, "Next")
    heading(page, "Thank you!")
    assert seen == {"rating", "catch", "choice"}


def test_without_javascript_the_page_says_so(serve, browser_page):
    page = browser_page(serve().address, java_script_enabled=False)
    assert page.locator("main:has-text('This study needs JavaScript')").is_visible()


def test_a_language_that_is_written_from_the_right(serve, browser_page):
    words = {language: language for language in ("en", "ar")}
    server = serve(
        "--open",
        languages=["en", "ar"],
        title=words,
        texts={"ar": read_texts("en")},
        form=[{"name": "hand", "text": words, "answers": [{"value": "left"}, {"value": "right"}]}],
    )
    page = browser_page(server.address, locale="ar-EG")
    page.wait_for_selector("h1:has-text('ar')")
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dir, document.title]") == ["ar", "rtl", "ar"]
    page.select_option("select", "en")
    page.wait_for_selector("h1:has-text('en')")
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dir, document.title]") == ["en", "ltr", "en"]
