"""What ``results.json`` of a probe holds: its schema, with which it is written and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from xaudio.plugin import ResultPart, Table, counted, holm


class Difference(ResultPart):
    """A paired difference of accuracies, with the interval of a bootstrap over speakers (or recordings)."""

    mean: float
    low: float
    high: float
    p: float | None = Field(
        default=None, description="Probability of a difference as large if there is none, not corrected; None in older results."
    )


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
    grouped_by: str = Field(default="speaker", description="What these are: speakers, or such as sources or sites.")
    chance: float = Field(description="One over the number of classes.")
    commonest: float | None = Field(default=None, description="Share of the commonest label; None in older results.")
    draws: int
    seed: int
    over: Literal["speakers", "recordings"] = Field(description="What the bootstrap draws.")
    notes: list[str]
    changes: list[ChangeResult]

    def table(self) -> Table:
        """A row for each change, against nothing changed and against each control: accuracies and their difference.

        ``p_holm`` is corrected after Holm (1979) for all changes, or for all controls of all changes. The intervals are those
        of one difference alone, and so is the verdict, which looks at the draws of the control, too.
        """
        columns = (
            "change",
            "compared_with",
            "accuracy",
            "accuracy_compared",
            "difference",
            "low",
            "high",
            "p",
            "p_holm",
            "verdict",
        )
        corrected = {
            id(item): p
            for family in ([change.cost for change in self.changes], [one.difference for one in self._controls()])
            for item, p in zip(family, _holm(family), strict=True)
        }

        def numbers(item: Difference) -> tuple[float | None, ...]:
            return item.mean, item.low, item.high, item.p, corrected[id(item)]

        rows: list[tuple[object, ...]] = []
        for item in self.changes:
            rows.append((item.words, "nothing changed", item.after, item.before, *numbers(item.cost), None))
            rows += [
                (item.words, control.words, item.after, control.accuracy, *numbers(control.difference), control.verdict)
                for control in item.controls
            ]
        shown = f"{self.task or 'classes'} of {self.data}: accuracy on {counted(self.recordings, 'recording')}"
        return Table(columns, tuple(rows), f"{shown}; differences with intervals of 95 % over {self.over}.")

    def _controls(self) -> list[ControlResult]:
        return [control for change in self.changes for control in change.controls]

    def __repr__(self) -> str:
        return f"<ProbeResults: {counted(len(self.changes), 'change')} on {counted(self.recordings, 'recording')} of {self.data}>"


def _holm(differences: Sequence[Difference]) -> list[float] | list[None]:
    """Corrected for their number; None of older results, which have no probabilities."""
    chances = [item.p for item in differences if item.p is not None]
    return holm(chances) if len(chances) == len(differences) else [None] * len(differences)
