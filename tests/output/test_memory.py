"""Memory that runs out is called memory, wherever it was asked for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio.errors import DeviceError, ModelError
from xaudio.output.memory import naming_memory, out_of_memory

TORCH = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 64000 bytes."
ERRORS = [
    RuntimeError(TORCH),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    OSError(12, "Cannot allocate memory"),
]


def net(error=None):
    class Full(nn.Module):
        def forward(self, features):
            if error is not None:
                raise error
            return features[:, 0, :3]

    return Full()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_way_to_say_it_is_understood(error):
    assert out_of_memory(error)
    with pytest.raises(DeviceError, match="Memory ran out.* Do less"), naming_memory("Do less."):
        raise error


def test_numpy_says_how_much_it_wanted():
    with pytest.raises(DeviceError, match=r"Memory ran out when [\d.]+ EiB more were asked for"), naming_memory("Do less."):
        np.zeros(2**57, dtype=np.float64)


def test_other_errors_pass():
    for error in (RuntimeError("shapes do not fit"), ModelError("no"), OSError(2, "no such file")):
        with pytest.raises(type(error)) as caught, naming_memory("Do less."):
            raise error
        assert caught.value is error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_explain_names_it(error):
    with pytest.raises(DeviceError, match="Memory ran out.*smaller batch_size"):
        xaudio.explain(net(error), np.ones(4000) * 0.1, sample_rate=8000, representation="waveform", classes=["a", "b", "c"])


def test_rendering_names_it(tmp_path):
    def renderer(explanation, folder):
        raise RuntimeError(TORCH)

    from xaudio.explanation.rendering import render

    found = xaudio.explain(net(), np.ones(4000) * 0.1, sample_rate=8000, representation="waveform", explainer="gradient")
    with pytest.raises(DeviceError, match="Memory ran out when 64000 bytes more were asked for. Render"):
        render([found], [renderer], tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_a_training_that_does_not_fit_is_one_line(processes, tmp_path):
    train = f"{Path(sys.executable).with_name('xaudio')} train --dataset truth:recordings=160 --task slot --model reference"
    limited = f"ulimit -v 9000000; {train} --set steps=1 --set batch_size=100000 --out {tmp_path / 'run'}"
    ended = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=200)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "Memory ran out" in ended.stderr.strip().splitlines()[-1]
