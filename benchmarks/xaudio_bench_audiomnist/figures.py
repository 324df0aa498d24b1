"""Figures 1 and 2 of the paper, drawn by the first-party visual renderer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xaudio

from .examples import ZOOM, Panel, covers


def write_figure_one(panels: list[Panel], folder: Path, data: str, label: str) -> Path | None:
    """Spectrograms under their relevance, in a grid; None if there are none."""
    if not panels:
        return None
    from matplotlib.figure import Figure

    visual = xaudio.create("renderer", "visual")
    rows = (len(panels) + 1) // 2
    figure = Figure(figsize=(11, 4.6 * rows + 0.6), layout="constrained")
    figure.suptitle(f"Figure 1 on {data} ({label}); {panels[0].explanation.explainer}", fontsize="medium", parse_math=False)
    drawn: dict[str, Any] = {}
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(rows, min(2, len(panels)), number + 1)
        drawn = visual.draw_spectrogram(axes, panel.explanation)
        axes.set_title(panel.caption, fontsize="small", parse_math=False)
    bar = figure.colorbar(drawn["relevance"], ax=figure.axes, shrink=0.6, aspect=40, ticks=[])
    bar.set_label("against the class (blue)     relevance     for it (red)")
    return _save(figure, folder / "figures" / "figure1.png")


def write_figure_two(panel: Panel | None, folder: Path, data: str) -> Path | None:
    """The waveform, its relevance and a zoomed segment; None if there is no waveform model."""
    if panel is None:
        return None
    zoom = ZOOM if covers(panel.explanation, ZOOM) else None
    figure = xaudio.create("renderer", "visual", zoom=zoom).figure(panel.explanation)
    figure.suptitle(f"Figure 2 on {data}\n{panel.caption}; {panel.explanation.explainer}", fontsize="medium", parse_math=False)
    return _save(figure, folder / "figures" / "figure2.png")


def _save(figure: Any, path: Path) -> Path:
    with xaudio.replaced(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    return path
