"""A network at work: in evaluation mode, with one line for what it does not take, and words for what it returns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ..errors import ModelError, XaudioError
from ..output.memory import out_of_memory
from ..registry.defaults import RAW
from ..types import Needs
from .modes import evaluated, offered_by, plain_torch, weights_dtype
from .precision import float32_products


class Around(nn.Module):
    """A module around a network, which offers what the network does and whose parts are called as in the network.

    Parameters
    ----------
    network : nn.Module
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    def offers(self) -> frozenset[Needs]:
        """What explainers may take of the network."""
        return offered_by(self.network)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """Names and modules, of which this one has the name of the network's root."""
        memo = set() if memo is None else memo
        if remove_duplicate and self in memo:
            return
        memo.add(self)
        yield prefix, self
        yield from self.network.named_modules(memo, prefix, remove_duplicate)

    def get_submodule(self, target: str) -> nn.Module:
        """The module of a name as `named_modules` has it."""
        return self.network.get_submodule(target)

    def valid(self, features: Tensor) -> Tensor | None:
        """How many frames of the answer to each recording are not padding, (batch,); None if all."""
        return valid_frames_of(self.network, features)


def network_name(network: nn.Module) -> str:
    """What people call a network: its class, also of one that stands within others or was read from TorchScript.

    Parameters
    ----------
    network : nn.Module
    """
    while isinstance(network, Around):
        network = network.network
    return str(getattr(network, "original_name", type(network).__name__))


def valid_frames_of(network: nn.Module, features: Tensor) -> Tensor | None:
    """How many frames of a network's answer to features are not padding, (batch,); None if all, or nobody says."""
    return network.valid(features) if isinstance(network, Around) else None


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and full float32 for a while, whatever mode of torch is on; afterwards all is as it was.

    Several threads may evaluate one network at once: it is put back when the last of them is done.

    Parameters
    ----------
    network : nn.Module
    """
    with plain_torch(weights_dtype(network)), evaluated(network), float32_products():
        yield


CHANNELS = re.compile(r"to have (\d+) channels")
"""What torch says where a convolution expects other channels."""

TOO_SHORT = (
    "greater than actual input size",
    "Output size is too small",
    "Invalid computed output size",
    "Padding size should be less than",
)
"""What torch says where a kernel, or what is reflected at an end, is longer than what there is."""


def run_network(network: nn.Module, features: Tensor) -> Any:
    """What a network makes of features.

    Raises
    ------
    ModelError
        If it does not take them. That memory ran out is not its fault and passes through.
    """
    try:
        return network(features)
    except Exception as error:  # a network is anyone's code
        if isinstance(error, XaudioError) or out_of_memory(error):
            raise
        shape, reason = tuple(features.shape), _reason(error)
        if (isinstance(error, TypeError) and "argument" in reason) or "missing value for argument" in reason:
            advice = "It is called with the features alone: wrap it in a module that gives it the rest."
        elif "dtype" in reason or "same type" in reason or "scalar type" in reason:
            advice = "Its parts compute in different number formats: call model.float(), and let its forward convert nothing."
        elif wanted := CHANNELS.search(reason):
            advice = (
                "Choose the representation it was made for; if it reads several channels of a recording, say how many, as in "
                f"{RAW}:channels={wanted[1]}."
            )
        elif any(told in reason for told in TOO_SHORT):
            advice = "The sound may be too short for it: give a longer one, or the representation it was made for."
        else:
            advice = "Choose the representation it was made for."
        raise ModelError(
            f"The network does not take features of shape {shape} (batch, channels, *axes): {reason}. {advice}"
        ) from error


def _reason(error: Exception) -> str:
    first, *others = str(error).strip().splitlines() or [""]
    if others and "TorchScript" in first:  # which tells what went wrong below the code that led there
        return others[-1].removeprefix("builtins.").rstrip(".")
    told = first.rstrip(".")
    return told if isinstance(error, RuntimeError | ValueError | TypeError) and told else f"{type(error).__name__} {told}".strip()


def described(output: Any) -> str:
    """What a network returned, in words: a shape, or what a tuple or mapping holds."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    name = type(output).__name__
    if isinstance(output, Mapping):
        return f"a {name} of {', '.join(f'{key} {described(value)}' for key, value in output.items()) or 'nothing'}"
    if isinstance(output, tuple | list):
        return f"a {name} of {', '.join(map(described, output)) or 'nothing'}"
    return name


def unwrapped(output: Any) -> str:
    """What to do about an output that is no tensor; nothing if it is one."""
    return "" if isinstance(output, Tensor) else " Wrap the network in a module that returns the logits alone."
