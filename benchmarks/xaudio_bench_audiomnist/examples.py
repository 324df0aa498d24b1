"""Which recordings are shown: those of the paper's Figures 1 and 2, and right and wrong predictions to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import xaudio
from xaudio.plugin import Dataset, Explanation

from .results import Example, Measured
from .trained import Run

ZOOM = (0.5, 0.55)
"""The segment of Figure 2 (c), in seconds."""

MEASURED = 32
"""Test recordings per model and task over which explanations are measured."""

Explain = Callable[..., list[Explanation]]


@dataclass(frozen=True)
class Panel:
    """An explanation and what is said of it."""

    explanation: Explanation
    caption: str


def figure_one(dataset: Dataset, runs: Sequence[Run], explain: Explain) -> list[Panel]:
    """Panels (a) to (d): a female "zero" and "one" by the digit model, the same "zero" and a male one by the sex model.

    Where the data has no such speaker or task, what there is; empty without a spectrogram model.
    """
    digit = [run for run in runs if (run.model, run.task) == ("alexnet", "digit")]
    sex = [run for run in runs if (run.model, run.task) == ("alexnet", "sex")]
    panels = []
    if digit:
        speaker, digit_run, sex_run = _speaker_of_both(dataset, digit, sex)
        for word, letter in (("0", "a"), ("1", "b")):
            index = _recording(dataset, digit_run, {"digit": word}, speaker)
            if index is not None:
                panels.append(_panel(dataset, digit_run, index, letter, explain))
        zero = _recording(dataset, digit_run, {"digit": "0"}, speaker)
        if sex_run and zero is not None and dataset.labels("sex")[zero] >= 0:
            panels.append(_panel(dataset, sex_run, zero, "c", explain))
    elif sex:
        index = _recording(dataset, sex[0], {"sex": "female"})
        panels += [] if index is None else [_panel(dataset, sex[0], index, "c", explain)]
    if sex:
        wanted = {"sex": "male"} | ({"digit": "0"} if "digit" in dataset.tasks else {})
        male = _recording(dataset, sex[0], wanted)
        panels += [] if male is None else [_panel(dataset, sex[0], male, "d", explain)]
    return panels


def figure_two(dataset: Dataset, runs: Sequence[Run], explain: Explain) -> Panel | None:
    """A male "zero" by the sex model on waveforms, or a "zero" by the digit model where there is no sex model."""
    for task, wanted in (("sex", {"sex": "male", "digit": "0"}), ("sex", {"sex": "male"}), ("digit", {"digit": "0"})):
        for run in runs:
            labelled = all(key in dataset.tasks for key in wanted)
            if (run.model, run.task) == ("audionet", task) and labelled:
                candidates = _candidates(dataset, run, wanted)[:20]
                panels = [
                    Panel(item, _caption(run, index, item))
                    for index, item in zip(candidates, explain(run, candidates), strict=True)
                ]
                covering = [panel for panel in panels if covers(panel.explanation, ZOOM)]
                if panels:
                    return (covering or panels)[0]
    return None


def covers(explanation: Explanation, zoom: tuple[float, float]) -> bool:
    """Whether the recording, less the silence around it, is heard throughout the segment."""
    rate = explanation.clip.sample_rate
    part = explanation.clip.waveform[int(zoom[0] * rate) : int(zoom[1] * rate)]
    loud = np.abs(explanation.clip.waveform).max()
    return bool(np.abs(part).max(initial=0) > 0.3 * loud)


def _speaker_of_both(dataset: Dataset, digit: Sequence[Run], sex: Sequence[Run]) -> tuple[str, Run, Run | None]:
    """A (female, if known) speaker that was held out of both a digit and a sex training, if there is one."""
    speakers = np.array(dataset.speakers)
    female = set(speakers)
    if "sex" in dataset.tasks:
        code = dataset.tasks["sex"].index("female")
        female = set(speakers[dataset.labels("sex") == code]) or female
    for digit_run in digit:
        held_out = {speakers[index] for index in digit_run.predicted}
        for sex_run in sex:
            both = sorted(held_out & {speakers[index] for index in sex_run.predicted} & female)
            if both:
                return str(both[0]), digit_run, sex_run
    unheard = {speakers[index] for index in digit[0].predicted}
    return str(min(unheard & female or unheard)), digit[0], sex[0] if sex else None


def _candidates(dataset: Dataset, run: Run, wanted: dict[str, str], speaker: str | None = None) -> list[int]:
    """Test recordings with the wanted labels, correctly predicted ones first."""
    labels = {
        task: (dataset.labels(task), dataset.tasks[task].index(name))
        for task, name in wanted.items()
        if name in dataset.tasks[task]
    }
    truth = dataset.labels(run.task)
    candidates = [
        index
        for index in sorted(run.predicted)
        if all(values[index] == code for values, code in labels.values()) and speaker in (None, dataset.speakers[index])
    ]
    return sorted(candidates, key=lambda index: run.predicted[index] != truth[index])


def _recording(dataset: Dataset, run: Run, wanted: dict[str, str], speaker: str | None = None) -> int | None:
    return next(iter(_candidates(dataset, run, wanted, speaker)), None)


def _panel(dataset: Dataset, run: Run, index: int, letter: str, explain: Explain) -> Panel:
    explanation = explain(run, [index])[0]
    return Panel(explanation, f"({letter}) {_caption(run, index, explanation)}")


def _caption(run: Run, index: int, explanation: Explanation) -> str:
    """Task, explained class, prediction, speaker, and whether the model knew the speaker."""
    predicted, true = explanation.classes[explanation.predicted], explanation.classes[explanation.target]
    outcome = "correctly predicted" if predicted == true else f"predicted {predicted!r}"
    heard = "" if index in run.predicted else "; the model was trained on this speaker"
    return f"{run.task}: {true!r}, {outcome}; speaker {explanation.clip.speaker}{heard}"


def choose_examples(
    dataset: Dataset, runs: Sequence[Run], explain: Explain, count: int, folder: Path
) -> tuple[list[Example], list[Measured]]:
    """Explain right and wrong predictions of each model and task with picture, sound and page, and measure explanations.

    Parameters
    ----------
    dataset : Dataset
    runs : sequence of Run
    explain : callable
    count : int
        Recordings per model and task; every other one wrongly predicted, as far as there are such.
    folder : Path
        Gets a folder ``audio/MODEL-TASK-INDEX`` for each.

    Returns
    -------
    examples : list of Example
    measured : list of Measured
        Medians over test recordings, for the explainer and the two controls.
    """
    examples: list[Example] = []
    measured: list[Measured] = []
    for model, task in dict.fromkeys((run.model, run.task) for run in runs):
        run = next(run for run in runs if (run.model, run.task) == (model, task))
        truth = dataset.labels(task)
        right = [index for index in run.predicted if run.predicted[index] == truth[index]]
        wrong = [index for index in run.predicted if run.predicted[index] != truth[index]]
        few = min(count // 2, len(wrong), len(right))
        for index in [*right[: count - few], *wrong[: count - min(len(right), count - few)]]:
            explanation = explain(run, [index], target="predicted")[0]
            target = folder / "audio" / f"{model}-{task}-{index}"
            target.mkdir(parents=True, exist_ok=True)
            explanation.save(target / "explanation.safetensors")
            explanation.render("visual", "audible", "html", folder=target)
            place = str(target.relative_to(folder))
            examples.append(Example(title=explanation.title(), folder=place, right=index in right))
        measured += _measure(run, explain)
    return examples, measured


def _measure(run: Run, explain: Explain) -> list[Measured]:
    """Conservation, relevance on silence and sparseness, for the explainer and the controls."""
    indices = sorted(run.predicted)
    indices = indices[:: max(1, len(indices) // MEASURED)][:MEASURED]
    model = xaudio.load_model(run.folder, "cpu")
    rows = []
    for name in ("", "random", "amplitude"):
        explanations = explain(run, indices, name, target="predicted")
        medians: dict[str, float | None] = {}
        for metric in ("conservation", "silence", "sparseness"):
            for key, values in xaudio.create("metric", metric)(model, explanations).items():
                finite = values[np.isfinite(values)]
                medians[key] = float(np.median(finite)) if finite.size else None
        explainer = explanations[0].explainer
        rows.append(Measured(model=run.model, task=run.task, explainer=explainer, recordings=len(indices), **medians))
    return rows
