"""How a model wants its sound: one set of defaults, and one way to hear recordings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import xaudio
from xaudio.model.model import Model
from xaudio.model.untrained import new_model
from xaudio.plugin import PluginError, Rules, placed_waveforms


@pytest.fixture(scope="module")
def speech():
    return xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)


def model_of(speech, placement, **facts):
    options = {"samples": 8000, "sample_rate": 8000, "placement": placement}
    return new_model(
        "audionet", speech.tasks["digit"], task="digit", representation="waveform", representation_options=options, facts=facts
    )


@pytest.mark.slow
def test_the_rules_are_those_of_the_training_and_have_one_set_of_defaults(speech, tmp_path):
    assert Rules() == Rules(fit="error", resampling="soxr", placement="start", seed=0)
    assert model_of(speech, "start").rules == Rules()
    trained = model_of(speech, "file", fit="trim", resampling="fft", seed=3, data="some")
    assert trained.rules == Rules("trim", "fft", "file", 3)
    trained.save(tmp_path)
    assert Model.load(tmp_path).rules == trained.rules


@pytest.mark.slow
def test_a_data_set_has_a_say_only_where_the_model_has_none(speech):
    assert model_of(speech, "file").rules_in(speech) == Rules(speech.fit, speech.resampling, "file", 0)
    assert model_of(speech, "file", fit="trim", resampling="fft").rules_in(speech) == Rules("trim", "fft", "file", 0)


@pytest.mark.slow
@pytest.mark.parametrize("facts", [{"fit": "squeeze"}, {"resampling": "linear"}, {"seed": -1}, {"seed": "x"}])
def test_what_is_no_rule_is_refused_with_its_name(speech, facts):
    (name, value), *_ = facts.items()
    with pytest.raises(PluginError, match=f"'?{value}'? does not fit the rule '{name}' of the model"):
        _ = model_of(speech, "file", **facts).rules


@pytest.mark.parametrize(
    ("trained", "asked", "placement"),
    [
        ("file", {}, "centre"),
        ("step", {}, "centre"),
        ("start", {}, "start"),
        ("file", {"seed": 5}, "file"),
        ("step", {"placement": "start"}, "start"),
        ("file", {"placement": "file"}, "file"),
    ],
)
def test_own_recordings_are_centred_where_training_drew_unless_a_draw_is_asked_for(trained, asked, placement):
    rules = Rules("trim", "fft", trained, 3)
    assert rules.of_own(**asked) == replace(rules, placement=placement, seed=asked.get("seed", 3))


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["start", "centre", "file", "step"])
def test_a_recording_sounds_alike_alone_in_a_data_set_and_in_an_explanation(speech, placement):
    model = model_of(speech, placement, seed=3)
    chosen = np.array([7, 0, 12])
    clips = [speech[index] for index in chosen]
    together, alone = model.hear_all(speech), model.hear(clips)
    waveforms = alone.batch(slice(None))
    assert torch.equal(together.batch(chosen), waveforms)
    assert torch.equal(torch.cat([batch for _, batch in placed_waveforms(model, speech, chosen, batch_size=2)]), waveforms)
    explanations = xaudio.explain(model, clips, explainer="gradient", placement=placement, device="cpu")
    assert all(np.array_equal(one.clip.waveform, waveforms[row]) for row, one in enumerate(explanations))
    for row, (clip, one) in enumerate(zip(clips, explanations, strict=True)):
        at = alone.position(row)
        assert one.placed == at == together.position(chosen[row])
        heard = waveforms[row, at.offset : at.offset + at.samples].numpy()
        assert np.array_equal(heard, clip.waveform)
        assert np.count_nonzero(waveforms[row]) == np.count_nonzero(heard)
