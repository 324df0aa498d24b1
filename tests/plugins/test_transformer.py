"""The transformers: any rate and length, places that differ, and relevance that is neither lost nor invented."""

import pytest
import torch

import xaudio
from xaudio import ModelError, PluginError, create
from xaudio.testing import checks_of
from xaudio_lrp._functions import explain_by_functions
from xaudio_lrp._plan import Method
from xaudio_transformer import _transformer

READS = ("log_mel", "waveform")


def network_and_features(reads, samples=4000, rate=8000, **options):
    torch.manual_seed(0)
    network = create("model", "transformer", classes=3, reads=reads, sample_rate=rate, width=16, layers=2, **options).eval()
    name, read = xaudio.plugin.parse_spec(network.representation)
    representation = create("representation", name, **read).at(samples)
    return network, representation(torch.randn(2, samples, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("check", checks_of("model", "transformer"))
def test_keeps_the_contract(check):
    check()


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize(("rate", "samples"), [(4000, 2000), (16000, 2600), (44100, 50_000)])
def test_any_rate_and_length(reads, rate, samples):
    network, features = network_and_features(reads, samples, rate)
    logits = network(features)
    assert logits.shape == (2, 3)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("reads", READS)
def test_lrp_holds_the_law(reads):
    network, features = network_and_features(reads)
    method = Method("epsilon", "epsilon", "", 1e-6, 0.25, None, None, absorb=True, strict=False)
    explained = explain_by_functions(network.double(), features.double(), torch.tensor([0, 2]), method)
    assert (explained.residual.abs() <= 1e-10 * explained.total.abs()).all()
    assert explained.relevance.abs().sum() > 0


def test_order_matters():
    network, features = network_and_features("log_mel")
    assert not torch.allclose(network(features), network(features.flip(3)), atol=1e-4)
    places = _transformer.positions(4, 25, 16)
    assert places.shape == (4, 25, 16)
    assert len(places.flatten(0, 1).unique(dim=0)) == 100


def test_the_filters_of_waveforms_cover_the_spectrum():
    responses = torch.fft.rfft(_transformer.filters(64, 240), 8000).abs()
    peaks = responses.argmax(1)
    assert (peaks.diff()[1::2] > 0).all()
    assert peaks[0] < 200
    assert peaks[-1] > 3800
    assert torch.allclose(responses.amax(1), torch.tensor(2.0), rtol=0.2)


def test_what_does_not_fit_is_one_line():
    with pytest.raises(PluginError, match="not a multiple of 4 heads"):
        create("model", "transformer", classes=3, width=18)
    with pytest.raises(PluginError, match="needs a class"):
        create("model", "transformer", classes=0)
    network, features = network_and_features("log_mel")
    with pytest.raises(ModelError, match=r"expected levels \(batch, 1, 64, frames\)"):
        network(features[:, 0])
