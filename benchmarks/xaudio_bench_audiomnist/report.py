"""One self-contained page: tables, figures, players, configuration."""

from __future__ import annotations

import base64
from pathlib import Path

import xaudio
from xaudio import ModelError

from .manipulation import CONDITIONS
from .results import Results

KINDS = {".png": "image/png", ".wav": "audio/wav"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from the results, figures and sounds in a folder.

    Parameters
    ----------
    folder : Path
        With ``results.json``, ``run.json`` and what they name.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If a file is missing or damaged, or the results are of another version.
    """
    results = xaudio.read_results(folder / "results.json", Results)
    return xaudio.write_page(folder, __package__, embedded=embedded, **dict(results), conditions=CONDITIONS)


def embedded(path: Path) -> str:
    """A file as a data address, so that the page needs nothing else."""
    if not path.exists():
        raise ModelError(f"{path}: is missing, so the report cannot be made. Run the benchmark again with the same --out.")
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
