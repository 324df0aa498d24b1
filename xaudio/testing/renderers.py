"""Checks of renderers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import XaudioError
from ..explanation.rendering import Written as FileWritten, as_written
from .state import Left, left_in_process, watching
from .suite import Case, Unasked, refusal
from .toys import changed_in, content_of, times_input, toy_explanations

KEPT = "explanation.safetensors"
"""A file that is there before, as `xaudio explain` writes it."""


@dataclass
class Written:
    """What a renderer said that it wrote, what is there, and what else happened."""

    returned: Any = None
    refusal: XaudioError | None = None
    inside: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    kept: bool = True
    changed: str = ""
    left: Left | None = None


class RendererCase(Case):
    """A renderer, given an explanation in time and one in time and frequency."""

    @cached_property
    def tried(self) -> list[Written]:
        """What happened for each explanation."""
        return [self._render(flat) for flat in (True, False)]

    @property
    def written(self) -> list[Written]:
        """What happened where it did not refuse."""
        written = [item for item in self.tried if item.refusal is None]
        if not written:
            raise Unasked(f"it refuses: {self.tried[0].refusal}")
        return written

    def _render(self, flat: bool) -> Written:
        import matplotlib.pyplot as plt

        plt.get_fignums(), plt.get_backend()  # what pyplot chooses by itself is no change
        explanation = toy_explanations(times_input, flat=flat)[1][0]
        content, written = content_of(explanation), Written()
        with TemporaryDirectory() as outer:
            folder = Path(outer).resolve() / "given"
            folder.mkdir()
            (folder / KEPT).write_bytes(b"kept")
            with watching() as written.left, _refusing(written):
                written.returned = self.plugin(explanation, folder)
            written.kept = (folder / KEPT).is_file() and (folder / KEPT).read_bytes() == b"kept"
            files = [path for path in folder.rglob("*") if path.is_file() and path != folder / KEPT]
            written.inside = tuple(str(path) for path in files)
            written.empty = tuple(path.name for path in files if not path.stat().st_size)
            beside = {str(path) for path in folder.parent.rglob("*") if not path.is_relative_to(folder)}
            elsewhere = {path for path in written.left.files if not Path(path).resolve().is_relative_to(folder)}
            written.outside = tuple(sorted(beside | elsewhere))
            written.left.files = []
            written.returned = _resolved(written.returned)
        written.changed = changed_in([explanation], [content])
        return written


@contextmanager
def _refusing(written: Written) -> Iterator[None]:
    try:
        yield
    except XaudioError as error:
        written.refusal = error


def _resolved(returned: Any) -> Any:
    """Paths without links and dots, of files that are there; what is no list of paths stays."""
    if not isinstance(returned, list | tuple) or not all(isinstance(item, Path | FileWritten) for item in returned):
        return returned
    return [str(file.path.resolve()) for file in as_written(returned)]


def it_renders_or_refuses_in_one_line(case: RendererCase) -> str:
    return next((problem for item in case.tried if item.refusal and (problem := refusal(item.refusal))), "")


def it_returns_the_files_that_it_wrote(case: RendererCase) -> str:
    for item in case.written:
        if not isinstance(item.returned, list) or not all(isinstance(path, str) for path in item.returned):
            return f"it returned {item.returned!r}; expected a list of paths (pathlib.Path) or of Written"
        if missing := [path for path in item.returned if path not in (*item.inside, *item.outside)]:
            return f"it returned what is not there: {', '.join(missing)}"
        if not item.returned:
            return "it returned no file"
        if item.empty:
            return f"it left empty files: {', '.join(item.empty)}"
    return ""


def it_leaves_nothing_else_in_the_folder(case: RendererCase) -> str:
    for item in case.written:
        if not item.kept:
            return "it changed or deleted a file that was there"
        if isinstance(item.returned, list) and (others := [path for path in item.inside if path not in item.returned]):
            return f"it left files that it does not return: {', '.join(Path(path).name for path in others)}"
    return ""


def it_writes_nowhere_else(case: RendererCase) -> str:
    outside = [path for item in case.written for path in item.outside]
    return f"outside of the folder it wrote {', '.join(outside[:3])}" if outside else ""


def the_explanation_is_not_changed(case: RendererCase) -> str:
    return next((item.changed for item in case.written if item.changed), "")


def the_process_is_left_as_it_was(case: RendererCase) -> str:
    return next((said for item in case.written if item.left and (said := left_in_process(item.left))), "")
