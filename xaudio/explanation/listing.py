"""What a table says of several explanations, a row each: the same in ``index.csv`` and on their page."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..output.table import Table
from ..output.words import without_folders
from .record import Record
from .wording import warnings_of


class Row(NamedTuple):
    """What is said of one explanation; None where it is not known."""

    file: str
    explained: str
    predicted: str | None
    confidence: float | None
    truth: str | None
    correct: bool | None
    explainer: str
    view: str
    share_for: float
    share_against: float
    strongest_at: str
    warnings: str
    folder: str | None


def listing_of(explanations: Sequence[Record], folders: Sequence[str] = ()) -> Table:
    """A row for each explanation: file, explained, predicted, confidence, truth and more.

    ``confidence`` is the probability of what is predicted, or the highest where no label is, None where there are no
    probabilities; ``truth`` and ``correct`` are None where it is not known; the shares of relevance lie between 0 and 1.

    Parameters
    ----------
    explanations : sequence of Explanation
    folders : sequence of str
        Where the files of each one are; by default None is known.

    Returns
    -------
    Table
    """
    names = file_names([item.clip.source for item in explanations])
    places = folders or [""] * len(names)
    rows = [_row(item, name, place or None) for item, name, place in zip(explanations, names, places, strict=True)]
    return Table(Row._fields, tuple(rows))


def file_names(sources: Sequence[str]) -> list[str]:
    """Names by which recordings are told apart, without the folders that they have in common.

    Parameters
    ----------
    sources : sequence of str
        Paths, or what else is known of where recordings come from.
    """
    names = {source: Path(source).name or source for source in sources}
    if len(set(names.values())) == len(names):
        return [names[source] for source in sources]
    try:
        common = os.path.commonpath([str(Path(source).parent) for source in names])
    except ValueError:  # some are absolute, some are not, or they lie on several drives
        return [names[source] for source in sources]
    return [Path(os.path.relpath(source, common or ".")).as_posix() for source in sources]


def _row(item: Record, name: str, folder: str | None) -> Row:
    shares = item.probabilities
    return Row(
        file=name,
        explained=item.question,
        predicted=None if shares is None else ", ".join(item.predictions),
        confidence=None if shares is None else float(max(shares)),
        truth=None if item.label is None else item.classes[item.label],
        correct=item.correct,
        explainer=item.explainer,
        view=(item.provenance.get("view") or {}).get("name") or item.domain,
        share_for=item.positive_share,
        share_against=1 - item.positive_share if item.strongest else 0.0,
        strongest_at=item.strongest_place,
        warnings=without_folders("; ".join(warnings_of(item))),
        folder=folder,
    )
