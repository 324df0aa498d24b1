"""Metrics that take parts away, against loops over single recordings and fractions, and against Quantus."""

import inspect
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
import xaudio.plugin
from xaudio import Clip, Model, ModelError, PluginError, create
from xaudio.types import Sound
from xaudio_faithfulness import _flipping, _parts

SAMPLES, RATE = 240, 8000
CURVES = ("pixel_flipping", "deletion_auc", "insertion_auc")
MASKED = ("average_increase", "average_drop", "average_drop_double_softmax", "average_gain", "faithfulness_ff", "fid_in")


class Convolutions(nn.Module):
    """Logits of three classes, for features of any axes."""

    def __init__(self, axes):
        super().__init__()
        kind = nn.Conv1d if axes == 1 else nn.Conv2d
        self.layers = nn.Sequential(kind(1, 6, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(3))

    def forward(self, features):
        return self.layers(features / features.flatten(1).std(1).clamp(min=1e-3).view(-1, *[1] * (features.ndim - 1)))


def model_of(name, axes, **options):
    read = create("representation", name, samples=SAMPLES, placement="start", **options)
    torch.manual_seed(axes)
    network = Convolutions(axes).eval()
    network(read(torch.zeros(1, SAMPLES)))
    with torch.no_grad():
        network.layers[-1].weight *= 3
    return Model(
        network, read, ("one", "two", "three"), representation_spec={"name": name, "options": {**options, "samples": SAMPLES}}
    )


@pytest.fixture(scope="module")
def waves():
    return model_of("waveform", 1)


@pytest.fixture(scope="module")
def spectra():
    return model_of("spectrogram", 2, window=32, hop=8)


def clips(count=3, padded=40):
    rng = np.random.default_rng(0)
    time = np.arange(SAMPLES - padded) / RATE
    tones = [np.sin(2 * np.pi * (500 + 400 * index) * time) * np.hanning(len(time)) for index in range(count)]
    return [
        Clip((0.3 * tone + 0.02 * rng.standard_normal(len(time))).astype(np.float32), RATE, source=f"{k}.wav")
        for k, tone in enumerate(tones)
    ]


def explained(model, count=3, padded=40, explainer="input_x_gradient"):
    return xaudio.explain(model, clips(count, padded), explainer=explainer, device="cpu")


def probabilities(model, features):
    with torch.no_grad():
        return model.network(features[None]).double().softmax(1)[0].numpy()


def absent_of(model, explanation, imputation):
    """Features and waveform of what stands in for one recording."""
    sound = Sound(torch.from_numpy(explanation.clip.waveform)[None], model.representation, model.features)
    waveform = xaudio.plugin.baseline_waveforms("silence" if imputation in ("zero", "band_stop") else imputation, sound)[0]
    return xaudio.plugin.baseline_features(imputation, torch.from_numpy(explanation.features)[None], sound)[
        0
    ] if imputation != "band_stop" else None, waveform


def slow_stft_mix(domain, waveform, absent, kept):
    """The sound of both transforms mixed: frame by frame, with numpy."""
    length, hop, window = domain.length, domain.hop, domain.window.numpy()
    total = np.zeros(SAMPLES + 4 * length)
    weight = np.zeros_like(total)
    for frame in range(domain.frames):
        start = frame * hop + 2 * length - length // 2
        part = slice(start, start + length)
        padded = [np.pad(signal.astype(np.float64), 2 * length)[part] * window for signal in (waveform, absent)]
        gains = kept[0, :, frame]
        mixed = np.fft.irfft(np.fft.rfft(padded[0]) * gains + np.fft.rfft(padded[1]) * (1 - gains), n=length)
        total[part] += mixed * window
        weight[part] += window**2
    return total[2 * length : 2 * length + SAMPLES] / weight[2 * length : 2 * length + SAMPLES]


def slow_band_stop(waveform, kept):
    """Circular convolution with the impulse response, cut to 25 ms either way."""
    response, ringing = np.fft.irfft(kept, n=SAMPLES), round(0.025 * RATE)
    filtered = np.zeros(SAMPLES)
    for shift in range(-SAMPLES // 2 + 1, SAMPLES // 2 + 1):
        if abs(shift) < ringing:
            fade = math.cos(math.pi * shift / (2 * ringing)) ** 2
            filtered += fade * response[shift % SAMPLES] * np.roll(waveform, shift)
    return filtered


def slow_input(model, explanation, seen, domain, imputation, kept):
    """What the network reads of one recording, of which so much is kept."""
    absent_features, absent = absent_of(model, explanation, imputation)
    if domain == "features":
        return torch.from_numpy(explanation.features * kept + absent_features.numpy() * (1 - kept)).float()
    waveform, absent = explanation.clip.waveform, absent.numpy()
    if (kept == 1).all():
        mixed = waveform
    elif domain == "time":
        mixed = waveform * kept[0] + absent * (1 - kept[0])
    elif imputation == "band_stop":
        mixed = slow_band_stop(waveform, kept[0])
    elif domain == "frequency":
        mixed = np.fft.irfft(np.fft.rfft(waveform) * kept[0] + np.fft.rfft(absent) * (1 - kept[0]), n=SAMPLES)
    else:
        mixed = slow_stft_mix(seen.representation, waveform, absent, kept)
    with torch.no_grad():
        return model.features(torch.from_numpy(np.asarray(mixed, np.float32))[None])[0]


def slow_removable(model, explanation, seen, domain, imputation):
    absent_features, absent = absent_of(model, explanation, imputation)
    if domain == "features":
        return explanation.features != absent_features.numpy()
    difference = torch.from_numpy(explanation.clip.waveform) - absent
    return (seen.representation.amplitude(difference[None])[0] != 0).numpy()


def slow_curve(
    model,
    explanation,
    fractions,
    ascending=False,
    share="nonzero",
    order="signed",
    domain="features",
    imputation="zero",
    segment=1,
):
    """Probability of the explained class, one fraction at a time; the mean over equal boxes taken one way and the other."""
    seen = explanation if domain == "features" else explanation.view(domain)
    relevance = np.abs(seen.relevance) if order == "absolute" else seen.relevance
    boxes = {}
    for place in np.ndindex(relevance.shape):
        boxes.setdefault((place[0], *(index // segment for index in place[1:])), []).append(place)
    removable = slow_removable(model, explanation, seen, domain, imputation)
    drawn = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(0)).tolist()
    curves = []
    for equal in (drawn, drawn[::-1]):
        ranked = [
            (sum(float(relevance[place]) for place in places), -equal.index(number), places)
            for number, places in enumerate(boxes.values())
            if any(removable[place] for place in places)
        ]
        ranked.sort(key=lambda box: box[:2], reverse=not ascending)
        total = len(ranked) if share == "nonzero" else len(boxes)
        for fraction in fractions:
            kept = np.ones(relevance.shape)
            for *_, places in ranked[: round(fraction * total)]:
                for place in places:
                    kept[place] = 0
            features = slow_input(model, explanation, seen, domain, imputation, kept)
            curves.append(probabilities(model, features)[explanation.target])
    return np.array(curves).reshape(2, -1).mean(0)


CASES = [
    {},
    {"share": "all", "order": "absolute"},
    {"imputation": "noise_floor"},
    {"imputation": "mean_spectrum", "segment": 7},
    {"domain": "time", "segment": 10},
    {"domain": "time", "imputation": "noise_floor"},
    {"domain": "frequency"},
    {"domain": "frequency", "imputation": "band_stop", "segment": 5},
    {"domain": "frequency", "imputation": "mean_spectrum", "order": "absolute"},
]


def compare(model, explanations, options):
    fractions = [step / 5 for step in range(6)]
    most = np.array([slow_curve(model, item, fractions, **options) for item in explanations])
    least = np.array([slow_curve(model, item, fractions, ascending=True, **options) for item in explanations])
    found = {}
    for name in CURVES:
        found |= create("metric", name, steps=5, batch_size=4, **options)(model, explanations)
    close = {"rtol": 0, "atol": 1e-6}
    np.testing.assert_allclose(found["aopc_morf"], (most[:, :1] - most).mean(1), **close)
    np.testing.assert_allclose(found["aopc_lerf"], (least[:, :1] - least).mean(1), **close)
    np.testing.assert_allclose(found["aopc_difference"], found["aopc_morf"] - found["aopc_lerf"], rtol=1e-12)
    steps = np.diff(fractions)
    np.testing.assert_allclose(found["deletion_auc"], ((most[:, 1:] + most[:, :-1]) / 2 * steps).sum(1), **close)
    np.testing.assert_allclose(found["insertion_auc"], ((least[:, 1:] + least[:, :-1]) / 2 * steps).sum(1), **close)
    assert np.ptp(most) > 0.01  # the model notices


@pytest.mark.slow
@pytest.mark.parametrize("options", CASES, ids=str)
def test_curves_equal_the_naive_loop(waves, options):
    compare(waves, explained(waves), options)


ORDERED = ("pixel_flipping", "deletion_auc", "insertion_auc")


def measured(model, explanation, relevance, **options):
    found = {}
    for name in ORDERED:
        found |= create("metric", name, steps=6, **options)(model, [explanation.with_relevance(relevance)])
    return {name: float(value[0]) for name, value in found.items()}


@pytest.mark.parametrize("options", [{}, {"share": "all"}, {"domain": "time", "segment": 10}], ids=str)
def test_a_map_that_says_nothing_is_worth_nothing_in_any_order(waves, options):
    """All scores equal: the most relevant first and the least relevant first are the same."""
    explanation = explained(waves, 1)[0]
    for level in (0.0, 1.0):
        values = measured(waves, explanation, np.full_like(explanation.relevance, level), **options)
        assert values["aopc_difference"] == pytest.approx(0, abs=1e-12)
        assert abs(values["aopc_morf"]) > 1e-6  # something is taken away
        assert values["insertion_auc"] == pytest.approx(values["deletion_auc"], abs=1e-12)


def test_equal_scores_are_asked_a_second_time_only_where_a_fraction_cuts_them(waves, monkeypatch):
    """Where none is cut the numbers are the same bits as without a second look; where some are, those of the slow loop."""
    (explanation,) = explained(waves, 1, padded=0)
    relevance = np.arange(SAMPLES, dtype=np.float32).reshape(explanation.relevance.shape)
    relevance[0, :80] = 0
    item = explanation.with_relevance(relevance)
    fractions, rows = [0, 0.25, 0.5, 0.75, 1], []
    parts = _parts.Parts("pixel_flipping", "features", "zero", "signed", 1, 0, None)
    handle = waves.network.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    try:
        found = _flipping.probabilities(waves, [item], parts, fractions, ["descending", "ascending"], "all")[0]
    finally:
        handle.remove()
    assert rows == [8, 2]  # 60 of the 80 equal cells are in 3/4 from the highest, and in 1/4 from the lowest
    slow = [slow_curve(waves, item, fractions, ascending, "all") for ascending in (False, True)]
    np.testing.assert_allclose(found, slow, rtol=0, atol=1e-6)
    monkeypatch.setattr(_flipping, "tied", lambda scores, *rest: torch.zeros(1, 2, 5, dtype=torch.bool))
    once = _flipping.probabilities(waves, [item], parts, fractions, ["descending", "ascending"], "all")[0]
    assert (found != once).tolist() == [[False, False, False, True, False], [False, True, False, False, False]]


def test_turning_the_relevance_round_turns_the_difference_round_also_with_ties(waves):
    explanation = explained(waves, 1)[0]
    coarse = np.round(explanation.relevance / np.abs(explanation.relevance).max(), 1)
    assert len(np.unique(coarse)) < coarse.size / 5
    values, turned = measured(waves, explanation, coarse), measured(waves, explanation, -coarse)
    assert turned["aopc_difference"] == pytest.approx(-values["aopc_difference"], abs=1e-12)
    assert turned["aopc_morf"] == pytest.approx(values["aopc_lerf"], abs=1e-12)


@pytest.mark.slow
def test_equal_scores_are_worth_what_random_ones_are_on_average(waves):
    explanation = explained(waves, 1)[0]
    rng = np.random.default_rng(0)
    shape = explanation.relevance.shape
    drawn = [measured(waves, explanation, rng.normal(size=shape).astype(np.float32))["aopc_morf"] for _ in range(40)]
    flat = [measured(waves, explanation, np.zeros(shape, np.float32), seed=seed)["aopc_morf"] for seed in range(10)]
    assert np.mean(flat) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(20))


@pytest.mark.slow
def test_curves_in_the_short_time_transform_equal_the_naive_loop(waves):
    compare(waves, explained(waves, 2), {"domain": "time-frequency", "imputation": "noise_floor", "segment": 9})


@pytest.mark.parametrize(
    "options", [{}, {"imputation": "silence"}, {"domain": "time", "segment": 12}, {"domain": "frequency"}], ids=str
)
def test_curves_of_a_model_of_spectrograms(spectra, options):
    compare(spectra, explained(spectra, 2), options)


def test_cells_of_a_models_own_spectrogram_are_taken_from_the_sound(spectra):
    items = explained(spectra, 2)
    value = create("metric", "deletion_auc", steps=2, domain="time-frequency")(spectra, items)["deletion_auc"]
    for item, area in zip(items, value, strict=True):
        order = np.argsort(-item.relevance.ravel(), kind="stable")
        alive = (spectra.representation.amplitude(torch.from_numpy(item.clip.waveform)[None])[0] != 0).numpy().ravel()
        order = order[alive[order]]
        curve = [probabilities(spectra, torch.from_numpy(item.features))]
        for count in (round(len(order) / 2), len(order)):
            mask = torch.ones(item.relevance.size)
            mask[torch.from_numpy(order[:count])] = 0
            changed = spectra.representation.masked_waveform(
                torch.from_numpy(item.clip.waveform)[None], mask.view(1, *item.relevance.shape)
            )
            curve.append(probabilities(spectra, spectra.features(changed)[0]))
        assert area == pytest.approx(np.trapezoid([p[item.target] for p in curve], dx=0.5), abs=1e-6)


def test_fractions_always_have_0(waves):
    items = explained(waves)
    found = create("metric", "pixel_flipping", fractions=(0.5, 0.1))(waves, items)["aopc_morf"]
    curves = np.array([slow_curve(waves, item, [0, 0.1, 0.5]) for item in items])
    np.testing.assert_allclose(found, (curves[:, :1] - curves).mean(1), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "signed"), [("waveform", True), ("waveform", False), ("spectrogram", True)])
def test_pixel_flipping_equals_quantus(kind, signed):
    pytest.importorskip("xaudio_lrp._zennit")  # Quantus imports zennit, which this does even beside a broken torchvision
    quantus = pytest.importorskip("quantus")
    model = model_of(kind, 1) if kind == "waveform" else model_of(kind, 2, window=32, hop=8)
    rng = np.random.default_rng(1)
    items = []
    for item in explained(model, 4, padded=0):
        features = (rng.standard_normal(item.features.shape) + 3).astype(np.float32)  # no zeros, which Quantus would sort in
        items.append(replace(item, features=features, relevance=rng.standard_normal(features.shape).astype(np.float32)))
    features, relevance = (np.stack([getattr(item, name) for item in items]) for name in ("features", "relevance"))
    target = np.array([item.target for item in items])
    step = features[0].size // 10 if kind == "waveform" else features.shape[3]
    other = quantus.PixelFlipping(
        features_in_step=step, abs=not signed, normalise=False, perturb_baseline=0.0, disable_warnings=True
    )
    curves = np.array(other(model.network, features, target, a_batch=relevance, softmax=True, channel_first=True))
    with torch.no_grad():
        first = model.network(torch.from_numpy(features)).softmax(1).numpy()[np.arange(4), target, None]
    options = {"share": "all", "order": "signed" if signed else "absolute", "steps": features[0].size // step}
    found = create("metric", "pixel_flipping", **options)(model, items)["aopc_morf"]
    # Quantus leaves the whole recording, whose fall is 0, out of its curve.
    np.testing.assert_allclose(found, (first - curves).sum(1) / (curves.shape[1] + 1), rtol=0, atol=1e-6)
    area = create("metric", "deletion_auc", **options)(model, items)["deletion_auc"]
    whole = np.concatenate([first, curves], axis=1)
    np.testing.assert_allclose(area, np.trapezoid(whole, axis=1) / curves.shape[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("domain", ["features", "time", "frequency"])
def test_turning_the_signs_turns_the_order(waves, domain):
    items = explained(waves)
    turned = [item.with_relevance(-item.relevance) for item in items]
    one, other = (create("metric", "pixel_flipping", domain=domain)(waves, some) for some in (items, turned))
    np.testing.assert_allclose(one["aopc_morf"], other["aopc_lerf"], atol=1e-6)
    np.testing.assert_allclose(one["aopc_difference"], -other["aopc_difference"], atol=1e-6)
    inserted = create("metric", "insertion_auc", domain=domain)(waves, items)["insertion_auc"]
    deleted = create("metric", "deletion_auc", domain=domain)(waves, turned)["deletion_auc"]
    np.testing.assert_allclose(inserted, deleted, atol=1e-6)


def test_nothing_is_classified_twice(waves):
    rows = []
    handle = waves.network.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    try:
        items = explained(waves)
        rows.clear()
        create("metric", "pixel_flipping", steps=10, batch_size=7)(waves, items)
    finally:
        handle.remove()
    assert sum(rows) == 3 * (2 * 9 + 2)
    assert set(rows[:-1]) == {7}


def slow_mask(relevance, normalisation, order, percentile, top):
    values = np.maximum(np.abs(relevance) if order == "absolute" else relevance, 0).astype(np.float64)
    if normalisation == "maximum":
        return values / values.max()
    if normalisation == "percentile":
        return np.minimum(values / np.percentile(values, percentile), 1)
    mask = np.zeros(values.size)
    mask[np.argsort(-values.ravel())[: round(top * values.size)]] = 1
    return mask.reshape(values.shape) * (values > 0)


def slow_values(before, after, rest, target):
    """All metrics of one recording, of logits of X, M X and (1 - M) X."""

    def softmax(values):
        exponentials = [math.exp(value) for value in values]
        return [value / sum(exponentials) for value in exponentials]

    p, q, r = softmax(before)[target], softmax(after)[target], softmax(rest)[target]
    twice = [softmax(softmax(values))[target] for values in (before, after)]
    return {
        "average_increase": 100.0 * (q > p),
        "average_drop": 100 * max(0, p - q) / p,
        "average_drop_double_softmax": 100 * max(0, twice[0] - twice[1]) / twice[0],
        "average_gain": 100 * max(0, q - p) / (1 - p),
        "faithfulness_ff": p - r,
        "fid_in": float(np.argmax(before) == np.argmax(after)),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalisation": "percentile", "percentile": 90.0, "imputation": "noise_floor"},
        {"normalisation": "top", "top": 0.3, "order": "absolute"},
        {"domain": "time", "imputation": "mean_spectrum"},
        {"domain": "frequency"},
        {"domain": "frequency", "imputation": "band_stop", "normalisation": "top"},
        {"domain": "time-frequency", "normalisation": "percentile"},
    ],
    ids=str,
)
def test_masked_recordings_equal_the_naive_loop(waves, options):
    compare_masked(waves, explained(waves, 5), options)


def compare_masked(waves, items, options):
    given = {"normalisation": "maximum", "order": "signed", "percentile": 99.0, "top": 0.1} | options
    domain, imputation = options.get("domain", "features"), options.get("imputation", "zero")
    expected = []
    for item in items:
        seen = item if domain == "features" else item.view(domain)
        mask = slow_mask(seen.relevance, *(given[name] for name in ("normalisation", "order", "percentile", "top")))
        inputs = (slow_input(waves, item, seen, domain, imputation, kept) for kept in (np.ones_like(mask), mask, 1 - mask))
        with torch.no_grad():
            logits = [waves.network(features[None])[0].tolist() for features in inputs]
        expected.append(slow_values(*logits, item.target))
    for name in MASKED:
        found = create("metric", name, batch_size=3, **options)(waves, items)
        np.testing.assert_allclose(found[name], [values[name] for values in expected], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"domain": "time"}], ids=str)
def test_the_class_that_was_explained_is_measured_where_another_is_predicted(waves, options):
    items = [replace(item, target=(item.predicted + 1) % 3) for item in explained(waves, 5)]
    compare(waves, items, options)
    compare_masked(waves, items, options)
    for name in (*CURVES, *MASKED[:-1]):  # fid_in asks whether the predicted class stays, whatever was explained
        metric = create("metric", name, **options)
        for key, values in metric(waves, [replace(item, target=item.predicted) for item in items]).items():
            assert (values != metric(waves, items)[key]).any(), key


def test_a_mask_of_the_top_never_holds_what_is_not_relevant(waves):
    items = []
    for item in explained(waves):
        relevance = np.full_like(item.relevance, -1)
        relevance[0, 90:120] = 1  # 30 of 240 cells, where the top half is asked for
        items.append(item.with_relevance(relevance))
    top = create("metric", "faithfulness_ff", normalisation="top", top=0.5)(waves, items)["faithfulness_ff"]
    np.testing.assert_array_equal(top, create("metric", "faithfulness_ff")(waves, items)["faithfulness_ff"])
    assert (top != 0).all()


def test_the_numbers_of_the_formulas():
    """AD and AG by hand: probabilities 0.8 and 0.2, then 0.6 and 0.4; then turned round."""
    from xaudio_faithfulness._masking import values

    one, other = torch.tensor([[0.8, 0.2]]).double().log(), torch.tensor([[0.6, 0.4]]).double().log()
    target = torch.tensor([0])
    fall = {name: float(values(name, one, other, target, "classes")) for name in MASKED}
    rise = {name: float(values(name, other, one, target, "classes")) for name in MASKED}
    assert (fall["average_drop"], rise["average_drop"]) == (pytest.approx(25), 0)
    assert (fall["average_gain"], rise["average_gain"]) == (0, pytest.approx(50))
    assert (fall["average_increase"], rise["average_increase"]) == (0, 100)
    assert (fall["faithfulness_ff"], fall["fid_in"]) == (pytest.approx(0.2), 1)
    assert fall["average_drop_double_softmax"] == pytest.approx(100 * (1 - (1 + math.exp(-0.6)) / (1 + math.exp(-0.2))))  # not 25
    certain = torch.tensor([[60.0, 0.0]]).double()  # 1 - p is 1e-26, which a difference would lose
    more = torch.tensor([[61.0, 0.0]]).double()
    assert float(values("average_gain", certain, more, target, "classes")) == pytest.approx(100 * (1 - math.exp(-1)))
    # A probability of 0 in floating point, of which there still is a share that is lost.
    never, less = torch.tensor([[0.0, 1000.0]]).double(), torch.tensor([[0.0, 1001.0]]).double()
    assert float(values("average_drop", never, less, target, "classes")) == pytest.approx(100 * (1 - math.exp(-1)))
    assert float(values("average_drop", never, never, target, "classes")) == 0


@pytest.mark.parametrize("logits", [([2.0], [-1.0]), ([2.0, 3.0], [-1.0, 5.0])], ids=["one output", "two labels"])
def test_labels_are_measured_each_by_itself(logits):
    """Sigmoids of 2 and -1 by hand, whatever the other label says."""
    from xaudio_faithfulness._masking import values

    before, after = (torch.tensor([one]).double() for one in logits)
    found = {name: float(values(name, before, after, torch.tensor([0]), "labels")) for name in MASKED if "double" not in name}
    high, low = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    assert found["average_drop"] == pytest.approx(100 * (high - low) / high)
    assert (found["average_gain"], found["average_increase"], found["fid_in"]) == (0, 0, 0)
    assert found["faithfulness_ff"] == pytest.approx(high - low)
    with pytest.raises(ModelError, match="gives labels, which have no softmax"):
        values("average_drop_double_softmax", before, after, torch.tensor([0]), "labels")


def test_a_mask_of_ones_changes_nothing_and_one_of_zeros_everything(waves):
    items = explained(waves)
    for domain in ("features", "time", "frequency", "time-frequency"):
        ones = [item.with_relevance(np.ones_like(item.relevance)) for item in items]
        if domain in ("features", "time"):
            values = {name: create("metric", name, domain=domain)(waves, ones)[name] for name in MASKED}
            assert all((values[name] == 0).all() for name in ("average_increase", "average_drop", "average_gain"))
            assert (values["fid_in"] == 1).all()
        zeros = [item.with_relevance(np.zeros_like(item.relevance)) for item in items]
        assert (create("metric", "faithfulness_ff", domain=domain)(waves, zeros)["faithfulness_ff"] == 0).all()


def test_rounding_that_differs_from_row_to_row_is_no_increase(waves):
    """Some processors round one row of a batch otherwise than the next; the whole recording must still equal itself."""

    class Uneven(nn.Module):
        def forward(self, features):
            return waves.network(features) + 1e-6 * torch.arange(len(features))[:, None] * torch.eye(3)[:1]

    uneven = replace(waves, network=Uneven())
    items = [replace(item, target=0) for item in explained(waves)]
    ones = [item.with_relevance(np.ones_like(item.relevance)) for item in items]
    for name in ("average_increase", "average_drop", "average_gain"):
        assert (create("metric", name)(uneven, ones)[name] == 0).all()
    zeros = [item.with_relevance(np.zeros_like(item.relevance)) for item in items]
    assert (create("metric", "faithfulness_ff")(uneven, zeros)["faithfulness_ff"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES + MASKED)
def test_every_metric_keeps_the_contract(waves, name, monkeypatch):
    metric = create("metric", name)
    items = explained(waves, 5)
    together = metric(waves, items)
    assert set(metric.better) == set(together)
    assert set(metric.better.values()) <= {"higher", "lower"}
    for key, values in together.items():
        assert values.shape == (5,)
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, [metric(waves, [item])[key][0] for item in items], atol=1e-6)
        assert metric(waves, [])[key].shape == (0,)
    monkeypatch.setattr(_parts, "BLOCK", 2)
    for key, values in metric(waves, items).items():
        np.testing.assert_allclose(values, together[key], atol=1e-6)
    waves.network.train()  # dropout would show
    try:
        for key, values in metric(waves, items).items():
            np.testing.assert_allclose(values, together[key], atol=1e-6)
        assert waves.network.training
    finally:
        waves.network.eval()


@pytest.mark.parametrize("name", CURVES + MASKED)
def test_every_option_is_described(name):
    from xaudio.registry.loading import registry
    from xaudio.registry.options import options_of

    factory = registry().factory("metric", name)
    assert all(option.description for option in options_of(factory).values())
    assert "arXiv" in inspect.getdoc(factory) or "recipe" in inspect.getdoc(factory)


def test_relevance_that_cannot_be_measured_is_named(waves, spectra):
    items = explained(waves)
    metric = create("metric", "pixel_flipping")
    for relevance, message in (
        (np.full_like(items[1].relevance, np.nan), "holds NaN or infinity"),
        (np.ones((1, 7)), r"relevance of shape \(1, 7\); expected that of the features, \(1, 240\)"),
    ):
        broken = [items[0], replace(items[1], relevance=relevance)]
        with pytest.raises(ModelError, match=f"1.wav by input_x_gradient .*{message}"):
            metric(waves, broken)
    with pytest.raises(ModelError, match="is a frequency view, which no network reads"):
        metric(waves, [items[0].view("frequency")])
    with pytest.raises(ModelError, match="is of 'other', which is no output of this model"):
        metric(waves, [replace(items[0], classes=("other",), target=0)])
    with pytest.raises(ModelError, match="is not of this model"):
        metric(waves, explained(spectra, 1))


def test_a_view_is_measured_in_its_own_domain(waves):
    items = explained(waves)
    metric = create("metric", "deletion_auc", domain="frequency")
    views = [item.view("frequency") for item in items]
    np.testing.assert_array_equal(metric(waves, items)["deletion_auc"], metric(waves, views)["deletion_auc"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pixel_flipping", {"steps": 0}, "0 does not fit option 'steps' of metric 'pixel_flipping': expected int, 1 or more"),
        ("pixel_flipping", {"fractions": (0.0,)}, "fractions are (0.0,); expected one above 0"),
        (
            "pixel_flipping",
            {"fractions": (0.5, 2.0)},
            "(0.5, 2.0) does not fit option 'fractions' of metric 'pixel_flipping': expected float, 0 or more, 1 at most",
        ),
        ("deletion_auc", {"segment": 0}, "0 does not fit option 'segment' of metric 'deletion_auc': expected int, 1 or more"),
        (
            "insertion_auc",
            {"batch_size": 0},
            "0 does not fit option 'batch_size' of metric 'insertion_auc': expected int, 1 or more",
        ),
        ("insertion_auc", {"imputation": "band_stop"}, "domain=features; choose domain=frequency"),
        ("fid_in", {"imputation": "band_stop", "domain": "time-frequency"}, "domain=time-frequency; choose"),
        (
            "average_drop",
            {"top": 0.0},
            "0.0 does not fit option 'top' of metric 'average_drop': expected float, above 0, 1 at most",
        ),
        (
            "average_drop",
            {"percentile": 101.0},
            "101.0 does not fit option 'percentile' of metric 'average_drop': expected float, above 0, 100 at most",
        ),
        ("average_gain", {"domain": "cepstrum"}, "expected features | time"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(PluginError) as caught:
        create("metric", name, **options)
    assert message in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("domain", ["features", "time-frequency"])
def test_flipping_in_bfloat16_is_flipping_but_for_rounding(waves, name, domain):
    """What the network reads is of full precision; its products, and so the probabilities, have two to three digits."""
    explanations = explained(waves)
    measured = [
        create("metric", name, domain=domain, steps=5, **options)(waves, explanations)
        for options in ({}, {"precision": "float32"}, {"precision": "bfloat16"})
    ]
    for measure, exact in measured[0].items():
        np.testing.assert_array_equal(measured[1][measure], exact)
        assert not np.array_equal(measured[2][measure], exact)
        np.testing.assert_allclose(measured[2][measure], exact, atol=0.02)


def test_a_network_in_bfloat16_offers_what_it_does_by_the_same_names(waves):
    network = _parts.InBfloat16(waves.network)
    assert network.offers == waves.offers
    assert {name for name, _ in network.named_modules()} == {name for name, _ in waves.network.named_modules()}
