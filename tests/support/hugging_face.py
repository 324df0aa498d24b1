"""Small random models of transformers, made offline, with the feature extractors they read by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from xaudio_huggingface._library import transformers as library

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CONVOLUTIONS = {
    "conv_dim": (12, 12, 12),
    "conv_kernel": (10, 3, 2),
    "conv_stride": (5, 4, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
"""Of wav2vec 2.0 and its kin: frames of 30 samples, 40 apart."""

HEAD = {"classifier_proj_size": 12, "id2label": {0: "dog", 1: "cat", 2: "rain", 3: "bell"}}
XVECTOR = {
    "tdnn_dim": (12, 12, 20),
    "tdnn_kernel": (5, 3, 1),
    "tdnn_dilation": (1, 2, 1),
    "xvector_output_dim": 8,
    "classifier_proj_size": 12,
}


def _wav2vec(family: str, head: str, **options: Any) -> tuple[nn.Module, Any]:
    name = family.replace("Data2VecAudio", "Data2VecAudio")
    config = getattr(library(), f"{name}Config")
    settings = {**SMALL, **CONVOLUTIONS, **HEAD, **options}
    if family == "Data2VecAudio":
        settings |= {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3}
    model = getattr(library(), f"{family}For{head}")(config(**settings))
    return model, library().Wav2Vec2FeatureExtractor()


def ast(**options: Any) -> tuple[nn.Module, Any]:
    settings = {**SMALL, "num_mel_bins": 24, "max_length": 120, "id2label": HEAD["id2label"], **options}
    config = library().ASTConfig(**settings)
    return library().ASTForAudioClassification(config), library().ASTFeatureExtractor(num_mel_bins=24, max_length=120)


def whisper(**options: Any) -> tuple[nn.Module, Any]:
    config = library().WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, num_mel_bins=20, max_source_positions=100, vocab_size=60, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None, **HEAD, **options,
    )  # fmt: skip
    return library().WhisperForAudioClassification(config), library().WhisperFeatureExtractor(feature_size=20, chunk_length=2)


def bert(head: str, **options: Any) -> tuple[nn.Module, Any]:
    settings = {**SMALL, **HEAD, "feature_projection_input_dim": 40, "conv_depthwise_kernel_size": 5, "vocab_size": 9, **options}
    model = getattr(library(), f"Wav2Vec2BertFor{head}")(library().Wav2Vec2BertConfig(**settings))
    return model, library().SeamlessM4TFeatureExtractor(feature_size=20, num_mel_bins=20)


def parakeet() -> tuple[nn.Module, Any]:
    encoder = {**SMALL, "conv_kernel_size": 5, "subsampling_factor": 4, "subsampling_conv_channels": 6, "num_mel_bins": 24}
    config = library().ParakeetCTCConfig(vocab_size=11, pad_token_id=10, encoder_config=encoder)
    return library().ParakeetForCTC(config), library().ParakeetFeatureExtractor(feature_size=24)


def clap(name: str = "ClapAudioModelWithProjection", fusion: bool = False, **options: Any) -> tuple[nn.Module, Any]:
    audio = {
        "window_size": 4, "num_mel_bins": 16, "spec_size": 64, "hidden_size": 32, "patch_embeds_hidden_size": 8, "patch_size": 4,
        "patch_stride": (4, 4), "num_hidden_layers": 2, "depths": (1, 1), "num_attention_heads": (2, 2), "projection_dim": 10,
        "enable_fusion": fusion, "num_classes": 5, "aff_block_r": 2, **options,
    }  # fmt: skip
    audio["hidden_size"] = audio["patch_embeds_hidden_size"] * 2 ** (len(audio["depths"]) - 1)
    if name == "ClapModel":
        text = {**SMALL, "vocab_size": 30, "projection_dim": 10}
        model = library().ClapModel(library().ClapConfig(text_config=text, audio_config=audio, projection_dim=10))
    else:
        model = getattr(library(), name)(library().ClapAudioConfig(**audio))
    extractor = library().ClapFeatureExtractor(
        feature_size=16, sampling_rate=16000, hop_length=160, fft_window_size=512, max_length_s=2, frequency_max=8000,
        truncation="fusion" if fusion else "rand_trunc",
    )  # fmt: skip
    return model, extractor


def clap_processor() -> tuple[nn.Module, Any]:
    """A CLAP model of sounds and texts, and its processor, whose tokenizer knows a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "dog", "barking", "rain", "loud"]
    vocabulary = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    vocabulary.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = library().RobertaTokenizerFast(tokenizer_object=vocabulary, **special)
    model, extractor = small("clap-whole")
    return model, library().ClapProcessor(extractor, tokenizer)


def _of(family: str, head: str, **options: Any) -> Callable[..., tuple[nn.Module, Any]]:
    return lambda **more: _wav2vec(family, head, **{**options, **more})


MAKERS: dict[str, Callable[..., tuple[nn.Module, Any]]] = {
    "wav2vec2": _of("Wav2Vec2", "SequenceClassification"),
    "wav2vec2-layer": _of(
        "Wav2Vec2", "SequenceClassification", feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True
    ),
    "wav2vec2-weighted": _of("Wav2Vec2", "SequenceClassification", use_weighted_layer_sum=True),
    "hubert": _of("Hubert", "SequenceClassification"),
    "wavlm": _of("WavLM", "SequenceClassification"),
    "unispeech": _of("UniSpeech", "SequenceClassification"),
    "unispeech-sat": _of("UniSpeechSat", "SequenceClassification"),
    "data2vec": _of("Data2VecAudio", "SequenceClassification"),
    "sew": _of("SEW", "SequenceClassification", squeeze_factor=2),
    "sew-d": _of("SEWD", "SequenceClassification", squeeze_factor=2, position_buckets=8, max_position_embeddings=64),
    "conformer": _of("Wav2Vec2Conformer", "SequenceClassification"),
    "bert": lambda **options: bert("SequenceClassification", **options),
    "ast": ast,
    "whisper": whisper,
    "ctc": _of("Wav2Vec2", "CTC", vocab_size=9),
    "ctc-wavlm": _of("WavLM", "CTC", vocab_size=9),
    "ctc-sew": _of("SEW", "CTC", vocab_size=9, squeeze_factor=2),
    "ctc-hubert": _of("Hubert", "CTC", vocab_size=9),
    "ctc-adapter": _of("Wav2Vec2", "CTC", vocab_size=9, add_adapter=True, num_adapter_layers=1, output_hidden_size=16),
    "ctc-bert": lambda **options: bert("CTC", **options),
    "ctc-bert-adapter": lambda **options: bert("CTC", add_adapter=True, num_adapter_layers=1, output_hidden_size=16, **options),
    "ctc-parakeet": parakeet,
    "frames": _of("Wav2Vec2", "AudioFrameClassification"),
    "frames-wavlm": _of("WavLM", "AudioFrameClassification"),
    "frames-data2vec": _of("Data2VecAudio", "AudioFrameClassification"),
    "frames-bert": lambda **options: bert("AudioFrameClassification", **options),
    "xvector": _of("Wav2Vec2", "XVector", **XVECTOR),
    "xvector-wavlm": _of("WavLM", "XVector", **XVECTOR),
    "xvector-bert": lambda **options: bert("XVector", **{**XVECTOR, **options}),
    "clap": clap,
    "clap-fusion": lambda **options: clap(fusion=True, **options),
    "clap-whole": lambda **options: clap("ClapModel", **options),
}


QUICK = ("wav2vec2", "sew-d", "bert", "ast", "whisper", "ctc", "frames", "xvector", "clap")
"""One of each way to read sound and of each kind of answer."""


def small(name: str, **options: Any) -> tuple[nn.Module, Any]:
    """A model by its short name, in evaluation mode, with weights drawn so that its answers differ; and its feature extractor."""
    torch.manual_seed(0)
    model, extractor = MAKERS[name](**options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval(), extractor
