"""Models of transformers, explained: from files as people have them, of any length, in any batch."""

import json

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hugging_face import small

import xaudio
from xaudio.plugin import ModelError, write_audio
from xaudio_huggingface._adapter import adapted
from xaudio_huggingface._library import transformers


def sound(samples, seed=0):
    drawn = np.random.default_rng(seed).standard_normal(samples) * np.linspace(0, 0.15, samples)
    return drawn.astype(np.float32)


def explain(name, audio, **options):
    network, extractor = small(name)
    return xaudio.explain(network, audio, feature_extractor=extractor, device="cpu", **{"explainer": "gradient", **options})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One sound as a mono file at 16 kHz, at 44.1 kHz in stereo and 24 bits, in 16 bits, and in float64."""
    folder = tmp_path_factory.mktemp("files")
    for name, samples, rate, subtype, channels in [
        ("a.wav", 16000, 16000, "FLOAT", 1),
        ("b.flac", 50000, 44100, "PCM_24", 2),
        ("c.wav", 9001, 16000, "PCM_16", 1),
        ("d.wav", 20000, 22050, "DOUBLE", 1),
    ]:
        waveform = np.stack([sound(samples, seed) for seed in range(channels)], 1)
        soundfile.write(folder / name, waveform, rate, subtype=subtype)
    return sorted(folder.iterdir())


def heard(file):
    """What a model at 16 kHz hears of a file, without xaudio."""
    waveform, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono = waveform.mean(1)
    return mono if rate == 16000 else soxr.resample(mono, rate, 16000).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wav2vec2", "hubert", "bert", "ast", "whisper"])
def test_probabilities_are_those_of_the_pipeline(name, files):
    network, extractor = small(name)
    pipeline = transformers().pipeline("audio-classification", model=network, feature_extractor=extractor, device="cpu")
    for file, explanation in zip(files, xaudio.explain(pipeline, list(files), explainer="gradient", device="cpu"), strict=True):
        answers = {answer["label"]: answer["score"] for answer in pipeline(heard(file), top_k=None)}
        assert dict(zip(explanation.classes, explanation.probabilities.tolist(), strict=True)) == pytest.approx(answers, abs=1e-4)
        assert explanation.clip.duration == pytest.approx(len(heard(file)) / 16000, abs=1e-4)
        assert explanation.provenance["placement"]["offset"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "tensor", "stereo"])
def test_arrays_of_any_format_are_one_sound(kind):
    waveform = np.round(sound(12000) * 32767).astype(np.int16)
    exact = waveform.astype(np.float64) / 32768
    given = {
        "float32": exact.astype(np.float32),
        "float64": exact,
        "int16": waveform,
        "tensor": torch.from_numpy(exact),
        "stereo": np.stack([exact, exact]),
    }[kind]
    network, extractor = small("wavlm")
    with torch.no_grad():
        theirs = network(**extractor(exact.astype(np.float32), sampling_rate=16000, return_tensors="pt")).logits[0]
    channels = {"channels": "mean"} if kind == "stereo" else {}
    assert explain("wavlm", given, sample_rate=16000, **channels).logits == pytest.approx(theirs.numpy(), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wav2vec2", "ast", "bert", "frames"])
def test_relevance_is_the_same_alone_in_any_batch_and_in_any_order(name):
    clips = [xaudio.Clip(sound(samples, seed), 16000) for seed, samples in enumerate([9000, 16000, 9000, 12000])]
    forth, back = explain(name, clips, batch_size=2), explain(name, clips[::-1], batch_size=3)[::-1]
    for clip, one, other in zip(clips, forth, back, strict=True):
        alone = explain(name, clip)
        for relevance in (one.relevance, other.relevance):
            np.testing.assert_allclose(relevance, alone.relevance, rtol=0, atol=1e-5 * np.abs(alone.relevance).max())


@pytest.mark.slow
def test_a_span_of_frames_is_asked_by_its_seconds():
    """The logits of frames whose centres, (40 k + 19.5) / 16000 s, lie in it, against transformers."""
    network, extractor = small("frames")
    waveform = sound(16000)
    with torch.no_grad():
        logits = network(**extractor(waveform, sampling_rate=16000, return_tensors="pt")).logits[0]
    centres = (40 * np.arange(len(logits)) + 19.5) / 16000
    inside = (centres >= 0.25) & (centres <= 0.5)
    explanation = explain("frames", waveform, sample_rate=16000, target="cat@0.25-0.5")
    assert explanation.logits[0] == pytest.approx(float(logits[inside, 1].mean()), abs=1e-5)


@pytest.mark.slow
def test_masked_frames_count_in_no_score():
    """What the extractor pads to a whole frame is masked; the network says something of it all the same."""
    network, extractor = small("frames-bert")
    audio = sound(8160)  # 49 frames, two of which are read as one
    model = adapted(network, extractor).at(len(audio))
    features = model.features(torch.from_numpy(audio)[None])
    answer = model.answer(features)
    assert int(answer.valid[0]) == answer.scores.shape[1] - 1
    heard = answer.scores[:, :-1]
    above = heard > heard.mean(1, keepdim=True)
    expected = (heard * above).sum(1) / above.sum(1)
    assert torch.allclose(model.logits(features), expected, atol=1e-6)
    assert not torch.allclose(expected, answer.scores.mean(1), atol=1e-3)
    explanation = explain("frames-bert", audio, sample_rate=16000, target="dog")
    assert explanation.score == pytest.approx(float(heard[0, :, 0].mean()), abs=1e-5)


def test_layers_are_called_as_the_network_calls_them():
    network, extractor = small("frames-bert")
    assert set(dict(adapted(network, extractor).network.named_modules())) == set(dict(network.named_modules()))


@pytest.mark.slow
def test_the_path_of_a_ctc_model_says_its_symbols():
    network, extractor = small("ctc")
    waveform = sound(4000)
    with torch.no_grad():
        logits = network(**extractor(waveform, sampling_rate=16000, return_tensors="pt")).logits[0]
    explanations = explain("ctc", [waveform], sample_rate=16000)
    total = sum(float(explanation.logits[explanation.target]) for explanation in explanations)
    assert total == pytest.approx(float(logits.amax(1).sum()), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), [("xvector", "embeddings"), ("clap", "audio_embeds")])
def test_a_similarity_is_the_cosine_of_two_embeddings(name, part, tmp_path):
    network, extractor = small(name)
    waveforms = [sound(12000), sound(14000, 1)]
    write_audio(tmp_path / "other.wav", waveforms[1], 16000)
    with torch.no_grad():
        given = [network(**extractor(one, sampling_rate=16000, return_tensors="pt"))[part][0] for one in waveforms]
    cosine = float(torch.nn.functional.cosine_similarity(*given, dim=0))
    similar = xaudio.Similarity(str(tmp_path / "other.wav"))
    explanation = explain(name, waveforms[0], sample_rate=16000, target=similar)
    assert explanation.logits[0] == pytest.approx(cosine, abs=1e-3)


@pytest.mark.slow
def test_what_is_padding_is_said():
    said = explain("ast", [sound(16000), sound(24000)], sample_rate=16000)
    assert "18% of the 1.22 s that the model reads is padding" in said[0].clip.notes
    assert "the model reads the first 1.22 s only, as its feature extractor cuts the rest off" in said[1].clip.notes
    assert (
        "75% of the 2.00 s that the model reads is repetition"
        in explain("clap", sound(8000), sample_rate=16000, target=0).clip.notes
    )
    assert not explain("wav2vec2", sound(8000), sample_rate=16000).clip.notes


@pytest.mark.slow
def test_the_relevance_on_padding_is_said():
    """A second of AST's 120 frames is 98 of them; Whisper's 2 s are padded with silence, and half a window hears both."""
    for name, first in [("ast", 98), ("whisper", 102)]:
        explanation = explain(name, sound(16000), sample_rate=16000, explainer="integrated_gradients", baseline="zero", steps=4)
        sizes = np.abs(explanation.relevance)
        share = sizes[..., first:].sum() / sizes.sum()
        assert f"{share:.0%} of the absolute relevance lies on padding" in explanation.clip.notes
        assert share > 0


def test_an_extractor_that_differs_for_one_recording_is_refused():
    """Equal on noise, when it is loaded, but not on silence."""
    network, extractor = small("ast")
    own = extractor._extract_fbank_features
    extractor._extract_fbank_features = lambda waveform, max_length: own(waveform, max_length) + 5 * (waveform[0] == 0.25)
    waveform = sound(16000)
    waveform[0] = 0.25
    with pytest.raises(ModelError, match="computes something else than a ASTFeatureExtractor"):
        xaudio.explain(network, waveform, sample_rate=16000, feature_extractor=extractor, explainer="gradient")


def test_too_short_and_too_long_recordings_are_refused_in_one_line():
    for name, samples, why in [("xvector", 300, "300 samples"), ("clap", 40000, "longer than the 2.000 s")]:
        with pytest.raises(xaudio.XaudioError, match=why) as refusal:
            explain(name, sound(samples), sample_rate=16000, target=0)
        assert "\n" not in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("view", ["time", "frequency"])
def test_relevance_of_levels_is_seen_in_other_views(view):
    for name in ("ast", "bert"):
        explanation = explain(name, sound(16000), sample_rate=16000, view=view)
        assert np.isfinite(explanation.relevance).all()
        assert np.abs(explanation.relevance).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ast", "wav2vec2", "clap", "bert"])
def test_an_explanation_is_saved_and_seen_and_heard_again(name, tmp_path):
    explanation = explain(name, sound(9000), sample_rate=16000, target=0)
    explanation.save(tmp_path / "one")
    again = xaudio.Explanation.load(tmp_path / "one")
    np.testing.assert_allclose(again.view("time").relevance, explanation.view("time").relevance, rtol=0, atol=1e-6)
    for renderer in ("visual", "audible"):
        again.render(renderer, folder=tmp_path / renderer)
        assert list((tmp_path / renderer).iterdir())


def test_an_extractor_of_a_folder_is_a_representation(tmp_path):
    extractor = small("wav2vec2")[1]
    extractor.save_pretrained(tmp_path)
    named = xaudio.create("representation", "huggingface", extractor=str(tmp_path), samples=9000)
    waveform = sound(9000)
    theirs = extractor(waveform, sampling_rate=16000)["input_values"][0]
    np.testing.assert_allclose(named(torch.from_numpy(waveform)[None])[0, 0].numpy(), theirs, rtol=0, atol=1e-5)
    wrong = {str(tmp_path / "no"): "is not a folder", "{": "is not JSON", '{"feature_extractor_type": "X"}': "of the type 'X'"}
    for text, why in wrong.items():
        with pytest.raises(ModelError, match=why):
            xaudio.create("representation", "huggingface", extractor=text)


def test_names_and_kinds_may_be_given():
    explanation = explain("wav2vec2", sound(8000), sample_rate=16000, classes=["a", "b", "c", "d"], kind="labels")
    assert (explanation.classes, explanation.kind) == (("a", "b", "c", "d"), "labels")
    assert json.dumps(explanation.provenance)
