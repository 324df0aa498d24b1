"""Write explanations with renderers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..output.memory import naming_memory
from ..output.runs import output_folder, write_text
from ..output.terminal import progress
from ..registry.loading import registry
from ..registry.options import parse_spec
from ..sound.levels import renderer_for_listening
from .channels import by_channel
from .listing import listing_of
from .record import Record
from .saved import save as save_explanation

LONGEST = 50
"""Bytes of a part of a folder's name: file systems take 255 in all."""


@dataclass(frozen=True)
class Written:
    """A file that a renderer wrote, and what the renderer knows of it.

    Parameters
    ----------
    path : Path
    facts : mapping
        JSON values, such as the ``reason`` why a sound is silent.
    """

    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict)


def as_written(returned: Iterable[Path | Written]) -> list[Written]:
    """What a renderer returned, as records: one that knows nothing of its files may return their paths.

    Parameters
    ----------
    returned : iterable of Path or Written
    """
    return [item if isinstance(item, Written) else Written(item) for item in returned]


def render(explanations: Iterable[Record], renderers: Sequence[str | Callable[..., Any]], folder: Path) -> list[Path]:
    """Write explanations with renderers; one goes into the folder, several into a subfolder each.

    Parameters
    ----------
    explanations : iterable of Explanation
    renderers : sequence of str or callable
        Names, with options as in ``visual:dpi=300``, or objects.
    folder : Path

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    items, chosen = list(explanations), _created(renderers)
    written = [item.path for files in _write(items, chosen, folder, save=False) for item in files]
    return written + write_together(items, chosen, folder)


def save_and_render(
    explanations: Sequence[Record],
    renderers: Sequence[str | Callable[..., Any]],
    folder: Path,
    *,
    for_page: bool = False,
) -> list[list[Written]]:
    """As `render`, with each explanation saved as ``explanation.safetensors`` as well; the files of each explanation.

    Sounds ``for_page`` are at the reference, as all that a page plays.

    Parameters
    ----------
    explanations : sequence of Explanation
    renderers : sequence of str or callable
        Names, with options as in "audible:peak=0.5".
    folder : Path
    for_page : bool
    """
    return _write(explanations, renderers, folder, save=True, for_page=for_page)


def write_report(
    explanations: Sequence[Record], renderers: Sequence[Any], written: Sequence[Sequence[Written]], folder: Path
) -> list[Path]:
    """Write ``index.csv`` of several explanations, and ``report.html`` if a renderer among those asked for has a method ``page``.

    Parameters
    ----------
    explanations : sequence of Explanation
    renderers : sequence
        As they were asked for, created.
    written : sequence of sequence of Written
        The files of each explanation, in folders of this one.
    folder : Path

    Returns
    -------
    list of Path
        None of a single explanation.
    """
    if len(explanations) < 2:
        return []
    folders = [files[0].path.parent.relative_to(folder).as_posix() for files in written]
    index = folder / "index.csv"
    listing_of(explanations, folders).to_csv(index)
    renderer = next((one for one in renderers if hasattr(one, "page")), None)
    if renderer is None:
        return [index]
    parts: list[Record] = []
    addresses: list[str] = []
    for explanation, files in zip(explanations, written, strict=True):
        alone = by_channel([explanation])
        pages = [quote(item.path.relative_to(folder).as_posix()) for item in files if item.path.suffix == ".html"]
        parts += alone
        addresses += [*pages, *[""] * len(alone)][: len(alone)]
    return [write_text(folder / "report.html", renderer.page(parts, addresses)), index]


def write_together(explanations: Sequence[Record], renderers: Sequence[Any], folder: Path, least: int = 2) -> list[Path]:
    """Write what renderers have to say of several explanations at once, by a method ``together``, if there are so many."""
    several = [renderer for renderer in renderers if hasattr(renderer, "together") and len(explanations) >= least]
    parts = by_channel(explanations) if several else []
    return [file.path for renderer in several for file in as_written(renderer.together(parts, folder))]


@naming_memory("Render fewer or shorter recordings at once, or fewer renderers.")
def _write(
    explanations: Sequence[Record],
    renderers: Sequence[str | Callable[..., Any]],
    folder: Path,
    *,
    save: bool,
    for_page: bool = False,
) -> list[list[Written]]:
    chosen, written = _created(renderers, for_page), []
    with progress("Rendering", len(explanations), always=False) as advance:
        for explanation, name in zip(explanations, _folder_names(explanations), strict=True):
            target = output_folder(folder if len(explanations) == 1 else folder / name)
            files = [Written(save_explanation(explanation, target / "explanation.safetensors"))] if save else []
            written.append(files + [item for renderer in chosen for item in _written(renderer, explanation, target)])
            advance()
    return written


def _written(renderer: Callable[..., Any], explanation: Record, folder: Path) -> list[Written]:
    """What a renderer writes of an explanation; of one of several channels each into a folder, unless it shows them together."""
    if not explanation.channels or getattr(renderer, "shows_channels", False):
        return as_written(renderer(explanation, folder))
    parts = zip(explanation.channels, by_channel([explanation]), strict=True)
    return [item for name, part in parts for item in as_written(renderer(part, output_folder(folder / name)))]


def _created(renderers: Sequence[str | Callable[..., Any]], for_page: bool = False) -> list[Callable[..., Any]]:
    """Renderers of which some are named."""
    create = renderer_for_listening if for_page else partial(registry().create, "renderer")
    return [create(*parse_spec(item)) if isinstance(item, str) else item for item in renderers]


def _folder_names(explanations: Sequence[Record]) -> list[str]:
    """A distinct folder name for each explanation, from its recording, class, explainer and view."""
    names: list[str] = []
    taken: set[str] = set()  # folded, since some file systems know no case
    for explanation in explanations:
        view = explanation.provenance.get("view")
        parts = [Path(explanation.clip.source).stem or "recording", explanation.question, explanation.explainer]
        name = "-".join(map(_safe, [*parts, *([view["name"]] if view else [])]))
        number = next(number for number in count(1) if f"{name}-{number}".removesuffix("-1").casefold() not in taken)
        names.append(f"{name}-{number}".removesuffix("-1"))
        taken.add(names[-1].casefold())
    return names


def _safe(text: str) -> str:
    """A part of a file name that every file system takes: letters of any script, digits, dots and lines, not too long."""
    kept = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", text)).strip("._-")
    return kept.encode()[:LONGEST].decode(errors="ignore") or "_"
