"""Relevance and logits of one pass, and what is said when the network or the explainer does not fit."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio.model.attribution import attribute
from xaudio.registry.loading import registry
from xaudio.registry.options import options_of

FEW = {"samples": 20, "masks": 6, "steps": 4, "slots": 4, "permutations": 2}
OFFERING = ("lrp", "gradient", "saliency", "input_x_gradient")


def make_model(*layers: nn.Module, classes: int = 3) -> xaudio.Model:
    torch.manual_seed(0)
    network = nn.Sequential(*layers, nn.Conv1d(1, 4, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))
    network.eval()(torch.zeros(1, 1, 8000))
    return xaudio.Model(network, xaudio.create("representation", "waveform"), tuple("abcdefg"[:classes]))


def make_waveforms(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 8000, generator=torch.Generator().manual_seed(1)) - 0.5


@pytest.mark.parametrize("name", OFFERING)
@pytest.mark.parametrize("target", [None, torch.tensor([2, 1, 0, 1, 2])])
def test_relevance_and_logits_of_one_pass_are_those_of_two(name, target):
    model, waveforms = make_model(), make_waveforms()
    method = xaudio.create("explainer", name)
    features, relevance, logits, chosen = attribute(model, method, waveforms, target)
    with torch.no_grad():
        expected = model.network(features)
    torch.testing.assert_close(logits, expected)
    assert torch.equal(chosen, expected.argmax(1) if target is None else target)
    torch.testing.assert_close(relevance, method(model.network, features, chosen))


@pytest.mark.parametrize("name", OFFERING)
def test_the_network_runs_once(name, monkeypatch):
    model, waveforms = make_model(), make_waveforms()
    method = xaudio.create("explainer", name)
    attribute(model, method, waveforms)  # lrp makes its plan
    calls = []
    forward = nn.Sequential.forward
    monkeypatch.setattr(nn.Sequential, "forward", lambda self, features: calls.append(1) or forward(self, features))
    attribute(model, method, waveforms)
    assert len(calls) == (0 if name == "lrp" else 1)


def test_where_batch_normalisation_is_merged_logits_are_the_models():
    """The plan's differ, as zennit merges all but the epsilon, here a large one."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(1, 4, 5, stride=4), nn.BatchNorm1d(4, eps=0.05), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 1999, 3)
    ).eval()
    model = xaudio.Model(network, xaudio.create("representation", "waveform"), tuple("abc"))
    features, _, logits, _ = attribute(model, xaudio.create("explainer", "lrp", engine="fast"), make_waveforms())
    with torch.no_grad():
        assert torch.equal(logits, network(features))


@pytest.mark.parametrize("name", OFFERING)
def test_a_network_that_does_not_fit_is_named(name):
    wrong = xaudio.Model(nn.Sequential(nn.Linear(7, 2)), xaudio.create("representation", "waveform"), ("a", "b"))
    with pytest.raises(xaudio.ModelError, match="does not take features of shape"):
        attribute(wrong, xaudio.create("explainer", name), make_waveforms())
    few = make_model(classes=3)
    few.classes = tuple("abcd")
    with pytest.raises(xaudio.ModelError, match="expected logits of shape"):
        attribute(few, xaudio.create("explainer", name), make_waveforms(), torch.tensor([3] * 5))
    damaged = make_model()
    with torch.no_grad():
        damaged.network[0].weight.fill_(float("nan"))
    with pytest.raises(xaudio.ModelError, match="NaN or infinite"):
        attribute(damaged, xaudio.create("explainer", name), make_waveforms())


class Offering:
    """A third party's explainer that computes the logits on its way and hears the sound."""

    def __init__(self) -> None:
        self.heard: np.ndarray | None = None

    def __call__(self, model, features, target):
        raise AssertionError

    def with_logits(self, model, features, target, *, sound):
        self.heard = sound.waveforms.numpy()
        return features * 2, model(features)


def test_an_explainer_of_a_third_party_may_offer_logits():
    model, waveforms, method = make_model(), make_waveforms(), Offering()
    features, relevance, logits, _ = attribute(model, method, waveforms)
    assert torch.equal(relevance, features * 2)
    assert not logits.requires_grad
    assert np.array_equal(method.heard, waveforms.numpy())


def test_an_error_of_the_explainer_itself_is_its_own():
    class Broken(Offering):
        def with_logits(self, model, features, target):
            raise RuntimeError("my own mistake")

    with pytest.raises(RuntimeError, match="my own mistake"):
        attribute(make_model(), Broken(), make_waveforms())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(xaudio.names("explainer")) - {"random", "amplitude", "grad_cam"}))
def test_no_more_is_in_the_model_at_once_than_wanted(name, monkeypatch):
    model, waveforms = make_model(), make_waveforms()
    few = {option: value for option, value in FEW.items() if option in options_of(registry().factory("explainer", name))}
    method, seen = xaudio.create("explainer", name, internal_batch_size=2, **few), []
    forward = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, values: seen.append(len(values)) or forward(self, values))
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda values, *rest: seen.append(len(values)) or linear(values, *rest))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xaudio.XaudioWarning)
        attribute(model, method, waveforms)
    assert seen
    assert max(seen) <= 2


def test_a_network_in_float64_is_explained():
    model, waveforms = make_model(), make_waveforms()
    expected = attribute(model, xaudio.create("explainer", "gradient"), waveforms)[1]
    model.network.double()
    found = attribute(model, xaudio.create("explainer", "gradient"), waveforms)[1]
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), expected)


@pytest.mark.parametrize("name", ["integrated_gradients", "lrp", "feature_ablation"])
def test_explaining_in_inference_mode(name):
    model, waveforms = make_model(), make_waveforms()
    method = xaudio.create("explainer", name)
    expected = attribute(model, method, waveforms)[1]
    with torch.inference_mode():
        assert torch.equal(attribute(model, method, make_waveforms())[1], expected)
