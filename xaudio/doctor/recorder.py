"""Follows the features through a network, module by module and operation by operation.

Modules are seen by hooks, operations below autograd (`TorchDispatchMode`), where a functional activation and its module
are the same operation and only the module that calls it tells them apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..model.modes import Watching, in_this_thread
from . import operations as known

TORCH = str(Path(torch.__file__).parent)
XAUDIO = str(Path(__file__).parent.parent)
UNINFORMED = {"zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"}
"""Operations that take the shape of a tensor and nothing of its content."""


@dataclass(frozen=True)
class Place:
    """Where something happens: the names and types of the modules around it, outermost first, and a line of code."""

    modules: tuple[str, ...]
    types: tuple[type, ...]
    line: str = ""

    def __str__(self) -> str:
        kind = self.types[-1].__name__
        name = f"{self.modules[-1]} ({kind})" if self.modules[-1] else f"forward of {kind}"
        return f"{name}, {self.line}" if self.line else name


@dataclass(frozen=True)
class Operation:
    """One operation on values that depend on the features.

    Parameters
    ----------
    name : str
        As torch names it, without the underscore of those that work in place.
    place : Place
    operands : int
        How many of its operands depend on the features; a product of two is not linear.
    """

    name: str
    place: Place
    operands: int

    def __str__(self) -> str:
        return f"{self.name.strip('_')} in {self.place}"


@dataclass(frozen=True)
class Call:
    """One call of a module: its name and class."""

    name: str
    kind: type


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dictionaries."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


def storage_of(tensor: Tensor) -> int:
    """Address of a tensor's memory, which views share; 0 for a tensor without any."""
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else 0


@dataclass(eq=False)
class Recorder(Watching):
    """Follows the features through a network. What it has seen it keeps alive, so that no address occurs twice."""

    calls: list[Call] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    random: list[Place] = field(default_factory=list)
    batch_statistics: list[Place] = field(default_factory=list)
    finite: list[tuple[str, Tensor]] = field(default_factory=list)
    listening: bool = True

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._around: list[tuple[str, type]] = []
        self._followed: set[int] = set()
        self._alive: list[Any] = []
        self._saved: list[tuple[Tensor, int]] = []
        self._writes: dict[int, Place] = {}
        self._squashed: dict[int, frozenset[int]] = {}
        self._taken_off: set[int] = set()

    def follow(self, tensor: Tensor) -> None:
        """Record from now on what happens to a tensor's memory."""
        if storage_of(tensor):
            self._followed.add(storage_of(tensor))
            self._alive.append(tensor.untyped_storage())

    def saved(self, tensor: Tensor) -> None:
        """Note the state of what autograd keeps for a backward pass."""
        self._saved.append((tensor, tensor._version))

    def overwritten(self) -> list[Place]:
        """Where that state was changed."""
        changed = {storage_of(tensor) for tensor, version in self._saved if tensor._version != version}
        return [place for memory, place in self._writes.items() if memory in changed]

    @contextmanager
    def hooks(self, network: nn.Module) -> Iterator[None]:
        """Know which module is at work.

        Raises
        ------
        ModelError
            If one of them is scripted, which takes no hooks.
        """
        handles = []
        try:
            for name, module in network.named_modules():
                if isinstance(module, torch.jit.RecursiveScriptModule):  # type: ignore[attr-defined]
                    raise ModelError(
                        f"The module {name!r} is scripted and cannot be watched: give the model before torch.jit.script."
                    )
                handles.append(module.register_forward_pre_hook(in_this_thread(self._enter(name)), prepend=True))
                handles.append(module.register_forward_hook(in_this_thread(self._leave(name))))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, inputs: Any) -> None:
            self._around.append((name, type(module)))

        return enter

    def _leave(self, name: str) -> Callable[..., None]:
        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self._around.pop()
            if not self.listening:
                return
            self.calls.append(Call(name, type(module)))
            self.listening = False
            for tensor in _tensors(output):
                if tensor.is_floating_point():
                    self.finite.append((name, tensor.detach().sum()))  # a third of the cost of looking at each element
            self.listening = True

        return leave

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.listening and self._around:
            self._note(func, list(_tensors([args, kwargs])), result, args)
        return result

    def _note(self, func: Any, operands: list[Tensor], result: Any, args: Any) -> None:
        arguments = func._schema.arguments
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.random.append(self._place())
        if any(argument.name == "training" and value is True for argument, value in zip(arguments, args, strict=False)):
            self.batch_statistics.append(self._place())
        followed = [tensor for tensor in operands if storage_of(tensor) in self._followed]
        written = any(argument.alias_info is not None and argument.alias_info.is_write for argument in arguments)
        is_view = not written and any(value.alias_info is not None for value in func._schema.returns)
        name = func.overloadpacket.__name__
        if not followed or is_view or name in UNINFORMED:
            return
        operation = Operation(name.rstrip("_"), self._place(), len(followed))
        outputs = [tensor for tensor in _tensors(result) if tensor.is_floating_point() or tensor.is_complex()]
        for tensor in outputs:
            self.follow(tensor)
            if written:
                self._writes[storage_of(tensor)] = operation.place
        if outputs:
            self.operations.append(operation)
            squashed = self._squashed_after(operation, followed)
            self._squashed.update(dict.fromkeys(map(storage_of, outputs), squashed))

    def squashing(self, output: Any) -> list[Operation]:
        """The operations that make probabilities, or other numbers that saturate, of which an output consists."""
        places = frozenset[int]().union(*(self._squashed.get(storage_of(tensor), frozenset()) for tensor in _tensors(output)))
        # A logsumexp alone is a soft maximum, as where scores of frames become one; taken off what it read, it makes a softmax.
        alone = {place for place in places if self.operations[place].name == "logsumexp"} - self._taken_off
        return [self.operations[place] for place in sorted(places - alone)]

    def _squashed_after(self, operation: Operation, operands: list[Tensor]) -> frozenset[int]:
        """Places of the operations whose probabilities the latest one gives on: none where they weigh something else."""
        if issubclass(operation.place.types[-1], known.RECURRENT) or operation.name in known.WEIGHTED:
            return frozenset()
        if operation.name in known.SQUASHING:
            return frozenset({len(self.operations) - 1})
        parts = [self._squashed.get(storage_of(tensor), frozenset()) for tensor in operands]
        names = [{self.operations[place].name for place in part} for part in parts]
        if operation.name in known.SUMS:
            self._taken_off.update(*parts)
        return frozenset[int]().union(*parts) if known.gives_on(operation.name, names) else frozenset()

    def _place(self) -> Place:
        names, kinds = zip(*self._around, strict=True)
        return Place(names, kinds, "" if kinds[-1].__module__.startswith("torch.") else _line())


def _line() -> str:
    """File and line of the model's code that is at work, "" where torch's own modules call each other."""
    frame: Any = sys._getframe(1)
    inside = False
    while frame is not None:
        path = frame.f_code.co_filename
        own = path.startswith(XAUDIO)
        if own and inside:
            return ""
        inside = inside or not own
        if not own and not path.startswith((TORCH, "<")):
            return f"{Path(path).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
