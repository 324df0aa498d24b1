"""Results of rows in files that say whether they are whole, and of which plan they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..output.digests import digest_bytes
from ..output.runs import replaced
from .plan import RESULTS, Plan

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Parameters
    ----------
    id : str
        Of the row.
    record : mapping, optional
        Its result; under ``files`` the paths, from the plan's folder, and sizes of what was written beside it.
    error : str
        Why there is none, in one line.
    kind : str
        Of the error; "poison" where the row killed its process.
    passing : bool
        Whether the cause may pass, as a file that was not there.
    """

    id: str
    record: Record | None = None
    error: str = ""
    kind: str = ""
    passing: bool = False

    @property
    def settled(self) -> bool:
        """Whether nothing is gained by another try."""
        return self.record is not None or self.kind == "poison"


def write_outcomes(path: Path, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes as JSON lines, and a last one that seals them, atomically.

    Parameters
    ----------
    path : Path
    plan : Plan
    outcomes : sequence of Outcome

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    lines = "".join(f"{json.dumps(vars(outcome), allow_nan=False)}\n" for outcome in outcomes).encode()
    seal = {"plan": plan.digest, "rows": len(outcomes), "digest": digest_bytes([lines])}
    with replaced(path) as temporary:
        temporary.write_bytes(lines + f"{json.dumps(seal)}\n".encode())


def read_outcomes(path: Path, plan: Plan) -> list[Outcome]:
    """The outcomes that `write_outcomes` wrote; none if the file is missing or damaged: its rows are then computed again.

    Raises
    ------
    ModelError
        If they are whole, but of another plan.
    """
    try:
        lines, _, seal_line = path.read_bytes().removesuffix(b"\n").rpartition(b"\n")
        seal = json.loads(seal_line)
        if seal["digest"] != digest_bytes([lines + b"\n" if lines else b""]):
            return []
        outcomes = [Outcome(**json.loads(line)) for line in lines.splitlines()]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    if seal["plan"] != plan.digest:
        raise ModelError(
            f"{path}: holds results of another plan ({seal['plan']}, expected {plan.digest}): of another model, manifest, "
            "options or versions. Results are not mixed; remove the file, and its rows are computed again."
        )
    return outcomes


def pieces_in(folder: Path) -> list[Path]:
    """Files of the batches of a shard that is not done."""
    return sorted(folder.glob("batch-*.jsonl"))


def outcomes_of(plan: Plan, shard: int) -> dict[str, Outcome]:
    """All that is there of a shard, by row; a row whose files are gone or of another size is not.

    Raises
    ------
    ModelError
        If some of it is of another plan.
    """
    folder = plan.folder_of(shard)
    files = [folder / RESULTS, *pieces_in(folder)]  # a piece is newer: it was made since the shard was done
    outcomes = {outcome.id: outcome for path in files for outcome in read_outcomes(path, plan)}
    return {name: outcome for name, outcome in outcomes.items() if _has_its_files(outcome, plan.folder)}


def sizes_of(paths: Iterable[Path], plan_folder: Path) -> dict[str, int]:
    """What a record says of its files under ``files``.

    Parameters
    ----------
    paths : iterable of Path
    plan_folder : Path
    """
    return {os.path.relpath(path, plan_folder): path.stat().st_size for path in paths}


def _has_its_files(outcome: Outcome, folder: Path) -> bool:
    files = (outcome.record or {}).get("files") or {}
    return all(_size(folder / name) == size for name, size in files.items())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
