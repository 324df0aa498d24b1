"""CLAP asked by texts, against what transformers says of the same sound and texts."""

import numpy as np
import pytest
import torch
from hugging_face import clap_processor, small
from torch.nn import functional

import xaudio
from xaudio.plugin import ModelError

TEXTS = ["a dog barking", "rain"]


@pytest.fixture(scope="module")
def clap():
    return clap_processor()


def sound(samples=20000, seed=0):
    return (np.random.default_rng(seed).standard_normal(samples) * np.linspace(0, 0.3, samples)).astype(np.float32)


def explain(clap, audio, **options):
    network, processor = clap
    known = {"feature_extractor": processor, "explainer": "gradient", "sample_rate": 16000, "device": "cpu"}
    return xaudio.explain(network, audio, **{**known, **options})


def given(clap, audio, texts):
    """What the network takes of a sound and texts."""
    _, processor = clap
    words = processor.tokenizer(texts, padding=True, return_tensors="pt")
    heard = processor.feature_extractor(audio, sampling_rate=16000, return_tensors="pt")
    return {"input_ids": words["input_ids"], "attention_mask": words["attention_mask"], **heard}


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_asked_for_by_its_cosine(clap, text):
    audio = sound()
    explanation = explain(clap, audio, target=text)
    with torch.no_grad():
        answer = clap[0](**given(clap, audio, [text]))
    expected = float(functional.cosine_similarity(answer.audio_embeds, answer.text_embeds)[0])
    assert explanation.score == pytest.approx(expected, abs=1e-5)
    assert explanation.question == f"similar to {text}"
    assert explanation.probabilities is None
    assert explanation.relevance.any()


@pytest.mark.slow
def test_texts_are_classes_as_in_zero_shot_classification(clap):
    audio = [sound(seed=1), sound(9000, seed=2)]
    explanations = explain(clap, audio, classes=TEXTS)
    for item, explanation in zip(audio, explanations, strict=True):
        with torch.no_grad():
            logits = clap[0](**given(clap, item, TEXTS)).logits_per_audio[0]
        np.testing.assert_allclose(explanation.logits, logits, atol=1e-4)
        np.testing.assert_allclose(explanation.probabilities, logits.softmax(0), atol=1e-4)
        assert explanation.classes == tuple(TEXTS)
        assert explanation.kind == "classes"
    labels = explain(clap, audio[0], classes=TEXTS, kind="labels", target="rain")
    assert labels.probabilities[1] == pytest.approx(1 / (1 + np.exp(-labels.logits[1])), abs=1e-6)


@pytest.mark.slow
def test_one_text_rather_than_another(clap):
    audio = sound()
    dog, rain = (explain(clap, audio, target=text) for text in TEXTS)
    contrast = explain(clap, audio, target=TEXTS[0], contrast=TEXTS[1])
    np.testing.assert_allclose(contrast.relevance, dog.relevance - rain.relevance, atol=1e-7)


@pytest.mark.slow
def test_a_folder_reads_texts(clap, tmp_path):
    for part in clap:
        part.save_pretrained(tmp_path)
    spec = f"huggingface:path={tmp_path}"
    read = xaudio.load_model(spec, "cpu")
    explanation = xaudio.explain(spec, sound(), sample_rate=16000, target="a dog barking", explainer="gradient", device="cpu")
    expected = functional.cosine_similarity(explained_embedding(read, sound()), read.embedding_of("a dog barking")[None])
    assert explanation.score == pytest.approx(float(expected[0]), abs=1e-5)
    texts = xaudio.load_model(f"{spec},classes=a dog barking+rain", "cpu")
    assert (texts.classes, texts.kind) == (("a dog barking", "rain"), "classes")


def explained_embedding(model, audio):
    at = model.at(len(audio))
    with torch.no_grad():
        return at.answer(at.features(torch.from_numpy(audio)[None])).scores


@pytest.mark.parametrize("name", ["clap-whole", "clap", "xvector"])
def test_models_that_read_no_text_say_so_in_one_line(name):
    network, extractor = small(name)
    with pytest.raises(ModelError, match=r"'a dog', but .* reads no text: ask how similar .* in similar:FILE") as refused:
        explain((network, extractor), sound(), target="a dog")
    assert "\n" not in str(refused.value)
