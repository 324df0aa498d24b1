"""What is in a data set: counts, durations, what must be fitted, and what cannot be used."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..errors import AudioError, DataError
from ..output.terminal import progress
from ..output.words import counted
from ..types import Dataset, Fit
from .audio import fit_length


def inspect(dataset: Dataset, seconds: float, fit: Fit | None = None) -> dict[str, Any]:
    """Read every recording of a data set once.

    Parameters
    ----------
    dataset : Dataset
    seconds : float
        Length that a model takes; longer recordings are fitted.
    fit : optional
        Instead of the data set's own rule.

    Returns
    -------
    dict
        JSON values; ``problems`` has one line per recording that cannot be used.
    """
    rule = fit or dataset.fit
    durations, rates, fitted, notes, problems = [], {}, 0, {}, []  # type: ignore[var-annotated]
    with progress(f"Reading {dataset.title}", len(dataset)) as advance:
        for index in range(len(dataset)):
            try:
                clip = dataset[index]
                durations.append(clip.duration)
                rates[clip.sample_rate] = rates.get(clip.sample_rate, 0) + 1
                for note in clip.notes:
                    # Decimals vary from recording to recording; what was done does not.
                    kind = re.sub(r"-?\d+\.\d+", "…", note)
                    notes[kind] = notes.get(kind, 0) + 1
                fitted += bool(fit_length(clip, round(seconds * clip.sample_rate), rule)[2])
            except AudioError as error:
                problems.append(str(error))
            advance()
    lengths = np.array(durations) if durations else np.zeros(1)
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "recordings": len(dataset),
        "speakers": len(set(dataset.speakers)),
        "tasks": {task: _task(dataset, task) for task in dataset.tasks},
        "hours": float(lengths.sum() / 3600),
        "duration": {
            name: round(float(np.quantile(lengths, q)), 4) for name, q in [("shortest", 0), ("median", 0.5), ("longest", 1)]
        },
        "sample_rates": {str(rate): count for rate, count in sorted(rates.items())},
        "fit": {"rule": rule, "seconds": seconds, "fitted": fitted},
        "resampling": dataset.resampling,
        "recording_notes": notes,
        "notes": list(dataset.notes),
        "fingerprint": _fingerprint(dataset, problems),
        "problems": problems,
    }


def _fingerprint(dataset: Dataset, problems: list[str]) -> str:
    """The hash of the content, or "" if files cannot be read, which is a problem (unless reading them was one already)."""
    try:
        return dataset.fingerprint()
    except DataError as error:
        problems += [] if problems else [str(error)]
        return ""


def _task(dataset: Dataset, task: str) -> dict[str, Any]:
    labels = dataset.labels(task)
    counts = {name: int((labels == index).sum()) for index, name in enumerate(dataset.tasks[task])}
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
    return {"classes": counts, "unlabelled": int((labels < 0).sum()), "folds": folds, "problem": problem}


def describe(found: dict[str, Any]) -> str:
    """What `inspect` found, as lines for a person."""
    duration, fit = found["duration"], found["fit"]
    lines = [
        f"{found['title']}: {counted(found['recordings'], 'recording')} of {counted(found['speakers'], 'speaker')}, "
        f"{found['hours']:.2f} h",
        f"durations: {duration['shortest']:.3f} to {duration['longest']:.3f} s, median {duration['median']:.3f} s",
        "sample rates: " + ", ".join(f"{rate} Hz ({count})" for rate, count in found["sample_rates"].items()),
        f"longer than {fit['seconds']:g} s and fitted by rule '{fit['rule']}': {fit['fitted']} of {found['recordings']}",
    ]
    for task, facts in found["tasks"].items():
        classes = ", ".join(f"{name} {count}" for name, count in facts["classes"].items())
        lines.append(f"task {task}: {classes}" + (f"; {facts['unlabelled']} without a label" if facts["unlabelled"] else ""))
        if facts["problem"]:
            lines.append(f"  {facts['problem']}")
        for index, fold in enumerate(facts["folds"]):
            sizes = f"{fold['train']} speakers train, {fold['validation']} validate, {fold['test']} test"
            lines.append(
                f"  fold {index}: {sizes} ({counted(fold['test_recordings'], 'recording')}): {' '.join(fold['test_speakers'])}"
            )
    lines += [f"{counted(count, 'recording')}: {note}" for note, count in found["recording_notes"].items()]
    lines += [f"note: {note}" for note in found["notes"]]
    lines += [f"problem: {problem}" for problem in found["problems"]]
    return "\n".join(lines)
