"""The table as text, cut into as many as fit the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from .results import Metric, ModelResult, Results, Score

ARROWS = {"higher": " (higher is better)", "lower": " (lower is better)", "none": ""}


def table_text(results: Results, width: int | None = None) -> str:
    """All tables, model by model, no wider than the terminal where a column allows it."""
    width = width or shutil.get_terminal_size((120, 24)).columns
    lines: list[str] = []
    for model in results.models:
        lines += [
            "",
            f"{model.name}: {headline(model)}",
            *([model.unlearned] if model.unlearned else []),
            *(f"note: {note}" for note in model.notes),
        ]
        for part in _parts(results, model, width):
            lines += ["", *_aligned(part)]
        lines += ["", *refusals(results.explainers, model)]
    lines.append(f"Mean [{results.level:.0%} interval over recordings] rank; explainers of one rank cannot be told apart.")
    return "\n".join(lines).lstrip("\n")


def headline(model: ModelResult) -> str:
    """What was measured, and how well the model knows it."""
    return (
        f"{model.task or 'classes'} of {model.data}; accuracy {model.accuracy:.0%} on {len(model.indices)} recordings "
        + f"(chance {model.chance:.0%}"
        + ("" if model.commonest is None else f", commonest label {model.commonest:.0%}")
        + ")"
    )


def refusals(explainers: Sequence[str], model: ModelResult) -> list[str]:
    """One line per reason why cells are empty."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for score in model.scores:
        if score.refused and score.explainer not in model.refused:
            reasons.setdefault((score.column, score.refused), []).append(score.explainer)
    columns: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (column, reason), names in reasons.items():
        columns.setdefault((reason, tuple(names)), []).append(column)
    able = len(explainers) - len(model.refused)
    return [f"{explainer} is not measured: {reason}" for explainer, reason in model.refused.items()] + [
        f"{', '.join(titles)}; {'all explainers' if len(names) == able else ', '.join(names)}: {reason}"
        for (reason, names), titles in columns.items()
    ]


def _parts(results: Results, model: ModelResult, width: int) -> Iterator[list[list[str]]]:
    """Tables of the explainers by as many metrics as fit next to each other."""
    first = ["explainer", *results.explainers]
    second = ["ms", *(_number(model.milliseconds.get(name)) for name in results.explainers)]
    start = max(map(len, first)) + max(map(len, second)) + 2
    part, used = [first, second], start
    for metric in results.metrics:
        if not any(score.mean is not None for score in model.column(metric.title)):
            continue  # `refusals` says why
        column = _column(model, metric, results.explainers)
        wide = max(map(len, column)) + 2
        if used + wide > width and len(part) > 2:
            yield part
            part, used = [first, second], start
        part.append(column)
        used += wide
    if len(part) > 2:
        yield part


def _column(model: ModelResult, metric: Metric, explainers: Sequence[str]) -> list[str]:
    cells = {score.explainer: _cell(score, len(model.indices)) for score in model.scores if score.column == metric.title}
    return [f"{metric.title}{ARROWS[metric.better]}", *(cells[name] for name in explainers)]


def _cell(score: Score, recordings: int) -> str:
    if score.mean is None:
        return "not measured"
    rank = "" if score.rank is None else f" {score.rank}"
    fewer = "" if score.recordings == recordings else f" (n={score.recordings})"
    interval = "" if score.low is None else f" [{_number(score.low)}, {_number(score.high)}]"
    return f"{_number(score.mean)}{interval}{rank}{fewer}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
