"""Figures for papers: several explanations laid out together, with one colour bar."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xaudio.plugin import attach, hookimpl

if TYPE_CHECKING:
    from .layout import figure_of as figure_of

# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(__name__, {"figure_of": f"{__name__}.layout"})


@hookimpl
def xaudio_commands() -> Mapping[str, Any]:
    """Offer `xaudio figure`."""
    from .command import figure

    return {"figure": figure}
