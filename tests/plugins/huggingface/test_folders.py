"""Models of transformers in folders, as save_pretrained writes them; and folders that hold something else."""

import json
import socket

import numpy as np
import pytest
import soundfile
import torch
from hugging_face import MAKERS, QUICK, small
from sweeps import sweep

import xaudio
from xaudio.plugin import ModelError, write_audio
from xaudio_huggingface._adapter import adapted
from xaudio_huggingface._library import transformers


@pytest.fixture(autouse=True)
def _without_network(monkeypatch):
    connect = socket.socket.connect

    def refuse(this, *to):
        assert this.family == socket.AF_UNIX, f"something asked the network: {to}"
        return connect(this, *to)

    monkeypatch.setattr(socket.socket, "connect", refuse)


def saved(folder, name, **options):
    network, extractor = small(name, **options)
    network.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return network, extractor


def load(folder):
    return xaudio.load_model(f"huggingface:path={folder}", device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep(MAKERS, QUICK))
def test_a_folder_holds_the_model_that_was_saved(name, tmp_path):
    network, extractor = saved(tmp_path, name)
    model, own = load(tmp_path), adapted(network, extractor)
    waveform = torch.randn(1, 12000, generator=torch.Generator().manual_seed(0)) / 10
    said = []
    for one in (model, own):
        at = one.at(12000)
        with torch.no_grad():
            said.append((getattr(at, "answers", None) or at.network)(at.features(waveform)))
    assert torch.allclose(*said, atol=1e-6)
    assert (model.kind, model.classes) == (own.kind, own.classes)
    assert str(tmp_path) in model.source


def test_a_processor_s_tokenizer_names_the_symbols(tmp_path):
    library = transformers()
    network, extractor = small("ctc")
    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", "e", "t", "a", "o"]
    (tmp_path / "vocab.json").write_text(json.dumps({symbol: index for index, symbol in enumerate(symbols)}))
    tokenizer = library.Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"), pad_token="<pad>")
    network.save_pretrained(tmp_path / "model")
    library.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(tmp_path / "model")
    assert load(tmp_path / "model").classes == tuple(symbols)


def broken(folder):
    with pytest.raises(ModelError) as refusal:
        load(folder)
    assert "\n" not in str(refusal.value)
    assert str(folder) in str(refusal.value)
    return str(refusal.value)


@pytest.mark.slow
def test_folders_that_hold_something_else_are_refused_in_one_line(tmp_path):
    library = transformers()
    assert "is not a folder" in broken(tmp_path / "nothing")
    assert "nothing is downloaded" in broken(tmp_path / "facebook" / "wav2vec2-base")
    (tmp_path / "empty").mkdir()
    assert "there is no config.json" in broken(tmp_path / "empty")
    saved(tmp_path / "without", "wav2vec2")
    for file in ("preprocessor_config.json", "processor_config.json"):
        (tmp_path / "without" / file).unlink(missing_ok=True)
    assert "there is no preprocessor_config.json" in broken(tmp_path / "without")
    saved(tmp_path / "weightless", "wav2vec2")
    (tmp_path / "weightless" / "model.safetensors").unlink()
    assert "there are no weights in it" in broken(tmp_path / "weightless")
    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}
    library.BertForSequenceClassification(library.BertConfig(**settings)).save_pretrained(tmp_path / "text")
    assert "holds a BertForSequenceClassification" in broken(tmp_path / "text")
    network, extractor = small("whisper")
    library.WhisperForConditionalGeneration(network.config).save_pretrained(tmp_path / "words")
    extractor.save_pretrained(tmp_path / "words")
    assert "holds a WhisperForConditionalGeneration" in broken(tmp_path / "words")


def test_weights_that_are_pickled_are_not_read(tmp_path):
    network, _ = saved(tmp_path, "wav2vec2")
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    assert "its weights are pickled (pytorch_model.bin), which can run code" in broken(tmp_path)


def test_weights_that_nobody_trained_are_refused(tmp_path):
    """Of a pretrained model without a head, whose configuration was changed by hand."""
    network, extractor = small("wav2vec2")
    network.wav2vec2.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    assert "holds a Wav2Vec2Model" in broken(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["Wav2Vec2ForSequenceClassification"]}))
    said = broken(tmp_path)
    assert "its weights lack classifier.bias and others" in said
    assert "never trained" in said


@pytest.mark.parametrize("content", ["{", "[]", '{"architectures": []}', "{}"])
def test_damaged_configurations_are_refused(content, tmp_path):
    saved(tmp_path, "hubert")
    (tmp_path / "config.json").write_text(content)
    assert "config.json" in broken(tmp_path)


def test_damaged_weights_and_foreign_code_are_refused(tmp_path):
    saved(tmp_path / "a", "hubert")
    file = tmp_path / "a" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "its model cannot be read" in broken(tmp_path / "a")
    saved(tmp_path / "b", "hubert")
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "modeling.Own"}}))
    assert "brings code of its own, which is not run" in broken(tmp_path / "b")
    saved(tmp_path / "c", "hubert")
    (tmp_path / "c" / "preprocessor_config.json").write_text("{")
    assert "feature extractor cannot be read" in broken(tmp_path / "c")


def test_the_command_line_explains_a_folder(tmp_path, run_command):
    network, extractor = saved(tmp_path / "model", "ast")
    waveform = np.random.default_rng(0).standard_normal(16000) / 10
    write_audio(tmp_path / "noise.wav", waveform.astype(np.float32), 16000)
    words = ("--model", f"huggingface:path={tmp_path / 'model'}", "--explainer", "gradient", "--target", "rain")
    done = run_command("explain", tmp_path / "noise.wav", *words, "--out", tmp_path / "out")
    assert "'rain'" in done.stdout + done.stderr
    heard = soundfile.read(tmp_path / "noise.wav", dtype="float32")[0]
    with torch.no_grad():
        theirs = network(**extractor(heard, sampling_rate=16000, return_tensors="pt")).logits[0].softmax(-1)
    assert f"{round(100 * float(theirs.max()))}%" in done.stdout + done.stderr
    for wrong in (tmp_path, tmp_path / "nothing"):
        words = ("--model", f"huggingface:path={wrong}", "--out", tmp_path / "x")
        refused = run_command("explain", tmp_path / "noise.wav", *words, status=1)
        assert refused.stderr.strip().count("\n") == 0
        assert not list((tmp_path / "x").glob("*"))


def test_the_plugin_imports_neither_torch_nor_transformers(run_python):
    code = "import sys, xaudio_huggingface as h; h.xaudio_adapt(1, 2); print({'torch', 'transformers'} & {*sys.modules})"
    assert run_python(code).stdout.strip() == "set()"
