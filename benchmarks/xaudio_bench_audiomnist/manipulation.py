"""The paper's two tests of what explanations suggest: frequencies moved, and samples taken away.

Both run over whole test sets, and keep what they found in the folder of each training: the numbers, and one row per recording.
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
import xaudio.plugin
from xaudio.plugin import Dataset, Explainer, ModelError
from xaudio_faithfulness import flipped_logits, scaled_frequencies

from .results import Condition, Curve
from .tables import mean_and_deviation
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


def kept(path: Path, key: Mapping[str, Any], make: Callable[[], dict[str, Any]], rows: Path | None = None) -> dict[str, Any]:
    """What a file holds, if it was made with the same settings; else it is made and written, after its ``rows``."""
    wanted = json.loads(json.dumps(key))
    with contextlib.suppress(ModelError):  # missing or damaged: it is made again
        before = xaudio.plugin.read_json(path)
        if isinstance(before, dict) and before.get("settings") == wanted and (rows is None or rows.exists()):
            return before
    content = {"settings": wanted, **make()}
    xaudio.plugin.write_json(path, content)
    return content


def tested(run: Run, limit: int | None) -> list[int]:
    """Indices of the test recordings, or of ``limit`` of them, evenly spread."""
    indices = sorted(run.predicted)
    return indices if limit is None or limit >= len(indices) else [indices[i * len(indices) // limit] for i in range(limit)]


def move_frequencies(run: Run, dataset: Dataset, device: str, limit: int | None) -> dict[str, Any]:
    """Accuracy of a sex model on spectrograms of a scaled frequency axis (levels in dB, linear, floor where nothing is).

    ``frequencies.csv`` gets the predicted class of each recording under each condition.
    """
    path = run.folder / "frequencies.csv"

    def make() -> dict[str, Any]:
        model = xaudio.load_model(run.folder, device)
        labels, indices = dataset.labels("sex"), np.array(tested(run, limit))
        by_class = torch.tensor([FACTORS[name] for name in dataset.tasks["sex"]], device=model.device)
        predicted: dict[str, list[int]] = {condition: [] for condition in CONDITIONS}
        with torch.no_grad():
            for chunk, waveforms in xaudio.plugin.placed_waveforms(model, dataset, indices):
                levels = model.representation(waveforms)
                truth = torch.from_numpy(labels[chunk]).to(levels.device)
                for condition, factors in {
                    "original": None,
                    "manipulated": by_class[truth],
                    "swapped": by_class.flip(0)[truth],
                    "resampled": torch.ones_like(by_class)[truth],
                }.items():
                    moved = levels if factors is None else scaled_frequencies(levels, factors)
                    centred = moved if model.mean is None else moved - model.mean
                    predicted[condition] += model.logits(centred).argmax(1).tolist()
        truth = labels[indices]
        rows = zip(
            indices.tolist(), (dataset.speakers[index] for index in indices), truth.tolist(), *predicted.values(), strict=True
        )
        xaudio.plugin.write_rows(path, ["index", "speaker", "label", *predicted], rows)
        accuracy = {condition: float((np.array(values) == truth).mean()) for condition, values in predicted.items()}
        return {"recordings": len(indices), "accuracy": accuracy}

    return kept(run.folder / "frequencies.json", {"factors": FACTORS, "limit": limit}, make, path)


def flip_samples(
    run: Run, dataset: Dataset, explainer: str, device: str, seed: int, draws: int, limit: int | None
) -> dict[str, Any]:
    """Accuracy, and probability of the predicted class, after a share of the samples was set to 0, in three orders.

    ``flipping.csv`` gets, of each recording in each order, the predicted class and the explained class's probability at
    each fraction.
    """
    path = run.folder / "flipping.csv"
    names = [*(f"random {draw}" for draw in range(draws)), "amplitude", "relevance"]

    def make() -> dict[str, Any]:
        model = xaudio.load_model(run.folder, device)
        name, options = xaudio.plugin.parse_spec(explainer)
        method: Explainer = xaudio.create("explainer", name, **options)
        indices = np.array(tested(run, limit))
        generator = torch.Generator().manual_seed(seed)
        classes, shares, explained = [], [], []
        with xaudio.plugin.progress(f"Flipping samples, {run.model} {run.task} fold {run.fold}", len(indices)) as advance:
            for chunk, waveforms in xaudio.plugin.placed_waveforms(model, dataset, indices, CHUNK):
                features, relevance, _, target = xaudio.plugin.attribute(model, method, waveforms)
                drawn = [torch.rand(features.shape, generator=generator).to(features.device) for _ in range(draws)]
                logits = torch.stack(
                    [flipped_logits(model, features, scores, FRACTIONS) for scores in (*drawn, features.abs(), relevance)],
                    dim=1,
                )  # (recordings, orders, fractions, classes)
                chosen = target[:, None, None, None].expand(*logits.shape[:3], 1)
                classes.append(logits.argmax(3).cpu().numpy())
                shares.append(model.probabilities(logits).gather(3, chosen)[..., 0].cpu().double().numpy())
                explained.append(target.cpu().numpy())
                advance(len(chunk))
        predicted, probability, targets = (np.concatenate(parts) for parts in (classes, shares, explained))
        truth, speakers = dataset.labels(run.task)[indices], [dataset.speakers[index] for index in indices]
        rows = (
            [*recording, order, *predicted[i, k].tolist(), *probability[i, k].tolist()]
            for i, recording in enumerate(zip(indices.tolist(), speakers, truth.tolist(), targets.tolist(), strict=True))
            for k, order in enumerate(names)
        )
        columns = [f"{kind} {fraction:g}" for kind in ("predicted", "probability") for fraction in FRACTIONS]
        xaudio.plugin.write_rows(path, ["index", "speaker", "label", "explained", "order", *columns], rows)
        right = (predicted == truth[:, None, None]).mean(0)
        fall = (probability[:, :, :1] - probability).mean((0, 2))
        parts = {order: [k for k, name in enumerate(names) if name.startswith(order)] for order in ORDERS}
        return {
            "recordings": len(indices),
            "fractions": FRACTIONS,
            "accuracy": {order: right[part].tolist() for order, part in parts.items()},
            "aopc": {order: float(fall[part].mean()) for order, part in parts.items()},
        }

    key = {"explainer": explainer, "explained": "predicted", "share": "nonzero", "draws": draws, "seed": seed, "limit": limit}
    return kept(run.folder / "flipping.json", {**key, "fractions": FRACTIONS}, make, path)


def over_folds(folds: Sequence[dict[str, Any]]) -> dict[str, Condition]:
    """Mean and standard deviation over folds of accuracies in percent, by condition."""
    rows = {}
    for condition in CONDITIONS:
        mean, std = mean_and_deviation([100 * item["accuracy"][condition] for item in folds])
        rows[condition] = Condition(mean=mean, std=std)
    return rows


def curves_over_folds(folds: Sequence[dict[str, Any]]) -> dict[str, Curve]:
    """Flipping curves in percent: mean over folds and draws, lowest and highest of them, and AOPC."""
    curves = {}
    for order in ORDERS:
        rows = 100 * np.concatenate([np.array(item["accuracy"][order]) for item in folds])
        aopc = float(np.mean([item["aopc"][order] for item in folds]))
        curves[order] = Curve(mean=rows.mean(0).tolist(), low=rows.min(0).tolist(), high=rows.max(0).tolist(), aopc=aopc)
    return curves


def moved_example(run: Run, dataset: Dataset) -> tuple[tuple[Any, Any], tuple[Any, ...], str]:
    """Levels of one test recording as recorded and moved, the axes of both, and what it is."""
    model = xaudio.load_model(run.folder, "cpu")
    index = next(iter(sorted(run.predicted)))
    sex = dataset.tasks["sex"][dataset.labels("sex")[index]]
    _, waveforms = next(iter(xaudio.plugin.placed_waveforms(model, dataset, np.array([index]))))
    with torch.no_grad():
        levels = model.representation(waveforms)
        moved = scaled_frequencies(levels, torch.tensor([FACTORS[sex]]))
    caption = f"{sex} speaker {dataset.speakers[index]}, x{FACTORS[sex]:g}"
    return (levels[0, 0].numpy(), moved[0, 0].numpy()), model.representation.axes, caption
