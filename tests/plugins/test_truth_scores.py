"""The scores against loops over single cells, an independent library, and the properties they must have."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import rankdata

from xaudio import Clip, DataError, Explanation, ModelError, PluginError, create, explain
from xaudio.plugin import Axis, Model, truth_mask
from xaudio_truth_scores import _scores

NAMES = ("relevance_mass", "relevance_rank", "pointing_game", "iou", "auc")
RATE, SAMPLES = 8000, 24
CELLS = 24
"""Of two channels with 3 frequencies and 4 frames."""


def explanation(relevance, boxes=((0.0, 0.002, 0.0, 1500.0),), source="some.wav", target=0, **truth):
    """Cells of 1 ms and 1 kHz; by default the truth are 2 of 4 frames and 2 of 3 frequencies."""
    relevance = np.asarray(relevance, dtype=np.float64)
    return Explanation(
        clip=Clip(
            np.zeros(32, np.float32),
            RATE,
            labels={"tone": 0},
            source=source,
            truth={"boxes.tone": np.array(boxes), **{f"decoys.{key}": np.array(value) for key, value in truth.items()}},
        ),
        features=np.zeros(relevance.shape),
        relevance=relevance,
        axes=(Axis("frequency", "Hz", np.arange(3) * 1000.0), Axis("time", "s", np.arange(4) / 1000)),
        logits=np.array([2.0, 1.0]),
        classes=("yes", "no"),
        target=target,
        task="tone",
        provenance={"explainer": {"name": "mine"}},
    )


def measure(name, *explanations, **options):
    metric = create("metric", name, **options)
    (result,) = metric(None, explanations).items()
    assert result[0] == name
    assert set(metric.better) == {name}
    json.dumps(result[1].tolist(), allow_nan=False)
    return result[1]


def slow(name, relevance, mask):
    """One recording, cell by cell; tied cells in all orders at once."""
    cells = sorted(zip(np.ravel(relevance).tolist(), np.ravel(mask).tolist(), strict=True), reverse=True)
    size = sum(inside for _, inside in cells)
    if name == "relevance_mass":
        total = sum(value for value, _ in cells)
        return sum(value for value, inside in cells if inside) / total if total > 0 else size / len(cells)
    if name == "pointing_game":
        best = [inside for value, inside in cells if value == cells[0][0]]
        return sum(best) / len(best)
    if name == "auc":
        pairs = [(a > b) + (a == b) / 2 for a, here in cells if here for b, there in cells if not there]
        return sum(pairs) / len(pairs)
    hits, left = 0.0, size
    for value in sorted({value for value, _ in cells}, reverse=True):
        tied = [inside for other, inside in cells if other == value]
        taken = min(left, len(tied))
        hits += sum(tied) * taken / len(tied)
        left -= taken
    return hits / size if name == "relevance_rank" else hits / (2 * size - hits)


few = st.sampled_from([-2.0, -1.0, 0.0, 0.0, 1.0, 1.0, 3.0])
relevances = st.one_of(
    arrays.arrays(np.float64, (2, 3, 4), elements=st.floats(-1e3, 1e3).filter(lambda v: v == 0 or abs(v) > 1e-6)),
    arrays.arrays(np.float64, (2, 3, 4), elements=few),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(relevances, st.sampled_from(["positive", "absolute", "signed"]))
def test_scores_are_those_of_a_loop(name, relevance, sign):
    assume(name != "relevance_mass" or sign != "signed")
    item = explanation(relevance)
    compared = {"positive": np.maximum(relevance, 0), "absolute": np.abs(relevance), "signed": relevance}[sign]
    expected = slow(name, compared, truth_mask(item))
    assert measure(name, item, sign=sign)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(relevances, st.sampled_from([0.3, 0.5, 1.0]))
def test_iou_of_what_is_above_a_threshold(relevance, threshold):
    item = explanation(relevance)
    mask, positive = truth_mask(item), np.maximum(relevance, 0)
    relevant = positive >= threshold * positive.max()
    assert measure("iou", item, threshold=threshold)[0] == pytest.approx((relevant & mask).sum() / (relevant | mask).sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(relevances, st.floats(1e-3, 1e3))
def test_the_scale_of_relevance_does_not_matter(name, relevance, factor):
    rounded = np.round(relevance, 2)  # so that rounding makes no ties
    values = measure(name, explanation(rounded), explanation(rounded * factor))
    assert values[0] == pytest.approx(values[1], abs=1e-9)
    assert 0 <= values[0] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_as_relevance_is_perfect_and_its_opposite_the_worst(name):
    mask = truth_mask(explanation(np.zeros((2, 3, 4)))).astype(float)
    assert measure(name, explanation(mask), explanation(1 - mask)).tolist() == [1, 0]
    assert measure(name, explanation(mask - 1), sign="signed" if name != "relevance_mass" else "positive")[0] == (
        1 if name != "relevance_mass" else pytest.approx(mask.mean())
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_relevance_and_even_relevance_have_the_score_of_chance(name):
    share = truth_mask(explanation(np.zeros((2, 3, 4)))).mean()
    chance = {"auc": 0.5, "iou": share / (2 - share)}.get(name, share)
    items = [explanation(np.full((2, 3, 4), value)) for value in (0.0, 2.0, -1.0)]
    np.testing.assert_allclose(measure(name, *items), chance)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_random_relevance_has_the_score_of_chance_on_average(name):
    rng = np.random.default_rng(0)
    items = [explanation(rng.random((2, 3, 4))) for _ in range(600)]
    share = truth_mask(items[0]).mean()
    values = measure(name, *items)
    chance = {"auc": 0.5}.get(name, share)
    if name == "iou":  # of a hypergeometric number of hits
        size = truth_mask(items[0]).sum()
        hits = rng.hypergeometric(size, CELLS - size, size, 100_000)
        chance = np.mean(hits / (2 * size - hits))
    assert values.mean() == pytest.approx(chance, abs=4 * values.std() / np.sqrt(len(values)))


@pytest.mark.parametrize("name", NAMES)
def test_many_recordings_are_scored_in_order_each_with_its_own_truth(name):
    rng = np.random.default_rng(1)
    boxes = [((0.0, 0.001 * (1 + index % 3), 0.0, 500.0 + 1000 * (index % 2)),) for index in range(_scores.BATCH + 5)]
    items = [explanation(rng.standard_normal((2, 3, 4)), box) for box in boxes]
    together = measure(name, *items)
    assert together.shape == (len(items),)
    expected = [slow(name, np.maximum(item.relevance, 0), truth_mask(item)) for item in items]
    np.testing.assert_allclose(together, expected, atol=1e-12)


def test_scores_are_those_of_quantus():
    from xaudio_lrp import _zennit  # noqa: F401 (imports zennit, as quantus does, also beside a broken torchvision)

    quantus = pytest.importorskip("quantus")
    rng = np.random.default_rng(2)
    relevance = rng.random((30, 1, 12, 16))
    masks = np.zeros(relevance.shape, dtype=bool)
    masks[:, :, 3:7, 5:11] = True
    ours = {name: function(relevance.reshape(30, -1), masks.reshape(30, -1)) for name, function in FUNCTIONS.items()}
    keywords = {"abs": False, "normalise": False, "disable_warnings": True, "display_progressbar": False}
    theirs = {
        "relevance_mass": quantus.RelevanceMassAccuracy(**keywords),
        "relevance_rank": quantus.RelevanceRankAccuracy(**keywords),
        "pointing_game": quantus.PointingGame(**keywords),
        "auc": quantus.AUC(**keywords),
    }
    for name, metric in theirs.items():
        values = metric(
            model=None,
            x_batch=relevance,
            y_batch=np.zeros(30, int),
            a_batch=relevance,
            s_batch=masks,
            channel_first=True,
        )
        np.testing.assert_allclose(ours[name], np.asarray(values, dtype=float), atol=1e-9, err_msg=name)


FUNCTIONS = {
    "relevance_mass": _scores.mass,
    "relevance_rank": _scores.rank,
    "pointing_game": _scores.pointing,
    "auc": _scores.area,
}


def test_auc_of_many_cells_is_that_of_ranks():
    rng = np.random.default_rng(3)
    relevance, truth = np.round(rng.random((3, 5000)), 2), rng.random((3, 5000)) < 0.1
    for row in range(3):
        ranks = rankdata(relevance[row])
        inside = truth[row].sum()
        expected = (ranks[truth[row]].sum() - inside * (inside + 1) / 2) / (inside * (5000 - inside))
        assert _scores.area(relevance, truth)[row] == pytest.approx(expected)


def test_relevance_on_decoys_is_measured_whatever_is_explained():
    relevance = np.zeros((2, 3, 4))
    relevance[:, 2, 3] = 1
    item = explanation(relevance, tone=((0.003, 0.004, 1500.0, 2500.0),), target=1)
    metric = create("metric", "relevance_mass", truth="decoys.tone")
    assert metric(None, [item])["relevance_mass"] == [1]
    assert metric.better == {"relevance_mass": "none"}
    assert not metric.needs_truth
    metric = create("metric", "relevance_mass")
    assert metric.better == {"relevance_mass": "higher"}
    assert metric.needs_truth


def test_margins_make_the_truth_larger():
    relevance = np.zeros((2, 3, 4))
    relevance[:, 2, 2] = 1  # a frame and a frequency beyond the box
    item = explanation(relevance)
    assert measure("relevance_mass", item) == 0
    assert measure("relevance_mass", item, margin_s=0.001) == 0
    assert measure("relevance_mass", item, margin_s=0.001, margin_hz=500.0) == 1


@pytest.fixture(scope="module")
def heard():
    """Explanations of a tone in a slot, by a model of waveforms that is the sum over the slot."""
    import torch

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8000, 2))
    time = np.arange(8000) / RATE
    tone = (np.sin(2 * np.pi * 1000 * time) * (np.abs(time - 0.5) < 0.1)).astype(np.float32)
    tone += 1e-3 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    truth = {"boxes.": np.array([[0.4, 0.6, 950, 1050.0]])}
    only = {"time": np.array([[0.4, 0.6, 0, 4000.0]]), "frequency": np.array([[0, 1.0, 950, 1050.0]])}
    found = explain(
        network,
        Clip(tone, RATE, truth=truth),
        representation="waveform",
        explainer=lambda model, features, target: features**2,
        target=0,
    )
    found = replace(found, clip=replace(found.clip, labels={"": 0}))
    return {
        "both": found,
        **{domain: replace(found, clip=replace(found.clip, truth={"boxes.": box})) for domain, box in only.items()},
    }


@pytest.mark.parametrize(
    ("truth", "domain", "expected"),
    [
        ("both", "auto", "time"),
        ("both", "time", "time"),
        ("both", "frequency", "frequency"),
        ("both", "time-frequency", "time-frequency"),
        ("time", "auto", "time"),
        ("frequency", "auto", "frequency"),
        ("frequency", "time-frequency", "time-frequency"),
    ],
)
def test_the_domain_is_as_asked_or_where_the_truth_says_something(heard, truth, domain, expected):
    item = heard[truth]
    view = item.view(expected)
    value = measure("relevance_mass", item, domain=domain)[0]
    positive, mask = np.maximum(view.relevance, 0), truth_mask(view)
    assert value == pytest.approx(positive[mask].sum() / positive.sum())
    assert value > 0.7
    assert mask.mean() < 0.3


def test_truth_that_says_nothing_in_the_domain_is_refused(heard):
    with pytest.raises(DataError, match="covers everything in time"):
        measure("auc", heard["frequency"], domain="time")
    with pytest.raises(DataError, match="covers everything in frequency"):
        measure("auc", heard["time"], domain="frequency")


@pytest.mark.parametrize("name", NAMES)
def test_wrong_use_gets_one_clear_line(name):
    good = explanation(np.ones((2, 3, 4)))
    without = replace(good, clip=replace(good.clip, truth={}))
    unlabelled = replace(good, clip=replace(good.clip, labels={}))
    broken = replace(good, relevance=np.full((2, 3, 4), np.nan))
    cases = [
        (explanation(np.ones((2, 3, 4)), target=1), DataError, r"explained class of some\.wav is 'no', the true one is 'yes'"),
        (unlabelled, DataError, "the true one is unknown"),
        (without, DataError, r"some\.wav has no truth 'boxes\.tone'"),
        (broken, ModelError, r"some\.wav by mine holds NaN"),
        (replace(good, relevance=np.ones((2, 3))), ModelError, r"some\.wav by mine has shape \(2, 3\)"),
    ]
    for item, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            measure(name, good, item)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no explanations"):
        measure(name)


def test_options_that_do_not_fit_are_refused():
    for threshold in (0.0, 1.5, float("nan")):
        with pytest.raises(PluginError, match="option 'threshold' of metric 'iou': expected float, above 0, 1 at most"):
            create("metric", "iou", threshold=threshold)
    with pytest.raises(PluginError, match="sign"):
        create("metric", "relevance_mass", sign="signed")
    with pytest.raises(PluginError, match="domain"):
        create("metric", "auc", domain="cepstrum")


class Frames(torch.nn.Module):
    """The mean over time of linear scores of frames, fitted in one step to events: each frame says which it hears."""

    def __init__(self, frames, heard):
        super().__init__()
        ridge = frames.T @ frames + len(frames) * torch.eye(frames.shape[1])
        self.weight = torch.nn.Parameter(torch.linalg.solve(ridge, frames.T @ (heard - heard.mean(0))).T)

    def forward(self, features):
        return torch.einsum("lb,ncbt->nl", self.weight, features) / features.shape[-1]


def test_relevance_lies_on_real_events(real_data):
    """Syllables of birds that nobody made for it: a model that was fitted to ten songs is asked about two others."""
    songs = create("dataset", "folder", data=real_data("events/birdsong"))
    mel = create("representation", "log_mel", sample_rate=32000, n_fft=1024, hop=512, bands=32)
    names, clips = songs.tasks["label"], [songs[index] for index in range(len(songs))]
    frames, heard = [], []
    for clip in clips[:-2]:
        read = mel.at(len(clip.waveform))
        frames.append(read(torch.from_numpy(clip.waveform)[None])[0, 0].T)
        times = read.axes[1].centres[:, None]
        rows = [clip.truth.get(f"boxes.label.{name}", np.zeros((0, 4))) for name in names]
        heard.append(np.stack([((times >= row[:, 0]) & (times < row[:, 1])).any(1) for row in rows], 1))
    table = torch.cat(frames)
    network = Frames(table - table.mean(0), torch.from_numpy(np.concatenate(heard)).float()).eval()
    model = Model(network, mel, names, task="label", kind="labels", mean=table.mean(0)[None, :, None])
    scores = {"input_x_gradient": [], "random": []}
    for clip in clips[-2:]:
        for name in clip.labels["label"]:
            for explainer, kept in scores.items():
                asked = explain(model, clip, target=name, explainer=explainer)
                measured = [create("metric", metric)(model, [asked])[metric][0] for metric in ("auc", "relevance_mass")]
                kept.append([*measured, truth_mask(asked).mean()])
    (area, mass, share), (chance, by_chance, _) = (np.mean(kept, 0) for kept in scores.values())
    assert len(scores["random"]) == 13
    assert chance == pytest.approx(0.5, abs=0.03)
    assert by_chance == pytest.approx(share, rel=0.1)
    assert area > 0.52
    assert mass > 1.5 * share
