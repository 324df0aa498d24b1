"""What ``results.json`` of the benchmark holds: its schema, with which it is written and read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xaudio.plugin import FixedRecord


class Column(FixedRecord):
    """A measure."""

    name: str
    better: Literal["higher", "lower", "none"]
    needs_truth: bool = Field(description="Whether it needs the sound of the evidence; then of correctly predicted recordings.")
    definition: str


class Score(FixedRecord):
    """A mean over recordings, or why there is none."""

    mean: float | None = None
    low: float | None = Field(default=None, description="Lower bound of the bootstrap interval over recordings.")
    high: float | None = None
    recordings: int = Field(description="On which it was measured.")
    refused: str | None = Field(default=None, description="Why there is no value.")
    no_interval: str | None = Field(default=None, description="Why there is a value, but no interval and no rank.")


class Row(FixedRecord):
    """A setting of the renderer over all models and explainers but the controls."""

    renderer: str
    scores: dict[str, Score] = Field(description="By measure; of each recording, the mean over the explainers.")
    ranks: dict[str, int] = Field(description="1 + the number of settings whose interval lies wholly on the better side.")


class Cell(FixedRecord):
    """An explainer heard through a setting of the renderer."""

    explainer: str
    renderer: str
    scores: dict[str, Score] = Field(description="By measure.")
    silent: int = Field(description="Recordings of which no positive part was heard.")


class Example(FixedRecord):
    """A recording to hear."""

    title: str = Field(description="Prediction, truth and speaker.")
    original: str = Field(description="File of the recording.")
    sounds: dict[str, str] = Field(description="Files of the positive parts by the first explainer, by setting.")


class ModelResult(FixedRecord):
    """A model with its table."""

    name: str
    run: str
    task: str
    data: str = Field(description="Title of the data set.")
    indices: list[int] = Field(description="Of the measured recordings in the data set.")
    commonest: float | None = Field(default=None, description="Share of the commonest label; None in older results.")
    accuracy: float = Field(description="On the measured recordings.")
    refused: dict[str, str] = Field(description="Why an explainer could not be used, by explainer.")
    cells: list[Cell]
    examples: list[Example]


class Results(FixedRecord):
    """All numbers of a run."""

    # Raised whenever a reader of the old format would misunderstand the new one.
    format: Literal[1] = 1
    benchmark: Literal["audible"] = "audible"
    level: float = Field(description="Of the intervals.")
    explainers: list[str]
    renderers: list[str]
    measures: list[Column]
    overall: list[Row]
    models: list[ModelResult]
