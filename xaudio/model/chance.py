"""Whether a model does better than guessing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def guessing(labels: ArrayLike) -> float:
    """The accuracy that always naming the commonest of the labels would have; labels are integers, shape (n,).

    Parameters
    ----------
    labels : array of int, shape (n,)

    Returns
    -------
    float
        In [0, 1].
    """
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    return float(counts.max() / counts.sum())


def above_chance(right: int, recordings: int, chance: float) -> float:
    """Probability of guessing so many or more correctly: the one-sided binomial test.

    Parameters
    ----------
    right : int
        Correctly predicted recordings.
    recordings : int
    chance : float
        Probability of guessing one correctly, 0 to 1.
    """
    from scipy.stats import binomtest

    return float(binomtest(right, recordings, chance, alternative="greater").pvalue)
