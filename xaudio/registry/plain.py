"""Values as other libraries give them (numpy and torch scalars, NaN for what is missing), as Python's own."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """A scalar of numpy or torch as Python's own, an array as a list, and anything else as it is."""
    return (
        value.tolist() if isinstance(getattr(value, "shape", None), tuple) and callable(getattr(value, "tolist", None)) else value
    )


def missing(value: Any) -> bool:
    """Whether a value stands for one that is not there: None, or the NaN that tables put there."""
    return value is None or (isinstance(value, float) and value != value)


def whole(value: Any) -> int | None:
    """A whole number given as an int, a float such as 3.0, or a scalar of these; None for anything else."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or number % 1 != 0:
        return None
    return int(number)
