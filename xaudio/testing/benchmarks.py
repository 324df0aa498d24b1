"""Checks of benchmarks; none is run, since that may take hours."""

from __future__ import annotations

from ..registry.options import REQUIRED, options_of
from .suite import Case


class BenchmarkCase(Case):
    """A benchmark."""


def it_has_defaults_for_all_options(case: BenchmarkCase) -> str:
    options = options_of(case.plugins.factory("benchmark", case.name))
    without = [name for name, option in options.items() if option.default is REQUIRED and name not in case.options]
    return f"without a default: {', '.join(without)}" if without else ""


def it_can_be_called_and_report(case: BenchmarkCase) -> str:
    if not callable(case.plugin):
        return f"it is a {type(case.plugin).__name__}; expected something that can be called with a folder"
    return "" if callable(getattr(case.plugin, "report", None)) else "it has no method report(folder)"
