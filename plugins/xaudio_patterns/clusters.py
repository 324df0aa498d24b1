"""Clusters of explanations: strategies of a model that nobody looked for (spectral relevance analysis, SpRAy, for audio)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaudio.plugin import Count, DataError, Explanation, FloatArray, IntArray, Positive, Seed, convert, counted

from .cells import Cells, relevance_cells
from .options import Align, Normalise, Surrogates
from .results import Cluster, ClusterResult, ClusterSet, Member, Place
from .spectral import Spectrum, default_neighbours, embedding_of, outliers_of, spectral_clusters

FEWEST = 12
"""Recordings without which there is no graph of neighbours to speak of."""


@dataclass(frozen=True)
class _Record:
    """What is kept of an explanation beside its cells."""

    task: str
    explainer: str
    source: str
    speaker: str | None
    labels: Mapping[str, str]
    explained: str
    predicted: str
    right: bool | None


@dataclass(frozen=True)
class _Settings:
    clusters: int | None
    neighbours: int | None
    most: int
    surrogates: int
    outlier: float
    seed: int


def cluster_explanations(
    explanations: Sequence[Explanation],
    *,
    view: str = "frequency",
    clusters: int | None = None,
    per_class: bool = True,
    neighbours: int | None = None,
    most: int = 8,
    surrogates: int = 99,
    outlier: float = 3.5,
    normalise: Normalise = "magnitude",
    align: Align = "start",
    frequency_bins: int | None = None,
    time_bins: int | None = None,
    seed: int = 0,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> ClusterResult:
    """Cluster recordings by where their relevance lies, as SpRAy does (Lapuschkin et al. 2019, doi 10.1038/s41467-019-08987-4).

    Relevance in the view is summed in bins and normalised. Recordings are joined to their nearest neighbours (Euclidean);
    the eigenvalues of the graph's normalised Laplacian give the number of clusters, by their largest gap, and
    k-means on its eigenvectors the clusters.

    Parameters
    ----------
    explanations : sequence of Explanation
        Of one model and explainer; recordings of the training show what the model took from them.
    view : str
        "time", "frequency" or "time-frequency"; see `Explanation.view`.
    clusters : int, optional
        By default the number before the largest gap of the eigenvalues, among the cuts that are clearer than any of at least 95 %
        of sets of points without clusters.
    per_class : bool
        Cluster the recordings explained for each class by themselves; else all together.
    neighbours : int, optional
        By default the logarithm of the number of recordings, and at least 3. Clusters smaller than this are not found.
    most : int
        Largest number of clusters that the eigengap may choose.
    surrogates : int
        Sets of Gaussian points with the mean and covariance of the recordings, which have no clusters, that the eigengap is
        compared with; 0 for the largest gap, whatever it is.
    outlier : float
        A recording is an outlier if 0.6745 (d - median) / MAD exceeds this, d its mean distance to its nearest neighbours,
        median and MAD (median absolute deviation) those of its cluster.
    normalise : {"magnitude", "positive", "none"}
        How recordings are made comparable; see `group_relevance`.
    align : {"start", "duration", "window"}
        What time 0 is; see `group_relevance`.
    frequency_bins, time_bins : int, optional
        By default 64; in time-frequency 32 and 24.
    seed : int
        Of the surrogates and of the starts of k-means.
    classes : mapping of str to sequence of str, optional
        Class names of tasks, as ``dataset.tasks``.

    Returns
    -------
    ClusterResult
        Classes of fewer than 12 recordings are left out, and a note says so.

    Raises
    ------
    DataError
        If there are too few recordings, or relevance is NaN.
    PluginError
        If there is no such view, or an option does not fit.
    """
    settings = _Settings(
        convert("clusters", Count | None, clusters),
        convert("neighbours", Count | None, neighbours),
        convert("most", Count, most),
        convert("surrogates", Surrogates, surrogates),
        convert("outlier", Positive, outlier),
        convert("seed", Seed, seed),
    )
    records = [_record(item, classes or {}) for item in explanations]
    sets, notes = _sets(records, per_class)
    grid = {"align": align, "frequency_bins": frequency_bins, "time_bins": time_bins}
    cells = relevance_cells(explanations, view, normalise=normalise, **grid)  # type: ignore[arg-type]
    if cells.silent:
        notes.append(f"{counted(cells.silent, 'recording has', 'recordings have')} no relevance at all, counted as 0.")
    cluster_sets, members = [], []
    for name, indices in sets.items():
        cluster_set, rows = _clustered(name, np.array(indices), cells, records, settings)
        cluster_sets.append(cluster_set)
        members += rows
    return ClusterResult(
        task=records[0].task,
        explainer=records[0].explainer,
        view=view,
        normalise=normalise,
        align=align,
        seed=settings.seed,
        axes=list(cells.axes),
        sets=sorted(cluster_sets, key=lambda item: (len(item.clusters) == 1, -item.separation)),
        members=sorted(members, key=lambda item: item.recording),
        outside=cells.outside,
        grouped_by=explanations[0].clip.grouped_by,
        notes=notes,
    )


def _record(item: Explanation, classes: Mapping[str, Sequence[str]]) -> _Record:
    names = {item.task: item.classes, **classes}
    labels = {
        task: names[task][label]
        if isinstance(label, int) and label < len(names.get(task, ()))
        else " and ".join(label) or "none"
        if isinstance(label, tuple)
        else str(label)
        for task, label in item.clip.labels.items()
        if label is not None
    }
    right = item.correct
    explained, predicted = item.classes[item.target], item.classes[item.predicted]
    return _Record(item.task, item.explainer, item.clip.source, item.clip.speaker, labels, explained, predicted, right)


def _sets(records: Sequence[_Record], per_class: bool) -> tuple[dict[str, list[int]], list[str]]:
    """Indices of the recordings that are clustered together, by name, and what was left out."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        members[record.explained if per_class else "all"].append(index)
    kept = {name: indices for name, indices in sorted(members.items()) if len(indices) >= FEWEST}
    notes = [
        f"The class {name!r} is left out: {counted(len(indices), 'recording is', 'recordings are')} explained for it, and "
        f"clustering needs {FEWEST}."
        for name, indices in sorted(members.items())
        if name not in kept
    ]
    if not kept:
        raise DataError(
            f"There are too few recordings to cluster: {len(records)}{', and no class has enough' if per_class else ''}; "
            f"expected at least {FEWEST}. Take more, or all classes together."
        )
    return kept, notes


def _clustered(
    name: str, indices: IntArray, cells: Cells, records: Sequence[_Record], settings: _Settings
) -> tuple[ClusterSet, list[Member]]:
    values = cells.rows[indices]
    neighbours = settings.neighbours or default_neighbours(len(indices))
    for option, wanted in (("neighbours", neighbours), ("clusters", settings.clusters or 1)):
        if wanted >= len(indices):
            raise DataError(
                f"{option} is {wanted}, and {name!r} has {counted(len(indices), 'recording')}: choose fewer, or take more."
            )
    spectrum = spectral_clusters(values, neighbours, settings.clusters, settings.most, settings.surrogates, settings.seed)
    distance, outlying = outliers_of(spectrum.distances, neighbours, spectrum.labels, settings.outlier)
    parts = [np.flatnonzero(spectrum.labels == label) for label in np.unique(spectrum.labels)]
    clusters = [
        _cluster(number, part, indices, values, outlying, spectrum, cells, records) for number, part in enumerate(parts, 1)
    ]
    medoids = {cluster.medoid for cluster in clusters}
    members = [
        Member(
            recording=int(index),
            source=record.source,
            speaker=record.speaker,
            labels=dict(record.labels),
            explained=record.explained,
            predicted=record.predicted,
            right=record.right,
            set=name,
            cluster=int(spectrum.labels[row]) + 1,
            medoid=int(index) in medoids,
            outlier=bool(outlying[row]),
            distance=float(distance[row]),
            embedding=(float(place[0]), float(place[1])),
        )
        for row, (index, place) in enumerate(zip(indices, embedding_of(spectrum.affinity), strict=True))
        for record in [records[index]]
    ]
    eigenvalues = np.append(spectrum.eigenvalues, 2.0)  # the largest there can be
    last, following = eigenvalues[len(clusters) - 1 : len(clusters) + 1]
    cluster_set = ClusterSet(
        name=name,
        recordings=len(indices),
        neighbours=neighbours,
        eigenvalues=spectrum.eigenvalues.tolist(),
        expected=spectrum.expected.tolist(),
        gap=float(following - last),
        separation=float((following - last) / max(following, 1e-12)),
        chance=spectrum.chance,
        clusters=clusters,
    )
    return cluster_set, members


def _cluster(
    number: int,
    part: IntArray,
    indices: IntArray,
    values: FloatArray,
    outlying: IntArray,
    spectrum: Spectrum,
    cells: Cells,
    records: Sequence[_Record],
) -> Cluster:
    """A cluster of the recordings at positions ``part`` of a set."""
    members = [records[index] for index in indices[part]]
    rest = np.setdiff1d(np.arange(len(indices)), part)
    mean = values[part].mean(0)
    affinity = spectrum.affinity[part]
    right = [record.right for record in members if record.right is not None]
    tasks = sorted({task for record in members for task in record.labels})
    return Cluster(
        number=number,
        recordings=indices[part].tolist(),
        medoid=int(indices[part[spectrum.distances[np.ix_(part, part)].sum(1).argmin()]]),
        outliers=indices[part[outlying[part]]].tolist(),
        mean=mean.reshape(cells.values.shape[1:]).tolist(),
        peak=_place(mean, cells),
        distinct=_place(mean - values[rest].mean(0), cells) if len(rest) else None,
        cut=float(affinity[:, rest].sum() / affinity.sum()),
        accuracy=float(np.mean(right)) if right else None,
        predicted=_counted(record.predicted for record in members),
        labels={task: _counted(record.labels[task] for record in members if task in record.labels) for task in tasks},
        speakers=_counted(record.speaker for record in members if record.speaker is not None),
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name occurs, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _place(values: FloatArray, cells: Cells) -> Place:
    """The middle of the bin with the largest value."""
    where = np.unravel_index(int(values.argmax()), cells.values.shape[1:])
    return {axis.name: float(axis.centres[index]) for axis, index in zip(cells.axes, where, strict=True)}
