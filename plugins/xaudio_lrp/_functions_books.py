"""In which module relevance and constants part from what arrives: books of every module, for a diagnosis."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ._functions_mode import Rules

MISSED = 1e-3
"""Share of what arrives at a module that may be missing behind it."""


class Books:
    """What arrives at each module of a twin, what leaves it, and what the constants in it have.

    Parameters
    ----------
    mode : Rules
    """

    def __init__(self, mode: Rules) -> None:
        self.mode = mode
        self.mode.added = None
        self.balance = dict.fromkeys(mode.names.values(), 0.0)
        self.arrived = dict.fromkeys(mode.names.values(), 0.0)
        self.ones: list[tuple[str, Tensor]] = [("", mode.one)]

    def open(self) -> None:
        """Watch the modules."""
        for module, name in self.mode.names.items():
            module.register_forward_pre_hook(self._enter(name), with_kwargs=True, prepend=True)
            module.register_forward_hook(self._leave(name))

    def _enter(self, name: str) -> Callable[..., Any]:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> Any:
            one = torch.ones_like(self.mode.one).requires_grad_()
            self.ones.append((name, one))
            before, self.mode.one = self.mode.one, one
            self.mode.leaves = (*self.mode.leaves, one)
            vars(module)["_xaudio_one"] = before
            watch = self._watched(name, -1.0)
            return tree_map(watch, args), tree_map(watch, kwargs)

        return enter

    def _leave(self, name: str) -> Callable[..., Any]:
        def leave(module: nn.Module, args: Any, output: Any) -> Any:
            self.mode.one = vars(module).pop("_xaudio_one")
            return tree_map(self._watched(name, 1.0), output)

        return leave

    def _watched(self, name: str, sign: float) -> Callable[[Any], Any]:
        def watched(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.requires_grad:
                return value
            own = value.view_as(value)  # others may read the same tensor
            kept = value.detach().clone()
            own.register_hook(lambda gradient: self._add(name, sign, float((gradient * kept).real.sum())))  # type: ignore[no-untyped-call]
            return own

        return watched

    def _add(self, name: str, sign: float, relevance: float) -> None:
        self.balance[name] += sign * relevance
        self.arrived[name] += max(sign, 0) * abs(relevance)

    def close(self, answers: Tensor, target: Tensor) -> str:
        """The innermost module that misses most, once it has been gone back through; "" if none does."""
        wanted = [self.mode.leaves[0], *(one for _, one in self.ones)]
        chosen = answers.gather(1, target[:, None]).sum()
        constants = torch.autograd.grad(chosen, wanted, allow_unused=True)
        for (name, _), share in zip(self.ones, constants[1:], strict=True):
            for above in self._above(name) if share is not None else ():
                self.balance[above] -= float(share)
        missing = {name: abs(value) for name, value in self.balance.items() if abs(value) > MISSED * self.arrived[name]}
        inner = [name for name in missing if not any(other != name and self._is_in(other, name) for other in missing)]
        return max(inner, key=lambda name: missing[name], default="")

    def _above(self, name: str) -> list[str]:
        return [other for other in self.balance if self._is_in(name, other)]

    @staticmethod
    def _is_in(name: str, other: str) -> bool:
        return not other or name == other or name.startswith(f"{other}.")
