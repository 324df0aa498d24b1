"""Recordings on disk and in memory: every format is read, every defect is one clear line, nothing is half written."""

import os
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from xaudio.errors import AudioError, OutputError
from xaudio.sound.audio import at_rate, make_clip, read_audio, resample, write_audio
from xaudio.sound.fitting import fit_length, speech_bounds
from xaudio.types import Clip

RATE = 8000


def sound(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray[Any, Any]:
    """Noise between -0.9 and 0.9, (samples, channels)."""
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (samples, channels))


def wav_bytes(data: bytes, *, rate: int = RATE, channels: int = 1, bits: int = 16, promised: int | None = None) -> bytes:
    """A PCM WAV file made by hand, so that its header can lie."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, (rate * frame) & 0xFFFFFFFF, frame & 0xFFFF, bits)
    length = len(data) if promised is None else promised
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", len(chunks) & 0xFFFFFFFF) + chunks


PCM = np.arange(-400, 400, dtype="<i2").tobytes()


def refused(path: Path) -> str:
    """The message with which a file is refused: one line that names it."""
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert message.endswith((".", ")"))
    return message


# ---------------------------------------------------------------------------------------------------- reading files


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("ending", "subtype", "error"),
    [
        ("wav", "PCM_U8", 1 / 128),
        ("wav", "PCM_16", 1 / 32768),
        ("wav", "PCM_24", 2**-22),
        ("wav", "PCM_32", 2**-23),
        ("wav", "FLOAT", 2**-23),
        ("wav", "DOUBLE", 2**-23),
        ("flac", "PCM_16", 1 / 32768),
        ("flac", "PCM_24", 2**-22),
        ("ogg", "VORBIS", 0.25),
    ],
)
def test_formats_are_read_and_mixed_down(tmp_path: Path, ending: str, subtype: str, error: float, channels: int) -> None:
    path, samples = tmp_path / f"sound.{ending}", sound(4000, channels)
    if ending == "ogg":  # a lossy format: a sound it can keep
        samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / RATE)[:, None] * np.linspace(1, 0.5, channels)
    soundfile.write(path, samples, RATE, subtype=subtype)
    clip = read_audio(path, labels={"digit": 3}, speaker="07")
    assert clip.waveform.dtype == np.float32
    assert clip.waveform.shape == (4000,)
    assert clip.waveform.flags.c_contiguous
    assert np.abs(clip.waveform - samples.mean(1)).max() <= error
    assert (clip.sample_rate, clip.source, clip.labels, clip.speaker) == (RATE, str(path), {"digit": 3}, "07")
    assert clip.notes == (() if channels == 1 else (f"mixed down from {channels} channels",))
    assert clip.duration == 0.5


def test_a_file_is_read_by_its_content_not_its_ending(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", sound(100), RATE)
    (tmp_path / "a.flac").rename(tmp_path / "a.wav")
    assert len(read_audio(str(tmp_path / "a.wav")).waveform) == 100


def test_floats_beyond_full_scale_are_kept(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.array([0.0, 1.5, -2.0]), RATE, subtype="FLOAT")
    assert read_audio(tmp_path / "loud.wav").waveform.tolist() == [0.0, 1.5, -2.0]


def test_what_is_not_a_recording_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "missing.wav")
    assert "there is no such file" in refused(tmp_path / "no-folder" / "a.wav")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "empty.wav").touch()
    assert "the file is empty" in refused(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("This is no sound.\n" * 100)
    assert "cannot be read as audio" in refused(tmp_path / "text.wav")
    (tmp_path / "noise.raw").write_bytes(PCM)
    assert "cannot be read as audio" in refused(tmp_path / "noise.raw")
    assert "cannot be read" in refused(tmp_path / ("long-name" * 100 + ".wav"))
    assert "cannot be read" in refused(tmp_path / "text.wav" / "a.wav") or "no such file" in refused(
        tmp_path / "text.wav" / "a.wav"
    )
    assert "no such file" in refused(tmp_path / "nul\0.wav")


@contextmanager
def as_nobody() -> Iterator[None]:
    """The superuser may read and write everything: become someone else for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(wav_bytes(PCM))
    path.chmod(0)
    with as_nobody():
        assert "cannot be read" in refused(path)


def test_a_file_that_goes_wrong_while_it_is_read_is_refused() -> None:
    # Reading this one fails with an error of the system (EIO), whoever asks.
    path = Path("/proc/self/mem")
    if not path.exists():
        pytest.skip("no /proc here")
    refused(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav_bytes(PCM, promised=len(PCM) + 2), "is truncated"),
        (wav_bytes(PCM, promised=0x7FFFFFF0), "is truncated"),
        (wav_bytes(PCM)[:-2], "is truncated"),
        (wav_bytes(PCM)[:-1], "is truncated"),
        (wav_bytes(PCM)[:44], "is truncated"),
        (wav_bytes(PCM)[:40], ""),
        (wav_bytes(PCM)[:30], ""),
        (wav_bytes(PCM)[:12], ""),
        (wav_bytes(PCM)[:4], ""),
        (wav_bytes(b""), "has 0 samples; expected at least two"),
        (wav_bytes(PCM[:2]), "has 1 sample; expected at least two"),
        (wav_bytes(PCM, rate=0), ""),
        (wav_bytes(PCM, rate=1), "the sample rate is 1 Hz; expected 1000 to 768000 Hz"),
        (wav_bytes(PCM, rate=10_000_000), "the sample rate is 10000000 Hz"),
        (wav_bytes(PCM, rate=0xFFFFFFFF), ""),
        (wav_bytes(PCM, channels=0), ""),
        (wav_bytes(PCM, channels=60000), ""),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "forged.wav"
    path.write_bytes(content)
    assert message in refused(path)


def test_the_forged_files_are_whole_when_they_do_not_lie(tmp_path: Path) -> None:
    for name, content in {
        "plain": wav_bytes(PCM),
        "streamed": wav_bytes(PCM, promised=0xFFFFFFFF),  # a writer that could not go back to fill in the length
        "trailing": wav_bytes(PCM) + b"LIST\x04\0\0\0INFO",
    }.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(content)
        assert np.array_equal(read_audio(path).waveform * 32768, np.arange(-400, 400)), name


@pytest.mark.parametrize("ending", ["flac", "ogg"])
def test_a_truncated_compressed_file_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"cut.{ending}"
    soundfile.write(path, sound(20_000), RATE)
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        if ending == "ogg":  # its header tells no length: what is there is read, or refused
            try:
                assert len(read_audio(path).waveform) < 20_000
            except AudioError as error:
                assert len(str(error).splitlines()) == 1
        else:
            refused(path)


def test_a_header_that_promises_more_than_fits_in_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.flac"
    soundfile.write(path, sound(5000), RATE)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the upper bits of the 36-bit number of samples
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize(("value", "first"), [(np.nan, 7), (np.inf, 0), (-np.inf, 99)])
def test_samples_that_are_not_numbers_are_refused(tmp_path: Path, value: float, first: int) -> None:
    samples = sound(100)[:, 0]
    samples[first] = value
    soundfile.write(tmp_path / "bad.wav", samples, RATE, subtype="FLOAT")
    assert f"1 of 100 samples is NaN or infinite, the first is sample {first}" in refused(tmp_path / "bad.wav")


def test_a_double_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "large.wav", np.array([0.0, 1e300]), RATE, subtype="DOUBLE")
    refused(tmp_path / "large.wav")


def readable(path: Path) -> None:
    """A file is a clip that keeps its contract, or refused in one line."""
    try:
        clip = read_audio(path)
    except AudioError as error:
        assert str(path) in str(error)
        assert len(str(error).splitlines()) == 1
    else:
        assert clip.waveform.dtype == np.float32
        assert clip.waveform.ndim == 1
        assert len(clip.waveform) >= 2
        assert np.isfinite(clip.waveform).all()
        assert 1000 <= clip.sample_rate <= 768_000


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.mark.slow
@settings(max_examples=200)
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"ID3"]))
def test_any_bytes_are_a_clip_or_an_error(scratch: Path, content: bytes, head: bytes) -> None:
    path = scratch / "any.wav"
    path.write_bytes(head + content)
    readable(path)


def whole_file(folder: Path, ending: str, subtype: str) -> bytes:
    path = folder / f"whole-{subtype}.{ending}"
    if not path.exists():
        soundfile.write(path, sound(300, 2), RATE, subtype=subtype)
    return path.read_bytes()


@pytest.mark.slow
@settings(max_examples=300)
@given(
    kind=st.sampled_from([("wav", "PCM_16"), ("wav", "FLOAT"), ("wav", "PCM_24"), ("flac", "PCM_16"), ("ogg", "VORBIS")]),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=4)), max_size=4),
    in_header=st.booleans(),
    keep=st.integers(0, 1 << 16) | st.none(),
)
def test_a_mutated_file_is_a_clip_or_an_error(
    scratch: Path, kind: tuple[str, str], changes: list[tuple[int, bytes]], in_header: bool, keep: int | None
) -> None:
    content = bytearray(whole_file(scratch, *kind))
    for position, new in changes:
        start = position % (min(60, len(content)) if in_header else len(content))
        content[start : start + len(new)] = new
    path = scratch / f"mutated.{kind[0]}"
    path.write_bytes(content if keep is None else content[: keep % (len(content) + 1)])
    readable(path)


# ------------------------------------------------------------------------------------------------------ clips of arrays


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1.0, 0.0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1.0, 0.0, 0.5]),
        (np.array([0, 2**15, 2**16 - 1], np.uint16), [-1.0, 0.0, 32767 / 32768]),
        (np.array([-128, 64], np.int8), [-1.0, 0.5]),
        (np.array([-(2**31), 2**30], np.int32), [-1.0, 0.5]),
        (np.array([0.25, -3.0], np.float64), [0.25, -3.0]),
        (np.array([0.25, -0.5], np.float16), [0.25, -0.5]),
        (np.array([0.25, -0.5], ">f4"), [0.25, -0.5]),
        ([0.25, -0.5], [0.25, -0.5]),
        (np.array([[1.0, 0.0, 0.5]]), [1.0, 0.0, 0.5]),
        (np.array([[1.0, 0.0, 0.5], [0.0, 0.0, -0.5]]), [0.5, 0.0, 0.0]),
        (np.array([[-32768, 0], [0, 16384]], np.int16), [-0.5, 0.25]),
        (np.arange(8.0)[::-2], [7.0, 5.0, 3.0, 1.0]),
    ],
)
def test_arrays_become_clips(samples: Any, expected: list[float]) -> None:
    clip = make_clip(samples, RATE)
    assert clip.waveform.tolist() == pytest.approx(expected, abs=1e-7)
    assert clip.waveform.dtype == np.float32
    assert clip.waveform.dtype.isnative
    assert clip.waveform.flags.c_contiguous
    several, loud = np.ndim(samples) == 2 and len(samples) > 1, max(map(abs, expected)) > 1
    assert [note.split(" ")[0] for note in clip.notes] == ["mixed"] * several + ["peaks"] * loud


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.uint32, ">u4", ">i8"])
def test_integers_without_a_full_scale_are_refused(kind: Any) -> None:
    """16-bit samples in an array of 64-bit integers would be taken as silence."""
    with pytest.raises(AudioError, match=f"holds {re.escape(str(np.dtype(kind)))}, whose full scale is not known; give int16"):
        make_clip(np.array([20000, 30000]).astype(kind), 8000)


def test_16_bits_in_int32_are_refused() -> None:
    with pytest.raises(AudioError, match="holds int32 whose samples all fit into 16 bits, so that their full scale is not known"):
        make_clip(np.array([20000, -32768], np.int32), 8000)
    assert make_clip(np.array([32769, -5], np.int32), 8000).waveform[0] == np.float32(32769 / 2**31)
    assert not make_clip(np.zeros(5, np.int32), 8000).waveform.any()


def test_floats_beyond_full_scale_are_noted() -> None:
    assert make_clip(np.array([0.5, -1.0, 1.0]), RATE).notes == ()
    loud = make_clip(np.array([0.5, -1.5]), RATE)
    assert loud.notes == ("peaks at 1.5 times full scale",)
    assert make_clip(loud.waveform, RATE, notes=loud.notes).notes == loud.notes  # once, however often it is checked
    integers = make_clip(np.array([20000.0, -3.0]), RATE)
    assert integers.notes == ("peaks at 20000 times full scale; whole numbers stored as floats: divide by their full scale",)
    assert integers.waveform.tolist() == [20000, -3]


def test_arrays_of_any_layout_are_one_sound() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 101)
    expected = make_clip(samples, RATE).waveform
    stretched = np.repeat(samples, 2)
    frozen = samples.copy()
    frozen.setflags(write=False)
    for same in (stretched[::2], samples[::-1].copy()[::-1], samples.astype(">f8"), np.asfortranarray(samples[None]), frozen):
        assert np.array_equal(make_clip(same, RATE).waveform, expected)
    for channels in (2, 3, 7):  # identical channels are the sound itself, to the last bit
        assert np.array_equal(make_clip(np.tile(samples.astype(np.float32), (channels, 1)), RATE).waveform, expected)


def test_masked_samples_are_refused() -> None:
    with pytest.raises(AudioError, match="has masked samples"):
        make_clip(np.ma.masked_array([0.1, 0.2, 0.3], [False, True, False]), RATE)
    assert len(make_clip(np.ma.masked_array([0.1, 0.2, 0.3]), RATE).waveform) == 3


def test_tensors_become_clips() -> None:
    import torch

    values = torch.tensor([[0.5, -0.25, 0.0], [0.5, 0.25, 0.0]])
    for tensor in (values, values.double(), values.clone().requires_grad_()):
        assert make_clip(tensor, RATE).waveform.tolist() == [0.5, 0.0, 0.0]
    assert make_clip(torch.tensor([0, 192], dtype=torch.uint8), RATE).waveform.tolist() == [-1.0, 0.5]
    assert make_clip(torch.tensor([-32768, 16384], dtype=torch.int16), RATE).waveform.tolist() == [-1.0, 0.5]
    for half in (torch.bfloat16, torch.float16):
        assert make_clip(values.to(half), RATE).waveform.tolist() == [0.5, 0.0, 0.0]
    with pytest.raises(AudioError, match="complex64.*expected integers or floats"):
        make_clip(torch.zeros(4, dtype=torch.complex64), RATE)


def test_the_clip_does_not_change_with_the_array() -> None:
    samples = np.zeros(4)
    clip = make_clip(samples, RATE)
    samples[:] = 1
    assert clip.waveform.tolist() == [0.0] * 4


def test_notes_and_fields_are_kept() -> None:
    clip = make_clip(np.zeros((2, 5)), RATE, source="microphone", notes=["cut"], speaker="x", labels={"sex": None})
    assert (clip.source, clip.notes, clip.speaker, clip.labels) == (
        "microphone",
        ("cut", "mixed down from 2 channels"),
        "x",
        {"sex": None},
    )


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0), "has 0 samples"),
        (np.zeros((1, 0)), "has 0 samples"),
        (np.zeros((0, 5)), "has 0 samples"),
        (np.zeros((2, 0)), "has 0 samples"),
        (np.zeros(1), "has 1 sample; expected"),
        (np.zeros((100, 2)), r"has shape \(100, 2\); expected \(channels, samples\)\. Transpose it"),
        (np.zeros((1, 2, 3)), r"has shape \(1, 2, 3\); expected \(samples,\) or \(channels, samples\)"),
        (np.float64(1), r"has shape \(\)"),
        (np.zeros(4, bool), "holds bool; expected integers or floats"),
        (np.zeros(4, complex), "holds complex128"),
        (np.array(["a", "b"]), "holds <U1"),
        (np.array([None, 1]), "holds object"),
        ([[1.0, 2.0], [1.0]], "is not an array of samples"),
        (np.array([0.0, np.nan, np.nan]), "2 of 3 samples are NaN or infinite, the first is sample 1"),
        (np.array([[0.0, 1.0], [np.inf, 1.0]]), "1 of 2 samples"),
        (np.array([0.0, 1e39]), "too large for a sound"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(samples: Any, message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(AudioError, match=f"^here: .*{message}"):
        warnings.simplefilter("error")
        make_clip(samples, RATE, source="here")


@pytest.mark.parametrize("rate", [0, -8000, 999, 768_001, 10_000_000, float("nan"), float("inf")])
def test_rates_that_no_recording_has_are_refused(rate: float) -> None:
    expected = (
        "; expected a whole number of Hz, 1000 to 768000" if rate != rate or rate == np.inf else " Hz; expected 1000 to 768000 Hz"
    )
    with pytest.raises(AudioError, match=f"the sample rate is {rate}{expected}"):
        make_clip(np.zeros(10), rate)  # type: ignore[arg-type]


@pytest.mark.slow
@given(arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6), elements=None))
def test_any_array_is_a_clip_or_an_error(samples: np.ndarray[Any, Any]) -> None:
    try:
        clip = make_clip(samples, RATE, source="here")
    except AudioError as error:
        assert str(error).startswith("here: ")
        assert len(str(error).splitlines()) == 1
    else:
        assert clip.waveform.dtype == np.float32
        assert clip.waveform.shape == samples.shape[-1:]
        assert np.isfinite(clip.waveform).all()
        if samples.dtype.kind in "iu":
            assert np.abs(clip.waveform).max() <= 1


# ---------------------------------------------------------------------------------------------------------- resampling


@pytest.mark.parametrize(
    ("samples", "rate", "target"), [(4800, 48000, 8000), (1001, 44100, 8000), (800, 8000, 48000), (3, 48000, 8000)]
)
def test_fft_resampling_is_scipys(samples: int, rate: int, target: int) -> None:
    waveform = sound(samples)[:, 0].astype(np.float32)
    found = resample(waveform, rate, target, "fft")
    length = int(np.ceil(samples * (float(target) / rate)))  # as the published code has it
    assert found.dtype == np.float32
    assert found.shape == (length,)
    assert np.array_equal(found, scipy.signal.resample(waveform.astype(np.float64), length).astype(np.float32))


@given(
    st.integers(2, 3000),
    st.sampled_from([(48000, 8000), (44100, 8000), (8000, 48000), (11025, 8000)]),
    st.sampled_from(["fft", "soxr"]),
)
def test_the_length_after_resampling(samples: int, rates: tuple[int, int], method: Any) -> None:
    found = resample(np.ones(samples, np.float32), *rates, method)
    assert len(found) == -(-samples * rates[1] // rates[0])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("method", ["fft", "soxr"])
def test_the_length_is_that_of_the_published_code(method: Any) -> None:
    """Rounded up: of lengths at which ceil, floor and round differ, and of every length that AudioMNIST can have."""
    for samples, rates, length in [(6001, (48000, 8000), 1001), (6004, (48000, 8000), 1001), (5999, (48000, 8000), 1000)]:
        assert len(resample(sound(samples)[:, 0].astype(np.float32), *rates, method)) == length
    assert len(resample(sound(16001)[:, 0].astype(np.float32), 16000, 8000, method)) == 8001
    for samples in range(2, 48001):
        assert -(-samples * 8000 // 48000) == int(np.ceil(samples * (float(8000) / 48000)))


def test_soxr_ends_where_the_sound_ends() -> None:
    """The sample that soxr leaves out at the end is what it would be if silence followed."""
    import soxr

    waveform = sound(6001)[:, 0].astype(np.float32)
    followed = soxr.resample(np.concatenate([waveform, np.zeros(4800, np.float32)]), 48000, 8000, quality="HQ")
    assert np.array_equal(resample(waveform, 48000, 8000, "soxr"), followed[:1001])
    assert np.array_equal(
        resample(waveform, 48000, 8000, "soxr")[:1000], soxr.resample(waveform, 48000, 8000, quality="HQ")[:1000]
    )


def tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray[Any, Any]:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def level(waveform: np.ndarray[Any, Any]) -> float:
    """Root mean square in dB, away from the edges."""
    inner = waveform[len(waveform) // 4 : -len(waveform) // 4].astype(np.float64)
    return float(10 * np.log10((inner**2).mean() + 1e-30))


@pytest.mark.parametrize("method", ["fft", "soxr"])
def test_a_tone_keeps_its_level_and_an_alias_is_suppressed(method: Any) -> None:
    reference = level(tone(1000, 48000))
    assert abs(level(resample(tone(1000, 48000), 48000, 8000, method)) - reference) < 0.1
    # 5 kHz lies above the new Nyquist rate of 4 kHz: without a filter it would come back at 3 kHz.
    assert level(tone(5000, 48000)[::6]) - reference > -0.1
    assert level(resample(tone(5000, 48000), 48000, 8000, method)) - reference < -80


def test_soxr_keeps_a_tone_at_its_place_in_time() -> None:
    found = resample(tone(1000, 48000), 48000, 8000, "soxr")
    assert np.abs(found - tone(1000, 8000))[100:-100].max() < 1e-3


def test_at_rate_notes_what_it_did() -> None:
    clip = make_clip(tone(1000, 16000), 16000, notes=["cut"], speaker="x")
    assert at_rate(clip, 16000, "soxr") is clip
    found = at_rate(clip, 8000, "fft")
    assert (found.sample_rate, len(found.waveform), found.speaker) == (8000, 8000, "x")
    assert found.notes == ("cut", "resampled from 16000 to 8000 Hz (fft)")
    assert resample(clip.waveform, 16000, 16000, "fft") is clip.waveform


def test_a_clip_of_which_nothing_is_left_is_refused() -> None:
    clip = make_clip(np.ones(2), 768_000, source="here")
    with pytest.raises(AudioError, match="^here: has 2 samples at 768000 Hz and 1 at 1000 Hz; expected at least two"):
        at_rate(clip, 1000, "soxr")


# ------------------------------------------------------------------------------------------------------------- fitting


def clip_of(waveform: Any, rate: int = 1000) -> Clip:
    return Clip(np.asarray(waveform, np.float32), rate, source="here")


@pytest.mark.parametrize("rule", ["error", "trim", "loudest"])
@pytest.mark.parametrize("length", [2, 99, 100])
def test_what_is_short_enough_is_left_alone(rule: Any, length: int) -> None:
    clip = clip_of(np.zeros(length))
    waveform, start, note = fit_length(clip, 100, rule)
    assert waveform is clip.waveform
    assert (start, note) == (0, "")


def test_too_long_is_refused_by_name_length_and_remedy() -> None:
    with pytest.raises(AudioError) as caught:
        fit_length(clip_of(np.ones(1234)), 1000, "error")
    assert str(caught.value) == (
        "here: is 1.234 s long, longer than the 1.000 s the model takes. "
        "Cut it, or choose a rule: fit 'trim' removes silence at both ends, 'loudest' keeps the window with most energy; "
        "or let --window cut it into windows."
    )
    with pytest.raises(
        AudioError, match=r"^here: is 1\.234 s long without the silence at both ends, longer than the 1\.000 s .*'loudest'"
    ):
        fit_length(clip_of(np.ones(1234)), 1000, "trim")


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["error", "trim"])
@pytest.mark.parametrize(
    ("rate", "samples", "over", "note"),
    [
        (8000, 8000, 1, "1 sample (0.12 ms) at the end was left out"),
        (8000, 8000, 80, "80 samples (10.00 ms) at the end were left out"),
        (16000, 80_000, 16, "16 samples (1.00 ms) at the end were left out"),
        (44100, 44100 * 60, 441, "441 samples (10.00 ms) at the end were left out"),
        (8000, 400, 4, "4 samples (0.50 ms) at the end were left out"),
    ],
)
def test_a_few_samples_too_many_are_left_out(rule: Any, rate: int, samples: int, over: int, note: str) -> None:
    clip = clip_of(sound(samples + over)[:, 0], rate)
    waveform, start, said = fit_length(clip, samples, rule)
    assert np.array_equal(waveform, clip.waveform[:samples])
    assert (start, said) == (0, note)
    with pytest.raises(AudioError, match="longer than the") as caught:
        fit_length(clip_of(sound(samples + over + samples // 100 + 1)[:, 0], rate), samples, rule)
    lengths = re.findall(r"(\d+\.\d+) s ", str(caught.value))
    assert float(lengths[0]) > float(lengths[1])


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=60), st.integers(1, 59))
def test_loudest_is_the_window_with_the_most_energy(values: list[int], samples: int) -> None:
    clip = clip_of(np.array(values) / 128)
    found, begin, note = fit_length(clip, samples, "loudest")
    if len(values) <= samples:
        assert note == ""
        return
    centred = np.array(values) / 128 - np.median(values) / 128
    energies = np.array([sum(centred[start : start + samples] ** 2) for start in range(len(values) - samples + 1)])
    pattern = rf"loudest {samples / 1000:.3f} s of {len(values) / 1000:.3f} s kept, from (0\.\d\d\d) s"
    start = round(float(re.fullmatch(pattern, note)[1]) * 1000)  # type: ignore[index]
    loud = np.flatnonzero(energies >= (1 - 1e-3) * energies.max() - 1e-9)
    assert start in loud
    assert not loud.size or start <= loud[energies[loud] > (1 - 1e-3) * energies.max() + 1e-9].min(initial=len(values))
    assert begin == start
    assert np.array_equal(found, clip.waveform[start : start + samples])


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_rounding_to_16_bits_does_not_move_the_loudest_window(rate: int) -> None:
    """Of a burst in silence, every window that holds it is as loud; of hiss, many nearly are."""
    draw = np.random.default_rng(3)
    hiss = 0.003 * draw.standard_normal(5 * rate)
    burst = hiss / 100
    burst[2 * rate : 2 * rate + rate // 4] = 0.3 * draw.standard_normal(rate // 4).clip(-3, 3)
    for waveform in (hiss, burst):
        exact = fit_length(clip_of(waveform, rate), rate, "loudest")[1]
        rounded = fit_length(clip_of(np.round(waveform * 32768) / 32768, rate), rate, "loudest")[1]
        assert exact == rounded
        assert exact % (rate // 100) == 0
    assert 1.25 * rate <= exact <= 1.27 * rate  # the first that holds all of the burst


@given(
    before=st.integers(0, 300),
    speech=st.integers(1, 200),
    after=st.integers(0, 300),
    hiss=st.sampled_from([0.0, 1e-4]),
    offset=st.sampled_from([0.0, 0.25]),
)
def test_trim_removes_silence_only(before: int, speech: int, after: int, hiss: float, offset: float) -> None:
    speech *= 2
    waveform = hiss * np.random.default_rng(0).standard_normal(before + speech + after)
    waveform[before : before + speech] = 0.5 * (-1) ** np.arange(speech)
    waveform += offset  # of the microphone, not of the sound
    clip = clip_of(waveform)
    start, stop = speech_bounds(clip.waveform, 1000)
    frame = 10
    # All speech is kept, and at most a frame of silence on either side of it.
    assert before - frame < start <= before
    assert before + speech <= stop < before + speech + frame
    samples = len(waveform) - 1
    if stop - start > samples * 1.01:
        with pytest.raises(AudioError, match="without the silence"):
            fit_length(clip, samples, "trim")
    else:
        found, begin, note = fit_length(clip, samples, "trim")
        assert begin == start
        assert np.array_equal(found, clip.waveform[start:stop][:samples])
        assert (
            note.endswith("left out")
            if stop - start > samples
            else note == f"trimmed from {len(waveform) / 1000:.3f} s to {len(found) / 1000:.3f} s"
        )


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize(("level", "silent"), [(0.999, True), (1.0, True), (1.001, False)])
def test_a_frame_40_db_below_the_loudest_is_silence(scale: float, level: float, silent: bool) -> None:
    """The quiet frames on both sides have 1 / 100 of the amplitude: at the threshold, and 0.009 dB beside it."""
    waveform = scale * np.repeat([level, 100, level], 10) / 128 * (-1) ** np.arange(30)
    assert speech_bounds(waveform.astype(np.float32), 1000) == ((10, 20) if silent else (0, 30))


@pytest.mark.parametrize(("level", "kept"), [(0.9, False), (1.1, True)])
def test_a_shorter_last_frame_counts_by_its_own_length(level: float, kept: bool) -> None:
    waveform = np.repeat([100, 0, level], [10, 10, 4]) / 128 * (-1) ** np.arange(24)
    assert speech_bounds(waveform.astype(np.float32), 1000) == (0, 24 if kept else 10)


def test_silence_is_not_trimmed_away() -> None:
    assert speech_bounds(np.zeros(1234, np.float32), 1000) == (0, 1234)
    assert speech_bounds(np.zeros(3, np.float32), 1000) == (0, 3)
    assert speech_bounds(np.ones(3, np.float32), 1000) == (0, 3)
    assert speech_bounds(np.full(1234, 0.5, np.float32), 1000) == (0, 1234)
    with pytest.raises(AudioError, match="without the silence"):
        fit_length(clip_of(np.zeros(1234)), 1000, "trim")


# ------------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("ending", ["wav", "flac", "WAV"])
def test_what_is_written_is_read_back(tmp_path: Path, ending: str) -> None:
    waveform = np.concatenate([[1.0, -1.0, 0.0], sound(1000)[:, 0]]).astype(np.float32)
    path = write_audio(tmp_path / "new" / f"a.{ending}", waveform, 44100)
    facts = soundfile.info(path)
    assert (facts.samplerate, facts.channels, facts.subtype, facts.frames) == (44100, 1, "PCM_16", 1003)
    found = soundfile.read(path, dtype="int16")[0]
    assert np.array_equal(found, np.round(waveform.astype(np.float64) * 32767))
    assert np.abs(read_audio(path).waveform * (32768 / 32767) - waveform).max() <= 0.5001 / 32767
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_vorbis_is_written(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.ogg", tone(440, 8000), 8000)
    assert soundfile.info(path).subtype == "VORBIS"
    assert np.abs(read_audio(path).waveform - tone(440, 8000)).max() < 0.1


def test_a_file_is_replaced_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, np.zeros(10), RATE)
    write_audio(str(path), np.ones(20), RATE)
    assert read_audio(path).waveform.tolist() == pytest.approx([32767 / 32768] * 20)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize(
    ("waveform", "peak"),
    [
        (np.array([0.0, 1.0001]), "1"),
        (np.array([-2.0, 0.0]), "2"),
        (np.array([0.0, np.nan]), "nan"),
        (np.array([np.inf, 0.0]), "inf"),
        (np.array([-32768, 0], np.int16), "3.28e[+]04"),
    ],
)
def test_what_would_clip_is_not_written(tmp_path: Path, waveform: Any, peak: str) -> None:
    with pytest.raises(OutputError, match=f"a.wav: not written, the waveform's peak is {peak} and would clip"):
        write_audio(tmp_path / "a.wav", waveform, RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "rate", "message"),
    [
        ("a.mp3", RATE, r"cannot write the format '\.mp3'; expected \.wav, \.flac, \.ogg"),
        ("a", RATE, "cannot write the format ''"),
        ("a.wav", 0, "cannot be written at 0 Hz; expected 1000 to 768000 Hz"),
        ("a.flac", 768_000, "cannot be written as FLAC at 768000 Hz"),
        ("a.ogg", 768_000, "cannot be written at 768000 Hz; expected 1000 to 200000 Hz"),
        ("file/a.wav", RATE, r"file/a\.wav: cannot be written \(.*\)\. Check the folder"),
        ("folder.wav", RATE, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path, name: str, rate: int, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(OutputError, match=message) as caught:
        write_audio(tmp_path / name, np.zeros(10), rate)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.wav"]


def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with as_nobody(), pytest.raises(OutputError, match=r"a\.wav: cannot be written \(Permission denied\)"):
        write_audio(tmp_path / "a.wav", np.zeros(10), RATE)


FULL_DISK = """
import resource, signal, sys
import numpy as np
from xaudio import OutputError, write_audio
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_audio(sys.argv[1], np.zeros(100_000), 8000)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_full_disk_is_an_error_and_leaves_the_old_file(run_python: Any, tmp_path: Path, ending: str) -> None:
    """A process that may write 1000 bytes to a file stands for a disk with no space left."""
    path = write_audio(tmp_path / f"a.{ending}", sound(50)[:, 0], RATE)
    before = path.read_bytes()
    code = FULL_DISK.replace("np.zeros(100_000)", "np.random.default_rng(0).uniform(-1, 1, 100_000)")
    done = run_python(code, path)
    assert "cannot be written" in done.stdout, done.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
