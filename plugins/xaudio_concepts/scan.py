"""A whole data set measured at a layer, in parts that are kept, so that interrupted work can be continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from xaudio.plugin import (
    ConditionalExplainer,
    Dataset,
    FloatArray,
    IntArray,
    Model,
    ModelError,
    channels_of,
    in_batches,
    output_folder,
    progress,
    read_tensors,
    refuse_other_settings,
    remove_leftovers,
    write_run,
    write_tensors,
)

from .channels import Measured, measured

PART = 256
"""Recordings of a file."""

KIND = "xaudio_concepts.concepts"


def scan(
    model: Model,
    dataset: Dataset,
    indices: IntArray,
    explainer: ConditionalExplainer,
    layer: str,
    *,
    batch_size: int,
    folder: Path | None = None,
    identity: dict[str, Any] | None = None,
) -> Measured:
    """Relevance and activation of each channel of a layer for recordings of a data set, explained for their predicted classes.

    Parameters
    ----------
    model : Model
    dataset : Dataset
    indices : ndarray of int
    explainer : ConditionalExplainer
    layer : str
    batch_size : int
        Recordings at once; halved when memory runs out.
    folder : Path, optional
        Keeps what is measured in parts; those that are there already are read.
    identity : dict, optional
        JSON values on which the numbers depend; a folder of others is refused.

    Raises
    ------
    ModelError
        If the folder belongs to something else.
    """
    if folder is not None:
        refuse_other_settings(folder, identity or {})
        remove_leftovers(output_folder(folder))
        write_run(folder, settings=identity or {}, device=str(model.device))
    placed = model.hear_all(dataset)
    parts = [np.arange(start, min(start + PART, len(indices))) for start in range(0, len(indices), PART)]
    paths = [None if folder is None else folder / f"{number:05d}.safetensors" for number in range(len(parts))]
    channels = channels_of(model.network.get_submodule(layer))
    width = 4 * channels + len(model.classes)
    rows = [_read(path, indices[part], width) for path, part in zip(paths, parts, strict=True)]
    done = sum(len(batch) for batch in rows if batch is not None)
    with progress(f"Measuring channels of {layer}", len(indices), done) as advance:
        for number, part in enumerate(parts):
            if rows[number] is not None:
                continue

            def measure(positions: torch.Tensor) -> torch.Tensor:
                batch = measured(model, explainer, layer, placed.batch(indices[positions.numpy()]))
                advance(len(positions))
                return batch

            positions = torch.from_numpy(part)
            batch = in_batches(measure, positions, size=batch_size)
            path = paths[number]
            if path is not None:
                write_tensors(path, {"rows": batch, "recordings": torch.from_numpy(indices[part])}, KIND, {})
            rows[number] = batch.numpy()
    return Measured(np.concatenate([batch for batch in rows if batch is not None]), channels)


def _read(path: Path | None, indices: IntArray, width: int) -> FloatArray | None:
    """The rows of a file, or None if it is not there, is damaged or holds those of other recordings."""
    if path is None or not path.exists():
        return None
    try:
        _, tensors = read_tensors(path, KIND, "")
    except ModelError:
        return None
    rows, recordings = tensors.get("rows"), tensors.get("recordings")
    if rows is None or recordings is None or rows.shape != (len(indices), width) or recordings.tolist() != indices.tolist():
        return None
    return np.asarray(rows.numpy())
