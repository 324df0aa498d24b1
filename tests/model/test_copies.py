"""Copies of networks to work on: what `copy.deepcopy` gives, on the same memory, and nothing of it is the network's own."""

from collections import OrderedDict
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from xaudio.model.copies import plain_copy


class Odd(nn.Module):
    """What modules hold beside weights: each other in lists, methods, dictionaries, states."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.beside = [self.second, {"first": self.first}]
        self.way, self.seen, self.table, self.chosen = self.first.forward, [], OrderedDict(a=[1]), {"first"}
        self.shared = self.same = {"scale": torch.tensor(2.0)}
        self.register_buffer("shift", torch.ones(4))

    def forward(self, features):
        self.seen.append(len(features))
        self.table["a"].append(1)
        return self.beside[0](self.way(features)) * self.shared["scale"] + self.shift


class ByItself(nn.Linear):
    """A module that is copied in a way of its own."""

    def __deepcopy__(self, memo):
        copy = ByItself(4, 4)
        copy.weight, copy.bias = (memo.get(id(value), value) for value in (self.weight, self.bias))
        copy.mark = "copied by itself"
        return copy


class Restored(nn.Module):
    """A module with parts that no copy can have."""

    def __init__(self):
        super().__init__()
        self.inner, self.doubled = nn.Linear(4, 4), (value for value in ())

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "doubled"}

    def __setstate__(self, state):
        super().__setstate__(state)
        self.doubled = "restored"

    def forward(self, features):
        return self.inner(features)


NETWORKS = {
    "odd": Odd,
    "by itself": lambda: nn.Sequential(ByItself(4, 4), nn.ReLU()),
    "restored": lambda: nn.Sequential(Restored(), nn.Linear(4, 4)),
    "recurrent": lambda: nn.Sequential(nn.Linear(4, 4), nn.GRU(4, 4)),
    "parametrised": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 4)),
    "transformer": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
    "twice": lambda: nn.Sequential(*[nn.Linear(4, 4)] * 2),
}


def answer(network, features):
    result = network(features)
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", NETWORKS)
def test_a_copy_is_what_deepcopy_gives_on_the_same_memory(name):
    torch.manual_seed(0)
    network, features = NETWORKS[name]().eval(), torch.randn(2, 3, 4)
    state = {key: list(vars(module)) for key, module in network.named_modules()}
    copy, deep = plain_copy(network), deepcopy(network)
    torch.testing.assert_close(answer(copy, features), answer(deep, features))
    theirs = {id(module) for module in network.modules()}
    assert not any(id(module) in theirs for module in copy.modules())
    assert {key: list(vars(module)) for key, module in network.named_modules()} == state
    if name == "parametrised":
        return
    for (key, one), (other, two) in zip(copy.named_modules(), deep.named_modules(), strict=True):
        assert key == other
        assert type(one) is type(two)
        assert vars(one).keys() == vars(two).keys()
    memory = {parameter.data_ptr() for parameter in network.parameters()}
    assert {parameter.data_ptr() for parameter in copy.parameters()} == memory
    assert not any(parameter.requires_grad for parameter in copy.parameters())


def test_a_copy_does_not_share_what_a_network_writes_to():
    network = Odd().eval()
    copy = plain_copy(network)
    copy(torch.randn(2, 4))
    assert (network.seen, network.table["a"], copy.seen, copy.table["a"]) == ([], [1], [2], [1, 1])
    assert copy.beside[0] is copy.second
    assert copy.beside[1]["first"] is copy.first
    assert copy.way.__self__ is copy.first
    assert copy.shared is copy.same
    copy.first.register_forward_hook(lambda *_: None)
    copy.chosen.add("second")
    assert not network.first._forward_hooks
    assert network.chosen == {"first"}


def test_a_copy_sees_what_has_changed_since_the_last_one():
    network, features = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU()).eval(), torch.randn(2, 4)
    plain_copy(network)
    network[0].weight.data *= 2
    network[1].negative_slope = 0.9
    network.append(nn.Linear(4, 4))
    network[0].register_forward_hook(lambda module, inputs, output: output + 1)
    torch.testing.assert_close(plain_copy(network)(features), network(features))


def test_modules_copied_in_a_way_of_their_own_are_asked():
    assert plain_copy(NETWORKS["by itself"]())[0].mark == "copied by itself"
    assert plain_copy(NETWORKS["restored"]())[0].doubled == "restored"
