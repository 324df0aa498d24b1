"""What pages, pictures and the terminal say alike: warnings and remarks on an explanation, shares that add up, counted things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .explanation import Explanation

SILENT = "the recording is silent"
"""The note on a recording in which every sample is 0."""

LOST = 0.01
"""Share of the relevance from which on it is a warning, and not a remark, that a view lacks it."""


def warnings_of(explanation: Explanation) -> tuple[str, ...]:
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


def remarks_of(explanation: Explanation) -> tuple[str, ...]:
    """What was done to the recording on its way to the model, and other harmless things; see `Explanation.remarks`."""
    warned = set(explanation.warnings)
    return (*(note for note in explanation.clip.notes if note not in warned), *_sum_beside_logit(explanation))


def _sum_beside_logit(explanation: Explanation) -> tuple[str, ...]:
    """By how much the relevance is not the logit, of methods that hand a logit down: biases and some rules keep their share."""
    from ..doctor.findings import family_of

    explainer = explanation.provenance.get("explainer", {})
    channels = (explainer.get("options") or {}).get("channels")
    if family_of(explainer.get("name", "")).sums_to != "logit" or channels or explanation.contrast_class is not None:
        return ()
    total, logit = float(explanation.relevance.sum(dtype=np.float64)), float(explanation.logits[explanation.target])
    if abs(total - logit) <= LOST * abs(logit):
        return ()
    return (
        f"the relevance sums to {total:.3g}; the logit is {logit:.3g}: biases, and rules that do not conserve, keep the rest",
    )


def percentages(shares: Sequence[float]) -> list[int]:
    """Shares as whole percentages that add up to 100, rounded by the largest remainder; all 0 if the shares are.

    Parameters
    ----------
    shares : sequence of float
        Not negative; of a whole that they make up together.
    """
    whole = float(sum(shares))
    if not whole:
        return [0] * len(shares)
    exact = 100 * np.asarray(shares, dtype=np.float64) / whole
    down = np.floor(exact).astype(int)
    largest = np.argsort(down - exact, kind="stable")
    down[largest[: 100 - int(down.sum())]] += 1
    return [int(percent) for percent in down]


def counted(count: int, thing: str, things: str = "") -> str:
    """A number with the name of what is counted, such as "1 recording" or "2000 recordings".

    Parameters
    ----------
    count : int
    thing : str
    things : str
        The plural; by default with an s.
    """
    return f"{count} {thing if count == 1 else things or thing + 's'}"
