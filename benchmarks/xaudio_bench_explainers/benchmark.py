"""Explains, measures and shows; what is done is kept, so the same command continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xaudio
import xaudio.plugin
from xaudio.plugin import Dataset, Evaluation, Explanation, IntArray, Model, PluginError, XaudioError

from .report import write_report
from .results import Example, ModelResult, Results
from .scores import agreement, metrics_of, scores_of
from .table import table_text

COMPOSITES = ("epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma", "epsilon", "gamma")
LEVEL = 0.95


@dataclass(frozen=True)
class Choices:
    """The options of `xaudio_bench_explainers.explainers`."""

    models: tuple[str, ...]
    datasets: str
    data: tuple[Path, ...]
    explainers: str
    metrics: str
    recordings: int
    examples: int
    min_accuracy: float | None
    device: str
    seed: int


class Leaderboard:
    """See `xaudio_bench_explainers.explainers`.

    Raises
    ------
    PluginError
        If a number, an explainer or a metric does not fit.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.explainers = chosen("explainer", choices.explainers) or all_explainers()
        self.metrics = chosen("metric", choices.metrics) or tuple(xaudio.names("metric"))
        self.datasets = xaudio.plugin.for_each("--datasets", xaudio.plugin.split_specs(choices.datasets), len(choices.models))
        self.data = xaudio.plugin.for_each("--data", choices.data, len(choices.models))

    def __call__(self, folder: Path) -> None:
        """Run, or continue, in a folder.

        Raises
        ------
        XaudioError
            If a model or its data cannot be used, there are fewer than 8 recordings, or the folder belongs to a run of
            other settings.
        """
        choices = self.choices
        if not choices.models:
            raise PluginError("The leaderboard needs trained models: give their run folders with --models.")
        loaded = [xaudio.load_model(path, choices.device) for path in choices.models]
        found = [
            xaudio.held_out(model, dataset, data) for model, dataset, data in zip(loaded, self.datasets, self.data, strict=True)
        ]
        settings = self._settings(loaded, [dataset for dataset, _ in found])
        xaudio.plugin.refuse_other_settings(folder, settings)
        facts = {"device": str(loaded[0].device), "data": [dataset.title for dataset, _ in found]}
        xaudio.plugin.write_run(folder, settings=settings, **facts)
        evaluations = [
            self._evaluate(path, model, *tested, folder / f"model{number}")
            for number, (path, model, tested) in enumerate(zip(choices.models, loaded, found, strict=True))
        ]
        metrics = metrics_of(evaluations)
        models = []
        for path, model, (dataset, _), evaluation in zip(choices.models, loaded, found, evaluations, strict=True):
            scores = scores_of(evaluation, metrics, choices.seed)
            compared, matrix = agreement(scores, metrics)
            models.append(
                ModelResult(
                    name=_name(path, choices.models),
                    run=path,
                    task=model.task,
                    data=dataset.title,
                    classes=list(model.classes),
                    indices=evaluation.indices.tolist(),
                    accuracy=evaluation.accuracy,
                    chance=evaluation.chance,
                    commonest=evaluation.commonest,
                    p_value=evaluation.p_value,
                    unlearned=evaluation.unlearned or None,
                    milliseconds=dict(evaluation.milliseconds),
                    refused={spec: reason for (spec, metric), reason in evaluation.refused.items() if not metric},
                    scores=scores,
                    compared=compared,
                    agreement=matrix,
                    examples=_examples(evaluation, folder, choices.examples, _name(path, choices.models)),
                )
            )
        results = Results(
            level=LEVEL,
            device=str(loaded[0].device),
            explainers=list(evaluations[0].folders),
            metrics=metrics,
            models=models,
        )
        xaudio.plugin.write_json(folder / "results.json", results.model_dump())
        print(table_text(results))
        print(f"Report: {self.report(folder)}")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _evaluate(self, path: str, model: Model, dataset: Dataset, indices: IntArray, folder: Path) -> Evaluation:
        choices = self.choices
        return xaudio.evaluate(
            model,
            dataset,
            indices,
            explainers=self.explainers,
            metrics=self.metrics,
            folder=folder,
            recordings=choices.recordings,
            seed=choices.seed,
            min_accuracy=choices.min_accuracy,
            title=_name(path, choices.models),
        )

    def _settings(self, models: Sequence[Model], datasets: Sequence[Dataset]) -> dict[str, object]:
        """All that the numbers depend on."""
        choices = self.choices
        return {
            "models": {path: xaudio.plugin.weights_digest(Path(path)) for path in choices.models},
            "data": [dataset.fingerprint() for dataset in datasets],
            "explainers": list(self.explainers),
            "metrics": list(self.metrics),
            "recordings": choices.recordings,
            "min_accuracy": choices.min_accuracy,
            "seed": choices.seed,
            "device": models[0].device.type,
        }


def chosen(kind: str, text: str) -> tuple[str, ...]:
    """Plugins of a kind as they were asked for, after checking that they can be made.

    Raises
    ------
    PluginError
        If one cannot.
    """
    specs = tuple(dict.fromkeys(xaudio.plugin.split_specs(text)))
    for spec in specs:
        name, options = xaudio.plugin.parse_spec(spec)
        xaudio.create(kind, name, **options)
    return specs


def all_explainers() -> tuple[str, ...]:
    """All installed explainers with their defaults, and the composites of lrp that take any input."""
    names = [name for name in xaudio.names("explainer") if name != "lrp"]
    return (*(f"lrp:composite={composite}" for composite in COMPOSITES), *names)


def _name(path: str, models: Sequence[str]) -> str:
    """The last part of a model's path, and as many before it as tell it from the others."""
    parts = Path(path).parts
    for length in range(1, len(parts)):
        end = parts[-length:]
        if sum(Path(other).parts[-length:] == end for other in models) == 1:
            return "/".join(end)
    return path


def _examples(evaluation: Evaluation, folder: Path, count: int, name: str) -> list[Example]:
    """Recordings with picture and sounds by each explainer: correctly predicted ones, if there are any."""
    indices = evaluation.examples(count)
    explainers = [explainer for explainer in evaluation.folders if (explainer, "") not in evaluation.refused]
    examples = []
    with xaudio.plugin.progress(f"{name}: drawing examples", len(indices) * len(explainers)) as advance:
        for index in indices:
            folders: dict[str, str] = {}
            for explainer in explainers:
                target = evaluation.folders[explainer] / "examples" / str(index)
                item = evaluation.explanation(explainer, index)
                if _drawn(item, target):
                    folders[explainer] = str(target.relative_to(folder))
                advance(1, explainer)
            examples.append(Example(recording=Path(item.clip.source).name, title=item.outcome, folders=folders))
    return examples


def _drawn(explanation: Explanation, folder: Path) -> bool:
    """Whether there are a picture and what the report plays, after writing them unless they are there."""
    if not (folder / "explanation.safetensors").exists():
        try:
            explanation.render("visual:dpi=55", "audible:format=flac,level=reference", folder=folder)
            explanation.save(folder / "explanation.safetensors")
        except XaudioError as error:
            print(f"{explanation.explainer} of {explanation.clip.source} is not drawn: {error}")
            return False
    return True
