"""Pages of Ogg and frames of MPEG audio: how many there are, and whether they are all there."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO, NamedTuple

from ..output.words import counted


class IncompleteError(Exception):
    """A file holds less than it should, or cannot be read as one recording; the message says why."""


# ------------------------------------------------------------------------------------------------------------------ Ogg


LARGEST_PAGE = 27 + 255 + 255 * 255


@dataclass
class Link:
    """One of the recordings that follow each other in an Ogg file: its pages, and where the audio in them lies."""

    pages: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    serials: dict[int, int] = field(default_factory=dict)  # of each stream the number of its last page
    headers_only: bool = True
    flac: bool = False
    ended: bool = False


def links_of(file: BinaryIO) -> tuple[list[BinaryIO], tuple[str, ...]]:
    """The links of an Ogg file, each as a file of its own, and what is to be noted.

    Raises
    ------
    IncompleteError
        If a page is cut off or missing.
    """
    links = _links(file.read())
    file.seek(0)
    notes = [] if len(links) == 1 else [f"{len(links)} links of the Ogg stream read one after the other"]
    if not links[-1].ended:
        notes.append("the Ogg stream has no last page: its end may be missing")
    if len(links) == 1 and not links[0].flac:
        return [file], tuple(notes)
    return [BytesIO(_native_flac(link) if link.flac else b"".join(link.pages)) for link in links], tuple(notes)


def _native_flac(link: Link) -> bytes:
    """The FLAC file inside an Ogg stream: its packets, less the nine bytes that Ogg needs (libsndfile refuses many of them)."""
    return b"".join(link.bodies)[9:]


def _links(content: bytes) -> list[Link]:
    links: list[Link] = []
    position, began = 0, False
    while content[position : position + 4] == b"OggS":
        page = content[position : position + LARGEST_PAGE]
        body = 27 + page[26] if len(page) > 26 else LARGEST_PAGE
        end = body + sum(page[27:body])
        if end > len(page):
            raise IncompleteError("is truncated: its last page is cut off. Copy or download it again.")
        first = bool(page[5] & 2)
        if not links or (first and not began):
            links.append(Link())
        began = first
        _add(links[-1], page[:end], page[body:end])
        position += end
    if b"OggS" in content[position:]:
        raise IncompleteError(f"is damaged: what follows byte {position} is not an Ogg page. Copy or download it again.")
    return links


def _add(link: Link, page: bytes, body: bytes) -> None:
    serial, number = (int.from_bytes(page[at : at + 4], "little") for at in (14, 18))
    granule = int.from_bytes(page[6:14], "little", signed=True)
    last = link.serials.get(serial, number - 1)
    # A recorded net radio has the pages of the headers and then those from the moment on at which it was tuned in.
    if number != last + 1 and not link.headers_only:
        raise IncompleteError(f"is damaged: {number - last - 1} Ogg pages are missing. Copy or download it again.")
    link.serials[serial] = number
    link.headers_only &= granule <= 0
    link.flac |= body[:5] == b"\x7fFLAC" and len(link.serials) == 1
    link.ended = bool(page[5] & 4)
    link.pages.append(page)
    link.bodies.append(body)


# ----------------------------------------------------------------------------------------------------------------- MPEG

KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates in kbit/s by version (2 stands for 2.5, too) and layer."""

MPEG_RATES = {1: (44100, 48000, 32000), 2: (22050, 24000, 16000), 2.5: (11025, 12000, 8000)}

SEARCHED = 1 << 20
"""Bytes before the first frame that may be something else."""


class Frame(NamedTuple):
    """The header of an MPEG audio frame: version, layer and sample rate, its bytes, and those before a table of contents."""

    kind: tuple[float, int, int]
    size: int
    head: int


@dataclass
class Recording:
    """Frames of one kind that follow each other, and how many its first frame says that there are."""

    kind: tuple[float, int, int]
    parts: list[bytes] = field(default_factory=list)
    promised: int | None = None
    table: int = 0  # where that number is written in the first frame


def frames_of(file: BinaryIO) -> tuple[list[BinaryIO], tuple[str, ...]]:
    """The recordings of an MP3 file without tags and what else is no sound; any other file as it is.

    Where the number of frames is not given, libsndfile takes the first one's size for that of all, and the rest is lost.

    Raises
    ------
    IncompleteError
        If a frame is cut off or frames are missing.
    """
    head = file.read(12)
    file.seek(0)
    if head[:3] != b"ID3" and head[:1] != b"\xff" and head.strip(b"\0"):
        return [file], ()
    content = file.read()
    file.seek(0)
    start = _next_frame(content, _after_tags(content, 0))
    if start is None:
        return [file], ()
    recordings = _recordings(content, start)
    notes = [] if len(recordings) == 1 else [f"{len(recordings)} MP3 recordings in one file read one after the other"]
    if any(recording.promised is None for recording in recordings):
        notes.append("its header gives no length: read to the end of the file")
    return [BytesIO(_counted(recording)) for recording in recordings], tuple(notes)


def _recordings(content: bytes, position: int) -> list[Recording]:
    recordings: list[Recording] = []
    while position < len(content):
        frame = _frame(content, position)
        if frame is None:
            position, before = _after_tags(content, position), position
            if position == before:
                _refuse_frames_behind(content, position)
                break
            continue
        part = content[position : position + frame.size]
        if len(part) < frame.size:
            raise IncompleteError("is truncated: its last frame is cut off. Copy or download it again.")
        _take(recordings, frame, part)
        position += frame.size
    for recording in recordings:
        if not recording.parts:
            raise IncompleteError("is truncated: behind its header no frame follows. Copy or download it again.")
        if recording.promised is not None and recording.promised > len(recording.parts):
            raise IncompleteError(
                f"is truncated: its header promises {recording.promised} frames, it holds {len(recording.parts) - 1}. "
                "Copy or download it again."
            )
    return recordings


def _take(recordings: list[Recording], frame: Frame, part: bytes) -> None:
    """Add a frame to the last recording, or begin another one with it."""
    table = next((at for at in (frame.head, frame.head + 2) if part[at : at + 4] in (b"Xing", b"Info")), 0)
    if part[36:40] == b"VBRI":
        recordings.append(Recording(frame.kind))
    elif table and part[table + 7] & 1:
        recordings.append(Recording(frame.kind, [part], int.from_bytes(part[table + 8 : table + 12]), table + 8))
    elif recordings and recordings[-1].kind == frame.kind:
        recordings[-1].parts.append(part)
    else:
        recordings.append(Recording(frame.kind, [part]))


def _counted(recording: Recording) -> bytes:
    """The bytes of a recording, in which libsndfile expects as many frames as there are, or more."""
    parts = recording.parts
    if recording.promised is not None:
        first, table = parts[0], recording.table
        return b"".join([first[:table], (len(parts) - 1).to_bytes(4), first[table + 4 :], *parts[1:]])
    lacking = len(parts) * (len(parts[0]) + 1) - sum(map(len, parts))
    return b"".join([*parts, _tag(lacking)] if lacking > len(parts) else parts)


def _tag(size: int) -> bytes:
    """An empty ID3 tag of at least this many bytes: libsndfile takes the size of the file for that of the frames."""
    return b"ID3\4\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


def _refuse_frames_behind(content: bytes, position: int) -> None:
    """What follows the last frame may be anything, but not more frames."""
    following = _next_frame(content, position)
    if following is not None:
        raise IncompleteError(
            f"is damaged: {counted(following - position, 'byte')} from byte {position} on: no MP3. Copy or download it again."
        )


def _next_frame(content: bytes, position: int) -> int | None:
    """Where the first frame starts that two more of its kind follow (or the end of the file)."""
    place = content.find(b"\xff", position, position + SEARCHED)
    while place >= 0:
        if _follow(content, place):
            return place
        place = content.find(b"\xff", place + 1, position + SEARCHED)
    return None


def _follow(content: bytes, position: int) -> bool:
    kinds = set()
    for _ in range(3):
        frame = _frame(content, position)
        if frame is None:
            return False
        kinds.add(frame.kind)
        position += frame.size
        if position >= len(content):
            break
    return len(kinds) == 1


def _frame(content: bytes, position: int) -> Frame | None:
    header = content[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = {3: 1, 2: 2, 0: 2.5}.get(header[1] >> 3 & 3), 4 - (header[1] >> 1 & 3)
    step, rate_index = header[2] >> 4, header[2] >> 2 & 3
    if version is None or layer == 4 or step in (0, 15) or rate_index == 3:
        return None
    rate, bits = MPEG_RATES[version][rate_index], 1000 * KBITS[min(int(version), 2), layer][step - 1]
    padding, mono = header[2] >> 1 & 1, header[3] >> 6 == 3
    if layer == 1:
        size = (12 * bits // rate + padding) * 4
    else:
        size = (72 if layer == 3 and version != 1 else 144) * bits // rate + padding
    side = (17 if mono else 32) if version == 1 else (9 if mono else 17)
    return Frame((version, layer, rate), size, 4 + side)


def _after_tags(content: bytes, position: int) -> int:
    """The position behind tags (ID3 before and after the frames, APE) that start at a position."""
    while True:
        tag = content[position : position + 32]
        if tag[:3] == b"ID3" and len(tag) > 9:
            size = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
            position += 10 + size + (10 if tag[5] & 16 else 0)
        elif tag[:3] == b"TAG":
            position += 128
        elif tag[:8] == b"APETAGEX":
            position += int.from_bytes(tag[12:16], "little") + (32 if tag[23] & 32 else 0)
        else:
            return position
