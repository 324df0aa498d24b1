"""Where computation runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DeviceError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The torch device of a name.

    Parameters
    ----------
    name : str or torch.device
        "auto" (the first CUDA device, else MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    DeviceError
        If the device is not there, or the name has another form.
    """
    import torch

    name = str(name)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    kind, colon, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not (kind == "cuda" and index.isdecimal())):
        raise DeviceError(f"Unknown device {name!r}. Expected auto, cpu, cuda, cuda:N or mps.")
    if kind == "cuda" and (not cuda or int(index or 0) >= torch.cuda.device_count()):
        there = f"{torch.cuda.device_count()} CUDA devices are there, numbered from 0" if cuda else "there is no CUDA device"
        raise DeviceError(f"The device {name!r} is not available: {there}. Choose another --device, or auto.")
    if kind == "mps" and not mps:
        raise DeviceError("The device 'mps' is not available on this machine. Choose another --device, or auto.")
    return torch.device(name)
