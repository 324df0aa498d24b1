"""The benchmark itself: train, test, explain, draw, report; what is done is kept, so the same command continues."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import xaudio
import xaudio.plugin
from xaudio.plugin import DataError, Dataset, Experiment, PluginError

from .examples import Explain, choose_examples, figure_one, figure_two
from .figures import write_figure_one, write_figure_three, write_figure_two, write_moved, write_spectra
from .manipulation import FRACTIONS, curves_over_folds, flip_samples, move_frequencies, moved_example, over_folds
from .presets import PRESETS, TASKS, training_of
from .report import write_report
from .results import Results, Training
from .spectra import mean_spectra, relevance_spectra
from .tables import table_one, table_text
from .trained import Run, read_predictions


@dataclass(frozen=True)
class Choices:
    """The options of `xaudio_bench_audiomnist.audiomnist`."""

    preset: str
    dataset: str | None
    data: Path | None
    tasks: tuple[str, ...] | None
    models: tuple[str, ...]
    representations: tuple[str, ...]
    folds: tuple[int, ...] | None
    explainer: str
    examples: int
    limit: int | Literal["all"] | None
    draws: int | None
    set: tuple[str, ...]
    jobs: int
    device: str
    seed: int


class AudioMnistBenchmark:
    """See `xaudio_bench_audiomnist.audiomnist`.

    Parameters
    ----------
    choices : Choices

    Raises
    ------
    PluginError
        If a setting cannot be read.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.models = _once("models", choices.models)
        self.representations = _once("representations", choices.representations)
        if choices.folds is not None and len(set(choices.folds)) < len(choices.folds):
            raise PluginError(f"--folds {','.join(map(str, choices.folds))} names a fold twice.")
        self.overrides = parse_settings(choices.set, tuple(self.models))

    def __call__(self, folder: Path) -> None:
        """Run, or continue, in a folder.

        Raises
        ------
        XaudioError
            If the data cannot be used, a task or fold does not exist, or the folder belongs to a run of other settings.
        """
        choices, preset = self.choices, PRESETS[self.choices.preset]
        device = xaudio.plugin.resolve_device(choices.device)
        dataset = xaudio.open_dataset(choices.dataset or preset.dataset, choices.data, choices.seed)
        tasks, reads = self._tasks(dataset), self._reads()
        explainer, options = xaudio.plugin.parse_spec(choices.explainer)
        xaudio.create("explainer", explainer, **options)
        planned = [(model, task, fold) for task in tasks for model in self.models for fold in self._folds(dataset, task)]
        _say(f"{dataset.title}: {len(planned)} trainings ({self.label})")
        runs = self._train(folder, dataset, planned, device, reads)
        _say("Explaining and drawing")
        explain = self._explain(dataset)  # keeps the models it loads
        findings, figures = self._experiments(folder, dataset, runs, explain, str(device))
        examples, explained = choose_examples(dataset, runs, explain, choices.examples, folder)
        results = Results(
            preset=choices.preset,
            label=self.label,
            data=dataset.title,
            notes=[*dataset.notes, *_checked(dataset)],
            explainer=choices.explainer,
            jobs=choices.jobs,
            table1=table_one(runs, dataset, self.as_published),
            runs=[Training(**run.result.model_dump() | {"identity": None}) for run in runs],
            figures=[str(figure.relative_to(folder)) for figure in figures],
            examples=examples,
            explanations=explained,
            limit=self.limit,
            fractions=list(FRACTIONS),
            **findings,
        )
        xaudio.plugin.write_run(folder, settings=self._settings(tasks), device=str(device), data=dataset.title)
        xaudio.plugin.write_json(folder / "results.json", results.model_dump())
        print(table_text(results))
        print(f"Report: {self.report(folder)}")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _experiments(
        self, folder: Path, dataset: Dataset, runs: list[Run], explain: Explain, device: str
    ) -> tuple[dict[str, Any], list[Path]]:
        """The paper's figures and its tests by manipulation, for the models and tasks that were trained."""
        choices, data = self.choices, f"{dataset.title} ({self.label})"
        figures = [
            write_figure_one(figure_one(dataset, runs, explain), folder, data),
            write_figure_two(figure_two(dataset, runs, explain), folder, data),
        ]
        content: dict[str, Any] = {"flipping": {}, "frequencies": None, "spectra": None}
        for task in dict.fromkeys(run.task for run in runs if run.model == "audionet"):
            folds = [run for run in runs if (run.model, run.task) == ("audionet", task)]
            settings = (choices.explainer, device, choices.seed, self.draws, self.limit)
            content["flipping"][task] = curves_over_folds([flip_samples(run, dataset, *settings) for run in folds])
        chance = {run.task: 100 * run.result.chance for run in runs}
        figures.append(write_figure_three(content["flipping"], chance, folder, data))
        sex = [run for run in runs if (run.model, run.task) == ("alexnet", "sex")]
        if sex:
            content["frequencies"] = over_folds([move_frequencies(run, dataset, device, self.limit) for run in sex])
            spectra = [relevance_spectra(run, dataset, choices.explainer, device, self.limit) for run in sex]
            content["spectra"] = mean_spectra(spectra)
            figures.append(write_moved(*moved_example(sex[0], dataset), folder, data))
            figures.append(write_spectra(content["spectra"], folder, data))
        return content, [figure for figure in figures if figure]

    @property
    def label(self) -> str:
        """What tables and figures say of the protocol: the preset, and whatever was changed in it."""
        changed = [*self.choices.set, *(spec for spec in (*self.choices.models, *self.choices.representations) if "=" in spec)]
        if self.choices.folds is not None:
            changed.append(f"folds {','.join(map(str, self.choices.folds))}")
        changed += [f"{name} {value}" for name in ("limit", "draws") if (value := getattr(self.choices, name)) is not None]
        return PRESETS[self.choices.preset].label + (f"; changed: {', '.join(changed)}" if changed else "")

    @property
    def as_published(self) -> bool:
        """Whether the models are trained and tested by the paper's protocol, nothing changed, on all folds."""
        choices = self.choices
        specs = (*choices.models, *choices.representations)
        return choices.preset == "paper" and not choices.set and choices.folds is None and not any("=" in spec for spec in specs)

    @property
    def limit(self) -> int | None:
        """Test recordings of each fold that are manipulated and explained; None for all."""
        preset = PRESETS[self.choices.preset].limit
        return None if self.choices.limit == "all" else self.choices.limit or preset

    @property
    def draws(self) -> int:
        """Random orders in which samples are taken away."""
        return self.choices.draws or PRESETS[self.choices.preset].draws

    def _tasks(self, dataset: Dataset) -> list[str]:
        tasks = self.choices.tasks or [task for task in TASKS if task in dataset.tasks]
        missing = [task for task in tasks if task not in dataset.tasks]
        if missing or not tasks:
            has = ", ".join(dataset.tasks)
            raise DataError(f"{dataset.title} has no task {(missing or TASKS)[0]!r}; it has {has}. Choose --tasks among these.")
        return list(tasks)

    def _folds(self, dataset: Dataset, task: str) -> list[int]:
        count = len(dataset.folds(task))
        chosen = self.choices.folds
        if chosen is None:
            return list(range(count))[: PRESETS[self.choices.preset].folds]
        if not all(0 <= fold < count for fold in chosen):
            raise DataError(f"The task {task!r} of {dataset.title} has folds 0 to {count - 1}; got --folds {chosen}.")
        return list(chosen)

    def _train(
        self, folder: Path, dataset: Dataset, planned: list[tuple[str, str, int]], device: Any, reads: Mapping[str, str]
    ) -> list[Run]:
        """The trainings of (model, task, fold)."""
        experiments = [
            Experiment(
                dataset,
                task,
                fold,
                model,
                model_options=self.models[model],
                representation_options=self.representations.get(reads.get(model, ""), {}),
                training={"seed": self.choices.seed, **training_of(self.choices.preset, model, task, self.overrides)},
            )
            for model, task, fold in planned
        ]
        folders = [folder / "models" / "-".join((model, task, f"fold{fold}")) for model, task, fold in planned]
        runs = []
        results = xaudio.plugin.run_experiments(list(zip(experiments, folders, strict=True)), device, self.choices.jobs)
        for (model, task, fold), target, result in zip(planned, folders, results, strict=True):
            _say(f"{model} {task} fold {fold}: {result.accuracy_beside}")
            runs.append(Run(model, task, fold, target, result, read_predictions(target)))
        return runs

    def _reads(self) -> dict[str, str]:
        """The representation that each model reads, after checking that the options given are for one of them."""
        if not self.representations:
            return {}
        networks = {model: xaudio.create("model", model, **{**options, "classes": 2}) for model, options in self.models.items()}
        specs = {model: getattr(network, "representation", None) for model, network in networks.items()}
        reads = {model: xaudio.plugin.parse_spec(spec)[0] if spec else "" for model, spec in specs.items()}
        for name in self.representations:
            if name not in reads.values():
                reading = ", ".join(f"{model} reads {read}" for model, read in reads.items())
                raise PluginError(f"--representations names {name!r}, which none of the models reads: {reading}.")
        return reads

    def _explain(self, dataset: Dataset) -> Any:
        """A function (run, indices) to explanations of the true class, with the rules of the data set."""
        explainer, options = xaudio.plugin.parse_spec(self.choices.explainer)
        models: dict[Path, xaudio.Model] = {}

        def explain(run: Run, indices: list[int], name: str = "", target: str = "true") -> list[xaudio.Explanation]:
            if run.folder not in models:
                models[run.folder] = xaudio.load_model(run.folder, self.choices.device)
            if not indices:
                return []
            labels = dataset.labels(run.task)[indices]
            chosen_options: dict[str, Any] = {} if name else dict(options)
            model = models[run.folder]
            explanations = xaudio.explain(
                model,
                [dataset[index] for index in indices],
                explainer=name or explainer,
                target=[int(label) for label in labels] if target == "true" else None,
                device=self.choices.device,
                resampling=dataset.resampling,
                placement=model.representation.placement,
                **chosen_options,
            )
            return [replace(item, provenance={**item.provenance, "data": dataset.title}) for item in explanations]

        return explain

    def _settings(self, tasks: list[str]) -> dict[str, Any]:
        settings = asdict(self.choices) | {"limit": self.limit, "draws": self.draws}
        settings["data"] = None if self.choices.data is None else str(self.choices.data)
        training = {
            f"{model} {task}": training_of(self.choices.preset, model, task, self.overrides)
            for model in self.models
            for task in tasks
        }
        return settings | {"training": training}


def _once(option: str, specs: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Options by name of plugins that may each be named once.

    Raises
    ------
    PluginError
        If one is named twice, or none is.
    """
    # Several options of one plugin are separated by commas too, so the parts are put together again first.
    parsed = [xaudio.plugin.parse_spec(spec) for spec in xaudio.plugin.split_specs(",".join(specs))]
    names = [name for name, _ in parsed]
    if len(set(names)) < len(names):
        raise PluginError(f"--{option} {','.join(specs)} names one twice.")
    return dict(parsed)


def parse_settings(settings: tuple[str, ...], models: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Settings ``name=value`` or ``model.name=value`` by model; "" is for all models.

    Raises
    ------
    PluginError
        If one has another form or names a model that is not trained.
    """
    by_model: dict[str, dict[str, Any]] = {}
    for setting in settings:
        left, equals, value = setting.partition("=")
        model, _, name = left.strip().rpartition(".")
        if not equals or not name:
            raise PluginError(
                f"Cannot read --set {setting!r}: expected name=value or model.name=value, such as alexnet.steps=500."
            )
        if model and model not in models:
            raise PluginError(f"--set {setting!r} names the model {model!r}, which is not among --models {','.join(models)}.")
        by_model.setdefault(model, {})[name] = None if value.strip() == "none" else value.strip()
    return by_model


def _checked(dataset: Dataset) -> list[str]:
    """How many recordings are there and as published, of a data set that knows its checksums."""
    check = getattr(dataset, "check", None)
    return [] if check is None else [check().said]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
