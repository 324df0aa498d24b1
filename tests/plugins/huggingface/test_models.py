"""Models of transformers against transformers: logits, names, kinds and times."""

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hugging_face import HEAD, MAKERS, QUICK, small
from sweeps import sweep
from torch import nn

from xaudio.plugin import ModelError, registry
from xaudio_huggingface._adapter import adapted
from xaudio_huggingface._library import transformers
from xaudio_huggingface._times import layers_of

EACH = sweep(MAKERS, QUICK)
CLASSIFIERS = [name for name in MAKERS if name.partition("-")[0] not in ("ctc", "frames", "xvector", "clap")]
LENGTHS = (8000, 16000, 16161, 24000)


def sound(samples, seed=0):
    drawn = np.random.default_rng(seed).standard_normal(samples) * np.linspace(0, 0.3, samples)
    return drawn.astype(np.float32)


def asked(model):
    """The network itself, where a score of its frames stands before it."""
    return getattr(model, "answers", None) or model.network


def said(model, waveform):
    """What xaudio's model says of a recording."""
    at = model.at(len(waveform))
    with torch.no_grad():
        return asked(at)(at.features(torch.from_numpy(waveform)[None]))


def expected(name, network, extractor, waveform):
    """What transformers says of it."""
    given = dict(extractor(waveform, sampling_rate=extractor.sampling_rate, return_tensors="pt"))
    if name == "whisper":
        given.pop("attention_mask", None)
    with torch.no_grad():
        answer = network.get_audio_features(**given) if name == "clap-whole" else network(**given)
    part = {"xvector": "embeddings", "clap": "audio_embeds"}.get(name.partition("-")[0], "logits")
    return answer if isinstance(answer, torch.Tensor) else answer.pooler_output if name == "clap-whole" else answer[part]


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH)
def test_scores_are_those_of_transformers(name):
    network, extractor = small(name)
    model = adapted(network, extractor)
    for samples in (model.representation.length.minimum, *LENGTHS):
        waveform = sound(samples)
        scores, theirs = said(model, waveform), expected(name, network, extractor, waveform)
        assert scores.shape == theirs.shape
        tolerance = 1e-3 if "bert" in name else 2e-5  # its features are divided by the deviation over as few as two frames
        assert torch.allclose(scores, theirs, atol=tolerance, rtol=tolerance), samples
        assert float(theirs.std()) > 1e-3


@pytest.mark.parametrize("name", EACH)
def test_scores_of_a_recording_are_those_in_a_batch(name):
    network, extractor = small(name)
    at = adapted(network, extractor).at(12000)
    waveforms = torch.from_numpy(np.stack([sound(12000, seed) for seed in range(3)]))
    with torch.no_grad():
        together = asked(at)(at.features(waveforms))
        alone = torch.cat([asked(at)(at.features(row[None])) for row in waveforms])
    assert torch.allclose(together, alone, atol=2e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_are_those_of_the_pipeline_for_real_recordings(name, real_data):
    network, extractor = small(name)
    pipeline = transformers().pipeline("audio-classification", model=network, feature_extractor=extractor, device="cpu")
    model = registry().adapted(pipeline)
    files = [
        sorted(real_data("fsdd").rglob("*.wav"))[7],
        sorted(real_data("arabic-commands").rglob("*.wav"))[11],
        sorted(real_data("esc10").rglob("*.ogg"))[3],
    ]
    rates = set()
    for file in files:
        waveform, rate = soundfile.read(file, dtype="float32")
        heard = soxr.resample(waveform, rate, 16000)[:32000].astype(np.float32)
        rates.add(rate)
        answers = {answer["label"]: answer["score"] for answer in pipeline(heard, top_k=None)}
        probabilities = model.probabilities(said(model, heard))[0].tolist()
        assert dict(zip(model.classes, probabilities, strict=True)) == pytest.approx(answers, abs=2e-5)
    assert len(rates) == 3


PROBLEMS = {
    "regression": ("values", "none"),
    "multi_label_classification": ("labels", "sigmoid"),
    "single_label_classification": ("classes", "softmax"),
    None: ("classes", "softmax"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_problem_says_what_the_outputs_are(problem):
    kind, _ = PROBLEMS[problem]
    network, extractor = small("wav2vec2", problem_type=problem)
    model = adapted(network, extractor)
    assert (model.kind, model.classes) == (kind, ("dog", "cat", "rain", "bell"))


@pytest.mark.parametrize("function", ["none", "sigmoid", "softmax"])
def test_what_a_pipeline_was_told_goes_before_the_problem(function):
    network, extractor = small("hubert")
    made = transformers().pipeline(
        "audio-classification", model=network, feature_extractor=extractor, device="cpu", function_to_apply=function
    )
    assert registry().adapted(made).kind == {"none": "values", "sigmoid": "labels", "softmax": "classes"}[function]


@pytest.mark.parametrize(
    ("problem", "kind"), [(None, "values"), ("regression", "values"), ("multi_label_classification", "labels")]
)
def test_one_output_is_a_value_unless_it_is_a_label(problem, kind):
    network, extractor = small("wav2vec2", id2label={0: "quality"}, problem_type=problem)
    model = adapted(network, extractor)
    assert (model.kind, model.classes) == (kind, ("quality",))


KINDS = {"ctc": "ctc", "frames": "frames", "xvector": "embedding", "clap": "embedding"}


@pytest.mark.parametrize("name", EACH)
def test_the_class_says_what_the_outputs_are(name):
    network, extractor = small(name)
    assert adapted(network, extractor).kind == KINDS.get(name.partition("-")[0], "classes")


def vocabulary(folder, symbols):
    import json

    (folder / "vocab.json").write_text(json.dumps({symbol: index for index, symbol in enumerate(symbols)}))
    return transformers().Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), pad_token="<pad>", word_delimiter_token="|")


SYMBOLS = ["<pad>", "<s>", "</s>", "<unk>", "|", "e", "t", "a", "o"]


def test_a_tokenizer_names_the_symbols_of_ctc(tmp_path):
    network, extractor = small("ctc")
    tokenizer = vocabulary(tmp_path, SYMBOLS)
    processor = transformers().Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
    assert adapted(network, processor).classes == tuple(SYMBOLS)
    made = transformers().pipeline(
        "automatic-speech-recognition", model=network, feature_extractor=extractor, tokenizer=tokenizer, device="cpu"
    )
    model = registry().adapted(made)
    assert (model.kind, model.classes) == ("ctc", tuple(SYMBOLS))
    waveform = sound(16000)
    best = said(model, waveform)[0].argmax(-1)
    text = tokenizer.decode(best)
    assert text == made(waveform)["text"]
    assert len(text) > 3


def test_without_a_tokenizer_the_symbol_without_sound_is_known():
    network, extractor = small("ctc-parakeet")
    assert adapted(network, extractor).classes == (*map(str, range(10)), "<pad>")


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep([name for name in MAKERS if name.startswith(("ctc", "frames"))], ["ctc", "ctc-bert"]))
def test_frames_are_where_the_sound_is_that_they_hear(name):
    """Measured: the features' extractor is taken as it is, and of the network only the convolutions before the attention."""
    network, extractor = small(name)
    model = adapted(network, extractor).at(16000)
    features = model.features(torch.from_numpy(sound(16000))[None])
    scores = asked(model)(features)
    parts = asked(model)._arguments(features)
    read = next(iter(parts.values())).shape[-1 if features.ndim == 3 else 1]
    scores = asked(model)(features)
    count, hop = scores.shape[1], model.times.hop
    assert model.times.count(read) == count
    if hasattr(network.config, "conv_kernel") and not getattr(network.config, "add_adapter", False):
        assert hop == network.config.inputs_to_logits_ratio
    sounds = torch.zeros(1, 1, read, dtype=torch.float64).requires_grad_()
    hidden = _convolutions(network)(sounds)
    first, step = _frames_of_features(model, extractor)
    for frame in (2, count // 2):
        (gradient,) = torch.autograd.grad(hidden[0, 0, frame], sounds, retain_graph=True)
        heard = gradient[0, 0].nonzero()[:, 0].double()
        middle = float((heard.min() + heard.max()) / 2)
        assert model.times.first + hop * frame == pytest.approx(first + step * middle, abs=0.5 if step == 1 else 1)


def _convolutions(network):
    """Convolutions with the network's own kernels, strides and paddings, and weights of one."""
    along = [module for module in network.modules() if isinstance(module, nn.Conv1d | nn.Conv2d)]
    chosen = []
    for name, module in network.named_modules():
        if module in along and any(part in name for part in ("feature_extractor.conv_layers", "adapter.layers", "subsampling")):
            kernel, stride, padding = (value[0] for value in (module.kernel_size, module.stride, module.padding))
            if "self_attn" in name or kernel == 1:
                continue
            if "subsampling" in name and stride == 1:
                continue
            chosen.append((kernel, stride, padding))
    layers = [nn.Conv1d(1, 1, kernel, stride, padding, bias=False) for kernel, stride, padding in chosen]
    for layer in layers:
        nn.init.ones_(layer.weight)
    assert len(layers) == len(layers_of(network.config))
    return nn.Sequential(*layers).double()


def _frames_of_features(model, extractor):
    """Centre of the first frame of features that the network reads, and the step, in samples; measured with clicks."""
    if len(model.representation.axes) == 1:
        return 0.0, 1.0
    stride, frame = getattr(extractor, "stride", 1), 6
    short = model.representation.at(2400)
    heard = (short.amplitude(torch.eye(2400))[:, 0] > 0).any(1)  # which clicks each frame hears
    places = heard[:, frame : frame + stride].any(1).nonzero()[:, 0].double()
    step = float(stride * short.spectra.hop)
    return float((places.min() + places.max()) / 2) - step * (frame // stride), step


def test_a_module_of_ones_own_on_an_encoder_is_taken():
    """Any module that takes what the extractor gives; here a head of two classes on the encoder of Whisper."""
    network, extractor = small("whisper")

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.linear = network.encoder, nn.Linear(16, 2)

        def forward(self, mel):
            return self.linear(self.encoder(mel).last_hidden_state.amax(1))

    torch.manual_seed(1)
    head = Head().eval()
    model = registry().adapted(head, extractor)
    waveform = sound(20000)
    with torch.no_grad():
        theirs = head(extractor(waveform, sampling_rate=16000, return_tensors="pt").input_features)
    assert torch.allclose(said(model, waveform), theirs, atol=1e-5)
    assert (model.kind, model.classes) == ("classes", ("0", "1"))


@pytest.mark.slow
def test_a_compiled_model_is_its_module():
    network, extractor = small("wav2vec2")
    compiled = torch.compile(network)
    model = registry().adapted(compiled, extractor)
    waveform = sound(8000)
    assert torch.allclose(said(model, waveform), expected("wav2vec2", network, extractor, waveform), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_formats_are_asked_too(dtype):
    network, extractor = small("wav2vec2")
    model = adapted(network.to(dtype), extractor)
    waveform = sound(8000)
    theirs = expected("wav2vec2", network.float(), extractor, waveform)
    assert torch.allclose(said(model, waveform).float(), theirs, atol=1e-5)
    assert any("computed in float32" in note for note in model.facts.get("notes", ())) == (dtype != torch.float64)


def refused(model, extractor):
    with pytest.raises(ModelError) as refusal:
        registry().adapted(model, extractor)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.slow
def test_what_cannot_be_explained_is_refused_in_one_line():
    library = transformers()
    network, extractor = small("wav2vec2")
    assert "needs the feature extractor it was trained with" in refused(network, None)
    assert "has no head for a task" in refused(network.wav2vec2, extractor)
    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}
    text = library.BertForSequenceClassification(library.BertConfig(**settings))
    assert "reads text, not sound" in refused(text, extractor)
    config = small("whisper")[0].config
    assert "writes a text word by word" in refused(library.WhisperForConditionalGeneration(config), small("whisper")[1])
    assert "is of an unknown kind" in refused(network, library.EncodecFeatureExtractor())
    wrong = small("bert")[1]
    assert "reads input_values, but its feature extractor gives input_features" in refused(network, wrong)
    assert "does not take what its" in refused(small("ast", num_mel_bins=40)[0], small("ast")[1])
    broken, _ = small("wav2vec2")
    broken.config.id2label = {0: "dog", 1: "cat"}
    assert "names 2 classes for 4 outputs" in refused(broken, extractor)
    broken.config.id2label = {0: "dog", 1: "cat", 2: "dog", 3: "rain"}
    assert "'dog' is named twice" in refused(broken, extractor)


def test_nothing_of_another_library_is_taken():
    assert registry().adapted(nn.Linear(2, 2), None) is None
    assert registry().adapted(object(), object()) is None


def test_names_are_those_of_the_configuration():
    assert HEAD["id2label"] == {0: "dog", 1: "cat", 2: "rain", 3: "bell"}
    network, extractor = small("ast", id2label={0: "a", 1: "b", 10: "k", 2: "c", **{k: str(k) for k in range(3, 10)}})
    assert adapted(network, extractor).classes == ("a", "b", "c", "3", "4", "5", "6", "7", "8", "9", "k")
