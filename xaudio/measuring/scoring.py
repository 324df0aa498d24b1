"""The explanations and scores of one model, batch by batch; what an earlier run left is read and not made again."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..doctor.warning import warn_about
from ..errors import DataError, ModelError, PluginError, XaudioError, XaudioWarning
from ..explanation.explanation import Explanation
from ..explanation.prepared import explain_prepared, provenance_of
from ..model.arguments import as_explainer
from ..model.lengths import length_of
from ..model.model import Model
from ..model.statements import check_offers
from ..output.memory import out_of_memory
from ..output.runs import read_json, write_json
from ..output.terminal import progress
from ..output.words import counted
from ..registry.defaults import QUICKEST
from ..registry.loading import registry
from ..registry.options import parse_spec, summary_of
from ..sound.rules import PlacedClips
from ..types import Clip, Dataset, Explainer, FloatArray, IntArray
from .metric import Better
from .timing import Timed

BATCH = 16
"""Recordings explained and measured at a time; an interruption costs at most so many explanations of one explainer."""


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
        Whether it is measured on correctly predicted recordings only.
    definition : str
        First line of the metric's description.
    """

    metric: str
    name: str
    better: Better
    needs_truth: bool
    definition: str


class Work:
    """The explanations and scores of one model: batch by batch, each batch by all explainers and metrics in turn."""

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        indices: IntArray,
        explainers: Sequence[str],
        metrics: Sequence[str],
        folder: Path,
    ) -> None:
        self.model, self.dataset, self.indices = model, dataset, indices
        self.explainers, self.metrics = list(explainers), list(dict.fromkeys(metrics))
        self.folders = {spec: folder / file_name(number, spec) for number, spec in enumerate(self.explainers)}
        self.refused: dict[tuple[str, str], str] = {}
        self._methods: dict[str, tuple[Explainer, dict[str, Any]]] = {}
        self._objects: dict[str, Any] = {}
        self._sizes = dict.fromkeys(self.explainers, BATCH)
        self._warm: set[str] = set()
        self._heard: tuple[tuple[int, ...], list[Clip], PlacedClips] | None = None
        for spec in self.explainers:
            with self._noting(spec, ""):
                name, options = parse_spec(spec)
                self._methods[spec] = as_explainer(name, dict(options))
                check_offers(model, self._methods[spec][0], name)
                warn_about(model, name, self._methods[spec][0])
        for metric in self.metrics:
            with self._noting("", metric):
                name, options = parse_spec(metric)
                self._objects[metric] = registry().create("metric", name, options)
            if reason := self.refused.pop(("", metric), None):
                self.refused |= {(spec, metric): reason for spec in self.explainers}
        self._scores = {
            (spec, metric): _read_scores(self._score_path(spec, metric)) for spec in self.explainers for metric in self.metrics
        }

    def predictions(self, title: str, *, timed: bool = True) -> IntArray:
        """Predicted classes, (recordings,).

        Parameters
        ----------
        title : str
            Of the progress.
        timed : bool
            Whether times per explanation are noted; not where others predict the same at the same time.

        Raises
        ------
        XaudioError
            If the model cannot be asked about these recordings.
        """
        if (QUICKEST, "") in self.refused:
            raise PluginError(self.refused[QUICKEST, ""])
        classes: dict[int, int] = {}
        with progress(title, len(self.indices)) as advance:
            for batch in self._batches():
                predicted = [item.predicted for item in self._explained(QUICKEST, batch, timed)]
                classes |= dict(zip(batch, predicted, strict=True))
                advance(len(batch))
        return np.array([classes[index] for index in self.indices.tolist()], dtype=np.int64)

    def measure(self, right: Any, unlearned: str, title: str, only: Sequence[str] = ()) -> None:
        """Explain and measure, by some of the explainers or all; ``right`` says which predictions are (recordings,)."""
        self.refused |= {(spec, metric): unlearned for spec in self.explainers for metric in self._true() if unlearned}
        steps = len(self.indices) * len(only or self.explainers) * (1 + len(self.metrics))
        hits = dict(zip(self.indices.tolist(), right.tolist(), strict=True))
        with progress(title, steps) as advance:
            for batch in self._batches():
                for spec in only or self.explainers:
                    explanations: list[Explanation] = []
                    if (spec, "") not in self.refused:
                        explanations = self._attempt(spec, batch)
                    advance(len(batch), spec)
                    for metric in self.metrics:
                        wanted = [index for index in batch if hits[index] or metric not in self._true()]
                        if explanations and (spec, metric) not in self.refused:
                            self._measure(
                                spec, metric, {i: item for i, item in zip(batch, explanations, strict=True) if i in wanted}
                            )
                        advance(len(batch), f"{spec}, {metric}")

    def _batches(self) -> Iterator[list[int]]:
        for group in self._alike:
            yield from (group[start : start + BATCH] for start in range(0, len(group), BATCH))

    @cached_property
    def _alike(self) -> list[list[int]]:
        """The recordings, where the model takes any length those of one length together."""
        if length_of(self.model.representation).fixed is not None:
            return [self.indices.tolist()]
        groups: dict[tuple[int, int], list[int]] = {}
        for index in self.indices.tolist():
            clip = self.dataset[index]
            groups.setdefault((clip.samples, clip.sample_rate), []).append(index)
        return list(groups.values())

    def _true(self) -> list[str]:
        return [metric for metric, one in self._objects.items() if getattr(one, "needs_truth", False)]

    @contextlib.contextmanager
    def _noting(self, spec: str, metric: str) -> Iterator[None]:
        """Note why a plugin refuses; a plugin may fail in any way, and the others must go on."""
        try:
            yield
        except XaudioError as error:
            self.refused[spec, metric] = " ".join(str(error).split())
        except Exception as error:
            if out_of_memory(error):
                self.refused[spec, metric] = "memory ran out"
                return
            self.refused[spec, metric] = f"{type(error).__name__}: {' '.join(str(error).split())}"

    def _attempt(self, spec: str, batch: list[int]) -> list[Explanation]:
        """Explanations of a batch, or none if the explainer refuses."""
        kept, explanations = self._kept(spec, batch), []
        if kept is not None:
            return kept
        with self._noting(spec, ""):
            explanations = self._explain(spec, batch)
        return self._save(spec, batch, explanations)

    def _explained(self, spec: str, batch: list[int], timed: bool) -> list[Explanation]:
        """Explanations of a batch; what the explainer raises is passed on."""
        kept = self._kept(spec, batch)
        return self._save(spec, batch, self._explain(spec, batch, timed)) if kept is None else kept

    def _kept(self, spec: str, batch: list[int]) -> list[Explanation] | None:
        with contextlib.suppress(ModelError):  # missing or damaged: made again
            return [Explanation.load(explanation_path(self.folders[spec], index)) for index in batch]
        return None

    def _save(self, spec: str, batch: list[int], explanations: list[Explanation]) -> list[Explanation]:
        for index, item in zip(batch if explanations else [], explanations, strict=True):
            item.save(explanation_path(self.folders[spec], index))
        return explanations

    def _explain(self, spec: str, batch: list[int], timed: bool = True) -> list[Explanation]:
        """Explain a batch and note how long it took, unless it is the first: that one warms up."""
        method, described = self._methods[spec]
        clips, placed = self._hear(batch)
        model = self.model.for_samples(placed.samples)
        while True:
            seconds: list[float] = []
            clocked = Timed(method, seconds.append, model.device)
            provenance = provenance_of(model, described, placed.rules)
            size = self._sizes[spec]
            try:
                explanations = explain_prepared(model, clocked, clips, placed, None, provenance, batch_size=size)
                break
            except Exception as error:
                if size == 1 or not out_of_memory(error):
                    raise
            self._sizes[spec] = size // 2
            warnings.warn(f"{spec}: memory ran out with {size} at once; going on with {size // 2}.", XaudioWarning, stacklevel=2)
        if timed and spec in self._warm:
            self._times(spec, batch, sum(seconds))
        self._warm.add(spec)
        return explanations

    def _hear(self, batch: list[int]) -> tuple[list[Clip], PlacedClips]:
        """Recordings of a batch, decoded once for all explainers."""
        if self._heard is None or self._heard[0] != tuple(batch):
            clips = [self.dataset[index] for index in batch]
            self._heard = (tuple(batch), clips, self.model.hear(clips, self.model.rules_in(self.dataset)))
        return self._heard[1:]

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
        complete = set.intersection(*map(set, scores.values())) if scores else set()
        missing = [index for index in explanations if str(index) not in complete]
        if not missing:
            return
        values: dict[str, FloatArray] = {}
        with self._noting(spec, metric):
            model = self.model.for_samples(explanations[missing[0]].clip.samples)
            measured = self._objects[metric](model, [explanations[index] for index in missing])
            values = _checked(measured, metric, spec, [explanations[index] for index in missing])
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
        all_columns = []
        for metric in self.metrics:
            metric_object = self._objects.get(metric)
            better = dict(getattr(metric_object, "better", {}))
            names = [name for spec in self.explainers for name in self._scores[spec, metric]]
            definition = self._definition(metric)
            for name in dict.fromkeys([*better, *names]) or [parse_spec(metric)[0]]:
                all_columns.append(Column(metric, name, better.get(name, "none"), metric in self._true(), definition))
        return all_columns

    def _definition(self, metric: str) -> str:
        try:
            return summary_of(registry().factory("metric", parse_spec(metric)[0]))
        except PluginError as error:
            return str(error)


def explanation_path(folder: Path, index: int) -> Path:
    """Where an explainer's folder keeps the explanation of a recording."""
    return folder / "explanations" / f"{index}.safetensors"


def file_name(number: int, spec: str) -> str:
    """A name for the files of a plugin with its options, distinct by its number."""
    return f"{number:02d}-{re.sub('[^a-z0-9_]+', '-', spec.lower())[:60].strip('-')}"


def _checked(scores: Any, metric: str, spec: str, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
    """What a metric returned, as (recordings,) arrays of finite numbers."""
    if not isinstance(scores, Mapping) or not scores:
        raise PluginError(f"The metric {metric!r} returned {type(scores).__name__}; expected named values, one per explanation.")
    values: dict[str, FloatArray] = {str(name): np.asarray(numbers, dtype=np.float64) for name, numbers in scores.items()}
    for name, numbers in values.items():
        if numbers.shape != (len(explanations),):
            raise PluginError(
                f"The metric {metric!r} returned {name!r} of shape {numbers.shape} for "
                f"{counted(len(explanations), 'explanation')} by {spec}; expected one value for each."
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
        return {name: {index: float(value) for index, value in rows.items()} for name, rows in values.items()}
    except (ModelError, TypeError, KeyError, AttributeError, ValueError):
        return {}


def _read_times(path: Path) -> dict[str, float]:
    try:
        return {str(batch): float(value) for batch, value in read_json(path).items()}
    except (ModelError, TypeError, AttributeError, ValueError):
        return {}
