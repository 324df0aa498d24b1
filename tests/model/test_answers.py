"""Networks as their users have them: what they take and return, what is asked of them, against wrappers written by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import xaudio
from xaudio.errors import ModelError, XaudioWarning
from xaudio.model.arguments import as_model, model_of
from xaudio.model.ctc import aligned
from xaudio.model.model import Model

RATE = 8000
ANY = "waveform:sample_rate=8000,samples=none,normalisation=none"
FIXED = "waveform:sample_rate=8000,samples=4000,normalisation=none"


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def sound(samples, seed=1):
    return torch.rand(samples, generator=torch.Generator().manual_seed(seed)) - 0.5


def explain(network, audio, **more):
    known = {"sample_rate": RATE, "representation": ANY, "explainer": "gradient"}
    return xaudio.explain(network, audio, **{**known, **more})


def gradient(function, audio):
    entered = audio[None, None].clone().requires_grad_()
    return torch.autograd.grad(function(entered).sum(), entered)[0][0].numpy()


class Voice(nn.Module):
    """Scores of frames (batch, frames, outputs), or with the outputs first."""

    def __init__(self, outputs=3, first=False):
        super().__init__()
        self.conv, self.out, self.first = nn.Conv1d(1, 8, 400, stride=160), nn.Conv1d(8, outputs, 1), first

    def forward(self, sounds):
        scores = self.out(self.conv(sounds).relu())
        return scores if self.first else scores.transpose(1, 2)


class Speaker(nn.Module):
    """An embedding by a recurrent layer over the samples (batch, samples)."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(40, 16, batch_first=True)

    def forward(self, sounds):
        return functional.normalize(self.gru(sounds.unfold(1, 40, 40))[1][-1], dim=1)


class Flat(nn.Module):
    """Scores of samples (batch, samples), in whatever form a function brings them."""

    def __init__(self, form=lambda scores, sounds: scores, outputs=3):
        super().__init__()
        self.conv, self.out, self.form = nn.Conv1d(1, 8, 65, stride=8), nn.Linear(8, outputs), form

    def logits(self, sounds):
        return self.out(self.conv(sounds.reshape(len(sounds), 1, -1)).relu().mean(2))

    def forward(self, sounds):
        assert sounds.ndim == 2
        return self.form(self.logits(sounds), sounds)


class Record(dict):
    """As a ModelOutput: a mapping with attributes."""


@dataclass
class Said:
    """As own code returns it."""

    logits: torch.Tensor
    hidden: tuple
    loss: float | None = None


FORMS = {
    "tensor": lambda scores, sounds: scores,
    "batch, 1, classes": lambda scores, sounds: scores[:, None],
    "batch, classes, 1, 1": lambda scores, sounds: scores[:, :, None, None],
    "classes, batch": lambda scores, sounds: scores.T,
    "squeezed": lambda scores, sounds: scores.squeeze(),
    "tuple": lambda scores, sounds: (scores, len(sounds)),
    "list": lambda scores, sounds: [scores, torch.ones(len(sounds), dtype=torch.int64)],
    "dict": lambda scores, sounds: {"logits": scores, "hidden": (sounds, sounds)},
    "dataclass": lambda scores, sounds: Said(scores, (sounds, sounds)),
    "dataclass within a dict": lambda scores, sounds: {"said": Said(scores, ())},
    "model output": lambda scores, sounds: Record(loss=None, logits=scores, states=(sounds,)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_whatever_a_module_returns_is_explained_as_its_logits_are(form):
    network, audio = Flat(form), sound(5000)
    explanation = explain(network, audio, classes=["a", "b", "c"], target="b", kind="classes")
    np.testing.assert_allclose(explanation.relevance, gradient(lambda x: network.logits(x)[:, 1], audio), atol=1e-7)
    assert explanation.logits == pytest.approx(network.logits(audio[None])[0].detach().numpy(), abs=1e-6)
    assert "the network takes features as (batch, samples)" in explanation.remarks


def test_one_of_several_outputs_is_chosen_by_name_or_index_or_listed():
    network, audio = Flat(lambda scores, sounds: {"tags": scores, "embedding": sounds[:, :7]}), sound(5000)
    with pytest.raises(ModelError, match=r"dict of tags \(1, 3\), embedding \(1, 7\): say which .* output='tags'"):
        explain(network, audio)
    by_name, by_index = (explain(network, audio, output=output, target=1) for output in ("tags", 0))
    np.testing.assert_array_equal(by_name.relevance, by_index.relevance)
    assert len(explain(network, audio, output="embedding").classes) == 7
    with pytest.raises(ModelError, match=r"there is no output 'logit' \(tags, embedding\)"):
        explain(network, audio, output="logit")


def test_parts_of_a_dataclass_are_chosen_and_listed_by_their_fields():
    network, audio = Flat(lambda scores, sounds: Said(sounds[:, :7], (scores,))), sound(5000)
    network.form = lambda scores, sounds: {"said": Said(sounds[:, :7], (scores,))}
    chosen = explain(network, audio, output="said.hidden.0", target=1)
    np.testing.assert_allclose(chosen.relevance, gradient(lambda x: network.logits(x)[:, 1], audio), atol=1e-7)
    with pytest.raises(ModelError, match=r"there is no output 'tags' \(said\.logits, said\.hidden\.0\)"):
        explain(network, audio, output="tags")


@pytest.mark.slow
def test_layers_are_called_as_the_network_calls_them(tmp_path):
    """Whatever stands around it: another form of input, a part of its output, a softmax left out, one logit of two classes."""

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.out = nn.Conv1d(1, 4, 9, 4), nn.Conv1d(4, 6, 9, 4), nn.Linear(6, 1)

        def forward(self, sounds):
            inner = self.second(self.first(sounds[:, None]).relu()).relu()
            return {"tags": self.out(inner.mean(2)).sigmoid(), "inner": inner}

    network, audio = Named().eval(), sound(5000)
    network.representation = "raw:sample_rate=8000"
    model = as_model(network, network.representation, ["no", "yes"], output="tags")
    assert dict(model.network.named_modules()) == {**dict(network.named_modules()), "": network}
    assert all(model.network.get_submodule(name) is part for name, part in network.named_modules())
    known = {"sample_rate": RATE, "device": "cpu", "target": "yes"}
    for name in ("first", "second"):
        part = xaudio.explain(model, audio, explainer="lrp", layer=name, channels=[0, 1, 2], **known)
        assert part.relevance.any()
        assert xaudio.explain(model, audio, explainer="grad_cam", layer=name, **known).relevance.any()
    with pytest.raises(ModelError, match=r"The network has: first \(Conv1d, 4 channels\), second .*, out "):
        xaudio.explain(model, audio, explainer="lrp", layer="third", channels=[0], **known)
    assert not any("network." in place for finding in xaudio.diagnose(model).findings for place in finding.where)


def test_lengths_and_masks_are_given_to_who_asks_for_them():
    class Asking(Flat):
        def forward(self, sounds, lengths, attention_mask, padding_mask):
            assert lengths.tolist() == [sounds.shape[1]] * len(sounds)
            return self.logits(sounds * attention_mask * ~padding_mask)

    network, audio = Asking(), sound(5000)
    explanation = explain(network, audio, target=2)
    np.testing.assert_allclose(explanation.relevance, gradient(lambda x: network.logits(x)[:, 2], audio), atol=1e-7)


def test_a_mask_whose_name_does_not_tell_lets_the_sound_through():
    class Left(Flat):
        def forward(self, sounds, mask):
            return self.logits(sounds.masked_fill(mask, 0))

    network, audio = Left(), sound(5000)
    np.testing.assert_allclose(
        explain(network, audio, target=2).relevance, gradient(lambda x: network.logits(x)[:, 2], audio), atol=1e-7
    )


def test_a_network_of_single_recordings_is_asked_one_by_one():
    class One(Flat):
        def forward(self, samples):
            assert samples.ndim == 1
            return self.logits(samples[None])[0]

    network, sounds = One(), [sound(5000, 1), sound(5000, 2)]
    explanations = explain(network, sounds, target=1, classes=["a", "b", "c"])
    for explanation, audio in zip(explanations, sounds, strict=True):
        np.testing.assert_allclose(explanation.relevance, gradient(lambda x: network.logits(x)[:, 1], audio), atol=1e-7)


@pytest.mark.parametrize("first", [False, True], ids=["frames, outputs", "outputs, frames"])
def test_frames_in_a_span_of_seconds_of_the_recording(first):
    network, audio = Voice(first=first), sound(9000)
    explanation = explain(network, audio, classes=["noise", "speech", "music"], target="speech@0.2-0.5")
    centres = (np.arange(54) * 160 + 199.5) / RATE
    inside = torch.from_numpy((centres >= 0.2) & (centres <= 0.5))
    wrapper = Voice.forward
    network.first = False
    np.testing.assert_allclose(
        explanation.relevance, gradient(lambda x: wrapper(network, x)[:, inside, 1].mean(1), audio), atol=1e-9
    )
    assert explanation.question == "speech, 0.2 to 0.5 s"
    assert explanation.probabilities is None
    assert "%" not in explanation.title()


def test_a_span_is_of_the_recording_where_the_window_begins_later():
    network = Voice()
    quiet = torch.cat([torch.zeros(4000), sound(3000), torch.zeros(4000)])
    known = {"classes": ["a", "b", "c"], "representation": FIXED, "fit": "loudest"}
    explanation = explain(network, quiet, target=xaudio.Output("b", (0.6, 0.7)), **known)
    start = explanation.window_start
    assert start > 0.3
    centres = (np.arange(23) * 160 + 199.5) / RATE + start
    inside = torch.from_numpy((centres >= 0.6) & (centres <= 0.7))
    window = torch.from_numpy(explanation.clip.waveform)
    expected = gradient(lambda x: network(x)[:, inside, 1].mean(1), window)
    np.testing.assert_allclose(explanation.relevance, expected, atol=1e-9)


def test_the_clearest_output_of_frames_is_explained_where_it_is_above_its_mean():
    network, audio = Voice(), sound(9000)
    scores = network(audio[None, None])[0].detach()
    clearest = int(scores.amax(0).argmax())
    above = scores[:, clearest] > scores[:, clearest].mean()
    expected = gradient(lambda x: network(x)[:, above, clearest].mean(1), audio)
    explanation = explain(network, audio, classes=["a", "b", "c"])
    np.testing.assert_allclose(explanation.relevance, expected, atol=1e-9)
    assert explanation.question.startswith("abc"[clearest])


@pytest.mark.parametrize("over", ["sum", "max", "logsumexp"])
def test_frames_become_one_number_in_several_ways(over):
    network, audio = Voice(), sound(9000)
    ways = {"sum": lambda s: s.sum(1), "max": lambda s: s.amax(1), "logsumexp": lambda s: s.logsumexp(1)}
    explanation = explain(network, audio, classes=["a", "b", "c"], target=xaudio.Output(2, over=over))
    np.testing.assert_allclose(explanation.relevance, gradient(lambda x: ways[over](network(x)[:, :, 2]), audio), atol=1e-7)


@pytest.mark.slow
def test_an_embedding_is_asked_for_its_similarity_to_a_recording():
    network, one, other = Speaker(), sound(8000), sound(6000, 2)
    reference = network(other[None])[0].detach()
    asked = xaudio.Similarity(other, sample_rate=RATE, name="b.wav")
    explanation = explain(network, one, kind="embedding", target=asked)
    wanted = gradient(lambda x: functional.cosine_similarity(network(x[:, 0]), reference[None]), one)
    np.testing.assert_allclose(explanation.relevance, wanted, atol=1e-7)
    assert explanation.question == "similar to b.wav"
    given = explain(network, one, kind="embedding", target=xaudio.Similarity(reference, by="distance"))
    assert given.score == pytest.approx(-float((network(one[None])[0] - reference).norm()), abs=1e-5)
    with pytest.raises(ModelError, match="say what is asked of it"):
        explain(network, one, kind="embedding")


def test_values_have_no_probability_anywhere(tmp_path):
    network, audio = Flat(outputs=1), sound(5000)
    explanation = explain(network, audio, kind="values", classes=["quality"])
    assert explanation.score == pytest.approx(float(network(audio[None])), abs=1e-6)
    assert "score" in explanation.title()
    assert "%" not in explanation.title()
    explanation.save(tmp_path / "e.safetensors")
    page = xaudio.Explanation.load(tmp_path / "e.safetensors")._repr_html_()
    assert "Probability" not in page
    explanation.plot()


def test_one_logit_of_two_classes_speaks_for_the_second():
    network, audio = Flat(outputs=1), sound(5000)
    yes, no = (explain(network, audio, classes=["no", "yes"], target=name) for name in ("yes", "no"))
    np.testing.assert_allclose(yes.relevance, gradient(network.logits, audio), atol=1e-7)
    np.testing.assert_allclose(no.relevance, -yes.relevance)
    probability = float(network.logits(audio[None]).sigmoid())
    assert yes.probabilities == pytest.approx([1 - probability, probability], abs=1e-6)
    assert len(yes.predictions) == 1


def test_every_label_above_a_threshold_is_explained():
    network, sounds = Flat(outputs=5), [sound(5000, 1), sound(4000, 2)]
    names = list("vwxyz")
    explanations = explain(network, sounds, classes=names, kind="labels", threshold=0.5)
    wanted = []
    for audio in sounds:
        logits = network.logits(audio[None])[0]
        wanted += [(len(audio), names[index]) for index in logits.argsort(descending=True) if logits[index] > 0]
    assert [(len(item.clip.waveform), item.question) for item in explanations] == wanted
    with pytest.raises(ModelError, match="of the kind 'classes': it is a probability of labels"):
        explain(network, sounds, classes=names, kind="classes", threshold=0.5)


def test_recordings_are_heard_once_for_all_labels_above_a_threshold(monkeypatch):
    heard, hear = [], Model.hear_each
    monkeypatch.setattr(Model, "hear_each", lambda self, clips, rules: heard.append(len(clips)) or hear(self, clips, rules))
    explanations = explain(Flat(outputs=5), [sound(5000, 1), sound(4000, 2)], kind="labels", threshold=0.0)
    assert len(explanations) == 10
    assert explanations.rows == (0,) * 5 + (1,) * 5
    assert heard == [2]


@pytest.mark.parametrize(
    ("asked", "words"), [({}, "non-deterministic"), ({"threshold": 0.0}, "non-deterministic"), ({"threshold": 0.99}, "No label")]
)
def test_warnings_point_at_the_call(asked, words):
    draw = np.random.default_rng(0)
    network = Flat(lambda scores, sounds: scores * draw.uniform(0.9, 1.1))
    with pytest.warns(XaudioWarning) as said:
        explain(network, [sound(5000)], kind="labels", **asked)
    assert words in " ".join(str(one.message) for one in said)
    assert {Path(one.filename).name for one in said} == {Path(__file__).name}


@pytest.mark.parametrize("squash", [nn.Softmax(1), nn.Sigmoid(), lambda x: functional.log_softmax(x, 1), torch.sigmoid])
@pytest.mark.parametrize("explainer", ["gradient", "lrp:engine=zennit,composite=epsilon", "deep_lift", "integrated_gradients"])
def test_what_enters_a_last_softmax_or_sigmoid_is_explained(squash, explainer):
    class Ends(nn.Module):
        def __init__(self, end):
            super().__init__()
            self.body = nn.Sequential(nn.Conv1d(1, 4, 65, stride=32), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 123, 3))
            self.end = end

        def forward(self, sounds):
            return self.end(self.body(sounds))

    def made(end):
        torch.manual_seed(3)
        network = Ends(end)
        network.body[3].weight.data *= 1000  # so sure that the gradient of its probabilities is 0
        return network

    network, audio = made(squash), sound(4000)
    known = {"representation": FIXED, "explainer": explainer, "target": 1}
    explanation = explain(network, audio, **known)
    logits = explain(made(nn.Identity()), audio, **known)
    np.testing.assert_allclose(explanation.relevance, logits.relevance, rtol=1e-5, atol=1e-6)
    assert np.any(explanation.relevance)
    assert any("what enters it is explained" in remark for remark in explanation.remarks)
    sigmoids = squash is torch.sigmoid or isinstance(squash, nn.Sigmoid)
    assert explanation.kind == ("labels" if sigmoids else "classes")


def test_probabilities_that_are_mixed_become_log_odds():
    class Mixed(Flat):
        def forward(self, sounds):
            assert sounds.ndim == 2
            return 0.5 * self.logits(sounds).sigmoid() + 0.5 * self.logits(sounds.flip(1)).sigmoid()

    network, audio = Mixed(), sound(5000)
    explanation = explain(network, audio, target=1)
    np.testing.assert_allclose(explanation.relevance, gradient(lambda x: network(x[:, 0])[:, 1].logit(), audio), atol=1e-6)
    assert explanation.probabilities == pytest.approx(network(audio[None])[0].detach().numpy(), abs=1e-5)
    assert any("log-odds" in remark for remark in explanation.remarks)


@pytest.mark.parametrize("layer", [nn.Conv1d(1, 2, 65), nn.MaxPool1d(65), nn.ReflectionPad1d(5)])
def test_a_sound_that_is_too_short_for_a_network_is_called_so(layer):
    with pytest.raises(ModelError, match="too short for it: give a longer one"):
        explain(nn.Sequential(layer, nn.AdaptiveAvgPool1d(1), nn.Flatten()), sound(3))


@pytest.mark.slow
def test_vectors_of_length_one_are_an_embedding_not_probabilities():
    class Positive(Speaker):
        def forward(self, sounds):
            return functional.normalize(self.gru(sounds.unfold(1, 40, 40))[1][-1].relu() + 0.01, dim=1)

    network = Positive()
    known = {"sample_rate": RATE, "representation": ANY}
    with pytest.raises(ModelError, match="An embedding has no output that stands for itself"):
        xaudio.explain(network, sound(5000), **known)
    explanation = xaudio.explain(
        network, sound(5000), target=xaudio.Similarity(sound(6000, 2), sample_rate=RATE), explainer="gradient", **known
    )
    cosine = functional.cosine_similarity(network(sound(5000)[None]), network(sound(6000, 2)[None]))
    assert float(explanation.logits[0]) == pytest.approx(cosine.item(), abs=1e-6)
    assert explanation.kind == "values"


@pytest.mark.slow
def test_what_is_asked_of_classes_is_no_class_that_excludes_others():
    network = nn.Sequential(nn.Conv1d(1, 3, 400), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    assert any("exclude each other" in remark for remark in explain(network, sound(5000)).remarks)
    asked = explain(network, sound(5000), target=xaudio.Contrast(0, 1))
    assert not any("exclude each other" in remark for remark in asked.remarks)


@pytest.mark.slow
def test_relevance_of_a_recording_is_the_same_alone_in_any_batch_and_in_any_order():
    network = Voice()
    sounds = [sound(count, seed) for seed, count in enumerate([5000, 7000, 5000, 6000, 7000])]
    known = {"classes": ["a", "b", "c"], "target": "b@0.1-0.4"}
    together = explain(network, sounds, **known)
    for order in ([4, 2, 0, 1, 3], [0], [3, 1]):
        for index, explanation in zip(order, explain(network, [sounds[index] for index in order], **known), strict=True):
            np.testing.assert_allclose(explanation.relevance, together[index].relevance, atol=1e-8)
            assert explanation.relevance.shape == (1, len(sounds[index]))
            assert explanation.recording_span == (0, len(sounds[index]) / RATE)
            assert explanation.padding == ()


def test_scores_are_contrasted_and_named():
    network, audio = Voice(), sound(9000)
    known = {"classes": ["a", "b", "c"]}
    one = explain(network, audio, target=xaudio.Contrast("a", "b"), **known)
    two = explain(network, audio, target="a", contrast="b", **known)
    np.testing.assert_allclose(one.relevance, two.relevance, atol=1e-8)
    assert one.question == two.question == "a rather than b"
    assert two.prediction == f"score {one.score:.4g}"


def test_a_callable_is_explained_under_its_name():
    def energy(answer):
        return answer.scores.pow(2).mean((1, 2))

    network, audio = Voice(), sound(9000)
    explanation = explain(network, audio, target=energy, classes=["a", "b", "c"])
    np.testing.assert_allclose(explanation.relevance, gradient(lambda x: network(x).pow(2).mean((1, 2)), audio), atol=1e-8)
    assert explanation.question == "energy"
    with pytest.raises(ModelError, match="a callable without a name"):
        explain(network, audio, target=lambda answer: answer.scores[:, 0, 0])


def test_the_parts_of_a_path_sum_to_its_score_and_bear_their_seconds():
    network, audio = Voice(outputs=4), sound(9000)
    names = ["<blank>", "a", "b", "c"]
    scores = network(audio[None, None])[0].detach()
    explanations = explain(network, audio, classes=names, kind="ctc")
    assert sum(item.score for item in explanations) == pytest.approx(float(scores.amax(1).sum()), abs=1e-4)
    path = scores.argmax(1)
    spelt = "".join(names[symbol] for symbol in torch.unique_consecutive(path) if symbol)
    assert "".join(item.question.partition(",")[0] for item in explanations if item.question != "blanks") == spelt
    assert all(" s" in item.question for item in explanations if item.question != "blanks")


def test_the_best_path_of_a_text_is_that_of_all_paths():
    scores = np.random.default_rng(0).normal(size=(6, 4))
    symbols, _ = aligned(scores, [1, 1, 2], 0)
    best = -np.inf
    for code in np.ndindex(*[4] * 6):
        collapsed = [value for place, value in enumerate(code) if value and (not place or code[place - 1] != value)]
        if collapsed == [1, 1, 2]:
            best = max(best, scores[np.arange(6), code].sum())
    assert scores[np.arange(6), symbols].sum() == pytest.approx(best)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("b@9-10", r"No frame lies from 9 to 10 s: the model's 54 frames lie from 0.025 to 1.085 s"),
        ("d@0.1-0.2", "Unknown class 'd'"),
        ("b@0.5-0.2", "The span 0.5 to 0.2 s is empty"),
        (7, "There is no class 7"),
    ],
)
def test_what_cannot_be_asked_gets_one_line(target, message):
    with pytest.raises(ModelError, match=message) as caught:
        explain(Voice(), sound(9000), classes=["a", "b", "c"], target=target)
    assert "\n" not in str(caught.value)


def test_a_span_of_a_model_without_frames_is_refused():
    with pytest.raises(ModelError, match="without frames"):
        explain(Flat(), sound(5000), classes=["a", "b", "c"], target="a@0.1-0.2")


@pytest.mark.parametrize(("kernel", "hop"), [(400, 160), (25, 8), (3, 1)])
def test_frames_lie_where_their_reach_is_centred(kernel, hop):
    network = nn.Sequential(nn.Conv1d(1, 6, kernel, stride=hop), nn.ReLU(), nn.Conv1d(6, 2, 1))
    model = model_of(network, FIXED, ["a", "b"], "frames")
    centres = model.answer(model.features(sound(4000)[None])).frames.centres
    np.testing.assert_allclose(centres, (np.arange(len(centres)) * hop + (kernel - 1) / 2) / RATE, atol=0.51 / RATE)


def test_a_gradient_of_exactly_0_is_said():
    class Dead(Flat):
        def forward(self, sounds):
            return self.logits(sounds) * 0 + 1

    assert any("0 everywhere" in warning for warning in explain(Dead(), sound(5000)).warnings)


def test_relevance_on_the_zeros_around_a_recording_is_said():
    class Biased(Flat):
        def forward(self, sounds):
            return self.logits(sounds + 1)

    explanation = explain(Biased(), sound(2000), representation=FIXED)
    assert any("lies on the zeros around the recording" in remark for remark in explanation.remarks)
