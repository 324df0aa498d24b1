"""AudioLIME: the surrogate against numpy's least squares, by its properties, and on sources of other plugins."""

import warnings
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import xaudio.explanation.explaining
import xaudio.testing
from xaudio import PluginError, XaudioWarning, create
from xaudio.plugin import Sound
from xaudio.registry.loading import Registry, registry
from xaudio_masking._audiolime import fitted
from xaudio_masking._parts import drawn

RATE, SAMPLES = 8000, 800
REPRESENTATION = create("representation", "waveform", samples=SAMPLES, normalisation="none")


def make_sound(silent=0):
    waveforms = torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(0)).double()
    waveforms[:, SAMPLES - silent :] = 0
    return Sound(waveforms, REPRESENTATION, REPRESENTATION)


class SlotEnergies(nn.Module):
    """Logits linear in the energy of eight slots of time: the surrogate is exact for sharp slots."""

    def __init__(self):
        super().__init__()
        self.weights = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)).double()

    def forward(self, features):
        return features[:, 0].unfold(1, SAMPLES // 8, SAMPLES // 8).square().mean(2) @ self.weights


class Nothing(nn.Module):
    """The same logits whatever it hears, up to rounding."""

    def forward(self, features):
        rounding = 1e-8 * features[:, 0].mean(1, keepdim=True)
        return torch.tensor([[0.1, 0.7, 0.3]], dtype=features.dtype) + rounding


class Parity(nn.Module):
    """Whether an even number of the first four slots is silent: no linear model knows."""

    def forward(self, features):
        loud = (features[:, 0].unfold(1, SAMPLES // 8, SAMPLES // 8).abs().amax(2) > 0)[:, :4]
        even = (loud.sum(1) % 2 == 0).to(features.dtype)
        return torch.stack([even, -even], 1)


def lime(**options):
    return create("explainer", "audiolime", **{"slots": 8, "overlap": 0.0, "score": "logit", "samples": 60, **options})


def textbook(masks, scores, kernel_width, ridge):
    """Weighted least squares by numpy.linalg.lstsq, the penalty as further rows, the intercept as a column without it."""
    parts = masks.shape[1]
    rows, right = [], []
    for mask, score in zip(masks, scores, strict=True):
        cosine = mask @ np.ones(parts) / np.sqrt(mask.sum() * parts) if mask.any() else 0
        weight = np.exp(-((1 - cosine) ** 2) / kernel_width**2)
        rows.append(np.sqrt(weight) * np.array([1, *mask]))
        right.append(np.sqrt(weight) * score)
    for part in range(parts):
        rows.append(np.sqrt(ridge) * np.eye(parts + 1)[part + 1])
        right.append(0.0)
    solution = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    left = np.array(right[: len(masks)]) - np.array(rows[: len(masks)]) @ solution
    return solution[1:], solution[0], left


@pytest.mark.slow
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    parts=st.integers(1, 7),
    kernel_width=st.sampled_from([0.25, 0.6, 3.0]),
    ridge=st.sampled_from([0.0, 0.5, 10.0]),
)
def test_the_surrogate_is_numpys_least_squares(seed, parts, kernel_width, ridge):
    masks = drawn(80, parts, 0.5, seed)
    masks[0] = 1
    scores = torch.randn(3, 80, generator=torch.Generator().manual_seed(seed)).double()
    found = fitted(masks, scores, torch.ones(3, parts, dtype=torch.bool), kernel_width, ridge)
    for row in range(3):
        coefficients, intercept, left = textbook(masks.double().numpy(), scores[row].numpy(), kernel_width, ridge)
        # One part that is absent or present lies at distance 1 or 0: nearly singular with a narrow kernel, also for numpy.
        np.testing.assert_allclose(found.coefficients[row], coefficients, rtol=1e-6, atol=1e-7)
        assert float(found.intercept[row]) == pytest.approx(intercept, abs=1e-7)
        distances = 1 - np.sqrt(masks.double().numpy().mean(1))
        weights = np.exp(-((distances / kernel_width) ** 2))
        mean = np.average(scores[row], weights=weights)
        expected = 1 - (left**2).sum() / (weights * (scores[row].numpy() - mean) ** 2).sum()
        assert float(found.fit[row]) == pytest.approx(expected, abs=1e-7)


def test_silent_parts_play_no_part():
    """Neither in the regression nor in the distance: as if they had not been there."""
    masks = drawn(50, 6, 0.5, 0)
    scores = torch.randn(2, 50, generator=torch.Generator().manual_seed(0)).double()
    audible = torch.tensor([[1, 1, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    found = fitted(masks, scores, audible, 0.25, 1.0)
    coefficients, intercept, _ = textbook(masks[:, audible[0]].double().numpy(), scores[0].numpy(), 0.25, 1.0)
    np.testing.assert_allclose(found.coefficients[0, audible[0]], coefficients, rtol=1e-7)
    assert not found.coefficients[0, ~audible[0]].any()
    assert float(found.intercept[0]) == pytest.approx(intercept)


@pytest.mark.parametrize("baseline", ["silence", "noise_floor"])
def test_a_model_that_is_linear_in_the_parts_is_found_exactly(baseline, recwarn):
    """A part's coefficient is its energy less that of what stands in for it; a silent part is not replaced."""
    sound, network, target = make_sound(silent=150), SlotEnergies(), torch.tensor([2, 0])
    explainer = lime(ridge=0.0, baseline=baseline)
    surrogate = explainer.surrogate(network, target, sound)
    present, absent = sound.waveforms, xaudio.plugin.baseline_waveforms(baseline, sound)
    energies = (present.square() - absent.square()).unfold(1, 100, 100).mean(2)
    energies[:, 7] = 0
    torch.testing.assert_close(surrogate.coefficients, energies * network.weights[:, target].T, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(surrogate.fit, torch.ones(2).double())
    assert not surrogate.coefficients[:, 7].any()  # the last slot is silent
    relevance = explainer(network, sound.features(sound.waveforms), target, sound=sound)
    torch.testing.assert_close(relevance[:, 0].unfold(1, 100, 100).sum(2), surrogate.coefficients)
    torch.testing.assert_close(relevance.sum((1, 2)), surrogate.coefficients.sum(1))
    assert not recwarn.list


def test_a_model_that_hears_nothing_has_no_relevance(recwarn):
    sound = make_sound()
    relevance = lime()(Nothing(), sound.features(sound.waveforms), torch.tensor([1, 1]), sound=sound)
    assert not relevance.any()
    assert not recwarn.list


def test_a_poor_fit_is_warned_about():
    sound = make_sound()
    with pytest.warns(XaudioWarning, match=r"^audiolime: its linear model explains only \d+% of the variation") as caught:
        lime(samples=400)(Parity(), sound.features(sound.waveforms), torch.tensor([0, 0]), sound=sound)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert float(lime(samples=400).surrogate(Parity(), torch.tensor([0, 0]), sound).fit.max()) < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 8}, "for 8 components; give more samples"),
        ({"samples": 200, "kernel_width": 0.02}, "a larger kernel_width"),
        ({"samples": 0}, "^0 does not fit option 'samples' .*: expected int, 1 or more"),
        ({"kernel_width": 0.0}, "^0.0 does not fit option 'kernel_width' .*: expected float, above 0"),
        ({"ridge": -1.0}, "^-1.0 does not fit option 'ridge' .*: expected float, 0 or more"),
        ({"bands": 4}, "bands to time_frequency"),
        ({"components": "nmf"}, "slots belong to time"),
        ({"components": "nnmf", "slots": None}, "Did you mean 'nmf'"),
        ({"components": "nmf:source=3", "slots": None}, "Did you mean 'sources'"),
        ({"components": "nmf:sources=three", "slots": None}, "expected int"),
        ({"components": "time_frequency", "bands": 1000}, "give fewer bands"),
    ],
)
def test_impossible_options_are_one_line(options, message):
    sound = make_sound()
    with pytest.raises(PluginError, match=message) as caught:
        lime(**options)(SlotEnergies(), sound.features(sound.waveforms), torch.tensor([0, 1]), sound=sound)
    assert "\n" not in str(caught.value)


OTHERS = """
import torch
from xaudio.plugin import hookimpl

def halves(*, share: float = 0.5):
    def separate(waveforms, sample_rate):
        middle = int(share * waveforms.shape[1])
        first = waveforms.clone()
        first[:, middle:] = 0
        return torch.stack([first, waveforms - first], 1)
    return separate

def loses_something():
    return lambda waveforms, sample_rate: 0.4 * torch.stack([waveforms, waveforms], 1)

def forgets_the_sources():
    return lambda waveforms, sample_rate: waveforms

@hookimpl
def xaudio_separators():
    return {f.__name__: f for f in (halves, loses_something, forgets_the_sources)}
"""


@pytest.fixture
def others(tmp_path, monkeypatch):
    (tmp_path / "other_separators.py").write_text(OTHERS)
    monkeypatch.syspath_prepend(tmp_path)
    found = Registry([EntryPoint("others", "other_separators", "xaudio")])
    assert found.problems() == []
    monkeypatch.setattr(xaudio.explanation.explaining, "registry", lambda: found)


def test_sources_of_a_third_party(others):
    sound, network, target = make_sound(), SlotEnergies(), torch.tensor([0, 1])
    explainer = registry().factory("explainer", "audiolime")(components="halves:share=0.25", score="logit", samples=30, ridge=0.0)
    surrogate = explainer.surrogate(network, target, sound)
    energies = sound.waveforms.unfold(1, 100, 100).square().mean(2) * network.weights[:, target].T
    expected = torch.stack([energies[:, :2].sum(1), energies[:, 2:].sum(1)], 1)
    torch.testing.assert_close(surrogate.coefficients, expected)
    relevance = explainer(network, sound.features(sound.waveforms), target, sound=sound)
    torch.testing.assert_close(relevance[:, 0, :200].sum(1), expected[:, 0])


@pytest.mark.parametrize(
    ("name", "message"),
    [("loses_something", "do not sum to the recording"), ("forgets_the_sources", "expected sources of shape")],
)
def test_a_separator_that_breaks_its_contract_is_named(others, name, message):
    sound = make_sound()
    explainer = registry().factory("explainer", "audiolime")(components=name)
    with pytest.raises(PluginError, match=f"{name}.*{message}"):
        explainer(SlotEnergies(), sound.features(sound.waveforms), torch.tensor([0, 1]), sound=sound)


def test_the_conformance_suite_notices_a_separator_that_breaks_its_contract(others, monkeypatch):
    monkeypatch.setattr(xaudio.testing, "registry", xaudio.explanation.explaining.registry)
    problems = {
        name: [result.what for result in xaudio.testing.check("separator", name) if result.problem]
        for name in ("halves", "loses_something", "forgets_the_sources")
    }
    assert problems["halves"] == []
    assert problems["loses_something"] == ["sources sum to the recording"]
    assert "sources are batch by sources by samples" in problems["forgets_the_sources"]


@pytest.mark.parametrize("components", ["harmonic_percussive", "nmf:sources=3+iterations=20"])
@pytest.mark.parametrize("baseline", ["silence", "noise_floor"])
def test_separated_sources_share_the_relevance(components, baseline):
    sound, network, target = make_sound(silent=200), SlotEnergies(), torch.tensor([0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few samples may fit poorly
        explainer = lime(components=components, slots=None, baseline=baseline, samples=40)
        relevance = explainer(network, sound.features(sound.waveforms), target, sound=sound)
        surrogate = explainer.surrogate(network, target, sound)
    assert surrogate.coefficients.shape == (2, 2 if components == "harmonic_percussive" else 3)
    torch.testing.assert_close(relevance.sum((1, 2)), surrogate.coefficients.sum(1))
    assert not relevance[:, :, -200:].any()
    alone = Sound(sound.waveforms[1:], REPRESENTATION, REPRESENTATION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = explainer(network, alone.features(alone.waveforms), target[1:], sound=alone)
    torch.testing.assert_close(other, relevance[1:])
