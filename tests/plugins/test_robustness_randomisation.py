"""Model randomisation against single recordings, scipy and Quantus; its layers; and that the model is left alone."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

import xaudio
import xaudio_robustness._given
from xaudio import Clip, Model, ModelError, create
from xaudio.sound.domains import Time
from xaudio_robustness import _randomisation
from xaudio_robustness._ranks import rank_correlation, ranks

RATE, SAMPLES, CLASSES = 8000, 96, ("a", "b", "c")


def model_of(network, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return Model(network.eval(), Time(RATE, SAMPLES), CLASSES, "toy")


def convolutions():
    layers = [nn.Conv1d(1, 4, 9, stride=3), nn.ReLU(), nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(78, 3)]
    return model_of(nn.Sequential(*layers))


def clips(padding=20):
    rng = np.random.default_rng(1)
    sounds = [rng.uniform(-1, 1, SAMPLES).astype(np.float32) for _ in range(3)]
    for sound in sounds[1:]:
        sound[SAMPLES - padding :] = 0
    return [Clip(sound, RATE, source=f"{index}.wav") for index, sound in enumerate(sounds)]


def explained(model, explainer="input_x_gradient", padding=20, **options):
    return xaudio.explain(model, clips(padding), explainer=explainer, device="cpu", **options)


def measure(model, items, **options):
    metric = create("metric", "model_randomisation", **options)
    (result,) = metric(model, items).items()
    assert dict(metric.better) == {result[0]: "lower"}
    return result[1]


def by(monkeypatch, method):
    monkeypatch.setattr(xaudio_robustness._given, "explainer_of", lambda explanation: method)


ORDERS = ("cascading", "independent")


# Ranks


@pytest.mark.slow
@settings(max_examples=50)
@given(
    arrays.arrays(np.float32, (2, 9), elements=st.integers(-3, 3)),
    arrays.arrays(np.float32, (2, 9), elements=st.integers(-3, 3)),
    arrays.arrays(np.bool_, (2, 9)),
)
def test_ranks_and_their_correlation_against_scipy(first, second, counted):
    mask = torch.from_numpy(counted)
    found = [ranks(torch.from_numpy(values), mask) for values in (first, second)]
    correlation = rank_correlation(*found, mask)
    for row, inside in enumerate(counted):
        for rank, values in zip(found, (first, second), strict=True):
            np.testing.assert_array_equal(rank[row].numpy()[inside], scipy.stats.rankdata(values[row][inside]))
        a, b = first[row][inside], second[row][inside]
        constant = [len(set(values)) < 2 for values in (a, b)]
        expected = float(all(constant)) if any(constant) else scipy.stats.spearmanr(a, b)[0]
        assert float(correlation[row]) == pytest.approx(expected, abs=1e-6)


def test_ranks_of_many_cells_are_exact():
    values = torch.randn(1, 60000, generator=torch.Generator().manual_seed(0))
    counted = torch.ones(1, 60000, dtype=torch.bool)
    found = ranks(values, counted)
    np.testing.assert_array_equal(found[0].numpy(), scipy.stats.rankdata(values[0].numpy()))
    assert rank_correlation(found, found, counted) == 1
    assert rank_correlation(found, 60001 - found, counted) == -1


# The value


def spearman(before, after, sound, values):
    sounding = sound != 0
    kept = [relevance[0][sounding] for relevance in (before, after)]
    return scipy.stats.spearmanr(*(np.abs(kept) if values == "absolute" else kept))[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("values", ["signed", "absolute"])
def test_against_one_layer_and_one_recording_at_a_time(order, values):
    model = convolutions()
    items = explained(model)
    slow = np.zeros((3, 3))
    copy = deepcopy(model.network)
    for position, layer in enumerate((5, 2, 0)):
        if order == "independent":
            copy = deepcopy(model.network)
        with torch.random.fork_rng():
            torch.manual_seed(3 + position)
            copy[layer].reset_parameters()
        for row, item in enumerate(items):
            x = torch.from_numpy(item.features)[None].requires_grad_()
            gradient = torch.autograd.grad(copy(x)[0, item.target], x)[0]
            after = (x * gradient)[0].detach().numpy()
            slow[position, row] = spearman(item.relevance, after, item.clip.waveform, values)
    metric = create("metric", "model_randomisation", order=order, values=values, seed=3)
    per_layer = metric.per_layer(model, items)
    assert list(per_layer) == ["5", "2", "0"]
    np.testing.assert_allclose(list(per_layer.values()), slow, atol=1e-4)
    np.testing.assert_allclose(measure(model, items, order=order, values=values, seed=3), slow.mean(0), atol=1e-4)
    assert np.abs(slow).max() > 0.05


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("explainer", ["amplitude", "random"])
def test_an_explainer_that_ignores_the_model_gets_exactly_one(order, explainer):
    model = convolutions()
    np.testing.assert_array_equal(measure(model, explained(model, explainer), order=order), 1)


def test_relevance_drawn_anew_for_each_model_has_no_correlation(monkeypatch):
    loaded = convolutions()

    def drawn(model, features, target):
        seed = int(1e6 * sum(weight.detach().abs().sum().item() for weight in model.parameters()))
        return torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))

    by(monkeypatch, drawn)
    rng = np.random.default_rng(0)
    clip = Clip(rng.uniform(-1, 1, SAMPLES).astype(np.float32), RATE)
    items = xaudio.explain(loaded, [clip] * 20, explainer="gradient", device="cpu")
    items = [item.with_relevance(rng.standard_normal(item.relevance.shape)) for item in items]
    values = measure(loaded, items)
    assert abs(values.mean()) < 3 / np.sqrt(20 * 3 * SAMPLES) * 2


@pytest.mark.parametrize("values", ["signed", "absolute"])
def test_only_the_order_of_the_relevance_counts(values):
    model = convolutions()
    items = explained(model)
    expected = measure(model, items, values=values)
    for change in (lambda r: 1e3 * r, lambda r: np.sign(r) * np.abs(r) ** 3):
        changed = [item.with_relevance(change(item.relevance.astype(np.float64))) for item in items]
        np.testing.assert_allclose(measure(model, changed, values=values), expected, atol=1e-6)
    opposite = [item.with_relevance(-item.relevance) for item in items]
    sign = -1 if values == "signed" else 1
    np.testing.assert_allclose(measure(model, opposite, values=values), sign * expected, atol=1e-6)


@pytest.mark.parametrize("values", ["signed", "absolute"])
def test_padding_does_not_count(values, monkeypatch):
    """Not what relevance is there, nor that it stays as it was."""
    model = convolutions()
    items = explained(model, padding=60)
    by(monkeypatch, xaudio.create("explainer", "gradient"))
    expected = measure(model, items, values=values)
    loud = [item.with_relevance(item.relevance + 9.0 * (item.clip.waveform == 0)) for item in items]
    np.testing.assert_allclose(measure(model, loud, values=values), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"composite": "epsilon_plus"}, {"composite": "epsilon"}])
def test_relevance_by_plans_is_that_of_the_random_model(options):
    """A plan that outlived a change of the weights would differ from zennit, which makes none."""
    model = convolutions()
    for order in ORDERS:
        fast = measure(model, explained(model, "lrp", engine="fast", **options), order=order)
        slow = measure(model, explained(model, "lrp", engine="zennit", **options), order=order)
        np.testing.assert_allclose(fast, slow, atol=5e-3)
        assert fast.max() < 0.95


@pytest.mark.parametrize("order", ORDERS)
def test_quantus_agrees(order, monkeypatch):
    from xaudio_lrp import _zennit  # noqa: F401 (imports zennit, as quantus does, also beside a broken torchvision)

    quantus = pytest.importorskip("quantus")

    def always_the_same(module):
        generator = torch.Generator().manual_seed(module.weight.numel())
        with torch.no_grad():
            for tensor in module.parameters():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) / 5)

    loaded = convolutions()
    items = explained(loaded, padding=0)  # Quantus counts padding, too
    for kind in (nn.Conv1d, nn.Linear):
        monkeypatch.setattr(kind, "reset_parameters", always_the_same)

    def explain(model, inputs, targets, **_):
        x = torch.as_tensor(inputs, dtype=torch.float32).requires_grad_()
        score = model(x).gather(1, torch.as_tensor(targets)[:, None]).sum()
        return (x * torch.autograd.grad(score, x)[0]).detach().numpy()

    oracle = quantus.MPRT(
        similarity_func=quantus.similarity_func.correlation_spearman,
        layer_order="top_down" if order == "cascading" else "independent",
        normalise=False,
        abs=False,
        disable_warnings=True,
    )
    expected = oracle(
        model=loaded.network,
        x_batch=np.stack([item.features for item in items]),
        y_batch=np.array([item.target for item in items]),
        a_batch=np.stack([item.relevance for item in items]),
        explain_func=explain,
        channel_first=True,
    )
    assert np.allclose(expected.pop("original"), 1)
    found = create("metric", "model_randomisation", order=order).per_layer(loaded, items)
    assert set(found) == set(expected)
    for layer, values in found.items():
        np.testing.assert_allclose(values, expected[layer], atol=1e-4)


# Which layers, and when


class OutOfOrder(nn.Module):
    """Its layers are not declared in the order in which they are called, and one is never called."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(24, 3)
        self.unused = nn.Linear(5, 5)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.first = nn.Conv1d(1, 4, 16, stride=16)
        self.scale = nn.Parameter(torch.ones(3))
        self.norm = nn.BatchNorm1d(4)
        self.norm.running_mean += 0.3

    def forward(self, features):
        tokens = self.norm(self.first(features)).transpose(1, 2)
        return self.last(self.attention(tokens, tokens, tokens)[0].flatten(1)) * self.scale


def seen_states(monkeypatch, loaded, order):
    """The weights of the models that were explained."""
    states = []

    def spy(model, features, target):
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return features + torch.randn(features.shape, generator=torch.Generator().manual_seed(len(states)))

    by(monkeypatch, spy)
    layers = create("metric", "model_randomisation", order=order).per_layer(loaded, explained(loaded))
    return list(layers), states


LAYERS = {
    "(model)": ("scale", "unused.weight", "unused.bias"),  # what is never called changes nothing
    "last": ("last.weight", "last.bias"),
    "attention": (
        "attention.in_proj_weight",
        "attention.in_proj_bias",
        "attention.out_proj.weight",
        "attention.out_proj.bias",
    ),
    "norm": ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"),
    "first": ("first.weight", "first.bias"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_layers_are_random_from_the_logits_to_the_input(order, monkeypatch):
    model = model_of(OutOfOrder())
    network = model.network
    with torch.no_grad():  # as if trained: nothing is as it was initialised
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(len(name))))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    names, states = seen_states(monkeypatch, model, order)
    assert names == list(LAYERS)
    expected: set[str] = set()
    for name, state in zip(names, states, strict=True):
        expected = set(LAYERS[name]) | (expected if order == "cascading" else set())
        changed = {key for key, value in state.items() if not torch.equal(value, before[key])}
        assert changed - {"norm.num_batches_tracked"} == expected
    if order == "independent":
        return
    last = states[-1]
    assert sorted(last["scale"].tolist()) == sorted(before["scale"].tolist())  # shuffled: it cannot be initialised
    assert torch.equal(last["norm.running_var"], torch.ones(4))
    assert last["last.weight"].std().item() == pytest.approx(24**-0.5 / 3**0.5, rel=0.3)


@pytest.mark.parametrize("order", ORDERS)
def test_the_same_layer_is_random_in_the_same_way_in_both_orders(order, monkeypatch):
    model = convolutions()
    cascading = seen_states(monkeypatch, model, "cascading")[1]
    independent = seen_states(monkeypatch, model, "independent")[1]
    for position, layer in enumerate((5, 2, 0)):
        assert torch.equal(cascading[position][f"{layer}.weight"], independent[position][f"{layer}.weight"])


def test_transformers_are_seen_through():
    """In evaluation mode without gradients, torch's encoder layers call none of their modules."""

    class Encoder(nn.Sequential):
        def forward(self, features):
            return self[1](self[0](features.unflatten(2, (12, 8))[:, 0]).flatten(1))

    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = model_of(Encoder(layer, nn.Linear(96, 3)))
    found = create("metric", "model_randomisation").per_layer(model, explained(model))
    assert list(found) == ["1", "0.norm2", "0.linear2", "0.linear1", "0.norm1", "0.self_attn"]


def test_weight_normalisation_is_undone_as_well(monkeypatch):
    """Its weights are computed from others, which an initialisation of the layer leaves alone."""
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv1d(1, 8, 9)), nn.Flatten(), nn.Linear(704, 3))
    model = model_of(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = seen_states(monkeypatch, model, "cascading")[1]
    assert [name for name, value in states[-1].items() if torch.equal(value, before[name])] == []


# The model is left alone


class Interrupted(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("order", ORDERS)
def test_the_model_is_never_changed_even_when_interrupted(order, monkeypatch):
    loaded = convolutions()
    items = explained(loaded)
    network = loaded.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    places = [weight.data_ptr() for weight in network.parameters()]
    calls = []

    def interrupts(model, features, target):
        calls.append(model)
        assert model is not network
        assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
        if len(calls) == 2:
            raise Interrupted
        return features

    by(monkeypatch, interrupts)
    with pytest.raises(Interrupted):
        measure(loaded, items, order=order)
    assert loaded.network is network
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert [weight.data_ptr() for weight in network.parameters()] == places
    assert not any(module._forward_hooks for module in network.modules())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_model_without_weights_or_without_a_copy_is_refused(monkeypatch):
    class Fixed(nn.Module):
        def forward(self, features):
            return features[:, 0, :3]

    model = Model(Fixed().eval(), Time(RATE, SAMPLES), CLASSES, "toy")
    with pytest.raises(ModelError, match="needs a model with weights in modules; Fixed has none"):
        measure(model, explained(model))
    model = convolutions()
    items = explained(model)
    model.network.leftover = model.network[0].weight * 2  # deepcopy refuses what has a history
    with pytest.raises(ModelError, match="it cannot be copied: Only Tensors created explicitly"):
        measure(model, items)


def test_layers_are_shuffled_where_nothing_else_is_known():
    class Gain(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.arange(50.0))

    module = Gain()
    _randomisation._randomise([module], 0)
    assert sorted(module.gain.tolist()) == list(range(50))
    assert module.gain.tolist() != list(range(50))
    again = Gain()
    _randomisation._randomise([again], 0)
    assert torch.equal(again.gain, module.gain)


def test_only_the_explained_class_is_followed(monkeypatch):
    loaded = convolutions()
    items = [replace(item, target=row) for row, item in enumerate(explained(loaded))]
    targets = []
    by(monkeypatch, lambda model, features, target: targets.append(target.tolist()) or features)
    measure(loaded, items)
    assert targets == [[0, 1, 2]] * 3
