"""What a model predicts for the recordings of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from xaudio.plugin import DataError, Dataset, IntArray, Model, ModelError, counted, evaluation_mode, evenly, held_out, progress

MOST = 2000
"""Recordings of a data set; of more, so many at equal distances."""
BATCH = 32


def predictions(model: Model, dataset: Dataset) -> dict[str, Any]:
    """For each recording what is predicted, how surely, and what is true; those that the model never heard, if that is known.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        In the classes of the model.

    Raises
    ------
    DataError
        If the model gives no classes, or several labels of a recording may be true.
    """
    if model.kind != "classes":
        raise DataError(f"A test set needs a model that gives one class for each recording; this one gives {model.kind}.")
    labels = dataset.labels(model.task)
    if labels.ndim > 1:
        raise DataError(f"A test set needs one class for each recording; in {dataset.title} a recording may have several labels.")
    indices, notes = _unheard(model, dataset)
    chosen = evenly(indices, MOST)
    if len(chosen) < len(indices):
        notes.append(f"These are {len(chosen)} of {counted(len(indices), 'recording')}, evenly spread.")
    rows = []
    with progress("Classifying", len(chosen), always=False) as advance:
        for start in range(0, len(chosen), BATCH):
            batch = chosen[start : start + BATCH]
            rows += _rows(model, dataset, batch, labels[batch])
            advance(len(batch))
    return {"classes": list(model.classes), "rows": rows, "note": " ".join(notes)}


def _unheard(model: Model, dataset: Dataset) -> tuple[IntArray, list[str]]:
    """Recordings that the model never heard, and what there is to say of that; all where nobody knows."""
    try:
        opened, indices = held_out(model, dataset)
        doubts = [note for note in opened.notes if note not in dataset.notes]
        return indices, doubts or ["The model heard none of them in its training."]
    except (DataError, ModelError):
        note = "It is not known whether the model heard some of them in its training."
        return np.arange(len(dataset), dtype=np.int64), [note]


def _rows(model: Model, dataset: Dataset, indices: IntArray, labels: IntArray) -> list[dict[str, Any]]:
    clips = [dataset[int(index)] for index in indices]
    rows: list[dict[str, Any]] = [{}] * len(clips)
    for group, placed in model.hear_each(clips, model.rules_in(dataset)):
        waveforms = placed.batch(slice(0, len(group)))
        fitting = model.fitting(waveforms)
        with torch.no_grad(), evaluation_mode(model.network):
            shares = model.probabilities(fitting.logits(fitting.features(waveforms)).double()).cpu().numpy()
        for row, share in zip(group, shares, strict=True):
            truth, predicted = int(labels[row]), int(share.argmax())
            rows[int(row)] = {
                "clip": f"d{int(indices[row])}",
                "name": clips[row].name,
                "truth": model.classes[truth] if truth >= 0 else None,
                "predicted": model.classes[predicted],
                "confidence": float(share[predicted]),
                "correct": None if truth < 0 else truth == predicted,
            }
    return rows
