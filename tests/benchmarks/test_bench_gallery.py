"""The gallery: every method on the same recordings, on one page."""

import json
import re

import numpy as np
import pytest
from scipy.stats import spearmanr

import xaudio
from xaudio import ModelError, PluginError
from xaudio_bench_gallery.agreement import agreement
from xaudio_bench_gallery.benchmark import all_methods

METHODS = "lrp,lrp:composite=epsilon_gamma,amplitude,random"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run_folder):
    out = tmp_path_factory.mktemp("gallery")
    made = xaudio.create(
        "benchmark", "gallery", models=str(run_folder), dataset=SPEECH, recordings=2, methods=METHODS, device="cpu"
    )
    made(out)
    return out


SPEECH = "synthetic:speakers=8,repetitions=1"


def test_each_recording_is_shown_with_each_method(folder):
    page = (folder / "report.html").read_text()
    results = json.loads((folder / "results.json").read_text())
    assert results["methods"] == METHODS.split(",")
    assert len(results["recordings"]) == 2
    assert len(re.findall(r'<img [^>]*src="data:image/png', page)) == 2 * 4
    assert page.count("<xaudio-player>") == 2
    assert page.count('customElements.define("xaudio-player"') == 1
    choices = [json.loads(text)["choices"] for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    assert [len(set(found["Explainer"])) for found in choices] == [4, 4]
    assert not re.search(r'(src|href)="(?!data:)', page)
    for card in results["models"][0]["cards"]:
        assert card["refused"] is None
        assert all((folder / part / "explanation.safetensors").exists() for part in card["folders"])


def test_it_goes_on_where_it_stopped(folder, run_folder, monkeypatch):
    def explain(*arguments, **options):
        raise AssertionError("explained again")

    before = (folder / "report.html").read_text()
    monkeypatch.setattr(xaudio, "explain", explain)
    made = xaudio.create(
        "benchmark", "gallery", models=str(run_folder), dataset=SPEECH, recordings=2, methods=METHODS, device="cpu"
    )
    made(folder)
    shown = [re.sub(r"<pre\b.*</pre>", "", page, flags=re.S) for page in (before, (folder / "report.html").read_text())]
    assert shown[0] == shown[1]


def test_a_folder_of_other_recordings_is_refused(folder, run_folder):
    made = xaudio.create(
        "benchmark", "gallery", models=str(run_folder), dataset=SPEECH, recordings=3, methods=METHODS, device="cpu"
    )
    with pytest.raises(ModelError, match="recordings was 2, now 3"):
        made(folder)


def test_agreement_is_the_mean_rank_correlation_where_something_is_heard(folder):
    results = json.loads((folder / "results.json").read_text())
    cards = results["models"][0]["cards"]
    explanations = [
        [xaudio.Explanation.load(folder / part / "explanation.safetensors") for part in card["folders"]] for card in cards
    ]
    found = agreement(explanations)
    expected = []
    for index in range(2):
        values = [method[index].relevance.ravel() for method in explanations]
        heard = np.any([value != 0 for value in values[:3]], axis=0)
        assert 0 < heard.sum() < heard.size  # the recording is shorter than what the model reads
        expected.append(spearmanr(values[0][heard], values[2][heard]).statistic)
    assert found[0][2] == pytest.approx(np.mean(expected))
    assert found[0][0] == pytest.approx(1)
    assert results["models"][0]["agreement"] == found


def test_a_method_that_does_not_work_is_named_and_the_others_shown(tmp_path, run_folder):
    methods = "lrp:composite=epsilon_gamma_box+low=-1+high=1,amplitude".replace("+", ",")

    def broken(*arguments, **options):
        raise ModelError("lrp needs another model.")

    made = xaudio.create(
        "benchmark", "gallery", models=str(run_folder), dataset=SPEECH, recordings=1, methods=methods, device="cpu"
    )
    explained = made._explained
    made._explained = lambda method, *rest: broken() if method.startswith("lrp") else explained(method, *rest)
    made(tmp_path)
    cards = json.loads((tmp_path / "results.json").read_text())["models"][0]["cards"]
    assert [card["refused"] for card in cards] == ["lrp needs another model.", None]
    assert "lrp needs another model." in (tmp_path / "report.html").read_text()


def test_wrong_choices_are_named(tmp_path, run_folder):
    with pytest.raises(PluginError, match="Unknown explainer 'lpr'"):
        xaudio.create("benchmark", "gallery", models=str(run_folder), methods="lpr")
    with pytest.raises(PluginError, match="^0 does not fit option 'recordings' .*: expected int, 1 or more"):
        xaudio.create("benchmark", "gallery", models=str(run_folder), recordings=0)
    with pytest.raises(ModelError, match="is not the run folder of a model"):
        xaudio.create("benchmark", "gallery", models=str(tmp_path), methods="amplitude")(tmp_path / "out")


def test_all_installed_methods_are_shown_unless_some_are_named():
    methods = all_methods()
    assert {"random", "amplitude", "gradient", "lrp:composite=epsilon_plus"} <= set(methods)
    assert "lrp" not in methods
