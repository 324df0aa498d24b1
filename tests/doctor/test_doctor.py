"""Each finding on a small broken model: the attribution is really wrong, and right once the remedy is applied.

What right means is computed here: in a network of ReLU, maxima, linear layers and normalisations, the epsilon rule with an
epsilon towards 0 gives the features times the gradient.
"""

import copy
import gc
import json
import sys
import warnings
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn import functional

import xaudio
from xaudio.doctor.tracing import trace
from xaudio.doctor.warning import example_features, example_sound

SAMPLES = 64
TARGET = torch.tensor([1])


class Net(nn.Module):
    """Modules by name and a forward that uses them."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, features):
        return self.function(self, features)


def read():
    return xaudio.create("representation", "waveform", samples=SAMPLES, normalisation="none")


def features_of(seed=0, count=1):
    features = torch.randn(count, 1, SAMPLES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    features[..., :8] = features[..., -8:] = 0
    return features


def conv(inputs=1, outputs=4, *, bias=False):
    return nn.Conv1d(inputs, outputs, 3, padding=1, bias=bias)


def head(inputs=4 * SAMPLES):
    return nn.Linear(inputs, 3, bias=False)


def norm(channels=4, **options):
    layer = nn.BatchNorm1d(channels, **options)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor, low in ((layer.weight, 0.5), (layer.bias, -0.5), (layer.running_mean, -0.5), (layer.running_var, 0.5)):
            if tensor is not None:
                tensor.copy_(torch.rand(channels, generator=generator) + low)
    return layer


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


HOOKS = "lrp:engine=zennit"
"""LRP by modules and hooks, for which what is no module has no rule."""


def diagnose(network, explainer=HOOKS, **options):
    return xaudio.diagnose(network.float(), representation=read(), explainer=explainer, **options)


def names(network, explainer=HOOKS, **options):
    """Names of what is found about an explainer."""
    return {finding.name for finding in diagnose(network, explainer, **options).findings}


def findings(network, name, explainer=HOOKS):
    return [finding for finding in diagnose(network, explainer).findings if finding.name == name]


def lrp(network, features, **options):
    network = network.double().eval()
    options = {"composite": "epsilon", "epsilon": 1e-10, "strict": False, "engine": "zennit", **options}
    return xaudio.create("explainer", "lrp", **options)(network, features, TARGET)


def logit_of(network, features):
    with torch.no_grad():
        return float(network.double().eval()(features.clone())[0, 1])


def true_relevance(network, features):
    features = features.clone().requires_grad_()
    score = network.double().eval()(features.clone())[:, 1].sum()
    return (features * torch.autograd.grad(score, features)[0]).detach()


def lrp_error(network, features=None, **options):
    """Largest difference of LRP from what is right, as a share of the largest relevance."""
    features = features_of() if features is None else features
    expected = true_relevance(network, features)
    difference = float((lrp(network, features, **options) - expected).abs().max())
    return difference / float(expected.abs().max()) if difference else 0.0  # nothing flows through a network that is dead


WRONG, RIGHT = 0.05, 1e-4


def chain(*layers):
    return nn.Sequential(*layers)


@pytest.mark.slow
def test_a_module_used_twice():
    def forward(net, x):
        return net.head(net.relu3(net.second(net.relu2(net.first(net.relu1(net.conv(x)))))).flatten(1))

    relus = {f"relu{index}": nn.ReLU() for index in (1, 2, 3)}
    shared = conv(4)
    broken = Net(forward, conv=conv(), first=shared, second=shared, head=head(), **relus)
    second = conv(4)
    second.weight = shared.weight
    mended = Net(forward, conv=broken.conv, first=shared, second=second, head=broken.head, **relus)
    torch.testing.assert_close(broken.double()(features_of()), mended.double()(features_of()))

    assert lrp_error(broken) > WRONG
    (finding,) = findings(broken, "module-reused")
    assert finding.where == ("first (Conv1d), 2 calls",)
    assert (finding.severity, finding.explainers) == ("error", (HOOKS,))
    assert lrp_error(mended) < RIGHT
    assert names(mended) == set()


@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "gelu", "softplus"])
def test_a_functional_activation_loses_relevance(activation):
    modules = {"leaky_relu": nn.LeakyReLU(), "tanh": nn.Tanh(), "gelu": nn.GELU(), "softplus": nn.Softplus()}
    function = getattr(functional, activation) if activation != "tanh" else torch.tanh
    broken = Net(lambda net, x: net.head(function(net.conv(x)).flatten(1)), conv=conv(), head=head())
    mended = Net(
        lambda net, x: net.head(net.activation(net.conv(x)).flatten(1)),
        conv=broken.conv,
        activation=modules[activation],
        head=broken.head,
    )
    features = features_of()[..., 8:-8].repeat(1, 1, 2)[..., :SAMPLES]  # no silence, where softplus and its like are not 0
    logit = logit_of(mended, features)
    assert float(lrp(mended, features).sum()) == pytest.approx(logit, rel=1e-6)
    assert abs(float(lrp(broken, features).sum()) / logit - 1) > WRONG
    (finding,) = findings(broken, "functional-activation")
    assert "test_doctor.py" in finding.where[0]
    assert activation in finding.where[0]
    assert "functional-activation" not in names(mended)


def test_a_functional_relu_does_lrp_no_harm():
    """Where its output is 0 there is no relevance that the gradient could lose."""
    features = features_of()
    with_function = Net(lambda net, x: net.head(functional.relu(net.conv(x)).flatten(1)), conv=conv(), head=head())
    with_module = Net(
        lambda net, x: net.head(net.relu(net.conv(x)).flatten(1)),
        conv=with_function.conv,
        relu=nn.ReLU(),
        head=with_function.head,
    )
    for composite in ("epsilon", "epsilon_plus", "epsilon_alpha2_beta1", "gamma"):
        expected = lrp(with_module, features, composite=composite)
        torch.testing.assert_close(lrp(with_function, features, composite=composite), expected)
    assert names(with_function) == set()


def captums(method):
    """An explainer of captum's that says what it relies on."""

    def explain(model, features, target):
        return method(model).attribute(features.clone().requires_grad_(), target=target)

    explain.needs, explain.relies_on = "layers", {"activation-modules"}
    return explain


def test_a_functional_relu_escapes_explainers_that_use_hooks():
    from captum.attr import GuidedBackprop

    guided = captums(GuidedBackprop)
    modules = Net(
        lambda net, x: net.head(net.relu(net.conv(x)).flatten(1)),
        conv=nn.Conv1d(1, 4, 9, padding=4),
        relu=nn.ReLU(),
        head=head(),
    )
    functions = Net(lambda net, x: net.head(functional.relu(net.conv(x)).flatten(1)), conv=modules.conv, head=modules.head)
    features = features_of()
    plain = xaudio.create("explainer", "gradient")
    torch.testing.assert_close(
        guided(functions.double(), features, TARGET), plain(functions.double(), features, TARGET)
    )  # not guided at all
    assert not torch.allclose(guided(modules.double(), features, TARGET), guided(functions, features, TARGET), rtol=0.1)
    assert "functional-activation" in names(functions, guided)
    assert names(modules, guided) == set()
    # The project's own sees both alike.
    own = xaudio.create("explainer", "guided_backprop")
    torch.testing.assert_close(own(functions.double(), features, TARGET), guided(modules.double(), features, TARGET))
    assert names(functions, "guided_backprop") == set()


def test_an_activation_module_used_twice_breaks_captums_deep_lift():
    from captum.attr import DeepLift

    def forward(net, x):
        return net.head(net.second(net.inner(net.first(net.conv(x)))).flatten(1))

    relu = nn.ReLU()
    broken = Net(forward, conv=conv(), first=relu, inner=conv(4), second=relu, head=head())
    mended = Net(forward, conv=broken.conv, first=nn.ReLU(), inner=broken.inner, second=nn.ReLU(), head=broken.head)
    deep_lift = captums(DeepLift)
    with pytest.raises(RuntimeError):
        deep_lift(broken.double(), features_of(), TARGET)
    assert "module-reused" in names(broken, deep_lift)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        difference = logit_of(mended, features_of()) - logit_of(mended, torch.zeros_like(features_of()))
        assert float(deep_lift(mended, features_of(), TARGET).detach().sum()) == pytest.approx(difference)
        assert names(mended, deep_lift) == set()
    assert "module-reused" not in names(broken, "lrp")  # a ReLU remembers nothing
    assert lrp_error(broken) < RIGHT


def _residual(add):
    return Net(
        add,
        conv=conv(),
        relu1=nn.ReLU(),
        inner=conv(4),
        relu2=nn.ReLU(),
        head=head(),
    )


def test_a_sum_of_two_paths_counts_twice():
    xaudio.create("explainer", "lrp")  # knows how to import zennit beside a broken torchvision
    from zennit.layer import Sum

    def broken_forward(net, x):
        h = net.relu1(net.conv(x))
        return net.head(net.relu2(h + net.inner(h)).flatten(1))

    def mended_forward(net, x):
        h = net.relu1(net.conv(x))
        return net.head(net.relu2(net.sum(torch.stack([h, net.inner(h)], -1))).flatten(1))

    broken = _residual(broken_forward)
    features = features_of()
    logit = logit_of(broken, features)
    assert float(lrp(broken, features).sum()) == pytest.approx(2 * logit, rel=0.05)
    (finding,) = findings(broken, "no-rule")
    assert finding.where[0].endswith(": add")
    assert "conservation-gap" in names(broken)
    mended = copy.deepcopy(broken)
    mended.function, mended.sum = mended_forward, Sum()
    assert lrp_error(mended) < 0.01  # the rule of the sum has a stabiliser of its own
    assert names(mended) == set()


@pytest.mark.parametrize(
    ("broken", "remedy"),
    [
        (lambda net, x: net.head(net.relu(net.conv(x)).mean(-1)), nn.AdaptiveAvgPool1d(1)),
        (lambda net, x: net.head(functional.adaptive_avg_pool1d(net.relu(net.conv(x)), 1).flatten(1)), nn.AdaptiveAvgPool1d(1)),
    ],
    ids=["mean", "functional pooling"],
)
def test_a_mean_outside_of_a_module(broken, remedy):
    broken = Net(broken, conv=conv(), relu=nn.ReLU(), head=head(4))
    mended = Net(
        lambda net, x: net.head(net.pool(net.relu(net.conv(x))).flatten(1)),
        conv=broken.conv,
        relu=nn.ReLU(),
        pool=remedy,
        head=broken.head,
    )
    assert lrp_error(broken) > WRONG
    assert "no-rule" in names(broken)
    assert lrp_error(mended) < RIGHT
    assert names(mended) == set()


@pytest.mark.parametrize("shown", ["LayerNorm", "LSTM"])
def test_layers_without_a_rule(shown):
    """The remedy is an explainer that needs none: it sums to the difference of the logits."""
    torch.manual_seed(0)
    layer = nn.LayerNorm(SAMPLES) if shown == "LayerNorm" else nn.LSTM(SAMPLES, SAMPLES, batch_first=True)

    def forward(net, x):
        h = net.layer(net.conv(x))
        return net.head((h[0] if isinstance(h, tuple) else h).flatten(1))

    network = Net(forward, conv=conv(), layer=layer, head=head())
    features = features_of()
    logit = logit_of(network, features)
    assert abs(float(lrp(network, features).sum()) / logit - 1) > WRONG
    (finding,) = findings(network, "no-rule")
    assert shown in finding.where[0]
    assert names(network, "integrated_gradients") <= {"conservation-gap"}  # its quadrature, at most
    method = xaudio.create("explainer", "integrated_gradients", steps=400)
    difference = logit - logit_of(network, torch.zeros_like(features))
    assert float(method(network, features, TARGET).sum()) == pytest.approx(difference, rel=0.02)


@pytest.mark.parametrize("kind", ["module", "function", "by hand", "log"])
def test_softmax_inside(kind):
    squash = {
        "module": nn.Softmax(1),
        "function": lambda z: functional.softmax(z, 1),
        "by hand": lambda z: z.exp() / z.exp().sum(1, keepdim=True),
        "log": lambda z: functional.log_softmax(z, 1),
    }[kind]
    network = Net(
        lambda net, x: net.last(net.head(net.relu(net.conv(x)).flatten(1))),
        conv=conv(),
        relu=nn.ReLU(),
        head=head(),
    )
    network.last = squash if kind == "module" else Net(lambda net, z: squash(z))
    mended = copy.deepcopy(network)
    mended.last = nn.Identity()
    features = features_of()
    logit = logit_of(mended, features)
    assert float(lrp(mended, features).sum()) == pytest.approx(logit, rel=1e-6)
    assert abs(float(lrp(network, features).sum())) < 0.1 * abs(logit) or kind == "by hand"
    for explainer in (HOOKS, "gradient", "occlusion"):
        found = {finding.name for finding in _checked(network, explainer)}
        assert "softmax" in found, explainer
        assert not _checked(mended, explainer)


def _checked(network, explainer):
    """Findings before an explainer is run."""
    from xaudio.doctor.warning import examine
    from xaudio.model.statements import statement_of
    from xaudio.plugin import parse_spec

    model = xaudio.Model(network.float(), read(), ("a", "b", "c"))
    name, options = parse_spec(explainer)
    return examine(model, example_features(model), {explainer: statement_of(xaudio.create("explainer", name, **options))})


def test_softmax_takes_all_relevance_where_the_model_is_sure():
    network = Net(lambda net, x: functional.softmax(net.head(net.conv(x).flatten(1)), 1), conv=conv(), head=head())
    with torch.no_grad():
        network.head.weight.mul_(1000)
    sure = features_of().float()
    target = network(sure).argmax(1)
    assert not xaudio.create("explainer", "input_x_gradient")(network, sure, target).any()
    network.function = lambda net, x: net.head(net.conv(x).flatten(1))
    relevance = xaudio.create("explainer", "input_x_gradient")(network, sure, target)
    assert float(relevance.sum()) == pytest.approx(float(network(sure).detach()[0, target]), rel=1e-3)


def test_sigmoid_at_the_output():
    network = Net(
        lambda net, x: torch.sigmoid(net.head(net.relu(net.conv(x)).flatten(1))), conv=conv(), relu=nn.ReLU(), head=head()
    )
    assert "sigmoid" in names(network)
    logit = float(torch.logit(torch.tensor(logit_of(network, features_of()))))
    assert abs(float(lrp(network, features_of()).sum()) / logit - 1) > WRONG
    network.function = lambda net, x: net.head(net.relu(net.conv(x)).flatten(1))
    assert float(lrp(network, features_of()).sum()) / logit == pytest.approx(1)
    assert names(network) == set()


def test_a_model_left_in_training_mode():
    """xaudio evaluates by itself, an explainer called without it does not: hence a warning, and none from `explain`."""
    network = chain(conv(), nn.Dropout(0.5), nn.Flatten(), head())
    method, features = xaudio.create("explainer", "gradient"), features_of().float()
    assert not torch.equal(method(network, features, TARGET), method(network, features, TARGET))
    (finding,) = findings(network, "training-mode", "gradient")
    assert (finding.severity, finding.where) == ("warning", ("1 (Dropout)",))
    assert diagnose(network, "gradient").is_healthy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (explain(network, "gradient").relevance for _ in range(2))
    assert np.array_equal(first, second)
    network.eval()
    assert torch.equal(method(network, features, TARGET), method(network, features, TARGET))
    assert names(network, "gradient") == set()


def explain(network, explainer="lrp", sound=None, **options):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, SAMPLES).astype(np.float32) if sound is None else sound
    return xaudio.explain(network, sound, sample_rate=8000, representation=read(), explainer=explainer, **options)


@pytest.mark.parametrize("kind", ["function", "module"])
def test_statistics_of_the_batch(kind):
    network = Net(lambda net, x: net.head(net.norm(net.conv(x)).flatten(1)), conv=conv(), norm=norm(), head=head())
    if kind == "function":
        network.norm = Net(lambda net, h: functional.batch_norm(h, None, None, training=True))
    else:
        network.norm = nn.BatchNorm1d(4, track_running_stats=False)

    def difference(network):
        features = features_of(count=2).float()
        features[1] *= 3
        method = xaudio.create("explainer", "gradient")
        network.eval()
        together, alone = method(network, features, TARGET.repeat(2))[0], method(network, features[:1], TARGET)[0]
        return float((together - alone).abs().max() / alone.abs().max())

    assert difference(network) > 0.1
    (finding,) = [item for item in findings(network, "training-mode", "gradient") if item.severity == "error"]
    assert "depends on the others in the batch" in finding.effect
    network.norm = norm()
    assert difference(network) < 1e-5
    assert names(network.eval(), "gradient") == set()


def test_instance_normalisation_does_not_depend_on_the_batch():
    network = Net(lambda net, x: net.head(net.norm(net.conv(x)).flatten(1)), conv=conv(), norm=nn.InstanceNorm1d(4), head=head())
    assert names(network, "gradient") == set()


def test_chance_in_evaluation_mode():
    network = Net(lambda net, x: net.head(functional.dropout(net.conv(x)).flatten(1)), conv=conv(), head=head())
    with pytest.warns(xaudio.XaudioWarning, match=r"non-deterministic \(forward of Net, test_doctor.py"):
        first = explain(network, "gradient", target=1).relevance
    assert not np.array_equal(first, explain(network, "gradient", target=1).relevance)
    assert names(network, "gradient") == {"non-deterministic"}

    def mended(net, x):
        return net.head(functional.dropout(net.conv(x), training=net.training).flatten(1))

    network = Net(mended, conv=network.conv, head=network.head)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(*(explain(network, "gradient").relevance for _ in range(2)))
    assert names(network, "gradient") == {"training-mode"}
    assert names(network.eval(), "gradient") == set()


def test_chance_from_outside_torch_and_a_kept_state():
    generator = np.random.default_rng(0)
    chance = Net(lambda net, x: net.head((net.conv(x) * float(generator.uniform(0.5, 1))).flatten(1)), conv=conv(), head=head())
    assert names(chance, "gradient") == {"non-deterministic"}


def test_the_generators_of_the_caller_are_left_alone():
    def draw():
        import random

        return torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002

    def seed():
        import random

        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)

    layers = chain(conv(), nn.Flatten(), head())
    network = Net(lambda net, x: net.layers(x) * np.random.rand(), layers=layers)  # noqa: NPY002
    seed()
    expected = draw()
    seed()
    diagnose(network, "gradient")
    found = draw()
    assert torch.equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert found[2] == expected[2]


def _normalised(order, registered):
    """Convolution, ReLU and batch normalisation, called and registered in the given orders."""

    def forward(net, x):
        for name in order:
            x = getattr(net, name)(x)
        return net.head(x.flatten(1))

    torch.manual_seed(0)
    layers = {"conv": conv(bias=True), "relu": nn.ReLU(), "norm": norm(1 if order[0] == "norm" else 4)}
    return Net(forward, **{name: layers[name] for name in registered}, head=head())


@pytest.mark.parametrize(
    ("order", "registered"),
    [
        ("conv relu norm", "conv relu norm"),
        ("conv norm relu", "conv relu norm"),
        ("conv relu norm", "conv norm relu"),
        ("norm conv relu", "norm conv relu"),
        ("conv norm relu", "conv norm relu"),
    ],
    ids=["after ReLU", "registered elsewhere", "registered where it is not called", "first", "after the convolution"],
)
def test_batch_normalisation_is_explained_where_it_is_called(order, registered):
    network = _normalised(order.split(), registered.split())
    assert lrp_error(network) < RIGHT
    assert names(network.eval()) == set()


def test_batch_normalisation_without_a_scale():
    network = chain(conv(), norm(affine=False), nn.ReLU(), nn.Flatten(), head())
    assert lrp_error(network) < RIGHT
    assert names(network.eval()) == set()


def test_batch_normalisation_by_the_batch():
    broken = chain(conv(), norm(track_running_stats=False), nn.ReLU(), nn.Flatten(), head())
    with pytest.raises(xaudio.ModelError, match="batch normalisation '1' has no running statistics"):
        lrp(broken, features_of())
    assert "batch-norm" in names(broken.eval())


class Filters(nn.Module):
    """A module of its own around a convolution."""

    def __init__(self, after=None):
        super().__init__()
        self.filters, self.after = nn.Parameter(torch.randn(4, 3)), after

    def forward(self, features):
        maps = functional.conv1d(functional.pad(features, (1, 1)), self.filters.sin()[:, None])
        return self.after(maps) if self.after else maps


def test_filters_of_a_module_of_its_own():
    mended = chain(Filters(), nn.ReLU(), nn.Flatten(), head())
    assert lrp_error(mended) < RIGHT
    assert names(mended.eval()) == set()
    broken = chain(Filters(lambda maps: maps * maps.abs().mean()), nn.ReLU(), nn.Flatten(), head())
    assert lrp_error(broken) > WRONG
    assert "no-rule" in names(broken.eval())


class Squared(nn.Conv1d):
    """A layer that is no product of its input with a weight."""

    def forward(self, features):
        return super().forward(features) ** 2


def test_weights_are_right_or_a_finding_names_the_layer():
    mended = chain(nn.utils.parametrizations.weight_norm(conv(bias=True)), nn.ReLU(), nn.Flatten(), head())
    assert lrp_error(mended) < RIGHT
    diagnosis = diagnose(mended.eval(), "lrp")
    assert diagnosis.findings == ()
    assert diagnosis.measured["lrp"]["sum"] == pytest.approx(1, abs=1e-3)
    (finding,) = diagnose(chain(Squared(1, 4, 3, padding=1), nn.Flatten(), head())).findings
    assert finding.name == "fails"
    assert "layer '0' (Squared) computes something else than its weight says" in finding.effect


class Own(nn.Module):
    """An activation in a module of its own."""

    def forward(self, features):
        return functional.mish(features)


def test_the_remedy_for_an_activation_fits_the_case():
    def remedy(activation):
        made = Net(lambda net, x: net.head(activation(net.conv(x)).flatten(1)), conv=conv(), head=head(), inner=activation)
        return [finding.remedy for finding in findings(made.eval(), "functional-activation")]

    assert remedy(nn.Mish()) == []
    (own,) = remedy(Own())
    assert "in the place of yours" in own
    (function,) = [
        finding.remedy
        for finding in findings(
            Net(lambda net, x: net.head(functional.mish(net.conv(x)).flatten(1)), conv=conv(), head=head()).eval(),
            "functional-activation",
        )
    ]
    assert function.startswith("Make it a module")
    layer = nn.TransformerEncoderLayer(SAMPLES, 2, 8, activation="gelu", batch_first=True)
    remedies = [
        finding.remedy for finding in findings(chain(conv(), layer, nn.Flatten(), head()).eval(), "functional-activation")
    ]
    assert remedies
    assert not any("Make it a module" in remedy for remedy in remedies)


def test_features_overwritten_in_place():
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, SAMPLES).astype(np.float32)
    broken = Net(
        lambda net, x: net.head(net.relu(net.conv(x.mul_(2))).flatten(1)), conv=conv(bias=True), relu=nn.ReLU(), head=head()
    )
    mended = Net(
        lambda net, x: net.head(net.relu(net.conv(x * 2)).flatten(1)), conv=broken.conv, relu=nn.ReLU(), head=broken.head
    )
    with pytest.warns(xaudio.XaudioWarning, match=r"in-place \(the features\)"):
        found = explain(broken, "input_x_gradient", sound, target=1)
    right = explain(mended, "input_x_gradient", sound, target=1)
    assert np.array_equal(found.features[0], sound)
    assert np.allclose(found.relevance, right.relevance, atol=1e-6 * np.abs(right.relevance).max())
    # A tool that hands out no copies explains another sound.
    features, target = torch.from_numpy(sound)[None, None], torch.tensor([1])
    broken.eval()
    with torch.no_grad():
        broken(features)
    other = xaudio.create("explainer", "input_x_gradient")(broken, features, target).numpy()[0]
    assert np.abs(other - right.relevance).max() > WRONG * np.abs(right.relevance).max()
    assert "in-place" in names(broken, "input_x_gradient")
    assert names(mended, "input_x_gradient") == set()


def test_overwriting_what_the_backward_pass_needs():
    def in_place(net, x):
        h = net.relu1(net.conv(x))
        h += net.inner(h)
        return net.head(h.flatten(1))

    def out_of_place(net, x):
        h = net.relu1(net.conv(x))
        return net.head((h + net.inner(h)).flatten(1))

    broken, mended = _residual(in_place), _residual(out_of_place)
    with (
        pytest.warns(xaudio.XaudioWarning, match=r"in-place \(forward of Net, test_doctor.py:\d+\)"),
        pytest.raises(xaudio.ModelError, match="cannot be run backward .*modified by an inplace operation"),
    ):
        explain(broken, "gradient")
    assert names(broken, "gradient") == {"in-place"}
    explain(mended, "gradient")
    assert names(mended, "gradient") == set()


def test_relu_in_place_does_no_harm():
    features = features_of()
    inside = chain(conv(), nn.ReLU(inplace=True), conv(4), nn.ReLU(inplace=True), nn.Flatten(), head())
    outside = copy.deepcopy(inside)
    outside[1].inplace = outside[3].inplace = False
    for name in ("lrp", "input_x_gradient", "guided_backprop", "deep_lift", "grad_cam"):
        method = xaudio.create("explainer", name)
        expected = method(outside.double(), features, TARGET)
        torch.testing.assert_close(method(inside.double(), features, TARGET), expected)
        assert names(inside, name) == set()


def fake_recurrent():
    """A layer that says its weights are on a GPU."""
    layer = nn.LSTM(SAMPLES, 8, batch_first=True)
    layer.parameters = lambda recurse=True: iter([SimpleNamespace(device=torch.device("cuda"))])
    return layer


def _recurrent(layer):
    return Net(lambda net, x: net.head(net.rnn(x)[0].flatten(1)), rnn=layer, head=nn.Linear(8, 3))


def test_recurrent_layers_on_a_gpu():
    from xaudio.doctor.checks import check_modules
    from xaudio.model.statements import statement_of

    stated = {name: statement_of(xaudio.create("explainer", name)) for name in ("gradient", "occlusion")}
    (finding,) = check_modules(_recurrent(fake_recurrent()), stated)
    assert (finding.name, finding.where, finding.explainers) == ("recurrent-cudnn", ("rnn",), ("gradient",))
    assert not check_modules(_recurrent(nn.LSTM(SAMPLES, 8, batch_first=True)), stated)
    with torch.backends.cudnn.flags(enabled=False):
        assert not check_modules(_recurrent(fake_recurrent()), stated)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recurrent_layers_on_a_gpu_fail_without_the_remedy():
    network = _recurrent(nn.LSTM(SAMPLES, 8, batch_first=True))
    with pytest.warns(xaudio.XaudioWarning, match="recurrent-cudnn"), pytest.raises(RuntimeError, match="cudnn RNN backward"):
        explain(network, "gradient", device="cuda")
    with torch.backends.cudnn.flags(enabled=False):
        explain(network, "gradient", device="cuda")


def test_the_first_layer_that_is_not_finite():
    def network(weight):
        layers = chain(conv(), nn.ReLU(), conv(4), nn.Flatten(), head())
        with torch.no_grad():
            layers[2].weight[0, 0, 0] = weight
        return layers

    (finding,) = diagnose(network(torch.nan), "gradient").findings
    assert (finding.name, finding.where) == ("not-finite", ("2",))
    with (
        pytest.warns(xaudio.XaudioWarning, match=r"not-finite \(2\)"),
        pytest.raises(xaudio.ModelError, match="NaN or infinite"),
    ):
        explain(network(torch.nan), "gradient")
    assert names(network(0.5), "gradient") == set()


def test_a_gradient_that_is_not_finite():
    broken = Net(
        lambda net, x: net.head(net.conv(net.inner(x).abs().sqrt()).flatten(1)), inner=nn.Identity(), conv=conv(), head=head()
    )
    (finding,) = diagnose(broken, "input_x_gradient").findings
    assert (finding.name, finding.explainers) == ("not-finite", ("input_x_gradient",))
    assert "the output of inner" in finding.where[0]
    with pytest.raises(xaudio.PluginError, match="NaN or infinite"):  # silence is 0, where the root has no slope
        explain(broken, "input_x_gradient", np.zeros(SAMPLES, np.float32) + np.eye(1, SAMPLES, dtype=np.float32)[0])
    mended = Net(
        lambda net, x: net.head(net.conv((net.inner(x).abs() + 1e-4).sqrt()).flatten(1)),
        inner=nn.Identity(),
        conv=broken.conv,
        head=broken.head,
    )
    assert names(mended, "input_x_gradient") == set()


def test_an_explainer_that_divides_by_zero():
    def careless(model, features, target):
        return features / features

    (finding,) = diagnose(chain(conv(), nn.Flatten(), head()), careless).findings
    assert (finding.name, finding.where, finding.explainers) == ("not-finite", (), ("careless",))
    assert "gradient of the model is finite" in finding.effect


def test_the_conservation_gap():
    def half(model, features, target):
        return 0.5 * true_relevance_float(model, features, target)

    def whole(model, features, target):
        return true_relevance_float(model, features, target)

    half.needs = whole.needs = "layers"
    half.relies_on = whole.relies_on = {"rules"}
    half.promises = whole.promises = {"sums-to-logit", "nothing-on-zeros"}
    network = chain(conv(bias=True), nn.ReLU(), nn.Flatten(), head())
    diagnosis = diagnose(network, half)
    assert diagnosis.measured["half"]["sum"] == pytest.approx(0.5, rel=1e-4)
    assert [finding.name for finding in diagnosis.findings] == ["conservation-gap"]
    assert diagnose(network, [whole, "lrp"]).findings == ()
    assert diagnose(network, whole).measured["whole"]["sum"] == pytest.approx(1, rel=1e-4)


def true_relevance_float(model, features, target):
    features = features.clone().requires_grad_()
    score = model(features).gather(1, target[:, None]).sum()
    return (features * torch.autograd.grad(score, features)[0]).detach()


def test_the_gap_of_a_coarse_quadrature():
    torch.manual_seed(3)
    network = chain(conv(bias=True), nn.Tanh(), conv(4), nn.Tanh(), nn.Flatten(), head())
    with torch.no_grad():
        network[0].weight.mul_(10)
    (finding,) = findings(network, "conservation-gap", "integrated_gradients:steps=1")
    assert finding.severity == "warning"
    assert names(network, "integrated_gradients:steps=200") == set()


def test_relevance_on_silence():
    network = chain(conv(bias=True), nn.ReLU(), nn.Flatten(), head())
    flat = "lrp:composite=epsilon_plus_flat"
    (finding,) = findings(network, "padding", flat)
    assert finding.severity == "warning"
    share = diagnose(network, flat).measured[flat]["padding"]
    sound = example_sound(xaudio.create("representation", "raw", sample_rate=8000, samples=SAMPLES))
    relevance = explain(network, "lrp", sound[0], composite="epsilon_plus_flat").relevance[0]
    assert share == pytest.approx(np.abs(relevance[sound[0].numpy() == 0]).sum() / np.abs(relevance).sum(), rel=1e-3)
    assert share > 0.1
    assert diagnose(network, "lrp").measured["lrp"]["padding"] == 0
    assert "padding" not in names(_normalised(["norm", "conv", "relu"], ["norm", "conv", "relu"]).eval())


class Cubed(torch.autograd.Function):
    """A cube with a derivative of its own, which no rule replaces."""

    @staticmethod
    def forward(context, values):
        context.save_for_backward(values)
        return values**3

    @staticmethod
    def backward(context, gradient):
        return gradient * 3 * context.saved_tensors[0] ** 2


def test_the_law_on_a_network_of_ones_own():
    """A residual block, a gate, a normalisation: nothing is found, and the share of constants is told."""
    layer = nn.LayerNorm(SAMPLES)
    with torch.no_grad():
        layer.bias.uniform_(-1, 1)

    def forward(net, x):
        h = net.conv(x)
        h = h + net.cube(h) if hasattr(net, "cube") else h + functional.gelu(h)
        return net.head((net.layer(h) * torch.sigmoid(h)).flatten(1))

    network = Net(forward, conv=conv(bias=True), layer=layer, head=head())
    diagnosis = diagnose(network, "lrp")
    assert diagnosis.findings == ()
    measured = diagnosis.measured["lrp"]
    assert measured["sum"] == pytest.approx(1, abs=1e-4)
    features = features_of()
    relevance = lrp(network, features, engine="functions")
    method = xaudio.create("explainer", "lrp", composite="epsilon")
    law = method.law(network, features, TARGET)
    assert law.constants == pytest.approx(logit_of(network, features) - float(relevance.sum()), rel=1e-9)
    assert law.module == ""
    assert "of that lies in biases and other constants" in str(diagnosis)

    network.cube = Net(lambda net, h: net.inner(h) * 1.5, inner=Net(lambda net, h: Cubed.apply(h)))
    (finding,) = diagnose(network.float(), "lrp").findings  # of a composite whose rules do not conserve by themselves
    assert (finding.name, finding.where) == ("conservation-gap", ("cube.inner",))


def test_logarithms_have_no_rule():
    network = Net(lambda net, x: net.head(torch.log(net.conv(x).abs() + 1).flatten(1)), conv=conv(), head=head())
    found = diagnose(network, "lrp").findings
    assert [finding.name for finding in found] == ["no-rule", "fails"]
    assert "log" in found[0].where[0]
    assert "log-mel" in found[0].remedy
    last = Net(lambda net, x: torch.log(torch.softmax(net.head(net.conv(x).flatten(1)), 1)), conv=conv(), head=head())
    assert names(last, "lrp") == set()


def test_answers_that_do_not_change_with_loudness():
    network = Net(
        lambda net, x: net.head(net.relu(net.conv(x / x.std(2, keepdim=True).clamp(min=1e-6))).flatten(1)),
        conv=conv(), relu=nn.ReLU(), head=head(),
    )  # fmt: skip
    features = features_of().float()
    product = xaudio.create("explainer", "input_x_gradient")(network, features, TARGET)
    assert abs(float(product.sum())) < 1e-4 * float(product.abs().sum())
    for explainer in ("input_x_gradient", "integrated_gradients"):
        assert "scale-invariant" in names(network, explainer)
    assert names(network, "lrp") == set()
    other = Net(lambda net, x: net.head(net.relu(net.conv(x)).flatten(1)), conv=conv(bias=True), relu=nn.ReLU(), head=head())
    assert names(other, "input_x_gradient") == set()


def test_a_saturated_output():
    network = Net(lambda net, x: functional.softmax(1e4 * net.head(net.conv(x).flatten(1)), 1), conv=conv(), head=head())
    assert "saturated-output" in names(network, "gradient")
    assert names(network, "lrp") == set()
    other = Net(lambda net, x: net.head(net.conv(x).flatten(1)), conv=conv(), head=head())
    assert names(other, "gradient") == set()


def test_an_explainer_that_fails_is_a_finding():
    def broken(model, features, target):
        raise ValueError("no\nluck")

    (finding,) = diagnose(chain(conv(), nn.Flatten(), head()), broken).findings
    assert (finding.name, finding.effect) == ("fails", "It fails: no luck.")


class Claims:
    """Gradient times input, and what it says of itself."""

    def __init__(self, **said):
        vars(self).update(said)

    def __call__(self, model, features, target):
        return xaudio.create("explainer", "input_x_gradient")(model, features, target)


def fails(*arguments, **more):
    raise ValueError("no\nluck")


@pytest.mark.parametrize(
    "said",
    [
        {"expected_sum": fails},
        {"law": fails},
        {"expected_sum": lambda model, features, target, logits: logits.sum(1) + 99, "alternatives": fails},
    ],
    ids=["sum", "law", "alternatives"],
)
def test_an_explainer_that_fails_when_it_is_asked_about_its_sum_is_a_finding(said):
    found = diagnose(chain(conv(), nn.Flatten(), head()), Claims(**said)).findings
    assert [(one.name, one.effect) for one in found] == [("fails", "It fails: no luck.")]


BLOCKS = {
    "conv": lambda: (conv(4, bias=True), None),
    "relu": lambda: (nn.ReLU(), None),
    "functional relu": lambda: (None, functional.relu),
    "functional leaky": lambda: (None, functional.leaky_relu),
    "leaky": lambda: (nn.LeakyReLU(), None),
    "norm": lambda: (norm(), None),
    "max": lambda: (nn.MaxPool1d(3, 1, 1), None),
    "functional max": lambda: (None, lambda h: functional.max_pool1d(h, 3, 1, 1)),
    "mean": lambda: (nn.AvgPool1d(3, 1, 1), None),
    "functional mean": lambda: (None, lambda h: functional.avg_pool1d(h, 3, 1, 1)),
    "residual": lambda: (None, lambda h: h + functional.max_pool1d(h, 3, 1, 1)),
    "scale": lambda: (None, lambda h: 0.5 * h),
    "shape": lambda: (None, lambda h: torch.cat([h[:, 2:], h[:, :2]], 1).transpose(1, 2).contiguous().transpose(1, 2)),
    "pad": lambda: (None, lambda h: functional.pad(h, (1, 0))[..., :-1]),
    "in place": lambda: (None, lambda h: h.clone().mul_(2)),
}


@pytest.mark.slow
@given(blocks=st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=4), again=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_what_is_not_found_is_right(blocks, again, seed):
    """In random networks: without a finding, LRP is what it should be."""
    torch.manual_seed(seed)
    made = [BLOCKS[block]() for block in blocks]
    order = [*range(len(made)), *([0] if again else [])]

    def forward(net, x):
        h = net.conv(x)
        for index in order:
            h = made[index][1](h) if made[index][1] else net.inner[str(index)](h)
        return net.head(h.flatten(1))

    inner = nn.ModuleDict({str(index): module for index, (module, _) in enumerate(made) if module is not None})
    network = Net(forward, conv=conv(bias=True), inner=inner, head=head())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _checked(network.eval(), HOOKS)
        assert not _checked(network, "lrp")
    # zennit adds 1e-6 to averages, whatever epsilon is; all numbers of these networks grow with their inputs and shifts.
    for name, tensor in network.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.mul_(1e4)
    features = 1e4 * features_of(seed)
    assert lrp_error(network, features, engine="functions") < RIGHT  # which has rules for all of these
    if not found:
        assert lrp_error(network, features) < RIGHT


@pytest.mark.usefixtures("training")
@pytest.mark.parametrize("folder", ["run_folder", "spectrogram_run_folder"])
def test_the_models_of_the_project_are_healthy(folder, request):
    folder = request.getfixturevalue(folder)
    chosen = ["lrp", "lrp:composite=epsilon_alpha2_beta1", "input_x_gradient", "deep_lift"]
    diagnosis = xaudio.diagnose(folder, explainer=chosen)
    assert diagnosis.findings == ()
    assert diagnosis.measured["lrp"]["sum"] == pytest.approx(1, abs=0.02)
    assert str(diagnosis).startswith("0 errors, 0 warnings.")


def test_all_installed_explainers_are_asked_about_by_default():
    network = Net(lambda net, x: functional.softmax(net.head(net.conv(x).flatten(1)), 1), conv=conv(), head=head())
    diagnosis = xaudio.diagnose(network, representation=read())
    concerned = {name for finding in diagnosis.findings if finding.name == "softmax" for name in finding.explainers}
    assert {"gradient", "integrated_gradients"} <= concerned
    assert "lrp" not in concerned  # it explains what the softmax reads
    assert not concerned & {"random", "amplitude"}  # they do not read the model
    assert set(diagnosis.measured) >= {"lrp", "integrated_gradients"}
    assert not diagnosis.is_healthy
    json.dumps(diagnosis.to_json())


class Counting(nn.Module):
    """Counts how often it is run."""

    def __init__(self):
        super().__init__()
        self.layers = chain(conv(), nn.LeakyReLU(), nn.Dropout(), nn.Flatten(), head())
        self.runs = 0

    def forward(self, features):
        self.runs += 1
        return functional.leaky_relu(self.layers(features))


def test_a_few_forward_passes_once_for_each_model():
    network = Counting()
    explain(network, "random")
    before = network.runs
    explain(network, "random")
    plain = network.runs - before  # a control needs no check
    with pytest.warns(xaudio.XaudioWarning, match="functional-activation"):
        explain(network, _zeros)
    checked = network.runs - before - plain
    assert checked == plain + 4  # watched, twice for chance, once with another beside it
    explain(network, _zeros)
    assert network.runs - before == 3 * plain + 4


def _zeros(model, features, target):
    return torch.zeros_like(features)


_zeros.needs, _zeros.relies_on = "layers", {"rules"}


def test_a_finding_is_said_once_and_again_when_the_model_changed():
    network = Counting()
    with pytest.warns(xaudio.XaudioWarning, match="functional-activation") as caught:
        explain(network, HOOKS)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(network, HOOKS)
    with torch.no_grad():
        network.layers[0].weight[0, 0, 0] = torch.nan
    with pytest.warns(xaudio.XaudioWarning, match="not-finite"), pytest.raises(xaudio.ModelError):
        explain(network, HOOKS)


def test_the_network_is_left_as_it_was():
    network = Net(
        lambda net, x: net.head(functional.batch_norm(net.conv(x), net.mean, net.var, training=True).flatten(1)),
        conv=conv(),
        head=head(),
        drop=nn.Dropout(),
    )
    network.register_buffer("mean", torch.zeros(4))
    network.register_buffer("var", torch.ones(4))
    network.drop.eval()
    state, modes = copy.deepcopy(network.state_dict()), [module.training for module in network.modules()]
    random_state = torch.get_rng_state()
    model = xaudio.Model(network, read(), ("a", "b", "c"))
    trace(network, example_features(model))
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())
    reference = weakref.ref(network)
    del network, model
    gc.collect()
    assert reference() is None


@pytest.mark.slow
def test_a_scripted_model_cannot_be_watched():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = chain(conv(), nn.Flatten(), torch.jit.script(head()))
    for explainer in ("gradient", None):
        diagnosis = diagnose(network, explainer)
        assert [finding.name for finding in diagnosis.findings] == ["not-watched"]
        assert not {"occlusion", "lrp"} & set(diagnosis.findings[0].explainers)
    with pytest.warns(xaudio.XaudioWarning, match="not-watched"):
        explain(network, "gradient")
    with pytest.raises(xaudio.ModelError, match="hides its layers"):
        explain(network, "lrp")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


class Drawing(nn.Module):
    """Adds chance to scores, even in evaluation mode."""

    def forward(self, scores):
        return scores + torch.rand_like(scores)


class Beside(nn.Module):
    """Takes off half of what the recordings of a batch have in common."""

    def forward(self, scores):
        return scores - 0.5 * scores.mean(0)


class Probable(nn.Module):
    def forward(self, scores):
        return scores.softmax(1)


@pytest.mark.parametrize(
    ("last", "name"), [(Drawing(), "non-deterministic"), (Beside(), "batch-dependence"), (Probable(), "softmax")]
)
def test_what_answers_alone_show_is_found_of_a_model_that_cannot_be_watched(last, name):
    layers = nn.Flatten(), nn.Linear(SAMPLES, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.jit.script(chain(*layers, last))
    for explainer, found in (("gradient", {name, "not-watched"}), ("occlusion", {name})):
        assert {finding.name for finding in diagnose(network, explainer).findings} == found
    if name != "softmax":  # which xaudio.explain takes back
        with pytest.warns(xaudio.XaudioWarning, match=name):
            explain(network, "occlusion")


@pytest.mark.parametrize(("taken_off", "found"), [(False, set()), (True, {"softmax"})])
def test_a_soft_maximum_makes_no_probabilities_but_where_it_is_taken_off(taken_off, found):
    def forward(net, x):
        scores = net.head(net.conv(x).flatten(1)).unflatten(1, (3, 4))
        return scores[..., 0] - scores[..., 0].logsumexp(1, keepdim=True) if taken_off else scores.logsumexp(2)

    network = Net(forward, conv=conv(), head=nn.Linear(4 * SAMPLES, 12, bias=False))
    assert names(network, "gradient") == found


def test_hooks_are_removed_when_the_network_fails():
    network = chain(conv(2), nn.Flatten(), head())
    with pytest.raises(xaudio.ModelError, match="does not take features"):
        xaudio.diagnose(network, representation=read(), classes=["a", "b", "c"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_recording_of_the_users(recording):
    """A recording without silence has no padding to measure; what is wrong is chosen by explainer."""
    network = chain(conv(bias=True), nn.ReLU(), nn.Flatten(), head())
    tone = np.random.default_rng(0).uniform(0.1, 0.5, SAMPLES).astype(np.float32)
    diagnosis = xaudio.diagnose(network, tone, sample_rate=8000, representation=read(), explainer="lrp")
    assert set(diagnosis.measured["lrp"]) == {"sum"}
    with pytest.raises(xaudio.AudioError, match="no sample rate"):
        xaudio.diagnose(network, tone, representation=read())
    with pytest.raises(xaudio.PluginError, match="Unknown explainer 'lpr'"):
        diagnose(network, "lpr")


@pytest.fixture
def command(monkeypatch, capsys):
    """The command line within this process: exit status, standard output and the lines of standard error."""

    def run(*arguments):
        from xaudio.cli.app import main

        monkeypatch.setattr(sys, "argv", ["xaudio", *map(str, arguments)])
        monkeypatch.setattr("xaudio.cli.stopping.watch", lambda: None)  # or the second Ctrl-C of later tests ends the worker
        with warnings.catch_warnings(), pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return end.value.code or 0, shown.out, shown.err.splitlines()

    return run


def test_the_command(run_folder, recording, tmp_path, command):
    status, shown, _ = command("doctor", run_folder, "--explainer", "lrp", "--audio", recording)
    assert status == 0
    assert shown.startswith("0 errors, 0 warnings.\nlrp: relevance sums to ")

    model = xaudio.load_model(run_folder)
    with torch.no_grad():
        model.network.classifier[1].weight[0, 0] = torch.nan
    broken = tmp_path / "broken"
    broken.mkdir()
    model.save(broken)
    status, shown, _ = command("doctor", broken, "--explainer", "gradient", "--json")
    report = json.loads(shown)
    assert status == 1
    assert not report["healthy"]
    (finding,) = report["findings"]
    assert (finding["name"], finding["severity"], finding["where"]) == ("not-finite", "error", ["classifier.1"])
    _, shown, _ = command("doctor", broken, "--explainer", "gradient")
    assert shown.splitlines() == [
        "error: not-finite (gradient)",
        "  where: classifier.1",
        f"  what it does: {finding['effect']}",
        f"  what to do: {finding['remedy']}",
        "1 error, 0 warnings.",
    ]

    status, _, lines = command("explain", recording, "--model", broken, "--out", tmp_path / "out", "--explainer", "gradient")
    assert status == 1
    expected = f"xaudio: warning: not-finite (classifier.1): gradient: {finding['effect']} {finding['remedy']}"
    assert [line for line in lines if "warn" in line] == [expected]
    status, _, lines = command("doctor", tmp_path)
    assert status == 1
    assert lines[-1].endswith("Run xaudio train first.")


@pytest.mark.parametrize(
    "dependent",
    [lambda x: x - x.mean(0, keepdim=True), lambda x: x / x.abs().max(), lambda x: (x - x.mean()) / x.std()],
    ids=["mean of the batch", "largest of the batch", "standardised by the batch"],
)
def test_an_output_that_depends_on_the_batch(dependent):
    broken = Net(lambda net, x: net.head(net.relu(net.conv(dependent(x))).flatten(1)), conv=conv(), relu=nn.ReLU(), head=head())
    features = torch.cat([features_of(), features_of().flip(-1) * 3])
    method = xaudio.create("explainer", "input_x_gradient")
    broken.double()
    target = torch.zeros(2, dtype=torch.int64)
    together, alone = method(broken.eval(), features, target)[:1], method(broken, features[:1], target[:1])
    assert (together - alone).abs().max() > 0.05 * together.abs().max()
    assert "batch-dependence" in names(broken, "input_x_gradient")
    with pytest.warns(xaudio.XaudioWarning, match="batch-dependence"):
        explain(broken, "input_x_gradient")


@pytest.mark.parametrize(
    "squash",
    [
        lambda h: (h.softmax(1) + 1e-9).log(),
        lambda h: h.log_softmax(1) * 1.5,
        lambda h: h.softmax(1) * 0.5,
        lambda h: h.sigmoid().unflatten(1, (-1, 1)).amax(-1),
        lambda h: h - h.logsumexp(1, keepdim=True),
        lambda h: 0.5 * (1 + h.tanh()),
    ],
)
def test_probabilities_that_are_not_the_last_operation(squash):
    broken = Net(lambda net, x: squash(net.head(net.relu(net.conv(x)).flatten(1))), conv=conv(), relu=nn.ReLU(), head=head())
    assert names(broken.eval(), "integrated_gradients") & {"softmax", "sigmoid"}


def test_a_gate_inside_the_model_is_no_probability():
    net = Net(lambda net, x: net.head((net.conv(x) * net.gate(x).sigmoid()).flatten(1)), conv=conv(), gate=conv(), head=head())
    assert not names(net.eval(), "integrated_gradients") & {"softmax", "sigmoid"}


def _written_out(net, sequence):
    """A recurrent layer with two gates, by hand."""
    state = torch.zeros(len(sequence), 3)
    for step in sequence[:, :4].unbind(1):
        update, reset = torch.sigmoid(net.score(step) + state), torch.sigmoid(net.score(step) - state)
        state = (1 - update) * torch.tanh(step + reset * state) + update * state
    return state


def _by_cells(net, sequence):
    hidden, cell = torch.zeros(len(sequence), 3), torch.zeros(len(sequence), 3)
    for step in sequence[:, :4].unbind(1):
        hidden, cell = net.cell(step, (hidden, cell))
    return hidden


LAST_GATES = {
    "gru": lambda net, sequence: net.gru(sequence)[1][-1],
    "both ways": lambda net, sequence: functional.normalize(net.lstm(sequence)[0].mean(1), dim=1)[:, :3],
    "rnn": lambda net, sequence: net.rnn(sequence)[0][:, -1],
    "cells": _by_cells,
    "written out": _written_out,
    "squeeze and excitation": lambda net, sequence: (sequence * net.score(sequence.mean(1, keepdim=True)).sigmoid()).mean(1),
    "attention pooling": lambda net, sequence: (net.score(sequence).softmax(1) * sequence).sum(1),
    "gated tanh": lambda net, sequence: (net.score(sequence).sigmoid() * sequence.tanh()).amax(1),
    "swish": lambda net, sequence: (net.score(sequence) * torch.sigmoid(net.score(sequence))).mean(1),
}


def recurrent(function):
    """A network whose function is given a sequence of three values."""
    parts = {"gru": nn.GRU(3, 3, batch_first=True), "rnn": nn.RNN(3, 3, batch_first=True), "cell": nn.LSTMCell(3, 3)}
    parts |= {"lstm": nn.LSTM(3, 3, batch_first=True, bidirectional=True), "score": nn.Linear(3, 3)}
    return Net(lambda net, x: function(net, net.conv(x).transpose(1, 2)), conv=conv(outputs=3), **parts).eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", LAST_GATES)
def test_gates_behind_the_last_weights_are_no_probabilities(name):
    for explainer in ("integrated_gradients", "occlusion"):
        found = {finding.name for finding in _checked(recurrent(LAST_GATES[name]), explainer)}
        assert not found & {"softmax", "sigmoid"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda net, sequence: net.gru(sequence)[1][-1].sigmoid(), "sigmoid"),
        (lambda net, sequence: net.gru(sequence)[1][-1].sigmoid_(), "sigmoid"),
        (lambda net, sequence: net.lstm(sequence)[0].mean(1)[:, :3].softmax(1), "softmax"),
        (lambda net, sequence: (net.score(sequence).softmax(1) * net.score(sequence).sigmoid()).sum(1), "softmax"),
        (lambda net, sequence: torch.cat([sequence[:, 0, :1], net.score(sequence).mean(1)[:, 1:].sigmoid()], 1), "sigmoid"),
    ],
)
def test_probabilities_behind_gates_are_some(function, expected):
    for explainer in ("integrated_gradients", "occlusion"):
        assert expected in {finding.name for finding in _checked(recurrent(function), explainer)}


def test_chance_that_no_operation_shows_is_warned_about():
    generator = np.random.default_rng(0)
    broken = Net(
        lambda net, x: net.head(net.relu(net.conv(x)).flatten(1)) * generator.uniform(), conv=conv(), relu=nn.ReLU(), head=head()
    )
    with pytest.warns(xaudio.XaudioWarning, match="non-deterministic"):
        explain(broken, "input_x_gradient")


def test_training_mode_of_what_is_no_module_of_its_own():
    broken = Net(
        lambda net, x: net.head(nn.functional.dropout(net.relu(net.conv(x)), 0.5, net.training).flatten(1)),
        conv=conv(),
        relu=nn.ReLU(),
        head=head(),
    )
    assert "training-mode" in names(broken.train(), "input_x_gradient")
    assert broken.training
    assert "training-mode" not in names(broken.eval(), "input_x_gradient")


@pytest.mark.parametrize("name", ["deep_lift", "integrated_gradients"])
def test_a_model_that_is_not_finite_on_the_baseline(name):
    broken = Net(
        lambda net, x: net.head(net.relu(net.conv(x / x.abs().amax((1, 2), keepdim=True))).flatten(1)),
        conv=conv(),
        relu=nn.ReLU(),
        head=head(),
    )
    found = [finding for finding in diagnose(broken.eval(), name).findings if finding.name == "not-finite"]
    assert found
    assert "another baseline" in found[0].remedy
    if name == "deep_lift":  # integrated_gradients comes close to the baseline, but not there
        with pytest.raises(xaudio.PluginError, match="itself is NaN for features of 0"):
            explain(broken, name)


def test_a_silent_recording_says_nothing():
    with pytest.raises(xaudio.AudioError, match="is silent"):
        diagnose(chain(conv(), nn.ReLU(), nn.Flatten(), head()).eval(), audio=np.zeros(SAMPLES, np.float32), sample_rate=8000)
