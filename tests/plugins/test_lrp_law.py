"""The law of the engine of functions: the answer is the relevance of the features plus that of the constants, exactly."""

import os
from pathlib import Path

import pytest
import torch
from computations import NETWORKS, Network, drawn
from hypothesis import given, settings, strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from xaudio.plugin import beside_torchvision
from xaudio_lrp._functions import explain_by_functions
from xaudio_lrp._plan import Method

FEATURES = torch.randn(2, 1, 20, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
EXACT = 1e-10


def method(convolution="epsilon", linear="epsilon", **options):
    return Method(convolution, linear, "", 1e-6, 0.25, None, None, absorb=True, strict=False, **options)


def assert_law(network, features, tolerance=EXACT, **options):
    """It holds for each recording, for the answer itself, and something of the answer comes from the features."""
    for recording in features.split(1):
        explained = explain_by_functions(network, recording, None, method(**options))
        assert abs(float(explained.residual)) <= tolerance * float(explained.total.abs())
        assert explained.relevance.abs().sum() > 0
        with torch.no_grad():
            answer = network(recording)
        assert not explained.is_output or (explained.answers - answer).abs().max() <= 1e-14 * answer.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("products", ["gate", "uniform"])
@pytest.mark.parametrize("name", NETWORKS)
def test_of_networks(name, products):
    assert_law(drawn(NETWORKS[name]()), FEATURES, products=products)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["plus", "gamma", "alpha2_beta1"])
@pytest.mark.parametrize("name", ["resnet18", "efficientnet", "gates, powers and recurrence"])
def test_of_rules_that_change_weights(name, rule):
    """With the 1e-6 that they add to what they divide by."""
    assert_law(drawn(NETWORKS[name]()), FEATURES, convolution=rule, linear=rule)


def without_constants(network):
    for module in network.modules():
        if getattr(module, "bias", None) is not None:
            module.bias = None
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.zero_()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias = nn.Parameter(torch.zeros_like(module.running_mean))
    return network


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet"])
def test_without_constants_all_of_the_answer_is_relevance(name):
    network = without_constants(drawn(NETWORKS[name]()))
    explained = explain_by_functions(network, FEATURES, None, method())
    answers = network(FEATURES).amax(1)
    if name == "efficientnet":  # the slopes of its gates at 0 are constants, but they weigh and are not added
        assert float(explained.constants.abs()) <= EXACT
    torch.testing.assert_close(explained.relevance.sum((1, 2, 3)), answers, rtol=EXACT, atol=0)


# Models of transformers


SMALL = {
    **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "num_labels": 4},
    **{"conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_feat_extract_layers": 2, "vocab_size": 9},
    **{"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8},
    **{"tdnn_dim": (8, 8, 12), "tdnn_kernel": (3, 3, 1), "tdnn_dilation": (1, 2, 1), "xvector_output_dim": 6},
}
ENCODER = {key: value for key, value in SMALL.items() if not key.startswith("conv_") and key != "num_feat_extract_layers"}
WHISPER = {
    **{"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2},
    **{"encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "num_mel_bins": 20, "max_source_positions": 20, "vocab_size": 60},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "num_labels": 4},
    **{"classifier_proj_size": 8, "use_weighted_layer_sum": True},
}
CLAP = {
    **{"spec_size": 64, "window_size": 4, "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4], "hidden_size": 16},
    **{"patch_embeds_hidden_size": 8, "depths": [2, 2], "num_attention_heads": [2, 2], "projection_dim": 8},
}
AST = {
    **{key: SMALL[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_labels")},
    **{"patch_size": 8, "max_length": 40, "num_mel_bins": 20, "frequency_stride": 5, "time_stride": 5},
}
SOUND, LEVELS = (1, 600), (1, 40, 20)
LAYERED = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "use_weighted_layer_sum": True}
MODELS = {
    "wav2vec2, group norm": ("Wav2Vec2ForSequenceClassification", "Wav2Vec2Config", SMALL, SOUND),
    "wav2vec2, layer norm": ("Wav2Vec2ForSequenceClassification", "Wav2Vec2Config", SMALL | LAYERED, SOUND),
    "wav2vec2, ctc": ("Wav2Vec2ForCTC", "Wav2Vec2Config", SMALL, SOUND),
    "wav2vec2, frames": ("Wav2Vec2ForAudioFrameClassification", "Wav2Vec2Config", SMALL, SOUND),
    "wav2vec2, x-vector": ("Wav2Vec2ForXVector", "Wav2Vec2Config", SMALL, SOUND),
    "hubert": ("HubertForSequenceClassification", "HubertConfig", SMALL, SOUND),
    "wavlm": ("WavLMForSequenceClassification", "WavLMConfig", SMALL, SOUND),
    "unispeech-sat": ("UniSpeechSatForSequenceClassification", "UniSpeechSatConfig", SMALL, SOUND),
    "data2vec-audio": ("Data2VecAudioForSequenceClassification", "Data2VecAudioConfig", SMALL, SOUND),
    "conformer": ("Wav2Vec2ConformerForSequenceClassification", "Wav2Vec2ConformerConfig", SMALL, SOUND),
    "sew-d": ("SEWDForSequenceClassification", "SEWDConfig", SMALL | {"squeeze_factor": 2}, SOUND),
    "wav2vec2-bert": (
        *("Wav2Vec2BertForSequenceClassification", "Wav2Vec2BertConfig"),
        *(ENCODER | {"feature_projection_input_dim": 20}, LEVELS),
    ),
    "ast": ("ASTForAudioClassification", "ASTConfig", AST, LEVELS),
    "whisper": ("WhisperForAudioClassification", "WhisperConfig", WHISPER, (1, 20, 40)),
    "clap": ("ClapAudioModelWithProjection", "ClapAudioConfig", CLAP, (1, 100, 16)),
}


@pytest.fixture(scope="module")
def transformers():
    """The library, beside a torchvision that may be broken."""
    with beside_torchvision():
        yield pytest.importorskip("transformers")


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
def test_of_transformers(name, attention, transformers):
    model, config, options, shape = MODELS[name]
    inner = getattr(transformers, model)(getattr(transformers, config)(**options))
    if inner.config._attn_implementation != attention:
        try:
            inner.set_attn_implementation(attention)
        except ValueError:
            pytest.skip("it has one kind of attention only")

    def forward(network, features):
        answer = network.inner(features if name == "clap" else features.squeeze(1))
        scores = answer.audio_embeds if name == "clap" else answer.logits
        return scores if scores.ndim == 2 else scores.mean(1)

    features = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_law(drawn(Network(forward, inner=inner)), features)


# Models that others trained


def trained(name):
    folder = Path(os.environ.get("XAUDIO_TEST_DATA", "nowhere")).parent / "models" / name
    if not folder.is_dir():
        pytest.skip("the weights are not there")
    weights, expected = load_file(folder / "weights.safetensors"), load_file(folder / "expected.safetensors")
    return weights, [(expected[f"features_{row}"], expected[f"output_{row}"]) for row in range(len(expected) // 2)]


class Res8(nn.Module):
    """Convolutions, of which each second one has the value from two before added, as functions."""

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(1, 19, 3, padding=1, bias=False)
        for place in range(1, 7):
            setattr(self, f"conv{place}", nn.Conv2d(19, 19, 3, padding=1, bias=False))
            setattr(self, f"bn{place}", nn.BatchNorm2d(19, affine=False))
        self.output = nn.Linear(19, 12)

    def forward(self, features):
        features = functional.avg_pool2d(functional.relu(self.conv0(features)), (4, 3))
        before = features
        for place in range(1, 7):
            hidden = functional.relu(getattr(self, f"conv{place}")(features))
            if place % 2 == 0:
                hidden = hidden + before
                before = hidden
            features = getattr(self, f"bn{place}")(hidden)
        return self.output(features.flatten(2).mean(2))


def test_of_a_residual_keyword_spotter():
    weights, recordings = trained("honk_res8_narrow")
    network = Res8().eval()
    network.load_state_dict(weights)
    for features, answer in recordings:
        torch.testing.assert_close(network.float()(features[:, None]).detach(), answer, rtol=1e-3, atol=1e-3)
        assert_law(network.double(), features[:, None].double())


def test_of_a_recurrent_keyword_spotter():
    weights, recordings = trained("lstm_words")
    parts = {"lstm": nn.LSTM(12, 64, 3, batch_first=True), "fc": nn.Linear(64, 35)}
    network = Network(lambda net, features: net.fc(net.lstm(features.squeeze(1))[0][:, -1]), **parts).eval()
    network.load_state_dict(weights)
    for features, answer in recordings:
        torch.testing.assert_close(network.float()(features[:, None]).detach(), answer, rtol=1e-3, atol=1e-3)
        assert_law(network.double(), features[:, None].double())


# Random computations


OPERATIONS = {
    "gelu": lambda net, a, b: functional.gelu(a),
    "tanh": lambda net, a, b: torch.tanh(a),
    "swish": lambda net, a, b: a * torch.sigmoid(1.7 * a),
    "softplus": lambda net, a, b: functional.softplus(a) + 0.5,
    "square": lambda net, a, b: a**2 - 0.3 * a,
    "root": lambda net, a, b: (a.abs() + 0.1).sqrt(),
    "convolution": lambda net, a, b: net.conv(a),
    "norm": lambda net, a, b: net.norm(a),
    "group": lambda net, a, b: functional.group_norm(a, 2, net.scale, net.shift),
    "layer": lambda net, a, b: net.layer(a.transpose(1, 2)).transpose(1, 2),
    "add": lambda net, a, b: a + 0.5 * b + 1,
    "subtract": lambda net, a, b: 1 - a + net.shift[:, None],
    "gate": lambda net, a, b: a * torch.sigmoid(net.conv(b)),
    "product": lambda net, a, b: a * b,
    "quotient": lambda net, a, b: a / (1 + b.abs()),
    "attention": lambda net, a, b: torch.softmax(a @ b.transpose(1, 2), -1) @ a,
    "maximum": lambda net, a, b: torch.maximum(a, 0.3 * b),
    "masked": lambda net, a, b: a.masked_fill(b > 0.5, 0.7),
    "clamp": lambda net, a, b: b + a.clamp(-0.5, 1.0),
    "cat": lambda net, a, b: torch.cat([a[:, :2], b[:, 2:]], 1),
    "in place": lambda net, a, b: a.clone().mul_(2).add_(b).tanh_(),
    "recurrent": lambda net, a, b: net.recur(a.transpose(1, 2))[0].transpose(1, 2),
    "spread": lambda net, a, b: a / (b.var(2, keepdim=True) + 0.1).sqrt() + b.std(2, keepdim=True),
}


@st.composite
def computations(draw):
    """A list of operations, each with the two earlier values that it reads."""
    count = draw(st.integers(1, 7))
    return [
        (draw(st.sampled_from(sorted(OPERATIONS))), draw(st.integers(0, place)), draw(st.integers(0, place)))
        for place in range(count)
    ]


@pytest.mark.slow
@settings(max_examples=60)
@given(steps=computations(), products=st.sampled_from(["gate", "uniform"]))
def test_of_random_computations(steps, products):
    def forward(network, features):
        values = [features]
        for name, first, second in steps:
            values.append(OPERATIONS[name](network, values[first], values[second]))
        return network.out(values[-1].mean(2) + values[len(values) // 2].amax(2))

    parts = {"conv": nn.Conv1d(4, 4, 3, padding=1), "norm": nn.BatchNorm1d(4), "layer": nn.LayerNorm(4), "out": nn.Linear(4, 3)}
    network = Network(forward, recur=nn.LSTM(4, 4, batch_first=True), **parts)
    network.scale, network.shift = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))
    features = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    explained = explain_by_functions(drawn(network), features, None, method(products=products))
    sizes = explained.relevance.abs().sum() + explained.constants.abs() + explained.total.abs().sum()
    assert abs(float(explained.residual)) <= EXACT * float(sizes)
