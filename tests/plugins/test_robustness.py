"""Infidelity and max-sensitivity against loops over single draws, captum and Quantus, and by what must hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
import xaudio.plugin
import xaudio_robustness._given
from xaudio import Clip, DataError, Model, ModelError, PluginError, create
from xaudio.sound.domains import Time, TimeFrequency

RATE, SAMPLES, CLASSES = 8000, 96, ("a", "b", "c")


def model_of(network, representation=None, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return Model(network.eval(), representation or Time(RATE, SAMPLES), CLASSES, "toy")


def waveform_model():
    layers = [nn.Conv1d(1, 4, 9, stride=3), nn.Tanh(), nn.Flatten(), nn.Linear(120, 3)]
    return model_of(nn.Sequential(*layers))


def spectrogram_model():
    layers = [nn.Conv2d(1, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(3 * 7 * 11, 3)]
    made = model_of(nn.Sequential(*layers), TimeFrequency(RATE, SAMPLES, window="hann", length=16, hop=8))
    made.network[0].weight.data /= 50  # the features are dB
    return replace(made, mean=torch.full((1, 9, 13), -30.0))


def linear_model():
    return model_of(nn.Sequential(nn.Flatten(), nn.Linear(SAMPLES, 3, bias=False)))


MODELS = {"waveform": waveform_model, "spectrogram": spectrogram_model}


def clips(count=3):
    rng = np.random.default_rng(1)
    sounds = [rng.uniform(-1, 1, SAMPLES).astype(np.float32) * (index + 1) / count for index in range(count)]
    sounds[-1][: SAMPLES // 4] = 0  # padding
    return [Clip(sound, RATE, source=f"{index}.wav") for index, sound in enumerate(sounds)]


def explained(model, explainer="gradient", **options):
    return xaudio.explain(model, clips(), explainer=explainer, device="cpu", **options)


def by(monkeypatch, method):
    """Make this function the explainer of all explanations."""
    monkeypatch.setattr(xaudio_robustness._given, "explainer_of", lambda explanation: method)


def features_of(model):
    waveforms = torch.stack([torch.from_numpy(clip.waveform) for clip in clips()])
    with torch.no_grad():
        return waveforms, model.features(waveforms)


def rms_where_sounding(values):
    found = [float(value) for value in values.flatten() if value != 0]
    return (sum(value**2 for value in found) / len(found)) ** 0.5


# Infidelity


@pytest.mark.parametrize("perturbation", ["gaussian", "removal"])
def test_the_gradient_of_a_linear_model_has_no_infidelity(perturbation):
    model = linear_model()
    items = explained(model)
    metric = create("metric", "infidelity", perturbation=perturbation)
    values = metric(model, items)
    assert set(values) == set(metric.better)
    for value in values.values():
        assert value.max() < 1e-10
    tripled = metric(model, [item.with_relevance(3 * item.relevance) for item in items])
    plain, scaled = (tripled[name] for name in metric.better)
    assert plain.min() > 1e-4  # the definition depends on the scale
    assert scaled.max() < 1e-10


@pytest.mark.parametrize("perturbation", ["gaussian", "removal"])
def test_contributions_to_a_linear_model_have_no_infidelity_where_they_are_read_as_such(perturbation):
    model = linear_model()
    items = explained(model, "input_x_gradient")
    read = {
        reading: create("metric", "infidelity", perturbation=perturbation, reading=reading)(model, items)
        for reading in ("contribution", "gradient")
    }
    name = "infidelity" + "_removal" * (perturbation == "removal")
    if perturbation == "gaussian":  # what lies on padding is no contribution, but noise there changes the logit
        read = {key: {name: value[:-1] for name, value in values.items()} for key, values in read.items()}
    assert read["contribution"][f"{name}_contribution"].max() < 1e-9
    assert read["gradient"][name].min() > 1e-4


def slow_infidelity(model, items, patterns, reference, reading, scale_of):
    """The definition, one recording and one draw at a time."""
    features = features_of(model)[1]
    found, scaled = [], []
    for row, item in enumerate(items):
        x, x0 = features[row].double(), reference[row].double()
        f = lambda z, item=item: model.network(z[None].float())[0, item.target].item()  # noqa: E731
        said, did = [], []
        for pattern in patterns:
            change = pattern.double() * scale_of(x, x0)
            meant = 0.0
            pairs = zip(change.flatten(), item.relevance.flatten(), (x - x0).flatten(), strict=True)
            for step, value, difference in pairs:
                slope = float(value) if reading == "gradient" else float(value) / float(difference) if difference else 0.0
                meant += float(step) * slope
            said.append(meant)
            did.append(f(x) - f(x - change))
        said, did = np.array(said), np.array(did)
        found.append(np.mean((said - did) ** 2))
        best = np.linalg.lstsq(said[:, None], did, rcond=None)[0]
        scaled.append(np.mean((best * said - did) ** 2))
    return np.array(found), np.array(scaled)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("perturbation", ["gaussian", "removal"])
@pytest.mark.parametrize("reading", ["gradient", "contribution"])
def test_infidelity_against_single_draws(model, perturbation, reading):
    loaded = MODELS[model]()
    items = explained(loaded, "gradient" if reading == "gradient" else "input_x_gradient")
    baseline = "zero" if (perturbation, reading) == ("gaussian", "gradient") else "mean_spectrum"
    metric = create("metric", "infidelity", perturbation=perturbation, reading=reading, draws=4, size=0.5, baseline=baseline)
    waveforms, features = features_of(loaded)
    sound = xaudio.plugin.Sound(waveforms, loaded.representation, loaded.features)
    reference = xaudio.plugin.baseline_features(baseline, features, sound)

    def scale_of(x, x0):
        return rms_where_sounding(x) if perturbation == "gaussian" else x - x0

    slow = slow_infidelity(loaded, items, metric._patterns(features), reference, reading, scale_of)
    values = metric(loaded, items)
    for name, expected in zip(metric.better, slow, strict=True):
        np.testing.assert_allclose(values[name], expected, rtol=1e-2, atol=1e-6)


def test_noise_is_normal_and_windows_are_rectangles_anywhere():
    features = torch.zeros(1, 2, 20, 30)
    noise = create("metric", "infidelity", draws=200, size=0.3)._patterns(features)
    assert noise.shape == (200, 2, 20, 30)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.01)
    assert abs(float(noise.mean())) < 0.005
    windows = create("metric", "infidelity", perturbation="removal", draws=600, size=0.1)._patterns(features)
    starts = set()
    for window in windows[:, 0]:
        rows, columns = window.nonzero().unbind(1)
        assert (window.sum(), rows.max() - rows.min(), columns.max() - columns.min()) == (2 * 3, 1, 2)
        starts.add((int(rows.min()), int(columns.min())))
    assert {row for row, _ in starts} == set(range(19))
    assert {column for _, column in starts} == set(range(28))


@pytest.mark.parametrize("scaled", [False, True])
def test_captum_gives_the_same_infidelity(scaled):
    from captum.metrics import infidelity

    model = waveform_model()
    items = explained(model)
    metric = create("metric", "infidelity", draws=30, size=1.0)
    features = features_of(model)[1]
    levels = torch.tensor([rms_where_sounding(row) for row in features]).view(-1, 1, 1)
    # captum repeats each recording for all its draws, one recording after the other.
    noise = (metric._patterns(features)[None] * levels[:, None]).flatten(0, 1)
    expected = infidelity(
        model.network,
        lambda repeated: (noise, repeated - noise),
        features,
        torch.stack([torch.from_numpy(item.relevance) for item in items]),
        target=torch.tensor([item.target for item in items]),
        n_perturb_samples=30,
        normalize=scaled,
    )
    values = metric(model, items)["infidelity_scaled" if scaled else "infidelity"]
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-3)


def test_relevance_that_says_nothing_has_the_largest_scaled_infidelity():
    model = waveform_model()
    items = explained(model)
    metric = create("metric", "infidelity")
    nothing = metric(model, [item.with_relevance(np.zeros_like(item.relevance)) for item in items])
    np.testing.assert_array_equal(nothing["infidelity"], nothing["infidelity_scaled"])
    random = metric(model, explained(model, "random"))["infidelity_scaled"]
    gradient = metric(model, items)["infidelity_scaled"]
    assert (gradient < 0.5 * random).all()
    assert (random <= nothing["infidelity_scaled"]).all()


# Max-sensitivity


def test_an_explainer_that_always_says_the_same_is_not_sensitive(monkeypatch):
    loaded = waveform_model()
    by(monkeypatch, lambda model, features, target: torch.ones_like(features))
    items = [item.with_relevance(np.ones_like(item.relevance)) for item in explained(loaded)]
    for perturb in ("sound", "features"):
        (values,) = create("metric", "max_sensitivity", perturb=perturb)(loaded, items).values()
        np.testing.assert_array_equal(values, 0)


@pytest.mark.parametrize("perturb", ["sound", "features"])
@pytest.mark.parametrize("model", MODELS)
def test_max_sensitivity_against_single_draws(model, perturb):
    loaded = MODELS[model]()
    # Of a class that is not the predicted one: it is this that is explained again, too.
    other = [(item.predicted + 1) % 3 for item in explained(loaded)]
    items = explained(loaded, "input_x_gradient", target=other)
    metric = create("metric", "max_sensitivity", perturb=perturb, radius=0.1, draws=3, seed=5)
    waveforms, features = features_of(loaded)
    around = waveforms if perturb == "sound" else features
    drawn = 2 * torch.rand(3, *around.shape[1:], generator=torch.Generator().manual_seed(5)) - 1
    slow = []
    for row, item in enumerate(items):
        largest = 0.0
        for d in drawn:
            near = around[row] + 0.1 * rms_where_sounding(around[row]) * d
            x = loaded.features(near[None])[0] if perturb == "sound" else near
            x = x.detach().requires_grad_()
            gradient = torch.autograd.grad(loaded.network(x[None])[0, item.target], x)[0]
            now = (x * gradient).detach().numpy()
            largest = max(largest, np.linalg.norm(now - item.relevance) / np.linalg.norm(item.relevance))
        slow.append(largest)
    (values,) = metric(loaded, items).values()
    np.testing.assert_allclose(values, slow, rtol=1e-3)
    assert values.min() > 0.001


def gradients(network, features, target):
    features = torch.as_tensor(features, dtype=torch.float32).detach().requires_grad_()
    with torch.enable_grad():
        score = network(features).gather(1, torch.as_tensor(target)[:, None]).sum()
        return torch.autograd.grad(score, features)[0]


def test_captum_gives_the_same_max_sensitivity():
    from captum.metrics import sensitivity_max

    model = waveform_model()
    items = explained(model)
    features = features_of(model)[1]
    target = torch.tensor([item.target for item in items])
    drawn = 2 * torch.rand(7, *features.shape[1:], generator=torch.Generator().manual_seed(0)) - 1
    levels = torch.tensor([rms_where_sounding(row) for row in features]).view(-1, 1, 1)
    moves = (drawn[None] * 0.3 * levels[:, None]).flatten(0, 1)
    expected = sensitivity_max(
        lambda inputs, target: (gradients(model.network, inputs[0] if isinstance(inputs, tuple) else inputs, target),),
        features,
        perturb_func=lambda repeated: repeated + moves,
        n_perturb_samples=7,
        target=target,
    )
    metric = create("metric", "max_sensitivity", perturb="features", radius=0.3, draws=7)
    np.testing.assert_allclose(metric(model, items)["max_sensitivity_features"], expected.numpy(), rtol=1e-3)


def test_quantus_gives_the_same_max_sensitivity():
    from xaudio_lrp import _zennit  # noqa: F401 (imports zennit, as quantus does, also beside a broken torchvision)

    quantus = pytest.importorskip("quantus")
    loaded = waveform_model()
    items = explained(loaded)
    features = features_of(loaded)[1]
    drawn = 2 * torch.rand(4, *features.shape[1:], generator=torch.Generator().manual_seed(0)) - 1
    levels = np.array([rms_where_sounding(row) for row in features])
    moves = iter(drawn.flatten(1).numpy())
    oracle = quantus.MaxSensitivity(
        nr_samples=4,
        perturb_func=lambda arr, **_: arr + 0.3 * levels[:, None] * next(moves),
        normalise=False,
        abs=False,
        disable_warnings=True,
    )
    expected = oracle(
        model=loaded.network,
        x_batch=features.numpy(),
        y_batch=np.array([item.target for item in items]),
        a_batch=np.stack([item.relevance for item in items]),
        explain_func=lambda model, inputs, targets, **_: gradients(model, inputs, targets).numpy(),
        channel_first=True,
    )
    metric = create("metric", "max_sensitivity", perturb="features", radius=0.3, draws=4)
    np.testing.assert_allclose(metric(loaded, items)["max_sensitivity_features"], expected, rtol=1e-3)


def test_relevance_that_is_zero_everywhere(monkeypatch):
    loaded = waveform_model()
    items = [item.with_relevance(np.zeros_like(item.relevance)) for item in explained(loaded)]
    metric = create("metric", "max_sensitivity")
    by(monkeypatch, lambda model, features, target: torch.zeros_like(features))
    np.testing.assert_array_equal(metric(loaded, items)["max_sensitivity"], 0)
    by(monkeypatch, lambda model, features, target: torch.full_like(features, 5))
    np.testing.assert_array_equal(metric(loaded, items)["max_sensitivity"], 1)


def test_an_explainer_that_listens_has_no_features_of_their_own():
    model = waveform_model()
    assert create("metric", "max_sensitivity")(model, explained(model, "amplitude"))["max_sensitivity"].max() < 0.1
    with pytest.raises(ModelError, match="amplitude listens to the sound.*use perturb=sound"):
        create("metric", "max_sensitivity", perturb="features")(model, explained(model, "amplitude"))
    with pytest.raises(PluginError, match="give sound="):  # it could, but for this option
        items = explained(model, "integrated_gradients", baseline="mean_spectrum")
        create("metric", "max_sensitivity", perturb="features")(model, items)


# Both

METRICS = {
    "infidelity": {"draws": 5},
    "infidelity:removal": {"draws": 5, "perturbation": "removal", "reading": "contribution"},
    "max_sensitivity": {"draws": 3},
    "max_sensitivity:features": {"draws": 3, "perturb": "features"},
    "model_randomisation": {},
    "model_randomisation:independent": {"order": "independent", "values": "absolute"},
}


def metric_of(name, **options):
    return create("metric", name.partition(":")[0], **METRICS[name], **options)


@pytest.mark.parametrize("name", METRICS)
def test_values_depend_on_the_seed_alone(name):
    model = waveform_model()
    items = explained(model, "input_x_gradient")
    state = torch.get_rng_state()
    values = metric_of(name)(model, items)
    assert set(values) == set(metric_of(name).better)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    again = metric_of(name)(model, items)
    other = metric_of(name, seed=1)(model, items)
    small = metric_of(name, batch_size=2)(model, items)
    for key, value in values.items():
        assert value.shape == (3,)
        assert value.dtype == np.float64
        np.testing.assert_array_equal(again[key], value)
        assert not np.allclose(other[key], value)
        np.testing.assert_allclose(small[key], value, rtol=1e-3, atol=1e-5)
        for row, item in enumerate(items):
            np.testing.assert_allclose(metric_of(name)(model, [item])[key], value[row : row + 1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_a_model_in_training_mode_is_asked_in_evaluation_mode_and_left_as_it_was(name):
    layers = [nn.Conv1d(1, 4, 9, stride=3), nn.BatchNorm1d(4), nn.Dropout(), nn.Tanh(), nn.Flatten(), nn.Linear(120, 3)]
    model = model_of(nn.Sequential(*layers))
    items = explained(model)
    expected = metric_of(name)(model, items)
    model.network.train()
    model.network[2].eval()
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    values = metric_of(name)(model, items)
    for key in expected:
        np.testing.assert_allclose(values[key], expected[key], rtol=1e-4)
    assert [module.training for module in model.network] == [True, True, False, True, True, True]
    assert all(torch.equal(before[key], value) for key, value in model.network.state_dict().items())
    assert not any(module._forward_hooks for module in model.network.modules())


@pytest.mark.parametrize("name", METRICS)
def test_what_cannot_be_measured_is_refused_in_one_line(name):
    model, metric = waveform_model(), metric_of(name)
    items = explained(model)
    broken = replace(items[1], relevance=np.full_like(items[1].relevance, np.nan))
    for given, error, message in (
        ([], DataError, "no explanations"),
        ([items[0], broken], ModelError, r"relevance of 1\.wav by gradient holds NaN"),
        ([item.view("frequency") for item in items], ModelError, r"0\.wav is a frequency view"),
    ):
        with pytest.raises(error, match=message) as caught:
            metric(model, given)
        assert "\n" not in str(caught.value)
    other = model_of(waveform_model().network, seed=7)
    with pytest.raises(ModelError, match=r"other logits for 0\.wav"):
        metric(other, items)
    with pytest.raises(ModelError, match=r"reads features of shape \(1, 9, 13\), but 0\.wav was explained with \(1, 96\)"):
        metric(spectrogram_model(), items)


@pytest.mark.parametrize("name", ["max_sensitivity", "model_randomisation"])
def test_who_explains_anew_needs_one_explainer_that_is_a_plugin(name):
    model = waveform_model()
    with pytest.raises(ModelError, match="by gradient and input_x_gradient: measure them apart"):
        metric_of(name)(model, [*explained(model), *explained(model, "input_x_gradient")])
    with pytest.raises(PluginError, match="'gradients' of 0.wav is not a plugin"):
        metric_of(name)(model, explained(model, gradients))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("infidelity", {"draws": 0}, "0 does not fit option 'draws' of metric 'infidelity': expected int, 1 or more"),
        ("infidelity", {"batch_size": 0}, "option 'batch_size' of metric 'infidelity': expected int, 1 or more"),
        ("infidelity", {"size": 0.0}, "0.0 does not fit option 'size' of metric 'infidelity': expected float, above 0"),
        ("infidelity", {"size": 1.5, "perturbation": "removal"}, "size is 1.5; expected a share of each axis"),
        ("infidelity", {"baseline": "silence"}, "baseline=silence would do nothing"),
        ("infidelity", {"perturbation": "blur"}, "expected gaussian | removal"),
        (
            "max_sensitivity",
            {"radius": -1.0},
            "-1.0 does not fit option 'radius' of metric 'max_sensitivity': expected float, above 0",
        ),
        ("max_sensitivity", {"draws": 0}, "option 'draws' of metric 'max_sensitivity': expected int, 1 or more"),
        (
            "model_randomisation",
            {"batch_size": 0},
            "option 'batch_size' of metric 'model_randomisation': expected int, 1 or more",
        ),
        ("f0_hit", {"male": (100.0, 50.0)}, "male is 100 to 50 Hz"),
    ],
)
def test_options_that_make_no_sense(name, options, message):
    with pytest.raises(PluginError, match=message.replace("|", r"\|")):
        create("metric", name, **options)


def test_a_recording_that_is_silent_throughout_has_values():
    model = waveform_model()
    silent = Clip(np.zeros(SAMPLES, np.float32), RATE)
    items = xaudio.explain(model, [silent], explainer="input_x_gradient", device="cpu")
    for name in METRICS:
        for value in metric_of(name)(model, items).values():
            assert np.isfinite(value).all()


def test_another_device_or_precision_is_no_other_model():
    model = waveform_model()
    items = [replace(item, logits=item.logits * 1.001) for item in explained(model)]
    create("metric", "infidelity", draws=1)(model, items)
