"""How well several labels are told, each of which may be true or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..types import FloatArray, IntArray


def average_precision(scores: FloatArray, true: IntArray) -> float | None:
    """Area under the steps of precision over recall; None where nothing is true.

    The sum over thresholds of (R_n - R_(n-1)) P_n, with recall R and precision P of what scores at least the threshold; what ties
    crosses it together. Without any skill it is the share of what is true.

    Parameters
    ----------
    scores : ndarray, shape (recordings,)
    true : ndarray of 0 and 1, shape (recordings,)
    """
    positives = int(true.sum())
    if not positives:
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(true[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    recall, precision = hits[last] / positives, hits[last] / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def mean_recall(predicted: IntArray, labels: IntArray) -> float:
    """The mean over the classes that occur of the share of their recordings that is told: balanced accuracy.

    Parameters
    ----------
    predicted, labels : ndarray of int, shape (recordings,)
    """
    return float(np.mean([(predicted[labels == label] == label).mean() for label in np.unique(labels)]))


def labels_summary(logits: FloatArray, labels: IntArray, speakers: Any, classes: tuple[str, ...]) -> Mapping[str, Any]:
    """What `xaudio.model.results.TrainingResult` says of a test of several labels.

    Parameters
    ----------
    logits : ndarray, shape (recordings, labels)
    labels : ndarray of 0 and 1, shape (recordings, labels)
    speakers : ndarray of str, shape (recordings,)
    classes : tuple of str
    """
    told, outputs = (logits > 0).astype(np.int64), range(len(classes))
    right, share = told == labels, labels.mean(0)
    precision = [average_precision(logits[:, k], labels[:, k]) for k in outputs]
    defined = [k for k in outputs if precision[k] is not None]
    balanced = [mean_recall(told[:, k], labels[:, k]) for k in outputs if 0 < share[k] < 1]
    return {
        "kind": "labels",
        "accuracy": float(right.mean()),
        "chance": 0.5,
        "commonest": float(np.maximum(share, 1 - share).mean()),
        "balanced_accuracy": float(np.mean(balanced)) if balanced else None,
        "mean_average_precision": float(np.mean([precision[k] for k in defined])) if defined else None,
        "average_precision": dict(zip(classes, precision, strict=True)),
        "prevalence": float(np.mean(share[defined])) if defined else None,
        "recordings": len(labels),
        "speakers": len(np.unique(speakers)),
        "accuracy_per_speaker": {str(speaker): float(right[speakers == speaker].mean()) for speaker in np.unique(speakers)},
        "classes": list(classes),
        "confusion": np.stack([((labels == t) & (told == s)).sum(0) for t in (0, 1) for s in (0, 1)], 1).tolist(),
    }
