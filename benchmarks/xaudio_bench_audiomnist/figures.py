"""The figures: explanations drawn by the first-party visual renderer, and curves."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import xaudio
import xaudio.plugin
from xaudio_figure import figure_of

from .examples import ZOOM, Panel, covers
from .manipulation import FRACTIONS, ORDERS
from .results import Curve, Spectra
from .spectra import F0_RANGES


@xaudio.plugin.own_style()
def write_figure_one(panels: list[Panel], folder: Path, data: str) -> Path | None:
    """Spectrograms under their relevance, in a grid; None if there are none."""
    if not panels:
        return None
    figure = figure_of([panel.explanation for panel in panels], titles=[panel.caption for panel in panels], width=11, columns=2)
    _entitle(figure, f"Figure 1 on {data}", panels[0].explanation.explainer)
    return _save(figure, folder / "figures" / "figure1.png")


@xaudio.plugin.own_style()
def write_figure_two(panel: Panel | None, folder: Path, data: str) -> Path | None:
    """The waveform, its relevance and a zoomed segment; None if there is no waveform model."""
    if panel is None:
        return None
    zoom = ZOOM if covers(panel.explanation, ZOOM) else None
    figure = xaudio.create("renderer", "visual", zoom=zoom).figure(panel.explanation)
    _entitle(figure, f"Figure 2 on {data}", f"{panel.caption}; {panel.explanation.explainer}")
    return _save(figure, folder / "figures" / "figure2.png")


def _entitle(figure: Any, *lines: str) -> None:
    """A title over the whole figure, its lines broken to its width, above the free lines in which a picture's warnings stand."""
    width, earlier = int(11 * figure.get_figwidth()), figure.get_suptitle()
    free = earlier[len(earlier.rstrip("\n")) :]
    figure.suptitle("\n".join(fill(line, width) for line in lines) + free, fontsize="medium", parse_math=False)


def _save(figure: Any, path: Path) -> Path:
    return xaudio.plugin.save_figure(figure, path, dpi=150)


@xaudio.plugin.own_style()
def write_figure_three(curves: dict[str, dict[str, Curve]], chance: dict[str, float], folder: Path, data: str) -> Path | None:
    """Accuracy over the share of samples set to 0, whole and the first tenth, per task; None if there is nothing."""
    if not curves:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2 * len(curves) + 0.5), layout="constrained")
    _entitle(figure, f"Figure 3 on {data}", "AudioNet, samples set to 0")
    for row, (task, of_task) in enumerate(curves.items()):
        shares = [100 * fraction for fraction in FRACTIONS]
        for column, end in enumerate((100, 10)):
            axes = figure.add_subplot(len(curves), 2, 2 * row + column + 1)
            for order, colour in zip(ORDERS, ("tab:blue", "tab:orange", "tab:green"), strict=True):
                axes.plot(shares, of_task[order].mean, color=colour, marker=".", label=order)
                axes.fill_between(shares, of_task[order].low, of_task[order].high, color=colour, alpha=0.2, linewidth=0)
            axes.axhline(chance[task], color="black", linestyle="--", linewidth=1, label="chance")
            axes.set(xlim=(0, end), ylim=(0, 102), xlabel="samples set to 0 (% of those not zero)", ylabel="accuracy (%)")
            axes.set_title(f"{task}{', the first tenth' if column else ''}", fontsize="small", loc="left")
            if column == 0:
                axes.legend(title="order", fontsize="small")
    return _save(figure, folder / "figures" / "figure3.png")


@xaudio.plugin.own_style()
def write_spectra(spectra: Spectra | None, folder: Path, data: str) -> Path | None:
    """Mean relevance by frequency of each sex, with the ranges of their fundamental frequencies; None if there is none."""
    if spectra is None:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for label, colour in zip(spectra.spectra, ("tab:blue", "tab:red"), strict=False):
        axes.plot(spectra.frequencies, spectra.spectra[label], color=colour, label=f"{label} ({spectra.recordings[label]})")
        if label in F0_RANGES:
            axes.axvspan(*F0_RANGES[label], color=colour, alpha=0.15, linewidth=0, label=f"F0 of {label} speakers")
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="frequency (Hz)", ylabel="mean share of relevance")
    axes.set_xlim(0, 2000)
    _entitle(figure, f"Relevance over frequency on {data}", "AlexNet, sex")
    axes.legend(fontsize="small")
    return _save(figure, folder / "figures" / "spectra.png")


@xaudio.plugin.own_style()
def write_moved(pair: tuple[Any, Any], axes_of: Any, caption: str, folder: Path, data: str) -> Path:
    """A spectrogram as recorded and with its frequency axis scaled."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    _entitle(figure, f"Scaled frequency axis on {data}", caption)
    frequency, time = axes_of
    for column, (levels, title) in enumerate(zip(pair, ("as recorded", "scaled"), strict=True)):
        axes = figure.add_subplot(1, 2, column + 1)
        grid = (time.centres[[0, -1]], frequency.centres[[0, -1]])
        axes.pcolorfast(*grid, levels, cmap="gray_r", vmin=-80, vmax=0)
        axes.set(xlabel="time (s)", ylabel="frequency (Hz)")
        axes.set_title(title, fontsize="small")
    return _save(figure, folder / "figures" / "frequencies.png")
