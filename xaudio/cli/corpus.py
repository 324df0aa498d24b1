"""`xaudio explain` of many recordings: a plan that workers share, and results that are put together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import DataError, OutputError
from ..output.terminal import say
from ..output.words import counted_of
from .common import print_json

if TYPE_CHECKING:
    from ..shards.gathering import Sharing


def explain_corpus(
    files: Sequence[Path],
    manifest: Path | None,
    outside: bool,
    settings: dict[str, Any],
    sharing: Sharing,
    *,
    out: Path,
    device: str,
    batch_size: int,
    shards: int | None,
    only_gather: bool,
    as_json: bool,
) -> None:
    """Explain the recordings of a manifest or of a list, all but what is done, and put together what is there.

    Parameters
    ----------
    files : sequence of Path
    manifest : Path, optional
        Instead of the files.
    outside : bool
        Whether the manifest may lead out of its folder.
    settings : dict
        Options of `xaudio.explanation.corpus.ExplainRows` beside the device and the recordings.
    sharing : Sharing
    out : Path
        On a file system that all workers share.
    device : str
    batch_size : int
        Recordings that are computed together.
    shards : int, optional
    only_gather : bool
        Whether nothing is computed.
    as_json : bool

    Raises
    ------
    XaudioError
        If the input does not fit, or the folder holds work of another model, manifest or options.
    """
    from ..explanation.corpus import ExplainRows
    from ..output.runs import output_folder, refuse_other_settings, write_run
    from ..shards.gathering import gather
    from ..shards.plan import planned, read_plan
    from ..sound.manifests import read_manifest

    if only_gather:
        _tell(gather(read_plan(out), out), out, as_json)
        return
    if (manifest is None) == (not files):
        raise DataError("Give recordings, or --manifest with a table of them.")
    root = None if manifest is None else str(manifest.parent.absolute())
    options = {**settings, "model": _absolute(settings["model"]), "recordings": {"root": root, "outside": outside}}
    fields = list(read_manifest(manifest, outside)) if manifest else [{"source": os.path.abspath(path)} for path in files]
    options["device"] = device
    job = ExplainRows(**options)  # refused before anything is written
    identity = {"options": {**settings, "outside": outside}, "model": job.digest}
    plan = planned(output_folder(out), identity, fields, job.recordings.seconds, batch=batch_size, shards=shards)
    del job  # each worker has its own
    refuse_other_settings(out, settings)
    write_run(out, settings=settings, unfinished=True)
    sharing.carry_out(plan, ExplainRows, options, "Explaining")
    if not plan.is_tried():
        say(f"Done with this part; other shards are the work of others. When they are done: xaudio explain --gather --out {out}")
        return
    gathered = gather(plan, out)
    write_run(out, settings=settings, plan=plan.digest, rows=plan.rows)
    _tell(gathered, out, as_json)


def whole_recordings(manifest: Path, outside: bool) -> Iterator[Path]:
    """The files that a manifest names.

    Raises
    ------
    DataError
        If it cannot be read, or names excerpts or targets.
    """
    from ..sound.manifests import read_manifest, within

    for row in read_manifest(manifest, outside):
        if set(row) != {"source"}:
            raise DataError(f"{manifest}: --window takes whole recordings, without start, end and target.")
        yield manifest.parent / row["source"] if outside else within(manifest.parent, row["source"])


def _absolute(model: str) -> str:
    return os.path.abspath(model) if os.path.exists(model) else model


def _tell(gathered: Any, out: Path, as_json: bool) -> None:
    """Say how far the work is.

    Raises
    ------
    OutputError
        If rows are missing.
    """
    if as_json:
        print_json({name: getattr(gathered, name) for name in ("rows", "done", "failed", "poison", "missing")})
    else:
        print(gathered)
        for failure in gathered.failures:
            typer.secho(f"  failed: {failure.get('source', failure['id'])}: {failure['error']}", fg=typer.colors.YELLOW)
        print(f"Results: {out / 'results.jsonl'}" + (f", errors: {out / 'errors.jsonl'}" if gathered.failed else ""))
    if gathered.missing:
        raise OutputError(
            f"{out}: {counted_of(gathered.missing, gathered.rows, 'row', 'is', 'are')} missing. Give the same command again."
        )
