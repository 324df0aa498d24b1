"""The paper's two tests of what explanations suggest: frequencies moved, and samples taken away.

Both run over whole test sets, and keep what they found in the folder of each training.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import xaudio
from xaudio import ModelError
from xaudio.types import Dataset, Explainer

from .trained import Run

FACTORS = {"male": 1.5, "female": 0.66}
"""Factor of the frequency axis for recordings of each sex."""

CONDITIONS = {
    "original": "as recorded",
    "manipulated": "male x1.5, female x0.66",
    "swapped": "male x0.66, female x1.5 (control)",
    "resampled": "both x1 (control)",
}

FRACTIONS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the samples that are not zero."""

ORDERS = ("random", "amplitude", "relevance")
CHUNK = 16
"""Recordings whose flipped versions are classified together."""


def kept(path: Path, key: Mapping[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file holds, if it was made with the same settings; else it is made and written."""
    wanted = json.loads(json.dumps(key))
    with contextlib.suppress(ModelError):  # missing or damaged: it is made again
        found = xaudio.read_json(path)
        if isinstance(found, dict) and found.get("settings") == wanted:
            return found
    content = {"settings": wanted, **make()}
    xaudio.write_json(path, content)
    return content


def tested(run: Run, limit: int | None) -> list[int]:
    """Indices of the test recordings, or of ``limit`` of them, evenly spread."""
    indices = sorted(run.predicted)
    return indices if limit is None or limit >= len(indices) else [indices[i * len(indices) // limit] for i in range(limit)]


def move_frequencies(run: Run, dataset: Dataset, device: str, limit: int | None) -> dict[str, Any]:
    """Accuracy of a sex model on spectrograms of a scaled frequency axis (levels in dB, linear, floor where nothing is)."""

    def make() -> dict[str, Any]:
        classifier = xaudio.load_model(run.folder, device)
        classes, labels = dataset.tasks["sex"], dataset.labels("sex")
        right: dict[str, int] = dict.fromkeys(CONDITIONS, 0)
        indices = tested(run, limit)
        with torch.no_grad():
            for chunk, waveforms in xaudio.placed_waveforms(classifier, dataset, np.array(indices)):
                levels = classifier.representation(waveforms)
                truth = torch.from_numpy(labels[chunk]).to(levels.device)
                factor = torch.tensor([FACTORS[name] for name in classes], device=levels.device)
                for condition, factors in {
                    "original": None,
                    "manipulated": factor[truth],
                    "swapped": factor.flip(0)[truth],
                    "resampled": torch.ones_like(factor)[truth],
                }.items():
                    moved = levels if factors is None else xaudio.scaled_frequencies(levels, factors)
                    centred = moved if classifier.mean is None else moved - classifier.mean
                    right[condition] += int((classifier.network(centred).argmax(1) == truth).sum())
        return {"recordings": len(indices), "accuracy": {name: count / len(indices) for name, count in right.items()}}

    return kept(run.folder / "frequencies.json", {"factors": FACTORS, "limit": limit}, make)


def flip_samples(
    run: Run, dataset: Dataset, explainer: str, device: str, seed: int, draws: int, limit: int | None
) -> dict[str, Any]:
    """Accuracy, and probability of the predicted class, after a share of the samples was set to 0, in three orders."""

    def make() -> dict[str, Any]:
        classifier = xaudio.load_model(run.folder, device)
        name, options = xaudio.parse_spec(explainer)
        method: Explainer = xaudio.create("explainer", name, **options)
        labels, indices = dataset.labels(run.task), tested(run, limit)
        generator = torch.Generator().manual_seed(seed)
        right = {order: np.zeros((draws if order == "random" else 1, len(FRACTIONS))) for order in ORDERS}
        probability = {order: np.zeros(len(FRACTIONS)) for order in ORDERS}
        with xaudio.progress(f"Flipping samples, {run.model} {run.task} fold {run.fold}", len(indices)) as advance:
            for chunk, waveforms in xaudio.placed_waveforms(classifier, dataset, np.array(indices), CHUNK):
                features, relevance, _, target = xaudio.attribute(classifier, method, waveforms)
                truth = torch.from_numpy(labels[chunk]).to(features.device)
                drawn = [torch.rand(features.shape, generator=generator).to(features.device) for _ in range(draws)]
                for order, scores in {"random": drawn, "amplitude": [features.abs()], "relevance": [relevance]}.items():
                    for row, score in enumerate(scores):
                        logits = xaudio.flipped_logits(classifier, features, score, FRACTIONS)
                        right[order][row] += (logits.argmax(2) == truth[:, None]).sum(0).cpu().numpy()
                        explained = logits.softmax(2).gather(2, target[:, None, None].expand(-1, len(FRACTIONS), 1))
                        probability[order] += explained[..., 0].sum(0).cpu().double().numpy() / len(scores)
                advance(len(chunk))
        return {
            "recordings": len(indices),
            "fractions": FRACTIONS,
            "accuracy": {order: (values / len(indices)).tolist() for order, values in right.items()},
            "aopc": {order: float(np.mean(values[0] - values) / len(indices)) for order, values in probability.items()},
        }

    key = {"explainer": explainer, "explained": "predicted", "share": "nonzero", "draws": draws, "seed": seed, "limit": limit}
    return kept(run.folder / "flipping.json", {**key, "fractions": FRACTIONS}, make)


def over_folds(found: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation (population) over folds of accuracies in percent, by condition."""
    rows: dict[str, dict[str, float | None]] = {}
    for condition in CONDITIONS:
        values = [100 * item["accuracy"][condition] for item in found]
        rows[condition] = {"mean": float(np.mean(values)), "std": float(np.std(values)) if len(values) > 1 else None}
    return rows


def curves_over_folds(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Flipping curves in percent: mean over folds and draws, lowest and highest of them, and AOPC."""
    curves: dict[str, Any] = {}
    for order in ORDERS:
        rows = 100 * np.concatenate([np.array(item["accuracy"][order]) for item in found])
        curves[order] = {
            "mean": rows.mean(0).tolist(),
            "low": rows.min(0).tolist(),
            "high": rows.max(0).tolist(),
            "aopc": float(np.mean([item["aopc"][order] for item in found])),
        }
    return curves


def moved_example(run: Run, dataset: Dataset) -> tuple[tuple[Any, Any], tuple[Any, ...], str]:
    """Levels of one test recording as recorded and moved, the axes of both, and what it is."""
    classifier = xaudio.load_model(run.folder, "cpu")
    index = next(iter(sorted(run.predicted)))
    sex = dataset.tasks["sex"][dataset.labels("sex")[index]]
    _, waveforms = next(iter(xaudio.placed_waveforms(classifier, dataset, np.array([index]))))
    with torch.no_grad():
        levels = classifier.representation(waveforms)
        moved = xaudio.scaled_frequencies(levels, torch.tensor([FACTORS[sex]]))
    caption = f"{sex} speaker {dataset.speakers[index]}, x{FACTORS[sex]:g}"
    return (levels[0, 0].numpy(), moved[0, 0].numpy()), classifier.representation.axes, caption
