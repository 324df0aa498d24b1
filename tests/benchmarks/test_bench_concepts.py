"""The check of concepts, with a network of which it is known what each channel hears."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
import xaudio_concepts
from xaudio import DataError, Model, ModelError, PluginError
from xaudio_bench_concepts import measures
from xaudio_bench_concepts.benchmark import CARRIERS, _holds
from xaudio_bench_concepts.measures import carrying, masses, switching, tuning
from xaudio_bench_concepts.results import Results

DATA = "truth:recordings=160"


@pytest.fixture(scope="module")
def knowing():
    """Four channels that each hear one carrier, in another order than the carriers, and one that is deaf."""
    conv = nn.Conv1d(1, 5, 1000, stride=500, bias=False)
    model = nn.Sequential(conv, nn.ReLU(), nn.AvgPool1d(15), nn.Flatten(), nn.Linear(5, 16, bias=False))
    window, time = torch.hann_window(1000), torch.arange(1000) / 8000
    with torch.no_grad():
        conv.weight.zero_()
        for channel, frequency in enumerate(reversed(CARRIERS.values())):
            conv.weight[channel, 0] = torch.cos(2 * torch.pi * frequency * time + channel) * window
        model[4].weight.copy_(
            torch.tensor([[1.0 if label >> (3 - channel) & 1 else -1.0 for channel in range(4)] + [0.0] for label in range(16)])
        )
    dataset = xaudio.open_dataset(DATA)
    read = xaudio.create("representation", "waveform", normalisation="none")
    facts = {"fit": "error", "resampling": "fft", "seed": 0}
    loaded = Model(model.eval(), read, dataset.tasks["carriers"], "carriers", facts=facts)
    indices = np.flatnonzero(dataset.labels("carriers") >= 0)
    return measures.tested(loaded, dataset, indices, "0")


def test_tuning_is_what_taking_a_carrier_out_costs(knowing):
    effects = tuning(knowing, CARRIERS)
    assert effects[:4].argmax(1).tolist() == [3, 2, 1, 0]
    own = effects[range(4), [3, 2, 1, 0]]
    assert (own > 5 * (np.abs(effects[:4]).sum(1) - own) / 3).all()
    assert not effects[4].any()


def test_masses_lie_on_the_carrier_of_the_channel(knowing):
    rows = np.flatnonzero(knowing.labels == 15)[:2]  # all four sound
    boxes = [slice(place, place + 1) for place in range(4)]
    lie = masses(knowing, "lrp:composite=epsilon", [0, 1, 2, 3], rows, ["boxes.carriers"] * 4, boxes)
    assert lie.shape == (4, len(rows), 4)
    assert (lie.argmax(2) == np.array([3, 2, 1, 0])[:, None]).all()
    assert (lie.max(2) > 0.5).all()


def test_switching_costs_what_the_channels_carry(knowing):
    changes = switching(knowing, {int(knowing.predicted[0]): [4]}, 5, 3, 0)
    assert changes[0][0] == 0  # the deaf one
    assert len(changes[0]) == 4


def test_channels_of_a_class_have_the_largest_share_there(knowing):
    found = xaudio_concepts.concepts(knowing.model, knowing.dataset, knowing.indices, "0", top=5, references=1, draws=1)
    own = carrying(knowing, found, 2)
    shares = {item.channel: item.classes for item in found.channels}
    for label, channels in own.items():
        name = found.classes[label]
        assert len(channels) <= 2
        assert all(shares[channels[0]][name] >= item[name] for item in shares.values())


def test_half_a_burst_counts():
    assert _holds(0.0, 0.126, 0.1, 0.15)
    assert not _holds(0.0, 0.124, 0.1, 0.15)
    assert _holds(0.11, 0.2, 0.1, 0.15)
    assert not _holds(0.2, 0.3, 0.1, 0.15)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, session_cache):
    folder = tmp_path_factory.mktemp("runs") / "slot"
    experiment = xaudio.Experiment(xaudio.open_dataset(DATA), "slot", 0, "reference", training={"steps": 60})
    xaudio.run_experiment(experiment, folder, torch.device("cpu"))
    return folder


def test_it_writes_a_table_and_goes_on(trained, tmp_path, capsys):
    options = {
        "models": (str(trained),),
        "dataset": DATA,
        "recordings": 2,
        "references": 1,
        "draws": 2,
        "top": 3,
        "device": "cpu",
    }
    xaudio.create("benchmark", "concepts", **options)(tmp_path)
    assert "report.html" in capsys.readouterr().out
    results = Results.model_validate_json((tmp_path / "results.json").read_text())
    (row,) = results.rows
    assert (row.task, row.layer, row.channels, row.tuning) == ("slot", "layers.3", 64, None)
    for share in (row.references.relevance, row.references.activation, row.references.chance, row.maps.tuned, row.maps.chance):
        assert 0 <= share <= 1
    assert row.switching.top < 0
    (tmp_path / "rows" / "0-0.json").write_text(json.dumps({**row.model_dump(), "channels": 63}))
    benchmark = xaudio.create("benchmark", "concepts", **options)
    benchmark(tmp_path)  # reads what is there
    assert Results.model_validate_json((tmp_path / "results.json").read_text()).rows[0].channels == 63
    page = (tmp_path / "report.html").read_text()
    (tmp_path / "report.html").unlink()
    assert benchmark.report(tmp_path).read_text() == page
    with pytest.raises(ModelError, match="other settings"):
        xaudio.create("benchmark", "concepts", **{**options, "top": 4})(tmp_path)


def test_other_tasks_and_no_models_are_refused(run_folder, tmp_path):
    with pytest.raises(PluginError, match="needs trained models"):
        xaudio.create("benchmark", "concepts")(tmp_path)
    data = "synthetic:speakers=8,repetitions=1"
    with pytest.raises(DataError, match="has the task 'digit'"):
        xaudio.create("benchmark", "concepts", models=(str(run_folder),), dataset=data)(tmp_path)
