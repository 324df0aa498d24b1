"""From clips to placed waveforms, and the cache that makes decoding a data set necessary only once."""

import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, strategies as st

from xaudio.errors import AudioError, OutputError
from xaudio.output.runs import cache_folder
from xaudio.sound import preparation
from xaudio.sound.audio import make_clip
from xaudio.sound.datasets import Recording, SpeakerDataset, read_recording
from xaudio.sound.preparation import place, prepare_clip, prepare_clips, prepare_dataset, sound_key
from xaudio.types import Clip

RATE, SAMPLES = 8000, 400
READS: Any = SimpleNamespace(sample_rate=RATE, samples=SAMPLES)  # what preparation asks of a representation


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone."""
    monkeypatch.setenv("XAUDIO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def clips(lengths: list[int], seed: int = 0) -> list[Clip]:
    rng = np.random.default_rng(seed)
    return [make_clip(rng.uniform(-1, 1, length), RATE, source=f"clip {index}") for index, length in enumerate(lengths)]


# ----------------------------------------------------------------------------------------------------------- placement


@given(st.data(), st.integers(1, 40))
def test_place_moves_each_waveform_to_its_offset(data: st.DataObject, samples: int) -> None:
    lengths = data.draw(st.lists(st.integers(0, samples), min_size=1, max_size=5))
    offsets = [data.draw(st.integers(0, samples - length)) for length in lengths]
    waveforms = np.zeros((len(lengths), samples), np.float32)
    expected = np.zeros_like(waveforms)
    for row, (length, offset) in enumerate(zip(lengths, offsets, strict=True)):
        for sample in range(length):
            waveforms[row, sample] = expected[row, offset + sample] = row + sample + 1
    before = torch.from_numpy(waveforms.copy())
    placed = place(before, torch.tensor(lengths), torch.tensor(offsets))
    assert placed.dtype == torch.float32
    assert np.array_equal(placed.numpy(), expected)
    assert np.array_equal(before.numpy(), waveforms)


def test_what_lies_behind_the_length_is_not_moved() -> None:
    waveforms = torch.arange(1.0, 7.0).repeat(2, 1)
    placed = place(waveforms, torch.tensor([2, 6]), torch.tensor([3, 0]))
    assert placed.tolist() == [[0, 0, 0, 1, 2, 0], [1, 2, 3, 4, 5, 6]]


def test_fixed_placements() -> None:
    prepared = prepare_clips(clips([400, 399, 100, 2]), RATE, SAMPLES, "error", "soxr")
    assert prepared.offsets("start", 0).tolist() == [0, 0, 0, 0]
    assert prepared.offsets("centre", 0).tolist() == [0, 0, 150, 199]


@given(st.lists(st.integers(2, SAMPLES), min_size=1, max_size=8), st.integers(0, 2**32), st.sampled_from(["file", "step"]))
def test_drawn_offsets_leave_the_recording_within_the_window(lengths: list[int], seed: int, placement: Any) -> None:
    offsets = prepare_clips(clips(lengths), RATE, SAMPLES, "error", "soxr").offsets(placement, seed)
    assert offsets.dtype == np.int64
    for length, offset in zip(lengths, offsets, strict=True):
        assert 0 <= offset < max(1, SAMPLES - length)


def test_an_offset_depends_on_content_and_seed_alone() -> None:
    several = clips([100, 50, 100, 70])
    together = prepare_clips(several, RATE, SAMPLES, "error", "soxr")
    offsets = together.offsets("file", 3)
    for index, clip in enumerate(several):
        renamed = replace(clip, source="elsewhere.wav", speaker="x", labels={"digit": 1})
        alone = prepare_clips([renamed], RATE, SAMPLES, "error", "soxr")
        assert alone.offsets("file", 3).tolist() == [offsets[index]]
    assert offsets.tolist() == together.offsets("step", 3).tolist() == together.offsets("file", 3).tolist()
    assert offsets.tolist() != together.offsets("file", 4).tolist()
    assert offsets[0] != offsets[2]  # of the same length but another content


@pytest.mark.slow
def test_offsets_are_uniform() -> None:
    lengths = [100] * 2000
    draws = prepare_clips(clips(lengths), RATE, SAMPLES, "error", "soxr").offsets("file", 0)
    counts = np.histogram(draws, bins=10, range=(0, 300))[0]
    # 200 are expected in each bin, with a standard deviation of 13.4.
    assert counts.sum() == 2000
    assert np.abs(counts - 200).max() < 5 * 13.4
    # The last sample that is free is not drawn, as in the published code: [0, samples - length).
    for free, drawn in [(0, {0}), (1, {0}), (3, {0, 1, 2})]:
        assert set(prepare_clips(clips([SAMPLES - free] * 100), RATE, SAMPLES, "error", "soxr").offsets("file", 0)) == drawn


def voices(count: int, rate: int = RATE) -> list[Any]:
    """Sounds of many kinds: noise, tones and words of noise, loud and soft, with silence, clicks and an offset."""
    rng, sounds = np.random.default_rng(0), []
    for index in range(count):
        length = int(rng.integers(rate // 4, rate))
        time = np.arange(length) / rate
        kind = index % 4
        if kind == 0:
            wave = rng.standard_normal(length)
        elif kind == 1:
            wave = np.sin(2 * np.pi * rng.uniform(50, 3000) * time)
        elif kind == 2:
            wave = rng.standard_normal(length) * np.repeat(rng.uniform(0, 1, 12) ** 3, -(-length // 12))[:length]
        else:
            wave = np.zeros(length)
            wave[rng.integers(0, length, 3)] = 1
        sounds.append((0.9 * rng.uniform(0.05, 1) * wave / np.abs(wave).max() + 0.01 * (index % 3)).astype(np.float32))
    return sounds


def formats_of(wave: Any) -> list[Any]:
    """One sound in floats, in 16 bits (by 32768, by 32767, and dithered), in 24 and 32 bits, and in two channels."""
    dither = np.random.default_rng(1).uniform(-0.5, 0.5, (2, len(wave))).sum(0)
    return [
        np.round(np.float64(wave) * 32768).clip(-32768, 32767).astype(np.int16),
        np.round(np.float64(wave) * 32767).astype(np.int16),
        np.round(np.float64(wave) * 32767 + dither).clip(-32768, 32767).astype(np.int16),
        np.round(np.float64(wave) * 2**23) / 2**23,
        np.round(np.float64(wave) * (2**31 - 1)).astype(np.int32),
        np.stack([wave, wave]),
        wave.astype(np.float64),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "resampling"), [(RATE, "fft"), (16000, "fft"), (44100, "soxr")])
def test_a_sound_lies_where_it_lies_in_every_format(rate: int, resampling: Any) -> None:
    drawn = []
    for wave in voices(100, rate):
        clips = [make_clip(wave, rate), *(make_clip(same, rate) for same in formats_of(wave))]
        drawn.append(prepare_clips(clips, RATE, RATE, "error", resampling).offsets("file", 0).tolist())
    # Whatever is drawn from has a border that rounding can cross: at most one sound in a hundred.
    assert sum(len(set(places)) > 1 for places in drawn) <= 1
    assert len({places[0] for places in drawn}) > 90


def test_silence_tones_and_clicks_have_no_key_that_rounding_decides() -> None:
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 440 * np.arange(4000) / RATE)
    click = np.zeros(4000)
    click[1000] = 0.8
    for wave in (np.zeros(4000), tone, 0.3 * tone, click, np.full(4000, 0.25), np.ones(4000), np.tile([1.0, -1.0], 2000)):
        for noise in (0, 2**-16, 2**-15):
            assert sound_key(wave + noise * rng.uniform(-1, 1, 4000)) == sound_key(wave)
    assert len({sound_key(np.sin(2 * np.pi * f * np.arange(4000) / RATE)) for f in (100, 200, 400, 800, 1600, 3200)}) == 6
    assert sound_key(tone) != sound_key(tone[:-1])
    assert sound_key(np.zeros(0)) == 0
    assert sound_key(np.ones(1)) >= 0


def test_sounds_of_one_length_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    keys = [sound_key(rng.uniform(-1, 1, 4000)) for _ in range(1000)]
    assert len(set(keys)) > 900


# ----------------------------------------------------------------------------------------------------------- preparing


def test_clips_are_resampled_fitted_and_noted() -> None:
    rng = np.random.default_rng(0)
    long = make_clip(rng.uniform(-1, 1, 2 * SAMPLES), RATE, notes=["cut"])
    other_rate = make_clip(rng.uniform(-1, 1, 600), 2 * RATE)
    prepared = prepare_clips([long, other_rate, *clips([30])], RATE, SAMPLES, "loudest", "fft")
    assert len(prepared) == 3
    assert prepared.waveforms.shape == (3, SAMPLES)
    assert prepared.waveforms.dtype == np.float32
    assert prepared.lengths.tolist() == [SAMPLES, 300, 30]
    assert prepared.notes[0][0] == "cut"
    assert prepared.notes[0][1].startswith("loudest 0.050 s of 0.100 s kept")
    assert prepared.notes[1] == ["resampled from 16000 to 8000 Hz (fft)"]
    assert prepared.notes[2] == []
    for waveform, length, key in zip(prepared.waveforms, prepared.lengths, prepared.keys, strict=True):
        assert not waveform[length:].any()
        assert key == sound_key(waveform[:length])


def test_a_clip_that_does_not_fit_is_named() -> None:
    with pytest.raises(AudioError, match="clip 1: is 0.051 s long"):
        prepare_clips(clips([10, 410]), RATE, SAMPLES, "error", "soxr")
    with pytest.raises(AudioError, match="clip 0"):
        prepare_clip(clips([410])[0], RATE, SAMPLES, "error", "soxr")


# ----------------------------------------------------------------------------------------------------------- the cache


class Counted:
    """Reads recordings and counts."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, recording: Recording) -> Clip:
        self.reads += 1
        return read_recording(recording)


def dataset(folder: Path, lengths: tuple[int, ...] = (100, 200, 300, 400), **fields: Any) -> tuple[SpeakerDataset, Counted]:
    """A data set of real files, and how often they were decoded."""
    folder.mkdir(exist_ok=True)
    rng, recordings, read = np.random.default_rng(1), [], Counted()
    for index, length in enumerate(lengths):
        path = folder / f"{index}.wav"
        soundfile.write(path, rng.uniform(-0.9, 0.9, length), RATE)
        recordings.append(Recording(str(path), f"speaker {index}", {"digit": index % 10}))
    tasks = {"digit": tuple("0123456789")}
    speakers = {"digit": [[recording.speaker] for recording in recordings]}
    return SpeakerDataset("test", "Test", tasks, recordings, speakers, read=read, **fields), read


def same(one: Any, other: Any) -> bool:
    return (
        np.array_equal(one.waveforms, other.waveforms)
        and np.array_equal(one.lengths, other.lengths)
        and np.array_equal(one.starts, other.starts)
        and np.array_equal(one.keys, other.keys)
        and list(one.notes) == list(other.notes)
    )


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "prepared").iterdir()) if (cache / "prepared").exists() else []


def test_the_cache_follows_the_environment(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("XAUDIO_CACHE")
    assert cache_folder().name == "xaudio"


def test_the_second_time_nothing_is_decoded(cache: Path, tmp_path: Path) -> None:
    data, read = dataset(tmp_path / "data")
    first = prepare_dataset(data, READS)
    assert read.reads == 4
    second = prepare_dataset(dataset(tmp_path / "data")[0], READS)
    assert same(first, second)
    again = prepare_dataset(data, READS)
    assert read.reads == 4
    assert isinstance(again.waveforms, np.memmap)
    in_memory = prepare_clips([data[index] for index in range(4)], RATE, SAMPLES, "error", "fft")
    assert same(again, in_memory)
    assert len(entries(cache)) == 1


def test_the_cache_cannot_be_changed_by_accident(cache: Path, tmp_path: Path) -> None:
    prepared = prepare_dataset(dataset(tmp_path / "data")[0], READS)
    with pytest.raises(ValueError, match="read-only"):
        prepared.waveforms[0, 0] = 1


def test_other_settings_are_another_cache(cache: Path, tmp_path: Path) -> None:
    data, read = dataset(tmp_path / "data")
    found = [
        prepare_dataset(data, READS),
        prepare_dataset(data, SimpleNamespace(sample_rate=RATE, samples=SAMPLES + 1)),  # type: ignore[arg-type]
        prepare_dataset(data, SimpleNamespace(sample_rate=RATE // 2, samples=SAMPLES)),  # type: ignore[arg-type]
        prepare_dataset(data, READS, fit="loudest"),
        prepare_dataset(data, SimpleNamespace(sample_rate=RATE // 2, samples=SAMPLES), resampling="soxr"),  # type: ignore[arg-type]
        prepare_dataset(replace(data, fit="trim", _hash=[]), READS),
    ]
    assert read.reads == 4 * len(found)
    assert len(entries(cache)) == len(found)
    assert [prepared.waveforms.shape[1] for prepared in found[:3]] == [SAMPLES, SAMPLES + 1, SAMPLES]
    assert found[2].lengths.tolist() == [50, 100, 150, 200]
    assert not np.array_equal(found[2].waveforms, found[4].waveforms)


def test_the_cache_knows_where_recordings_were_cut(cache: Path, tmp_path: Path) -> None:
    data, read = dataset(tmp_path / "data", (300, 400, 900, 2000))
    expected = prepare_clips([data[index] for index in range(4)], RATE, SAMPLES, "loudest", "fft")
    assert not expected.starts[:2].any()
    assert expected.starts[2:].any()
    for row, start in enumerate(expected.starts):
        kept = data[row].waveform[start : start + SAMPLES]
        assert np.array_equal(expected.waveforms[row, : len(kept)], kept)
    assert same(prepare_dataset(data, READS, fit="loudest"), expected)
    read.reads = 0
    assert same(prepare_dataset(data, READS, fit="loudest"), expected)  # from the cache
    assert read.reads == 0


def test_another_content_is_another_cache(cache: Path, tmp_path: Path) -> None:
    data, _ = dataset(tmp_path / "data")
    first = prepare_dataset(data, READS)
    soundfile.write(tmp_path / "data" / "0.wav", np.zeros(50), RATE)
    second = prepare_dataset(replace(data, _hash=[]), READS)
    assert second.lengths.tolist() == [50, 200, 300, 400]
    assert first.lengths.tolist() == [100, 200, 300, 400]


@pytest.mark.parametrize("name", ["waveforms.npy", "lengths.npy", "starts.npy", "keys.npy", "notes.json"])
@pytest.mark.parametrize("damage", ["removed", "empty", "half", "garbage", "other"])
def test_a_damaged_cache_is_built_again(cache: Path, tmp_path: Path, name: str, damage: str) -> None:
    data, read = dataset(tmp_path / "data")
    expected = prepare_clips([data[index] for index in range(4)], RATE, SAMPLES, "error", "fft")
    prepare_dataset(data, READS)
    (folder,) = entries(cache)
    content = (folder / name).read_bytes()
    if damage == "removed":
        (folder / name).unlink()
    elif damage == "other":  # valid, but of another data set
        smaller = prepare_dataset(dataset(tmp_path / "other", (10, 20))[0], READS)
        assert len(smaller) == 2
        (other,) = set(entries(cache)) - {folder}
        shutil.copy(other / name, folder / name)
    else:
        (folder / name).write_bytes(
            {"empty": b"", "half": content[: len(content) // 2], "garbage": b"\xff" * len(content)}[damage]
        )
    read.reads = 0
    assert same(prepare_dataset(data, READS), expected)
    assert read.reads == 4
    assert same(prepare_dataset(data, READS), expected)
    assert read.reads == 4
    assert folder in entries(cache)
    assert not [path for path in entries(cache) if path.name.startswith("building")]


def test_an_error_leaves_no_half_cache(run_python: Any, cache: Path, tmp_path: Path) -> None:
    data, read = dataset(tmp_path / "data", (100, 500, 100, 100))
    for _ in range(2):
        with pytest.raises(AudioError, match="1.wav: is 0.062 s long"):
            prepare_dataset(data, READS)
        assert entries(cache) == []
    assert read.reads == 4
    assert prepare_dataset(data, READS, fit="loudest").lengths.tolist() == [100, 400, 100, 100]


@pytest.mark.parametrize("rates", [(2 * RATE,), (2 * RATE, RATE, RATE, 3 * RATE)], ids=["one rate", "mixed rates"])
def test_recordings_are_read_one_by_one_and_their_spectra_computed_beside_that(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rates: tuple[int, ...]
) -> None:
    """What a plugin reads may not be asked for by two threads at once; order and bits are those of one after the other."""
    lengths = [20 + 7 * number for number in range(40)]
    data, _ = dataset(tmp_path / "data", tuple(lengths))
    heard: list[tuple[str, str]] = []

    def read(recording: Recording) -> Clip:
        number = Path(recording.source).stem
        heard.append((number, threading.current_thread().name))
        return replace(read_recording(recording), sample_rate=rates[int(number) % len(rates)])

    computed: set[str] = set()
    resample = preparation.at_rate

    def at_rate(clip: Clip, *given: Any) -> Clip:
        if clip.sample_rate != RATE:
            computed.add(threading.current_thread().name)
        return resample(clip, *given)

    monkeypatch.setattr(preparation, "at_rate", at_rate)
    prepared = prepare_dataset(replace(data, read=read), READS, resampling="fft")
    assert heard == [(str(number), "MainThread") for number in range(40)]
    assert "MainThread" not in computed
    alone = [prepare_clip(read(recording), RATE, SAMPLES, "error", "fft") for recording in data.recordings]
    expected = np.zeros((40, SAMPLES), np.float32)
    for row, (waveform, _, _) in zip(expected, alone, strict=True):
        row[: len(waveform)] = waveform
    assert np.array_equal(prepared.waveforms, expected)
    assert prepared.lengths.tolist() == [len(waveform) for waveform, _, _ in alone]
    assert prepared.starts.tolist() == [start for _, start, _ in alone]
    assert prepared.keys.tolist() == [sound_key(waveform) for waveform, _, _ in alone]
    assert [tuple(notes) for notes in prepared.notes] == [notes for _, _, notes in alone]


@pytest.mark.slow
def test_a_long_recording_is_computed_alone_and_little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [100, 100, 100, 1000, 100, 1000, 1000, 100, 100, 100, 100]
    resample, computing, together, computed = preparation.at_rate, list[int](), list[int](), list[str]()

    class Read(list[Clip]):
        def __getitem__(self, index: Any) -> Any:
            assert index == 0 or lengths[index - 1] < 1000 or f"clip {index - 1}" in computed
            return super().__getitem__(index)

    def at_rate(clip: Clip, *given: Any) -> Clip:
        computing.append(clip.samples)
        together.append(sum(computing))
        time.sleep(0.05)
        computing.remove(clip.samples)
        computed.append(clip.source)
        return resample(clip, *given)

    monkeypatch.setattr(preparation, "at_rate", at_rate)
    monkeypatch.setattr(preparation, "AT_ONCE", 300)
    monkeypatch.setattr(preparation, "_threads", lambda: 8)
    given = Read(replace(clip, sample_rate=2 * RATE) for clip in clips(lengths))
    prepared = prepare_clips(given, RATE, SAMPLES, "loudest", "fft")
    assert prepared.lengths.tolist() == [min(length // 2, SAMPLES) for length in lengths]
    assert [number for number in together if number > 300] == [1000] * 3
    assert max(number for number in together if number <= 300) > 100


def test_spectra_are_computed_in_no_more_threads_than_torch_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    resample = preparation.at_rate

    def at_rate(*given: Any) -> Clip:
        threads.add(threading.current_thread().name)
        time.sleep(0.01)
        return resample(*given)

    monkeypatch.setattr(preparation, "at_rate", at_rate)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    prepare_clips([replace(clip, sample_rate=2 * RATE) for clip in clips([100] * 8)], RATE, SAMPLES, "error", "fft")
    assert len(threads) == 1


@pytest.mark.slow
def test_an_interruption_waits_only_for_the_spectra_that_are_being_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    class Interrupted(list[Clip]):
        def __getitem__(self, index: Any) -> Any:
            if index == 2:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    def at_rate(clip: Clip, *given: Any) -> Clip:
        computed.append(clip.source)
        time.sleep(0.2)
        return replace(clip, sample_rate=RATE)

    monkeypatch.setattr(preparation, "at_rate", at_rate)
    monkeypatch.setattr(preparation, "_threads", lambda: 1)
    given = Interrupted(replace(clip, sample_rate=2 * RATE) for clip in clips([100] * 4))
    with pytest.raises(KeyboardInterrupt):
        prepare_clips(given, RATE, SAMPLES, "error", "fft")
    assert computed in ([], ["clip 0"])


@pytest.mark.parametrize("unreadable", [2, 3, 30])
def test_the_first_recording_that_cannot_be_used_is_told_whatever_is_read_ahead(
    run_python: Any, cache: Path, tmp_path: Path, unreadable: int
) -> None:
    lengths = [100] * 40
    lengths[2] = 2 * SAMPLES + 20
    data, _ = dataset(tmp_path / "data", tuple(lengths))

    def read(recording: Recording) -> Clip:
        if Path(recording.source).stem == str(unreadable):
            raise AudioError(f"{recording.source}: cannot be read")
        return replace(read_recording(recording), sample_rate=2 * RATE)

    with pytest.raises(AudioError, match="2.wav: cannot" if unreadable == 2 else "2.wav: is 0.05. s long"):
        prepare_dataset(replace(data, read=read), READS, resampling="fft")
    with pytest.raises(AudioError, match=f"{unreadable}.wav: cannot"):
        prepare_dataset(replace(data, read=read), READS, resampling="fft", fit="loudest")
    assert entries(cache) == []


def test_an_interruption_leaves_no_half_cache(run_python: Any, cache: Path, tmp_path: Path) -> None:
    data, _ = dataset(tmp_path / "data")

    def interrupt(recording: Recording) -> Clip:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_dataset(replace(data, read=interrupt), READS)
    assert entries(cache) == []


def test_a_cache_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XAUDIO_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="the cache cannot be written .*Set XAUDIO_CACHE") as caught:
        prepare_dataset(dataset(tmp_path / "data")[0], READS)
    assert len(str(caught.value).splitlines()) == 1


BUILD = """
import resource, signal, sys, time
from types import SimpleNamespace
from pathlib import Path
import numpy as np
from xaudio.sound.audio import make_clip
from xaudio.sound.datasets import Recording, SpeakerDataset
from xaudio.errors import OutputError
from xaudio.sound.preparation import prepare_dataset

limit, folder = int(sys.argv[1]), Path(sys.argv[2])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

def read(recording):
    (folder / f"started-{sys.argv[3]}").touch()
    if len(sys.argv) > 4:  # wait until the other process is decoding as well
        deadline = time.monotonic() + 30
        while len(list(folder.glob("started-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    return make_clip(np.full(100 + int(recording.source), 0.5), 8000)

recordings = [Recording(str(index), str(index), {"digit": index}) for index in range(10)]
speakers = {"digit": [[str(index)] for index in range(10)]}
tasks = {"digit": tuple("0123456789")}
data = SpeakerDataset("made", "Made", tasks, recordings, speakers, read=read, fingerprint_of=lambda _: "made")
try:
    prepared = prepare_dataset(data, SimpleNamespace(sample_rate=8000, samples=8000))
    print(prepared.lengths.tolist(), float(prepared.waveforms.sum()))
except OutputError as error:
    print(error)
"""
BUILT = f"{list(range(100, 110))} {sum(range(100, 110)) / 2}\n"


def test_two_processes_that_build_at_the_same_time_both_succeed(
    processes: None, run_python: Any, cache: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", BUILD, "0", str(tmp_path)]
    both = [
        subprocess.Popen([*command, name, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert out == BUILT, err
    assert sorted(path.name for path in tmp_path.glob("started-*")) == ["started-a", "started-b"]
    (entry,) = entries(cache)
    assert not entry.name.startswith("building")
    third = run_python(BUILD, "0", tmp_path, "c")
    assert third.stdout == BUILT
    assert not (tmp_path / "started-c").exists()  # read from the cache


def test_a_full_disk_is_an_error_and_leaves_no_half_cache(run_python: Any, cache: Path, tmp_path: Path) -> None:
    """A process that may write 100 kB to a file stands for a disk with no space left."""
    done = run_python(BUILD, "100000", tmp_path, "a")
    assert "the cache cannot be written" in done.stdout, done.stderr
    assert entries(cache) == []
