"""Concepts one can hear: the channels of a layer that carry a prediction, and what each of them answers to."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaudio.plugin import attach, hookimpl

if TYPE_CHECKING:
    from .finding import concepts as concepts
    from .results import ConceptResults as ConceptResults

# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(__name__, {"concepts": f"{__name__}.finding", "ConceptResults": f"{__name__}.results"})


@hookimpl
def xaudio_commands() -> Mapping[str, Any]:
    """Offer `xaudio concepts`."""
    from .commands import concepts

    return {"concepts": concepts}


@hookimpl
def xaudio_reports() -> Mapping[str, Callable[[Path], Path]]:
    """Write the page of `xaudio concepts` again."""
    from .page import report

    return {"concepts": report}
