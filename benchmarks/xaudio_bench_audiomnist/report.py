"""One self-contained page: tables, figures, players, configuration."""

from __future__ import annotations

from pathlib import Path

import xaudio
import xaudio.plugin

from .manipulation import CONDITIONS
from .results import Results


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
    results = xaudio.plugin.read_results(folder / "results.json", Results)
    return xaudio.plugin.write_page(folder, __package__, **dict(results), conditions=CONDITIONS)
