"""What every metric asks of the explanations that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, ModelError, listing
from ..model.probability import PROBABLE

if TYPE_CHECKING:
    from ..explanation.explanation import Explanation
    from ..model.model import Model


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


def check_outputs(metric: str, model: Model, explanation: Explanation, *, probable: bool = False) -> None:
    """Refuse an explanation of what a metric cannot ask the model again.

    Parameters
    ----------
    metric : str
        For the message.
    model : Model
    explanation : Explanation
    probable : bool
        Whether the metric is of probabilities.

    Raises
    ------
    ModelError
        If what is explained is no output of the model itself, or has no probability.
    """
    if probable and model.kind not in PROBABLE:
        raise ModelError(f"{metric}: is of probabilities, which outputs of the kind {model.kind!r} do not have: leave it out.")
    if explanation.classes != model.classes:
        raise ModelError(
            f"{metric}: the explanation of {explanation.clip.source} by {explanation.explainer} is of {explanation.question!r}, "
            f"which is no output of this model ({listing(model.classes)}), so it cannot be asked again. Explain one of these."
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
