"""Models from where they are: run folders, loaders, objects that a plugin adapts; and what each offers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio import ModelError, PluginError
from xaudio.registry.loading import registry

SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)


def net(outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, outputs)).eval()


def explained(model, explainer="gradient", **more):
    return xaudio.explain(model, SOUND, sample_rate=8000, explainer=explainer, device="cpu", **more)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("torchscrip:path=m.pt", r"^torchscrip:path=m\.pt: Unknown loader of models 'torchscrip'"),
        ("python", "^The loader 'python' needs the option 'at'"),
        ("python:att=a", "Unknown option 'att'. Did you mean 'at'"),
        ("no/such/folder", "is not the run folder of a model"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(place, message):
    with pytest.raises((ModelError, PluginError), match=message) as caught:
        xaudio.load_model(place)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["torchscript:path=m.pt,classes=" + "+".join(map(str, range(300))), "x=" * 200, "x:y=" * 100])
def test_what_is_too_long_for_the_name_of_a_file_is_no_file(place):
    with pytest.raises((ModelError, PluginError)) as caught:
        xaudio.load_model(place)
    assert "\n" not in str(caught.value)
    with pytest.raises(PluginError, match="Unknown dataset"):
        xaudio.open_dataset("x" * 300)


def test_a_file_is_told_which_loaders_there_are(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"model\.pt: is a file, .* NAME:path=.*python"):
        xaudio.load_model(tmp_path / "model.pt")


def test_a_run_folder_may_have_a_colon_in_its_name(run_folder, tmp_path):
    (tmp_path / "python:at=here").symlink_to(run_folder)
    assert xaudio.load_model(tmp_path / "python:at=here").model_spec["name"] == "audionet"


class Foreign:
    """A model of another library, which holds a network."""

    def __init__(self):
        self.network = net()


def adapt(model, feature_extractor):
    if not isinstance(model, Foreign):
        return None
    names = feature_extractor.names if feature_extractor else ("a", "b", "c")
    return xaudio.Model(model.network, xaudio.create("representation", "waveform"), names)


@pytest.fixture
def adapter(monkeypatch):
    monkeypatch.setattr(registry(), "_adapters", [lambda **given: None, adapt])


def test_an_object_that_a_plugin_knows_is_a_model(adapter):
    expected = explained(net(), representation="waveform", classes=["a", "b", "c"])
    np.testing.assert_array_equal(explained(Foreign()).relevance, expected.relevance)
    renamed = explained(Foreign(), feature_extractor=SimpleNamespace(names=("x", "y", "z")), kind="labels")
    assert (renamed.classes, renamed.kind) == (("x", "y", "z"), "labels")
    assert explained(Foreign(), classes=["p", "q", "r"]).classes == ("p", "q", "r")
    assert xaudio.diagnose(Foreign(), explainer="gradient", device="cpu").is_healthy


def test_an_output_of_an_object_that_a_plugin_reads_is_refused(adapter):
    with pytest.raises(ModelError, match="A plugin reads the answer of a Foreign by itself: leave out output=1") as caught:
        explained(Foreign(), output=1)
    assert "\n" not in str(caught.value)


def test_an_object_that_nobody_knows_is_refused_in_one_line(adapter):
    with pytest.raises(ModelError, match="The model is a SimpleNamespace"):
        explained(SimpleNamespace())
    with pytest.raises(ModelError, match="No installed plugin knows a Sequential with a feature extractor list"):
        explained(net(), feature_extractor=[1])


def test_an_adapter_is_a_hook_of_a_plugin(tmp_path, monkeypatch):
    from importlib.metadata import EntryPoint

    from xaudio.registry.loading import Registry

    (tmp_path / "adapting.py").write_text(
        "from xaudio.plugin import hookimpl\n@hookimpl\ndef xaudio_adapt(model):\n    return 'mine' if model == 3 else None\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = Registry([EntryPoint("adapting", "adapting", "xaudio")])
    assert plugins.problems() == []
    assert (plugins.adapted(3), plugins.adapted(4)) == ("mine", None)


def test_a_network_without_weights_is_refused_in_one_line():
    with pytest.raises(ModelError, match="has no weights yet"):
        explained(net().to("meta"), representation="waveform")


@pytest.mark.slow
def test_torchscript_offers_no_layers_and_the_refusal_says_what_works():
    scripted = torch.jit.trace(net(), torch.zeros(1, 1, 8000))
    expected = explained(net(), representation="waveform").relevance
    np.testing.assert_allclose(explained(scripted, representation="waveform").relevance, expected, atol=1e-7)
    for explainer in ("lrp", "grad_cam", "deep_lift", "guided_backprop"):
        with pytest.raises(ModelError, match=rf"^{explainer} needs the model's layers, .*hides its layers\.") as caught:
            explained(scripted, explainer, representation="waveform")
        works = str(caught.value).partition("work: ")[2].rstrip(".").split(", ")
        assert {"gradient", "integrated_gradients", "occlusion", "audiolime"} <= set(works)
        assert not {"lrp", "grad_cam", "amplitude", "random"} & set(works)


class Chunked(nn.Module):
    """Takes chunks of one length, and says so."""

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        if sound.shape[-1] != 512:
            raise ValueError(f"expected 512 samples, got {sound.shape[-1]}")
        return sound.mean(-1)


def test_what_torchscript_refuses_is_told_without_the_lines_of_code_that_led_there():
    with pytest.raises(ModelError, match=r": ValueError: expected 512 samples, got 8000\. Choose") as caught:
        explained(torch.jit.script(Chunked()), representation="raw:sample_rate=8000", classes=["a"], kind="labels")
    assert "\n" not in str(caught.value)


class Cut(nn.Module):
    """Probabilities of tags, without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.network = net()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.network(features).sigmoid()


def test_a_network_is_called_by_its_own_name_however_it_is_asked():
    given = {"representation": "waveform", "kind": "labels"}
    with pytest.raises(ModelError, match="^Cut gives its features no gradient"):
        explained(Cut(), **given)
    with pytest.raises(ModelError, match=r"^lrp needs the model's layers, but the model \(Cut\) gives"):
        explained(torch.jit.trace(Cut(), torch.zeros(1, 1, 8000)), "lrp", **given)
