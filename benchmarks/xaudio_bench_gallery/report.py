"""The gallery as one page that needs nothing else."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

import xaudio

KINDS = {".png": "image/png", ".flac": "audio/flac"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Card(_Part):
    """A method on all recordings of a model."""

    method: str
    folders: list[str] = Field(description="Of each recording's picture and sounds.")
    seconds: float | None = Field(description="To explain and draw all recordings, or to read what was there.")
    refused: str | None = Field(description="Why the method does not work for this model.")


class Model(_Part):
    """A model with all methods."""

    name: str
    titles: list[str] = Field(description="Of each recording: prediction, truth and speaker.")
    cards: list[Card]
    compared: list[str] = Field(description="The methods of the matrix.")
    agreement: list[list[float | None]] = Field(description="Spearman's rank correlation, mean over recordings.")


class Results(_Part):
    """What the page shows."""

    format: Literal[1] = 1
    benchmark: Literal["gallery"] = "gallery"
    data: str
    recordings: list[str]
    methods: list[str]
    models: list[Model]


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from what the folder holds.

    Raises
    ------
    ModelError
        If a file is missing, damaged or of another version.
    """
    results = xaudio.read_results(folder / "results.json", Results)
    return xaudio.write_page(folder, __package__, embedded=embedded, results=results)


def embedded(path: Path) -> str:
    """A file as a data address, or "" where there is none, such as a sound that would be silent."""
    if not path.exists():
        return ""
    content = _small(path) if path.suffix == ".png" else path.read_bytes()
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(content).decode()}"


def _small(path: Path) -> bytes:
    """A picture with 64 colours, a third of the size: there are hundreds on the page."""
    from PIL import Image

    content = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(64).save(content, "PNG", optimize=True)
    return content.getvalue()
