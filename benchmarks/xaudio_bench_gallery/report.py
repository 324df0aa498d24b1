"""The gallery as one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

import xaudio
import xaudio.plugin
from xaudio.plugin import ResultPart


class Card(ResultPart):
    """A method on all recordings of a model."""

    method: str
    folders: list[str] = Field(description="Of each recording's picture and sounds.")
    seconds: float | None = Field(description="To explain and draw all recordings, or to read what was there.")
    refused: str | None = Field(description="Why the method does not work for this model.")


class ModelResult(ResultPart):
    """A model with all methods."""

    name: str
    titles: list[str] = Field(description="Of each recording: prediction, truth and speaker.")
    cards: list[Card]
    compared: list[str] = Field(description="The methods of the matrix.")
    agreement: list[list[float | None]] = Field(description="Spearman's rank correlation, mean over recordings.")


class Results(ResultPart):
    """What the page shows."""

    format: Literal[1] = 1
    benchmark: Literal["gallery"] = "gallery"
    data: str
    recordings: list[str]
    methods: list[str]
    models: list[ModelResult]


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from what the folder holds.

    Raises
    ------
    ModelError
        If a file is missing, damaged or of another version.
    """
    results = xaudio.plugin.read_results(folder / "results.json", Results)
    return xaudio.plugin.write_page(folder, __package__, results=results)
