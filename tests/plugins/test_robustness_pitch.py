"""The fundamental frequency is hit where relevance of the right frequency is largest."""

from dataclasses import replace

import numpy as np
import pytest

from xaudio import Clip, DataError, Explanation, ModelError, create
from xaudio.plugin import Axis
from xaudio.sound.domains import Time

RATE, SAMPLES = 8000, 4000
FREQUENCIES = np.arange(0, 4001, 25.0)


def explanation(relevance, axes, label=None, target=0, classes=("male", "female"), sound=None):
    return Explanation(
        clip=Clip(np.zeros(SAMPLES, np.float32) if sound is None else sound, RATE, labels={"sex": label}, source="some.wav"),
        features=np.zeros_like(relevance),
        relevance=relevance,
        axes=axes,
        logits=np.array([1.0, 0.0], np.float32),
        classes=classes,
        target=target,
        task="sex",
        _representation=Time(RATE, SAMPLES),
    )


def in_spectrogram(frequency, order=("frequency", "time"), **options):
    """Little relevance in many frames of one frequency, more in a single cell of another one."""
    relevance = np.zeros((2, len(FREQUENCIES), 7))
    relevance[:, int(np.argmin(np.abs(FREQUENCIES - frequency)))] = 1
    relevance[0, 100, 3] = 10
    axes = {"frequency": Axis("frequency", "Hz", FREQUENCIES), "time": Axis("time", "s", np.arange(7) / 100)}
    if order[0] == "time":
        relevance = relevance.transpose(0, 2, 1)
    return explanation(relevance, tuple(axes[name] for name in order), **options)


def in_waveform(frequency, **options):
    """Relevance in proportion to the power of a tone, beside a louder one at 1 kHz that speaks against the class."""
    time = np.arange(SAMPLES) / RATE
    tone, other = np.sin(2 * np.pi * frequency * time), 2 * np.sin(2 * np.pi * 1000 * time)
    sound = (0.1 * (tone + other)).astype(np.float32)
    relevance = (sound * (tone - other))[None].astype(np.float32)
    return explanation(relevance, (Axis("time", "s", time),), sound=sound, **options)


def hits(*items, **options):
    metric = create("metric", "f0_hit", **options)
    (result,) = metric(None, items).items()
    assert (result[0], dict(metric.better)) == ("f0_hit", {"f0_hit": "higher"})
    return result[1].tolist()


@pytest.mark.parametrize("made", [in_spectrogram, in_waveform])
@pytest.mark.parametrize(("frequency", "sexes"), [(100, [1, 0]), (200, [0, 1]), (25, [0, 0]), (350, [0, 0])])
def test_only_the_range_of_the_speaker_is_a_hit(made, frequency, sexes):
    assert hits(made(frequency, label=0), made(frequency, label=1)) == sexes


@pytest.mark.parametrize(("frequency", "hit"), [(50, 1), (150, 1), (175, 0)])
def test_limits_belong_to_the_range(frequency, hit):
    assert hits(in_spectrogram(frequency, label=0)) == [hit]
    assert hits(in_spectrogram(frequency, label=0), male=(50.0, 150.0)) == [hit]
    assert hits(in_spectrogram(frequency, label=0), male=(175.0, 200.0)) == [1 - hit]


def test_time_may_come_first():
    assert hits(in_spectrogram(100, ("time", "frequency"), label=0)) == [1]


def test_the_label_counts_and_without_it_the_explained_class():
    assert hits(in_spectrogram(200, label=1, target=0), in_spectrogram(200, label=0, target=1)) == [1, 0]
    assert hits(in_spectrogram(200, target=0), in_spectrogram(200, target=1)) == [0, 1]
    assert hits(in_spectrogram(200, target=0, classes=("Female", "Male"))) == [1]


def test_no_relevance_hits_nothing():
    item = in_spectrogram(100, label=0)
    assert hits(replace(item, relevance=np.zeros_like(item.relevance)), male=(0.0, 100.0)) == [0]
    assert hits(replace(item, relevance=-np.abs(item.relevance) - 1), male=(0.0, 1.0)) == [1]  # the least that speaks against


def test_a_view_of_frequencies_is_taken_as_it_is():
    item = in_waveform(100, label=0)
    assert hits(item.view("frequency")) == hits(item.view("time-frequency:length=400,hop=100")) == [1]


def test_another_task_is_refused_in_one_line():
    item = replace(in_spectrogram(100, classes=("zero", "one")), task="digit")
    with pytest.raises(DataError, match="'digit' has the classes zero, one; leave the metric out") as caught:
        hits(item)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no explanations"):
        hits()
    with pytest.raises(ModelError, match=r"some\.wav by \? holds NaN"):
        hits(replace(item, relevance=np.full_like(item.relevance, np.nan)))
