"""States of torch that others have set, and how they are left aside for a while without touching them for anybody else.

What belongs to one thread (inference mode, autocast, default device) is changed for this thread. What belongs to the whole
process or to a model that several threads share is changed by the first that asks and put back by the last.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from itertools import chain
from threading import RLock, get_ident
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import ModelError
from ..types import Needs

Value = TypeVar("Value")

HALF = (torch.float16, torch.bfloat16)
"""Number formats too coarse to take differences in."""

AUTOCAST = ("cpu", "cuda", "mps", "xpu")
"""Kinds of device for which torch may be asked to compute in a lower precision."""

_LOCK = RLock()


class Shared(Generic[Value]):
    """A setting that several threads may ask for at once, each for a while; whoever asked last decides.

    Parameters
    ----------
    read : callable
        Gives the setting as it is.
    write : callable
        Takes a setting that was read, or asked for.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.read, self.write = read, write
        self._asked: dict[object, Value] = {}
        self._before: Any = None

    @contextmanager
    def at(self, value: Value) -> Iterator[None]:
        """The setting at a value; afterwards at what others still ask for, and in the end as it was."""
        asking = object()
        with _LOCK:
            if not self._asked:
                self._before = self.read()
            self.write(value)
            self._asked[asking] = value
        try:
            yield
        finally:
            with _LOCK:
                del self._asked[asking]
                self.write(next(reversed(self._asked.values())) if self._asked else self._before)


class _Evaluated:
    """How many evaluate a module at the moment, and its mode before the first of them; frozen TorchScript has none."""

    def __init__(self, training: bool | None) -> None:
        self.training, self.count = training, 0


_EVALUATED: WeakKeyDictionary[nn.Module, _Evaluated] = WeakKeyDictionary()


@contextmanager
def evaluated(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; when the last thread that evaluates a module is done, it is in the mode it was in."""
    modules = list(network.modules())
    with _LOCK:
        for module in modules:
            _EVALUATED.setdefault(module, _Evaluated(getattr(module, "training", None))).count += 1
        with suppress(NotImplementedError):  # an exported program has no modes
            network.eval()
    try:
        yield
    finally:
        with _LOCK:
            for module in modules:
                state = _EVALUATED[module]
                state.count -= 1
                if not state.count:
                    if state.training is not None:
                        module.training = state.training
                    del _EVALUATED[module]


class Watching(TorchDispatchMode):  # type: ignore[misc, no-untyped-call]
    """Sees each operation below autograd; nothing is compiled in it, so that torch need not import its compiler for that."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping means to import torch._dynamo first, which takes more than a second


def in_training(module: nn.Module) -> bool:
    """Whether a module is in training mode, leaving aside that somebody evaluates it at the moment."""
    state = _EVALUATED.get(module)
    return bool(getattr(module, "training", False) if state is None else state.training)


@contextmanager
def plain_torch(dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """Neither inference mode nor autocast, the CPU and a number format as defaults, and nothing compiled: for a while.

    Whether gradients are recorded stays as it is.
    """
    with ExitStack() as stack:
        stack.enter_context(_DTYPE.at(dtype))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
        for kind in AUTOCAST:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if "torch._dynamo" in sys.modules:
            stack.enter_context(_EAGER.at(None))
        yield


def weights_dtype(network: nn.Module) -> torch.dtype:
    """The number format that a network computes in, float32 if it has no weights."""
    return next((tensor.dtype for tensor in _tensors(network) if tensor.is_floating_point()), torch.float32)


_HOOKS = RLock()


@contextmanager
def own_hooks() -> Iterator[None]:
    """While nobody else hangs hooks on networks: for who does it for a while, and for who copies a network without any."""
    with _HOOKS:
        yield


def in_this_thread(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that does nothing where another thread runs the module.

    Parameters
    ----------
    hook : callable
        As `torch.nn.Module.register_forward_hook` takes it.
    """
    thread = get_ident()

    def only_here(*arguments: Any) -> Any:
        return hook(*arguments) if get_ident() == thread else None

    return only_here


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    return chain(network.parameters(), network.buffers())


def half_precision(network: nn.Module) -> torch.dtype | None:
    """The format of weights in half precision, None if there are none."""
    return next((tensor.dtype for tensor in _tensors(network) if tensor.dtype in HALF), None)


def workable(network: nn.Module) -> nn.Module:
    """The network itself where explainers can work on it, else another with the same weights.

    Of a compiled network that is the module that was compiled. One in half precision is copied to float32, in which its
    weights are exact; one made in inference mode, whose weights autograd refuses, is copied, too.

    Raises
    ------
    ModelError
        If it must be copied, and cannot be.
    """
    network = getattr(network, "_orig_mod", network)
    if any(tensor.is_meta for tensor in _tensors(network)):
        raise ModelError(f"{type(network).__name__} has no weights yet (they are on the device meta): load them first.")
    half = half_precision(network)
    if half is None and not any(tensor.is_inference() for tensor in _tensors(network)):
        return network
    try:
        with torch.inference_mode(False), torch.no_grad(), own_hooks():
            copy: nn.Module = deepcopy(network)
            copy._apply(lambda tensor: tensor.float() if tensor.dtype in HALF else tensor.clone())  # type: ignore[no-untyped-call]
            return copy
    except Exception as error:  # whatever its parts refuse to be copied with
        reason = " ".join(str(error).split()) or type(error).__name__
        state = f"its weights are {half}" if half else "it was made in inference mode"
        raise ModelError(
            f"{type(network).__name__} cannot be explained as it is ({state}) nor copied ({reason}): call model.float(), or make "
            "it again outside of inference mode."
        ) from error


def offered_by(network: nn.Module) -> frozenset[Needs]:
    """What explainers may take of a network: what it says by an attribute ``offers``; of TorchScript not the layers."""
    stated: frozenset[Needs] | None = getattr(network, "offers", None)
    if stated is not None and not isinstance(network, torch.jit.ScriptModule):
        return stated
    hidden = any(isinstance(module, torch.jit.ScriptModule) for module in network.modules())
    return frozenset({"scores", "gradient"} if hidden else {"scores", "gradient", "layers"})


def _stop_compiling() -> Any:
    """Have compiled code run as it was written; what leads back."""
    return torch.compiler.set_stance("force_eager")


def _go_on(before: Any) -> None:
    if before is not None:
        before.__exit__(None, None, None)


_DTYPE: Shared[torch.dtype] = Shared(torch.get_default_dtype, torch.set_default_dtype)
_EAGER: Shared[None] = Shared(_stop_compiling, _go_on)
