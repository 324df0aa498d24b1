"""What a network does with one recording: which module is called when, and which operations happen outside of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ..errors import ModelError
from ..model.modes import own_hooks
from ..model.running import evaluation_mode, network_name, run_network
from ..model.trial import undisturbed
from .recorder import Call, Operation, Place, Recorder


@dataclass(frozen=True)
class Trace:
    """What happened in one forward pass in evaluation mode, and what more of them say. It holds no reference to the network.

    Parameters
    ----------
    deterministic : bool
        Whether two forward passes give the same output.
    depends_on_batch : bool
        Whether a recording's output changes with the recordings beside it.
    sums_to_one : bool
        Whether the outputs are not negative and sum to 1.
    not_finite : str
        The first module whose output is NaN or infinite, "" if there is none.
    calls : tuple of Call
        In the order in which they ended. This and what follows is empty where nobody can look into the network.
    operations : tuple of Operation
        Views left out.
    squashing : tuple of Operation
        Those among them that make probabilities, or other numbers that saturate, of which the output consists.
    random : tuple of Place
        Where random numbers are drawn that change the output.
    batch_statistics : tuple of Place
        Where a normalisation takes its statistics from the batch.
    overwritten : tuple of Place
        Where in place is overwritten what a backward pass needs.
    features_changed : bool
        Whether the features themselves are overwritten.
    """

    deterministic: bool
    depends_on_batch: bool
    sums_to_one: bool
    not_finite: str
    calls: tuple[Call, ...] = ()
    operations: tuple[Operation, ...] = ()
    squashing: tuple[Operation, ...] = ()
    random: tuple[Place, ...] = ()
    batch_statistics: tuple[Place, ...] = ()
    overwritten: tuple[Place, ...] = ()
    features_changed: bool = False


_TRACES: WeakKeyDictionary[nn.Module, tuple[Any, Trace]] = WeakKeyDictionary()


def trace(network: nn.Module, features: Tensor, *, inside: bool = True) -> Trace:
    """What a network does with features; the network and the state of torch's generators are left as they were.

    It costs a few forward passes of one recording, and nothing when the same unchanged network is asked again.

    Parameters
    ----------
    network : nn.Module
    features : Tensor, shape (1, channels, *axes)
    inside : bool
        Whether one can look into the network; else its answers alone are compared.

    Raises
    ------
    ModelError
        If the network does not take them.
    """
    parts = tuple((name, type(module)) for name, module in network.named_modules())
    tensors = tuple((tensor.data_ptr(), _version(tensor)) for tensor in (*network.parameters(), *network.buffers()))
    state = (parts, tensors, features.shape, features.device, inside)
    if network not in _TRACES or _TRACES[network][0] != state:
        _TRACES[network] = (state, (_traced if inside else _answered)(network, features))
    return _TRACES[network][1]


def _answered(network: nn.Module, features: Tensor) -> Trace:
    with undisturbed(network, features):
        output, deterministic, depends_on_batch = _asked_again(network, features)
    tensor = output if isinstance(output, Tensor) else None
    return Trace(
        deterministic=deterministic,
        depends_on_batch=depends_on_batch,
        sums_to_one=tensor is not None and _are_probabilities(tensor),
        not_finite="" if tensor is None or bool(tensor.isfinite().all()) else network_name(network),
    )


def _traced(network: nn.Module, features: Tensor) -> Trace:
    recorder = Recorder()
    with own_hooks(), undisturbed(network, features), recorder.hooks(network):
        with torch.enable_grad():
            entered = features.detach().clone().requires_grad_().clone()  # not a leaf, which may not be changed in place
            with saved_tensors_hooks(recorder.saved, _never_unpacked):
                recorder.follow(entered)
                with recorder:
                    output = run_network(network, entered)
        changed = entered._version > 0
        finite = recorder.finite
        recorder.listening = False
        _, deterministic, depends_on_batch = _asked_again(network, features)
    tensor = output if isinstance(output, Tensor) else None
    return Trace(
        calls=tuple(recorder.calls),
        operations=tuple(recorder.operations),
        squashing=tuple(recorder.squashing(output)),
        random=() if deterministic else tuple(recorder.random),
        batch_statistics=tuple(recorder.batch_statistics) if depends_on_batch or not deterministic else (),
        deterministic=deterministic,
        depends_on_batch=depends_on_batch,
        overwritten=tuple(recorder.overwritten()),
        features_changed=changed,
        sums_to_one=tensor is not None and _are_probabilities(tensor),
        not_finite=next((name or network_name(network) for name, total in finite if not bool(total.isfinite())), ""),
    )


def _version(tensor: Tensor) -> int:
    """How often a tensor was written to; tensors of inference mode do not count."""
    return 0 if tensor.is_inference() else tensor._version


def changes_in_training(network: nn.Module, features: Tensor) -> bool:
    """Whether a network, in the mode it is in, gives another output than in evaluation mode, or another each time."""
    with undisturbed(network, features, evaluate=False), torch.no_grad():
        try:
            first, second = (run_network(network, features.clone()) for _ in range(2))
            with evaluation_mode(network):
                evaluated, again = (run_network(network, features.clone()) for _ in range(2))
        except ModelError:  # batch normalisation in training refuses a single value
            return True
    if not isinstance(first, Tensor) or not torch.equal(evaluated, again):  # chance in evaluation mode is another finding
        return False
    return not all(torch.allclose(first, other, rtol=1e-4, atol=1e-6, equal_nan=True) for other in (second, evaluated))


@torch.no_grad()
def _asked_again(network: nn.Module, features: Tensor) -> tuple[Any, bool, bool]:
    """An answer, whether a second one is the same, and whether it changes with the recordings beside it in a batch."""
    first, second = (run_network(network, features.clone()) for _ in range(2))
    if not isinstance(first, Tensor):
        return first, True, False
    if not torch.allclose(first, second, rtol=1e-5, atol=1e-7, equal_nan=True):
        return first, False, False
    try:
        beside = run_network(network, torch.cat([features, features.flip(-1) * 0.5 + 0.1]))
    except ModelError:  # it takes one recording at a time
        return first, True, False
    return first, True, len(beside) == 2 and not torch.allclose(first, beside[:1], rtol=1e-3, atol=1e-6, equal_nan=True)


def _are_probabilities(output: Tensor) -> bool:
    if output.ndim != 2 or output.shape[1] < 2:
        return False
    return bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() < 1e-4).all())


def _never_unpacked(_: Any) -> Tensor:
    raise AssertionError("no backward pass follows")


def unique(values: Iterable[Any]) -> list[str]:
    """Texts without repetition, in order."""
    return list(dict.fromkeys(map(str, values)))
