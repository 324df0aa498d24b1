"""Where in a recording the speaker's sex is to be heard: around the fundamental frequency and the formants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xaudio.plugin import FloatArray

from .articulation import STEP, VOICED, Tracks

F0_MARGIN = 0.2
"""From the F0 to the edge of its box, as a share of it: the sexes' medians are a factor of 1.7 apart."""
FRAMES = 10
"""Most frames of a box, 50 ms: the voice moves little in that time."""


def sex_boxes(tracks: Tracks) -> dict[str, FloatArray]:
    """Boxes (n, 4) of start and end in s and lowest and highest frequency in Hz, over the voiced frames.

    "boxes.sex_f0" lie around the fundamental frequency, "boxes.sex_formants" from each formant half its bandwidth up and
    down, and "boxes.sex" are both. Evidence lies in the harmonics as well, all over the spectrum; these boxes hold what the
    sexes differ in by construction.
    """
    runs = _runs(tracks.voicing > VOICED)
    pitch = _boxes(runs, tracks.f0 * (1 - F0_MARGIN), tracks.f0 * (1 + F0_MARGIN))
    lows, highs = tracks.formants - tracks.bandwidths / 2, tracks.formants + tracks.bandwidths / 2
    formants = np.concatenate([_boxes(runs, low, high) for low, high in zip(lows.T, highs.T, strict=True)])
    return {"boxes.sex": np.concatenate([pitch, formants]), "boxes.sex_f0": pitch, "boxes.sex_formants": formants}


def _runs(voiced: NDArray[np.bool_]) -> list[slice]:
    """Frames of each voiced stretch, in pieces of at most `FRAMES`."""
    frames = np.flatnonzero(voiced)
    stretches = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1) if frames.size else []
    pieces = (piece for stretch in stretches for piece in np.array_split(stretch, -(-len(stretch) // FRAMES)))
    return [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def _boxes(runs: list[slice], low: FloatArray, high: FloatArray) -> FloatArray:
    """A box (n, 4) around a track (frames,) in each run; frame i is centred at i times `STEP`."""
    rows = [((run.start - 0.5) * STEP, (run.stop - 0.5) * STEP, float(low[run].min()), float(high[run].max())) for run in runs]
    return np.maximum(np.array(rows, dtype=np.float64).reshape(-1, 4), 0.0)
