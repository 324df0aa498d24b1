"""Checks of engines: six rows of work that takes no time, in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import XaudioError
from ..shards.gathering import carry_out, gather
from ..shards.plan import Row, planned
from .suite import Case, Unasked, refusal

ROWS = 6


class Doubling:
    """A job: twice a number, and an error for one of them."""

    digest = "none"

    def load(self, row: Row) -> Any:
        """The number."""
        if row.fields["number"] == ROWS - 1:
            raise XaudioError("this row fails")
        return row.fields["number"]

    def run(self, rows: Sequence[Row], loaded: Sequence[Any], folder: Path) -> list[Mapping[str, Any]]:
        """Twice the numbers."""
        return [{"doubled": 2 * number} for number in loaded]


class EngineCase(Case):
    """An engine, with what became of the rows."""

    @cached_property
    def carried(self) -> tuple[XaudioError | None, str]:
        """The refusal, and how far the rows came."""
        with tempfile.TemporaryDirectory() as name:
            fields = [{"source": str(number), "number": number} for number in range(ROWS)]
            plan = planned(Path(name), {"model": Doubling.digest}, fields, lambda one: 1.0, batch=2)
            try:
                carry_out(plan, Doubling, {}, engine=self.plugin)
            except XaudioError as error:
                return error, ""
            counts = gather(plan, plan.folder)
            doubled = (plan.folder / "results.jsonl").read_text(encoding="utf-8").count("doubled")
            return None, f"{counts.done} done, {counts.failed} failed, {counts.missing} missing, {doubled} written"


def it_works_or_refuses_in_one_line(case: EngineCase) -> str:
    return refusal(case.carried[0]) if case.carried[0] else ""


def every_row_is_done_or_failed_once(case: EngineCase) -> str:
    error, came = case.carried
    if error is not None:
        raise Unasked(f"it refuses: {error}")
    expected = f"{ROWS - 1} done, 1 failed, 0 missing, {ROWS - 1} written"
    return "" if came == expected else f"{came}; expected {expected}"
