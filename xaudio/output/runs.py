"""Run folders: where results live, written so that nothing is ever half there."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import ModelError, OutputError
from ..registry.loading import registry
from .temporary import LEFTOVER, temporary_prefix
from .words import counted

PACKAGES = ("xaudio", "torch", "numpy", "scipy", "soundfile", "soxr", "zennit", "captum")


SHOWN = 24
"""Characters of a file's name that its temporary one repeats: a name has at most 255 bytes, up to four for a character."""


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and is removed when it does not.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OutputError
        If the file cannot be written (no folder, no permission, no space).
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix, suffix = f"{temporary_prefix()}{path.name[:SHOWN]}.", path.suffix if len(path.suffix) <= SHOWN else ""
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}). Check the folder and the space left."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, sorted, but for temporary ones and those in temporary folders.

    Parameters
    ----------
    folder : Path
    """
    held = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in held if not any(part.startswith(LEFTOVER) for part in path.relative_to(folder).parts)]


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def cache_folder() -> Path:
    """Where xaudio keeps what can be made again; the environment variable ``XAUDIO_CACHE`` moves it."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("XAUDIO_CACHE") or user_cache_path("xaudio"))


LONGEST_SHOWN = 120
"""Characters of a value in a message."""

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
"""What stands for what no text can hold."""

CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], UNPRINTABLE)
"""What HTML, SVG and XML cannot hold: control characters, halves of pairs (bytes of a name that is not UTF-8), no characters."""


def printable(text: str) -> str:
    """The text with a replacement character for whatever no text file should hold."""
    return text.translate(CONTROLS)


def write_text(path: Path, text: str) -> Path:
    """Write a text file atomically, with a replacement character for what no text can hold; see `printable`.

    Parameters
    ----------
    path : Path
    text : str
    """
    with replaced(path) as temporary:
        temporary.write_text(printable(text), encoding="utf-8")
    return path


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a table as CSV, atomically.

    Parameters
    ----------
    path : Path
    columns : sequence of str
    rows : iterable of sequences
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    return write_text(path, text.getvalue())


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file atomically; NaN and infinity are refused, since other readers do.

    Parameters
    ----------
    path : Path
    content : object

    Returns
    -------
    Path
        The same, as for the other functions that write.
    """
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelError
        If it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file. Is this a run folder of xaudio?") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}).") from None


def output_folder(path: Path) -> Path:
    """Make a folder for results, after checking that it can be written.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Path
        The same.

    Raises
    ------
    OutputError
        If it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}). Choose another --out.") from None


def versions() -> dict[str, str]:
    """Versions of xaudio, Python and the packages that results depend on."""
    numbers = {"python": platform.python_version(), "platform": platform.platform()}
    return numbers | {package: _version(package) for package in PACKAGES}


@cache
def _version(package: str) -> str:
    """Read from its metadata once: each explanation says it, and to read eight of them takes longer than a small model."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def command_line() -> str:
    """The command that runs, as a person would type it, with the program's path left out."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def differences(first: Any, second: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path and both values of everything in which two JSON values differ; None stands for what is missing."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in [*first, *(key for key in second if key not in first)]:
            yield from differences(first.get(key), second.get(key), f"{name}.{key}" if name else key)
    elif first != second:
        yield name or "value", first, second


def refuse_other_identity(path: Path, kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `ModelError` naming the first thing in which a saved run differs from the wanted one."""
    wanted = json.loads(json.dumps(wanted))
    difference = first_difference(kept, wanted)
    if difference:
        raise ModelError(f"{path}: belongs to a run of other settings: {difference}. Use another --out, or delete that folder.")


def first_difference(kept: Any, wanted: Any) -> str:
    """Where two JSON values differ first, as "name was kept, now wanted" in a line that stays short; "" if they are equal."""
    return next((_in_words(*difference) for difference in differences(kept, wanted)), "")


def _in_words(name: str, kept: Any, wanted: Any) -> str:
    """A difference; of lists that are too long to be shown the first entries that differ, and how many there are."""
    if (inner := first_entry(name, kept, wanted, LONGEST_SHOWN)) is not None:
        return f"{_in_words(*inner)} ({counted(len(kept), 'entry', 'entries')}, now {len(wanted)})"
    return f"{name} was {shown(kept, LONGEST_SHOWN)}, now {shown(wanted, LONGEST_SHOWN)}"


def first_entry(name: str, kept: Any, wanted: Any, longest: int) -> tuple[str, Any, Any] | None:
    """Name and both values of the first entry in which two lists differ, if they are too long to be shown; else None.

    Parameters
    ----------
    name : str
    kept, wanted : object
        JSON values.
    longest : int
        Characters.
    """
    if not (isinstance(kept, list) and isinstance(wanted, list) and max(len(_shown(kept)), len(_shown(wanted))) > longest):
        return None
    pairs = enumerate(zip(kept, wanted, strict=False))
    place = next((number for number, (one, other) in pairs if one != other), min(len(kept), len(wanted)))
    one, other = ((entries[place:] or [None])[0] for entries in (kept, wanted))
    return f"{name}[{place}]", one, other


def shown(value: Any, longest: int) -> str:
    """A JSON value as Python writes it, cut where it is too long.

    Parameters
    ----------
    value : object
    longest : int
        Characters.
    """
    text = _shown(value)
    return text if len(text) <= longest else text[:longest] + "…"


def _shown(value: Any) -> str:
    """A JSON value as Python writes it, without what no text can hold."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(printable(value) if isinstance(value, str) else value)


def refuse_other_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise `ModelError` if a folder holds the results of other settings than `write_run` would now write.

    A ``run.json`` alone is what is left of a command that was refused before it did anything; it stands in nobody's way.

    Parameters
    ----------
    folder : Path
    settings : mapping
    """
    path = folder / "run.json"
    if path.exists() and any(other != path and not other.name.startswith(LEFTOVER) for other in folder.iterdir()):
        kept = read_json(path)
        refuse_other_identity(path, (kept.get("settings") or {}) if isinstance(kept, dict) else {}, settings)


def files_of_earlier_run(folder: Path, settings: Mapping[str, Any]) -> list[Path]:
    """The files that a folder's ``run.json`` lists, which a new run of the command that wrote it takes the place of.

    Where that run was interrupted and had the same settings, all that lies there is its own.

    Raises
    ------
    OutputError
        If the folder holds any other file.
    """
    path = folder / "run.json"
    held = files_in(folder)
    record = read_json(path) if path.exists() else {}
    record = record if isinstance(record, dict) else {}
    listed = {path, *(folder / str(name) for name in record.get("files") or ())}
    if record.get("unfinished") and not first_difference(record.get("settings"), json.loads(json.dumps(settings))):
        listed.update(held)
    if others := [other for other in held if other not in listed]:
        raise OutputError(
            f"{folder}: holds {others[0].relative_to(folder)}, which no earlier run of this command wrote there. "
            "Choose another --out, or move it away."
        )
    return [other for other in held if other != path]


def remove_files(paths: Iterable[Path], folder: Path) -> None:
    """Remove files below a folder, and the folders below it that are then empty."""
    for path in paths:
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()


def refuse_other_command(folder: Path) -> None:
    """Raise `OutputError` if the ``run.json`` of a folder that holds results was written by another command than this one."""
    path = folder / "run.json"
    if not path.exists() or all(other == path or other.name.startswith(LEFTOVER) for other in folder.iterdir()):
        return
    record = read_json(path)
    record = record if isinstance(record, dict) else {}
    earlier, now = (_named_command(str(line)) for line in (record.get("command", ""), command_line()))
    if earlier and now and earlier != now:
        raise OutputError(f"{folder}: holds the results of `xaudio {earlier}`. Choose another --out.")


def _named_command(line: str) -> str:
    """The command of a line as `command_line` gives it, such as "bench speed"; "" if it is none of xaudio's."""
    try:
        program, *words = shlex.split(line) or [""]
    except ValueError:  # a quotation mark without the other
        return ""
    if program != "xaudio" or not words:
        return ""
    return " ".join(words[:2]) if words[0] == "bench" or _is_group(words[0]) else words[0]


def _is_group(name: str) -> bool:
    """Whether a command of a plugin is a group of commands."""
    return name in registry().names("command") and hasattr(registry().factory("command", name), "registered_commands")


def write_run(folder: Path, *, settings: Mapping[str, Any], **facts: Any) -> Path:
    """Write ``run.json``: the command, its effective settings, versions, time and any other facts.

    Parameters
    ----------
    folder : Path
    settings : mapping
    **facts
        Anything that JSON can hold.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = {"command": command_line(), "settings": dict(settings), **facts, "versions": versions(), "written": now}
    return write_json(folder / "run.json", record)
