"""How long an explainer takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from ..types import Explainer


def timed(explainer: Any, note: Callable[[float], None], device: torch.device) -> Explainer:
    """The same explainer, which notes the seconds that each of its calls takes."""

    def clocked(function: Any) -> Any:
        @wraps(function)  # the signature as well: it says whether the explainer wants the sound
        def call(*arguments: Any, **more: Any) -> Any:
            _finish(device)
            start = time.perf_counter()
            result = function(*arguments, **more)
            _finish(device)
            note(time.perf_counter() - start)
            return result

        return call

    wrapped = clocked(explainer)
    wrapped.__name__ = getattr(explainer, "__name__", type(explainer).__name__)
    if hasattr(explainer, "with_logits"):
        wrapped.with_logits = clocked(explainer.with_logits)
    return wrapped  # type: ignore[no-any-return]


def _finish(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
