"""Relevance that operations without a rule for hooks multiply or lose is refused; what rules and biases keep is not."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from xaudio import ModelError, create

SOUND = torch.randn(3, 1, 60, generator=torch.Generator().manual_seed(0)).double()
TARGET = torch.tensor([0, 1, 2])


def lrp(network, composite="epsilon_plus", engine="zennit", **options):
    return create("explainer", "lrp", composite=composite, engine=engine, **options)(network.double().eval(), SOUND, TARGET)


def logits(network):
    return network.double().eval()(SOUND).gather(1, TARGET[:, None])[:, 0].detach()


class Residual(nn.Module):
    def __init__(self, blocks, bias=True):
        super().__init__()
        self.first = nn.Conv1d(1, 6, 5, padding=2, bias=bias)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv1d(6, 6, 3, padding=1, bias=bias), nn.ReLU()) for _ in range(blocks))
        self.out = nn.Linear(6, 3, bias=bias)

    def forward(self, features):
        features = self.first(features)
        for block in self.blocks:
            features = features + block(features)
        return self.out(features.amax(-1))


class Functional(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.first = nn.Conv1d(1, 6, 5, bias=False)
        self.relu = nn.ReLU()
        self.weight = nn.Parameter(scale * torch.rand(6, 6, 3))
        self.out = nn.Linear(6, 3, bias=False)

    def forward(self, features):
        return self.out(self.relu(functional.conv1d(self.relu(self.first(features)), self.weight)).amax(-1))


class Doubled(nn.Module):
    """Two branches with a rule each, which sum up: each has its own part of the relevance."""

    def __init__(self, bias):
        super().__init__()
        self.left, self.right = (nn.Conv1d(1, 6, 5, bias=bias) for _ in range(2))
        self.relu, self.norm = nn.ReLU(), nn.BatchNorm1d(6)
        self.out = nn.Linear(12, 3, bias=bias)

    def forward(self, features):
        left, right = self.relu(self.left(features)), self.norm(self.relu(self.right(features)))
        return self.out(torch.cat([left, right], 1).amax(-1))


@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon", "epsilon_alpha2_beta1"])
@pytest.mark.parametrize(
    "network",
    [
        lambda: Residual(8),
        lambda: Functional(30.0),
        lambda: Functional(0.001),
        lambda: nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(116, 3), nn.Softmax(1)),
    ],
)
def test_what_is_off_by_orders_of_magnitude_is_refused(network, composite):
    torch.manual_seed(1)
    network = network()
    with pytest.raises(ModelError, match=r"^lrp: operations that have no rule make .* strict=false") as caught:
        lrp(network, composite)
    assert "\n" not in str(caught.value)
    assert bool(torch.isfinite(lrp(network, composite, strict=False)).all())


def test_each_sum_of_two_branches_doubles_the_relevance():
    torch.manual_seed(1)
    with pytest.raises(ModelError, match=f"make {2**8} times the logit"):
        lrp(Residual(8, bias=False))
    torch.manual_seed(1)
    assert bool(torch.isfinite(lrp(Residual(3, bias=False))).all())  # eight times is still below the bound


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon", "epsilon_gamma", "epsilon_alpha2_beta1_flat"])
def test_what_rules_keep_is_no_loss(composite, bias):
    """Neither biases, however large, nor branches of which each has a rule."""
    torch.manual_seed(1)
    network = Doubled(bias)
    network.norm.running_mean.uniform_(-1, 1)
    if bias:
        network.out.bias.data += 1e-3 - logits(network)  # the logits are small sums of large parts
    torch.testing.assert_close(lrp(network, composite), lrp(network, composite, strict=False), rtol=0, atol=0)
