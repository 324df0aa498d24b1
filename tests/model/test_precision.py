"""Number formats, the measured matrix peak and counted operations."""

import shutil
import time

import numpy as np
import pytest
import torch
from sweeps import sweep
from torch import nn

import xaudio
from xaudio import DeviceError
from xaudio.model import precision
from xaudio.model.initialisation import initialise
from xaudio.model.precision import float32_products, matrix_peak, resolve_precision, training_operations

CPU = torch.device("cpu")


def test_only_cuda_has_tf32():
    with pytest.raises(DeviceError, match="'tf32' needs a CUDA device; this is cpu"):
        resolve_precision("tf32", CPU)
    assert resolve_precision("tf32", torch.device("cuda", 0)) == "tf32"


@pytest.mark.parametrize(("capabilities", "expected"), [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "float32")])
def test_auto_takes_bfloat16_where_the_processor_has_units_for_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert resolve_precision("auto", CPU) == expected
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("auto", torch.device("mps")) == "float32"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_auto_takes_bfloat16_where_the_card_has_units_for_it(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda", 0)) == expected


def test_no_stopwatch_decides_the_precision(monkeypatch):
    """A clock that calls every product of float32 slow, or of bfloat16, or that stands still, changes nothing."""
    decided = {resolve_precision("auto", CPU)}
    monkeypatch.setattr(precision, "SIZES", (64,))
    for clock in (lambda: 0.0, iter(range(10**6)).__next__, lambda: float(np.random.default_rng().random())):
        for name in ("perf_counter", "monotonic", "process_time", "time"):
            monkeypatch.setattr(time, name, clock)
        matrix_peak.cache_clear()
        assert matrix_peak(CPU, "float32") > 0
        decided.add(resolve_precision("auto", CPU))
    monkeypatch.undo()
    matrix_peak.cache_clear()
    assert len(decided) == 1


def test_products_are_cut_to_tf32_only_for_a_while():
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    with pytest.raises(ValueError, match="stop"), float32_products(tf32=True):
        assert matrices.allow_tf32
        assert convolutions.allow_tf32
        with float32_products():
            assert (matrices.allow_tf32, convolutions.allow_tf32) == (False, False)
        assert matrices.allow_tf32
        raise ValueError("stop")
    assert (matrices.allow_tf32, convolutions.allow_tf32) == before


@pytest.mark.slow
def test_the_matrix_peak_is_what_a_product_takes(monkeypatch):
    """Measured again here over a longer time: the peak is no less than half of it and not ten times as much.

    In seconds of the processor, which other work beside the tests does not take.
    """
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    matrix_peak.cache_clear()
    matrix = torch.ones(1024, 1024)
    matrix @ matrix
    start = time.perf_counter()
    for _ in range(5):
        matrix @ matrix
    rate = 5 * 2 * 1024**3 / (time.perf_counter() - start)
    assert rate / 2 < matrix_peak(CPU, "float32") < 10 * rate


def test_operations_of_a_step_are_those_of_its_layers():
    """Two operations per weight, output and recording; backwards once for the weights and once for what came in."""
    network = nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 16, 3))
    convolution, linear = 2 * 4 * 5 * 16, 2 * 64 * 3
    features = torch.randn(7, 1, 20)
    state = torch.random.get_rng_state()
    counted = training_operations(network, features, torch.zeros(7, dtype=torch.long))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert counted == 7 * (2 * convolution + 3 * linear)  # nothing comes in to the first layer that needs a gradient
    assert all(weight.grad is None for weight in network.parameters())


def _gradient(network, features, mixed=False, compiled=False):
    run = torch.compile(network) if compiled else network
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = nn.functional.cross_entropy(run(features), torch.arange(len(features)))
    loss.backward()
    return float(loss.detach()), torch.cat([weight.grad.flatten() for weight in network.parameters()])


NETWORKS = [("alexnet", (1, 227, 227)), ("audionet", (1, 8000))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), sweep(NETWORKS, quick=NETWORKS[1:]))
def test_bfloat16_products_change_loss_and_gradient_little(name, shape):
    network = xaudio.create("model", name, classes=10).eval()
    initialise(network, 0, 1.0)
    features = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    loss, gradient = _gradient(network, features)
    mixed, rough = _gradient(network, features, mixed=True)
    assert mixed == pytest.approx(loss, rel=0.01)
    assert nn.functional.cosine_similarity(gradient, rough, dim=0) > 0.95
    assert not torch.equal(gradient, rough)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_compiled_step_is_the_plain_one(processes):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 10))
    features = torch.randn(2, 1, 20)
    loss, gradient = _gradient(network, features)
    other, compiled = _gradient(network, features, compiled=True)
    assert other == pytest.approx(loss, rel=1e-5)
    assert torch.allclose(gradient, compiled, atol=1e-5)
