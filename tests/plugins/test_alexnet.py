"""AlexNet, against the published layers in their published order."""

import pytest
import torch
from torch import nn

from xaudio import ModelError, PluginError, create


def published(classes):
    """Convolution, ReLU, pooling, as in the published definition."""
    return nn.Sequential(
        *(nn.Conv2d(1, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Flatten(), nn.Linear(9216, 1024), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(), nn.Linear(1024, classes)),
    )


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create("model", "alexnet", classes=10)


@pytest.mark.slow
def test_output_and_gradient_equal_the_published_order():
    torch.manual_seed(1)
    network = create("model", "alexnet", classes=3).double().eval()
    plain = published(3).double().eval()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        fan_in = ours[0].numel()
        ours.data = torch.randn_like(ours) * (2 / fan_in) ** 0.5 if ours.ndim > 1 else 0.1 * torch.randn_like(ours)
        theirs.data.copy_(ours.data)
    features = torch.randn(1, 1, 227, 227, dtype=torch.float64, requires_grad=True)
    ours, theirs = network(features), plain(features)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    weights = torch.randn_like(ours)
    ours = torch.autograd.grad((ours * weights).sum(), [features, *network.parameters()])
    theirs = torch.autograd.grad((theirs * weights).sum(), [features, *plain.parameters()])
    for gradient, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)


def test_size_is_the_published_one(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 12_808_906
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 227, 227)).shape == (1, 10)


@pytest.mark.slow
def test_starts_as_published_from_the_global_generator(network):
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    deviations = [0.01, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01]
    assert [layer.weight.std().item() for layer in layers] == pytest.approx(deviations, rel=0.03)
    assert [layer.bias.unique().item() for layer in layers] == pytest.approx([0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0])
    torch.manual_seed(0)
    again = create("model", "alexnet", classes=10)
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), again.parameters(), strict=True))


def test_every_layer_is_used_once_and_not_in_place(network):
    relus = [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]
    assert len(relus) == 7
    assert not any(layer.inplace for layer in relus)


def test_names_its_representation_and_settings(network):
    assert network.representation == "spectrogram"
    assert dict(network.training_settings) == {
        "learning_rate": 1e-3,
        "momentum": 0.9,
        "batch_size": 100,
        "halve_every": 2_500,
        "clip_norm": 5.0,
        "steps": 10_000,
        "subtract_mean": True,
    }
    assert network(create("representation", network.representation)(torch.rand(1, 8000))).shape == (1, 10)


def test_wrong_shape_and_options_are_named(network):
    for shape in ((2, 1, 228, 230), (2, 227, 227), (2, 3, 227, 227)):
        with pytest.raises(ModelError, match=r"expected spectrograms \(batch, 1, 227, 227\)"):
            network(torch.zeros(shape))
    with pytest.raises(PluginError, match="two classes"):
        create("model", "alexnet", classes=1)
