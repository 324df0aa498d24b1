"""Events of tables with a header: the columns that programs use, by name."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xaudio.plugin import DataError

from ._events import Event

COLUMNS = {
    "start": "start_s start onset_s onset begin_time_s begin_s begin start_time_s start_time start_seconds tmin xmin",
    "end": "end_s end offset_s offset end_time_s stop_s stop end_time end_seconds tmax xmax",
    "duration": "duration_s duration event_duration length_s delta_time_s",
    "label": "label annotation event_label species common_name word syllable text category class event tag tags name",
    "low": "low_hz low_freq_hz low_f freq_low low_frequency_hz fmin min_freq_hz low",
    "high": "high_hz high_freq_hz high_f freq_high high_frequency_hz fmax max_freq_hz high",
    "source": "source begin_path begin_file notated_path filename file_name file filepath audio_path audio path recording uri",
    "tier": "tier",
    "kind": "kind",
    "selection": "selection",
    "view": "view",
    "file_offset": "file_offset_s",
}
"""What is read, and the names under which it is found, the best first; written in lower case, with _ for all else."""

NEITHER = ("", "na", "nan", "none", "null", "<na>", "--undefined--")


def read_table(table: str | list[dict[str, Any]], path: Path, formats: str) -> Iterator[Event]:
    """Events of a table with a header, or of records.

    Raises
    ------
    DataError
        If there is no column of a start, of an end or duration, or a cell is no number.
    """
    rows = table if isinstance(table, list) else _rows(table, path)
    if not rows:
        return
    columns = _columns({name for row in rows for name in row})
    if "start" not in columns or not {"end", "duration"} & set(columns):
        names = ", ".join(str(name) for name in rows[0])
        raise DataError(
            f"{path}: has no columns with start and end in seconds, but {names[:120]!r}; expected {formats}, a table with the "
            "columns start_s, end_s and label."
        )
    read = [{key: _cell(row.get(name)) for key, name in columns.items()} for row in rows]
    for number, cells in enumerate(_seen_once(read), 1):
        if cells.get("kind") != "rest":
            yield _event(cells, f"{path}: row {number}")


def _rows(text: str, path: Path) -> list[dict[str, Any]]:
    header = next(line for line in text.splitlines() if line.strip())
    delimiter = max("\t;,", key=header.count)
    try:
        return list(csv.DictReader(io.StringIO(text.lstrip("\n")), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: is not a table that can be read ({error}).") from None


def _columns(names: set[Any]) -> dict[str, Any]:
    """The column of each thing that is read, as far as there is one."""
    plain = {re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_"): name for name in names if name is not None}
    columns = {
        key: next((plain[name] for name in spellings.split() if name in plain), None) for key, spellings in COLUMNS.items()
    }
    return {key: name for key, name in columns.items() if name is not None}


def _cell(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in NEITHER else text


def _seen_once(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Raven lists a selection once for each view; one of them is enough, that of the spectrogram where there is one."""
    if not {"selection", "view"} <= set(rows[0]):
        return rows
    chosen: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows):
        key = row["selection"] or str(-number)
        if key not in chosen or row["view"].lower().startswith("spectrogram"):
            chosen[key] = row
    return list(chosen.values())


def _event(cells: Mapping[str, str], where: str) -> Event:
    begin = _number(cells["start"], where)
    length = _number(cells["end"], where) - begin if cells.get("end") else _number(cells.get("duration", ""), where)
    # Of several files Raven counts the seconds on, and says where in its file a selection begins.
    start = _number(cells["file_offset"], where) if cells.get("file_offset") else begin
    end = _number(cells["end"], where) if start == begin and cells.get("end") else start + length
    low, high = (_number(cells[key], where) if cells.get(key) else None for key in ("low", "high"))
    return Event(start, end, cells.get("label", ""), low, high, cells.get("source", ""), cells.get("tier", ""))


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise DataError(f"{where}: has {text!r} where a number was expected.") from None
