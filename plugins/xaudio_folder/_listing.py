"""What lies in a folder, and where a path of a table leads: inside the folder, unless the table gives it in full."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from xaudio.plugin import DataError, counted


def _endings(text: str) -> frozenset[str]:
    return frozenset(f".{ending}" for ending in text.split())


AUDIO = _endings("wav wave bwf flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64 sph nist")
"""Endings of what xaudio reads."""
OTHER_AUDIO = _endings("m4a mp4 aac wma webm mkv mka mov avi amr wv ape dsf 3gp m4b")
"""Endings of recordings that must be converted first."""
UNREAD, CONVERT = (("file", "it"), ("files", "them")), "ffmpeg -i FILE FILE.wav"
"""How one and several of these are called, and what converts them."""
NAMED = 10
"""Missing files that are named."""
PLACEHOLDERS = re.compile(r"^(\$\{?data_folder\}?|\$\{?data_root\}?|\{data_root\}|\{data_folder\}|\$root)/?")
"""What stands for the data folder in manifests of SpeechBrain."""
PLACES = ("audio", "wavs", "wav", "clips", "data", "recordings")
"""Folders beside a table in which its files often lie."""


def plain_name(text: str) -> str:
    """A name as it is compared: in one Unicode form, whatever the file system made of it."""
    return unicodedata.normalize("NFC", text)


@dataclass
class LeftOut:
    """What of a data set is not used, by reason (of one thing and of several), with the first few of each."""

    reasons: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, one: str, several: str, what: str) -> None:
        """Leave something out."""
        self.reasons.setdefault((one, several), []).append(what)

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def notes(self, named: int = 3) -> list[str]:
        """One line for each reason."""
        return [self._line(reason, what, NAMED if "not there" in reason[0] else named) for reason, what in self.reasons.items()]

    def _line(self, reason: tuple[str, str], what: list[str], named: int) -> str:
        more = f"the first {named}" if len(what) > named else "they are" if len(what) > 1 else "it is"
        return f"Left out: {counted(len(what), *reason)}; {more}: {', '.join(what[:named])}."


@dataclass
class Listing:
    """The files of a folder.

    Parameters
    ----------
    root : Path
        The folder, resolved.
    files : dict of str to str
        Path of every regular file, by its path from the folder with slashes.
    left_out : LeftOut
    """

    root: Path
    files: dict[str, str]
    left_out: LeftOut = field(default_factory=LeftOut)
    tables: dict[str, Any] = field(default_factory=dict)
    by_name: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.files:
            base = plain_name(PurePosixPath(name).name).casefold()
            self.by_name.setdefault(base, []).append(name)
            stem, dot, ending = base.rpartition(".")
            if dot and f".{ending}" in AUDIO:
                self.by_name.setdefault(stem, []).append(name)

    @property
    def audio(self) -> list[str]:
        """Recordings, in a natural order."""
        return sorted((name for name in self.files if suffix(name) in AUDIO), key=natural)

    def with_suffix(self, *endings: str) -> list[str]:
        """Other files by their endings."""
        return sorted(name for name in self.files if name.lower().endswith(endings))

    def find(self, given: str, base: str = "") -> str:
        """The path of a file that a table names, "" if it is not there.

        Parameters
        ----------
        given : str
            As the table has it.
        base : str
            Folder of the table, from the root.

        Raises
        ------
        DataError
            If it leads out of the folder, is a command, or an address.
        """
        text = PLACEHOLDERS.sub("", given.strip())
        _refuse_what_is_no_path(given)
        if os.path.isabs(text):
            return self._absolute(text)
        choices = [self._inside(text, place) for place in _bases(base)]
        found = next((self.files[name] for name in choices if name in self.files), "") or self._by_name(text)
        if not found and not self._inside(text, base):
            raise DataError("leads out of the folder")
        return found

    def _absolute(self, text: str) -> str:
        with_name = Path(text)
        if _is_regular(with_name):
            return str(with_name)
        return self._by_name(text)

    def _inside(self, text: str, base: str) -> str:
        """A path from the root, "" if it leads out of it."""
        joined = os.path.normpath(PurePosixPath(base, text.replace("\\", "/") if "\\" in text else text))
        return "" if joined == ".." or joined.startswith("../") else joined

    def _by_name(self, text: str) -> str:
        """The only file of that name, wherever it lies in the folder."""
        name = PurePosixPath(plain_name(text.replace("\\", "/"))).name.casefold()
        paths = self.by_name.get(name, [])
        return self.files[paths[0]] if len(paths) == 1 else ""


def _bases(base: str) -> Iterator[str]:
    yield from dict.fromkeys((base, "", *PLACES, *(f"{base}/{place}" for place in PLACES)))


def _refuse_what_is_no_path(given: str) -> None:
    text = given.strip()
    if text.endswith("|") or text.startswith("|"):
        raise DataError("is a command (a pipe), which is never run")
    if re.match(r"[a-z0-9]+://", text):
        raise DataError("is an address, not a file")
    if "\0" in text:
        raise DataError("holds a NUL byte")


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def suffix(name: str) -> str:
    """The ending of a name in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts 2 before 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def list_folder(root: Path) -> Listing:
    """All regular files of a folder; links that lead out of it, hidden files, pipes and devices are left out, and it is said.

    Raises
    ------
    DataError
        If the folder cannot be read.
    """
    root = root.resolve()
    left_out, files = LeftOut(), {}
    for entry, name in _entries(root, left_out):
        if reason := _unusable(entry, root):
            left_out.add(*reason, name)
        else:
            files[name] = entry.path
    for name in sorted(files):
        if suffix(name) in OTHER_AUDIO:
            one, several = (
                f"{suffix(name)} {kind}, which xaudio does not read (convert {them}: {CONVERT})" for kind, them in UNREAD
            )
            left_out.add(one, several, name)
    return Listing(root, files, left_out)


def _entries(root: Path, left_out: LeftOut) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every entry that is not a folder, with its path from the root."""
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise DataError(f"{root}: cannot be read ({error.strerror}). Check its permissions.") from None
            left_out.add("folder that cannot be read", "folders that cannot be read", prefix)
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                _hidden(entry, f"{prefix}{entry.name}", left_out)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{prefix}{entry.name}/"))
            else:
                yield entry, f"{prefix}{entry.name}"


def _hidden(entry: os.DirEntry[str], name: str, left_out: LeftOut) -> None:
    if suffix(entry.name) in AUDIO | OTHER_AUDIO or entry.name == "__MACOSX":
        left_out.add("hidden file", "hidden files", name)


def _unusable(entry: os.DirEntry[str], root: Path) -> tuple[str, str] | None:
    """Why an entry is no file of the data set, said of one and of several; None if it is one."""
    if entry.is_symlink():
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):
            return "link that leads nowhere", "links that lead nowhere"
        if not target.is_relative_to(root):
            return "link that leads out of the folder", "links that lead out of the folder"
        if target.is_dir():
            return "link to a folder", "links to folders"
    if not entry.is_file():
        return "entry that is not a file (a pipe, socket or device)", "entries that are not files (pipes, sockets, devices)"
    return None


def kinds_of(listing: Listing) -> str:
    """What files there are, in words."""
    counts = Counter(suffix(name) or "no ending" for name in listing.files)
    return ", ".join(f"{count} {ending}" for ending, count in counts.most_common(5)) or "no files"
