"""The data set: recordings of a folder as clips, with labels, groups and folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from xaudio.plugin import (
    AudioError,
    Clip,
    DataError,
    Fit,
    FloatArray,
    Fold,
    IntArray,
    Resampling,
    as_clip,
    digest_bytes,
    digest_text,
    files_fingerprint,
    read_audio,
    unknown,
)

from ._folds import folds_of
from ._items import Item
from ._listing import natural


class FolderDataset:
    """Recordings found in a folder; implements `xaudio.plugin.Dataset`.

    Parameters
    ----------
    title : str
    items : sequence of Item
    multi : set of str
        Tasks of several labels.
    grouped : str
        What the groups are; "" where each recording stands for itself.
    notes : sequence of str
        How the recordings were found, and what was left out.
    seed : int
        Of folds that are drawn.
    """

    name = "folder"
    fit: Fit = "loudest"
    resampling: Resampling = "soxr"

    def __init__(
        self, title: str, items: Sequence[Item], multi: set[str], grouped: str, notes: Sequence[str], seed: int = 0
    ) -> None:
        self.title, self.items, self.seed = title, list(items), seed
        self.grouped_by = grouped or "recording"
        told = {task: _classes(self.items, task) for task in dict.fromkeys(task for item in self.items for task in item.labels)}
        refused = {task: reason for task, names in told.items() if (reason := self._no_task(task, names, task in multi))}
        self.tasks: Mapping[str, tuple[str, ...]] = {task: names for task, names in told.items() if task not in refused}
        self.several = frozenset(multi & set(self.tasks))
        self._folds = {task: folds_of(self.items, self.labels(task), self.speakers, seed) for task in self.tasks}
        said = [f"Task {task}: {self._folds[task][1]}" for task in self.tasks]
        none = [] if told else ["No labels were found: name a column (label=), or a pattern of the paths (labels=)."]
        self.notes: tuple[str, ...] = (*notes, *none, *refused.values(), *said, *self._disjoint())
        self._last: tuple[Any, Clip] | None = None

    def _no_task(self, task: str, names: tuple[str, ...], several: bool) -> str:
        """Why a column is no task, "" if it is one."""
        labelled = sum(bool(item.labels.get(task)) for item in self.items)
        if len(names) < 2 and not (several and names):
            why = f"all recordings have the label {names[0]!r}" if names else "no recording has a label"
            return f"{task!r} is not a task: {why}."
        if not several and len(names) == labelled > 2:
            return f"{task!r} is not a task: every recording has a label of its own."
        return ""

    def _disjoint(self) -> list[str]:
        """What the folds do not hold apart."""
        if self.grouped_by == "speaker" and all(item.group for item in self.items):
            return [] if self._apart() else ["The data's own parts share speakers: folds are not speaker-disjoint."]
        if not self.tasks:
            return []
        kept = "each recording stands for itself" if self.grouped_by == "recording" else f"kept together by {self.grouped_by!r}"
        return [f"No speakers are known ({kept}): folds are not speaker-disjoint."]

    def _apart(self) -> bool:
        speakers = np.array(self.speakers)
        parts = [[set(speakers[part]) for part in fold] for folds, _ in self._folds.values() for fold in folds]
        return all(not (a & b or a & c or b & c) for a, b, c in parts)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def files(self) -> list[str]:
        """The file of each recording; "" of an excerpt, and of what is in no file of its own."""
        return ["" if item.excerpt else item.path for item in self.items]

    @cached_property
    def speakers(self) -> list[str]:
        """What no two folds may share: the group of each recording, or its own name."""
        return [item.group or item.name for item in self.items]

    def __getitem__(self, index: int) -> Clip:
        item = self.items[index]
        whole = self._whole(item)
        clip = _excerpt(whole, item) if item.excerpt else whole
        labels = {task: self._label(item, task) for task in self.tasks}
        return replace(
            clip,
            labels=labels,
            speaker=item.group or None,
            grouped_by=self.grouped_by,
            source=name_of(item),
            truth=_truth(item, clip, self.tasks),
        )

    def _whole(self, item: Item) -> Clip:
        """The clip of a file; the last one is kept, since excerpts of a file follow each other."""
        key = (item.path, item.channel)
        if item.path and item.excerpt and self._last is not None and self._last[0] == key:
            return self._last[1]
        clip = _read(item)
        if item.excerpt:
            self._last = key, clip
        return clip

    def _label(self, item: Item, task: str) -> Any:
        label = item.labels.get(task)
        if label is None or task in self.several:
            return label
        return self.tasks[task].index(str(label))

    def labels(self, task: str) -> IntArray:
        """Class index of each recording, or (recordings, classes) of 0 and 1 where several may be true; -1 where unknown.

        Raises
        ------
        DataError
            If there is no such task.
        """
        if task not in self.tasks:
            raise DataError(f"In the data set {self.title!r}: {unknown('task', task, self.tasks)}")
        index = {name: number for number, name in enumerate(self.tasks[task])}
        if task not in self.several:
            return np.array([index.get(str(item.labels.get(task)), -1) for item in self.items], dtype=np.int64)
        table = np.zeros((len(self.items), len(index)), dtype=np.int64)
        for row, item in zip(table, self.items, strict=True):
            label = item.labels.get(task)
            if label is None:
                row[:] = -1
            else:
                row[[index[name] for name in label]] = 1
        return table

    def folds(self, task: str) -> tuple[Fold, ...]:
        """Folds of a task; see ``notes`` for where they come from.

        Raises
        ------
        DataError
            If there is no such task, or there are none.
        """
        self.labels(task)
        folds, said = self._folds[task]
        if not folds:
            raise DataError(f"The task {task!r} of {self.title} has no folds: {said}")
        return tuple(folds)

    @cached_property
    def _fingerprint(self) -> str:
        paths = list(dict.fromkeys(item.path or str(getattr(item.content, "archive", "")) for item in self.items))
        paths = [path for path in paths if path]
        inner = [item.content for item in self.items if item.content is not None and not callable(item.content)]
        told = [(item.name, item.start, item.stop, item.channel, dict(item.labels), item.group, item.part) for item in self.items]
        return digest_text(told, files_fingerprint(paths), [digest_bytes_of(part) for part in inner])

    def fingerprint(self) -> str:
        """A hash of names, labels and the content of all files; not computed again while these are as they were."""
        return self._fingerprint

    def header(self, index: int) -> tuple[float, int]:
        """Length in seconds and sample rate of a recording, from its header alone.

        Raises
        ------
        AudioError
            If it cannot be read.
        """
        import soundfile

        item = self.items[index]
        if isinstance(item.content, Mapping):
            return len(np.asarray(item.content["array"])) / item.content["sampling_rate"], int(item.content["sampling_rate"])
        try:
            info = soundfile.info(BytesIO(content_of(item)) if item.content is not None else item.path)
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudioError(f"{item.name}: cannot be read as audio ({getattr(error, 'error_string', error)}).") from None
        start, stop = _bounds(item, info.samplerate, info.frames)
        if stop - start < 2:
            raise AudioError(f"{name_of(item)}: has {stop - start} sample{'s' * (stop - start != 1)}; expected at least two.")
        return (stop - start) / info.samplerate, int(info.samplerate)


def digest_bytes_of(content: Any) -> str:
    """A digest of the content of what is in no file of its own."""
    return digest_bytes([content]) if isinstance(content, bytes) else digest_bytes([np.asarray(content["array"]).tobytes()])


def name_of(item: Item) -> str:
    """How results name a recording: its path, and the excerpt."""
    where = item.path or item.name
    if not item.excerpt:
        return where
    unit = "" if item.samples else " s"
    return f"{where} [{item.start or 0:g}-{'end' if item.stop is None else f'{item.stop:g}'}{unit}]"


def content_of(item: Item) -> Any:
    """The bytes of an item that is in no file of its own, or its samples with their rate."""
    return item.content() if callable(item.content) else item.content


def _read(item: Item) -> Clip:
    if item.content is None:
        return read_audio(item.path, channels=item.channel)
    content = content_of(item)
    if isinstance(content, bytes):
        return read_audio(content, source=item.name, channels=item.channel)
    return as_clip(content, channels=item.channel)


def _bounds(item: Item, rate: int, samples: int) -> tuple[int, int]:
    """First and last sample (exclusive) of an excerpt."""
    scale = 1 if item.samples else rate
    start = round((item.start or 0) * scale)
    stop = samples if item.stop is None else round(item.stop * scale)
    return min(start, samples), min(stop, samples)


def _excerpt(clip: Clip, item: Item) -> Clip:
    start, stop = _bounds(item, clip.sample_rate, clip.samples)
    if stop - start < 2:
        raise AudioError(f"{name_of(item)}: the excerpt lies outside the recording, which is {clip.duration:.3f} s long.")
    wanted = None if item.stop is None else round(item.stop * (1 if item.samples else clip.sample_rate))
    short = wanted is not None and wanted - stop > 0.01 * clip.sample_rate
    notes = (*clip.notes, *(["the recording ends before the excerpt does"] if short else []))
    return replace(clip, waveform=np.ascontiguousarray(clip.waveform[..., start:stop]), notes=notes)


def _classes(items: Sequence[Item], task: str) -> tuple[str, ...]:
    """Names of the classes of a task, in a natural order."""
    names: set[str] = set()
    for item in items:
        label = item.labels.get(task)
        names.update(label if isinstance(label, tuple) else () if label in (None, "") else (str(label),))
    return tuple(sorted(names, key=natural))


def _truth(item: Item, clip: Clip, tasks: Mapping[str, tuple[str, ...]]) -> dict[str, FloatArray]:
    """Where the events of each label lie: rows of start and end in s, lowest and highest frequency in Hz."""
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    for event in item.events or ():
        if event.stop > event.start:
            bounds = (event.low or 0.0, event.high or clip.sample_rate / 2)
            boxes.setdefault(event.label, []).append((event.start, min(event.stop, clip.duration), *bounds))
    return {f"boxes.{task}.{label}": np.array(rows) for task in tasks for label, rows in boxes.items()}


def titled(data: Path) -> str:
    """How tables and figures name the data."""
    return data.resolve().name or str(data)
