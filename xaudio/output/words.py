"""Numbers in words: counted things, and shares that add up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentages(shares: Sequence[float]) -> list[int]:
    """Shares as whole percentages that add up to 100, rounded by the largest remainder; all 0 if the shares are.

    Parameters
    ----------
    shares : sequence of float
        Not negative; of a whole that they make up together.
    """
    whole = float(sum(shares))
    if not whole:
        return [0] * len(shares)
    exact = 100 * np.asarray(shares, dtype=np.float64) / whole
    down = np.floor(exact).astype(int)
    largest = np.argsort(down - exact, kind="stable")
    down[largest[: 100 - int(down.sum())]] += 1
    return [int(percent) for percent in down]


def counted(count: int, thing: str, things: str = "") -> str:
    """A number with the name of what is counted, such as "1 recording" or "2000 recordings".

    Parameters
    ----------
    count : int
    thing : str
    things : str
        The plural; by default with an s.
    """
    return f"{count} {thing if count == 1 else things or thing + 's'}"
