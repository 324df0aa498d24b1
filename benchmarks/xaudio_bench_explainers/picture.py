"""One metric of a leaderboard as a picture: a panel for each model, in it each explainer's mean with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xaudio.plugin import CONTROLS, own_style, save_figure

from .results import ModelResult, Results, Score

COLUMNS = 3
LRP, OTHER, CONTROL = "#12395e", "#7a4b00", "#767676"


def write_picture(results: Results, title: str, path: Path) -> Path | None:
    """Draw the column of this title; None if no model has it.

    Parameters
    ----------
    results : Results
    title : str
        Of the metric's column.
    path : Path
        Of the PNG.
    """
    models = [model for model in results.models if any(score.mean is not None for score in model.column(title))]
    return save_figure(_figure(results, models, title), path, dpi=110) if models else None


@own_style()
def _figure(results: Results, models: list[ModelResult], title: str) -> Any:
    from matplotlib.figure import Figure

    rows, height = -(-len(models) // COLUMNS), 0.22 * len(results.explainers) + 0.7
    figure = Figure(figsize=(11, rows * height + 0.3), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, min(COLUMNS, len(models)), sharey=True, squeeze=False).ravel())
    for panel in panels[len(models) :]:
        panel.remove()
    for panel, model in zip(panels, models, strict=False):
        scores = {score.explainer: score for score in model.scores if score.column == title}
        for place, name in enumerate(results.explainers):
            _draw(panel, place, name, scores[name])
        panel.set_title(f"{model.name} ({model.accuracy:.0%})", fontsize=6.5)
        panel.tick_params(labelsize=7)
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(results.explainers)), results.explainers)
    panels[0].invert_yaxis()
    figure.supxlabel(title, fontsize=9)
    return figure


def _draw(panel: Any, place: int, name: str, score: Score) -> None:
    colour = CONTROL if name in CONTROLS else LRP if name.startswith("lrp") else OTHER
    if score.mean is not None:
        panel.plot(score.mean, place, "o", color=colour, markersize=3.5)
    if score.low is not None and score.high is not None:
        panel.plot([score.low, score.high], [place, place], color=colour, linewidth=1.5)
