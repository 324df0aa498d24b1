"""The gallery as one page that needs nothing else."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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
    notes: list[str] = Field(default=[])


write_report = xaudio.plugin.report_writer(Results, __package__)
"""Writes ``report.html`` from what a folder holds."""
