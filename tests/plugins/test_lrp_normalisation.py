"""Layer-wise relevance propagation explains a batch normalisation where it is called, in whatever order it was registered."""

import numpy as np
import pytest
import torch
from textbook import FEATURES, ONE_OF_EACH_RULE, TARGET, textbook
from torch import nn

from xaudio import ModelError, create
from xaudio_lrp import _watch


class Ordered(nn.Module):
    """Layers that run in one order and are registered in another."""

    def __init__(self, runs, registered=None):
        super().__init__()
        torch.manual_seed(0)
        layers = {"first": nn.Conv1d(1, 4, 5, stride=2, padding=2), "second": nn.Conv1d(4, 4, 3, padding=1, groups=2)}
        layers |= {"third": nn.Conv1d(4, 4, 3, padding=1, bias=False), "out": nn.Linear(48, 3), "small": nn.Linear(24, 3)}
        layers |= {"relu": nn.ReLU(), "relu2": nn.ReLU(), "inplace": nn.ReLU(inplace=True), "tanh": nn.Tanh()}
        layers |= {"same": nn.Identity(), "drop": nn.Dropout(), "pool": nn.MaxPool1d(2), "flat": nn.Flatten()}
        layers |= {"norm": nn.BatchNorm1d(4, eps=1e-13), "one": nn.BatchNorm1d(1), "flat_norm": nn.BatchNorm1d(48)}
        layers |= {"bare": nn.BatchNorm1d(4, affine=False, eps=1e-13)}
        self.runs = runs.split()
        for name in (registered or " ".join(dict.fromkeys(self.runs))).split():
            setattr(self, name, layers[name])
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                for name, low in (("running_mean", -1), ("running_var", 0.5), ("weight", -1), ("bias", -0.5)):
                    if getattr(module, name) is not None:
                        nn.init.uniform_(getattr(module, name), low, low + 2)
        self.double().eval()

    def forward(self, features):
        for name in self.runs:
            features = getattr(self, name)(features)
        return features

    def textbook(self, composite, recording, target):
        """Relevance by the textbook, with each normalisation directly behind a layer folded into that."""
        layers = [getattr(self, name) for name in self.runs if name not in ("drop", "same")]
        for place in range(len(layers) - 1, 0, -1):
            once = layers.count(layers[place]) == layers.count(layers[place - 1]) == 1
            if once and isinstance(layers[place], nn.BatchNorm1d) and isinstance(layers[place - 1], nn.Conv1d):
                layers[place - 1 : place + 1] = [nn.utils.fusion.fuse_conv_bn_eval(*layers[place - 1 : place + 1])]
        return textbook(layers, composite, recording, target)


CHAINS = {
    "behind ReLU": "first relu norm second relu2 flat out",
    "behind ReLU in place": "first inplace norm second relu flat out",
    "before the convolution": "one first relu third relu2 flat out",
    "between convolutions": "first norm second tanh flat out",
    "without bias or scale": "first relu third bare relu2 flat out",
    "behind pooling": "first pool norm second relu flat small",
    "behind a flattening": "first relu flat flat_norm out",
    "behind a convolution and a flattening": "first flat flat_norm out",
    "behind dropout": "first drop norm relu flat out",
    "behind an identity": "first same norm relu flat out",
    "last but one": "first relu second relu2 norm flat out",
}
OTHERS = {
    "twice": ("first relu norm second relu norm flat out", None),
    "twice, directly behind layers": ("first norm relu second norm flat out", None),
    "layer and norm twice": ("first relu second norm relu norm flat out", None),
    "registered behind another layer": ("first relu norm second flat out", "first norm relu second flat out"),
    "registered behind the wrong convolution": ("first norm relu second flat out", "first relu second norm flat out"),
    "registered first": ("first relu second norm flat out", "norm first relu second flat out"),
}


def lrp(network, composite, engine="auto", **options):
    return create("explainer", "lrp", composite=composite, engine=engine, **options)(network, FEATURES, TARGET)


def assert_textbook(network, composite, engine):
    relevance = lrp(network, composite, engine)
    for recording, target, found in zip(FEATURES[:2], TARGET, relevance, strict=False):
        expected = network.textbook(composite, recording, target)
        largest = np.abs(expected).max()  # the textbook divides by what is 1e-6 larger; the engine of functions mostly does not
        tolerance = {"rtol": 1e-3, "atol": 1e-3 * largest} if engine == "functions" else {"rtol": 1e-7, "atol": 1e-10}
        np.testing.assert_allclose(found, expected, **tolerance)


@pytest.mark.parametrize("composite", ONE_OF_EACH_RULE)
@pytest.mark.parametrize("engine", ["fast", "functions", "zennit"])
@pytest.mark.parametrize("kind", CHAINS)
def test_where_it_is_called(kind, engine, composite):
    assert_textbook(Ordered(CHAINS[kind]), composite, engine)


@pytest.mark.parametrize("composite", ONE_OF_EACH_RULE)
@pytest.mark.parametrize("engine", ["functions", "zennit"])
@pytest.mark.parametrize("kind", OTHERS)
def test_in_whatever_order_it_is_registered(kind, engine, composite):
    if engine == "functions" and kind in ("twice, directly behind layers", "layer and norm twice"):
        pytest.skip("it merges each call of a normalisation into the layer before it")
    assert_textbook(Ordered(*OTHERS[kind]), composite, engine)


class Branches(nn.Module):
    """A normalisation of a sum of two branches, of which one has a depthwise convolution, a normalisation and a shortcut."""

    def __init__(self, shortcut):
        super().__init__()
        from zennit.layer import Sum

        torch.manual_seed(0)
        self.shortcut = shortcut
        self.stem, self.norm_of_sum = nn.Conv1d(1, 4, 5, stride=2, padding=2), nn.BatchNorm1d(4)
        self.one, self.norm_of_one, self.other = nn.Conv1d(4, 4, 3, padding=1, groups=4), nn.BatchNorm1d(4), nn.Conv1d(4, 4, 1)
        self.sum, self.relu, self.out = Sum(), nn.ReLU(), nn.Linear(48, 3)
        for module in (self.norm_of_sum, self.norm_of_one):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 2)
        self.double().eval()

    def forward(self, features):
        stem = self.relu(self.stem(features))
        other, one = self.other(stem), self.one(stem)
        parts = [self.norm_of_one(one), other, one] if self.shortcut else [self.norm_of_one(one), other]
        return self.out(self.relu(self.norm_of_sum(self.sum(torch.stack(parts, -1)))).flatten(1))


@pytest.mark.parametrize("shortcut", [False, True])
def test_in_branches_the_epsilon_rule_is_input_times_gradient(shortcut):
    from xaudio_lrp import _zennit  # noqa: F401  (imports zennit beside any torchvision)

    network = Branches(shortcut)
    for norm in (network.norm_of_sum, network.norm_of_one):
        norm.eps = 1e-13
    features = FEATURES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(features).gather(1, TARGET[:, None]).sum(), features)
    expected = (features * gradient).detach()
    torch.testing.assert_close(lrp(network, "epsilon", epsilon=1e-12), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


class OwnNorm(nn.BatchNorm1d):
    """A normalisation with a forward of its own."""

    def forward(self, inputs):
        return super().forward(inputs) * self.times


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_a_normalisation_with_a_forward_of_its_own(times):
    network = Ordered(CHAINS["behind ReLU"])
    expected = lrp(network, "epsilon_plus", "zennit")
    network.norm.__class__, network.norm.times = OwnNorm, times
    if times == 1:
        assert torch.equal(lrp(network, "epsilon_plus", "zennit"), expected)
    else:
        with pytest.raises(ModelError, match=r"layer 'norm' \(OwnNorm\) .* not what a batch normalisation gives"):
            lrp(network, "epsilon_plus", "zennit")


@pytest.mark.slow
def test_a_layer_whose_weight_another_one_shares_is_merged_alone():
    network = Ordered("first relu second norm relu third flat out", "first relu second third norm flat out")
    network.third = nn.Conv1d(4, 4, 3, padding=1, groups=2).double()
    network.third.weight = network.second.weight
    for composite in ONE_OF_EACH_RULE:
        assert_textbook(network, composite, "functions")
        assert_textbook(network, composite, "zennit")


def test_the_order_is_watched_once_and_again_when_the_model_changed(monkeypatch):
    runs = []
    run = _watch._Watch.run
    monkeypatch.setattr(_watch._Watch, "run", lambda *arguments: (runs.append(1), run(*arguments))[1])
    network = Ordered(CHAINS["behind ReLU"])
    for _ in range(3):
        lrp(network, "epsilon_plus", "zennit")
    assert len(runs) == 1
    network.relu = nn.Tanh()
    assert_textbook(network, "epsilon_plus", "zennit")
    assert len(runs) == 2
    lrp(nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(44, 3)).double(), "epsilon_plus", "zennit")
    assert len(runs) == 2


class Flattened(nn.Module):
    """A function between a convolution and a normalisation of the flattened maps, of which each has one channel."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.out = nn.Conv1d(1, 4, 5, stride=2, padding=2), nn.BatchNorm1d(48), nn.Linear(48, 3)
        for name in ("running_mean", "running_var", "weight", "bias"):
            nn.init.uniform_(getattr(self.norm, name), 0.5, 2)
        self.double().eval()

    def forward(self, features):
        return self.out(self.norm(self.conv(features).flatten(1)))


@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_a_function_before_the_normalisation(engine):
    network = Flattened()
    expected = textbook([network.conv, nn.Flatten(), network.norm, network.out], "epsilon_plus", FEATURES[0], TARGET[0])
    np.testing.assert_allclose(lrp(network, "epsilon_plus", engine)[0], expected, rtol=1e-7, atol=1e-10)
