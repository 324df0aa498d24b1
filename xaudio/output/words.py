"""Numbers in words: counted things, and shares that add up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

FOLDERS = re.compile(r"""(?:^|(?<=file://)|(?<=[\s=:,;'"(\[+]))(?:[A-Za-z]:[\\/]|\\\\|/)(?:[^/\\\s,;'"]+[/\\])*(?=[^/\\\s])""")
"""The folders of an absolute path within a text, as in "python:at=/home/me/model.py:build"."""


def without_folders(content: Any) -> Any:
    """JSON values that can be passed on: of every absolute path in them only the last part is left.

    Parameters
    ----------
    content : object
    """
    if isinstance(content, dict):
        return {key: without_folders(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_folders(value) for value in content]
    if not isinstance(content, str):
        return content
    for path in (PurePosixPath(content), PureWindowsPath(content)):
        if path.is_absolute():
            return path.name
    return FOLDERS.sub("", content)


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
    import numpy as np  # not above: the command line starts without it

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


def counted_of(count: int, total: int, thing: str, one: str, several: str, *, things: str = "") -> str:
    """Some of all things with what is said of them, such as "1 of 40 recordings has no label".

    Parameters
    ----------
    count, total : int
    thing : str
    one, several : str
        What is said of one, or of none of one; and of several.
    things : str
        The plural; by default with an s.
    """
    return f"{count} of {counted(total, thing, things)} {one if 1 in (count, total) else several}"
