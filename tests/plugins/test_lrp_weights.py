"""Layer-wise relevance propagation explains the weights that are used, wherever they come from, or says that it cannot."""

import warnings

import numpy as np
import pytest
import torch
from textbook import FEATURES, ONE_OF_EACH_RULE, TARGET, textbook
from torch import nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune

from xaudio import ModelError, create


def lrp(network, composite="epsilon_plus", engine="auto", **options):
    return create("explainer", "lrp", composite=composite, engine=engine, **options)(network, FEATURES, TARGET)


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv1d(1, 4, 5, stride=2, padding=2), nn.ReLU(), nn.Conv1d(4, 4, 3, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(48, 3)),
    ).double()


def each(change, *layers):
    """A network whose layers have been changed in place."""

    def make():
        network = small()
        for layer in layers or (0, 2, 5):
            change(network[layer])
        return network

    return make


def with_layer(layer, index=0):
    """A network with another layer in it."""

    def make():
        network = small()
        network[index] = layer().double()
        return network

    return make


class Doubled(nn.Module):
    def forward(self, weight):
        return weight.flip(-1) * -2 + 0.1


def parametrised(layer, *names):
    for name in names or ("weight", "bias"):
        parametrize.register_parametrization(layer, name, Doubled())


def pruned(layer):
    for name in ("weight", "bias"):
        prune.random_unstructured(layer, name, amount=0.4)
    prune.l1_unstructured(layer, "weight", amount=0.3)


def as_buffer(layer):
    weight, bias = layer.weight.detach(), layer.bias.detach()
    del layer.weight, layer.bias
    layer.register_buffer("weight", weight)
    layer.register_buffer("bias", bias)


def as_attribute(layer):
    weight = layer.weight.detach()
    del layer.weight
    layer.weight = weight


def by_hook(layer):
    layer.raw = layer._parameters.pop("weight")
    layer.register_forward_pre_hook(lambda module, inputs: setattr(module, "weight", module.raw - module.raw.mean()))


def padded_by_hook(layer):
    layer.padding = (0,)
    layer.register_forward_pre_hook(lambda module, inputs: (functional.pad(inputs[0], (2, 2)),))


def own_forward(layer):
    layer.forward = lambda inputs: functional.conv1d(inputs, -layer.weight, layer.bias, layer.stride, layer.padding)
    layer.requires_grad_(False)


class Convolution(nn.Conv1d):
    """A convolution with a forward of its own."""

    def __init__(self):
        super().__init__(1, 4, 5, stride=2, padding=2)

    def product(self, inputs, weight):
        return functional.conv1d(inputs, weight, bias=self.bias, stride=self.stride, padding=self.padding)


class Standardised(Convolution):
    def forward(self, inputs):
        mean, deviation = self.weight.mean((1, 2), keepdim=True), self.weight.std((1, 2), keepdim=True)
        return self.product(inputs, (self.weight - mean) / (deviation + 1e-5))


class Negated(Convolution):
    def forward(self, inputs):
        return self.product(inputs, -self.weight)


class Scaled(Convolution):
    """An equalised learning rate, and a bias that is scaled, too."""

    def _conv_forward(self, inputs, weight, bias):
        return super()._conv_forward(inputs, weight * 0.3, bias * -2)


class Quantised(Convolution):
    def forward(self, inputs):
        return self.product(inputs, torch.fake_quantize_per_tensor_affine(self.weight.float(), 0.05, 0, -8, 7).double())


class Symmetric(Convolution):
    def forward(self, inputs):
        return self.product(inputs, self.weight - self.weight.flip(-1) + torch.rot90(self.weight, 2, (1, 2)))


class Property(Convolution):
    """A weight that is a property of the class."""

    def __init__(self):
        super().__init__()
        self.raw = self._parameters.pop("weight")

    @property
    def weight(self):
        return self.raw - self.raw.mean()


class Causal(nn.Conv1d):
    """Pads on the left, and cuts what is too much on the right."""

    def __init__(self, cut=False):
        super().__init__(1, 4, 3, stride=2, dilation=2, padding=4 if cut else 0)
        self.cut = cut

    def forward(self, inputs):
        if self.cut:
            return super().forward(inputs)[..., :-2].contiguous()
        return super().forward(torch.cat([inputs.new_zeros(*inputs.shape[:2], 4), inputs], -1))


class Grouped(nn.Conv1d):
    def __init__(self):
        super().__init__(4, 4, 3, groups=2)

    def forward(self, inputs):
        return functional.conv1d(functional.pad(inputs, (2, 0)), self.weight.abs(), self.bias, groups=self.groups)


class Transposed(nn.Linear):
    """A linear layer that uses the weight of another one, transposed."""

    def __init__(self):
        super().__init__(48, 3)
        self.other = [nn.Linear(3, 48).double()]
        del self.weight
        self.weight = None

    def forward(self, inputs):
        return functional.linear(inputs, self.other[0].weight.detach().t(), self.bias)


class Filters(nn.Module):
    """A bank of filters made of a few parameters, no convolution of torch's."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 2, 4))  # of another shape than its filters
        self.register_buffer("times", torch.arange(-2.0, 3.0))

    def forward(self, inputs):
        filters = torch.sin(self.weight[:, None] * self.times)[:, None]
        return functional.conv1d(functional.pad(inputs, (2, 2)), filters, stride=2)


def old(normalise):
    def change(layer):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            normalise(layer)

    return change


FOLDED = {
    "weight_norm": each(parametrizations.weight_norm),
    "spectral_norm": each(parametrizations.spectral_norm),
    "orthogonal": each(parametrizations.orthogonal, 2, 5),
    "parametrised weight and bias": each(parametrised),
    "two parametrisations": each(lambda layer: (parametrizations.weight_norm(layer), parametrised(layer))),
    "weight_norm by a hook": each(old(nn.utils.weight_norm)),
    "spectral_norm by a hook": each(old(nn.utils.spectral_norm)),
    "pruned": each(pruned),
    "pruned and normalised": each(lambda layer: (pruned(layer), parametrised(layer, "bias_orig"))),
    "buffers": each(as_buffer),
    "attribute": each(as_attribute),
}
USED = {
    "set by a hook": each(by_hook, 0, 2),
    "padded by a hook": each(padded_by_hook, 0),
    "forward of the object": each(own_forward, 0),
    "standardised": with_layer(Standardised),
    "negated": with_layer(Negated),
    "scaled": with_layer(Scaled),
    "quantised": with_layer(Quantised),
    "symmetric": with_layer(Symmetric),
    "property": with_layer(Property),
    "causal": with_layer(Causal),
    "causal, cut": with_layer(lambda: Causal(cut=True)),
    "grouped": with_layer(Grouped, 2),
    "transposed": with_layer(Transposed, 5),
    "filters": with_layer(Filters),
}


def assert_textbook(network, composite, engine):
    network = network.double().eval()
    with torch.no_grad():
        logits = network(FEATURES)
    options = {"epsilon": 1.0000001e-6} if engine == "functions" else {}  # above what it leaves out as too small
    relevance = lrp(network, composite, engine, **options)
    for recording, target, found in zip(FEATURES[:2], TARGET, relevance, strict=False):
        expected = textbook(list(network), composite, recording, target)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if options else 1e-7, atol=1e-10)
    with torch.no_grad():
        assert torch.equal(network(FEATURES), logits)


@pytest.mark.parametrize("composite", ONE_OF_EACH_RULE)
@pytest.mark.parametrize("engine", ["fast", "functions", "zennit"])
@pytest.mark.parametrize("kind", FOLDED)
def test_a_folded_weight_is_explained(kind, engine, composite):
    assert_textbook(FOLDED[kind](), composite, engine)


@pytest.mark.parametrize("composite", ONE_OF_EACH_RULE)
@pytest.mark.parametrize("engine", ["functions", "zennit"])
@pytest.mark.parametrize("kind", USED)
def test_a_weight_that_only_a_forward_pass_shows_is_explained(kind, engine, composite):
    assert_textbook(USED[kind](), composite, engine)


def test_a_first_layer_of_its_own_has_the_rule_of_first_layers():
    for engine in ("functions", "zennit"):
        assert_textbook(USED["standardised"](), "epsilon_plus_flat", engine)
    assert_textbook(FOLDED["weight_norm"](), "epsilon_plus_flat", "auto")


@pytest.mark.parametrize("kind", ["weight_norm", "pruned", "weight_norm by a hook", "buffers", "standardised", "causal"])
def test_channels_of_a_layer_with_other_weights(kind):
    """The parts of all channels add up to the whole."""
    network = {**FOLDED, **USED}[kind]().eval()
    parts = [lrp(network, layer="0", channels=(channel,)) for channel in range(4)]
    torch.testing.assert_close(sum(parts), lrp(network), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "kind", ["weight_norm", "spectral_norm", "weight_norm by a hook", "pruned", "parametrised weight and bias"]
)
def test_a_changed_origin_of_a_weight_is_noticed(kind):
    network = FOLDED[kind]().eval()
    before = lrp(network, engine="fast")
    assert torch.equal(lrp(network, engine="fast"), before)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if name.startswith("2."):
                tensor.mul_(torch.linspace(-1, 2, tensor.numel(), dtype=tensor.dtype).reshape(tensor.shape))
    after = lrp(network, engine="fast")
    assert not torch.allclose(after, before)
    assert_textbook(network, "epsilon_plus", "fast")


class Activated(Convolution):
    def forward(self, inputs):
        return functional.relu(super().forward(inputs))


class Dynamic(Convolution):
    def forward(self, inputs):
        return self.product(inputs, self.weight * inputs.mean())


class Two(Convolution):
    def forward(self, inputs):
        return self.product(inputs, self.weight) + self.product(inputs, self.weight.abs())


class Halves(Convolution):
    def forward(self, inputs):
        return torch.cat([self.product(inputs, self.weight)[:, :2], self.product(inputs, -self.weight)[:, 2:]], 1)


class InPlace(Convolution):
    def forward(self, inputs):
        return self.product(inputs, self.weight).mul_(2)


class Lazy(Convolution):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(12, 12)

    def forward(self, inputs):
        return self.inner(super().forward(inputs))


class Matrix(nn.Linear):
    def forward(self, inputs):
        return inputs @ self.weight.t() + self.bias


class Swapped(nn.Module):
    """A network that runs with other weights than it holds."""

    def __init__(self):
        super().__init__()
        self.network = small()
        self.weights = {name: -2 * value.detach() for name, value in self.network.named_parameters()}

    def forward(self, features):
        return functional_call(self.network, self.weights, (features,))


def doubled_by_hook(layer):
    layer.register_forward_hook(lambda module, inputs, output: 2 * output)


REFUSED = {
    "activated": (with_layer(Activated), "'0' (Activated)"),
    "dynamic": (with_layer(Dynamic), "'0' (Dynamic)"),
    "two products": (with_layer(Two), "'0' (Two)"),
    "halves": (with_layer(Halves), "'0' (Halves)"),
    "in place": (with_layer(InPlace), "'0' (InPlace)"),
    "layer inside": (with_layer(Lazy), "'0' (Lazy)"),
    "matrix": (with_layer(lambda: Matrix(48, 3), 5), "'5' (Matrix)"),
    "hook": (each(doubled_by_hook, 2), "'2' (Conv1d)"),
    "functional_call": (Swapped, "'network.0' (Conv1d)"),
    "no weights yet": (with_layer(lambda: nn.LazyConv1d(4, 5, 2, 2)), "'0' (LazyConv1d)"),
}


@pytest.mark.parametrize("composite", ONE_OF_EACH_RULE)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_weight_says_is_refused(kind, composite):
    make, named = REFUSED[kind]
    network = make().double().eval()
    with pytest.raises(ModelError) as caught:
        lrp(network, composite, "zennit")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_complex_weights_are_refused():
    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(24, 5, dtype=torch.complex128), nn.Linear(5, 3).double()

        def forward(self, features):
            return self.second(self.first(features.to(torch.complex128)).abs().flatten(1))

    for engine in ("auto", "zennit"):
        with pytest.raises(ModelError, match="first.* are complex numbers"):
            lrp(Complex().eval(), engine=engine)


def test_a_hook_that_only_watches_changes_nothing():
    network, seen = small().eval(), []
    expected = lrp(network, engine="functions")
    network[2].register_forward_hook(lambda module, inputs, output: seen.append(output.abs().mean()))
    assert torch.equal(lrp(network), expected)
    assert seen
