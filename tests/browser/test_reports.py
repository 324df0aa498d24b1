"""The reports of the commands: read by a screen reader, on a phone, without a message in the console."""

import shutil
from pathlib import Path

import pytest
import trained
from axe_playwright_python.sync_playwright import Axe
from typer.testing import CliRunner

from xaudio.cli.app import app
from xaudio_bench_study.report import write_report

DATA = ("--dataset", "synthetic:speakers=8,repetitions=1", "--device", "cpu")
COMMANDS = {
    "groups": ("--by", "sex", "--part", "all", "--recordings", "24"),
    "cluster": ("--part", "all", "--recordings", "24", "--together", "--clusters", "2", "--view", "time"),
    "probe": ("--change", "level:gain=6", "--recordings", "10", "--draws", "2", "--over", "recordings"),
    "evaluate": ("--explainers", "gradient", "--metrics", "sparseness", "--recordings", "8", "--min-accuracy", "0"),
    "concepts": ("--top", "1", "--references", "1", "--recordings", "10", "--draws", "2"),
}
STUDY = {
    "explanations": {"explainers": ["lrp", "gradient"]},
    "questions": [
        {"name": "prediction"},
        {"name": "fits", "kind": "rating", "modes": ["audible-explanation"]},
        {"name": "better", "kind": "preference", "modes": ["visual-explanation"]},
    ],
}
PROOF = Path(__file__).parents[2] / "benchmarks/results/study-proof"


def invoke(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output


def simulated(make_study, folder, **study):
    """The report of the analysis of simulated answers, which is that of real ones with a banner."""
    make_study(folder / "study", **{**STUDY, **study})
    arguments = ("--participants", 12, "--draws", 100, "--out", folder / "simulated")
    invoke("study", "simulate", folder / "study", *arguments)
    return folder / "simulated" / "report.html"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, session_cache):
    """Of a narrow AudioNet, whose reports look the same."""
    with trained.narrow():
        yield trained.run(tmp_path_factory.mktemp("runs") / "audionet", "audionet")


@pytest.fixture(scope="module", params=[*sorted(COMMANDS), "study analyze", "bench study"])
def report(request, run_folder, make_study, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    if request.param == "study analyze":
        return simulated(make_study, out, right=10, wrong=10)
    if request.param == "bench study":
        return write_report(Path(shutil.copytree(PROOF, out / "proof")))
    invoke(request.param, "--model", run_folder, *DATA, *COMMANDS[request.param], "--out", out)
    return out / "report.html"


def test_axe_finds_nothing(report, browser_page):
    page = browser_page(report)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    found = [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in Axe().run(page).response["violations"]]
    assert found == []


def test_fits_a_phone(report, browser_page):
    page = browser_page(report, width=320, height=700)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.locator("h1").count() == 1


def test_the_report_of_a_study_says_what_it_is_and_has_its_numbers_in_tables(make_study, tmp_path, browser_page):
    page = browser_page(simulated(make_study, tmp_path, right=10, wrong=10), width=390, height=700, java_script_enabled=False)
    assert page.get_by_role("note").inner_text().startswith("SIMULATED: nobody was asked")
    page.mouse.wheel(0, 5000)
    assert page.get_by_role("note").bounding_box()["y"] < 700, "the banner stays in sight"
    picture = page.get_by_role("img")
    assert "tables below hold the numbers" in picture.get_attribute("alt")
    assert picture.bounding_box()["width"] >= 700, "its numbers can be read on a phone too: it scrolls within its frame"
    titles = page.locator("h2").all_inner_texts()
    assert {"Ratings", "Preferences", "Differences", "Single classes", "Who was left out"} <= set(titles)
    for title in ("Wrongly predicted recordings", "Correctly predicted recordings", "All recordings"):
        assert page.get_by_role("table", name=title, exact=True).locator("tbody tr").count() == 6
    page.emulate_media(media="print")
    cut = [box for box in page.query_selector_all(".wide") if box.evaluate("box => getComputedStyle(box).overflowX") != "visible"]
    assert cut == [], "paper does not scroll"


def test_a_study_without_any_value_has_no_empty_figure(make_study, tmp_path, browser_page):
    page = browser_page(simulated(make_study, tmp_path, right=1, wrong=0, questions=[{"name": "prediction"}]))
    assert page.get_by_text("There is no figure, since no class").is_visible()
    assert page.locator("img").count() == 0
    assert page.get_by_text("Which condition is ahead?").count() == 0
    assert not (tmp_path / "simulated" / "figure5.png").exists()
