"""What ``results.json`` of the leaderboard holds: its schema, with which it is written and read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xaudio.plugin import ResultPart


class Metric(ResultPart):
    """A value that a metric gives: a column of the table."""

    metric: str = Field(description="As it was asked for, with its options.")
    name: str = Field(description="Of the value.")
    title: str = Field(description="Of the column; no two are the same.")
    better: Literal["higher", "lower", "none"]
    needs_truth: bool = Field(description="Whether it is measured on correctly predicted recordings only.")
    definition: str


class Score(ResultPart):
    """A cell of the table: an explainer by a metric, or why it is empty."""

    explainer: str
    column: str = Field(description="Title of the column.")
    recordings: int = Field(description="On which it was measured.")
    mean: float | None = None
    low: float | None = Field(default=None, description="Lower bound of the bootstrap interval over recordings.")
    high: float | None = None
    rank: int | None = Field(
        default=None, description="1 + the number of explainers whose interval lies wholly on the better side."
    )
    refused: str | None = Field(default=None, description="Why there is no value.")
    no_interval: str | None = Field(default=None, description="Why there is a value, but no interval and no rank.")


class Example(ResultPart):
    """A recording to see and hear."""

    recording: str
    title: str = Field(description="Prediction, truth and speaker.")
    folders: dict[str, str] = Field(description="Of picture and sounds, by explainer.")


class ModelResult(ResultPart):
    """A model with its table."""

    name: str
    run: str
    task: str
    data: str = Field(description="Title of the data set.")
    classes: list[str]
    indices: list[int] = Field(description="Of the measured recordings in the data set.")
    accuracy: float = Field(description="On the measured recordings.")
    chance: float = Field(description="One over the number of classes, or the share of the commonest label if that is more.")
    commonest: float | None = Field(default=None, description="Share of the commonest label; None in older results.")
    p_value: float = Field(description="Of the accuracy under chance, one-sided binomial test.")
    unlearned: str | None = Field(description="Why explanations were not compared with the truth.")
    milliseconds: dict[str, float] = Field(description="Per explanation, median over batches, without a first to warm up.")
    refused: dict[str, str] = Field(description="Why an explainer could not be used at all.")
    scores: list[Score]
    compared: list[str] = Field(description="Titles of the metrics whose rankings of the explainers were compared.")
    agreement: list[list[float | None]] = Field(description="Spearman's correlation of each two of these rankings.")
    examples: list[Example]
    notes: list[str] = Field(default=[], description="What a reader must know of the recordings.")

    def column(self, title: str) -> list[Score]:
        """The scores by one metric, the best ones first, the refused ones last."""
        scores = [score for score in self.scores if score.column == title]
        return sorted(scores, key=lambda score: (score.mean is None, score.rank or 0))


class Results(ResultPart):
    """All numbers of a run."""

    # Raised whenever a reader of the old format would misunderstand the new one.
    format: Literal[1] = 1
    benchmark: Literal["explainers"] = "explainers"
    level: float = Field(description="Of the intervals.")
    device: str
    explainers: list[str]
    metrics: list[Metric]
    models: list[ModelResult]
