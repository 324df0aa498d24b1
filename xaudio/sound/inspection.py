"""What is in a data set: counts, durations, what must be fitted, and what cannot be used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import AudioError, DataError
from ..output.terminal import progress
from ..output.words import counted
from ..types import Clip, Dataset, Fit
from .datasets import files_of
from .decoding import check_rate
from .fitting import fit_length
from .labels import labelled

MOST_CLASSES, MOST_GROUPS = 100, 40
"""Classes, and groups in a test, that are named."""


class Checked(NamedTuple):
    """What a data set finds when it compares its recordings with what was published.

    Parameters
    ----------
    said : str
        How many are there and right, and what is missing, in one line.
    damaged : tuple of str
        Names of recordings that are not as published.
    """

    said: str
    damaged: tuple[str, ...]


def inspect(dataset: Dataset, seconds: float, fit: Fit | None = None, *, decode: bool = True) -> dict[str, Any]:
    """Read every recording of a data set once, or only their headers.

    Parameters
    ----------
    dataset : Dataset
    seconds : float
        Length that a model takes; longer recordings are fitted.
    fit : optional
        Instead of the data set's own rule.
    decode : bool
        Read the samples as well; without it only headers, of a data set that has them (a method ``header``).

    Returns
    -------
    dict
        JSON values; ``problems`` has one line per recording that cannot be used.
    """
    rule = fit or dataset.fit
    header: Callable[[int], tuple[float, int]] | None = getattr(dataset, "header", None)
    files = files_of(dataset)
    seen = _Seen(rule, seconds)
    with progress(f"Reading {dataset.title}", len(dataset)) as advance:
        for index in range(len(dataset)):
            try:
                if header is None or decode:
                    seen.clip(dataset[index])
                else:
                    duration, rate = header(index)
                    check_rate(rate, files[index] or f"recording {index}")
                    seen.header(duration, rate)
            except AudioError as error:
                seen.problems.append(str(error))
            advance()
    durations, problems = seen.durations, seen.problems
    lengths = np.array(durations) if durations else np.zeros(1)
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "recordings": len(dataset),
        "speakers": len(set(dataset.speakers)),
        "grouped_by": getattr(dataset, "grouped_by", "speaker"),
        "decoded": header is None or decode,
        "tasks": {task: _task(dataset, task) for task in dataset.tasks},
        "hours": float(lengths.sum() / 3600),
        "duration": {
            name: round(float(np.quantile(lengths, q)), 4) for name, q in [("shortest", 0), ("median", 0.5), ("longest", 1)]
        },
        "sample_rates": {str(rate): count for rate, count in sorted(seen.rates.items())},
        "fit": {"rule": rule, "seconds": seconds, "fitted": seen.fitted},
        "resampling": dataset.resampling,
        "recording_notes": dict(seen.notes),
        "notes": list(dataset.notes),
        "fingerprint": _fingerprint(dataset, problems),
        **_checked(dataset, problems),
        "problems": problems,
    }


class _Seen:
    """What has been seen of the recordings so far."""

    def __init__(self, rule: Fit, seconds: float) -> None:
        self.rule, self.seconds, self.fitted = rule, seconds, 0
        self.durations: list[float] = []
        self.problems: list[str] = []
        self.rates: Counter[int] = Counter()
        self.notes: Counter[str] = Counter()

    def header(self, duration: float, rate: int) -> None:
        """Count a recording by its header."""
        self.durations.append(duration)
        self.rates[rate] += 1
        self.fitted += duration > self.seconds

    def clip(self, clip: Clip) -> None:
        """Count a recording by its samples."""
        self.durations.append(clip.duration)
        self.rates[clip.sample_rate] += 1
        # Decimals vary from recording to recording; what was done does not.
        self.notes.update(re.sub(r"-?\d+\.\d+", "…", note) for note in clip.notes)
        self.fitted += bool(fit_length(clip, round(self.seconds * clip.sample_rate), self.rule)[2])


def _checked(dataset: Dataset, problems: list[str]) -> dict[str, Any]:
    """How many files are as they were published, of a data set that knows."""
    check: Callable[[], Checked] | None = getattr(dataset, "check", None)
    if check is None:
        return {}
    try:
        return check()._asdict()
    except DataError as error:  # a file cannot be read, which is a problem unless reading it was one already
        problems += [] if problems else [str(error)]
        return {}


def _fingerprint(dataset: Dataset, problems: list[str]) -> str:
    """The hash of the content, or "" if files cannot be read, which is a problem (unless reading them was one already)."""
    try:
        return dataset.fingerprint()
    except DataError as error:
        problems += [] if problems else [str(error)]
        return ""


def _task(dataset: Dataset, task: str) -> dict[str, Any]:
    labels = dataset.labels(task)
    true = labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(len(dataset.tasks[task]))
    counts = dict(zip(dataset.tasks[task], true.sum(0).tolist(), strict=True))
    speakers = np.array(dataset.speakers)
    try:
        folds = [
            {name: len(set(speakers[part])) for name, part in fold._asdict().items()}
            | {"test_recordings": len(fold.test), "test_speakers": sorted(set(speakers[fold.test].tolist()))}
            for fold in dataset.folds(task)
        ]
        problem = ""
    except DataError as error:
        folds, problem = [], str(error)
    several = {"several": True, "without_any": int((labels == 0).all(1).sum())} if labels.ndim == 2 else {}
    return {"classes": counts, "unlabelled": int((~labelled(labels)).sum()), "folds": folds, "problem": problem, **several}


def describe(inspection: dict[str, Any]) -> str:
    """What `inspect` found, as lines for a person."""
    duration, fit = inspection["duration"], inspection["fit"]
    lines = [
        f"{inspection['title']}: {counted(inspection['recordings'], 'recording')}{_of(inspection['speakers'], inspection)}, "
        f"{inspection['hours']:.2f} h" + ("" if inspection["decoded"] else ", by their headers (--decode reads the samples too)"),
        f"durations: {duration['shortest']:.3f} to {duration['longest']:.3f} s, median {duration['median']:.3f} s",
        "sample rates: " + ", ".join(f"{rate} Hz ({count})" for rate, count in inspection["sample_rates"].items()),
        f"longer than {fit['seconds']:g} s and fitted by rule '{fit['rule']}': {fit['fitted']} of {inspection['recordings']}",
    ]
    for task, facts in inspection["tasks"].items():
        lines += _task_lines(task, facts, inspection)
    lines += [f"{counted(count, 'recording')}: {note}" for note, count in inspection["recording_notes"].items()]
    lines += [f"checksums: {inspection['said']}"] if "said" in inspection else []
    lines += [f"note: {note}" for note in inspection["notes"]]
    lines += [f"problem: {problem}" for problem in inspection["problems"]]
    return "\n".join(lines)


def _of(count: int, inspection: dict[str, Any]) -> str:
    group = inspection["grouped_by"]
    return "" if group == "recording" else f" of {counted(count, group)}"


def _task_lines(task: str, facts: dict[str, Any], inspection: dict[str, Any]) -> list[str]:
    """The classes of a task and its folds."""
    classes = ", ".join(f"{name} {count}" for name, count in list(facts["classes"].items())[:MOST_CLASSES])
    classes += f" and {len(facts['classes']) - MOST_CLASSES} more" if len(facts["classes"]) > MOST_CLASSES else ""
    several = (
        f"; several may be true, {counted(facts['without_any'], 'recording has', 'recordings have')} none"
        if facts.get("several")
        else ""
    )
    lines = [f"task {task}: {classes}{several}" + (f"; {facts['unlabelled']} without a label" if facts["unlabelled"] else "")]
    if facts["problem"]:
        lines.append(f"  {facts['problem']}")
    for index, fold in enumerate(facts["folds"]):
        group = "recordings" if inspection["grouped_by"] == "recording" else f"{inspection['grouped_by']}s"
        sizes = f"{fold['train']} {group} train, {fold['validation']} validate, {fold['test']} test"
        names = (
            "" if group == "recordings" or len(fold["test_speakers"]) > MOST_GROUPS else f": {' '.join(fold['test_speakers'])}"
        )
        lines.append(f"  fold {index}: {sizes} ({counted(fold['test_recordings'], 'recording')}){names}")
    return lines
