"""The explainers that run the model backward, against autograd, textbook versions and captum, and by their properties."""

import json

import pytest
import torch
from captum.attr import IntegratedGradients
from sweeps import sweep
from torch import nn

import xaudio
from xaudio import ModelError, PluginError, create
from xaudio.plugin import Sound, baseline_features

EXPLAINERS = [
    "deep_lift",
    "grad_cam",
    "gradient",
    "gradient_shap",
    "guided_backprop",
    "input_x_gradient",
    "integrated_gradients",
    "saliency",
    "smooth_grad",
]
WITH_BASELINE = ["deep_lift", "gradient_shap", "integrated_gradients"]


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = [nn.Conv1d(1, 4, 5), nn.MaxPool1d(2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 18, 6), nn.ReLU(), nn.Linear(6, 3)]
    return nn.Sequential(*layers).double().eval()


@pytest.fixture
def features():
    return torch.randn(5, 1, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def smooth():
    """Without kinks along the way from 0, so that the quadrature converges fast."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3)).double().eval()


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(40, 3)).double()


@pytest.fixture
def sound(features):
    representation = create("representation", "waveform", sample_rate=400, samples=40, normalisation="none")
    return Sound(features[:, 0], representation, representation)


class Squares(nn.Module):
    """Logits whose gradient is twice the features, for each class."""

    def forward(self, features):
        return features.square().flatten(1).sum(1, keepdim=True).expand(-1, 3)


TARGET = torch.tensor([0, 2, 1, 2, 0])


def scores(network, features):
    return network(features).gather(1, TARGET[: len(features), None])[:, 0]


def autograd(network, features):
    features = features.clone().requires_grad_()
    return torch.autograd.grad(scores(network, features).sum(), features)[0]


def explain(name, network, features, *, sound=None, **options):
    more = {"sound": sound} if sound else {}
    return create("explainer", name, **options)(network, features, TARGET[: len(features)], **more)


def test_gradient_is_autograds(network, features):
    expected = autograd(network, features)
    torch.testing.assert_close(explain("gradient", network, features), expected)
    torch.testing.assert_close(explain("saliency", network, features), expected.abs())
    torch.testing.assert_close(explain("saliency", network, features), expected.abs())
    assert expected.min() < 0


def test_input_x_gradient_is_autograds(network, features):
    relevance = explain("input_x_gradient", network, features)
    torch.testing.assert_close(relevance, features * autograd(network, features))


def test_integrated_gradients_are_complete(smooth, features):
    relevance = explain("integrated_gradients", smooth, features)
    difference = (scores(smooth, features) - scores(smooth, torch.zeros_like(features))).detach()
    torch.testing.assert_close(relevance.sum((1, 2)), difference, rtol=0, atol=1e-6)
    coarse = explain("integrated_gradients", smooth, features, steps=1)
    assert (coarse.sum((1, 2)) - difference).abs().max() > 1e-2


def test_integrated_gradients_are_the_textbooks(smooth, features):
    """Riemann sum of the gradient along the straight way from 0."""
    steps = 500
    shares = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    for recording, target, relevance in zip(features, TARGET, explain("integrated_gradients", smooth, features), strict=True):
        way = (shares[:, None, None] * recording).requires_grad_()
        gradients = torch.autograd.grad(smooth(way)[:, target].sum(), way)[0]
        torch.testing.assert_close(relevance, recording * gradients.mean(0), rtol=0, atol=1e-5)


def test_integrated_gradients_are_captums(network, features):
    expected = IntegratedGradients(network).attribute(features.clone(), target=TARGET, n_steps=7)
    torch.testing.assert_close(explain("integrated_gradients", network, features, steps=7), expected)


@pytest.mark.parametrize("name", ["integrated_gradients", "deep_lift"])
@pytest.mark.parametrize("baseline", ["silence", "noise_floor", "mean_spectrum"])
def test_relevance_sums_to_the_difference_from_a_baseline(name, baseline, smooth, features, sound):
    relevance = explain(name, smooth, features, sound=sound, baseline=baseline, seed=3)
    there = baseline_features(baseline, features, sound, seed=3)
    difference = (scores(smooth, features) - scores(smooth, there)).detach()
    torch.testing.assert_close(relevance.sum((1, 2)), difference, rtol=0, atol=1e-5)
    other = explain(name, smooth, features, sound=sound, baseline=baseline, seed=4)
    assert torch.equal(other, relevance) == (baseline == "silence")


@pytest.mark.slow
def test_gradient_shap_goes_to_integrated_gradients(smooth, features):
    exact = explain("integrated_gradients", smooth, features)
    errors = [
        (explain("gradient_shap", smooth, features, samples=samples, internal_batch_size=None) - exact).abs().max()
        for samples in (20, 4000)
    ]
    assert errors[1] < 0.02 * exact.abs().max()
    assert errors[1] < errors[0] / 3


@pytest.mark.slow
def test_gradient_shap_draws_a_baseline_for_each_sample(linear, features, sound):
    """Of a linear model it is the weights times the way from the mean baseline, which goes to 0 as the noise averages out."""
    weights = linear[1].weight[TARGET].reshape(features.shape).detach()
    options = {"sound": sound, "baseline": "mean_spectrum"}
    few, many = (
        features - explain("gradient_shap", linear, features, samples=samples, **options) / weights for samples in (1, 900)
    )
    assert 0.5 < few.std() / features.std() < 2
    assert many.std() < few.std() / 15


def test_smooth_grad_is_the_textbooks(network, features):
    """Mean and mean square over copies with the noise of one generator, scaled to each recording's range."""
    generator = torch.Generator().manual_seed(5)
    found = []
    for _ in range(6):
        noise = torch.randn(1, 40, generator=generator).double()
        level = 0.2 * (features.amax((1, 2)) - features.amin((1, 2)))
        found.append(autograd(network, features + level[:, None, None] * noise))
    mean, square = torch.stack(found).mean(0), torch.stack(found).square().mean(0)
    options = {"samples": 6, "noise": 0.2, "seed": 5, "internal_batch_size": 7}
    torch.testing.assert_close(explain("smooth_grad", network, features, **options), mean)
    torch.testing.assert_close(explain("smooth_grad", network, features, statistic="mean_square", **options), square)
    variance = explain("smooth_grad", network, features, statistic="variance", **options)
    torch.testing.assert_close(variance, square - mean.square())
    assert (mean - autograd(network, features)).abs().max() > 0.01


def test_smooth_grads_noise_is_a_share_of_the_range(features):
    """The gradient of squares is linear, so its variance is four times that of the noise."""
    variance = explain("smooth_grad", Squares(), features, samples=2000, noise=0.1, statistic="variance")
    level = 0.1 * (features.amax((1, 2)) - features.amin((1, 2)))
    torch.testing.assert_close(variance.mean((1, 2)), 4 * level.square(), rtol=0.03, atol=0)


def test_without_noise_smooth_grad_is_the_gradient(network, features):
    torch.testing.assert_close(explain("smooth_grad", network, features, noise=0, samples=3), autograd(network, features))


@pytest.mark.parametrize("name", [name for name in EXPLAINERS if name not in ("grad_cam", "guided_backprop")])
def test_a_linear_model_is_explained_exactly(name, linear, features):
    weights = linear[1].weight[TARGET].reshape(features.shape).detach()
    expected = {"gradient": weights, "smooth_grad": weights, "saliency": weights.abs()}.get(name, weights * features)
    torch.testing.assert_close(explain(name, linear, features), expected, rtol=1e-6, atol=1e-9)


class Counting(nn.Module):
    """Notes the largest batch that reaches a network."""

    def __init__(self, network):
        super().__init__()
        self.network, self.largest = network, 0

    def forward(self, features):
        self.largest = max(self.largest, len(features))
        return self.network(features)


@pytest.mark.slow
@pytest.mark.parametrize("internal", [1, 3, 7, None])
@pytest.mark.parametrize("name", EXPLAINERS)
def test_the_internal_batch_bounds_the_memory_and_changes_nothing(name, network, features, internal, recwarn):
    counting = Counting(network)
    expected = explain(name, network, features)
    found = explain(name, counting, features, internal_batch_size=internal)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    draws = {"gradient_shap": 50, "integrated_gradients": 50, "smooth_grad": 50}.get(name, 1)
    assert counting.largest <= (internal or len(features) * draws)
    if draws > 1:  # and what there is room for is used
        assert counting.largest == {1: 1, 3: 3, 7: 5, None: 250}[internal]
    assert not recwarn.list


@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("baseline", ["zero", "mean_spectrum"])
def test_each_recording_is_explained_for_itself(name, baseline, network, features, sound):
    options = {"sound": sound, "baseline": baseline} if name in WITH_BASELINE else {}
    together = explain(name, network, features, **options)
    assert torch.equal(explain(name, network, features, **options), together)
    for i in range(len(features)):
        if options:
            options["sound"] = Sound(sound.waveforms[i : i + 1], sound.representation, sound.features)
        method = create("explainer", name, **{key: value for key, value in options.items() if key != "sound"})
        more = {"sound": options["sound"]} if options else {}
        alone = method(network, features[i : i + 1], TARGET[i : i + 1], **more)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["gradient_shap", "smooth_grad"])
def test_the_seed_changes_what_is_drawn_and_torchs_generator_is_left_alone(name, network, features):
    state = torch.get_rng_state()
    one, other = (explain(name, network, features, seed=seed, samples=4) for seed in (0, 1))
    assert (one - other).abs().max() > 1e-3
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_leaves_model_and_features_as_they_were(name, network, features):
    network[0].weight.requires_grad_(False)
    before = features.clone()
    with torch.no_grad():
        relevance = explain(name, network, features)
    assert relevance.shape == features.shape
    assert not relevance.requires_grad
    assert torch.equal(features, before)
    assert not features.requires_grad
    assert features.grad is None
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, True, True, True, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_model_that_begins_in_place_is_explained_as_one_that_does_not(name, network, features):
    before = features.clone()
    expected = explain(name, nn.Sequential(nn.LeakyReLU(0.5), network), features)
    torch.testing.assert_close(explain(name, nn.Sequential(nn.LeakyReLU(0.5, inplace=True), network), features), expected)
    assert torch.equal(features, before)


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.linear = nn.Conv1d(1, 2, 5), nn.Linear(2 * 36, 3)

    def forward(self, features):
        return self.linear(self.convolution(features).relu().detach().flatten(1))


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_model_without_a_gradient_is_named(name, features):
    with pytest.raises(ModelError, match="gradient"):
        explain(name, Detached(), features.float())


@pytest.mark.parametrize("name", EXPLAINERS)
def test_impossible_options_are_named(name):
    with pytest.raises(
        PluginError, match=f"^0 does not fit option 'internal_batch_size' of explainer '{name}': expected int \\| none, 1 or more"
    ):
        create("explainer", name, internal_batch_size=0)


def test_other_impossible_options_are_named(network, features):
    with pytest.raises(PluginError, match="^0 does not fit option 'steps' .* expected int, 1 or more"):
        create("explainer", "integrated_gradients", steps=0)
    with pytest.raises(PluginError, match="^-0.1 does not fit option 'noise' .* expected float, 0 or more"):
        create("explainer", "smooth_grad", noise=-0.1)
    with pytest.raises(PluginError, match="'silence' is made from the recording"):
        explain("deep_lift", network, features, baseline="silence")


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("model", sweep(["alexnet", "audionet"], quick=["audionet"]))
def test_both_networks_are_explained(published, name, model):
    few = {"integrated_gradients": {"steps": 2}, "gradient_shap": {"samples": 2}, "smooth_grad": {"samples": 2}}
    options = few.get(name, {}) | ({"baseline": "noise_floor"} if name in WITH_BASELINE else {})
    if name == "grad_cam":  # of an untrained network the map may be negative everywhere
        options["relu"] = False
    network = published(model)
    recording = 0.1 * torch.randn(3000, generator=torch.Generator().manual_seed(0))
    found = xaudio.explain(network, recording, sample_rate=8000, representation=network.representation, explainer=name, **options)
    assert found.relevance.shape == found.features.shape
    assert found.relevance.any()


LOWER = ("gradient", "saliency", "input_x_gradient", "integrated_gradients", "gradient_shap", "smooth_grad")


@pytest.mark.parametrize("name", LOWER)
def test_bfloat16_moves_relevance_a_little_and_logits_not_at_all(name, smooth, features):
    """float32 is what it was; the other format has two to three digits, and the class that it explains is that of float32."""
    network, features = smooth.float(), features.float()
    target = network(features).argmax(1)
    default, exact, coarse = (
        create("explainer", name, **options) for options in ({}, {"precision": "float32"}, {"precision": "bfloat16"})
    )
    relevance = default(network, features, target)
    assert torch.equal(exact(network, features, target), relevance)
    other = coarse(network, features, target)
    assert other.dtype == torch.float32
    assert not torch.equal(other, relevance)
    assert (other - relevance).norm() < 0.01 * relevance.norm()
    if hasattr(coarse, "with_logits"):
        told, logits = coarse.with_logits(network, features, None)
        assert torch.equal(logits, network(features))
        assert torch.equal(told, other)


@pytest.mark.parametrize("name", ["gradient", "lrp"])  # neither has been asked about this model before
def test_the_number_format_is_said(name, tmp_path):
    network = nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 396, 2)).eval()
    representation = create("representation", "waveform", sample_rate=8000, samples=400, normalisation="none")
    model = xaudio.Model(network, representation, ("a", "b"))
    sound = xaudio.Clip(torch.randn(400).clamp(-1, 1).numpy(), 8000)
    (explanation,) = xaudio.explain(model, [sound], explainer=f"{name}:precision=bfloat16", device="cpu")
    assert explanation.provenance["explainer"]["options"]["precision"] == "bfloat16"
    path = explanation.save(tmp_path / "a.safetensors")
    assert xaudio.Explanation.load(path).provenance["explainer"]["options"]["precision"] == "bfloat16"
    (exact,) = xaudio.explain(model, [sound], explainer=name, device="cpu")
    assert exact.provenance["explainer"]["options"].get("precision", "float32") == "float32"
    assert (exact.logits == explanation.logits).all()
    assert (exact.relevance != explanation.relevance).any()


def test_the_run_says_the_number_format(run_command, run_folder, tmp_path):
    xaudio.write_audio(tmp_path / "a.wav", torch.randn(4000).clamp(-1, 1).numpy(), 8000)
    chosen = ["--explainer", "gradient:precision=bfloat16", "--render", "visual:dpi=40", "--device", "cpu"]
    run_command("explain", tmp_path / "a.wav", "--model", run_folder, "--out", tmp_path / "out", *chosen)
    settings = json.loads((tmp_path / "out" / "run.json").read_text())["settings"]
    assert settings["explainers"] == ["gradient:precision=bfloat16"]
