"""From the rows of a table to recordings: which columns hold what, several labels, excerpts, events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from xaudio.plugin import DataError, counted, unknown

from ._items import Event, Item, part_of
from ._listing import NAMED, Listing
from ._names import (
    ENDS,
    FREE_TEXT,
    HIGHS,
    LABELS,
    LENGTHS,
    LOWS,
    ONSETS,
    PATHS,
    PLURAL,
    SITES,
    SOURCES,
    SPEAKERS,
    SPLITS,
    STARTS,
    column,
    plain,
)
from ._tables import Row

SEPARATORS = {"semicolon": ";", "comma": ",", "pipe": "|", "space": " ", "plus": "+", "slash": "/"}


@dataclass(frozen=True)
class Choice:
    """What the user says about the columns; "" for what is to be found.

    Parameters
    ----------
    path, group, split : str
        Names of columns.
    label : tuple of str
        Columns, each of which becomes a task; or columns of 0 and 1 that become one task with several labels.
    separator : str
        Between several labels in a cell; a name of `SEPARATORS`, "none" or "auto".
    several : str
        "yes" where rows of one recording name several labels, "no" where events have one label in each, or "auto".
    rows : str
        Whether rows with times are "clips" or "events"; or "auto".
    empty : str
        Whether an empty label is "unknown", or says that there is "none".
    pattern : Pattern or None
        Of paths, with groups "label", "speaker", "group", "split".
    channels : str
        What is heard of recordings with several channels, unless the data say which of them is meant.
    """

    path: str = ""
    label: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    separator: str = "auto"
    several: str = "auto"
    rows: str = "auto"
    empty: str = "unknown"
    pattern: re.Pattern[str] | None = None
    channels: str = "mean"


@dataclass
class Found:
    """Recordings of a layout, and what is to be said of how they were found.

    Parameters
    ----------
    layout : str
        The layout in words.
    items : list of Item
    multi : set of str
        Tasks of several labels.
    grouped : str
        What the groups are, such as "speaker"; "" where each recording stands for itself.
    notes : list of str
    """

    layout: str
    items: list[Item]
    multi: set[str]
    grouped: str = ""
    notes: list[str] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.notes = self.notes or []


def asked(names: Sequence[str], name: str, what: str) -> str:
    """A column that the user names."""
    found = column(names, (name,))
    if not found:
        raise DataError(f"The table has no column {name!r} for the {what}. {unknown('column', name, names)}")
    return found


def path_column(rows: Sequence[Row], names: Sequence[str], choice: Choice, listing: Listing, base: str) -> str:
    """The column with the paths: the one that is named, else a usual name, else the one that leads to files; "" if none."""
    if choice.path:
        return asked(names, choice.path, "path")
    usual = [name for name in names if plain(name) in PATHS or plain(name).endswith("_file_name")]
    usual.sort(key=lambda name: (*PATHS, plain(name)).index(plain(name)))
    shares = {name: _leading(rows, name, listing, base) for name in (*usual, *names)}
    best = max(shares, key=lambda name: shares[name], default="")
    return best if best and shares[best] > 0 else (usual[0] if usual else "")


def _leading(rows: Sequence[Row], name: str, listing: Listing, base: str) -> int:
    """How many of the first rows have a path in a column that leads to a file."""
    return sum(bool(_file_of(listing, row.get(name, ""), base)) for row in rows[:50])


def _file_of(listing: Listing, cell: Any, base: str) -> str:
    try:
        return listing.find(cell, base) if isinstance(cell, str) and cell else ""
    except DataError:
        return ""


def label_columns(rows: Sequence[Row], names: Sequence[str], choice: Choice, taken: set[str]) -> tuple[list[str], bool]:
    """The columns with labels, and whether they are one task of 0 and 1 for each label."""
    if choice.label:
        columns = [asked(names, name, "label") for name in choice.label]
        return columns, len(columns) > 1 and all(_binary(rows, name) for name in columns)
    free = [name for name in names if name not in taken]
    for wanted in LABELS:
        name = column(free, (wanted,))
        if name and _tells_apart(rows, name, wanted):
            return [name], False
    binary = [name for name in free if _binary(rows, name)]
    return (binary, True) if len(binary) > 1 else ([], False)


def _tells_apart(rows: Sequence[Row], name: str, wanted: str) -> bool:
    """Whether a column can be a label: it has values, and free text does not differ in nearly every row."""
    values = {row.get(name, "") for row in rows} - {""}
    return bool(values) and (wanted not in FREE_TEXT or len(values) <= max(2, len(rows) // 2))


def _binary(rows: Sequence[Row], name: str) -> bool:
    values = {str(row.get(name, "")).removesuffix(".0") for row in rows}
    return values <= {"0", "1", ""} and {"0", "1"} <= values


def items_of(
    rows: Sequence[Row], names: Sequence[str], choice: Choice, listing: Listing, base: str, part: str = ""
) -> tuple[list[Item], dict[str, str]]:
    """Recordings of a table, before several rows of one are brought together; and which column holds what.

    Parameters
    ----------
    rows, names
        Of the table.
    choice : Choice
    listing : Listing
    base : str
        Folder of the table, from the root.
    part : str
        Of all rows, where the table is one of a part.
    """
    path = path_column(rows, names, choice, listing, base)
    if not path:
        raise DataError(
            f"The table has no column with paths of recordings (its columns: {', '.join(names[:12])}). Name it: path=COLUMN."
        )
    split = asked(names, choice.split, "split") if choice.split else column(names, SPLITS)
    group = asked(names, choice.group, "group") if choice.group else column(names, (*SPEAKERS, *SOURCES, *SITES))
    times = {"start": column(names, STARTS), "stop": column(names, ENDS), "length": column(names, LENGTHS)}
    onset = column(names, ONSETS)
    if onset:
        times = {"start": "", "stop": column(names, ("offset", *ENDS)), "length": times["length"]}
    bounds = {"low": column(names, LOWS), "high": column(names, HIGHS)}
    taken = {path, split, group, onset, *times.values(), *bounds.values()}
    labels, indicators = label_columns(rows, names, choice, taken - {""})
    used = {"path": path, "label": "+".join(labels), "group": group, "split": split, "indicators": "yes" if indicators else ""}
    timed = bool(times["start"] or onset or column(names, ("wav_opts",))) and path.lower() != "slice_file_name"
    as_events = choice.rows == "events" or (choice.rows == "auto" and bool(onset or bounds["low"]))
    used["rows"] = "" if not timed else "events" if as_events else "clips"
    items = []
    for row in rows:
        cell = str(row.get(path, ""))
        try:
            file = listing.find(cell, base) if cell else ""
        except DataError as error:
            listing.left_out.add(f"row whose path {error}", f"rows whose path {error}", cell)
            continue
        if not file:
            listing.left_out.add("row of a file that is not there", "rows of files that are not there", cell or "(no path)")
            continue
        item = Item(
            file,
            _shown(file, listing),
            _labels_of(row, labels, indicators),
            str(row.get(group, "")) if group else "",
            (part_of(str(row.get(split, ""))) if split else "") or part,
        )
        items.append(_timed(item, row, names, times, onset, bounds, listing) if timed else item)
    return items, used


def _shown(file: str, listing: Listing) -> str:
    return file.removeprefix(f"{listing.root}/")


def _labels_of(row: Row, columns: Sequence[str], indicators: bool) -> dict[str, str | tuple[str, ...] | None]:
    if indicators:
        values = [str(row.get(name, "")).removesuffix(".0") for name in columns]
        return {"labels": None if "" in values else tuple(n for n, value in zip(columns, values, strict=True) if value == "1")}
    return {task_name(name): row.get(name, "") for name in columns}


def task_name(name: str) -> str:
    """How a task of a column is called: no blanks, and none of the words that commands take for something else."""
    plain = re.sub(r"[^\w-]+", "_", name.strip()).strip("_") or "label"
    return "label" if plain.lower() in ("class", "speaker") else plain


def _timed(
    item: Item, row: Row, names: Sequence[str], times: dict[str, str], onset: str, bounds: dict[str, str], listing: Listing
) -> Item:
    """A recording with what its row says of time and frequency."""
    options = str(row.get(column(names, ("wav_opts",)) or "wav_opts", ""))
    told = dict(re.findall(r"(start|stop|channel):\s*(\d+)", options))
    if told:
        first, last, one = (int(told[name]) if name in told else None for name in ("start", "stop", "channel"))
        return replace(item, start=first, stop=last, channel=one, samples=True)
    start = _number(row.get(onset or times["start"], ""))
    stop, length = _number(row.get(times["stop"], "")), _number(row.get(times["length"], ""))
    stop = start + length if stop is None and start is not None and length is not None else stop
    channel = _number(row.get(column(names, ("channel",)) or "channel", ""))
    if start is not None and (start < 0 or (stop is not None and stop <= start)):
        listing.left_out.add(
            "row whose end is not after its start",
            "rows whose end is not after their start",
            f"{item.name} {start:g}-{stop if stop is None else f'{stop:g}'}",
        )
        return replace(item, name="")
    cut = replace(item, start=start, stop=stop, channel=None if channel is None else int(channel))
    low, high = (_number(row.get(bounds[side], "")) for side in ("low", "high"))
    if start is None or stop is None:
        return cut
    label = next((str(value) for value in item.labels.values() if value), "event")
    return replace(cut, events=(Event(label, start, stop, low, high),))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number and abs(number) != float("inf") else None


def settled(items: list[Item], used: dict[str, str], choice: Choice, listing: Listing) -> tuple[list[Item], set[str]]:
    """Recordings whose labels are split, whose repeated rows are one, and whose events are together; and tasks of several labels.

    Raises
    ------
    DataError
        If rows of one recording name different labels, and nobody said that both are true.
    """
    items = [item for item in items if item.name]
    if used.get("rows") == "events":
        return _with_events(items), {"label"}
    items = [replace(item, events=None) for item in items]
    multi = set()
    for task in dict.fromkeys(task for item in items for task in item.labels):
        items, several = _split(items, task, choice, used)
        multi |= {task} if several else set()
    return _once(items, choice, listing, multi), multi


def _with_events(items: list[Item]) -> list[Item]:
    """One recording for each file, with all its events; its labels are those that occur."""
    files: dict[str, list[Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    recordings = []
    for rows in files.values():
        events = tuple(sorted((event for row in rows for event in row.events or ()), key=lambda event: (event.start, event.stop)))
        labels = {"label": tuple(dict.fromkeys(event.label for event in events))}
        recordings.append(replace(rows[0], labels=labels, events=events, start=None, stop=None))
    return recordings


def _split(items: list[Item], task: str, choice: Choice, used: dict[str, str]) -> tuple[list[Item], bool]:
    """Labels of a task as tuples where a cell may hold several, else as text or None."""
    cells = [item.labels.get(task) for item in items]
    mark = _separator(task, [cell for cell in cells if isinstance(cell, str)], choice)
    several = choice.several == "yes" or bool(mark) or any(isinstance(cell, tuple) for cell in cells)
    if used.get("indicators") and all(isinstance(cell, tuple) and len(cell) == 1 for cell in cells):
        cells, several = [cell[0] for cell in cells if cell], False  # one of each row: classes, as one-hot columns write them
    split = [_label(cell, mark, several, choice) for cell in cells]
    return [replace(item, labels={**item.labels, task: label}) for item, label in zip(items, split, strict=True)], several


def _label(cell: Any, mark: str, several: bool, choice: Choice) -> str | tuple[str, ...] | None:
    if cell is None or cell == "":
        return () if several and choice.empty == "none" else None
    if not several:
        return str(cell)
    parts = cell if isinstance(cell, tuple) else (cell.split(mark) if mark else (cell,))
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _separator(task: str, cells: list[str], choice: Choice) -> str:
    """What stands between several labels in a cell, "" where each holds one."""
    if choice.separator != "auto":
        return SEPARATORS.get(choice.separator, "")
    for mark in ";|":
        if any(mark in cell for cell in cells):
            return mark
    joined = [cell for cell in cells if "," in cell]
    alone = set(cells) - set(joined)
    pieces = {part.strip() for cell in joined for part in cell.split(",")}
    return "," if joined and (task.lower() in PLURAL or pieces <= alone) else ""


def _once(items: list[Item], choice: Choice, listing: Listing, multi: set[str]) -> list[Item]:
    """Each recording or excerpt once."""
    rows: dict[tuple[Any, ...], list[Item]] = {}
    for item in items:
        rows.setdefault((item.path or item.name, item.start, item.stop, item.channel), []).append(item)
    repeated = [group for group in rows.values() if len(group) > 1]
    if not repeated:
        return items
    conflicts = [group for group in repeated if not _agree(group)]
    if conflicts and choice.several != "yes":
        first = conflicts[0]
        told = "; ".join(dict.fromkeys(", ".join(map(str, row.labels.values())) for row in first))
        raise DataError(
            f"{counted(len(conflicts), 'recording of the table has', 'recordings of the table have')} rows with different "
            f"labels, such as {first[0].name} ({told}). If all are true, say several=yes; else correct the table."
        )
    for group in repeated:
        if _agree(group):
            listing.left_out.add("row that repeats another one", "rows that repeat another one", group[0].name)
    return [_joined(group, multi) for group in rows.values()]


def _agree(group: list[Item]) -> bool:
    """Whether the rows of a recording name the same labels, as far as they name any."""
    told = [{task: label for task, label in row.labels.items() if label is not None} for row in group]
    return all(first.get(task, label) == label for first in told for other in told for task, label in other.items())


def _joined(group: list[Item], multi: set[str]) -> Item:
    """One recording of the rows that name it."""
    labels: dict[str, str | tuple[str, ...] | None] = {}
    for task in group[0].labels:
        told = [label for row in group if (label := row.labels.get(task)) is not None]
        several = tuple(dict.fromkeys(part for label in told if isinstance(label, tuple) for part in label))
        labels[task] = (several if task in multi else told[0]) if told else None
    return replace(group[0], labels=labels)


def by_pattern(items: list[Item], choice: Choice) -> tuple[list[Item], list[str]]:
    """Recordings with what a regular expression finds in their paths, and a note on those that it does not fit."""
    if choice.pattern is None:
        return items, []
    updated, missed = [], []
    for item in items:
        match = choice.pattern.search(item.name)
        if match is None:
            missed.append(item.name)
            updated.append(item)
            continue
        told = {name: value for name, value in match.groupdict().items() if value is not None}
        group = told.pop("speaker", None) or told.pop("group", None) or item.group
        part = part_of(told.pop("split", "") or told.pop("fold", "")) or item.part
        updated.append(replace(item, labels={**item.labels, **told}, group=group, part=part))
    if len(missed) == len(items):
        raise DataError(f"The option labels, {choice.pattern.pattern!r}, matches no path; the first is {items[0].name!r}.")
    shown = ", ".join(missed[:NAMED])
    return updated, [
        f"{counted(len(missed), 'path')} not matched by the option labels, and without its labels: {shown}."
    ] if missed else []
