"""What is found of many explanations: the content of ``results.json`` and of the tables beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from xaudio.plugin import ResultPart, Table, counted, write_rows

from .cells import CellAxis, Grid
from .options import Align, Normalise

Unit = Literal["speakers", "recordings within speakers", "recordings"]
"""What a test exchanges between groups."""

Place = dict[str, float]
"""A cell by the middle of its bin on each axis, such as {"frequency": 440.0}."""


class Group(ResultPart):
    """One group of recordings."""

    name: str
    recordings: int
    speakers: int | None = Field(description="None where speakers are not known.")
    accuracy: float | None = Field(description="Of the predictions, where labels are known.")
    mean: Grid = Field(description="Mean relevance of each cell, over the units of the test.")


class Contrast(ResultPart):
    """One group against all others."""

    group: str
    against: str
    difference: Grid = Field(description="Mean of the group less that of the others.")
    correlation: Grid = Field(description="Of membership with relevance, in [-1, 1]: the size of the effect.")
    p: Grid = Field(description="Of each cell by itself.")
    p_corrected: Grid = Field(description="Corrected for all cells and contrasts (family-wise).")
    marked: int = Field(description="Cells whose corrected p is at most the level.")
    smallest_p: float = Field(description="Smallest corrected p: that of any difference at all.")


class GroupRelevance(ResultPart):
    """What `xaudio_patterns.group_relevance` found, and the content of ``results.json``."""

    format: Literal[1] = 1
    result: Literal["groups"] = "groups"
    task: str
    explainer: str
    view: str
    by: str
    normalise: Normalise
    align: Align
    unit: Unit = Field(description="What was exchanged.")
    level: float
    arrangements: int = Field(description="Arrangements of the groups that were compared.")
    exact: bool = Field(description="Whether these are all there are.")
    axes: list[CellAxis]
    groups: list[Group]
    contrasts: list[Contrast]
    outside: float = Field(description="Mean share of the magnitude of relevance that lies before or after the recordings.")
    grouped_by: str = Field(default="speaker", description="What the speakers are: speakers, or such as sources or sites.")
    notes: list[str]

    def table(self) -> Table:
        """A row for each group against all others: in how many cells relevance differs, with p corrected for all of them."""
        columns = ("group", "against", "recordings", "speakers", "accuracy", "cells", "different", "smallest_p")
        groups = {group.name: group for group in self.groups}
        rows = [
            (contrast.group, contrast.against, *_counts(groups.get(contrast.group)), *_found(contrast))
            for contrast in self.contrasts
        ]
        return Table(columns, tuple(rows), f"Relevance of {self.task or 'classes'} by {self.by}; {self.explainer}, {self.view}.")

    def __repr__(self) -> str:
        return f"<GroupRelevance: {counted(len(self.groups), 'group')} by {self.by}, {self.explainer}, {self.view}>"


def _counts(group: Group | None) -> tuple[int | None, int | None, float | None]:
    return (None, None, None) if group is None else (group.recordings, group.speakers, group.accuracy)


def _found(contrast: Contrast) -> tuple[int, int, float]:
    return int(np.size(np.asarray(contrast.p))), contrast.marked, contrast.smallest_p


class Member(ResultPart):
    """One recording."""

    recording: int = Field(description="Index into the explanations.")
    source: str
    speaker: str | None
    labels: dict[str, str] = Field(description="Class of each task, as far as it is known.")
    explained: str
    predicted: str
    right: bool | None = Field(description="Whether the prediction is the label, where it is known.")
    set: str
    cluster: int = Field(description="Within its set, from 1, the largest first.")
    medoid: bool
    outlier: bool
    distance: float = Field(description="Mean distance to the nearest neighbours.")
    embedding: tuple[float, float] = Field(description="Place in the picture of the set.")


class Cluster(ResultPart):
    """Recordings whose relevance is alike."""

    number: int
    recordings: list[int]
    medoid: int = Field(description="The recording with the smallest sum of distances to the others.")
    outliers: list[int]
    mean: Grid = Field(description="Mean relevance.")
    peak: Place = Field(description="The cell of the largest mean relevance.")
    distinct: Place | None = Field(description="The cell where the mean exceeds that of the other recordings most; None if none.")
    cut: float = Field(description="Share of the cluster's affinities that lead out of it: 0 for an island.")
    accuracy: float | None
    predicted: dict[str, int]
    labels: dict[str, dict[str, int]] = Field(description="Recordings of each class, per task.")
    speakers: dict[str, int]


class ClusterSet(ResultPart):
    """Recordings that were clustered together."""

    name: str
    recordings: int
    neighbours: int
    eigenvalues: list[float] = Field(description="The smallest of the normalised Laplacian, ascending.")
    expected: list[float] = Field(description="Their means for recordings without clusters, of the same mean and covariance.")
    gap: float = Field(description="Between the eigenvalue of the last cluster and the next.")
    separation: float = Field(description="The gap as a share of the next eigenvalue: 1 where nothing joins the clusters.")
    chance: float | None = Field(description="How often recordings without clusters are cut as clearly; None for one cluster.")
    clusters: list[Cluster]


class ClusterResult(ResultPart):
    """What `xaudio_patterns.cluster_explanations` found, and the content of ``results.json``."""

    format: Literal[1] = 1
    result: Literal["clusters"] = "clusters"
    task: str
    explainer: str
    view: str
    normalise: Normalise
    align: Align
    seed: int
    axes: list[CellAxis]
    sets: list[ClusterSet] = Field(description="Those with several clusters first, the clearest of them at the top.")
    members: list[Member]
    outside: float = Field(description="Mean share of the magnitude of relevance that lies before or after the recordings.")
    grouped_by: str = Field(default="speaker", description="What the speakers are: speakers, or such as sources or sites.")
    notes: list[str]


def write_cells(result: GroupRelevance, path: Path) -> Path:
    """Write one row per cell: its edges, the groups' means, and each contrast's difference and p-values."""
    columns = [f"{axis.name}_{end}" for axis in result.axes for end in ("from", "to")]
    places = np.indices([len(axis.edges) - 1 for axis in result.axes]).reshape(len(result.axes), -1).T
    table = [
        [edge for axis, cell in zip(result.axes, place, strict=True) for edge in axis.edges[cell : cell + 2]] for place in places
    ]
    values: dict[str, Grid] = {f"mean {group.name}": group.mean for group in result.groups}
    for contrast in result.contrasts:
        title = f"{contrast.group} - {contrast.against}"
        values |= {f"{title}: difference": contrast.difference, f"{title}: correlation": contrast.correlation}
        values |= {f"{title}: p": contrast.p, f"{title}: p corrected": contrast.p_corrected}
    flat = np.array([np.ravel(grid) for grid in values.values()]).T
    rows = ([*(f"{edge:.6g}" for edge in place), *map(repr, row.tolist())] for place, row in zip(table, flat, strict=True))
    return write_rows(path, [*columns, *values], rows)


def write_members(result: ClusterResult, path: Path) -> Path:
    """Write one row per recording: its cluster, and what is known of it."""
    tasks = sorted({task for member in result.members for task in member.labels})
    columns = ["recording", "source", "speaker", "explained", "predicted", "set", "cluster", "medoid", "outlier", "distance"]
    rows = (
        [*(getattr(member, column) for column in columns), *(member.labels.get(task, "") for task in tasks)]
        for member in result.members
    )
    return write_rows(path, [*columns, *(f"label {task}" for task in tasks)], rows)
