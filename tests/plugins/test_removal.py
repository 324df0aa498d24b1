"""The explainers by removal, against explicit loops, enumeration, least squares and captum, and by their properties."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, Occlusion
from hypothesis import given, settings, strategies as st
from sweeps import sweep
from torch import nn

import xaudio
from xaudio import PluginError, create
from xaudio.plugin import Axis, Sound, baseline_features
from xaudio_removal._values import grid

EXPLAINERS = ["feature_ablation", "kernel_shap", "lime", "occlusion", "shapley_value_sampling"]
SUMMING = ["kernel_shap", "shapley_value_sampling"]
FEW = {"kernel_shap": {"samples": 100}, "lime": {"samples": 60}, "shapley_value_sampling": {"permutations": 3}}
TARGET = torch.tensor([0, 2, 1, 2, 0])


def normal(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def features():
    return normal(5, 1, 40)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(144, 6), nn.Tanh(), nn.Linear(6, 3)).double()


@pytest.fixture
def images():
    return normal(3, 2, 12, 10)


@pytest.fixture
def network_of_images():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 80, 3)).double()


@pytest.fixture
def sound(features):
    representation = create("representation", "waveform", sample_rate=400, samples=40, normalisation="none")
    return Sound(features[:, 0], representation, representation)


class Counting(nn.Module):
    """Notes how many inputs reach a network, and the largest batch."""

    def __init__(self, network):
        super().__init__()
        self.network, self.largest, self.total = network, 0, 0

    def forward(self, features):
        self.largest, self.total = max(self.largest, len(features)), self.total + len(features)
        return self.network(features)


def explain(name, network, features, *, sound=None, **options):
    more = {"sound": sound} if sound else {}
    return create("explainer", name, **options)(network, features, TARGET[: len(features)], **more)


def logits(network, features):
    with torch.no_grad():
        return network(features).gather(1, TARGET[: len(features), None])[:, 0]


def sums(relevance, parts):
    """Sum over equal parts of the last axis, (batch, parts)."""
    return relevance.flatten(1).unflatten(1, (parts, -1)).sum(2)


def value(network, features, kept, parts, baseline=0.0):
    """Logits when only some of the parts of the last axis are left."""
    mask = torch.tensor([part in kept for part in range(parts)]).repeat_interleave(features.shape[-1] // parts)
    return logits(network, torch.where(mask, features, baseline))


def shapley(network, features, parts):
    """Textbook Shapley values (batch, parts) by enumeration of all coalitions."""
    found = torch.zeros(len(features), parts, dtype=torch.float64)
    for part in range(parts):
        others = [other for other in range(parts) if other != part]
        for size in range(parts):
            weight = factorial(size) * factorial(parts - size - 1) / factorial(parts)
            for kept in combinations(others, size):
                added = value(network, features, {*kept, part}, parts) - value(network, features, kept, parts)
                found[:, part] += weight * added
    return found


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=3))
def test_the_grid_is_of_equal_boxes(axes):
    cells, parts = [max(pair) for pair in axes], tuple(min(pair) for pair in axes)
    groups = grid(torch.zeros(1, 1, *cells), parts).numpy()
    assert groups.shape == tuple(cells)
    assert np.array_equal(np.unique(groups), np.arange(np.prod(parts)))
    for axis, number in enumerate(parts):
        along = np.unravel_index(groups, parts)[axis]
        assert (np.diff(along, axis=axis) >= 0).all()
        line = np.moveaxis(along, axis, 0).reshape(cells[axis], -1)
        assert (line == line[:, :1]).all()
        sizes = np.bincount(line[:, 0], minlength=number)
        assert sizes.max() - sizes.min() <= 1


def test_ablation_is_an_explicit_loop(network, features):
    relevance = explain("feature_ablation", network, features, slots=8)
    for part in range(8):
        without = features.clone()
        without[:, :, 5 * part : 5 * part + 5] = 0
        fall = logits(network, features) - logits(network, without)
        expected = (fall / 5)[:, None, None].expand(5, 1, 5)
        torch.testing.assert_close(relevance[:, :, 5 * part : 5 * part + 5], expected)


def test_ablation_of_images_is_captums_shared_out(network_of_images, images):
    relevance = explain("feature_ablation", network_of_images, images, slots=5, bands=4)
    mask = 5 * (torch.arange(12) // 3)[:, None] + torch.arange(10) // 2
    expected = FeatureAblation(network_of_images).attribute(images, target=TARGET[:3], feature_mask=mask[None, None])
    torch.testing.assert_close(relevance, expected.detach() / (2 * 3 * 2))


def test_there_are_half_as_many_bands_as_segments(network_of_images, images):
    expected = explain("feature_ablation", network_of_images, images, slots=5, bands=3)
    assert torch.equal(explain("feature_ablation", network_of_images, images, slots=5), expected)
    assert not torch.equal(explain("feature_ablation", network_of_images, images, slots=5, bands=2), expected)


def test_occlusion_is_captums_shared_out(network, features, network_of_images, images):
    relevance = explain("occlusion", network, features, slots=10, span=3)
    captum = Occlusion(network.float()).attribute(features.float(), (1, 12), (1, 4), target=TARGET)
    torch.testing.assert_close(relevance.float(), captum / 12, rtol=1e-4, atol=1e-6)
    relevance = explain("occlusion", network_of_images, images, slots=5, bands=4, span=2)
    captum = Occlusion(network_of_images.float()).attribute(images.float(), (2, 6, 4), (2, 3, 2), target=TARGET[:3])
    torch.testing.assert_close(relevance.float(), captum / 48, rtol=1e-4, atol=1e-6)


def test_occlusion_is_an_explicit_loop(network, features):
    """Where part of a window is silent, what is left of it shares the fall."""
    features[:, :, 12:18] = 0
    relevance = explain("occlusion", network, features, slots=10, span=2)
    total, covered = torch.zeros_like(features), torch.zeros(40)
    for start in range(0, 33, 4):
        window = slice(start, start + 8)
        without = features.clone()
        without[:, :, window] = 0
        fall = logits(network, features) - logits(network, without)
        sounding = features[:, :, window] != 0
        total[:, :, window] += fall[:, None, None] * sounding / sounding.sum(2, keepdim=True)
        covered[window] += 1
    torch.testing.assert_close(relevance, total / covered)


def test_occlusion_of_single_parts_is_ablation(network_of_images, images):
    occluded = explain("occlusion", network_of_images, images, slots=5, span=1)
    torch.testing.assert_close(occluded, explain("feature_ablation", network_of_images, images, slots=5))


def test_kernel_shap_of_all_coalitions_is_exact(network, features):
    relevance = explain("kernel_shap", network, features, slots=5, samples=30)
    torch.testing.assert_close(sums(relevance, 5), shapley(network, features, 5))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), [("kernel_shap", "samples"), ("shapley_value_sampling", "permutations")])
def test_sampled_shapley_values_go_to_the_exact_ones(name, option, network, features):
    exact = shapley(network, features, 8)
    few, many = {"samples": (40, 250), "permutations": (4, 400)}[option]
    errors = [
        (sums(explain(name, network, features, slots=8, **{option: number}), 8) - exact).abs().max() for number in (few, many)
    ]
    assert errors[1] < 0.02 * exact.abs().max()
    assert errors[1] < errors[0] / 3


class Products(nn.Module):
    """Logits with interactions of any two parts of ten."""

    def forward(self, features):
        parts = features.flatten(1).unflatten(1, (10, -1)).sum(2)
        weights = normal(3, 10, 10)
        return torch.einsum("bi,cij,bj->bc", parts, weights, parts)


@pytest.mark.parametrize(("name", "option"), [("kernel_shap", {"samples": 60}), ("shapley_value_sampling", {"permutations": 2})])
def test_pairs_are_exact_for_interactions_of_two(name, option, features):
    """Of an order and its reverse, or a coalition and its complement: half of an interaction is due to each part."""
    parts = sums(features, 10)
    weights = normal(3, 10, 10)[TARGET]
    expected = parts * torch.einsum("bij,bj->bi", (weights + weights.transpose(1, 2)) / 2, parts)
    torch.testing.assert_close(sums(explain(name, Products(), features, **option), 10), expected)
    odd = {key: value - 1 for key, value in option.items()}
    assert (sums(explain(name, Products(), features, **odd), 10) - expected).abs().max() > 0.01


@pytest.mark.parametrize("name", SUMMING)
@pytest.mark.parametrize("baseline", ["zero", "noise_floor", "mean_spectrum"])
def test_shapley_values_sum_to_the_difference_from_the_baseline(name, baseline, network, features, sound):
    features[2, :, 7:30] = 0
    relevance = explain(name, network, features, sound=sound, baseline=baseline, seed=2, **FEW[name])
    there = baseline_features(baseline, features, sound, seed=2)
    torch.testing.assert_close(relevance.sum((1, 2)), logits(network, features) - logits(network, there))


def test_kernel_shap_can_explain_a_single_part(network, features):
    relevance = explain("kernel_shap", network, features, slots=1)
    torch.testing.assert_close(relevance.sum((1, 2)), logits(network, features) - logits(network, 0 * features))


def test_lime_is_weighted_least_squares(network, features):
    """By numpy, on coalitions of the same generator, with the penalty as further rows."""
    samples, slots, width, ridge = 60, 8, 0.3, 0.05
    drawn = torch.rand(samples - 1, slots, generator=torch.Generator().manual_seed(7)) < 0.5
    coalitions = np.vstack([np.ones(slots), drawn.numpy()])
    distance = 1 - coalitions.sum(1) / (np.sqrt(np.maximum(coalitions.sum(1), 1e-300)) * np.sqrt(slots))
    weights = np.exp(-((distance / width) ** 2))
    roots = np.sqrt(weights / weights.sum())[:, None]
    values = torch.stack([value(network, features, np.flatnonzero(kept), slots) for kept in coalitions]).numpy()
    rows = np.hstack([coalitions, np.ones((samples, 1))]) * roots
    penalty = np.sqrt(ridge) * np.eye(slots + 1)[:slots]
    wanted = np.vstack([values * roots, np.zeros((slots, 5))])
    expected = np.linalg.lstsq(np.vstack([rows, penalty]), wanted, rcond=None)[0][:slots].T
    options = {"samples": samples, "slots": slots, "kernel_width": width, "ridge": ridge, "seed": 7}
    np.testing.assert_allclose(sums(explain("lime", network, features, **options), 8), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("baseline", ["zero", "mean_spectrum"])
def test_a_linear_model_is_explained_exactly(name, baseline, features, sound):
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(40, 3)).double()
    options = FEW.get(name, {}) | {"slots": 20, "baseline": baseline, "seed": 3}
    if name == "lime":
        options["ridge"] = 0
    if name == "occlusion":
        options["span"] = 1
    relevance = explain(name, linear, features, sound=sound, **options)
    there = baseline_features(baseline, features, sound, seed=3)
    weights = linear[1].weight[TARGET].reshape(features.shape).detach()
    torch.testing.assert_close(sums(relevance, 20), sums(weights * (features - there), 20))


def test_occlusion_of_single_samples_is_the_fall_of_each(features):
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(40, 3)).double()
    weights = linear[1].weight[TARGET].reshape(features.shape).detach()
    torch.testing.assert_close(explain("occlusion", linear, features, slots=40, span=1), weights * features)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_padding_gets_exactly_nothing_and_costs_nothing(name, network, features):
    """Whole silent parts, and silence within a part."""
    whole, padded = Counting(network), Counting(network)
    explain(name, whole, features, **FEW.get(name, {}))
    features[:, :, :13] = features[:, :, 30:] = 0
    relevance = explain(name, padded, features, **FEW.get(name, {}))
    assert (relevance[:, :, :13] == 0).all()
    assert (relevance[:, :, 30:] == 0).all()
    assert (relevance[:, :, 13:30] != 0).all()
    assert padded.total < whole.total


@pytest.mark.parametrize("name", EXPLAINERS)
def test_silence_is_explained_by_nothing(name, network, features):
    assert (explain(name, network, 0 * features, **FEW.get(name, {})) == 0).all()


@pytest.mark.parametrize("internal", [1, 3, 7, None])
@pytest.mark.parametrize("name", EXPLAINERS)
def test_the_internal_batch_bounds_the_memory_and_changes_nothing(name, network, features, internal, recwarn):
    counting = Counting(network)
    expected = explain(name, network, features, **FEW.get(name, {}))
    found = explain(name, counting, features, internal_batch_size=internal, **FEW.get(name, {}))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert counting.largest == (internal or counting.total)
    assert not recwarn.list


@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("baseline", ["zero", "mean_spectrum"])
def test_each_recording_is_explained_for_itself(name, baseline, network, features, sound):
    features[1, :, :20] = 0
    options = {"baseline": baseline, **FEW.get(name, {})}
    together = explain(name, network, features, sound=sound, **options)
    assert torch.equal(explain(name, network, features, sound=sound, **options), together)
    method = create("explainer", name, **options)
    for i in range(len(features)):
        one = Sound(sound.waveforms[i : i + 1], sound.representation, sound.features)
        alone = method(network, features[i : i + 1], TARGET[i : i + 1], sound=one)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-6, atol=1e-9)


def test_a_block_of_recordings_at_a_time_changes_nothing(network, features, monkeypatch):
    expected = explain("kernel_shap", network, features, samples=50)
    monkeypatch.setattr("xaudio_removal._values.ENTRIES", 2 * 52 * 10)
    torch.testing.assert_close(explain("kernel_shap", network, features, samples=50), expected)


@pytest.mark.parametrize("name", ["kernel_shap", "lime", "shapley_value_sampling"])
def test_the_seed_changes_what_is_drawn_and_torchs_generator_is_left_alone(name, network, features):
    state = torch.get_rng_state()
    one, other = (explain(name, network, features, seed=seed, **FEW[name]) for seed in (0, 1))
    assert (one - other).abs().max() > 1e-4
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_leaves_model_and_features_as_they_were(name, network, features):
    network = nn.Sequential(nn.ReLU(inplace=True), *network)
    before = features.clone()
    relevance = explain(name, network, features.requires_grad_(), **FEW.get(name, {}))
    assert relevance.shape == features.shape
    assert not relevance.requires_grad
    assert torch.equal(features, before)
    assert features.grad is None
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


class TimeFirst:
    """Stands for a representation whose first axis is time."""

    axes = (Axis("time", "s", np.arange(12) / 10), Axis("frequency", "Hz", np.arange(10.0)))


def test_segments_cut_time_wherever_it_is(network_of_images, images):
    sound = Sound(torch.zeros(3, 8), TimeFirst(), lambda waveforms: images)
    turned = explain("feature_ablation", network_of_images, images, sound=sound, slots=4, bands=5)
    torch.testing.assert_close(turned, explain("feature_ablation", network_of_images, images, slots=5, bands=4))


@pytest.mark.parametrize("name", EXPLAINERS)
def test_options_that_do_not_fit_the_features_are_named(name, network, features, images):
    with pytest.raises(PluginError, match=f"{name}: bands=3, but these features have no frequency axis"):
        explain(name, network, features, bands=3)
    with pytest.raises(PluginError, match=f"{name}: 41 slots of a time axis of 40 cells; give slots=40 at most"):
        explain(name, network, features, slots=41)
    with pytest.raises(PluginError, match="13 bands of a frequency axis of 12 cells"):
        explain(name, network, images, slots=2, bands=13)
    with pytest.raises(PluginError, match="'mean_spectrum' is made from the recording"):
        explain(name, network, features, baseline="mean_spectrum")
    for option in ("slots", "bands", "internal_batch_size"):
        with pytest.raises(
            PluginError, match=f"^0 does not fit option '{option}' of explainer '{name}': expected int.*, 1 or more"
        ):
            create("explainer", name, **{option: 0})


@pytest.mark.parametrize("name", ["kernel_shap", "lime"])
def test_samples_that_do_not_tell_parts_apart_are_refused_before_the_model_runs(name, network, features):
    """Of 20 parts, 30 samples in pairs make 15 equations; lime has 19 for 20 coefficients."""
    counting = Counting(network)
    samples = {"kernel_shap": 30, "lime": 20}[name]
    with pytest.raises(PluginError, match=f"{name}: {samples} samples do not tell 20 parts apart: give samples=80 or more"):
        explain(name, counting, features, slots=20, samples=samples)
    assert counting.total == 0
    explain(name, counting, features, slots=20, samples=80)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("occlusion", {"span": 0}, "^0 does not fit option 'span' .*: expected int, 1 or more"),
        ("shapley_value_sampling", {"permutations": 0}, "^0 does not fit option 'permutations' .*: expected int, 1 or more"),
        ("kernel_shap", {"samples": 1}, "^1 does not fit option 'samples' .*: expected int, 2 or more"),
        ("lime", {"kernel_width": 0}, "^0 does not fit option 'kernel_width' .*: expected float, above 0"),
        ("lime", {"ridge": -1}, "^-1 does not fit option 'ridge' .*: expected float, 0 or more"),
    ],
)
def test_impossible_options_are_named(name, option, message):
    with pytest.raises(PluginError, match=message):
        create("explainer", name, **option)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("model", sweep(["alexnet", "audionet"], quick=["audionet"]))
def test_both_networks_are_explained(published, name, model):
    options = {"slots": 3, "baseline": "noise_floor"}
    few = FEW | {"kernel_shap": {"samples": 24}, "lime": {"samples": 24}, "occlusion": {"span": 1}}
    options |= few.get(name, {})
    network = published(model)
    recording = 0.1 * normal(3000).float().numpy()
    found = xaudio.explain(network, recording, sample_rate=8000, representation=network.representation, explainer=name, **options)
    assert (found.relevance != 0).all()
    assert len(np.unique(found.relevance)) == (3 if model == "audionet" else 6)
