"""Explanations of many recordings of a data set, kept in a folder, so that interrupted work can be continued."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from ..errors import DataError, ModelError
from ..model.arguments import as_explainer
from ..model.model import Model, weights_digest
from ..model.relabelling import in_classes_of
from ..model.splits import held_out, opened_for
from ..output.runs import output_folder, refuse_other_settings, remove_leftovers, write_run
from ..output.terminal import progress
from ..registry.options import parse_spec
from ..types import Dataset, IntArray
from .explaining import explain
from .explanation import Explanation

Part = Literal["test", "train", "all"]
"""Which recordings: of speakers that the model never heard, those it was trained on, or all that have a label."""

BATCH = 32


@dataclass(frozen=True)
class KeptExplanations(Sequence[Explanation]):
    """Explanations in files, each read when it is asked for, so that any number of them needs little memory.

    Parameters
    ----------
    paths : tuple of Path
        What `Explanation.save` wrote.
    """

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...

    @overload
    def __getitem__(self, index: slice) -> KeptExplanations: ...

    def __getitem__(self, index: int | slice) -> Explanation | KeptExplanations:
        if isinstance(index, slice):
            return KeptExplanations(self.paths[index])
        return Explanation.load(self.paths[index])


def recordings_of(model: Model, dataset: str | None, data: Path | None, part: Part) -> tuple[Dataset, IntArray]:
    """A data set and the indices of its recordings in one part.

    Parameters
    ----------
    model : Model
    dataset : str, optional
        Name of a data set, with options; by default the one of the training.
    data : Path, optional
        Folder of the data set.
    part : {"test", "train", "all"}
        See `Part`; of the fold that the model was trained on.

    Raises
    ------
    DataError
        If the data set does not fit the model, or the model was not trained on it and "train" is asked for.
    """
    if part == "test":
        return held_out(model, dataset, data)
    opened, split = opened_for(model, dataset, data)
    if part == "all":
        return opened, np.flatnonzero(opened.labels(model.task) >= 0)
    if split is None:
        raise DataError(
            f"{opened.title} as it was opened is not what the model was trained on ({model.facts['data']}), so it has no "
            "part 'train': use --part all, or leave out --dataset and --data."
        )
    return opened, split.fold.train


def drawn(indices: IntArray, count: int | None, seed: int) -> IntArray:
    """At most so many of the indices, drawn at random and in their order.

    Parameters
    ----------
    indices : ndarray of int, shape (recordings,)
    count : int or None
        None for all.
    seed : int

    Returns
    -------
    ndarray of int
    """
    if count is None or count >= len(indices):
        return indices
    return np.sort(np.random.default_rng(seed).choice(indices, count, replace=False))


def identity_of(model: Model, dataset: Dataset, explainer: str) -> dict[str, Any]:
    """What explanations depend on beside the choice of recordings: the weights, the data and the explainer's options.

    Parameters
    ----------
    model : Model
    dataset : Dataset
    explainer : str
        Name, with options as in "lime:seed=1".

    Returns
    -------
    dict
        As `write_run` keeps it.
    """
    name, options = parse_spec(explainer)
    return {
        "model": model.facts["run"],
        "weights": weights_digest(Path(model.facts["run"])),
        "data": dataset.title,
        "fingerprint": dataset.fingerprint(),
        "explainer": as_explainer(name, dict(options))[1],
    }


def kept_explanations(model: Model, dataset: Dataset, indices: IntArray, explainer: str, folder: Path) -> KeptExplanations:
    """Explain recordings for their predicted classes, all but those that an earlier run left in the folder whole.

    Parameters
    ----------
    model : Model
        Of a run folder, on the device to compute on.
    dataset : Dataset
    indices : ndarray of int
    explainer : str
        Name, with options as in "lrp:composite=epsilon_plus".
    folder : Path
        Gets a file for each recording, named by its index in the data set, and ``run.json``.

    Raises
    ------
    ModelError
        If the folder holds explanations of another model, data set or explainer.
    XaudioError
        If a recording cannot be explained.
    """
    name, options = parse_spec(explainer)
    given: dict[str, Any] = dict(options)
    dataset = in_classes_of(model, dataset)
    identity = identity_of(model, dataset, explainer)
    refuse_other_settings(folder, identity)
    remove_leftovers(output_folder(folder))
    write_run(folder, settings=identity, device=str(model.device))
    paths = {int(index): folder / f"{int(index):06d}.safetensors" for index in indices}
    left = [index for index, path in paths.items() if not _is_kept(path)]
    if left:
        with progress(f"Explaining {dataset.title} with {name}", len(paths), len(paths) - len(left)) as advance:
            for start in range(0, len(left), BATCH):
                batch = left[start : start + BATCH]
                explanations = explain(
                    model,
                    [dataset[index] for index in batch],
                    explainer=name,
                    device=str(model.device),
                    placement=model.rules.placement,
                    batch_size=BATCH,
                    **given,
                )
                for index, explanation in zip(batch, explanations, strict=True):
                    explanation.save(paths[index])
                advance(len(batch))
    return KeptExplanations(tuple(paths.values()))


def _is_kept(path: Path) -> bool:
    """Whether a file holds an explanation; one that is damaged is made again."""
    with contextlib.suppress(ModelError):
        Explanation.load(path)
        return True
    return False
