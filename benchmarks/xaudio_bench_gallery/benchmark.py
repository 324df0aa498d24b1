"""Explains, draws and compares; what is done is kept, so the same command continues."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import xaudio
import xaudio.plugin
from xaudio.plugin import Clip, Dataset, Explanation, Model, ModelError, PluginError, XaudioError

from .agreement import agreement
from .report import Card, ModelResult, Results, write_report

COMPOSITES = ("epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma", "epsilon", "gamma")


class Gallery:
    """See `xaudio_bench_gallery.gallery`.

    Raises
    ------
    PluginError
        If a number or a method does not fit.
    """

    def __init__(
        self,
        models: tuple[str, ...],
        dataset: str | None,
        data: Path | None,
        recordings: int,
        methods: tuple[str, ...],
        device: str,
        seed: int,
    ) -> None:
        self.models, self.dataset, self.data, self.recordings = models, dataset, data, recordings
        self.methods = xaudio.plugin.split_specs(",".join(methods)) or all_methods()
        self.device, self.seed = device, seed
        for method in self.methods:
            name, options = xaudio.plugin.parse_spec(method)
            xaudio.create("explainer", name, **options)

    def __call__(self, folder: Path) -> None:
        """Run, or continue, in a folder.

        Raises
        ------
        XaudioError
            If a model or the data cannot be used, or the models have no test recording in common.
        """
        if not self.models:
            raise PluginError("The gallery needs trained models: give their run folders with --models.")
        loaded = [xaudio.load_model(path, self.device) for path in self.models]
        datasets, indices = self._chosen(loaded)
        dataset = datasets[0]
        settings = {
            "models": {path: xaudio.plugin.weights_digest(model) for path, model in zip(self.models, loaded, strict=True)},
            "methods": self.methods,
            "recordings": self.recordings,
            "data": dataset.fingerprint(),
            "seed": self.seed,
        }
        xaudio.plugin.refuse_other_settings(folder, settings)
        xaudio.plugin.write_run(folder, settings=settings, device=str(loaded[0].device), data=dataset.title)
        models = [
            self._explain(path, model, [own[index] for index in indices], folder / f"model{number}")
            for number, (path, model, own) in enumerate(zip(self.models, loaded, datasets, strict=True))
        ]
        results = Results(
            data=dataset.title,
            recordings=[Path(dataset[index].source).name or f"recording {index}" for index in indices],
            methods=list(self.methods),
            models=models,
            notes=[f"{model.source}: {note}" for model in loaded for note in xaudio.plugin.training_notes(model)],
        )
        xaudio.plugin.write_json(folder / "results.json", results.model_dump())
        print(f"Gallery: {self.report(folder)}")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _chosen(self, models: Sequence[Model]) -> tuple[list[Dataset], list[int]]:
        """The data as each model names its classes, and recordings that none of the models was trained on, evenly spread.

        Raises
        ------
        ModelError
            If there are none.
        """
        dataset, indices = xaudio.held_out(models[0], self.dataset, self.data)
        tests = [(dataset, indices), *(xaudio.held_out(model, dataset) for model in models[1:])]
        common = set.intersection(*(set(own.tolist()) for _, own in tests))
        if not common:
            raise ModelError(f"The models have no test recording of {dataset.title} in common: give models of the same fold.")
        return [own for own, _ in tests], xaudio.plugin.evenly(np.array(sorted(common)), self.recordings).tolist()

    def _explain(self, path: str, model: Model, clips: Sequence[Clip], folder: Path) -> ModelResult:
        explanations: dict[str, list[Explanation]] = {}
        cards: list[Card] = []
        for number, method in enumerate(self.methods):
            target = folder / f"{number:02d}-{re.sub('[^a-z0-9_]+', '-', method.lower())}"
            with xaudio.plugin.progress(f"{Path(path).name}: {method}", len(clips)) as advance:
                start = time.monotonic()
                try:
                    explanations[method] = self._explained(method, model, clips, target)
                except XaudioError as error:
                    cards.append(Card(method=method, folders=[], seconds=None, refused=str(error)))
                    continue
                folders = []
                for index, explanation in enumerate(explanations[method]):
                    folders.append(str(_drawn(explanation, target / str(index)).relative_to(folder.parent)))
                    advance()
                cards.append(Card(method=method, folders=folders, seconds=round(time.monotonic() - start, 2), refused=None))
        names = list(explanations)
        titles = [explanation.outcome for explanation in next(iter(explanations.values()))] if explanations else []
        matrix = agreement([explanations[name] for name in names])
        return ModelResult(name=Path(path).name, titles=titles, cards=cards, compared=names, agreement=matrix)

    def _explained(self, method: str, model: Model, clips: Sequence[Clip], folder: Path) -> list[Explanation]:
        """Explanations of the predicted classes, read where an earlier run left them."""
        paths = [folder / str(index) / "explanation.safetensors" for index in range(len(clips))]
        if all(path.exists() for path in paths):
            return [Explanation.load(path) for path in paths]
        explanations = xaudio.explain(
            model,
            list(clips),
            explainer=method,
            device=self.device,
            placement=model.representation.placement,
            seed=self.seed or None,
        )
        for path, item in zip(paths, explanations, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            item.save(path)
        return explanations


def all_methods() -> tuple[str, ...]:
    """All installed explainers with their defaults, and the composites of lrp that take any input."""
    names = [name for name in xaudio.names("explainer") if name != "lrp"]
    return (*(f"lrp:composite={composite}" for composite in COMPOSITES), *names)


def _drawn(explanation: Explanation, folder: Path) -> Path:
    """The folder with picture and sounds, written unless they are there."""
    if not (folder / "audible.json").exists():
        explanation.render("visual:dpi=55", "audible:format=flac,level=reference", folder=folder)
    return folder
