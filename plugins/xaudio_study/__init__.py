"""The listening study: build it from a run, serve it to people, analyse what they answered."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xaudio.plugin import hookimpl


@hookimpl
def xaudio_commands() -> Mapping[str, Any]:
    """Offer `xaudio study`."""
    from .commands import app

    return {"study": app}


@hookimpl
def xaudio_reports() -> Mapping[str, Callable[[Path], Path]]:
    """Write the report of `xaudio study analyze` again."""
    from .analysis.report import report

    return {"study": report}
