"""How loud explanations are heard: as the recording, at one reference where they are played, and nothing raised from nothing."""

import json

import numpy as np
import pyloudnorm
import pytest
import soundfile

import xaudio
from xaudio import Clip, Explanation, create
from xaudio.sound.levels import MOST_GAIN_DB, PEAK, REFERENCE, reference_gain, renderer_for_listening
from xaudio.sound.loudness import GATE

RATE, SAMPLES = 8000, 8000
PARTS = ("positive", "negative", "complement")
WITHIN = 1.0
"""LU."""


def loudness_of(path):
    """Of a file, by the standard's own tool, with silence behind what is shorter than a block."""
    sound, rate = soundfile.read(path)
    return pyloudnorm.Meter(rate).integrated_loudness(np.pad(sound, (0, max(0, int(0.4 * rate) - len(sound)))))


def heard(explanation, folder, **options):
    """Loudness of each part in LUFS (None for what is silent), and its facts."""
    renderer_for_listening("audible", options)(explanation, folder)
    facts = {one["part"]: one for one in json.loads((folder / "audible.json").read_text())["sounds"].values()}
    return {name: None if one["reason"] else loudness_of(folder / f"{name}.wav") for name, one in facts.items()}, facts


def noise(seconds=1.0, level=0.3, seed=0):
    samples = int(seconds * RATE)
    return (level * np.hanning(samples) * np.random.default_rng(seed).uniform(-1, 1, samples)).astype(np.float32)


def explanation(relevance, sound):
    """Of a model that reads samples; what is shorter than a second is followed by nothing."""
    padded = np.zeros(SAMPLES, np.float32)
    padded[: len(sound)] = sound
    values = np.zeros((1, SAMPLES), np.float32)
    values[0, : relevance.shape[-1]] = relevance
    read = create("representation", "waveform")
    return Explanation(
        clip=Clip(padded, RATE, source="somewhere.wav"),
        features=padded[None],
        relevance=values,
        axes=read.axes,
        logits=np.array([1.0, 0.0]),
        classes=("yes", "no"),
        target=0,
        _representation=read,
    )


def recordings(folder):
    paths = sorted(folder.rglob("*.wav"))
    return paths[:: max(1, len(paths) // 12)]


@pytest.mark.parametrize("corpus", ["audiomnist-en", "fsdd"])
@pytest.mark.parametrize("level", ["recording", "reference"])
def test_parts_of_real_recordings_are_as_loud_as_the_recording(real_data, run_folder, tmp_path, corpus, level):
    found = xaudio.explain(run_folder, recordings(real_data(corpus)), explainer="lrp", fit="loudest", device="cpu")
    for number, item in enumerate(found):
        levels, facts = heard(item, tmp_path / str(number), level=level)
        own = loudness_of(tmp_path / str(number) / "original.wav")
        if level == "reference":
            assert own == pytest.approx(REFERENCE, abs=WITHIN) or facts["original"]["peak"] == pytest.approx(PEAK, abs=1e-3)
        else:
            assert facts["original"]["gain_db"] == 0
        for name in PARTS:
            one = facts[name]
            assert one["peak"] <= PEAK
            if one["reason"]:
                continue
            if one["limited_by_gain"]:
                assert one["raised_db"] == pytest.approx(MOST_GAIN_DB, abs=0.01)
            if one["limited_by_gain"] or one["limited_by_peak"]:
                assert levels[name] < own + WITHIN
            else:
                assert levels[name] == pytest.approx(own, abs=WITHIN)


@pytest.mark.parametrize("level", [1.0, 0.04, 0.007, 1e-3])
@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.3, 1.0])
def test_one_reference_for_loud_and_quiet_long_and_short(tmp_path, level, seconds):
    sound = noise(seconds, level)
    levels, facts = heard(explanation(np.where(np.arange(len(sound)) % 2, 1, -1), sound), tmp_path, domain="features")
    assert all(one["peak"] <= PEAK for one in facts.values())
    at_peak = facts["original"]["peak"] == pytest.approx(PEAK, abs=1e-3)
    bounded = facts["original"]["gain_db"] == pytest.approx(REFERENCE - GATE, abs=0.01)
    assert levels["original"] == pytest.approx(REFERENCE, abs=0.1) or at_peak or bounded
    for name in ("positive", "negative"):
        assert levels[name] == pytest.approx(levels["original"], abs=0.2) or facts[name]["limited_by_peak"]


@pytest.mark.slow
def test_less_than_a_hundredth_of_the_relevance_is_nothing_to_hear(tmp_path):
    sound = noise()
    against = np.zeros(SAMPLES)
    against[4000:4040] = 1
    for share, silent in ((0.0002, True), (0.0099, True), (0.0101, False), (0.5, False)):
        relevance = (1 - against) / (SAMPLES - 40) * (1 - share) - against / 40 * share
        for loudness in ("match", "peak"):
            levels, facts = heard(explanation(relevance, sound), tmp_path, domain="features", smooth_ms="0", loudness=loudness)
            assert facts["negative"]["share_of_relevance"] == pytest.approx(share, rel=1e-3)
            assert facts["negative"]["reason"].startswith("nothing to hear, with") == silent
            assert (levels["negative"] is None) == silent
            assert levels["positive"] is not None
        # At the levels as they are nothing is raised, and the parts add up.
        assert heard(explanation(relevance, sound), tmp_path, domain="features", loudness="keep")[1]["negative"]["reason"] == ""


def test_a_part_is_raised_by_30_db_at_most(tmp_path):
    """What speaks for the class lies where the recording is 70 dB softer."""
    sound = noise()
    sound[6000:] = 3e-4 * np.random.default_rng(1).uniform(-1, 1, 2000)
    relevance = np.where(np.arange(SAMPLES) >= 6000, 1.0, -1e-5)
    levels, facts = heard(explanation(relevance, sound), tmp_path, domain="features", smooth_ms="0", level="recording")
    assert facts["positive"]["limited_by_gain"]
    assert facts["positive"]["raised_db"] == facts["positive"]["gain_db"] == 30
    assert levels["positive"] < levels["original"] - 10
    own = np.where(relevance > 0, sound, 0)
    np.testing.assert_allclose(soundfile.read(tmp_path / "positive.wav")[0], own * 10**1.5, atol=1e-4)


def test_all_of_the_relevance_or_none(tmp_path):
    sound = noise(level=0.01)
    levels, facts = heard(explanation(np.ones(SAMPLES), sound), tmp_path, domain="features")
    assert facts["positive"]["raised_db"] == pytest.approx(0, abs=0.02)
    assert levels["positive"] == pytest.approx(-23, abs=0.1)
    assert facts["negative"]["reason"] == "there is no negative relevance"
    levels, facts = heard(explanation(np.zeros(SAMPLES), sound), tmp_path)
    assert facts["complement"]["raised_db"] == pytest.approx(0, abs=0.02)
    assert levels["complement"] == pytest.approx(levels["original"], abs=0.02)
    assert [facts[name]["reason"] for name in ("positive", "negative")] == [
        "there is no positive relevance",
        "there is no negative relevance",
    ]
    levels, facts = heard(explanation(np.ones(SAMPLES), np.zeros(SAMPLES)), tmp_path)
    assert set(levels.values()) == {None}
    assert {one["reason"] for one in facts.values()} == {"the recording is silent"}


def test_kept_levels_add_up_at_the_reference_too(tmp_path):
    item = explanation(np.random.default_rng(0).standard_normal(SAMPLES), noise(level=0.01))
    _, facts = heard(item, tmp_path, loudness="keep", domain="features")
    assert len({one["gain_db"] for one in facts.values()}) == 1
    sounds = {name: soundfile.read(tmp_path / f"{name}.wav")[0] for name in facts}
    np.testing.assert_allclose(sum(sounds[name] for name in PARTS), sounds["original"], atol=1e-4)


def test_explanations_that_are_compared_are_equally_loud(tmp_path):
    sound = noise(level=0.02)
    levels = []
    for seed in range(3):
        relevance = np.random.default_rng(seed).standard_normal(SAMPLES) * np.linspace(0, 10**seed, SAMPLES)
        found, facts = heard(explanation(relevance, sound), tmp_path, domain="features")
        levels += [found[name] for name in facts if not (facts[name]["limited_by_gain"] or facts[name]["limited_by_peak"])]
    assert len(levels) >= 9
    assert levels == pytest.approx([REFERENCE] * len(levels), abs=0.1)


def test_silence_has_no_gain():
    assert reference_gain(np.zeros(8000), RATE) == 1
