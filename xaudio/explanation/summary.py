"""What an explanation says in a few numbers: JSON values of some kilobytes, where relevance itself would be megabytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .channels import is_apart
from .explanation import Explanation

PARTS = 16
"""Of each axis, over which relevance is summed."""


def summary_of(explanation: Explanation) -> dict[str, Any]:
    """Scores, sums of relevance in all and along each axis, the strongest place, warnings and notes, as JSON values.

    Parameters
    ----------
    explanation : Explanation

    Returns
    -------
    dict
    """
    shares, predicted = explanation.probabilities, list(explanation.predictions)
    classes, strongest = explanation.classes, explanation.strongest
    return {
        "source": explanation.clip.source,
        "explained": classes[explanation.target],
        "contrast": explanation.contrast_class,
        "predicted": None if shares is None else predicted[0] if explanation.kind == "classes" else predicted,
        "kind": explanation.kind,
        "probabilities": None if shares is None else dict(zip(classes, (float(share) for share in shares), strict=True)),
        "scores": dict(zip(classes, map(float, explanation.logits), strict=True)),
        "relevance_sum": float(explanation.relevance.sum()),
        **({"relevance_of_channels": _by_channel(explanation)} if explanation.channels and is_apart(explanation) else {}),
        "logit": explanation.score,
        "explainer": explanation.explainer,
        "domain": explanation.domain,
        "strongest": strongest and dict(zip((axis.name for axis in explanation.axes), strongest, strict=True)),
        "recording_span": explanation.recording_span,
        "window_start": explanation.window_start,
        "view": explanation.provenance.get("view"),
        "trained_on": explanation.provenance.get("trained_on"),
        "completeness": explanation.provenance.get("completeness"),
        "warnings": list(explanation.warnings),
        "notes": list(explanation.remarks),
    }


def _by_channel(explanation: Explanation) -> dict[str, float]:
    return {name: float(part.sum()) for name, part in zip(explanation.channels, explanation.relevance, strict=True)}


def relevance_along(explanation: Explanation) -> dict[str, dict[str, Any]]:
    """Relevance summed in 16 equal parts of each axis: where the first begins, where the last ends, and the sums.

    Parameters
    ----------
    explanation : Explanation
    """
    relevance = explanation.relevance.astype(np.float64).sum(0)
    along = {}
    for place, axis in enumerate(explanation.axes):
        others = tuple(other for other in range(relevance.ndim) if other != place)
        sums = [float(part.sum()) for part in np.array_split(relevance.sum(others), PARTS)]
        along[axis.name] = {"unit": axis.unit, "first": float(axis.centres[0]), "last": float(axis.centres[-1]), "sums": sums}
    return along
