"""The layouts that are recognised, in the order in which they are looked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from xaudio.plugin import DataError, counted

from ._annotations import annotated
from ._archives import tar_items
from ._columns import Choice, Found, items_of, path_column, settled
from ._items import PARTS, Item, part_of
from ._listing import AUDIO, Listing, kinds_of, natural, suffix
from ._manifests import kaldi, lhotse
from ._tables import TABLES, Row, Table, read_table, read_text

Layout = Callable[[Listing, Choice], Found | None]
ESC = re.compile(r"(?P<fold>\d)-(?P<source>\d+)-[A-Z](?:\d*)(?:-\d+)?\.\w+")
"""Names of ESC-50 and ESC-10: fold, source, take."""
DEEPEST = 3
"""Folders below the root in which tables are looked for."""
NOT_TABLES = frozenset(["class_labels_indices.csv", "vocabulary.csv", "package.json", "dataset_info.json", "dataset_infos.json"])


def recognise(data: Path, listing: Listing, choice: Choice, table: Path | None) -> Found:
    """The recordings of a folder, or of one table in it, by the first layout that fits.

    Raises
    ------
    DataError
        If none does.
    """
    if table is not None:
        return _of_tables([str(table.relative_to(listing.root))], listing, choice, f"the table {table.name}")
    for layout in (_tar, lhotse, kaldi, _audio_folder, _speech_commands, _tables, annotated, _class_folders, _flat, _lost_tables):
        found = layout(listing, choice)
        if found is not None:
            return found
    raise DataError(
        f"{data}: holds no recordings that xaudio reads ({kinds_of(listing)}). {' '.join(listing.left_out.notes())}".strip()
    )


def _tar(listing: Listing, choice: Choice) -> Found | None:
    shards = listing.with_suffix(".tar")
    return tar_items([listing.files[name] for name in shards], listing, choice) if shards and not listing.audio else None


def _audio_folder(listing: Listing, choice: Choice) -> Found | None:
    """A ``metadata`` file beside the recordings, as of Hugging Face's AudioFolder: one, or one for each part."""
    names = [name for name in listing.with_suffix(*TABLES) if PurePosixPath(name).name.split(".")[0] == "metadata"]
    usable = [name for name in names if _has_file_name(listing, name)]
    return _of_tables(usable, listing, choice, "AudioFolder (metadata with file_name)") if usable else None


def _has_file_name(listing: Listing, name: str) -> bool:
    return any(column == "file_name" or column.endswith("_file_name") for column in _read(listing, name).columns)


def _read(listing: Listing, name: str) -> Table:
    if name not in listing.tables:
        listing.tables[name] = read_table(Path(listing.files[name]))
    table: Table = listing.tables[name]
    return table


def _speech_commands(listing: Listing, choice: Choice) -> Found | None:
    """Google Speech Commands: a folder for each word, and lists of what is for validation and for the test."""
    lists = {"validation": "validation_list.txt", "test": "testing_list.txt"}
    if not all(name in listing.files for name in lists.values()):
        return None
    parts: dict[str, str] = {}
    for part, name in lists.items():
        lines = read_text(Path(listing.files[name]))[0].splitlines()
        parts.update({line.strip().replace("\\", "/"): part for line in lines if line.strip()})
    items = []
    for name in listing.audio:
        word = PurePosixPath(name).parts[0]
        if word == "_background_noise_" or "/" not in name:
            listing.left_out.add(
                "recording of background noise, which has no word", "recordings of background noise, which have no word", name
            )
            continue
        speaker = PurePosixPath(name).name.split("_nohash_")[0]
        items.append(Item(listing.files[name], name, {"word": word}, speaker, parts.pop(name, "train")))
    for name in parts:
        listing.left_out.add("file of the lists that is not there", "files of the lists that are not there", name)
    return Found("Speech Commands (validation_list.txt, testing_list.txt)", items, set(), "speaker")


def _tables(listing: Listing, choice: Choice) -> Found | None:
    """One table, or one for each part or folder: every table of which the paths lead to recordings."""
    leading = {name: _leading(listing, name, choice) for name in _candidates(listing)}
    names = [name for name in leading if leading[name]]
    if not names:
        return None
    chosen = _together(names) or [name for name in names if leading[name] == max(leading.values())]
    if len(chosen) > 1 and not _together(chosen):
        raise DataError(f"{listing.root}: has several tables of recordings ({', '.join(chosen)}). Name one: --data FOLDER/TABLE.")
    for name in names:
        if name not in chosen:
            listing.left_out.add(
                "table of recordings beside the one that is read", "tables of recordings beside the one that is read", name
            )
    what = "tables" if len(chosen) > 1 else "a table"
    return _of_tables(chosen, listing, choice, f"{what} ({', '.join(chosen[:6])}{', ...' * (len(chosen) > 6)})")


def _together(names: list[str]) -> list[str]:
    """Tables that belong together: one for each part, or one of the same name in each folder; none if they do not."""
    parts = [name for name in names if _part_in(name)]
    if len({_part_in(name) for name in parts}) > 1:
        return parts
    return names if len({PurePosixPath(name).name for name in names}) == 1 else []


def _candidates(listing: Listing) -> list[str]:
    names = listing.with_suffix(*TABLES)
    return [name for name in names if PurePosixPath(name).name.lower() not in NOT_TABLES and name.count("/") < DEEPEST]


def _leading(listing: Listing, name: str, choice: Choice) -> int:
    """How many rows of a table lead to a recording."""
    try:
        table = _headed(_read(listing, name), listing, name)
    except DataError:
        return 0
    if not table.rows:
        return 0
    base = _folder_of(name)
    path = path_column(table.rows, table.columns, replace(choice, path=""), listing, base)
    return sum(_there(listing, str(row.get(path, "")), base) for row in table.rows) if path else 0


def _lost_tables(listing: Listing, choice: Choice) -> Found | None:
    """Tables that name recordings of which none is there: refused, with their names."""
    for name in _candidates(listing):
        if any(suffix(str(cell)) in AUDIO for row in _read(listing, name).rows[:200] for cell in row.values()):
            return _of_tables([name], listing, choice, f"a table ({name})")
    return None


def _there(listing: Listing, cell: str, base: str) -> bool:
    try:
        return bool(cell) and suffix(listing.find(cell, base)) in AUDIO
    except DataError:
        return False


def _folder_of(name: str) -> str:
    return str(PurePosixPath(name).parent).removeprefix(".")


def _part_in(name: str) -> str:
    """The part that a table's name tells: train.csv, esc_test.tsv, dev/metadata.csv."""
    path = PurePosixPath(name)
    words = [*re.split(r"[^a-z]+", path.name.split(".")[0].lower()), path.parent.name.lower()]
    return next((PARTS[word] for word in reversed(words) if word in PARTS), "")


def _of_tables(names: list[str], listing: Listing, choice: Choice, layout: str) -> Found:
    """The recordings of some tables of the same kind."""
    items: list[Item] = []
    used: dict[str, str] = {}
    notes: list[str] = []
    for name in names:
        table = _headed(_read(listing, name), listing, name)
        if not table.rows:
            notes.append(f"{name} has no rows.")
            continue
        recordings, used = items_of(table.rows, table.columns, choice, listing, _folder_of(name), _part_in(name))
        items += recordings
        notes += table.notes
    items, multi = settled(items, used, choice, listing)
    if not items:
        why = " ".join([*notes, *listing.left_out.notes()])
        raise DataError(f"{listing.root}: {layout} names no recording that is there. {why}".strip())
    if not used.get("label"):
        others = [name for name in table.columns if name not in used.values()]
        notes.append(f"Columns that were not used: {', '.join(others[:12]) or 'none'}.")
    return Found(f"{layout}: {_columns_said(used)}", items, multi, used.get("group", ""), notes)


def _columns_said(used: dict[str, str]) -> str:
    said = [f"{what} from {used[what]!r}" for what in ("path", "label", "group", "split") if used.get(what)]
    kinds = {"clips": "each row an excerpt of its file", "events": "each row an event in its file"}
    return ", ".join([*said, *([kinds[used["rows"]]] if used.get("rows") else [])])


def _headed(table: Table, listing: Listing, name: str) -> Table:
    """The table, with names for its columns where its first row is one of the data."""
    leading = [column for column in table.columns if _there(listing, column, _folder_of(name))]
    if not leading:
        return table
    names = {column: f"column {number + 1}" for number, column in enumerate(table.columns)}
    names[leading[0]] = "path"
    if len(names) == 2:
        names[next(column for column in names if column != leading[0])] = "label"
    first: Row = {names[column]: column for column in table.columns}
    rows = [first, *({names[column]: cell for column, cell in row.items()} for row in table.rows)]
    return Table(rows, tuple(names.values()), (*table.notes, f"{name} has no header: its first row is taken as a recording."))


def _class_folders(listing: Listing, choice: Choice) -> Found | None:
    """A folder for each class, perhaps within folders of the parts, or of speakers, sites or sources that all have the same."""
    inside = [name for name in listing.audio if "/" in name]
    if not inside or choice.pattern is not None:
        return None
    tops = {name.split("/")[0] for name in inside}
    parts = all(top.lower() in PARTS for top in tops) and any(name.count("/") > 1 for name in inside)
    prefix = "" if parts or len(tops) > 1 else _shared(inside)
    level = len(PurePosixPath(prefix).parts) + parts
    outer = not parts and _within_groups(inside, level)
    items = []
    for name in listing.audio:
        steps = PurePosixPath(name).parts
        if len(steps) < level + outer + 2:
            listing.left_out.add(
                "recording outside the folders of the classes", "recordings outside the folders of the classes", name
            )
            continue
        group, part = (steps[level] if outer else ""), part_of(steps[0]) if parts else ""
        items.append(Item(listing.files[name], name, {"label": steps[level + outer]}, group, part))
    classes = {str(item.labels["label"]) for item in items}
    if len(classes) < 2:
        return None
    where = ", within the parts" * parts + ", within folders that each have them, which are kept together" * outer
    layout = f"a folder for each class ({counted(len(classes), 'class', 'classes')}{where})"
    recordings = Found(layout, items, set(), notes=_inner_folders([item.name for item in items], level + outer))
    return replace(recordings, grouped="folder") if outer else _by_name(recordings)


def _inner_folders(names: list[str], level: int) -> list[str]:
    """A note where the folders of the classes hold folders with recordings, which may be the classes that are meant."""
    inner = {steps[level + 1] for steps in (PurePosixPath(name).parts for name in names) if len(steps) > level + 2}
    if not inner:
        return []
    some = f"{', '.join(sorted(inner)[:3])}{' ...' * (len(inner) > 3)}"
    pattern = "[^/]+/" * (level + 1) + "(?P<label>[^/]+)/"
    return [f"The folders of the classes hold folders ({some}), which are not labels; those are labels by labels={pattern}"]


def _within_groups(names: list[str], level: int) -> bool:
    """Whether folders of a level hold folders of the same names, as those of speakers or sites with all classes do."""
    inner: dict[str, set[str]] = {}
    for name in names:
        steps = PurePosixPath(name).parts
        if len(steps) < level + 3:
            return False
        inner.setdefault(steps[level + 1], set()).add(steps[level])
    shared = [folder for folder, outer in inner.items() if len(outer) > 1]
    return len(inner) > 1 and 2 * len(shared) > len(inner) and not all(part_of(folder) for folder in inner)


def _shared(names: list[str]) -> str:
    """The folder that all lie in, above those of the classes."""
    folders = [PurePosixPath(name).parent.parts for name in names]
    shared = []
    for steps in zip(*folders, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return "/".join(shared) if len(set(folders)) > 1 else ""


def _by_name(recordings: Found) -> Found:
    """Folds and groups that names tell, where all are written as ESC-50's or as those of Speech Commands."""
    names = [PurePosixPath(item.name).name for item in recordings.items]
    told = [ESC.fullmatch(name) for name in names]
    if all(told):
        items = [
            replace(item, part=match["fold"], group=match["source"])
            for item, match in zip(recordings.items, told, strict=True)
            if match
        ]
        return replace(
            recordings, items=items, layout=f"{recordings.layout}; fold and source from the names, as of ESC-50", grouped="source"
        )
    if all("_nohash_" in name for name in names):
        items = [replace(item, group=name.split("_nohash_")[0]) for item, name in zip(recordings.items, names, strict=True)]
        return replace(recordings, items=items, layout=f"{recordings.layout}; speaker from the names", grouped="speaker")
    return recordings


def _flat(listing: Listing, choice: Choice) -> Found | None:
    """Recordings whose labels, if any, are in their names."""
    names = sorted(listing.audio, key=natural)
    if not names:
        return None
    for name in _candidates(listing):
        _useless(listing, name)
    return Found("recordings", [Item(listing.files[name], name) for name in names], set())


def _useless(listing: Listing, name: str) -> None:
    """Count a table that says nothing of the recordings: one without rows, or that names others."""
    try:
        rows = _read(listing, name).rows
    except DataError:
        listing.left_out.add("table that cannot be read", "tables that cannot be read", name)
        return
    named = [cell for row in rows for cell in map(str, row.values()) if suffix(cell) in AUDIO]
    if not rows:
        listing.left_out.add("table without rows", "tables without rows", name)
    elif named and not any(_there(listing, cell, _folder_of(name)) for cell in named):
        listing.left_out.add(
            "table that names no recording that is there", "tables that name no recording that is there", f"{name} ({named[0]})"
        )
