"""Figures for files: made once for pictures of a kind, then filled, saved and emptied for one explanation after the other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from matplotlib.colorbar import Colorbar

from ._picture import picture
from ._stack import BESIDE, Beside, Stack

MOST = 4
"""Kinds of pictures whose figures are kept."""

_kept: dict[Hashable, Sheet] = {}
_lock = Lock()


class Sheet:
    """A figure with panels one below another, and colour bars beside some of them.

    Parameters
    ----------
    panels : int
        Of each channel: one heat map, or three of a waveform.
    channels : int
    constrained : bool
        Laid out by matplotlib, as a figure needs that is changed afterwards; it takes as long as all else.
    """

    def __init__(self, panels: int, channels: int, *, constrained: bool) -> None:
        self.figure = picture(panels, channels)
        self.title = self.figure.suptitle("", fontsize="medium", parse_math=False)
        self.panels = [self.figure.add_subplot(panels * channels, 1, panel + 1) for panel in range(panels * channels)]
        self.bars: dict[tuple[int, str], Beside] = {}
        self.figure.set_layout_engine("constrained" if constrained else Stack(self.title, self.panels, self.bars.values()))

    def bar(self, shown: Any, panel: int, name: str, label: str, aspect: float, **style: Any) -> None:
        """The colour bar of a name beside a panel, for what is shown there now."""
        beside = self.bars.get((panel, name))
        if beside is None:
            bar: Colorbar = self.figure.colorbar(shown, ax=self.panels[panel], pad=BESIDE, aspect=aspect, **style)
            self.bars[panel, name] = Beside(bar, panel, aspect)
        else:
            bar = beside.bar
            bar.update_normal(shown)
        bar.set_label(label, parse_math=False)
        if bar.solids is not None:
            bar.solids.set_edgecolor("none")

    def empty(self) -> None:
        """Leave the panels as they were made; the next explanation changes all that is left, as the bars' colours."""
        drawn = [*self.figure.artists]
        for panel in self.panels:
            drawn += [*panel.lines, *panel.collections, *panel.patches, *panel.images]
        for artist in drawn:
            artist.remove()
        for panel in self.panels:
            panel.set_title("", loc="left")
            panel.relim()
            panel.set_xlim(0, 1, auto=True)
            panel.set_ylim(0, 1, auto=True)


@contextmanager
def sheet_for(key: Hashable, panels: int, channels: int) -> Iterator[Sheet]:
    """A sheet to fill and save: one that was kept under this key, or a new one; None keeps nothing.

    No two threads have the same. One that could not be filled or saved is not kept.
    """
    with _lock:
        lent = _kept.pop(key, None)
    lent = lent or Sheet(panels, channels, constrained=False)
    yield lent
    if key is None:
        return
    lent.empty()
    with _lock:
        _kept[key] = lent
        while len(_kept) > MOST:
            _kept.pop(next(iter(_kept)))
