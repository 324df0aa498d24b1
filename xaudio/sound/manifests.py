"""Manifests: tables of recordings, or of excerpts of them, that are read line by line, however long they are."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..errors import DataError

SOURCES = (
    "source",
    "path",
    "file",
    "filename",
    "file_name",
    "file_path",
    "filepath",
    "audio",
    "audio_filepath",
    "wav",
    "recording",
)
STARTS, ENDS, LENGTHS = ("start", "start_s", "offset"), ("end", "end_s", "stop"), ("duration", "duration_s")


def read_manifest(path: Path, outside: bool = False) -> Iterator[dict[str, Any]]:
    """What each row of a CSV, a TSV or a file of JSON lines says: source, and start, end and target where it has them.

    Columns are known by these names, and the source by ``path``, ``file`` and the like; a duration (or ``offset`` and
    ``duration``) says the end. Other columns are left out.

    Parameters
    ----------
    path : Path
    outside : bool
        Whether a source may be an absolute path, or lead out of the folder of the manifest.

    Raises
    ------
    DataError
        If it cannot be read, has no such column, or a row has no source, no such times, or leads out of the folder.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in _rows(file, path):
                yield _fields(row, f"{path}, line {number}", outside)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); expected CSV in UTF-8."
        ) from error


def within(root: Path, source: str) -> Path:
    """The file that a source names, which lies in the folder, also behind its links.

    Raises
    ------
    DataError
        If it does not.
    """
    path = (root / source).resolve()
    if not path.is_relative_to(root.resolve()):
        raise DataError(f"{source}: leads out of {root} by a link. --allow-outside takes such recordings, too.")
    return path


def _rows(file: Any, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each row with the line at which it ends."""
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        reader = csv.DictReader(file, delimiter="\t" if kind == ".tsv" else ",")
        yield from ((reader.line_num, row) for row in reader)
    elif kind in (".jsonl", ".ndjson", ".json"):
        yield from ((number, _object(line, f"{path}, line {number}")) for number, line in enumerate(file, 1) if line.strip())
    else:
        raise DataError(f"{path}: is not a manifest that xaudio reads; expected .csv, .tsv or .jsonl (one JSON object a line).")


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise DataError(f"{where}: is not a JSON object.")
    return told


def _fields(row: Mapping[str, Any], where: str, outside: bool) -> dict[str, Any]:
    row = {str(name).strip().lower(): value for name, value in row.items() if name is not None}
    source = str(_first(row, SOURCES, where) or "").strip()
    if not source or "\0" in source:
        raise DataError(f"{where}: names no recording.")
    if not outside:
        _refuse_outside(source, where)
    start, end, length = (_seconds(_cell(row, names), where) for names in (STARTS, ENDS, LENGTHS))
    if end is None and length is not None:
        end = (start or 0.0) + length
    if end is not None and end <= (start or 0.0):
        raise DataError(f"{where}: is not an excerpt: {start or 0:g} to {end:g} s.")
    target = _cell(row, ("target",))
    fields = {"source": source, "start": start, "end": end, "target": None if target is None else str(target)}
    return {name: value for name, value in fields.items() if value is not None}


def _first(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise DataError(f"{where}: has no column for the recording; expected one of {', '.join(names)}.")


def _cell(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of some columns that is not empty."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _seconds(cell: Any, where: str) -> float | None:
    if cell is None:
        return None
    try:
        seconds = float(cell)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise DataError(f"{where}: {cell!r} is not a time; expected seconds, 0 or more.")
    return seconds


def _refuse_outside(source: str, where: str) -> None:
    absolute = os.path.isabs(source) or PureWindowsPath(source).is_absolute()
    if absolute or os.path.normpath(PurePosixPath(source.replace("\\", "/"))).split("/")[0] == "..":
        reason = "is an absolute path" if absolute else "leads out of the folder of the manifest"
        raise DataError(f"{where}: {source!r} {reason}. --allow-outside takes such recordings, too.")
