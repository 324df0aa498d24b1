"""The sounds: what is written must be equation 4, at a level that does not clip."""

import json
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings, strategies as st

from xaudio import Clip, Explanation, OutputError, PluginError, create
from xaudio.plugin import Axis
from xaudio_audible._audible import Audible
from xaudio_audible._levels import highest

RATE, SAMPLES = 8000, 8000
LSB = 1 / 32768
SPEECH = slice(2000, 6000)
PEAK = highest(0.95)
EQUATION = {"domain": "features", "normalisation": "maximum", "smooth_ms": 0, "loudness": "peak"}
"""Options with which the sound of samples is equation 4."""


def recording(level=0.4):
    """A sound of 500 Hz then 2000 Hz within exact zeros."""
    time = np.arange(4000) / RATE
    sound = np.zeros(SAMPLES, np.float32)
    sound[SPEECH] = level * np.sin(2 * np.pi * np.where(time < 0.25, 500, 2000) * time + 0.1)
    return sound


def explanation(relevance, sound=None, representation="waveform", **options):
    made = create("representation", representation, **options)
    sound = recording() if sound is None else sound
    return Explanation(
        clip=Clip(sound, RATE, source="somewhere.wav"),
        features=np.zeros(relevance.shape, np.float32),
        relevance=relevance,
        axes=made.axes,
        logits=np.array([1.0, 0.0]),
        classes=("yes", "no"),
        target=0,
        _representation=made,
    )


@pytest.fixture
def random_relevance():
    relevance = np.random.default_rng(0).standard_normal((1, SAMPLES)).astype(np.float32)
    relevance[:, : SPEECH.start] = relevance[:, SPEECH.stop :] = 0.3  # an explainer that is not honest about padding
    return relevance


def written(renderer, item, folder):
    """Waveforms by name, and the facts in the JSON file."""
    paths = [file.path for file in renderer(item, folder)]
    assert sorted(paths) == sorted(folder.iterdir()), "exactly what is said to be written"
    sounds = {}
    for path in paths[:-1]:
        integers, rate = soundfile.read(path, dtype="int16")
        assert rate == RATE
        sounds[path.stem] = integers / 32767
    return sounds, json.loads((folder / "audible.json").read_text())


def loop(relevance, sound, sign):
    """Equation 4, sample by sample."""
    return np.array([max(sign * float(r), 0.0) * float(x) for r, x in zip(relevance, sound, strict=True)])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_waveform_is_equation_4_up_to_scale(random_relevance, tmp_path, suffix):
    sounds, facts = written(Audible(**EQUATION, format=suffix), explanation(random_relevance), tmp_path)
    assert list(facts["sounds"]) == [f"{part}.{suffix}" for part in ("original", "positive", "negative", "complement")]
    for name, sign in (("positive", 1), ("negative", -1)):
        expected = loop(random_relevance[0], recording(), sign)
        expected *= PEAK / np.abs(expected).max()
        np.testing.assert_allclose(sounds[name], expected, atol=LSB)
        assert np.abs(sounds[name]).max() == pytest.approx(0.95, abs=LSB)
    np.testing.assert_allclose(sounds["original"], recording(), atol=LSB)


def test_padding_is_exactly_silent(random_relevance, tmp_path):
    sounds, _ = written(Audible(**EQUATION), explanation(random_relevance), tmp_path)
    for sound in sounds.values():
        assert not sound[: SPEECH.start].any()
        assert not sound[SPEECH.stop :].any()
        assert sound[SPEECH].any()


def test_gain_and_share_say_what_was_done(random_relevance, tmp_path):
    sounds, facts = written(Audible(**EQUATION, peak=0.5), explanation(random_relevance), tmp_path)
    strongest = np.abs(random_relevance.astype(np.float64)).max()
    for name, sign in (("positive", 1), ("negative", -1)):
        part = facts["sounds"][f"{name}.wav"]
        signed = np.maximum(sign * random_relevance[0].astype(np.float64), 0)
        masked = signed / strongest * recording()
        assert part["part"] == name
        assert part["gain_db"] == pytest.approx(20 * math.log10(0.5 / np.abs(masked).max()), abs=1e-3)
        assert part["share_of_relevance"] == pytest.approx(signed.sum() / np.abs(random_relevance.astype(np.float64)).sum())
        assert part["peak"] == pytest.approx(np.abs(sounds[name]).max(), abs=LSB)
        assert part["rms"] == pytest.approx(np.sqrt((sounds[name] ** 2).mean()), abs=LSB)
        assert (part["sample_rate"], part["samples"], part["reason"]) == (RATE, SAMPLES, "")
    strength = np.abs(random_relevance.astype(np.float64))
    left = facts["sounds"]["complement.wav"]["share_of_relevance"]
    assert left == pytest.approx(1 - (strength**2).sum() / (strength.sum() * strongest))
    assert facts["explained"] == "yes"
    original = facts["sounds"]["original.wav"]
    assert (original["gain_db"], original["share_of_relevance"]) == (0, None)


def test_match_stays_below_the_peak(tmp_path):
    relevance = np.zeros((1, SAMPLES), np.float32)
    relevance[0, 3000:3010], relevance[0, 3020:3100] = 1, -1
    sounds, _ = written(Audible(**{**EQUATION, "loudness": "match"}, peak=0.8), explanation(relevance, recording(0.9)), tmp_path)
    assert np.abs(sounds["positive"]).max() == pytest.approx(0.8, abs=LSB)


def test_recording_that_would_clip_is_scaled(random_relevance, tmp_path):
    loud = recording(1.6)
    sounds, facts = written(Audible(**EQUATION), explanation(random_relevance, loud), tmp_path)
    gain = 0.95 / np.abs(loud).max()
    np.testing.assert_allclose(sounds["original"], loud * gain, atol=LSB)
    assert facts["sounds"]["original.wav"]["gain_db"] == pytest.approx(20 * math.log10(gain), abs=1e-3)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(1e-30, 1e30), level=st.floats(1e-3, 8), seed=st.integers(0, 99), loudness=st.sampled_from(["peak", "match"])
)
def test_no_scale_of_relevance_or_sound_clips(scale, level, seed, loudness):
    relevance = np.random.default_rng(seed).standard_normal((1, SAMPLES)).astype(np.float32) * np.float32(scale)
    for name, part in Audible(**{**EQUATION, "loudness": loudness}).parts(explanation(relevance, recording(level))).items():
        peak = np.abs(part.waveform).max()
        assert 0 < peak <= (1 if name == "original" else 0.95) + 1e-6


def test_scale_of_the_relevance_is_not_heard(random_relevance):
    one, other = (Audible(**EQUATION).parts(explanation(random_relevance * scale)) for scale in (1, np.float32(2**40)))
    for name in one:
        np.testing.assert_allclose(one[name].waveform, other[name].waveform, rtol=1e-6)


def test_silent_parts_have_a_reason(tmp_path):
    relevance = np.ones((1, SAMPLES), np.float32)
    relevance[0, :100] = -1
    sounds, facts = written(Audible(**EQUATION), explanation(relevance), tmp_path)
    assert not sounds["negative"].any()
    part = facts["sounds"]["negative.wav"]
    assert part["reason"] == "negative relevance lies only where the recording is silent"
    assert part["gain_db"] is None
    assert part["share_of_relevance"] == pytest.approx(100 / SAMPLES)
    assert facts["sounds"]["positive.wav"]["reason"] == ""


def test_no_relevance_at_all(tmp_path):
    sounds, facts = written(Audible(**EQUATION), explanation(np.zeros((1, SAMPLES), np.float32)), tmp_path)
    assert sounds["original"].any()
    for name in ("positive", "negative"):
        assert not sounds[name].any()
        assert facts["sounds"][f"{name}.wav"]["reason"] == f"there is no {name} relevance"
        assert facts["sounds"][f"{name}.wav"]["share_of_relevance"] == 0
    np.testing.assert_allclose(sounds["complement"], recording() * PEAK / recording().max(), atol=LSB)  # all was ignored


def test_silent_recording(tmp_path):
    sounds, facts = written(
        Audible(**EQUATION), explanation(np.ones((1, SAMPLES), np.float32), np.zeros(SAMPLES, np.float32)), tmp_path
    )
    assert not any(sound.any() for sound in sounds.values())
    assert {part["reason"] for part in facts["sounds"].values()} == {"the recording is silent"}


def spectrogram_relevance():
    """For what is below 1 kHz, against what is above."""
    (frequency, time) = create("representation", "spectrogram").axes
    relevance = np.ones((1, len(frequency.centres), len(time.centres)), np.float32)
    relevance[0, frequency.centres > 1000] = -2
    return relevance


def test_spectrogram_parts_hold_their_frequencies(tmp_path):
    sounds, _ = written(Audible(**EQUATION), explanation(spectrogram_relevance(), representation="spectrogram"), tmp_path)
    low, high = slice(2500, 3500), slice(4500, 5500)
    power = {name: ((sound[low] ** 2).mean(), (sound[high] ** 2).mean()) for name, sound in sounds.items()}
    assert power["positive"][0] > 1000 * power["positive"][1]
    assert power["negative"][1] > 1000 * power["negative"][0]
    # With the recording's own phase a part is in step with the recording.
    assert np.corrcoef(sounds["positive"][low], recording()[low])[0, 1] > 0.999
    assert np.corrcoef(sounds["negative"][high], recording()[high])[0, 1] > 0.999


def test_spectrogram_parts_are_what_the_representation_masks():
    item = explanation(spectrogram_relevance(), representation="spectrogram")
    mask = torch.from_numpy(spectrogram_relevance() > 0).float()[None]
    expected = item.representation.masked_waveform(torch.from_numpy(recording())[None], mask)[0].numpy()
    np.testing.assert_allclose(
        Audible(**EQUATION).parts(item)["positive"].waveform, expected * PEAK / np.abs(expected).max(), atol=1e-6
    )


def test_domain_waveform_is_equation_4_with_the_relevance_of_samples():
    item = explanation(spectrogram_relevance(), representation="spectrogram")
    sound = torch.from_numpy(recording())[None]
    relevance = item.representation.to_waveform_relevance(sound, torch.from_numpy(spectrogram_relevance())[None])[0].numpy()
    parts = Audible(**{**EQUATION, "domain": "waveform"}).parts(item)
    for name, sign in (("positive", 1), ("negative", -1)):
        expected = loop(relevance, recording(), sign)
        np.testing.assert_allclose(parts[name].waveform, expected * PEAK / np.abs(expected).max(), atol=1e-4)
        assert not parts[name].waveform[: SPEECH.start].any()


def test_domains_agree_on_waveforms(random_relevance):
    item = explanation(random_relevance)
    one, other = Audible(**EQUATION).parts(item), Audible(**{**EQUATION, "domain": "waveform"}).parts(item)
    for name in one:
        np.testing.assert_array_equal(one[name].waveform, other[name].waveform)


def test_nothing_of_the_explanation_is_changed(random_relevance):
    item = explanation(random_relevance.copy())
    parts = Audible(**EQUATION).parts(item)
    parts["original"].waveform[:] = 7
    np.testing.assert_array_equal(item.relevance, random_relevance)
    np.testing.assert_array_equal(item.clip.waveform, recording())


def test_relevance_that_is_not_a_number_is_refused(random_relevance, tmp_path):
    random_relevance[0, 5] = np.nan
    with pytest.raises(OutputError, match=r"somewhere\.wav holds NaN"):
        Audible(**EQUATION)(explanation(random_relevance), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(random_relevance, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Audible(**EQUATION)(explanation(random_relevance), tmp_path / "file")


@pytest.mark.parametrize("options", [{"peak": 0}, {"peak": 1.1}, {"format": "mp3"}, {"loudness": "max"}, {"domain": "time"}])
def test_options_are_checked(options):
    with pytest.raises(PluginError, match=next(iter(options))):
        create("renderer", "audible", **options)


def test_options_reach_the_renderer():
    made = create("renderer", "audible", format="flac", loudness="match", peak="0.5", domain="waveform")
    assert made == Audible(format="flac", loudness="match", peak=0.5, domain="waveform")
    assert create("renderer", "audible") == Audible()
    assert replace(made, peak=0.4).peak == 0.4


def test_frequency_view_is_a_filter(tmp_path):
    """Gains are the relevance of the frequencies: for 500 Hz, against 2000 Hz."""
    sound = recording().astype(np.float64)
    low = np.where(np.arange(SAMPLES) < 4000, sound, 0)
    item = explanation((sound * (3 * low - sound))[None].astype(np.float32)).view("frequency")
    sounds, facts = written(Audible(**EQUATION), item, tmp_path)
    assert facts["sounds"]["positive.wav"]["share_of_relevance"] == pytest.approx(2 / 3, abs=0.02)
    for name, sign, hertz in (("positive", 1, 500), ("negative", -1, 2000)):
        gains = np.maximum(sign * item.relevance[0], 0)
        expected = np.fft.irfft(np.fft.rfft(item.clip.waveform) * gains / gains.max())
        np.testing.assert_allclose(sounds[name], expected * PEAK / np.abs(expected).max(), atol=2 * LSB)
        assert abs(int(np.abs(np.fft.rfft(sounds[name])).argmax()) - hertz) <= 3


@pytest.mark.parametrize("options", [{}, {"window": "hamming", "length": 256, "hop": 64}])
def test_time_frequency_view_masks_the_transform(options, tmp_path):
    item = explanation(recording()[None] ** 2).view("time-frequency", **options)
    everywhere = Audible(**EQUATION).parts(item.with_relevance(np.ones_like(item.relevance)))["positive"].waveform
    np.testing.assert_allclose(everywhere, recording() * PEAK / np.abs(recording()).max(), atol=1e-6)
    frequencies, times = (axis.centres for axis in item.axes)
    chosen = (np.abs(frequencies[:, None] - 2000) < 200) & (times > 0.55) & (times < 0.65)
    sounds, _ = written(Audible(**EQUATION), item.with_relevance(chosen[None].astype(np.float64)), tmp_path)
    energy = sounds["positive"] ** 2
    assert energy[4300:5300].sum() > 0.98 * energy.sum()
    assert abs(int(np.abs(np.fft.rfft(sounds["positive"])).argmax()) - 2000) < 20
    assert not sounds["negative"].any()


def test_time_view_of_a_spectrogram_is_equation_4():
    item = explanation(spectrogram_relevance(), representation="spectrogram").view("time")
    part = Audible(**EQUATION).parts(item)["positive"].waveform
    expected = loop(item.relevance[0], recording(), 1)
    np.testing.assert_allclose(part, expected * PEAK / np.abs(expected).max(), atol=1e-6)


@pytest.mark.parametrize("view", ["frequency", "time-frequency"])
def test_a_view_is_heard_in_the_samples_if_asked(view):
    item = explanation(recording()[None] ** 2).view(view)
    sound = torch.from_numpy(recording())[None]
    relevance = item.representation.to_waveform_relevance(sound, torch.from_numpy(item.relevance)[None])[0].numpy()
    expected = loop(relevance, recording(), 1)
    part = Audible(**{**EQUATION, "domain": "waveform"}).parts(item)["positive"].waveform
    np.testing.assert_allclose(part, expected * PEAK / np.abs(expected).max(), atol=1e-5)


@pytest.mark.slow
def test_memory_of_long_recordings_is_a_few_numbers_for_each_sample(tmp_path):
    """Beside the explanation: the sounds, and one more of each while it is made; 44 bytes when this was written, 104 before."""
    peaks = []
    for samples in (1 << 20, 1 << 21):
        sound = np.random.default_rng(0).uniform(-0.3, 0.3, samples).astype(np.float32)
        long = Explanation(
            clip=Clip(sound, 16000),
            features=sound[None],
            relevance=sound[None] ** 3,
            axes=(Axis("time", "s", np.arange(samples) / 16000),),
            logits=np.array([2.0, 0.0]),
            classes=("a", "b"),
            target=0,
            provenance={
                "placement": {"offset": 0, "start": 0, "samples": samples},
                "representation": {"name": "waveform", "options": {"sample_rate": 16000, "samples": samples}},
            },
        )
        tracemalloc.start()
        create("renderer", "audible", domain="features", parts=("positive",))(long, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / (1 << 20) < 70
