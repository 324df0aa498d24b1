"""Plans are kept as long as their model lives and stays as it is."""

from collections.abc import Hashable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from xaudio.plugin import own_hooks

from ._builder import PlanBuilder
from ._chain import UnknownChainError, describe, record_chain
from ._plan import Method, Plan, Source

PLANS = 4
"""Plans kept for each model: for so many composites or shapes in turn."""


class Entry(NamedTuple):
    """A plan, or why there is none, and what it is valid for."""

    description: tuple[Any, ...]
    sources: tuple[Source, ...]
    plan: Plan | str


_entries: WeakKeyDictionary[nn.Module, dict[Hashable, Entry]] = WeakKeyDictionary()


def plan_for(model: nn.Module, features: Tensor, method: Method) -> Plan:
    """The plan for a model as it is now, from an earlier call if nothing has changed since.

    Raises
    ------
    UnknownChainError
        If the fast engine does not know the model.
    """
    with own_hooks():
        return _plan_for(model, features, method)


def _plan_for(model: nn.Module, features: Tensor, method: Method) -> Plan:
    key = (features.shape[1:], features.dtype, features.device, method)
    entries = _entries.setdefault(model, {})
    description = describe(model)
    layers = dict(model.named_modules())
    entry = entries.pop(key, None)
    if entry is None or entry.description != description or not all(one.unchanged(layers) for one in entry.sources):
        entry = None  # frees the old plan before there is a new one
        try:
            builder = PlanBuilder(record_chain(model, features), method)
            entry = Entry(description, tuple(builder.sources), builder.plan)
        except UnknownChainError as error:  # the exception itself would keep the model alive
            entry = Entry(description, (), error.reason)
    entries[key] = entry  # the last one used comes last
    while len(entries) > PLANS:
        del entries[next(iter(entries))]
    if isinstance(entry.plan, str):
        raise UnknownChainError(entry.plan)
    return entry.plan
