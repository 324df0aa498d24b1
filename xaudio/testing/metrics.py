"""Checks of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch

from ..errors import XaudioError
from ..measuring.metric import Better
from ..registry.defaults import SLOPE
from ..types import Explainer
from .state import Left, left_in_process, watching
from .suite import Case, Unasked, need, refusal, unlike
from .toys import changed_in, content_of, times_input, toy_explanations

ALL = [0, 1, 2, 3]


@dataclass
class Measured:
    """Values of a call, or its refusal, and what it left behind."""

    values: Any = None
    refusal: XaudioError | None = None
    left: Left = field(default_factory=Left)
    changed: str = ""


class MetricCase(Case):
    """A metric, asked about four explanations of a toy model."""

    def measure(self, rows: list[int], metric: Any = None) -> Measured:
        """The values of some of the explanations, in this order."""
        # A plugin, where there is one: a metric may explain anew, which it cannot with a function.
        explainer: str | Explainer = SLOPE if SLOPE in self.plugins.names("explainer") else times_input
        model, explanations = toy_explanations(explainer)
        chosen = [explanations[row] for row in rows]
        content, measured = [content_of(item) for item in chosen], Measured()
        with watching(model.network) as measured.left:
            try:
                measured.values = (metric or self.plugin)(model, chosen)
            except XaudioError as error:
                measured.refusal = error
        measured.changed = changed_in(chosen, content)
        return measured

    @cached_property
    def tried(self) -> Measured:
        """The first call."""
        return self.measure(ALL)

    @property
    def first(self) -> Measured:
        """The first call; where it is refused, no check of it is made."""
        if self.tried.refusal is not None:
            raise Unasked(f"it refuses: {self.tried.refusal}")
        return self.tried

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """Values of all explanations, if they are any."""
        if _misshapen(self):
            raise Unasked("it gives no named values, one per explanation")
        values: Mapping[str, Any] = self.first.values
        return values

    @cached_property
    def unlike(self) -> str:
        """Why a second call gives something else, or nothing."""
        first, again, anew = (_row(item) for item in (self.values, self._values(ALL), self._values(ALL, self.make())))
        if not first.shape == again.shape == anew.shape:
            return "a second call gives other values"
        return unlike(first, again, anew, "generators" in self.first.left.changes)

    def _values(self, rows: list[int], metric: Any = None) -> Mapping[str, Any]:
        measured = self.measure(rows, metric)
        if measured.refusal is not None:
            raise measured.refusal
        values: Mapping[str, Any] = measured.values
        return values

    def differs(self, rows: list[int]) -> bool:
        """Whether a value of these explanations differs from that among all."""
        values = self._values(rows)
        return set(values) != set(self.values) or not all(
            np.shape(values[key]) == (len(rows),)
            and np.allclose(values[key], np.asarray(self.values[key])[rows], rtol=1e-3, atol=1e-5)
            for key in values
        )


def _row(values: Mapping[str, Any]) -> torch.Tensor:
    return torch.cat([torch.as_tensor(np.asarray(values[key], dtype=np.float64)).reshape(-1) for key in sorted(values)])


def _misshapen(case: MetricCase) -> str:
    values = case.first.values
    if not isinstance(values, Mapping) or not values:
        return f"it returned {values!r}; expected a mapping from names to values, one per explanation"
    for name, value in values.items():
        if np.shape(value) != (len(ALL),) or np.asarray(value).dtype.kind not in "fiub":
            return (
                f"{name!r} is {np.asarray(value).dtype} of shape {np.shape(value)}; expected ({len(ALL)},), one per explanation"
            )
    return ""


def it_measures_or_refuses_in_one_line(case: MetricCase) -> str:
    return refusal(case.tried.refusal) if case.tried.refusal else ""


def it_says_which_values_are_better(case: MetricCase) -> str:
    better = getattr(case.plugin, "better", None)
    if isinstance(better, Mapping) and better and set(better.values()) <= set(get_args(Better)):
        return ""
    return f"better is {better!r}; expected a mapping from names of values to {', '.join(get_args(Better))}"


def it_gives_named_values_one_per_explanation(case: MetricCase) -> str:
    return _misshapen(case)


def values_are_finite(case: MetricCase) -> str:
    bad = [name for name, value in case.values.items() if not np.isfinite(value).all()]
    return f"NaN or infinite: {', '.join(bad)}; what cannot be measured is refused" if bad else ""


def it_says_of_every_value_that_it_gives_which_is_better_and_of_no_other(case: MetricCase) -> str:
    given, said = set(case.values), set(getattr(case.plugin, "better", None) or {})
    return "" if given == said else f"it gives {', '.join(sorted(given))} and says so of {', '.join(sorted(said)) or 'none'}"


def the_same_call_gives_the_same_values(case: MetricCase) -> str:
    return case.unlike


def a_value_does_not_depend_on_the_other_explanations(case: MetricCase) -> str:
    need(case, values_are_finite, the_same_call_gives_the_same_values)
    if any(case.differs([row]) for row in (0, 1)):
        return "a value of an explanation alone is not that among four"
    return "it changes with the order or number of the explanations" if case.differs([3, 2, 1, 0]) or case.differs([2, 0]) else ""


def the_explanations_are_not_changed(case: MetricCase) -> str:
    return case.first.changed


def modes_of_the_model_are_left_as_they_were(case: MetricCase) -> str:
    return case.first.left.said("modes", "left in another mode (training or evaluation)")


def no_hooks_are_left_behind(case: MetricCase) -> str:
    return case.first.left.said("hooks", "left behind or taken away")


def weights_are_left_as_they_were(case: MetricCase) -> str:
    return case.first.left.said("weights", "weights or buffers changed")


def the_model_is_left_as_it_was(case: MetricCase) -> str:
    left = case.first.left
    ways = {"modules": "replaced, added or taken away", "attributes": "changed or left behind"}
    ways |= {"requires_grad": "requires_grad was switched", "gradients": "a gradient was left or changed"}
    return "; ".join(filter(None, (left.said(aspect, how) for aspect, how in ways.items())))


def the_process_is_left_as_it_was(case: MetricCase) -> str:
    left = case.first.left
    others = {aspect: names for aspect, names in left.changes.items() if aspect != "hooks"}
    return left_in_process(Left(others, left.files), chance=bool(not _misshapen(case) and case.unlike))
