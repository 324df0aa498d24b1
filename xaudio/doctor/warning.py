"""Checks on a sound of our own, before an explanation and as the first part of a diagnosis."""

from __future__ import annotations

import warnings
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import XaudioWarning
from ..model.model import Model
from ..model.statements import statement_of
from ..model.trial import example_sound
from .checks import Statements, check, check_modules
from .findings import Finding
from .tracing import trace

_SAID: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()


def example_features(model: Model) -> Tensor:
    """What a model's network reads of that sound, (1, channels, *axes)."""
    read = model.representation
    with torch.no_grad():
        return model.features(example_sound(read).to(model.device))


def examine(model: Model, features: Tensor, stated: Statements) -> list[Finding]:
    """All that is found without running an explainer.

    Raises
    ------
    ModelError
        If the network does not take the features.
    """
    network = model.network
    inside = "layers" in model.offers
    findings = check(trace(network, features, inside=inside), stated)
    return findings + (check_modules(network, stated) if inside else _unseen(model, stated))


def _unseen(model: Model, stated: Statements) -> list[Finding]:
    """That nobody can look into a model, for the explainers that take its gradient."""
    concerned = tuple(name for name, statement in stated.items() if statement.runs_backward)
    if not concerned:
        return []
    return [
        Finding(
            "not-watched",
            "warning",
            (),
            concerned,
            f"The operations of the model ({model.source}) cannot be seen: what would make its gradient wrong is not looked for.",
            "Give the module that it was made of, or compare with an explainer that needs scores only.",
        )
    ]


def warn_about(model: Model, name: str, explainer: Any, *, stacklevel: int = 5) -> list[dict[str, str]]:
    """Warn of what makes an explanation wrong, once for each model and finding.

    It costs a few forward passes of one recording, once.

    Parameters
    ----------
    model : Model
    name : str
        Of the explainer.
    explainer : callable
    stacklevel : int
        Of the caller's own call, as `warnings.warn` counts; by default past the frames of `explain`'s decorators.

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
            warnings.warn(finding["text"], XaudioWarning, stacklevel=stacklevel)
    return findings


def _fails(model: Model, features: Tensor) -> bool:
    try:
        with torch.no_grad():
            model.network(features.clone())
    except Exception:
        return True
    return False
