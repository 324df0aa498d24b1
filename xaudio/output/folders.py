"""The folder that a command fills with results, which is not left behind where there are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .runs import output_folder


@contextmanager
def results_in(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """`output_folder` for the block that fills it: if that raises before it has written a result, no new folder is left.

    Parameters
    ----------
    path : Path
    shared : bool
        Whether other processes do parts of the same work: then nothing is removed, since it may be theirs.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield output_folder(path)
    except BaseException:
        if path in made and not shared:
            _remove_without_results(path, made)
        raise


def _remove_without_results(folder: Path, made: Sequence[Path]) -> None:
    """Remove a folder that holds no file but ``run.json``, and those around it that were made for it, if they are then empty."""
    inside = list(folder.rglob("*"))
    if any(path != folder / "run.json" for path in inside if not path.is_dir()):
        return
    (folder / "run.json").unlink(missing_ok=True)
    for empty in (*sorted((path for path in inside if path.is_dir()), reverse=True), *made):
        with suppress(OSError):  # another process wrote into it
            empty.rmdir()
