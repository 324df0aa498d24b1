"""What a table says of several explanations, in ``index.csv`` and on the page."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from parsed import Page
from sounds import SAMPLES, boxes, clicks, of_samples, renamed

from xaudio import create
from xaudio.explanation.listing import Row, file_names
from xaudio.explanation.rendering import save_and_render, write_report
from xaudio.plugin import listing_of


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Three explanations of two recordings as a command writes them: the files and where they are."""
    folder = tmp_path_factory.mktemp("many")
    items = [clicks(), boxes(), renamed(boxes(), "/home/me/=cmd.wav")]
    renderers = [create("renderer", "html")]
    files = save_and_render(items, renderers, folder)
    return SimpleNamespace(items=items, folder=folder, files=write_report(items, renderers, files, folder))


def test_rows_hold_what_the_explanations_say():
    wrong = replace(clicks(), kind="classes")
    first, second = listing_of([wrong, of_samples(-np.ones(SAMPLES), -np.ones(SAMPLES), target=1)])
    assert first["file"] == "sound.wav"
    assert (first["explained"], first["predicted"], first["truth"], first["correct"]) == ("zero", "one", "zero", False)
    assert first["confidence"] == pytest.approx(0.7)
    assert (first["share_for"], first["share_against"]) == (1, 0)
    assert (second["share_for"], second["share_against"]) == (0, 1)
    assert first["folder"] is None


def test_what_is_not_known_is_empty():
    item = of_samples(np.ones(SAMPLES), np.zeros(SAMPLES))
    item = replace(item, kind="values", clip=replace(item.clip, labels={}))
    (row,) = listing_of([item])
    assert [row[name] for name in ("predicted", "confidence", "truth", "correct")] == [None] * 4
    assert (row["share_for"], row["share_against"], row["strongest_at"]) == (0, 0, "nowhere")


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["/a/x.wav", "/b/y.wav", "/a/x.wav"], ["x.wav", "y.wav", "x.wav"]),
        (["/home/me/a/x.wav", "/home/me/b/x.wav"], ["a/x.wav", "b/x.wav"]),
        (["a/x.wav", "b/x.wav"], ["a/x.wav", "b/x.wav"]),
        (["/a/x.wav", "b/x.wav"], ["x.wav", "x.wav"]),
    ],
)
def test_recordings_are_told_apart_without_the_folders_they_share(sources, names):
    assert file_names(sources) == names


def test_index_and_page_say_the_same(written):
    report, index = written.files
    with index.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == Row._fields
    assert [row["file"] for row in rows] == ["sound.wav", "sound.wav", "'=cmd.wav"]
    assert all((written.folder / row["folder"] / "explanation.html").exists() for row in rows)
    page = Page(report.read_text())
    names = [text for attributes, text in page.find("a") if "data-choice" in attributes]
    assert names == ["sound.wav", "sound.wav", "=cmd.wav"]
    for name in ("confidence", "share_for", "share_against", "explained", "predicted"):
        values = [attributes["data-value"] for attributes, _ in page.find("td") if attributes.get("class") == f"listing-{name}"]
        number = name.startswith(("confidence", "share"))
        assert values == [f"{float(row[name]):.6f}" if number else row[name] for row in rows]


def test_no_page_names_the_folders_of_a_computer(tmp_path):
    model = {"name": "audionet", "options": {"at": "/home/someone/model.py:build"}, "run": "/home/someone/runs/digits"}
    item = of_samples(np.ones(SAMPLES), np.ones(SAMPLES), source="/home/someone/x.wav", model=model, trained_on="/home/someone/d")
    html = create("renderer", "html")
    for page in (html.page(item), html.page([item, renamed(item, "/home/someone/else/x.wav")])):
        assert "someone" not in page
        assert "model.py:build" in page


@pytest.mark.slow
def test_a_page_of_many_is_bounded_and_leads_to_the_pages_of_those_left_out(monkeypatch):
    monkeypatch.setattr("xaudio_html._html.MOST", 100_000)
    monkeypatch.setattr("xaudio_html._listing.SOUNDS", 20_000)
    items = [renamed(boxes(), f"/recordings/{number:04}.wav") for number in range(30)]
    page = create("renderer", "html").page(items, [f"{number:04}/explanation.html" for number in range(30)])
    assert len(page) < 700_000
    players = page.count("<xaudio-player>")
    assert 0 < players < 30
    assert f"{30 - players} of 30 explanations have no player on this page" in page
    links = [attributes["href"] for attributes, _ in Page(page).find("a")]
    assert links[players:] == [f"{number:04}/explanation.html" for number in range(players, 30)]
    assert "of the last rows have no sound here" in page
    assert "have no player" in create("renderer", "html").page(items), "without pages of their own as well"
