"""What the page says in words: for those who do not see the picture, and for all who ask where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xaudio.plugin import Explanation, without_folders


def quoted(explanation: Explanation) -> str:
    """What is explained, with names in quotes: "'9'", or "'9' rather than '3'"."""
    target, other = explanation.classes[explanation.target], explanation.contrast_class
    return f"{target!r}" if other is None else f"{target!r} rather than {other!r}"


def part_labels(explanation: Explanation) -> dict[str, str]:
    """What each part of the sound is."""
    return {
        "original": "The recording",
        "positive": f"What speaks for {quoted(explanation)}",
        "negative": f"What speaks against {quoted(explanation)}",
        "complement": "The rest: what the explanation leaves out",
    }


def recording_name(explanation: Explanation) -> str:
    """The name of the recording's file, or what else is known of where it comes from, and which of several channels it is."""
    channel = explanation.provenance.get("channel")
    return explanation.clip.name + (f", {channel['name']} channel" if channel else "")


def view_name(explanation: Explanation) -> str:
    """The domain of the relevance, with the options of a view."""
    view = explanation.provenance.get("view") or {}
    options = ", ".join(f"{key} {value}" for key, value in (view.get("options") or {}).items())
    name = str(view.get("name") or explanation.domain or " × ".join(axis.name for axis in explanation.axes))
    return f"{name} ({options})" if options else name


def model_name(explanation: Explanation) -> str:
    """The model: its run folder's name where it has one, else its plugin's."""
    model = explanation.provenance.get("model") or {}
    run = model.get("run")
    return Path(str(run)).name if run else str(model.get("name") or "")


def relevance_in_words(explanation: Explanation) -> str:
    """What the picture shows: the shares of both signs and the place of the strongest cell."""
    pro, contra = explanation.percentages
    if explanation.strongest is None:
        return "There is no relevance: it is zero everywhere."
    channels = len(explanation.relevance)
    summed = f" The picture shows the sum of the relevance over {channels} channels." if channels > 1 else ""
    return (
        f"{pro} % of the relevance speaks for {quoted(explanation)}, {contra} % against it; "
        f"it is strongest at {explanation.strongest_place}.{summed}"
    )


def remark(explanation: Explanation, part: str, facts: Mapping[str, Any]) -> str:
    """Share of relevance and level of a sound, as far as they are known; the shares are those that the page names elsewhere."""
    shares = dict(zip(("positive", "negative"), explanation.percentages, strict=True))
    parts, raised = [f"{shares[part]} % of the relevance"] if part in shares else [], facts.get("raised_db")
    if part == "original":
        raised = facts.get("gain_db")
    if raised:
        parts.append(f"{'raised' if raised > 0 else 'lowered'} by {abs(raised):.1f} dB")
    if facts.get("limited_by_gain"):
        parts.append("the most that a part is raised, and still softer than the recording")
    elif facts.get("limited_by_peak"):
        parts.append("softer than the recording, so as not to clip")
    return ", ".join(parts)


def class_rows(explanation: Explanation) -> list[dict[str, Any]]:
    """Probability (None where there are none), logit or value, and roles of each class."""
    contrasted, shares = explanation.contrast_class, explanation.probabilities
    truth = None if explanation.label is None else explanation.classes[explanation.label]
    explained = explanation.classes[explanation.target]
    roles = {"predicted": explanation.predictions, "explained": (explained,), "truth": (truth,), "contrasted": (contrasted,)}
    return [
        {
            "name": name,
            "probability": None if shares is None else float(shares[index]),
            "logit": float(explanation.logits[index]),
            "roles": ", ".join(role for role, held in roles.items() if name in held),
        }
        for index, name in enumerate(explanation.classes)
    ]


def provenance_rows(explanation: Explanation) -> list[tuple[str, str]]:
    """Where the explanation comes from: the recording, then everything in its provenance that is not empty, without folders."""
    clip = explanation.clip
    rows = [
        ("recording", clip.name),
        (clip.grouped_by, clip.group.removeprefix(f"{clip.grouped_by} ")),
        ("sound", f"{clip.duration:g} s at {clip.sample_rate} Hz"),
    ]
    rows += [
        (str(key).replace("_", " "), in_words(value))
        for key, value in without_folders(dict(explanation.provenance)).items()
        if value is not None
    ]
    return [(key, value) for key, value in rows if value]


def in_words(value: Any) -> str:
    """A JSON value on one line; a plugin's name and options as ``name (option: value, ...)``."""
    if isinstance(value, Mapping):
        parts = {key: part for key, part in value.items() if key not in ("name", "options", "given")}
        parts.update(value.get("options") or {})
        inside = ", ".join(f"{key.replace('_', ' ')}: {in_words(part)}" for key, part in parts.items())
        name = value.get("name", "")
        return f"{name} ({inside})" if name and inside else str(name or inside)
    if isinstance(value, list | tuple):
        return ", ".join(in_words(part) for part in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)
