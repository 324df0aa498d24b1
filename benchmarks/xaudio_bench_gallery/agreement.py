"""How alike the methods rank the parts of a sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from xaudio.plugin import Explanation, FloatArray


def agreement(explanations: Sequence[Sequence[Explanation]]) -> list[list[float | None]]:
    """Spearman's rank correlation of the relevance of each two methods, mean over recordings.

    Parameters
    ----------
    explanations : sequence of sequence of Explanation
        The explanations of each method, of the same recordings.

    Returns
    -------
    list of list of float or None
        Methods by methods; None where one of the two is the same everywhere. Cells that are 0 in all methods, such as
        the silence around a recording, do not count: they would make everything agree.
    """
    if not explanations:
        return []
    matrices = [_correlations([method[index] for method in explanations]) for index in range(len(explanations[0]))]
    counts = np.array([~np.isnan(matrix) for matrix in matrices]).sum(0)
    total = np.nansum(matrices, axis=0)
    return [
        [float(total[i, j] / counts[i, j]) if counts[i, j] else None for j in range(len(explanations))]
        for i in range(len(explanations))
    ]


def _correlations(explanations: Sequence[Explanation]) -> FloatArray:
    values = np.stack([explanation.relevance.ravel() for explanation in explanations])
    controls = np.array([explanation.explainer.partition(":")[0] == "random" for explanation in explanations])
    relevant = (values[~controls] != 0).any(0) if not controls.all() else np.ones(values.shape[1], dtype=bool)
    ranks = rankdata(values[:, relevant], axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    lengths = np.sqrt((ranks**2).sum(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(ranks @ ranks.T / np.outer(lengths, lengths))
