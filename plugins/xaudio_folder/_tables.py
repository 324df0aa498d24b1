"""Tables as people keep them: CSV, TSV, JSON lines, JSON and Parquet, in any of the usual encodings."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xaudio.plugin import DataError, counted

LARGEST = 1 << 30
"""Bytes of a table that is read."""
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".csv.gz", ".jsonl.gz", ".json.gz", ".tsv.gz")
DELIMITERS = ",;\t|"

Row = dict[str, Any]
"""Cells by their column: text, or tuples of texts."""


class Table(NamedTuple):
    """Rows of a file, the names of its columns in their order, and what is to be said about it."""

    rows: list[Row]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_table(path: Path) -> Table:
    """A table by its ending.

    Raises
    ------
    DataError
        If it cannot be read, or is none.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return _parquet(path)
    text, notes = read_text(path)
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return table_of(objects_of(text, path), notes)
    return _csv(text, path, notes)


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a file, packed or not, and a note where it is not in Unicode."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: is larger than 1 GiB; expected a table of recordings.")
        opener = gzip.open if path.name.endswith(".gz") else open
        with opener(path, "rb") as file:
            content = file.read(LARGEST)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    return decoded(content, path)


def decoded(content: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    """Text of bytes in UTF-8 or UTF-16, with or without a mark of order, or else in Windows-1252."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace"), ()
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        note = f"{path.name} is not in UTF-8: it was read as Windows-1252 (Latin-1)."
        return content.decode("cp1252", errors="replace"), (note,)


def _csv(text: str, path: Path, notes: tuple[str, ...]) -> Table:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.lstrip("\n")
    try:
        rows = list(csv.reader(io.StringIO(lines, newline=""), delimiter=_delimiter(lines, path), skipinitialspace=True))
    except csv.Error as error:
        raise DataError(f"{path}: is not a table of commas, semicolons or tabs ({error}).") from None
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return Table([], (), notes)
    header = _distinct(rows[0])
    fitting = [row for row in rows[1:] if len(row) <= len(header) or not any(row[len(header) :])]
    if len(fitting) < len(rows) - 1:
        left = counted(len(rows) - 1 - len(fitting), "row")
        notes += (f"Left out: {left} of {path.name} with more cells than its header has.",)
    filled = [dict(zip(header, [*row, *[""] * (len(header) - len(row))], strict=False)) for row in fitting]
    return Table(filled, header, notes)


def _distinct(header: list[str]) -> tuple[str, ...]:
    """Names of the columns, each once."""
    names: list[str] = []
    for number, name in enumerate(header):
        plain = name.lstrip("#").strip() or f"column {number + 1}"
        names.append(plain if plain not in names else f"{plain} {number + 1}")
    return tuple(names)


def _delimiter(text: str, path: Path) -> str:
    """The character between cells: the one by which the first line has most of them."""
    if path.name.lower().removesuffix(".gz").endswith(".tsv"):
        return "\t"
    first = text.split("\n", 1)[0]
    counts = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in DELIMITERS}
    return max(counts, key=lambda mark: counts[mark])


def objects_of(text: str, path: Path) -> list[Any]:
    """The objects of JSON lines, of a list, of a mapping from names to objects (whose name becomes their "id").

    Where a list of objects stands beside other facts, as in {"tracks": [...]}, it is that list.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise DataError(f"{path}: is nested too deeply for a table.") from None
    except ValueError:
        return [_json_line(line, number, path) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if isinstance(content, list):
        return content
    if isinstance(content, dict) and content and all(isinstance(value, dict) for value in content.values()):
        return [{"id": key, **value} for key, value in content.items()]
    lists = [value for value in content.values() if _of_objects(value)] if isinstance(content, dict) else []
    return lists[0] if len(lists) == 1 else [content]


def _of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _json_line(line: str, number: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{path}: line {number} is not JSON; expected one object in each line.") from None


def table_of(objects: Iterable[Any], notes: tuple[str, ...] = ()) -> Table:
    """Rows of mappings; what is no mapping is left out."""
    rows = [{str(key): cell_of(value) for key, value in item.items()} for item in objects if isinstance(item, Mapping)]
    columns = dict.fromkeys(key for row in rows for key in row)
    return Table([{name: row.get(name, "") for name in columns} for row in rows], tuple(columns), notes)


def cell_of(value: Any) -> Any:
    """A cell: text, or a tuple of texts for a list."""
    if isinstance(value, list | tuple):
        return tuple(str(part).strip() for part in value if part is not None and not isinstance(part, Mapping | list))
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise DataError(
            f"{path}: Parquet needs pyarrow. Install it: pip install 'xaudio[parquet]'; or give the table as CSV or JSON lines."
        ) from None
    try:
        return table_of(parquet.read_table(path).to_pylist())
    except (OSError, ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}).") from None
