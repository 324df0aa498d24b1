"""AudioNet, against the published layers in their published order."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from xaudio import ModelError, PluginError, create

CHANNELS = (1, 100, 64, 128, 128, 128, 128)


def published(first_pool, samples=8000, classes=10):
    """Convolution, ReLU, pooling in one dimension, as in the published definition."""
    layers, length = [], samples
    for index, (inputs, outputs) in enumerate(pairwise(CHANNELS)):
        kernel = first_pool if index == 0 else 2
        layers += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool1d(kernel, 2, ceil_mode=True)]
        length = (length + 1) // 2 if (kernel == 2 or length % 2 == 0) else (length - 1) // 2
    layers += [nn.Flatten(), nn.Linear(128 * length, 1024), nn.Dropout(), nn.Linear(1024, 512), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(512, classes))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create("model", "audionet", classes=10)


@pytest.mark.slow
@pytest.mark.parametrize(("pool1", "kernel"), [("code", 3), ("paper", 2)])
def test_output_and_gradient_equal_the_published_order(pool1, kernel):
    torch.manual_seed(1)
    network = create("model", "audionet", classes=3, pool1=pool1, samples=804).double().eval()
    plain = published(kernel, 804, 3).double().eval()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        ours.data = 0.1 * torch.randn_like(ours)  # biases too
        theirs.data = ours.data.reshape(theirs.shape)
    features = torch.randn(2, 1, 804, dtype=torch.float64, requires_grad=True)
    ours, theirs = network(features), plain(features)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    weights = torch.randn_like(ours)
    ours = torch.autograd.grad((ours * weights).sum(), [features, *network.parameters()])
    theirs = torch.autograd.grad((theirs * weights).sum(), [features, *plain.parameters()])
    for gradient, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient.reshape(expected.shape), expected, rtol=1e-10, atol=1e-10)


def test_size_is_the_published_one(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 17_107_162
    lengths = []
    handles = [
        layer.register_forward_hook(lambda _, __, output: lengths.append(output.shape[-1]))
        for layer in network.modules()
        if isinstance(layer, nn.MaxPool2d)
    ]
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 8000)).shape == (1, 10)
    for handle in handles:
        handle.remove()
    assert lengths == [4000, 2000, 1000, 500, 250, 125]


@pytest.mark.slow
def test_starts_as_published_from_the_global_generator(network):
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert not layer.bias.any()
            assert layer.weight.std().item() == pytest.approx(0.1, rel=0.1)
    torch.manual_seed(0)
    again = create("model", "audionet", classes=10)
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), again.parameters(), strict=True))


def test_every_layer_is_used_once_and_not_in_place(network):
    relus = [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]
    assert len(relus) == 6
    assert not any(layer.inplace for layer in relus)
    dropouts = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]
    assert dropouts == [0.5, 0.5]


def test_names_its_representation_and_settings(network):
    assert network.representation == "waveform"
    assert dict(network.training_settings) == {
        "learning_rate": 1e-4,
        "momentum": 0.9,
        "batch_size": 100,
        "halve_every": 10_000,
        "clip_norm": None,
        "steps": 50_000,
    }
    assert network(create("representation", network.representation)(torch.rand(1, 8000))).shape == (1, 10)


def test_wrong_shape_and_options_are_named(network):
    for shape in ((2, 1, 7999), (2, 8000), (2, 2, 8000)):
        with pytest.raises(ModelError, match=r"expected waveforms \(batch, 1, 8000\)"):
            network(torch.zeros(shape))
    with pytest.raises(PluginError, match="two classes"):
        create("model", "audionet", classes=1)
    with pytest.raises(PluginError, match="64 samples"):
        create("model", "audionet", classes=2, samples=63)
