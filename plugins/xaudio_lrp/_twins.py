"""Copies of networks to run, each kept as long as its network lives and stays as it is, since a copy takes milliseconds."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Any, NamedTuple
from weakref import ReferenceType, WeakKeyDictionary

import torch
from torch import Tensor, nn

from xaudio.plugin import own_hooks, plain_copy

PLAIN = frozenset({NoneType, bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size})
MAPPINGS = frozenset({dict, OrderedDict})
SEQUENCES = frozenset({list, tuple, set, frozenset})
EMPTY = MAPPINGS | SEQUENCES
WHOLE = (nn.Module, type, BuiltinFunctionType, ReferenceType)
"""What is told by being the same object: modules are looked into where they stand."""

HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks"})
BESIDE = frozenset(
    [
        *("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
        *("_non_persistent_buffers_set", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
        "_forward_pre_hooks_with_kwargs",
    ]
)
"""What no run looks at by itself: how modules are saved, and marks of hooks."""

State = list[Any]


class _Layout(NamedTuple):
    """Which attributes of a module are what: plain values, containers without anything in them with their kinds, and all else."""

    plain: Callable[[dict[str, Any]], tuple[Any, ...]]
    empty: Callable[[dict[str, Any]], tuple[Any, ...]]
    kinds: list[type]
    others: tuple[str, ...]


Layouts = dict[tuple[type, tuple[str, ...]], _Layout]


class _UnknownError(Exception):
    """What something consists of cannot be told."""


@dataclass
class _Twin:
    """A copy, what its network was then, and for which shapes it has been run without a trace."""

    module: nn.Module
    state: State | None
    layouts: "Layouts"
    shapes: set[Hashable] = field(default_factory=set)


_twins: WeakKeyDictionary[nn.Module, _Twin] = WeakKeyDictionary()


@contextmanager
def twin_of(network: nn.Module, features: Tensor) -> Iterator[nn.Module]:
    """A copy of a network's modules on the same memory, in evaluation mode, for one run at a time.

    It is kept for the next run unless the network has changed by then, in which nothing but the values of its tensors may, or the
    run left something in the copy, as networks with a state do.

    Parameters
    ----------
    network : nn.Module
    features : Tensor
        What it will be run on.
    """
    with own_hooks():
        twin = _twins.pop(network, None)
        layouts = {} if twin is None else twin.layouts
        state = _told(lambda: _state_of(network, layouts))
        if twin is None or state is None or twin.state != state:
            twin = _Twin(plain_copy(network, fold=False), state, layouts)
    shape = (features.shape, features.dtype)
    before = None if shape in twin.shapes else _told(lambda: _own(twin.module))
    yield twin.module
    if state is None:
        return
    if shape not in twin.shapes and (before is None or _told(lambda: _settled(twin.module, before)) != before):
        return
    twin.shapes.add(shape)
    _twins[network] = twin


def _told(state: Callable[[], State]) -> State | None:
    try:
        return state()
    except _UnknownError:
        return None


def _state_of(network: nn.Module, layouts: Layouts) -> State:
    """What tells a network from what it was, but for the values of its tensors."""
    state: State = []
    seen: set[int] = set()
    for module in _modules_of(network):
        attributes, kind = vars(module), type(module)
        names = tuple(attributes)
        layout = layouts.get((kind, names))
        if layout is None:
            layout = layouts[kind, names] = _layout_of(attributes)
        plain, empty = layout.plain(attributes), layout.empty(attributes)
        same = [*map(type, empty)] == layout.kinds and not any(empty) and PLAIN.issuperset(map(type, plain))
        state += (kind, names, plain) if same else (kind, names, None)
        for name in layout.others if same else attributes:
            _describe(attributes[name], state, seen)
    return state


def _modules_of(network: nn.Module) -> list[nn.Module]:
    """All modules, each once."""
    modules, seen = [network], {id(network)}
    for module in modules:
        for child in module._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                modules.append(child)
    return modules


def _layout_of(attributes: dict[str, Any]) -> _Layout:
    plain = [name for name, value in attributes.items() if type(value) in PLAIN]
    empty = [name for name, value in attributes.items() if type(value) in EMPTY and not value and name not in BESIDE]
    others = tuple(name for name in attributes if name not in {*plain, *empty, *BESIDE})
    return _Layout(_getter(plain), _getter(empty), [type(attributes[name]) for name in empty], others)


def _getter(names: list[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """What gets values by their names, in one step where there are several."""
    return itemgetter(*names) if len(names) > 1 else lambda attributes: tuple(attributes[name] for name in names)


def _own(network: nn.Module) -> State:
    """What a run may have left in each module, but for hooks."""
    return [
        {name: _described(value) for name, value in vars(module).items() if name not in HOOKS} for module in network.modules()
    ]


def _settled(network: nn.Module, before: State) -> State:
    """The same after a run, without new marks that something has been done."""
    return [
        {name: value for name, value in after.items() if name in first or value != [True]}
        for after, first in zip(_own(network), before, strict=False)
    ]


def _described(value: Any) -> State:
    state: State = []
    _describe(value, state, set())
    return state


def _describe(value: Any, state: State, seen: set[int]) -> None:
    kind = type(value)
    if kind in PLAIN:
        state.append(value)
    elif kind in EMPTY and not value:
        state.append(kind)
    elif isinstance(value, Tensor) and value.layout == torch.strided:
        state.append((id(value), value.data_ptr(), value.shape, value.stride(), value.requires_grad and not value.is_leaf))
    elif kind in MAPPINGS:
        if PLAIN.issuperset(map(type, value)):
            state += value
        else:
            for key in value:
                _describe(key, state, seen)
        for part in value.values():
            if isinstance(part, nn.Module):
                state.append(id(part))
            else:
                _describe(part, state, seen)
    elif kind in SEQUENCES:
        state.append(len(value))
        for part in value:
            _describe(part, state, seen)
    else:
        state.append(id(value))
        if id(value) not in seen:
            seen.add(id(value))
            _look_into(value, state, seen)


def _look_into(value: Any, state: State, seen: set[int]) -> None:
    """What an object consists of; functions that hold modules or tensors would keep these alive, and are unknown."""
    if isinstance(value, WHOLE):
        return
    if isinstance(value, Tensor):
        raise _UnknownError
    if isinstance(value, MethodType):
        parts: Any = (value.__func__, value.__self__)
    elif isinstance(value, FunctionType):
        parts = tuple(cell.cell_contents for cell in value.__closure__ or ())
        if any(isinstance(part, nn.Module | Tensor) for part in parts):
            raise _UnknownError
    elif hasattr(value, "__dict__") and not hasattr(value, "__slots__"):
        parts = vars(value)
    else:
        raise _UnknownError
    _describe(parts, state, seen)
