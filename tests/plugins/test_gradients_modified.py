"""Guided backpropagation, DeepLIFT and Grad-CAM: against textbook versions, captum and explicit autograd."""

import copy
from itertools import pairwise

import pytest
import torch
from captum.attr import DeepLift, GuidedBackprop, LayerGradCam
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn import functional

from xaudio import ModelError, create

pytestmark = pytest.mark.filterwarnings("ignore:Setting .*hooks")  # captum's
TARGET = torch.tensor([0, 2, 1, 2, 0])


def explain(name, network, features, **options):
    return create("explainer", name, **options)(network, features, TARGET[: len(features)])


def logits(network, features):
    return network(features).gather(1, TARGET[: len(features), None])[:, 0]


def normal(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def features():
    return normal(5, 1, 41)


@pytest.fixture
def modules():
    """Every ReLU a module of its own, pooling without overlap: what captum's hooks can work with."""
    torch.manual_seed(0)
    layers = [nn.Conv1d(1, 4, 6), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 3)).double().eval()


class Functional(nn.Module):
    """The same with one ReLU used again, one called as a function and one in place."""

    def __init__(self, modules):
        super().__init__()
        self.first, self.second, self.third, self.last = modules[0], modules[3], modules[6], modules[8]
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features):
        hidden = functional.max_pool1d(self.relu(self.first(features)), 2)
        hidden = self.second(hidden)
        functional.relu_(hidden)
        return self.last(self.relu(self.third(hidden.flatten(1))).relu())


def test_guided_backprop_is_captums(modules, features):
    expected = GuidedBackprop(copy.deepcopy(modules)).attribute(features.clone().requires_grad_(), target=TARGET)
    torch.testing.assert_close(explain("guided_backprop", modules, features), expected.detach())


def test_deep_lift_is_captums_where_that_sums_to_the_difference(modules, features):
    """captum's relevance misses it where pooling overlaps or follows an activation; ours is tested below without it."""
    torch.manual_seed(0)
    pooled = nn.Sequential(nn.Conv1d(1, 4, 6), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(72, 5), nn.ReLU(), nn.Linear(5, 3))
    for network in (pooled.double(), nn.Sequential(modules[0], nn.Tanh(), nn.Flatten(), nn.Linear(144, 3).double())):
        captum = DeepLift(copy.deepcopy(network))
        expected = captum.attribute(features.clone().requires_grad_(), torch.zeros_like(features), target=TARGET)
        torch.testing.assert_close(explain("deep_lift", network, features), expected.detach())


@pytest.mark.parametrize("name", ["guided_backprop", "deep_lift"])
def test_functions_and_modules_used_again_and_in_place_change_nothing(name, modules, features):
    torch.testing.assert_close(Functional(modules)(features), modules(features))
    expected = explain(name, modules, features)
    torch.testing.assert_close(explain(name, Functional(modules), features), expected)


def test_guided_backprop_needs_a_relu(features):
    network = nn.Sequential(nn.Flatten(), nn.Linear(41, 3), nn.Tanh()).double()
    with pytest.raises(ModelError, match="Sequential has none: use gradient"):
        explain("guided_backprop", network, features)


def test_deep_lift_is_the_textbooks_in_a_dense_network(features):
    """Of a hidden layer: its multiplier is the change of the output over that of the input, for each unit."""
    torch.manual_seed(0)
    first, last = nn.Linear(41, 7).double(), nn.Linear(7, 3).double()
    relevance = explain("deep_lift", nn.Sequential(nn.Flatten(), first, nn.ReLU(), last), features)
    for recording, target, found in zip(features, TARGET, relevance, strict=True):
        expected = torch.zeros(41, dtype=torch.float64)
        for unit in range(7):
            here = first.bias[unit] + sum(first.weight[unit, i] * recording[0, i] for i in range(41))
            there = first.bias[unit]
            multiplier = (here.clamp(min=0) - there.clamp(min=0)) / (here - there)
            for i in range(41):
                expected[i] += (last.weight[target, unit] * multiplier * first.weight[unit, i] * recording[0, i]).detach()
        torch.testing.assert_close(found[0], expected)


def test_deep_lift_is_the_textbooks_where_pooling_overlaps(features):
    """The change of each window goes to its largest input: now if it grew, of the reference if it fell."""
    torch.manual_seed(0)
    first, last = nn.Conv1d(1, 3, 5, padding=2).double(), nn.Linear(3 * 20, 3).double()
    network = nn.Sequential(first, nn.MaxPool1d(3, 2), nn.Flatten(), last)
    relevance = explain("deep_lift", network, features)
    reference = first(torch.zeros_like(features[:1]))[0]
    shared = 0
    for recording, target, found in zip(features, TARGET, relevance, strict=True):
        hidden = first(recording[None])[0]
        multipliers = torch.zeros_like(hidden)
        for channel in range(3):
            for window in range(20):
                weight = last.weight[target].reshape(3, 20)[channel, window]
                here, there = (values[channel, 2 * window : 2 * window + 3] for values in (hidden, reference))
                change = here.max() - there.max()
                winner = 2 * window + int((here if change > 0 else there).argmax())
                shared += int(multipliers[channel, winner] != 0)
                multipliers[channel, winner] += weight * change / (hidden - reference)[channel, winner]
        expected = functional.conv_transpose1d(multipliers[None], first.weight, padding=2)[0] * recording
        torch.testing.assert_close(found, expected.detach())
    assert shared > 10  # inputs that win in two windows, which are where overlap matters


ACTIVATIONS = [nn.ReLU(), nn.ELU(), nn.Tanh(), nn.Sigmoid(), nn.Softplus(), nn.GELU(), nn.LeakyReLU(0.1, inplace=True)]


@pytest.mark.slow
@settings(max_examples=25)
@given(
    channels=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    ceil=st.booleans(),
    activations=st.lists(st.sampled_from(ACTIVATIONS), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_deep_lift_sums_to_the_difference_of_the_logits(channels, kernel, stride, ceil, activations, seed):
    torch.manual_seed(seed)
    layers = []
    for (inputs, outputs), activation in zip(pairwise([1, *channels]), activations, strict=False):
        layers += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.MaxPool1d(kernel, stride, ceil_mode=ceil), activation]
    body = nn.Sequential(*layers, nn.Flatten()).double()
    features = normal(3, 1, 90, seed=seed)
    network = nn.Sequential(body, nn.Linear(body(features).shape[1], 3).double(), activations[-1])
    features[1, 0, :50] = 0
    relevance = explain("deep_lift", network, features)
    difference = logits(network, features) - logits(network, torch.zeros_like(features))
    torch.testing.assert_close(relevance.sum((1, 2)), difference.detach(), rtol=1e-6, atol=1e-9)
    assert (relevance[1, 0, :50] == 0).all()


@pytest.mark.slow
def test_deep_lift_is_exact_in_float32_on_the_papers_networks():
    for name, shape in (("audionet", (2, 1, 8000)), ("alexnet", (1, 1, 227, 227))):
        torch.manual_seed(0)
        network = create("model", name, classes=3).eval()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
        features = normal(*shape).float()
        relevance = explain("deep_lift", network, features)
        difference = logits(network, features) - logits(network, torch.zeros_like(features))
        assert difference.abs().min() > 0.01
        gap = (relevance.flatten(1).sum(1) - difference).abs()
        assert (gap < 1e-5 * relevance.flatten(1).abs().sum(1)).all()


def test_deep_lift_refuses_a_model_that_it_would_explain_wrongly(modules, features):
    for wrong in (nn.Softmax(1), nn.LayerNorm(3).double()):
        with pytest.raises(ModelError, match="not defined for .*use integrated_gradients"):
            explain("deep_lift", nn.Sequential(modules, wrong), 3 * features)


def test_grad_cam_is_explicit_autograd(modules, features):
    layer, rest = modules[:4], modules[4:]
    active = layer(features).detach().requires_grad_()
    gradient = torch.autograd.grad(logits(rest, active).sum(), active)[0]
    cam = torch.einsum("bct,bc->bt", active, gradient.mean(2)).detach()[:, None]
    expected = functional.interpolate(cam, 41, mode="linear")
    torch.testing.assert_close(explain("grad_cam", modules, features, relu=False), expected)
    torch.testing.assert_close(
        explain("grad_cam", modules, features, layer="3"), functional.interpolate(cam.relu(), 41, mode="linear")
    )
    other = LayerGradCam(modules, modules[0]).attribute(features, TARGET, relu_attributions=True)
    expected = functional.interpolate(other, 41, mode="linear").detach()
    torch.testing.assert_close(explain("grad_cam", modules, features, layer="0"), expected)


def test_grad_cam_of_a_layer_over_time_is_alike_for_all_frequencies():
    class Frames(nn.Module):
        """A convolution over the frames of a spectrogram (batch, 1, 12 frequencies, 20 frames)."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.out = nn.Conv1d(12, 5, 3, 2), nn.Linear(5, 3)

        def forward(self, features):
            return self.out(self.conv(features.squeeze(1)).relu().mean(2))

    network, features = Frames().eval(), torch.randn(2, 1, 12, 20, generator=torch.Generator().manual_seed(1))
    method = create("explainer", "grad_cam", relu=False)
    relevance = method(network, features, torch.tensor([0, 2]))
    hidden = network.conv(features.squeeze(1))
    score = network.out(hidden.relu().mean(2))[[0, 1], [0, 2]].sum()
    cam = (torch.autograd.grad(score, hidden)[0].mean(2, keepdim=True) * hidden).sum(1).detach()
    expected = functional.interpolate(cam[:, None], 20, mode="linear")[:, :, None].expand(-1, -1, 12, -1)
    torch.testing.assert_close(relevance, expected)


def test_grad_cam_of_a_layer_followed_by_an_operation_in_place(modules, features):
    modules[4] = nn.ReLU()
    expected = explain("grad_cam", modules, features, relu=False)
    modules[4] = nn.ReLU(inplace=True)
    torch.testing.assert_close(explain("grad_cam", modules, features, relu=False), expected)


def test_grad_cam_of_images_is_laid_over_them_and_all_channels():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 5, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 6 * 4, 3)).double()
    features = normal(2, 2, 20, 15)
    cam = LayerGradCam(network, network[0]).attribute(features, TARGET[:2]).detach()
    expected = functional.interpolate(cam, (20, 15), mode="bilinear").expand(2, 2, 20, 15)
    torch.testing.assert_close(explain("grad_cam", network, features, relu=False), expected)


def test_grad_cam_of_waveforms_in_a_network_of_images_of_height_one():
    torch.manual_seed(0)
    network = create("model", "audionet", classes=3, samples=640).eval()
    features = normal(2, 1, 640).float()
    cam = LayerGradCam(network, network.convolutions[-3]).attribute(features, TARGET[:2]).detach()
    expected = functional.interpolate(cam[:, :, 0], 640, mode="linear")
    torch.testing.assert_close(explain("grad_cam", network, features, relu=False), expected)


class Broken(nn.Module):
    def __init__(self, modules):
        super().__init__()
        self.modules_used, self.unused = modules, nn.Conv1d(1, 1, 1)

    def forward(self, features):
        self.modules_used(features)
        raise KeyError("late")


def test_no_hooks_are_left_where_a_model_fails(modules, features):
    for name in ("grad_cam", "guided_backprop", "deep_lift"):
        with pytest.raises(KeyError):
            explain(name, Broken(modules), features, **({"layer": "modules_used.0"} if name == "grad_cam" else {}))
        assert not any(module._forward_hooks or module._backward_hooks for module in modules.modules())
    torch.testing.assert_close(functional.relu(torch.tensor([-1.0])), torch.tensor([0.0]))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv", "the model has no layer 'conv'; its convolutions are 0, 3"),
        ("8", "layer '8' gives no output .*the convolutions are 0, 3"),
    ],
)
def test_a_wrong_layer_is_answered_with_those_there_are(layer, message, modules, features):
    with pytest.raises(ModelError, match=message):
        explain("grad_cam", modules, features, layer=layer)


def test_a_model_that_grad_cam_cannot_explain_is_named(features):
    with pytest.raises(ModelError, match="needs a convolution, and Sequential has none"):
        explain("grad_cam", nn.Sequential(nn.Flatten(), nn.Linear(41, 3)).double(), features)
    unfolding = nn.Sequential(
        nn.Unflatten(2, (1, 41)), nn.ZeroPad2d((0, 0, 2, 0)), nn.Conv2d(1, 1, 2), nn.Flatten(), nn.Linear(80, 3)
    )
    with pytest.raises(ModelError, match=r"has the axes \(2, 40\), which cannot be laid over the features' \(41,\)"):
        explain("grad_cam", unfolding.double(), features)
