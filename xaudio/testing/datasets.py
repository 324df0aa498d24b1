"""Checks of data sets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np

from ..errors import DataError, XaudioError
from ..output.digests import digest_bytes
from ..output.words import counted
from ..registry.options import options_of
from ..sound.datasets import SpeakerDataset
from ..sound.labels import label_index, labelled
from ..types import Clip, Fit, Fold, IntArray, Resampling
from .state import Left, left_in_process, watching
from .suite import Case, Unasked, need, refusal

DECODED = 200
"""Recordings that are decoded: all, or so many, evenly spread."""

LOUDEST = 4.0
"""Peak above which samples are not in full scales; a file of floating point may exceed 1."""

PARTS = Fold._fields


class DatasetCase(Case):
    """A data set, some of whose recordings are decoded."""

    def make(self, **more: Any) -> Any:
        """The data set, opened anew; one that lies in a folder says so where none is given."""
        try:
            return super().make(**more)
        except XaudioError as error:
            if "data" not in options_of(self.plugins.factory("dataset", self.name)) or "data" in {**self.options, **more}:
                raise
            raise DataError(f"{error} Here: xaudio plugins check {self.name}:data=FOLDER.") from None

    @cached_property
    def decoded(self) -> tuple[dict[int, Any], Left]:
        """Recordings by index, and what decoding them left behind."""
        indices = np.unique(np.linspace(0, len(self.plugin) - 1, min(DECODED, len(self.plugin))).astype(int)).tolist()
        with watching() as left:
            clips = {index: self.plugin[index] for index in indices}
        return clips, left

    @property
    def clips(self) -> dict[int, Clip]:
        """Recordings by index, if they are any."""
        clips = self.decoded[0]
        if said := _no_clip(clips):
            raise Unasked(said)
        return clips

    @cached_property
    def contents(self) -> dict[int, str]:
        """A hash of the samples of each recording that was decoded."""
        return {index: _hash(clip) for index, clip in self.clips.items()}

    def folds(self, task: str) -> tuple[Fold, ...]:
        """Folds of a task, unless the data set says that there are none."""
        try:
            folds: tuple[Fold, ...] = self.plugin.folds(task)
        except XaudioError as error:
            raise Unasked(f"task {task}: {error}") from None
        return folds


def _hash(clip: Clip) -> str:
    return digest_bytes([np.ascontiguousarray(clip.waveform, dtype="<f4").tobytes()])


def _no_clip(clips: Mapping[int, Any]) -> str:
    for index, clip in clips.items():
        if not isinstance(clip, Clip):
            return f"recording {index} is a {type(clip).__name__}; expected a xaudio.Clip"
        waveform = clip.waveform
        if not isinstance(waveform, np.ndarray) or waveform.dtype != np.float32 or not _is_sound(waveform.shape):
            shape = f"{waveform.dtype} {waveform.shape}" if isinstance(waveform, np.ndarray) else type(waveform).__name__
            return f"the waveform of recording {index} is {shape}; expected float32 (samples,), or (channels, samples)"
    return ""


def _is_sound(shape: tuple[int, ...]) -> bool:
    """Whether that is (samples,), or (channels, samples) of several channels and more samples."""
    return (len(shape) == 1 and shape[0] > 0) or (len(shape) == 2 and 1 < shape[0] < shape[1])


def it_has_recordings_tasks_and_a_title(case: DatasetCase) -> str:
    dataset = case.plugin
    if len(dataset) < 1:
        return "it has no recordings"
    for name in ("name", "title"):
        if not isinstance(getattr(dataset, name, None), str) or not getattr(dataset, name):
            return f"{name} is {getattr(dataset, name, None)!r}; expected text"
    for task, classes in dataset.tasks.items():
        names = list(classes) if isinstance(classes, list | tuple) else []
        fewest = 1 if task in getattr(dataset, "several", ()) else 2
        if len(names) < fewest or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
            return f"the classes of task {task!r} are {classes!r}; expected two or more names, each once"
    return "" if dataset.tasks else "it has no tasks"


def it_says_how_recordings_are_fitted_and_resampled(case: DatasetCase) -> str:
    for name, choices in (("fit", get_args(Fit)), ("resampling", get_args(Resampling))):
        if getattr(case.plugin, name, None) not in choices:
            return f"{name} is {getattr(case.plugin, name, None)!r}; expected {', '.join(choices)}"
    notes = getattr(case.plugin, "notes", None)
    return "" if isinstance(notes, tuple | list) else f"notes are {notes!r}; expected a tuple of text"


def it_decodes_to_float32_clips(case: DatasetCase) -> str:
    return _no_clip(case.decoded[0])


def samples_are_finite_and_in_full_scales(case: DatasetCase) -> str:
    for index, clip in case.clips.items():
        if not np.isfinite(clip.waveform).all():
            return f"recording {index} has samples that are NaN or infinite"
        if np.abs(clip.waveform).max() > LOUDEST:
            return f"recording {index} peaks at {np.abs(clip.waveform).max():.6g}; full scale is [-1, 1]"
    return ""


def rates_are_whole_numbers_above_0(case: DatasetCase) -> str:
    for index, clip in case.clips.items():
        if not isinstance(clip.sample_rate, Integral) or isinstance(clip.sample_rate, bool) or clip.sample_rate < 1:
            return f"the sample rate of recording {index} is {clip.sample_rate!r}"
    return ""


def the_same_recording_decodes_the_same_twice(case: DatasetCase) -> str:
    for index, content in list(case.contents.items())[:20]:
        if _hash(case.plugin[index]) != content:
            return f"recording {index} has other samples when it is decoded again"
    return ""


def the_data_set_opened_anew_is_the_same(case: DatasetCase) -> str:
    need(case, the_same_recording_decodes_the_same_twice)
    anew = case.make()
    if len(anew) != len(case.plugin) or list(anew.speakers) != list(case.plugin.speakers):
        return "it has other recordings or speakers when it is opened again"
    for index, content in list(case.contents.items())[:20]:
        if _hash(anew[index]) != content:
            return f"recording {index} has other samples when the data set is opened again"
    same = all(np.array_equal(anew.labels(task), case.plugin.labels(task)) for task in case.plugin.tasks)
    return "" if same else "it has other labels when it is opened again"


def beyond_the_end_is_an_index_error(case: DatasetCase) -> str:
    try:
        case.plugin[len(case.plugin)]
    except IndexError:
        return ""
    return f"recording {len(case.plugin)} of {len(case.plugin)} is given, so that a loop over the data set never ends"


def every_recording_has_a_speaker(case: DatasetCase) -> str:
    speakers = list(case.plugin.speakers)
    if len(speakers) != len(case.plugin):
        return f"{len(speakers)} speakers are named for {len(case.plugin)} recordings"
    for index, clip in case.clips.items():
        if clip.speaker is not None and clip.speaker != speakers[index]:
            return f"recording {index} is of speaker {clip.speaker!r}; speakers says {speakers[index]!r}"
    return ""


def files_are_those_of_the_recordings(case: DatasetCase) -> str:
    if getattr(case.plugin, "files", None) is None:
        raise Unasked("it names no files")
    files = list(case.plugin.files)
    if len(files) != len(case.plugin):
        return f"{counted(len(files), 'file is', 'files are')} named for {counted(len(case.plugin), 'recording')}"
    for index, file in enumerate(files):
        if not isinstance(file, str):
            return f"the file of recording {index} is {file!r}; expected the text of a path, or '' where there is none"
        if file and not os.path.isfile(file):
            return f"the file of recording {index} is {file!r}, which is not there; expected '' where there is none"
    return ""


def labels_are_class_indices_and_every_class_has_recordings(case: DatasetCase) -> str:
    for task, classes in case.plugin.tasks.items():
        labels = case.plugin.labels(task)
        if not isinstance(labels, np.ndarray):
            return f"labels of task {task!r} are a {type(labels).__name__}; expected an array"
        several = labels.ndim == 2
        shape = (len(case.plugin), len(classes)) if several else (len(case.plugin),)
        if labels.shape != shape or labels.dtype.kind not in "iu":
            return f"labels of task {task!r} are {labels.dtype} {labels.shape}; expected whole numbers {shape}"
        largest = 1 if several else len(classes) - 1
        if labels.min() < -1 or labels.max() > largest:
            return f"labels of task {task!r} go from {labels.min()} to {labels.max()}; expected -1 to {largest}"
        true = labels == 1 if several else labels[:, None] == np.arange(len(classes))
        empty = [name for index, name in enumerate(classes) if not true[:, index].any()]
        if empty:
            return f"no recording of task {task!r} has the class {', '.join(map(str, empty[:3]))}"
    return ""


def labels_of_clips_are_those_of_the_data_set(case: DatasetCase) -> str:
    need(case, labels_are_class_indices_and_every_class_has_recordings)
    for task in case.plugin.tasks:
        labels = case.plugin.labels(task)
        for index, clip in case.clips.items():
            label = clip.labels.get(task)
            if not _same_label(label, labels[index], case.plugin.tasks[task]):
                return f"recording {index} has label {label} in task {task!r}; labels({task!r}) says {labels[index]}"
    return ""


def _same_label(label: Any, expected: Any, classes: Sequence[str]) -> bool:
    """Whether the label of a clip (an index or a name, or names of several) is that of the data set."""
    if np.ndim(expected) == 0:
        try:
            index = label_index(label, classes, "The label")
        except DataError:
            return False
        return bool((-1 if index is None else index) == expected)
    if label is None:
        return bool((expected == -1).all())
    return set(label) == {classes[index] for index in np.flatnonzero(expected == 1).tolist()}


def folds_are_given_or_refused_in_one_line(case: DatasetCase) -> str:
    for task in case.plugin.tasks:
        try:
            if not case.plugin.folds(task):
                return f"task {task!r} has no folds"
        except XaudioError as error:
            return refusal(error)
    return ""


def folds_are_whole_and_disjoint(case: DatasetCase) -> str:
    need(case, labels_are_class_indices_and_every_class_has_recordings)
    for task in case.plugin.tasks:
        labels = case.plugin.labels(task)
        for number, fold in enumerate(case.folds(task)):
            where = f"fold {number} of task {task!r}"
            parts = [np.asarray(part) for part in fold]
            if len(parts) != len(PARTS):
                return f"{where} has {len(parts)} parts; expected {', '.join(PARTS)}"
            if said := _no_fold(parts, labels):
                return f"{where} {said}"
    return ""


def _no_fold(parts: list[IntArray], labels: IntArray) -> str:
    every = np.concatenate(parts)
    if any(not len(part) for part in parts):
        return f"has no {PARTS[[len(part) for part in parts].index(0)]} recordings"
    if every.dtype.kind not in "iu" or every.min() < 0 or every.max() >= len(labels):
        return f"names recordings that are not there: {every.min()} to {every.max()} of {len(labels)}"
    if len(np.unique(every)) < len(every):
        return "has a recording in two parts, or twice"
    return "" if labelled(labels[every]).all() else "has recordings without a label"


def folds_share_no_speaker(case: DatasetCase) -> str:
    need(case, every_recording_has_a_speaker, folds_are_whole_and_disjoint)
    return _shared(case, dict(enumerate(case.plugin.speakers)), "the speaker")


def folds_share_no_recording_by_content(case: DatasetCase) -> str:
    need(case, folds_are_whole_and_disjoint)
    sounding = {index: content for index, content in case.contents.items() if case.clips[index].waveform.any()}
    return _shared(case, sounding, "the samples of a recording", show=False)


def _shared(case: DatasetCase, things: Mapping[int, Any], what: str, *, show: bool = True) -> str:
    """Which things, by recording, are in two parts of a fold."""
    for task in case.plugin.tasks:
        for number, fold in enumerate(case.folds(task)):
            parts = [{things[index]: index for index in np.asarray(part).tolist() if index in things} for part in fold]
            for first, second in ((0, 1), (0, 2), (1, 2)):
                if both := set(parts[first]) & set(parts[second]):
                    thing = sorted(both)[0]
                    which = f" {thing!r}" if show else f" ({parts[first][thing]} and {parts[second][thing]})"
                    return f"fold {number} of task {task!r} has {what}{which} in {PARTS[first]} and {PARTS[second]}"
    return ""


def the_fingerprint_stays(case: DatasetCase) -> str:
    fingerprint = case.plugin.fingerprint()
    if not isinstance(fingerprint, str) or not fingerprint:
        return f"it is {fingerprint!r}; expected text"
    again = (case.plugin.fingerprint(), case.make().fingerprint())
    return "" if again == (fingerprint, fingerprint) else "it is another one when it is asked for again"


def the_fingerprint_follows_the_content(case: DatasetCase) -> str:
    need(case, the_fingerprint_stays, the_data_set_opened_anew_is_the_same)
    for how, other in _others(case):
        if other.fingerprint() == case.plugin.fingerprint() and _differs(case, other):
            return f"{how}, the recordings are others and the fingerprint is the same"
    return ""


def _differs(case: DatasetCase, other: Any) -> bool:
    return len(other) != len(case.plugin) or any(_hash(other[index]) != content for index, content in case.contents.items())


def _others(case: DatasetCase) -> Iterator[tuple[str, Any]]:
    """The same data set with other content, as far as one can have it."""
    if isinstance(case.plugin, SpeakerDataset) and len(case.plugin) > 1:
        yield "without the last recording", replace(case.plugin, recordings=case.plugin.recordings[:-1], _hash=[])
    options = options_of(case.plugins.factory("dataset", case.name))
    for name, option in options.items():
        for value in _other_values(option.annotation, case.options.get(name, option.default)):
            yield from _opened(f"with {name}={value}", case, {name: value})
    source, *others = (Path(clip.source).resolve() for clip in case.clips.values())
    for name, option in options.items():
        value = case.options.get(name, option.default)
        if isinstance(value, str | Path) and source.is_file() and source.is_relative_to(Path(value).resolve()):
            with _with_another_file(Path(value).resolve(), source, others) as folder:
                yield from _opened("with a file changed", case, {name: folder})


def _other_values(annotation: Any, value: Any) -> list[Any]:
    """Other values that an option may have, of the types of which one can tell."""
    annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if choice != value][:1]
    if annotation not in (int, float) or not isinstance(value, int | float | str):
        return []  # it is of another type, or has no default
    return [int(value) + 1] if annotation is int else [float(value) * 1.25 + 0.01]


def _opened(how: str, case: DatasetCase, options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    try:
        other = case.make(**options)
        return [(how, other)] if not _no_clip({0: other[0]}) else []
    except XaudioError:  # there need not be one
        return []


@contextmanager
def _with_another_file(folder: Path, source: Path, others: Sequence[Path]) -> Iterator[Path]:
    """A folder of links to all files of another, but for one: half as loud or, in a format of the plugin's own, another one."""
    import soundfile

    with TemporaryDirectory() as outer:
        copy = Path(outer) / folder.name
        for root, _, names in os.walk(folder):
            there = copy / Path(root).relative_to(folder)
            there.mkdir()
            for name in names:
                (there / name).symlink_to(Path(root) / name)
        changed = copy / source.relative_to(folder)
        changed.unlink()
        try:
            waveform, rate = soundfile.read(source)
            soundfile.write(changed, waveform / 2, rate)
        except (soundfile.LibsndfileError, TypeError, ValueError):  # no format that libsndfile knows
            shutil.copyfile(next((other for other in others if other.is_file() and other != source), source), changed)
        yield copy


def decoding_leaves_the_process_as_it_was(case: DatasetCase) -> str:
    return left_in_process(replace(case.decoded[1], files=[]))  # it may keep a cache
