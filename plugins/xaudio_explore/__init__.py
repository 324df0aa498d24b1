"""A model in the browser: say a word, see and hear why it is classified as it is."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from xaudio.plugin import attach, hookimpl

if TYPE_CHECKING:
    from .explorer import Explorer as Explorer
    from .serving import Served as Served

# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(__name__, {"Explorer": f"{__name__}.explorer", "Served": f"{__name__}.serving"})


@hookimpl
def xaudio_commands() -> Mapping[str, Any]:
    """Offer `xaudio explore`."""
    from .commands import explore

    return {"explore": explore}


@hookimpl
def xaudio_servers() -> Mapping[str, Callable[..., Any]]:
    """Offer `xaudio.explore`."""
    from .serving import explore

    return {"explore": explore}
