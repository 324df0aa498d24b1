"""The page: one file with everything in it, readable for people and safe with any name."""

import base64
import io
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from xaudio import Clip, Explanation, OutputError, PluginError, create
from xaudio_html._html import Html

RATE, SAMPLES = 8000, 8000
HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x.png onerror=alert(1)>&\'"'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes and text, and a check that all of them are closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names))
        self.elements.append((tag, dict(attributes), []))
        if tag not in VOID:
            self.open.append((tag, self.elements[-1]))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, element in self.open:
            element[2].append(data)

    def find(self, tag):
        return [(attributes, " ".join("".join(text).split())) for name, attributes, text in self.elements if name == tag]


def explanation(classes=("zero", "one"), source="/recordings/zero.wav", **provenance):
    time = np.arange(SAMPLES) / RATE
    sound = np.where((time > 0.25) & (time < 0.75), 0.4 * np.sin(2 * np.pi * 440 * time), 0).astype(np.float32)
    relevance = np.zeros((1, SAMPLES), np.float32)
    relevance[0, 3000:3300], relevance[0, 5000:5100] = 1, -1
    relevance[0, 3100] = 5
    made = create("representation", "waveform")
    return Explanation(
        clip=Clip(sound, RATE, labels={"digit": 0}, speaker="jackson", source=source, notes=("resampled from 48000 to 8000 Hz",)),
        features=np.zeros_like(relevance),
        relevance=relevance,
        axes=made.axes,
        logits=np.log([0.25, 0.75]).astype(np.float32),
        classes=classes,
        target=0,
        task="digit",
        provenance={
            "explainer": {"name": "lrp", "options": {"composite": "epsilon_plus", "epsilon": 1e-6, "low": None}},
            "representation": {"name": "waveform", "options": {}},
            "model": {"name": "audionet", "options": {}, "run": "runs/a"},
            "data": "Some Digits",
            "note": "",
            "seed": 0,
            "original_sample_rate": 48000,
            "nothing": None,
            "versions": {"torch": "2.6.0", "xaudio": "0.1.0"},
            **provenance,
        },
        _representation=made,
    )


@pytest.fixture(scope="module")
def text():
    return Html().page(explanation())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def payload(uri, kind):
    head, _, data = uri.partition(";base64,")
    assert head == f"data:{kind}"
    return base64.b64decode(data, validate=True)


def test_one_file_is_written(text, tmp_path):
    (path,) = create("renderer", "html")(explanation(), tmp_path)
    assert list(tmp_path.iterdir()) == [path] == [tmp_path / "explanation.html"]
    Page(path.read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_elsewhere(text, page):
    for tag, attributes, _ in page.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert attributes.get(name, "data:").startswith("data:")
    (style,) = page.find("style")
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    policies = [attributes["content"] for attributes, _ in page.find("meta") if attributes.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"]
    assert "http" not in text.replace("http-equiv", "").split("base64,")[0]


def test_picture_and_sounds_are_those_of_the_renderers(page, tmp_path):
    files = {path.name: path.read_bytes() for path in create("renderer", "audible")(explanation(), tmp_path)}
    sounds = [payload(attributes["src"], "audio/wav") for attributes, _ in page.find("audio")]
    assert sounds == [files["original.wav"], files["positive.wav"], files["negative.wav"]]
    assert soundfile.read(io.BytesIO(sounds[0]))[1] == RATE
    (picture, _) = page.find("img")[0]
    (drawn,) = create("renderer", "visual")(explanation(), tmp_path)
    shown = imread(io.BytesIO(payload(picture["src"], "image/png")))
    np.testing.assert_array_equal(shown, imread(drawn))


def test_players_are_labelled_and_usable_by_keyboard(page):
    headings = {attributes["id"]: text for attributes, text in page.find("h3")}
    labels = [headings[attributes["aria-labelledby"]] for attributes, _ in page.find("audio")]
    assert labels == ["The recording", "What speaks for 'zero'", "What speaks against 'zero'"]
    for attributes, _ in page.find("audio"):
        assert "controls" in attributes
        assert "autoplay" not in attributes
        assert "tabindex" not in attributes


def test_page_is_accessible(page):
    assert page.find("html")[0][0]["lang"] == "en"
    assert page.find("title")[0][1] == explanation().title()
    assert len(page.find("h1")) == len(page.find("main")) == 1
    alternative = page.find("img")[0][0]["alt"]
    assert "75% of the relevance speaks for 'zero', 25% against it; it is strongest at time 0.3875 s." in alternative
    known = {attributes["id"] for _, attributes, _ in page.elements if "id" in attributes}
    assert len(known) == sum("id" in attributes for _, attributes, _ in page.elements)
    for attributes, _ in page.find("section"):
        assert attributes["aria-labelledby"] in known
    assert all("scope" in attributes for attributes, _ in page.find("th"))
    viewport = [attributes["content"] for attributes, _ in page.find("meta") if attributes.get("name") == "viewport"]
    assert viewport == ["width=device-width, initial-scale=1"]


def test_probabilities_and_roles(page):
    rows = [text for _, text in page.find("tr")]
    assert rows[1].split() == ["zero", "25.0", "%", "-1.386", "explained,", "truth"]
    assert rows[2].split() == ["one", "75.0", "%", "-0.288", "predicted"]
    assert "The model predicts one (75.0 %); the truth is zero. Explained is zero." in [text for _, text in page.find("p")]


def test_provenance(page):
    cells = [text for _, text in page.find("th") + page.find("td")]
    for expected in (
        "/recordings/zero.wav",
        "jackson",
        "1 s at 8000 Hz",
        "lrp (composite: epsilon_plus, epsilon: 1e-06, low: none)",
        "waveform",
        "audionet (run: runs/a)",
        "Some Digits",
        "torch: 2.6.0, xaudio: 0.1.0",
        "resampled from 48000 to 8000 Hz",
        "0",
        "original sample rate",
    ):
        assert expected in cells
    assert "nothing" not in cells
    assert [text for _, text in page.find("th")].count("note") == 1, "an empty note is left out"


def test_hostile_names_stay_text():
    item = explanation(classes=(HOSTILE, "one"), source=f"/x/{HOSTILE.replace('/', '')}", data=HOSTILE, note={HOSTILE: [HOSTILE]})
    page = Page(Html().page(item))
    assert {tag for tag, _, _ in page.elements}.isdisjoint({"script"})
    assert len(page.find("img")) == 1
    assert not any(name.startswith("on") for _, attributes, _ in page.elements for name in attributes)
    assert HOSTILE in [text for _, text in page.find("td")]
    assert HOSTILE in page.find("img")[0][0]["alt"].replace("\\'", "'")


def test_silent_parts_say_why():
    item = explanation()
    page = Page(Html().page(item.with_relevance(np.maximum(item.relevance, 0))))
    assert len(page.find("audio")) == 2
    assert "Silent: there is no negative relevance." in [text for _, text in page.find("p")]
    page = Page(Html().page(item.with_relevance(np.zeros_like(item.relevance))))
    assert "There is no relevance: it is zero everywhere." in page.find("img")[0][0]["alt"]


def test_unknown_truth_and_task():
    item = explanation()
    object.__setattr__(item, "task", "")
    page = Page(Html().page(item))
    assert page.find("h1")[0][1] == "why zero?"
    assert "The model predicts one (75.0 %). Explained is zero." in [text for _, text in page.find("p")]


def test_other_renderers_are_shown(monkeypatch):
    page = Page(Html(renderers=("visual",)).page(explanation()))
    assert (len(page.find("img")), len(page.find("audio"))) == (1, 0)
    assert "To hear" not in [text for _, text in page.find("h2")]

    def fake(kind, name):
        def renderer(item, folder):
            (folder / "mine.ogg").write_bytes(b"sound")
            (folder / "mine.svg").write_bytes(b"<svg/>")
            return [folder / "mine.ogg", folder / "mine.svg"]

        return renderer

    monkeypatch.setattr(sys.modules[Html.__module__], "create", fake)
    page = Page(Html(renderers=("mine",)).page(explanation()))
    assert payload(page.find("audio")[0][0]["src"], "audio/ogg") == b"sound"
    assert payload(page.find("img")[0][0]["src"], "image/svg+xml") == b"<svg/>"
    assert page.find("h3")[0][1] == "mine"


def test_renderers_take_options():
    page = Page(create("renderer", "html", renderers="visual:dpi=20+audible:format=flac").page(explanation()))
    assert imread(io.BytesIO(payload(page.find("img")[0][0]["src"], "image/png"))).shape[1] == pytest.approx(160, abs=1)
    assert payload(page.find("audio")[0][0]["src"], "audio/flac").startswith(b"fLaC")


def test_files_that_a_page_cannot_show_are_refused(monkeypatch):
    def fake(kind, name):
        return lambda item, folder: [folder / "x.pdf"]

    monkeypatch.setattr(sys.modules[Html.__module__], "create", fake)
    with pytest.raises(PluginError, match=r"'mine' writes x\.pdf"):
        Html(renderers=("mine",)).page(explanation())


def test_options_are_checked():
    assert create("renderer", "html", renderers="visual+audible") == Html()
    for itself in ("html", "html:renderers=visual"):
        with pytest.raises(PluginError, match="'html' itself"):
            create("renderer", "html", renderers=("visual", itself))
    with pytest.raises(PluginError, match="Did you mean 'visual'"):
        Html(renderers=("visuals",)).page(explanation())


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Html, "page", lambda self, item: "page")
    with pytest.raises(OutputError, match="cannot be written"):
        Html()(explanation(), tmp_path / "file")


@pytest.mark.parametrize(("view", "where"), [("frequency", "frequency 44"), ("time-frequency", "frequency 4")])
def test_views_are_shown_and_named(view, where):
    sound = explanation().clip.waveform
    item = explanation().with_relevance((sound**2)[None]).view(view)
    page = Page(Html().page(item))
    assert len(page.find("img")) == 1
    assert len(page.find("audio")) >= 2  # what rounding leaves of no relevance against the class may be silent
    ((picture, _),) = page.find("img")
    assert f"{view} view" in picture["alt"]
    assert f"it is strongest at {where}" in picture["alt"]
    text = " ".join(text for _, text in page.find("tr"))
    assert f"view{view} (" in text
    assert "lost share: 0, lost sum: " in text
    if view == "time-frequency":
        assert "window: hann, length: 455, hop: 35" in text
