"""Own models in folders: the same model in a new process, bit by bit; and what cannot be made again is refused."""

import hashlib
import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
import xaudio.plugin
from xaudio import ModelError, XaudioError, XaudioWarning

SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)
READS = "waveform:normalisation=none,placement=start"
NAMES = ["zero", "one", "two"]
CODE = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))

def other():
    return nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.Tanh(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))
"""
EXPLAIN = """
import sys, numpy as np, xaudio
sound = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)
found = xaudio.explain(sys.argv[1], sound, sample_rate=8000, explainer="lrp", device="cpu")
np.save(sys.argv[2], found.relevance)
print(found.classes, found.kind, found.provenance["trained_on"])
"""


@pytest.fixture
def code(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path / "mine.py"


def net(seed=7):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)).eval()


def saved(code, network=None, **more):
    told = {"representation": READS, "classes": NAMES, "kind": "classes", "loader": f"python:at={code}:network"}
    return xaudio.save_model(network or net(), code.parent / "kept", **{**told, **more})


def explained(model, **more):
    return xaudio.explain(model, SOUND, sample_rate=8000, explainer="lrp", device="cpu", **more)


def test_a_saved_model_is_the_same_in_a_new_process_bit_by_bit(code, tmp_path, run_python):
    folder = saved(code, trained_on="dogs of the neighbourhood", fit="loudest", seed=3)
    expected = explained(net(), representation=READS, classes=NAMES, kind="classes").relevance
    done = run_python(EXPLAIN, folder, tmp_path / "there.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "there.npy"), expected)
    assert done.stdout.strip() == "('zero', 'one', 'two') classes dogs of the neighbourhood"
    model = xaudio.load_model(folder, "cpu")
    assert (model.rules.fit, model.rules.seed) == ("loudest", 3)
    assert explained(folder).clip.notes == explained(net(), representation=READS, classes=NAMES, kind="classes").clip.notes
    assert json.loads((folder / "run.json").read_text())["data"]["said"] == "dogs of the neighbourhood"


@pytest.mark.slow
def test_a_model_of_a_loader_or_a_plugin_is_saved_as_it_is(code, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net()), tmp_path / "script.pt")
    spec = f"torchscript:path={tmp_path / 'script.pt'},sample_rate=8000,classes=zero+one+two"
    folder = xaudio.save_model(spec, tmp_path / "of-script")
    sound = {"sample_rate": 8000, "explainer": "gradient", "device": "cpu"}
    np.testing.assert_array_equal(
        xaudio.explain(folder, SOUND, **sound).relevance, xaudio.explain(spec, SOUND, **sound).relevance
    )
    torch.manual_seed(1)
    plugin = xaudio.create("model", "audionet", classes=3).eval()
    model = xaudio.Model(
        plugin,
        xaudio.create("representation", "waveform"),
        tuple(NAMES),
        model_spec={"name": "audionet", "options": {}},
        representation_spec={"name": "waveform", "options": {}},
    )
    folder = xaudio.save_model(model, tmp_path / "of-plugin")
    np.testing.assert_array_equal(explained(folder).relevance, explained(model).relevance)
    torch.jit.save(torch.jit.script(net(8)), tmp_path / "script.pt")
    with pytest.raises(ModelError, match="has changed since the model was saved"):
        xaudio.load_model(tmp_path / "of-script")


@pytest.mark.slow
def test_a_model_that_code_makes_whole_and_names_with_a_plus_are_saved(code):
    code.write_text(
        CODE
        + """
def scores():
    import xaudio
    torch.manual_seed(7)
    made = network().eval()
    return xaudio.wrap(lambda x: made(torch.from_numpy(x)[:, None]).detach().numpy(), sample_rate=8000, classes=["a", "b", "c"])
"""
    )
    spec = f"python:at={code}:scores"
    folder = xaudio.save_model(spec, code.parent / "whole")
    given = {"sample_rate": 8000, "explainer": "slot_occlusion", "device": "cpu"}
    np.testing.assert_array_equal(
        xaudio.explain(folder, SOUND, **given).relevance, xaudio.explain(spec, SOUND, **given).relevance
    )
    assert xaudio.load_model(saved(code, classes=["a+b", "c,d", "e:f"]), "cpu").classes == ("a+b", "c,d", "e:f")


@pytest.mark.slow
def test_half_precision_and_shared_weights_are_saved(code):
    network = net().half()
    expected = explained(net().half().float(), representation=READS, classes=NAMES, kind="classes").relevance
    np.testing.assert_array_equal(explained(saved(code, network)).relevance, expected)
    network = net()
    network[4].bias = nn.Parameter(network[0].bias[:3])
    assert explained(saved(code, network)).relevance.any()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"loader": None}, "Nothing says how the network Sequential is made again"),
        ({"loader": "python:at={code}:other"}, "answers differently from the one that was given, so it is not saved"),
        ({"loader": "python:at={code}:absent"}, "has no function 'absent'"),
        ({"loader": "pyton:at={code}:network"}, "Unknown loader 'pyton'"),
        ({"classes": ["a", "b"]}, "2 classes are named for 3 outputs"),
    ],
)
def test_what_cannot_be_made_again_is_not_saved(code, more, message):
    more = {name: value.format(code=code) if isinstance(value, str) else value for name, value in more.items()}
    with pytest.raises(xaudio.XaudioError, match=message) as caught:
        saved(code, **more)
    assert "\n" not in str(caught.value)
    assert not list(code.parent.glob("kept/*"))


def test_quantised_weights_are_refused_in_one_line(code):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(net(), {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(ModelError, match="keeps more than tensors .*quantised weights"):
        saved(code, quantised)


def test_recordings_of_the_training_are_left_out_of_what_is_measured(code):
    speech = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
    ten = {"classes": list(speech.tasks["digit"]), "loader": f"python:at={code}:network"}
    network = net()
    network[4] = nn.Linear(4, 10)
    (code.parent / "mine.py").write_text(CODE.replace("nn.Linear(4, 3)", "nn.Linear(4, 10)"))
    first = [index for index, speaker in enumerate(speech.speakers) if speaker in sorted(set(speech.speakers))[:2]]
    folder = saved(code, network, trained_on=(speech, first), task="digit", **ten)
    with pytest.warns(XaudioWarning, match="20 of 80 recordings .* are left out"):
        _, indices = xaudio.held_out(xaudio.load_model(folder, "cpu"))
    assert sorted(indices) == [index for index in range(80) if index not in first]
    folder = saved(code, network, trained_on="the same", **ten)
    model = xaudio.load_model(folder, "cpu")
    with pytest.warns(XaudioWarning, match=r"is unknown, all recordings are used \(it is said to be the same\) \(80 of "):
        dataset, indices = xaudio.held_out(model, speech)
    assert len(indices) == 80
    assert any("is unknown" in note for note in dataset.notes)
    with pytest.raises(ModelError, match="name the data"):
        xaudio.held_out(model)


def test_a_seed_that_is_none_is_refused_before_anything_is_written(code):
    with pytest.raises(XaudioError, match="-1 does not fit seed: expected int, 0 or more") as caught:
        saved(code, seed=-1)
    assert "plugin that is not there" not in str(caught.value)
    assert not (code.parent / "kept").exists()


def test_damaged_rules_are_called_that(code):
    kept = xaudio.load_model(saved(code))
    kept.facts = {**kept.facts, "fit": "tight"}
    kept.save(code.parent / "damaged")
    with pytest.raises(ModelError, match="its rules for recordings are damaged .*'fit'") as caught:
        xaudio.load_model(code.parent / "damaged")
    assert "\n" not in str(caught.value)
    assert "plugin that is not there" not in str(caught.value)


@pytest.mark.slow
def test_the_digest_is_that_of_the_file_while_the_weights_are(code):
    folder = saved(code)
    (file, other) = (xaudio.plugin.weights_digest(xaudio.load_model(folder)) for _ in range(2))
    content = (folder / "model.safetensors").read_bytes()
    assert file == other == hashlib.blake2b(content).hexdigest()[:32]
    for change in ("weights", "mean", "file"):
        model = xaudio.load_model(folder)
        if change == "weights":
            with torch.no_grad():
                next(model.network.parameters()).data[0] += 1e-6
        elif change == "mean":
            model.mean = torch.ones(1, 8000)
        else:
            saved(code, net(8))
        assert xaudio.plugin.weights_digest(model) == model.digest() != file, change


def test_a_file_with_nan_in_it_holds_its_own_weights(code):
    folder = saved(code)
    model = xaudio.load_model(folder)
    with torch.no_grad():
        next(model.network.parameters()).flatten()[0] = float("nan")
    model.save(folder)
    (model, content) = (xaudio.load_model(folder), (folder / "model.safetensors").read_bytes())
    assert xaudio.plugin.weights_digest(model) == hashlib.blake2b(content).hexdigest()[:32]
    with torch.no_grad():
        next(model.network.parameters()).flatten()[1] = float("nan")
    assert xaudio.plugin.weights_digest(model) == model.digest()


def test_quantised_weights_have_a_digest():
    def digest(weight):
        network = nn.Sequential(nn.Flatten(), nn.Linear(8000, 3))
        with torch.no_grad():
            network[1].weight.fill_(0.5)
            network[1].weight[1, 4000] = weight
            network[1].bias.zero_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
        return xaudio.Model(quantised, xaudio.create("representation", "waveform"), ("a", "b", "c")).digest()

    assert digest(0.25) == digest(0.25) != digest(0.125)
