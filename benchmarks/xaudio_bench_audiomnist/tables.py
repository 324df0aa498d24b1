"""Table 1, and whether one speaker explains its spread."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from xaudio.plugin import Dataset

from .presets import PUBLISHED, RECORDINGS
from .results import LowestSpeaker, Results, TableRow
from .trained import Run


def table_one(runs: Sequence[Run], dataset: Dataset, as_published: bool = False) -> list[TableRow]:
    """Rows of Table 1, in percent, next to the published values.

    A difference to the published value is given only on all data of the paper (``as_published``: by its protocol).
    """
    rows = []
    for model, task in dict.fromkeys((run.model, run.task) for run in runs):
        chosen = [run for run in runs if (run.model, run.task) == (model, task)]
        folds = [100 * run.result.accuracy for run in chosen]
        mean, std = mean_and_deviation(folds)
        published = PUBLISHED.get((model, task))
        rows.append(
            TableRow(
                model=model,
                task=task,
                mean=mean,
                std=std,
                folds=folds,
                chance=100 * chosen[0].result.chance,
                commonest=100 * float(np.mean([run.result.commonest for run in chosen])),
                published_mean=published[0] if published else None,
                published_std=published[1] if published else None,
                difference=mean - published[0] if published and as_published and is_whole(dataset) else None,
                lowest_speaker=lowest_speaker([_right(run, dataset) for run in chosen]),
            )
        )
    return rows


def is_whole(dataset: Dataset) -> bool:
    """Whether a data set is AudioMNIST as released: all recordings of all speakers, byte for byte, in the published folds."""
    if dataset.name != "audiomnist" or len(dataset) != RECORDINGS or dataset.notes:
        return False
    check = getattr(dataset, "check", None)
    return check is None or not check().damaged


def mean_and_deviation(folds: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (population) over folds; no deviation for a single one."""
    return float(np.mean(folds)), float(np.std(folds)) if len(folds) > 1 else None


def _right(run: Run, dataset: Dataset) -> dict[str, list[bool]]:
    """Whether each test recording was correctly predicted, by speaker."""
    labels = dataset.labels(run.task)
    right: dict[str, list[bool]] = {}
    for index, predicted in run.predicted.items():
        right.setdefault(dataset.speakers[index], []).append(bool(predicted == labels[index]))
    return right


def lowest_speaker(folds: Sequence[dict[str, list[bool]]]) -> LowestSpeaker:
    """The speaker recognised worst, from what was right of each speaker in each fold."""
    right: dict[str, list[bool]] = {}
    for fold in folds:
        for speaker, values in fold.items():
            right.setdefault(speaker, []).extend(values)
    accuracies = {speaker: 100 * float(np.mean(values)) for speaker, values in right.items()}
    lowest = min(accuracies, key=lambda speaker: accuracies[speaker])
    others = [[value for speaker, values in fold.items() if speaker != lowest for value in values] for fold in folds]
    left = [100 * float(np.mean(values)) for values in others if values]
    mean, std = mean_and_deviation(left) if left else (None, None)
    whole = mean_and_deviation([100 * float(np.mean(list(chain(*fold.values())))) for fold in folds])[1]
    return LowestSpeaker(
        speaker=lowest,
        accuracy=accuracies[lowest],
        median=float(np.median(list(accuracies.values()))),
        mean_without=mean,
        std_without=std,
        explains_spread=bool(whole and std is not None and std <= whole / 2),
    )


def table_text(results: Results) -> str:
    """Table 1 as text, naming its data."""
    lines = [f"Table 1 on {results.data} ({results.label})", "model     task   accuracy            published (AudioMNIST)"]
    for row in results.table1:
        spread = f"+- {row.std:5.2f} %" if row.std is not None else "(one fold)"
        published = "none" if row.published_mean is None else f"{row.published_mean:.2f} +- {row.published_std:.2f} %"
        guesses = f"chance {row.chance:.0f} %" + ("" if row.commonest is None else f", commonest label {row.commonest:.0f} %")
        lines.append(f"{row.model:9s} {row.task:6s} {row.mean:6.2f} {spread:12s} {published} ({guesses})")
    return "\n".join(lines)
