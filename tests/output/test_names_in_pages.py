"""Names of files, classes, plugins and data are text in every page: no element arises from one."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from long import long_explanation
from parsed import Page
from sounds import SAMPLES, of_samples
from starlette.testclient import TestClient
from torch import nn

import xaudio
import xaudio_study.server
from xaudio.explanation.rendering import save_and_render, write_report
from xaudio_bench_explainers.report import write_report as write_leaderboard
from xaudio_explore.app import App
from xaudio_explore.explorer import Explorer, Why, wav_of
from xaudio_study.building.settings import Serving
from xaudio_study.server.app import Server

KEPT = Path(__file__).resolve().parents[2] / "benchmarks/results/explainers-speech"
HOSTILE = (
    "<script>alert(1)</script>",
    "</script></title></style></textarea><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)> style='x",
    "\u202egnp.<b>\u2066&lt;i&gt;&#60;u>",
    "a\n<hr>\r\n<!--<script>-->\t]]>",
)


def named(name, number=0):
    """An explanation with a name wherever there is one."""
    sound = np.linspace(-0.5, 0.5, SAMPLES)
    item = of_samples(
        sound,
        sound,
        source=f"/recordings/{number} {name}",
        classes=(f"0 {name}", f"1 {name}", f"2 {name}"),
        explainer={"name": name, "options": {name: name}, "given": {}},
        model={"name": name, "options": {name: name}, "run": f"runs/{name}"},
        data=name,
        note={name: [name]},
    )
    return replace(item, clip=replace(item.clip, speaker=name, notes=(name,)))


def page(name, folder):
    """The page of one explanation."""
    return xaudio.create("renderer", "html").page(named(name))


def report(name, folder):
    """The listing of several recordings, with their players."""
    items, renderers = [named(name), named(name, 1)], [xaudio.create("renderer", "html")]
    (path, _) = write_report(items, renderers, save_and_render(items, [], folder), folder)
    return path.read_text(encoding="utf-8")


def long(name, folder):
    """The page of a long recording."""
    recording = long_explanation(60, (3, 9), source=f"/data/{name}")
    return xaudio.create("renderer", "html").long_page(recording, {3: f"windows/{name}"})


def leaderboard(name, folder):
    """A report of a benchmark, all of which are made by one function."""
    results = json.loads((KEPT / "results.json").read_text(encoding="utf-8"))
    results["models"] = results["models"][:1]
    (model,) = results["models"]
    model |= {"name": name, "run": name, "task": name, "data": name, "classes": [name] * len(model["classes"])}
    model |= {"examples": [], "notes": [name], "unlearned": name}
    renamed = {explainer: f"{explainer} {name}" for explainer in results["explainers"][:3]}
    results["explainers"] = [renamed.get(one, one) for one in results["explainers"]]
    model["milliseconds"] = {renamed.get(one, one): value for one, value in model["milliseconds"].items()}
    for score in model["scores"]:
        score["explainer"] = renamed.get(score["explainer"], score["explainer"])
    for metric in results["metrics"]:
        metric["definition"] = name
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "run.json").write_text(json.dumps(json.loads((KEPT / "run.json").read_text()) | {"command": name}))
    return write_leaderboard(folder).read_text(encoding="utf-8")


def explore(name, folder):
    """The page of `xaudio explore`, and the only markup that it takes from answers."""
    network = nn.Sequential(nn.Conv1d(1, 2, 9, stride=4), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    read = xaudio.create("representation", "waveform", samples=800, sample_rate=8000)
    explorer = Explorer(xaudio.Model(network, read, (f"0 {name}", f"1 {name}"), "digit"), place=name)
    sent = explorer.add(wav_of(np.linspace(-0.5, 0.5, 800, dtype=np.float32), 8000), f"{name}.wav")
    answer = explorer.explain(Why(clip=sent["clip"], explainer="gradient"))
    return TestClient(App(explorer, "token").app()).get("/").text + answer["markup"]


def elements(text):
    return [(tag, sorted(attributes)) for tag, attributes, _ in Page(text).elements]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Elements of each page where all names are harmless."""
    return {make: elements(make("zero", tmp_path_factory.mktemp("plain"))) for make in (page, report, long, leaderboard, explore)}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_element_arises_from_a_name(plain, tmp_path, name):
    for make, expected in plain.items():
        folder = tmp_path / make.__name__
        folder.mkdir()
        assert elements(make(name, folder)) == expected, make.__doc__


@pytest.mark.slow
def test_the_page_of_a_study_is_one_file_whatever_it_is_about(make_study, tmp_path):
    """What comes with answers it sets as text."""
    name = "".join(HOSTILE)
    made = make_study(tmp_path / "study", right=1, wrong=1, classes=(f"0 {name}", f"1 {name}", f"2 {name}"), contact=name)
    shown = TestClient(Server(made, Serving(), time.monotonic).app()).get("/").text
    assert shown == (Path(xaudio_study.server.__file__).parent / "static/index.html").read_text(encoding="utf-8")
