"""The folder that a command fills with results, which is not left behind where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def missing_folders(path: Path) -> list[Path]:
    """A folder and those around it that are not there yet, the innermost first.

    Parameters
    ----------
    path : Path
    """
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_without_results(made: Sequence[Path]) -> None:
    """Remove a folder that holds no file but ``run.json``, and those around it that were made for it, if they are then empty.

    Parameters
    ----------
    made : sequence of Path
        What `missing_folders` gave before the folder was there; of none nothing is removed.
    """
    if not made:
        return
    folder = made[0]
    inside = list(folder.rglob("*"))
    if any(path != folder / "run.json" for path in inside if not path.is_dir()):
        return
    (folder / "run.json").unlink(missing_ok=True)
    for empty in (*sorted((path for path in inside if path.is_dir()), reverse=True), *made):
        with suppress(OSError):  # another process wrote into it
            empty.rmdir()
