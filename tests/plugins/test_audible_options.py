"""Options of the sounds: masks by their formulas, exact sums, levels that never clip, time, rates and files of two sounds."""

import json
import math

import numpy as np
import pyloudnorm
import pytest
import soundfile
import torch
from hypothesis import example, given, settings, strategies as st

import xaudio
import xaudio.plugin
from xaudio import AudioError, Clip, Explanation, PluginError, create
from xaudio.plugin import Axis, loudness
from xaudio.sound.levels import matching_gain
from xaudio_audible._audible import Audible
from xaudio_audible._levels import highest
from xaudio_audible._masks import mask_of, smoothed
from xaudio_audible._time import faded, slower

RATE, SAMPLES = 8000, 8000
LSB = 1 / 32767
NORMALISATIONS = ("maximum", "percentile", "soft", "top")


def speech(seed=0, samples=SAMPLES, rate=RATE, level=0.3):
    """Syllables of harmonics in noise, within silence."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    voice = sum(np.sin(2 * np.pi * 130 * k * time + rng.uniform(0, 6)) / k for k in range(1, 20)) / 3
    envelope = np.clip(np.sin(2 * np.pi * 3 * time), 0, None) ** 0.5
    sound = level * envelope * (voice + 0.05 * rng.standard_normal(samples))
    sound[: samples // 10] = 0
    return sound.astype(np.float32)


def explanation(relevance, sound, representation="waveform", **fields):
    made = create("representation", representation)
    return Explanation(
        clip=Clip(sound, RATE, source="somewhere.wav"),
        features=np.zeros(relevance.shape, np.float32),
        relevance=relevance,
        axes=made.axes,
        logits=np.array([1.0, 0.0]),
        classes=("yes", "no"),
        target=0,
        _representation=made,
        **fields,
    )


def of_samples(seed=0, **options):
    sound = speech(seed, **options)
    gradient = np.random.default_rng(seed).standard_normal(len(sound)) * np.linspace(-1, 2, len(sound))
    return explanation((gradient * sound)[None].astype(np.float32), sound)


def of_cells(seed=0):
    axes = create("representation", "spectrogram").axes
    shape = (1, *(len(axis.centres) for axis in axes))
    return explanation(np.random.default_rng(seed).standard_normal(shape).astype(np.float32), speech(seed), "spectrogram")


ITEMS = {
    "samples": of_samples,
    "cells": of_cells,
    "time view": lambda: of_cells().view("time"),
    "frequency view": lambda: of_samples().view("frequency"),
    "time-frequency view": lambda: of_samples().view("time-frequency", window="hamming", length=256, hop=64),
}


# Masks


def mask_by_loop(values, normalisation, percentile, top):
    """The definitions, cell by cell."""
    strength = [abs(float(value)) for value in values]
    relevant = sorted(value for value in strength if value)
    if not relevant:
        return strength
    place = percentile / 100 * (len(relevant) - 1)
    low = relevant[math.floor(place)]
    quantile = low + (relevant[math.ceil(place)] - low) * (place - math.floor(place))
    least = relevant[-math.ceil(top * len(relevant))]
    rules = {
        "maximum": lambda r: r / relevant[-1],
        "percentile": lambda r: min(r / quantile, 1.0),
        "top": lambda r: float(r >= least),
        "soft": lambda r: r**2 / (r**2 + least**2),
    }
    return [rules[normalisation](value) for value in strength]


@pytest.mark.slow
@settings(max_examples=60)
@given(
    values=st.lists(
        st.one_of(st.just(0.0), st.floats(-10, 10, width=32).filter(lambda v: abs(v) > 1e-3)), min_size=1, max_size=30
    ),
    normalisation=st.sampled_from(NORMALISATIONS),
    percentile=st.floats(1, 100),
    top=st.floats(0.01, 1),
)
def test_each_normalisation_is_its_formula(values, normalisation, percentile, top):
    found = mask_of(np.array(values), normalisation, percentile, top)
    np.testing.assert_allclose(found, mask_by_loop(values, normalisation, percentile, top), rtol=1e-9)
    assert ((found >= 0) & (found <= 1)).all()


def test_smoothing_is_a_weighted_mean_of_what_is_near():
    axes = (Axis("frequency", "Hz", np.arange(12) * 20.0), Axis("time", "s", np.arange(15) * 0.01))
    mask = np.random.default_rng(0).uniform(size=(2, 12, 15))
    found = smoothed(mask, axes, 70, 110)  # a width that is no multiple of the step
    expected = np.zeros_like(mask)
    for channel, f, t in np.ndindex(mask.shape):
        weights = values = 0.0
        for g, s in np.ndindex(mask.shape[1:]):
            apart = (abs(g - f) * 20 / 110, abs(s - t) * 0.01 / 0.07)
            weight = math.prod(1 + math.cos(2 * math.pi * d) if d <= 0.5 else 0 for d in apart)
            weights, values = weights + weight, values + weight * mask[channel, g, s]
        expected[channel, f, t] = values / weights
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(smoothed(np.ones_like(mask), axes, 70, 110), 1)
    np.testing.assert_array_equal(smoothed(mask, axes, 0, 0), mask)
    np.testing.assert_array_equal(smoothed(mask, axes, 10, 20), mask)  # nothing else is within half of it


# Sums


@pytest.mark.parametrize("name", ITEMS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("smoothing", [{"smooth_ms": 0}, {"smooth_ms": 30, "smooth_hz": 90}])
def test_positive_negative_and_complement_add_up_to_the_recording(name, normalisation, smoothing):
    item = ITEMS[name]()
    recording = item.clip.waveform.astype(np.float64)
    renderer = Audible(normalisation=normalisation, **smoothing)
    masked = renderer.masked(item, recording[None])
    total = masked["positive"] + masked["negative"] + masked["complement"]
    np.testing.assert_allclose(total[0], recording, atol=1e-7)
    parts = Audible(normalisation=normalisation, loudness="keep", **smoothing).parts(item)
    np.testing.assert_allclose(sum(parts[p].waveform for p in ("positive", "negative", "complement")), recording, atol=1e-6)
    for part, sound in masked.items():
        leveled = renderer.parts(item)[part]
        np.testing.assert_allclose(leveled.waveform / leveled.gain, sound[0], atol=1e-5 / leveled.gain + 1e-7)


@pytest.mark.parametrize("name", ["samples", "time-frequency view", "frequency view"])
def test_complement_is_the_sound_under_one_less_the_mask(name):
    """Where the way back to sound is exact."""
    item = ITEMS[name]()
    mask = mask_of(item.relevance, "percentile", 99, 0)
    rest = item.representation.masked_waveform(
        torch.from_numpy(item.clip.waveform)[None], torch.from_numpy(1 - mask)[None].float()
    )
    part = Audible(domain="features", smooth_ms=0, loudness="keep").parts(item)["complement"]
    np.testing.assert_allclose(part.waveform, rest[0].numpy(), atol=2e-6)


@pytest.mark.parametrize("domain", ["auto", "waveform", "features"])
def test_masks_are_linear_in_the_sound(domain):
    item, renderer = of_samples(), Audible(domain=domain)
    one, other = speech(1), speech(2)
    parts = renderer.masked(item, np.stack([one, other, one + 2 * other]))
    for sounds in parts.values():
        np.testing.assert_allclose(sounds[0] + 2 * sounds[1], sounds[2], atol=1e-6)


# Domains


def test_samples_are_heard_in_time_frequency_unless_values_cancel_there():
    item = of_samples()
    cells = item.view("time-frequency")
    assert cells.provenance["view"]["magnitude"] < 2
    np.testing.assert_array_equal(Audible().parts(item)["positive"].waveform, Audible().parts(cells)["positive"].waveform)
    rng = np.random.default_rng(0)
    other = item.with_relevance(rng.standard_normal(item.relevance.shape).astype(np.float32))
    assert other.view("time-frequency").provenance["view"]["magnitude"] > 2
    one, two = (Audible(domain=domain).parts(other)["positive"].waveform for domain in ("auto", "waveform"))
    np.testing.assert_array_equal(one, two)


def test_what_is_shown_is_heard():
    """A view that was asked for is not changed."""
    item = of_cells().view("time")
    one, other = (Audible(domain=domain).parts(item)["positive"].waveform for domain in ("auto", "features"))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("domain", ["frequency", "time-frequency"])
def test_a_domain_is_that_view(domain):
    item = of_samples()
    one, other = Audible(domain=domain).parts(item), Audible(domain="features").parts(item.view(domain))
    for name in one:
        np.testing.assert_array_equal(one[name].waveform, other[name].waveform)


@pytest.mark.slow
def test_samples_are_smoothed_by_default_and_cells_are_not(tmp_path):
    for item, domain, width in ((of_samples(), "waveform", 20), (of_samples(), "auto", 0), (of_cells(), "auto", 0)):
        Audible(domain=domain)(item, tmp_path)
        facts = json.loads((tmp_path / "audible.json").read_text())
        assert facts["smooth_ms"] == width
        assert facts["heard_in"] == ("time" if width else "time-frequency")
        one, other = (Audible(domain=domain, **given).parts(item) for given in ({}, {"smooth_ms": width}))
        np.testing.assert_array_equal(one["positive"].waveform, other["positive"].waveform)


def test_a_contrast_is_an_explanation_like_any_other(tmp_path):
    first = of_samples()
    second = xaudio.Explanation(**{**vars(first), "target": 1, "relevance": 0.5 * first.relevance[:, ::-1].copy()})
    contrast = first.contrast(second)
    Audible()(contrast, tmp_path)
    assert json.loads((tmp_path / "audible.json").read_text())["explained"] == "yes rather than no"
    plain = first.with_relevance(first.relevance - second.relevance)
    np.testing.assert_array_equal(Audible().parts(contrast)["positive"].waveform, Audible().parts(plain)["positive"].waveform)


# Levels


@pytest.mark.slow
@settings(max_examples=30)
@given(
    level=st.floats(1e-5, 5),
    seed=st.integers(0, 50),
    peak=st.floats(0.01, 1),
    given=st.fixed_dictionaries(
        {
            "loudness": st.sampled_from(["peak", "match", "keep"]),
            "normalisation": st.sampled_from(NORMALISATIONS),
            "domain": st.sampled_from(["auto", "waveform"]),
            "fade_ms": st.sampled_from([0, 7.5]),
            "slow": st.sampled_from([1, 1.7]),
            "slow_by": st.sampled_from(["stretch", "resample"]),
            "format": st.sampled_from(["wav", "flac"]),
        }
    ),
)
def test_no_file_clips_or_is_silent_without_a_reason(tmp_path_factory, level, seed, peak, given):
    folder = tmp_path_factory.mktemp("sounds")
    loudest_allowed = math.floor(peak * 32767)
    item = of_samples(seed, level=level)
    for file in Audible(peak=peak, extras=("comparison", "stereo"), **given)(item, folder)[:-1]:
        path = file.path
        facts = json.loads((folder / "audible.json").read_text())["sounds"][path.name]
        assert file.facts == facts
        values = np.abs(soundfile.read(path, dtype="int16")[0].astype(int))
        scaled = path.stem in ("positive", "negative", "complement") and (given["loudness"] != "keep")
        assert values.max() <= (loudest_allowed if scaled else 32767)
        assert bool(facts["reason"]) == (values.max() == 0)


@pytest.mark.parametrize("seconds", [0.1, 0.25, 0.399, 0.4, 0.7, 1.0])
@pytest.mark.parametrize("level", [0.5, 0.05, 3e-4])
def test_loudness_is_matched(seconds, level):
    """Also where blocks of the recording fall below the gates; measured apart, with silence behind what is too short."""
    samples = int(seconds * RATE)
    recording = speech(samples=samples, level=level).astype(np.float64)
    part = recording * np.linspace(0, 1, samples) ** 2
    gain = matching_gain(part, recording, RATE)
    measured = [
        pyloudnorm.Meter(RATE).integrated_loudness(np.pad(sound, (0, max(0, 3200 - samples))))
        for sound in (recording, part * gain)
    ]
    if math.isfinite(measured[0]):
        assert measured[1] == pytest.approx(measured[0], abs=0.02)
    else:  # too quiet to be measured: compared as if amplified
        lift = 1 / np.abs(recording).max()
        assert loudness(part * gain * lift, RATE) == pytest.approx(loudness(recording * lift, RATE), abs=0.02)


def level_nearest(wanted, sound):
    """What a meter says of a sound whose last bit is open, which lets a block at the gate count or not, as is nearer."""
    draws = np.random.default_rng(0).uniform(-LSB / 2, LSB / 2, (8, len(sound)))
    levels = [pyloudnorm.Meter(RATE).integrated_loudness(sound + draw) for draw in (0 * draws[0], *draws)]
    return min(levels, key=lambda level: abs(level - wanted))


@pytest.mark.slow
@settings(max_examples=20)
@example(seed=134, level=0.125, normalisation="maximum")  # a part that would need 30.7 dB
@example(seed=512, level=0.1351872621145731, normalisation="soft")  # a part with a block at the gate
@given(seed=st.integers(0, 1000), level=st.floats(0.02, 0.2), normalisation=st.sampled_from(NORMALISATIONS))
def test_written_parts_are_as_loud_as_the_recording_where_the_peak_allows(tmp_path_factory, seed, level, normalisation):
    folder = tmp_path_factory.mktemp("sounds")
    Audible(loudness="match", normalisation=normalisation)(of_samples(seed, level=level), folder)
    facts = json.loads((folder / "audible.json").read_text())["sounds"]
    wanted = pyloudnorm.Meter(RATE).integrated_loudness(soundfile.read(folder / "original.wav")[0])
    for name in ("positive", "negative", "complement"):
        found = level_nearest(wanted, soundfile.read(folder / f"{name}.wav")[0])
        part = facts[f"{name}.wav"]
        if part["limited_by_peak"]:
            assert found < wanted + 0.1
            assert part["peak"] == pytest.approx(0.95, abs=LSB)
        elif part["limited_by_gain"]:
            assert found < wanted + 0.1
            assert part["raised_db"] == pytest.approx(30, abs=0.01)
        else:
            assert found == pytest.approx(wanted, abs=0.1)
        assert part["loudness_lufs"] == pytest.approx(found, abs=0.1)


def test_loudness_of_low_rates_and_constants():
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(4000) / 2000)
    fine = 0.5 * np.sin(2 * np.pi * 300 * np.arange(16000) / 8000)
    assert loudness(tone, 2000) == pytest.approx(loudness(fine, 8000), abs=0.1)
    assert loudness(np.zeros(8000), 8000) == -math.inf
    gain = matching_gain(np.full(8000, 1e-9), np.full(8000, 1e-7), 8000)
    assert gain == pytest.approx(100)


def test_what_is_too_quiet_for_16_bits_says_so(tmp_path):
    Audible(loudness="match")(of_samples(level=1e-6), tmp_path)
    facts = json.loads((tmp_path / "audible.json").read_text())["sounds"]
    assert facts["original.wav"]["reason"] == "it is too quiet for 16 bits"
    assert facts["positive.wav"]["reason"] == "it is too quiet for 16 bits at the loudness of the recording"
    assert not soundfile.read(tmp_path / "positive.wav")[0].any()
    Audible(loudness="peak")(of_samples(level=1e-6), tmp_path)  # scaled to the peak it is heard
    assert soundfile.read(tmp_path / "positive.wav")[0].max() > 0.5


def test_silent_parts_of_the_other_kinds_have_their_reasons():
    item = of_samples()
    everything = item.with_relevance(np.ones_like(item.relevance))
    assert Audible(domain="features").parts(everything)["complement"].reason == "the mask keeps all of the recording"
    weak = np.where(np.arange(SAMPLES) < 4000, 1.0, -1e-3)[None].astype(np.float32)
    found = Audible(domain="features", normalisation="top", top=0.01).parts(item.with_relevance(weak))
    assert found["negative"].reason == "none of the negative relevance is among the top 0.01"
    lost = np.where(item.clip.waveform == 0, -1.0, item.clip.waveform**2)[None].astype(np.float32)
    assert (lost < 0).any()
    part = Audible(domain="features", smooth_ms=0).parts(item.with_relevance(lost))["negative"]
    assert part.reason == "negative relevance lies only where the recording is silent"


# Time


def test_fades_rise_and_fall_at_the_ends_of_the_recording():
    placed = {"offset": 1000, "samples": 5000, "start": 0}
    sound = np.zeros(SAMPLES, np.float32)
    sound[1000:6000] = 0.5
    item = explanation(np.ones((1, SAMPLES), np.float32), sound, provenance={"placement": placed})
    found = Audible(domain="features", fade_ms=10).parts(item)["original"].waveform
    ramp = np.sin(0.5 * np.pi * (np.arange(80) + 0.5) / 80) ** 2
    np.testing.assert_allclose(found[1000:1080], 0.5 * ramp)
    np.testing.assert_allclose(found[5920:6000], 0.5 * ramp[::-1])
    np.testing.assert_allclose(found[1080:5920], 0.5)
    assert not found[:1000].any()
    assert not found[6000:].any()
    np.testing.assert_array_equal(faded(np.ones(4), 0, 4, 100)[[0, 3]], faded(np.ones(4), 0, 4, 2)[[0, 3]])


@pytest.mark.parametrize("factor", [1.25, 2, 3.3])
def test_stretching_keeps_the_pitch_and_resampling_lowers_it(factor):
    tone = np.sin(2 * np.pi * 400 * np.arange(SAMPLES) / RATE)
    for by, hertz in (("stretch", 400), ("resample", 400 / factor)):
        found = slower(tone, RATE, factor, by)(tone)
        assert len(found) == round(factor * SAMPLES)
        spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found))))
        assert spectrum.argmax() * RATE / len(found) == pytest.approx(hertz, abs=2)
        inside = slice(2000, -2000)
        assert np.sqrt((found[inside] ** 2).mean()) == pytest.approx(np.sqrt(0.5), rel=0.03)


def test_stretching_by_one_changes_nothing():
    sound = speech()
    np.testing.assert_allclose(slower(sound, RATE, 1.0, "stretch")(sound), sound, atol=1e-7)


@pytest.mark.parametrize("by", ["stretch", "resample"])
def test_slowed_parts_stay_in_step_and_add_up(by):
    item = of_samples()
    parts = Audible(loudness="keep", slow=2.5, slow_by=by).parts(item)
    total = sum(parts[name].waveform for name in ("positive", "negative", "complement"))
    np.testing.assert_allclose(total, parts["original"].waveform, atol=1e-6)
    assert len(total) == 2.5 * SAMPLES
    # An event is heard 2.5 times as late, to the frame of WSOLA.
    loud = np.abs(item.clip.waveform).argmax() * 2.5
    envelope = np.convolve(np.abs(parts["original"].waveform), np.ones(400) / 400, "same")
    plain = np.convolve(np.abs(item.clip.waveform), np.ones(160) / 160, "same")
    assert abs(envelope.argmax() - 2.5 * plain.argmax()) < 2.5 * 240
    assert loud < len(total)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_without_slow_down_files_are_aligned_with_the_recording(form, tmp_path):
    item = of_cells()
    Audible(loudness="keep", format=form)(item, tmp_path)
    read = {name: soundfile.read(tmp_path / f"{name}.{form}", dtype="int16")[0] / 32767 for name in ("original", "positive")}
    np.testing.assert_allclose(read["original"], item.clip.waveform, atol=LSB)
    masked = Audible().masked(item, item.clip.waveform[None])["positive"][0]
    np.testing.assert_allclose(read["positive"], masked, atol=LSB)
    assert {len(sound) for sound in read.values()} == {SAMPLES}


# The recording's own rate


@pytest.fixture
def wide(tmp_path):
    """A recording at 44.1 kHz with a tone below and one above what the model hears, longer than the model takes."""
    time = np.arange(int(1.5 * 44100)) / 44100
    envelope = np.where(time > 0.3, np.hanning(len(time)), 0.02)
    sound = envelope * (0.3 * np.sin(2 * np.pi * 700 * time) + 0.2 * np.sin(2 * np.pi * 9000 * time))
    path = tmp_path / "wide.wav"
    soundfile.write(path, sound, 44100)
    return path


def energy(sound, rate, low, high):
    frequencies = np.fft.rfftfreq(len(sound), 1 / rate)
    return float((np.abs(np.fft.rfft(sound)) ** 2)[(frequencies >= low) & (frequencies < high)].sum())


@pytest.mark.parametrize("resampling", ["soxr", "fft"])
@pytest.mark.parametrize("fit", ["loudest", "error"])
def test_the_own_rate_keeps_what_the_model_never_heard_in_the_complement(run_folder, wide, tmp_path, resampling, fit):
    if fit == "error":  # a recording that is short enough
        soundfile.write(wide, soundfile.read(wide)[0][9000:40000], 44100)
    item = xaudio.explain(run_folder, wide, explainer="lrp", device="cpu", fit=fit, resampling=resampling)
    parts = Audible(rate="recording", loudness="keep").parts(item)
    assert {part.sample_rate for part in parts.values()} == {44100}
    start, placed = item.provenance["placement"]["start"] / 8000, item.provenance["placement"]["samples"] / 8000
    assert (start > 0) == (fit == "loudest")
    original = parts["original"].waveform
    assert len(original) == pytest.approx(placed * 44100, abs=3)
    np.testing.assert_allclose(original, soundfile.read(wide)[0][round(start * 44100) :][: len(original)], atol=2 * LSB)
    total = sum(parts[name].waveform for name in ("positive", "negative", "complement"))
    np.testing.assert_allclose(total, original, atol=1e-6)
    inside = slice(2000, -2000)  # a cut is a click, which has all frequencies
    window = np.hanning(len(original[inside]))
    above = {name: energy(part.waveform[inside] * window, 44100, 4500, 22050) for name, part in parts.items()}
    assert max(above["positive"], above["negative"]) < 1e-6 * above["original"]
    assert above["complement"] == pytest.approx(above["original"], rel=1e-3)
    # Below, the parts are those of the model's rate.
    plain = Audible(loudness="keep").parts(item)["positive"].waveform
    offset = item.provenance["placement"]["offset"]
    heard = plain[offset : offset + item.provenance["placement"]["samples"]]
    brought = np.interp(np.arange(len(heard)) / 8000, np.arange(len(original)) / 44100, parts["positive"].waveform)
    assert np.corrcoef(brought[400:-400], heard[400:-400])[0, 1] > 0.97


def test_the_own_rate_is_written(run_folder, wide, tmp_path):
    item = xaudio.explain(run_folder, wide, explainer="lrp", device="cpu", fit="loudest")
    saved = Explanation.load(item.save(tmp_path / "one.safetensors"))
    Audible(rate="recording", format="flac")(saved, tmp_path)
    facts = json.loads((tmp_path / "audible.json").read_text())
    assert (facts["sample_rate"], facts["model_sample_rate"]) == (44100, 8000)
    assert soundfile.info(tmp_path / "complement.flac").samplerate == 44100


def test_a_recording_that_is_gone_or_another_is_refused(run_folder, wide):
    item = xaudio.explain(run_folder, wide, explainer="lrp", device="cpu", fit="loudest")
    sound = soundfile.read(wide)[0]
    soundfile.write(wide, sound[::-1], 44100)
    with pytest.raises(AudioError, match=r"wide\.wav: is not the recording that was explained"):
        Audible(rate="recording").parts(item)
    wide.unlink()
    with pytest.raises(AudioError, match=r"wide\.wav: is not a file that can be read again.*8000 Hz.*44100 Hz"):
        Audible(rate="recording").parts(item)
    array = xaudio.explain(run_folder, sound, sample_rate=44100, explainer="lrp", device="cpu", fit="loudest")
    with pytest.raises(AudioError, match="array: is not a file"):
        Audible(rate="recording").parts(array)
    same = xaudio.explain(run_folder, sound[:4000], sample_rate=8000, explainer="lrp", device="cpu")
    assert len(Audible(rate="recording").parts(same)["original"].waveform) == 4000


# Files


def test_only_the_parts_that_are_asked_for_are_written(tmp_path):
    written = create("renderer", "audible", parts="complement+positive")(of_samples(), tmp_path)
    paths = [file.path for file in written]
    assert [path.name for path in paths] == ["complement.wav", "positive.wav", "audible.json"]
    assert sorted(paths) == sorted(tmp_path.iterdir())


def test_the_comparison_is_recording_beep_explanation(tmp_path):
    item = of_samples()
    Audible(extras=("comparison",), fade_ms=5)(item, tmp_path)
    facts = json.loads((tmp_path / "audible.json").read_text())["sounds"]["comparison.wav"]
    sound, rate = soundfile.read(tmp_path / "comparison.wav")
    original, positive = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("original", "positive"))
    np.testing.assert_allclose(sound[:SAMPLES], original, atol=LSB)
    np.testing.assert_allclose(sound[-SAMPLES:], positive, atol=LSB)
    assert facts["second_s"] == (len(sound) - SAMPLES) / rate
    beep = sound[SAMPLES:-SAMPLES]
    heard = np.flatnonzero(beep)
    assert (SAMPLES + heard[0]) / rate == pytest.approx(facts["beep_s"], abs=0.002)
    assert np.abs(np.fft.rfft(beep)).argmax() * rate / len(beep) == pytest.approx(1000, abs=5)
    assert (heard[-1] - heard[0]) / rate == pytest.approx(0.15, abs=0.002)
    assert np.abs(sound).max() <= 1


def test_stereo_has_the_recording_left_and_the_explanation_right(tmp_path):
    Audible(extras=("stereo",), format="flac")(of_cells(), tmp_path)
    both, rate = soundfile.read(tmp_path / "stereo.flac")
    assert (both.shape, rate) == ((SAMPLES, 2), RATE)
    for channel, name in enumerate(("original", "positive")):
        np.testing.assert_array_equal(both[:, channel], soundfile.read(tmp_path / f"{name}.flac")[0])


def test_two_sounds_say_if_the_second_is_silent(tmp_path):
    item = of_samples()
    Audible(extras=("stereo",), domain="features")(item.with_relevance(-np.abs(item.relevance)), tmp_path)
    facts = json.loads((tmp_path / "audible.json").read_text())["sounds"]["stereo.wav"]
    assert facts["reason"] == ""
    assert facts["reasons"] == {"original": "", "positive": "there is no positive relevance"}


SPEC = (
    "audible:parts=original+positive,domain=waveform,normalisation=soft,percentile=97.5,top=0.2,smooth_ms=12,smooth_hz=50,"
    "loudness=match,peak=0.8,fade_ms=4,slow=1.5,slow_by=resample,rate=recording,extras=comparison+stereo,format=flac"
)


def test_every_option_is_reached_from_a_spec(tmp_path):
    name, options = xaudio.plugin.parse_spec(SPEC)
    made = create("renderer", name, **options)
    expected = {**options, "parts_written": ("original", "positive"), "extras": ("comparison", "stereo")}
    del expected["parts"]
    for option, value in expected.items():
        found = getattr(made, option)
        assert (found if isinstance(value, tuple) else str(type(found)(value))) == (
            value if isinstance(value, tuple) else str(found)
        )
    item = of_samples()
    written = item.render(SPEC, folder=tmp_path)
    assert [path.name for path in written] == ["original.flac", "positive.flac", "comparison.flac", "stereo.flac", "audible.json"]
    facts = json.loads((tmp_path / "audible.json").read_text())
    assert {key: str(facts[key]) for key in ("normalisation", "loudness", "slow_by", "rate", "domain")} == {
        key: options[key] for key in ("normalisation", "loudness", "slow_by", "rate", "domain")
    }
    assert facts["sounds"]["positive.flac"]["samples"] == 1.5 * SAMPLES


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("parts", "positive+loud"),
        ("parts", ""),
        ("extras", "trio"),
        ("percentile", 0),
        ("percentile", 101),
        ("top", 0),
        ("top", 1.5),
        ("slow", 0.5),
        ("slow", 9),
        ("slow_by", "magic"),
        ("smooth_ms", -1),
        ("smooth_hz", float("inf")),
        ("fade_ms", -0.1),
        ("peak", float("nan")),
        ("rate", 44100),
        ("normalisation", "sum"),
    ],
)
def test_values_that_do_not_fit_are_named(option, value):
    with pytest.raises(PluginError, match=option) as caught:
        create("renderer", "audible", **{option: value})
    assert "\n" not in str(caught.value)


def test_the_highest_level_never_rounds_above_the_peak():
    for peak in np.linspace(1e-4, 1, 997):
        assert round(highest(peak) * 32767) <= peak * 32767


def test_the_command_says_which_sound_is_silent_and_why(run_folder, recording, tmp_path):
    from typer.testing import CliRunner

    from xaudio.cli.app import app

    given = ["explain", recording, "--model", run_folder, "--explainer", "amplitude", "--render", "audible:domain=features"]
    done = CliRunner().invoke(app, [str(item) for item in [*given, "--out", tmp_path / "out"]])
    assert done.exit_code == 0, done.output
    silent = [line for line in done.stdout.splitlines() if "silent" in line]
    assert len(silent) == 1
    assert silent[0].endswith("negative.wav (silent: there is no negative relevance)")
