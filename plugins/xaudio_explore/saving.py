"""What a page hands out to keep: pages, pictures, sounds, labels, and how to do the same without the page."""

from __future__ import annotations

import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import xaudio
from xaudio.plugin import Explanation, XaudioError

if TYPE_CHECKING:
    from .explorer import Explorer, Why

RENDERERS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "png": ("visual", {}, "explanation.png", "image/png"),
    "pdf": ("visual", {"format": "pdf"}, "explanation.pdf", "application/pdf"),
    "original": ("audible", {}, "original.wav", "audio/wav"),
    "positive": ("audible", {}, "positive.wav", "audio/wav"),
    "negative": ("audible", {}, "negative.wav", "audio/wav"),
    "complement": ("audible", {}, "complement.wav", "audio/wav"),
    "audacity": ("segments", {"formats": ("audacity",)}, "*.txt", "text/plain"),
    "raven": ("segments", {"formats": ("raven",)}, "*.txt", "text/plain"),
}
"""For each format the renderer with its options, the file that it writes, and its media type."""


class Save(BaseModel):
    """Explanations, all of which a page holds, and the first of which everything else is of."""

    model_config = ConfigDict(extra="forbid")

    explanations: list[str] = Field(min_length=1, max_length=8)
    format: Literal["html", "png", "pdf", "original", "positive", "negative", "complement", "audacity", "raven"]


def saved(explorer: Explorer, save: Save) -> tuple[bytes, str]:
    """A file, and its media type.

    Raises
    ------
    XaudioError
        If an explanation is no longer there, or there is nothing to write, such as a sound that is silent.
    """
    explanations = [explorer.explanations[name] for name in save.explanations]
    if save.format == "html":
        return xaudio.create("renderer", "html").page(explanations).encode(), "text/html"
    return _rendered(explanations[0], save.format)


def _rendered(explanation: Explanation, format: str) -> tuple[bytes, str]:  # noqa: A002 (as everywhere)
    name, options, pattern, media = RENDERERS[format]
    with TemporaryDirectory() as folder:
        xaudio.create("renderer", name, **options)(explanation, Path(folder))
        files = sorted(Path(folder).glob(pattern))
        if not files:
            raise XaudioError(f"There is nothing to save as {format} of this explanation.")
        return files[0].read_bytes(), media


def spelt(explorer: Explorer, why: Why) -> dict[str, Any]:
    """The command and the Python that make the same explanation, and whether its recording has to be saved for them.

    Parameters
    ----------
    explorer : Explorer
    why : Why
    """
    clip = explorer.clip(why.clip, why.cut)
    there = why.cut is None and Path(clip.source).is_file()
    file = clip.source if there else "recording.wav"
    given = {name: value for name, value in why.asked().items() if value is not None}
    words = ["xaudio", "explain", file, "--model", explorer.place]
    words += [word for name, value in given.items() for word in (f"--{name}", value)]
    arguments = "".join(f", {name}={value!r}" for name, value in given.items())
    python = (
        f"import xaudio\n\nexplanation = xaudio.explain({explorer.place!r}, {file!r}{arguments})\n"
        'explanation.render("visual", "audible", "html", folder="explanation")\n'
    )
    return {"command": shlex.join([*words, "--out", "explanation"]), "python": python, "save_first": not there}
