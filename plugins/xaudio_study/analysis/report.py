"""An analysed study as a figure and a page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaudio.plugin import (
    Interval,
    counted,
    own_style,
    ranks_with_ties,
    read_results,
    save_figure,
    write_json,
    write_page,
    write_rows,
)

from .results import Cell, Estimate, Group, StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999933")
"""Those of Okabe and Ito (2008), told apart with any common colour blindness."""

MARKERS = "osD^vPX*"
TITLES = {"wrong": "(a) wrongly predicted recordings", "right": "(b) correctly predicted recordings"}
DPI = 120
LONG = 45
"""Characters of a condition from which on the legend has one column."""

LETTERS = 16
"""Of a class's name that the figure shows."""

SHOWN = 8
"""Conditions in a panel of the figure; more could not be told apart."""


def write_results(folder: Path, results: StudyResults) -> Path:
    """Write ``results.json``, ``measures.csv``, ``figure5.png`` and, with ``run.json`` there, ``report.html``; the page.

    There is no figure if no class of any condition has a place in it.
    """
    write_json(folder / "results.json", results.model_dump(mode="json"))
    write_rows(folder / "measures.csv", *_rows(results))
    drawn = any(item.informedness and item.markedness for cell in results.cells for item in cell.classes)
    if drawn:
        save_figure(figure_of(results), folder / "figure5.png", dpi=DPI)
    else:
        (folder / "figure5.png").unlink(missing_ok=True)  # of an earlier analysis in the same folder
    return write_page(
        folder,
        __package__,
        template="analysis.html.j2",
        results=results,
        figure="figure5.png" if drawn else "",
        ranks={group: ranking(results, group) for group in ("wrong", "right")},
        estimate=in_words,
        percent=in_percent,
        chance=p_in_words,
        timed=any(cell.median_ms > 0 for cell in results.cells),
        left_out=SHOWN if len({cell.condition for cell in results.cells}) > SHOWN else 0,
    )


def report(folder: Path) -> Path:
    """Write the report again from the ``results.json`` and ``run.json`` of an analysis."""
    return write_results(folder, read_results(folder / "results.json", StudyResults))


def ranking(results: StudyResults, group: Group) -> list[tuple[int | None, Cell]]:
    """The conditions of a group by the mean informedness of the classes, best first, with ranks that the intervals allow.

    Not by the weighted form: who names few classes only is not charged there for those that are never named. A rank is one
    more than the number of conditions whose interval lies wholly above; None without an interval.
    """
    cells = [cell for cell in results.cells if cell.group == group and cell.informedness.macro is not None]
    intervals = [_interval(cell.informedness.macro) for cell in cells]
    ranked = list(zip(ranks_with_ties(intervals, "higher"), cells, strict=True))
    return sorted(ranked, key=lambda pair: -_value(pair[1].informedness.macro))


@own_style()
def figure_of(results: StudyResults) -> Figure:
    """Figure 5 of arXiv 1807.03418: informedness against markedness of each class and over the classes, per condition."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    names = list(dict.fromkeys(cell.condition for cell in results.cells))[:SHOWN]
    for panel, group in zip(panels, TITLES, strict=True):
        _draw_panel(panel, [cell for cell in results.cells if cell.group == group and cell.condition in names], names)
        panel.set_title(TITLES[group], loc="left", fontsize="medium")
    handles = {label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    if handles:
        columns = 1 if max(map(len, handles)) > LONG else 2
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize="small"
        )
    kept = (
        counted(results.kept, "SIMULATED participant") + ", not people"
        if results.simulated
        else counted(results.kept, "participant")
    )
    figure.suptitle(f"{results.title}: {kept}", fontsize="medium", parse_math=False)
    return figure


def _draw_panel(panel: Axes, cells: list[Cell], names: list[str]) -> None:
    panel.axhline(0, color="0.75", linewidth=0.8)
    panel.axvline(0, color="0.75", linewidth=0.8)
    for cell in cells:
        number = names.index(cell.condition)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for item in cell.classes:
            if item.informedness and item.markedness:
                place = (item.informedness.value, item.markedness.value)
                name = item.name if len(item.name) <= LETTERS else f"{item.name[: LETTERS - 1]}…"
                centred: dict[str, Any] = {"ha": "center", "va": "center", "clip_on": True, "parse_math": False}
                panel.text(*place, name, color=colour, fontsize=7, alpha=0.75, **centred)
        across, up = cell.informedness.macro, cell.markedness.macro
        if across and up:
            panel.errorbar(
                across.value,
                up.value,
                xerr=_reach(across),
                yerr=_reach(up),
                color=colour,
                marker=marker,
                markersize=8,
                markeredgecolor="white",
                linestyle="none",
                elinewidth=1.2,
                zorder=3,
                label=cell.condition,
            )
    if not panel.get_legend_handles_labels()[0]:
        why = "no recordings" if not cells else "no class has a value; the report says why"
        panel.text(0, 0, why, ha="center", va="center", color="0.4")
    panel.set_xlim(-1.05, 1.05)
    panel.set_ylim(-1.05, 1.05)
    panel.set_xlabel("informedness")
    panel.set_ylabel("markedness")


def _reach(estimate: Estimate) -> list[list[float]] | None:
    """Lengths of an error bar below and above; the value may lie outside the interval of a biased measure."""
    if estimate.low is None or estimate.high is None:
        return None
    return [[max(0.0, estimate.value - estimate.low)], [max(0.0, estimate.high - estimate.value)]]


def in_words(estimate: Estimate | None, digits: int = 2) -> str:
    """A value with its interval; "not defined" without one."""
    if estimate is None:
        return "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{_rounded(estimate.value, digits)}"
    return f"{_rounded(estimate.value, digits)} ({_rounded(estimate.low, digits)} to {_rounded(estimate.high, digits)})"


def in_percent(estimate: Estimate | None) -> str:
    """As `in_words`, in percent."""
    if estimate is None:
        return "not defined"
    scaled = {name: None if value is None else 100 * value for name, value in estimate.model_dump().items()}
    return in_words(Estimate.model_validate(scaled), 1)


def p_in_words(value: float) -> str:
    """A probability, never 0."""
    return "below 0.0001" if value < 0.0001 else f"{value:.4f}"


def _rounded(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _interval(estimate: Estimate | None) -> Interval | None:
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return Interval(estimate.value, estimate.low, estimate.high)


def _value(estimate: Estimate | None) -> float:
    return float("-inf") if estimate is None else estimate.value


def _rows(results: StudyResults) -> tuple[list[str], list[list[object]]]:
    """The measures of each condition, group and class as a table."""
    names = ["informedness", "informedness_low", "informedness_high", "markedness", "markedness_low", "markedness_high"]
    columns = ["condition", "group", "class", "recordings", "predicted", "answered", "right", *names, "undefined", "simulated"]
    simulated = "simulated" if results.simulated else ""
    rows: list[list[object]] = []
    for cell in results.cells:
        for item in cell.classes:
            counts: list[object] = [item.recordings, item.predicted, item.answered, item.right]
            rows.append(
                [
                    cell.condition,
                    cell.group,
                    item.name,
                    *counts,
                    *_flat(item.informedness),
                    *_flat(item.markedness),
                    item.undefined,
                    simulated,
                ]
            )
        total: list[object] = [cell.recordings, cell.answers, cell.answers, sum(row[i] for i, row in enumerate(cell.confusion))]
        for kind in ("macro", "weighted"):
            pooled = [*_flat(getattr(cell.informedness, kind)), *_flat(getattr(cell.markedness, kind))]
            rows.append([cell.condition, cell.group, f"({kind})", *total, *pooled, "", simulated])
    return columns, rows


def _flat(estimate: Estimate | None) -> list[object]:
    return (
        ["", "", ""]
        if estimate is None
        else ["" if value is None else value for value in (estimate.value, estimate.low, estimate.high)]
    )
