"""Models made by plugins, before any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..errors import ModelError, PluginError
from ..registry.loading import registry
from ..registry.options import parse_spec
from ..types import Kind
from .model import Model
from .modes import plain_torch
from .trial import silence


@plain_torch()
def new_model(
    model: str,
    classes: tuple[str, ...],
    *,
    task: str = "",
    model_options: Mapping[str, Any] | None = None,
    representation: str | None = None,
    representation_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    facts: Mapping[str, Any] | None = None,
    kind: Kind = "classes",
) -> Model:
    """An untrained model from plugins, its weights drawn from the seed.

    Parameters
    ----------
    model, representation : str
        Plugin names; the model's own representation unless another is named.
    classes : tuple of str
    task : str
    model_options, representation_options : mapping
    seed : int
    facts : mapping
    kind : {"classes", "labels"}

    Raises
    ------
    ModelError, PluginError
        If a plugin is unknown, an option does not fit, or the two do not fit together.
    """
    options = dict(model_options or {})
    if "classes" in options:
        raise PluginError(f"The number of classes of {model!r} follows from the task; leave out the option 'classes'.")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = registry().create("model", model, {**options, "classes": len(classes)})
    chosen = representation or getattr(network, "representation", None)
    if chosen is None:
        raise ModelError(f"The model {model!r} does not say what it reads. Name a representation.")
    chosen, reading_options = parse_spec(chosen)
    reading_options = {**reading_options, **(representation_options or {})}
    reads = registry().create("representation", chosen, reading_options)
    untrained = Model(
        network,
        reads,
        classes,
        task,
        model_spec={"name": model, "options": options},
        representation_spec={"name": chosen, "options": reading_options},
        facts=facts or {},
        kind=kind,
    )
    with torch.no_grad():
        network.eval()
        untrained.logits(untrained.features(silence(reads)))
    return untrained
