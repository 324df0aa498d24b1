"""Explains, makes audible, listens and measures; what is done is kept, so the same command continues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import xaudio
import xaudio.plugin
from xaudio.plugin import (
    CONTROLS,
    DataError,
    Dataset,
    Evaluation,
    Explanation,
    FloatArray,
    IntArray,
    Model,
    ModelError,
    PluginError,
)

from .measures import MEASURES, artefact_measures, evidence_measures
from .report import table_text, write_report
from .results import Example, ModelResult, Results
from .table import cells_of, columns, overall

LEVEL = 0.95
DOMAINS = ("waveform", "time-frequency")
NORMALISATIONS = ("maximum", "percentile,percentile=99", "soft,top=0.05", "top,top=0.05")
SMOOTHINGS = ("smooth_ms=0", "smooth_ms=20,smooth_hz=80", "smooth_ms=60,smooth_hz=240")

Values = dict[str, list[float | None]]
"""Of each measure, one value per recording; None where it cannot be measured."""


@dataclass(frozen=True)
class Choices:
    """The options of `xaudio_bench_audible.audible`."""

    models: tuple[str, ...]
    datasets: str
    data: tuple[Path, ...]
    explainers: str
    renderers: str
    recordings: int
    examples: int
    device: str
    seed: int


class AudibleBenchmark:
    """See `xaudio_bench_audible.audible`.

    Raises
    ------
    PluginError
        If a number, an explainer or a setting of the renderer does not fit.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.explainers = tuple(dict.fromkeys((*xaudio.plugin.split_specs(choices.explainers), *CONTROLS)))
        for spec in self.explainers:
            name, options = xaudio.plugin.parse_spec(spec)
            xaudio.create("explainer", name, **options)
        self.renderers = tuple(dict.fromkeys(xaudio.plugin.split_specs(choices.renderers))) or all_settings()
        self.made = {spec: _renderer(spec) for spec in self.renderers}
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
            raise PluginError("The benchmark of sounds needs trained models: give their run folders with --models.")
        loaded = [xaudio.load_model(path, choices.device) for path in choices.models]
        tests = [xaudio.held_out(one, dataset, data) for one, dataset, data in zip(loaded, self.datasets, self.data, strict=True)]
        settings = {
            "models": {path: xaudio.plugin.weights_digest(model) for path, model in zip(choices.models, loaded, strict=True)},
            "data": [dataset.fingerprint() for dataset, _ in tests],
            "explainers": list(self.explainers),
            "renderers": list(self.renderers),
            "recordings": choices.recordings,
            "seed": choices.seed,
            "device": loaded[0].device.type,
        }
        xaudio.plugin.refuse_other_settings(folder, settings)
        xaudio.plugin.write_run(folder, settings=settings, data=[dataset.title for dataset, _ in tests])
        values: list[dict[tuple[str, str], Values]] = []
        models = []
        for number, (path, one, tested) in enumerate(zip(choices.models, loaded, tests, strict=True)):
            model, measured = self._model(path, one, *tested, folder, folder / f"model{number}")
            models.append(model)
            values.append(measured)
        results = Results(
            level=LEVEL,
            explainers=list(self.explainers),
            renderers=list(self.renderers),
            measures=columns(),
            overall=overall(values, self.explainers, self.renderers, choices.seed),
            models=models,
        )
        # On few lines: there are thousands of numbers.
        xaudio.plugin.write_text(folder / "results.json", results.model_dump_json(exclude_none=True) + "\n")
        print(table_text(results))
        print(f"Report: {self.report(folder)}")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _model(
        self, path: str, model: Model, dataset: Dataset, indices: IntArray, whole: Path, folder: Path
    ) -> tuple[ModelResult, dict[tuple[str, str], Values]]:
        name = "/".join(Path(path).parts[-2:])
        evaluation = xaudio.evaluate(
            model,
            dataset,
            indices,
            explainers=self.explainers,
            metrics=(),
            folder=folder,
            recordings=self.choices.recordings,
            seed=self.choices.seed,
            title=f"{name}: explaining",
        )
        refused = {spec: reason for (spec, _), reason in evaluation.refused.items()}
        able = [spec for spec in self.explainers if spec not in refused]
        values: dict[tuple[str, str], Values] = {}
        with xaudio.plugin.progress(f"{name}: listening", len(able) * len(self.renderers)) as advance:
            for explainer, renderer in product(able, self.renderers):
                values[explainer, renderer] = self._measured(model, dataset, evaluation, explainer, renderer, folder)
                advance(1, f"{explainer}, {renderer}")
        result = ModelResult(
            name=name,
            run=path,
            task=model.task,
            data=dataset.title,
            indices=evaluation.indices.tolist(),
            accuracy=evaluation.accuracy,
            commonest=evaluation.commonest,
            refused=refused,
            cells=cells_of(values, self.choices.seed),
            examples=list(self._examples(evaluation, able[0], whole, folder)),
        )
        return result, values

    def _measured(
        self, model: Model, dataset: Dataset, evaluation: Evaluation, explainer: str, renderer: str, folder: Path
    ) -> Values:
        """The values of all recordings, measured or read from what an earlier run left."""
        number = f"{self.explainers.index(explainer):02d}-{self.renderers.index(renderer):02d}"
        path = folder / "sounds" / f"{number}.json"
        kept = _read(path, explainer, renderer, len(evaluation.indices))
        if kept is not None:
            return kept
        explanations = [evaluation.explanation(explainer, int(index)) for index in evaluation.indices]
        evidence = evidence_of(dataset, evaluation.indices, explanations)
        values = measured(model, explanations, evidence, self.made[renderer])
        xaudio.plugin.write_json(path, {"explainer": explainer, "renderer": renderer, "values": values})
        return values

    def _examples(self, evaluation: Evaluation, explainer: str, whole: Path, folder: Path) -> Iterator[Example]:
        """Recordings to hear through every setting: correctly predicted ones, if there are any."""
        for index in evaluation.examples(self.choices.examples):
            item = evaluation.explanation(explainer, index)
            sounds: dict[str, str] = {}
            original = ""
            for number, renderer in enumerate(self.renderers):
                target = folder / "examples" / str(index) / f"{number:02d}"
                target.mkdir(parents=True, exist_ok=True)
                name, options = xaudio.plugin.parse_spec(renderer)
                write = xaudio.plugin.renderer_for_listening(name, {**options, "format": "flac", "parts": "original+positive"})
                written = xaudio.plugin.as_written(write(item, target))
                original, sounds[renderer] = (str(file.path.relative_to(whole)) for file in written[:2])
            yield Example(title=f"{Path(item.clip.source).name}: {item.outcome}; {explainer}", original=original, sounds=sounds)


def all_settings() -> tuple[str, ...]:
    """The renderer's defaults, and every combination of domain, normalisation and smoothing."""
    combined = product(DOMAINS, NORMALISATIONS, SMOOTHINGS)
    return ("audible", *(f"audible:domain={domain},normalisation={norm},{smoothing}" for domain, norm, smoothing in combined))


def measured(model: Model, explanations: Sequence[Explanation], evidence: Sequence[FloatArray | None], renderer: Any) -> Values:
    """All measures of the sounds of explanations.

    Parameters
    ----------
    model : Model
    explanations : sequence of Explanation
    evidence : sequence of ndarray or None
        The sound of the evidence in each recording, (samples,), where it is known.
    renderer : callable
        Of this benchmark: writes "positive.wav" and "complement.wav" as long as the explained recording, and has
        ``masked``.
    """
    positives, complements = [], []
    rows: list[dict[str, float]] = []
    with TemporaryDirectory() as folder:
        for item, boxes in zip(explanations, evidence, strict=True):
            renderer(item, Path(folder))
            positive, complement = (
                xaudio.read_audio(Path(folder, f"{name}.wav")).waveform for name in ("positive", "complement")
            )
            recording = item.clip.waveform.astype(np.float64)
            if len(positive) != len(recording):
                raise PluginError(
                    f"The sounds of {item.clip.source} have another length than the recording; leave out slow and rate."
                )
            row = artefact_measures(positive.astype(np.float64), recording, item.clip.sample_rate)
            if boxes is not None and item.correct:
                rest = recording - boxes
                kept = renderer.masked(item, np.stack([boxes, rest]))["positive"]
                row |= evidence_measures(kept[0], boxes, kept[1], rest)
            rows.append(row)
            positives.append(positive)
            complements.append(complement)
    predicted = np.array([item.predicted for item in explanations])
    values: Values = {
        name: [_number(row.get(name, float("nan"))) for row in rows] for name in MEASURES if not name.startswith("fid_")
    }
    for name, sounds in (("fid_in", positives), ("fid_out", complements)):
        values[name] = [float(hit) for hit in recognised(model, np.stack(sounds)) == predicted]
    return values


def recognised(model: Model, waveforms: FloatArray) -> IntArray:
    """The classes that a model names for waveforms (recordings, samples), as they are."""

    def logits(batch: torch.Tensor) -> torch.Tensor:
        return model.logits(model.features(batch.to(model.device))).cpu()

    with torch.no_grad(), xaudio.plugin.evaluation_mode(model.network):
        outputs = xaudio.plugin.in_batches(logits, torch.from_numpy(waveforms), size=32)
    return np.asarray(outputs.argmax(1).numpy())


def evidence_of(dataset: Dataset, indices: IntArray, explanations: Sequence[Explanation]) -> list[FloatArray | None]:
    """The sound of the evidence in each explained recording, where the data set knows it and it is not silent.

    Raises
    ------
    DataError
        If the model hears the recordings at another rate or in part, so that their evidence is not that of what it hears.
    """
    source = getattr(dataset, "evidence", None)
    evidence: list[FloatArray | None] = []
    for index, item in zip(indices, explanations, strict=True):
        if source is None:
            evidence.append(None)
            continue
        sound = np.asarray(source(int(index)), dtype=np.float64)
        (offset, _, samples), rate = item.placed, item.provenance["original_sample_rate"]
        if rate != item.clip.sample_rate or samples != len(sound):
            raise DataError(
                f"{item.clip.source}: it is heard at {item.clip.sample_rate} Hz, {samples} samples of it, but "
                f"its evidence is known at {rate} Hz in all {len(sound)}; take a model that reads the data set as it is."
            )
        whole = np.zeros(len(item.clip.waveform))
        whole[offset : offset + len(sound)] = sound
        evidence.append(whole if whole.any() else None)
    return evidence


def _renderer(spec: str) -> Any:
    name, options = xaudio.plugin.parse_spec(spec)
    if name != "audible":
        raise PluginError(
            f"--renderers names {name!r}; expected settings of the renderer audible, as in audible:domain=waveform."
        )
    refused = {"parts", "format", "extras"} & set(options)
    if refused:
        raise PluginError(f"--renderers sets {min(refused)} in {spec!r}; this benchmark chooses the files itself.")
    # A model listens, and hears all at one peak unless the setting says otherwise.
    return xaudio.create("renderer", name, **{"loudness": "peak", **options, "parts": "positive+complement", "format": "wav"})


def _read(path: Path, explainer: str, renderer: str, recordings: int) -> Values | None:
    """Values that an earlier run left, or None if there are none or they are damaged."""
    try:
        content: Mapping[str, Any] = xaudio.plugin.read_json(path)
        values: Values = content["values"]
        whole = all(len(values[name]) == recordings for name in MEASURES)
        return values if whole and (content["explainer"], content["renderer"]) == (explainer, renderer) else None
    except (ModelError, KeyError, TypeError, json.JSONDecodeError):
        return None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
