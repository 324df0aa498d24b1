"""What ``results.json`` of the benchmark holds: its schema, with which it is written and read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xaudio.plugin import ResultPart, TrainingResult


class LowestSpeaker(ResultPart):
    """The speaker whose recordings are recognised worst, and what the spread over folds would be without it."""

    speaker: str
    accuracy: float = Field(description="Of this speaker's recordings, in percent.")
    median: float = Field(description="Of the accuracies of all speakers, in percent.")
    mean_without: float | None = Field(description="Mean accuracy over folds, in percent, without this speaker's recordings.")
    std_without: float | None = Field(description="Standard deviation over folds without it; None for fewer than two folds.")
    explains_spread: bool = Field(description="Whether leaving it out at least halves the standard deviation over folds.")


class TableRow(ResultPart):
    """A row of Table 1; all accuracies in percent, standard deviations those of a population."""

    model: str
    task: str
    mean: float = Field(description="Over folds.")
    std: float | None = Field(description="Over folds; None for a single fold.")
    folds: list[float]
    chance: float
    commonest: float | None = Field(default=None, description="Share of the commonest label, mean over folds.")
    published_mean: float | None
    published_std: float | None
    difference: float | None = Field(description="Obtained less published; only on the paper's data by the paper's protocol.")
    lowest_speaker: LowestSpeaker


class Condition(ResultPart):
    """Accuracy in percent over folds under one manipulation of the frequency axis."""

    mean: float
    std: float | None


class Curve(ResultPart):
    """Accuracy in percent after each of ``fractions`` of the samples was set to 0 in one order."""

    mean: list[float] = Field(description="Over folds and random draws.")
    low: list[float] = Field(description="The lowest of them.")
    high: list[float] = Field(description="The highest of them.")
    aopc: float = Field(description="Mean over fractions of the drop of the explained class's probability.")


class Spectra(ResultPart):
    """Mean relevance by frequency for each sex; each recording's relevance is scaled to a sum of magnitudes of 1."""

    frequencies: list[float] = Field(description="Centres of the bins in Hz.")
    recordings: dict[str, int]
    spectra: dict[str, list[float]]


class Example(ResultPart):
    """An explained recording with picture, sounds and page in a folder of its own."""

    title: str
    folder: str
    right: bool = Field(description="Whether the prediction was right.")


class Measured(ResultPart):
    """Medians over test recordings of what can be said of an explainer's relevance."""

    model: str
    task: str
    explainer: str
    recordings: int
    conservation: float | None = Field(description="Sum of relevance over the logit.")
    silence: float | None = Field(description="Share of relevance on exact silence and padding.")
    sparseness: float | None = Field(description="Gini index of the magnitudes.")


class Training(TrainingResult):
    """A training of the benchmark; its identity is in its own folder's ``results.json``."""

    identity: None = None  # type: ignore[assignment]


class Results(ResultPart):
    """All numbers of a run of the benchmark."""

    # Raised whenever a reader of the old format would misunderstand the new one.
    format: Literal[2] = 2
    benchmark: Literal["audiomnist"] = "audiomnist"
    preset: str
    label: str = Field(description="The protocol: the preset, and what was changed in it.")
    data: str = Field(description="Title of the data set.")
    notes: list[str] = Field(description="What the data set says of itself.")
    explainer: str
    jobs: int = Field(description="Trainings that ran side by side.")
    table1: list[TableRow]
    runs: list[Training]
    limit: int | None = Field(description="Test recordings of each fold that were manipulated and explained; None for all.")
    fractions: list[float] = Field(description="Of a recording's samples that are not zero.")
    flipping: dict[str, dict[str, Curve]] = Field(description="By task and order.")
    frequencies: dict[str, Condition] | None = Field(description="By condition; None without a sex model on spectrograms.")
    spectra: Spectra | None
    figures: list[str]
    examples: list[Example]
    explanations: list[Measured]
