"""Two folders of results side by side: which settings differ, and which accuracies differ beyond noise."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModelError
from ..output.runs import differences, first_entry, read_json, shown
from ..types import FloatArray

REPEATS = 2_000
LEVEL = 0.95


class Setting(NamedTuple):
    """A setting in which two folders differ: its name and both values, None where there is none."""

    name: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.first!r}, {self.second!r}"

    def in_short(self, longest: int) -> tuple[str, str, str]:
        """Name and both values in so many characters each; of a long list the first entry that differs, and of how many."""
        if (inner := first_entry(*self, longest)) is None:
            return self.name, shown(self.first, longest), shown(self.second, longest)
        name, *values = Setting(*inner).in_short(longest)
        lengths = (len(self.first), len(self.second))
        first, second = (f"{value} (of {length})" for value, length in zip(values, lengths, strict=True))
        return name, first, second


@dataclass(frozen=True)
class Difference:
    """Accuracies of one training in two folders, and an interval for how far they lie apart.

    Parameters
    ----------
    name : str
        Of the training's folder, such as "audionet-digit-fold0".
    first, second : float
        Accuracies.
    low, high : float
        Bounds of second - first: 95 % of bootstrap samples lie between them.
    paired : bool
        Whether both were tested on the same recordings, which are then drawn together.
    """

    name: str
    first: float
    second: float
    low: float
    high: float
    paired: bool

    @property
    def beyond_noise(self) -> bool:
        """Whether 0 lies outside the interval."""
        return not self.low <= 0 <= self.high


def compare(first: Path, second: Path, seed: int = 0) -> tuple[list[Setting], list[Difference]]:
    """Compare two result folders.

    Parameters
    ----------
    first, second : Path
        Folders of ``xaudio bench``, or single run folders of ``xaudio train``.
    seed : int
        Of the bootstrap.

    Returns
    -------
    settings : list of Setting
        Those that differ.
    differences : list of Difference
        Of the trainings that both have.

    Raises
    ------
    ModelError
        If a folder has no results, or the two have no training in common.
    """
    settings = [_settings(folder / "run.json") for folder in (first, second)]
    runs = [_predictions(folder) for folder in (first, second)]
    common = [name for name in runs[0] if name in runs[1]]
    if not common:
        names = [", ".join(parts) for parts in runs]
        raise ModelError(f"{first} and {second} have no training in common: {names[0]} against {names[1]}.")
    rng = np.random.default_rng(seed)
    differing = [Setting(*difference) for difference in differences(*settings)]
    return differing, [_difference(name, runs[0][name], runs[1][name], rng) for name in common]


def _settings(path: Path) -> Any:
    record = read_json(path)
    if not isinstance(record, dict) or "settings" not in record:
        raise ModelError(f"{path}: is damaged; expected a JSON object with 'settings'.")
    return record["settings"]


def _predictions(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Rows of ``predictions.csv`` by training."""
    paths = sorted((folder / "models").glob("*/predictions.csv"))
    if not paths and (folder / "predictions.csv").exists():
        return {"training": _rows(folder / "predictions.csv")}
    if not paths:
        raise ModelError(f"{folder}: holds no predictions. Give the --out folder of xaudio bench or xaudio train.")
    return {path.parent.name: _rows(path) for path in paths}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _difference(name: str, first: list[dict[str, str]], second: list[dict[str, str]], rng: np.random.Generator) -> Difference:
    """Bootstrap over speakers and their recordings, since those of one speaker are right or wrong together."""
    key = ("index", "speaker", "label")
    paired = [[row[k] for k in key] for row in first] == [[row[k] for k in key] for row in second]
    right = [np.array([row["label"] == row["predicted"] for row in rows], dtype=float) for rows in (first, second)]
    speakers = [np.array([row["speaker"] for row in rows]) for rows in (first, second)]
    if paired:
        draws = _resampled_means(right[1] - right[0], speakers[0], rng)
    else:
        draws = _resampled_means(right[1], speakers[1], rng) - _resampled_means(right[0], speakers[0], rng)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(name, float(right[0].mean()), float(right[1].mean()), float(low), float(high), paired)


def _resampled_means(values: FloatArray, speakers: Any, rng: np.random.Generator) -> FloatArray:
    """Means (repeats,) of values -1, 0 or 1: speakers drawn with replacement, then of each of these its recordings.

    How often each value comes up in a draw of recordings follows a multinomial distribution, so none is drawn singly.
    """
    names = np.unique(speakers)
    sizes = np.array([(speakers == name).sum() for name in names])
    shares = np.array([[(values[speakers == name] == value).mean() for value in (-1, 0, 1)] for name in names])
    drawn = rng.integers(len(names), size=(REPEATS, len(names)))
    counts = rng.multinomial(sizes[drawn], shares[drawn])
    return np.asarray((counts[..., 2] - counts[..., 0]).sum(1) / sizes[drawn].sum(1))
