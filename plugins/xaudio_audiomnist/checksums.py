"""Whether recordings are byte for byte those that were published.

``sha256.bin`` holds the first 8 bytes of the SHA-256 of each of the 30,000 recordings, one after the other: by speaker (1 to 60),
digit (0 to 9) and repetition (0 to 49). It was made of the SHA-256 sums in the Git LFS pointers of a public copy, by
``b"".join(bytes.fromhex(sums[name_of(s, d, r)])[:8] for s in range(1, 61) for d in range(10) for r in range(50))``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xaudio.plugin import Checked, DataError, progress

SPEAKERS, DIGITS, REPETITIONS = 60, 10, 50
RECORDINGS = SPEAKERS * DIGITS * REPETITIONS
BYTES = 8
NAMED = 10
"""Recordings of a kind that are named."""


class Sums(NamedTuple):
    """What the published checksums say of some recordings, by names such as "03/7_03_12.wav".

    Parameters
    ----------
    right, damaged, missing, other : list of str
        As published; of other content; not there; of a name that the corpus does not have.
    """

    right: list[str]
    damaged: list[str]
    missing: list[str]
    other: list[str]

    def checked(self) -> Checked:
        """The same in words."""
        there = len(self.right) + len(self.damaged)
        line = f"{there:,} of the {RECORDINGS:,} recordings of AudioMNIST are there, {len(self.right):,} of them as published"
        rest = [_named(self.missing, "missing"), _named(self.damaged, "damaged"), _named(self.other, "of no name in the corpus")]
        return Checked("; ".join([line, *filter(None, rest)]) + ".", tuple(self.damaged))


def _named(names: Sequence[str], what: str) -> str:
    """How many there are, and the first of them."""
    if not names:
        return ""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,} {what}: {', '.join(names[:NAMED])}{more}"


def name_of(speaker: int, digit: int, repetition: int) -> str:
    """A recording as the corpus names it, within its folder of speakers."""
    return f"{speaker:02d}/{digit}_{speaker:02d}_{repetition}.wav"


def compare(recordings: Sequence[tuple[int, int, int, Path]], *, shown: bool = True) -> Sums:
    """Compare recordings with the published checksums.

    Parameters
    ----------
    recordings : sequence of (digit, speaker, repetition, path)
    shown : bool
        Show the progress.

    Raises
    ------
    DataError
        If a recording cannot be read.
    """
    published = Path(__file__).with_name("sha256.bin").read_bytes()
    sums = Sums([], [], [], [])
    there: set[int] = set()
    with progress("Comparing with the published checksums", len(recordings), always=shown) as advance:
        for digit, speaker, repetition, path in recordings:
            name = name_of(speaker, digit, repetition)
            place = _place(speaker, digit, repetition)
            if place is None:
                sums.other.append(name)
            else:
                there.add(place)
                right = _sum(path) == published[place * BYTES : (place + 1) * BYTES]
                (sums.right if right else sums.damaged).append(name)
            advance()
    sums.missing.extend(
        name_of(speaker, digit, repetition)
        for speaker in range(1, SPEAKERS + 1)
        for digit in range(DIGITS)
        for repetition in range(REPETITIONS)
        if _place(speaker, digit, repetition) not in there
    )
    return sums


def _place(speaker: int, digit: int, repetition: int) -> int | None:
    """Where the checksum of a recording stands; None where the corpus has no such recording."""
    if not (1 <= speaker <= SPEAKERS and 0 <= digit < DIGITS and 0 <= repetition < REPETITIONS):
        return None
    return ((speaker - 1) * DIGITS + digit) * REPETITIONS + repetition


def _sum(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()[:BYTES]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def refuse_damaged(sums: Sums, folder: Path) -> None:
    """Raise `DataError` if recordings are missing or not as published.

    Parameters
    ----------
    sums : Sums
    folder : Path
        For the message.
    """
    if sums.damaged or sums.missing:
        what = "; ".join(filter(None, (_named(sums.damaged, "damaged"), _named(sums.missing, "missing"))))
        raise DataError(f"{folder}: is not AudioMNIST as published ({what}). Remove the folder and fetch the corpus again.")
