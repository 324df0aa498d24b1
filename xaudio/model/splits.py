"""Which recordings a model has never heard: by what the recordings are, not by where they lie or how the data are opened."""

from __future__ import annotations

import contextlib
import csv
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, ModelError, XaudioWarning
from ..output.runs import write_rows
from ..output.words import counted_of
from ..registry.options import parse_spec
from ..sound.contents import digest_all, recording_digests
from ..sound.datasets import open_dataset, options_used
from ..sound.labels import labelled
from ..types import Dataset, Fold, IntArray
from .model import Model
from .relabelling import in_classes_of, with_note

RECORDINGS = "recordings.csv"
"""What a training heard, in its run folder: the part, index and content of each recording of its fold."""


class Split(NamedTuple):
    """A fold of a data set, a digest of each of the data set's recordings, and how many copies were left out of the test."""

    fold: Fold
    digests: Sequence[str]
    copies: int

    @property
    def parts(self) -> dict[str, str]:
        """One digest of the recordings of each part."""
        return {part: digest_all(self.digests[index] for index in indices) for part, indices in self.fold._asdict().items()}


def split_of(dataset: Dataset, task: str, number: int) -> Split:
    """A fold of a data set, without test recordings that are copies of what is trained or validated on.

    Raises
    ------
    DataError
        If there is no such task or fold, or one of its parts is empty.
    """
    folds = dataset.folds(task)
    if not 0 <= number < len(folds):
        raise DataError(f"The task {task!r} of {dataset.title} has folds 0 to {len(folds) - 1}; there is no fold {number}.")
    digests = recording_digests(dataset)
    fold = _without_copies(folds[number], digests)
    empty = [part for part, indices in fold._asdict().items() if not len(indices)]
    if empty:
        lost = len(getattr(folds[number], empty[0]))
        why = f"all {lost} are copies of what is trained or validated on" if lost else "some are missing"
        raise DataError(f"Fold {number} of task {task!r} of {dataset.title} has no {empty[0]} recordings: {why}.")
    return Split(fold, digests, len(folds[number].test) - len(fold.test))


def _without_copies(fold: Fold, digests: Sequence[str]) -> Fold:
    trained = {digests[index] for index in fold.train}
    validation = [index for index in fold.validation if digests[index] not in trained]
    used = trained | {digests[index] for index in fold.validation}
    test = [index for index in fold.test if digests[index] not in used]
    return Fold(fold.train, np.array(validation, dtype=np.int64), np.array(test, dtype=np.int64))


def split_facts(dataset: Dataset, split: Split) -> dict[str, Any]:
    """What a run keeps to find its parts again: the data set's options as used, and a digest of each part."""
    return {"options": options_used(dataset), "parts": split.parts}


def write_split(folder: Path, split: Split) -> Path:
    """Write what a training heard beside its weights."""
    rows = ([part, int(index), split.digests[index]] for part, indices in split.fold._asdict().items() for index in indices)
    return write_rows(folder / RECORDINGS, ["part", "index", "content"], rows)


def held_out(model: Model, dataset: str | Dataset | None = None, data: Path | None = None) -> tuple[Dataset, IntArray]:
    """The data set that a model was trained on, or another one, and the recordings in it that it never heard.

    Where nothing says what a model was trained on, that is not known: all labelled recordings are given, and an `XaudioWarning`
    says so.

    Parameters
    ----------
    model : Model
        As `xaudio.run_experiment` left it in its run folder.
    dataset : str or Dataset, optional
        Name of a data set, with options as in "synthetic:speakers=40"; by default the one of its training with the options
        and the seed of its training.
    data : Path, optional
        Folder of the data set.

    Returns
    -------
    dataset : Dataset
        Its class indices are those of the model.
    indices : ndarray of int
        The test set of the fold it was trained on. Of other data, the labelled recordings that are neither in its training
        nor in its validation, nor of a speaker of whom a recording is: an `XaudioWarning` says how many are left out.

    Raises
    ------
    DataError
        If the data of the training have changed since, other data have no such task or other classes, or nothing is held out.
    ModelError
        If its run folder does not say what it was trained on.
    """
    opened, split = opened_for(model, dataset, data)
    if split is not None:
        return opened, split.fold.test
    if not says_training(model):
        return with_note(opened, training_notes(model)[0]), _all_labelled(model, opened)
    return opened, _never_heard(model, opened)


def says_training(model: Model) -> bool:
    """Whether a model says, or should say, what it was trained on; False of one that others trained."""
    return "run" in model.facts and "said" not in model.facts


UNKNOWN = "what the model was trained on is unknown, all recordings are used"
"""What results say where nothing is known to be held out."""


def training_notes(model: Model) -> list[str]:
    """What results must say of a model's training: nothing, or that it is unknown.

    Parameters
    ----------
    model : Model
    """
    said = model.facts.get("said")
    return [] if says_training(model) else [UNKNOWN + (f" (it is said to be {said})" if said else "")]


def _all_labelled(model: Model, dataset: Dataset) -> IntArray:
    """All recordings with a label, after a word that nobody knows which of them the model was trained on."""
    indices = np.flatnonzero(labelled(dataset.labels(model.task)))
    if not len(indices):
        raise DataError(f"No recording of {dataset.title} has a label of task {model.task!r}; choose other data.")
    warnings.warn(f"{model.source}: {training_notes(model)[0]} ({len(indices)} of {dataset.title}).", XaudioWarning, stacklevel=3)
    return indices


def opened_for(model: Model, dataset: str | Dataset | None, data: Path | None) -> tuple[Dataset, Split | None]:
    """A data set for a model, in the order of its classes, and the split of its training if these are the same data.

    Raises
    ------
    DataError, ModelError
        As `held_out` does.
    """
    facts = model.facts
    if not says_training(model):
        if dataset is None and data is None:
            raise ModelError(f"{model.source}: does not say what it was trained on: name the data (--dataset, --data).")
        return in_classes_of(model, open_dataset(dataset, data, channels=model.channels)), None
    if not {"parts", "dataset", "run"} <= set(facts):
        raise ModelError(
            f"{facts.get('run', 'The model')}: does not say which recordings it was trained on, so that none can be called held "
            "out. Train it again."
        )
    opened = in_classes_of(model, _open(model, dataset, data))
    if "fold" not in facts:  # all of the data were used, or those of its recordings that are listed
        return opened, None
    split = None
    with contextlib.suppress(DataError):  # other data may have other folds
        split = split_of(opened, model.task, facts["fold"])
    if split is not None and split.parts == facts["parts"]:
        return opened, split
    if dataset is None and data is None:
        raise DataError(_difference(model, opened, split))
    return opened, None


def _open(model: Model, dataset: str | Dataset | None, data: Path | None) -> Dataset:
    """The data set that is asked for; without its folder, the one of the training is taken from where it was then."""
    if not isinstance(dataset, str | None):
        return dataset
    name, kept = model.facts["dataset"], model.facts["options"]
    if dataset is None:
        if kept is None:
            raise ModelError(f"{model.facts['run']}: does not say how its data set {name!r} was opened. Name the data set.")
        return open_dataset(name, data, options=kept, channels=model.channels)
    other, spelt = parse_spec(dataset)
    folder = (kept or {}).get("data") if other == name and "data" not in spelt else None
    return open_dataset(dataset, Path(folder) if folder and data is None else data, channels=model.channels)


def _difference(model: Model, opened: Dataset, split: Split | None) -> str:
    """Why the data of the training are not those of the training any more, in one line."""
    facts = model.facts
    what = f"there is no fold {facts['fold']} of task {model.task!r} any more"
    if split is not None:
        kept = _kept_parts(model)
        now = {part: Counter(split.digests[index] for index in indices) for part, indices in split.fold._asdict().items()}
        what = "; ".join(
            f"of {kept[part].total()} {part} recordings {(kept[part] - now[part]).total()} are gone or changed, and "
            f"{(now[part] - kept[part]).total()} are new"
            for part in kept
            if kept[part] != now[part]
        )
    return (
        f"{opened.title} is not as it was when {facts['run']} was trained: {what}. Give these data back, train again, or name "
        "other data (--dataset, --data), of which what was in the training is left out."
    )


def _kept_parts(model: Model) -> Mapping[str, Counter[str]]:
    """How often each content is in each part, as the run folder says.

    Raises
    ------
    ModelError
        If it does not say, or not what the weights say.
    """
    path = Path(model.facts["run"]) / RECORDINGS
    parts: dict[str, Counter[str]] = {part: Counter() for part in Fold._fields}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                parts[row["part"]][row["content"]] += 1
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}), so that nothing can be called held out. Train again.") from None
    if {part: digest_all(count.elements()) for part, count in parts.items()} != model.facts["parts"]:
        raise ModelError(f"{path}: is not of the model beside it, so that nothing can be called held out. Train again.")
    return parts


def used_recordings(model: Model) -> frozenset[str]:
    """What a model was trained or validated on, as `recording_digests` gives it.

    Parameters
    ----------
    model : Model
        As `xaudio.run_experiment` left it in its run folder.

    Raises
    ------
    ModelError
        If its run folder does not say.
    """
    if not {"parts", "run"} <= set(model.facts):
        raise ModelError(f"{model.facts.get('run', 'The model')}: does not say what it was trained on. Train it again.")
    kept = _kept_parts(model)
    return frozenset(kept["train"]) | frozenset(kept["validation"])


def _never_heard(model: Model, dataset: Dataset) -> IntArray:
    """Labelled recordings that a training did not hear, of speakers that it did not hear."""
    used = used_recordings(model)
    copies = np.array([digest in used for digest in recording_digests(dataset)])
    speakers = np.array(dataset.speakers)
    with_label = labelled(dataset.labels(model.task))
    heard = copies | np.isin(speakers, [speaker for speaker in set(speakers[copies]) if speaker])
    unheard = np.flatnonzero(with_label & ~heard)
    if not with_label.any():
        raise DataError(f"No recording of {dataset.title} has a label of task {model.task!r}; choose other data.")
    left = int(with_label.sum()) - len(unheard)
    said = (f"of {dataset.title} is", f"of {dataset.title} are")
    words = (
        f"{counted_of(left, int(with_label.sum()), 'recording', *said)} left out: the model was trained or "
        f"validated on {(with_label & copies).sum()} of them, the others are of the same speakers."
    )
    if not len(unheard):
        raise DataError(f"{words} Nothing is left that it never heard; choose other data.")
    if len(unheard) < with_label.sum():
        warnings.warn(words, XaudioWarning, stacklevel=3)
    return unheard
