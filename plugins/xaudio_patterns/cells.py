"""Relevance of many explanations on one modest grid, so that recordings can be averaged, compared and clustered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xaudio.plugin import Axis, Count, DataError, Explanation, FixedRecord, FloatArray, IntArray, ModelError, convert, parse_view

from .options import Align, Normalise

BINS = {"time": (64,), "frequency": (64,), "time-frequency": (32, 24)}
"""Bins of each axis, frequency first, unless the caller says otherwise."""

BoolArray = NDArray[np.bool_]

ROUNDING = 1e-6
"""As a share of a bin: times and frequencies that lie on an edge but for rounding are on it."""

Grid = list[float] | list[list[float]]
"""One value per cell; of two axes, one list over time for each frequency."""


class CellAxis(FixedRecord):
    """One axis of the cells.

    Parameters
    ----------
    name : str
        "time" or "frequency".
    unit : str
        "s", "Hz" or "of the duration".
    edges : list of float
        Of the bins: one more than there are cells.
    """

    name: str
    unit: str
    edges: list[float] = Field(min_length=2)

    @property
    def centres(self) -> FloatArray:
        """Middle of each bin."""
        edges = np.array(self.edges)
        return np.asarray((edges[1:] + edges[:-1]) / 2)


@dataclass(frozen=True, eq=False)
class Cells:
    """Relevance of recordings in cells.

    Parameters
    ----------
    values : ndarray, shape ``(recordings, *cells)``
        float64; frequency before time.
    axes : tuple of CellAxis
    outside : float
        Mean share of the magnitude of relevance that lies in no cell: before the start or after the end of a recording.
    silent : int
        Recordings without any relevance, whose cells are all 0.
    """

    values: FloatArray
    axes: tuple[CellAxis, ...]
    outside: float
    silent: int

    @property
    def rows(self) -> FloatArray:
        """The values with one dimension for all cells, (recordings, cells)."""
        return self.values.reshape(len(self.values), -1)


def relevance_cells(
    explanations: Sequence[Explanation],
    view: str = "frequency",
    *,
    normalise: Normalise = "magnitude",
    align: Align = "start",
    frequency_bins: int | None = None,
    time_bins: int | None = None,
) -> Cells:
    """Relevance of each recording, in a view, summed in bins and normalised.

    Parameters
    ----------
    explanations : sequence of Explanation
        Of one model and explainer; read one by one, twice.
    view : str
        See `Explanation.view`.
    normalise : {"magnitude", "positive", "none"}
        See `Normalise`.
    align : {"start", "duration", "window"}
        See `Align`.
    frequency_bins, time_bins : int, optional
        At most as many as there are frequencies or times; by default 64, or 32 and 24 in time-frequency.

    Returns
    -------
    Cells

    Raises
    ------
    DataError
        If there are no explanations, they differ in their axes, or relevance is NaN or infinite.
    PluginError
        If there is no such view, or an option does not fit.
    """
    if not len(explanations):
        raise DataError("There are no explanations: give some.")
    name, _ = parse_view(view)
    normalise, align = convert("normalise", Normalise, normalise), convert("align", Align, align)
    wanted = dict(zip([axis for axis in ("frequency", "time") if axis in name], BINS[name], strict=True))
    asked = {"frequency": frequency_bins, "time": time_bins}
    wanted = {axis: convert(f"{axis}_bins", Count, bins if asked[axis] is None else asked[axis]) for axis, bins in wanted.items()}
    longest = max(explanation.recording_span[1] for explanation in explanations)
    model_axes = explanations[0].axes
    axes: tuple[CellAxis, ...] = ()
    values, outside = [], []
    for explanation in explanations:
        _refuse_other(explanation, model_axes)
        seen, relevance = _frequency_first(explanation.view(view))
        if not axes:
            axes = tuple(_cell_axis(axis, wanted[axis.name], align, longest) for axis in seen)
        sums, lost = _binned(explanation, seen, relevance, axes, align)
        values.append(_normalised(sums, normalise))
        outside.append(lost)
    cells = np.stack(values)
    silent = int((~cells.reshape(len(cells), -1).any(1)).sum())
    return Cells(cells, axes, float(np.mean(outside)), silent)


def _refuse_other(explanation: Explanation, axes: tuple[Axis, ...]) -> None:
    same = len(axes) == len(explanation.axes) and all(
        one.name == other.name and np.array_equal(one.centres, other.centres)
        for one, other in zip(axes, explanation.axes, strict=True)
    )
    if not same:
        raise DataError(f"The explanation of {explanation.clip.source} has other axes than the first: give those of one model.")
    if not np.isfinite(explanation.relevance).all():
        raise ModelError(
            f"The relevance of {explanation.clip.source} by {explanation.explainer} holds NaN or infinity; check the explainer."
        )


def _frequency_first(explanation: Explanation) -> tuple[tuple[Axis, ...], FloatArray]:
    """Axes and relevance summed over the channels, float64."""
    axes, relevance = explanation.axes, explanation.relevance.astype(np.float64).sum(0)
    return (axes[::-1], relevance.T) if axes[0].name == "time" else (axes, relevance)


def _cell_axis(axis: Axis, bins: int, align: Align, longest: float) -> CellAxis:
    low, high, unit = float(axis.centres[0]), float(axis.centres[-1]), axis.unit
    step = (high - low) / max(1, len(axis.centres) - 1)
    if axis.name == "time" and align != "window":
        low, high = 0.0, longest
        bins = min(bins, max(1, round(longest / step))) if step else 1
        if align == "duration":
            high, unit = 1.0, "of the duration"
    edges = np.linspace(low, max(high, low + 1e-9), min(bins, len(axis.centres)) + 1)
    return CellAxis(name=axis.name, unit=unit, edges=edges.tolist())


def _binned(
    explanation: Explanation, seen: tuple[Axis, ...], relevance: FloatArray, axes: tuple[CellAxis, ...], align: Align
) -> tuple[FloatArray, float]:
    """Relevance summed in cells, and the share of its magnitude that lies in none."""
    index = np.zeros(relevance.shape, dtype=np.int64)
    inside = np.ones(relevance.shape, dtype=bool)
    for dimension, (axis, cells) in enumerate(zip(seen, axes, strict=True)):
        position, valid = _bins_of(_positions(explanation, axis, align), cells)
        shape = [-1 if other == dimension else 1 for other in range(relevance.ndim)]
        index = index * (len(cells.edges) - 1) + position.reshape(shape)
        inside &= valid.reshape(shape)
    size = [len(cells.edges) - 1 for cells in axes]
    sums = np.bincount(index[inside], weights=relevance[inside], minlength=int(np.prod(size)))
    total = np.abs(relevance).sum()
    lost = float(np.abs(relevance[~inside]).sum() / total) if total else 0.0
    return np.asarray(sums.reshape(size), dtype=np.float64), lost


def _positions(explanation: Explanation, axis: Axis, align: Align) -> FloatArray:
    """Centres of the view's cells in the unit of the bins."""
    if axis.name != "time" or align == "window":
        return axis.centres
    times = axis.centres + explanation.window_start
    if align != "duration":
        return np.asarray(times)
    start, stop = explanation.recording_span
    return np.asarray((times - start) / max(stop - start, 1 / explanation.clip.sample_rate))


def _bins_of(positions: FloatArray, cells: CellAxis) -> tuple[IntArray, BoolArray]:
    """The bin of each position, and whether it lies in one."""
    low, high, bins = cells.edges[0], cells.edges[-1], len(cells.edges) - 1
    place = (positions - low) / (high - low) * bins
    inside = (place >= -ROUNDING) & (place <= bins + ROUNDING)
    return np.clip(np.floor(place + ROUNDING), 0, bins - 1).astype(np.int64), inside


def _normalised(cells: FloatArray, normalise: Normalise) -> FloatArray:
    if normalise == "none":
        return cells
    kept = np.maximum(cells, 0) if normalise == "positive" else cells
    total = np.abs(kept).sum()
    return np.asarray(kept / total) if total else kept * 0
