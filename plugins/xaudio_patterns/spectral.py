"""Spectral clustering: neighbours, the Laplacian of their graph, the number of clusters by eigengap, and k-means."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import numpy as np

from xaudio.plugin import FloatArray, IntArray

STARTS = 20
"""Starts of k-means; the one with the smallest sum of squares counts."""

BRIDGE = 0.01
"""Affinity that is added between all points for the picture, shared out over them, so that no part of it is unconnected."""


CHANCE = 0.05
"""Chance of a cut where there is none, from which on the cut counts."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A graph of neighbours and its spectral clusters.

    Parameters
    ----------
    labels : ndarray of int, shape (points,)
        0 is the largest cluster.
    eigenvalues : ndarray, shape (shown,)
        The smallest of the normalised Laplacian, ascending, in [0, 2].
    expected : ndarray, shape (shown,) or (0,)
        Their means where there are no clusters.
    chance : float or None
        How often points without clusters are cut as clearly anywhere; None for one cluster, or if it was not asked.
    distances, affinity : ndarray, shape (points, points)
    """

    labels: IntArray
    eigenvalues: FloatArray
    expected: FloatArray
    chance: float | None
    distances: FloatArray
    affinity: FloatArray


def default_neighbours(points: int) -> int:
    """The natural logarithm of the number of points, rounded up, and at least 3 (von Luxburg 2007, section 8)."""
    return max(3, ceil(log(points)))


def distances_between(values: FloatArray) -> FloatArray:
    """Euclidean distances (points, points) of values (points, cells)."""
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(values, values))


def affinity_of(distances: FloatArray, neighbours: int) -> FloatArray:
    """1 where one of two points is among the nearest of the other, else 0; (points, points), symmetric."""
    far = distances + np.diag(np.full(len(distances), np.inf))  # nobody is a neighbour of itself
    nearest = np.argsort(far, axis=1, kind="stable")[:, :neighbours]
    affinity = np.zeros_like(distances)
    np.put_along_axis(affinity, nearest, 1, axis=1)
    return np.maximum(affinity, affinity.T)


def laplacian_of(affinity: FloatArray) -> FloatArray:
    """The symmetric normalised Laplacian 1 - D^(-1/2) W D^(-1/2), with D the sums of W."""
    scale = 1 / np.sqrt(affinity.sum(1))
    return np.asarray(np.eye(len(affinity)) - affinity * scale * scale[:, None])


def eigenvalues_of(affinity: FloatArray, last: int) -> tuple[FloatArray, FloatArray]:
    """The smallest eigenvalues 0 to ``last`` of the normalised Laplacian, ascending, and the vectors (points, last + 1)."""
    from scipy.linalg import eigh

    values, vectors = eigh(laplacian_of(affinity), subset_by_index=[0, last])
    return np.maximum(values, 0), vectors  # the smallest is 0 but for rounding


def separations(eigenvalues: FloatArray) -> FloatArray:
    """How clearly 2, 3, ... clusters are cut, 1 - eigenvalue of the last cluster / the next: 1 where nothing joins them."""
    return np.asarray(1 - eigenvalues[..., 1:-1] / np.maximum(eigenvalues[..., 2:], 1e-12))


def surrogate_eigenvalues(values: FloatArray, neighbours: int, last: int, count: int, seed: int) -> FloatArray:
    """Eigenvalues (count, last + 1) of points without clusters: Gaussian, with the covariance of the values.

    Their mean and scale are left out, since neighbours do not depend on them.
    """
    rng = np.random.default_rng(seed)
    points, centred = len(values), values - values.mean(0)
    if values.shape[1] > points:  # only distances matter: as many coordinates as there are points are enough
        centred = np.transpose(np.linalg.qr(centred.T)[1])
    eigenvalues = np.zeros((count, last + 1))
    for number in range(count):
        drawn = rng.standard_normal((points, points)) @ centred
        eigenvalues[number] = eigenvalues_of(affinity_of(distances_between(drawn), neighbours), last)[0]
    return eigenvalues


def clusters_by_eigengap(eigenvalues: FloatArray, chances: FloatArray) -> int:
    """How many eigenvalues come before the largest gap (von Luxburg 2007, section 8.3) of those that are no chance.

    Parameters
    ----------
    eigenvalues : ndarray, shape (shown,)
        Ascending.
    chances : ndarray, shape (shown - 2,)
        Of a cut into 2, 3, ... clusters where there are none; one cluster is always possible.
    """
    possible = np.concatenate([[True], chances <= CHANCE])
    return int(np.argmax(np.where(possible, np.diff(eigenvalues), -1))) + 1


def spectral_clusters(
    values: FloatArray, neighbours: int, clusters: int | None = None, most: int = 8, surrogates: int = 99, seed: int = 0
) -> Spectrum:
    """Cluster points by the graph of their neighbours (Ng, Jordan and Weiss 2002).

    Parameters
    ----------
    values : ndarray, shape (points, cells)
    neighbours : int
    clusters : int or None
        None for the eigengap's choice.
    most : int
        Largest number of clusters that the eigengap may choose.
    surrogates : int
        Sets of points without clusters that the eigengap is compared with; 0 for the largest gap, whatever it is.
    seed : int
        Of the surrogates and of the starts of k-means.
    """
    distances = distances_between(values)
    affinity = affinity_of(distances, neighbours)
    # A cluster that stands by itself holds a point and all its neighbours, so that there cannot be more than this.
    most = max(1, min(most, len(values) // (neighbours + 1)), clusters or 1)
    eigenvalues, vectors = eigenvalues_of(affinity, min(most, len(values) - 1))
    chances = np.zeros(len(eigenvalues) - 2)
    expected = np.zeros(0)
    if surrogates:
        drawn = surrogate_eigenvalues(values, neighbours, len(eigenvalues) - 1, surrogates, seed)
        clearest = separations(drawn).max(1, initial=0)[:, None]
        chances = (1 + (clearest >= separations(eigenvalues)).sum(0)) / (1 + surrogates)
        expected = drawn.mean(0)
    count = clusters or clusters_by_eigengap(eigenvalues, chances)
    tested = bool(surrogates) and 2 <= count < len(eigenvalues)
    directions = vectors[:, :count] / np.maximum(np.linalg.norm(vectors[:, :count], axis=1, keepdims=True), 1e-12)
    labels = _by_size(k_means(directions, count, seed))
    return Spectrum(labels, eigenvalues, expected, float(chances[count - 2]) if tested else None, distances, affinity)


def k_means(points: FloatArray, clusters: int, seed: int) -> IntArray:
    """Labels (points,) of the best of `STARTS` runs of k-means; fewer clusters if there are fewer different points."""
    from scipy.cluster.vq import ClusterError, kmeans2

    clusters = min(clusters, len(np.unique(points.round(9), axis=0)))
    if clusters == 1:
        return np.zeros(len(points), np.int64)
    rng = np.random.default_rng(seed)
    best, least = np.zeros(len(points), np.int64), np.inf
    for _ in range(STARTS):
        try:
            start = _starting_points(points, clusters, rng)
            centres, labels = kmeans2(points, start, minit="matrix", iter=100, missing="raise")
        except ClusterError:  # a cluster lost all its points on the way
            continue
        spread = float(((points - centres[labels]) ** 2).sum())
        if spread < least - 1e-12:
            best, least = labels.astype(np.int64), spread
    return best


def _starting_points(points: FloatArray, clusters: int, rng: np.random.Generator) -> FloatArray:
    """Points drawn in proportion to the square of their distance from those drawn before (k-means++)."""
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < clusters:
        squares = ((points[:, None] - points[chosen]) ** 2).sum(2).min(1)
        chosen.append(int(rng.choice(len(points), p=squares / squares.sum())))
    return points[chosen]


def _by_size(labels: IntArray) -> IntArray:
    """The same clusters, numbered from the largest; of two of one size, the one that comes first is first."""
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.empty(int(names.max()) + 1, np.int64)
    number[names[order]] = np.arange(len(names))
    return number[labels]


def embedding_of(affinity: FloatArray) -> FloatArray:
    """Places (points, 2) for a picture: the two directions that cut the fewest affinities (Belkin and Niyogi 2003).

    Eigenvectors 2 and 3 of the random-walk Laplacian of the graph with a weak bridge between all points (Amini et al. 2013).
    The largest coordinate of each is positive, so that the picture is the same every time.
    """
    from scipy.linalg import eigh

    bridged = affinity + BRIDGE * affinity.sum(1).mean() / len(affinity)
    vectors = eigh(laplacian_of(bridged), subset_by_index=[1, 2])[1] / np.sqrt(bridged.sum(1))[:, None]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), [0, 1]])
    return np.asarray(vectors * signs)


def outliers_of(distances: FloatArray, neighbours: int, labels: IntArray, limit: float) -> tuple[FloatArray, IntArray]:
    """Mean distance to the nearest neighbours (points,), and which points are far from theirs for their cluster (bool).

    Far is where 0.6745 (d - median) / MAD of the cluster exceeds the limit (Iglewicz and Hoaglin 1993, who take 3.5).
    """
    far = distances + np.diag(np.full(len(distances), np.inf))
    mean = np.sort(far, axis=1)[:, :neighbours].mean(1)
    outlying = np.zeros(len(mean), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        above = mean[members] - np.median(mean[members])
        spread = np.median(np.abs(above))
        outlying[members] = 0.6745 * above > limit * spread if spread > 0 else False
    return mean, outlying
