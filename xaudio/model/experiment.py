"""One training with its test: a model, a task and a fold of a data set, in a run folder of its own."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import NonNegativeInt, ValidationError

from ..errors import ModelError, OutputError, XaudioError, XaudioWarning
from ..output.digests import digest_bytes, digest_text
from ..output.memory import naming_memory
from ..output.runs import (
    cache_folder,
    output_folder,
    read_json,
    refuse_other_identity,
    write_json,
    write_rows,
    write_run,
)
from ..output.temporary import remove_leftovers
from ..registry.defaults import MODEL_OF_ANY_RATE
from ..registry.options import convert, first_fault
from ..sound.audio import power_above
from ..types import Dataset, Fit, FloatArray, IntArray, Resampling
from .examples import examples
from .folders import WEIGHTS
from .lengths import length_of
from .model import Model
from .modes import plain_torch
from .results import TrainingResult, test_summary
from .running import evaluation_mode
from .settings import TrainingSettings, settings_for
from .splits import RECORDINGS, split_facts, split_of, write_split
from .training import CHECKPOINT, decided_precision, evaluate, train
from .trial import silence
from .untrained import new_model

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LISTENED_TO = 8
"""About how many recordings are looked at for sound that a model cannot hear."""

TIMED = 200
"""Recordings of which the length is looked at, where a model takes any and longer ones are cut."""

LENGTHS = 1
"""Of the lengths in the cache: counts up when one would be another."""


@dataclass(frozen=True)
class Experiment:
    """What is trained on what.

    Parameters
    ----------
    dataset : Dataset
    task : str
    fold : int
        Its test speakers are held out.
    model : str
    model_options : mapping
    representation : str or None
        By default the model's own.
    representation_options : mapping
    training : mapping
        Settings of `xaudio.model.settings.TrainingSettings` that replace those the model was published with.
    fit, resampling : optional
        Instead of the data set's own rules.
    """

    dataset: Dataset
    task: str
    fold: int
    model: str
    model_options: Mapping[str, Any] = field(default_factory=dict)
    representation: str | None = None
    representation_options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    fit: Fit | None = None
    resampling: Resampling | None = None

    @property
    def title(self) -> str:
        """A name for progress bars and messages."""
        return f"{self.model} {self.task} fold {self.fold}"


@naming_memory("Choose a smaller batch_size, or another device.")
@plain_torch()
def run_experiment(experiment: Experiment, folder: Path, device: torch.device) -> TrainingResult:
    """Train and test, or continue, or read what is already there.

    Parameters
    ----------
    experiment : Experiment
    folder : Path
        Gets ``model.safetensors``, ``predictions.csv`` (one row per test recording), ``recordings.csv`` (what is in each part of
        the fold, by content), ``results.json`` and ``run.json``.
    device : torch.device

    Returns
    -------
    TrainingResult
        What ``results.json`` holds.

    Raises
    ------
    DataError
        If there is no such task or fold.
    ModelError
        If the folder belongs to a run of other settings.
    OutputError
        If it cannot be written.
    """
    dataset, task = experiment.dataset, experiment.task
    labels, split = dataset.labels(task), split_of(dataset, task, experiment.fold)
    fold = split.fold
    if split.copies:
        warnings.warn(
            f"{split.copies} of {split.copies + len(fold.test)} test recordings of {dataset.title} are copies of recordings that "
            "are trained or validated on; they are left out of the test.",
            XaudioWarning,
            stacklevel=2,
        )
    fit, resampling = experiment.fit or dataset.fit, experiment.resampling or dataset.resampling
    facts = {
        "data": dataset.title,
        "dataset": dataset.name,
        "fold": experiment.fold,
        "fit": fit,
        "resampling": resampling,
        "test_speakers": sorted({dataset.speakers[index] for index in fold.test}),
        **split_facts(dataset, split),
    }
    model = new_model(
        experiment.model,
        tuple(dataset.tasks[task]),
        task=task,
        model_options=experiment.model_options,
        representation=experiment.representation,
        representation_options=experiment.representation_options,
        kind="labels" if labels.ndim == 2 else "classes",
        seed=convert("the training setting 'seed'", NonNegativeInt, experiment.training.get("seed", 0)),
    )
    kept = model
    if length_of(model.representation).fixed is None:
        heard = np.arange(len(dataset)) if fit == "error" else fold.train
        model = model.at(usual_samples(dataset, heard, model.representation.sample_rate, fit))
    settings = settings_for(model.network, experiment.training)
    if settings.length == "any":
        check_any_length(kept, model, settings)
    settings = settings.model_copy(update={"precision": decided_precision(settings, folder, device)})
    model.facts = {**facts, "seed": settings.seed, "synthetic": bool(getattr(dataset, "synthetic", False))}
    identity = {
        "model": model.model_spec,
        "representation": model.representation_spec,
        "task": task,
        **facts,
        "options": {name: value for name, value in (facts["options"] or {}).items() if name != "data"},  # it may be moved
        "fingerprint": dataset.fingerprint(),
        "device": device.type,
    }
    remove_leftovers(output_folder(folder))
    finished = _finished(folder, {**identity, "settings": settings.model_dump()})
    if finished:
        return finished
    _warn_of_unheard(dataset, fold.train, model.representation.sample_rate)
    placed = model.to(device).hear_all(dataset)
    start = time.monotonic()
    speed = train(
        model,
        examples(placed, labels, fold.train),
        settings,
        folder,
        title=f"Training {experiment.title}",
        identity=identity,
    )
    seconds = time.monotonic() - start
    test = examples(placed, labels, fold.test)
    logits = evaluate(model, test, f"Testing {experiment.title}")
    if settings.length == "any":
        kept.facts = {**model.facts, "notes": [*model.facts.get("notes", ()), _of_length(model)]}
        kept.save(folder)
    else:
        model.save(folder)
    write_split(folder, split)
    _write_predictions(folder / "predictions.csv", dataset, fold.test, labels[fold.test], logits, experiment.fold)
    result = TrainingResult(
        model=experiment.model,
        task=task,
        fold=experiment.fold,
        data=dataset.title,
        **test_summary(logits, labels[fold.test], np.array(dataset.speakers)[fold.test], model.classes),
        train_recordings=len(fold.train),
        seconds=round(seconds, 1),
        speed=speed,
        identity={**identity, "settings": settings.model_dump()},
    )
    write_run(folder, settings=settings.model_dump(), device=str(device), data=facts, fingerprint=dataset.fingerprint())
    write_json(folder / "results.json", result.model_dump())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def _warn_of_unheard(dataset: Dataset, indices: IntArray, rate: int) -> None:
    """Warn where most of the sound lies above what a model of a sample rate hears, as calls of bats do.

    Recordings that are no longer there tell nothing; a training may have all it needs in the cache.
    """
    try:
        some = [dataset[index] for index in indices[:: -(-len(indices) // LISTENED_TO)]]
    except XaudioError:
        return
    share = float(np.median([power_above(clip, rate) for clip in some]))
    if share > 0.5:
        warnings.warn(
            f"{share:.0%} of the power of the recordings of {dataset.title} lies above {rate / 2:g} Hz, which a model at "
            f"{rate} Hz does not hear. Choose a model of a higher rate, as with "
            f"{MODEL_OF_ANY_RATE}:sample_rate={max(clip.sample_rate for clip in some)}.",
            XaudioWarning,
            stacklevel=3,
        )


def check_any_length(model: Model, trained: Model, settings: TrainingSettings) -> None:
    """Raise `ModelError` if a model cannot take recordings of another length than it is trained at.

    Parameters
    ----------
    model : Model
        Of any length.
    trained : Model
        The same at the length of the training.
    settings : TrainingSettings
    """
    import torch

    samples = trained.representation.samples
    try:
        if settings.subtract_mean:
            raise ModelError("The training setting subtract_mean gives a mean for one length.")
        other = model.at(2 * samples)
        with torch.no_grad(), evaluation_mode(other.network):
            other.logits(other.features(silence(other.representation).to(other.device)))
    except ModelError as error:
        raise ModelError(f"The training setting length=any does not suit this model: it takes one length. {error}") from None


def _of_length(model: Model) -> str:
    """What is to be noted of a model of any length."""
    read = model.representation
    return f"the model was trained at {read.samples / read.sample_rate:g} s, and may answer differently for other lengths"


def usual_samples(dataset: Dataset, indices: IntArray, sample_rate: int, fit: Fit) -> int:
    """How long a model of any length is to hear recordings, in samples at its rate.

    Where longer ones are refused (``fit``), it is the length of the longest; where they are cut, the length that nine of ten
    do not exceed, of at most `TIMED` recordings spread evenly. It is kept in the cache, since recordings are decoded for it.
    """
    data = (dataset.name, len(dataset), dataset.fingerprint())
    place = digest_text(LENGTHS, *data, sample_rate, fit, digest_bytes([indices.astype("<i8").tobytes()]))
    path = cache_folder() / "lengths" / f"{place}.json"
    samples = _kept_samples(path)
    if samples is None:
        samples = _usual(_lengths(dataset, indices, sample_rate, fit), fit)
        with suppress(OutputError):  # it is found again next time
            write_json(path, samples)
    return samples


def _kept_samples(path: Path) -> int | None:
    """A length in the cache; None if it is not there or damaged."""
    try:
        samples = read_json(path)
    except ModelError:
        return None
    return samples if isinstance(samples, int) and samples > 0 else None


def _lengths(dataset: Dataset, indices: IntArray, sample_rate: int, fit: Fit) -> list[int]:
    """Lengths of recordings in samples at a rate, the shortest first: of all where longer ones are refused."""
    timed = len(indices) if fit == "error" else min(TIMED, len(indices))
    chosen = indices[np.unique(np.linspace(0, len(indices) - 1, timed).astype(int))]
    clips = (dataset[int(index)] for index in chosen)
    return sorted(-(-clip.samples * sample_rate // clip.sample_rate) for clip in clips)


def _usual(lengths: Sequence[int], fit: Fit) -> int:
    return max(1, lengths[-1] if fit == "error" else lengths[int(0.9 * (len(lengths) - 1))])


def in_one_window(model: Model, dataset: Dataset, indices: IntArray) -> tuple[Model, list[str]]:
    """A model of any length as one that hears all recordings in a window of one length, and what is to be noted.

    It is for what compares recordings place by place, or changes many of them at once. Where the recordings differ in length,
    the window is as in a training (see `usual_samples`), which the note says. Any other model is as it was.

    Parameters
    ----------
    model : Model
    dataset : Dataset
    indices : ndarray of int
        The recordings that are heard.
    """
    length, rate = length_of(model.representation), model.representation.sample_rate
    if length.fixed is not None or not len(indices):
        return model, []
    rules = model.rules_in(dataset)
    lengths = _lengths(dataset, np.asarray(indices), rate, rules.fit)
    samples = min(_usual(lengths, rules.fit), length.maximum or lengths[-1])
    samples = max(length.minimum, samples // length.multiple * length.multiple)
    notes = []
    if lengths[0] < lengths[-1]:
        longer = f", and of longer ones what the rule {rules.fit!r} keeps" if lengths[-1] > samples else ""
        notes.append(
            f"the model takes any length: recordings of {lengths[0] / rate:.3g} to {lengths[-1] / rate:.3g} s are heard in one "
            f"window of {samples / rate:.3g} s, shorter ones within zeros{longer}"
        )
    return model.only(samples), notes


def placed_waveforms(
    model: Model, dataset: Dataset, indices: IntArray, batch_size: int = 50
) -> Iterator[tuple[IntArray, Tensor]]:
    """Recordings of a data set as a trained model heard them: prepared by the same rules, placed alike.

    Parameters
    ----------
    model : Model
        As `run_experiment` left it.
    dataset : Dataset
    indices : sequence of int
    batch_size : int

    Yields
    ------
    indices : ndarray
    waveforms : Tensor, shape (batch, samples)
        On the model's device.
    """
    placed, chosen = model.hear_all(dataset), np.asarray(indices, dtype=np.int64)
    for start in range(0, len(chosen), batch_size):
        batch = chosen[start : start + batch_size]
        yield batch, placed.batch(batch)


def _finished(folder: Path, identity: Mapping[str, Any]) -> TrainingResult | None:
    """The results of a run that is already done, or None."""
    path = folder / "results.json"
    if not all((folder / name).exists() for name in ("results.json", "predictions.csv", RECORDINGS, WEIGHTS)):
        return None
    content = read_json(path)
    kept = content.get("identity") if isinstance(content, dict) else None
    if not isinstance(kept, dict):
        raise ModelError(f"{path}: is damaged; expected a JSON object with 'identity'. Delete the folder to train again.")
    refuse_other_identity(path, kept, identity)
    try:
        return TrainingResult.model_validate(content)
    except ValidationError as error:
        raise ModelError(f"{path}: is damaged or of another version ({first_fault(error)}). Delete it to train again.") from None


def _write_predictions(path: Path, dataset: Dataset, indices: IntArray, labels: IntArray, logits: FloatArray, fold: int) -> None:
    columns = ["index", "fold", "speaker", "label", "predicted", *(f"logit_{k}" for k in range(logits.shape[1]))]
    rows = (
        [int(index), fold, dataset.speakers[index], *_told(label, values), *(repr(float(v)) for v in values)]
        for index, label, values in zip(indices, labels, logits, strict=True)
    )
    write_rows(path, columns, rows)


def _told(label: Any, logits: FloatArray) -> tuple[Any, Any]:
    """What is true and what is predicted: a class, or the labels with + between them."""
    if np.ndim(label) == 0:
        return int(label), int(np.argmax(logits))
    return _joined(label == 1), _joined(logits > 0)


def _joined(chosen: Any) -> str:
    return "+".join(map(str, np.flatnonzero(chosen))) or "none"
