"""What was measured of each recording, kept in a file while it is measured, so that an interrupted probe can be continued."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xaudio.plugin import FloatArray, IntArray, write_rows

EVERY = 10.0
"""Seconds between two savings: what a killed process loses at most, beside the batch it was at."""


@dataclass
class Rows:
    """Predicted class and probability of the true class of each recording, for every version of it.

    Parameters
    ----------
    path : Path or None
        None to keep nothing.
    versions : sequence of str
        Names, the first of which is before any change.
    indices : ndarray of int, shape (recordings,)
    speakers : sequence of str
    labels : ndarray of int, shape (recordings,)
    """

    path: Path | None
    versions: Sequence[str]
    indices: IntArray
    speakers: Sequence[str]
    labels: IntArray
    _measured: list[FloatArray] = field(init=False)
    _saved: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._measured = [self._read()]

    def __len__(self) -> int:
        """Recordings that are measured."""
        return sum(map(len, self._measured))

    @property
    def values(self) -> FloatArray:
        """(measured, versions, 2): predicted class and probability of the true one."""
        return np.concatenate(self._measured)

    def add(self, measured: FloatArray) -> None:
        """Take what was measured of the next recordings, and save it now and then."""
        self._measured.append(measured)
        if time.monotonic() - self._saved >= EVERY:
            self.save()

    def save(self) -> None:
        """Write all that is measured."""
        if self.path is not None:
            values = self.values
            recordings = zip(self.indices.tolist(), self.speakers, self.labels.tolist(), strict=True)
            rows = (
                [*row, *own[:, 0].astype(np.int64).tolist(), *map(repr, own[:, 1].tolist())]
                for row, own in zip(recordings, values, strict=False)
            )
            write_rows(self.path, self._columns, rows)
        self._saved = time.monotonic()

    @property
    def _columns(self) -> list[str]:
        return [
            "index",
            "speaker",
            "label",
            *(f"{kind} {name}" for kind in ("predicted", "probability") for name in self.versions),
        ]

    def _read(self) -> FloatArray:
        """What an earlier call left; nothing if that is not there, damaged, or another's."""
        nothing = np.zeros((0, len(self.versions), 2))
        if self.path is None:
            return nothing
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            if header != self._columns or [int(row[0]) for row in rows] != self.indices[: len(rows)].tolist():
                return nothing
            values = np.array([row[3:] for row in rows], dtype=np.float64).reshape(len(rows), 2, len(self.versions))
        except (OSError, ValueError, IndexError):
            return nothing
        return values.transpose(0, 2, 1) if np.isfinite(values).all() else nothing
