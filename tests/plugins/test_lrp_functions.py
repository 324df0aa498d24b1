"""The rules of the engine of functions: each against its closed form, and each one missed where it is dropped."""

import itertools
import threading

import numpy as np
import pytest
import torch
from computations import NETWORKS, Network, drawn
from textbook import textbook_rule
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from xaudio import ModelError, PluginError, create, explain, wrap
from xaudio_lrp import _functions, _functions_mode, _functions_recurrent
from xaudio_lrp._functions import _forward, explain_by_functions
from xaudio_lrp._plan import Method

GENERATOR = torch.Generator().manual_seed(3)
FEATURES = torch.randn(2, 4, 6, generator=GENERATOR, dtype=torch.float64)
A, B = (torch.randn(2, 4, 6, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
WEIGHT = torch.randn(4, 4, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.tensor([1, 0])


def method(rule="epsilon", **options):
    return Method(rule, rule, "", 1e-6, 0.25, None, None, absorb=True, strict=False, **options)


class Summed(nn.Module):
    """The sum of the cells of a function, weighed so that each has a gradient of its own, as the one answer."""

    def __init__(self, function):
        super().__init__()
        self.function = [function]

    def forward(self, features):
        values = self.function[0](features).flatten(1)
        return (values * torch.linspace(0.5, 1.5, values.shape[1], dtype=values.dtype)).sum(1, keepdim=True)


def relevance(function, features=FEATURES, **options):
    return explain_by_functions(Summed(function), features, None, method(**options)).relevance


def weighed(values):
    """Relevance of values at the end of `Summed`."""
    flat = values.flatten(1)
    return (flat * torch.linspace(0.5, 1.5, flat.shape[1], dtype=flat.dtype)).reshape(values.shape)


def identity(function):
    """Each cell has the relevance of what is made of it, less the value at 0."""
    return weighed(function(FEATURES) - function(torch.zeros_like(FEATURES)))


ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu written out": lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3))),
    "silu": functional.silu,
    "silu in place": lambda x: functional.silu(x.clone(), inplace=True),
    "silu written out": lambda x: x * torch.sigmoid(x),
    "quick gelu": lambda x: x * (1.702 * x).sigmoid(),
    "mish": functional.mish,
    "mish written out": lambda x: x * torch.tanh(functional.softplus(x)),
    "snake": lambda x: x + torch.sin(1.5 * x) ** 2 / 1.5,
    "snake by channel": lambda x: x + (1 / WEIGHT[0, :, None]) * torch.sin(WEIGHT[0, :, None] * x).pow(2),
    "hardswish": functional.hardswish,
    "hardswish written out": lambda x: x * functional.relu6(x + 3) / 6,
    "softsign written out": lambda x: x / (1 + x.abs()),
    "tanh": torch.tanh,
    "tanh in place": lambda x: x.clone().tanh_(),
    "elu": functional.elu,
    "elu module in place": nn.ELU(inplace=True),
    "selu": functional.selu,
    "leaky relu": functional.leaky_relu,
    "relu": torch.relu,
    "hardtanh": functional.hardtanh,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "exp": torch.exp,
    "cos": torch.cos,
    "square": lambda x: x**2,
    "product with itself": lambda x: x * x,
    "clamp": lambda x: x.clamp(-0.3, 0.4),
    "abs": torch.abs,
    "module of one's own": type("Own", (nn.Module,), {"forward": lambda self, x: x * torch.sigmoid(x) * 1.2 + 0.1 * x})(),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions_of_single_values_pass_relevance_on(name):
    torch.testing.assert_close(relevance(ACTIVATIONS[name]), identity(ACTIVATIONS[name]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "tanh", "softplus", "exp", "silu written out"])
def test_slopes_at_and_near_zero(name):
    """What is 0 has no relevance, but the inputs of a sum that is 0 have theirs."""
    function, shift = ACTIVATIONS[name], torch.tensor([0, 1e-12, -1e-9, 1e-5], dtype=torch.float64)
    features = torch.tensor([[[1.0, 2, 3, 4]]], dtype=torch.float64)
    found = relevance(lambda x: function(x - features + shift), features)
    around = torch.tensor([-1e-5, 1e-5], dtype=torch.float64)
    slope = (function(around)[1] - function(around)[0]) / 2e-5
    torch.testing.assert_close(found, weighed(slope * features), rtol=1e-4, atol=0)


def softmax(values):
    return values.softmax(-1)


def test_attention_through_values_holds_the_weights():
    scores = torch.einsum("bct,bcs->bts", FEATURES, FEATURES)
    found = relevance(lambda x: x @ softmax(x.transpose(1, 2) @ x).transpose(1, 2))
    outputs = FEATURES @ softmax(scores).transpose(1, 2)
    shares = torch.einsum("bcs,bts,bct->bcs", FEATURES, softmax(scores), weighed(outputs) / outputs)
    torch.testing.assert_close(found, shares)


def test_attnlrp_is_its_propositions():
    """Propositions 3.1 to 3.3 of Achtibat et al. 2024 one after the other, in relevance form."""
    query, key = (weight.T for weight in (WEIGHT, WEIGHT.flip(0)))
    x = FEATURES.transpose(1, 2)
    q, k, v = x @ query, x @ key, x
    scores = q @ k.transpose(1, 2) / 2
    weights = softmax(scores)
    outputs = weights @ v
    above = weighed(outputs)
    of_weights = torch.einsum("bts,bsc,btc->bts", weights, v, above / (2 * outputs))
    of_values = torch.einsum("bts,bsc,btc->bsc", weights, v, above / (2 * outputs))
    of_scores = scores * (of_weights - weights * of_weights.sum(-1, keepdim=True))
    of_query = torch.einsum("btc,bsc,bts->btc", q, k / 2, of_scores / (2 * scores))
    of_key = torch.einsum("btc,bsc,bts->bsc", q, k / 2, of_scores / (2 * scores))
    expected = of_values + x * ((of_query / q) @ query.T) + x * ((of_key / k) @ key.T)

    def attention(features, fused):
        x = features.transpose(1, 2)
        if fused:
            return functional.scaled_dot_product_attention(x @ query, x @ key, x)
        return softmax((x @ query) @ (x @ key).transpose(1, 2) / 2) @ x

    for fused in (False, True):
        found = relevance(lambda features, fused=fused: attention(features, fused), attention="attnlrp")
        torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
def test_multi_head_attention_is_what_it_is_made_of(fused):
    attention = drawn(nn.MultiheadAttention(4, 2, batch_first=True))
    weight, bias = attention.in_proj_weight, attention.in_proj_bias

    def written(x):
        q, k, v = (
            (x @ part.T + shift).unflatten(-1, (2, 2)).transpose(1, 2)
            for part, shift in zip(weight.chunk(3), bias.chunk(3), strict=True)
        )
        mixed = softmax(q @ k.transpose(-1, -2) / 2**0.5) @ v
        return attention.out_proj(mixed.transpose(1, 2).flatten(2))

    def module(x):
        return attention(x, x, x, need_weights=not fused)[0]

    for kind in ("value", "attnlrp"):
        expected, found = (relevance(lambda x, way=way: way(x.transpose(1, 2)), attention=kind) for way in (written, module))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_gate_has_nothing_and_its_signal_all():
    for gated in (
        lambda x: x * torch.sigmoid(x.flip(1)),
        lambda x: functional.glu(torch.cat([x, x.flip(1)], 1), 1),
        lambda x: x.mul(torch.sigmoid(x.flip(1))),
        lambda x: x * (1 - torch.sigmoid(-x.flip(1))),
        lambda x: x * torch.exp(-functional.softplus(-x.flip(1))),
        lambda x: x * (functional.relu6(x.flip(1) * 6 + 3) / 6 + torch.sigmoid(x.flip(0))),
    ):
        torch.testing.assert_close(relevance(gated), weighed(gated(FEATURES)), rtol=1e-9, atol=1e-12)


def test_products_have_equal_parts():
    product = FEATURES * FEATURES.flip(1)
    expected = weighed(product) / 2 + weighed(product).flip(1) / 2
    torch.testing.assert_close(relevance(lambda x: x * x.flip(1)), expected)
    gate = torch.sigmoid(FEATURES.flip(1))
    half = relevance(lambda x: x * torch.sigmoid(x.flip(1)), products="uniform")
    slope = (gate - 0.5) / FEATURES.flip(1)
    expected = weighed(FEATURES * gate) / 2 + (FEATURES.flip(1) * slope * weighed(FEATURES * gate) / gate / 2).flip(1)
    torch.testing.assert_close(half, expected, rtol=1e-9, atol=1e-12)


def spread_held(scale, dims):
    """Relevance of what a normalisation makes, its spread held: all of the mean as any sum."""
    weights = weighed(torch.ones_like(FEATURES)) * scale
    return FEATURES * (weights - weights.mean(dims, keepdim=True)) if dims else FEATURES * weights


NORMALISATIONS = {
    "layer norm": (
        lambda x: functional.layer_norm(x, (6,)),
        lambda: spread_held((FEATURES.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt(), (-1,)),
    ),
    "written out": (
        lambda x: (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + 1e-5),
        lambda: spread_held((FEATURES.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt(), (-1,)),
    ),
    "by rsqrt": (
        lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3),
        lambda: spread_held((FEATURES.square().mean(-1, keepdim=True) + 1e-3).rsqrt(), ()),
    ),
    "rms norm": (
        lambda x: functional.rms_norm(x, (6,), eps=1e-3),
        lambda: spread_held((FEATURES.square().mean(-1, keepdim=True) + 1e-3).rsqrt(), ()),
    ),
    "instance norm": (
        functional.instance_norm,
        lambda: spread_held((FEATURES.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt(), (-1,)),
    ),
    "group norm": (
        lambda x: functional.group_norm(x, 1),
        lambda: spread_held((FEATURES.var((1, 2), unbiased=False, keepdim=True) + 1e-5).rsqrt(), (1, 2)),
    ),
    "normalize": (lambda x: functional.normalize(x, dim=1), lambda: spread_held(1 / FEATURES.norm(dim=1, keepdim=True), ())),
}


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalisations_hold_their_spread(name):
    function, expected = NORMALISATIONS[name]
    torch.testing.assert_close(relevance(function), expected(), rtol=1e-9, atol=1e-12)


def test_standard_deviation_is_shared_by_the_squares():
    expected = FEATURES * (FEATURES - FEATURES.mean(2, keepdim=True)) / 5 / FEATURES.std(2, keepdim=True)
    weights = torch.linspace(0.5, 1.5, 4, dtype=torch.float64)[:, None]
    for spread in (
        lambda x: x.std(2),
        lambda x: x.var(2).sqrt(),
        lambda x: torch.sqrt(((x - x.mean(2, keepdim=True)) ** 2).sum(2) / 5),
    ):
        torch.testing.assert_close(relevance(spread), expected * weights, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent_layers_are_their_cells(kind):
    """By gates that are held, in a loop of gradients."""
    layer = drawn({"lstm": nn.LSTM, "gru": nn.GRU}[kind](4, 3, batch_first=True))
    sequence = FEATURES.transpose(1, 2).clone().requires_grad_()
    enters, recurs, first, second = (weight.detach() for weight in layer.all_weights[0])
    hidden, cell, outputs = torch.zeros(2, 3).double(), torch.zeros(2, 3).double(), []

    def passed(values):  # tanh as a product with what is held
        return values * (torch.tanh(values) / values).detach()

    for step in sequence.unbind(1):
        if kind == "lstm":
            entry, forget, signal, out = (step @ enters.T + first + hidden @ recurs.T + second).chunk(4, 1)
            cell = forget.sigmoid().detach() * cell + entry.sigmoid().detach() * passed(signal)
            hidden = out.sigmoid().detach() * passed(cell)
        else:
            reads, states = (step @ enters.T + first).chunk(3, 1), (hidden @ recurs.T + second).chunk(3, 1)
            reset, update = ((reads[place] + states[place]).sigmoid().detach() for place in range(2))
            hidden = (1 - update) * passed(reads[2] + reset * states[2]) + update * hidden
        outputs.append(hidden)
    value = weighed(torch.stack(outputs, 1)).sum()
    expected = (torch.autograd.grad(value, sequence)[0] * sequence).detach().transpose(1, 2)
    torch.testing.assert_close(relevance(lambda x: layer(x.transpose(1, 2))[0]), expected, rtol=1e-9, atol=1e-12)


def test_packed_sequences_are_their_recordings():
    layer = drawn(nn.LSTM(4, 3, 2, batch_first=True, bidirectional=True))
    lengths = torch.tensor([3, 6])

    def packed(x):
        sequence = nn.utils.rnn.pack_padded_sequence(x.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(layer(sequence)[0], batch_first=True)[0]

    found = relevance(packed)
    whole = relevance(lambda x: layer(x.transpose(1, 2))[0])
    torch.testing.assert_close(found[1], whole[1], rtol=1e-9, atol=1e-12)
    assert not found[0, :, 3:].any()
    assert found[0, :, :3].all()


LAYERS = {
    "lstm": lambda: nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True, proj_size=3),
    "lstm one way": lambda: nn.LSTM(4, 3, 2, batch_first=True),
    "lstm without biases": lambda: nn.LSTM(4, 3, bias=False, bidirectional=True),
    "gru": lambda: nn.GRU(4, 3, 2, batch_first=True, bidirectional=True),
    "gru without biases": lambda: nn.GRU(4, 3, bias=False),
    "tanh": lambda: nn.RNN(4, 3, batch_first=True, bidirectional=True),
    "relu": lambda: nn.RNN(4, 3, 2, nonlinearity="relu"),
}


@pytest.mark.parametrize("rule", ["epsilon", "gamma"])
@pytest.mark.parametrize("packed", [False, True], ids=["whole", "packed"])
@pytest.mark.parametrize("name", LAYERS)
def test_gates_that_are_held_are_the_steps_one_by_one(name, packed, rule, monkeypatch):
    """In one function, and by the rules of each sum and product; outputs and last states, from a state of the features."""

    def forward(network, x):
        layer, sequence = network.layer, x.transpose(1, 2)
        if packed:
            sequence = nn.utils.rnn.pack_padded_sequence(sequence, torch.tensor([3, 6]), batch_first=True, enforce_sorted=False)
        else:
            sequence = sequence if layer.batch_first else sequence.transpose(0, 1)
        rows = layer.num_layers * (2 if layer.bidirectional else 1)
        begin = [x[:, :size, :1].permute(2, 0, 1).repeat(rows, 1, 1) for size in (layer.proj_size or 3, layer.hidden_size)]
        if isinstance(layer, nn.LSTM):
            begin[1] = begin[1].new_full((rows, len(x), layer.hidden_size), 0.3)
        outputs, last = layer(sequence, tuple(begin) if isinstance(layer, nn.LSTM) else begin[0])
        outputs = nn.utils.rnn.pad_packed_sequence(outputs)[0] if packed else outputs
        outputs = outputs.transpose(0, 1) if packed or not layer.batch_first else outputs
        states = last if isinstance(last, tuple) else (last,)
        return torch.cat([outputs.flatten(1), *(part.transpose(0, 1).flatten(1) for part in states)], 1)

    network = everything(forward)
    network.layer = LAYERS[name]()
    drawn(network)
    together = explain_by_functions(network, FEATURES, None, method(rule))
    assert abs(float(together.residual)) <= 1e-10 * float(together.total.abs().sum())
    monkeypatch.setattr(_functions_recurrent, "are_held", lambda mode, weights: False)
    by_steps = explain_by_functions(network, FEATURES, None, method(rule))
    torch.testing.assert_close(together.relevance, by_steps.relevance, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(together.constants, by_steps.constants, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(together.total, by_steps.total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rule", ["epsilon", "gamma"])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_steps_with_gates_held_need_no_functions_that_are_watched(layer, rule, monkeypatch):
    counts = []
    watched = _functions_mode.Rules.__torch_function__

    def counted(mode, *given, **more):
        counts[-1] += 1
        return watched(mode, *given, **more)

    monkeypatch.setattr(_functions_mode.Rules, "__torch_function__", counted)
    network = Network(lambda net, x: net.out(net.layer(x.transpose(1, 2))[0][:, -1]), layer=layer(4, 3, batch_first=True))
    network.out = nn.Linear(3, 2)
    for steps in (3, 30):
        counts.append(0)
        explain_by_functions(drawn(network), torch.randn(1, 4, steps, dtype=torch.float64), None, method(rule))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_outputs_and_states_of_recurrent_layers_may_be_written_to(layer, both_ways):
    recurrent = drawn(layer(4, 3, batch_first=True, bidirectional=both_ways))

    def both(x):
        outputs, last = recurrent(x.transpose(1, 2))
        return outputs, (last[0] if isinstance(last, tuple) else last).transpose(0, 1)

    def in_place(x):
        outputs, last = both(x)
        outputs.mul_(2)
        functional.relu(last, inplace=True)
        outputs[:, 0] = 0.3
        return torch.cat([outputs.flatten(1), last.flatten(1)], 1)

    def out_of_place(x):
        outputs, last = both(x)
        first = torch.full_like(outputs[:, :1], 0.3)
        return torch.cat([first.flatten(1), 2 * outputs[:, 1:].flatten(1), functional.relu(last).flatten(1)], 1)

    torch.testing.assert_close(relevance(in_place), relevance(out_of_place), rtol=1e-9, atol=1e-12)


# Layers as functions, and under the rules that change weights


@pytest.mark.parametrize(
    "composite", ["epsilon", "epsilon_plus", "epsilon_alpha2_beta1", "gamma", "epsilon_plus_flat", "epsilon_gamma_box"]
)
def test_functions_have_the_rules_of_modules(composite):
    first, second, out = drawn(nn.Sequential(nn.Conv1d(4, 5, 3, 2, 2), nn.ConvTranspose1d(5, 4, 3, 2, 1, 1), nn.Linear(4 * 8, 3)))

    def functions(network, x):
        hidden = functional.silu(functional.conv1d(x, first.weight, first.bias, stride=2, padding=2))
        hidden = functional.conv_transpose1d(hidden, second.weight, second.bias, 2, 1, output_padding=1)
        return functional.linear(torch.tanh(hidden).flatten(1), out.weight, out.bias)

    modules = nn.Sequential(first, nn.SiLU(), second, nn.Tanh(), nn.Flatten(), out).eval()
    options = {"low": -4.0, "high": 4.0} if composite.endswith("box") else {}
    found = create("explainer", "lrp", composite=composite, engine="functions", epsilon=1.0000001e-6, **options)
    expected = create("explainer", "lrp", composite=composite, engine="zennit", **options)(modules, FEATURES, TARGET)
    for network in (modules, Network(functions)):
        torch.testing.assert_close(found(network, FEATURES, TARGET), expected, rtol=1e-5, atol=1e-9)


def test_a_normalisation_is_merged_wherever_it_is_called():
    """Also one that is used twice, as a function, behind a convolution that something else reads as well."""
    conv, norm, out = drawn(nn.ModuleList([nn.Conv1d(4, 4, 3, padding=1), nn.BatchNorm1d(4), nn.Linear(24, 3)]))
    factor = norm.weight * (norm.running_var + norm.eps) ** -0.5
    folded = nn.Conv1d(4, 4, 3, padding=1).double()
    folded.weight.data = conv.weight * factor[:, None, None]
    folded.bias.data = (conv.bias - norm.running_mean) * factor + norm.bias

    def forward(network, x):
        hidden = conv(norm(conv(x)).relu())
        return out((norm(hidden).relu() + hidden).flatten(1))

    def merged(network, x):
        hidden = folded(x).relu()
        return out((folded(hidden).relu() + conv(hidden)).flatten(1))

    for composite in ("epsilon_plus", "gamma"):
        lrp = create("explainer", "lrp", composite=composite, engine="functions")
        networks = (Network(way, conv=conv, norm=norm, out=out).eval() for way in (forward, merged))
        found, expected = (lrp(network, FEATURES, TARGET) for network in networks)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_ignored_biases_have_no_share():
    network = Network(
        lambda net, x: net.out((net.conv(x) + x).flatten(1)), conv=nn.Conv1d(4, 4, 3, padding=1), out=nn.Linear(24, 3)
    )
    lrp = create("explainer", "lrp", composite="epsilon", bias="ignore", engine="functions")
    answers = drawn(network)(FEATURES).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(lrp(network, FEATURES, TARGET).sum((1, 2)), answers, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "layer", [nn.Linear, lambda *sizes: nn.Sequential(nn.Unflatten(1, (2, 1)), nn.Conv1d(*sizes, 1), nn.Flatten())]
)
@pytest.mark.parametrize("against", [-0.5, -1.25, -1.25 - 1e-6, -2.0])
def test_gamma_without_the_bias_divides_by_what_may_have_another_sign_than_the_output(layer, against):
    """What speaks for an output is weighed by 1.25 here, so that what it is divided by is about 0 or below it."""
    network = layer(2, 1).double()
    weighted = next(module for module in network.modules() if hasattr(module, "weight"))
    weighted.weight.data = torch.tensor([1.0, against], dtype=torch.float64).reshape(weighted.weight.shape)
    weighted.bias.data.fill_(3.0)
    features = torch.ones(1, 2, dtype=torch.float64)
    found = explain_by_functions(network.eval(), features, None, method("gamma")._replace(absorb=False))
    expected = textbook_rule("gamma", [[1.0, against]], [3.0], np.ones(2), [4.0 + against], absorb=False)
    np.testing.assert_allclose(found.relevance[0], expected, rtol=1e-6)
    assert abs(float(found.residual)) <= 1e-9 * np.abs(expected).max()


@pytest.fixture
def runs(monkeypatch):
    """One for each pass forward; the second one of an explanation keeps copies of all."""
    made, forward = [], _functions._forward
    monkeypatch.setattr(_functions, "_forward", lambda *given, **more: (made.append(1), forward(*given, **more))[1])
    return made


@pytest.mark.parametrize("rule", ["gamma", "plus", "epsilon"])
@pytest.mark.parametrize("place", ["activation before", "activation behind", "outputs before", "outputs behind", "inputs"])
def test_layers_may_be_written_to_though_they_are_computed_again(place, rule, runs):
    """Inputs that are an activation, and outputs: on the way back they are what they were when the layer read or gave them."""
    first, second, third = drawn(nn.ModuleList([nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)]))

    def written(x, write):
        x = x * 1.5
        hidden = first(x)
        activated = functional.gelu(hidden)
        if place == "activation before":
            activated = write(activated)
        outputs = second(activated)
        if place == "outputs before":
            outputs = write(outputs)
        answers = third(functional.silu(outputs))
        later = {"activation behind": activated, "outputs behind": outputs, "inputs": x}.get(place)
        return answers.sum((1, 2)) + (0 if later is None else write(later).sum((1, 2)))

    in_place = relevance(lambda x: written(x, lambda values: values.mul_(1.5))[:, None], rule=rule)
    assert len(runs) == 1 or place in ("outputs behind", "inputs")
    out_of_place = relevance(lambda x: written(x, lambda values: values * 1.5)[:, None], rule=rule)
    torch.testing.assert_close(in_place, out_of_place, rtol=1e-9, atol=1e-12)


def _padded(values):
    with torch.no_grad():
        values[..., 4:] = 0.5
    return values


def _beside(values):
    """The same in a tensor of its own, with the same gradient."""
    padded = _padded(values.detach().clone())
    return values + (padded - values).detach()


@pytest.mark.parametrize("rule", ["gamma", "plus", "epsilon"])
@pytest.mark.parametrize("place", ["before", "between", "dropout"])
def test_what_is_written_without_a_gradient_is_not_what_the_layer_gave(place, rule):
    """Whether an activation has read the outputs of the layer before or not."""
    first, last = drawn(nn.ModuleList([nn.Linear(6, 8), nn.Linear(8, 3)]))

    def written(x, write):
        outputs = first(x)
        whole = functional.silu(outputs) if place == "between" else 0
        if place == "dropout":
            outputs = functional.dropout(outputs, training=False, inplace=True)
        return last(functional.gelu(write(outputs)) + whole).sum((1, 2))[:, None]

    in_place, beside = (relevance(lambda x, write=write: written(x, write), rule=rule) for write in (_padded, _beside))
    torch.testing.assert_close(in_place, beside, rtol=1e-9, atol=1e-12)


# What is the answer


@pytest.mark.parametrize(
    "squash",
    [
        torch.sigmoid,
        lambda x: x.softmax(1),
        lambda x: x.log_softmax(-1),
        lambda x: x.softmax(1).log(),
        lambda x: x.softmax(1)[:, :, None].squeeze(2),
    ],
)
def test_probabilities_are_explained_by_their_logits(squash):
    network = Network(lambda net, x: net.out(functional.gelu(x).flatten(1)), out=nn.Linear(24, 3))
    squashed = Network(lambda net, x: squash(net.inner(x)), inner=drawn(network))
    squashed.inner.out.weight.data *= 50  # saturated: its own gradient is 0
    lrp = create("explainer", "lrp", engine="functions")
    torch.testing.assert_close(lrp(squashed, FEATURES, TARGET), lrp(network, FEATURES, TARGET), rtol=0, atol=0)


def test_what_has_no_rule_is_named_with_where_to_cut():
    network = drawn(Network(lambda net, x: net.out((x**2 + 1e-3).log().flatten(1)), out=nn.Linear(24, 3)))
    with pytest.raises(
        ModelError, match=r"^lrp: 'log' in the forward of Network has no rule .* log-mel .* strict=false"
    ) as caught:
        create("explainer", "lrp")(network, FEATURES, TARGET)
    assert "\n" not in str(caught.value)
    assert bool(create("explainer", "lrp", strict=False)(network, FEATURES, TARGET).isfinite().all())


def test_what_cannot_be_seen_is_refused_where_it_multiplies_relevance():
    class Cubed(torch.autograd.Function):
        """A function with a derivative of its own, which no mode sees."""

        @staticmethod
        def forward(context, values):
            context.save_for_backward(values)
            return values**3

        @staticmethod
        def backward(context, gradient):
            return gradient * context.saved_tensors[0] ** 2 * 300

    network = drawn(Network(lambda net, x: net.out(Cubed.apply(x).flatten(1)), out=nn.Linear(24, 3)))
    with pytest.raises(ModelError, match=r"operations that have no rule make .* strict=false"):
        create("explainer", "lrp")(network, FEATURES, TARGET)


@pytest.mark.parametrize(
    "forward", [lambda net, x: net.out(x.flatten(1).detach()), lambda net, x: torch.sigmoid(net.out(x.flatten(1))) > 0]
)
def test_what_is_cut_off_is_refused(forward):
    with pytest.raises(ModelError, match="nothing of the answer comes from the features"):
        create("explainer", "lrp", engine="functions")(drawn(Network(forward, out=nn.Linear(24, 3))), FEATURES, TARGET)


@pytest.mark.parametrize("engine", ["functions", "auto", "zennit"])
def test_an_answer_that_is_no_number_is_named_with_where_it_arises(engine):
    network = drawn(nn.Sequential(nn.Conv1d(4, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(30, 3)))
    lrp = create("explainer", "lrp", engine=engine)
    assert bool(lrp(network, FEATURES, TARGET).isfinite().all())
    beside = FEATURES.clone()
    beside[1, 0, 0] = float("inf")
    with pytest.raises(ModelError, match=r"^lrp: the model's answer is (NaN|infinite) \(recording 2 of 2\) .* features already"):
        lrp(network, beside, TARGET)
    network[3].bias.data[1] = float("nan")
    with pytest.raises(
        ModelError, match=r"answer is NaN \(recording 1 of 2\) .* output of 3 \(Linear\) .* its bias holds"
    ) as caught:
        lrp(network, FEATURES, TARGET)
    assert "\n" not in str(caught.value)


def test_an_answer_that_the_forward_makes_infinite_is_named_so():
    network = drawn(Network(lambda net, x: net.out(x.flatten(1)) / x.sum().mul(0), out=nn.Linear(24, 3)))
    with pytest.raises(ModelError, match=r"answer is infinite .* what the forward of Network makes .* division by 0"):
        create("explainer", "lrp", engine="functions", strict=False)(network, FEATURES, TARGET)


def test_relevance_that_is_no_number_is_not_called_a_share():
    class Steep(torch.autograd.Function):
        """A function whose derivative is infinite."""

        @staticmethod
        def forward(context, values):
            return values.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient * float("inf")

    network = drawn(Network(lambda net, x: net.out(Steep.apply(x).flatten(1)), out=nn.Linear(24, 3)))
    with pytest.raises(ModelError, match="the answer is a number, but what it is made of is not"):
        create("explainer", "lrp", engine="functions")(network, FEATURES, TARGET)


def test_weights_of_others_are_constants():
    """Also those that a model holds in a list, or takes from outside, and that somebody trains."""
    outside = torch.randn(24, 3, dtype=torch.float64, requires_grad=True)
    lrp = create("explainer", "lrp", engine="functions")
    for weights in ([outside], [outside.detach()]):
        network = Network(lambda net, x, weights=weights: torch.relu(x.flatten(1)) @ (weights[0] * 2))
        expected = FEATURES.relu() * (2 * outside.detach()).T[TARGET].reshape(2, 4, 6)
        torch.testing.assert_close(lrp(network, FEATURES, TARGET), expected)
    assert outside.grad is None


# Every rule is needed


ALL = {
    "gelu": lambda net, x: functional.gelu(x),
    "silu": lambda net, x: functional.silu(x),
    "tanh": lambda net, x: torch.tanh(x),
    "sigmoid": lambda net, x: torch.sigmoid(x),
    "pow": lambda net, x: x**2,
    "sqrt": lambda net, x: (x.abs() + 1).sqrt(),
    "exp": lambda net, x: torch.exp(x),
    "softplus": lambda net, x: functional.softplus(x),
    "clamp": lambda net, x: x.clamp(-0.3, 0.4),
    "add": lambda net, x: x + net.shift,
    "sub": lambda net, x: x - 0.3,
    "__rsub__": lambda net, x: 1 - x,
    "cat": lambda net, x: torch.cat([x, net.shift.expand(2, -1, -1)], 1),
    "stack": lambda net, x: torch.stack([x, net.shift.expand_as(x)]).sum(0),
    "where": lambda net, x: torch.where(x > 0, x, net.shift),
    "masked_fill": lambda net, x: x.masked_fill(x > 0.5, 0.3),
    "__setitem__": "written",
    "maximum": lambda net, x: torch.maximum(x, net.shift),
    "mul": lambda net, x: x * x.flip(1),
    "matmul": lambda net, x: x @ x.transpose(1, 2),
    "bmm": lambda net, x: torch.bmm(x, x.transpose(1, 2)),
    "einsum": lambda net, x: torch.einsum("bct,bdt->bcd", x, x),
    "div": lambda net, x: x / (1 + x.flip(1).abs()),
    "rsqrt": lambda net, x: x.flip(1) * torch.rsqrt(x**2 + 1),
    "reciprocal": lambda net, x: x.flip(1) * torch.reciprocal(x**2 + 1),
    "__rdiv__": lambda net, x: x.flip(1) * (1 / (x**2 + 1)),
    "softmax": lambda net, x: x.flip(1) * torch.softmax(x, 1),
    "log_softmax": lambda net, x: torch.log_softmax(x, 1).relu() + 1 * torch.log_softmax(x, 2),
    "logsumexp": lambda net, x: torch.logsumexp(x, 1),
    "scaled_dot_product_attention": lambda net, x: functional.scaled_dot_product_attention(x, x, x),
    "multi_head_attention_forward": lambda net, x: net.attention(*[x.transpose(1, 2)] * 3)[0],
    "glu": lambda net, x: functional.glu(x, 1),
    "prod": lambda net, x: x.prod(1),
    "pad": lambda net, x: functional.pad(x, (1, 1), value=0.7),
    "addmm": lambda net, x: torch.addmm(net.shift[0], x.flatten(0, 1), x[0].T @ x[0]),
    "addcmul": lambda net, x: torch.addcmul(net.shift, x, x.flip(1)),
    "lerp": lambda net, x: torch.lerp(x, net.shift, 0.3),
    "bilinear": lambda net, x: functional.bilinear(x, x, net.cube, net.shift[0, :3]),
    "cosine_similarity": lambda net, x: functional.cosine_similarity(x, x.flip(1) + 1, 1),
    "normalize": lambda net, x: functional.normalize(x, dim=1),
    "local_response_norm": lambda net, x: functional.local_response_norm(x, 2, alpha=2.0),
    "layer_norm": lambda net, x: functional.layer_norm(x, (6,), net.shift[0] + 1, net.shift[0]),
    "rms_norm": lambda net, x: functional.rms_norm(x, (6,), net.shift[0] + 1),
    "group_norm": lambda net, x: functional.group_norm(x, 2, net.shift[0, :4], net.shift[0, 2:]),
    "instance_norm": lambda net, x: functional.instance_norm(x) * 2 + functional.instance_norm(x.transpose(1, 2)).transpose(1, 2),
    "batch_norm": lambda net, x: net.norm(x),
    "var": lambda net, x: x.var(2),
    "linear": lambda net, x: functional.linear(x, net.shift[:1].expand(3, -1, -1)[:, 0], net.shift[0, :3]),
    "conv1d": lambda net, x: net.conv(x),
    "conv_transpose1d": lambda net, x: net.back(x),
    "lstm": lambda net, x: net.lstm(x.transpose(1, 2))[0],
    "gru": lambda net, x: net.gru(x.transpose(1, 2))[0],
    "rnn_tanh": lambda net, x: net.rnn(x.transpose(1, 2))[0],
    "lstm_cell": lambda net, x: torch.stack(net.lstm_cell(x[:, :, 0])),
    "gru_cell": lambda net, x: net.gru_cell(x[:, :, 0], x[:, :3, 1]),
    "cdist": lambda net, x: torch.cdist(x, net.shift[None], 2.0),
}


def written(net, x):
    values = x * 1
    values[x > 0.5] = 0.3
    return values


def everything(function):
    def forward(net, x):
        values = function(net, x)
        flat = values.transpose(0, 1).flatten(1) if len(values) != len(x) else values.flatten(1)
        return (flat * torch.linspace(0.5, 1.5, flat.shape[1], dtype=flat.dtype)).sum(1, keepdim=True)

    return Network(
        forward, attention=nn.MultiheadAttention(4, 2, batch_first=True), norm=nn.BatchNorm1d(4), conv=nn.Conv1d(4, 4, 3),
        back=nn.ConvTranspose1d(4, 4, 3), lstm=nn.LSTM(4, 3, batch_first=True), gru=nn.GRU(4, 3, batch_first=True),
        rnn=nn.RNN(4, 3, batch_first=True), lstm_cell=nn.LSTMCell(4, 3), gru_cell=nn.GRUCell(4, 3),
    )  # fmt: skip


def network_of(name):
    network = everything(written if ALL[name] == "written" else ALL[name])
    network.shift, network.cube = nn.Parameter(torch.zeros(4, 6)), nn.Parameter(torch.zeros(3, 6, 6))
    return drawn(network)


@pytest.mark.parametrize("name", ALL)
def test_a_rule_that_is_dropped_is_missed(name, monkeypatch):
    network = network_of(name)
    with_rule = explain_by_functions(network, FEATURES, None, method())
    size = float(with_rule.total.abs().sum())
    assert abs(float(with_rule.residual)) <= 1e-10 * size
    monkeypatch.delitem(_functions_mode.HANDLERS, name)
    try:
        without = explain_by_functions(network, FEATURES, None, method())
    except ModelError:  # what it is made of cannot be seen any more
        return
    assert abs(float(without.residual)) > 1e-3 * size


def test_each_handler_has_a_test_or_a_sibling_that_has():
    tested = {_functions_mode.HANDLERS[name] for name in ALL}
    copies = {_functions_mode.HANDLERS[name] for name in ("reshape", "dropout", "log", "relu")}
    assert set(_functions_mode.HANDLERS.values()) - tested - copies == set()


def test_dropout_is_nothing_in_evaluation_mode():
    """Also of a gate, in place, and as the last step behind a probability."""

    def answers(network, x, dropped):
        signal, gate = dropped(functional.linear(x, WEIGHT[:, :1].expand(4, 6))), dropped(torch.sigmoid(x[:, :, :4]))
        return dropped(torch.sigmoid((signal * gate).flatten(1)))

    def dropped(values):
        return functional.dropout(
            functional.dropout1d(torch.dropout(values, 0.5, False), 0.5, False), training=False, inplace=True
        )

    found, expected = (
        create("explainer", "lrp", composite="epsilon", engine="functions")(Network(forward), FEATURES, TARGET)
        for forward in (lambda net, x: answers(net, x, dropped), lambda net, x: answers(net, x, lambda values: values))
    )
    assert torch.equal(found, expected)


# The engine


def test_leaves_nothing_behind():
    network = drawn(NETWORKS["gates, powers and recurrence"]())
    features = torch.randn(2, 1, 20, 40, dtype=torch.float64)
    before = {name: (tensor, tensor.clone(), tensor.requires_grad) for name, tensor in network.state_dict(keep_vars=True).items()}
    values = features.clone()
    create("explainer", "lrp", composite="gamma")(network, features, torch.tensor([0, 1]))
    after = network.state_dict(keep_vars=True)
    for name, (tensor, copy, wanted) in before.items():
        assert after[name] is tensor
        assert torch.equal(tensor, copy)
        assert tensor.requires_grad == wanted
        assert tensor.grad is None
    assert torch.equal(features, values)
    assert not any(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks for module in network.modules())


def most_memory(run):
    """Bytes of tensors that a function has at once at most."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


@pytest.mark.slow
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_gamma"])
@pytest.mark.parametrize("kind", ["normalised", "gelu"])
def test_needs_hardly_more_memory_than_the_gradient(kind, composite):
    def block(begin):
        after = nn.BatchNorm1d(24) if kind == "normalised" else nn.Identity()
        return [nn.Conv1d(begin, 24, 3, padding=1), after, nn.ReLU() if kind == "normalised" else nn.GELU()]

    layers = [layer for begin in (1, *[24] * 9) for layer in block(begin)]  # of some layers, as what one needs meanwhile counts
    network = drawn(Network(lambda net, x: net.out(net.layers(x).mean(2)), layers=nn.Sequential(*layers), out=nn.Linear(24, 3)))
    assert_little_memory(network, torch.randn(8, 1, 2000), composite)


def assert_little_memory(network, features, composite):
    network.eval().float().requires_grad_(False)
    lrp = create("explainer", "lrp", engine="functions", composite=composite)
    target = torch.zeros(len(features), dtype=torch.int64)

    def gradient():
        leaf = features.clone().requires_grad_()
        return torch.autograd.grad(network(leaf)[:, 0].sum(), leaf)

    lrp(network, features, target)
    assert most_memory(lambda: lrp(network, features, target)) <= 1.2 * most_memory(gradient)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_needs_hardly_more_memory_than_the_gradient_with_gamma_in_linear_maps(kind):
    def transformer(net, x):
        return net.out(net.encoder(x).mean(1))

    layer = nn.TransformerEncoderLayer(64, 4, 256, activation="gelu", batch_first=True, norm_first=True)
    network = Network(transformer, encoder=nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), out=nn.Linear(64, 3))
    if kind == "gru":
        recurrent = nn.GRU(64, 32, 2, batch_first=True, bidirectional=True)
        network = Network(lambda net, x: net.out(net.gru(x)[0].mean(1)), gru=recurrent, out=nn.Linear(64, 3))
    assert_little_memory(drawn(network), torch.randn(16, 50, 64), "gamma")


@pytest.mark.parametrize("again", [False, True])
def test_keeps_nothing_behind_the_last_way_back(again):
    network = drawn(
        Network(lambda net, x: net.out(functional.gelu(net.first(x)).flatten(1)), first=nn.Conv1d(4, 4, 1), out=nn.Linear(24, 3))
    )
    forward = _forward(network, FEATURES, method("gamma"))
    forward.back(TARGET, again=again)
    nodes, kept = [forward.answers.grad_fn], []
    for node in nodes:
        nodes += [before for before, _ in node.next_functions if before is not None and before not in nodes]
        kept += [value for name in ("kept", "back") if (value := getattr(node, name, None)) is not None]
    assert bool(kept) == again


def products_of(run, *kinds):
    """How many products of those kinds a function computes."""

    class Counted(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            counts.append(func.overloadpacket in kinds)
            return func(*args, **(kwargs or {}))

    counts = []
    with Counted():
        run()
    return sum(counts)


@pytest.mark.parametrize(("composite", "products"), [("epsilon", 2), ("epsilon_gamma", 4), ("epsilon_plus", 5)])
def test_products_of_a_layer_with_inputs_of_both_signs(composite, products):
    """That many of a depthwise convolution are computed, forward and back; two are those of the gradient."""
    network = Network(
        lambda net, x: net.out(net.depthwise(x).mean(2)), depthwise=nn.Conv1d(4, 4, 3, groups=4), out=nn.Linear(4, 3)
    )
    lrp = create("explainer", "lrp", engine="functions", composite=composite)
    lrp(drawn(network), FEATURES, TARGET)
    kinds = torch.ops.aten.convolution, torch.ops.aten.convolution_backward
    assert products_of(lambda: lrp(network, FEATURES, TARGET), *kinds) == products


def test_outputs_that_an_activation_keeps_are_not_computed_again():
    layer = drawn(nn.Linear(6, 8))
    alone, activated = (
        products_of(
            lambda function=function: relevance(lambda x: function(layer(x)), rule="gamma"),
            torch.ops.aten.mm,
            torch.ops.aten.addmm,
        )
        for function in (torch.neg, functional.gelu)
    )
    assert activated == alone - 1 > 0


@pytest.mark.slow
def test_threads_do_not_meet():
    network, features = drawn(NETWORKS["efficientnet"]()), torch.randn(4, 1, 20, 40, dtype=torch.float64)
    lrp = create("explainer", "lrp", composite="epsilon_plus")
    expected = lrp(network, features, torch.tensor([0, 1, 2, 3]))
    found = {}

    def explain(row):
        found[row] = lrp(network, features[row : row + 1], torch.tensor([row]))

    threads = [threading.Thread(target=explain, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        network(features)  # others go on to use it, and see nothing of the rules
    for thread in threads:
        thread.join()
    for row in range(4):
        torch.testing.assert_close(found[row][0], expected[row])


@pytest.mark.slow
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "gamma"])
@pytest.mark.parametrize("name", ["resnet18", "ecapa", "transformer"])
def test_channels_of_a_layer_add_up(name, composite):
    network, features = drawn(NETWORKS[name]()), torch.randn(2, 1, 20, 40, dtype=torch.float64)
    layer = {"resnet18": "4.body.0", "ecapa": "first", "transformer": "encoder.layers.0.linear1"}[name]
    lrp = create("explainer", "lrp", composite=composite)
    target = torch.tensor([0, 1])
    relevance, through = lrp.conditional(network, features, target, layer)
    whole, one = through(torch.ones(())), relevance.new_zeros(relevance.shape[1:])
    one[:2] = 1
    parts = [through(mask) for mask in (one, 1 - one)]
    torch.testing.assert_close(sum(parts), whole, rtol=1e-9, atol=1e-12)
    by_option = create("explainer", "lrp", composite=composite, layer=layer, channels=(0, 1))(network, features, target)
    torch.testing.assert_close(by_option, parts[0], rtol=1e-9, atol=1e-12)


def test_channels_of_a_chain_are_those_of_the_fast_engine():
    """Also where a normalisation is merged into the layer."""
    chain = nn.Sequential(
        nn.Conv1d(4, 5, 3), nn.BatchNorm1d(5), nn.ReLU(), nn.Conv1d(5, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)
    )
    chain = drawn(chain)
    for composite in ("epsilon_plus", "gamma"):
        fast, functions = (
            create("explainer", "lrp", composite=composite, engine=engine).conditional(chain, FEATURES, TARGET, "0")
            for engine in ("fast", "functions")
        )
        torch.testing.assert_close(functions.relevance, fast.relevance, rtol=1e-3, atol=1e-6)
        mask = torch.tensor([1.0, 0, 1, 0, 0], dtype=torch.float64)[:, None]
        torch.testing.assert_close(functions.through(mask), fast.through(mask), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "transformer"])
def test_constants_are_told_for_each_recording(name):
    network, features = drawn(NETWORKS[name]()), torch.randn(3, 1, 20, 40, dtype=torch.float64)
    lrp = create("explainer", "lrp", composite="epsilon", constants=True)
    target, answers = torch.tensor([0, 1, 2]), network(features).detach()
    expected = lrp.expected_sum(network, features, target, answers)
    torch.testing.assert_close(lrp(network, features, target).sum((1, 2, 3)), expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(expected, answers.gather(1, target[:, None])[:, 0], rtol=0.1)
    assert not hasattr(create("explainer", "lrp", composite="epsilon"), "expected_sum")


@pytest.mark.parametrize("engine", ["fast", "functions"])
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus"])
def test_lower_precision_is_asked_for_and_keeps_the_order_of_most_cells(engine, composite):
    chain = nn.Sequential(nn.Conv1d(4, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 16, 3), nn.ReLU(), nn.Flatten())
    network = drawn(nn.Sequential(chain, nn.Linear(16 * 78, 3))).float()
    features = torch.randn(3, 4, 80, generator=torch.Generator().manual_seed(1))
    exact, rough = (
        create("explainer", "lrp", composite=composite, engine=engine, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    target = torch.tensor([0, 1, 2])
    expected, found = exact(network, features, target), rough(network, features, target)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    for one, other in zip(found, expected, strict=True):
        ranks = torch.stack([values.flatten().argsort().argsort().double() for values in (one, other)])
        assert torch.corrcoef(ranks)[0, 1] > 0.95
    logits = rough.with_logits(network, features, None)[1]
    assert torch.equal(logits, network(features).detach())
    assert "sums-to-logit" in exact.promises - rough.promises


def test_lower_precision_is_not_for_everything():
    with pytest.raises(PluginError, match="engine=zennit computes in the model's precision"):
        create("explainer", "lrp", engine="zennit", precision="bfloat16")
    network = drawn(nn.Sequential(nn.Conv1d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3)))
    with pytest.raises(PluginError, match="precision=float32"):
        create("explainer", "lrp", precision="bfloat16", layer="0", channels=(1,))(network, FEATURES, TARGET)


def test_the_title_says_when_most_of_the_logit_lies_in_constants():
    network = nn.Sequential(nn.Linear(800, 6), nn.GELU(), nn.Unflatten(1, (6, 1)), nn.Flatten(), nn.Linear(6, 2)).eval()
    model = wrap(network, sample_rate=8000, samples=800, classes=("a", "b"))
    sound = torch.randn(800, generator=torch.Generator().manual_seed(2)).numpy()
    titles = []
    for bias in (0.0, 1000.0):
        network[-1].bias.data.fill_(bias)
        one = explain(
            model, sound, sample_rate=8000, target="a", explainer="lrp:composite=epsilon,constants=true,engine=functions"
        )
        titles.append(one.title())
        without = explain(model, sound, sample_rate=8000, target="a", explainer="lrp:engine=functions")
        assert "in constants" not in without.title()
    assert "100% of the logit lies in constants" in titles[1]
    assert "100%" not in titles[0]
