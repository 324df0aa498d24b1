"""The table in a terminal, and on one page that needs nothing else."""

from __future__ import annotations

from typing import Any

import xaudio.plugin
from xaudio.plugin import CONTROLS

from .results import Cell, Column, ModelResult, Results, Score


def shown_on_page(results: Results) -> dict[str, Any]:
    """What the page shows besides the results."""
    models = [{"model": model, "tables": tables(model, results)} for model in results.models]
    return {"shown": shown(results), "models": models, "controls": CONTROLS, "title_of": title_of}


write_report = xaudio.plugin.report_writer(Results, __package__, shown_on_page)
"""Writes ``report.html`` from what a folder holds."""


def shown(results: Results) -> list[Column]:
    """The measures of which there are values."""
    return [column for column in results.measures if any(row.scores[column.name].mean is not None for row in results.overall)]


def tables(model: ModelResult, results: Results) -> list[dict[str, Any]]:
    """For each measure that the model has, its settings by its explainers."""
    cells: dict[tuple[str, str], Cell] = {(cell.explainer, cell.renderer): cell for cell in model.cells}
    tables_shown = []
    for measure in results.measures:
        rows = [
            [
                cells[explainer, renderer].scores[measure.name]
                for explainer in results.explainers
                if explainer not in model.refused
            ]
            for renderer in results.renderers
        ]
        if any(score.mean is not None for row in rows for score in row):
            tables_shown.append({"measure": measure, "rows": list(zip(results.renderers, rows, strict=True))})
    return tables_shown


def title_of(renderer: str) -> str:
    """How the table names a setting."""
    return renderer.removeprefix("audible:").replace(",", ", ") if ":" in renderer else "the defaults"


def table_text(results: Results) -> str:
    """The settings over all models and explainers, aligned: mean, interval and rank by each measure."""
    columns = shown(results)
    arrows = {"higher": " ^", "lower": " v", "none": ""}
    rows = [["setting", *(f"{column.name}{arrows[column.better]}" for column in columns)]]
    for row in results.overall:
        cells = [_cell(row.scores[column.name], row.ranks.get(column.name)) for column in columns]
        rows.append([title_of(row.renderer), *cells])
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    missing = [
        f"{model.name}: {name} is not measured: {reason}" for model in results.models for name, reason in model.refused.items()
    ]
    return "\n".join([*lines, *missing])


def _cell(score: Score, rank: int | None) -> str:
    if score.mean is None:
        return "not measured"
    interval = "" if score.low is None else f" [{score.low:.3g}, {score.high:.3g}]"
    return f"{score.mean:.3g}{interval}" + ("" if rank is None else f" {rank}")
