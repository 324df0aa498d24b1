"""The metrics against loops over single cells."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from xaudio import Clip, DataError, Explanation, ModelError, create
from xaudio_metrics import _metrics

NAMES = ("conservation", "silence", "sparseness", "complexity")
RATE, SAMPLES = 8000, 400


class Samples:
    """Two channels: the waveform and its double."""

    def amplitude(self, waveforms):
        return (waveforms[:, None] * waveforms.new_tensor([[1], [2]])).abs()


def explanation(relevance, sound=None, logits=(2.0, -1.0), target=0):
    return Explanation(
        clip=Clip(np.zeros(SAMPLES, np.float32) if sound is None else sound, RATE, source="some.wav"),
        features=np.zeros_like(relevance),
        relevance=relevance,
        axes=(),
        logits=np.array(logits, dtype=np.float32),
        classes=("yes", "no"),
        target=target,
        _representation=Samples(),
    )


def measure(name, *explanations):
    metric = create("metric", name)
    (result,) = metric(None, explanations).items()
    assert result[0] == name
    assert set(metric.better) == {name}
    json.dumps(result[1].tolist(), allow_nan=False)
    return result[1]


@pytest.fixture
def many():
    """More than one batch, with padding, of both signs."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(_metrics.BATCH + 3):
        sound = rng.standard_normal(SAMPLES).astype(np.float32)
        sound[: 3 * index] = 0
        relevance = (rng.standard_normal((2, SAMPLES)) ** 3).astype(np.float32)
        found.append(explanation(relevance, sound, logits=rng.standard_normal(2), target=index % 2))
    return found


def test_conservation(many):
    slow = [math.fsum(float(value) for value in item.relevance.ravel()) / float(item.logits[item.target]) for item in many]
    np.testing.assert_allclose(measure("conservation", *many), slow, rtol=1e-9)


def test_silence(many):
    slow = []
    for item in many:
        silent = total = 0.0
        for channel in item.relevance:
            for value, sample in zip(channel, item.clip.waveform, strict=True):
                total += abs(float(value))
                silent += abs(float(value)) if sample == 0 else 0.0
        slow.append(silent / total)
    np.testing.assert_allclose(measure("silence", *many), slow, rtol=1e-9)
    assert slow[0] == 0 < slow[5]


def slow_gini(values):
    """Mean absolute difference of all pairs, over twice the mean."""
    differences = sum(abs(a - b) for a in values for b in values)
    return differences / (2 * len(values) ** 2 * (sum(values) / len(values)))


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float64, (2, 9), elements=st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)))
def test_sparseness_and_complexity(values):
    magnitudes = [abs(value) for value in values.ravel()]
    total = sum(magnitudes)
    sparse, complex_ = measure("sparseness", explanation(values)), measure("complexity", explanation(values))
    if total == 0:
        assert (sparse[0], complex_[0]) == (0, pytest.approx(math.log(18)))
        return
    assert sparse[0] == pytest.approx(slow_gini(magnitudes), abs=1e-9)
    slow = -sum(value / total * math.log(value / total) for value in magnitudes if value)
    assert complex_[0] == pytest.approx(slow, abs=1e-9)


def test_batches_are_joined_in_order(many):
    for name in NAMES:
        together = measure(name, *many)
        assert together.shape == (len(many),)
        np.testing.assert_allclose(together, [measure(name, item)[0] for item in many], rtol=1e-12)


def test_extremes():
    one, even = np.zeros((2, SAMPLES)), np.full((2, SAMPLES), -0.5)
    one[1, 7] = -3
    items = (explanation(one), explanation(even))
    np.testing.assert_allclose(measure("sparseness", *items), [1 - 1 / (2 * SAMPLES), 0], atol=1e-12)
    np.testing.assert_allclose(measure("complexity", *items), [0, math.log(2 * SAMPLES)], atol=1e-12)


def test_zero_relevance_counts_as_even():
    item = explanation(np.zeros((2, SAMPLES), np.float32))
    values = {name: measure(name, item)[0] for name in NAMES}
    assert values == {"conservation": 0, "silence": 0, "sparseness": 0, "complexity": pytest.approx(math.log(2 * SAMPLES))}


def test_conservation_at_a_logit_of_zero():
    nothing = explanation(np.zeros((2, SAMPLES)), logits=(0, 1))
    assert measure("conservation", nothing)[0] == 1
    with pytest.raises(ModelError, match=r"some\.wav is exactly 0"):
        measure("conservation", nothing, replace(nothing, relevance=np.ones((2, SAMPLES))))


def test_no_sound_at_all_is_all_silence():
    assert measure("silence", explanation(np.ones((2, SAMPLES))))[0] == 1


def test_silence_of_a_spectrogram():
    made = create("representation", "spectrogram")
    sound = np.zeros(made.samples, np.float32)
    sound[4000:4100] = 0.5
    shape = tuple(len(axis.centres) for axis in made.axes)
    # A frame is silent if its window of 455 samples, whose first weight is 0, does not touch the sound.
    middle = np.round(made.axes[1].centres * made.sample_rate)
    silent = (middle + 227 < 4000) | (middle - 227 >= 4099)
    relevance = np.zeros((1, *shape))
    relevance[..., silent] = 1.0
    item = replace(explanation(relevance, sound), _representation=made)
    assert measure("silence", item)[0] == 1
    relevance = np.ones((1, *shape))
    value = measure("silence", replace(item, relevance=relevance))[0]
    assert value == pytest.approx(silent.mean(), abs=1 / shape[1])


@pytest.mark.parametrize("name", NAMES)
def test_what_no_metric_can_measure_is_refused(name):
    for items, error, message in (
        ([], DataError, "no explanations"),
        ([explanation(np.ones((1, 4))), explanation(np.ones((1, 5)))], ModelError, "not of one shape"),
        ([explanation(np.full((2, SAMPLES), np.inf))], ModelError, r"some\.wav by \? holds NaN"),
        ([replace(explanation(np.ones((1, 4))), relevance=np.ones((1, 3)))], ModelError, r"some\.wav by \? has shape \(1, 3\)"),
    ):
        with pytest.raises(error, match=message):
            measure(name, *items)


def test_which_values_are_better():
    found = {name: create("metric", name).better[name] for name in NAMES}
    assert found == {"conservation": "none", "silence": "lower", "sparseness": "higher", "complexity": "lower"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sparseness", "complexity"])
def test_quantus_agrees(name, many):
    from xaudio_lrp import _zennit  # noqa: F401 (imports zennit, as quantus does, also beside a broken torchvision)

    quantus = pytest.importorskip("quantus")
    relevance = np.stack([item.relevance for item in many])
    oracle = getattr(quantus, name.title())(abs=True, normalise=False, disable_warnings=True)
    model = torch.nn.Flatten()  # it is not asked
    expected = oracle(model, relevance, np.zeros(len(many), np.int64), relevance)
    np.testing.assert_allclose(measure(name, *many), expected, rtol=1e-4)
