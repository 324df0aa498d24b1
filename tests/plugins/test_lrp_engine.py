"""The fast engine of layer-wise relevance propagation, held against zennit and against what it must notice."""

import gc
import weakref

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from sweeps import sweep
from torch import nn
from torch.nn import functional

from xaudio import ModelError, PluginError, create
from xaudio_lrp import _cache, _plan
from xaudio_lrp._pooling import IndexPool, PairPool, Windows, max_pool

COMPOSITES = [
    *("epsilon", "gamma", "epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma"),
    *("epsilon_plus_flat", "epsilon_alpha2_beta1_flat", "epsilon_gamma_box"),
]
MAIN = ["epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma"]


def explain(network, features, target, engine, composite="epsilon_plus", **options):
    box = {"low": -4.0, "high": 3.0} if composite.endswith("box") else {}
    return create("explainer", "lrp", engine=engine, composite=composite, **box, **options)(network, features, target)


def assert_equal(found, expected, tolerance):
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


# Random networks


def draw_settings(draw, axes, channels, size):
    """A convolution that fits, with every setting it has."""
    layer = nn.Conv1d if axes == 1 else nn.Conv2d
    groups = draw(st.sampled_from([1, channels])) if channels > 1 else 1
    outputs = groups * draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, min(4, length))) for length in size)
    bias = draw(st.booleans())
    if draw(st.booleans()):
        dilation = draw(st.integers(1, 2))
        return layer(channels, outputs, kernel, padding="same", dilation=dilation, groups=groups, bias=bias)
    stride, padding = draw(st.integers(1, 2)), tuple(draw(st.integers(0, length - 1)) for length in kernel)
    return layer(channels, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=bias)


def draw_pool(draw, axes, size, exact):
    kernel = min(draw(st.integers(2, 3)), *size)
    kind = "max" if exact else draw(st.sampled_from(["max", "max", "max", "average", "adaptive"]))
    if kind == "adaptive":
        return (nn.AdaptiveAvgPool1d if axes == 1 else nn.AdaptiveAvgPool2d)(draw(st.integers(1, 3)))
    stride, padding, ceil = draw(st.integers(1, 3)), draw(st.integers(0, kernel // 2)), draw(st.booleans())
    if kind == "average":
        return (nn.AvgPool1d if axes == 1 else nn.AvgPool2d)(kernel, stride, padding, ceil, draw(st.booleans()))
    return (nn.MaxPool1d if axes == 1 else nn.MaxPool2d)(kernel, stride, padding, ceil_mode=ceil)


@st.composite
def networks(draw):
    """A network and features, half of them of multiples of 1/4 alone: then sums are exact and equal maxima stay equal.

    (Where values are rounded, a tie is broken by the order of summation, which is another in each implementation.)
    """
    exact = draw(st.booleans())
    axes = draw(st.sampled_from([1, 2]))
    shape = (draw(st.integers(1, 2)), *([draw(st.integers(12, 20))] if axes == 1 else [draw(st.integers(5, 9))] * 2))
    torch.manual_seed(draw(st.integers(0, 10_000)))
    features = torch.randn(3, *shape, dtype=torch.float64)
    features[..., : draw(st.integers(0, 6))] = 0
    layers, values = [], features

    def add(layer):
        nonlocal values
        layers.append(layer.double().eval())
        with torch.no_grad():
            values = layer(values)

    for _ in range(draw(st.integers(1, 3))):
        add(draw_settings(draw, axes, values.shape[1], values.shape[2:]))
        if not exact and draw(st.integers(0, 3)) == 0:
            add((nn.BatchNorm1d if axes == 1 else nn.BatchNorm2d)(values.shape[1]))
            for name in ("weight", "bias", "running_mean", "running_var"):
                nn.init.uniform_(getattr(layers[-1], name), 0.5, 2)
        behind = draw(st.sampled_from(["relu pool", "pool relu", "pool relu", "relu", "pool", "tanh", "relu pool tanh", ""]))
        for name in behind.split():
            if name == "pool":
                add(draw_pool(draw, axes, values.shape[2:], exact))
            else:
                add(nn.ReLU() if name == "relu" or exact else nn.Tanh())
    add(nn.Flatten())
    if draw(st.booleans()):
        add(nn.Linear(values.shape[1], 5, bias=draw(st.booleans())))
        add(draw(st.sampled_from([nn.ReLU(inplace=True), nn.Dropout(), nn.Tanh(), nn.Identity()])))
    add(nn.Linear(values.shape[1], 3))
    network = nn.Sequential(*layers).eval()
    if exact:
        features = (features * 4).round() / 4
        for parameter in network.parameters():
            parameter.data = (parameter.data * 4).round() / 4
    return network, features


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    case=networks(),
    composite=st.sampled_from(COMPOSITES),
    bias=st.sampled_from(["absorb", "absorb", "ignore"]),
    epsilon=st.sampled_from([1e-3, 0.1]),
)
def test_equals_zennit_on_random_networks(case, composite, bias, epsilon):
    network, features = case
    target = torch.tensor([2, 0, 1])
    expected = explain(network, features, target, "zennit", composite, bias=bias, epsilon=epsilon)
    found = explain(network, features, target, "fast", composite, bias=bias, epsilon=epsilon)
    assert_equal(found, expected, 1e-10)


# The two models


@pytest.fixture(scope="module", params=sweep(["audionet", "alexnet"], quick=["audionet"]))
def model(request):
    torch.manual_seed(0)
    network = create("model", request.param, classes=4).eval()
    shape = {"audionet": (1, 8000), "alexnet": (1, 227, 227)}[request.param]
    features = torch.randn(2, *shape)
    features[..., :50] = 0
    return network, features, torch.tensor([3, 1])


@pytest.mark.slow
@pytest.mark.parametrize("composite", MAIN)
def test_equals_zennit_on_the_models_in_single_precision(model, composite):
    assert_equal(explain(*model, "fast", composite), explain(*model, "zennit", composite), 1e-5)


@pytest.mark.slow
def test_equals_zennit_on_the_models_in_double_precision(model):
    network, features, target = model
    case = (network.double(), features[:1].double(), target[:1])
    assert_equal(explain(*case, "fast"), explain(*case, "zennit"), 1e-10)
    network.float()


# A small network, in pieces


def small(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    layers = [
        *(nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2)),
        *(nn.Conv1d(4, 3, 3), nn.MaxPool1d(3, 2, ceil_mode=True), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(15, 6), nn.ReLU(), nn.Linear(6, 3)),
    ]
    return nn.Sequential(*layers).to(dtype).eval()


FEATURES = torch.randn(7, 1, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
TARGET = torch.tensor([0, 2, 1, 1, 0, 2, 2])


@pytest.mark.parametrize("composite", COMPOSITES)
def test_chunks_and_pieces_change_nothing(composite, monkeypatch):
    network = small()
    together = explain(network, FEATURES, TARGET, "fast", composite)
    monkeypatch.setattr(_plan, "CHUNK", 5)
    monkeypatch.setattr(_plan, "CELLS", 2 * 4 * 24)  # two recordings of the largest layer
    in_pieces = explain(network, FEATURES, TARGET, "fast", composite)
    torch.testing.assert_close(in_pieces, together, rtol=1e-11, atol=1e-13)
    alone = torch.cat([explain(network, FEATURES[i : i + 1], TARGET[i : i + 1], "fast", composite) for i in range(7)])
    torch.testing.assert_close(alone, together, rtol=1e-11, atol=1e-13)
    assert torch.equal(in_pieces, explain(network, FEATURES, TARGET, "fast", composite))


def test_leaves_features_as_they_are():
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(24, 3)).double().eval()
    features = FEATURES.clone()
    assert_equal(explain(network, features, TARGET, "fast"), explain(network, FEATURES, TARGET, "zennit"), 1e-10)
    assert torch.equal(features, FEATURES)


class Reshaping(nn.Module):
    """Looks at shapes and changes them, as real models do."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, (1, 3))
        self.relu = nn.ReLU()
        self.out = nn.Linear(66, 3)

    def forward(self, features):
        if features.ndim != 3 or features.size(1) != 1 or len(features) < 1:
            raise ValueError("expected (batch, 1, samples)")
        maps = self.relu(self.convolution(features[:, :, None]))
        return self.out(maps.squeeze(2).flatten(1).view(features.shape[0], -1))


def test_changes_of_shape_between_layers():
    torch.manual_seed(0)
    network = Reshaping().double().eval()
    assert_equal(explain(network, FEATURES, TARGET, "fast"), explain(network, FEATURES, TARGET, "zennit"), 1e-10)
    with pytest.raises(ValueError, match="expected \\(batch"):  # the model's own words
        explain(network, FEATURES[:, 0], TARGET, "fast")


# What it does not know


class Custom(nn.Module):
    """Layers, and a forward that uses them in some way of its own."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.way = [forward]
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, features):
        return self.way[0](self, features)


def body(**others):
    return {"conv": nn.Conv1d(1, 2, 3, padding=1), "relu": nn.ReLU(), "flatten": nn.Flatten(), "out": nn.Linear(48, 3)} | others


def with_hook():
    network = small()
    network[0].register_forward_hook(lambda module, inputs, output: None)
    return network


def in_place(self, features):
    hidden = self.conv(features)
    torch.relu_(hidden)
    return self.out(self.flatten(hidden))


def branching(self, features):
    hidden = self.conv(features)
    return self.out(self.flatten(self.relu(hidden) if hidden.mean() > 0 else hidden))


class Own(nn.Identity):
    """A layer that the fast engine does not know."""


UNKNOWN = {
    "functional": (
        lambda: Custom(lambda m, x: m.out(m.flatten(functional.relu(m.conv(x)))), **body()),
        "'relu' after layer 'conv'",
    ),
    "functional in place": (lambda: Custom(in_place, **body()), "'relu_' after layer 'conv'"),
    "residual": (lambda: Custom(lambda m, x: m.out(m.flatten(m.conv(x) + x)), **body()), "'add' after layer 'conv'"),
    "skipped": (
        lambda: Custom(lambda m, x: (m.conv(x), m.out(m.flatten(torch.cat([x, x], 1))))[1], **body()),
        "'cat' after layer",
    ),
    "another input": (
        lambda: Custom(lambda m, x: (m.relu(x), m.out(m.flatten(m.conv(x))))[1], **body()),
        "'conv' reads something",
    ),
    "used twice": (lambda: Custom(lambda m, x: m.out(m.flatten(m.relu(m.conv(m.relu(x))))), **body()), "'relu' is used twice"),
    "permuted": (
        lambda: Custom(lambda m, x: m.out(m.flatten(m.conv(x).transpose(1, 2))), **body()),
        "'transpose' after layer 'conv'",
    ),
    "reordered": (
        lambda: Custom(lambda m, x: m.out(m.flatten(m.conv(x)[:, [1, 0]])), **body()),
        "'__getitem__' after layer 'conv'",
    ),
    "decides on values": (lambda: Custom(branching, **body()), "'mean' after layer 'conv'"),
    "scaled answer": (lambda: Custom(lambda m, x: m.out(m.flatten(m.conv(x))) * 2, **body()), "'mul' after layer 'out'"),
    "order": (
        lambda: Custom(lambda m, x: m.out(m.flatten(m.conv(x))), **dict(reversed(body().items()))),
        "order in which they are registered",
    ),
    "not run": (lambda: Custom(lambda m, x: m.out(m.flatten(m.conv(x))), **body(other=nn.Linear(2, 2))), "'other' is registered"),
    "hook": (with_hook, "'0' has hooks"),
    "softmax": (lambda: nn.Sequential(small(), nn.Softmax(1)), "'1' is a Softmax"),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose1d(1, 1, 1), nn.Flatten(), nn.Linear(24, 3)),
        "'0' is a ConvTranspose1d",
    ),
    "recurrent": (
        lambda: Custom(lambda m, x: m.out(m.gru(x)[0][:, 0]), gru=nn.GRU(24, 4, batch_first=True), out=nn.Linear(4, 3)),
        "'gru', a GRU",
    ),
    "padding": (
        lambda: nn.Sequential(nn.Conv1d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(48, 3)),
        "'0' pads by 'circular'",
    ),
    "three dimensions": (lambda: nn.Sequential(nn.Linear(24, 5), nn.Flatten(), nn.Linear(5, 3)), "'0' reads 2 dimensions"),
    "subclass": (lambda: nn.Sequential(type("Own", (nn.Conv1d,), {})(1, 2, 3), nn.Flatten(), nn.Linear(44, 3)), "'0' is a Own"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_it_does_not_know_is_named_and_left_to_the_functions(name):
    make, reason = UNKNOWN[name]
    torch.manual_seed(0)
    network = make().double().eval()
    with pytest.raises(ModelError) as caught:
        explain(network, FEATURES, TARGET, "fast")
    message = str(caught.value)
    assert reason in message
    assert message.endswith("; engine=functions follows any computation.")
    assert "\n" not in message
    with torch.random.fork_rng():
        torch.manual_seed(1)
        expected = explain(network, FEATURES, TARGET, "functions")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        assert torch.equal(explain(network, FEATURES, TARGET, "auto"), expected)


def test_half_precision_is_not_for_the_fast_engine():
    with pytest.raises(ModelError, match=r"torch.bfloat16; expected float32 or float64; engine=functions"):
        explain(small(dtype=torch.bfloat16), FEATURES.bfloat16(), TARGET, "fast")


def test_no_rule_no_relevance():
    with pytest.raises(ModelError, match="Flatten has none"):
        explain(nn.Flatten(), FEATURES, TARGET, "fast")


def test_an_unknown_engine_is_named():
    with pytest.raises(PluginError, match="engine"):
        create("explainer", "lrp", engine="quick")


# The cache of plans


@pytest.fixture
def recorded(monkeypatch):
    """How often a model was run to see its layers."""
    calls = []
    record = _cache.record_chain
    monkeypatch.setattr(_cache, "record_chain", lambda *arguments: (calls.append(1), record(*arguments))[1])
    return calls


def test_a_plan_is_made_once(recorded, monkeypatch):
    network = small()
    first = explain(network, FEATURES, TARGET, "fast")
    monkeypatch.setattr(nn.Sequential, "forward", None)  # the model itself is needed no more
    assert torch.equal(explain(network, FEATURES, TARGET, "fast"), first)
    assert torch.allclose(explain(network, FEATURES[:3], TARGET[:3], "auto"), first[:3], rtol=1e-12, atol=1e-15)
    assert len(recorded) == 1


def test_why_there_is_no_plan_is_found_once(recorded):
    network = nn.Sequential(small(), Own()).eval()
    for _ in range(3):
        explain(network, FEATURES, TARGET, "auto")
    assert len(recorded) == 1


def step(network):
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    network(FEATURES).sum().backward()
    optimiser.step()


def replace(network):
    network[4] = nn.Conv1d(4, 3, 3).double().eval()


def swap_tensor(network):
    network[8].weight.data = torch.randn_like(network[8].weight)


def new_parameter(network):
    network[8].weight = nn.Parameter(torch.randn_like(network[8].weight))


def no_bias(network):
    network[8].bias = None


CHANGES = {
    "a step of training": step,
    "data of a convolution": lambda network: network[0].weight.data.mul_(-1.5),
    "one value of data": lambda network: network[4].weight.data[0, 0, 0].add_(2.0),
    "data of a bias": lambda network: network[4].bias.data.add_(1.0),
    "data of a linear layer": lambda network: network[8].weight.data.mul_(-1.5),
    "another tensor as data": swap_tensor,
    "another parameter": new_parameter,
    "a parameter gone": no_bias,
    "state dictionary": lambda network: network.load_state_dict(small(seed=5).state_dict()),
    "running mean": lambda network: network[1].running_mean.add_(1.0),
    "another layer": replace,
    "another activation": lambda network: network.__setitem__(2, nn.Tanh()),
    "a setting": lambda network: setattr(network[1], "eps", 0.5),
}


@pytest.mark.parametrize("composite", ["epsilon_plus", "gamma"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_gets_another_plan(change, composite, recorded):
    network = small()
    before = explain(network, FEATURES, TARGET, "auto", composite)
    CHANGES[change](network)
    after = explain(network, FEATURES, TARGET, "auto", composite)
    assert not torch.allclose(after, before)
    assert_equal(after, explain(network, FEATURES, TARGET, "zennit", composite), 1e-10)


def test_a_hook_that_changes_a_layer_is_noticed():
    network = small()
    explain(network, FEATURES, TARGET, "auto")
    network[0].register_forward_hook(lambda module, inputs, output: output * 2)
    with pytest.raises(ModelError, match="layer '0' .* also computes mul"):
        explain(network, FEATURES, TARGET, "zennit")
    assert torch.equal(explain(network, FEATURES, TARGET, "auto"), explain(network, FEATURES, TARGET, "functions"))


@pytest.mark.parametrize("engine", ["fast", "zennit"])
def test_a_model_in_training_mode_is_explained_as_in_evaluation_mode(engine):
    network = small()
    expected, mean = explain(network, FEATURES, TARGET, engine), network[1].running_mean.clone()
    network.train()
    assert torch.equal(explain(network, FEATURES, TARGET, engine), expected)
    assert torch.equal(network[1].running_mean, mean)
    assert all(module.training for module in network.modules())


def test_shapes_and_precisions_have_their_own_plans():
    network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(8, 3)).double().eval()
    for features in (FEATURES, FEATURES[..., :15], FEATURES):
        assert_equal(explain(network, features, TARGET, "fast"), explain(network, features, TARGET, "zennit"), 1e-10)
    network.float()
    single = explain(network, FEATURES.float(), TARGET, "fast")
    assert_equal(single, explain(network, FEATURES.float(), TARGET, "zennit"), 1e-5)


@pytest.mark.parametrize("make", [small, lambda: nn.Sequential(small(), Own()).eval()])
def test_a_plan_dies_with_its_model_and_its_weights(make):
    network = make()
    for composite in COMPOSITES:
        explain(network, FEATURES, TARGET, "auto", composite)
    assert len(_cache._entries[network]) == _cache.PLANS
    with pytest.raises(ModelError):
        explain(nn.Sequential(network, nn.Softmax(1)).eval(), FEATURES, TARGET, "fast")
    dead = [weakref.ref(network), *(weakref.ref(parameter) for parameter in network.parameters())]
    del network
    gc.collect()
    assert not any(reference() is not None for reference in dead)


# Max-pooling


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    kernel=st.sampled_from([(1, 2), (2, 1), (1, 3), (2, 2), (3, 3), (2, 3)]),
    stride=st.sampled_from([None, (1, 1), (1, 2), (2, 2)]),
    size=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    padded=st.booleans(),
    ceil=st.booleans(),
    layout=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    seed=st.integers(0, 99),
)
def test_pooling_chooses_as_autograd_does(kernel, stride, size, padded, ceil, layout, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-1, 2, (2, 3, *size), generator=generator).double().contiguous(memory_format=layout)  # many ties
    padding = tuple(length // 2 for length in kernel) if padded else (0, 0)
    variable = values.clone().requires_grad_()
    expected = functional.max_pool2d(variable, kernel, stride, padding, 1, ceil)
    relevance = torch.randn(expected.shape, generator=generator, dtype=torch.float64).contiguous(memory_format=layout)
    (spread,) = torch.autograd.grad(expected, variable, relevance)
    pool = max_pool(Windows(size, tuple(expected.shape[2:]), kernel, stride or kernel, padding, (1, 1), ceil))
    largest, choice = pool.forward(values)
    assert torch.equal(largest, expected)
    torch.testing.assert_close(pool.spread(relevance, choice), spread)
    others = torch.randn(values.shape, generator=generator, dtype=torch.float64).contiguous(memory_format=layout)
    flat = functional.max_pool2d(values, kernel, stride, padding, 1, ceil, return_indices=True)[1].flatten(2)
    assert torch.equal(pool.pick(others, choice), others.flatten(2).gather(2, flat).reshape(expected.shape))


def test_pairs_are_taken_the_fast_way():
    assert isinstance(max_pool(Windows((1, 8), (1, 4), (1, 2), (1, 2), (0, 0), (1, 1), False)), PairPool)
    assert isinstance(max_pool(Windows((1, 9), (1, 4), (1, 2), (1, 2), (0, 0), (1, 1), False)), IndexPool)
    assert isinstance(max_pool(Windows((1, 9), (1, 4), (1, 3), (1, 2), (0, 0), (1, 1), False)), IndexPool)
