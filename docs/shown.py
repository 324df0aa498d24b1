"""What the pages show: the output of their commands and of their code, and pictures of what these wrote.

``python docs/shown.py docs/guide/views.md ...`` runs pages anew, in the root of a clone, and writes the outputs into them and the
pictures to ``docs/guide/pictures``; of a notebook it writes the outputs. Pictures of pages need playwright and Chromium, as the
browser tests do. In a page

- ``<!-- run -->`` stands before a block of commands, ``<!-- run, status 1 -->`` before one that ends so, and
  ``<!-- run by hand -->`` before one that takes long or tells times, which the tests leave out;
- a block ``text`` right behind commands or Python is what they print;
- ``<!-- from FILE -->`` stands before a picture of a file that they wrote, ``<!-- from FILE, 900x600 -->`` before that of a page
  in a window of this size, ``<!-- from FILE, 900x600, SELECTOR -->`` before that of a page from an element on.
"""

import base64
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>run(?:, status \d| by hand)?) -->\n)?```(?P<kind>sh|python)\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.M | re.S,
)
PICTURE = re.compile(
    r"<!-- from (?P<source>[^,\n]+?)(?:, (?P<width>\d+)x(?P<height>\d+)(?:, (?P<selector>[^\n]+?))?)? -->\n"
    r"!\[(?P<words>[^]]+)\]\((?P<target>[^)]+)\)"
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?(?: ?%)?")
WIDEST, LARGEST, QUALITIES = 1000, 60_000, (78, 65, 50, 35)
RECORDINGS = {"seven": 70, "two": 10}
"""Recordings that the pages explain, and their numbers in the data set ``synthetic``."""


DRAWN = """[...document.querySelectorAll('xaudio-player')].every(player => {
    const { top, bottom } = player.getBoundingClientRect();
    return top > innerHeight || bottom < 0 || player.matches('.xa-drawn');
})"""
"""Whether all players in sight are drawn."""


class Block(NamedTuple):
    """Commands or code of a page, and what they print according to it, if it says so."""

    kind: str
    mark: str
    code: str
    shown: str | None


def blocks_of(text: str) -> Iterator[Block]:
    """What a page runs: its Python, and the commands that are marked."""
    for match in BLOCK.finditer(text):
        if match["kind"] == "python" or match["mark"]:
            yield Block(match["kind"], match["mark"] or "", match["code"], match["shown"])


def recordings(folder: Path) -> None:
    """Write the recordings that the pages explain."""
    import xaudio

    speech = xaudio.open_dataset("synthetic")
    for name, number in RECORDINGS.items():
        xaudio.write_audio(folder / f"{name}.wav", speech[number].waveform, speech[number].sample_rate)


def commands_of(block: Block) -> list[str]:
    """The lines of a block of commands, those that go on in the next one as one."""
    return block.code.replace("\\\n", " ").splitlines()


def printed(block: Block, names: dict[str, object], command: Callable[[str, int], str], page: str) -> str:
    """Run a block; what it prints.

    Parameters
    ----------
    block : Block
    names : dict
        Of the Python of the page.
    command : callable
        Runs a command that ends with a status, and gives its output.
    page : str
        Which one it is.
    """
    if block.kind == "sh":
        status = int(block.mark[-1]) if block.mark[-1].isdigit() else 0
        return "".join(command(line, status) for line in commands_of(block))
    output = io.StringIO()
    with contextlib.redirect_stdout(output), _as_page_asks(block.code):
        exec(compile(block.code, page, "exec"), names)
    return output.getvalue()


def _as_page_asks(code: str) -> AbstractContextManager[None]:
    from xaudio.plugin import beside_torchvision

    return beside_torchvision() if "transformers" in code else nullcontext()


def is_alike(shown: str, output: str) -> bool:
    """Whether two outputs have the same words, and the same numbers but for what another processor rounds otherwise."""
    words, others = (NUMBER.sub("#", text).split() for text in (shown, output))
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(output), strict=False)
    return words == others and all(_are_near(first, second) for first, second in pairs)


def _are_near(first: str, second: str) -> bool:
    """Within 2 %, and one of the last digit where a number was rounded: counts are not."""
    digits = len(first.strip(" %").partition("e")[0].partition(".")[2])
    last = 1.01 * 10**-digits if digits or "%" in first else 0
    one, other = (float(number.strip(" %")) for number in (first, second))
    return abs(one - other) <= 0.02 * max(abs(one), abs(other)) + last


def _command(line: str, status: int) -> str:
    done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == status, f"{line}: status {done.returncode}"
    return done.stdout


def _picture_of(source: Path, size: tuple[int, int] | None, selector: str | None, target: Path) -> None:
    """A small picture of a picture, or of a page as Chromium draws it."""
    from PIL import Image

    image = Image.open(source if size is None else io.BytesIO(_screenshot(source, size, selector))).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    for quality in QUALITIES:
        image.save(target, quality=quality, method=6)
        if target.stat().st_size <= LARGEST:
            break
    print(f"{target}: {image.width} x {image.height}, {target.stat().st_size} bytes")


def _screenshot(source: Path, size: tuple[int, int], selector: str | None) -> bytes:
    import playwright.sync_api

    with playwright.sync_api.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto(source.resolve().as_uri())
        page.wait_for_load_state("networkidle")
        if selector:
            page.evaluate("at => document.querySelector(at).scrollIntoView()", selector)
        page.wait_for_function(DRAWN)
        picture = page.screenshot()
        browser.close()
    return picture


def renew(page: Path) -> None:
    """Run a page in a folder for a while; write its outputs into it, and its pictures."""
    page = page.resolve()
    text = page.read_text(encoding="utf-8")
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        recordings(Path(folder))
        names: dict[str, object] = {}

        def anew(match: re.Match[str]) -> str:
            if match["kind"] != "python" and not match["mark"]:
                return match[0]
            output = printed(Block(match["kind"], match["mark"] or "", match["code"], match["shown"]), names, _command, page.name)
            start, end = match.start("shown") - match.start(), match.end("shown") - match.start()
            return match[0] if match["shown"] is None else match[0][:start] + output + match[0][end:]

        text = BLOCK.sub(anew, text)
        for match in PICTURE.finditer(text):
            size = (int(match["width"]), int(match["height"])) if match["width"] else None
            _picture_of(Path(match["source"]), size, match["selector"], page.parent / match["target"])
        os.chdir(home)
    page.write_text(text, encoding="utf-8")


def _fewer_colours(encoded: str) -> str:
    """A PNG in base64 with 128 colours, a third as large."""
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB").quantize(128).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def execute(notebook: Path) -> None:
    """Run a notebook, and keep its outputs in it, without what tells of the computer."""
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(notebook, as_version=4)
    NotebookClient(content, timeout=600, kernel_name="python3", record_timing=False).execute()
    content.metadata.language_info = {"name": "python"}
    for output in [output for cell in content.cells for output in cell.get("outputs", ())]:
        if "image/png" in output.get("data", {}):
            output["data"]["image/png"] = _fewer_colours(output["data"]["image/png"])
    nbformat.write(content, notebook)


if __name__ == "__main__":
    for argument in map(Path, sys.argv[1:]):
        execute(argument) if argument.suffix == ".ipynb" else renew(argument)
