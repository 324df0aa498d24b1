"""The page's server: what it says is what the library says, who may ask, and how much it keeps."""

import io
import json
import shlex
import urllib.request

import numpy as np
import pytest
import soundfile
import torch

import xaudio
from xaudio import AudioError, DataError, PluginError
from xaudio_explore.brushing import Region, brushed, heard
from xaudio_explore.clips import Store
from xaudio_explore.explorer import Ask, Explorer, Why, given_model
from xaudio_explore.forms import explainer_forms
from xaudio_explore.jobs import MOST, Job, Jobs
from xaudio_explore.testset import predictions

WHY = {"explainer": "gradient"}


def read(content):
    return soundfile.read(io.BytesIO(content), dtype="float32")


# Who may ask.


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a-token-of-the-tests"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "facts"),
        ("GET", "clips/d0"),
        ("POST", "clips"),
        ("POST", "predict"),
        ("POST", "explain"),
        ("POST", "brush"),
        ("POST", "set"),
        ("POST", "save"),
        ("POST", "wave"),
        ("GET", "jobs/j1"),
        ("DELETE", "jobs/j1"),
    ],
)
def test_nothing_is_told_without_the_token(served, method, path, headers):
    refused = served.client.request(method, f"/api/{path}", headers=headers, json={} if method == "POST" else None)
    assert (refused.status_code, refused.json()["error"]) == (401, "token")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1:9"}, 421),
        ({"Host": "localhost.evil.example:8770"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Origin": "https://127.0.0.1:8770"}, 403),
        ({"Origin": "http://127.0.0.1:8770.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"X-Long": "x" * 9000}, 431),
    ],
)
def test_requests_of_other_pages_are_refused_even_with_the_token(served, headers, status):
    given = {**served.own, "Content-Type": "application/json", **headers}
    refused = served.client.post("/api/predict", content=b'{"clip": "d0"}', headers=given)
    assert refused.status_code == status, refused.text


def test_other_pages_may_not_even_read_and_the_own_one_may(served):
    for path in ("/", "/api/facts", "/static/main.js"):
        assert served.client.get(path, headers={**served.own, "Origin": "http://evil.example"}).status_code == 403
        assert served.client.get(path, headers={**served.own, "Origin": "http://127.0.0.1:8770"}).status_code == 200
    both = [*served.own.items(), ("Origin", "http://127.0.0.1:8770"), ("Origin", "http://evil.example")]
    assert served.client.get("/api/facts", headers=both).status_code == 403


def test_every_answer_keeps_the_page_to_itself(served):
    for path in ("/", "/static/main.js", "/static/player.js", "/static/none.js", "/api/facts", "/other"):
        headers = served.client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "microphone=(self)" in headers["Permissions-Policy"]
        assert headers["Cache-Control"] == "no-store"
    assert "<title>xaudio explore</title>" in served.client.get("/").text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"clip": 1}',
        b'{"clip": "d0", "cut": [1]}',
        b'{"clip": "d0", "more": 1}',
        b'{"clip": "d0", "cut": [NaN, 1]}',
    ],
)
def test_strange_bodies_are_refused(served, content):
    given = {**served.own, "Content-Type": "application/json"}
    assert served.client.post("/api/predict", content=content, headers=given).status_code in (400, 422)


# What the page says is what the library says.


def test_a_recording_that_is_sent_is_predicted_as_by_the_model(served, model, word):
    brought = served.send(word)
    assert (brought["name"], brought["rate"], brought["seconds"]) == ("word.wav", 16000, 0.5)
    prediction = served.post("predict", {"clip": brought["clip"]})
    samples, rate = read(word)
    placed = model.hear([xaudio.read_audio(word)], model.rules.of_own())
    with torch.no_grad():
        expected = model.probabilities(model.logits(model.features(placed.batch(slice(0, 1)))))[0]
    np.testing.assert_allclose(prediction["probabilities"], expected, rtol=1e-5)
    assert prediction["predicted"] == [model.classes[int(expected.argmax())]]
    wave = served.client.post("/api/wave", json={"clip": brought["clip"]}, headers=served.own)
    np.testing.assert_array_equal(read(wave.content)[0], samples)
    assert read(wave.content)[1] == rate


def test_a_part_is_what_lies_between_its_ends(served, word):
    samples, rate = read(word)
    whole, part = served.send(word), served.send(_wav(samples[1600:6400], rate))
    cut = served.post("predict", {"clip": whole["clip"], "cut": [0.1, 0.4]})
    assert cut["scores"] == served.post("predict", {"clip": part["clip"]})["scores"]
    refused = served.post("predict", {"clip": whole["clip"], "cut": [0.3, 0.3]}, status=422)
    assert "there is no sound between 0.300 and 0.300 s" in refused["message"]


def _wav(samples, rate):
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="WAV", subtype="FLOAT")
    return content.getvalue()


def test_an_explanation_is_that_of_the_library(served, explorer, model, word):
    clip = served.send(word)["clip"]
    asked = {"target": "7", "contrast": "1", "view": "time-frequency"}
    result = served.work("explain", {"clip": clip, **WHY, **asked})["result"]
    expected = xaudio.explain(model, word, explainer="gradient", **asked)
    np.testing.assert_array_equal(explorer.explanations[result["explanation"]].relevance, expected.relevance)
    assert "<xaudio-player>" in result["markup"]
    assert (result["question"], result["explainer"]) == ("7 rather than 1", "gradient")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"explainer": "gradiant"}, "gradient"),
        ({"explainer": "lrp", "options": {"epsilon": "-1"}}, "above 0"),
        ({"explainer": "lrp", "options": {"epsilom": "1"}}, "epsilon"),
        ({"target": "eleven"}, "eleven"),
        ({"target": "7", "contrast": "7"}, "contrasted with itself"),
        ({"view": "spectral"}, "spectral"),
        ({"clip": "r99"}, "no longer kept"),
        ({"clip": "d9999"}, "no recording"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(served, changes, told):
    state = served.work("explain", {"clip": "d0", **WHY, **changes})
    assert told in state["error"]
    assert "\n" not in state["error"]


def test_what_is_no_sound_is_refused(served):
    assert "word.wav" in served.send(b"no sound at all", status=422)["message"]


@pytest.mark.parametrize(("spec", "light"), [("gradient", "green"), ("random", "green")])
def test_the_doctor_has_a_word_on_each_method(served, spec, light):
    verdict = served.post("verdict", {"clip": "d0", "explainer": spec})
    assert verdict["light"] == light
    assert spec in verdict["sentence"]


def test_an_estimate_comes_from_the_first_pass(served):
    many = {"clip": "d0", "explainer": "freqrise", "options": {"masks": "2000"}}
    few = {**many, "options": {"masks": "100"}}
    assert served.work("estimate", many)["result"]["seconds"] > 2 * served.work("estimate", few)["result"]["seconds"] > 0


@pytest.mark.slow
def test_long_work_tells_how_far_it_is_and_ends_when_it_is_cancelled(served):
    state = served.post("explain", {"clip": "d0", "explainer": "smooth_grad", "options": {"samples": "500000"}})
    shares = [served.get(f"jobs/{state['job']}")["share"] for _ in range(2)]
    assert 0 < shares[0] < shares[1] < 1
    assert served.client.delete(f"/api/jobs/{state['job']}", headers=served.own).status_code == 200
    while "error" not in (state := served.get(f"jobs/{state['job']}")):
        pass
    assert state["error"] == "Cancelled."
    served.get("jobs/j99", status=404)


def test_the_end_of_work_that_ends_while_its_progress_is_told_is_told_next(served, monkeypatch):
    state, first = Job.state, iter([True])

    def late(job, wait):
        if not next(first, False):
            return state(job, wait)
        assert job.ended.wait(60)
        return {"text": "working", "share": 0.5}

    monkeypatch.setattr(Job, "state", late)
    begun = served.post("explain", {"clip": "d0", **WHY})
    assert begun["share"] == 0.5
    assert "markup" in served.get(f"jobs/{begun['job']}")["result"]


# What is kept.


def test_no_more_is_kept_than_fits():
    store = Store("recording", 3, 10, len)
    names = [store.add(b"abc") for _ in range(5)]
    assert (len(store), store.bytes) == (3, 9)
    assert [name in store._items for name in names] == [False, False, True, True, True]
    _ = store[names[2]]
    last = store.add(b"0123456789ab")  # larger than all that may be kept
    assert (list(store._items), store[last]) == ([last], b"0123456789ab")
    with pytest.raises(DataError, match="no longer kept"):
        store[names[2]]


def test_no_more_work_waits_than_is_allowed():
    import threading

    jobs, gate = Jobs(), threading.Event()
    started = [jobs.start(lambda: {"done": gate.wait(10)})[1] for _ in range(MOST)]
    with pytest.raises(xaudio.XaudioError, match="already being computed"):
        jobs.start(dict)
    gate.set()
    assert [job.state(10) for job in started] == [{"result": {"done": True}}] * MOST
    jobs.stop()


def test_what_fails_in_a_way_of_its_own_does_not_end_the_server(capsys):
    jobs = Jobs()
    _, job = jobs.start(lambda: {}["nothing"])
    assert "Something went wrong (KeyError: 'nothing')" in job.state(10)["error"]
    assert "KeyError" in capsys.readouterr().err
    jobs.stop()


# Forms.


def test_every_method_has_a_form_of_its_options():
    forms = {form["name"]: form for form in explainer_forms()}
    assert next(iter(forms)) == "lrp"
    assert set(forms) == set(xaudio.names("explainer"))
    assert [name for name, form in forms.items() if form["control"]] == ["amplitude", "random"]
    lrp = {option["name"]: option for option in forms["lrp"]["options"]}
    assert lrp["composite"]["schema"]["enum"][0] == lrp["composite"]["default"] == "epsilon_plus"
    assert (lrp["epsilon"]["schema"]["exclusiveMinimum"], lrp["epsilon"]["default"]) == (0, "1e-06")
    assert lrp["low"]["default"] == "none"
    assert all(option["words"] and option["schema"] for form in forms.values() for option in form["options"])
    json.dumps(forms, allow_nan=False)


@pytest.mark.parametrize("name", sorted(xaudio.names("explainer")))
def test_the_defaults_of_a_form_are_taken_as_they_are_shown(name):
    (form,) = (form for form in explainer_forms() if form["name"] == name)
    given = {option["name"]: option["default"] for option in form["options"] if option["default"] is not None}
    assert xaudio.create("explainer", name, **given) is not None


# The brush.


def energies(samples, rate, *frequencies):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return [float(spectrum[round(f * len(samples) / rate) - 3 : round(f * len(samples) / rate) + 4].sum()) for f in frequencies]


def test_a_band_that_is_taken_away_is_gone_and_the_rest_is_as_it_was(model, word):
    clip = xaudio.read_audio(word)
    whole, begin = heard(model, clip)
    rate = model.representation.sample_rate
    assert (begin, rate, len(whole)) == (0, 8000, 4000)
    band = [Region(low=2000, high=3000)]
    without, only = (brushed(model, clip, band, keep).waveform for keep in (False, True))
    low, high = energies(whole, rate, 500, 2500)
    assert energies(without, rate, 500, 2500) == pytest.approx([low, 0], rel=1e-3, abs=1e-4 * high)
    assert energies(only, rate, 500, 2500) == pytest.approx([0, high], rel=1e-3, abs=1e-4 * low)
    np.testing.assert_allclose(without + only, whole, atol=1e-6)


def test_a_stretch_that_is_taken_away_is_silent(model, word):
    clip = xaudio.read_audio(word)
    left = brushed(model, clip, [Region(start=0.2, end=0.35)], False)
    whole, _ = heard(model, clip)
    rate, margin = left.sample_rate, 0.032
    assert np.abs(left.waveform[int((0.2 + margin) * rate) : int((0.35 - margin) * rate)]).max() < 1e-6
    np.testing.assert_allclose(left.waveform[: int((0.2 - margin) * rate)], whole[: int((0.2 - margin) * rate)], atol=1e-6)
    assert "without 0.20-0.35 s" in left.name


@pytest.mark.parametrize("regions", [[], [{"start": 0.7}], [{"low": 4100}], [{"start": 0.2, "end": 0.1}]])
def test_an_empty_region_is_refused(served, word, regions):
    clip = served.send(word)["clip"]
    assert "region" in served.post("brush", {"clip": clip, "regions": regions}, status=422)["message"]


def test_what_is_left_is_a_recording_of_its_own(served, word):
    clip = served.send(word)["clip"]
    left = served.post("brush", {"clip": clip, "regions": [{"start": 0.1, "end": 0.3}, {"low": 2000}]})
    assert left["name"] == "word.wav without 0.10-0.30 s and from 2000 Hz"
    assert left["prediction"]["scores"] == served.post("predict", {"clip": left["clip"]})["scores"]
    assert left["prediction"]["scores"] != served.post("predict", {"clip": clip})["scores"]


# The test set.


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::xaudio.XaudioWarning")  # that it is not known what the model was trained on
def test_a_test_set_is_predicted_as_the_library_does(served, model, digits):
    found = served.work("set", {})["result"]
    assert len(found["rows"]) == len(digits)
    assert "unknown" in found["note"]
    for place in (0, 17, len(digits) - 1):
        row = found["rows"][place]
        assert row == {**row, "clip": f"d{place}", "truth": model.classes[digits.labels("digit")[place]]}
        explanation = xaudio.explain(model, digits[place], explainer="amplitude", placement=model.rules_in(digits).placement)
        assert row["predicted"] == explanation.predictions[0]
        assert row["confidence"] == pytest.approx(explanation.probabilities.max(), rel=1e-5)
        assert row["correct"] == explanation.correct


def test_without_data_there_is_no_test_set(model):
    with pytest.raises(DataError, match="--data FOLDER"):
        Explorer(model).through(None)


def test_labels_are_no_test_set(model, digits):
    from dataclasses import replace

    with pytest.raises(DataError, match="labels"):
        predictions(replace(model, kind="labels"), digits)


# Saving.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("html", b"<!DOCTYPE html>"),
        ("png", b"\x89PNG"),
        ("pdf", b"%PDF"),
        ("positive", b"RIFF"),
        ("audacity", b""),
        ("raven", b"Selection"),
    ],
)
def test_an_explanation_can_be_kept(served, form, begins):
    made = [served.work("explain", {"clip": "d0", **WHY, "view": view})["result"] for view in ("time", "time-frequency")]
    names = [one["explanation"] for one in made]
    response = served.client.post("/api/save", json={"explanations": names, "format": form}, headers=served.own)
    assert response.status_code == 200, response.text
    assert response.content.startswith(begins)
    assert len(response.content) > 10
    if form == "html":
        assert response.text.count("<xaudio-player>") == 1  # both of one recording, in one player


def test_the_command_and_the_python_make_the_same_explanation(run_folder, tmp_path, monkeypatch, run_command, word):
    explorer = Explorer(xaudio.load_model(run_folder), place=str(run_folder))
    from xaudio_explore.saving import spelt

    clip = explorer.add(word, "it's a word.wav")["clip"]
    why = Why(clip=clip, explainer="lrp", options={"composite": "epsilon"}, target="7", contrast="1", view="time-frequency")
    told = spelt(explorer, why)
    assert told["save_first"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recording.wav").write_bytes(explorer.wave(clip))
    scope = {}
    exec(told["python"].partition("explanation.render")[0], scope)  # what it writes, the command writes as well
    made = explorer.explanations[explorer.explain(why)["explanation"]]
    np.testing.assert_array_equal(scope["explanation"].relevance, made.relevance)
    words = shlex.split(told["command"])
    assert words[0] == "xaudio"
    done = run_command(*words[1:-1], str(tmp_path / "by command"), "--render", "html")
    assert "'7' rather than '1'" in done.stdout


# In Python.


@pytest.mark.slow
def test_a_model_is_served_to_this_computer_until_it_is_stopped(model):
    served = xaudio.explore(model)
    base, _, token = served.address.partition("#token=")
    assert base.startswith("http://127.0.0.1:")
    assert token in served._repr_html_()
    request = urllib.request.Request(f"{base}api/facts", headers={"Authorization": f"Bearer {token}"})
    facts = json.load(urllib.request.urlopen(request))
    assert facts["classes"] == list(model.classes)
    assert [example["name"] for example in facts["examples"]] == list(model.classes)
    assert facts["window"] == 1.0
    served.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(request)


def test_what_is_not_an_option_is_refused(model):
    with pytest.raises(PluginError, match="'windows'"):
        given_model(model, windows=1)


def test_a_recording_that_is_too_long_is_refused_in_one_line(explorer, word):
    samples = np.zeros(20_000, np.float32)
    samples[100] = 0.5
    clip = explorer.add(_wav(samples, 8000), "long.wav")["clip"]
    with pytest.raises(AudioError, match=r"long\.wav"):
        explorer.predict(Ask(clip=clip))
