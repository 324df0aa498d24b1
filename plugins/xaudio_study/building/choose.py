"""Which recordings of the test data a study shows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from xaudio.plugin import (
    DataError,
    Dataset,
    FloatArray,
    IntArray,
    Model,
    evaluation_mode,
    placed_waveforms,
    progress,
    replaced,
)

from .settings import Recordings


class Choice(NamedTuple):
    """Chosen recordings: their indices in the data set, and the class that the model predicted."""

    indices: IntArray
    predicted: IntArray


def predictions(model: Model, dataset: Dataset, indices: IntArray) -> FloatArray:
    """Probabilities (recordings, classes) that the model gives."""
    probabilities = np.zeros((len(indices), len(model.classes)))
    place = {int(index): row for row, index in enumerate(indices)}
    with torch.no_grad(), evaluation_mode(model.network), progress("Predicting", len(indices)) as advance:
        for chosen, waveforms in placed_waveforms(model, dataset, indices):
            values = model.probabilities(model.logits(model.features(waveforms)).double()).cpu().numpy()
            probabilities[[place[int(index)] for index in chosen]] = values
            advance(len(chosen))
    return probabilities


def kept_predictions(model: Model, dataset: Dataset, indices: IntArray, path: Path, origin: str) -> FloatArray:
    """The same, read from a file if it holds them, else written to it.

    Parameters
    ----------
    model : Model
    dataset : Dataset
    indices : ndarray of int, shape (recordings,)
    path : Path
        Of a CSV file.
    origin : str
        What tells this model and these data from others; the first line of the file.
    """
    if path.exists() and path.read_text(encoding="utf-8").partition("\n")[0] == f"# {origin}":
        return np.loadtxt(path, delimiter=",", ndmin=2)
    kept = predictions(model, dataset, indices)
    with replaced(path) as temporary:
        np.savetxt(temporary, kept, delimiter=",", fmt="%.9g", header=origin)
    return kept


def choose(probabilities: FloatArray, labels: IntArray, wanted: Recordings, seed: int, where: str) -> Choice:
    """Draw correctly and wrongly predicted recordings.

    Parameters
    ----------
    probabilities : ndarray, shape (recordings, classes)
    labels : ndarray of int, shape (recordings,)
        -1 where the class is not known; these are left out.
    wanted : Recordings
    seed : int
    where : str
        How messages name the data.

    Returns
    -------
    Choice
        Positions in ``labels``: first the wrongly predicted ones (and what stands in for them), then the others.

    Raises
    ------
    DataError
        If there are too few, with their number and the next best.
    """
    predicted = probabilities.argmax(1)
    right, wrong = (np.flatnonzero((labels >= 0) & hit) for hit in (predicted == labels, predicted != labels))
    rng = np.random.default_rng(seed)
    chosen_wrong = _drawn(wrong, predicted, min(wanted.wrong, len(wrong)), wanted.balance, rng)
    missing = wanted.wrong - len(chosen_wrong)
    certainty = probabilities.max(1)
    least_certain = right[np.argsort(certainty[right], kind="stable")][:missing]
    if missing and not wanted.fill:
        raise DataError(_too_few_wrong(where, int((labels >= 0).sum()), len(wrong), wanted, certainty[least_certain]))
    rest = np.setdiff1d(right, least_certain)
    if len(rest) < wanted.right or len(least_certain) < missing:
        raise DataError(
            f"The model predicted {len(right)} of {(labels >= 0).sum()} recordings of {where} correctly; the study asks for "
            f"{wanted.right + missing}. Set recordings.right to {max(0, len(right) - missing)} or fewer, or take another model."
        )
    chosen = np.concatenate([chosen_wrong, least_certain, _drawn(rest, predicted, wanted.right, wanted.balance, rng)])
    return Choice(chosen, predicted[chosen])


def _too_few_wrong(where: str, total: int, wrong: int, wanted: Recordings, certainty: FloatArray) -> str:
    count = f"The model predicted {wrong} of {total} recordings of {where} wrongly; the study asks for {wanted.wrong}."
    if len(certainty) < wanted.wrong - wrong:
        return f"{count} Set recordings.wrong = {wrong}, or take other data."
    return (
        f"{count} The next best are the {len(certainty)} correctly predicted ones of which it was least certain (its certainty "
        f"there was {certainty.min():.0%} to {certainty.max():.0%}): take them with --fill (recordings.fill = true). Or set "
        f"recordings.wrong = {wrong}, or take the model of another fold."
    )


def _drawn(indices: IntArray, predicted: IntArray, count: int, balance: str, rng: np.random.Generator) -> IntArray:
    """So many at random; balanced, the first of each class come before the second of any."""
    shuffled = rng.permutation(indices)
    if balance == "predicted":
        seen: dict[int, int] = {}
        turn = []
        for index in shuffled:
            turn.append(seen.setdefault(int(predicted[index]), 0))
            seen[int(predicted[index])] += 1
        shuffled = shuffled[np.argsort(turn, kind="stable")]
    return np.asarray(shuffled[:count], dtype=np.int64)
