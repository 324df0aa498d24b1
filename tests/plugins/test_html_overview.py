"""The strip of a long recording: where things lie, what leads where, and that the page stays small."""

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import soundfile
import torch
from long import long_explanation
from parsed import Page

from xaudio import Clip, Explanation, create
from xaudio.plugin import Axis
from xaudio_html import _html, _stretch
from xaudio_html._overview import LEFT, WIDTH, clock, overview
from xaudio_html._packing import Packed
from xaudio_html._picture import picture_of, waveform_of


def column(seconds, whole=3600):
    return pytest.approx(LEFT + WIDTH * seconds / whole, abs=0.01)


def test_windows_and_segments_lie_where_they_are_in_the_recording():
    shown = overview(long_explanation(), {10: "#window-10"})
    assert [window["x"] for window in shown["windows"]] == [column(5), column(5.5), column(2000)]
    assert [window["link"] for window in shown["windows"]] == ["#window-10", "", ""]
    assert [window["time"] for window in shown["windows"]] == ["5 s to 6 s", "5.5 s to 6.5 s", "33:20 to 33:21"]
    segments = [(segment["kind"], segment["x"]) for segment in shown["segments"]]
    assert [kind for kind, _ in segments] == ["for", "against"] * 3
    assert [place for _, place in segments[-2:]] == [pytest.approx(column(2000.25).expected, abs=0.02), column(2000.625)]
    assert [(stretch["count"], stretch["x"]) for stretch in shown["covered"]] == [
        (1, column(5)),
        (2, column(5.5)),
        (1, column(6)),
        (1, column(2000)),
    ]


def test_the_strip_shows_the_most_probable_window_of_each_column():
    shown = overview(long_explanation(), {})
    heights = [float(height) for height in re.findall(r"L\d+,([\d.]+) h1", shown["scores"])]
    assert len(heights) == WIDTH
    assert heights[int(WIDTH * 2000.5 / 3600)] == pytest.approx(156 - 60 * 0.99, abs=0.06)
    assert shown["sound"].count("L") < 8 * WIDTH


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (7.5, "7.5 s"), (65, "1:05"), (65.25, "1:05.25"), (3725, "1:02:05"), (86400, "24:00:00")]
)
def test_times_as_people_write_them(seconds, said):
    assert clock(seconds) == said


@pytest.mark.slow
def test_the_page_is_whole_and_safe_and_leads_to_the_players():
    page = Page(create("renderer", "html").long_page(long_explanation(), {}))
    sections = [attributes["id"] for attributes, _ in page.find("section") if "id" in attributes]
    assert sections == ["window-10", "window-11", "window-4000"]
    links = {attributes["href"] for attributes, _ in page.find("a")}
    assert links == {f"#{name}" for name in sections}
    assert "&lt;hour&gt;" not in page.find("h1")[0][1]  # the parser gives the text itself
    assert page.find("h1")[0][1] == "an <hour>.wav"
    assert len(page.find("xaudio-player")) == 3


@pytest.mark.slow
def test_windows_that_would_make_the_page_too_large_are_linked(monkeypatch):
    monkeypatch.setattr(_html, "LARGEST", 1000)
    page = Page(create("renderer", "html").long_page(long_explanation(), {10: "windows/000010/explanation.html"}))
    assert len(page.find("xaudio-player")) == 1
    links = {attributes["href"] for attributes, _ in page.find("a")}
    assert links == {"windows/000010/explanation.html", "#window-4000"}
    assert any("2 of them have no player here" in text for _, text in page.find("p"))


@pytest.mark.slow
def test_a_page_of_an_hour_is_small():
    text = create("renderer", "html").long_page(long_explanation(chosen=tuple(range(0, 7000, 140))), {})
    assert len(text) < 20e6


@pytest.mark.slow
def test_a_page_without_explained_windows_shows_the_scores():
    page = Page(create("renderer", "html").long_page(long_explanation(chosen=()), {}))
    assert page.find("xaudio-player") == []
    assert len(page.find("svg")) == 1


@pytest.mark.parametrize("frames", [False, True])
def test_a_page_of_a_long_explanation_holds_the_stretch_with_most_relevance(frames, monkeypatch):
    monkeypatch.setattr(_stretch, "LONGEST", 4000)
    samples, rate = 20_000, 8000
    sound = 0.3 * np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    relevance = np.zeros((1, 5, 200) if frames else (1, samples))
    relevance[..., slice(120, 130) if frames else slice(12_000, 13_000)] = 1
    axes = (Axis("frequency", "Hz", np.arange(5) * 800.0), Axis("time", "s", np.arange(200) * 0.0125))
    item = Explanation(
        clip=Clip(sound, rate, source="long.wav"),
        features=relevance.astype(np.float32),
        relevance=relevance,
        axes=axes if frames else (Axis("time", "s", np.arange(samples) / rate),),
        logits=np.array([1.0, 0.0]),
        classes=("a", "b"),
        target=0,
    )
    stretch = _stretch.stretch_of(item)
    assert stretch.last - stretch.first == 4000
    assert stretch.first <= 12_000
    assert stretch.last >= 13_000
    picture, wave = picture_of(item, Packed(), stretch), waveform_of(item, Packed(), stretch)
    assert picture["axes"][-1]["count"] == (40 if frames else 4000)
    assert picture["axes"][-1]["start"] == pytest.approx(0, abs=0.0126)
    assert (wave["count"], wave["start"]) == (4000, stretch.first / rate)
    file = BytesIO()
    soundfile.write(file, sound, rate, format="FLAC", subtype="PCM_24")
    part, _ = soundfile.read(BytesIO(stretch.of_file(file.getvalue())), dtype="float32")
    assert np.allclose(part, sound[stretch.first : stretch.last], atol=1e-6)
    assert f"{stretch.first / rate:.3f} to {stretch.last / rate:.3f} s" in stretch.said(item)
    assert _stretch.stretch_of(replace(item, clip=Clip(sound[:4000], rate))) is None


READS = {
    "raw": {"sample_rate": 8000, "samples": 20_000},
    "log_mel": {"sample_rate": 8000, "samples": 20_000, "n_fft": 256, "hop": 100, "bands": 20, "top_db": None},
}


@pytest.mark.parametrize("view", [None, "time-frequency"])
@pytest.mark.parametrize("reads", READS)
def test_the_sounds_of_a_long_page_are_made_of_the_stretch_alone(reads, view, monkeypatch):
    monkeypatch.setattr(_stretch, "LONGEST", 4000)
    rendered, listening = [], _html.renderer_for_listening

    def watched(*named, **options):
        renderer = listening(*named, **options)
        return lambda item, folder: (rendered.append(item), renderer(item, folder))[1]

    monkeypatch.setattr(_html, "renderer_for_listening", watched)
    sound = 0.3 * np.random.default_rng(0).uniform(-1, 1, 20_000).astype(np.float32)
    representation = create("representation", reads, **READS[reads])
    features = representation(torch.from_numpy(sound)[None])[0].numpy()
    relevance, seconds = np.zeros_like(features), representation.axes[-1].centres
    relevance[..., (seconds > 1.5) & (seconds < 1.6)] = 1
    item = Explanation(
        clip=Clip(sound, 8000, source="long.wav"),
        features=features,
        relevance=relevance,
        axes=representation.axes,
        logits=np.array([1.0, 0.0]),
        classes=("a", "b"),
        target=0,
        provenance={"representation": {"name": reads, "options": READS[reads]}, "original_sample_rate": 8000},
    )
    item = item if view is None else item.view(view)
    html, stretch = create("renderer", "html"), _stretch.stretch_of(item)
    sounds = html._rendered(item, stretch)
    (part,) = rendered
    assert {soundfile.info(BytesIO(sounds[name].content)).frames for name in ("original", "positive")} == {4000}
    assert np.array_equal(part.clip.waveform, sound[stretch.first : stretch.last])
    assert part.recording_span == pytest.approx((stretch.first / 8000, stretch.last / 8000))
    assert part.relevance.sum() == pytest.approx(item.relevance.sum(), rel=1e-4)
    inner = slice(20, -20)  # away from the ends, where the windows of a transform reach beyond
    levels = part.representation(torch.from_numpy(part.clip.waveform)[None])[0].detach().numpy()
    assert np.ptp((part.features - levels)[..., inner]) < 1e-3  # decibels of a view are below its own loudest cell
    page = html.page([item, replace(item, target=1)])
    assert "where most of the relevance lies" in page
    assert [one.clip.samples for one in rendered] == [4000, 4000]
