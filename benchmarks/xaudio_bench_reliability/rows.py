"""Trials as rows of a plan, so that a crash of the interpreter is found and counted."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xaudio.plugin import Row

from . import mutations, scenarios  # noqa: F401 (they name their parts)
from .trials import TRIES, Trial


class Trials:
    """The trials of a plan; implements `xaudio.plugin.Job`."""

    digest = "trials"

    def __init__(self, files: str, full: bool, seed: int) -> None:
        self.files, self.full, self.seed = Path(files), full, seed

    def load(self, row: Row) -> Mapping[str, Any]:
        """What the trial is."""
        return row.fields

    def run(self, rows: Sequence[Row], loaded: Sequence[Mapping[str, Any]], folder: Path) -> list[dict[str, str]]:
        """The outcome of each."""
        return [
            self._outcome(fields["part"], fields["number"], folder / "trials" / row.id)
            for row, fields in zip(rows, loaded, strict=True)
        ]

    def _outcome(self, part: str, number: int, place: Path) -> dict[str, str]:
        place.mkdir(parents=True, exist_ok=True)
        draw = random.Random(f"{self.seed} {part} {number}")  # noqa: S311 (reproducible on purpose)
        try:
            what, outcome, said = TRIES[part](Trial(number, draw, self.files, place, self.full))
        except Exception as error:  # what is no error of xaudio's own would have been a traceback
            what, outcome, said = part, "traceback", f"{type(error).__name__}: {error}"
        for folder in (place, self.files):  # what was said is the same on any machine
            said = said.replace(f"{folder}/", "").replace(str(folder), "its folder")
        return {"what": what, "outcome": outcome, "said": " ".join(said.split())[:300]}
