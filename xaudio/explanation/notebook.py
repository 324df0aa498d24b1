"""How explanations show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np

from ..errors import PluginError
from ..output.figures import AGAINST, FOR
from ..output.pages import SOUNDS, data_address
from ..output.runs import read_json
from ..registry.loading import registry
from ..sound.levels import renderer_for_listening
from ..types import FloatArray

if TYPE_CHECKING:
    from .explanation import Explanation

"""Red above the line, blue below it."""

WARNED = "#a33c00"
"""Of what makes an explanation doubtful."""

BARS = 60
"""Bars of the small drawing in a table."""

HEADINGS = ("Recording", "Explained", "Predicted", "Truth", "Explainer", "Relevance over time", "For", "Against", "Strongest at")


@dataclass(frozen=True)
class Player:
    """A sound with controls in a notebook, or a line that says why there is nothing to hear.

    Parameters
    ----------
    label : str
        What is heard.
    content : bytes
        The audio file; empty if the sound is silent.
    suffix : str
        Of its format, such as ".wav".
    reason : str
        Why it is silent, "" if it is not.
    """

    label: str
    content: bytes
    suffix: str
    reason: str = ""

    @property
    def kind(self) -> str:
        """Its media type, such as "audio/wav"."""
        return SOUNDS[self.suffix]

    def __repr__(self) -> str:
        content = f"silent, {self.reason}" if self.reason else f"{len(self.content)} bytes, {self.kind}"
        return f"<{self.label}: {content}>"

    def _repr_html_(self) -> str:
        if self.reason:
            return f"<p>{escape(self.label)}: silent, {escape(self.reason)}.</p>"
        source = data_address(self.content, self.suffix)
        return (
            f'<figure style="margin:0"><figcaption>{escape(self.label)}</figcaption>'
            f'<audio controls preload="metadata" aria-label="{escape(self.label)}" src="{source}"></audio></figure>'
        )


def player(explanation: Explanation, part: str, options: Mapping[str, Any]) -> Player:
    """See `Explanation.play`."""
    renderer = renderer_for_listening("audible", options)
    with TemporaryDirectory() as folder:
        written = {path.stem: path for path in renderer(explanation, Path(folder)) if path.suffix in SOUNDS}
        if part not in written:
            raise PluginError(f"There is no sound {part!r} of this explanation; expected one of {', '.join(written)}.")
        path = written[part]
        facts = read_json(Path(folder) / "audible.json")["sounds"][path.name]
        content = b"" if facts["reason"] else path.read_bytes()
        return Player(_label(explanation, part), content, path.suffix, facts["reason"])


def _label(explanation: Explanation, part: str) -> str:
    labels = {
        "original": "The recording",
        "positive": f"What speaks for {explanation.question}",
        "negative": f"What speaks against {explanation.question}",
        "complement": "The rest: what the explanation leaves out",
    }
    return labels.get(part, part)


def framed_page(explanation: Explanation) -> str:
    """The page of the renderer "html", in a frame of its own, where the notebook's style does not reach it."""
    with TemporaryDirectory() as folder:
        (path, *_) = registry().create("renderer", "html", {})(explanation, Path(folder))
        page = path.read_text(encoding="utf-8")
    title = escape(explanation.title())
    return f'<iframe srcdoc="{escape(page)}" style="width:100%;height:46em;border:0" allow="autoplay" title="{title}"></iframe>'


class Explanations(list["Explanation"]):
    """A list of explanations that a notebook shows as a table."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> Explanations: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Explanation | Explanations:
        found = super().__getitem__(index)
        return Explanations(found) if isinstance(found, list) else found

    def __add__(self, other: list[Explanation]) -> Explanations:  # type: ignore[override]
        return Explanations([*self, *other])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
        rows = "".join(f"<tr>{''.join(_cells(item))}</tr>" for item in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(explanation: Explanation) -> Iterable[str]:
    """Cells of one row, as HTML."""
    classes = explanation.classes
    predicted = explanation.prediction.removeprefix("predicted ")
    relevance = explanation.relevance.astype(np.float64).sum(0)
    yield f'<th scope="row">{escape(explanation.clip.name)}</th>'
    yield f"<td>{escape(explanation.question)}</td>"
    warned = "".join(f'<br><span style="color:{WARNED}">Warning: {escape(text)}</span>' for text in explanation.warnings)
    yield f"<td>{escape(predicted)}{warned}</td>"
    truth = "" if explanation.label is None else classes[explanation.label]
    yield from (f"<td>{escape(text)}</td>" for text in (truth, explanation.explainer))
    yield f"<td>{_sparkline(explanation, relevance)}</td>"
    shares = [f"{percent} %" for percent in explanation.percentages]
    yield from (f"<td>{escape(text)}</td>" for text in (*shares, explanation.strongest_place))


def _sparkline(explanation: Explanation, relevance: FloatArray) -> str:
    """Relevance for and against along the time axis in a small drawing; "" where there is no such axis."""
    names = [axis.name for axis in explanation.axes]
    if "time" not in names or not relevance.any():
        return ""
    series = np.moveaxis(relevance, names.index("time"), -1).reshape(-1, relevance.shape[names.index("time")])
    parts = np.array_split(series, BARS, axis=1)
    heights = {FOR: [np.maximum(part, 0).sum() for part in parts], AGAINST: [-np.minimum(part, 0).sum() for part in parts]}
    scale = 20 / max(*heights[FOR], *heights[AGAINST])
    drawn = "".join(
        f'<rect x="{2 * place}" y="{20 - (colour == FOR) * height:.1f}" width="1.6" height="{height:.1f}" fill="{colour}"/>'
        for colour, column in heights.items()
        for place, height in enumerate(scale * np.array(column))
    )
    label = escape(f"relevance over time, strongest at {explanation.strongest_place}")
    return f'<svg viewBox="0 0 {2 * BARS} 40" width="{2 * BARS}" height="40" role="img" aria-label="{label}">{drawn}</svg>'
