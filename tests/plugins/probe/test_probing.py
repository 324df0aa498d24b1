"""Probes against slow versions, and against models of which it is known what they read."""

import csv
import io
import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import xaudio
import xaudio.plugin
import xaudio_probe
from xaudio import DataError, Model, ModelError, PluginError
from xaudio.plugin import Recording, SpeakerDataset
from xaudio.sound.domains import Frequency, Time
from xaudio_faithfulness import scaled_frequencies
from xaudio_probe import probing, rows as rows_module, summary
from xaudio_probe.changes import parse_changes
from xaudio_probe.moves import Level, Scale, Values, root_mean_squares
from xaudio_probe.relevant import Relevant
from xaudio_probe.removal import Band, Slots, from_mel, to_mel
from xaudio_probe.results import Difference, ProbeResults
from xaudio_probe.scaling import scaled_sound
from xaudio_probe.summary import check_groups, interval_over_groups
from xaudio_probe.test_set import Batch, HeldOut, Plan, beside

RATE, SAMPLES = 8000, 2000


class Reads(nn.Module):
    """Yes or no by the energy of one band in the sound's spectrum; a mean square of 1e-4 is the border."""

    def __init__(self, low=450.0, high=550.0):
        super().__init__()
        frequencies = np.fft.rfftfreq(SAMPLES, 1 / RATE)
        self.register_buffer("chosen", torch.from_numpy((frequencies >= low) & (frequencies <= high)))
        self.calls = 0

    def forward(self, features):
        self.calls += 1
        energy = (torch.fft.rfft(features[:, 0]).abs().square() * self.chosen).sum(1) * 2 / SAMPLES**2
        score = torch.log10(energy + 1e-9) + 4
        return torch.stack([-score, score], dim=1)


class Loud(nn.Module):
    """Yes for a mean square above 1e-3."""

    def forward(self, features):
        score = torch.log10(features.square().mean((1, 2)) + 1e-9) + 3
        return torch.stack([-score, score], dim=1)


def model_of(network, **options):
    read = xaudio.create("representation", "waveform", samples=SAMPLES, normalisation="none", **options)
    return Model(network, read, ("no", "yes"), task="tone")


def tones(time, *frequencies):
    return sum(0.1 * np.sin(2 * np.pi * f * time + f) for f in frequencies)


def data_of(make, speakers=10, each=4):
    """Recordings of ``make(rng, label)``, each speaker with as many of both classes."""
    recordings = [
        Recording(f"{speaker} {number}", f"s{speaker}", {"tone": number % 2})
        for speaker in range(speakers)
        for number in range(each)
    ]

    def read(recording):
        rng = np.random.default_rng([*map(int, recording.source.split())])
        sound = np.float32(make(rng, recording.labels["tone"] or 0))
        return xaudio.Clip(sound, RATE, recording.labels, recording.speaker, recording.source)

    groups = [[f"s{speaker}" for speaker in range(part, speakers, 3)] for part in range(3)]
    tasks = {"tone": ("no", "yes")}
    return SpeakerDataset("made", "Made", tasks, recordings, {"tone": groups}, read=read, fingerprint_of=lambda _: make.__name__)


def with_a_tone_at_500_hz(rng, label):
    """Tones elsewhere in both classes, and one of 500 Hz for "yes"; lengths differ."""
    time = np.arange(rng.integers(1400, 2000)) / RATE
    return tones(time, 1210, 2030, 3100, *[500] * label) + 1e-4 * rng.standard_normal(len(time))


def batch(model, waveforms, offsets=0, lengths=None, labels=None, indices=None, seed=0):
    count = len(waveforms)
    full = torch.full((count,), SAMPLES if lengths is None else lengths) if not isinstance(lengths, torch.Tensor) else lengths
    starts = torch.full((count,), offsets) if not isinstance(offsets, torch.Tensor) else offsets
    labels = torch.zeros(count, dtype=torch.int64) if labels is None else labels
    indices = np.arange(count) if indices is None else indices
    return Batch(model, waveforms, starts, full, labels, indices, seed)


def held(model, durations=(SAMPLES / RATE,), level=0.1, draws=20, seed=0):
    return HeldOut(model, np.array(durations), level, draws, seed)


@pytest.fixture(scope="module")
def reader():
    return model_of(Reads())


def removed_by(band, model, waveforms, **where):
    domain = Frequency(RATE, SAMPLES)
    mask = band._mask(domain, band.low, band.high, RATE / 2)
    return batch(model, waveforms, **where).without(domain, mask.float(), band.imputation)


# Bands


def slow_band_stop(sound, low, high, edge):
    """The gain of each frequency written out."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    edge = min(edge, (high - low) / 2)
    for k in range(len(spectrum)):
        f = k * RATE / len(sound)
        if low <= f <= high:
            depth = min(f - low if low > 0 else np.inf, high - f if high < RATE / 2 else np.inf)
            spectrum[k] *= 1 - (1.0 if depth >= edge else (1 - np.cos(np.pi * depth / edge)) / 2)
    return np.fft.irfft(spectrum, n=len(sound))


@pytest.mark.parametrize(("low", "high"), [(100, 300), (0, 250), (3700, 4000), (100, 104), (0, 4000)])
def test_a_band_is_removed_as_one_would_write_it(reader, low, high):
    sound = torch.randn(3, SAMPLES, generator=torch.Generator().manual_seed(0)) * 0.1
    found = removed_by(Band(low=low, high=high), reader, sound)
    expected = [slow_band_stop(row.numpy(), low, high, 10.0) for row in sound]
    assert np.allclose(found.numpy(), expected, atol=1e-6)


def test_a_tone_in_the_band_is_gone_and_one_outside_is_exactly_left(reader):
    time = np.arange(SAMPLES) / RATE
    inside, outside = tones(time, 200), tones(time, 96, 304, 1000)
    found = removed_by(Band(low=100, high=300), reader, torch.tensor(inside + outside).float()[None])[0].numpy()
    assert np.abs(found - outside).max() < 1e-6


@pytest.mark.parametrize("imputation", ["noise_floor", "mean_spectrum"])
def test_what_takes_the_place_of_a_whole_recording_is_the_baseline_itself(reader, imputation):
    """Of a sound that fills the window, in a mask of ones: x - x + b, sample by sample."""
    sound = 0.1 * torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(1))
    there = batch(reader, sound)
    expected = xaudio.plugin.baseline_waveforms(
        imputation, xaudio.plugin.Sound(sound, reader.representation, reader.features), seed=0
    )
    found = there.without(Time(RATE, SAMPLES), torch.ones(2, 1, SAMPLES), imputation)
    assert torch.allclose(found, expected, atol=1e-6)
    assert expected.abs().max() > 1e-3


def test_the_zeros_around_a_recording_stay_zeros(reader):
    sound = torch.zeros(2, SAMPLES)
    sound[:, 500:1500] = torch.randn(2, 1000)
    for imputation in ("zero", "noise_floor", "mean_spectrum"):
        band = Band(low=100, high=300, imputation=imputation)
        found = removed_by(band, reader, sound, offsets=500, lengths=1000)
        assert not found[:, :500].any()
        assert not found[:, 1500:].any()
        assert not torch.equal(found, sound)


def test_imputed_bands_are_as_loud_as_promised_and_the_rest_is_untouched(reader):
    sound = torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(1)) * 0.1
    before = torch.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    core, rest = (frequencies > 311) & (frequencies < 589), (frequencies < 300) | (frequencies > 600)
    spectra = {
        name: torch.fft.rfft(removed_by(Band(low=300, high=600, imputation=name), reader, sound))
        for name in ("noise_floor", "mean_spectrum")
    }
    for after in spectra.values():
        assert torch.allclose(after[:, rest], before[:, rest], atol=1e-4)
    assert torch.allclose(spectra["mean_spectrum"][:, core].abs(), before[:, core].abs(), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(spectra["mean_spectrum"][:, core], before[:, core], atol=1e-1)
    assert spectra["noise_floor"][:, core].abs().mean() > 0.3 * before[:, core].abs().mean()


def test_noise_with_a_recordings_spectrum_is_as_loud_as_what_it_replaces(reader):
    sound = torch.zeros(4, SAMPLES)
    sound[:, 600:1100] = torch.randn(4, 500, generator=torch.Generator().manual_seed(2)) * 0.1
    found = removed_by(Band(low=500, high=2500, imputation="mean_spectrum"), reader, sound, offsets=600, lengths=500)
    part = slice(int(600 * SAMPLES / RATE), int(2400 * SAMPLES / RATE))
    energy = [torch.fft.rfft(x)[:, part].abs().square().sum() for x in (found, sound)]
    assert float(energy[0] / energy[1]) == pytest.approx(1, abs=0.25)


@pytest.mark.slow
@settings(max_examples=100)
@given(
    low=st.floats(0, 3000),
    width=st.floats(5, 3000),
    kind=st.sampled_from(["mel", "hz"]),
    seed=st.integers(0, 5),
    draws=st.integers(1, 9),
)
def test_random_bands_are_as_wide_and_do_not_overlap(low, width, kind, seed, draws):
    high = min(low + width, 4000.0)
    forth = to_mel if kind == "mel" else float
    wide = forth(high) - forth(low)
    test = HeldOut(model_of(Reads()), np.ones(1), 0.1, draws, seed)
    band = Band(low=low, high=high, width=kind)
    if max(forth(low), forth(4000.0) - forth(high)) < wide:
        with pytest.raises(DataError, match="fits next to it below 4000 Hz"):
            band.elsewhere(test)
        return
    found = band.elsewhere(test)
    assert len(found) == draws
    assert found == band.elsewhere(test)
    for first, last in found:
        assert -1e-6 <= first < last <= 4000
        assert last <= low + 1e-6 or first >= high - 1e-6
        assert forth(last) - forth(first) == pytest.approx(wide, abs=1e-5)


def test_random_bands_go_everywhere():
    bands = Band(low=1000, high=1200, width="hz").elsewhere(held(model_of(Reads()), draws=400))
    below = np.mean([high <= 1000 for _, high in bands])
    assert below == pytest.approx(800 / (800 + 2600), abs=0.07)  # by how much room there is on each side
    assert np.histogram([low for low, _ in bands if low > 1200], bins=4, range=(1200, 3800))[0].min() > 40


def test_mel_and_back():
    assert to_mel(1000) == pytest.approx(999.99, abs=0.01)
    assert from_mel(to_mel(321.5)) == pytest.approx(321.5)


# Stretches of time


@pytest.mark.slow
@settings(max_examples=200)
@given(st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1, exclude_max=True), st.floats(0.5, 2))
def test_a_stretch_beside_another_lies_inside_and_overlaps_only_without_room(start, length, share, top):
    stop = min(start + length, top)
    length = stop - start
    if length <= 0:
        return
    begin = float(beside(start, stop, top, share))
    assert begin >= -1e-9
    assert begin + length <= top + 1e-9
    overlap = min(stop, begin + length) - max(start, begin)
    if start >= length or top - stop >= length:
        assert overlap <= 1e-9
    else:
        assert overlap == pytest.approx(min(stop - max(0, start), length - start, stop - (top - length)), abs=1e-9)


def slow_stretch(sound, offset, start, stop, edge):
    found = sound.astype(np.float64).copy()
    edge = min(edge, (stop - start) / 2)
    for n in range(len(sound)):
        t = (n - offset) / RATE
        if start <= t <= stop:
            depth = min(t - start, stop - t)
            found[n] *= 1 - (1.0 if depth >= edge else (1 - np.cos(np.pi * depth / edge)) / 2)
    return found


def test_a_stretch_is_removed_from_each_recordings_own_start(reader):
    sound, offsets = torch.zeros(3, SAMPLES), torch.tensor([0, 300, 800])
    for row, offset in zip(sound, offsets, strict=True):
        row[offset : offset + 1200] = torch.rand(1200) + 0.1
    where = batch(reader, sound, offsets=offsets, lengths=1200)
    slots = Slots(start=0.05, stop=0.1)
    mask = slots._mask(where, *slots.place(where), RATE)
    found = where.without(Time(RATE, SAMPLES), mask, "zero")
    for row, original, offset in zip(found, sound, offsets, strict=True):
        expected = slow_stretch(original.numpy(), int(offset), 0.05, 0.1, 0.005)
        assert np.allclose(row.numpy(), expected, atol=1e-6)
        outside = np.r_[: int(offset) + 400, int(offset) + 801 : SAMPLES]
        assert torch.equal(row[outside], original[outside])
        assert not row[offset + 440 : offset + 760].any()


@pytest.mark.parametrize("unit", ["s", "share"])
def test_random_stretches_are_as_long_and_each_recordings_own(reader, unit):
    lengths = torch.tensor([1300, 1600, 2000, 1400])
    where = batch(reader, torch.zeros(4, SAMPLES), lengths=lengths)
    slots = Slots(start=0.04, stop=0.1, unit=unit)
    start, stop = slots.place(where)
    assert torch.allclose(stop - start, 0.06 * (lengths / RATE if unit == "share" else torch.ones(4)).double())
    drawn = [slots.elsewhere(where, draw) for draw in range(30)]
    for begin, end in drawn:
        assert torch.allclose(end - begin, stop - start)
        assert ((end <= start + 1e-9) | (begin >= stop - 1e-9)).all()
        assert ((begin >= 0) & (end <= lengths / RATE + 1e-9)).all()
    begins = torch.stack([begin for begin, _ in drawn])
    assert (begins.std(0) > 0).all()
    assert len(set(begins[:, 0].tolist())) == 30
    alike = batch(reader, torch.zeros(2, SAMPLES), lengths=1600)
    assert slots.elsewhere(alike, 0)[0].unique().numel() == 2  # a place of its own for each recording
    other = batch(reader, torch.zeros(4, SAMPLES), lengths=lengths, seed=1)
    assert not torch.equal(slots.elsewhere(other, 0)[0], drawn[0][0])
    alone = slots.elsewhere(batch(reader, torch.zeros(1, SAMPLES), lengths=lengths[2:3], indices=np.array([2])), 5)
    assert torch.equal(alone[0], drawn[5][0][2:3])  # whatever batch a recording is in


# Scaling


def peak(sound, low=0.0):
    """Frequency of the highest peak of a windowed, finely sampled spectrum."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 16 * len(sound)))
    frequencies = np.arange(len(spectrum)) * RATE / (16 * len(sound))
    return frequencies[np.argmax(spectrum * (frequencies >= low))], 2 * spectrum.max() / np.hanning(len(sound)).sum()


@pytest.mark.parametrize("factor", [0.5, 0.66, 0.9, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("frequency", [90, 200, 317.3, 1100])
def test_a_tone_lands_where_it_must_as_loud_as_it_was(frequency, factor):
    sound = 0.5 * np.sin(2 * np.pi * frequency * np.arange(4000) / RATE)
    found = scaled_sound(torch.tensor(sound).float()[None], torch.tensor([factor]), RATE)[0].numpy()
    place, level = peak(found[600:3400])
    assert place == pytest.approx(factor * frequency, abs=0.5)
    assert level == pytest.approx(0.5, rel=0.05)


def test_a_factor_of_one_gives_the_sound_itself_and_each_row_its_own():
    sound = torch.randn(4, 3000, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor([1.0, 1.5, 0.66, 1.0])
    found = scaled_sound(sound, factors, RATE)
    assert torch.allclose(found[[0, 3]], sound[[0, 3]], atol=1e-5)
    for row in range(4):
        assert torch.allclose(found[row], scaled_sound(sound[row : row + 1], factors[row : row + 1], RATE)[0], atol=1e-6)


def test_a_gliding_voice_becomes_the_voice_of_scaled_harmonics():
    """Against the sound one would synthesise: harmonics of a gliding fundamental, all at 1.5 times their frequency."""
    fundamental = np.linspace(100, 130, 6000)
    phase = 2 * np.pi * np.cumsum(fundamental) / RATE
    voice, wanted = (sum(np.sin(s * h * phase) / h for h in range(1, 12)) * 0.1 for s in (1.0, 1.5))
    found = scaled_sound(torch.tensor(voice).float()[None], torch.tensor([1.5]), RATE)[0].numpy()
    levels = xaudio.create("representation", "spectrogram", samples=6000)
    seen, expected, before = (levels(torch.tensor(x).float()[None])[0, 0, :100, 15:-15].numpy() for x in (found, wanted, voice))
    assert np.abs(seen - expected)[expected > -40].mean() < 1.5
    assert np.abs(before - expected)[expected > -40].mean() > 8  # the measure sees what is not scaled


def test_time_is_kept():
    sound = np.zeros(6000)
    sound[2000:4000] = np.sin(2 * np.pi * 300 * np.arange(2000) / RATE) * np.hanning(2000)
    for factor in (0.66, 1.5):
        found = scaled_sound(torch.tensor(sound).float()[None], torch.tensor([factor]), RATE)[0].numpy()
        energy = found**2
        assert (np.arange(6000) * energy).sum() / energy.sum() == pytest.approx(2999.5, abs=20)
        assert energy[1900:4100].sum() / energy.sum() > 0.999


def linear_on_levels():
    torch.manual_seed(0)
    read = xaudio.create("representation", "spectrogram", samples=SAMPLES, window=128, hop=64)
    cells = [len(axis.centres) for axis in read.axes]
    network = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(cells)), 2))
    return Model(network, read, ("no", "yes"), task="tone", mean=torch.randn(1, *cells))


@torch.no_grad()
def test_levels_are_scaled_before_the_mean_is_subtracted_with_each_class_its_factor():
    model, sound = linear_on_levels(), torch.randn(6, SAMPLES) * 0.1
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    plan = Scale(by_class={"no": 1.5, "yes": 0.66}).plan(held(model, draws=3))
    found = plan.logits(batch(model, sound, labels=labels))
    assert plan.versions == ["after", "random 1", "random 2", "random 3", "swapped", "unscaled"]

    def expected(factors):
        levels = scaled_frequencies(model.representation(sound), factors)
        return model.network(levels - model.mean)

    own, other = torch.tensor([1.5, 0.66]), torch.tensor([0.66, 1.5])
    assert torch.allclose(found[:, 0], expected(own[labels]), atol=1e-4)
    assert torch.allclose(found[:, 4], expected(other[labels]), atol=1e-4)
    assert torch.allclose(found[:, 5], model.network(model.features(sound)), atol=1e-4)
    back = expected(1 / own[labels])
    ways = torch.stack([torch.isclose(found[:, 1:4], way[:, None], atol=1e-4).all(2) for way in (found[:, 0], back)])
    assert ways.any(0).all()  # the own magnitude, up or down
    assert ways[0].any()
    assert ways[1].any()


def test_a_model_of_the_waveform_hears_the_sound_scaled(reader):
    time = np.arange(SAMPLES) / RATE
    sound = torch.tensor(np.stack([tones(time, 500), tones(time, 333)])).float()
    plan = Scale(factor=1.5).plan(held(reader, draws=1))
    predicted = plan.logits(batch(reader, sound)).argmax(2)
    assert plan.versions == ["after", "random", "inverse", "unscaled"]
    assert predicted[:, 0].tolist() == [0, 1]  # 500 Hz is no longer there, and 333 Hz is
    assert predicted[:, 3].tolist() == [1, 0]


def test_numbers_of_classes_are_handed_on():
    values = Values("factor", None, {"a": 1.5, "b": 0.66}, 1.0)
    assert values.swapped().by_class == {"a": 0.66, "b": 1.5}
    assert values.per_class(("b", "c", "a"), "scale", ()).tolist() == [0.66, 1.0, 1.5]


# Level


def test_a_gain_matters_to_a_model_of_loudness_and_normalising_before_it_takes_it_away():
    model = model_of(Loud())
    sound = torch.randn(4, SAMPLES, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.05], [0.02], [0.05], [0.02]])
    plan = Level(gain=10.0).plan(held(model, level=0.001, draws=6))
    logits = plan.logits(batch(model, sound))
    assert plan.versions == ["after", *(f"random {draw}" for draw in range(1, 7)), "normalised"]
    power = sound.double().square().mean(1)
    score = torch.log10(power) + 3
    assert torch.allclose(logits[:, 0, 1].double(), score + 1, atol=1e-3)
    drawn = logits[:, 1:7, 1].double() - score[:, None]
    assert torch.allclose(drawn.abs(), torch.ones(4, 6).double(), atol=1e-3)
    assert {round(value) for value in drawn.flatten().tolist()} == {-1, 1}
    assert torch.allclose(logits[:, 7, 1].double(), torch.full((4,), np.log10(0.001**2) + 1 + 3).double(), atol=1e-3)


def test_loudness_is_that_of_the_recording_without_the_zeros_around_it():
    sound = torch.zeros(2, SAMPLES)
    sound[0, :500], sound[1, 100:2000] = 0.5, -0.25
    assert root_mean_squares(sound, torch.tensor([500, 1900])).tolist() == pytest.approx([0.5, 0.25])


# What explanations point at


def by_ramp(model, features, target):
    """Relevance that grows along the last axis from far below 0, with a wave on it."""
    del model, target
    places = torch.arange(features.shape[-1], dtype=features.dtype)
    return (places - 1500 + 400 * torch.sin(places / 90)).expand_as(features).clone()


def test_relevant_slots_are_those_one_would_find(reader):
    sound, offsets, lengths = torch.zeros(3, SAMPLES), torch.tensor([0, 130, 777]), torch.tensor([2000, 1700, 1000])
    for row, offset, length in zip(sound, offsets, lengths, strict=True):
        row[offset : offset + length] = torch.randn(int(length))
    sound[0, 800:1000] = 0  # a slot of silence takes no part
    where = batch(reader, sound, offsets=offsets, lengths=lengths)
    change = Relevant(share=0.3)
    masks = change.masks(where, None, by_ramp, 5)
    relevance = by_ramp(None, torch.zeros(1, 1, SAMPLES), None)[0, 0]
    for i, (offset, length) in enumerate(zip(offsets.tolist(), lengths.tolist(), strict=True)):
        slots = [range(n, min(n + 200, SAMPLES)) for n in range(offset, offset + length, 200)]
        sounding = [slot for slot in slots if bool(sound[i, list(slot)].any())]
        wanted = round(0.3 * len(sounding))
        by = {
            "relevance": lambda slot: float(relevance[list(slot)].sum()),
            "amplitude": lambda slot, i=i: float(sound[i, list(slot)].square().sum()),
        }
        for mask, order in ((masks[0], "relevance"), (masks[-1], "amplitude")):
            best = sorted(sounding, key=by[order], reverse=True)[:wanted]
            expected = sorted(n for slot in best for n in slot)
            core = [n for slot in best for n in slot if slot[0] + 40 <= n <= slot[-1] - 40]
            assert set(torch.nonzero(mask[i, 0]).flatten().tolist()) <= set(expected)
            assert (mask[i, 0, core] == 1).all()
        for mask in masks:  # as many slots each time, all with sound
            taken = [slot for slot in slots if mask[i, 0, slot[len(slot) // 2]] == 1]
            assert len(taken) == wanted
            assert all(slot in sounding for slot in taken)
    assert len({tuple(mask[1, 0].tolist()) for mask in masks[1:-1]}) == 5


def slots_removed(reader, sound, share):
    """Slots of 200 samples that are removed by equal relevance of all."""
    mask = Relevant(share=share).masks(batch(reader, sound[None]), None, lambda model, features, target: features**0, 1)[0]
    return torch.nonzero(mask[0, 0, 100::200] == 1).flatten().tolist()


def test_of_slots_of_equal_relevance_the_first_with_sound_are_removed(reader):
    sound = torch.full((SAMPLES,), 0.1)
    assert slots_removed(reader, sound, 0.3) == [0, 1, 2]
    sound[200:400] = 0
    assert slots_removed(reader, sound, 0.3) == [0, 2, 3]
    assert slots_removed(reader, sound, 1.0) == [0, *range(2, 10)]


@pytest.mark.parametrize(("level", "slots"), [(0.99, [3]), (1.0, [3]), (1.01, [*range(10)])])
def test_a_slot_80_db_below_the_loudest_has_no_sound(reader, level, slots):
    sound = torch.full((SAMPLES,), level / 2**14)
    sound[600:800] = 10_000 / 2**14
    assert slots_removed(reader, sound, 1.0) == slots


@pytest.mark.parametrize(("wanted", "explained"), [("true", [1, 0, 1]), ("predicted", [0, 0, 0])])
def test_the_explained_class_is_the_predicted_or_the_true_one(reader, wanted, explained):
    asked = []

    def explainer(model, features, target):
        asked.extend(target.tolist())
        return features.clone()

    quiet = batch(reader, torch.full((3, SAMPLES), 1e-3), labels=torch.tensor([1, 0, 1]))
    Relevant(target=wanted).masks(quiet, None, explainer, 1)
    assert asked == explained


@pytest.mark.parametrize("view", ["time", "frequency", "time-frequency"])
@pytest.mark.parametrize("make", [lambda: model_of(Reads()), linear_on_levels])
def test_as_many_parts_are_removed_in_every_view_whatever_the_batch(make, view):
    model = make()
    sound = torch.zeros(3, SAMPLES)
    sound[:, 300:1700] = torch.randn(3, 1400, generator=torch.Generator().manual_seed(0))
    change = Relevant(explainer="gradient", share=0.2, view=view, slot=0, band=0)
    domain = xaudio.explanation.views.other_domain(view, model.representation)
    where = {"offsets": 300, "lengths": 1400}
    masks = change.masks(batch(model, sound, **where), domain, xaudio.create("explainer", "gradient"), 3)
    counts = torch.stack([mask.flatten(1).sum(1) for mask in masks])
    assert (counts == counts[0]).all()
    cells = masks[0][0].numel()
    assert (counts > 0.05 * cells).all()
    assert (counts <= 0.2 * cells + 1).all()
    alone = batch(model, sound[2:], **where, indices=np.array([2]))
    single = change.masks(alone, domain, xaudio.create("explainer", "gradient"), 3)
    for mask, own in zip(masks, single, strict=True):
        assert (mask[2:] != own).float().mean() < 0.01  # rounding may swap two cells


def test_removing_what_gradients_point_at_silences_a_model_of_one_band_and_controls_do_not(reader):
    data = data_of(with_a_tone_at_500_hz)
    results = xaudio_probe.probe(
        reader, data, np.arange(40), "relevant:explainer=input_x_gradient,share=0.06,view=frequency,target=true"
    )
    change = results.changes[0]
    assert change.before == 1
    assert change.classes["yes"].after <= 0.2
    assert change.controls[0].verdict == "more"
    assert change.controls[0].accuracy_per_class["yes"] > 0.8


# The whole


@pytest.mark.slow
def test_removing_the_band_a_model_reads_destroys_it_and_other_bands_do_not(reader, tmp_path):
    from statsmodels.stats.multitest import multipletests

    data = data_of(with_a_tone_at_500_hz)
    changes = "band:low=400,high=600,band:low=1100+high=1300"
    results = xaudio_probe.probe(reader, data, np.arange(40), changes, folder=tmp_path / "out", seed=3)
    own, other = results.changes
    assert (own.before, own.after) == (1.0, 0.5)
    control = own.controls[0]
    assert (control.low, control.high, control.as_costly, control.verdict) == (1.0, 1.0, 0, "more")
    assert control.difference.mean == control.difference.low == control.difference.high == -0.5  # alike for all speakers
    assert own.classes["yes"].after == 0
    assert own.classes["yes"].probability_change < -0.5
    assert own.confusion_before == [[20, 0], [0, 20]]
    assert own.confusion_after == [[20, 0], [20, 0]]
    assert "costs more than the control, beyond chance: 50.0 points more" in control.statement
    hit = [draw for draw in other.controls[0].draws if draw.place["low"] <= 480 and draw.place["high"] >= 520]
    assert hit  # some random bands take the tone away, and this is seen
    assert {draw.accuracy for draw in hit} == {0.5}
    assert (other.after, other.controls[0].verdict) == (1.0, "less" if other.controls[0].difference.low > 0 else "not more")
    # The table and what is written say the same.
    table = results.table()
    assert len(table) == sum(1 + len(change.controls) for change in results.changes)
    columns = ("compared_with", "accuracy", "accuracy_compared", "difference", "low", "high", "p", "verdict")
    assert [tuple(row[name] for name in columns) for row in table][:2] == [
        ("nothing changed", 0.5, 1.0, own.cost.mean, own.cost.low, own.cost.high, own.cost.p, None),
        (control.words, 0.5, control.accuracy, -0.5, -0.5, -0.5, control.difference.p, "more"),
    ]
    for against_nothing in (True, False):
        family = [row for row in table if (row["compared_with"] == "nothing changed") == against_nothing]
        chances = [row["p"] for row in family]
        assert [row["p_holm"] for row in family] == pytest.approx(multipletests(chances, method="holm")[1])
    assert next(csv.DictReader(io.StringIO(table.to_csv())))["p_holm"]
    assert "p_holm" in table.to_markdown()
    assert "p" in table.to_latex()
    assert ProbeResults.model_validate_json((tmp_path / "out" / "results.json").read_text()) == results
    with (tmp_path / "out" / own.rows).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    for draw in control.draws:
        assert np.mean([row["label"] == row[f"predicted {draw.name}"] for row in rows]) == draw.accuracy
    assert np.mean([float(row["probability after"]) - float(row["probability before"]) for row in rows]) == own.probability_change
    page = (tmp_path / "out" / "report.html").read_text()
    assert own.controls[0].statement in page
    assert "://" not in page.replace("http-equiv", "")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["changes"] == [
        "band:low=400,high=600",
        other.change,
    ]


def test_models_of_several_folds_are_tested_on_their_own_and_reported_together(reader):
    data, deaf = data_of(with_a_tone_at_500_hz), model_of(Reads(600.0, 700.0))
    parts = [np.arange(16), np.arange(16, 40)]
    both = xaudio_probe.probe([reader, deaf], data, parts, "band:low=400,high=600", draws=3).changes[0]
    alone = xaudio_probe.probe(reader, data, parts[0], "band:low=400,high=600", draws=3).changes[0]
    assert (both.before, both.after) == (pytest.approx(16 / 40 + 12 / 40), 0.5)  # the second hears no tone at all
    assert [draw.place for draw in both.controls[0].draws] == [draw.place for draw in alone.controls[0].draws]
    assert both.controls[0].accuracy == pytest.approx((16 * alone.controls[0].accuracy + 12) / 40)
    with pytest.raises(ModelError, match="A probe needs models and as many test sets; got 2 and 1"):
        xaudio_probe.probe([reader, deaf], data, parts[:1], "level:gain=3")
    with pytest.raises(ModelError, match="only models of several folds can be probed together"):
        xaudio_probe.probe([reader, linear_on_levels()], data, parts, "level:gain=3")


@pytest.mark.slow
def test_each_control_is_summarised_from_its_own_versions(reader):
    results = xaudio_probe.probe(reader, data_of(with_a_tone_at_500_hz), np.arange(40), "scale:factor=1.5", draws=3)
    change = results.changes[0]
    assert (change.before, change.after) == (1.0, 0.5)
    assert [(control.name, len(control.draws), control.accuracy) for control in change.controls[1:]] == [
        ("inverse", 1, 0.5),
        ("unscaled", 1, 1.0),
    ]
    assert change.controls[2].probability_change == pytest.approx(0, abs=1e-4)
    assert change.controls[2].verdict == "more"


@pytest.mark.slow
def test_results_do_not_depend_on_the_batch_and_follow_the_seed(reader):
    data = data_of(with_a_tone_at_500_hz)
    changes = "slots:start=0.02,stop=0.08,relevant:explainer=input_x_gradient,share=0.5,scale:factor=1.2,band:low=100,high=400"
    runs = [
        xaudio_probe.probe(reader, data, np.arange(40), changes, draws=4, batch_size=size, seed=seed)
        for size, seed in ((40, 0), (7, 0), (7, 1))
    ]
    for one, other in zip(runs[0].changes, runs[1].changes, strict=True):
        assert one.after == other.after
        assert one.probability_change == pytest.approx(other.probability_change, abs=1e-5)
        for first, second in zip(one.controls, other.controls, strict=True):
            assert [draw.accuracy for draw in first.draws] == [draw.accuracy for draw in second.draws]
            assert first.probability_change == pytest.approx(second.probability_change, abs=1e-5)
    assert runs[1].changes[3].controls[0].draws != runs[2].changes[3].controls[0].draws


@pytest.mark.slow
def test_what_is_random_for_a_recording_does_not_depend_on_the_others(reader, tmp_path):
    data, found = data_of(with_a_tone_at_500_hz), []
    for name, indices in (("all", np.arange(40)), ("some", np.arange(8, 40))):
        xaudio_probe.probe(reader, data, indices, "slots:start=0,stop=0.1", draws=2, folder=tmp_path / name)
        with (tmp_path / name / "rows-1-slots.csv").open() as file:
            found.append({row["index"]: float(row["probability random 1"]) for row in csv.DictReader(file)})
    assert len(found[1]) == 32
    for index, probability in found[1].items():
        assert probability == pytest.approx(found[0][index], abs=1e-5)


@pytest.mark.slow
def test_an_interrupted_probe_goes_on(tmp_path, monkeypatch):
    model, data = model_of(Reads()), data_of(with_a_tone_at_500_hz)
    changes = ["band:low=400,high=600", "slots:start=0.02,stop=0.08"]
    whole = xaudio_probe.probe(model, data, np.arange(40), changes, draws=3)

    real = Slots.plan

    def stopped(self, test):
        plan = real(self, test)

        def interrupt(batch):
            raise KeyboardInterrupt

        return Plan(plan.words, plan.controls, interrupt, plan.notes)

    with monkeypatch.context() as patch:
        patch.setattr(Slots, "plan", stopped)
        with pytest.raises(KeyboardInterrupt):
            xaudio_probe.probe(model, data, np.arange(40), changes, draws=3, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"rows-1-band.csv", "run.json"}
    model.network.calls = 0
    assert (
        xaudio_probe.probe(model, data, np.arange(40), changes, draws=3, folder=tmp_path).changes[0].after
        == whole.changes[0].after
    )
    assert model.network.calls == 5  # of the second change alone: before, after, three draws
    again = xaudio_probe.probe(model, data, np.arange(40), changes, draws=3, folder=tmp_path)
    assert model.network.calls == 5
    strip = {"rows": None}
    assert [change.model_copy(update=strip) for change in again.changes] == whole.changes
    other = [",".join(["index", "speaker", "label", *"abcdefghij"]), *(f"{index},s,0" + ",0" * 10 for index in range(40))]
    header, *rows = (tmp_path / "rows-1-band.csv").read_text().splitlines()
    wrong = [row.rpartition(",")[0] + ",nan" for row in rows]
    for damaged in ("index\n1\n", "", "\n".join(other), "\n".join([header, *rows[::-1]]), "\n".join([header, *wrong])):
        (tmp_path / "rows-1-band.csv").write_text(damaged)  # made again
        assert xaudio_probe.probe(model, data, np.arange(40), changes, draws=3, folder=tmp_path) == again
    with pytest.raises(ModelError, match="draws"):
        xaudio_probe.probe(model, data, np.arange(40), changes, draws=4, folder=tmp_path)


@pytest.mark.slow
def test_a_change_that_is_stopped_halfway_goes_on_where_it_was(tmp_path, monkeypatch):
    """Recordings of two models, of which the second is stopped: what is measured is kept, and the rest gives the same."""
    models, data = [model_of(Reads()), model_of(Reads())], data_of(with_a_tone_at_500_hz)
    sets = [np.arange(13), np.arange(13, 40)]
    given = {"draws": 2, "batch_size": 5}
    whole = xaudio_probe.probe(models, data, sets, "band:low=400,high=600", folder=tmp_path / "whole", **given)
    measured, real = [], probing._versions

    def counted(plan, part, positions):
        if len(measured) == 4:
            raise KeyboardInterrupt
        measured.append(len(positions))
        return real(plan, part, positions)

    with monkeypatch.context() as patch:
        patch.setattr(probing, "_versions", counted)
        with pytest.raises(KeyboardInterrupt):
            xaudio_probe.probe(models, data, sets, "band:low=400,high=600", folder=tmp_path / "out", **given)
    assert measured == [5, 5, 3, 5]
    rows = tmp_path / "out" / "rows-1-band.csv"
    everything = (tmp_path / "whole" / rows.name).read_text().splitlines()
    assert rows.read_text().splitlines() == everything[: 1 + 18]
    left = []
    monkeypatch.setattr(probing, "_versions", lambda *given: left.append(len(given[2])) or real(*given))
    assert xaudio_probe.probe(models, data, sets, "band:low=400,high=600", folder=tmp_path / "out", **given) == whole
    assert left == [5, 5, 5, 5, 2]
    assert rows.read_text().splitlines() == everything


@pytest.mark.parametrize(("seconds", "lengths"), [(0.0, [10, 20, 30, 40, 40]), (1e9, [40])])
def test_rows_are_saved_on_the_way_so_that_a_killed_probe_loses_seconds(tmp_path, monkeypatch, seconds, lengths):
    monkeypatch.setattr(rows_module, "EVERY", seconds)
    written, real = [], rows_module.write_rows

    def noted(path, columns, rows):
        found = list(rows)
        written.append(len(found))
        return real(path, columns, found)

    monkeypatch.setattr(rows_module, "write_rows", noted)
    data = data_of(with_a_tone_at_500_hz)
    xaudio_probe.probe(model_of(Reads()), data, np.arange(40), "level:gain=6", batch_size=10, draws=1, folder=tmp_path)
    assert written == lengths


def test_a_model_trained_anew_is_another_one(tmp_path):
    data, network = data_of(with_a_tone_at_500_hz), torch.nn.Sequential(Reads(), torch.nn.Linear(2, 2))
    model = model_of(network)
    xaudio_probe.probe(model, data, np.arange(40), "level:gain=6", draws=1, folder=tmp_path)
    with torch.no_grad():
        network[1].weight += 1
    with pytest.raises(ModelError, match="belongs to a run of other settings: weights was"):
        xaudio_probe.probe(model, data, np.arange(40), "level:gain=6", draws=1, folder=tmp_path)


# Intervals


@pytest.mark.parametrize(
    ("low", "high", "as_costly", "draws", "verdict"),
    [
        (-0.3, -0.1, 0, 20, "more"),
        (-0.3, -0.1, 1, 20, "more"),  # one in twenty
        (-0.3, -0.1, 2, 20, "not more"),
        (-0.3, -0.1, 1, 1, "more"),  # a control that is not drawn has no chance
        (-0.3, 0.0, 0, 20, "not more"),
        (-0.3, 0.1, 0, 20, "not more"),
        (-0.1, 0.3, 0, 20, "not more"),
        (0.0, 0.3, 20, 20, "not more"),
        (0.1, 0.3, 20, 20, "less"),
    ],
)
def test_the_verdict_needs_the_interval_and_the_draws(low, high, as_costly, draws, verdict):
    difference = Difference(mean=(low + high) / 2, low=low, high=high)
    assert summary._verdict(difference, as_costly, draws) == verdict


def test_the_bootstrap_over_speakers_is_that_of_a_direct_computation():
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 6, 50).astype(str)
    values = rng.normal(size=50)
    found = interval_over_groups(values, groups, seed=4)
    names, drawing, means = np.unique(groups), np.random.default_rng(4), []
    for _ in range(2000):
        chosen = [names[k] for k in drawing.integers(len(names), size=len(names))]
        means.append(np.concatenate([values[groups == name] for name in chosen]).mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert found.mean == pytest.approx(values.mean())


def test_a_difference_is_as_probable_as_that_of_the_sums_of_speakers():
    groups = np.repeat(np.arange(10), 4)
    nothing, much = np.tile([1.0, -1, 0, 0], 10), np.ones(40)
    assert interval_over_groups(nothing, groups).p == 1
    assert interval_over_groups(much, groups).p == pytest.approx(2 / 2**10)
    noise = np.random.default_rng(0).normal(0.3, 1, 40)
    sums = np.bincount(groups, noise)
    signs = np.array(list(itertools.product([1, -1], repeat=10)))
    exact = (np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12).mean()
    assert exact <= interval_over_groups(noise, groups).p < exact + 0.1


def test_older_results_have_a_table_without_probabilities(reader):
    results = xaudio_probe.probe(reader, data_of(with_a_tone_at_500_hz), np.arange(40), "band:low=400,high=600", draws=2)
    told = results.model_dump()
    del told["changes"][0]["controls"][0]["difference"]["p"]
    whole, *controls = ProbeResults.model_validate(told).table()
    assert [row["p_holm"] for row in controls] == [None] * len(controls)
    assert whole["p_holm"] == whole["p"] == results.changes[0].cost.p


@pytest.mark.slow
def test_intervals_over_speakers_are_wider_where_their_recordings_go_together():
    values = np.repeat(np.random.default_rng(0).normal(size=12), 20)
    over_speakers = interval_over_groups(values, np.repeat(np.arange(12), 20))
    over_recordings = interval_over_groups(values, np.arange(240))
    assert over_speakers.high - over_speakers.low > 3 * (over_recordings.high - over_recordings.low)


def test_as_many_draws_as_costly_as_the_change_take_the_verdict_away(reader):
    """A model of two bands: removing one costs much, but many random bands do so, too."""
    wide = model_of(Reads(400.0, 4000.0))
    data = data_of(lambda_tones)
    change = xaudio_probe.probe(wide, data, np.arange(40), "band:low=1150,high=1250", draws=20).changes[0]
    assert change.after == 0.5
    assert change.controls[0].as_costly > 1
    assert change.controls[0].difference.high < 0
    assert change.controls[0].verdict == "not more"
    assert "costs more than the control on average, but some draws cost as much" in change.controls[0].statement


def lambda_tones(rng, label):
    """Silence for "no"; a faint tone, just above the border, that any loss near it takes away, for "yes"."""
    time = np.arange(SAMPLES) / RATE
    return label * 0.0085 * (np.sin(2 * np.pi * 1200 * time) + np.sin(2 * np.pi * 700 * time) + np.sin(2 * np.pi * 2600 * time))


# Wrong use


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("bnad:low=1,high=2", "Unknown change 'bnad'. Did you mean 'band'"),
        ("", "No change is given: expected one or more of band, slots, scale, level, relevant"),
        ("band:low=100", "The change 'band' needs the option 'high'"),
        ("band:low=100,hihg=200", "In the options of change 'band': Unknown option 'hihg'. Did you mean 'high'?"),
        ("band:low=a,high=200", "'a' does not fit option 'low' of change 'band': expected float"),
        ("band:low=300,high=100", "The band of 300 to 100 Hz does not fit: expected 0 <= low < high <= 4000 Hz"),
        ("band:low=3000,high=5000", "The band of 3000 to 5000 Hz does not fit"),
        ("band:low=-1,high=100", "The band of -1 to 100 Hz does not fit"),
        ("band:low=nan,high=100", "The band of nan to 100 Hz does not fit"),
        ("band:low=100,high=3900", "No band as wide as 100 to 3900 Hz fits next to it"),
        ("band:low=100.5,high=101.5", "holds no frequency of the spectrum, which has one every 4 Hz"),
        ("band:low=100,high=200,edge=-1", "The edge of a band is -1 Hz"),
        ("band:low=100,high=200,edge=nan", "The edge of a band is nan Hz; expected a number"),
        ("slots:start=0,stop=0.1,edge=nan", "The edge of a stretch is nan s; expected a number"),
        ("relevant:slot=nan", "a slot and a band of 0 or more; got 0.1, nan and 50"),
        ("relevant:band=inf", "a slot and a band of 0 or more; got 0.1, 0.025 and inf"),
        ("band:low=1,high=2,band:low=1,high=2", "The change 'band:low=1,high=2' is given twice"),
        ("slots:start=0.1,stop=0.05", "expected 0 <= start < stop"),
        (
            "slots:start=0.1,stop=0.2",
            "lies outside .* of 40 recordings, of which the shortest lasts 0.1.. s: choose an earlier one, or shares",
        ),
        ("slots:start=0.1,stop=1.2,unit=share", "expected stop <= 1"),
        ("slots:start=0.05,stop=0.95,unit=share", "No stretch as long as 5% to 95% fits next to it in any recording"),
        ("scale:factor=0", "Factors of frequency must be positive; got 0"),
        ("scale:no=1.5,yes=-1", "Factors of frequency must be positive"),
        ("scale:factor=inf", "Factors of frequency must be positive; got inf"),
        ("scale:factor=1", "A factor of 1 scales nothing"),
        ("scale:male=1.5", "In the change 'scale': Unknown class or option 'male'"),
        ("scale:yse=1.5", "Did you mean 'yes'"),
        ("scale:on=sound", "needs either factor=..., or one for each class"),
        ("scale:factor=2,yes=3", "needs either factor=..., or one for each class"),
        ("scale:yes=high", "'high' does not fit option 'yes' of change 'scale': expected float"),
        ("scale:factor=2,on=features", "The model reads no spectrogram in dB .* but time in full scale: scale the sound instead"),
        ("level:gain=0", "A gain in dB must be finite and change something"),
        ("level:gain=inf", "A gain in dB must be finite"),
        ("level:loud=3", "Unknown class or option 'loud'"),
        ("relevant:share=0", "needs a share above 0"),
        ("relevant:explainer=lpr", "Unknown explainer 'lpr'. Did you mean 'lrp'"),
        ("relevant:explainer=lrp:composite=x+epsilon=1", "'x' does not fit option 'composite'"),
        ("relevant:view=sideways", "'sideways' does not fit option 'view'"),
    ],
)
def test_a_change_that_does_not_fit_gets_one_line(reader, change, message):
    data = data_of(with_a_tone_at_500_hz)
    with pytest.raises((PluginError, DataError, ModelError), match=message) as error:
        xaudio_probe.probe(reader, data, np.arange(40), change, draws=2)
    assert "\n" not in str(error.value)


def test_test_sets_that_do_not_do_get_one_line(reader):
    data = data_of(with_a_tone_at_500_hz)
    with pytest.raises(DataError, match=r"1 speaker in the test set: too few .* needs 3 or more. .* \(--over recordings\)"):
        xaudio_probe.probe(reader, data, np.arange(4), "band:low=100,high=200")
    with pytest.raises(DataError, match="4 recordings in the test set: too few for an interval, which needs 8 or more"):
        xaudio_probe.probe(reader, data, np.arange(4), "band:low=100,high=200", over="recordings")
    with pytest.raises(PluginError, match="needs 1 draw or more"):
        xaudio_probe.probe(reader, data, np.arange(40), "band:low=100,high=200", draws=0)
    other = Model(reader.network, reader.representation, ("yes", "maybe"), task="tone")
    with pytest.raises(DataError, match="tells yes, maybe apart, but the classes of task 'tone' in Made are no, yes"):
        xaudio_probe.probe(other, data, np.arange(40), "band:low=100,high=200")
    with pytest.raises(DataError, match="Unknown task of Made 'sex'"):
        xaudio_probe.probe(Model(reader.network, reader.representation, ("a", "b"), "sex"), data, np.arange(40), "level:gain=1")


def test_few_speakers_are_noted_and_recordings_without_a_label_left_out(reader):
    assert check_groups(np.arange(8), "speakers") == []
    assert "5 speakers only" in check_groups(np.arange(5), "speakers")[0]
    assert "3 speakers only" in check_groups(np.arange(3), "speakers")[0]  # the fewest, as are 8 recordings
    assert check_groups(np.arange(8), "recordings") == []
    data = data_of(with_a_tone_at_500_hz)
    unlabelled = [
        Recording(item.source, item.speaker, {"tone": None}) if i < 3 else item for i, item in enumerate(data.recordings)
    ]
    data = SpeakerDataset(
        "made", "Made", data.tasks, unlabelled, data.test_speakers, read=data.read, fingerprint_of=lambda _: "unlabelled"
    )
    results = xaudio_probe.probe(reader, data, np.arange(40), "level:gain=3", draws=1)
    assert results.recordings == 37
    assert "3 of 40 recordings have no label and are left out" in results.notes
    with pytest.raises(DataError, match="None of the 3 recordings of Made has a label"):
        xaudio_probe.probe(reader, data, np.arange(3), "level:gain=3")


def test_changes_are_written_with_commas_or_plus_signs():
    found = parse_changes(["band:low=100+high=300", "scale:male=1.5,female=0.66,level:gain=3"])
    assert found[0].change == parse_changes("band:low=100,high=300")[0].change
    assert found[1].change == Scale(by_class={"male": 1.5, "female": 0.66})
    assert found[2].change == Level(gain=3.0)
    relevant = parse_changes("relevant:explainer=lrp:composite=epsilon_plus+epsilon=1e-6,share=0.2")[0].change
    assert relevant == Relevant(explainer="lrp:composite=epsilon_plus+epsilon=1e-6", share=0.2)
