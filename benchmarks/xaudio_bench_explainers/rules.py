"""The preset "rules": rules of lrp on networks that are not chains of layers, which are trained first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xaudio
import xaudio.plugin
from xaudio.plugin import Dataset, Experiment

NETWORKS = ("log-mel-cnn:sample_rate=8000,width=8", "transformer:reads=log_mel", "transformer:reads=waveform")
"""A residual network, and transformers in the manner of the AST and of wav2vec 2.0."""
EXPLAINERS = (
    "lrp:composite=epsilon",
    "lrp:composite=epsilon,attention=attnlrp",
    "lrp:composite=gamma",
    "lrp:composite=epsilon_gamma",
    "lrp:composite=epsilon_plus",
    "lrp:composite=epsilon_alpha2_beta1",
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "shapley_value_sampling",
    "occlusion",
)
METRICS = ("relevance_mass", "relevance_rank", "pixel_flipping", "deletion_auc", "insertion_auc", "conservation")
TRUTH = ("carriers", "slot", "conjunction")
"""Tasks of the data set ``truth`` that a model can only learn from the evidence."""
AS_THEY_ARE: Mapping[str, Any] = {"shift": 0.0, "speed": 0.0, "masks": 0, "mixup": 0.0}
"""What is not done to sounds whose class lies in the place of the evidence."""


def planned(
    datasets: Sequence[str], data: Sequence[Path], networks: Sequence[str], tasks: Sequence[str], steps: int, seed: int
) -> list[Experiment]:
    """A training of each network on each task of each data set.

    Raises
    ------
    XaudioError
        If a data set cannot be opened, or no task has the name.
    """
    count = max(len(datasets), len(data), 1)
    named = xaudio.plugin.for_each("--datasets", datasets or ([] if data else ["truth"]), count)
    folders = xaudio.plugin.for_each("--data", data, count)
    opened = [xaudio.open_dataset(name, folder, seed) for name, folder in zip(named, folders, strict=True)]
    return [
        _experiment(dataset, task, network, steps, seed)
        for dataset in opened
        for task in _tasks(dataset, tasks)
        for network in networks or NETWORKS
    ]


def folder_of(experiment: Experiment) -> str:
    """A name for the folder of a training."""
    options = "".join(f"-{key}-{value}" for key, value in experiment.model_options.items())
    return re.sub(r"[^\w.-]+", "-", f"{experiment.dataset.name}-{experiment.task}-{experiment.model}{options}")


def _tasks(dataset: Dataset, tasks: Sequence[str]) -> list[str]:
    usual = TRUTH if dataset.name == "truth" else tuple(dataset.tasks)
    for task in tasks:
        if task not in dataset.tasks:
            raise xaudio.DataError(xaudio.plugin.unknown(f"task of {dataset.title}", task, dataset.tasks))
    return [task for task in usual if not tasks or task in tasks]


def _experiment(dataset: Dataset, task: str, network: str, steps: int, seed: int) -> Experiment:
    name, options = xaudio.plugin.parse_spec(network)
    # Of networks of any length no recording is too long, but they are trained at one length.
    own = getattr(xaudio.create("model", name, classes=2, **options), "training_settings", {})
    still = {key: value for key, value in AS_THEY_ARE.items() if key in own} if dataset.name == "truth" else {}
    return Experiment(
        dataset, task, 0, name, model_options=options, training={**still, "steps": steps, "seed": seed}, fit="loudest"
    )
