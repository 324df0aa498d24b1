"""Where the evidence lies, for sounds of which that is known by construction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..registry.defaults import DATASET_WITH_TRUTH
from ..types import Axis, FloatArray

if TYPE_CHECKING:
    from ..explanation.explanation import Explanation

DIGITS = 9
"""Times and frequencies are compared to so many decimals: rounding must not move a cell across an edge."""

BoolArray = NDArray[np.bool_]


def truth_mask(explanation: Explanation, truth: str | None = None, *, margin_s: float = 0.0, margin_hz: float = 0.0) -> BoolArray:
    """Cells of an explanation in which the evidence lies.

    Parameters
    ----------
    explanation : Explanation
        Of a recording with truth. Boxes are projected onto those of time and frequency that are among its axes, and cover
        any other axis.
    truth : str, optional
        Entry of ``clip.truth`` with rows (start s, end s, low Hz, high Hz), relative to the start of the recording; by
        default ``boxes.TASK.CLASS`` of the explained class, or else ``boxes.TASK`` of the task. Another one is
        ``decoys.TASK``: what is there but says nothing.
    margin_s, margin_hz : float
        By which each box is made larger on either side, in s and Hz: a cell of a spectrogram hears half a window around it.

    Returns
    -------
    ndarray of bool, shape ``(channels, *axes)``
        True where a cell's centre c lies in a box: start <= c < end, low <= c <= high. A box as long as the recording (or
        as what is heard of it, if it was cut) says nothing of time and covers all times, and one up to half the sample rate
        covers all frequencies.

    Raises
    ------
    DataError
        If the recording has no such truth, or the boxes hold no cell or all of them, so that they say nothing here.
    """
    name = truth or _truth_of(explanation)
    boxes = _boxes(explanation, name)
    covers = dict(zip(("time", "frequency"), _covers(explanation, boxes), strict=True))
    boxes = boxes + np.array([-margin_s, margin_s, -margin_hz, margin_hz])
    mask = np.ones((len(boxes), *(1,) * len(explanation.axes)), dtype=bool)
    for position, axis in enumerate(explanation.axes):
        if axis.name in covers:
            shape = [len(boxes), *(1,) * len(explanation.axes)]
            shape[position + 1] = len(axis.centres)
            mask = mask & (covers[axis.name][:, None] | _inside(explanation, axis, boxes)).reshape(shape)
    covered = mask.any(0)
    if covered.all() or not covered.any():
        what = "everything" if covered.all() else "no cell"
        raise DataError(
            f"The truth {name!r} of {explanation.clip.source} covers {what} in {explanation.domain or 'this domain'}, so it "
            f"says nothing there; take a view of the explanation in another domain."
        )
    return np.ascontiguousarray(np.broadcast_to(covered, explanation.features.shape))


def truth_domain(explanation: Explanation, truth: str | None = None) -> str:
    """The domain in which the truth of an explained recording says where: "time", "frequency" or "time-frequency".

    Parameters
    ----------
    explanation : Explanation
    truth : str, optional
        See `truth_mask`.

    Raises
    ------
    DataError
        If the recording has no such truth.
    """
    boxes = _boxes(explanation, truth or _truth_of(explanation))
    all_times, all_frequencies = _covers(explanation, boxes)
    if all_frequencies.all() and not all_times.all():
        return "time"
    return "frequency" if all_times.all() and not all_frequencies.all() else "time-frequency"


def _truth_of(explanation: Explanation) -> str:
    """The entry of the truth that tells where the evidence for the explained class lies."""
    of_class = f"boxes.{explanation.task}.{explanation.classes[explanation.target]}"
    return of_class if of_class in explanation.clip.truth else f"boxes.{explanation.task}"


def _boxes(explanation: Explanation, name: str) -> FloatArray:
    """The boxes (n, 4) of an entry of the truth."""
    clip = explanation.clip
    if name not in clip.truth:
        names = ", ".join(key for key in clip.truth if key.startswith(("boxes.", "decoys."))) or "none"
        raise DataError(
            f"The recording {clip.source} has no truth {name!r} (known: {names}); take a data set that knows where the "
            f"evidence lies, such as {DATASET_WITH_TRUTH!r}."
        )
    boxes = np.asarray(clip.truth[name], dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) or not np.isfinite(boxes).all():
        raise DataError(
            f"The truth {name!r} of {clip.source} has shape {boxes.shape}; expected finite rows (start s, end s, low Hz, "
            f"high Hz), one at least."
        )
    return boxes


def _covers(explanation: Explanation, boxes: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Whether each box covers all that is heard of the recording in time, and in frequency."""
    rate, facts = explanation.clip.sample_rate, explanation.provenance
    _, start, samples = explanation.placed
    stop = start + samples
    # Resampling rounds the length to whole samples; above the lower of the two rates' halves there is no sound.
    all_times = (boxes[:, 0] <= start / rate) & (boxes[:, 1] >= (stop - 1) / rate)
    all_frequencies = (boxes[:, 2] <= 0) & (boxes[:, 3] >= min(rate, facts.get("original_sample_rate", rate)) / 2)
    return np.asarray(all_times), np.asarray(all_frequencies)


def _inside(explanation: Explanation, axis: Axis, boxes: FloatArray) -> BoolArray:
    """Whether the cells of the axis of time or frequency lie in each box, (boxes, cells)."""
    edges = np.round(boxes, DIGITS)
    if axis.name == "frequency":
        centres = np.round(axis.centres, DIGITS)
        return np.asarray((edges[:, 2, None] <= centres) & (centres <= edges[:, 3, None]))
    centres = np.round(axis.centres + explanation.window_start, DIGITS)
    return np.asarray((edges[:, 0, None] <= centres) & (centres < edges[:, 1, None]))
