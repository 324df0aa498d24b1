"""What every renderer is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .explanation import Explanation
from .rendering import Written


class Renderer(Protocol):
    """Writes an explanation to files.

    One that shows several explanations on a page has a method ``page`` that takes them and returns HTML: `xaudio explain`
    writes it as ``report.html``.
    """

    def __call__(self, explanation: Explanation, folder: Path) -> Sequence[Path | Written]:
        """Write into an existing folder and return what was written: paths, or what is known of the files with them."""
