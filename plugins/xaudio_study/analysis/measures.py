"""How well participants know what a model predicted: informedness, markedness and agreement, from tables of counts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def confusion(predicted: ArrayLike, answered: ArrayLike, classes: int, weights: ArrayLike | None = None) -> Floats:
    """Counts (classes, classes) of answers: rows are the model's predictions, columns what participants answered.

    Parameters
    ----------
    predicted, answered : array of int, shape (answers,)
        Class indices.
    classes : int
    weights : array, shape (answers,), optional
        What each answer counts; 1 by default.
    """
    cells = np.asarray(predicted, np.int64) * classes + np.asarray(answered, np.int64)
    counted = np.bincount(cells, None if weights is None else np.asarray(weights, np.float64), classes**2)
    return counted.astype(np.float64).reshape(classes, classes)


def informedness(counts: ArrayLike) -> Floats:
    """Informedness of each class, TP / P - FP / N (Powers 2011; arXiv 1807.03418, Section 3.4).

    "Truth" is the model's prediction: P answers were about recordings that it took for the class, N about the others.

    Parameters
    ----------
    counts : array, shape (..., classes, classes)
        See `confusion`.

    Returns
    -------
    ndarray, shape (..., classes)
        In [-1, 1]; NaN for a class that the model never predicted, or always.
    """
    table = np.asarray(counts, np.float64)
    right, positives, answered, total = _marginals(table)
    return _ratio(right, positives) - _ratio(answered - right, total - positives)


def markedness(counts: ArrayLike) -> Floats:
    """Markedness of each class, TP / (TP + FP) - FN / (TN + FN); as `informedness`, with prediction and answer exchanged.

    Returns
    -------
    ndarray, shape (..., classes)
        In [-1, 1]; NaN for a class that was never answered, or always, and for one that the model never predicted, or
        always: there the formula gives 0 whatever is answered, which is a fact about the recordings that were chosen. (A
        class that was predicted but never answered has an informedness of 0: that is a fact about the participants.)
    """
    table = np.asarray(counts, np.float64)
    return np.where(np.isfinite(informedness(table)), informedness(np.swapaxes(table, -1, -2)), np.nan)


def prevalence(counts: ArrayLike) -> Floats:
    """Share (..., classes) of the answers that were about recordings that the model took for each class."""
    _, positives, _, total = _marginals(np.asarray(counts, np.float64))
    return _ratio(positives, total)


def bias(counts: ArrayLike) -> Floats:
    """Share (..., classes) of the answers that named each class."""
    return prevalence(np.swapaxes(np.asarray(counts), -1, -2))


def macro(values: Floats) -> Floats:
    """Mean (...) over the classes that have a value, NaN if none has."""
    return _weighted(values, np.ones_like(values))


def weighted(values: Floats, weights: Floats) -> Floats:
    """Weighted mean (...) over the classes that have a value, NaN if none has.

    Powers (2011) weighs the informedness of a class by its bias and the markedness by its prevalence. What weighs nothing
    or has no value is left out, and the weights of the others are scaled to the sum 1.
    """
    return _weighted(values, weights)


class Pooled(NamedTuple):
    """Informedness and markedness over the classes, each (...)."""

    informedness_macro: Floats
    markedness_macro: Floats
    informedness_weighted: Floats
    markedness_weighted: Floats


def pooled(counts: ArrayLike) -> Pooled:
    """Both measures over the classes, of counts (..., classes, classes), as `macro` and as `weighted`."""
    informed, marked = informedness(counts), markedness(counts)
    return Pooled(macro(informed), macro(marked), weighted(informed, bias(counts)), weighted(marked, prevalence(counts)))


def accuracy(counts: ArrayLike) -> Floats:
    """Share (...) of the answers that name the model's prediction."""
    table = np.asarray(counts, np.float64)
    return _ratio(np.trace(table, axis1=-2, axis2=-1), table.sum((-2, -1)))


def geometric_mean(values: ArrayLike) -> float:
    """Geometric mean of times, each at least 1; NaN of none."""
    times = np.maximum(np.asarray(values, np.float64), 1)
    return float(np.exp(np.log(times).mean())) if times.size else float("nan")


def fleiss_kappa(votes: ArrayLike) -> float:
    """Agreement of participants beyond chance: Fleiss' kappa (1971), for any number of answers to each item.

    Parameters
    ----------
    votes : array of int, shape (items, classes)
        How many participants answered each class. Items with fewer than two answers are left out.

    Returns
    -------
    float
        1 if all agree, 0 if as often as by chance. With unequal numbers of answers the observed agreement is the mean
        over items, as in Fleiss. NaN if there are no such items, or if all answers are the same.
    """
    table = np.asarray(votes, np.float64)
    table = table[table.sum(1) >= 2]
    if not len(table):
        return float("nan")
    raters = table.sum(1)
    observed = ((table * (table - 1)).sum(1) / (raters * (raters - 1))).mean()
    expected = np.square(table.sum(0) / table.sum()).sum()
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


def krippendorff_alpha(votes: ArrayLike, level: Literal["nominal", "interval"] = "nominal") -> float:
    """Agreement of participants beyond chance: Krippendorff's alpha (2011), which allows for missing answers.

    Parameters
    ----------
    votes : array of int, shape (items, values)
        How many participants gave each answer. Items with fewer than two answers are left out.
    level : {"nominal", "interval"}
        Two answers differ or not, or by the square of the difference of their places.

    Returns
    -------
    float
        1 if all agree, 0 if as often as by chance. NaN if there are no such items, or if all answers are the same.
    """
    table = np.asarray(votes, np.float64)
    table = table[table.sum(1) >= 2]
    if not len(table):
        return float("nan")
    values = np.arange(table.shape[1])
    apart = values[:, None] != values if level == "nominal" else np.square(values[:, None] - values)
    # Pairs of answers to the same item, each item divided by its answers less one.
    shares = table / (table.sum(1, keepdims=True) - 1)
    same = shares.T @ table - np.diag(shares.sum(0))
    totals, count = table.sum(0), table.sum()
    expected = (np.outer(totals, totals) - np.diag(totals)) / (count - 1)
    chance = float((expected * apart).sum())
    return 1 - float((same * apart).sum()) / chance if chance else float("nan")


def _marginals(table: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """TP, P and TP + FP of each class (..., classes), and the number of answers (..., 1)."""
    right = np.diagonal(table, axis1=-2, axis2=-1)
    return right, table.sum(-1), table.sum(-2), table.sum((-2, -1))[..., None]


def _weighted(values: Floats, weights: Floats) -> Floats:
    finite = np.isfinite(values)
    used = np.where(finite, weights, 0)
    return _ratio((np.where(finite, values, 0) * used).sum(-1), used.sum(-1))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Part / whole, and NaN where the whole is 0."""
    positive = whole > 0
    return np.where(positive, part / np.where(positive, whole, 1), np.nan)
