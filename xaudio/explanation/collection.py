"""Explanations of many recordings of a data set, kept in a folder, so that interrupted work can be continued."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch

from ..errors import DataError, ModelError
from ..model.arguments import as_explainer
from ..model.experiment import in_one_window
from ..model.model import Model, weights_digest
from ..model.relabelling import in_classes_of
from ..model.splits import held_out, opened_for, says_training
from ..output.digests import digest_text
from ..output.runs import output_folder, refuse_other_settings, write_run
from ..registry.options import parse_spec
from ..shards.gathering import Sharing, require_all
from ..shards.plan import Row, planned
from ..shards.records import sizes_of
from ..sound.labels import labelled
from ..types import Clip, Dataset, IntArray
from .explaining import explain, load_model
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
        See `Part`; of the fold that the model was trained on. Where nothing says what that was, it is all for each.

    Raises
    ------
    DataError
        If the data set does not fit the model, or the model was not trained on it and "train" is asked for.
    """
    if part == "test" or not says_training(model):
        return held_out(model, dataset, data)
    opened, split = opened_for(model, dataset, data)
    if part == "all":
        return opened, np.flatnonzero(labelled(opened.labels(model.task)))
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
        "model": model.source,
        "weights": weights_digest(model),
        "data": dataset.title,
        "fingerprint": dataset.fingerprint(),
        "explainer": as_explainer(name, dict(options))[1],
    }


@dataclass(frozen=True)
class Opened:
    """How another process opens the same model and data.

    Parameters
    ----------
    model : str
        As for `load_model`.
    device : str
    dataset, data, part
        As for `recordings_of`.
    chosen : tuple of int
        Those that are explained, which decide on the one window of a model of any length.
    """

    model: str
    device: str
    dataset: str | None
    data: Path | None
    part: Part
    chosen: tuple[int, ...]


def kept_explanations(
    model: Model,
    dataset: Dataset,
    indices: IntArray,
    explainer: str,
    folder: Path,
    *,
    sharing: Sharing | None = None,
    opened: Opened | None = None,
) -> KeptExplanations:
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
    sharing : Sharing, optional
        Who explains; by default this process.
    opened : Opened, optional
        Needed where others explain.

    Raises
    ------
    ModelError
        If the folder holds explanations of another model, data set or explainer.
    DataError
        If a recording cannot be explained, or the part of other processes is not done yet.
    """
    dataset = in_classes_of(model, dataset)
    identity = identity_of(model, dataset, explainer)
    refuse_other_settings(folder, identity)
    write_run(output_folder(folder), settings=identity, device=str(model.device))
    paths = {int(index): path_in(folder, int(index)) for index in indices}
    if not all(map(_is_kept, paths.values())):
        place = folder / "work" / digest_text(*paths)[:8]
        fields = [{"source": path.name, "index": index} for index, path in paths.items()]
        plan = planned(place, {**identity, "model": identity["weights"]}, fields, lambda row: 1.0, batch=BATCH)
        options: dict[str, Any] = {"explainer": explainer, "folder": folder}
        title = f"Explaining {dataset.title} with {parse_spec(explainer)[0]}"
        if sharing is None or sharing.engine is None or opened is None:
            threads = torch.get_num_threads()
            own = sharing or Sharing(None, None)
            own.carry_out(plan, KeptRows, {**options, "model": model, "dataset": dataset}, title, threads)
        else:
            sharing.carry_out(plan, opened_rows, {**options, "opened": opened}, title)
        require_all(plan)
    return KeptExplanations(tuple(paths.values()))


def path_in(folder: Path, index: int) -> Path:
    """Where the explanation of a recording is kept."""
    return folder / f"{index:06d}.safetensors"


class KeptRows:
    """Explains recordings of a data set into files; implements `xaudio.plugin.Job`."""

    def __init__(self, model: Model, dataset: Dataset, explainer: str, folder: Path) -> None:
        self.model, self.dataset, self.folder = model, dataset, folder
        self.name, options = parse_spec(explainer)
        self.settings: dict[str, Any] = dict(options)
        self.digest, self.rules = weights_digest(model), model.rules_in(dataset)

    def load(self, row: Row) -> Clip | None:
        """The recording, None if its explanation is there."""
        return None if _is_kept(path_in(self.folder, row.fields["index"])) else self.dataset[row.fields["index"]]

    def run(self, rows: Sequence[Row], loaded: Sequence[Clip | None], folder: Path) -> list[dict[str, Any]]:
        """Explain what is not kept, together."""
        paths = [path_in(self.folder, row.fields["index"]) for row in rows]
        left = [(path, clip) for path, clip in zip(paths, loaded, strict=True) if clip is not None]
        if left:
            explanations = explain(
                self.model,
                [clip for _, clip in left],
                explainer=self.name,
                device=str(self.model.device),
                fit=self.rules.fit,
                resampling=self.rules.resampling,
                placement=self.rules.placement,
                batch_size=BATCH,
                **self.settings,
            )
            for (path, _), explanation in zip(left, explanations, strict=True):
                explanation.save(path)
        return [{"files": sizes_of([path], folder.parents[1])} for path in paths]


def opened_rows(opened: Opened, explainer: str, folder: Path) -> KeptRows:
    """The same in a process that opens model and data itself."""
    model = load_model(opened.model, opened.device)
    dataset, _ = recordings_of(model, opened.dataset, opened.data, opened.part)
    model, _ = in_one_window(model, dataset, np.array(opened.chosen))
    return KeptRows(model, in_classes_of(model, dataset), explainer, folder)


def _is_kept(path: Path) -> bool:
    """Whether a file holds an explanation; one that is damaged is made again."""
    with contextlib.suppress(ModelError):
        Explanation.load(path)
        return True
    return False
