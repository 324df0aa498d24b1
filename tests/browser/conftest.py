"""A real browser for the pages, which must need nothing but their own text."""

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
    found = os.environ.get("XAUDIO_TEST_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("there is no browser: set XAUDIO_TEST_BROWSER, or put chromium or google-chrome on the path")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, headless=True, args=list(ARGUMENTS))
        yield started
        started.close()


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
        context.set_default_timeout(20_000)
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
    visit = Visit(browser)
    yield visit
    for context in visit.contexts:
        context.close()
    assert visit.requests == []
    assert visit.complaints == []
