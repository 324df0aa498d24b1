"""Where explanations lie on a figure, and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from string import ascii_lowercase
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from xaudio.plugin import OutputError, clean_texts, own_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xaudio.plugin import Explanation

Panels = Literal["auto", "one", "three"]
HEIGHTS = {"one": 0.62, "three": 1.4}
"""Of an explanation, as a share of its width."""

LETTERS_PER_INCH = 11
MOST_COLUMNS = 3


@own_style()
def figure_of(
    explanations: Sequence[Explanation],
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    width: float = 7.0,
    panels: Panels = "auto",
    same_scale: bool = False,
    **options: Any,
) -> Figure:
    """Several explanations in a grid with one colour bar, as Figures 1 and 2 of arXiv 1807.03418.

    The channels of an explanation lie below each other; a colour is the same relevance in all of them.

    Parameters
    ----------
    explanations : sequence of Explanation
    titles : sequence of str, optional
        One for each; by default what was explained, by which method, of which recording. "" for none.
    columns : int, optional
        By default 1 of one explanation, 2 of up to four, and else 3.
    width : float
        Of the figure in inches; the height follows.
    panels : {"auto", "one", "three"}
        "one": a panel for each explanation. "three": of relevance along a single axis the signal, its relevance, and a segment
        with every sample coloured, one below the other. "auto": three where there are at most three and all lie along one axis.
    same_scale : bool
        Whether a colour is the same relevance in all of them; by default each has its own scale, and the bar has no numbers.
    **options
        Of the renderer "visual", such as ``scale="log"`` or ``zoom=(0.2, 0.3)``.

    Returns
    -------
    matplotlib.figure.Figure
        Without pyplot.

    Raises
    ------
    OutputError
        If there is no explanation, the titles are not as many, or three panels are asked for relevance in two axes.
    ModelError
        If a representation reads all channels at once.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from xaudio.plugin import by_channel, create

    _check(explanations, titles, panels)
    count = len(explanations)
    columns = min(count, columns or (1 if count == 1 else 2 if count <= 4 else MOST_COLUMNS))
    rows = ceil(count / columns)
    if panels == "auto":
        panels = "three" if count <= MOST_COLUMNS and all(len(item.axes) == 1 for item in explanations) else "one"
    parts = [by_channel([item]) for item in explanations]
    deep = max(map(len, parts))
    figure = Figure(figsize=(width, rows * deep * width / columns * HEIGHTS[panels] + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    renderer = create("renderer", "visual", **options)
    limits = [renderer.limit(item) for item in explanations]
    if same_scale:
        limits = [max(limits)] * count
    stacked = 3 if panels == "three" else 1
    grid = figure.add_gridspec(rows * deep * stacked, columns)
    shown: list[Axes] = []
    for place, (item, channels) in enumerate(zip(explanations, parts, strict=True)):
        row, column = divmod(place, columns)
        title = _title(item) if titles is None else titles[place]
        letter = f"({ascii_lowercase[place % 26]}) " if count > 1 and stacked == 1 else ""
        for number, part in enumerate(channels):
            first = (row * deep + number) * stacked
            axes = [figure.add_subplot(grid[first + panel, column]) for panel in range(stacked)]
            drawn = renderer.draw(part, *axes, limit=limits[place])
            above = [letter + title] * (number == 0) + [part.channel_alone.capitalize()]
            for panel, lines in zip(axes, [above, [], []], strict=False):
                texts = filter(None, [*lines, panel.get_title(loc="left")])
                folded = "\n".join(fill(line, int(LETTERS_PER_INCH * width / columns)) for line in texts)
                panel.set_title(folded, loc="left", fontsize="small", parse_math=False)
            shown += axes
    bar = figure.colorbar(drawn["relevance"], ax=shown, aspect=40, pad=0.02)
    along = int(0.9 * LETTERS_PER_INCH * figure.get_figheight())  # the bar is a little shorter than the figure
    bar.set_label(fill(_label(explanations), along), parse_math=False)
    if bar.solids is not None:
        bar.solids.set_edgecolor("none")
    if not same_scale and count > 1:
        bar.set_ticks([])
    clean_texts(figure)
    return figure


def _check(explanations: Sequence[Explanation], titles: Sequence[str] | None, panels: Panels) -> None:
    if not explanations:
        raise OutputError("There is no explanation to make a figure of.")
    if titles is not None and len(titles) != len(explanations):
        raise OutputError(f"There are {len(titles)} titles for {len(explanations)} explanations; expected one for each.")
    if panels == "three" and any(len(item.axes) != 1 for item in explanations):
        raise OutputError("Three panels show relevance along a single axis; use one panel, or the view time or frequency.")


def _title(item: Explanation) -> str:
    """What was explained, how and of what; what was predicted where that is something else."""
    predicted = "" if item.predictions == (item.classes[item.target],) else f", {item.prediction}"
    return f"{item.clip.name}: {item.question!r}{predicted}; {item.explainer}"


def _label(explanations: Sequence[Explanation]) -> str:
    names = {item.question for item in explanations}
    explained = repr(names.pop()) if len(names) == 1 else "the explained class"
    return f"Relevance against (blue) and for (red) {explained}"
