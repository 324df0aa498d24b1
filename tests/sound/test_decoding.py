"""Files as other programs leave them: read whole, or refused with the true reason; nothing hangs."""

import io
import os
import re
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings, strategies as st

from xaudio.errors import AudioError
from xaudio.sound import containers, decoding
from xaudio.sound.audio import read_audio
from xaudio.types import FloatArray

RATE = 8000
SOUND = (0.3 * np.sin(np.arange(9001) * 0.07) + 0.05 * np.random.default_rng(0).standard_normal(9001)).astype(np.float32)
UNKNOWN = "its header gives no length: read to the end of the file"


def encoded(form: str, subtype: str | None = None, samples: Any = SOUND, rate: int = RATE, **more: Any) -> bytes:
    """A file as libsndfile writes it."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format=form, subtype=subtype, **more)
    return content.getvalue()


def decoded(content: bytes) -> FloatArray:
    """What libsndfile makes of a whole file."""
    return np.asarray(soundfile.read(io.BytesIO(content), dtype="float32")[0])


def read(folder: Path, content: bytes) -> Any:
    path = folder / "file.bin"
    path.write_bytes(content)
    return read_audio(path)


def refused(folder: Path, content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        read(folder, content)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'file.bin'}: ")
    assert len(message.splitlines()) == 1
    return message


# -------------------------------------------------------------------------------------------- formats, whole and truncated

FORMATS = [
    *[("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")],
    *[("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32")],
    *[("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("W64", "GSM610")],
    *[("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("AIFF", "ULAW"), ("AIFF", "GSM610"), ("AU", "PCM_16"), ("AU", "ULAW")],
    *[("CAF", "PCM_16"), ("CAF", "FLOAT"), ("CAF", "ALAC_16"), ("NIST", "PCM_16")],
    *[("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
]


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_every_format_is_read_whole_and_refused_when_it_is_cut(tmp_path: Path, form: str, subtype: str) -> None:
    content = encoded(form, subtype)
    clip = read(tmp_path, content)
    # libsndfile's own whole-file read fails on what cannot be sought; for these its sequential read is what is compared.
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        expected = file.read(file.frames, dtype="float32")
    assert np.array_equal(clip.waveform, expected)
    assert len(clip.waveform) >= len(SOUND)
    assert clip.notes == ()
    for share in (0.98, 2 / 3, 0.4):
        message = refused(tmp_path, content[: int(len(content) * share)])
        assert "is truncated" in message, (share, message)


@pytest.mark.parametrize("form", ["VOC", "HTK", "MAT5", "PVF", "IRCAM"])
def test_a_format_whose_truncation_cannot_be_told_is_refused_by_name(tmp_path: Path, form: str) -> None:
    assert f"is a {form} file, which xaudio does not read; expected WAV, FLAC, OGG" in refused(tmp_path, encoded(form, "PCM_16"))


@pytest.mark.slow
@settings(max_examples=150)
@given(st.sampled_from([pair for pair in FORMATS if pair[0] != "CAF"]), st.floats(0, 1), st.binary(max_size=3))
def test_any_cut_is_a_clip_or_an_error(tmp_path_factory: Any, kind: tuple[str, str], share: float, junk: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = encoded(*kind, samples=SOUND[:1500])
    try:
        clip = read(folder, content[: int(len(content) * share)] + junk)
    except AudioError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(clip.waveform) >= 2


# ------------------------------------------------------------------------------------------- lengths that nobody filled in

PCM = np.arange(-4000, 4000, dtype="<i2")
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf59.27.100\0"


def wav(data: bytes, length: int, behind: bytes = b"", *, order: str = "<", before: bytes = b"", riff: int = 0) -> bytes:
    """A WAV file of 16-bit samples by hand, with any length in its header."""
    form = struct.pack(order + "HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    chunks = b"WAVE" + before + b"fmt " + struct.pack(order + "I", 16) + form + b"data" + struct.pack(order + "I", length)
    return (b"RIFF" if order == "<" else b"RIFX") + struct.pack(order + "I", riff) + chunks + data + behind


def ints(clip: Any) -> list[int]:
    return [int(sample) for sample in np.round(clip.waveform * 32768)]


@pytest.mark.parametrize("behind", [b"", LIST, LIST + b"id3 \x02\0\0\0ab", b"cue \x04\0\0\0\0\0\0\0" + LIST])
@pytest.mark.parametrize(
    "length",
    [
        0,
        0x7FFFFFFF,
        0x7FFFFFFE,
        0x7FFFF000,
        0x7FFFF000 - 36,
        0x7FFFFFFF - 36,
        0x80000000,
        0x80000000 - 44,
        2**32 - 1,
        2**32 - 37,
        2**32 - 45,
        2**32 - 2,
    ],
)
def test_a_placeholder_is_no_length(tmp_path: Path, length: int, behind: bytes) -> None:
    clip = read(tmp_path, wav(PCM.tobytes(), length, behind, riff=length))
    assert ints(clip) == PCM.tolist()
    assert clip.notes == (UNKNOWN,)


@pytest.mark.parametrize("length", [len(PCM) * 2 + 2, 100_000, 0x7FFFFFF0, 0x70000000])
def test_any_other_length_beyond_the_file_is_truncation(tmp_path: Path, length: int) -> None:
    assert "is truncated" in refused(tmp_path, wav(PCM.tobytes(), length))


@pytest.mark.parametrize("behind", [b"", LIST])
def test_a_recording_without_samples_is_called_so(tmp_path: Path, behind: bytes) -> None:
    assert "has 0 samples; expected at least two" in refused(tmp_path, wav(b"", 0, behind))


def test_chunks_of_every_kind_around_the_samples_are_no_samples(tmp_path: Path) -> None:
    bext = b"bext" + struct.pack("<I", 603) + bytes(603) + b"\0"  # Broadcast WAV; an odd length and its padding
    huge = b"LIST" + struct.pack("<I", 1 << 21) + bytes(1 << 21)
    odd = b"abcd\x01\0\0\0x\0"
    for before in (bext, huge, odd, LIST + odd + bext):
        clip = read(tmp_path, wav(PCM.tobytes(), len(PCM) * 2, LIST, before=before))
        assert ints(clip) == PCM.tolist()
        assert clip.notes == ()
    big_endian = wav(PCM.astype(">i2").tobytes(), len(PCM) * 2, order=">")
    assert ints(read(tmp_path, big_endian)) == PCM.tolist()
    assert "is truncated" in refused(tmp_path, big_endian[:-500])


def test_an_odd_number_of_bytes_may_lack_its_padding(tmp_path: Path) -> None:
    content = encoded("WAV", "PCM_U8", SOUND[:101])
    for whole in (content, content.rstrip(b"\0")[: 44 + 101]):
        assert len(read(tmp_path, whole).waveform) == 101


def patched(content: bytes, place: bytes, at: int, new: bytes) -> bytes:
    """A file with other bytes, counted from a mark in it."""
    start = content.index(place) + at
    return content[:start] + new + content[start + len(new) :]


@pytest.mark.parametrize(
    ("form", "mark", "at", "new"),
    [
        ("AU", b".snd", 8, b"\xff" * 4),
        ("AU", b".snd", 8, bytes(4)),
        ("AIFF", b"SSND", 4, bytes(4)),
        ("AIFF", b"SSND", 4, b"\x7f\0\0\x08"),
        ("CAF", b"data", 4, b"\xff" * 8),
        ("CAF", b"data", 4, bytes(8)),
        ("W64", b"data", 16, b"\xff" * 8),
        ("W64", b"data", 16, b"\xff" * 7 + b"\x7f"),
        ("W64", b"data", 16, bytes(8)),
        ("RF64", b"ds64", 8, bytes(24)),
        ("RF64", b"ds64", 8, b"\xff" * 16),
    ],
)
def test_other_formats_of_unknown_length_are_read_to_their_end(
    tmp_path: Path, form: str, mark: bytes, at: int, new: bytes
) -> None:
    content = patched(encoded(form, "PCM_16"), mark, at, new)
    clip = read(tmp_path, content)
    assert np.array_equal(clip.waveform, decoded(encoded("WAV", "PCM_16")))
    assert clip.notes == (UNKNOWN,)


def test_a_flac_of_unknown_length_is_read_and_its_truncation_is_seen(tmp_path: Path) -> None:
    content = encoded("FLAC", "PCM_16", np.tile(SOUND, 5))
    streamed = content[:21] + bytes([content[21] & 0xF0]) + bytes(4) + content[26:]
    assert np.array_equal(read(tmp_path, streamed).waveform, decoded(content))
    assert "is truncated or damaged" in refused(tmp_path, streamed[: len(streamed) * 2 // 3])


# ------------------------------------------------------------------------------------------------------------------ Ogg


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_all_links_of_a_chained_ogg_are_read(tmp_path: Path, subtype: str) -> None:
    one, two, three = (encoded("OGG", subtype, part, 48000) for part in (SOUND, SOUND[:5000], -SOUND))
    clip = read(tmp_path, one + two + three)
    assert np.array_equal(clip.waveform, np.concatenate([decoded(link) for link in (one, two, three)]))
    assert clip.notes == ("3 links of the Ogg stream read one after the other",)
    assert "is truncated" in refused(tmp_path, one + two[:-100])
    assert "is damaged" in refused(tmp_path, one + b"junk" * 20 + two)


def test_links_of_different_kinds_are_refused_with_their_numbers(tmp_path: Path) -> None:
    mono, stereo, fast = encoded("OGG"), encoded("OGG", samples=np.stack([SOUND, SOUND], 1)), encoded("OGG", rate=16000)
    assert "the first has 8000 Hz and 1 channel, number 2 16000 Hz and 1." in refused(tmp_path, mono + fast)
    assert "the first has 8000 Hz and 1 channel, number 3 8000 Hz and 2." in refused(tmp_path, mono + mono + stereo)


def pages(content: bytes) -> list[bytes]:
    starts = [match.start() for match in re.finditer(b"OggS", content)]
    return [content[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def test_a_missing_page_and_a_missing_end_are_told(tmp_path: Path) -> None:
    content = encoded("OGG", samples=np.tile(SOUND, 20))
    parts = pages(content)
    assert len(parts) > 6
    assert "is damaged: 1 Ogg pages are missing" in refused(tmp_path, b"".join(parts[:4] + parts[5:]))
    clip = read(tmp_path, b"".join(parts[:-1]))
    assert clip.notes == ("the Ogg stream has no last page: its end may be missing",)
    # A recorded net radio: the headers, and then the pages from some moment on.
    assert len(read(tmp_path, b"".join(parts[:2] + parts[5:])).waveform) < len(SOUND) * 20
    assert read(tmp_path, content + b"TAG" + bytes(125)).notes == ()


def ogg_page(body: bytes, number: int, flags: int) -> bytes:
    table = bytes([255] * (len(body) // 255) + [len(body) % 255])
    granule = 0 if number < 2 else len(SOUND)
    return b"OggS\0" + bytes([flags]) + struct.pack("<qIII", granule, 7, number, 0) + bytes([len(table)]) + table + body


def test_flac_in_ogg_is_read(tmp_path: Path) -> None:
    flac = encoded("FLAC", "PCM_16")
    metadata = flac[42:]
    length = 4 + int.from_bytes(metadata[1:4])
    audio = metadata[length:]
    assert metadata[0] & 0x80  # one block of metadata after the first, the last
    bodies = [
        b"\x7fFLAC\x01\0\0\x01" + flac[:42],
        metadata[:length],
        *[audio[at : at + 20000] for at in range(0, len(audio), 20000)],
    ]
    content = b"".join(ogg_page(body, n, 2 * (n == 0) + 4 * (n == len(bodies) - 1)) for n, body in enumerate(bodies))
    assert np.array_equal(read(tmp_path, content).waveform, decoded(flac))
    assert len(read(tmp_path, content + content).waveform) == 2 * len(SOUND)
    assert "is truncated" in refused(tmp_path, content[:-300])


# ------------------------------------------------------------------------------------------------------------------ MP3


def frames(mode: str) -> tuple[bytes, bytes]:
    """An MP3 file with the frame that gives its length, and the same without; noise that grows, so that frames differ."""
    sound = SOUND * np.linspace(0, 1, len(SOUND), dtype=np.float32) ** 4
    content = encoded("MP3", samples=np.tile(sound, 4), rate=16000, bitrate_mode=mode, compression_level=0.5)
    start = content.index(b"Xing" if mode != "CONSTANT" else b"Info")
    first = content.rindex(b"\xff", 0, start)
    second = content.index(content[first : first + 2], start)
    return content, content[second:]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_without_a_number_of_frames_is_read_whole(tmp_path: Path, mode: str) -> None:
    content, bare = frames(mode)
    whole = read(tmp_path, content)
    assert len(whole.waveform) == 4 * len(SOUND)
    assert whole.notes == ()
    plain = read(tmp_path, bare)
    # Whole frames, which begin with the delay of encoder and decoder that the other file's first frame knows.
    assert len(plain.waveform) % 576 == 0
    assert 4 * len(SOUND) < len(plain.waveform) < 4 * len(SOUND) + 4 * 576
    delay = next(at for at in range(2500) if np.allclose(plain.waveform[at:][:9001], whole.waveform[:9001], atol=1e-3))
    assert np.allclose(plain.waveform[delay:][: 4 * len(SOUND)][9001:-2000], whole.waveform[9001:-2000], atol=1e-3)
    id3 = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    for around in (id3 + bare, bare + b"TAG" + bytes(125), bare + bytes(5000), bare + b"junk " * 300, id3 + bytes(900) + bare):
        assert np.array_equal(read(tmp_path, around).waveform, plain.waveform)
    assert plain.notes == (UNKNOWN,)
    assert "is truncated" in refused(tmp_path, bare[:-7])
    assert "is truncated" in refused(tmp_path, content[: len(content) // 2])
    assert "bytes from byte" in refused(tmp_path, bare[:-1] + b"junk" * 100 + bare)


def test_a_truncation_between_two_frames_is_seen_where_their_number_is_known(tmp_path: Path) -> None:
    content, bare = frames("CONSTANT")
    size = next(at for at in range(50, 2000) if bare[at : at + 3] == bare[:3])
    assert re.search(r"is truncated: its header promises \d+ frames, it holds \d+\.", refused(tmp_path, content[: -2 * size]))


def test_mp3_files_one_after_the_other_are_all_read(tmp_path: Path) -> None:
    content, _ = frames("VARIABLE")
    single = read(tmp_path, content).waveform
    clip = read(tmp_path, content + b"TAG" + bytes(125) + content)
    assert np.array_equal(clip.waveform, np.concatenate([single, single]))
    assert clip.notes == ("2 MP3 recordings in one file read one after the other",)
    other = encoded("MP3", rate=22050)
    assert "the first has 16000 Hz and 1 channel, number 2 22050 Hz and 1." in refused(tmp_path, content + other)


# ------------------------------------------------------------------------------------------------ what is no file of sound


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x20ftypM4A ", "an MP4 file (m4a, video)"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "a Matroska or WebM file (mka, mkv, video)"),
        (b"RIFF\x24\0\0\0AVI LIST", "an AVI video"),
        (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", "a Windows Media file (wma, asf)"),
        (b"\xff\xf1\x50\x80", "an AAC file"),
    ],
)
def test_what_must_be_converted_is_named_with_the_command(tmp_path: Path, head: bytes, kind: str) -> None:
    path = tmp_path / "my talk.m4a"
    path.write_bytes(head + bytes(5000))
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    wav_path = tmp_path / "my talk.wav"
    assert str(caught.value) == f"{path}: is {kind}, which xaudio does not read. Convert it: ffmpeg -i '{path}' '{wav_path}'"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
class TestPipes:
    def test_a_pipe_is_read_to_its_end(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for content in (encoded("WAV"), encoded("FLAC"), encoded("OGG") * 2, wav(PCM.tobytes(), 0xFFFFFFFF)):
            expected = read(tmp_path, content)
            writer = threading.Thread(target=pipe.write_bytes, args=(content,))
            writer.start()
            clip = read_audio(pipe)
            writer.join()
            assert np.array_equal(clip.waveform, expected.waveform)
            assert clip.source == str(pipe)

    def test_a_pipe_into_which_nothing_is_written_is_not_waited_for(self, tmp_path: Path, monkeypatch: Any) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        monkeypatch.setattr(decoding, "PIPE_SECONDS", 0.1)
        with pytest.raises(AudioError, match=r"pipe: nothing was written into this pipe for 0\.1 s"):
            read_audio(pipe)
        writing = os.open(pipe, os.O_RDWR)  # a writer that is there and says nothing
        with pytest.raises(AudioError, match="nothing was written"):
            read_audio(pipe)
        os.close(writing)

    def test_a_pipe_that_never_ends_is_refused(self, processes: None, tmp_path: Path, monkeypatch: Any) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        monkeypatch.setattr(decoding, "PIPE_BYTES", 1 << 20)
        endless = subprocess.Popen(["/bin/sh", "-c", f"exec cat /dev/zero > '{pipe}'"], stderr=subprocess.DEVNULL)
        with pytest.raises(AudioError, match="more than .* came out of this pipe"):
            read_audio(pipe)
        endless.wait(timeout=20)

    @pytest.mark.parametrize("given", ["pipe", "file"])
    def test_standard_input_is_read(self, run_python: Any, tmp_path: Path, given: str) -> None:
        path = tmp_path / "a.wav"
        path.write_bytes(encoded("WAV", "PCM_16"))
        code = "from xaudio.sound.audio import read_audio; print(len(read_audio('/dev/stdin').waveform))"
        with path.open("rb") as file:
            source: dict[str, Any] = {"stdin": file} if given == "file" else {"input": path.read_bytes()}
            done = run_python(code, text=False, **source)
        assert done.stdout.decode() == f"{len(SOUND)}\n"


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device: str) -> None:
    if not Path(device).exists():
        pytest.skip("no such device here")
    with pytest.raises(AudioError, match="is a device, not a recording"):
        read_audio(device)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "growing.wav"
    path.write_bytes(encoded("WAV"))
    streams = containers.streams

    def grows(*given: Any) -> Any:
        with path.open("ab") as file:
            file.write(bytes(100))
        return streams(*given)

    monkeypatch.setattr(decoding, "streams", grows)
    with pytest.raises(AudioError, match=r"growing\.wav: changed while it was read"):
        read_audio(path)


def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin\xe9.wav"))
    try:
        path.write_bytes(encoded("WAV", "PCM_16"))
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    clip = read_audio(path)
    assert len(clip.waveform) == len(SOUND)
    assert clip.source == str(path)
    assert clip.name == "latin\N{REPLACEMENT CHARACTER}.wav"


def test_an_mp3_of_nothing_but_its_header_is_truncated(tmp_path: Path) -> None:
    frame = b"\xff\xfb\x90\x00".ljust(36, b"\0") + b"VBRI"
    assert "is truncated: behind its header no frame follows" in refused(tmp_path, frame.ljust(417, b"\0"))
