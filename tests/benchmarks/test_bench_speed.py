"""The benchmark of speed: both sides give the same, and the table follows from the times."""

import json
import sys
from pathlib import Path

import pytest
import torch

import xaudio
from xaudio import PluginError
from xaudio_bench_speed.contenders import pairs, unit
from xaudio_bench_speed.flipping import flip
from xaudio_bench_speed.networks import textbook_audionet
from xaudio_bench_speed.records import Results
from xaudio_bench_speed.report import table_text
from xaudio_bench_speed.shapley import SLOTS, shap_pairs

HEAD = {"device": "cpu", "threads": 1, "batch": 1, "rounds": 1, "matrix_peak": 1e9}
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, session_cache, narrow):
    out = tmp_path_factory.mktemp("speed")
    xaudio.create(
        "benchmark",
        "speed",
        parts="explainers,many,flipping",
        models="audionet,audionet-conv1d",
        batch=2,
        rounds=2,
        recordings=4,
        flips=2,
        device="cpu",
    )(out)
    return out


def test_the_table_names_device_sizes_and_both_sides(folder):
    results = Results.model_validate(json.loads((folder / "results.json").read_text()))
    assert (results.batch, results.rounds, results.threads) == (2, 2, torch.get_num_threads())
    assert {row.library for row in results.rows} - {"shap"} == {"zennit", "captum", "torch"}
    told = [left.reason for left in results.left_out if left.part == "explainers"]
    assert any(row.library == "shap" for row in results.rows) != any("shap cannot be imported" in reason for reason in told)
    assert len(told) == len(set(told))
    assert {row.method for row in results.rows} >= {
        *("lrp epsilon_plus", "lrp epsilon_alpha2_beta1", "integrated_gradients"),
        *("lrp epsilon_plus, functions", "lrp epsilon, functions"),
    }
    for row in results.rows:
        assert row.difference < 0.05, row.method  # rounding may change the winner of a pooling window; below it cannot
        assert row.ratio > 0
        assert 0 < row.share_of_peak < 1.5
    assert [row.recordings for row in results.long_runs] == [4, 4]
    assert [(row.model, row.recordings, row.fractions) for row in results.flips] == [
        ("audionet", 2, 21),
        ("audionet-conv1d", 2, 21),
    ]
    for row in results.flips:
        assert row.difference < 1e-6  # all sides have the same areas
        assert (row.library_ratio is None) == bool(row.left_out)
        if row.library_ratio is not None:
            assert row.library_default_ratio == pytest.approx(8000 / 20 * row.library_ratio)
    text = table_text(results)
    assert "flipping 2 recordings" in text
    assert all(row.method in text for row in results.rows)
    assert "Speed of explanations" in (folder / "report.html").read_text()


def test_the_sides_of_a_pair_explain_alike():
    """On a small network that is not one of the two."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv1d(1, 4, 5), torch.nn.ReLU(), torch.nn.MaxPool1d(2), torch.nn.Flatten(), torch.nn.Linear(32, 3)
    )
    network.eval().requires_grad_(False)
    features, target = torch.randn(2, 1, 20), torch.tensor([0, 2])
    assert unit(network, features, target)().shape == features.shape
    for pair in pairs(network, features, target):
        assert torch.allclose(pair.xaudio(), pair.other(), atol=1e-5), pair.name


@pytest.mark.parametrize("make", [lambda: xaudio.create("model", "audionet", classes=10), lambda: textbook_audionet(10)])
def test_the_sides_explain_alike_where_rounding_decides_nothing(make, narrow):
    torch.manual_seed(0)
    network = make().eval().requires_grad_(False).double()
    features, target = 0.1 * torch.randn(2, 1, 8000, dtype=torch.float64), torch.tensor([0, 2])
    for pair in pairs(network, features, target):
        one, other = pair.xaudio(), pair.other()
        assert (one - other).abs().max() < 1e-6 * other.abs().max(), pair.name


def small_network():
    torch.manual_seed(0)
    layers = [torch.nn.Conv1d(1, 4, 5), torch.nn.ReLU(), torch.nn.MaxPool1d(2), torch.nn.Flatten(), torch.nn.Linear(32, 3)]
    network = torch.nn.Sequential(*layers).eval().requires_grad_(False).double()
    features = torch.randn(2, 1, 20, dtype=torch.float64)
    return network, features, network(features).argmax(1)


def test_shap_and_xaudio_explain_alike():
    pytest.importorskip("shap", reason="shap is not installed", exc_type=ImportError)
    network, features, target = small_network()
    asked = []
    network.register_forward_hook(lambda module, given, answer: asked.append(len(given[0])))
    made = list(shap_pairs("small", network, features, target))
    assert [(pair.name, pair.library) for pair in made] == [("deep_lift", "shap"), ("kernel_shap", "shap")]
    for pair in made:
        one, other = pair.xaudio(), pair.other()
        assert one.shape == other.shape == features.shape
        assert (one - other).abs().max() < 1e-6 * other.abs().max(), pair.name
    asked.clear()
    made[1].xaudio()
    ours = sum(asked)
    asked.clear()
    made[1].other()
    assert sum(asked) == ours == 2 * 2**SLOTS  # of each recording all choices, once


def test_a_network_that_shap_does_not_understand_is_left_out_with_the_reason():
    pytest.importorskip("shap", reason="shap is not installed", exc_type=ImportError)

    class Functional(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, features):
            return self.inner(features).exp()

    network, features, target = small_network()
    left, kernel = shap_pairs("functional", Functional(network), features, target)
    assert left.reason.startswith("shap.DeepExplainer beside deep_lift on functional: its sums miss the difference of the logits")
    assert kernel.name == "kernel_shap"


def test_a_shap_that_cannot_be_imported_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    (left,) = shap_pairs("small", *small_network())
    assert left.part == "explainers"
    assert left.reason.startswith("shap cannot be imported: import of shap halted")
    assert len(left.reason.splitlines()) == 1


def test_the_kept_results_and_their_schema_are_of_this_version():
    assert json.loads((RESULTS / "schema-speed.json").read_text()) == Results.model_json_schema(mode="serialization")
    kept = Results.model_validate_json((RESULTS / "speed-2-cores" / "results.json").read_text())
    assert {row.model for row in kept.rows} == {"audionet", "audionet-conv1d", "alexnet"}


def test_a_quantus_that_cannot_be_imported_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "quantus", None)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8000, 3)).eval()
    model = xaudio.Model(network, xaudio.create("representation", "waveform"), ("a", "b", "c"))
    times = [[1.0, 2.0, 4.0], [3.0, 8.0, 8.0], [6.0, 4.0, 80.0]]  # the forward passes alone, xaudio and the naive loop
    row = flip("small", model, torch.randn(2, 8000), 5, lambda runs: times[: len(runs)])
    assert (row.library_ratio, row.recordings) == (None, 2)
    assert (row.forward_seconds, row.seconds, row.forwards) == (2, 8, 3)  # medians, and that of 3, 4 and 2 times as long
    assert row.naive_ratio == 2 * 2  # the naive loop flips one of the two: 2, 0.5 and 10 times as long
    assert "Quantus cannot be imported: import of quantus halted" in row.left_out
    assert row.left_out in table_text(Results.model_construct(rows=[], long_runs=[], flips=[row], **HEAD))


def test_wrong_numbers_are_named():
    for wrong in ({"batch": 0}, {"rounds": 0}, {"recordings": -1}, {"flips": -1}):
        with pytest.raises(PluginError, match=r"expected int, \d or more"):
            xaudio.create("benchmark", "speed", **wrong)
