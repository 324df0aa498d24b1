"""A finished training of the benchmark."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xaudio.plugin import TrainingResult


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, what it reached, and the predicted class of each test recording."""

    model: str
    task: str
    fold: int
    folder: Path
    result: TrainingResult
    predicted: Mapping[int, int]


def read_predictions(folder: Path) -> dict[int, int]:
    """Predicted class of each test recording of a run folder, by its index in the data set."""
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {int(row["index"]): int(row["predicted"]) for row in csv.DictReader(file)}
