"""Explanations as pages: picture and sound in one component, tables next to them, in one file that opens anywhere."""

from typing import TYPE_CHECKING, Any

from xaudio.plugin import attach, hookimpl

if TYPE_CHECKING:
    from ._html import player_script as player_script, player_style as player_style

# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(__name__, dict.fromkeys(("player_script", "player_style"), f"{__name__}._html"))


def html(*, sounds: str = "audible", renderers: tuple[str, ...] = ()) -> Any:
    """One page, ``explanation.html``, in which picture and sound are one: it opens from disk and loads nothing from elsewhere.

    The object also makes pages of many explanations, ``page(explanations)``, and parts for the pages of others,
    ``component(explanations)`` and, once per page, ``assets()``.

    Parameters
    ----------
    sounds : str
        The renderer of the sounds, with options as in audible:loudness=match; it must write the parts that ``audible``
        writes, of the recording's length.
    renderers : tuple of str
        Further renderers whose pictures and sounds are shown below, with options where wanted, written as visual:dpi=200+mine.
    """
    from ._html import Html

    return Html(sounds=sounds, renderers=renderers)


@hookimpl
def xaudio_renderers() -> dict[str, Any]:
    """The renderer ``html``."""
    return {"html": html}
