"""Groups and clusters of explanations as pages that need nothing else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xaudio.plugin import counted, read_results, save_figure, write_page

from .cells import CellAxis
from .figures import DPI, figure_of_groups, figure_of_set
from .results import Cluster, ClusterResult, ClusterSet, Contrast, GroupRelevance, Place

LISTED = 10
"""Places where groups differ that the table names."""

NAMED = 4
"""Classes or speakers of a cluster that the table names."""


def report_groups(folder: Path) -> Path:
    """Write ``report.html`` and the figure of groups again from ``results.json`` and ``run.json``.

    Raises
    ------
    ModelError
        If one of these is missing or damaged.
    """
    result = read_results(folder / "results.json", GroupRelevance)
    figure = save_figure(figure_of_groups(result), folder / "groups.png", dpi=DPI)
    findings = {contrast.group: findings_of(result, contrast) for contrast in result.contrasts}
    return write_page(
        folder, __package__, template="groups.html.j2", result=result, figure=figure.name, findings=findings, listed=LISTED
    )


def report_clusters(folder: Path) -> Path:
    """Write ``report.html`` and the figures of clusters again from ``results.json``, ``run.json`` and the medoids' files.

    Raises
    ------
    ModelError
        If one of these is missing or damaged.
    """
    result = read_results(folder / "results.json", ClusterResult)
    members = {member.recording: member for member in result.members}
    figures = {
        item.name: save_figure(figure_of_set(result, item), folder / f"set{number}.png", dpi=DPI).name
        for number, item in enumerate(result.sets, 1)
    }
    medoids = {(item.name, cluster.number): place for place, item, cluster in medoid_folders(result)}
    return write_page(
        folder,
        __package__,
        template="clusters.html.j2",
        result=result,
        figures=figures,
        medoids=medoids,
        members=members,
        place=_place_in_words,
        units={axis.name: axis.unit for axis in result.axes},
        frequent=frequent,
        name=lambda source: Path(source).name or source,
    )


def medoid_folders(result: ClusterResult) -> list[tuple[str, ClusterSet, Cluster]]:
    """Where the pictures and sounds of each cluster's medoid are, relative to the folder of the results."""
    return [
        (f"medoids/{number}-{cluster.number}", item, cluster)
        for number, item in enumerate(result.sets, 1)
        for cluster in item.clusters
    ]


def findings_of(result: GroupRelevance, contrast: Contrast) -> list[dict[str, Any]]:
    """Where a contrast is marked, strongest first: runs of neighbouring cells on one axis, single cells on two.

    Returns
    -------
    list of dict
        ``where`` in words, ``correlation`` (the strongest of a run), ``difference`` (the sum over a run) and ``p``.
    """
    correlation, p = np.array(contrast.correlation), np.array(contrast.p_corrected)
    difference, marked = np.array(contrast.difference), p <= result.level
    places: list[tuple[Any, ...]]
    if marked.ndim == 1:
        sign = np.sign(correlation) * marked
        edges = np.flatnonzero(np.diff(sign, prepend=0, append=0))
        places = [(np.arange(start, stop),) for start, stop in pairwise(edges) if sign[start]]
    else:
        places = [(np.array([first]), np.array([second])) for first, second in np.argwhere(marked)]
    findings = [
        {
            "where": ", ".join(_range(axis, at[0], at[-1]) for axis, at in zip(result.axes, place, strict=True)),
            "correlation": float(max(correlation[place], key=abs)),
            "difference": float(difference[place].sum()),
            "p": float(p[place].min()),
        }
        for place in places
    ]
    return sorted(findings, key=lambda item: -abs(item["correlation"]))


def frequent(counts: dict[str, int]) -> str:
    """The most frequent names with their counts, and how many more there are."""
    shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:NAMED])
    return f"{shown} and {len(counts) - NAMED} more" if len(counts) > NAMED else shown or "none"


def summary_of(cluster: Cluster, axes: list[CellAxis], grouped_by: str) -> str:
    """One line on a cluster, for the terminal."""
    accuracy = "" if cluster.accuracy is None else f", accuracy {cluster.accuracy:.0%}"
    distinct = f", most distinct at {_place_in_words(cluster.distinct, {axis.name: axis.unit for axis in axes})}"
    outliers = f", outliers: {len(cluster.outliers)}" if cluster.outliers else ""
    speakers = f", {counted(len(cluster.speakers), grouped_by)}" if cluster.speakers else ""
    return (
        f"cluster {cluster.number}: {counted(len(cluster.recordings), 'recording')}{accuracy}"
        f"{speakers}"
        f"{distinct if cluster.distinct else ''}{outliers}"
    )


def _place_in_words(place: Place | None, units: dict[str, str]) -> str:
    return ", ".join(f"{_number(value)} {units[name]}" for name, value in (place or {}).items())


def _range(axis: CellAxis, first: int, last: int) -> str:
    return f"{_number(axis.edges[first])} to {_number(axis.edges[last + 1])} {axis.unit}"


def _number(value: float) -> str:
    """Three digits, and never a power of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
