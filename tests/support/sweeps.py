"""Parametrised tests of many values, some of which the quick loop takes and all of which `pytest` takes."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sweep(values: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """The values, those that are not quick with the mark `sweep`."""
    values = list(values)
    assert all(value in values for value in quick), f"not among the values: {[value for value in quick if value not in values]}"
    return [value if value in quick else _marked(value) for value in values]


def _marked(value: Any) -> Any:
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.sweep)
