"""The gradient explainers, against autograd and by their defining properties."""

import pytest
import torch
from torch import nn

from xaudio import PluginError, create

EXPLAINERS = ["gradient", "input_x_gradient", "integrated_gradients"]


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = [nn.Conv1d(1, 4, 5), nn.MaxPool1d(2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 18, 6), nn.ReLU(), nn.Linear(6, 3)]
    return nn.Sequential(*layers).double().eval()


@pytest.fixture
def features():
    return torch.randn(5, 1, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


TARGET = torch.tensor([0, 2, 1, 2, 0])


def scores(network, features):
    return network(features).gather(1, TARGET[: len(features), None])[:, 0]


def autograd(network, features):
    features = features.clone().requires_grad_()
    return torch.autograd.grad(scores(network, features).sum(), features)[0]


def test_gradient_is_autograds(network, features):
    expected = autograd(network, features)
    torch.testing.assert_close(create("explainer", "gradient")(network, features, TARGET), expected)
    absolute = create("explainer", "gradient", absolute=True)(network, features, TARGET)
    torch.testing.assert_close(absolute, expected.abs())
    assert expected.min() < 0


def test_input_x_gradient_is_autograds(network, features):
    relevance = create("explainer", "input_x_gradient")(network, features, TARGET)
    torch.testing.assert_close(relevance, features * autograd(network, features))


@pytest.fixture
def smooth():
    """Without kinks along the way from 0, so that the quadrature converges fast."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3)).double().eval()


def test_integrated_gradients_are_complete(smooth, features):
    relevance = create("explainer", "integrated_gradients")(smooth, features, TARGET)
    difference = (scores(smooth, features) - scores(smooth, torch.zeros_like(features))).detach()
    torch.testing.assert_close(relevance.sum((1, 2)), difference, rtol=0, atol=1e-6)
    coarse = create("explainer", "integrated_gradients", steps=1)(smooth, features, TARGET)
    assert (coarse.sum((1, 2)) - difference).abs().max() > 1e-2


def test_integrated_gradients_are_the_textbooks(smooth, features):
    """Riemann sum of the gradient along the straight way from 0."""
    steps = 500
    shares = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    for recording, target, relevance in zip(
        features, TARGET, create("explainer", "integrated_gradients")(smooth, features, TARGET), strict=True
    ):
        way = (shares[:, None, None] * recording).requires_grad_()
        gradients = torch.autograd.grad(smooth(way)[:, target].sum(), way)[0]
        torch.testing.assert_close(relevance, recording * gradients.mean(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_linear_model_is_explained_exactly(name, features):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(40, 3)).double()
    weights = linear[1].weight[TARGET].reshape(features.shape).detach()
    expected = weights if name == "gradient" else weights * features
    torch.testing.assert_close(create("explainer", name)(linear, features, TARGET), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("internal", [1, 7, None])
def test_the_internal_batch_does_not_change_integrated_gradients(network, features, internal, recwarn):
    expected = create("explainer", "integrated_gradients", steps=9)(network, features, TARGET)
    other = create("explainer", "integrated_gradients", steps=9, internal_batch_size=internal)(network, features, TARGET)
    torch.testing.assert_close(other, expected, rtol=1e-6, atol=1e-9)
    assert not recwarn.list


@pytest.mark.parametrize("name", EXPLAINERS)
def test_each_recording_is_explained_for_itself(name, network, features):
    explainer = create("explainer", name)
    alone = torch.cat([explainer(network, features[i : i + 1], TARGET[i : i + 1]) for i in range(len(features))])
    torch.testing.assert_close(explainer(network, features, TARGET), alone, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_leaves_model_and_features_as_they_were(name, network, features):
    network[0].weight.requires_grad_(False)
    before = features.clone()
    with torch.no_grad():
        relevance = create("explainer", name)(network, features, TARGET)
    assert relevance.shape == features.shape
    assert not relevance.requires_grad
    assert torch.equal(features, before)
    assert not features.requires_grad
    assert features.grad is None
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, True, True, True, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_impossible_options_are_named():
    with pytest.raises(PluginError, match="steps must be at least 1"):
        create("explainer", "integrated_gradients", steps=0)
    with pytest.raises(PluginError, match="internal_batch_size"):
        create("explainer", "integrated_gradients", internal_batch_size=0)
