"""The reports of the commands: read by a screen reader, on a phone, without a message in the console."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from typer.testing import CliRunner

from xaudio.cli import app

DATA = ("--dataset", "synthetic:speakers=8,repetitions=1", "--device", "cpu")
COMMANDS = {
    "groups": ("--by", "sex", "--part", "all", "--recordings", "24"),
    "cluster": ("--part", "all", "--recordings", "24", "--together", "--clusters", "2", "--view", "time"),
    "probe": ("--change", "level:gain=6", "--recordings", "10", "--draws", "2", "--over", "recordings"),
    "evaluate": ("--explainers", "gradient", "--metrics", "sparseness", "--recordings", "8", "--min-accuracy", "0"),
    "concepts": ("--top", "1", "--references", "1", "--recordings", "10", "--draws", "2"),
}


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def report(request, run_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    arguments = [request.param, "--model", str(run_folder), *DATA, *COMMANDS[request.param], "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return out / "report.html"


def test_axe_finds_nothing(report, browser_page):
    page = browser_page(report)
    found = [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in Axe().run(page).response["violations"]]
    assert found == []


def test_fits_a_phone(report, browser_page):
    page = browser_page(report, width=320, height=700)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.locator("h1").count() == 1
