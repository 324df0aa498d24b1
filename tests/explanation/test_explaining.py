"""`xaudio.explain` for everything it takes, and one line for what it does not."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio import AudioError, Clip, DeviceError, Explanation, ModelError, PluginError
from xaudio.model.folders import WEIGHTS
from xaudio.model.model import Model


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 33, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 996, 3))


@pytest.fixture
def sound():
    return np.random.default_rng(0).uniform(-0.5, 0.5, 6000).astype(np.float32)


def gradient(model, features, target):
    features.requires_grad_()
    return torch.autograd.grad(model(features).gather(1, target[:, None]).sum(), features)[0]


def test_a_run_folder_explains_a_file(run_folder, recording):
    explanation = xaudio.explain(run_folder, recording, explainer="gradient")
    assert isinstance(explanation, Explanation)
    assert explanation.relevance.shape == explanation.features.shape == (1, 8000)
    assert explanation.classes == tuple("0123456789")
    assert explanation.target == explanation.predicted
    assert explanation.task == "digit"
    assert (explanation.clip.sample_rate, len(explanation.clip.waveform)) == (8000, 8000)
    assert "mixed down from 2 channels" in explanation.clip.notes
    assert "resampled from 44100 to 8000 Hz (fft)" in explanation.clip.notes  # as in its training
    other = xaudio.explain(run_folder, recording, explainer="gradient", resampling="soxr")
    assert "resampled from 44100 to 8000 Hz (soxr)" in other.clip.notes
    assert explanation.provenance["original_sample_rate"] == 44100
    assert explanation.provenance["model"]["name"] == "audionet"
    json.dumps(dict(explanation.provenance))


def test_several_views_are_of_one_explanation(network, sound):
    asked = []

    def counted(model, features, target):
        asked.append(len(features))
        return gradient(model, features, target)

    given = {"sample_rate": 8000, "representation": "waveform", "explainer": counted}
    views = ["time", "frequency", "time-frequency:length=128,hop=32"]
    found = xaudio.explain(network, [sound, sound[:2000]], view=views, **given)
    assert asked == [2]
    expected = [item for view in views for item in xaudio.explain(network, [sound, sound[:2000]], view=view, **given)]
    assert [item.domain for item in found] == [item.domain for item in expected]
    for item, alone in zip(found, expected, strict=True):
        np.testing.assert_array_equal(item.relevance, alone.relevance)
        np.testing.assert_array_equal(item.features, alone.features)
        assert item.provenance == alone.provenance
    del asked[:]
    pair = xaudio.explain(network, [sound], view=views[:2], target="1", contrast="0", **given)
    assert asked == [1, 1]  # of either class
    alone = xaudio.explain(network, sound, view="frequency", target="1", contrast="0", **given)
    assert [item.domain for item in pair] == ["time", "frequency"]
    np.testing.assert_array_equal(pair[1].relevance, alone.relevance)
    for audio, wrong in ((sound, views), ([sound], [])):
        with pytest.raises(PluginError, match="expected one, or a list of some for a list of recordings"):
            xaudio.explain(network, audio, view=wrong, **given)
    with pytest.raises(PluginError, match="frequence"):
        xaudio.explain(network, [sound], view=["time", "frequence"], **given)


def test_the_command_weights_a_sound_once_for_file_page_and_report(run_folder, recording, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    import xaudio_audible._audible as audible
    from xaudio.cli.app import app

    weighed, written = [], []
    weigh, call = audible.Audible._weigh, audible.Audible.__call__
    monkeypatch.setattr(audible.Audible, "_weigh", lambda *arguments: (weighed.append(1), weigh(*arguments))[1])
    monkeypatch.setattr(audible.Audible, "__call__", lambda *arguments: (written.append(1), call(*arguments))[1])
    options = ["--explainer", "gradient", "--view", "time", "--view", "frequency", "--render", "audible,html"]
    arguments = ["explain", str(recording), "--model", str(run_folder), *options, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert len(weighed) == 2  # of each view
    assert len(written) == 4  # of each view at its own level as a file, and at the reference for both pages
    pages = [path.read_text() for path in sorted((tmp_path / "out").glob("*/explanation.html"))]
    (report,) = (tmp_path / "out").glob("report.html")
    sounds = [re.findall(r'type="application/octet-stream"[^>]*>([^<]+)<', text) for text in (*pages, report.read_text())]
    assert sounds[0]
    assert set(sounds[2]) == {*sounds[0], *sounds[1]}


@pytest.mark.slow
def test_what_is_rendered_follows_the_relevance(network, sound, tmp_path):
    """Also of an explanation whose arrays were changed in between."""
    item = xaudio.explain(network, sound, sample_rate=8000, representation="waveform", explainer=gradient)
    html, audible = xaudio.create("renderer", "html"), xaudio.create("renderer", "audible")
    before, parts = html.page(item), audible.parts(item)
    item.relevance[...] = -item.relevance
    after, other = html.page(item), audible.parts(item)
    assert before != after
    assert after == xaudio.create("renderer", "html").page(item)
    np.testing.assert_array_equal(parts["positive"].waveform, other["negative"].waveform)


def test_a_renderer_says_what_it_knows_or_returns_paths(network, sound, tmp_path):
    from xaudio.explanation.rendering import save_and_render
    from xaudio.plugin import Written

    def plain(explanation, folder):
        (folder / "one.txt").write_text("1")
        return [folder / "one.txt"]

    def knowing(explanation, folder):
        (folder / "two.txt").write_text("2")
        return [Written(folder / "two.txt", {"reason": "it is two"})]

    item = xaudio.explain(network, sound, sample_rate=8000, representation="waveform", explainer=gradient)
    ((saved, one, two),) = save_and_render([item], [plain, knowing], tmp_path)
    assert saved == Written(tmp_path / "explanation.safetensors")
    assert one == Written(tmp_path / "one.txt")
    assert two == Written(tmp_path / "two.txt", {"reason": "it is two"})
    assert item.render(plain, knowing, folder=tmp_path) == [one.path, two.path]


def test_the_command_explains_once_for_all_views(run_folder, recording, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from xaudio.cli.app import app
    from xaudio.explanation import prepared

    asked, attribute = [], prepared.attribute
    monkeypatch.setattr(prepared, "attribute", lambda *arguments: (asked.append(1), attribute(*arguments))[1])
    views = ["--view", "time", "--view", "frequency", "--view", "time-frequency"]
    options = [
        "--explainer",
        "gradient",
        "--explainer",
        "amplitude",
        *views,
        "--render",
        "visual:dpi=20",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, ["explain", str(recording), "--model", str(run_folder), *options])
    assert done.exit_code == 0, done.output
    assert len(asked) == 2  # once by each explainer
    assert len(list((tmp_path / "out").glob("*/explanation.png"))) == 6


def test_path_array_tensor_and_clip_give_the_same(network, sound, tmp_path):
    """All forms of one recording; the file is float, so that nothing is rounded."""
    import soundfile

    soundfile.write(tmp_path / "sound.wav", sound, 8000, subtype="FLOAT")
    forms = [tmp_path / "sound.wav", str(tmp_path / "sound.wav"), sound, torch.from_numpy(sound), Clip(sound, 8000)]
    found = [xaudio.explain(network, f, sample_rate=8000, representation="waveform", explainer="gradient") for f in forms]
    for other in found[1:]:
        assert np.array_equal(other.relevance, found[0].relevance)
    together = xaudio.explain(network, forms, sample_rate=8000, representation="waveform", explainer="gradient")
    assert isinstance(together, list)
    assert len(together) == 5
    assert np.allclose(together[0].relevance, found[0].relevance, atol=1e-6)


def test_batches_do_not_change_the_result(network, sound):
    sounds = [sound[: 1000 * n] for n in range(1, 6)]
    few = xaudio.explain(network, sounds, sample_rate=8000, representation="waveform", explainer=gradient, batch_size=2)
    many = xaudio.explain(network, sounds, sample_rate=8000, representation="waveform", explainer=gradient, batch_size=5)
    for one, other in zip(few, many, strict=True):
        assert np.allclose(one.relevance, other.relevance, atol=1e-5)
        assert one.provenance["placement"] == other.provenance["placement"]


def test_the_target_is_what_was_asked_for(network, sound):
    classes = ("yes", "no", "maybe")

    def ask(target):
        return xaudio.explain(
            network, sound, sample_rate=8000, representation="waveform", explainer=gradient, target=target, classes=classes
        )

    assert ask("maybe").target == ask(2).target == 2
    assert ask(None).target == ask(None).predicted
    assert not np.allclose(ask("maybe").relevance, ask("yes").relevance)
    with pytest.raises(ModelError, match="Unknown class 'maybee'. Did you mean 'maybe'"):
        ask("maybee")
    with pytest.raises(ModelError, match=r"There is no class 7: the model has 3"):
        ask(7)
    pair = xaudio.explain(network, [sound, sound], sample_rate=8000, representation="waveform", explainer=gradient, target=[0, 1])
    assert [item.target for item in pair] == [0, 1]
    with pytest.raises(ModelError, match="3 targets are given for 2 recordings"):
        xaudio.explain(network, [sound] * 2, sample_rate=8000, representation="waveform", explainer=gradient, target=[0, 1, 2])


def test_the_model_is_left_as_it_was(network, sound):
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    xaudio.explain(network, sound, sample_rate=8000, representation="waveform", explainer="lrp")
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.training


def test_a_run_folder_takes_no_other_representation_and_remembers_where_it_is(run_folder, sound):
    with pytest.raises(ModelError, match="knows its representation, classes and kind"):
        xaudio.explain(run_folder, sound, sample_rate=8000, representation="spectrogram")
    found = xaudio.explain(xaudio.load_model(run_folder, "cpu"), sound, sample_rate=8000, explainer="gradient")
    assert found.provenance["model"]["run"] == str(run_folder)


def test_a_clip_of_anyone_is_brought_into_shape(network):
    stereo = Clip(np.full((2, 4000), 16384, np.int16), 8000)
    found = xaudio.explain(network, stereo, representation="waveform", explainer=gradient)
    assert found.clip.waveform.max() == 0.5
    assert "mixed down from 2 channels" in found.clip.notes
    silent = xaudio.explain(network, Clip(np.zeros(4000, np.float32), 8000), representation="waveform", explainer=gradient)
    assert "the recording is silent" in silent.clip.notes


def test_an_explainer_that_must_hear_is_given_the_sound(network, sound):
    heard = {}

    def listening(model, features, target, *, sound):
        heard["sound"] = sound
        return sound.features(sound.waveforms)

    found = xaudio.explain(network, sound, sample_rate=8000, representation="waveform", explainer=listening)
    assert heard["sound"].waveforms.shape == (1, 8000)
    assert np.array_equal(found.relevance, found.features)


def test_a_representation_may_be_an_object(sound):
    wide = xaudio.create("representation", "waveform", sample_rate=16000, samples=16000, normalisation="none")
    network = nn.Sequential(nn.Flatten(), nn.Linear(16000, 2))
    found = xaudio.explain(network, sound, sample_rate=16000, representation=wide, explainer=gradient)
    assert found.relevance.shape == (1, 16000)
    assert found.representation.sample_rate == 16000
    assert np.allclose(found.relevance[0], network[1].weight[found.target].detach().numpy())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"audio": "missing.wav"}, AudioError, "missing.wav: there is no such file"),
        ({"audio": []}, AudioError, "nothing to explain"),
        ({"audio": 3}, AudioError, "Cannot explain a int"),
        ({"audio": Clip(np.full(100, np.nan, np.float32), 8000)}, AudioError, "100 of 100 samples are NaN"),
        ({"audio": Clip(np.zeros(100, np.float32), 8000), "seed": -1}, xaudio.DataError, "The seed is -1"),
        ({"audio": Clip(np.zeros(100, np.float32), 8000), "seed": True}, xaudio.DataError, "The seed is True"),
        ({"sample_rate": None}, AudioError, "give sample_rate in Hz"),
        ({"sample_rate": 10}, AudioError, "sample rate is 10 Hz"),
        ({"audio": np.zeros(9000, np.float32)}, AudioError, "longer than the 1.000 s the model takes"),
        ({"explainer": "lpr"}, PluginError, "Unknown explainer 'lpr'. Did you mean 'lrp'"),
        ({"explainer": "lrp", "compsite": "x"}, PluginError, "Did you mean 'composite'"),
        ({"explainer": 3}, PluginError, "expected a name or a callable"),
        ({"explainer": gradient, "steps": 3}, PluginError, "Options .steps. are for explainers chosen by name"),
        ({"representation": "wavefrom"}, PluginError, "Did you mean 'waveform'"),
        ({"representation": None}, ModelError, "needs a representation"),
        ({"representation": "spectrogram"}, ModelError, "does not take features of shape"),
        ({"model": "nowhere"}, ModelError, "nowhere: is not the run folder of a model"),
        ({"model": 3}, ModelError, "expected a run folder or a torch module"),
        ({"device": "cuda:99"}, DeviceError, "cuda:99"),
        ({"fit": "loudst"}, PluginError, "'loudst' does not fit fit: expected error | trim | loudest"),
        ({"resampling": "fftt"}, PluginError, "'fftt' does not fit resampling"),
        ({"sample_rate": 8000.5}, AudioError, "sample rate is 8000.5; expected a whole number of Hz"),
        ({"batch_size": 0}, AudioError, "batch_size is 0"),
        ({"target": 1.7}, ModelError, "There is no class 1.7"),
        ({"classes": ["a", "b"]}, ModelError, r"output is \(1, 3\); expected logits of shape \(1, 2\)"),
        ({"explainer": lambda m, f, t: f[:, :, :5]}, PluginError, "expected relevance shaped like the features"),
        ({"explainer": lambda m, f, t: f * float("nan")}, PluginError, "NaN or infinite"),
        ({"explainer": lambda m, f, t: None}, PluginError, "returned NoneType"),
    ],
)
def test_wrong_input_gets_one_line(network, sound, arguments, error, message):
    call = {"model": network, "audio": sound, "sample_rate": 8000, "representation": "waveform", "explainer": gradient}
    call |= arguments
    with pytest.raises(error, match=message) as caught:
        xaudio.explain(call.pop("model"), call.pop("audio"), **call)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "network", [nn.Flatten(0), nn.Conv1d(1, 3, 5), nn.GRU(8000, 3, batch_first=True)], ids=["1d", "3d", "tuple"]
)
def test_a_model_whose_output_does_not_fit_is_named(network, sound):
    with pytest.raises(
        ModelError, match=r"The network's output (is a tuple of .*: say which|has shape \(.*(for two|expected logits))"
    ):
        xaudio.explain(network, sound, sample_rate=8000, representation="waveform", explainer=gradient)


def test_a_recording_that_is_too_long_is_fitted_only_when_asked(network):
    long = np.concatenate([np.zeros(9000), np.random.default_rng(0).uniform(-0.5, 0.5, 4000)]).astype(np.float32)
    found = xaudio.explain(network, long, sample_rate=8000, representation="waveform", explainer=gradient, fit="trim")
    assert any("trimmed from 1.625 s" in note for note in found.clip.notes)
    found = xaudio.explain(network, long, sample_rate=8000, representation="waveform", explainer=gradient, fit="loudest")
    assert any("loudest 1.000 s of 1.625 s kept" in note for note in found.clip.notes)


def test_a_saved_model_gives_the_same_logits(run_folder, spectrogram_run_folder):
    for folder in (run_folder, spectrogram_run_folder):
        one, other = Model.load(folder), Model.load(folder)
        waveforms = torch.rand(2, 8000) - 0.5
        with torch.no_grad():
            assert torch.equal(one.logits(one.features(waveforms)), other.logits(other.features(waveforms)))
    assert one.mean is not None  # AlexNet's training mean is part of it
    assert one.mean.shape == (1, 227, 227)


def test_damaged_and_foreign_run_folders_are_named(run_folder, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = run_folder / WEIGHTS
    (tmp_path / WEIGHTS).write_bytes(path.read_bytes()[: 1 << 20])
    with pytest.raises(ModelError, match="is damaged or not xaudio's"):
        Model.load(tmp_path)
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["xaudio.model"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}

    def write(**changes):
        save_file(tensors, tmp_path / WEIGHTS, {"xaudio.model": json.dumps(metadata | changes)})

    for missing in ("model", "representation", "classes", "task", "facts"):
        save_file(tensors, tmp_path / WEIGHTS, {"xaudio.model": json.dumps({k: v for k, v in metadata.items() if k != missing})})
        with pytest.raises(ModelError, match="its description is damaged"):
            Model.load(tmp_path)
    save_file(tensors | {"mean": torch.zeros(1, 7)}, tmp_path / WEIGHTS, {"xaudio.model": json.dumps(metadata)})
    with pytest.raises(ModelError, match=r"training mean has shape \(1, 7\)"):
        Model.load(tmp_path)
    broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}
    save_file(broken, tmp_path / WEIGHTS, {"xaudio.model": json.dumps(metadata)})
    with pytest.raises(ModelError, match="output is NaN or infinite: its weights are damaged"):
        xaudio.explain(tmp_path, np.zeros(100, np.float32), sample_rate=8000, explainer="random")
    write(format=99)
    with pytest.raises(ModelError, match="has format 99; this version of xaudio reads format 1"):
        Model.load(tmp_path)
    write(model={"name": "gone", "options": {}})
    with pytest.raises(ModelError, match=r"needs a plugin that is not there. Unknown model 'gone'"):
        Model.load(tmp_path)
    write(classes=["a", "b"])
    with pytest.raises(ModelError, match="weights do not fit the model 'audionet'") as caught:
        Model.load(tmp_path)
    assert "\n" not in str(caught.value)
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match="it holds no xaudio.model"):
        Model.load(tmp_path)


def test_renderers_write_one_folder_per_recording(run_folder, recording, tmp_path):
    from xaudio.explanation.rendering import render

    explanations = xaudio.explain(run_folder, [recording, recording], explainer="gradient")
    written = render(explanations, ["visual:dpi=50", "audible"], tmp_path / "out")
    assert len({path.parent for path in written}) == 2
    assert all(path.exists() for path in written)
    page = explanations[0]._repr_html_()
    assert page.startswith("<iframe srcdoc=")
    assert "audio" in page


def test_a_network_that_begins_in_place_is_explained_as_it_was_asked():
    """The relevance is of the sound that was given, not of what the network made of it while it was classified."""

    class Doubling(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8000, 2)

        def forward(self, features):
            return self.linear(features.mul_(2).flatten(1))

    torch.manual_seed(0)
    network = Doubling()
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)
    read = xaudio.create("representation", "waveform", normalisation="none")
    found = xaudio.explain(network, waveform, sample_rate=8000, representation=read, explainer="amplitude")
    assert np.allclose(found.features[0], waveform, atol=1e-6)


def test_the_seed_of_an_explainer(run_folder):
    """As an option in its name, and by the seed of all, which its own beats."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)

    def relevance(explainer, **options):
        return xaudio.explain(run_folder, sound, sample_rate=8000, explainer=explainer, **options).relevance

    other = relevance("random:seed=7")
    assert not np.array_equal(other, relevance("random"))
    assert np.array_equal(other, relevance("random", seed=7))
    assert np.array_equal(other, relevance("random:seed=7", seed=3))
    assert np.array_equal(other, relevance("Random:seed=7"))


def burst(seconds: float, at: float, rate: int = 8000) -> Clip:
    """Silence with 50 ms of noise at a time."""
    waveform = np.zeros(round(seconds * rate), np.float32)
    start = round(at * rate)
    waveform[start : start + rate // 20] = np.random.default_rng(0).uniform(-0.5, 0.5, rate // 20)
    return Clip(waveform, rate, source=f"burst at {at} s")


@pytest.mark.parametrize(("seconds", "at"), [(70.0, 57.61), (0.4, 0.1), (1.0, 0.5)])
def test_times_are_those_of_the_recording(run_folder, seconds, at):
    """Wherever the model's window was cut out of a recording, or a recording lies within the zeros."""
    found = xaudio.explain(run_folder, burst(seconds, at), explainer="amplitude", fit="loudest")
    assert found.strongest[0] == pytest.approx(at + 0.025, abs=0.026)
    (axis,) = found.recording_axes
    loud = np.flatnonzero(found.clip.waveform)
    assert axis.centres[loud[0]] == pytest.approx(at, abs=0.001)
    start, stop = found.recording_span
    assert start <= at < stop <= seconds + 1e-9
    assert sum(high - low for low, high in found.padding) == pytest.approx(max(0, 1 - seconds))
    (cells,) = found.view("time-frequency").recording_axes[1:]
    assert cells.centres[0] == pytest.approx(found.window_start)


def test_recordings_of_the_user_are_centred_alone_and_together(run_folder):
    """And drawn as in training where a seed asks for it."""
    clips = [burst(0.4, 0.1), burst(0.5, 0.2), burst(1.0, 0.2)]
    together = xaudio.explain(run_folder, clips, explainer="amplitude")
    assert [item.placed.offset for item in together] == [2400, 2000, 0]
    assert [item.provenance["placed_by"] for item in together] == ["centre"] * 3
    for item, clip in zip(together, clips, strict=True):
        alone = xaudio.explain(run_folder, clip, explainer="amplitude")
        assert np.array_equal(alone.clip.waveform, item.clip.waveform)
    drawn = xaudio.explain(run_folder, clips, explainer="amplitude", seed=0)
    trained = xaudio.explain(run_folder, clips, explainer="amplitude", placement="file")
    assert [item.placed for item in drawn] == [item.placed for item in trained] != [item.placed for item in together]
