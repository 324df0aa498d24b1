"""Clusters of explanations: the steps against slow textbook versions, and the planted click that is found without being told."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import xaudio
import xaudio_patterns
from xaudio import Clip, DataError, Model, ModelError, PluginError
from xaudio.cli.app import app
from xaudio_patterns.spectral import (
    affinity_of,
    clusters_by_eigengap,
    default_neighbours,
    distances_between,
    eigenvalues_of,
    embedding_of,
    k_means,
    laplacian_of,
    outliers_of,
    separations,
    spectral_clusters,
    surrogate_eigenvalues,
)

# The steps


def slow_affinity(points, neighbours):
    """The graph of neighbours, pair by pair."""
    count = len(points)
    affinity = np.zeros((count, count))
    for one in range(count):
        others = sorted((float(np.linalg.norm(points[one] - points[other])), other) for other in range(count) if other != one)
        for _, other in others[:neighbours]:
            affinity[one, other] = affinity[other, one] = 1
    return affinity


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(5, 12), st.integers(1, 4))
def test_affinity_and_laplacian(seed, count, neighbours):
    points = np.random.default_rng(seed).standard_normal((count, 3))
    affinity = affinity_of(distances_between(points), neighbours)
    assert (affinity == slow_affinity(points, neighbours)).all()
    laplacian = laplacian_of(affinity)
    degree = affinity.sum(1)
    for one in range(count):
        for other in range(count):
            joined = affinity[one, other] / np.sqrt(degree[one] * degree[other])
            assert laplacian[one, other] == pytest.approx((one == other) - joined)
    np.testing.assert_allclose(laplacian @ np.sqrt(degree), 0, atol=1e-12)  # the eigenvalue 0
    values, vectors = eigenvalues_of(affinity, count - 1)
    assert values.max() <= 2 + 1e-9
    np.testing.assert_allclose(laplacian @ vectors, vectors * values, atol=1e-9)


@pytest.mark.parametrize("blocks", [1, 2, 3, 5])
def test_the_eigengap_counts_planted_blocks(blocks):
    """Blocks of all-to-all affinities, joined by few others: as many eigenvalues near 0 as blocks, then a gap."""
    rng = np.random.default_rng(blocks)
    block = np.repeat(np.arange(blocks), 8)
    affinity = (block[:, None] == block).astype(float)
    stray = np.triu(rng.random(affinity.shape) < 0.02, 1)
    affinity = np.maximum(affinity, stray | stray.T)
    np.fill_diagonal(affinity, 0)
    values, _ = eigenvalues_of(affinity, 7)
    assert clusters_by_eigengap(values, np.zeros(6)) == blocks
    if blocks > 1:
        assert separations(values)[blocks - 2] > 0.5
        assert clusters_by_eigengap(values, np.ones(6)) == 1  # no cut is more than chance


def planted(sizes, seed=0, distance=6.0):
    rng = np.random.default_rng(seed)
    centres = distance * np.eye(8)[: len(sizes)]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return centres[labels] + rng.standard_normal((sum(sizes), 8)), labels


@pytest.mark.parametrize(("points", "neighbours"), [(2, 3), (20, 3), (21, 4), (54, 4), (55, 5), (148, 5), (149, 6)])
def test_neighbours_are_the_logarithm_of_the_points_rounded_up(points, neighbours):
    assert default_neighbours(points) == neighbours  # e^3 = 20.1, e^4 = 54.6, e^5 = 148.4


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(60,), (30, 20), (30, 20, 10)])
def test_clusters_are_found_and_only_those_that_are_there(sizes):
    for seed in range(5):
        points, labels = planted(sizes, seed)
        order = np.random.default_rng(seed).permutation(len(points))
        found = spectral_clusters(points[order], 5, surrogates=39, seed=seed)
        assert (found.labels == labels[order]).all()  # the largest is 0
        assert (found.chance is None) == (len(sizes) == 1)
        assert len(sizes) == 1 or found.chance == 1 / 40


@pytest.mark.slow
def test_without_surrogates_small_clouds_fall_apart():
    """Why cuts are compared with chance: the largest gap of a cloud without clusters is often not the first."""
    alone = [len(set(spectral_clusters(planted((40,), seed)[0], 4, surrogates=0).labels)) for seed in range(20)]
    compared = [len(set(spectral_clusters(planted((40,), seed)[0], 4, surrogates=39).labels)) for seed in range(20)]
    assert sum(count > 1 for count in compared) <= 2  # one in twenty is chance
    assert sum(count > 1 for count in alone) > sum(count > 1 for count in compared)


@pytest.mark.parametrize(
    ("chances", "clusters"),
    [
        ([0.05, 0.05], 3),  # the largest gap, at the level
        ([0.05, 0.051], 2),  # it is chance: the largest of those that are none
        ([0.051, 0.05], 3),
        ([0.051, 0.051], 1),
    ],
)
def test_a_cut_counts_up_to_a_chance_of_one_in_twenty(chances, clusters):
    assert clusters_by_eigengap(np.array([0.0, 0.1, 0.3, 0.9]), np.array(chances)) == clusters


@pytest.mark.parametrize("clusters", [2, 3, 4])
def test_the_chance_of_a_cut_is_how_many_surrogates_are_cut_as_clearly_anywhere(clusters):
    points, _ = planted((14, 11), distance=1.0)
    found = spectral_clusters(points, 4, clusters, surrogates=39, seed=3)
    surrogates = surrogate_eigenvalues(points, 4, len(found.eigenvalues) - 1, 39, 3)

    def cuts(values):
        return [1 - values[last] / values[last + 1] for last in range(1, len(values) - 1)]

    as_clear = sum(max(cuts(row)) >= cuts(found.eigenvalues)[clusters - 2] for row in surrogates)
    assert found.chance == (1 + as_clear) / 40
    assert as_clear > 0


@pytest.mark.slow
def test_points_without_clusters_are_cut_one_time_in_twenty():
    """With 19 surrogates a cut counts that is clearer than all of them: 1 in 20, 10 of 200, with a deviation of 3.1."""
    cut = sum(
        spectral_clusters(np.random.default_rng([seed, 1]).standard_normal((24, 3)), 4, surrogates=19, seed=seed).labels.any()
        for seed in range(200)
    )
    assert 1 <= cut <= 20


@pytest.mark.slow
def test_the_number_of_clusters_can_be_given():
    points, _ = planted((30, 20))
    for count in (1, 2, 4):
        assert len(set(spectral_clusters(points, 5, count, surrogates=0).labels)) == count


@pytest.mark.slow
def test_k_means_beats_chance_and_takes_what_there_is():
    points, labels = planted((20, 15, 10))
    assert all(
        (k_means(points, 3, seed)[:, None] == k_means(points, 3, seed)).tolist() == (labels[:, None] == labels).tolist()
        for seed in range(3)
    )
    same = np.zeros((9, 2))
    assert not k_means(same, 3, 0).any()
    assert set(k_means(np.repeat([[0.0], [1.0]], 5, 0), 4, 0)) == {0, 1}


def test_outliers_are_far_for_their_cluster():
    points, labels = planted((30, 20), distance=40)
    points[0] += 30 * np.eye(8)[7]
    distances = distances_between(points)
    mean, outlying = outliers_of(distances, 3, labels, 3.5)
    assert outlying[0]
    assert outlying.sum() <= 3
    slow = [np.sort(np.delete(distances[one], one))[:3].mean() for one in range(len(points))]
    np.testing.assert_allclose(mean, slow)
    members = mean[labels == 1]
    deviation = np.median(np.abs(members - np.median(members)))
    for limit in (0.5, 1.0, 3.5):
        found = outliers_of(distances, 3, labels, limit)[1][labels == 1]
        assert found.tolist() == (0.6745 * (members - np.median(members)) / deviation > limit).tolist()
    assert not outliers_of(np.ones((5, 5)), 3, np.zeros(5, int), 3.5)[1].any()


def test_the_embedding_keeps_clusters_apart():
    points, labels = planted((20, 20))
    places = embedding_of(affinity_of(distances_between(points), 5))
    assert places.shape == (40, 2)
    first = places[:, 0]
    assert first[labels == 0].max() < first[labels == 1].min() or first[labels == 1].max() < first[labels == 0].min()


# A click that gives away part of a class in training

RATE, SAMPLES, CLICK = 4000, 2000, slice(1200, 1224)


def pitches(clicks, count=140, seed=0):
    """Tones of 500 or 620 Hz in noise; a third of the higher ones have a click at 0.3 s, if there are clicks."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    clicked = (labels == 1) & (rng.random(count) < 0.35)
    time = np.arange(SAMPLES) / RATE
    tones = np.sin(2 * np.pi * (np.where(labels == 1, 620, 500)[:, None] * time + rng.random((count, 1))))
    waveforms = 0.125 * tones + 0.125 * rng.standard_normal((count, SAMPLES))
    if clicks:
        waveforms[clicked, CLICK] += 0.75 * np.random.default_rng(9).choice([-1, 1], CLICK.stop - CLICK.start)
    return waveforms.clip(-1, 1).astype(np.float32), labels, clicked


def trained(waveforms, labels):
    """A small network that has learned these recordings, in two seconds."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 16, 32, stride=4), nn.ReLU(), nn.MaxPool1d(16), nn.Flatten(), nn.Linear(16 * 30, 2))
    features, targets = torch.from_numpy(waveforms)[:, None], torch.from_numpy(labels)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(150):
        batch = torch.randint(0, len(features), (32,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(features[batch]), targets[batch]).backward()
        optimiser.step()
    read = xaudio.create("representation", "waveform", sample_rate=RATE, samples=SAMPLES)
    return Model(network.eval(), read, ("low", "high"), task="pitch")


def explained(clicks):
    """Explanations by lrp of the training recordings, and which of those of the class "high" have a click, or would have."""
    waveforms, labels, clicked = pitches(clicks)
    model = trained(waveforms, labels)
    clips = [
        Clip(waveform, RATE, labels={"pitch": int(label)}, speaker=f"s{index % 5}", source=f"{index}.wav")
        for index, (waveform, label) in enumerate(zip(waveforms, labels, strict=True))
    ]
    found = xaudio.explain(model, clips, explainer="lrp")
    assert np.mean([item.predicted == item.label for item in found]) > 0.95
    return found, set(np.flatnonzero(clicked).tolist())


@pytest.fixture(scope="module")
def clever_hans(training):
    return explained(clicks=True)


@pytest.fixture(scope="module")
def honest(training):
    return explained(clicks=False)


def set_of(result, name):
    return next(item for item in result.sets if item.name == name)


@pytest.mark.parametrize("view", ["time", "frequency", "time-frequency:length=128,hop=64"])
def test_the_planted_click_is_a_cluster_of_its_own(clever_hans, view):
    explanations, clicked = clever_hans
    result = xaudio_patterns.cluster_explanations(explanations, view=view, surrogates=39)
    assert result.sets[0].name == "high"  # the class with the clearest clusters comes first
    best = max(result.sets[0].clusters, key=lambda item: len(clicked & set(item.recordings)))
    missed, strangers = clicked - set(best.recordings), set(best.recordings) - clicked
    assert len(missed) <= 1
    assert len(strangers) <= 1
    assert best.cut < 0.05
    if "time" in view:  # where the cluster differs from the others is where the click is
        assert best.distinct["time"] == pytest.approx(CLICK.start / RATE, abs=0.02)
    medoid = explanations[best.medoid]
    assert best.medoid in clicked
    assert CLICK.start - 8 <= int(np.abs(medoid.relevance[0]).argmax()) < CLICK.stop + 8
    assert result.sets[0].chance <= 0.05


@pytest.mark.parametrize("view", ["time", "frequency", "time-frequency:length=128,hop=64"])
def test_without_the_click_there_is_no_such_cluster(honest, view):
    explanations, would_be = honest
    found = set_of(xaudio_patterns.cluster_explanations(explanations, view=view, surrogates=39), "high")
    assert len(found.clusters) == 1
    forced = set_of(xaudio_patterns.cluster_explanations(explanations, view=view, clusters=2, surrogates=0), "high")
    for cluster in forced.clusters:  # and no cut goes where the clicks would have been
        share = len(would_be & set(cluster.recordings)) / len(would_be)
        assert abs(share - len(cluster.recordings) / found.recordings) < 0.3


def test_what_is_said_of_a_cluster(clever_hans):
    explanations, _ = clever_hans
    result = xaudio_patterns.cluster_explanations(explanations, view="time", surrogates=19, seed=3)
    again = xaudio_patterns.cluster_explanations(explanations, view="time", surrogates=19, seed=3)
    assert result.model_dump_json() == again.model_dump_json()
    assert type(result).model_validate_json(result.model_dump_json()) == result
    assert [member.recording for member in result.members] == list(range(len(explanations)))
    values = xaudio_patterns.cluster_explanations.__globals__["relevance_cells"](explanations, "time").rows
    for item in result.sets:
        for cluster in item.clusters:
            members = [member for member in result.members if (member.set, member.cluster) == (item.name, cluster.number)]
            assert [member.recording for member in members] == cluster.recordings
            np.testing.assert_allclose(cluster.mean, values[cluster.recordings].mean(0))
            sums = [
                sum(np.linalg.norm(values[one] - values[other]) for other in cluster.recordings) for one in cluster.recordings
            ]
            assert cluster.medoid == cluster.recordings[int(np.argmin(sums))]
            assert [member.recording for member in members if member.medoid] == [cluster.medoid]
            assert [member.recording for member in members if member.outlier] == cluster.outliers
            right = [explanations[one].predicted == explanations[one].label for one in cluster.recordings]
            assert cluster.accuracy == np.mean(right)
            assert sum(cluster.speakers.values()) == sum(cluster.labels["pitch"].values()) == len(cluster.recordings)
            assert cluster.predicted == {item.name: len(cluster.recordings)}


def test_all_classes_together(clever_hans):
    explanations, _ = clever_hans
    result = xaudio_patterns.cluster_explanations(explanations, view="frequency", per_class=False, clusters=3, surrogates=0)
    assert [(item.name, item.recordings, len(item.clusters)) for item in result.sets] == [("all", 140, 3)]
    purity = sum(max(cluster.predicted.values()) for cluster in result.sets[0].clusters) / 140
    assert purity > 0.95


def test_wrong_use_is_named(clever_hans):
    explanations, _ = clever_hans
    few = explanations[:30]
    with pytest.raises(PluginError, match="Unknown view 'tone'"):
        xaudio_patterns.cluster_explanations(few, view="tone")
    with pytest.raises(DataError, match="too few recordings to cluster: 6, and no class has enough; expected at least 12"):
        xaudio_patterns.cluster_explanations(explanations[:6])
    with pytest.raises(DataError, match="neighbours is 15, and 'high' has 15 recordings"):
        xaudio_patterns.cluster_explanations(few, neighbours=15)
    with pytest.raises(PluginError, match=r"0 does not fit clusters: expected int, 1 or more \| none"):
        xaudio_patterns.cluster_explanations(few, clusters=0)
    for outlier in (float("nan"), float("inf"), 0.0, -3.5):
        with pytest.raises(PluginError, match=f"{outlier} does not fit outlier: expected float, above 0"):
            xaudio_patterns.cluster_explanations(few, outlier=outlier)
    broken = replace(few[0], relevance=np.full_like(few[0].relevance, np.inf))
    with pytest.raises(ModelError, match=r"0\.wav by lrp holds NaN or infinity"):
        xaudio_patterns.cluster_explanations([broken, *few[1:]])
    result = xaudio_patterns.cluster_explanations(explanations[:30:2] + explanations[1:11:2])
    assert [item.name for item in result.sets] == ["low"]
    assert "The class 'high' is left out: 5 recordings are explained for it, and clustering needs 12." in result.notes


def test_relevance_of_zero_is_counted_and_harms_nothing(clever_hans):
    explanations, _ = clever_hans
    silent = [replace(item, relevance=np.zeros_like(item.relevance)) for item in explanations[:20]]
    result = xaudio_patterns.cluster_explanations([*silent, *explanations[20:60]], per_class=False, view="time")
    assert "20 recordings have no relevance at all, counted as 0." in result.notes
    json.dumps(result.model_dump(), allow_nan=False)
    xaudio_patterns.cluster_explanations(silent, per_class=False, view="time")  # all alike: one cluster, no error


# The command


def test_the_command_shows_and_plays_the_medoids(run_folder, tmp_path):
    from typer.testing import CliRunner

    out = tmp_path / "out"
    arguments = ["cluster", "--model", run_folder, "--dataset", "synthetic:speakers=8,repetitions=1", "--part", "all"]
    arguments += ["--recordings", "24", "--together", "--clusters", "2", "--view", "time", "--device", "cpu"]
    arguments = [str(argument) for argument in arguments]
    done = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "all: 24 recordings" in done.output
    result = json.loads((out / "results.json").read_text())
    assert [len(item["clusters"]) for item in result["sets"]] == [2]
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert page.count("<xaudio-player>") == 2
    with (out / "members.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["cluster"]) for row in rows] == [member["cluster"] for member in result["members"]]
    assert {row["label sex"] for row in rows} == {"male", "female"}
    for name in ("report.html", "set1.png"):
        (out / name).unlink()
    assert CliRunner().invoke(app, ["report", str(out)]).output == f"Report: {out / 'report.html'}\n"
    assert (out / "report.html").read_text() == page
    (out / "medoids" / "1-2" / "explanation.safetensors").rename(out / "away.safetensors")
    missing = CliRunner().invoke(app, ["report", str(out)])
    assert "explanation.safetensors: is missing, so the report cannot be made" in str(missing.exception)
    (out / "away.safetensors").rename(out / "medoids" / "1-2" / "explanation.safetensors")
    refused = CliRunner().invoke(app, [*arguments, "--seed", "1", "--out", str(out)])
    assert isinstance(refused.exception, ModelError)
    assert "seed was 0, now 1" in str(refused.exception)
