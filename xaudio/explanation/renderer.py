"""What every renderer is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .explanation import Explanation


class Renderer(Protocol):
    """Writes an explanation to files."""

    def __call__(self, explanation: Explanation, folder: Path) -> list[Path]:
        """Write into an existing folder and return what was written."""
