"""What pages, pictures and the terminal say alike: warnings and remarks on an explanation."""

from __future__ import annotations

import numpy as np

from ..registry.loading import registry
from ..sound.preparation import SILENT
from .record import Record

LOST = 0.01
"""Share of the relevance from which on it is a warning, and not a remark, that a view lacks it."""


def warnings_of(explanation: Record) -> tuple[str, ...]:
    """What makes an explanation doubtful, in sentences without their stop; see `Explanation.warnings`."""
    facts = explanation.provenance
    found = [f"the doctor says: {finding['text']}".rstrip(".") for finding in facts.get("findings", ())]
    if explanation.shortfall:
        found.append(explanation.shortfall)
    if facts.get("synthetic"):
        found.append(f"the model was trained on generated sounds alone ({facts['trained_on']}), not on recordings")
    notes = explanation.clip.notes
    if (facts.get("view") or {}).get("lost_share", 0) > LOST:
        found += [note for note in notes if note.endswith("view lacks it")]
    return (*found, *(note for note in notes if note == SILENT))


def remarks_of(explanation: Record) -> tuple[str, ...]:
    """What was done to the recording on its way to the model, and other harmless things; see `Explanation.remarks`."""
    warned = set(warnings_of(explanation))
    return (*(note for note in explanation.clip.notes if note not in warned), *_sum_beside_logit(explanation))


def _sum_beside_logit(explanation: Record) -> tuple[str, ...]:
    """By how much the relevance is not the logit, of methods that hand a logit down: biases and some rules keep their share."""
    explainer = explanation.provenance.get("explainer", {})
    channels = (explainer.get("options") or {}).get("channels")
    factory = registry().offered("explainer", explainer.get("name", ""))
    if "rules" not in getattr(factory, "relies_on", ()) or channels or explanation.contrast_class is not None:
        return ()
    total, logit = float(explanation.relevance.sum(dtype=np.float64)), float(explanation.logits[explanation.target])
    if abs(total - logit) <= LOST * abs(logit):
        return ()
    return (
        f"the relevance sums to {total:.3g}; the logit is {logit:.3g}: biases, and rules that do not conserve, keep the rest",
    )
