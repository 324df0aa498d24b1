"""Work that several workers share: the options by which commands start them, and what stands for the options in clusters."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OutputError
from ..output.terminal import say
from ..registry.defaults import ENGINE, ENGINE_WITH_OPTIONS
from ..registry.loading import registry
from ..registry.options import parse_spec

if TYPE_CHECKING:
    from ..shards.gathering import Sharing

WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that share the work; each sees one GPU where there are several.")
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", help=f"Where workers run, with options as in {ENGINE_WITH_OPTIONS}. [default: {ENGINE}]"),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Do the Kth of N parts in this process: 1/N to N/N, or 0/N to (N-1)/N.",
    ),
]


PLACES = ("SLURM_ARRAY_TASK_ID", "RANK")
"""Variables that say which part of the work of a cluster is this process's."""


def is_part(shard: str | None) -> bool:
    """Whether other processes may do parts of the same work: as the option says it, or a variable of a cluster.

    Parameters
    ----------
    shard : str or None
        Value of `ShardOption`.
    """
    return shard is not None or any(name in os.environ for name in PLACES)


def shared_by(
    workers: int | None, engine: str | None, shard: str | None, environment: Mapping[str, str] | None = None
) -> Sharing:
    """How work is shared, as the options say it, or the variables of a cluster where they say nothing.

    Parameters
    ----------
    workers, engine, shard : optional
        Values of `WorkersOption`, `EngineOption` and `ShardOption`.
    environment : mapping, optional
        Of a command that is meant for clusters: where SLURM_ARRAY_TASK_ID or RANK say which part is this process's.

    Raises
    ------
    OutputError
        If a part is none, or two of the ways are asked for at once.
    PluginError
        If there is no such engine, or it refuses its options.
    """
    from ..shards.gathering import Sharing

    if shard is not None:
        if workers is not None or engine is not None:
            raise OutputError("--shard is one process of several; it cannot be combined with --workers or --engine.")
        return Sharing(None, parse_part(shard, "--shard"))
    if engine is None and workers in (None, 1):
        return Sharing(None, part_in(environment or {}) if workers is None else None)
    name, options = parse_spec(engine or ENGINE)
    given = {} if workers is None else {"workers": workers}
    return Sharing(registry().create("engine", name, {**options, **given}), None)


def parse_part(text: str, where: str) -> tuple[int, int]:
    """Which of how many parts, "3/16".

    Raises
    ------
    OutputError
        If it is no such part.
    """
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    part, count = (int(match[1]), int(match[2])) if match else (1, 0)
    if part > count or not count:
        raise OutputError(f"{where} {text}: is not a part; expected 1/N to N/N, or 0/N to (N-1)/N, as in 3/16.")
    return part, count


def part_in(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Which part the variables of a Slurm array or of torchrun say, which is told; None without them.

    Parameters
    ----------
    environment : mapping

    Raises
    ------
    OutputError
        If they say no part.
    """
    first, step = (environment.get(f"SLURM_ARRAY_TASK_{name}", default) for name, default in (("MIN", "0"), ("STEP", "1")))
    told = [(environment.get("SLURM_ARRAY_TASK_COUNT"), first, step), (environment.get("WORLD_SIZE"), "0", "1")]
    for name, (count, start, stride) in zip(PLACES, told, strict=True):
        number = environment.get(name)
        if number is None or count is None:
            continue
        try:
            place = (int(number) - int(start)) // int(stride)
        except (ValueError, ZeroDivisionError):
            place = -1
        part = parse_part(f"{place}/{count}", name)
        if part[1] > 1:
            say(f"Part {part[0]} of {part[1]} alone, numbered from 0, since {name} is set; --workers 1 does all.")
        return part
    return None
