"""Number formats of a network's products, and how fast a device multiplies matrices in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.flop_counter import flop_registry

from ..errors import DeviceError
from .loss import loss_of
from .modes import Shared, Watching

Precision = Literal["float32", "tf32", "bfloat16"]
"""float32, products of float32 numbers cut to 10 bits (CUDA only), and mixed precision with bfloat16 products."""

SIZES = (512, 1024, 2048)
"""Of the square matrices that a processor multiplies to show its peak."""

SHORTEST = 1e-9
"""Seconds; a coarse clock may say that no time went by."""

AMPERE = (8, 0)
"""The first CUDA capability with units for bfloat16."""


def resolve_precision(name: Precision | Literal["auto"], device: torch.device) -> Precision:
    """The number format of a name; "auto" takes bfloat16 where the device says that it has units for it.

    Nothing is timed: what else the machine is doing must not decide what is computed.

    Raises
    ------
    DeviceError
        If the device has no such format.
    """
    if name == "tf32" and device.type != "cuda":
        raise DeviceError(f"The precision 'tf32' needs a CUDA device; this is {device}. Choose float32, bfloat16 or auto.")
    if name != "auto":
        return name
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device says that it has units for products of bfloat16 matrices: CUDA since Ampere, processors with AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= AMPERE
    mkldnn: Any = torch.backends.mkldnn
    return device.type == "cpu" and bool(mkldnn.is_available()) and _has_amx()


def _has_amx() -> bool:
    """Whether the processor multiplies tiles of bfloat16."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.11
    return bool(capabilities().get("amx_bf16") if capabilities else torch.cpu._is_amx_tile_supported())


@contextmanager
def float32_products(tf32: bool = False) -> Iterator[None]:
    """Whether float32 products may be cut to fewer bits (TF32 on CUDA), for a while; torch lets convolutions do so by default."""
    with _PRODUCTS.at(tf32):
        yield


def _products() -> Any:
    """How float32 products are computed: by torch's first interface, or by its second where somebody has used that."""
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return tuple(part.fp32_precision for part in _parts())


def _set_products(wanted: Any) -> None:
    if isinstance(wanted, bool):
        first = len(_products()) == 2
        wanted = ("high" if wanted else "highest", wanted) if first else ("tf32" if wanted else "ieee",) * len(_parts())
    if len(wanted) == 2:
        torch.set_float32_matmul_precision(wanted[0])
        torch.backends.cudnn.allow_tf32 = wanted[1]
        return
    for part, precision in zip(_parts(), wanted, strict=True):
        part.fp32_precision = precision


def _parts() -> tuple[Any, ...]:
    backends: Any = torch.backends
    cuda, cudnn, cpu = backends.cuda, backends.cudnn, backends.mkldnn
    return cuda.matmul, cudnn.conv, cudnn.rnn, cpu.matmul, cpu.conv, cpu.rnn


_PRODUCTS: Shared[bool] = Shared(_products, _set_products)


@lru_cache
def matrix_peak(device: torch.device, precision: Precision) -> float:
    """Floating-point operations per second of the fastest product of two square matrices, of several sizes and tries.

    Parameters
    ----------
    device : torch.device
    precision : str
        As of a training: "float32", "tf32" or "bfloat16".
    """
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    best = 0.0
    with float32_products(precision == "tf32"):
        for size in (*SIZES, *((4096, 8192) if device.type == "cuda" else ())):
            matrix = torch.ones(size, size, dtype=kind, device=device)
            seconds = min(_seconds(matrix) for _ in range(6))
            best = max(best, 2 * size**3 / seconds)
            if seconds > 0.1:  # a device so slow in this format need not be kept busy for longer
                break
    return best


def _seconds(matrix: torch.Tensor) -> float:
    start = time.perf_counter()
    product = matrix @ matrix
    float(product[0, 0])  # waits for the device
    return max(time.perf_counter() - start, SHORTEST)


def training_operations(network: nn.Module, features: torch.Tensor, labels: torch.Tensor) -> int:
    """Floating-point operations of a step's convolutions and matrix products, forwards and backwards, counted by torch.

    The network's gradients are cleared; nothing else of it changes, such as the means that a batch normalisation keeps.
    """
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    with torch.random.fork_rng():
        total = count_operations(lambda: torch.autograd.backward(loss_of(network(features), labels)))
    network.zero_grad(set_to_none=True)
    for buffer, value in before:
        buffer.copy_(value)
    return total


def count_operations(run: Callable[[], object]) -> int:
    """Floating-point operations of the convolutions and matrix products that a call computes, by torch's formulas.

    Parameters
    ----------
    run : callable
        Without arguments.

    Returns
    -------
    int
    """
    with _Counter() as counter:
        run()
    total: int = counter.total
    return total


class _Counter(Watching):
    """Counts as torch's FlopCounterMode does, which itself hooks modules and so breaks zennit's hooks."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += int(count(*args, **(kwargs or {}), out_val=result))
        return result
