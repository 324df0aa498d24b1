"""Data sets of other libraries, told by what they have and not by what they are: datasets, soundata, mirdata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaudio.plugin import DataError

from ._columns import Choice, Found, asked, items_of, settled
from ._items import Event, Item
from ._listing import Listing
from ._names import PATHS, column
from ._tables import Row, cell_of

AUDIO_PATHS = ("audio_path", "audio_vocal_path", "mix_path")


def is_known(data: object) -> bool:
    """Whether an object is a data set that can be taken."""
    return _is_table(data) or _is_parts(data) or _loader(data) is not None


def _is_table(data: object) -> bool:
    return all(hasattr(data, name) for name in ("features", "column_names", "__getitem__", "__len__"))


def _is_parts(data: object) -> bool:
    return isinstance(data, Mapping) and bool(data) and all(_is_table(part) for part in data.values())


def _loader(data: object) -> Any:
    return next((load for name in ("load_clips", "load_tracks") if callable(load := getattr(data, name, None))), None)


def of_object(data: Any, listing: Listing, choice: Choice) -> Found:
    """The recordings of a data set of another library.

    Raises
    ------
    DataError
        If it holds no recordings.
    """
    if loader := _loader(data):
        return _of_clips(loader(), listing, choice)
    parts = data if isinstance(data, Mapping) else {str(getattr(data, "split", None) or ""): data}
    items: list[Item] = []
    used: dict[str, str] = {}
    for part, table in parts.items():
        recordings, used = _of_table(table, str(part), listing, choice)
        items += recordings
    items, multi = settled(items, used, choice, listing)
    if not items:
        raise DataError("The data set holds no recordings.")
    said = ", ".join(f"{what} from {used[what]!r}" for what in ("path", "label", "group", "split") if used.get(what))
    return Found(f"a datasets.Dataset ({said})", items, multi, used.get("group", ""))


def _of_table(table: Any, part: str, listing: Listing, choice: Choice) -> tuple[list[Item], dict[str, str]]:
    """Recordings of a table with a column of sounds, which is not decoded."""
    names = list(table.column_names)
    audio = asked(names, choice.path, "path") if choice.path else _audio_column(table, names)
    plain = _undecoded(table, audio)
    rows: list[Row] = []
    contents: list[Any] = []
    for number in range(len(plain)):
        row = dict(plain[number])
        sound = row.pop(audio)
        contents.append(sound)
        rows.append({"path": f"{number}", **{name: _named(table, name, value) for name, value in row.items()}})
    columns = ["path", *(name for name in names if name != audio)]
    for number in range(len(rows)):
        listing.files.setdefault(f"{number}", f"{number}")
    recordings, used = items_of(rows, columns, _without_path(choice), listing, "", _part(part))
    return [_with_content(item, contents[int(item.path)], part) for item in recordings], {**used, "path": audio}


def _without_path(choice: Choice) -> Choice:
    from dataclasses import replace

    return replace(choice, path="path", rows="clips" if choice.rows == "auto" else choice.rows)


def _part(part: str) -> str:
    from ._items import part_of

    return part_of(part.split("[")[0])


def _audio_column(table: Any, names: Sequence[str]) -> str:
    kinds = {name: type(feature).__name__ for name, feature in dict(table.features).items()}
    sound = next((name for name in names if kinds.get(name) == "Audio"), "") or column(names, ("audio", *PATHS))
    if not sound:
        raise DataError(f"The data set has no column of sounds (its columns: {', '.join(names[:12])}). Name it with path.")
    return sound


def _undecoded(table: Any, audio: str) -> Any:
    """The table with its sounds as bytes and paths, so that no other library decodes them."""
    feature: Any = dict(table.features).get(audio)
    if getattr(feature, "decode", False) is True and hasattr(table, "cast_column"):
        return table.cast_column(audio, type(feature)(sampling_rate=getattr(feature, "sampling_rate", None), decode=False))
    return table


def _named(table: Any, name: str, value: Any) -> Any:
    """A cell, by the name of its class where the column has class names."""
    feature = dict(table.features).get(name)
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    if names and isinstance(value, list | tuple):
        return tuple(str(names[index]) for index in value)
    if names and isinstance(value, int | np.integer) and 0 <= value < len(names):
        return str(names[value])
    return cell_of(value)


def _with_content(item: Item, sound: Any, part: str) -> Item:
    """An item whose sound is bytes, samples with their rate, or a file."""
    from dataclasses import replace

    number = f"{part}/{item.path}" if part else item.path
    if isinstance(sound, str | Path):
        return replace(item, path=str(sound), name=str(sound))
    if isinstance(sound, Mapping) and sound.get("bytes"):
        return replace(item, path="", name=f"{number} {sound.get('path') or ''}".strip(), content=bytes(sound["bytes"]))
    if isinstance(sound, Mapping) and sound.get("array") is not None:
        return replace(item, path="", name=f"{number} {sound.get('path') or ''}".strip(), content=dict(sound))
    if isinstance(sound, Mapping) and sound.get("path"):
        return replace(item, path=str(sound["path"]), name=str(sound["path"]))
    raise DataError(f"Row {number} of the data set has no sound: expected bytes, a path, or samples with their rate.")


def _of_clips(clips: Mapping[str, Any], listing: Listing, choice: Choice) -> Found:
    """Clips or tracks of soundata and mirdata: their audio_path, tags, events and split."""
    items = []
    for key, clip in clips.items():
        path = next((str(value) for name in AUDIO_PATHS if (value := getattr(clip, name, None))), "")
        if not path or not Path(path).is_file():
            listing.left_out.add(
                "clip whose recording is not there", "clips whose recording is not there", f"{key} ({path or 'no audio_path'})"
            )
            continue
        events = _events(getattr(clip, "events", None))
        labels = _clip_labels(clip, events, choice)
        group = next(
            (
                str(value)
                for name in ("speaker_id", "artist", "freesound_id", "fsID", "slice_file_name")
                if (value := getattr(clip, name, None))
            ),
            "",
        )
        fold = next((str(value) for name in ("split", "fold") if (value := getattr(clip, name, None)) is not None), "")
        items.append(Item(path, path, {"label": labels}, group, _part(fold), events=events))
    if not items:
        raise DataError(f"None of the {len(clips)} clips has a recording that is there. {' '.join(listing.left_out.notes())}")
    several = any(isinstance(item.labels["label"], tuple) and len(item.labels["label"] or ()) != 1 for item in items)
    if not several:
        items = [_single(item) for item in items]
    return Found(
        "clips of soundata or mirdata",
        items,
        {"label"} if several else set(),
        "group" if any(item.group for item in items) else "",
    )


def _single(item: Item) -> Item:
    from dataclasses import replace

    label = item.labels["label"]
    return replace(item, labels={"label": label[0] if isinstance(label, tuple) and label else None})


def _events(told: Any) -> tuple[Event, ...] | None:
    intervals, labels = getattr(told, "intervals", None), getattr(told, "labels", None)
    if intervals is None or labels is None:
        return None
    return tuple(Event(str(label), float(start), float(stop)) for (start, stop), label in zip(intervals, labels, strict=True))


def _clip_labels(clip: Any, events: tuple[Event, ...] | None, choice: Choice) -> tuple[str, ...] | None:
    """Labels of a clip: of the attribute that is named, of its tags, or of its events."""
    for name in choice.label or ("tags", "label", "class_label", "genre", "instrument"):
        told = getattr(clip, name, None)
        told = getattr(told, "labels", told)
        if isinstance(told, str):
            return (told,)
        if isinstance(told, Sequence) and len(told):
            return tuple(dict.fromkeys(map(str, told)))
    return None if events is None else tuple(dict.fromkeys(event.label for event in events))
