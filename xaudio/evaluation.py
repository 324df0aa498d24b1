"""Explainers measured by metrics on recordings that a model never heard; what is done is kept, so that it goes on."""

from __future__ import annotations

import contextlib
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .arguments import as_explainer
from .batching import out_of_memory
from .classifier import Classifier
from .doctor.probe import warn_about
from .errors import DataError, ModelError, PluginError, XaudioError, XaudioWarning
from .explanation import Explanation
from .options import parse_spec, summary_of
from .pipeline import explain_prepared, provenance_of
from .preparation import Prepared, prepare_clips
from .registry import registry
from .runs import read_json, write_json
from .statistics import above_chance, guessing, require_enough
from .terminal import progress
from .types import Clip, Dataset, Explainer, FloatArray, IntArray

BATCH = 16
"""Recordings explained and measured at a time; an interruption costs at most so many explanations of one explainer."""

REFERENCE = "amplitude"
"""The explainer that is asked first: it costs no more than the prediction, which decides what can be measured."""

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Column:
    """A value that a metric gives.

    Parameters
    ----------
    metric : str
        As it was given, with its options.
    name : str
        Of the value.
    better : {"higher", "lower", "none"}
    needs_truth : bool
        Whether it is measured on rightly predicted recordings only.
    definition : str
        First line of the metric's description.
    """

    metric: str
    name: str
    better: str
    needs_truth: bool
    definition: str


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
        Probability of guessing as many recordings rightly.
    unlearned : str
        Why the model counts as one that did not learn, or "".
    columns : sequence of Column
    values : mapping from (explainer, metric, name) to ndarray
        One value per recording; of metrics that need truth, per rightly predicted one.
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

    def explanation(self, explainer: str, index: int) -> Explanation:
        """The explanation of a recording, read from its file."""
        return Explanation.load(explanation_path(self.folders[explainer], index))


def evaluate(
    classifier: Classifier,
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
    classifier : Classifier
    dataset : Dataset
    indices : ndarray of int
        Recordings that the classifier never heard; see `held_out`. Those without a label are left out.
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
        Share of rightly predicted recordings below which no truth is compared with explanations; by default, the
        model must predict significantly better than by guessing (binomial test, 0.05).
    title : str
        Of the progress bar.

    Raises
    ------
    DataError
        If there are fewer than 8 recordings.
    XaudioError
        If the recordings cannot be predicted or the folder cannot be written. What an explainer or a metric refuses is
        no error: it is in the result.
    """
    chosen = spread(indices[dataset.labels(classifier.task)[indices] >= 0], recordings, seed)
    require_enough(len(chosen), f"labelled recordings of {dataset.title}")
    work = _Work(classifier, dataset, chosen, with_controls(explainers), metrics, folder)
    labels, predicted = dataset.labels(classifier.task)[chosen], work.predictions(f"{title}: predicting")
    chance = max(1 / len(classifier.classes), guessing(labels))
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
    return list(dict.fromkeys([*explainers, REFERENCE, "random"]))


def spread(indices: IntArray, count: int, seed: int) -> IntArray:
    """So many of the indices, one drawn from each of as many equal parts; all if there are no more.

    A fixed stride could meet the same class again and again where the recordings are in the order of their classes.
    """
    edges = np.arange(count + 1) * len(indices) // count
    if count >= len(indices):
        return np.asarray(indices)
    return np.asarray(indices)[np.random.default_rng(seed).integers(edges[:-1], edges[1:])]


def explanation_path(folder: Path, index: int) -> Path:
    """Where an explainer's folder keeps the explanation of a recording."""
    return folder / "explanations" / f"{index}.safetensors"


def _unlearned(accuracy: float, p_value: float, count: int, chance: float, least: float | None) -> str:
    stated = f"accuracy {accuracy:.0%} on {count} recordings"
    rest = "explanations of a model that did not learn are not compared with the truth."
    if least is None:
        known = f"{stated} is not significantly above chance ({chance:.0%}, p = {p_value:.2g})"
        return "" if p_value < SIGNIFICANCE else f"{known}; {rest} --min-accuracy 0 compares them all the same."
    return "" if accuracy >= least else f"{stated} is below the {least:.0%} asked for; {rest}"


class _Work:
    """The explanations and scores of one model: batch by batch, each batch by all explainers and metrics in turn."""

    def __init__(
        self,
        classifier: Classifier,
        dataset: Dataset,
        indices: IntArray,
        explainers: Sequence[str],
        metrics: Sequence[str],
        folder: Path,
    ) -> None:
        self.classifier, self.dataset, self.indices = classifier, dataset, indices
        self.explainers, self.metrics = list(explainers), list(dict.fromkeys(metrics))
        self.folders = {spec: folder / file_name(number, spec) for number, spec in enumerate(self.explainers)}
        self.refused: dict[tuple[str, str], str] = {}
        self._methods: dict[str, tuple[Explainer, dict[str, Any]]] = {}
        self._objects: dict[str, Any] = {}
        self._sizes = dict.fromkeys(self.explainers, BATCH)
        self._warm: set[str] = set()
        self._prepared: tuple[tuple[int, ...], list[Clip], Prepared] | None = None
        for spec in self.explainers:
            with self._noting(spec, ""):
                name, options = parse_spec(spec)
                self._methods[spec] = as_explainer(name, dict(options))
                warn_about(classifier, name, self._methods[spec][0])
        for metric in self.metrics:
            with self._noting("", metric):
                name, options = parse_spec(metric)
                self._objects[metric] = registry().create("metric", name, options)
            if reason := self.refused.pop(("", metric), None):
                self.refused |= {(spec, metric): reason for spec in self.explainers}
        self._scores = {
            (spec, metric): _read_scores(self._score_path(spec, metric)) for spec in self.explainers for metric in self.metrics
        }

    def predictions(self, title: str) -> IntArray:
        """Predicted classes, (recordings,).

        Raises
        ------
        XaudioError
            If the model cannot be asked about these recordings.
        """
        if (REFERENCE, "") in self.refused:
            raise PluginError(self.refused[REFERENCE, ""])
        found: list[int] = []
        with progress(title, len(self.indices)) as advance:
            for batch in self._batches():
                found += [item.predicted for item in self._explained(REFERENCE, batch)]
                advance(len(batch))
        return np.array(found, dtype=np.int64)

    def measure(self, right: Any, unlearned: str, title: str) -> None:
        """Explain and measure; ``right`` says which predictions are (recordings,)."""
        self.refused |= {(spec, metric): unlearned for spec in self.explainers for metric in self._true() if unlearned}
        steps = len(self.indices) * len(self.explainers) * (1 + len(self.metrics))
        hits = dict(zip(self.indices.tolist(), right.tolist(), strict=True))
        with progress(title, steps) as advance:
            for batch in self._batches():
                for spec in self.explainers:
                    found: list[Explanation] = []
                    if (spec, "") not in self.refused:
                        found = self._attempt(spec, batch)
                    advance(len(batch), spec)
                    for metric in self.metrics:
                        wanted = [index for index in batch if hits[index] or metric not in self._true()]
                        if found and (spec, metric) not in self.refused:
                            self._measure(spec, metric, {i: item for i, item in zip(batch, found, strict=True) if i in wanted})
                        advance(len(batch), f"{spec}, {metric}")

    def _batches(self) -> Iterator[list[int]]:
        return (self.indices[start : start + BATCH].tolist() for start in range(0, len(self.indices), BATCH))

    def _true(self) -> list[str]:
        return [metric for metric, made in self._objects.items() if getattr(made, "needs_truth", False)]

    @contextlib.contextmanager
    def _noting(self, spec: str, metric: str) -> Iterator[None]:
        """Note why a plugin refuses; a plugin may fail in any way, and the others must go on."""
        try:
            yield
        except XaudioError as error:
            self.refused[spec, metric] = " ".join(str(error).split())
        except Exception as error:
            self.refused[spec, metric] = f"{type(error).__name__}: {' '.join(str(error).split())}"

    def _attempt(self, spec: str, batch: list[int]) -> list[Explanation]:
        """Explanations of a batch, or none if the explainer refuses."""
        kept, found = self._kept(spec, batch), []
        if kept is not None:
            return kept
        with self._noting(spec, ""):
            found = self._explain(spec, batch)
        return self._save(spec, batch, found)

    def _explained(self, spec: str, batch: list[int]) -> list[Explanation]:
        """Explanations of a batch; what the explainer raises is passed on."""
        kept = self._kept(spec, batch)
        return self._save(spec, batch, self._explain(spec, batch)) if kept is None else kept

    def _kept(self, spec: str, batch: list[int]) -> list[Explanation] | None:
        with contextlib.suppress(ModelError):  # missing or damaged: made again
            return [Explanation.load(explanation_path(self.folders[spec], index)) for index in batch]
        return None

    def _save(self, spec: str, batch: list[int], found: list[Explanation]) -> list[Explanation]:
        for index, item in zip(batch if found else [], found, strict=True):
            item.save(explanation_path(self.folders[spec], index))
        return found

    def _explain(self, spec: str, batch: list[int]) -> list[Explanation]:
        """Explain a batch and note how long it took, unless it is the first: that one warms up."""
        method, described = self._methods[spec]
        classifier, facts = self.classifier, self.classifier.facts
        rules = {
            "fit": facts.get("fit", self.dataset.fit),
            "resampling": facts.get("resampling", self.dataset.resampling),
            "seed": facts.get("seed", 0),
        }
        clips, prepared = self._prepare(batch, rules)
        while True:
            seconds: list[float] = []
            clocked = timed(method, seconds.append, classifier.device)
            provenance = provenance_of(classifier, described, **rules)
            size = self._sizes[spec]
            try:
                found = explain_prepared(
                    classifier, clocked, clips, prepared, None, provenance, seed=rules["seed"], batch_size=size
                )
                break
            except Exception as error:
                if size == 1 or not out_of_memory(error):
                    raise
            self._sizes[spec] = size // 2
            warnings.warn(f"{spec}: memory ran out with {size} at once; going on with {size // 2}.", XaudioWarning, stacklevel=2)
        if spec in self._warm:
            self._times(spec, batch, sum(seconds))
        self._warm.add(spec)
        return found

    def _prepare(self, batch: list[int], rules: Mapping[str, Any]) -> tuple[list[Clip], Prepared]:
        """Recordings of a batch, decoded once for all explainers."""
        if self._prepared is None or self._prepared[0] != tuple(batch):
            read = self.classifier.representation
            clips = [self.dataset[index] for index in batch]
            prepared = prepare_clips(clips, read.sample_rate, read.samples, rules["fit"], rules["resampling"])
            self._prepared = (tuple(batch), clips, prepared)
        return self._prepared[1:]

    def _times(self, spec: str, batch: list[int], seconds: float) -> None:
        path = self.folders[spec] / "times.json"
        write_json(path, {**_read_times(path), str(batch[0]): 1000 * seconds / len(batch)})

    def milliseconds(self, spec: str) -> float:
        """Median over batches; if none was timed, the last one is explained again."""
        path = self.folders[spec] / "times.json"
        while not (times := _read_times(path)):
            self._explain(spec, list(self._batches())[-1])
        return float(np.median(list(times.values())))

    def _score_path(self, spec: str, metric: str) -> Path:
        return self.folders[spec] / "scores" / f"{file_name(self.metrics.index(metric), metric)}.json"

    def _measure(self, spec: str, metric: str, explanations: dict[int, Explanation]) -> None:
        """Measure what is not measured yet, and keep it."""
        scores = self._scores[spec, metric]
        known = set.intersection(*map(set, scores.values())) if scores else set()
        missing = [index for index in explanations if str(index) not in known]
        if not missing:
            return
        values: dict[str, FloatArray] = {}
        with self._noting(spec, metric):
            found = self._objects[metric](self.classifier, [explanations[index] for index in missing])
            values = _checked(found, metric, spec, [explanations[index] for index in missing])
        for name, numbers in values.items():
            scores.setdefault(name, {}).update(zip(map(str, missing), numbers.tolist(), strict=True))
        if values:
            write_json(self._score_path(spec, metric), {"explainer": spec, "metric": metric, "values": scores})

    def values(self) -> dict[tuple[str, str, str], FloatArray]:
        """All values that are not refused, in the order of the recordings."""
        return {
            (spec, metric, name): np.array([values[str(index)] for index in self.indices if str(index) in values])
            for (spec, metric), scores in self._scores.items()
            for name, values in scores.items()
            if not {(spec, metric), (spec, "")} & set(self.refused)
        }

    def columns(self) -> list[Column]:
        """What each metric gives; one that was refused throughout stands under its own name."""
        found = []
        for metric in self.metrics:
            made = self._objects.get(metric)
            better = dict(getattr(made, "better", {}))
            given = [name for spec in self.explainers for name in self._scores[spec, metric]]
            definition = self._definition(metric)
            for name in dict.fromkeys([*better, *given]) or [parse_spec(metric)[0]]:
                found.append(Column(metric, name, better.get(name, "none"), metric in self._true(), definition))
        return found

    def _definition(self, metric: str) -> str:
        try:
            return summary_of(registry().factory("metric", parse_spec(metric)[0]))
        except PluginError as error:
            return str(error)


def timed(explainer: Any, note: Callable[[float], None], device: torch.device) -> Explainer:
    """The same explainer, which notes the seconds that each of its calls takes."""

    def clocked(function: Any) -> Any:
        @wraps(function)  # the signature as well: it says whether the explainer wants the sound
        def call(*arguments: Any, **more: Any) -> Any:
            _finish(device)
            start = time.perf_counter()
            found = function(*arguments, **more)
            _finish(device)
            note(time.perf_counter() - start)
            return found

        return call

    made = clocked(explainer)
    made.__name__ = getattr(explainer, "__name__", type(explainer).__name__)
    if hasattr(explainer, "with_logits"):
        made.with_logits = clocked(explainer.with_logits)
    return made  # type: ignore[no-any-return]


def _finish(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def file_name(number: int, spec: str) -> str:
    """A name for the files of a plugin with its options, distinct by its number."""
    return f"{number:02d}-{re.sub('[^a-z0-9_]+', '-', spec.lower())[:60].strip('-')}"


def _checked(found: Any, metric: str, spec: str, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
    """What a metric returned, as (recordings,) arrays of finite numbers."""
    if not isinstance(found, Mapping) or not found:
        raise PluginError(f"The metric {metric!r} returned {type(found).__name__}; expected named values, one per explanation.")
    values = {str(name): np.asarray(numbers, dtype=np.float64) for name, numbers in found.items()}
    for name, numbers in values.items():
        if numbers.shape != (len(explanations),):
            raise PluginError(
                f"The metric {metric!r} returned {name!r} of shape {numbers.shape} for {len(explanations)} explanations of {spec}; "
                "expected one value for each."
            )
        bad = np.flatnonzero(~np.isfinite(numbers))
        if bad.size:
            source = explanations[bad[0]].clip.source
            raise DataError(f"The metric {metric!r} gives {numbers[bad[0]]} as {name!r} of {source} explained by {spec}.")
    return values


def _read_scores(path: Path) -> dict[str, dict[str, float]]:
    """Values by name and recording that an earlier run left; none if there are none or they are damaged."""
    try:
        values = read_json(path)["values"]
        return {name: {index: float(value) for index, value in found.items()} for name, found in values.items()}
    except (ModelError, TypeError, KeyError, AttributeError, ValueError):
        return {}


def _read_times(path: Path) -> dict[str, float]:
    try:
        return {str(batch): float(value) for batch, value in read_json(path).items()}
    except (ModelError, TypeError, AttributeError, ValueError):
        return {}
