"""What every renderer is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .explanation import Explanation
from .rendering import Written


class Renderer(Protocol):
    """Writes an explanation to files.

    One that shows several explanations on a page has a method ``page`` that takes them and the addresses of their own pages
    ("" where there is none), and returns HTML: `xaudio explain` writes it as ``report.html``. One that writes files of several
    has a method ``together`` that takes them and a folder. One that shows a long recording has a method ``long_page`` that takes
    a `xaudio.LongExplanation` and the pages of single windows.
    Of a recording with several channels it is given each by itself (`Explanation.channel`), with a folder of its own, unless it
    says by an attribute ``shows_channels = True`` that it shows them together, or by ``shows_channels = "apart"`` that it shows
    one beside the other.
    """

    def __call__(self, explanation: Explanation, folder: Path) -> Sequence[Path | Written]:
        """Write into an existing folder and return what was written: paths, or what is known of the files with them."""
