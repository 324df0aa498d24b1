"""Copies that the engine of functions keeps: as good as new ones, whatever happens to the network."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from computations import Network, drawn
from torch import nn
from torch.nn import functional

from xaudio import create
from xaudio_lrp import _twins

FEATURES = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
TARGET = torch.tensor([1, 0])


def small(forward=None):
    """Convolution, activation and answers, with settings of several kinds."""

    def own(net, x):
        hidden = net.conv(x) * net.scale * net.settings.gain + net.shifts[0] + net.table["shift"]
        hidden = hidden + (0.3 if net.nothing is None else sum(net.nothing))
        return net.out(functional.gelu(hidden).flatten(1))

    network = Network(forward or own, conv=nn.Conv1d(4, 4, 3, padding=1), out=nn.Linear(24, 3))
    network.scale, network.settings, network.shifts = 1.5, SimpleNamespace(gain=2.0), [0.1]
    network.table, network.constant, network.nothing = {"shift": 0.2}, torch.ones(()), []
    return drawn(network)


def explained(network):
    return create("explainer", "lrp", composite="epsilon", engine="functions")(network, FEATURES, TARGET)


@pytest.fixture
def copies(monkeypatch):
    """One for each copy that is made."""
    made, copy = [], _twins.plain_copy
    monkeypatch.setattr(_twins, "plain_copy", lambda *given, **more: (made.append(1), copy(*given, **more))[1])
    return made


def test_a_copy_is_made_once(copies):
    network = small()
    first = explained(network)
    assert torch.equal(explained(network), first)
    assert len(copies) == 1
    network.conv.weight.data.mul_(2)  # the memory is the same
    assert not torch.equal(explained(network), first)
    network.out.weight.data = torch.randn_like(network.out.weight)
    explained(network)
    assert len(copies) == 2


def _normed(net):
    nn.utils.parametrizations.weight_norm(net.conv)
    net.conv.parametrizations.weight.original0.data.mul_(3)


class Shifted(nn.Module):
    """Adds all of what it has."""

    def __init__(self, shifts):
        super().__init__()
        self.shifts = shifts

    def forward(self, values):
        return values + sum(self.shifts)


SEVERAL = torch.tensor([0.7, -1.9])

CHANGES = {
    "parametrisation": _normed,
    "number": lambda net: setattr(net, "scale", 2.5),
    "setting of an object": lambda net: setattr(net.settings, "gain", 3.0),
    "list": lambda net: net.shifts.__setitem__(0, 0.7),
    "mapping": lambda net: net.table.update(shift=0.9),
    "parameter": lambda net: setattr(net.out, "weight", nn.Parameter(torch.randn(3, 24, dtype=torch.float64))),
    "module": lambda net: setattr(net, "out", nn.Linear(24, 3).double()),
    "setting of a layer": lambda net: setattr(net.conv, "dilation", (1,)) or setattr(net.conv, "padding_mode", "circular"),
    "list without anything": lambda net: net.nothing.append(0.7),
    "nothing instead of a list": lambda net: setattr(net, "nothing", None),
    "tensor instead of a list": lambda net: setattr(net, "nothing", SEVERAL),
    "array instead of a list": lambda net: setattr(net, "nothing", np.array([0.7, 0.2])),
    "tensor beside a tuple": lambda net: setattr(net, "conv", nn.Sequential(net.conv, Shifted(()), Shifted(SEVERAL))),
    "hook": lambda net: net.conv.register_forward_hook(lambda module, inputs, output: output * 2),
    "hook on the network": lambda net: net.conv.register_forward_hook(lambda module, inputs, output: output * net.scale),
    "forward": lambda net: net.way.__setitem__(0, lambda net, x: net.out(torch.tanh(net.conv(x)).flatten(1))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_seen(name):
    network = small()
    before = explained(network)
    CHANGES[name](network)
    after = explained(network)
    _twins._twins.clear()
    assert torch.equal(after, explained(network))
    assert not torch.allclose(after, before)


def _remembering(net, x):
    """Adds what it answered the last time."""
    answer = net.out(functional.gelu(net.conv(x)).flatten(1)) + (0 if net.last is None else net.last)
    net.last = answer.detach()
    return answer


def _keeping(net, x):
    net.kept = functional.gelu(net.conv(x))
    return net.out(net.kept.flatten(1))


def _counting(net, x):
    net.table["calls"] = net.table.get("calls", 0) + 1
    return net.out(functional.gelu(net.conv(x)).flatten(1)) * net.table["calls"]


@pytest.mark.parametrize("forward", [_remembering, _keeping, _counting])
def test_networks_that_remember_start_anew_each_time(forward, copies):
    network = small(forward)
    network.last = None
    first = explained(network)
    assert torch.equal(explained(network), first)
    assert len(copies) == 2
    assert network.last is None
    assert not hasattr(network, "kept")
    assert network not in _twins._twins


def test_a_network_in_training_mode_is_explained_in_evaluation_mode():
    network = small(lambda net, x: net.out(net.drop(functional.gelu(net.conv(x))).flatten(1)))
    network.drop = nn.Dropout(0.5).eval()
    expected = explained(network)
    network.train()
    assert torch.equal(explained(network), expected)
    assert network.training
    assert network.drop.training


def test_a_copy_does_not_keep_its_network():
    network = small()
    explained(network)
    assert network in _twins._twins
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


@pytest.mark.slow
@pytest.mark.parametrize("part", ["whole", "layer"])
def test_nothing_is_compiled_to_explain_a_compiled_network(part):
    compiled = []
    network = small()
    expected = explained(network)

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    if part == "whole":
        network = torch.compile(network, backend=backend)
    else:
        network.conv = torch.compile(network.conv, backend=backend)
    assert torch.equal(explained(network), expected)
    assert not compiled
    network(FEATURES)
    assert compiled
