"""A list of explanations, which a notebook shows as a table."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import SupportsIndex, overload

import numpy as np

from ..output.figures import AGAINST, FOR
from ..types import FloatArray
from .explanation import Explanation

WARNED = "#a33c00"
"""Of what makes an explanation doubtful."""

BARS = 60
"""Bars of the small drawing in a table."""

HEADINGS = ("Recording", "Explained", "Predicted", "Truth", "Explainer", "Relevance over time", "For", "Against", "Strongest at")


class Explanations(list[Explanation]):
    """A list of explanations that a notebook shows as a table.

    Parameters
    ----------
    items : iterable of Explanation
    rows : iterable of int
        Of which of the recordings that were given each is, where `explain` made the list; none of one cut out or put together.
    """

    def __init__(self, items: Iterable[Explanation] = (), rows: Iterable[int] = ()) -> None:
        super().__init__(items)
        self.rows = tuple(rows)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> Explanations: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Explanation | Explanations:
        chosen = super().__getitem__(index)
        return Explanations(chosen) if isinstance(chosen, list) else chosen

    def __add__(self, other: list[Explanation]) -> Explanations:  # type: ignore[override]
        return Explanations([*self, *other])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
        rows = "".join(f"<tr>{''.join(_cells(item))}</tr>" for item in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(explanation: Explanation) -> Iterable[str]:
    """Cells of one row, as HTML."""
    classes = explanation.classes
    predicted = explanation.prediction.removeprefix("predicted ")
    relevance = explanation.relevance.astype(np.float64).sum(0)
    yield f'<th scope="row">{escape(explanation.clip.name)}</th>'
    yield f"<td>{escape(explanation.question)}</td>"
    warned = "".join(f'<br><span style="color:{WARNED}">Warning: {escape(text)}</span>' for text in explanation.warnings)
    yield f"<td>{escape(predicted)}{warned}</td>"
    truth = "" if explanation.label is None else classes[explanation.label]
    yield from (f"<td>{escape(text)}</td>" for text in (truth, explanation.explainer))
    yield f"<td>{_sparkline(explanation, relevance)}</td>"
    shares = [f"{percent} %" for percent in explanation.percentages]
    yield from (f"<td>{escape(text)}</td>" for text in (*shares, explanation.strongest_place))


def _sparkline(explanation: Explanation, relevance: FloatArray) -> str:
    """Relevance for and against along the time axis in a small drawing; "" where there is no such axis."""
    names = [axis.name for axis in explanation.axes]
    if "time" not in names or not relevance.any():
        return ""
    series = np.moveaxis(relevance, names.index("time"), -1).reshape(-1, relevance.shape[names.index("time")])
    parts = np.array_split(series, BARS, axis=1)
    heights = {FOR: [np.maximum(part, 0).sum() for part in parts], AGAINST: [-np.minimum(part, 0).sum() for part in parts]}
    scale = 20 / max(*heights[FOR], *heights[AGAINST])
    drawn = "".join(
        f'<rect x="{2 * place}" y="{20 - (colour == FOR) * height:.1f}" width="1.6" height="{height:.1f}" fill="{colour}"/>'
        for colour, column in heights.items()
        for place, height in enumerate(scale * np.array(column))
    )
    label = escape(f"relevance over time, strongest at {explanation.strongest_place}")
    return f'<svg viewBox="0 0 {2 * BARS} 40" width="{2 * BARS}" height="40" role="img" aria-label="{label}">{drawn}</svg>'
