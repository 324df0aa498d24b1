"""Functions of sound as models: every way to call one, and what cannot be known is refused."""

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio import ModelError

SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)
BANDS = np.random.default_rng(1).normal(size=(4001, 3)) / 4001


def of_spectrum(sounds):
    return (np.abs(np.fft.rfft(sounds)) @ BANDS).astype(np.float32)


def one_alone(sound):
    spectrum = np.abs(np.fft.rfft(np.asarray(sound).reshape(8000)))
    return (spectrum @ BANDS).tolist()


def normalised(sounds):
    return of_spectrum(np.asarray(sounds) / np.abs(np.asarray(sounds)).max())


def in_torch(sounds):
    return torch.fft.rfft(sounds).abs() @ torch.from_numpy(BANDS).float()


def in_torch_without_gradient(sounds):
    return torch.from_numpy(of_spectrum(sounds.numpy()))


def wrapped(function, **more):
    return xaudio.wrap(function, sample_rate=8000, **{"classes": ["a", "b", "c"], **more})


@pytest.mark.parametrize(
    ("function", "offers"),
    [
        (of_spectrum, {"scores"}),
        (one_alone, {"scores"}),
        (in_torch, {"scores", "gradient"}),
        (in_torch_without_gradient, {"scores"}),
        (lambda sounds: of_spectrum(sounds).astype(np.float64), {"scores"}),
    ],
)
def test_a_function_says_of_each_recording_what_it_says_of_it_alone(function, offers):
    model = wrapped(function)
    assert model.offers == offers
    sounds = torch.from_numpy(np.stack([SOUND, SOUND[::-1], SOUND * 0.1]))
    np.testing.assert_allclose(model.logits(model.features(sounds)), of_spectrum(sounds.numpy()), rtol=1e-4, atol=1e-6)


def test_what_depends_on_the_batch_is_asked_alone():
    model = wrapped(normalised)
    sounds = torch.from_numpy(np.stack([SOUND, SOUND[::-1] * 0.1]))
    expected = np.concatenate([normalised(sounds[:1].numpy()), normalised(sounds[1:].numpy())])
    np.testing.assert_allclose(model.logits(model.features(sounds)), expected, rtol=1e-5)


@pytest.mark.slow
def test_relevance_of_a_function_is_that_of_the_network_it_hides():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    model = wrapped(lambda sounds: network(torch.from_numpy(sounds)[:, None]).detach().numpy())
    waveform = "waveform:normalisation=none,placement=start"
    for explainer in ("occlusion", "slot_occlusion", "audiolime:samples=200,seed=1", "kernel_shap:samples=50,seed=1"):
        hidden = xaudio.explain(model, SOUND, sample_rate=8000, explainer=explainer, device="cpu")
        plain = xaudio.explain(network, SOUND, sample_rate=8000, explainer=explainer, representation=waveform, device="cpu")
        np.testing.assert_allclose(hidden.relevance, plain.relevance, atol=1e-6)


@pytest.mark.parametrize("explainer", ["gradient", "lrp", "integrated_gradients", "grad_cam"])
def test_what_needs_more_than_scores_is_refused_with_what_works(explainer):
    with pytest.raises(ModelError, match=rf"^{explainer} needs .* gives scores only\. .* work: .*audiolime.*occlusion"):
        xaudio.explain(wrapped(of_spectrum), SOUND, sample_rate=8000, explainer=explainer)


def test_an_explainer_that_did_not_say_that_it_takes_gradients_is_refused_too():
    def silently(model, features, target):
        features.requires_grad_()
        return torch.autograd.grad(model(features).sum(), features)[0]

    with pytest.raises(ModelError, match="gives scores only, and a gradient was asked for"):
        xaudio.explain(wrapped(of_spectrum), SOUND, sample_rate=8000, explainer=silently)


def test_probabilities_become_logits_that_give_them_back():
    def softmax(sounds):
        return torch.from_numpy(of_spectrum(sounds)).softmax(1).numpy()

    model = wrapped(softmax, kind="classes")
    found = xaudio.explain(model, SOUND, sample_rate=8000, explainer="slot_occlusion")
    np.testing.assert_allclose(list(found.probabilities), softmax(SOUND[None])[0], rtol=1e-4)
    assert any("returns probabilities" in note for note in found.clip.notes)

    def sigmoid(sounds):
        return torch.from_numpy(of_spectrum(sounds)).sigmoid().numpy()

    for told in ({}, {"gives": "probabilities"}):
        model = wrapped(sigmoid, kind="labels", **told)
        found = xaudio.explain(model, SOUND, sample_rate=8000, explainer="slot_occlusion")
        np.testing.assert_allclose(list(found.probabilities), sigmoid(SOUND[None])[0], rtol=1e-4)
    model, sounds = wrapped(sigmoid, kind="labels", gives="logits"), torch.from_numpy(SOUND[None])
    np.testing.assert_allclose(model.logits(model.features(sounds)), sigmoid(SOUND[None]), rtol=1e-5)


def drawing(sounds):
    return of_spectrum(sounds) + np.random.default_rng().normal(size=(len(sounds), 3))


@pytest.mark.parametrize(
    ("function", "more", "message"),
    [
        (drawing, {}, "answers differently when it is asked again"),
        (lambda sounds: sounds[:, :12].reshape(-1, 3, 4).std(2), {}, "answers differently for tensors and for arrays"),
        (lambda sounds: "dog", {}, "gives no scores"),
        (lambda sounds: 1 / 0, {}, "division by zero"),
        (lambda: 0, {}, "gives no scores"),
        (of_spectrum, {"sample_rate": None}, "needs sample_rate"),
        (of_spectrum, {"takes": "jax"}, "takes"),
        (of_spectrum, {"representation": "waveform"}, "leave sample_rate and samples out"),
        (of_spectrum, {"classes": ["a", "b"]}, "2 classes are named for 3 outputs"),
        ("function", {}, "expected a function of waveforms"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(function, more, message):
    with pytest.raises(xaudio.XaudioError, match=message) as caught:
        model = xaudio.wrap(function, **{"sample_rate": 8000, "classes": ["a", "b", "c"], **more})
        xaudio.explain(model, SOUND, sample_rate=8000, explainer="slot_occlusion")
    assert "\n" not in str(caught.value)
