"""Layer-wise relevance propagation, against a slow textbook version of every rule."""

import sys
from importlib import import_module, util

import numpy as np
import pytest
import torch
from textbook import COMPOSITES, EPSILON, HIGH, LOW, textbook
from torch import nn
from torch.nn import functional

from xaudio import ModelError, PluginError, create

INPUT_MULTIPLICATIVE = [name for name, rules in COMPOSITES.items() if rules[2] is None]


def options_of(composite, **others):
    box = {"low": LOW, "high": HIGH} if composite.endswith("box") else {}
    return {"composite": composite, **box, **others}


def network_1d(bias=True, seed=0):
    torch.manual_seed(seed)
    layers = [
        *(nn.Conv1d(1, 4, 3, padding=1, bias=bias), nn.MaxPool1d(3, 2, ceil_mode=True), nn.ReLU()),
        *(nn.Conv1d(4, 5, 3, padding=1, bias=bias), nn.MaxPool1d(2, 2, ceil_mode=True), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(30, 8, bias=bias), nn.Dropout(), nn.Linear(8, 3, bias=bias)),
    ]
    return nn.Sequential(*layers).double().eval(), torch.randn(3, 1, 24, dtype=torch.float64)


def network_2d(bias=True, seed=0):
    torch.manual_seed(seed)
    layers = [
        *(nn.Conv2d(1, 4, 3, stride=2, bias=bias), nn.ReLU(), nn.MaxPool2d(2, 1)),
        *(nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=bias), nn.MaxPool2d(2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(36, 8, bias=bias), nn.ReLU(), nn.Linear(8, 3, bias=bias)),
    ]
    return nn.Sequential(*layers).double().eval(), torch.randn(3, 1, 11, 11, dtype=torch.float64)


TARGET = torch.tensor([2, 0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("make", [network_1d, network_2d])
@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_equals_the_textbook(make, composite, bias, engine):
    network, features = make(bias)
    relevance = create("explainer", "lrp", engine=engine, **options_of(composite))(network, features, TARGET)
    assert relevance.shape == features.shape
    for recording, target, result in zip(features[:2], TARGET, relevance, strict=False):
        expected = textbook(list(network), composite, recording, target)
        np.testing.assert_allclose(result, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("composite", INPUT_MULTIPLICATIVE)
@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_ignored_biases_get_no_share(composite, engine):
    network, features = network_1d()
    relevance = create("explainer", "lrp", composite=composite, bias="ignore", engine=engine)(network, features, TARGET)
    expected = textbook(list(network), composite, features[0], TARGET[0], absorb=False)
    np.testing.assert_allclose(relevance[0], expected, rtol=1e-6, atol=1e-8)
    if composite in ("epsilon", "epsilon_plus"):
        assert relevance[0].sum().item() == pytest.approx(network(features)[0, TARGET[0]].item(), rel=1e-3)


@pytest.mark.parametrize("make", [network_1d, network_2d])
@pytest.mark.parametrize("composite", ["epsilon", "gamma", "epsilon_plus", "epsilon_gamma"])
def test_without_biases_the_relevance_sums_to_the_logit(make, composite):
    network, features = make(bias=False)
    relevance = create("explainer", "lrp", composite=composite, epsilon=1e-9)(network, features, TARGET)
    logits = network(features).gather(1, TARGET[:, None])[:, 0].detach()
    torch.testing.assert_close(relevance.flatten(1).sum(1), logits, rtol=1e-4, atol=1e-5)


def lively(name, **options):
    """A network of real size with biases, whose activations neither vanish nor grow from layer to layer."""
    torch.manual_seed(0)
    network = create("model", name, classes=4, **options).double().eval()
    for parameter in network.parameters():
        fan_in = parameter[0].numel()
        deviation = (2 / fan_in) ** 0.5 if parameter.ndim > 1 else 0.1
        nn.init.normal_(parameter, std=deviation)
    shape = {"audionet": (1, 8000), "alexnet": (1, 227, 227)}[name]
    return network, torch.randn(1, *shape, dtype=torch.float64), torch.tensor([3])


def epsilon_plus(network, features, target):
    """The composite once more, with a transposed convolution for each convolution."""
    layers = [*network.convolutions, *network.classifier]
    activations = [features]
    with torch.no_grad():
        for layer in layers:
            activations.append(layer(activations[-1]))
        relevance = functional.one_hot(target, activations[-1].shape[1]) * activations[-1]
        for layer, inputs, outputs in reversed(list(zip(layers, activations[:-1], activations[1:], strict=True))):
            if isinstance(layer, nn.Linear):
                share = relevance / (outputs + EPSILON * torch.where(outputs >= 0, 1.0, -1.0))
                relevance = inputs * (share @ layer.weight)
            elif isinstance(layer, nn.Conv2d):
                how = (layer.stride, layer.padding, layer.dilation, layer.groups)
                pairs = [(inputs.clamp(min=0), layer.weight.clamp(min=0)), (inputs.clamp(max=0), layer.weight.clamp(max=0))]
                positive = sum(functional.conv2d(part, weight, None, *how) for part, weight in pairs)
                share = relevance / (positive + layer.bias.clamp(min=0)[:, None, None] + EPSILON)
                back = [torch.nn.grad.conv2d_input(part.shape, weight, share, *how) for part, weight in pairs]
                relevance = sum(part * gradient for (part, _), gradient in zip(pairs, back, strict=True))
            elif isinstance(layer, nn.MaxPool2d):
                how = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
                winners = functional.max_pool2d(inputs, *how, return_indices=True)[1]
                empty = torch.zeros_like(inputs).flatten(2)
                relevance = empty.scatter_add(2, winners.flatten(2), relevance.flatten(2)).reshape(inputs.shape)
            else:
                relevance = relevance.reshape(inputs.shape)
    return relevance


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["audionet", "alexnet"])
def test_real_size(name):
    network, features, target = lively(name)
    relevance = create("explainer", "lrp")(network, features, target)
    expected = epsilon_plus(network, features[:, :, None] if name == "audionet" else features, target)
    scale = expected.abs().max().item()
    torch.testing.assert_close(relevance, expected.reshape(relevance.shape), rtol=0, atol=1e-9 * scale)

    single = create("explainer", "lrp")(network.float(), features.float(), target)
    assert (single - relevance).abs().max() < 1e-3 * scale

    # With epsilon -> 0 the epsilon rule of a network of ReLUs is the input times the gradient.
    relevance = create("explainer", "lrp", composite="epsilon", epsilon=1e-12)(network.double(), features, target)
    expected = create("explainer", "input_x_gradient")(network, features, target)
    torch.testing.assert_close(relevance, expected, rtol=0, atol=1e-6 * expected.abs().max().item())


@pytest.fixture(scope="module")
def padded():
    """A network for waveforms with biases, and recordings within zeros."""
    torch.manual_seed(0)
    network = create("model", "audionet", classes=4, samples=128).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    features = torch.zeros(3, 1, 128)
    features[:, :, 30:90] = torch.randn(3, 1, 60)
    return network, features


@pytest.mark.parametrize("composite", COMPOSITES)
def test_padding_gets_no_relevance_where_the_first_rule_multiplies_by_the_input(padded, composite):
    network, features = padded
    relevance = create("explainer", "lrp", **options_of(composite))(network, features, TARGET)
    on_padding = relevance[features == 0].abs().max().item()
    assert relevance[features != 0].abs().max() > 0
    assert on_padding == 0 if composite in INPUT_MULTIPLICATIVE else on_padding > 0


@pytest.mark.slow
@pytest.mark.parametrize("composite", COMPOSITES)
def test_each_recording_is_explained_for_itself_and_the_same_each_time(padded, composite):
    network, features = padded
    network = network.double()
    features = features.double()
    explainer = create("explainer", "lrp", **options_of(composite))
    together = explainer(network, features, TARGET)
    alone = torch.cat([explainer(network, features[i : i + 1], TARGET[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-7, atol=1e-9 * together.abs().max().item())
    assert torch.equal(together, explainer(network, features, TARGET))
    network.float()


def with_batch_normalisation():
    torch.manual_seed(0)
    layers = [nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(44, 3)]
    network = nn.Sequential(*layers).double().eval()
    for tensor in (network[1].weight, network[1].bias, network[1].running_mean, network[1].running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    return network, torch.randn(3, 1, 24, dtype=torch.float64)


@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_batch_normalisation_is_merged_into_the_layer_before(engine):
    network, features = with_batch_normalisation()
    merged = nn.utils.fusion.fuse_conv_bn_eval(network[0], network[1])
    expected = textbook([merged, *network[2:]], "epsilon_plus", features[0], TARGET[0])
    relevance = create("explainer", "lrp", engine=engine)(network, features, TARGET)
    # zennit leaves the layer's epsilon (1e-5) in the normalisation that it makes an identity.
    np.testing.assert_allclose(relevance[0], expected, rtol=2e-5, atol=1e-10)


def snapshot(network):
    hooks = [
        (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks), module.training)
        for module in network.modules()
    ]
    parameters = [
        (name, id(parameter), parameter.requires_grad, parameter.grad) for name, parameter in network.named_parameters()
    ]
    return hooks, parameters


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_leaves_model_and_features_as_they_were(grad, engine):
    network, features = with_batch_normalisation()
    network[0].bias.requires_grad_(False)
    before, state = snapshot(network), {name: tensor.clone() for name, tensor in network.state_dict().items()}
    original = features.clone()
    with torch.set_grad_enabled(grad):
        relevance = create("explainer", "lrp", engine=engine)(network, features, TARGET)
    assert not relevance.requires_grad
    assert snapshot(network) == before
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(features, original)
    assert not features.requires_grad


@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_leaves_the_model_as_it_was_when_it_fails(engine):
    network, features = with_batch_normalisation()
    before, state = snapshot(network), {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(RuntimeError if engine == "fast" else ModelError, match="cannot be multiplied"):
        create("explainer", "lrp", engine=engine)(network, features[..., :-4], TARGET)
    assert snapshot(network) == before
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_a_model_without_layers_is_refused():
    with pytest.raises(ModelError, match="Flatten has none"):
        create("explainer", "lrp", engine="zennit")(nn.Flatten(), torch.randn(1, 1, 9), torch.tensor([0]))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epsilon": 0.0}, "^0.0 does not fit option 'epsilon' .*: expected float, above 0"),
        ({"gamma": -1.0, "composite": "gamma"}, "^-1.0 does not fit option 'gamma' .*: expected float, 0 or more"),
        ({"gamma": 0.5}, "has no gamma rule"),
        ({"low": 0.0}, "has no z-box rule"),
        ({"composite": "epsilon_gamma_box"}, "needs low and high"),
        ({"composite": "epsilon_gamma_box", "low": 1.0, "high": 2.0}, "0 between"),
        ({"composite": "no_such"}, "no_such"),
    ],
)
def test_options_that_cannot_be_used_are_named(options, named):
    with pytest.raises(PluginError, match=named):
        create("explainer", "lrp", **options)


@pytest.fixture
def without_zennit():
    """As if neither zennit nor torchvision had been imported; what a test imports is forgotten again."""
    names = ("zennit", "torchvision")
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}
    for name in kept:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        del sys.modules[name]
    sys.modules.update(kept)


TORCHVISIONS = {
    "broken": "from torchvision import models\nraise RuntimeError('operator torchvision::nms does not exist')",
    "missing": "raise ModuleNotFoundError('No module named torchvision')",
    "working": "",
}


@pytest.mark.parametrize("torchvision", TORCHVISIONS)
def test_zennit_is_imported_beside_any_torchvision(torchvision, without_zennit, tmp_path, monkeypatch):
    models = tmp_path / "torchvision" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text(TORCHVISIONS[torchvision])
    (models / "__init__.py").write_text("")
    (models / "resnet.py").write_text("class BasicBlock: pass\nclass Bottleneck: pass")
    (models.parent / "ops.py").write_text("class FrozenBatchNorm2d: pass")
    monkeypatch.syspath_prepend(tmp_path)
    specification = util.find_spec("xaudio_lrp._zennit")
    guard = util.module_from_spec(specification)
    specification.loader.exec_module(guard)
    assert guard.ZPlus is sys.modules["zennit.rules"].ZPlus
    block = sys.modules["zennit.torchvision"].ResNetBasicBlock
    if torchvision == "working":
        assert block is sys.modules["torchvision.models.resnet"].BasicBlock
    else:
        assert not [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
        with pytest.raises((RuntimeError, ModuleNotFoundError)):  # its own error, not our stand-in
            import_module("torchvision")


@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_a_batch_normalisation_by_the_batch_is_refused(engine):
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    network = nn.Sequential(nn.Conv1d(1, 4, 5), norm, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2)).eval()
    features, target = torch.randn(3, 1, 20), torch.tensor([0, 1, 0])
    with pytest.raises(ModelError, match="batch normalisation '1' has no running statistics"):
        create("explainer", "lrp", engine=engine)(network, features, target)


class Strange(nn.Module):
    """Models that zennit's hooks cannot follow, or only with care."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.conv, self.relu, self.head = kind, nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Linear(64, 2)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True) if kind == "attention" else nn.Identity()

    def forward(self, features):
        if self.kind == "in place":
            features -= 0.1
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.kind != "no_grad"):
            hidden = self.relu(self.conv(features if self.kind != "plain" else features - 0.1))
        if self.kind == "attention":
            hidden = self.attention(hidden, hidden, hidden)[0]
        return self.head(hidden.flatten(1))


def test_a_model_that_begins_in_place_is_explained_as_one_that_does_not():
    features, target = torch.randn(3, 1, 20), torch.tensor([0, 1, 0])
    method = create("explainer", "lrp", engine="zennit")
    found = method(Strange("in place").eval(), features.clone(), target)
    torch.testing.assert_close(found, method(Strange("plain").eval(), features, target))


@pytest.mark.parametrize("kind", ["no_grad", "attention"])
def test_a_model_that_cannot_be_followed_is_named(kind):
    with pytest.raises(ModelError, match="lrp cannot follow Strange .* Use integrated_gradients"):
        create("explainer", "lrp", engine="zennit")(Strange(kind).eval(), torch.randn(3, 1, 20), torch.tensor([0, 1, 0]))


@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_no_more_recordings_are_computed_at_once_than_wanted(engine, monkeypatch):
    network = nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)).eval()
    features, target = torch.randn(7, 1, 20), torch.zeros(7, dtype=torch.int64)
    expected = create("explainer", "lrp", engine=engine)(network, features, target)
    method, seen = create("explainer", "lrp", engine=engine, internal_batch_size=3), []
    method(network, features[:1], target[:1])
    linear = functional.linear
    monkeypatch.setattr(functional, "linear", lambda values, *rest: seen.append(len(values)) or linear(values, *rest))
    torch.testing.assert_close(method(network, features, target), expected)
    assert max(seen) == 3


@pytest.mark.parametrize(
    "options", [{"epsilon": np.inf}, {"epsilon": np.nan}, {"composite": "gamma", "gamma": np.nan}, {"internal_batch_size": 0}]
)
def test_numbers_that_mean_nothing_are_named(options):
    with pytest.raises(
        PluginError,
        match=r"option '\w+' of explainer 'lrp': expected (float, .*, finite|int .*, 1 or more)\.$",
    ):
        create("explainer", "lrp", **options)
