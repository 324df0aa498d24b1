"""Pages of explanations: markup, tables, and the data that the component draws and plays."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from xaudio.plugin import (
    Explanation,
    OutputError,
    PluginError,
    Written,
    as_written,
    data_address,
    parse_spec,
    progress,
    read_audio,
    renderer_for_listening,
    write_text,
)

from ._packing import Packed
from ._picture import picture_of, waveform_of
from ._words import (
    class_rows,
    model_name,
    part_labels,
    provenance_rows,
    quoted,
    recording_name,
    relevance_in_words,
    remark,
    view_name,
)

PARTS = ("original", "positive", "negative", "complement")
PICTURES = (".png", ".jpg", ".svg")
SOUNDS = (".wav", ".flac", ".ogg")
SAME_LENGTH = 0.005
"""Seconds by which picture and sound may differ."""
SCRIPTS = ("data.js", "sound.js", "plot.js", "controls.js", "playing.js", "steering.js", "player.js")


class Sound(NamedTuple):
    """A sound of a page: the file, empty if it is silent, and what its renderer knows of it."""

    content: bytes
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Html:
    """Renderer of pages; see `xaudio_html.html` for the options.

    Raises
    ------
    PluginError
        If a page were to hold itself.
    """

    sounds: str = "audible"
    renderers: tuple[str, ...] = ()
    _known: WeakKeyDictionary[Explanation, tuple[str, dict[str, Sound]]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if any(parse_spec(renderer)[0] == "html" for renderer in self.renderers):
            raise PluginError(
                "The option renderers of renderer 'html' names 'html' itself; expected others, such as visual+mine."
            )

    def __call__(self, explanation: Explanation, folder: Path) -> list[Path]:
        """Write ``explanation.html`` into a folder, atomically."""
        return [write_text(folder / "explanation.html", self.page([explanation]))]

    def page(self, explanations: Explanation | Iterable[Explanation]) -> str:
        """A whole page that needs nothing else.

        Parameters
        ----------
        explanations : Explanation or iterable of Explanation
            Those of the same recording share a component, in which one chooses model, class, explainer and view.

        Raises
        ------
        OutputError
            If there is none, the relevance of one is not finite, or has more than two axes.
        PluginError
            If a renderer is unknown or writes files that a page cannot show.
        """
        shown = [explanations] if isinstance(explanations, Explanation) else list(explanations)
        if not shown:
            raise OutputError("There is no explanation to make a page of.")
        groups = _by_recording(shown)
        with progress("Writing the page", len(groups), always=False) as advance:
            parts = []
            for group in groups:
                parts.append(self._component(group, 2, asking=len(shown) > 1))
                advance()
        body = "\n".join(parts)
        style, page_style, script = player_style(), _text("page.css"), player_script()
        return _template("page.html.j2").render(
            title=_title(shown, len(groups)),
            heading=_heading(shown, len(groups)),
            many=len(shown) > 1,
            megabytes=len(body) / 1e6,
            styles=[Markup(style), Markup(page_style)],  # noqa: S704 (the package's own files)
            script=Markup(script),  # noqa: S704
            policy=_policy([style, page_style], script),
            body=Markup(body),  # noqa: S704 (made by the template of the component, which escapes)
        )

    def component(self, explanations: Explanation | Iterable[Explanation], *, level: int = 2) -> str:
        """Markup and data for the pages of others, which must hold `assets` once: a component for each recording.

        Parameters
        ----------
        explanations : Explanation or iterable of Explanation
        level : int
            Of the component's heading, 2 to 6.

        Raises
        ------
        OutputError, PluginError
            As `page`.
        """
        shown = [explanations] if isinstance(explanations, Explanation) else list(explanations)
        return "\n".join(self._component(group, level) for group in _by_recording(shown))

    def assets(self) -> str:
        """Style and script of the component, once per page."""
        return f'<style>{player_style()}</style>\n<script type="module">{player_script()}</script>'

    def _component(self, explanations: Sequence[Explanation], level: int, *, asking: bool = True) -> str:
        packed = Packed()
        shown = [self._shown(explanation, packed) for explanation in explanations]
        first = explanations[0]
        data = {
            "name": recording_name(first),
            "waveform": waveform_of(first, packed),
            "choices": _choices(explanations),
            "explanations": [item["data"] for item in shown],
        }
        return _template("component.html.j2").render(
            name=recording_name(first),
            level=level,
            asking=asking,
            shown=shown,
            data=Markup(_inert(data)),  # noqa: S704 (escaped there)
            packed=packed.texts,
        )

    def _shown(self, explanation: Explanation, packed: Packed) -> dict[str, Any]:
        """What the template shows of an explanation, and under ``data`` what the component reads."""
        sounds = self._sounds(explanation, packed)
        question, summary = quoted(explanation), relevance_in_words(explanation)
        probability = dict(zip(explanation.classes, map(float, explanation.probabilities), strict=True))
        return {
            "question": question,
            "task": explanation.task,
            "predicted": [(name, probability[name]) for name in explanation.predictions],
            "truth": None if explanation.label is None else explanation.classes[explanation.label],
            "explainer": explanation.explainer,
            "view": view_name(explanation),
            "relevance": summary,
            "sounds": sounds.values(),
            "classes": class_rows(explanation),
            "provenance": provenance_rows(explanation),
            "warnings": [_sentence(warning) for warning in explanation.warnings],
            "notes": [_sentence(remark) for remark in explanation.remarks],
            "others": [_written(renderer, explanation) for renderer in self.renderers],
            "data": {
                "question": question,
                "summary": summary,
                "picture": picture_of(explanation, packed),
                "sounds": sounds,
            },
        }

    def _sounds(self, explanation: Explanation, packed: Packed) -> dict[str, dict[str, Any]]:
        """Each part with its label, remark and either its data or the reason why it is silent."""
        labels, sounds = part_labels(explanation), self._rendered(explanation)
        return {
            part: {
                "label": labels[part],
                "remark": remark(explanation, part, sounds[part].facts),
                "reason": sounds[part].facts.get("reason", ""),
                "data": packed.add(sounds[part].content, compress=False) if sounds[part].content else None,
            }
            for part in PARTS
            if part in sounds
        }

    def _rendered(self, explanation: Explanation) -> dict[str, Sound]:
        """The sounds by their part, rendered once for a page of its own and for one with others."""
        fingerprint = explanation.fingerprint
        known = self._known.get(explanation)
        if known is None or known[0] != fingerprint:
            self._known[explanation] = known = fingerprint, self._render(explanation)
        return known[1]

    def _render(self, explanation: Explanation) -> dict[str, Sound]:
        name, options = parse_spec(self.sounds)
        with TemporaryDirectory() as folder:
            written = as_written(renderer_for_listening(name, options, format="flac")(explanation, Path(folder)))
            files = {file.path.stem: file for file in written if file.path.stem in PARTS and file.path.suffix in SOUNDS}
            self._refuse_other_length(explanation, files)
            return {part: _sound(file) for part, file in files.items()}

    def _refuse_other_length(self, explanation: Explanation, files: Mapping[str, Written]) -> None:
        if "original" not in files:
            return
        played, seen = read_audio(files["original"].path).duration, explanation.clip.duration
        if abs(played - seen) > SAME_LENGTH:
            raise PluginError(
                f"The option sounds of renderer 'html', {self.sounds!r}, gives sounds of {played:.3f} s for a picture of "
                f"{seen:.3f} s, so that the play head could not keep in step; leave out what changes their length."
            )


def player_style() -> str:
    """The style sheet of the component."""
    return _text("player.css")


@cache
def player_script() -> str:
    """The component's script: its files one after the other, as one module."""
    return "\n".join(_text(name) for name in SCRIPTS)


@cache
def _text(name: str) -> str:
    return files("xaudio_html").joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("xaudio_html", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _template(name: str) -> Template:
    return _environment().get_template(name)


def _policy(styles: Sequence[str], script: str) -> str:
    """A Content-Security-Policy under which only the page's own style and script are used, and nothing is loaded."""

    def digest(text: str) -> str:
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"

    own = " ".join(map(digest, styles))
    return f"default-src 'none'; img-src data:; media-src data:; style-src {own}; script-src {digest(script)}"


def _inert(data: Any) -> str:
    """JSON that ends no element and opens no comment, whatever names it holds."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _by_recording(explanations: Sequence[Explanation]) -> list[list[Explanation]]:
    groups: dict[tuple[str, int, bytes], list[Explanation]] = {}
    for explanation in explanations:
        clip = explanation.clip
        groups.setdefault((clip.source, clip.sample_rate, clip.waveform.tobytes()), []).append(explanation)
    return list(groups.values())


def _choices(explanations: Sequence[Explanation]) -> dict[str, list[str]]:
    """For each thing in which the explanations of a recording differ, its value for each of them."""
    choices = {
        "Model": [model_name(item) for item in explanations],
        "Task": [item.task for item in explanations],
        "Class": [quoted(item) for item in explanations],
        "Explainer": [item.explainer for item in explanations],
        "View": [view_name(item) for item in explanations],
    }
    together = list(zip(*choices.values(), strict=True))
    choices["Number"] = [str(together[:place].count(item) + 1) for place, item in enumerate(together)]
    return {name: values for name, values in choices.items() if len(set(values)) > 1}


def _title(explanations: Sequence[Explanation], recordings: int) -> str:
    return explanations[0].title() if len(explanations) == 1 else _heading(explanations, recordings)


def _heading(explanations: Sequence[Explanation], recordings: int) -> str:
    if len(explanations) > 1:
        return f"{len(explanations)} explanations of {'one recording' if recordings == 1 else f'{recordings} recordings'}"
    (only,) = explanations
    return f"{only.task}: why {only.question}?" if only.task else f"Why {only.question}?"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _sound(file: Written) -> Sound:
    return Sound(b"" if file.facts.get("reason") else file.path.read_bytes(), file.facts)


def _written(renderer: str, explanation: Explanation) -> dict[str, Any]:
    """What another renderer writes, as data that a page holds."""
    name, options = parse_spec(renderer)
    with TemporaryDirectory() as folder:
        written = [file.path for file in as_written(renderer_for_listening(name, options)(explanation, Path(folder)))]
        odd = [path.name for path in written if path.suffix not in {*PICTURES, *SOUNDS, ".json"}]
        if odd:
            raise PluginError(
                f"The renderer {name!r} writes {odd[0]}, which a page cannot show; leave it out of the option renderers."
            )
        return {
            "name": name,
            "pictures": [data_address(path.read_bytes(), path.suffix) for path in written if path.suffix in PICTURES],
            "players": {path.stem: data_address(path.read_bytes(), path.suffix) for path in written if path.suffix in SOUNDS},
        }
