"""The changes that can be made to a test set, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xaudio.plugin import PluginError, check_options, convert, options_of, parse_spec, split_specs, unknown

from .moves import Domain, Level, Scale
from .relevant import Relevant
from .removal import Band, Slots
from .test_set import HeldOut, Plan


class Change(Protocol):
    """A manipulation of recordings, with controls of the same size."""

    def plan(self, held: HeldOut) -> Plan:
        """What is done to a test set; raises an `XaudioError` where it does not fit."""


def _scale(*, factor: float | None = None, on: Domain = "auto") -> Scale:
    return Scale(factor=factor, on=on)


def _level(*, gain: float | None = None) -> Level:
    return Level(gain=gain)


CHANGES: Mapping[str, Callable[..., Change]] = {
    "band": Band,
    "slots": Slots,
    "scale": _scale,
    "level": _level,
    "relevant": Relevant,
}
"""The changes, with what makes them from their options."""

PER_CLASS: Mapping[str, type[Scale] | type[Level]] = {"scale": Scale, "level": Level}
"""Changes that take a number for each class as well, under the class's name."""


@dataclass(frozen=True)
class Named:
    """A change as it was written, and what was made of it."""

    spec: str
    change: Change


def parse_changes(changes: str | Sequence[str]) -> list[Named]:
    """Changes from text such as ``band:low=100,high=300,scale:male=1.5,female=0.66``, or from several such texts.

    Between the options of one change, "+" may stand for the comma: ``band:low=100+high=300``.

    Raises
    ------
    PluginError
        If there is none, one is given twice, or an option or value does not fit.
    """
    texts = [changes] if isinstance(changes, str) else list(changes)
    specs = [spec for text in texts for spec in split_specs(text)]
    if not specs:
        raise PluginError(f"No change is given: expected one or more of {', '.join(CHANGES)}.")
    twice = next((spec for spec in specs if specs.count(spec) > 1), None)
    if twice is not None:
        raise PluginError(f"The change {twice!r} is given twice.")
    return [Named(spec, _parsed(spec)) for spec in specs]


def _parsed(spec: str) -> Change:
    named = spec.partition(":")[0].strip()
    if named not in CHANGES:
        raise PluginError(unknown("change", named, CHANGES))
    # The options of an explainer within those of a change are separated by "+" themselves.
    name, options = parse_spec(spec if named == "relevant" else re.sub(r"\+(?=[^+,=]+=)", ",", spec))
    label, factory = f"change {name!r}", CHANGES[name]
    per_class = {key: value for key, value in options.items() if name in PER_CLASS and key not in options_of(factory)}
    converted: dict[str, Any] = check_options(label, factory, {key: options[key] for key in options if key not in per_class})
    if not per_class:
        return factory(**converted)
    values = {key: convert(f"option {key!r} of {label}", float, value) for key, value in per_class.items()}
    return PER_CLASS[name](**converted, by_class=values)
