"""A self-contained page of an explanation, made from the files that other renderers write."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template

from xaudio import Explanation, PluginError, create, parse_spec, write_text

PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
SOUNDS = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg"}


@dataclass(frozen=True, kw_only=True)
class Html:
    """Renderer of pages; see `xaudio_html.html` for the options.

    Raises
    ------
    PluginError
        If a page were to hold itself.
    """

    renderers: tuple[str, ...] = ("visual", "audible")

    def __post_init__(self) -> None:
        if any(parse_spec(renderer)[0] == "html" for renderer in self.renderers):
            raise PluginError(
                "The option renderers of renderer 'html' names 'html' itself; expected others, such as visual+audible."
            )

    def __call__(self, explanation: Explanation, folder: Path) -> list[Path]:
        """Write ``explanation.html`` into a folder, atomically."""
        return [write_text(folder / "explanation.html", self.page(explanation))]

    def page(self, explanation: Explanation) -> str:
        """The page as text.

        Raises
        ------
        PluginError
            If a renderer is unknown or writes files that a page cannot show.
        """
        pictures: list[str] = []
        players: list[dict[str, str]] = []
        with TemporaryDirectory() as folder:
            for number, renderer in enumerate(self.renderers):
                name, options = parse_spec(renderer)
                shown = Path(folder, str(number))
                shown.mkdir()
                written = create("renderer", name, **options)(explanation, shown)
                pictures += [_data_uri(path, PICTURES) for path in written if path.suffix in PICTURES]
                players += _players(explanation, written)
                odd = [path.name for path in written if path.suffix not in {*PICTURES, *SOUNDS, ".json"}]
                if odd:
                    raise PluginError(
                        f"The renderer {name!r} writes {odd[0]}, which a page cannot show; leave it out of the option renderers."
                    )
        return _template().render(
            title=explanation.title(),
            task=explanation.task,
            target=explanation.classes[explanation.target],
            predicted=explanation.classes[explanation.predicted],
            probability=float(explanation.probabilities[explanation.predicted]),
            truth=None if explanation.label is None else explanation.classes[explanation.label],
            pictures=pictures,
            players=players,
            relevance=_relevance_in_words(explanation),
            classes=_class_rows(explanation),
            provenance=_provenance_rows(explanation),
            notes=explanation.clip.notes,
        )


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("xaudio_html").joinpath("explanation.html.j2").read_text(encoding="utf-8"))


def _data_uri(path: Path, kinds: Mapping[str, str]) -> str:
    return f"data:{kinds[path.suffix]};base64,{b64encode(path.read_bytes()).decode('ascii')}"


def _players(explanation: Explanation, written: Sequence[Path]) -> list[dict[str, str]]:
    """Label, source and remark of each sound; a silent sound has a reason in place of a source."""
    target = explanation.classes[explanation.target]
    labels = {
        "original": "The recording",
        "positive": f"What speaks for {target!r}",
        "negative": f"What speaks against {target!r}",
    }
    facts: dict[str, Any] = {}
    for path in written:
        if path.name == "audible.json":
            facts = json.loads(path.read_text(encoding="utf-8"))["sounds"]
    players = []
    for path in written:
        if path.suffix in SOUNDS:
            known = facts.get(path.name, {})
            reason = known.get("reason", "")
            source = "" if reason else _data_uri(path, SOUNDS)
            players.append(
                {"label": labels.get(path.stem, path.stem), "source": source, "reason": reason, "remark": _remark(known)}
            )
    return players


def _remark(facts: Mapping[str, Any]) -> str:
    """Share of relevance and gain, as far as they are known."""
    share, gain = facts.get("share_of_relevance"), facts.get("gain_db")
    parts = [] if share is None else [f"{share:.0%} of the relevance"]
    return ", ".join(parts + ([f"played at {gain:+.1f} dB"] if gain else []))


def _relevance_in_words(explanation: Explanation) -> str:
    """What the picture shows, for those who do not see it: the shares of both signs and the place of the strongest cell."""
    magnitude = np.abs(explanation.relevance.astype(np.float64))
    if not magnitude.any():
        return "There is no relevance: it is zero everywhere."
    share = magnitude[explanation.relevance > 0].sum() / magnitude.sum()
    _, *place = np.unravel_index(int(magnitude.argmax()), magnitude.shape)
    where = ", ".join(
        f"{axis.name} {axis.centres[cell]:.4g} {axis.unit}" for axis, cell in zip(explanation.axes, place, strict=True)
    )
    target = explanation.classes[explanation.target]
    return f"{share:.0%} of the relevance speaks for {target!r}, {1 - share:.0%} against it; it is strongest at {where}."


def _class_rows(explanation: Explanation) -> list[dict[str, Any]]:
    roles = {"predicted": explanation.predicted, "explained": explanation.target, "truth": explanation.label}
    return [
        {
            "name": name,
            "probability": float(explanation.probabilities[index]),
            "logit": float(explanation.logits[index]),
            "roles": ", ".join(role for role, held in roles.items() if held == index),
        }
        for index, name in enumerate(explanation.classes)
    ]


def _provenance_rows(explanation: Explanation) -> list[tuple[str, str]]:
    """Where the explanation comes from: the recording, then everything in its provenance that is not empty."""
    clip = explanation.clip
    rows = [
        ("recording", clip.source),
        ("speaker", clip.speaker or ""),
        ("sound", f"{clip.duration:g} s at {clip.sample_rate} Hz"),
    ]
    rows += [(str(key).replace("_", " "), _in_words(value)) for key, value in explanation.provenance.items() if value is not None]
    return [(key, value) for key, value in rows if value]


def _in_words(value: Any) -> str:
    """A JSON value on one line; a plugin's name and options as ``name (option: value, ...)``."""
    if isinstance(value, Mapping):
        parts = {key: part for key, part in value.items() if key not in ("name", "options", "given")}
        parts.update(value.get("options") or {})
        inside = ", ".join(f"{key.replace('_', ' ')}: {_in_words(part)}" for key, part in parts.items())
        name = value.get("name", "")
        return f"{name} ({inside})" if name and inside else str(name or inside)
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(part) for part in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)
