"""From a folder or an object to the data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xaudio.plugin import DataError

from ._archives import tar_items
from ._columns import Choice, Found, by_pattern
from ._dataset import FolderDataset, titled
from ._items import Item
from ._layouts import recognise
from ._listing import Listing, list_folder
from ._names import SPEAKERS, plain
from ._objects import is_known, of_object

ABOVE = frozenset(["meta", "metadata", "annotations", "labels", "manifests", "manifest", "csv", "filelists", "splits"])
"""Folders of tables that lie beside the folder of the recordings."""


def from_folder(data: Path, choice: Choice, seed: int) -> FolderDataset:
    """The data set of a folder, or of one table or archive."""
    if not data.exists():
        raise DataError(f"{data}: there is no such folder. Give --data PATH, a folder with recordings.")
    if data.suffix.lower() == ".tar" and data.is_file():
        listing = Listing(data.resolve().parent, {})
        return _dataset_of(titled(data), tar_items([str(data.resolve())], listing, choice), listing, choice, seed)
    table = data.resolve() if data.is_file() else None
    listing = list_folder(_root(data, table))
    recordings = recognise(data, listing, choice, table)
    return _dataset_of(titled(data), recordings, listing, choice, seed)


def _root(data: Path, table: Path | None) -> Path:
    """The folder whose files are meant: that of a table, or the one above where tables have a folder of their own."""
    if table is None:
        return data
    return table.parent.parent if table.parent.name.lower() in ABOVE else table.parent


def from_object(data: object, choice: Choice, seed: int) -> FolderDataset | None:
    """The data set of another library's object; None if it is none."""
    if not is_known(data):
        return None
    listing = Listing(Path(), {})
    name = getattr(data, "name", None) or getattr(getattr(data, "info", None), "dataset_name", None) or type(data).__name__
    return _dataset_of(str(name), of_object(data, listing, choice), listing, choice, seed)


def _dataset_of(title: str, recordings: Found, listing: Listing, choice: Choice, seed: int) -> FolderDataset:
    items, missed = by_pattern(recordings.items, choice)
    if choice.channels != "mean":
        items = [replace(item, channel=choice.channels) if item.channel is None else item for item in items]
    parts = {item.part for item in items}
    if len(parts) == 1 and parts != {""}:  # a part alone divides nothing
        missed.append(f"All recordings belong to the part {parts.pop()!r}.")
        items = [replace(item, part="") for item in items]
    grouped = recordings.grouped if any(item.group for item in items) else ""
    if choice.pattern is not None and {"speaker", "group"} & set(choice.pattern.groupindex):
        grouped = "speaker" if "speaker" in choice.pattern.groupindex else "group"
    if plain(grouped) in SPEAKERS:
        grouped = "speaker"
    elif grouped:
        items = [replace(item, group=f"{grouped} {item.group}") if item.group else item for item in items]
    notes = [f"Layout: {recordings.layout}.", *recordings.notes, *missed, *listing.left_out.notes()]
    if choice.several == "no":
        return FolderDataset(title, [_one_label(item) for item in items], set(), grouped, notes, seed)
    return FolderDataset(title, items, recordings.multi, grouped, notes, seed)


def _one_label(item: Item) -> Item:
    """The recording with one label, as of its events; none where it has none."""
    told = {task: label if isinstance(label, tuple) else (label,) for task, label in item.labels.items()}
    if more := next((label for label in told.values() if len(label) > 1), ()):
        raise DataError(
            f"{item.name}: has {len(more)} labels ({', '.join(map(str, more))}); with several=no each has one at most."
        )
    return replace(item, labels={task: label[0] if label else None for task, label in told.items()})
