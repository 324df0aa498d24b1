"""Data sets made of recordings of speakers, and folds that never share one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, PluginError, unknown
from ..output.terminal import say
from ..output.words import counted
from ..registry.defaults import DATASET, DATASET_OF_A_FOLDER
from ..registry.loading import SPEC, registry
from ..registry.options import options_of, parse_spec
from ..registry.plain import missing, plain
from ..types import Clip, Dataset, Fit, Fold, IntArray, Resampling
from .audio import read_audio
from .fingerprints import files_fingerprint
from .labels import class_names, label_index


@dataclass(frozen=True)
class Recording:
    """One recording of a data set, before it is decoded.

    Parameters
    ----------
    source : str or path
        A file's path, or a name for what is generated.
    speaker : str
    labels : mapping of str to int, str or None
        Class per task, by index or name; None, NaN or -1 where it is unknown.

    Raises
    ------
    DataError
        If there is no speaker, or the labels are not a mapping.
    """

    source: str
    speaker: str
    labels: Mapping[str, int | str | None]

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", os.fspath(self.source))
        if missing(plain(self.speaker)):
            raise DataError(f"{self.source}: has no speaker; name one, or another group that no two folds may share.")
        object.__setattr__(self, "speaker", str(self.speaker))
        if not isinstance(self.labels, Mapping):
            raise DataError(f"{self.source}: its labels are {self.labels!r}; expected a mapping from tasks to classes.")


def files_of(dataset: Dataset) -> list[str]:
    """The file of each recording as the data set names it (`xaudio.types.Dataset`); "" of one without.

    Parameters
    ----------
    dataset : Dataset
    """
    files = getattr(dataset, "files", None)
    return ([] if files is None else list(files)) or [""] * len(dataset)


def read_recording(recording: Recording) -> Clip:
    """Decode the file of a recording."""
    return read_audio(recording.source, labels=recording.labels, speaker=recording.speaker)


def fingerprint_files(recordings: Sequence[Recording]) -> str:
    """A hash over names and contents of all files, in their order.

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    return files_fingerprint([recording.source for recording in recordings])


@dataclass(frozen=True)
class SpeakerDataset:
    """A data set given as a list of recordings; implements `xaudio.types.Dataset`.

    Parameters
    ----------
    name, title : str
        The plugin's name, and how tables and figures name the data.
    tasks : mapping of str to tuple of str
        Class names per task.
    recordings : sequence of Recording
    test_speakers : mapping of str to sequence of sequences of str
        Per task the test speakers of each fold; see `speaker_folds` for a way to make them. Recordings of speakers in
        no fold are not used in that task.
    fit, resampling, notes
        See `xaudio.types.Dataset`.
    read : callable
        Recording to Clip; by default reads the file. For one of your own a source may be any name, such as a place in an archive.
    fingerprint_of : callable
        Recordings to a hash of their content; by default of the files. A ``read`` that finds sounds elsewhere needs one.
    synthetic : bool
        Whether the sounds are generated: every explanation of a model that was trained on them says so.
    contents_of : callable, optional
        Recordings to a text each by which recordings are compared, for sounds that are made: the same for two recordings that
        are the same sound. By default the files are compared, or else the clips.

    Raises
    ------
    DataError
        If there are no recordings, a label is out of range, or speakers are in two folds.
    """

    name: str
    title: str
    tasks: Mapping[str, tuple[str, ...]]
    recordings: Sequence[Recording]
    test_speakers: Mapping[str, Sequence[Sequence[str]]]
    fit: Fit = "error"
    resampling: Resampling = "fft"
    notes: tuple[str, ...] = ()
    read: Callable[[Recording], Clip] = read_recording
    fingerprint_of: Callable[[Sequence[Recording]], str] = fingerprint_files
    synthetic: bool = False
    contents_of: Callable[[Sequence[Recording]], Sequence[str]] | None = None
    _hash: list[str] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if not self.recordings:
            raise DataError(f"The data set {self.name!r} has no recordings.")
        for name in ("tasks", "test_speakers"):
            if not isinstance(getattr(self, name), Mapping):
                raise DataError(f"The data set {self.name!r} has {name} {getattr(self, name)!r}; expected a mapping from tasks.")
        object.__setattr__(self, "tasks", {task: class_names(classes) for task, classes in self.tasks.items()})
        for task in self.tasks:
            self.labels(task)
            if task not in self.test_speakers:
                raise DataError(f"The data set {self.name!r} names no test speakers for the task {task!r}.")
            folds = self.test_speakers[task]
            if isinstance(folds, str) or any(isinstance(fold, str) or not isinstance(fold, Iterable) for fold in folds):
                raise DataError(
                    f"The data set {self.name!r} has test speakers {folds!r} for the task {task!r}; expected lists of speakers, "
                    "one for each fold."
                )
            speakers = [str(speaker) for fold in folds for speaker in fold]
            if len(speakers) != len(set(speakers)):
                raise DataError(f"The data set {self.name!r} has a speaker in two folds of task {task!r}.")

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index: int) -> Clip:
        return self.read(self.recordings[index])

    @property
    def files(self) -> list[str]:
        """The file of each recording; "" of one whose source is no file for a ``read`` of its own, as a place in an archive."""
        own = self.read is not read_recording
        return ["" if own and not os.path.isfile(recording.source) else recording.source for recording in self.recordings]

    @cached_property
    def speakers(self) -> list[str]:
        """Speaker of each recording; made once, since it is asked for recording by recording."""
        return [recording.speaker for recording in self.recordings]

    def labels(self, task: str) -> IntArray:
        """Class index of each recording in a task, -1 where there is none.

        Raises
        ------
        DataError
            If there is no such task, or a label is none of its classes.
        """
        if task not in self.tasks:
            raise DataError(f"In the data set {self.name!r}: {unknown('task', task, self.tasks)}")
        return np.array([self._label(recording, task) for recording in self.recordings], dtype=np.int64)

    def _label(self, recording: Recording, task: str) -> int:
        label, names = recording.labels.get(task), self.tasks[task]
        if type(label) is int and -1 <= label < len(names):
            return label
        index = label_index(label, names, f"The data set {self.name!r} has {recording.source}, whose label of task {task!r}")
        return -1 if index is None else index

    def folds(self, task: str) -> tuple[Fold, ...]:
        """Folds of a task: fold i is tested on its test speakers and validated on those of fold i-1.

        Raises
        ------
        DataError
            If there is no such task, or fewer than three folds.
        """
        labelled = self.labels(task) >= 0
        groups = self.test_speakers[task]
        if len(groups) < 3:
            why = " ".join(self.notes)
            raise DataError(
                f"The task {task!r} of {self.name!r} has {counted(len(groups), 'fold')}; expected at least three. {why}".strip()
            )
        speakers = np.array(self.speakers)
        parts = [np.flatnonzero(labelled & np.isin(speakers, [str(name) for name in group])) for group in groups]
        folds = []
        for test, part in enumerate(parts):
            validation = (test - 1) % len(parts)
            rest = [other for index, other in enumerate(parts) if index not in (test, validation)]
            folds.append(Fold(np.sort(np.concatenate(rest)), parts[validation], part))
        return tuple(folds)

    def fingerprint(self) -> str:
        """A hash of the content of all recordings, computed once."""
        if not self._hash:
            if self.fingerprint_of is fingerprint_files and "" in (files := self.files):
                source = self.recordings[files.index("")].source
                raise DataError(
                    f"{source}: there is no such file. Is the data set {self.name!r} complete? If its own `read` finds this "
                    "elsewhere, it needs its own `fingerprint_of`, too: a hash of what is read."
                )
            self._hash.append(self.fingerprint_of(self.recordings))
        return self._hash[0]

    def contents(self) -> Sequence[str] | None:
        """What ``contents_of`` gives for all recordings, or None without it; see `xaudio.sound.contents.recording_digests`."""
        return None if self.contents_of is None else self.contents_of(self.recordings)


def speaker_folds(groups: Mapping[str, Sequence[str]], count: int, *, seed: int, balanced: bool = False) -> list[list[str]]:
    """Divide speakers into folds of like composition.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        The speakers of each group, such as female and male.
    count : int
        Number of folds.
    seed : int
        Of the order in which speakers are dealt out.
    balanced : bool
        Use as many speakers of each group as the smallest has, chosen at random, as the paper does for the sex task.

    Returns
    -------
    list of list of str
        The test speakers of each fold.

    Raises
    ------
    DataError
        If a group has fewer speakers than there are folds.
    """
    rng = np.random.default_rng(seed)
    smallest = min((len(speakers) for speakers in groups.values()), default=0)
    folds: list[list[str]] = [[] for _ in range(count)]
    dealt = 0
    for group, speakers in sorted(groups.items()):
        if balanced and len(speakers) < count:
            raise DataError(f"{counted(len(speakers), 'speaker')} of group {group!r} cannot be divided into {count} folds.")
        order = rng.permutation(sorted(speakers))
        for speaker in order[:smallest] if balanced else order:
            folds[dealt % count].append(str(speaker))
            dealt += 1
        if balanced:
            dealt = 0
    if any(not fold for fold in folds):
        raise DataError(f"{counted(dealt, 'speaker')} cannot be divided into {count} folds.")
    return folds


def open_dataset(
    spec: Any,
    data: Path | None = None,
    seed: int | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    channels: int = 1,
) -> Dataset:
    """A data set by name, with options as in ``synthetic:speakers=40``; of its folder alone; or of another library's object.

    Parameters
    ----------
    spec : str, None or object
        A name, or the folder. None is the data set whose layout the folder has: a message says which. An object is a data set
        already, or one of another library that a plugin takes (``datasets.Dataset``, soundata, mirdata).
    data : Path or None
        Its folder, if it reads files.
    seed : int or None
        Its seed, if it has one and the spec does not give it.
    options : mapping, optional
        More options, as `options_used` gives them.
    channels : int
        That a model reads: of several, all of a recording are kept, if the data set can and the spec says nothing else.

    Raises
    ------
    DataError
        If no plugin takes the object, or neither a name nor a folder is given.
    PluginError
        If there is no such data set, or it reads no files and a folder was given.
    """
    if spec is not None and not isinstance(spec, str):
        return _adapted(spec, options or {})
    if isinstance(spec, str) and data is None and spec not in registry().names("dataset") and os.path.exists(spec):
        spec, data = None, Path(spec)
    if spec is None and data is None:
        raise DataError(f"Neither a data set nor a folder is named: give --dataset NAME (such as {DATASET}), or --data FOLDER.")
    name, spelt = parse_spec(dataset_in(data) if spec is None and data is not None else str(spec))
    accepted = options_of(registry().factory("dataset", name))
    given: dict[str, Any] = {**spelt, **(options or {})}
    if data is not None:
        given["data"] = data
    if "data" in given and "data" not in accepted:
        raise PluginError(f"The data set {name!r} reads no files: leave out --data, or choose another --dataset.")
    if seed is not None and "seed" in accepted:
        given.setdefault("seed", seed)
    if channels > 1 and "channels" in accepted:
        given.setdefault("channels", "all")
    dataset: Dataset = registry().create("dataset", name, given)
    return dataset


def dataset_in(data: Path) -> str:
    """The name of the data set in a folder: the one whose layout it has, else the one that takes any folder.

    Raises
    ------
    DataError
        If it has the layout of several.
    """
    names = registry().names("dataset")
    recognisers = {name: getattr(registry().offered("dataset", name), "recognises", None) for name in names}
    fitting = [name for name, recognises in recognisers.items() if recognises is not None and recognises(data)]
    if len(fitting) > 1:
        raise DataError(f"{data}: could be {' or '.join(fitting)}. Say which with --dataset.")
    name = fitting[0] if fitting else DATASET_OF_A_FOLDER
    say(f"{data}: is read as the data set {name!r}.")
    return name


def task_of(dataset: Dataset, task: str | None) -> str:
    """A task of a data set: the one that is named, or the only one.

    Raises
    ------
    DataError
        If there is no such task, or none is named and there are none or several.
    """
    names = list(dataset.tasks)
    if task is None and len(names) == 1:
        return names[0]
    if task is None:
        what = f"several tasks: say which ({', '.join(names)})" if names else "no labels to learn from"
        raise DataError(f"{dataset.title} has {what}. {'' if names else ' '.join(dataset.notes)}".strip())
    if task not in names:
        raise DataError(f"In the data set {dataset.name!r}: {unknown('task', task, names)}")
    return task


def of_groups(dataset: Dataset, count: int) -> str:
    """The groups of some recordings, as in " of 12 speakers"; nothing where each recording stands for itself."""
    group = getattr(dataset, "grouped_by", "speaker")
    return "" if group == "recording" else f" of {counted(count, group)}"


def _adapted(data: object, options: Mapping[str, Any]) -> Dataset:
    """A data set as it is, or one that a plugin makes of an object."""
    if isinstance(data, Dataset):
        return data
    for name in registry().names("dataset"):
        adapt = getattr(registry().offered("dataset", name), "adapt", None)
        made: Dataset | None = None if adapt is None else adapt(data, options)
        if made is not None:
            return made
    raise DataError(f"The data set is a {type(data).__name__}; expected a name, a folder, a xaudio data set or one of datasets.")


def options_used(dataset: Dataset) -> dict[str, Any] | None:
    """All options that a data set was made with, defaults and all, as JSON values; None if it was not made by its plugin's name.

    A folder is named from the root, so that it is found from anywhere.
    """
    spec: Mapping[str, Any] | None = getattr(dataset, SPEC, None)
    return None if spec is None else spec["options"]
