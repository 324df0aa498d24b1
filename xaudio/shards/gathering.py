"""Carry out a plan with an engine, and put together what its workers left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import DataError, PartDoneError
from ..output.runs import replaced, write_json
from ..output.terminal import progress
from ..output.words import counted, counted_of
from .plan import Plan
from .records import Outcome, outcomes_of
from .working import Assignment, Counts, Job, assignment, is_done

NAMED = 5
"""Failed rows that are named."""


class Engine(Protocol):
    """Where workers run: starts some, each of which starts the assignment, and starts anew those that die."""

    def __call__(self, work: Assignment) -> Iterator[Counts]:
        """What `Assignment.start` yields, from all workers as it comes; an error of one is raised here, and ends the others."""


class Sharing(NamedTuple):
    """Who does the work of a plan.

    Parameters
    ----------
    engine : Engine or None
        What starts workers; None for this process.
    part : (int, int) or None
        Which of how many parts is this process's; None for all.
    """

    engine: Engine | None = None
    part: tuple[int, int] | None = None

    def carry_out(self, plan: Plan, make: Callable[..., Job], options: Mapping[str, Any], title: str, threads: int = 1) -> None:
        """Do the work of a plan, or this process's part of it; see `carry_out`."""
        shards = None
        if self.part is not None:
            place, count = self.part
            shards = [shard for shard in range(plan.shards) if shard % count == place % count]
        carry_out(plan, make, options, engine=self.engine, shards=shards, title=title, threads=threads)


@dataclass
class Gathered:
    """How far a plan is carried out.

    Parameters
    ----------
    rows, done, failed, poison : int
        Rows in all, with results, with errors, and that killed their process twice (counted as failed, too).
    failures : list of dict
        Source and error of the first few that failed.
    """

    rows: int
    done: int = 0
    failed: int = 0
    poison: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Rows of which nothing is there."""
        return self.rows - self.done - self.failed

    def __str__(self) -> str:
        poison = f" ({self.poison} of them killed their process)" if self.poison else ""
        return f"{counted(self.rows, 'row')}: {self.done} done, {self.failed} failed{poison}, {self.missing} missing"


def carry_out(
    plan: Plan,
    make: Callable[..., Job],
    options: Mapping[str, Any],
    *,
    engine: Engine | None = None,
    shards: Sequence[int] | None = None,
    threads: int = 1,
    title: str = "Working",
) -> None:
    """Do all work of a plan that is not done; rows that failed for a cause that may pass are tried once more at the end.

    Parameters
    ----------
    plan : Plan
    make, options, threads
        See `Assignment`.
    engine : Engine, optional
        By default the work is done in this process.
    shards : sequence of int, optional
        By default all.
    title : str
        Of the progress.

    Raises
    ------
    XaudioError
        As `Assignment`, and as the engine.
    """
    workers: Callable[[Assignment], Iterator[Counts]] = engine or Assignment.start
    chosen = list(range(plan.shards) if shards is None else shards)
    work = assignment(plan, make, options, chosen, threads)
    left = [shard for shard, claimed in zip(work.shards, work.claimed, strict=True) if not is_done(plan, shard, claimed)]
    with progress(title, len(chosen), len(chosen) - len(left)) as advance:
        passing = []
        for counts in workers(assignment(plan, make, options, left, threads)) if left else ():
            advance(1, f"shards of {counted(plan.rows, 'row')}")
            passing += [counts.shard] if counts.passing else []
        for _ in workers(assignment(plan, make, options, passing, threads)) if passing else ():
            pass


def require_all(plan: Plan) -> None:
    """Raise `DataError` if a row failed, `PartDoneError` if one is not done yet.

    Parameters
    ----------
    plan : Plan
    """
    outcomes = [outcome for shard in range(plan.shards) for outcome in outcomes_of(plan, shard).values()]
    failed = [outcome for outcome in outcomes if outcome.record is None]
    if failed:
        raise DataError(f"{counted(len(failed), 'recording')} could not be explained: {failed[0].error}")
    if len(outcomes) < plan.rows:
        raise PartDoneError(
            f"{counted_of(plan.rows - len(outcomes), plan.rows, 'recording', 'is', 'are')} the part of other workers. "
            "Give the command again."
        )


def gather(plan: Plan, out: Path) -> Gathered:
    """Write ``results.jsonl`` and ``errors.jsonl`` with a line for each row that is done or failed, and say how many are.

    Rows are in the order of shards, and in each in that of the manifest: the same for any number of workers.

    Parameters
    ----------
    plan : Plan
    out : Path

    Raises
    ------
    ModelError
        If there are results of another plan among them.
    OutputError
        If the files cannot be written.
    """
    counts = Gathered(plan.rows)
    with (
        replaced(out / "results.jsonl") as results,
        replaced(out / "errors.jsonl") as errors,
        results.open("w", encoding="utf-8") as done,
        errors.open("w", encoding="utf-8") as failed,
    ):
        for line, outcome in _outcomes(plan):
            if outcome.record is None:
                failed.write(f"{json.dumps(line)}\n")
                counts.failed += 1
                counts.poison += outcome.kind == "poison"
                counts.failures += [line] if len(counts.failures) < NAMED else []
            else:
                done.write(f"{json.dumps(line)}\n")
                counts.done += 1
    told = {name: getattr(counts, name) for name in ("rows", "done", "failed", "poison", "missing")}
    write_json(out / "results.json", {"result": "corpus", "plan": plan.digest, **told})
    return counts


def _outcomes(plan: Plan) -> Iterator[tuple[dict[str, Any], Outcome]]:
    """What is written of each row of which something is there."""
    for shard in range(plan.shards):
        outcomes = outcomes_of(plan, shard)
        for row in plan.rows_of(shard):
            if row.id in outcomes:
                outcome = outcomes[row.id]
                said = {"error": outcome.error, "kind": outcome.kind} if outcome.record is None else outcome.record
                yield {"id": row.id, "row": row.index, "shard": shard, **row.fields, **said}, outcome
