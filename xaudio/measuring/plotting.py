"""An evaluation as a picture: means with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..output.figures import clean_texts, own_style
from ..registry.defaults import CONTROLS
from .scoring import Column
from .tables import DIRECTIONS, Measured, column_titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_means(
    cells: Sequence[Measured], columns: Sequence[Column], explainers: Sequence[str], ax: Axes | Sequence[Axes] | None
) -> Figure:
    """A panel for each value and a line for each explainer, the first one at the top; controls are hollow.

    Parameters
    ----------
    cells : sequence of Measured
        Every explainer by every value.
    columns : sequence of Column
        The values.
    explainers : sequence of str
    ax : Axes or sequence of Axes, optional
        One for each value. By default those of a new figure.

    Raises
    ------
    DataError
        If there are not as many axes as values.
    """
    if ax is None:
        return _new_figure(cells, columns, explainers)
    panels: list[Any] = np.ravel(np.asarray(ax, dtype=object)).tolist()
    if len(panels) != len(columns):
        values = ", ".join(column.name for column in columns)
        raise DataError(f"There must be an axes for each value ({values}): expected {len(columns)}, got {len(panels)}.")
    _draw(panels, cells, columns, explainers)
    return panels[0].figure  # type: ignore[no-any-return]


@own_style()
def _new_figure(cells: Sequence[Measured], columns: Sequence[Column], explainers: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 + 3 * len(columns), 1.2 + 0.3 * len(explainers)), layout="constrained")
    _draw(figure.subplots(1, len(columns), sharey=True, squeeze=False)[0], cells, columns, explainers)
    clean_texts(figure)
    return figure


def _draw(panels: Sequence[Axes], cells: Sequence[Measured], columns: Sequence[Column], explainers: Sequence[str]) -> None:
    titles = column_titles(columns)
    for panel, column in zip(panels, columns, strict=True):
        for cell in cells:
            if (cell.metric, cell.value) == (column.metric, column.name):
                _draw_mean(panel, cell, explainers.index(cell.explainer))
        panel.set_xlabel(titles[column.metric, column.name] + DIRECTIONS[column.better], parse_math=False)
        panel.set_yticks(range(len(explainers)), explainers, parse_math=False)
        panel.set_ylim(len(explainers) - 0.5, -0.5)
        panel.grid(axis="x", linewidth=0.4)


def _draw_mean(panel: Axes, cell: Measured, line: int) -> None:
    if cell.mean is None:
        return
    colour = "0.5" if cell.explainer in CONTROLS else "black"
    if cell.low is not None and cell.high is not None:
        panel.plot([cell.low, cell.high], [line, line], color=colour)
    filling = "white" if cell.explainer in CONTROLS else colour
    panel.plot(cell.mean, line, "o", color=colour, markerfacecolor=filling)
