"""WebDataset: tar files of recordings, each with what is said of it under the same name."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from xaudio.plugin import DataError

from ._columns import Choice, Found, settled
from ._items import PARTS, Item, part_of
from ._listing import AUDIO, Listing
from ._names import LABELS, SOURCES, SPEAKERS, SPLITS, column
from ._tables import Row, cell_of

LARGEST = 1 << 28
"""Bytes of one member that is read."""


class Member:
    """A recording in an archive, read when it is asked for.

    Parameters
    ----------
    archive : str
    start, size : int
        Where its bytes lie in the archive.
    """

    def __init__(self, archive: str, start: int, size: int) -> None:
        self.archive, self.start, self.size = archive, start, size

    def __call__(self) -> bytes:
        """The bytes."""
        with open(self.archive, "rb") as file:
            file.seek(self.start)
            return file.read(self.size)


def tar_items(archives: Sequence[str], listing: Listing, choice: Choice) -> Found:
    """The recordings of some archives, which are read once from start to end.

    Raises
    ------
    DataError
        If one is damaged, or none holds a recording.
    """
    items: list[Item] = []
    for archive in archives:
        items += _of_archive(archive, listing, choice)
    if not items:
        raise DataError(f"{archives[0]}: holds no recordings (key.wav or key.flac beside key.json, key.cls or key.txt).")
    items, multi = settled(items, {}, choice, listing)
    return Found(f"WebDataset ({len(archives)} tar)", items, multi, "speaker" if any(item.group for item in items) else "")


def _of_archive(archive: str, listing: Listing, choice: Choice) -> Iterator[Item]:
    samples: dict[str, tuple[Item | None, Row]] = {}
    part = next((PARTS[word] for word in Path(archive).stem.lower().replace("_", "-").split("-") if word in PARTS), "")
    for name, key, ending, member, content in _members(archive, listing):
        item, row = samples.setdefault(key, (None, {}))
        if member is not None:
            item = Item("", f"{Path(archive).name}/{name}", part=part, content=member)
        elif ending in ("cls", "txt"):
            row = {**row, "label": content.decode("utf-8", errors="replace").strip()}
        elif ending == "json":
            row = {**_row(content, archive, name), **row}
        samples[key] = item, row
    for key, (item, row) in samples.items():
        if item is None:
            listing.left_out.add("sample without a recording", "samples without a recording", key)
        else:
            yield _labelled(item, row, choice)


def _members(archive: str, listing: Listing) -> Iterator[tuple[str, str, str, Member | None, bytes]]:
    """Name, key, ending, and where the recording lies, or the content, of each regular member."""
    try:
        with tarfile.open(archive, "r:") as tar:
            for info in tar:
                path = PurePosixPath(info.name)
                if not info.isfile() or path.name.startswith("."):
                    if not info.isdir() and not path.name.startswith("."):
                        listing.left_out.add(
                            "member that is not a file (a link or device)",
                            "members that are not files (links, devices)",
                            info.name,
                        )
                    continue
                key, _, ending = path.name.partition(".")
                key, ending = str(path.parent / key), ending.lower()
                if f".{ending}" in AUDIO:
                    yield info.name, key, ending, Member(archive, info.offset_data, info.size), b""
                elif info.size <= LARGEST:
                    opened = tar.extractfile(info)
                    yield info.name, key, ending, None, opened.read() if opened else b""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            f"{archive}: is not a tar file that can be read ({error}). Packed archives must be unpacked first."
        ) from None


def _row(content: bytes, archive: str, name: str) -> Row:
    try:
        told: Any = json.loads(content)
    except (ValueError, RecursionError):
        raise DataError(f"{archive}: its member {name} is not JSON.") from None
    return {str(key): cell_of(value) for key, value in told.items()} if isinstance(told, dict) else {"label": cell_of(told)}


def _labelled(item: Item, row: Row, choice: Choice) -> Item:
    label = column(list(row), choice.label or LABELS)
    group = column(list(row), (choice.group,) if choice.group else (*SPEAKERS, *SOURCES))
    split = column(list(row), (choice.split,) if choice.split else SPLITS)
    return replace(
        item,
        labels={"label": row.get(label, "") if label else ""},
        group=str(row.get(group, "")) if group else "",
        part=(part_of(str(row[split])) if split else "") or item.part,
    )
