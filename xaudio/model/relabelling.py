"""Data sets in the order of a model's classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..errors import DataError, listing, unknown
from ..types import Clip, Dataset, IntArray
from .model import Model


def in_classes_of(model: Model, dataset: Dataset) -> Dataset:
    """A data set whose class indices of a model's task are those of the model: classes are matched by their names.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        Its classes are among those of the model, in any order.

    Returns
    -------
    Dataset
        The same one if the order is the same.

    Raises
    ------
    DataError
        If it has no such task, or classes that the model does not know.
    """
    task, known = model.task, tuple(model.classes)
    if task not in dataset.tasks:
        raise DataError(unknown(f"task of {dataset.title}", task, dataset.tasks))
    classes = tuple(dataset.tasks[task])
    if classes == known:
        return dataset
    if not set(classes) <= set(known):
        raise DataError(
            f"The model tells {listing(known)} apart (task {task!r}), but the classes of that task in {dataset.title} are "
            f"{listing(classes)}: choose data with the same classes."
        )
    relabelled: Any = _Relabelled(dataset, task, known)  # all else comes from the data set itself
    return cast(Dataset, relabelled)


class _Relabelled:
    """A data set with the classes of one task in another order; all else is as it was."""

    def __init__(self, dataset: Dataset, task: str, classes: tuple[str, ...]) -> None:
        self._dataset, self._task = dataset, task
        self._index = np.array([classes.index(name) for name in dataset.tasks[task]], dtype=np.int64)
        self.tasks: Mapping[str, tuple[str, ...]] = {**dataset.tasks, task: classes}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Clip:
        clip = self._dataset[index]
        label = clip.labels.get(self._task)
        if not isinstance(label, int | np.integer) or label < 0:  # unknown, or a name, which needs no index
            return clip
        return replace(clip, labels={**clip.labels, self._task: int(self._index[label])})

    def labels(self, task: str) -> IntArray:
        labels = self._dataset.labels(task)
        return np.where(labels >= 0, self._index[labels], -1) if task == self._task else labels
