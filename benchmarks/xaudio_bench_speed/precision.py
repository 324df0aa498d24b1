"""What products in bfloat16 gain, and what they do to relevance: on models that are trained, with the truth where it is known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import xaudio
import xaudio.plugin

from .records import Comparison
from .timing import Clock

FORMATS = ("float32", "bfloat16")
METHODS = ("lrp:composite=epsilon_plus", "lrp:composite=epsilon", "gradient", "integrated_gradients:steps=10")
FLIPPING = "deletion_auc:steps=10"
TOP = 0.01
"""Share of the cells that are the highest."""

TASK = "carriers"
"""Which of four tones sound among others: the truth is in their frequencies."""


def low_precision(recordings: int, steps: int, clock: Clock) -> Iterator[Comparison]:
    """Methods and flipping in both number formats, on the ready model of digits and on a reference model of known truth.

    Parameters
    ----------
    recordings : int
        That are explained.
    steps : int
        Of the training of the reference model.
    clock : Clock
    """
    speech = xaudio.create("dataset", "synthetic", seed=1)
    demo = xaudio.load_model("demo", str(clock.device))
    clips = [speech[int(index)] for index in np.linspace(0, len(speech) - 1, recordings)]
    yield from _of_model("demo", "generated digits", demo, clips, clock)
    with tempfile.TemporaryDirectory() as folder:
        truth = xaudio.create("dataset", "truth", recordings=max(400, recordings))
        experiment = xaudio.plugin.Experiment(truth, task=TASK, fold=0, model="reference", training={"steps": steps})
        xaudio.plugin.run_experiment(experiment, Path(folder), clock.device)
        reference = xaudio.load_model(folder, str(clock.device))
    test = truth.folds(TASK)[0].test[: 2 * recordings]
    clips, labels = [truth[int(index)] for index in test], truth.labels(TASK)[test]
    answers = xaudio.explain(reference, clips, explainer="amplitude", device=str(clock.device))
    right = [clip for clip, item, label in zip(clips, answers, labels, strict=True) if item.target == label]
    heard = f"sounds of known truth after {steps} steps of training" + ", classified rightly" * bool(right)
    yield from _of_model("reference", heard, reference, (right or clips)[:recordings], clock, known=bool(right))


def _of_model(
    name: str, heard: str, model: xaudio.Model, clips: list[xaudio.Clip], clock: Clock, known: bool = False
) -> Iterator[Comparison]:
    note = f"{name}, {len(clips)} recordings ({heard}); seconds of both number formats, and how their relevance agrees"
    explain = partial(xaudio.explain, model, clips, device=str(clock.device), fit="loudest")
    for method in METHODS:
        specs = {kind: f"{method}{',' if ':' in method else ':'}precision={kind}" for kind in FORMATS}
        both = {kind: explain(explainer=spec) for kind, spec in specs.items()}
        made = clock.compare(
            "precision",
            f"{name}, {method}",
            {kind: partial(explain, explainer=spec) for kind, spec in specs.items()},
            base="bfloat16",
            note=note,
        )
        yield made.model_copy(update={"values": _agreement(both, model if known else None)})
    flipped = explain(explainer="gradient")
    metrics = {kind: _metric(f"{FLIPPING},precision={kind}") for kind in FORMATS}
    areas = {kind: metric(model, flipped)["deletion_auc"] for kind, metric in metrics.items()}
    runs = {kind: partial(metric, model, flipped) for kind, metric in metrics.items()}
    made = clock.compare("precision", f"{name}, {FLIPPING}", runs, base="bfloat16", note=note)
    difference = np.abs(areas["float32"] - areas["bfloat16"])
    yield made.model_copy(update={"values": {"largest difference of an area": float(difference.max())}})


def _metric(spec: str) -> Any:
    name, options = xaudio.plugin.parse_spec(spec)
    return xaudio.create("metric", name, **options)


def _agreement(both: dict[str, Any], model: xaudio.Model | None) -> dict[str, float]:
    """Rank correlation of all cells, how many of the highest stay among them, and with a model the mass on the truth."""
    pairs = list(zip(*both.values(), strict=True))
    correlations = [_rank_correlation(*(item.relevance for item in pair)) for pair in pairs]
    kept = [_kept(*(item.relevance for item in pair)) for pair in pairs]
    values = {
        "rank correlation": float(np.mean(correlations)),
        "least rank correlation": float(min(correlations)),
        "share of the highest 1 %": float(np.mean(kept)),
    }
    if model is not None:
        metric = xaudio.create("metric", "relevance_mass")
        for kind, explanations in both.items():
            values[f"mass on the truth, {kind}"] = float(np.nanmean(metric(model, explanations)["relevance_mass"]))
    return values


def _rank_correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Spearman's, over all cells."""
    from scipy.stats import spearmanr

    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _kept(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The share of the highest cells of one that are among the highest of the other."""
    count = max(1, round(TOP * one.size))
    highest = [set(np.argsort(relevance, axis=None)[-count:].tolist()) for relevance in (one, other)]
    return len(highest[0] & highest[1]) / count
