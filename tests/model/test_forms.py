"""The forms in which people have recordings: bytes, streams, mappings, arrays of one or many."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import xaudio
from xaudio.model.arguments import as_clip, as_recordings

RATE = 8000
SOUND = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) * np.hanning(RATE)


class Stream:
    """Bytes that come once and cannot be sought, as from a socket."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self.content.read(min(size, 1000))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sound.flac"
    soundfile.write(path, np.stack([SOUND, -0.5 * SOUND], 1), RATE)
    return path


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 2, 65, stride=32), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 248, 3))


def explained(network: nn.Module, audio, **options):
    settings = {"representation": "waveform:samples=8000", "explainer": "gradient", "sample_rate": RATE, "kind": "classes"}
    return xaudio.explain(network, audio, **settings | options)


def test_bytes_streams_and_files_are_read_as_the_file_is(file: Path) -> None:
    whole = xaudio.read_audio(file)
    content = file.read_bytes()
    with file.open("rb") as opened:
        forms = [content, bytearray(content), memoryview(content), io.BytesIO(content), Stream(content), opened]
        for form in forms:
            assert np.array_equal(as_clip(form).waveform, whole.waveform)
    assert as_clip({"bytes": content, "path": "a.flac"}).source == "a.flac"
    assert np.array_equal(as_clip({"path": file}).waveform, whole.waveform)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"", "the file is empty"),
        (b"no sound, just text", "cannot be read as audio"),
        (io.StringIO("text"), "binary mode"),
        ({}, "holds nothing"),
        ({"array": SOUND}, "no 'sampling_rate'"),
        ({"array": SOUND, "sampling_rate": 0}, "sample rate is 0"),
        ({"array": [[1.0, 2.0], [1.0]], "sampling_rate": RATE}, "array"),
        (3.0, "Cannot explain a float"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(given, words: str) -> None:
    with pytest.raises(xaudio.AudioError, match=words) as error:
        as_clip(given)
    assert "\n" not in str(error.value)


def test_a_mapping_has_its_own_rate() -> None:
    clip = as_clip({"array": SOUND.tolist(), "sampling_rate": np.int64(RATE), "path": "x.wav"})
    assert (clip.sample_rate, clip.source, len(clip.waveform)) == (RATE, "x.wav", RATE)
    with pytest.raises(xaudio.AudioError, match="says 8000 Hz"):
        as_clip({"array": SOUND, "sampling_rate": RATE}, 16000)


def test_channels_are_mixed_or_one_is_taken(file: Path) -> None:
    both = soundfile.read(file, dtype="float32")[0]
    assert np.allclose(xaudio.read_audio(file).waveform, both.mean(1), atol=1e-7)
    for channels, index in (("left", 0), (0, 0), ("right", 1), (1, 1)):
        clip = xaudio.read_audio(file, channels=channels)
        assert np.array_equal(clip.waveform, both[:, index])
        assert (clip.notes, clip.channel) == ((f"channel {index} of 2 taken",), index)
        assert as_clip(clip).channel == as_clip(both.T, RATE, channels).channel == index
        assert np.array_equal(as_clip(both.T, RATE, channels).waveform, both[:, index])
    for channels, one in (("mean", both.T), ("all", both.T), (0, both.T[:1]), (0, both[:, 0])):
        assert as_clip(one, RATE, channels).channel is None
    for wrong in (2, -1, "middle", 0.5):
        with pytest.raises(xaudio.AudioError, match="there is no channel"):
            xaudio.read_audio(file, channels=wrong)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_an_array_of_several_recordings_is_several(network: nn.Module, kind) -> None:
    many = np.stack([SOUND, 0.5 * SOUND, SOUND[::-1]]).astype(np.float32)
    for audio in (kind(many), kind(many[:, None])):
        found = explained(network, audio)
        assert len(found) == 3
        for one, row in zip(found, many, strict=True):
            assert np.array_equal(one.relevance, explained(network, row).relevance)
            assert not any("mixed" in note for note in one.clip.notes)
    assert not isinstance(explained(network, kind(many[:1])), list)
    assert len(explained(network, kind(many[:1, None]))) == 1


def test_two_rows_are_not_guessed_at(network: nn.Module) -> None:
    stereo = np.stack([SOUND, 0.5 * SOUND]).astype(np.float32)
    with pytest.raises(xaudio.AudioError, match=r"shape \(2, 8000\): two recordings, or two channels of one\?"):
        explained(network, stereo)
    assert len(explained(network, list(stereo))) == 2
    mixed, left = explained(network, stereo, channels="mean"), explained(network, stereo, channels="left")
    assert np.allclose(mixed.clip.waveform, 0.75 * SOUND, atol=1e-6)
    assert np.allclose(left.clip.waveform, SOUND, atol=1e-6)
    assert as_recordings(stereo.T) is not None
    with pytest.raises(xaudio.AudioError, match="Transpose it"):
        explained(network, stereo.T)


@pytest.mark.parametrize("rate", [4000, 11025, 96000, 250_000, 384_000, 500_000])
def test_rates_of_recorders_are_read_and_brought_to_the_models(tmp_path: Path, network: nn.Module, rate: int) -> None:
    time = np.arange(rate) / rate
    soundfile.write(tmp_path / "x.wav", 0.3 * np.sin(2 * np.pi * 440 * time), rate)
    found = explained(network, tmp_path / "x.wav")
    heard = found.clip.waveform
    assert found.clip.sample_rate == RATE
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / RATE)
    assert np.abs(heard - expected)[200:-200].max() < 5e-3


def test_floats_beyond_full_scale_and_integers_as_floats_are_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", 5 * SOUND, RATE, subtype="FLOAT")
    assert any("peaks at 1." in note for note in xaudio.read_audio(tmp_path / "loud.wav").notes)
    whole = np.round(20000 * SOUND)
    assert any("whole numbers stored as floats" in note for note in as_clip(whole, RATE).notes)
