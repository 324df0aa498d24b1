"""What a picture says: its title, what its colours mean, what a cell is called."""

from __future__ import annotations

import textwrap

import numpy as np

from xaudio.plugin import Explanation

WIDTH_OF_TITLE = 86
"""In letters."""

LETTERS_BESIDE = (32, 28)
"""Of the colours' label beside one of three panels, with one channel and with several, whose panels are smaller."""


def title_of(explanation: Explanation) -> str:
    """Task, classes with their probabilities, explainer and data, in lines that fit the figure."""
    target, name, shares = explanation.target, explanation.classes[explanation.target], explanation.probabilities
    explained = repr(name) if shares is None else f"{name!r} ({shares[target]:.0%})"
    if explanation.contrast_class is not None:
        outcome = f"{explanation.prediction}, explained {explained} rather than {explanation.contrast_class!r}"
    elif explanation.predictions == (name,):
        outcome = f"predicted and explained {explained}"
    else:
        outcome = f"{explanation.prediction}, explained {explained}"
    truth = "" if explanation.label is None else f", truth {explanation.classes[explanation.label]!r}"
    task = f"{explanation.task}: " if explanation.task else ""
    data = [str(explanation.provenance.get(key) or "") for key in ("data", "note")]
    origin = " · ".join(part for part in (*data, explanation.clip.name) if part)
    nothing = "" if np.any(explanation.relevance) else "there is no relevance: it is zero everywhere"
    lines = [f"{task}{outcome}{truth}", explanation.explainer + _view(explanation), explanation.in_constants, origin, nothing]
    return "\n".join(row for line in lines for row in textwrap.wrap(line, WIDTH_OF_TITLE))


def _view(explanation: Explanation) -> str:
    """The view and its options, if the relevance was brought to another domain than the model's."""
    view = explanation.provenance.get("view")
    if not view:
        return ""
    options = ", ".join(f"{name} {value}" for name, value in view["options"].items())
    return f" · {view['name']} view" + (f" ({options})" if options else "")


def meaning_of_colours(explanation: Explanation, letters: int | None = None) -> str:
    """What the colours mean, in one line, or below a line of its own in lines of so many letters."""
    name = textwrap.shorten(explanation.classes[explanation.target], 24, placeholder="…")
    other = explanation.contrast_class
    against = "against" if other is None else f"for {textwrap.shorten(other, 24, placeholder='…')!r}"
    red, blue = f"(red: for {name!r},", f"blue: {against})"
    if letters is None:
        return f"Relevance {red} {blue}"
    # Each meaning has a line of its own, where it fits into one.
    lines = [red, blue] if len(red) <= letters < len(f"{red} {blue}") else [f"{red} {blue}"]
    return "\n".join(["Relevance", *(part for line in lines for part in textwrap.wrap(line, letters))])


def cell_of(explanation: Explanation) -> str:
    """What a cell along the single axis is called."""
    if explanation.relevance.shape[1:] == explanation.clip.waveform.shape:
        return "sample"
    return {"time": "frame"}.get(explanation.axes[0].name, explanation.axes[0].name)
