"""One worker: it claims a shard, computes its batches, keeps what went wrong with single rows, and goes on to the next shard."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import ModelError, OutputError, XaudioError
from ..output.memory import out_of_memory
from ..output.temporary import remove_leftovers
from .claims import Claim, Watch, claims_in, deaths, ended_since, take
from .plan import RESULTS, Plan, Row, read_plan
from .records import Outcome, Record, outcomes_of, pieces_in, write_outcomes

TWICE = 2
"""Deaths from which on what a process was at is suspected."""

WAIT = 0.5
"""Seconds between two looks at shards that others hold."""


class Job(Protocol):
    """What is done with rows."""

    digest: str
    """Of the model; it must be that of the plan."""

    def load(self, row: Row) -> Any:
        """What a row needs, such as its recording; an error is that of the row."""

    def run(self, rows: Sequence[Row], loaded: Sequence[Any], folder: Path) -> Sequence[Record]:
        """A record of JSON values for each row; files of a row go into a folder of its own below ``folder``."""


class Counts(NamedTuple):
    """How far a shard is that a worker has worked on.

    Parameters
    ----------
    shard : int
        Its number.
    done, failed, passing : int
        Rows with a result, with an error, and with an error whose cause may pass.
    """

    shard: int
    done: int
    failed: int
    passing: int


@dataclass(frozen=True)
class Assignment:
    """What the workers of one run are to do; small enough to be sent to each.

    Parameters
    ----------
    folder : Path
        With the plan.
    make : callable
        Makes the job in the worker's own process; a function of a module, which is found there by its name.
    options : mapping
        Of ``make``.
    shards : tuple of int
    claimed : tuple of int
        How often each had been claimed when this run began: what another has tried since is not tried again.
    threads : int
        With which a worker computes. The last bits of results depend on it, so it is the same for any number of workers.
    """

    folder: Path
    make: Callable[..., Job]
    options: Mapping[str, Any]
    shards: tuple[int, ...]
    claimed: tuple[int, ...]
    threads: int = 1

    def start(self) -> Iterator[Counts]:
        """Make the job, in this process; then, what is yielded is a shard on which it worked, until all are done.

        Raises
        ------
        XaudioError
            If the job cannot be made, its model is not that of the plan, or results cannot be written.
        """
        plan = read_plan(self.folder)
        job, wanted = self.make(**self.options), plan.identity.get("model")
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(self.threads)
        if job.digest != wanted:
            raise ModelError(f"{self.folder}: was planned with the model {wanted}; the one that was loaded is {job.digest}.")
        return self._shards_done(plan, job)

    def _shards_done(self, plan: Plan, job: Job) -> Iterator[Counts]:
        watch, left = Watch(), dict(zip(self.shards, self.claimed, strict=True))
        while left:
            before = len(left)
            for shard, claimed in list(left.items()):
                if is_done(plan, shard, claimed):
                    del left[shard]
                elif (claim := take(plan.folder_of(shard), watch)) is not None:
                    with claim:
                        counts = work_on(plan, shard, job, claim)
                    del left[shard]
                    yield counts
            if len(left) == before:
                time.sleep(WAIT)  # others work on the rest; who dies leaves it to us


def assignment(
    plan: Plan, make: Callable[..., Job], options: Mapping[str, Any], shards: Sequence[int], threads: int = 1
) -> Assignment:
    """An assignment as of now."""
    claimed = tuple(len(claims_in(plan.folder_of(shard))) for shard in shards)
    return Assignment(plan.folder, make, options, tuple(shards), claimed, threads)


def is_done(plan: Plan, shard: int, claimed: int) -> bool:
    """Whether all rows are settled, or another process has tried all of them since the run began."""
    folder = plan.folder_of(shard)
    if not (folder / RESULTS).exists():
        return False
    outcomes = outcomes_of(plan, shard)
    if len(outcomes) < len(plan.rows_of(shard)):
        return False  # the file was damaged
    return ended_since(folder, claimed) or all(outcome.settled for outcome in outcomes.values())


def work_on(plan: Plan, shard: int, job: Job, claim: Claim) -> Counts:
    """Compute what is missing of a shard that is ours, batch by batch, and put its results together.

    Raises
    ------
    OutputError
        If results cannot be written.
    """
    folder, suspects = plan.folder_of(shard), deaths(plan.folder_of(shard))
    kept = outcomes_of(plan, shard)
    for number, batch in enumerate(plan.batches_of(shard)):
        if all(row.id in kept and kept[row.id].settled for row in batch):
            continue
        outcomes = list(_settled(job, batch, f"batch {number}", suspects, claim, folder))
        write_outcomes(folder / f"batch-{number:05d}.jsonl", plan, outcomes)
        kept |= {outcome.id: outcome for outcome in outcomes}
    ordered = [kept[row.id] for row in plan.rows_of(shard)]
    if not claim.is_lost():  # else another process does the same, with the same result
        write_outcomes(folder / RESULTS, plan, ordered)
        for piece in pieces_in(folder):
            piece.unlink(missing_ok=True)
        remove_leftovers(folder)
    failed = [outcome for outcome in ordered if outcome.record is None]
    return Counts(shard, len(ordered) - len(failed), len(failed), sum(outcome.passing for outcome in failed))


def _settled(job: Job, batch: Sequence[Row], token: str, suspects: Counter[str], claim: Claim, folder: Path) -> Iterator[Outcome]:
    """Outcomes of a batch: of all rows together, as the plan has it.

    Where processes died of it twice, each row is first tried alone, for who kills its process twice then is left out; where they
    die of the rest all the same, perhaps for lack of memory, rows are computed alone.
    """
    if suspects[token] >= TWICE:
        poison = [row for row in batch if suspects[row.id] >= TWICE]
        yield from (Outcome(row.id, error="killed its process twice, alone", kind="poison") for row in poison)
        batch = [row for row in batch if row not in poison]
        alone = [list(_alone(job, row, claim, folder)) for row in batch]
        if suspects[token] >= 2 * TWICE:
            yield from (outcome for outcomes in alone for outcome in outcomes)
            return
    claim.at(token)
    yield from _together(job, batch, folder)


def _alone(job: Job, row: Row, claim: Claim, folder: Path) -> Iterator[Outcome]:
    claim.at(row.id)
    yield from _together(job, [row], folder)


def _together(job: Job, batch: Sequence[Row], folder: Path) -> Iterator[Outcome]:
    """Outcomes of rows that are loaded one by one and computed together."""
    rows, loaded = [], []
    for row in batch:
        try:
            loaded.append(job.load(row))
            rows.append(row)
        except Exception as error:
            yield _failure(row, error)
    if rows:
        yield from _computed(job, rows, loaded, folder)


def _computed(job: Job, rows: Sequence[Row], loaded: Sequence[Any], folder: Path) -> Iterator[Outcome]:
    """Outcomes of rows; where something goes wrong, of the one half and then of the other, until it is known with which row."""
    try:
        records = json.loads(json.dumps(list(job.run(rows, loaded, folder)), allow_nan=False))
        yield from (Outcome(row.id, record) for row, record in zip(rows, records, strict=True))
        return
    except Exception as error:
        if _ends_everything(error):
            raise
        if len(rows) == 1:
            yield _failure(rows[0], error)
            return
    half = len(rows) // 2
    for part in (slice(None, half), slice(half, None)):
        yield from _computed(job, rows[part], loaded[part], folder)


def _ends_everything(error: Exception) -> bool:
    """Whether no other row would fare better: the disk is full, or a GPU is of no use to this process any more."""
    full = isinstance(error, OutputError) and isinstance(error.__cause__, OSError)
    return full or (isinstance(error, RuntimeError) and "CUDA error" in str(error) and not out_of_memory(error))


def _failure(row: Row, error: Exception) -> Outcome:
    text = " ".join(str(error).split())
    told = text if isinstance(error, XaudioError) else f"{type(error).__name__}: {text}"
    return Outcome(row.id, error=told or type(error).__name__, kind=type(error).__name__, passing=_may_pass(error))


def _may_pass(error: BaseException | None) -> bool:
    """Whether the cause is a file that cannot be had now, or memory that ran out."""
    if error is None:
        return False
    return isinstance(error, OSError) or out_of_memory(error) or _may_pass(error.__cause__) or _may_pass(error.__context__)
