"""What a model's outputs mean: classes that exclude each other, labels that do not, and a single output."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio import Clip, Explanation, Model, ModelError
from xaudio.model.probability import log_odds, probabilities

SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)
KNOWN = {"sample_rate": 8000, "representation": "waveform", "device": "cpu"}


def constant(*logits):
    """A network that gives these logits, and depends on its features a little."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(8000, len(logits)))
    with torch.no_grad():
        network[1].weight.mul_(1e-3)
        network[1].bias.copy_(torch.tensor(logits))
    return network.eval()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_and_tensors_have_the_same_probabilities(dtype):
    logits = np.array([[3, 3, -3], [900, -900, 0]], dtype)
    for kind in ("classes", "labels"):
        found = probabilities(logits, kind)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, probabilities(torch.from_numpy(logits), kind).numpy(), rtol=1e-6)
    np.testing.assert_allclose(probabilities(logits, "labels")[0], [0.952574, 0.952574, 0.047426], rtol=1e-5)
    np.testing.assert_allclose(probabilities(logits, "classes").sum(1), 1, rtol=1e-6)


def test_a_single_output_is_a_sigmoid_whatever_its_kind():
    for kind in ("classes", "labels"):
        assert float(probabilities(np.array([-2.0]), kind)[0]) == pytest.approx(1 / (1 + math.exp(2)))


def test_log_odds_keep_what_a_probability_loses():
    logits, target = torch.tensor([[0.0, 1000.0, 3.0]]).double(), torch.tensor([0])
    assert float(log_odds(logits, target, "classes")) == -1000
    assert float(log_odds(logits, target, "labels")) == 0
    logits = torch.randn(5, 4, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 3, 0])
    expected = logits.softmax(1).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(log_odds(logits, target, "classes").sigmoid(), expected)


def test_a_detector_with_one_output_says_what_it_means():
    found = xaudio.explain(constant(-2.0), SOUND, classes=["siren"], explainer="gradient", **KNOWN)
    assert float(found.probabilities[0]) == pytest.approx(0.119, abs=0.02)
    assert found.kind == "labels"
    assert found.predictions == ()
    assert "'siren' not predicted (12%)" in found.title()
    assert not any("exclude each other" in note for note in found.clip.notes)
    assert "predicted 'siren' (88%)" in xaudio.explain(constant(2.0), SOUND, classes=["siren"], **KNOWN).title()


def test_tags_are_each_a_sigmoid_and_are_all_named():
    call = {"classes": ["dog", "cat", "car"], "explainer": "gradient", **KNOWN}
    found = xaudio.explain(constant(3.0, 3.1, -3.0), SOUND, kind="labels", **call)
    np.testing.assert_allclose(found.probabilities, [0.953, 0.957, 0.047], atol=0.01)
    assert found.predictions == ("cat", "dog")
    assert "predicted 'cat' (96%), 'dog' (95%)" in found.outcome
    none = xaudio.explain(constant(-3.0, -2.0, -3.0), SOUND, kind="labels", **call)
    assert "no label predicted, the highest 'cat' (12%)" in none.title()


def test_who_does_not_say_the_kind_is_told_what_is_assumed():
    two = constant(3.0, 3.0)
    assumed = "exclude each other"
    assert any(assumed in note for note in xaudio.explain(two, SOUND, explainer="gradient", **KNOWN).clip.notes)
    told = xaudio.explain(two, SOUND, explainer="gradient", kind="classes", **KNOWN)
    assert not any(assumed in note for note in told.clip.notes)
    with pytest.raises(ModelError, match="is 'tags'; expected 'classes'"):
        xaudio.explain(two, SOUND, kind="tags", **KNOWN)


def test_a_saved_explanation_keeps_the_kind(tmp_path):
    found = xaudio.explain(constant(3.0, 3.0), SOUND, kind="labels", explainer="gradient", **KNOWN)
    again = Explanation.load(found.save(tmp_path / "one.safetensors"))
    assert (again.kind, again.title()) == ("labels", found.title())


@pytest.mark.slow
def test_pages_and_pictures_say_that_nothing_is_predicted(tmp_path):
    found = xaudio.explain(constant(-2.0), SOUND, classes=["siren"], explainer="gradient", **KNOWN)
    page = next(path for path in found.render("html", folder=tmp_path) if path.suffix == ".html").read_text(encoding="utf-8")
    assert "The model predicts none of its labels" in page
    assert "11.9" in page or "12." in page
    assert "not predicted (12%)" in found.plot()._suptitle.get_text() + "".join(axis.get_title() for axis in found.plot().axes)


@pytest.mark.parametrize("explainer", ["audiolime", "freqrise:masks=20", "band_occlusion"])
def test_explainers_of_a_single_outputs_probability_find_something(explainer):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 8, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 1)).eval()
    assert np.abs(xaudio.explain(network, SOUND, explainer=explainer, **KNOWN).relevance).max() > 0


def test_metrics_of_a_single_output_can_change():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(8000, 1)).eval()
    model = Model(network, xaudio.create("representation", "waveform"), ("siren",))
    found = [xaudio.explain(model, SOUND, sample_rate=8000, explainer="input_x_gradient", device="cpu")]
    values = {name: xaudio.create("metric", name)(model, found) for name in ("deletion_auc", "pixel_flipping", "faithfulness_ff")}
    assert 0 < values["deletion_auc"]["deletion_auc"][0] < 1
    assert values["pixel_flipping"]["aopc_difference"][0] > 0
    assert values["faithfulness_ff"]["faithfulness_ff"][0] > 0


@pytest.mark.parametrize("unknown", [-1, None, float("nan"), np.int64(-1)])
def test_a_label_that_is_not_known_is_no_class(unknown):
    model = Model(constant(1.5, 0.0), xaudio.create("representation", "waveform"), ("a", "b"), "word")
    found = xaudio.explain(model, Clip(SOUND, 8000, labels={"word": unknown}), explainer="gradient", device="cpu")
    assert found.label is None
    assert found.correct is None
    assert "truth" not in found.title()
    json.dumps(dict(found.clip.labels), allow_nan=False)


@pytest.mark.parametrize("given", [1, 1.0, np.int32(1), np.float64(1), "b", True])
def test_a_label_is_taken_by_number_or_name(given):
    model = Model(constant(1.5, 0.0), xaudio.create("representation", "waveform"), ("a", "b"), "word")
    found = xaudio.explain(model, Clip(SOUND, 8000, labels={"word": given}), explainer="gradient", device="cpu")
    assert (found.label, found.correct) == (1, False)


@pytest.mark.parametrize("wrong", [2, -2, 0.5, "c", [2]])
def test_a_label_that_is_no_class_is_refused(wrong):
    model = Model(constant(1.5, 0.0), xaudio.create("representation", "waveform"), ("a", "b"), "word")
    with pytest.raises(xaudio.DataError, match="its label of task 'word'"):
        xaudio.explain(model, Clip(SOUND, 8000, labels={"word": wrong}), explainer="gradient", device="cpu")


def test_a_number_as_label_of_a_single_output_is_refused_as_it_may_mean_either():
    model = Model(constant(1.0), xaudio.create("representation", "waveform"), ("siren",), "word")
    with pytest.raises(xaudio.DataError, match="could mean that 'siren' is there or not"):
        xaudio.explain(model, Clip(SOUND, 8000, labels={"word": 0}), explainer="gradient", device="cpu")
    found = xaudio.explain(model, Clip(SOUND, 8000, labels={"word": "siren"}), explainer="gradient", device="cpu")
    assert found.correct
