"""Data sets in the order of a model's classes."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..errors import DataError, XaudioWarning, listing, unknown
from ..output.words import counted_of
from ..sound.datasets import files_of
from ..sound.labels import labelled
from ..types import Clip, Dataset, IntArray
from .model import Model

WITHOUT_CLASSES = ("embedding", "values")
"""Kinds of answers in which nothing is a class."""

Matches = dict[str, str | None]
"""From each class of the data to the model's class of that name, None where it knows none."""


def in_classes_of(model: Model, dataset: Dataset) -> Dataset:
    """A data set whose class indices of a model's task are those of the model: classes are matched by their names.

    Names may differ in capitals, hyphens and underscores. A model that names no task takes the one of the data whose classes
    it knows; one that names a task which the data lack takes their only one, if it knows all its classes. Recordings of classes
    that the model does not know count as without a label, and an `XaudioWarning` says how many.

    Parameters
    ----------
    model : Model
    dataset : Dataset

    Returns
    -------
    Dataset
        The same one if the order is the same.

    Raises
    ------
    DataError
        If it has no such task, the model has no classes, or it knows fewer than two of the data's.
    """
    if model.kind in WITHOUT_CLASSES:
        raise DataError(f"{model.source}: gives {model.kind}, no classes that those of {dataset.title} could be compared with.")
    task, own = _task(model, dataset), tuple(model.classes)
    classes = tuple(dataset.tasks[task])
    if classes == own and task == model.task:
        return dataset
    matches = _matches(own, classes)
    missing = [name for name in classes if matches[name] is None]
    several = task in getattr(dataset, "several", ())
    if len(missing) > max(0, len(classes) - 2) or (several and missing):
        raise DataError(
            f"The model tells {listing(own)} apart, but the classes of task {task!r} in {dataset.title} are "
            f"{listing(classes)}: choose data with the same classes, or name the model's outputs as the data do."
        )
    relabelled: Any = _Relabelled(dataset, task, model.task, own, [matches[name] for name in classes])
    if missing:
        _warn(dataset, task, missing)
    return cast(Dataset, relabelled)  # all else comes from the data set itself


def labels_of(model: Model, dataset: Dataset, paths: Sequence[Path]) -> list[int | tuple[str, ...] | None]:
    """What a data set says of files that are among its recordings: the class of each, or of several labels those that are true.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        One that names its ``files``; see `xaudio.types.Dataset`.
    paths : sequence of Path

    Returns
    -------
    list of int, tuple of str or None
        Indices or names in the classes of the model; None of a file that the data set has not, or has
        without a label or with several that differ.

    Raises
    ------
    DataError
        As `in_classes_of`, and if the recordings are no files, or none of the paths is among them.
    """
    files = files_of(dataset)
    if not any(files):
        raise DataError(
            f"{dataset.title}: its recordings are no files, or none that are there: it says nothing of those that are explained."
        )
    places: dict[str, list[int]] = {}
    for index, file in enumerate(files):
        places.setdefault(os.path.realpath(file) if file else "", []).append(index)
    chosen = [places.get(os.path.realpath(path), []) for path in paths]
    if not any(chosen):
        raise DataError(f"{paths[0]}: is not among the recordings of {dataset.title}: give the data set in which it lies.")
    labels = in_classes_of(model, dataset).labels(model.task)
    return [_label(labels[indices], model.classes) for indices in chosen]


def check_told_of(model: Model, dataset: Dataset) -> None:
    """Raise `DataError` if data of several labels, as `in_classes_of` gives them, never say whether one of the model's is true.

    Parameters
    ----------
    model : Model
    dataset : Dataset
    """
    untold = getattr(dataset, "untold", {}).get(model.task, ())
    if untold:
        raise DataError(
            f"{dataset.title}: never says whether {listing(untold, 8)} is true, so that what the model gives is neither right nor"
            " wrong: choose data with all labels of the model."
        )


def _label(rows: IntArray, classes: Sequence[str]) -> int | tuple[str, ...] | None:
    """The label that all rows of a file bear, or None."""
    if not len(rows) or not labelled(rows).all() or (rows != rows[0]).any():
        return None
    label = rows[0]
    return int(label) if label.ndim == 0 else tuple(name for name, true in zip(classes, label, strict=True) if true)


def _task(model: Model, dataset: Dataset) -> str:
    """The task of a data set that a model answers.

    It is that of the model's task, or the only one if the model knows all its classes; if the model names none, the one whose
    classes it knows best.
    """
    if model.task in dataset.tasks:
        return model.task
    only = next(iter(dataset.tasks)) if len(dataset.tasks) == 1 else None
    if only is not None and _known_share(tuple(model.classes), tuple(dataset.tasks[only])) == 1:
        return only
    if model.task:
        raise DataError(unknown(f"task of {dataset.title}", model.task, dataset.tasks))
    shares = {task: _known_share(tuple(model.classes), tuple(names)) for task, names in dataset.tasks.items()}
    best = [task for task, share in shares.items() if share == max(shares.values())]
    if not any(shares.values()):
        listed = "; ".join(f"{task}: {listing(tuple(names), 12)}" for task, names in dataset.tasks.items())
        raise DataError(
            f"The model tells {listing(tuple(model.classes), 12)} apart, and no task of {dataset.title} has such classes "
            f"({listed or 'it has none'}): name the model's outputs as the data do (classes=)."
        )
    if len(best) != 1:
        raise DataError(
            f"The model names no task, and {dataset.title} has {', '.join(dataset.tasks) or 'none'}: say which one it answers, "
            "by the attribute task of the model or the option task=NAME of its loader."
        )
    return best[0]


def _known_share(own: Sequence[str], classes: Sequence[str]) -> float:
    return sum(name is not None for name in _matches(own, classes).values()) / max(1, len(classes))


def _matches(own: Sequence[str], classes: Sequence[str]) -> Matches:
    by_word: dict[str, list[str]] = {}
    for name in own:
        by_word.setdefault(_word(name), []).append(name)
    times = Counter(map(_word, classes))

    def match(name: str) -> str | None:
        if name in own:
            return name
        alike = by_word.get(_word(name), [])
        return alike[0] if len(alike) == 1 and times[_word(name)] == 1 else None

    return {name: match(name) for name in classes}


def _word(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


LEFT_OUT = (("is left out", "its class is"), ("are left out", "their classes are"))
"""Of one recording, and of several."""


def _warn(dataset: Dataset, task: str, missing: Sequence[str]) -> None:
    labels, classes = dataset.labels(task), list(dataset.tasks[task])
    left = int(np.isin(labels, [classes.index(name) for name in missing]).sum())
    words = [f"of {dataset.title} {out}: {of} not among those of the model" for out, of in LEFT_OUT]
    warnings.warn(
        f"{counted_of(left, int((labels >= 0).sum()), 'recording', *words)} ({listing(missing, 8)}).",
        XaudioWarning,
        stacklevel=3,
    )


def with_note(dataset: Dataset, note: str) -> Dataset:
    """The same data set, which says one thing more to readers of the results."""
    noted: Any = _Noted(dataset, note)
    return cast(Dataset, noted)


class _Around:
    """A data set of which a part is another; all else is as it was."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Clip:
        return self._dataset[index]


class _Noted(_Around):
    """With one note more."""

    def __init__(self, dataset: Dataset, note: str) -> None:
        super().__init__(dataset)
        self.notes = (*dataset.notes, note)


class _Relabelled(_Around):
    """With the classes of one task in another order, and by another name."""

    def __init__(self, dataset: Dataset, task: str, name: str, classes: tuple[str, ...], matched: Sequence[str | None]) -> None:
        super().__init__(dataset)
        self._task, self._name = task, name
        self._index = np.array([-1 if one is None else classes.index(one) for one in matched], dtype=np.int64)
        self._names: Matches = dict(zip(dataset.tasks[task], matched, strict=True))
        self.tasks: Mapping[str, tuple[str, ...]] = {**dataset.tasks, name: classes}
        several = getattr(dataset, "several", ())
        self.several = frozenset((*several, *([name] if task in several else ())))
        self.untold = {name: [one for one in classes if one not in matched]} if task in several else {}

    def __getitem__(self, index: int) -> Clip:
        clip = self._dataset[index]
        label: Any = clip.labels.get(self._task)
        own = tuple(map(self._own, label)) if isinstance(label, tuple) else self._own(label)
        return replace(clip, labels={**clip.labels, self._name: own})

    def _own(self, label: Any) -> Any:
        """A label by index or name, as the model has it; None where it does not know the class."""
        if isinstance(label, int | np.integer) and label >= 0:
            position = int(self._index[label])
            return None if position < 0 else position
        return self._names.get(label, label) if isinstance(label, str) else label

    def folds(self, task: str) -> Any:
        return self._dataset.folds(self._task if task == self._name else task)

    def labels(self, task: str) -> IntArray:
        if task != self._name:
            return self._dataset.labels(task)
        labels = self._dataset.labels(self._task)
        if labels.ndim == 1:
            return np.where(labels >= 0, self._index[labels], -1)
        table = np.where(labelled(labels)[:, None], 0, -1) * np.ones(len(self.tasks[task]), np.int64)
        table[:, self._index] = labels
        return table
