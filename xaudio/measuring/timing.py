"""How long an explainer takes."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


class Timed:
    """An explainer that notes the seconds of each of its calls, and says of itself what it said before.

    Parameters
    ----------
    explainer : callable
    note : callable
        Takes the seconds of a call.
    device : torch.device
        Where it computes.
    """

    def __init__(self, explainer: Any, note: Callable[[float], None], device: torch.device) -> None:
        self._explainer, self._note, self._device = explainer, note, device
        self.__name__ = getattr(explainer, "__name__", type(explainer).__name__)
        self.__signature__ = inspect.signature(explainer)  # it says whether the explainer wants the sound

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Relevance, as the explainer gives it."""
        return self._clocked(self._explainer)(*arguments, **more)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        said = getattr(self._explainer, name)
        return self._clocked(said) if name == "with_logits" else said

    def _clocked(self, function: Any) -> Any:
        @wraps(function)
        def call(*arguments: Any, **more: Any) -> Any:
            _finish(self._device)
            start = time.perf_counter()
            result = function(*arguments, **more)
            _finish(self._device)
            self._note(time.perf_counter() - start)
            return result

        return call


def _finish(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
