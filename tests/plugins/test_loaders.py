"""Models from files and from the user's own code: the same numbers as the module, and one line for what cannot be used."""

import json
import os
import shutil
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sweeps import sweep
from torch import nn

import xaudio
from xaudio import ModelError, XaudioError

RATE = 8000
SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, RATE).astype(np.float32)
READS = "waveform:normalisation=none,placement=start"
TOLD = f"sample_rate={RATE},classes=a+b+c"


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)).eval()


def explained(model, explainer="gradient", **more):
    return xaudio.explain(model, SOUND, sample_rate=RATE, explainer=explainer, device="cpu", **more)


def refused(place, message, error=ModelError):
    with pytest.raises(error, match=message) as caught:
        xaudio.load_model(place)
    assert "\n" not in str(caught.value)


CODE = """
import torch, xaudio
from torch import nn
from beside import SIZE

def module():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(1, SIZE, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(SIZE, 3)
    ).eval()

def with_all():
    made = module()
    made.representation = "waveform:normalisation=none,placement=start"
    made.classes = ["a", "b", "c"]
    return made

def model():
    reads = xaudio.create("representation", "waveform", normalisation="none", placement="start")
    return xaudio.Model(module(), reads, ("a", "b", "c"))

def scores():
    network = module()
    def function(sounds):
        return network(torch.from_numpy(sounds)[:, None]).detach().numpy()
    return xaudio.wrap(function, sample_rate=8000, classes=["a", "b", "c"])

def fails():
    return 1 / 0

def stops():
    raise SystemExit(3)

def nothing():
    pass

def text():
    return "a model"

SIZE_OF_IT = 3
"""


@pytest.fixture
def code(tmp_path):
    (tmp_path / "beside.py").write_text("SIZE = 4\n")
    (tmp_path / "mine.py").write_text(CODE)
    yield tmp_path / "mine.py"
    sys.modules.pop("beside", None)


@pytest.mark.parametrize("function", ["module", "with_all", "model", "scores"])
def test_code_gives_a_model_in_every_form(code, function):
    told = f",representation={READS.replace(',', '+')},classes=a+b+c" if function == "module" else ""
    model = xaudio.load_model(f"python:at={code}:{function}{told}")
    expected = explained(net(), "slot_occlusion", representation=READS, classes=["a", "b", "c"])
    found = explained(model, "slot_occlusion")
    np.testing.assert_allclose(found.relevance, expected.relevance, atol=1e-6)
    assert model.classes == ("a", "b", "c")
    assert model.facts["loader"]["options"]["at"] == f"{code}:{function}"
    if function != "scores":
        np.testing.assert_array_equal(explained(model).relevance, explained(net(), representation=READS).relevance)


def test_code_of_a_module_that_can_be_imported(code, monkeypatch):
    monkeypatch.syspath_prepend(str(code.parent))
    assert xaudio.load_model("python:at=mine:with_all").classes == ("a", "b", "c")
    sys.modules.pop("mine", None)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", "failed .ZeroDivisionError: division by zero"),
        ("stops", "failed .SystemExit: 3"),
        ("nothing", "returned nothing"),
        ("text", "a model"),
        ("absent", "has no function 'absent'"),
        ("SIZE_OF_IT", "is a int; expected a function"),
        ("module", "A module needs a representation"),
    ],
)
def test_code_that_gives_no_model_is_refused_in_one_line(code, function, message):
    refused(f"python:at={code}:{function}", message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def f(:\n", "cannot be run .SyntaxError"),
        ("import absent_module", "ModuleNotFoundError"),
        ("raise SystemExit", "cannot be"),
    ],
)
def test_code_that_does_not_run_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "broken.py").write_text(content)
    refused(f"python:at={tmp_path / 'broken.py'}:f", message)
    refused(f"python:at={tmp_path / 'absent.py'}:f", "there is no such file")
    refused("python:at=nowhere", "expected FILE.py:function")
    refused("python:at=no_such_module:f", "cannot be run .ModuleNotFoundError")


@pytest.fixture
def script(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net()), tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.mark.slow
def test_torchscript_is_explained_as_its_module_is(script):
    model = xaudio.load_model(f"torchscript:path={script},{TOLD}")
    assert model.offers == {"scores", "gradient"}
    for explainer in ("gradient", "integrated_gradients", "slot_occlusion"):
        expected = explained(net(), explainer, representation=READS, classes=["a", "b", "c"])
        found = explained(model, explainer)
        np.testing.assert_allclose(found.relevance, expected.relevance, atol=1e-6)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-6)


def test_frozen_torchscript_has_no_weights_and_is_explained_all_the_same(script):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.freeze(torch.jit.script(net())), script)
    found = explained(f"torchscript:path={script},{TOLD}")
    np.testing.assert_allclose(found.relevance, explained(net(), representation=READS).relevance, atol=1e-6)


@pytest.mark.slow
def test_an_exported_program_is_read_by_own_code_alone(tmp_path):
    """torch unpickles such files, so that they could run anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net(), (torch.zeros(1, 1, RATE),)), tmp_path / "net.pt2")
    for loader in ("torchscript", "weights", "onnx"):
        more = ",model=audionet" if loader == "weights" else ""
        refused(f"{loader}:path={tmp_path / 'net.pt2'}{more}", r"torch\.export.* python:at=FILE\.py:function that returns")
    code = f"import torch\n\ndef made():\n    return torch.export.load({str(tmp_path / 'net.pt2')!r}).module()\n"
    (tmp_path / "mine.py").write_text(code)
    explanation = explained(f"python:at={tmp_path / 'mine.py'}:made,{TOLD},samples={RATE},kind=classes")
    plain = explained(net(), representation=f"raw:sample_rate={RATE},samples={RATE}", classes=["a", "b", "c"], kind="classes")
    np.testing.assert_allclose(explanation.relevance, plain.relevance, atol=1e-7)


def test_files_that_are_no_torchscript_are_refused_in_one_line(tmp_path, script):
    refused(f"torchscript:path={tmp_path / 'modl.pt'},{TOLD}", r"there is no such file\. Did you mean 'model.pt'")
    refused(f"torchscript:path={tmp_path},{TOLD}", "is a folder")
    for content in (b"", b"x" * 100, script.read_bytes()[:1000]):
        (tmp_path / "broken.pt").write_bytes(content)
        refused(f"torchscript:path={tmp_path / 'broken.pt'},{TOLD}", "is damaged or not TorchScript")
    torch.save(net().state_dict(), tmp_path / "state.pt")
    refused(f"torchscript:path={tmp_path / 'state.pt'},{TOLD}", "Weights alone are read by weights:path=")
    refused(f"torchscript:path={script},classes=a+b+c", "needs a representation")
    refused(f"torchscript:path={script},samples=100", "needs sample_rate beside it")
    refused(f"torchscript:path={script},representation=waveform,sample_rate=8000", "give it, or sample_rate")
    refused(f"torchscript:path={script},sample_rate=8000,classes=a+b", "2 classes are named for 3 outputs")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "a\nb\n\nc\n"),
        ("names.json", '["a", "b", "c"]'),
        ("map.json", '{"0": "a", "1": "b", "2": "c"}'),
        ("config.json", json.dumps({"id2label": {"0": "a", "1": "b", "2": "c"}, "hidden": 3})),
    ],
)
def test_names_of_classes_come_from_files(script, name, content):
    (script.parent / name).write_text(content)
    model = xaudio.load_model(f"torchscript:path={script},sample_rate=8000,classes={script.parent / name}")
    assert model.classes == ("a", "b", "c")


def test_names_that_cannot_be_read_are_refused_in_one_line(script, tmp_path):
    (tmp_path / "broken.json").write_text("[")
    refused(f"torchscript:path={script},sample_rate=8000,classes={tmp_path / 'broken.json'}", "cannot be read")
    (tmp_path / "number.json").write_text("3")
    refused(f"torchscript:path={script},sample_rate=8000,classes={tmp_path / 'number.json'}", "holds a JSON int")
    refused(f"torchscript:path={script},sample_rate=8000,classes=absent.txt", "neither a file nor names")


def test_a_torchscript_file_may_have_a_name_that_is_no_text(script):
    folder = Path(os.fsdecode(os.fsencode(script.parent) + b"/caf\xe9"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    shutil.copy(script, folder / "m.pt")
    assert xaudio.load_model(f"torchscript:path={folder / 'm.pt'},sample_rate=8000,classes=a+b+c").classes == ("a", "b", "c")


def test_a_detector_has_a_single_name_which_is_no_file(tmp_path):
    network = nn.Sequential(nn.Conv1d(1, 2, 65, 8), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(2, 1))
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 8000)), tmp_path / "m.pt")
    place = f"torchscript:path={tmp_path / 'm.pt'},sample_rate=8000,samples=8000,kind=labels"
    assert xaudio.load_model(f"{place},classes=speech").classes == ("speech",)
    for no_name in ("names/speech", " "):
        refused(f"{place},classes={no_name}", "neither a file nor names")


@cache
def audionet():
    """Made once, and only read."""
    torch.manual_seed(0)
    return xaudio.create("model", "audionet", classes=3).eval()


@cache
def lrp_of_audionet():
    return explained(audionet(), "lrp").relevance


def saved(weights, path):
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("prefix", sweep(["", "module.", "_orig_mod.", "model._orig_mod."], quick=["module."]))
def test_weights_are_those_of_the_model_however_they_were_saved(tmp_path, suffix, prefix):
    weights = {prefix + name: tensor for name, tensor in audionet().state_dict().items()}
    path = saved(weights, tmp_path / f"weights{suffix}")
    model = xaudio.load_model(f"weights:path={path},model=audionet")
    assert (model.classes, model.offers) == (("0", "1", "2"), {"scores", "gradient", "layers"})
    assert all(torch.equal(value, model.network.state_dict()[name]) for name, value in audionet().state_dict().items())
    named = xaudio.load_model(f"weights:path={path},model=audionet,classes=a+b+c,kind=classes")
    assert named.classes == ("a", "b", "c")
    np.testing.assert_array_equal(explained(named, "lrp").relevance, lrp_of_audionet())


@pytest.mark.slow
def test_a_checkpoint_holds_weights_beside_other_things(tmp_path):
    weights = {f"model.{name}": tensor for name, tensor in audionet().state_dict().items()}
    torch.save({"state_dict": weights, "epoch": 3, "hyper_parameters": {"lr": 0.1}}, tmp_path / "last.ckpt")
    model = xaudio.load_model(f"weights:path={tmp_path / 'last.ckpt'},model=audionet")
    assert torch.equal(next(model.network.parameters()), next(audionet().parameters()))


class Harmful:
    def __reduce__(self):
        return (open, ("harmed", "w"))


@pytest.mark.slow
def test_a_checkpoint_with_code_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": audionet().state_dict(), "more": Harmful()}, "harmful.pt")
    torch.save(audionet(), "whole.pt")
    for name in ("harmful.pt", "whole.pt"):
        refused(f"weights:path={name},model=audionet", "holds more than weights, which could run any code and is not loaded")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path):
    weights = audionet().state_dict()
    name = next(iter(weights))
    path = saved({**weights, name: torch.zeros(3)}, tmp_path / "wrong.safetensors")
    refused(f"weights:path={path},model=audionet", "do not fit the model 'audionet'")
    path = saved({"other.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    refused(f"weights:path={path},model=audionet", "missing: .*; unknown: other.weight")
    path = saved(weights, tmp_path / "good.safetensors")
    refused(f"weights:path={path},model=audionet,classes=a+b", "do not fit the model")
    refused(f"weights:path={path},model=audionett", "Unknown model 'audionett'", XaudioError)
    torch.save([1, 2], tmp_path / "list.pt")
    refused(f"weights:path={tmp_path / 'list.pt'},model=audionet", "expected a state dict")
    (tmp_path / "broken.safetensors").write_bytes(path.read_bytes()[:500])
    refused(f"weights:path={tmp_path / 'broken.safetensors'},model=audionet", "is damaged or not a safetensors")


def write_onnx(path, inputs=("sound",), outputs=("scores",), shape=("batch", RATE), softmax=False, element=None):
    """A linear network, weights drawn from a seed, as a graph; what it computes."""
    from onnx import TensorProto, helper, numpy_helper

    element = element or TensorProto.FLOAT
    weight = np.random.default_rng(3).normal(size=(RATE, 3)).astype(np.float32)
    flat = numpy_helper.from_array(np.array([-1, RATE]), "flat")
    nodes = [
        helper.make_node("Reshape", [inputs[0], "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weight"], ["linear"]),
        *[helper.make_node("Softmax" if softmax else "Identity", ["linear"], [name]) for name in outputs],
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, element, shape) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", 3)) for name in outputs],
        [flat, numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return weight


@pytest.mark.slow
@pytest.mark.parametrize("shape", [("batch", RATE), (1, RATE), (1, 1, RATE), ("batch", 1, 1, "time")])
def test_onnx_gives_the_scores_of_its_graph(tmp_path, shape):
    weight = write_onnx(tmp_path / "model.onnx", shape=shape)
    model = xaudio.load_model(f"onnx:path={tmp_path / 'model.onnx'},{TOLD}")
    assert model.offers == {"scores"}
    sounds = torch.from_numpy(np.stack([SOUND, SOUND[::-1], SOUND * 0.1]))
    np.testing.assert_allclose(model.logits(model.features(sounds)), sounds.numpy() @ weight, rtol=1e-3, atol=1e-4)
    found = explained(model, "slot_occlusion:slots=8,overlap=0")
    shares = (SOUND * weight[:, found.target]).reshape(8, -1).sum(1)  # of a linear network, what each slot adds
    np.testing.assert_allclose(found.relevance.reshape(8, -1).sum(1), shares, rtol=1e-3, atol=1e-3)
    with pytest.raises(ModelError, match="gives scores only. Explainers that work: .*audiolime.*occlusion"):
        explained(model, "lrp")


def test_onnx_that_gives_probabilities_is_explained_by_their_logarithm(tmp_path):
    weight = write_onnx(tmp_path / "model.onnx", softmax=True)
    found = xaudio.explain(
        f"onnx:path={tmp_path / 'model.onnx'},{TOLD}", SOUND * 0.1, sample_rate=RATE, explainer="slot_occlusion"
    )
    expected = torch.from_numpy(SOUND * np.float32(0.1) @ weight).softmax(0)
    np.testing.assert_allclose(list(found.probabilities), expected, rtol=1e-3, atol=1e-5)
    assert any("returns probabilities" in note for note in found.clip.notes)


def test_onnx_files_that_cannot_be_asked_are_refused_in_one_line(tmp_path):
    from onnx import TensorProto

    path = tmp_path / "model.onnx"
    refused(f"onnx:path={path},{TOLD}", "there is no such file")
    for content in (b"", b"x" * 100):
        path.write_bytes(content)
        refused(f"onnx:path={path},{TOLD}", "is damaged or not an ONNX file")
    write_onnx(path, inputs=("sound", "state"))
    refused(f"onnx:path={path},{TOLD}", "takes 2 inputs .*sound.*state")
    write_onnx(path, outputs=("one", "two"))
    refused(f"onnx:path={path},{TOLD}", "say which holds the scores: output=NAME")
    refused(f"onnx:path={path},output=three,{TOLD}", "has no output 'three'")
    assert xaudio.load_model(f"onnx:path={path},output=two,{TOLD}").classes == ("a", "b", "c")
    write_onnx(path)
    refused(f"onnx:path={path},classes=a+b+c", "say what the model reads")
    refused(f"onnx:path={path},sample_rate=8000,samples=4000,classes=a+b+c", "gives no scores")
    write_onnx(path, element=TensorProto.INT64)
    refused(f"onnx:path={path},{TOLD}", "Type Error|expected floating-point numbers")


@pytest.mark.parametrize("off", [0, 1e-2])
def test_a_module_of_the_graph_is_taken_where_it_says_the_same(tmp_path, monkeypatch, off):
    weight = write_onnx(tmp_path / "model.onnx")

    def convert(path):
        made = nn.Sequential(nn.Flatten(), nn.Linear(RATE, 3, bias=False))
        with torch.no_grad():
            made[1].weight.copy_(torch.from_numpy(weight.T * (1 + off)))
        return made

    monkeypatch.setitem(sys.modules, "onnx2torch", type(sys)("onnx2torch"))
    sys.modules["onnx2torch"].convert = convert
    model = xaudio.load_model(f"onnx:path={tmp_path / 'model.onnx'},{TOLD}")
    assert ("layers" in model.offers) == (off == 0)
