"""What a finished training says of itself: the content of ``results.json`` in its run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from ..output.results import FixedRecord
from ..types import FloatArray, IntArray, Kind
from .chance import guessing
from .precision import Precision
from .several import labels_summary, mean_recall


class Speed(FixedRecord):
    """How fast the steps of a training were, as far as they were done without interruption.

    Parameters
    ----------
    precision : {"float32", "tf32", "bfloat16"}
        Of the products.
    steps_per_second : float
    operations_per_step : int
        Floating-point operations of a step's convolutions and matrix products, forwards and backwards.
    matrix_peak : float
        The most operations per second that this device, with as many threads, was measured to do multiplying matrices in
        this precision.
    share_of_peak : float
        Of ``matrix_peak``.
    """

    precision: Precision
    steps_per_second: float
    operations_per_step: int
    matrix_peak: float
    share_of_peak: float


class TrainingResult(FixedRecord):
    """A training and its test.

    Parameters
    ----------
    model, task : str
    fold : int
    data : str
        Title of the data set.
    kind : {"classes", "labels"}
        Whether one of the classes is true, or several may be.
    accuracy : float
        Share of the test recordings whose highest logit is that of the label; of labels, the share that is told correctly, true
        or not true (probability above 1/2).
    chance : float
        One over the number of classes; of labels, 1/2.
    commonest : float
        Share of the commonest label of the test: the accuracy of always naming it; of labels, of always giving the commoner
        answer.
    balanced_accuracy : float or None
        Mean over classes of the share of their recordings that is told; of labels, the mean over labels of that of what is true
        and what is not. None where the test does not hold both, or in results of earlier versions.
    mean_average_precision, prevalence : float or None
        Of labels: the mean over those that occur in the test (see `xaudio.model.several.average_precision`), and the mean share
        of what is true, which guessing would have.
    average_precision : dict of str to float or None
        Of each label; None where it does not occur.
    recordings, speakers : int
        In the test; none of the speakers was heard in training.
    accuracy_per_speaker : dict of str to float
    classes : list of str
    confusion : list of list of int
        Rows are labels, columns predictions. Of labels, a row for each with the number of recordings in which it is not true and
        not told, not true but told, true but not told, true and told.
    train_recordings : int
    seconds : float
        That training took, since it was last continued.
    speed : Speed or None
        None if the last step had been done before it was last continued.
    identity : dict
        Everything that determines the result; a run of another identity is refused in the same folder.
    """

    model: str
    task: str
    fold: int
    data: str
    kind: Kind = "classes"
    accuracy: float
    chance: float
    commonest: float
    balanced_accuracy: float | None = None
    mean_average_precision: float | None = None
    prevalence: float | None = None
    average_precision: dict[str, float | None] = Field(default_factory=dict)
    recordings: int
    speakers: int
    accuracy_per_speaker: dict[str, float]
    classes: list[str]
    confusion: list[list[int]]
    train_recordings: int
    seconds: float
    speed: Speed | None
    identity: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _with_commonest(cls, content: Any) -> Any:
        """Results of earlier versions do not name the share, but hold it in the confusion."""
        if isinstance(content, dict) and "commonest" not in content and content.get("confusion"):
            counts = [sum(row) for row in content["confusion"]]
            return {**content, "commonest": max(counts) / max(1, sum(counts))}
        return content

    @property
    def accuracy_beside(self) -> str:
        """The accuracy beside what needs no hearing: one over the number of classes, and always naming the commonest label."""
        beside = "commoner answer" if self.kind == "labels" else "commonest label"
        said = f"accuracy {self.accuracy:.2%} (chance {self.chance:.2%}, {beside} {self.commonest:.2%})"
        said += "" if self.balanced_accuracy is None else f", balanced accuracy {self.balanced_accuracy:.2%}"
        if self.mean_average_precision is None or self.prevalence is None:
            return said
        return f"mean average precision {self.mean_average_precision:.2%} (by guessing {self.prevalence:.2%}), {said}"


def test_summary(logits: FloatArray, labels: IntArray, speakers: Any, classes: tuple[str, ...]) -> Mapping[str, Any]:
    """The part of `TrainingResult` that follows from the test.

    Parameters
    ----------
    logits : ndarray, shape (recordings, classes)
    labels : ndarray of int, shape (recordings,), or (recordings, classes) of 0 and 1
    speakers : ndarray of str, shape (recordings,)
    classes : tuple of str
    """
    if labels.ndim == 2:
        return labels_summary(logits, labels, speakers, classes)
    predicted = np.argmax(logits, 1)
    right = predicted == labels
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    per_speaker = {str(speaker): float(right[speakers == speaker].mean()) for speaker in np.unique(speakers)}
    return {
        "accuracy": float(right.mean()),
        "chance": 1 / len(classes),
        "commonest": guessing(labels),
        "balanced_accuracy": mean_recall(predicted, labels),
        "recordings": len(labels),
        "speakers": len(per_speaker),
        "accuracy_per_speaker": per_speaker,
        "classes": list(classes),
        "confusion": confusion.tolist(),
    }
