import io
import json
import struct
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings, strategies as st

from xaudio import DataError
from xaudio_audiomnist import audiomnist, fetch as module
from xaudio_audiomnist.fetch import download, fetch, unpack, verify

ROOT = "AudioMNIST-master/"
TIMEOUT = (2.0, 0.4)


def wav(seconds: float = 0.02) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 48_000))
    soundfile.write(buffer, noise, 48_000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def members() -> dict[str, bytes]:
    """Three speakers with two recordings, and what else the repository holds."""
    recordings = {f"{ROOT}data/{name:02d}/{digit}_{name:02d}_0.wav": wav() for name in (1, 2, 3) for digit in (0, 7)}
    sexes = {f"{speaker:02d}": {"gender": "male"} for speaker in (1, 2, 3)}
    metadata = json.dumps(sexes).encode()
    others = {f"{ROOT}LICENSE": b"MIT", f"{ROOT}preprocess_data.py": b"pass", f"{ROOT}data/03/notes.txt": b""}
    return {f"{ROOT}data/audioMNIST_meta.txt": metadata, **others, **recordings}


def archive(content: dict[str, bytes], *, extra: list[tuple[zipfile.ZipInfo, bytes]] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir(ROOT.rstrip("/"))
        for name, data in content.items():
            file.writestr(name, data)
        for info, data in extra or []:
            file.writestr(info, data)
    return buffer.getvalue()


GOOD = archive(members())


class Server:
    """What the test serves and what it was asked for."""

    def __init__(self) -> None:
        self.body = GOOD
        self.status = 200
        self.send = len(GOOD)
        self.ranges = self.stall = self.chunked = False
        self.asked: list[str | None] = []
        self.release = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_state": self}))
        self.url = f"http://127.0.0.1:{self.http.server_port}/archive.zip"

    def serve(self, body: bytes, status: int = 200) -> None:
        self.body, self.status, self.send = body, status, len(body)


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def do_GET(self) -> None:
        state = self.server_state
        wanted = self.headers.get("Range")
        state.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0
        if start >= len(state.body):
            self.send_error(416)
            return
        self.send_response(206 if start else state.status)
        if state.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            part = state.body[: state.send]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))  # and no last chunk
            return
        self.send_header("Content-Length", str(len(state.body) - start))
        self.end_headers()
        self.wfile.write(state.body[start : state.send])
        self.wfile.flush()
        if state.stall:
            state.release.wait(10)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    thread = threading.Thread(target=state.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    state.release.set()
    state.http.shutdown()
    thread.join()
    state.http.server_close()


def get(server: Server, folder: Path, **options: int) -> Path:
    expected = {"speakers": 3, "per_speaker": 2} | options
    return fetch(folder / "audiomnist", url=server.url, progress=False, timeout=TIMEOUT, **expected)


def refused(server: Server, folder: Path, pattern: str, **options: int) -> None:
    """Fetching fails with one line, and leaves at most a part of a download to continue."""
    with pytest.raises(DataError, match=pattern) as caught:
        get(server, folder, **options)
    assert "\n" not in str(caught.value)
    assert server.url in str(caught.value)
    assert {path.name for path in folder.iterdir()} <= {"audiomnist.download.zip.part"}


@pytest.mark.slow
def test_a_good_archive_becomes_a_data_set(server: Server, tmp_path: Path) -> None:
    folder = get(server, tmp_path / "new" / "cache")
    assert folder == (tmp_path / "new" / "cache" / "audiomnist").resolve()
    assert [path.name for path in folder.parent.iterdir()] == ["audiomnist"]
    content = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    unwanted = ("preprocess_data.py", "data/03/notes.txt")
    assert content == {name.removeprefix(ROOT): data for name, data in members().items() if not name.endswith(unwanted)}
    dataset = audiomnist(data=folder)
    assert dataset.labels("sex").tolist() == [0] * 6
    assert dataset[0].sample_rate == 48_000


def test_what_is_there_is_only_verified(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    assert get(server, tmp_path) == (tmp_path / "audiomnist").resolve()
    assert len(server.asked) == 1
    (tmp_path / "audiomnist" / "data" / "02" / "7_02_0.wav").unlink()
    with pytest.raises(DataError, match=r"1 recording of speaker 02.*Remove the folder"):
        get(server, tmp_path)


def test_an_empty_destination_is_filled_and_a_file_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "audiomnist").mkdir()
    assert len(audiomnist(data=get(server, tmp_path))) == 6
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "audiomnist").touch()
    with pytest.raises(DataError, match="is a file"):
        get(server, tmp_path / "file")


def test_a_factory_attribute_fetches(server: Server, tmp_path: Path) -> None:
    options = {"url": server.url, "progress": False, "speakers": 3, "per_speaker": 2}
    assert audiomnist.fetch(tmp_path / "audiomnist", **options).is_dir()


def test_the_progress_goes_to_stderr(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(tmp_path / "audiomnist", url=server.url, speakers=3, per_speaker=2)
    captured = capsys.readouterr()
    assert all(word in captured.err for word in ("Downloading", "Unpacking", "Checking"))
    assert not captured.out


@pytest.mark.slow
@pytest.mark.parametrize("ranges", [True, False])
def test_a_stalled_download_is_continued(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool) -> None:
    monkeypatch.setattr(module, "CHUNK", 1000)
    server.stall, server.send = True, len(GOOD) // 2
    refused(server, tmp_path, r"sent nothing for 0\.4 s.*again")
    received = (tmp_path / "audiomnist.download.zip.part").stat().st_size
    assert received == len(GOOD) // 2 // 1000 * 1000
    server.stall, server.send, server.ranges = False, len(GOOD), ranges
    assert len(audiomnist(data=get(server, tmp_path))) == 6
    assert server.asked == [None, f"bytes={received}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["audiomnist"]


@pytest.mark.parametrize("chunked", [True, False])
def test_a_truncated_download(server: Server, tmp_path: Path, chunked: bool) -> None:
    server.chunked, server.send = chunked, len(GOOD) - 100
    refused(server, tmp_path, r"broke off.*again")


def test_the_continuation_of_a_changed_file_is_noticed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "audiomnist.download.zip.part").write_bytes(b"x" * 500)
    server.ranges = True
    refused(server, tmp_path, r"archive.*removed; run the command again")
    assert len(audiomnist(data=get(server, tmp_path))) == 6


def test_a_part_as_long_as_the_file_is_discarded(server: Server, tmp_path: Path) -> None:
    (tmp_path / "audiomnist.download.zip.part").write_bytes(GOOD)
    server.ranges = True
    refused(server, tmp_path, "cannot continue")
    assert len(audiomnist(data=get(server, tmp_path))) == 6


def test_wrong_answers(server: Server, tmp_path: Path) -> None:
    server.serve(b"<html>Sign in</html>")
    refused(server, tmp_path, "not a whole zip archive")
    server.serve(b"Not Found", 404)
    refused(server, tmp_path, "answered 404 Not Found")
    server.serve(archive({"README": b""}))
    refused(server, tmp_path, "holds no recordings")
    assert not list(tmp_path.iterdir())


def test_no_server(server: Server, tmp_path: Path) -> None:
    for url, pattern in [
        ("http://127.0.0.1:1/x.zip", "cannot be reached"),
        ("ftp://127.0.0.1/x.zip", "not a download address"),
        ("nonsense", "not a download address"),
        ("http://", "not a download address"),
    ]:
        with pytest.raises(DataError, match=pattern):
            fetch(tmp_path / "audiomnist", url=url, progress=False, timeout=TIMEOUT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "../evil.wav",
        ROOT + "data/01/../../../evil",
        "/evil",
        "C:/evil",
        "C:\\evil",
        ROOT + "..\\..\\evil",
        "..",
        "data/01/a\0../b",
    ],
)
def test_members_outside_the_folder(server: Server, tmp_path: Path, name: str) -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    server.serve(archive(members(), extra=[(info, b"evil")]))
    inner = tmp_path / "inner"
    inner.mkdir()
    refused(server, inner, "outside the archive's folder")
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]


@pytest.mark.parametrize("kind", [0o120777, 0o010644, 0o060644])
def test_links_and_special_files(server: Server, tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo(ROOT + "data/01/5_01_0.wav")
    info.external_attr = kind << 16
    server.serve(archive(members(), extra=[(info, b"/etc/passwd")]))
    refused(server, tmp_path, "link or special file")


@pytest.mark.slow
def test_bombs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = ROOT + "data/01/5_01_0.wav"
    for size in (50_000_000, 500_000):  # too large; not too large, but of zeros
        server.serve(archive({**members(), bomb: bytes(size)}))
        refused(server, tmp_path, "zip bomb")
    server.serve(archive({**members(), ROOT + "unwanted.bin": bytes(50_000_000)}))
    assert len(audiomnist(data=get(server, tmp_path / "unwanted"))) == 6
    (tmp_path / "bounds").mkdir()
    server.serve(GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(module, "MAX_MEMBERS", 5)
        refused(server, tmp_path / "bounds", "members; at most 5")
    with monkeypatch.context() as patch:
        patch.setattr(module, "MAX_TOTAL", 5_000)
        refused(server, tmp_path / "bounds", "zip bomb")


def test_a_member_longer_than_it_says(server: Server, tmp_path: Path) -> None:
    """The sizes in the headers are lowered, so that the check of the sizes passes."""
    name = (ROOT + "data/01/0_01_0.wav").encode()
    body = bytearray(GOOD)
    for place, offset in ((body.index(name) - 30, 22), (body.rindex(name) - 46, 24)):
        struct.pack_into("<I", body, place + offset, 100)
    server.serve(bytes(body))
    refused(server, tmp_path, r"whole zip archive|damaged")


def test_damaged_and_odd_members(server: Server, tmp_path: Path) -> None:
    body = bytearray(GOOD)
    place = body.index(b"7_03_0.wav") + 200
    body[place : place + 50] = bytes(50)
    server.serve(bytes(body))
    refused(server, tmp_path, "whole zip archive|damaged")
    server.serve(archive(members(), extra=[(zipfile.ZipInfo(f"other/data/01/{digit}_01_0.wav"), wav()) for digit in (0,)]))
    refused(server, tmp_path, "twice")
    packed = zipfile.ZipInfo(ROOT + "data/01/5_01_0.wav")
    packed.compress_type = zipfile.ZIP_LZMA
    server.serve(archive(members(), extra=[(packed, wav())]))
    refused(server, tmp_path, "not taken")


def test_incomplete_or_unreadable_corpora(server: Server, tmp_path: Path) -> None:
    refused(server, tmp_path, r"2 recordings of speaker 01; expected 3 speakers with 5 each", per_speaker=5)
    refused(server, tmp_path, r"0 recordings of speaker 04; expected 4 speakers", speakers=4)
    refused(server, tmp_path, r"2 recordings of speaker 03; expected 2 speakers", speakers=2)
    server.serve(archive({**members(), ROOT + "data/audioMNIST_meta.txt": b"{"}))
    refused(server, tmp_path, r"audioMNIST_meta\.txt cannot be used \(it is not JSON")
    server.serve(GOOD)
    path = ROOT + "data/02/7_02_0.wav"
    server.serve(archive({**members(), path: b"RIFF"}))
    refused(server, tmp_path, r"7_02_0\.wav: cannot be read")
    server.serve(archive({**members(), path: wav()[:-100]}))
    refused(server, tmp_path, r"7_02_0\.wav: is truncated")
    server.serve(archive({**members(), path: wav(1.01)}))
    refused(server, tmp_path, r"7_02_0\.wav: is 1\.010 s long")


def test_an_interrupted_unpacking_leaves_the_download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "verify", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audiomnist.download.zip"]
    assert len(audiomnist(data=get(server, tmp_path))) == 6
    assert len(server.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["audiomnist"]


def test_a_full_disk_leaves_the_download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "unpack", full)
    with pytest.raises(DataError, match=r"No space left on device.*space left"):
        get(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audiomnist.download.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_continued_download_is_the_file(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.ranges = ranges
    target = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(GOOD[:1000])
    download(server.url, target, timeout=TIMEOUT, progress=False)
    assert target.read_bytes() == GOOD
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_verify_takes_any_corpus(tmp_path: Path) -> None:
    (tmp_path / "01").mkdir()
    (tmp_path / "01" / "3_01_0.wav").write_bytes(wav(0.5))
    (tmp_path / "audioMNIST_meta.txt").write_text('{"01": {"gender": "male"}}')
    verify(tmp_path, speakers=1, per_speaker=1, progress=False)
    with pytest.raises(DataError, match=r"longer than 0\.4 s"):
        verify(tmp_path, speakers=1, per_speaker=1, longest=0.4, progress=False)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(GOOD)))
def test_any_damage_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, changes, cut: int) -> None:
    folder = tmp_path_factory.mktemp("damage")
    body = bytearray(GOOD)
    for place, value in changes:
        body[place - len(GOOD) // 3 if place % 2 else place] = value  # the directory, at the end, as often as the data
    (folder / "file.zip").write_bytes(body if cut % 3 else body[:cut])
    try:
        unpack(folder / "file.zip", folder / "out", progress=False)
    except DataError:
        pass
    else:
        good = {name.removeprefix(ROOT): data for name, data in members().items()}
        written = {path.relative_to(folder / "out").as_posix(): path.read_bytes() for path in (folder / "out").rglob("*.wav")}
        assert set(written.values()) <= set(good.values())
    assert {path.name for path in folder.iterdir()} <= {"file.zip", "out"}
