"""A model's folder: own models as trained runs are kept, so that every command and a new process finds the same model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import NonNegativeInt
from torch import Tensor

from ..errors import ModelError
from ..output.runs import output_folder, replaced, write_run
from ..registry.loading import registry
from ..registry.options import check_options, convert, format_spec, jsonable, options_of, parse_spec
from ..sound.contents import recording_digests
from ..sound.datasets import options_used
from ..types import Dataset, Fit, Fold, IntArray, Kind, Representation, Resampling
from .arguments import as_model
from .folders import WEIGHTS
from .model import Model
from .modes import plain_torch
from .running import evaluation_mode, network_name
from .splits import Split, write_split
from .trial import example_sound

Trained = str | Dataset | tuple[Dataset, Sequence[int]]
"""What a model was trained on: words, a data set, or a data set and which of its recordings."""


@plain_torch()
def save_model(
    model: Any,
    folder: str | Path,
    *,
    loader: str | None = None,
    representation: str | Representation | None = None,
    classes: Iterable[Any] | None = None,
    kind: Kind | None = None,
    task: str | None = None,
    fit: Fit | None = None,
    resampling: Resampling | None = None,
    seed: int | None = None,
    trained_on: Trained | None = None,
    feature_extractor: Any = None,
) -> Path:
    """Keep a model in a folder, which `load_model` and every command take as they take a run of ``xaudio train``.

    The folder holds the weights, and how the rest is made again: the representation by its name and options, the network by
    its plugin or by a loader. The model is read again and must answer the same, bit by bit.

    Parameters
    ----------
    model : path, str, nn.Module or Model
        As for `explain`.
    folder : path
        Gets ``model.safetensors`` and ``run.json``, and ``recordings.csv`` if the recordings of the training are told. An
        earlier model in it is replaced.
    loader : str, optional
        What makes the network again, as in "python:at=FILE.py:function"; needed unless the model came from a loader or a plugin.
    representation, classes, kind, feature_extractor : optional
        As for `explain`.
    task : str, optional
        Which task of a data set the model answers; by default the one whose classes it knows.
    fit, resampling, seed : optional
        The rules for its recordings, as for `explain`; what is not told is as by default.
    trained_on : str, Dataset or (Dataset, indices), optional
        Words that results repeat; or the recordings of the training, which commands then leave out of what they measure on.
        Without it results say that nobody knows.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError
        If the model cannot be made again, or the one that is made answers differently; nothing is kept then.
    OutputError
        If the folder cannot be written.
    """
    original = as_model(model, representation, classes, kind, feature_extractor)
    rules = {
        "fit": convert("fit", Fit | None, fit),
        "resampling": convert("resampling", Resampling | None, resampling),
        "seed": convert("seed", NonNegativeInt | None, seed),
    }
    told, split = _training(trained_on)
    target = output_folder(Path(folder))
    facts = {
        **{name: value for name, value in original.facts.items() if name not in ("run", "loader", "said")},
        **{name: value for name, value in rules.items() if value is not None},
        **told,
    }
    whole = replace(original, facts=facts, task=original.task if task is None else task, model_spec=_spec(original, loader))
    with replaced(target / WEIGHTS) as temporary:
        whole.save(temporary.parent, temporary.name)
        _compare(original, Model.load(temporary.parent, temporary.name), target)
    if split is not None:
        write_split(target, split)
    write_run(target, settings={"model": whole.source, "classes": list(whole.classes)}, data=told)
    return target


def _spec(model: Model, loader: str | None) -> Mapping[str, Any]:
    """What makes the network again: the loader that is named, the one it came from, or its plugin.

    Raises
    ------
    ModelError
        If there is none.
    """
    told: Mapping[str, Any] = model.facts.get("loader") or {}
    if loader is None and not told:
        if not model.model_spec:
            raise ModelError(
                f"Nothing says how the network {network_name(model.network)} is made again: name a function that makes it, "
                "loader='python:at=FILE.py:function'."
            )
        return model.model_spec
    name, options = parse_spec(loader) if loader is not None else (told["name"], told["options"])
    factory = registry().factory("loader", name)
    label = f"loader {name!r}"
    taken = check_options(label, factory, _with_told(factory, options, model))
    try:
        factory(**taken)
    except ModelError as error:  # what makes a whole model wants to be told nothing
        taken = check_options(label, factory, options)
        try:
            factory(**taken)
        except ModelError:
            raise error from None
    return {"loader": {"name": registry().spelt("loader", name), "options": jsonable(taken)}}


def _with_told(factory: Any, options: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """A loader's options with what is told of the model, where they do not say it."""
    accepted, spec = set(options_of(factory)), model.representation_spec
    if "representation" not in accepted or not spec:
        return dict(options)
    reading = {"representation", "sample_rate", "samples"} & set(options)
    reads = {} if reading else {"representation": format_spec(spec["name"], spec["options"]).replace(",", "+")}
    told = {**reads, "classes": json.dumps(model.classes), "kind": model.kind}
    return {**{key: value for key, value in told.items() if key in accepted}, **options}


def _training(trained_on: Trained | None) -> tuple[dict[str, Any], Split | None]:
    """The facts on a training, and its recordings where they are told."""
    if trained_on is None or isinstance(trained_on, str):
        return {"said": trained_on, "data": trained_on or ""}, None
    dataset, indices = trained_on if isinstance(trained_on, tuple) else (trained_on, range(len(trained_on)))
    chosen = np.asarray(indices, dtype=np.int64)
    if not len(chosen) or chosen.min() < 0 or chosen.max() >= len(dataset):
        raise ModelError(
            f"trained_on names recordings that {dataset.title} has not; expected indices from 0 to {len(dataset) - 1}."
        )
    nothing: IntArray = np.array([], dtype=np.int64)
    split = Split(Fold(chosen, nothing, nothing), recording_digests(dataset), 0)
    facts = {"data": dataset.title, "dataset": dataset.name, "options": options_used(dataset), "parts": split.parts}
    return {**facts, "synthetic": bool(getattr(dataset, "synthetic", False))}, split


def _compare(original: Model, saved: Model, folder: Path) -> None:
    """Raise `ModelError` unless a model that was read again answers as the one that was given."""
    sound = example_sound(original.representation)
    answers: list[Tensor] = []
    for model in (original, saved):
        with torch.no_grad(), evaluation_mode(model.network):
            answers.append(model.answer(model.features(sound.to(model.device))).scores.cpu())
    same = answers[0].shape == answers[1].shape and torch.equal(answers[0], answers[1])
    if not same or original.classes != saved.classes:
        raise ModelError(
            f"{folder}: the model as it is made again answers differently from the one that was given, so it is not saved: the "
            "loader must make the same network, which keeps nothing but its weights."
        )
