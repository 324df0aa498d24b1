"""How relevance spreads over frequency for each sex, and how much of it lies on silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import xaudio
import xaudio.plugin
from xaudio.plugin import Dataset, Explainer

from .manipulation import kept, tested
from .results import Spectra
from .trained import Run

F0_RANGES = {"male": (50, 155), "female": (165, 300)}
"""Fundamental frequencies of men and women in Hz (Traunmüller and Eriksson, cited in the paper)."""

CHUNK = 16


def relevance_spectra(run: Run, dataset: Dataset, explainer: str, device: str, limit: int | None) -> dict[str, Any]:
    """Mean relevance of the predicted class by frequency and class, for a model that reads spectrograms.

    Each recording's relevance is divided by its sum of magnitudes and summed over time, so that all count alike.
    """

    def make() -> dict[str, Any]:
        model = xaudio.load_model(run.folder, device)
        name, options = xaudio.plugin.parse_spec(explainer)
        method: Explainer = xaudio.create("explainer", name, **options)
        labels, indices = dataset.labels(run.task), tested(run, limit)
        frequencies = model.representation.axes[0].centres
        total = {label: np.zeros(len(frequencies)) for label in model.classes}
        seen = dict.fromkeys(model.classes, 0)
        with xaudio.plugin.progress(f"Explaining, {run.model} {run.task} fold {run.fold}", len(indices)) as advance:
            for chunk, waveforms in xaudio.plugin.placed_waveforms(model, dataset, np.array(indices), CHUNK):
                relevance = xaudio.plugin.attribute(model, method, waveforms)[1].cpu().double()
                magnitude = relevance.abs().sum((1, 2, 3)).clamp(min=torch.finfo(torch.float64).tiny)
                spectra = (relevance.sum((1, 3)) / magnitude[:, None]).numpy()
                for index, spectrum in zip(chunk, spectra, strict=True):
                    label = model.classes[labels[index]]
                    total[label] += spectrum
                    seen[label] += 1
                advance(len(chunk))
        return {
            "frequencies": frequencies.tolist(),
            "recordings": seen,
            "spectra": {label: (total[label] / max(1, seen[label])).tolist() for label in model.classes},
        }

    return kept(run.folder / "spectra.json", {"explainer": explainer, "limit": limit}, make)


def mean_spectra(folds: Sequence[dict[str, Any]]) -> Spectra:
    """Spectra of several folds as one: means over all recordings of a class."""
    recordings = {label: sum(item["recordings"][label] for item in folds) for label in folds[0]["recordings"]}
    spectra = {
        label: (sum(np.array(item["spectra"][label]) * item["recordings"][label] for item in folds) / max(1, count)).tolist()
        for label, count in recordings.items()
    }
    return Spectra(frequencies=folds[0]["frequencies"], recordings=recordings, spectra=spectra)
