"""What other libraries and people fill in: taken where its meaning is plain, else refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
import xaudio.plugin
from xaudio import AudioError, Clip, DataError, Explanation, ModelError, XaudioError
from xaudio.plugin import Recording, SpeakerDataset
from xaudio.sound.labels import class_names, label_index

SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)
NAMES = ("a", "b", "c")


def net(outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 65, 8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, outputs)).eval()


def explained(network=None, audio=SOUND, **more):
    known = {"sample_rate": 8000, "representation": "waveform", "explainer": "gradient", "device": "cpu"}
    return xaudio.explain(network or net(), audio, **{**known, **more})


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a", "b", "c"], NAMES),
        (np.array(["a", "b", "c"]), NAMES),
        ((name for name in NAMES), NAMES),
        ({0: "a", 2: "c", 1: "b"}, NAMES),
        ({"0": "a", "2": "c", "1": "b"}, NAMES),
        ({"a": 0, "c": 2, "b": 1}, NAMES),
        ({"a": np.int64(0), "c": np.int64(2), "b": np.int64(1)}, NAMES),
        ({0: "1", 1: "2", 2: "0"}, ("1", "2", "0")),
        ({"1": 0, "0": 1}, ("1", "0")),
        (range(3), ("0", "1", "2")),
        (np.array([5, 7]), ("5", "7")),
        ([0.0, 1.0], ("0.0", "1.0")),
        ([True, False], ("True", "False")),
        (torch.tensor([4, 2]), ("4", "2")),
    ],
)
def test_classes_are_taken_in_the_order_of_the_outputs(given, names):
    assert class_names(given) == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("abc", "expected a list of names"),
        ({"a", "b"}, "expected a list of names"),
        (3, "expected a list of names"),
        ([], "is empty"),
        (["a", "a"], "named twice"),
        (["", "a"], r"A class is named ''; expected text"),
        (["a", None], "named None"),
        ([float("nan")], "named nan"),
        ({0: "a", 2: "b"}, "on neither side"),
        ({0: 1, 1: 2, 2: 0}, "both ways"),
        ({0: "a", 1: "a"}, "named twice"),
    ],
)
def test_classes_that_are_no_list_are_refused(given, message):
    with pytest.raises(ModelError, match=message):
        class_names(given)


@pytest.mark.slow
def test_numbers_as_class_names_are_text_everywhere(tmp_path):
    found = explained(classes=np.array([5, 7, 9]), target=np.int64(1))
    assert found.question == "7"
    found.save(tmp_path / "one.safetensors")
    found.render("visual:dpi=40", "html", folder=tmp_path)
    with pytest.raises(ModelError, match=r"There is no class 9: the model has 3, 0 to 2 \(5, 7, 9\)\. The name '9' is text\."):
        explained(classes=[5, 7, 9], target=9)


@pytest.mark.parametrize(
    "target", [1, 1.0, np.int64(1), np.array(1), np.array([1]), torch.tensor(1), [1], range(1, 2), "b", " b "]
)
def test_a_target_is_taken_by_number_or_name(target):
    assert explained(classes=NAMES, target=target).target == 1


@pytest.mark.parametrize("target", [True, -1, 3, 1.5, float("nan"), {1}, b"b", [None], [[1]], [1, 2], "x"])
def test_another_target_is_refused(target):
    with pytest.raises(ModelError):
        explained(classes=NAMES, target=target)


def test_of_many_classes_the_nearest_are_named():
    names = [f"word{index}" for index in range(360)]
    with pytest.raises(ModelError) as caught:
        explained(net(360), classes=names, target="wrod17")
    assert "Did you mean 'word17'" in str(caught.value)
    assert "360 in all" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("rate", [8000.0, np.int64(8000), np.float32(8000), "8000", " 8000 ", torch.tensor(8000)])
def test_a_sample_rate_is_a_whole_number_of_any_library(rate, tmp_path):
    assert explained(sample_rate=rate).clip.sample_rate == 8000
    found = explained(audio=Clip(SOUND, rate))
    assert Explanation.load(found.save(tmp_path / "one.safetensors")).provenance["original_sample_rate"] == 8000


@pytest.mark.parametrize("rate", [None, True, "8 kHz", 8000.5, float("nan"), float("inf"), -8000, 0, [8000], np.array([8000])])
def test_another_sample_rate_is_refused(rate):
    for call in ({"sample_rate": rate}, {"audio": Clip(SOUND, rate)}):
        with pytest.raises(AudioError, match="sample"):
            explained(**call)


def test_a_clip_takes_none_for_what_is_not_known_and_scalars_for_what_is(tmp_path):
    given = Clip(SOUND, np.int64(8000), labels=None, notes=None, truth=None, speaker=float("nan"), source=Path("a b.wav"))
    assert (given.sample_rate, given.labels, given.notes, given.speaker, given.source) == (8000, {}, (), None, "a b.wav")
    found = explained(audio=Clip(SOUND, 8000, labels={"": np.int64(2), "word": np.float64(1)}, notes="loud", speaker=3))
    again = Explanation.load(found.save(tmp_path / "one.safetensors"))
    assert (again.label, again.clip.speaker, again.clip.notes[0]) == (2, "3", "loud")
    with pytest.raises(DataError, match="expected a mapping from tasks"):
        Clip(SOUND, 8000, labels=[1])


def test_sound_that_is_far_too_loud_is_none():
    with pytest.raises(AudioError, match="too large for a sound"):
        explained(audio=np.full(8000, 3e38, np.float32))


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, lambda x: torch.tensor(x, requires_grad=True), np.ndarray.tolist])
def test_relevance_may_be_an_array_a_tensor_or_lists(kind):
    found = explained()
    values = np.arange(8000.0)[None]
    np.testing.assert_array_equal(found.with_relevance(kind(values)).relevance, values)


@pytest.mark.parametrize("wrong", [[1, 2], SOUND, SOUND[None] * np.nan, [[1], [2, 3]], None, "abc", SOUND[None] * 1j])
def test_other_relevance_is_refused(wrong):
    with pytest.raises(ModelError, match="The relevance"):
        explained().with_relevance(wrong)


class Own:
    """A representation of somebody's own, without the ways back to sound."""

    sample_rate = samples = 8000
    placement, unit = "start", ""
    axes = (xaudio.plugin.Axis("time", "s", np.arange(8000) / 8000),)

    def __call__(self, waveforms):
        return waveforms[:, None]


@pytest.mark.slow
def test_what_lacks_the_way_back_is_explained_and_drawn_and_else_says_so(tmp_path):
    found = explained(representation=Own())
    found.render("visual:dpi=40", folder=tmp_path)
    for call in (lambda: found.render("audible", folder=tmp_path), lambda: found.render("html", folder=tmp_path)):
        with pytest.raises(ModelError, match="representation Own has no method"):
            call()
    with pytest.raises(ModelError, match=r"has no method to_waveform_relevance\(\)"):
        found.view("frequency")
    with pytest.raises(ModelError, match=r"has no method amplitude\(\)"):
        explained(representation=Own(), explainer="audiolime")
    assert not hasattr(Own(), "amplitude")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"axes": (xaudio.plugin.Axis("time", "s", np.arange(7999.0)),)},
            r"features of shape \(1, 1, 8000\); its axes say .*7999",
        ),
        ({"axes": ()}, "its axes say"),
        ({"axes": None}, "has axes None; expected a tuple"),
        ({"axes": [1]}, "expected a tuple of xaudio.plugin.Axis"),
        ({"samples": 8000.0}, "has samples 8000.0"),
        ({"sample_rate": "8000"}, "has sample_rate '8000'"),
        ({"placement": "middle"}, "has placement 'middle'; expected one of"),
        ({"__call__": lambda self, waveforms: waveforms.numpy()[:, None]}, "features of shape ndarray"),
        ({"__call__": lambda self, waveforms: waveforms / None}, "fails on waveforms of shape"),
    ],
)
def test_a_representation_that_contradicts_itself_is_refused(changed, message):
    with pytest.raises(ModelError, match=message):
        explained(representation=type("Odd", (Own,), changed)())


@pytest.mark.parametrize("nothing", [object(), Own, 3, lambda waveforms: waveforms])
def test_what_is_no_representation_is_refused(nothing):
    with pytest.raises(ModelError, match=r"is not a representation: it lacks|is the class Own"):
        explained(representation=nothing)


@pytest.mark.slow
def test_a_representation_is_named_with_options_and_made_anew_after_loading(tmp_path):
    wide = {"sample_rate": 16000, "samples": 16000}
    for given in ("waveform:sample_rate=16000,samples=16000", xaudio.create("representation", "waveform", **wide)):
        found = explained(representation=given)
        assert found.features.shape == (1, 16000)
        again = Explanation.load(found.save(tmp_path / "one.safetensors"))
        assert again.representation.samples == 16000
        again.render("visual:dpi=40", folder=tmp_path)
        assert again.view("frequency").relevance.shape == (1, 8001)


class Answers(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.net, self.function = net(), function

    def forward(self, features):
        return self.function(self.net(features))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda y: (y, y[:, :2]), r"is a tuple of \(1, 3\), \(1, 2\): say which is its answer, as in output=0"),
        (lambda y: {"scores": y, "hidden": [y]}, r"is a dict of scores \(1, 3\), hidden a list of \(1, 3\): .* output='scores'"),
        (lambda y: None, "is NoneType"),
        (lambda y: y.reshape(-1), r"has shape \(3,\) for one recording and \(6,\) for two"),
        (lambda y: y[:, None, :, None, None].expand(-1, 2, -1, 5, 1), r"has shape \(1, 2, 3, 5, 1\); expected logits of shape"),
    ],
)
def test_an_output_that_is_no_logits_is_listed(function, message):
    for call in ({}, {"classes": NAMES}):
        with pytest.raises(ModelError, match=message):
            explained(Answers(function), **call)


def test_a_network_that_wants_more_is_told_how_to_give_it():
    class Two(nn.Module):
        def forward(self, features, speaker):
            return features[:, 0, :3]

    with pytest.raises(ModelError, match="wrap it in a module that gives it the rest") as caught:
        explained(Two())
    assert "representation" not in str(caught.value)


@pytest.mark.slow
def test_programs_are_explained_as_their_modules_are():
    network = net()
    expected = explained(network).relevance
    program = torch.export.export(network, (torch.zeros(1, 1, 8000),))
    for other in (program.module(), torch.jit.trace(network, torch.zeros(1, 1, 8000))):
        np.testing.assert_allclose(explained(other).relevance, expected, atol=1e-7)
    with pytest.raises(ModelError, match=r"ExportedProgram \(its module is model\.module\(\)\)"):
        explained(program)


def made(labels, tasks=None, folds=(("ann",), ("ben",), ("cleo",))):
    speakers = ("ann", "ben", "cleo")
    recordings = [
        Recording(Path(f"{speaker}.wav"), speaker, {"word": label}) for speaker, label in zip(speakers, labels, strict=True)
    ]
    return SpeakerDataset("made", "Made", tasks or {"word": ("no", "yes")}, recordings, {"word": folds})


def test_labels_of_a_data_set_are_numbers_or_names():
    assert made(["yes", "no", None]).labels("word").tolist() == [1, 0, -1]
    assert made([np.int64(1), 0.0, float("nan")]).labels("word").tolist() == [1, 0, -1]
    assert made([True, np.bool_(False), -1], {"word": [0, 1]}).labels("word").tolist() == [1, 0, -1]
    assert made([0, 1, 1], {"word": np.array([3, 4])}).tasks == {"word": ("3", "4")}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": ["maybe", "no", "yes"]}, "'made' has ann.wav, whose label of task 'word' is none of the classes"),
        ({"labels": [2, 0, 1]}, "ann.wav, whose label of task 'word' is 2; expected a class, 0 to 1"),
        ({"labels": [0.5, 0, 1]}, "is 0.5"),
        ({"labels": [0, 1, 1], "tasks": {"word": "yes"}}, "expected a list of names"),
        ({"labels": [0, 1, 1], "folds": ["ann", "ben", "cleo"]}, "expected lists of speakers, one for each fold"),
        ({"labels": [0, 1, 1], "folds": "ann"}, "expected lists of speakers"),
    ],
)
def test_a_data_set_that_is_filled_in_wrongly_is_refused(given, message):
    with pytest.raises(XaudioError, match=message):
        made(**given)


def test_a_recording_needs_a_speaker():
    with pytest.raises(DataError, match="has no speaker"):
        Recording("a.wav", None, {})
    assert Recording("a.wav", np.int64(3), {}).speaker == "3"


def test_a_single_true_or_false_is_no_index_of_three():
    with pytest.raises(DataError):
        label_index(True, NAMES, "here")


@pytest.mark.parametrize(
    "given", [np.array(["dog", "cat"]), np.array(["dog", "cat"], dtype=object), ["dog", "cat"], ("dog", "cat")]
)
def test_several_labels_of_a_clip_may_be_an_array(given):
    assert Clip(SOUND, 8000, labels={"event": given}).labels == {"event": ("dog", "cat")}


def test_an_array_of_one_label_is_no_index():
    with pytest.raises(DataError, match=r"ann\.wav, whose label of task 'word' is \[0, 1\]; expected a class"):
        made([np.array([0, 1]), "no", "yes"])
