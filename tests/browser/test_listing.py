"""The table above the players of several recordings, in a browser, with and without script."""

from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from sounds import boxes, choices, clicks, of_samples, renamed

from xaudio import create


@pytest.fixture(scope="module")
def page_of_many(tmp_path_factory):
    """Five explanations: of two recordings in two views each, and of one that is rightly predicted."""
    right = of_samples(clicks().clip.waveform, clicks().clip.waveform, source="/r/right.wav", target=1)
    right = replace(right, clip=replace(right.clip, labels={"digit": 1}))
    items = [choices()[0], choices()[2], renamed(boxes(), "/r/b/noise 10.wav"), renamed(boxes(), "/r/c/noise 9.wav"), right]
    path = tmp_path_factory.mktemp("many") / "report.html"
    path.write_text(create("renderer", "html").page(items), encoding="utf-8")
    return path


def files(page):
    return [link.inner_text() for link in page.locator(".listing tbody tr:visible th").all()]


def test_rows_are_searched_filtered_and_sorted(browser_page, page_of_many):
    page = browser_page(page_of_many)
    assert page.locator(".listing-count").inner_text() == "5 of 5 shown"
    page.keyboard.press("/")
    page.keyboard.type("NOISE wav")
    assert files(page) == ["noise 10.wav", "noise 9.wav"]
    page.click("th button:text-is('File')")
    assert files(page) == ["noise 9.wav", "noise 10.wav"], "numbers in names are numbers"
    page.click("th button:text-is('File')")
    assert files(page) == ["noise 10.wav", "noise 9.wav"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.fill(".listing-search", "")
    page.select_option(".listing-correct", "right")
    assert files(page) == ["right.wav"]
    page.select_option(".listing-correct", "")
    page.click("th button:text-is('Share for')")
    shares = [float(cell.get_attribute("data-value")) for cell in page.locator(".listing-share_for").all()]
    assert shares == sorted(shares)
    assert len(shares) == 5


def test_keys_go_through_the_rows_play_them_and_lead_to_the_players(browser_page, page_of_many):
    page = browser_page(page_of_many)
    page.focus(".listing-scroll")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("f")
    page.wait_for_function("() => document.querySelector('tbody tr:nth-child(2) [aria-label*=speaks] + audio')?.currentTime > 0")
    assert page.locator(".listing audio").count() == 1, "a sound that nobody heard costs nothing"
    assert page.locator(".listing button[aria-pressed=true]").inner_text() == "For"
    page.keyboard.press("Space")
    assert page.locator(".listing button[aria-pressed=true]").inner_text() == "Recording"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('xaudio-player').index === 1")
    assert page.locator("xaudio-player select").first.input_value().startswith("time-frequency")
    assert page.locator(".listing button[aria-pressed=true]").count() == 0
    page.wait_for_function("() => Math.abs(document.querySelector('#recording-1').getBoundingClientRect().top) < 300")


def test_without_javascript_there_are_pictures_and_sounds(browser_page, page_of_many):
    page = browser_page(page_of_many, java_script_enabled=False)
    assert page.locator(".listing img:visible").count() == 5
    assert page.locator(".listing audio[controls]:visible").count() >= 8
    assert page.locator(".listing-part:visible").first.inner_text() == "Recording"
    assert page.locator(".listing-tools:visible").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser_page, page_of_many, scheme):
    page = browser_page(page_of_many, color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_selector("xaudio-player.xa-drawn")
    page.click("th button:text-is('Confidence')")
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(page).response["violations"]
        assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
