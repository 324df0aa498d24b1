"""The plan of work on many rows: what they are and how they are divided, written once and the same for all workers."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ..errors import DataError, ModelError
from ..output.digests import digest_bytes, digest_text
from ..output.runs import output_folder, read_json, refuse_other_identity, versions, write_json, write_text
from .claims import wait_for

PLAN, ROWS, SHARDS, RESULTS = "plan.json", "rows.jsonl", "shards", "results.jsonl"
SHARDS_OF_FEW, ROWS_OF_MANY = 1000, 1000
"""A shard is one batch until there are so many shards; then it grows up to so many rows."""

Fields = Mapping[str, Any]
"""What a row says, in JSON values."""


@dataclass(frozen=True)
class Row:
    """One piece of work.

    Parameters
    ----------
    id : str
        Digest of the fields.
    index : int
        Its place in the manifest.
    seconds : float
        How long the recording is, or what else says how long the work takes; 0 where that is not known.
    fields : mapping
        What the job needs to know, such as source, start, end and target.
    """

    id: str
    index: int
    seconds: float
    fields: Fields


@dataclass(frozen=True)
class Plan:
    """A division of rows into shards, and of shards into batches, by which every worker goes.

    Parameters
    ----------
    folder : Path
        Shared by all workers.
    digest : str
        Of everything on which results depend; results bear it.
    identity : mapping
        That everything: options, digest of the model, versions.
    rows, shards, batch : int
        How many there are in all; ``batch`` is how many rows are computed together.
    """

    folder: Path
    digest: str
    identity: Mapping[str, Any]
    rows: int
    shards: int
    batch: int

    def folder_of(self, shard: int) -> Path:
        """Where a shard's rows, claims and results are."""
        return self.folder / SHARDS / f"{shard:05d}"

    def is_tried(self) -> bool:
        """Whether there is a result or an error of each row."""
        return all((self.folder_of(shard) / RESULTS).exists() for shard in range(self.shards))

    def rows_of(self, shard: int) -> list[Row]:
        """The rows of a shard, in the order of the manifest.

        Raises
        ------
        ModelError
            If the file is missing or damaged.
        """
        path = self.folder_of(shard) / ROWS
        try:
            return [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path}: is missing or damaged ({error}). Delete {self.folder} and start again.") from None

    def batches_of(self, shard: int) -> list[list[Row]]:
        """The rows of a shard that are computed together; they follow from the plan alone."""
        rows = self.rows_of(shard)
        return [rows[start : start + self.batch] for start in range(0, len(rows), self.batch)]


def read_plan(folder: Path) -> Plan:
    """The plan that a folder has.

    Raises
    ------
    ModelError
        If there is none, or it is damaged.
    """
    path = folder / PLAN
    if not path.exists():
        raise ModelError(f"{path}: there is no such file: no work was planned there.")
    told = read_json(path)
    try:
        plan = Plan(folder, told["digest"], told["identity"], told["rows"], told["shards"], told["batch"])
        if plan.digest == _digest(plan.identity, plan.rows, plan.shards, plan.batch):
            return plan
    except (TypeError, KeyError):
        pass
    raise ModelError(f"{path}: is damaged. Delete {folder} and start again.")


def planned(
    folder: Path,
    identity: Mapping[str, Any],
    fields: Iterable[Fields],
    seconds: Callable[[Fields], float],
    *,
    batch: int,
    shards: int | None = None,
) -> Plan:
    """The plan of a folder, made if there is none; several processes may ask at the same time, and one makes it.

    Rows that say the same are one row. Rows of one source that follow each other stay together, at most a batch of them; such
    pieces are dealt out by their summed seconds, the longest first, so that shards take equally long.

    Parameters
    ----------
    folder : Path
        Shared by all workers.
    identity : mapping
        All on which results depend beside the rows, in JSON values; the versions are added.
    fields : iterable of mapping
        What the rows say.
    seconds : callable
        How long one takes; asked by who makes the plan alone.
    batch : int
        Rows that are computed together.
    shards : int, optional
        By default a shard is a batch, and grows where there would be more than 1000 shards, up to 1000 rows.

    Raises
    ------
    DataError
        If there is no row.
    ModelError
        If the folder has a plan of other rows, options, model, versions or number of shards.
    OutputError
        If it cannot be written.
    """
    distinct = {_id(one): one for one in fields}
    if not distinct:
        raise DataError("There is nothing to do: no recording is named.")
    packages = {name: number for name, number in versions().items() if name != "platform"}
    identity = {**identity, "rows": digest_text(*distinct), "versions": packages}
    path = folder / PLAN
    if not path.exists():
        for claim in wait_for(output_folder(folder / "planning")):
            if claim is not None:
                with claim:
                    if not path.exists():
                        _write(folder, identity, distinct, seconds, batch, shards)
    plan = read_plan(folder)
    refuse_other_identity(folder, plan.identity, identity)
    if shards not in (None, plan.shards) or batch != plan.batch:
        asked = f"{shards or plan.shards} shards and batches of {batch}"
        raise ModelError(f"{folder}: was planned with {plan.shards} shards and batches of {plan.batch}, now with {asked}.")
    return plan


def _write(
    folder: Path,
    identity: Mapping[str, Any],
    distinct: Mapping[str, Fields],
    seconds: Callable[[Fields], float],
    batch: int,
    shards: int | None,
) -> None:
    rows = [Row(name, index, seconds(one), one) for index, (name, one) in enumerate(distinct.items())]
    batches = -(-len(rows) // batch)
    count = min(shards or min(batches, max(SHARDS_OF_FEW, -(-len(rows) // ROWS_OF_MANY))), len(rows))
    plan = Plan(folder, _digest(identity, len(rows), count, batch), identity, len(rows), count, batch)
    for number, own in enumerate(_dealt(rows, count, batch)):
        write_text(plan.folder_of(number) / ROWS, "".join(f"{json.dumps(asdict(row))}\n" for row in own))
    told = {"digest": plan.digest, "rows": plan.rows, "shards": count, "batch": batch}
    write_json(folder / PLAN, {**told, "identity": identity})


def _dealt(rows: Sequence[Row], count: int, batch: int) -> list[list[Row]]:
    """The rows of each shard: the longest piece goes to the shard that has least."""
    pieces = sorted(
        _pieces(rows, batch, len(rows) // count), key=lambda piece: (-sum(row.seconds for row in piece), piece[0].index)
    )
    loads = [(0.0, 0, number) for number in range(count)]
    dealt: list[list[Row]] = [[] for _ in range(count)]
    for piece in pieces:
        seconds, held, number = heapq.heappop(loads)
        dealt[number] += piece
        heapq.heappush(loads, (seconds + sum(row.seconds for row in piece), held + len(piece), number))
    return [sorted(own, key=lambda row: row.index) for own in dealt]


def _pieces(rows: Sequence[Row], batch: int, most: int) -> Iterator[list[Row]]:
    """Rows of one source that follow each other, at most a batch and no more than a shard has on average."""
    for _, group in groupby(rows, key=lambda row: row.fields.get("source")):
        own, size = list(group), max(1, min(batch, most))
        yield from (own[start : start + size] for start in range(0, len(own), size))


def _id(fields: Fields) -> str:
    return digest_bytes([json.dumps(fields, sort_keys=True).encode()])


def _digest(identity: Mapping[str, Any], rows: int, shards: int, batch: int) -> str:
    return digest_bytes([json.dumps([identity, rows, shards, batch], sort_keys=True).encode()])
