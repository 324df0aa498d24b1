"""Figures of groups and clusters of explanations, in the colours of the renderer ``visual``: red for the class, blue against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xaudio.plugin import AGAINST, FOR, FloatArray, counted, own_style

from .cells import CellAxis
from .results import Cluster, ClusterResult, ClusterSet, Contrast, GroupRelevance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

"""For and against; they differ in lightness too and are told apart with any common colour blindness."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999933")
"""Of groups and clusters: those of Okabe and Ito (2008), told apart with any common colour blindness."""

SHOWN = 12
"""Contrasts with a panel of their own; more could not be read."""

DPI = 110


@own_style()
def figure_of_groups(result: GroupRelevance) -> Figure:
    """Mean relevance of the groups, and each contrast with the cells beyond the corrected level marked."""
    contrasts = sorted(result.contrasts, key=lambda item: item.smallest_p)[:SHOWN]
    shown = [contrast for contrast in result.contrasts if contrast in contrasts]
    draw = _draw_lines if len(result.axes) == 1 else _draw_maps
    figure = draw(result, shown)
    left_out = len(result.contrasts) - len(shown)
    others = counted(left_out, "group with less difference is", "groups with less difference are")
    more = f"; {others} not shown" if left_out else ""
    unit = {"none": "relevance", "positive": "share of positive relevance"}.get(result.normalise, "share of relevance")
    figure.suptitle(
        f"task {result.task}, by {result.by}: mean {unit}, {result.view} view, {result.explainer}\n"
        f"marked: p at most {result.level:g} after correction for all cells, exchanging {result.unit}{more}",
        fontsize="medium",
        parse_math=False,
    )
    return figure


def _draw_lines(result: GroupRelevance, contrasts: Sequence[Contrast]) -> Figure:
    """For two groups their lines and the difference; for more a panel each, of the group and of what differs."""
    axis = result.axes[0]
    figure, panels = _panels(2 * len(contrasts), 2, 5.2, 2.5)
    colours = {group.name: COLOURS[number % len(COLOURS)] for number, group in enumerate(result.groups)}
    means = {group.name: np.array(group.mean) for group in result.groups}
    for number, contrast in enumerate(contrasts):
        left, right = panels[2 * number : 2 * number + 2]
        mean = means[contrast.group]
        others = {contrast.against: mean - np.array(contrast.difference)}
        for name, values in {contrast.group: mean, **others}.items():
            left.stairs(values, axis.edges, color=colours.get(name, "0.5"), label=name, baseline=None, linewidth=1.4)
        left.legend(fontsize="small", frameon=False)
        _mark_spans(right, axis, _marked(contrast, result.level))
        difference = np.array(contrast.difference)
        right.stairs(np.maximum(difference, 0), axis.edges, fill=True, color=FOR)
        right.stairs(np.minimum(difference, 0), axis.edges, fill=True, color=AGAINST)
        right.set_title(_difference(contrast), loc="left", fontsize="small", parse_math=False)
        left.set_title("mean relevance", loc="left", fontsize="small")
        for panel in (left, right):
            panel.axhline(0, color="0.6", linewidth=0.6)
            panel.set_xlim(axis.edges[0], axis.edges[-1])
            panel.set_xlabel(_label(axis))
    return figure


def _draw_maps(result: GroupRelevance, contrasts: Sequence[Contrast]) -> Figure:
    """A row per contrast: the group, what it is compared with, and the difference with marked cells dotted."""
    means = {group.name: np.array(group.mean) for group in result.groups}
    figure, panels = _panels(3 * len(contrasts), 3, 3.8, 3.1)
    maps = [(means[item.group], means[item.group] - item.difference, np.array(item.difference)) for item in contrasts]
    limit = max((np.abs(values).max() for row in maps for values in row[:2]), default=0.0)
    furthest = max((np.abs(row[2]).max() for row in maps), default=0.0)
    for number, (contrast, row) in enumerate(zip(contrasts, maps, strict=True)):
        titles = (contrast.group, contrast.against, _difference(contrast))
        for column, (values, title) in enumerate(zip(row, titles, strict=True)):
            panel = panels[3 * number + column]
            drawn = _draw_map(panel, result.axes, values, furthest if column == 2 else limit)
            panel.set_title(title, loc="left", fontsize="small", parse_math=False)
            if column:
                figure.colorbar(drawn, ax=panel, pad=0.02, aspect=25)
        frequencies, times = np.nonzero(_marked(contrast, result.level))
        across, up = result.axes[1].centres[times], result.axes[0].centres[frequencies]
        panels[3 * number + 2].scatter(across, up, s=5, color="black", linewidths=0)
    return figure


@own_style()
def figure_of_set(result: ClusterResult, cluster_set: ClusterSet) -> Figure:
    """Eigenvalues, the embedding, and the mean relevance of each cluster of a set."""
    clusters = cluster_set.clusters[:SHOWN]
    figure, panels = _panels(2 + len(clusters), 2, 5.0, 3.0)
    recordings = counted(cluster_set.recordings, "recording")
    title = f"task {result.task}, {cluster_set.name}: {recordings}, {result.view} view, {result.explainer}"
    figure.suptitle(title, fontsize="medium", parse_math=False)
    _draw_eigenvalues(panels[0], cluster_set)
    _draw_embedding(panels[1], result, cluster_set)
    means = np.array([cluster.mean for cluster in clusters])
    limits = float(means.min()), float(means.max())
    for number, (panel, cluster) in enumerate(zip(panels[2:], clusters, strict=False)):
        _draw_mean(panel, result.axes, cluster, COLOURS[number % len(COLOURS)], limits)
        panel.set_title(f"cluster {cluster.number}: mean of {len(cluster.recordings)}", loc="left", fontsize="small")
    return figure


def _draw_eigenvalues(axes: Axes, cluster_set: ClusterSet) -> None:
    values, count = np.array(cluster_set.eigenvalues), len(cluster_set.clusters)
    numbers = np.arange(1, len(values) + 1)
    axes.plot(numbers, values, color="0.6", marker="o", markerfacecolor="white", zorder=1)
    axes.scatter(numbers[:count], values[:count], color="black", zorder=2, label="counted as clusters")
    if cluster_set.expected:
        axes.plot(numbers, cluster_set.expected, color="0.6", linestyle=":", label="expected without clusters")
    if count < len(values):
        axes.vlines(count + 0.5, values[count - 1], values[count], color=FOR, linewidth=2, label=f"gap {cluster_set.gap:.2g}")
    axes.set(xlabel="number", ylabel="eigenvalue", xticks=numbers, ylim=(min(-0.05, values.min()), None))
    axes.set_title(f"eigenvalues of the Laplacian, {cluster_set.neighbours} neighbours", loc="left", fontsize="small")
    axes.legend(fontsize="small", frameon=False)


def _draw_embedding(axes: Axes, result: ClusterResult, cluster_set: ClusterSet) -> None:
    members = [member for member in result.members if member.set == cluster_set.name]
    for cluster in cluster_set.clusters:
        places = np.array([member.embedding for member in members if member.cluster == cluster.number])
        colour = COLOURS[(cluster.number - 1) % len(COLOURS)]
        axes.scatter(places[:, 0], places[:, 1], s=16, color=colour, alpha=0.6, linewidths=0, label=f"cluster {cluster.number}")
    outliers = np.array([member.embedding for member in members if member.outlier]).reshape(-1, 2)
    axes.scatter(
        outliers[:, 0],
        outliers[:, 1],
        s=60,
        facecolors="none",
        edgecolors="0.2",
        linewidths=0.8,
        label="outlier" if len(outliers) else None,
    )
    medoids = np.array([member.embedding for member in members if member.medoid])
    axes.scatter(
        medoids[:, 0], medoids[:, 1], s=90, marker="*", color="black", edgecolors="white", linewidths=0.6, label="medoid"
    )
    axes.set(xlabel="second eigenvector", ylabel="third eigenvector", xticks=[], yticks=[])
    axes.set_title("spectral embedding", loc="left", fontsize="small")
    axes.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _draw_mean(panel: Axes, axes: Sequence[CellAxis], cluster: Cluster, colour: str, limits: tuple[float, float]) -> None:
    if len(axes) == 2:
        _draw_map(panel, axes, np.array(cluster.mean), max(map(abs, limits)))
        return
    panel.stairs(np.array(cluster.mean), axes[0].edges, color=colour, fill=True)
    panel.axhline(0, color="0.6", linewidth=0.6)
    space = 0.05 * (limits[1] - limits[0] or 1)
    panel.set(xlim=(axes[0].edges[0], axes[0].edges[-1]), ylim=(limits[0] - space, limits[1] + space))
    panel.set_xlabel(_label(axes[0]))


def _draw_map(panel: Axes, axes: Sequence[CellAxis], values: FloatArray, limit: float) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("relevance", [(0, AGAINST), (0.5, "white"), (1, FOR)])
    frequency, time = axes
    drawn = panel.pcolorfast(time.edges, frequency.edges, values, cmap=colours, vmin=-(limit or 1), vmax=limit or 1)
    panel.set(xlabel=_label(time), ylabel=_label(frequency))
    return drawn


def _mark_spans(panel: Axes, axis: CellAxis, marked: FloatArray) -> None:
    """Grey behind the marked cells, and a bar over them, so that thin ones are seen."""
    for cell in np.flatnonzero(marked):
        panel.axvspan(axis.edges[cell], axis.edges[cell + 1], color="0.85", linewidth=0, zorder=0)
        panel.plot(axis.edges[cell : cell + 2], [0.98, 0.98], color="black", linewidth=3, transform=panel.get_xaxis_transform())


def _marked(contrast: Contrast, level: float) -> FloatArray:
    return np.asarray(np.array(contrast.p_corrected) <= level)


def _difference(contrast: Contrast) -> str:
    return f"{contrast.group} less {contrast.against}: {contrast.marked} cells marked"


def _label(axis: CellAxis) -> str:
    return f"{axis.name.capitalize()} ({axis.unit})"


def _panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of its own (pyplot knows nothing of it) with panels in rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-count // columns)
    figure = Figure(figsize=(columns * width, rows * height + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
