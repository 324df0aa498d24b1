"""What the checks of all kinds share: a case, a check and its result."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from inspect import isfunction
from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor

from ..errors import XaudioError
from ..registry.loading import Registry
from .state import restored

CheckFunction = Callable[[Any], str]


class ContractError(AssertionError):
    """A plugin that does not keep the contract of its kind."""


class Unasked(SkipTest):
    """A check that cannot be made, and why; pytest calls it skipped."""


@dataclass(frozen=True)
class Result:
    """One checked property and, if it does not hold or could not be checked, why.

    Parameters
    ----------
    what : str
        What must hold, as a sentence.
    problem : str
        What is wrong; "" if it holds.
    skipped : str
        Why it could not be checked; "" if it was.
    """

    what: str
    problem: str = ""
    skipped: str = ""


@dataclass(eq=False)
class Case:
    """A plugin to be checked.

    Parameters
    ----------
    plugins : Registry
    kind, name : str
    options : mapping
    representation : str or None
        What a model is to read, unless it is its own.
    """

    plugins: Registry
    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    representation: str | None = None
    _problems: dict[CheckFunction, str] = field(default_factory=dict, init=False, repr=False)

    def problem(self, check: CheckFunction) -> str:
        """What a check says, which is asked once: others may rest on it."""
        if check not in self._problems:
            self._problems[check] = check(self)
        return self._problems[check]

    def make(self, **more: Any) -> Any:
        """The plugin's object, made anew."""
        return self.plugins.create(self.kind, self.name, {**self.options, **more})

    @cached_property
    def plugin(self) -> Any:
        """One object for all checks."""
        return self.make()


@dataclass(frozen=True)
class Check:
    """A check of one plugin.

    Parameters
    ----------
    function : callable
        From the case to what is wrong, or "".
    case : Case
        The plugin, and what it is tried on.
    """

    function: CheckFunction
    case: Case

    @property
    def __name__(self) -> str:  # type: ignore[override]
        return self.function.__name__

    @property
    def what(self) -> str:
        """What must hold, in words."""
        return _words(self.function)

    def result(self) -> Result:
        """Make the check; whatever a plugin does wrong is a result."""
        try:
            with restored(), _interrupts() as pressed:
                return Result(self.what, self.case.problem(self.function))
        except Unasked as reason:
            return Result(self.what, skipped=str(reason))
        except XaudioError as error:
            return Result(self.what, " ".join(str(error).split()))
        except BaseException as error:  # also SystemExit: a plugin must not end the program
            if pressed:
                raise
            return Result(self.what, " ".join(f"it raised {type(error).__name__}: {error}".split()).removesuffix(":"))

    def __call__(self) -> None:
        """Make the check.

        Raises
        ------
        ContractError
            If it does not hold.
        SkipTest
            If it cannot be made.
        """
        result = self.result()
        if result.skipped:
            raise Unasked(result.skipped)
        if result.problem:
            raise ContractError(f"{self.case.kind} {self.case.name!r}: {result.what}: {result.problem}")


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Notes Ctrl-C and SIGTERM, so that they are told apart from a plugin's own KeyboardInterrupt; what heeds them still does."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        before[number](number, frame)

    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if callable(signal.getsignal(number))]
    before: dict[int, Any] = {number: signal.signal(number, note) for number in heeded}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def checks_in(module: str) -> list[CheckFunction]:
    """The checks that a module defines, in their order: its functions but those with an underscore."""
    functions = [value for name, value in vars(sys.modules[module]).items() if isfunction(value) and not name.startswith("_")]
    return [function for function in functions if function.__module__ == module]


def need(case: Case, *checks: CheckFunction) -> None:
    """What must hold for a check to mean anything: where it does not, that is what is said, and no more."""
    for check in checks:
        if case.problem(check):
            raise Unasked(f"it does not hold that {_words(check)}")


def _words(function: CheckFunction) -> str:
    return function.__name__.replace("_", " ")


def refusal(error: XaudioError) -> str:
    """What is wrong with a refusal: nothing, if it is one line."""
    return "" if str(error).strip() and "\n" not in str(error) else f"the refusal is not one line: {str(error)!r}"


def close(left: Tensor, right: Tensor, tolerance: float = 1e-3) -> bool:
    """Whether two tensors agree, to a share of the largest magnitude; NaN agrees with NaN."""
    if left.shape != right.shape:
        return False
    largest = max(float(left.nan_to_num().abs().max()), float(right.nan_to_num().abs().max())) if left.numel() else 0.0
    return torch.allclose(left, right, rtol=0, atol=tolerance * largest + 1e-12, equal_nan=True)


def unlike(first: Tensor, again: Tensor, anew: Tensor, drawn: bool) -> str:
    """Why the same call gives something else: chance or state.

    Parameters
    ----------
    first, again, anew : Tensor
        Of the first call, of the second call of the same object, and of the first call of another object.
    drawn : bool
        Whether the calls took numbers from a global generator.
    """
    same_again, same_anew = (torch.equal(first.nan_to_num(), other.nan_to_num()) for other in (again, anew))
    if same_again and same_anew:
        return ""
    if drawn:
        return "it is left to chance: it draws from a global generator without a seed of its own"
    if same_anew:
        return "it keeps state from call to call: a second call gives something else, a new object the same"
    return "it is left to chance, without a seed, or keeps state outside of the object: every call gives something else"
