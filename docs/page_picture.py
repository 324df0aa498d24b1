"""The moving picture of the README: a page of xaudio in Chromium, played, switched and seen in other ways.

``python docs/page_picture.py recording.wav docs/landing/page.webp`` explains the recording with the demo model and writes its
sounds, ``original.wav`` and ``positive.wav``, beside the picture. It needs playwright and Chromium, as the browser tests do. The
recording of the README is number 10 of the data set ``synthetic``.
"""

import io
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import playwright.sync_api
from PIL import Image

import xaudio

SIZE, FRAMES, MILLISECONDS, LARGEST = {"width": 860, "height": 840}, 10, 140, 1_000_000


def filmed(page):
    """Pictures of a page while it plays, and while other relevance is seen."""

    def shots(count):
        for _ in range(count):
            yield Image.open(io.BytesIO(page.screenshot(type="png"))).convert("RGB")

    page.wait_for_selector("xaudio-player.xa-drawn")
    yield from shots(3)
    for part in ("original", "positive"):
        page.locator(f".xa-choose-part input[value={part}]").check(force=True)
        page.evaluate("document.querySelector('xaudio-player').from(0)")
        yield from shots(FRAMES)
    for signs in ("positive", "none", "both"):
        page.locator(f".xa-choose-signs input[value={signs}]").check(force=True)
        yield from shots(4)


def main(recording, out):
    """Explain the recording, film its page and write the picture."""
    with TemporaryDirectory() as folder, playwright.sync_api.sync_playwright() as api:
        explanation = xaudio.explain("demo", recording, view="time-frequency")
        explanation.render("html", "audible", folder=folder)
        browser = api.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto((Path(folder) / "explanation.html").as_uri())
        first, *others = filmed(page)
        first.save(out, save_all=True, append_images=others, duration=MILLISECONDS, loop=0, quality=60, method=4)
        browser.close()
        for name in ("original", "positive"):
            shutil.copy(Path(folder) / f"{name}.wav", out.with_name(f"{name}.wav"))
    assert out.stat().st_size < LARGEST, f"{out.stat().st_size} bytes"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
