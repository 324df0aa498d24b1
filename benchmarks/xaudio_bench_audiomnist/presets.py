"""How long and how fast each preset trains; what is not named here is as the model was published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TASKS = ("digit", "sex")

PUBLISHED = {
    ("alexnet", "digit"): (95.82, 1.49),
    ("alexnet", "sex"): (95.87, 2.85),
    ("audionet", "digit"): (92.53, 2.04),
    ("audionet", "sex"): (91.74, 8.60),
}
"""Accuracy and its standard deviation over folds in percent: Table 1 of arXiv 1807.03418."""

RECORDINGS = 30_000
"""Of AudioMNIST as released."""


@dataclass(frozen=True)
class Preset:
    """A training schedule.

    Parameters
    ----------
    dataset : str
        Used unless another is named.
    folds : int or None
        How many of the folds are trained; None for all.
    training : mapping of str to mapping
        Training settings instead of the published ones: "" is for all models, then by model, then by "model task".
    label : str
        What tables and figures say of it.
    limit : int or None
        Test recordings of each fold that are manipulated and explained; None for all.
    draws : int
        Random orders in which samples are taken away.
    """

    dataset: str
    folds: int | None
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    label: str = ""
    limit: int | None = None
    draws: int = 3


# The published initialisation leaves AlexNet on a plateau for thousands of steps and gives AudioNet logits in the
# thousands; a short training needs He's, and Adam.
SHORT = {
    "optimiser": "adam",
    "initialisation": "he",
    "halve_every": None,
    "schedule": "cosine",
    "clip_norm": 5.0,
    "batch_size": 32,
    "precision": "auto",
}

PRESETS = {
    "quick": Preset(
        dataset="synthetic",
        folds=1,
        training={
            "": {**SHORT, "warmup": 10},
            "alexnet": {"learning_rate": 8e-4},
            "alexnet digit": {"steps": 230},
            "alexnet sex": {"steps": 120},
            "audionet": {"learning_rate": 3e-4, "batch_size": 24},
            "audionet digit": {"steps": 240},
            "audionet sex": {"steps": 120},
        },
        label="quick preset: a short training, not the paper's protocol",
        limit=48,
        draws=1,
    ),
    "small": Preset(
        dataset="audiomnist",
        folds=None,
        training={
            "": {**SHORT, "warmup": 50},
            "alexnet": {"steps": 600, "learning_rate": 6e-4},
            "audionet": {"steps": 600, "learning_rate": 1e-3},
        },
        label="small preset: a short schedule, not the paper's protocol",
        limit=200,
    ),
    "paper": Preset(dataset="audiomnist", folds=None, label="paper preset: the full protocol"),
}


def training_of(preset: str, model: str, task: str, overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Settings for one training that replace the published ones.

    Parameters
    ----------
    preset, model, task : str
    overrides : mapping of str to mapping
        The user's settings by model; "" is for all models.
    """
    settings: dict[str, Any] = {}
    if preset == "paper" and (model, task) == ("audionet", "sex"):
        settings |= {"steps": 10_000, "halve_every": 5_000}
    for source in (PRESETS[preset].training, overrides):
        settings |= {**source.get("", {}), **source.get(model, {}), **source.get(f"{model} {task}", {})}
    return settings
