"""Hypotheses tested by manipulation: what is changed in a test set, its matched controls, and what comes of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaudio.plugin import attach, hookimpl

if TYPE_CHECKING:
    from .probing import probe as probe
    from .results import ProbeResults as ProbeResults

# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(__name__, {"probe": f"{__name__}.probing", "ProbeResults": f"{__name__}.results"})


@hookimpl
def xaudio_commands() -> Mapping[str, Any]:
    """Offer `xaudio probe`."""
    from .commands import probe

    return {"probe": probe}


@hookimpl
def xaudio_reports() -> Mapping[str, Callable[[Path], Path]]:
    """Write the page of `xaudio probe` again."""
    from .probing import report

    return {"probe": report}
