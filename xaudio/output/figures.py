"""Figures that look the same everywhere: under settings of their own, whatever style sheets or fonts a computer has."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from .runs import printable, replaced

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.text import Text

FOR, AGAINST = "#cc001a", "#0040cc"
"""Colours of relevance that speaks for the class, and of relevance that speaks against it."""

FONT = "DejaVu Sans"
"""Comes with matplotlib; it has Latin, Greek, Cyrillic, Arabic and Hebrew letters."""

OTHERS = (
    *("Noto Sans CJK JP", "Noto Sans JP", "Source Han Sans", "IPAexGothic", "IPAGothic", "TakaoGothic", "Hiragino Sans"),
    *("Yu Gothic", "Meiryo", "MS Gothic", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei"),
    *("PingFang SC", "PingFang HK", "Droid Sans Fallback", "Noto Sans KR", "Malgun Gothic", "Apple SD Gothic Neo"),
    *("NanumGothic", "Noto Sans Devanagari", "Nirmala UI", "Noto Sans Thai", "Noto Sans Bengali", "Noto Sans Tamil"),
    *("Noto Sans Ethiopic", "Arial Unicode MS", "Unifont"),
)
"""Fonts of other scripts, of which those that are installed stand in for letters that `FONT` lacks."""

NO_STYLE = ("backend", "interactive", "toolbar", "tk.", "webagg", "date.epoch", "savefig.directory", "figure.hooks")
"""Settings that are not of how a figure looks, and are left as they are."""

LACKING = "\ufffd"
"""Drawn for a letter that no font has, instead of an empty box and a warning for each."""


@dataclass
class _Style:
    """Matplotlib's settings are those of the process: the first who draws sets ours, the last puts back what was."""

    changing: Lock = field(default_factory=Lock)
    drawing: int = 0
    before: ExitStack = field(default_factory=ExitStack)


_style = _Style()


@contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib's default settings for a while, whatever style sheets and matplotlibrc say; also a decorator.

    What they hold (usetex, other fonts, sizes, colours) would change what a figure shows, or need programs that are not there.
    Threads that draw at once share the settings.
    """
    with _style.changing:
        if not _style.drawing:
            _set_style(_style.before)
        _style.drawing += 1
    try:
        yield
    finally:
        with _style.changing:
            _style.drawing -= 1
            if not _style.drawing:
                _style.before.close()


def _set_style(before: ExitStack) -> None:
    import matplotlib

    before.enter_context(matplotlib.rc_context())
    before.enter_context(warnings.catch_warnings())
    settings: Any = matplotlib.rcParams
    dict.update(settings, _settings())  # which are right, so that to check each of them takes longest
    warnings.filterwarnings("ignore", "Glyph .* missing from")  # of tick labels; all else is replaced


@cache
def _settings() -> dict[str, Any]:
    import matplotlib

    defaults = {str(key): value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith(NO_STYLE)}
    return {**defaults, "font.family": [FONT, *_installed()]}


@cache
def _installed() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    names = set(fontManager.get_font_names())
    return tuple(name for name in OTHERS if name in names)


@cache
def _letters() -> frozenset[int]:
    """Code points that can be drawn."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = [get_font(findfont(FontProperties(family=name))) for name in (FONT, *_installed())]
    return frozenset(code for font in fonts for code in font.get_charmap())


def drawable(text: str) -> str:
    """The text with `LACKING` for each letter that no font has, and without marks that are not to be seen."""
    if text.isascii() and text.isprintable():
        return text
    letters = _letters()
    kept = [letter for letter in printable(text) if ord(letter) in letters or unicodedata.category(letter) not in ("Cf", "Mn")]
    return "".join(letter if ord(letter) in letters or letter == "\n" else LACKING for letter in kept)


def clean_texts(figure: Figure) -> None:
    """Make all texts of a figure `drawable`, in place.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    """
    from matplotlib.ticker import FixedFormatter

    for text in _texts(figure):
        if (written := drawable(text.get_text())) != text.get_text():
            text.set_text(written)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter):
                formatter.seq = [drawable(str(label)) for label in formatter.seq]  # type: ignore[attr-defined]


def _texts(artist: Artist) -> Iterator[Text]:
    """Texts within an artist, but for those of ticks, which are written when they are drawn; to ask for them makes them anew."""
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    for child in artist.get_children():
        if isinstance(child, Text):
            yield child
        if isinstance(child, Axis):
            yield from (child.label, child.offsetText)
        else:
            yield from _texts(child)


@own_style()
def save_figure(
    figure: Figure,
    path: Path,
    *,
    dpi: float,
    format: str = "png",  # noqa: A002 (as matplotlib names it)
    metadata: Mapping[str, str | None] | None = None,
) -> Path:
    """Write a figure atomically, under xaudio's own style.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Made under `own_style`.
    path : Path
    dpi : float
    format : str
        "png", "svg" or "pdf".
    metadata : mapping, optional
        Of the file, such as its "Title".

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    clean_texts(figure)
    told = {key: value if value is None else printable(value) for key, value in (metadata or {}).items()}
    with replaced(path) as temporary:
        if format == "png":
            _draw_once(figure, temporary, dpi, told)
        else:
            figure.savefig(temporary, format=format, dpi=dpi, metadata=told)
    return path


def _draw_once(figure: Figure, path: Path, dpi: float, metadata: Mapping[str, str | None]) -> None:
    """What ``figure.savefig`` shows, which draws everything once more, unseen, to lay it out."""
    from .canvas import write_png

    before = figure.dpi
    figure.dpi = dpi
    try:
        write_png(figure, path, metadata)
    finally:
        figure.dpi = before
