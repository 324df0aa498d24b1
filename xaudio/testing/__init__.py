"""The conformance suite of `xaudio plugins check`: whether a plugin keeps the contract of its kind.

Each check is a function of its own, whose name says what must hold; it takes the case, the plugin with its options, and
returns what is wrong, or nothing. The cases of a kind stand beside its checks, which are made
in the order of their module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import PluginError, unknown
from ..output.terminal import progress
from ..registry.loading import registry
from . import benchmarks, datasets, engines, explainers, loaders, metrics, models, renderers, representations, separators
from .suite import Case, Check, ContractError, Result, checks_in

__all__ = ["Check", "ContractError", "Result", "check", "checks_of"]

_CASES: dict[str, type[Case]] = {
    "dataset": datasets.DatasetCase,
    "representation": representations.RepresentationCase,
    "model": models.ModelCase,
    "loader": loaders.LoaderCase,
    "explainer": explainers.ExplainerCase,
    "separator": separators.SeparatorCase,
    "renderer": renderers.RendererCase,
    "metric": metrics.MetricCase,
    "benchmark": benchmarks.BenchmarkCase,
    "engine": engines.EngineCase,
}


def checks_of(
    kind: str, name: str, options: Mapping[str, Any] | None = None, *, representation: str | None = None
) -> list[Check]:
    """The checks of one plugin, for `pytest.mark.parametrize`; nothing of the plugin is called yet.

    Parameters
    ----------
    kind, name : str
    options : mapping
        Of the plugin.
    representation : str or None
        What a model is to read, with options, unless it is its own.

    Returns
    -------
    list of Check
        Each is called without arguments, and raises `ContractError` if what it is named after does not hold.

    Raises
    ------
    PluginError
        If there is no such kind.

    Examples
    --------
    >>> [check.__name__ for check in checks_of("benchmark", "speed")]
    ['it_has_defaults_for_all_options', 'it_can_be_called_and_report']
    """
    if kind not in _CASES:
        raise PluginError(unknown("kind of plugin", kind, _CASES))
    case = _CASES[kind](registry(), kind, name, options or {}, representation)
    return [Check(function, case) for function in checks_in(type(case).__module__)]


def check(kind: str, name: str, options: Mapping[str, Any] | None = None, *, representation: str | None = None) -> list[Result]:
    """Check one plugin; see `checks_of` for the parameters.

    Parameters
    ----------
    kind, name : str
    options : mapping
    representation : str or None

    Returns
    -------
    list of Result
        In the order of the checks. After the first of them, whether the plugin works at all, a failure ends the list.
    """
    results: list[Result] = []
    checks = checks_of(kind, name, options, representation=representation)
    with progress(f"Checking {kind} {name}", len(checks), always=False) as advance:
        for one in checks:
            result = one.result()
            if result.problem and any(result.problem == earlier.problem for earlier in results):
                result = Result(result.what, skipped="it fails as above")
            results.append(result)
            if results[0].problem:
                break
            advance()
    return results
