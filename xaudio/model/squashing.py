"""Networks that end with a softmax or a sigmoid, which is nearly flat where they are sure: what enters it is explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .running import Around

Squash = Literal["softmax", "log-softmax", "sigmoid", "log-sigmoid"]

CALLED: dict[str, Squash] = {
    "softmax": "softmax",
    "log_softmax": "log-softmax",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "expit": "sigmoid",
    "special_expit": "sigmoid",
    "logsigmoid": "log-sigmoid",
}
"""The functions by their names in torch."""

MAPS: dict[Squash, Callable[[Tensor], Tensor]] = {
    "softmax": lambda scores: scores.softmax(-1),
    "log-softmax": lambda scores: scores.log_softmax(-1),
    "sigmoid": torch.sigmoid,
    "log-sigmoid": functional.logsigmoid,
}

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken."""


class _Calls(TorchFunctionMode):
    """Counts the calls of such functions; the one of a number gives its input instead."""

    def __init__(self, left_out: int | None = None) -> None:
        super().__init__()
        self.kinds: list[Squash] = []
        self.left_out = left_out

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kind = CALLED.get(getattr(func, "__name__", ""))
        if kind is not None:
            self.kinds.append(kind)
            if len(self.kinds) - 1 == self.left_out:
                return args[0] if args else kwargs["input"]
        return func(*args, **(kwargs or {}))


class Unsquashed(Around):
    """A network without its last softmax or sigmoid.

    Parameters
    ----------
    network : nn.Module
    call : int
        Which call of such a function in its forward pass is left out, from 0.
    """

    def __init__(self, network: nn.Module, call: int) -> None:
        super().__init__(network)
        self.call = call

    def forward(self, features: Tensor) -> Tensor:
        """Logits, shaped like the network's probabilities."""
        with _Calls(self.call):
            logits: Tensor = self.network(features)
        return logits


class LogOdds(Around):
    """A network whose probabilities p, kept off 0 and 1, become ln(p / (1 - p)), or ln p where those of a recording sum to 1.

    Parameters
    ----------
    network : nn.Module
    exclusive : bool
        Whether they sum to 1: then a softmax of ln p gives them again.
    """

    def __init__(self, network: nn.Module, exclusive: bool) -> None:
        super().__init__(network)
        self.exclusive = exclusive

    def forward(self, features: Tensor) -> Tensor:
        """Logits, shaped like the network's probabilities."""
        probabilities: Tensor = self.network(features).clamp(SMALLEST, 1 - SMALLEST)
        return probabilities.log() if self.exclusive else probabilities.logit()


def last_squash(network: nn.Module, features: Tensor) -> tuple[int, Squash] | None:
    """Which call of a softmax or sigmoid a network ends with, and its kind; None if it does not.

    Parameters
    ----------
    network : nn.Module
        To scores (batch, *frames, outputs).
    features : Tensor, shape ``(batch, channels, *axes)``
    """
    with _Calls() as calls:
        squashed = network(features.clone())
    for call in range(len(calls.kinds) - 1, max(-1, len(calls.kinds) - 3), -1):
        kind = calls.kinds[call]
        logits = _without(network, call, features)
        if logits is None or logits.shape != squashed.shape:
            continue
        if torch.allclose(MAPS[kind](logits), squashed, rtol=1e-4, atol=1e-6):
            return call, kind
    return None


def _without(network: nn.Module, call: int, features: Tensor) -> Tensor | None:
    """What the network gives without that call, None if what follows it needs probabilities and fails."""
    try:
        logits: Tensor = Unsquashed(network, call)(features.clone())
    except Exception:
        return None
    return logits


def are_probabilities(scores: Tensor) -> bool:
    """Whether all lie from 0 to 1, and at least one of them strictly between."""
    inside = (scores >= 0) & (scores <= 1)
    return bool(inside.all()) and bool(((scores > 0) & (scores < 1)).any())


def are_unit_vectors(scores: Tensor) -> bool:
    """Whether each answer (batch, outputs) is a vector of length 1, and not all are the same."""
    if scores.ndim != 2 or scores.shape[1] < 2 or not bool(scores.isfinite().all()):
        return False
    return bool(((scores.square().sum(1) - 1).abs() < 1e-3).all()) and not torch.equal(scores, scores[:1].expand_as(scores))


def squashing_noted(squash: Squash) -> str:
    """What is said where a network ends with such a function."""
    return f"the network ends with a {squash}: what enters it is explained, the logits"
