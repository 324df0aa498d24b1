"""Time `xaudio explore` in Chromium: from the end of a recording to its prediction and to the picture of its explanation.

    python benchmarks/explore_speed.py RECORDING [--model demo] [--times 10]

The recording is what the browser's microphone hears. It needs the extras [web] and [test], and Chromium on the path.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from playwright.sync_api import Browser, sync_playwright

import xaudio

RATE = 48000
MARKS = "() => ['recorded', 'predicted', 'explained'].map((name) => performance.getEntriesByName(name).at(-1)?.startTime ?? 0)"
FAKE = "fake-device-for-media-stream", "fake-ui-for-media-stream"
DONE = "() => performance.getEntriesByName('explained').length > 0"


def microphone_file(recording: Path, folder: Path) -> Path:
    """A second of silence, the recording, and another second, as the browser's microphone hears it again and again."""
    samples, rate = soundfile.read(recording, dtype="float32", always_2d=True)
    word = samples.mean(1)
    word = np.interp(np.arange(0, len(word) / rate, 1 / RATE), np.arange(len(word)) / rate, word)
    silence = np.zeros(RATE)
    path = folder / "heard.wav"
    soundfile.write(path, 0.5 * np.concatenate([silence, word / np.abs(word).max(), silence]), RATE, subtype="PCM_16")
    return path


def measured(browser: Browser, address: str) -> tuple[float, float]:
    """Milliseconds from the end of a recording to the prediction and to the picture."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.click("#record")
    page.wait_for_function(DONE)
    recorded, predicted, explained = page.evaluate(MARKS)
    page.close()
    return predicted - recorded, explained - recorded


def main() -> None:
    """Print the median and the largest of several recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    served = xaudio.explore(given.model, device="cpu")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        heard = microphone_file(given.recording, Path(folder))
        fake = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={heard}",
        ]
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *fake])
        times = [measured(browser, served.address) for _ in range(given.times)]
        browser.close()
    served.stop()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {given.times} recordings")
    for name, column in zip(("prediction", "picture"), zip(*times, strict=True), strict=True):
        print(f"{name}: median {statistics.median(column):.0f} ms, largest {max(column):.0f} ms")


if __name__ == "__main__":
    main()
