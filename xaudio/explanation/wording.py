"""What pages, pictures and the terminal say alike: warnings and remarks on an explanation."""

from __future__ import annotations

import numpy as np

from ..registry.loading import registry
from ..sound.preparation import SILENT
from .record import MOST, Record

LOST = 0.01
"""Share of the relevance from which on it is a warning, and not a remark, that a view lacks it."""


def warnings_of(explanation: Record) -> tuple[str, ...]:
    """What makes an explanation doubtful, in sentences without their stop; see `Explanation.warnings`."""
    facts = explanation.provenance
    warnings = [f"the doctor says: {finding['text']}".rstrip(".") for finding in facts.get("findings", ())]
    if explanation.shortfall:
        warnings.append(explanation.shortfall)
    if not explanation.relevance.any() and explanation.clip.waveform.any():
        warnings.append("the relevance is 0 everywhere: nothing here changes what is explained, or its gradient is exactly 0")
    if facts.get("synthetic"):
        warnings.append(f"the model was trained on generated sounds alone ({facts['trained_on']}), not on recordings")
    notes = explanation.clip.notes
    if (facts.get("view") or {}).get("lost_share", 0) > LOST:
        warnings += [note for note in notes if note.endswith("view lacks it")]
    return (*warnings, *(note for note in notes if note == SILENT))


def remarks_of(explanation: Record) -> tuple[str, ...]:
    """What was done to the recording on its way to the model, and other harmless things; see `Explanation.remarks`."""
    warned = set(warnings_of(explanation))
    notes = (note for note in explanation.clip.notes if note not in warned)
    return (*notes, *_around(explanation), *_sum_beside_logit(explanation))


def _around(explanation: Record) -> tuple[str, ...]:
    """Which share of the relevance lies on the zeros around a recording, where it is worth a word."""
    place = next((index for index, axis in enumerate(explanation.axes) if axis.name == "time"), None)
    magnitude = np.abs(explanation.relevance.astype(np.float64))
    if place is None or not explanation.padding or not magnitude.any():
        return ()
    start, stop = explanation.recording_span
    times = explanation.recording_axes[place].centres
    share = np.moveaxis(magnitude, 1 + place, -1)[..., (times < start) | (times >= stop)].sum() / magnitude.sum()
    return (f"{share:.0%} of the relevance lies on the zeros around the recording",) if share >= LOST else ()


def _sum_beside_logit(explanation: Record) -> tuple[str, ...]:
    """By how much the relevance is not the logit, of methods that hand a logit down: biases and some rules keep their share."""
    explainer = explanation.provenance.get("explainer", {})
    channels = (explainer.get("options") or {}).get("channels")
    factory = registry().offered("explainer", explainer.get("name", ""))
    hands_down = {"rules", "functions"} & set(getattr(factory, "relies_on", ()))
    if not hands_down or channels or explanation.channel_alone or explanation.contrast_class is not None:
        return ()
    total, logit = float(explanation.relevance.sum(dtype=np.float64)), float(explanation.logits[explanation.target])
    if abs(total - logit) <= LOST * abs(logit):
        return ()
    missing = 1 - total / logit if logit else 0.0
    if missing > MOST:
        return (
            f"{missing:.0%} of the logit ({logit:.3g}) lies in biases, positions and other constants, or is kept by rules: it "
            "would be there without the sound",
        )
    return (
        f"the relevance sums to {total:.3g}; the logit is {logit:.3g}: biases, and rules that do not conserve, keep the rest",
    )
