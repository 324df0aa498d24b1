"""What ``results.json`` of a probe holds: its schema, with which it is written and read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xaudio.plugin import ResultPart


class Difference(ResultPart):
    """A paired difference of accuracies, with the interval of a bootstrap over speakers (or recordings)."""

    mean: float
    low: float
    high: float


class Draw(ResultPart):
    """One draw of a control."""

    name: str = Field(description="As in the columns of the rows, such as 'random 1'.")
    accuracy: float
    place: dict[str, float] | None = Field(description="What was drawn for all recordings together, such as a band in Hz.")


class ControlResult(ResultPart):
    """A matched manipulation, and the change compared with it."""

    name: str
    words: str
    accuracy: float = Field(description="Mean over the draws.")
    low: float = Field(description="Accuracy of the lowest draw.")
    high: float = Field(description="Accuracy of the highest draw.")
    draws: list[Draw]
    accuracy_per_class: dict[str, float | None] = Field(description="Mean over the draws; None for a class without recordings.")
    probability_change: float = Field(description="Mean change of the true class's probability, over recordings and draws.")
    difference: Difference = Field(description="Accuracy after the change less that after the control (mean over its draws).")
    as_costly: int = Field(description="Draws after which the accuracy is as low as after the change, or lower.")
    verdict: Literal["more", "not more", "less"] = Field(
        description="Whether the change costs more accuracy than the control, beyond chance: the interval of the difference lies "
        "below 0, and at most one draw in twenty is as costly."
    )
    statement: str = Field(description="The same in words.")


class ClassResult(ResultPart):
    """Recordings of one class."""

    recordings: int
    before: float | None = Field(description="Accuracy; None without recordings.")
    after: float | None
    probability_change: float | None = Field(description="Mean change of the class's probability.")


class ChangeResult(ResultPart):
    """A change, its effect, and its controls."""

    change: str = Field(description="As it was given.")
    words: str
    before: float = Field(description="Accuracy.")
    after: float
    cost: Difference = Field(description="Accuracy after the change less that before.")
    probability_change: float = Field(description="Mean change of the true class's probability.")
    classes: dict[str, ClassResult]
    confusion_before: list[list[int]] = Field(description="Rows are labels, columns predictions.")
    confusion_after: list[list[int]]
    controls: list[ControlResult] = Field(description="The first is the one that the verdict on the change rests on.")
    notes: list[str]
    rows: str | None = Field(description="File with one row per recording; None if none was written.")


class ProbeResults(ResultPart):
    """All numbers of a probe; accuracies and probabilities are shares, 0 to 1."""

    # Raised whenever a reader of the old format would misunderstand the new one.
    format: Literal[1] = 1
    result: Literal["probe"] = "probe"
    models: list[str] = Field(description="Run folders; each model was tested on its own test set.")
    task: str
    data: str
    classes: list[str]
    recordings: int
    speakers: int
    chance: float = Field(description="One over the number of classes.")
    commonest: float | None = Field(default=None, description="Share of the commonest label; None in older results.")
    draws: int
    seed: int
    over: Literal["speakers", "recordings"] = Field(description="What the bootstrap draws.")
    notes: list[str]
    changes: list[ChangeResult]
