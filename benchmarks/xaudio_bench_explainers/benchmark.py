"""Explains, measures and shows; what is done is kept, so the same command continues."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import xaudio
import xaudio.plugin
from xaudio.plugin import Dataset, Evaluation, Explanation, IntArray, Model, PartDoneError, PluginError, Table, XaudioError

from . import rules
from .picture import write_picture
from .report import write_report
from .results import Example, ModelResult, Results
from .scores import agreement, metrics_of, paired, scores_of
from .table import table_text

COMPOSITES = ("epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma", "epsilon", "gamma")
LEVEL = 0.95
DONE = "Whoever is last writes the table; so does the same command without --shard once all are done."
PAIRED = ("model", "explainer", "metric", "recordings", "difference", "low", "high")
"""Columns of ``paired.csv``."""


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
    workers: int | None = None
    engine: str | None = None
    shard: str | None = None


class Leaderboard:
    """See `xaudio_bench_explainers.explainers`.

    Raises
    ------
    PluginError
        If a number, an explainer or a metric does not fit.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        xaudio.plugin.shared_by(choices.workers, choices.engine, choices.shard)  # refused before anything takes time
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
        held_out = [
            xaudio.held_out(model, dataset, data) for model, dataset, data in zip(loaded, self.datasets, self.data, strict=True)
        ]
        settings = self._settings(loaded, [dataset for dataset, _ in held_out])
        xaudio.plugin.refuse_other_settings(folder, settings)
        facts = {"device": str(loaded[0].device), "data": [dataset.title for dataset, _ in held_out]}
        xaudio.plugin.write_run(folder, settings=settings, **facts)
        evaluations = self._evaluations(loaded, held_out, folder)
        if len(evaluations) < len(loaded):
            xaudio.plugin.say(f"Done with this part; the rest is that of other workers. {DONE}")
            return
        metrics = metrics_of(evaluations)
        models = []
        differences: list[list[object]] = []
        for number, (path, model, (dataset, _), evaluation) in enumerate(
            zip(choices.models, loaded, held_out, evaluations, strict=True)
        ):
            scores = scores_of(evaluation, metrics, choices.seed)
            compared, matrix = agreement(scores, metrics)
            table = evaluation.differences(choices.seed)
            _write_tables(evaluation, table, folder / f"model{number}", choices.seed)
            compared_with_first = paired(table, next(iter(evaluation.folders)), metrics)
            differences += [[_name(path, choices.models), *row] for row in compared_with_first]
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
                    notes=xaudio.plugin.training_notes(model),
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
        xaudio.plugin.write_rows(folder / "paired.csv", PAIRED, differences)
        print(table_text(results))
        print(f"Report: {self.report(folder)}")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _evaluations(
        self, models: Sequence[Model], held_out: Sequence[tuple[Dataset, IntArray]], folder: Path
    ) -> list[Evaluation]:
        """Of the models, in their order; without those of which parts of other processes are left."""
        found: dict[int, Evaluation] = {}
        for _ in range(min(2, len(models))):  # others may have ended a model while this process was at the next
            for number, (model, tested) in enumerate(zip(models, held_out, strict=True)):
                if number not in found:
                    with contextlib.suppress(PartDoneError):  # there is a part of the next model, too
                        found[number] = self._evaluate(number, model, *tested, folder / f"model{number}")
        return [found[number] for number in sorted(found)]

    def _evaluate(self, number: int, model: Model, dataset: Dataset, indices: IntArray, folder: Path) -> Evaluation:
        choices, path = self.choices, self.choices.models[number]
        shared = choices.engine is not None or (choices.workers or 1) > 1 or choices.shard is not None
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
            sharing=xaudio.plugin.shared_by(choices.workers, choices.engine, choices.shard) if shared else None,
            opened=xaudio.plugin.Opened(path, choices.device, self.datasets[number], self.data[number], "test", ()),
        )

    def _settings(self, models: Sequence[Model], datasets: Sequence[Dataset]) -> dict[str, object]:
        """All that the numbers depend on."""
        choices = self.choices
        return {
            "models": {path: xaudio.plugin.weights_digest(model) for path, model in zip(choices.models, models, strict=True)},
            "data": [dataset.fingerprint() for dataset in datasets],
            "explainers": list(self.explainers),
            "metrics": list(self.metrics),
            "recordings": choices.recordings,
            "min_accuracy": choices.min_accuracy,
            "seed": choices.seed,
            "device": models[0].device.type,
        }


class Rules:
    """The preset "rules": a leaderboard of `rules.EXPLAINERS`, of models that are trained into its folder unless some are named.

    Raises
    ------
    PluginError
        If an option does not fit.
    """

    def __init__(self, choices: Choices, tasks: Sequence[str], networks: Sequence[str], steps: int) -> None:
        explainers, metrics = choices.explainers or ",".join(rules.EXPLAINERS), choices.metrics or ",".join(rules.METRICS)
        self.choices = replace(choices, explainers=explainers, metrics=metrics)
        self.tasks, self.networks, self.steps = tasks, networks, steps
        if choices.shard is not None and not choices.models:
            raise PluginError("--shard shares the explainers of models that are trained: name them with --models.")
        Leaderboard(self.choices if choices.models else self._of([]))  # refuses what does not fit before anything is trained

    def __call__(self, folder: Path) -> None:
        """Run, or continue, in a folder; see `Leaderboard`."""
        choices = self.choices if self.choices.models else self._of(self._trained(folder / "trained"))
        Leaderboard(choices)(folder)
        if not (folder / "results.json").exists():  # others are still at work
            return
        results = xaudio.plugin.read_results(folder / "results.json", Results)
        for metric in results.metrics:
            write_picture(results, metric.title, folder / f"{metric.title}.png")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _trained(self, folder: Path) -> list[Path]:
        choices = self.choices
        datasets = xaudio.plugin.split_specs(choices.datasets)
        experiments = rules.planned(datasets, choices.data, self.networks, self.tasks, self.steps, choices.seed)
        runs = [folder / rules.folder_of(experiment) for experiment in experiments]
        device = xaudio.plugin.resolve_device(choices.device)
        for result in xaudio.plugin.run_experiments(list(zip(experiments, runs, strict=True)), device):
            print(f"{result.model} {result.task} of {result.data}: {result.accuracy_beside}", file=sys.stderr, flush=True)
        return runs

    def _of(self, runs: Sequence[Path]) -> Choices:
        return replace(self.choices, models=tuple(map(str, runs)), datasets="", data=())


def _write_tables(evaluation: Evaluation, differences: Table, folder: Path, seed: int) -> None:
    """The table for programs, for a paper and for a page, and the paired differences of the explainers."""
    evaluation.to_csv(folder / "table.csv", seed)
    evaluation.to_latex(folder / "table.tex", seed)
    evaluation.to_markdown(folder / "table.md", seed)
    differences.to_csv(folder / "differences.csv")


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
