"""The page's text: complete, self-contained, safe with any name; what it carries is what the explanation holds."""

import base64
import hashlib
import io
import re
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from parsed import Page

from xaudio import Clip, Explanation, OutputError, PluginError, create
from xaudio.plugin import Axis, loudness, renderer_for_listening
from xaudio_html._html import Html, player_style
from xaudio_html._packing import Packed, packed_axis

RATE, SAMPLES = 8000, 8000
HOSTILE = '</script><script>alert("x")</script><!--<img src=http://evil.example/x.png onerror=alert(1)>&\'"'


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


def test_one_file_is_written(tmp_path):
    (path,) = create("renderer", "html")(explanation(), tmp_path)
    assert list(tmp_path.iterdir()) == [path] == [tmp_path / "explanation.html"]
    Page(path.read_text(encoding="utf-8"))


def test_only_its_own_style_and_script_are_allowed_and_nothing_is_loaded(text, page):
    for tag, attributes, _ in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert attributes.get(name, "data:").startswith("data:")
    (policy,) = [attributes["content"] for attributes, _ in page.find("meta") if attributes.get("http-equiv")]

    def hashes(parts):
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in parts)

    styles = ["".join(text) for tag, _, text in page.elements if tag == "style"]
    own = f"style-src {hashes(styles)}; script-src {hashes(page.scripts('module'))}"
    assert policy == f"default-src 'none'; img-src data:; media-src data:; {own}"
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|innerHTML|\beval\(|sendBeacon|WebSocket", text)
    assert "://" not in text.replace("http-equiv", "")
    assert {attributes["type"] for attributes, _ in page.find("script")} == {
        "module",
        "application/json",
        "application/octet-stream",
    }


def test_relevance_and_waveform_are_carried(page):
    item, data = explanation(), page.data
    relevance = page.packed(data["explanations"][0]["picture"]["relevance"])
    np.testing.assert_allclose(relevance, item.relevance[0], rtol=1e-4)
    waveform = page.packed(data["waveform"])
    np.testing.assert_allclose(waveform, item.clip.waveform, atol=0.4 / 32767 / 2 * 1.01)
    assert (data["waveform"]["rate"], data["waveform"]["count"]) == (RATE, SAMPLES)
    assert data["explanations"][0]["picture"]["level"] is None, "the waveform itself lies under relevance of samples"


@pytest.mark.parametrize("turned", [False, True])
def test_relevance_of_cells_is_carried_with_frequency_up(turned):
    sound = explanation().clip.waveform
    item = explanation().with_relevance((sound**2)[None]).view("time-frequency", length=256, hop=64)
    shown = item
    if turned:
        flipped = item.relevance.transpose(0, 2, 1)
        shown = replace(item, relevance=flipped, features=item.features.transpose(0, 2, 1), axes=item.axes[::-1])
        object.__setattr__(shown, "_representation", _Turned(item.representation))
    page = Page(create("renderer", "html", sounds="audible:domain=features").page(shown)) if not turned else None
    picture = page.data["explanations"][0]["picture"] if page else _picture(shown)[0]
    values = (page.packed(picture["relevance"]) if page else _picture(shown)[1]).reshape(item.relevance.shape[1:])
    assert [axis["name"] for axis in picture["axes"]] == ["frequency", "time"]
    largest = np.abs(item.relevance).max()
    # Squared steps: the error of q levels is at most (2 |q| + 1) / 2 of 127 squared, in units of the largest.
    allowed = (np.sqrt(np.abs(item.relevance[0]) / largest) * 127 + 0.26) / 127**2 * largest
    assert (np.abs(values - item.relevance[0]) <= allowed).all()
    assert picture["level"]["unit"] == "dB"


class _Turned:
    """A representation whose features have time first."""

    unit = "dB"

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, waveforms):
        return self.inner(waveforms).transpose(2, 3)


def _picture(item):
    from xaudio_html._picture import picture_of

    packed = Packed()
    picture = picture_of(item, packed)
    facts = picture["relevance"]
    steps = np.frombuffer(zlib.decompress(base64.b64decode(packed.texts[facts["data"]])), facts["kind"]).astype(float)
    return picture, np.sign(steps) * facts["scale"] * (np.abs(steps) / facts["levels"]) ** facts["power"]


@given(
    values=arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6, allow_subnormal=False)),
    kind=st.sampled_from(["int8", "int16"]),
    power=st.sampled_from([1, 2]),
)
def test_quantised_values_keep_sign_and_are_near(values, kind, power):
    packed = Packed()
    facts = packed.signed(values, kind, power=power)
    steps = np.frombuffer(zlib.decompress(base64.b64decode(packed.texts[0])), np.dtype(kind).newbyteorder("<")).astype(float)
    again = np.sign(steps) * facts["scale"] * (np.abs(steps) / facts["levels"]) ** power
    assert (again * values >= 0).all()
    largest, levels = np.abs(values).max(), facts["levels"]
    q = levels * (np.abs(values) / (largest or 1)) ** (1 / power)
    allowed = largest * (((q + 0.5) / levels) ** power - (np.maximum(q - 0.5, 0) / levels) ** power)
    assert (np.abs(again - values) <= allowed * (1 + 1e-9) + 1e-300).all()


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e5, 1e5)))
def test_levels_are_near(values):
    packed = Packed()
    facts = packed.levels(values)
    steps = np.frombuffer(zlib.decompress(base64.b64decode(packed.texts[0])), np.uint8)
    again = facts["low"] + (facts["high"] - facts["low"]) * steps / 255
    assert np.abs(again - values).max() <= np.ptp(values) / 255 / 2 * (1 + 1e-6) + 1e-9


def test_axes_are_short_where_even_and_whole_where_not():
    even = packed_axis(Axis("time", "s", np.arange(5) * 0.1 + 0.05))
    assert even == {"name": "time", "unit": "s", "count": 5, "start": 0.05, "step": pytest.approx(0.1)}
    bark = packed_axis(Axis("frequency", "Hz", np.array([100.0, 200, 400, 800])))
    assert bark["centres"] == [100, 200, 400, 800]
    assert packed_axis(Axis("frequency", "Hz", np.array([7.0])))["count"] == 1


def test_equal_contents_are_held_once():
    one, other = explanation(), explanation(explainer={"name": "random", "options": {}, "given": {}})
    page = Page(Html().page([one, other]))
    assert len(page.find("xaudio-player")) == 1
    data = page.data
    assert data["choices"] == {"Explainer": ["lrp", "random"]}
    assert data["explanations"][0]["sounds"] == data["explanations"][1]["sounds"]
    alone = len(Page(Html().page(one)).scripts("application/octet-stream"))
    assert len(page.scripts("application/octet-stream")) == alone


def test_sounds_are_those_of_the_renderer(page, tmp_path):
    files = {
        file.path.stem: file.path.read_bytes()
        for file in create("renderer", "audible", format="flac", level="reference")(explanation(), tmp_path)
    }
    sounds = page.data["explanations"][0]["sounds"]
    assert list(sounds) == ["original", "positive", "negative", "complement"]
    packed = page.scripts("application/octet-stream")
    for part, facts in sounds.items():
        assert base64.b64decode(packed[facts["data"]]) == files[part]
    assert [facts["label"] for facts in sounds.values()] == [
        "The recording",
        "What speaks for 'zero'",
        "What speaks against 'zero'",
        "The rest: what the explanation leaves out",
    ]
    shares = [re.match(r"(\d+) % of the relevance", facts["remark"]) for facts in sounds.values()]
    assert [share and share[1] for share in shares] == [None, "75", "25", None]  # the two that the page names, in all 100 %


@pytest.mark.slow
def test_explanations_are_grouped_by_recording():
    one = explanation()
    other = replace(one, target=1)
    elsewhere = replace(one, clip=replace(one.clip, source="/recordings/other.wav"))
    page = Page(Html().page([one, elsewhere, other, one.contrast(other), one]))
    assert [text for _, text in page.find("h2")] == ["zero.wav: why 'zero'?", "other.wav: why 'zero'?"]
    assert page.data["choices"] == {
        "Class": ["'zero'", "'one'", "'zero' rather than 'one'", "'zero'"],
        "Number": ["1", "1", "1", "2"],
    }
    assert page.find("h1")[0][1] == page.find("title")[0][1] == "5 explanations of 2 recordings"
    size = float(re.search(r"This page holds ([\d.]+) MB", page.find("p")[0][1])[1])
    assert size == pytest.approx(len("".join(page.scripts("application/octet-stream"))) / 1e6, abs=0.1)


def test_page_is_accessible(page):
    assert page.find("html")[0][0]["lang"] == "en"
    assert page.find("title")[0][1] == explanation().title()
    assert len(page.find("h1")) == len(page.find("main")) == len(page.find("h2")) == 1
    text = [text for _, text in page.find("p")]
    assert "75 % of the relevance speaks for 'zero', 25 % against it; it is strongest at 0.388 s." in text
    assert "Resampled from 48000 to 8000 Hz." in text
    assert page.find("noscript")[0][1].startswith("Picture and sound need JavaScript")
    assert not any("id" in attributes for _, attributes, _ in page.elements), "a component may be on a page twice"
    assert all("scope" in attributes for attributes, _ in page.find("th"))
    viewport = [attributes["content"] for attributes, _ in page.find("meta") if attributes.get("name") == "viewport"]
    assert viewport == ["width=device-width, initial-scale=1"]


def test_probabilities_and_roles(page):
    rows = [text for _, text in page.find("tr")]
    assert rows[1].split() == ["zero", "25.0", "%", "-1.386", "explained,", "truth"]
    assert rows[2].split() == ["one", "75.0", "%", "-0.288", "predicted"]
    outcome = next(text for _, text in page.find("p") if text.startswith("The model predicts"))
    assert outcome == (
        "The model predicts one (75.0 %); the truth is zero. Explained class: 'zero', by lrp; the relevance lies in time."
    )


def test_contrast_is_named_throughout():
    item = explanation()
    page = Page(Html().page(item.contrast(replace(item, target=1, relevance=-item.relevance))))
    assert page.find("h1")[0][1] == "digit: why zero rather than one?"
    assert page.find("tr")[2][1].split()[-2:] == ["predicted,", "contrasted"]
    assert page.data["explanations"][0]["sounds"]["negative"]["label"] == "What speaks against 'zero' rather than 'one'"


def test_provenance(page):
    cells = [text for _, text in page.find("th") + page.find("td")]
    for expected in (
        "zero.wav",
        "jackson",
        "1 s at 8000 Hz",
        "lrp (composite: epsilon_plus, epsilon: 1e-06, low: none)",
        "waveform",
        "audionet (run: runs/a)",
        "Some Digits",
        "torch: 2.6.0, xaudio: 0.1.0",
        "0",
        "original sample rate",
    ):
        assert expected in cells
    assert "nothing" not in cells
    assert "note" not in cells, "an empty note is left out"


def test_hostile_names_stay_text():
    item = explanation(classes=(HOSTILE, "one"), source=f"/x/{HOSTILE.replace('/', '')}", data=HOSTILE, note={HOSTILE: [HOSTILE]})
    page = Page(Html().page(item))
    assert len(page.find("script")) == len(Page(Html().page(explanation())).find("script"))
    assert page.find("img") == []
    assert not any(name.startswith("on") for _, attributes, _ in page.elements for name in attributes)
    assert HOSTILE in [text for _, text in page.find("td")]
    assert HOSTILE.replace("'", "\\'") in page.data["explanations"][0]["question"]


def test_silent_parts_say_why():
    item = explanation()
    html = create("renderer", "html", sounds="audible:domain=features")
    page = Page(html.page(item.with_relevance(np.maximum(item.relevance, 0))))
    negative = page.data["explanations"][0]["sounds"]["negative"]
    assert (negative["data"], negative["reason"]) == (None, "there is no negative relevance")
    assert "What speaks against 'zero': 0 % of the relevance. Silent: there is no negative relevance." in [
        text for _, text in page.find("li")
    ]
    page = Page(html.page(item.with_relevance(np.zeros_like(item.relevance))))
    assert "There is no relevance: it is zero everywhere." in [text for _, text in page.find("p")]
    assert page.data["explanations"][0]["picture"]["limit"] == 1


def test_unknown_truth_and_task():
    item = replace(explanation(), task="")
    page = Page(Html().page(item))
    assert page.find("h1")[0][1] == "Why zero?"
    assert any(text.startswith("The model predicts one (75.0 %). Explained class: 'zero'") for _, text in page.find("p"))


def test_channels_are_summed_and_the_page_says_so():
    item = explanation()
    two = replace(item, relevance=np.concatenate([item.relevance, 2 * item.relevance]))
    picture, values = _picture(two)
    np.testing.assert_allclose(values, 3 * item.relevance[0], rtol=1e-4)
    assert picture["channels"] == 2


def test_relevance_that_cannot_be_drawn_is_refused():
    item = explanation()
    for wrong in (np.nan, np.inf):
        with pytest.raises(OutputError, match="holds NaN or infinity"):
            _picture(replace(item, relevance=np.full_like(item.relevance, wrong)))
    cube = replace(item, relevance=np.zeros((1, 2, 2, 2)), axes=(item.axes[0],) * 3)
    with pytest.raises(OutputError, match="has 3 axes; a page shows one or two"):
        _picture(cube)
    with pytest.raises(OutputError, match="no explanation"):
        Html().page([])


def test_features_of_an_unknown_representation_are_as_the_network_read_them():
    item = replace(explanation(), axes=(Axis("time", "s", np.arange(10) / 10),), provenance={}, _representation=None)
    features = np.arange(10.0)[None]
    picture, _ = _picture(replace(item, features=features, relevance=features))
    assert (picture["level"]["low"], picture["level"]["high"], picture["level"]["unit"]) == (0, 9, "")


def test_all_sounds_of_a_page_are_at_the_reference(tmp_path):
    quiet = explanation()
    quiet = replace(quiet, clip=replace(quiet.clip, waveform=0.01 * quiet.clip.waveform))
    page = Page(Html().page([explanation(), quiet]))
    packed = page.scripts("application/octet-stream")
    for found in page.data["explanations"]:
        for facts in found["sounds"].values():
            if not facts["reason"] and "so as not to clip" not in facts["remark"]:
                sound, rate = soundfile.read(io.BytesIO(base64.b64decode(packed[facts["data"]])))
                assert loudness(sound, rate) == pytest.approx(-23, abs=0.1)


@pytest.mark.slow
def test_other_renderers_are_shown(monkeypatch):
    page = Page(create("renderer", "html", renderers="visual:dpi=20").page(explanation()))
    ((picture, _),) = page.find("img")
    assert base64.b64decode(picture["src"].partition(";base64,")[2]).startswith(b"\x89PNG")
    assert picture["alt"].startswith("The relevance drawn by visual. 75 % of the relevance")

    def fake(name, options, **defaults):
        def renderer(item, folder):
            (folder / "mine.ogg").write_bytes(b"sound")
            (folder / "mine.svg").write_bytes(b"<svg/>")
            return [folder / "mine.ogg", folder / "mine.svg"]

        return renderer if name == "mine" else renderer_for_listening(name, options, **defaults)

    monkeypatch.setattr(sys.modules[Html.__module__], "renderer_for_listening", fake)
    page = Page(Html(renderers=("mine",)).page(explanation()))
    player, _ = page.find("audio")[0]
    assert base64.b64decode(player["src"].removeprefix("data:audio/ogg;base64,")) == b"sound"
    assert player["aria-label"] == "mine: mine"
    assert page.find("img")[0][0]["src"].startswith("data:image/svg+xml;base64,")


def test_files_that_a_page_cannot_show_are_refused(monkeypatch):
    def fake(name, options, **defaults):
        return (lambda item, folder: [folder / "x.pdf"]) if name == "mine" else renderer_for_listening(name, options, **defaults)

    monkeypatch.setattr(sys.modules[Html.__module__], "renderer_for_listening", fake)
    with pytest.raises(PluginError, match=r"'mine' writes x\.pdf"):
        Html(renderers=("mine",)).page(explanation())


def test_options_are_checked():
    assert create("renderer", "html", renderers="visual+mine") == Html(renderers=("visual", "mine"))
    for itself in ("html", "html:renderers=visual"):
        with pytest.raises(PluginError, match="'html' itself"):
            create("renderer", "html", renderers=("visual", itself))
    with pytest.raises(PluginError, match="Did you mean 'visual'"):
        Html(renderers=("visuals",)).page(explanation())
    with pytest.raises(PluginError, match="sounds of 2.000 s for a picture of 1.000 s"):
        Html(sounds="audible:slow=2").page(explanation())


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Html, "page", lambda self, items: "page")
    with pytest.raises(OutputError, match="cannot be written"):
        Html()(explanation(), tmp_path / "file")


@pytest.mark.parametrize(("view", "where"), [("frequency", "44"), ("time-frequency", "4")])
def test_views_are_shown_and_named(view, where):
    sound = explanation().clip.waveform
    page = Page(Html().page(explanation().with_relevance((sound**2)[None]).view(view)))
    paragraphs = [text for _, text in page.find("p")]
    assert any(f"the relevance lies in {view}" in text for text in paragraphs)
    assert any(f"it is strongest at {where}" in text for text in paragraphs)
    text = " ".join(text for _, text in page.find("tr"))
    assert f"view{view} (" in text
    assert "lost share: 0, lost sum: " in text
    if view == "time-frequency":
        assert "window: hann, length: 455, hop: 35" in text


# Severity 1 of Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency",
# IEEE Transactions on Visualization and Computer Graphics 15(6), 2009, on linear sRGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lightness_and_hue(colour, deficiency):
    """CIE L*a*b* of an sRGB colour in [0, 1] as a reader with a deficiency sees it."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    xyz = (
        np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]) @ seen
    )
    x, y, z = (np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in xyz / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_are_told_apart_by_colour_blind_readers(scheme, deficiency):
    """For and against from each other, and both from every grey that may lie under them, at full and at half strength."""
    found = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", player_style())
    colours = {name: np.array([int(pair[scheme][i : i + 2], 16) for i in (1, 3, 5)]) / 255 for name, *pair in found}
    greys = [colours["quiet"] + (colours["loud"] - colours["quiet"]) * weight for weight in np.linspace(0, 1, 11)]

    def apart(one, other):
        return np.linalg.norm(lightness_and_hue(one, deficiency) - lightness_and_hue(other, deficiency))

    assert apart(colours["for"], colours["against"]) > 80
    for grey in greys:
        half = {name: (colours[name] + grey) / 2 for name in ("for", "against")}
        assert apart(half["for"], half["against"]) > 45
        for name in ("for", "against"):
            assert min(apart(colours[name], other) for other in greys) > 25
            assert min(apart(half[name], other) for other in greys) > 15
