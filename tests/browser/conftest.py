"""A real browser for the pages, which must need nothing but their own text."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, from XAUDIO_TEST_BROWSER or from the path."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    with api.sync_playwright() as playwright:
        started = launched(playwright.chromium)
        yield started
        started.close()


def launched(chromium: Any, *arguments: str) -> Any:
    """A browser of its own, with more arguments; skips where there is none."""
    found = os.environ.get("XAUDIO_TEST_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("there is no browser: set XAUDIO_TEST_BROWSER, or put chromium or google-chrome on the path")
    return chromium.launch(executable_path=found, headless=True, args=[*ARGUMENTS, *arguments])


@pytest.fixture(scope="session")
def hearing_browser(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium whose microphone hears a word again and again: half a second of 500 Hz, in faint noise, each 2.5 s."""
    import numpy as np
    import soundfile

    rate = 48000
    heard = 1e-4 * np.random.default_rng(0).standard_normal(5 * rate // 2)
    word = np.hanning(rate // 2) * np.sin(2 * np.pi * 500 * np.arange(rate // 2) / rate)
    heard[rate : rate + len(word)] += 0.4 * word
    path = tmp_path_factory.mktemp("microphone") / "word.wav"
    soundfile.write(path, heard, rate, subtype="PCM_16")
    fake = "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={path}"
    started = launched(browser.browser_type, *fake)
    yield started
    started.close()


@pytest.fixture
def hearing_page(hearing_browser: Any) -> Iterator[Visit]:
    """As `browser_page`, with that microphone."""
    yield from _visits(hearing_browser)


class Visit:
    """Opens pages; what they request of others, complain of or print to the console is kept, and must be nothing."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.contexts: list[Any] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __call__(self, path: Any, *, width: int = 1280, height: int = 900, **options: Any) -> Any:
        """A page, opened from a file or an address; options are those of a context of playwright."""
        address = path if isinstance(path, str) else path.as_uri()
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(60_000)  # a machine may be busy
        self.contexts.append(context)
        origin = "file:" if address.startswith("file:") else "/".join(address.split("/")[:3])

        def guard(route: Any) -> None:
            if route.request.url.startswith(origin):
                route.continue_()
            else:
                self.requests.append(route.request.url)
                route.abort()

        context.route("**/*", guard)
        page = context.new_page()
        page.on("request", lambda request: self._note(request.url, address))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.goto(address)
        return page

    def _note(self, url: str, address: str) -> None:
        # A page on disk is one file; requests of served pages are those that the guard refuses.
        if address.startswith("file:") and url != address and not url.startswith("data:"):
            self.requests.append(url)


@pytest.fixture
def browser_page(browser: Any) -> Iterator[Visit]:
    """Call it with a path or an address to open a page; in the end no request left it and nothing was complained of."""
    yield from _visits(browser)


def _visits(browser: Any) -> Iterator[Visit]:
    visit = Visit(browser)
    yield visit
    for page in (page for context in visit.contexts for page in context.pages):
        page.wait_for_timeout(20)  # what it complains of is on its way
    complaints = list(visit.complaints)  # not of what is broken off when it is closed
    for context in visit.contexts:
        context.close()
    assert visit.requests == []
    assert complaints == []
