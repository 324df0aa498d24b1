"""One training with its test: a model, a task and a fold of a data set, in a run folder of its own."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import NonNegativeInt, ValidationError

from ..errors import ModelError, XaudioWarning
from ..output.memory import naming_memory
from ..output.runs import output_folder, read_json, refuse_other_identity, remove_leftovers, write_json, write_rows, write_run
from ..registry.options import convert, first_fault
from ..types import Dataset, Fit, FloatArray, IntArray, Resampling
from .examples import examples
from .model import WEIGHTS, Model, new_model
from .modes import plain_torch
from .results import TrainingResult, test_summary
from .settings import settings_for
from .splits import RECORDINGS, split_facts, split_of, write_split
from .training import CHECKPOINT, decided_precision, evaluate, train

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
        seed=convert("the training setting 'seed'", NonNegativeInt, experiment.training.get("seed", 0)),
    )
    settings = settings_for(model.network, experiment.training)
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
    found = content.get("identity") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise ModelError(f"{path}: is damaged; expected a JSON object with 'identity'. Delete the folder to train again.")
    refuse_other_identity(path, found, identity)
    try:
        return TrainingResult.model_validate(content)
    except ValidationError as error:
        raise ModelError(f"{path}: is damaged or of another version ({first_fault(error)}). Delete it to train again.") from None


def _write_predictions(path: Path, dataset: Dataset, indices: IntArray, labels: IntArray, logits: FloatArray, fold: int) -> None:
    columns = ["index", "fold", "speaker", "label", "predicted", *(f"logit_{k}" for k in range(logits.shape[1]))]
    rows = (
        [int(index), fold, dataset.speakers[index], int(label), int(np.argmax(values)), *(repr(float(v)) for v in values)]
        for index, label, values in zip(indices, labels, logits, strict=True)
    )
    write_rows(path, columns, rows)
