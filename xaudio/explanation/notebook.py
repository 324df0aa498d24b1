"""How an explanation shows itself in a notebook: a player, and its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import ModelError, PluginError, listing
from ..output.pages import SOUNDS, data_address
from ..output.words import counted
from ..registry.defaults import PAGE, SOUND
from ..registry.loading import registry
from ..sound.levels import renderer_for_listening
from .channels import by_channel
from .record import Record
from .rendering import as_written


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
        content = f"silent, {self.reason}" if self.reason else f"{counted(len(self.content), 'byte')}, {self.kind}"
        return f"<{self.label}: {content}>"

    def _repr_html_(self) -> str:
        if self.reason:
            return f"<p>{escape(self.label)}: silent, {escape(self.reason)}.</p>"
        source = data_address(self.content, self.suffix)
        return (
            f'<figure style="margin:0"><figcaption>{escape(self.label)}</figcaption>'
            f'<audio controls preload="metadata" aria-label="{escape(self.label)}" src="{source}"></audio></figure>'
        )


def player(explanation: Record, part: str, options: Mapping[str, Any]) -> Player:
    """See `Explanation.play`."""
    if explanation.channels:
        raise ModelError(f"The recording has the channels {listing(explanation.channels)}: choose one by Explanation.channel().")
    renderer = renderer_for_listening(SOUND, options)
    with TemporaryDirectory() as folder:
        files = as_written(renderer(explanation, Path(folder)))
        written = {file.path.stem: file for file in files if file.path.suffix in SOUNDS}
        if part not in written:
            raise PluginError(f"There is no sound {part!r} of this explanation; expected one of {', '.join(written)}.")
        path, reason = written[part].path, written[part].facts.get("reason", "")
        content = b"" if reason else path.read_bytes()
        return Player(_label(explanation, part), content, path.suffix, reason)


def _label(explanation: Record, part: str) -> str:
    labels = {
        "original": "The recording",
        "positive": f"What speaks for {explanation.question}",
        "negative": f"What speaks against {explanation.question}",
        "complement": "The rest: what the explanation leaves out",
    }
    return labels.get(part, part)


def framed_page(explanation: Record) -> str:
    """The page of the renderer "html", in a frame of its own, where the notebook's style does not reach it."""
    with TemporaryDirectory() as folder:
        renderer, parts = registry().create("renderer", PAGE, {}), by_channel([explanation])
        if len(parts) > 1:
            page = renderer.page(parts)
        else:
            (file, *_) = as_written(renderer(explanation, Path(folder)))
            page = file.path.read_text(encoding="utf-8")
    title = escape(explanation.title())
    return f'<iframe srcdoc="{escape(page)}" style="width:100%;height:46em;border:0" allow="autoplay" title="{title}"></iframe>'
