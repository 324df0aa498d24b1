"""What every metric asks of the explanations that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, ModelError

if TYPE_CHECKING:
    from ..explanation.explanation import Explanation


def check_explanations(explanations: Sequence[Explanation]) -> None:
    """Refuse explanations that no metric can measure together.

    Parameters
    ----------
    explanations : sequence of Explanation

    Raises
    ------
    DataError
        If there are none.
    ModelError
        If relevance is not shaped like the features or not finite (naming recording and explainer), or if the explanations
        are of several models, tasks or domains.
    """
    if not explanations:
        raise DataError("There are no explanations to measure: give one at least.")
    for explanation in explanations:
        whose = f"The relevance of {explanation.clip.source} by {explanation.explainer}"
        if explanation.relevance.shape != explanation.features.shape:
            raise ModelError(
                f"{whose} has shape {explanation.relevance.shape}; expected that of the features, {explanation.features.shape}."
            )
        if not np.isfinite(explanation.relevance).all():
            raise ModelError(f"{whose} holds NaN or infinity; check the explainer, or leave the recording out.")
    first = _origin(explanations[0])
    for explanation in explanations[1:]:
        for what, value in _origin(explanation).items():
            if value != first[what]:
                raise ModelError(
                    f"The explanations are not of one {what}: {explanations[0].clip.source} has {first[what]}, "
                    f"{explanation.clip.source} has {value}; measure them apart."
                )


def _origin(explanation: Explanation) -> dict[str, Any]:
    """What explanations that are measured together have in common."""
    facts = explanation.provenance
    model, view = dict(facts.get("model", {})), facts.get("view", {})
    if model.get("run"):
        model["run"] = str(Path(model["run"]).absolute())  # the same folder may be named in two ways
    return {
        "model": model,
        "task": explanation.task,
        "set of classes": explanation.classes,
        "representation": dict(facts.get("representation", {})),
        "domain": {"name": explanation.domain, **view.get("options", {})},
        "shape": explanation.features.shape,
    }
