"""The places of panels in a file, measured once: matplotlib's constrained layout measures every text ten times."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform, blended_transform_factory

PAD, TICK, LABEL, TITLE = 3.0, 7.0, 4.0, 6.0
"""In points: around everything, from an axis to the labels of its ticks, from these to its label, from a panel to its title."""

BESIDE = 0.02
"""From a panel to its colour bar, as a share of the figure's width."""


class Beside(NamedTuple):
    """A colour bar, the number of the panel that it stands beside, and how many times as high as wide it is."""

    bar: Colorbar
    panel: int
    aspect: float


class Measure:
    """Sizes of texts in pixels, and of the figure that they stand in."""

    def __init__(self, figure: Figure) -> None:
        canvas: Any = figure.canvas
        self.renderer = canvas.get_renderer() if hasattr(canvas, "get_renderer") else None
        self.width, self.height = figure.bbox.size
        self.point = figure.dpi / 72

    def text(self, text: Text) -> tuple[float, float]:
        """Width and height; of an empty one 0."""
        box = text.get_window_extent(self.renderer)
        return round(box.width, 6), round(box.height, 6)  # since their last digits depend on where the text was

    def ticks(self, axis: Axis) -> tuple[float, float]:
        """Width and height of the largest labels of the ticks in view."""
        labels = axis.get_ticklabels()
        low, high = sorted(axis.get_view_interval())
        edge = 1e-6 * (high - low)
        ticks = zip(axis.get_major_ticks(), labels, strict=False)
        sizes = [self.text(label) for tick, label in ticks if low - edge <= tick.get_loc() <= high + edge]
        for label in labels:
            label.set_in_layout(isinstance(axis, XAxis))  # vertical ones are measured here, and not again when they are drawn
        return max((size[0] for size in sizes), default=0.0), max((size[1] for size in sizes), default=0.0)


class Stack(LayoutEngine):
    """Panels one below another, as matplotlib's constrained layout has them, with the labels of their axes in line.

    Titles and labels say how high a panel is; with this its ticks are known, and the widest say how wide it is. No place
    depends on where things were before.

    Parameters
    ----------
    title : matplotlib.text.Text
        Of the figure.
    panels : sequence of Axes
    bars : collection of Beside
        Read anew each time.
    """

    _adjust_compatible = False
    _colorbar_gridspec = False

    def __init__(self, title: Text, panels: Sequence[Axes], bars: Collection[Beside]) -> None:
        super().__init__()
        self.title, self.panels, self.bars = title, panels, bars

    def execute(self, fig: Figure) -> None:
        """Place the panels, their colour bars, and the labels of both."""
        measure = Measure(fig)
        self.title.set_position((0.5, 1 - PAD * measure.point / measure.height))
        axes: list[tuple[int, Axis]] = [(number, panel.yaxis) for number, panel in enumerate(self.panels)]
        axes += [(beside.panel, beside.bar.ax.yaxis) for beside in self.bars]
        sizes = self._place_rows(measure, axes, [0.0] * len(axes))
        raising = [bool(axis.get_major_formatter().get_offset()) for _, axis in axes]
        factors = [1.5 * height * raised for raised, (_, height) in zip(raising, sizes, strict=True)]
        if any(factors):
            sizes = self._place_rows(measure, axes, factors)
        widths: dict[Axis, float] = {axis: width for (_, axis), (width, _) in zip(axes, sizes, strict=True)}
        self._place_columns(measure, widths)

    def _place_rows(
        self, measure: Measure, axes: Sequence[tuple[int, Axis]], factors: Sequence[float]
    ) -> list[tuple[float, float]]:
        """Set the heights; the sizes of the labels of the ticks on the vertical axes, above which factors may stand."""
        point, pad, last = measure.point, 2 * PAD * measure.point, self.panels[-1]
        last.set_position((0.1, 0.1, 0.8, 0.8 / len(self.panels)))
        ticks = TICK * point + measure.ticks(last.xaxis)[1] + LABEL * point
        below = ticks + measure.text(last.xaxis.label)[1]
        titles = [panel.set_title(panel.get_title("left"), loc="left", fontsize="small", y=1.0) for panel in self.panels]
        above = [measure.text(title)[1] + TITLE * point if title.get_text() else 0.0 for title in titles]
        above = [over + factor for over, factor in zip(above, factors, strict=False)]
        for (number, _), factor in zip(axes[len(above) :], factors[len(above) :], strict=True):
            above[number] = max(above[number], factor)
        top = measure.height - measure.text(self.title)[1] - 1.5 * pad
        height = max(1.0, (top - sum(above) - len(self.panels) * (below + pad) + pad / 2) / len(self.panels))
        for panel, over, factor, title in zip(self.panels, above, factors, titles, strict=False):
            top -= over + height
            panel.set_position((0.1, top / measure.height, 0.8, height / measure.height))
            title.set_y(1 + factor / height)
            along = blended_transform_factory(panel.transAxes, IdentityTransform())
            panel.xaxis.set_label_coords(0.5, top - ticks, along)
            top -= below + pad
        for bar, number, _ in self.bars:
            bar.ax.set_position(self.panels[number].get_position())
            locator: Any = bar.ax.get_axes_locator()
            bar.ax.apply_aspect(locator(bar.ax, measure.renderer))  # ticks are those of the height without tips
        return [measure.ticks(axis) for _, axis in axes]

    def _place_columns(self, measure: Measure, ticks: Mapping[Axis, float]) -> None:
        """Set the widths, and write the labels of the vertical axes."""
        point, pad = measure.point, PAD * measure.point
        label = pad + max(measure.text(panel.yaxis.label)[0] for panel in self.panels)
        left = label + (LABEL + TICK) * point + max(ticks[panel.yaxis] for panel in self.panels)
        bars = [(bar, self._widths(bar, measure, ticks[bar.bar.ax.yaxis])) for bar in reversed([*self.bars])]  # the last is next
        beside = [sum(sum(widths) for bar, widths in bars if bar.panel == number) for number in range(len(self.panels))]
        right = measure.width - pad - max(*beside, self._twin(measure))
        for panel in self.panels:
            place = panel.get_position()
            panel.set_position((left / measure.width, place.y0, (right - left) / measure.width, place.height))
            panel.yaxis.set_label_coords(label, 0.5, blended_transform_factory(IdentityTransform(), panel.transAxes))
        edges = [right] * len(self.panels)
        for bar, widths in bars:
            self._place_bar(bar, measure, edges[bar.panel], widths)
            edges[bar.panel] += sum(widths)

    def _widths(self, beside: Beside, measure: Measure, ticks: float) -> tuple[float, float, float, float]:
        """Of the gap before a colour bar, of the bar, of its ticks with their labels, and of its own label."""
        axis, point = beside.bar.ax.yaxis, measure.point
        high = self.panels[beside.panel].get_position().height * measure.height
        return BESIDE * measure.width, high / beside.aspect, (TICK + LABEL) * point + ticks, measure.text(axis.label)[0]

    def _twin(self, measure: Measure) -> float:
        """Width that second axes need at the right of their panel."""
        known = [*self.panels, *(beside.bar.ax for beside in self.bars)]
        figure: Any = self.title.get_figure(root=True)
        twins = [axes.yaxis for axes in figure.axes if axes not in known]
        others = (TICK + LABEL) * measure.point
        return max((others + measure.ticks(axis)[0] + measure.text(axis.label)[0] for axis in twins), default=0.0)

    def _place_bar(self, beside: Beside, measure: Measure, edge: float, widths: tuple[float, float, float, float]) -> None:
        """Place a colour bar and its label, within the figure."""
        gap, wide, ticks, _ = widths
        axes, panel = beside.bar.ax, self.panels[beside.panel].get_position()
        axes.set_position(((edge + gap) / measure.width, panel.y0, wide / measure.width, panel.height))
        half = measure.text(axes.yaxis.label)[1] / 2 + PAD * measure.point
        middle = min(max(measure.height * (panel.y0 + panel.y1) / 2, half), measure.height - half)
        axes.yaxis.set_label_coords(edge + gap + wide + ticks, middle, IdentityTransform())
