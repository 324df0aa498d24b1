"""Devices by name; what is not there is said before any work is done."""

import pytest
import torch

from xaudio.errors import DeviceError
from xaudio.model.devices import resolve_device

CUDA, MPS = torch.cuda.is_available(), torch.backends.mps.is_available()


def test_the_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_is_the_best_that_is_there_and_works() -> None:
    device = resolve_device("auto")
    assert device == resolve_device()
    assert device.type == ("cuda" if CUDA else "mps" if MPS else "cpu")
    assert torch.zeros(1, device=device).item() == 0


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1.5", "mps:0", "cuda:0:1", "meta", "xla", " cpu"]
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_device(name)
    assert str(caught.value) == f"Unknown device {name!r}. Expected auto, cpu, cuda, cuda:N or mps."


@pytest.mark.skipif(CUDA, reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(
        DeviceError, match=f"^The device '{name}' is not available: there is no CUDA device. Choose another --device, or auto.$"
    ):
        resolve_device(name)


@pytest.mark.skipif(not CUDA, reason="there is no CUDA device")
def test_cuda_devices_are_counted() -> None:
    count = torch.cuda.device_count()
    assert resolve_device(f"cuda:{count - 1}") == torch.device("cuda", count - 1)
    with pytest.raises(DeviceError, match=f"{count} CUDA devices are there, numbered from 0"):
        resolve_device(f"cuda:{count}")


@pytest.mark.skipif(MPS, reason="MPS is there")
def test_mps_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="^The device 'mps' is not available on this machine"):
        resolve_device("mps")
