"""Checks on a sound of our own, before an explanation and as the first part of a diagnosis."""

from __future__ import annotations

import warnings
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import XaudioWarning
from ..model.model import Model
from ..registry.randomness import seeded_generator
from .checks import Statements, check, check_modules
from .findings import Finding, statement_of
from .tracing import trace

_SAID: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()


def example_sound(samples: int, sample_rate: int) -> Tensor:
    """A sound (1, samples) in [-1, 1], always the same: a buzz of 120 Hz with noise, a quarter of silence on both sides."""
    time = torch.arange(samples, dtype=torch.float32) / sample_rate
    buzz = sum(torch.sin(2 * torch.pi * 120 * harmonic * time) / harmonic for harmonic in range(1, 20))
    noise = torch.rand(samples, generator=seeded_generator(0), dtype=torch.float32) - 0.5
    sound = 0.2 * torch.as_tensor(buzz) + 0.1 * noise
    sound[: samples // 4] = sound[samples - samples // 4 :] = 0
    return sound[None]


def example_features(model: Model) -> Tensor:
    """What a model's network reads of that sound, (1, channels, *axes)."""
    read = model.representation
    with torch.no_grad():
        return model.features(example_sound(read.samples, read.sample_rate).to(model.device))


def examine(model: Model, features: Tensor, stated: Statements) -> list[Finding]:
    """All that is found without running an explainer.

    Raises
    ------
    ModelError
        If the network does not take the features.
    """
    network = model.network
    return check(trace(network, features), stated) + check_modules(network, stated)


def warn_about(model: Model, name: str, explainer: Any) -> list[dict[str, str]]:
    """Warn of what makes an explanation wrong, once for each model and finding.

    It costs a few forward passes of one recording, once.

    Parameters
    ----------
    model : Model
    name : str
        Of the explainer.
    explainer : callable

    Returns
    -------
    list of dict
        ``severity`` and ``text`` of everything that was found, whether it was said before or not.
    """
    statement = statement_of(explainer, name)
    if statement.control:
        return []
    features = example_features(model)
    try:
        findings = [{"severity": item.severity, "text": str(item)} for item in examine(model, features, {name: statement})]
    except Exception as error:  # a check must not keep anyone from an explanation that would work
        if _fails(model, features):
            return []  # the explanation will say why
        reason = " ".join(str(error).split()).rstrip(".")
        findings = [{"severity": "warning", "text": f"not-checked: the model cannot be watched at work ({reason})."}]
    said = _SAID.setdefault(model.network, set())
    for finding in findings:
        if finding["text"] not in said:
            said.add(finding["text"])
            warnings.warn(finding["text"], XaudioWarning, stacklevel=5)  # past the frames of explain's decorators
    return findings


def _fails(model: Model, features: Tensor) -> bool:
    try:
        with torch.no_grad():
            model.network(features.clone())
    except Exception:
        return True
    return False
