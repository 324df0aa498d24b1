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
    LongExplanation,
    OutputError,
    PluginError,
    Written,
    as_written,
    by_channel,
    data_address,
    parse_spec,
    progress,
    read_audio,
    renderer_for_listening,
    without_folders,
    write_text,
)

from ._listing import listing
from ._overview import height_of, long_facts, numbers_of, overview
from ._packing import Packed
from ._picture import picture_of, waveform_of
from ._stretch import Stretch, stretch_of
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
LARGEST = 15_000_000
"""Letters of the players of a page of a long recording."""
MOST = 50_000_000
"""Letters of the players of a page of several recordings."""
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
    _known: WeakKeyDictionary[Explanation, tuple[tuple[str, Stretch | None], dict[str, Sound]]] = field(
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

    def page(self, explanations: Explanation | Iterable[Explanation], pages: Sequence[str] = ()) -> str:
        """A whole page that needs nothing else; of several recordings it begins with a table of their explanations.

        Parameters
        ----------
        explanations : Explanation or iterable of Explanation
            Those of the same recording share a component, in which one chooses model, class, explainer and view. One of a
            recording with several channels is shown channel by channel.
        pages : sequence of str
            For each, the address of a page of its own or "": where its row leads if the players of all would be more than 50 MB.

        Raises
        ------
        OutputError
            If there is none, the relevance of one is not finite, or has more than two axes.
        PluginError
            If a renderer is unknown or writes files that a page cannot show.
        """
        shown = by_channel([explanations] if isinstance(explanations, Explanation) else explanations)
        if not shown:
            raise OutputError("There is no explanation to make a page of.")
        groups = _by_recording(shown)
        many, several = len(shown) > 1, len(groups) > 1
        with progress("Writing the page", len(groups), always=False) as advance:
            parts: list[str] = []
            places: dict[int, dict[str, Any]] = {}
            for number, group in enumerate(groups):
                if sum(map(len, parts)) < MOST:
                    anchor = f"recording-{number + 1}" if several else ""
                    parts.append(self._component([shown[place] for place in group], 2, asking=many, anchor=anchor))
                    places |= {place: {"href": f"#{anchor}", "choice": at} for at, place in enumerate(group)}
                else:
                    places |= {place: {"href": pages[place] if pages else "", "choice": None} for place in group}
                advance()
        stretches = {place: stretch_of(shown[group[0]]) for group in groups for place in group}
        table = [self._listing(shown, [places[place] for place in range(len(shown))], stretches)] if several else []
        more = ("listing.css", "listing.js") if several else ()
        return _whole_page(
            _title(shown, len(groups)), _heading(shown, len(groups)), "\n".join(table + parts), many=many, more=more
        )

    def _listing(
        self, explanations: Sequence[Explanation], places: Sequence[Mapping[str, Any]], stretches: Mapping[int, Stretch | None]
    ) -> str:
        """The table of several explanations, each with the place of its player and the stretch that is heard."""
        heard = [self._rendered(item, stretches[number]) for number, item in enumerate(explanations)]
        sounds = [{part: sound.content for part, sound in rendered.items()} for rendered in heard]
        left = [place for place in places if place["choice"] is None]
        facts = {"left": len(left), "linked": any(place["href"] for place in left), "most": MOST // 1_000_000}
        return _template("listing.html.j2").render(**listing(explanations, sounds, places), **facts)

    def long_page(self, long: LongExplanation, pages: Mapping[int, str]) -> str:
        """A page of a long recording: a strip with all of it, and below a player for each explained window.

        Parameters
        ----------
        long : LongExplanation
        pages : mapping of int to str
            Addresses of pages of single windows: the least probable ones are found there when all would be more than 15 MB.
        """
        links, size = dict(pages), 0
        parts: list[tuple[int, str]] = []
        for place in _most_probable(long):
            explanation = long.explanations[place]
            number = int(explanation.provenance["window"]["number"])
            part = "\n".join(self._component([one], 2) for one in by_channel([explanation]))
            if size + len(part) > LARGEST and parts:
                break
            size += len(part)
            links[number] = f"#window-{number}"
            parts.append((number, f'<section class="window-part" id="window-{number}">\n{part}\n</section>'))
        shown = [markup for _, markup in sorted(parts)]
        left = len(long.explanations) - len(shown)
        strip = _template("overview.html.j2").render(**overview(long, links), facts=long_facts(long, left), notes=long.notes)
        heading = Path(long.source).name or long.source
        return _whole_page(heading, heading, "\n".join([strip, *shown]), many=True, more=("overview.css", "overview.js"))

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
        return "\n".join(self._component([shown[place] for place in group], level) for group in _by_recording(shown))

    def assets(self) -> str:
        """Style and script of the component, once per page."""
        return f'<style>{player_style()}</style>\n<script type="module">{player_script()}</script>'

    def _component(self, explanations: Sequence[Explanation], level: int, *, asking: bool = True, anchor: str = "") -> str:
        packed = Packed()
        first = explanations[0]
        stretch = stretch_of(first)
        shown = [self._shown(explanation, packed, stretch) for explanation in explanations]
        data = {
            "name": recording_name(first),
            "waveform": waveform_of(first, packed, stretch),
            "choices": _choices(explanations),
            "explanations": [item["data"] for item in shown],
        }
        return _template("component.html.j2").render(
            name=recording_name(first),
            level=level,
            anchor=anchor,
            asking=asking,
            shown=shown,
            data=Markup(_inert(data)),  # noqa: S704 (escaped there)
            packed=packed.texts,
        )

    def _shown(self, explanation: Explanation, packed: Packed, stretch: Stretch | None) -> dict[str, Any]:
        """What the template shows of an explanation, and under ``data`` what the component reads."""
        sounds = self._sounds(explanation, packed, stretch)
        question, summary = quoted(explanation), relevance_in_words(explanation)
        shares = explanation.probabilities
        probability = {} if shares is None else dict(zip(explanation.classes, map(float, shares), strict=True))
        return {
            "question": question,
            "task": explanation.task,
            "predicted": [(name, probability[name]) for name in explanation.predictions],
            "outcome": explanation.prediction if shares is None else "",
            "truth": None if explanation.label is None else explanation.classes[explanation.label],
            "explainer": explanation.explainer,
            "view": view_name(explanation),
            "relevance": summary,
            "sounds": sounds.values(),
            "classes": class_rows(explanation),
            "provenance": provenance_rows(explanation),
            "warnings": [_sentence(warning) for warning in explanation.warnings],
            "notes": [*map(_sentence, explanation.remarks), *([] if stretch is None else [stretch.said(explanation)])],
            "others": [_written(renderer, explanation) for renderer in self.renderers],
            "data": {
                "question": question,
                "summary": summary,
                "picture": picture_of(explanation, packed, stretch),
                "sounds": sounds,
            },
        }

    def _sounds(self, explanation: Explanation, packed: Packed, stretch: Stretch | None) -> dict[str, dict[str, Any]]:
        """Each part with its label, remark and either its data or the reason why it is silent."""
        labels, sounds = part_labels(explanation), self._rendered(explanation, stretch)
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

    def _rendered(self, explanation: Explanation, stretch: Stretch | None) -> dict[str, Sound]:
        """The sounds by their part, rendered once for a page of its own and for one with others."""
        key = explanation.fingerprint, stretch
        rendered = self._known.get(explanation)
        if rendered is None or rendered[0] != key:
            self._known[explanation] = rendered = key, self._heard(explanation, stretch)
        return rendered[1]

    def _heard(self, explanation: Explanation, stretch: Stretch | None) -> dict[str, Sound]:
        """The sounds of a stretch, or of all; the stretch is cut out before they are made, where that can be."""
        if stretch is None:
            return self._render(explanation)
        part = stretch.of_explanation(explanation)
        if part is not None:
            return self._render(part)
        whole = self._render(explanation)
        return {name: sound._replace(content=sound.content and stretch.of_file(sound.content)) for name, sound in whole.items()}

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


def _whole_page(title: str, heading: str, body: str, *, many: bool, more: Sequence[str] = ()) -> str:
    """The page around components, with more styles and scripts of the package where it needs them."""
    script = "\n".join([player_script(), *(_text(name) for name in more if name.endswith(".js"))])
    sheets = [player_style(), _text("page.css"), *(_text(name) for name in more if name.endswith(".css"))]
    return _template("page.html.j2").render(
        title=title,
        heading=heading,
        many=many,
        megabytes=len(body) / 1e6,
        styles=[Markup(sheet) for sheet in sheets],  # noqa: S704 (the package's own files)
        script=Markup(script),  # noqa: S704
        policy=_policy(sheets, script),
        body=Markup(body),  # noqa: S704 (made by the templates, which escape)
    )


def _most_probable(long: LongExplanation) -> list[int]:
    """The explanations, the most probable first, or those of the largest scores."""
    heights = [height_of(long.scores[number]) for number in numbers_of(long.explanations)]
    return sorted(range(len(heights)), key=lambda place: -heights[place])


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


def _by_recording(explanations: Sequence[Explanation]) -> list[list[int]]:
    """The places of the explanations of each recording."""
    groups: dict[tuple[str, str, int, bytes], list[int]] = {}
    for place, explanation in enumerate(explanations):
        clip = explanation.clip
        key = (clip.source, recording_name(explanation), clip.sample_rate, clip.waveform.tobytes())
        groups.setdefault(key, []).append(place)
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
    text = without_folders(text)
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
