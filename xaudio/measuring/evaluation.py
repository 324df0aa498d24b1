"""Explainers measured by metrics on recordings that a model never heard; what is done is kept, so that it can be continued."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, unknown
from ..explanation.collection import Opened
from ..explanation.explanation import Explanation
from ..model.chance import above_chance, guessing
from ..model.model import Model, weights_digest
from ..model.relabelling import check_told_of, in_classes_of
from ..output.words import counted
from ..registry.defaults import CONTROLS
from ..shards.gathering import Sharing
from ..sound.labels import labelled
from ..types import Dataset, IntArray
from .choosing import evenly, spread
from .scoring import Work, explanation_path
from .sharing import share_measuring
from .statistics import require_enough
from .tables import SIGNIFICANCE, Tables, measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Evaluation(Tables):
    """What `evaluate` found for one model.

    Parameters
    ----------
    indices, labels, predicted : ndarray of int, shape (recordings,)
        Of the recordings in the data set. Where several labels may be true, the predicted one is that of the largest logit, and
        the label is the same if that is true, else another that is; -1 if none is.
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
    commonest : float
        Share of the commonest label: the accuracy of always naming it.
    """

    chance: float
    p_value: float
    unlearned: str
    milliseconds: Mapping[str, float]
    commonest: float = 0.0

    @property
    def accuracy(self) -> float:
        """Share of the recordings whose highest logit is that of the label."""
        return float((self.labels == self.predicted).mean())

    def __repr__(self) -> str:
        metrics = len({column.metric for column in self.columns})
        measured = f"{counted(len(self.folders), 'explainer')} by {counted(metrics, 'metric')}"
        return f"<Evaluation of {counted(len(self.indices), 'recording')}, {self.accuracy:.0%} correctly predicted: {measured}>"

    def examples(self, count: int) -> list[int]:
        """Recordings to show, evenly spread: correctly predicted ones, if there are any, and at most so many."""
        right = self.indices[self.labels == self.predicted]
        among = right if len(right) else self.indices
        return [int(index) for index in evenly(among, count)]

    def plot(self, ax: Axes | Sequence[Axes] | None = None, *, metric: str | None = None, seed: int = 0) -> Figure:
        """Means with intervals of 95 % over recordings: a panel for each value, a line for each explainer, controls hollow.

        An explainer that refused has no point, and one on too few recordings no interval; `table` says why.

        Parameters
        ----------
        ax : Axes or sequence of Axes, optional
            Axes of a figure of your own to draw into, one for each value. By default a new figure.
        metric : str, optional
            As it was given; by default all of them.
        seed : int
            Of the bootstrap.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        DataError
            If there is no such metric, or there are not as many axes as values.
        """
        from .plotting import plot_means

        chosen = [column for column in self.columns if metric in (None, column.metric)]
        if not chosen:
            raise DataError(unknown("metric", metric or "", {column.metric for column in self.columns}))
        return plot_means(measured(self, seed, chosen), chosen, list(self.folders), ax)

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
    folder: str | os.PathLike[str],
    recordings: int = 32,
    seed: int = 0,
    min_accuracy: float | None = None,
    title: str = "Measuring",
    sharing: Sharing | None = None,
    opened: Opened | None = None,
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
    folder : path
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
    sharing : Sharing, optional
        Who explains and measures, explainer by explainer; by default this process. With a part it predicts all recordings, and
        explains and measures that part alone, until all are there. Times per explanation are then those of processes beside
        others.
    opened : Opened, optional
        How others open the model and the data; the recordings it names are replaced by those that are chosen.

    Raises
    ------
    DataError
        If there are fewer than 8 recordings, or the data have classes that the model does not know.
    PartDoneError
        If this process was to do a part, and others are not done.
    XaudioError
        If the recordings cannot be predicted or the folder cannot be written. What an explainer or a metric refuses is
        no error: it is in the result.
    """
    folder = Path(folder)
    dataset = in_classes_of(model, dataset)
    model.check_kind(dataset)
    check_told_of(model, dataset)
    chosen = spread(indices[labelled(dataset.labels(model.task)[indices])], recordings, seed)
    require_enough(len(chosen), f"labelled recordings of {dataset.title}")
    work = Work(model, dataset, chosen, with_controls(explainers), metrics, folder)
    digest = "" if sharing is None else weights_digest(model)  # a network may write into its buffers while it predicts
    alone = sharing is None or sharing.part is None
    told, predicted = dataset.labels(model.task)[chosen], work.predictions(f"{title}: predicting", timed=alone)
    labels = told if told.ndim == 1 else _one_true(told, predicted)
    common = guessing(told) if told.ndim == 1 else float(told.mean(0).max())
    chance = max(1 / len(model.classes) if told.ndim == 1 else float(told.mean()), common)
    p_value = above_chance(int((labels == predicted).sum()), len(labels), chance)
    unlearned = _unlearned(float((labels == predicted).mean()), p_value, len(labels), chance, min_accuracy)
    if sharing is not None and opened is not None:
        options = {"opened": replace(opened, chosen=tuple(chosen.tolist())), "explainers": work.explainers, "folder": folder}
        options |= {"metrics": work.metrics, "right": (labels == predicted).tolist(), "unlearned": unlearned}
        share_measuring(sharing, digest, options, title)
        work = Work(model, dataset, chosen, work.explainers, metrics, folder)  # reads what they left
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
        commonest=common,
    )


def _one_true(table: IntArray, predicted: IntArray) -> IntArray:
    """One true label of each recording: the predicted one, if it is true, else the first; -1 where none is."""
    rows = np.arange(len(table))
    first = np.where(table.any(1), table.argmax(1), -1)
    return np.where(table[rows, predicted] == 1, predicted, first)


def with_controls(explainers: Sequence[str]) -> list[str]:
    """The explainers, each once, and the controls `random` and `amplitude` after them unless they are among them."""
    return list(dict.fromkeys([*explainers, *CONTROLS]))


def _unlearned(accuracy: float, p_value: float, count: int, chance: float, least: float | None) -> str:
    stated = f"accuracy {accuracy:.0%} on {counted(count, 'recording')}"
    rest = "explanations of a model that did not learn are not compared with the truth."
    if least is None:
        text = f"{stated} is not significantly above chance ({chance:.0%}, p = {p_value:.2g})"
        return "" if p_value < SIGNIFICANCE else f"{text}; {rest} --min-accuracy 0 compares them all the same."
    return "" if accuracy >= least else f"{stated} is below the {least:.0%} asked for; {rest}"
