"""Explanations as pages: picture, players, probabilities and provenance in one file that opens anywhere."""

from typing import Any

from xaudio import hookimpl


def html(*, renderers: tuple[str, ...] = ("visual", "audible")) -> Any:
    """One page, ``explanation.html``, with everything in it: it opens from disk and loads nothing from elsewhere.

    Parameters
    ----------
    renderers : tuple of str
        Renderers whose pictures and sounds are put into the page, with options where wanted, written as
        visual:dpi=200+audible.
    """
    from ._html import Html

    return Html(renderers=renderers)


@hookimpl
def xaudio_renderers() -> dict[str, Any]:
    """The renderer ``html``."""
    return {"html": html}
