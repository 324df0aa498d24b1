"""Explainers measured by metrics on recordings that a model never heard; what is done is kept, so that it can be continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..explanation.explanation import Explanation
from ..model.chance import above_chance, guessing
from ..model.model import Model
from ..model.relabelling import in_classes_of
from ..output.words import counted
from ..registry.defaults import CONTROLS
from ..types import Dataset, FloatArray, IntArray
from .choosing import evenly, spread
from .scoring import Column, Work, explanation_path
from .statistics import require_enough

SIGNIFICANCE = 0.05


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found for one model.

    Parameters
    ----------
    indices, labels, predicted : ndarray of int, shape (recordings,)
        Of the recordings in the data set.
    chance : float
        Accuracy of a guess: one over the number of classes, or the share of the commonest label if that is more.
    p_value : float
        Probability of guessing as many recordings correctly.
    unlearned : str
        Why the model counts as one that did not learn, or "".
    columns : sequence of Column
    values : mapping from (explainer, metric, name) to ndarray
        One value per recording; of metrics that need truth, per correctly predicted one.
    refused : mapping from (explainer, metric) to str
        Why there are no values, in one line; the metric is "" if the explainer itself refused.
    milliseconds : mapping from explainer to float
        Per explanation, median over batches.
    folders : mapping from explainer to Path
        Where its explanations are.
    """

    indices: IntArray
    labels: IntArray
    predicted: IntArray
    chance: float
    p_value: float
    unlearned: str
    columns: Sequence[Column]
    values: Mapping[tuple[str, str, str], FloatArray]
    refused: Mapping[tuple[str, str], str]
    milliseconds: Mapping[str, float]
    folders: Mapping[str, Path]

    @property
    def accuracy(self) -> float:
        """Share of the recordings whose highest logit is that of the label."""
        return float((self.labels == self.predicted).mean())

    @property
    def commonest(self) -> float:
        """Share of the commonest label: the accuracy of always naming it."""
        return guessing(self.labels)

    def examples(self, count: int) -> list[int]:
        """Recordings to show, evenly spread: correctly predicted ones, if there are any, and at most so many."""
        right = self.indices[self.labels == self.predicted]
        among = right if len(right) else self.indices
        return [int(index) for index in evenly(among, count)]

    def explanation(self, explainer: str, index: int) -> Explanation:
        """The explanation of a recording, read from its file."""
        return Explanation.load(explanation_path(self.folders[explainer], index))


def evaluate(
    model: Model,
    dataset: Dataset,
    indices: IntArray,
    *,
    explainers: Sequence[str],
    metrics: Sequence[str],
    folder: Path,
    recordings: int = 32,
    seed: int = 0,
    min_accuracy: float | None = None,
    title: str = "Measuring",
) -> Evaluation:
    """Explain the predicted classes of recordings by several explainers, and measure the explanations by several metrics.

    Parameters
    ----------
    model : Model
    dataset : Dataset
    indices : ndarray of int
        Recordings that the model never heard; see `held_out`. Those without a label are left out.
    explainers, metrics : sequence of str
        Names, with options as in "lrp:composite=epsilon". `random` and `amplitude` are added to the explainers.
    folder : Path
        Gets explanations, scores and times. The same call in the same folder goes on; the caller sees to it that it is
        the same (`refuse_other_settings`).
    recordings : int
        How many are measured, 8 or more, evenly spread.
    seed : int
        Of the choice of recordings.
    min_accuracy : float, optional
        Share of correctly predicted recordings below which no truth is compared with explanations; by default, the
        model must predict significantly better than by guessing (binomial test, 0.05).
    title : str
        Of the progress bar.

    Raises
    ------
    DataError
        If there are fewer than 8 recordings, or the data have classes that the model does not know.
    XaudioError
        If the recordings cannot be predicted or the folder cannot be written. What an explainer or a metric refuses is
        no error: it is in the result.
    """
    dataset = in_classes_of(model, dataset)
    model.check_one_class(dataset)
    chosen = spread(indices[dataset.labels(model.task)[indices] >= 0], recordings, seed)
    require_enough(len(chosen), f"labelled recordings of {dataset.title}")
    work = Work(model, dataset, chosen, with_controls(explainers), metrics, folder)
    labels, predicted = dataset.labels(model.task)[chosen], work.predictions(f"{title}: predicting")
    chance = max(1 / len(model.classes), guessing(labels))
    p_value = above_chance(int((labels == predicted).sum()), len(labels), chance)
    unlearned = _unlearned(float((labels == predicted).mean()), p_value, len(labels), chance, min_accuracy)
    work.measure(labels == predicted, unlearned, title)
    return Evaluation(
        indices=chosen,
        labels=labels,
        predicted=predicted,
        chance=chance,
        p_value=p_value,
        unlearned=unlearned,
        columns=work.columns(),
        values=work.values(),
        refused=work.refused,
        milliseconds={spec: work.milliseconds(spec) for spec in work.explainers if (spec, "") not in work.refused},
        folders=work.folders,
    )


def with_controls(explainers: Sequence[str]) -> list[str]:
    """The explainers, each once, and the controls `random` and `amplitude` after them unless they are among them."""
    return list(dict.fromkeys([*explainers, *CONTROLS]))


def _unlearned(accuracy: float, p_value: float, count: int, chance: float, least: float | None) -> str:
    stated = f"accuracy {accuracy:.0%} on {counted(count, 'recording')}"
    rest = "explanations of a model that did not learn are not compared with the truth."
    if least is None:
        known = f"{stated} is not significantly above chance ({chance:.0%}, p = {p_value:.2g})"
        return "" if p_value < SIGNIFICANCE else f"{known}; {rest} --min-accuracy 0 compares them all the same."
    return "" if accuracy >= least else f"{stated} is below the {least:.0%} asked for; {rest}"
