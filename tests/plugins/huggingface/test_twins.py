"""The twins of feature extractors, against the extractors themselves."""

from functools import cache

import numpy as np
import pytest
import torch
from sweeps import sweep

import xaudio
from xaudio.plugin import ModelError
from xaudio.testing import representations
from xaudio.testing.suite import Check, checks_in
from xaudio_huggingface._library import transformers
from xaudio_huggingface._twins import TWINS, twin_of

EXTRACTORS = {
    "waveform": ("Wav2Vec2", {}),
    "waveform as it is": ("Wav2Vec2", {"do_normalize": False, "sampling_rate": 8000}),
    "waveform with a mask": ("Wav2Vec2", {"return_attention_mask": True}),
    "AST": ("AST", {"max_length": 200}),
    "AST of 40 bands, not normalised": ("AST", {"max_length": 50, "num_mel_bins": 40, "do_normalize": False}),
    "AST of other statistics": ("AST", {"max_length": 150, "mean": 1.5, "std": 2.0, "sampling_rate": 32000}),
    "CLAP": ("Clap", {"max_length_s": 2}),
    "CLAP of one view": ("Clap", {"max_length_s": 2, "truncation": "rand_trunc"}),
    "CLAP that repeats to the end": ("Clap", {"max_length_s": 2, "truncation": "rand_trunc", "padding": "repeat"}),
    "CLAP that pads": (
        "Clap",
        {
            "max_length_s": 3, "padding": "pad", "sampling_rate": 16000, "hop_length": 160, "fft_window_size": 512,
            "feature_size": 40, "frequency_min": 50, "frequency_max": 7000,
        },
    ),
    "w2v-BERT": ("SeamlessM4T", {}),
    "w2v-BERT without stride": ("SeamlessM4T", {"stride": 1, "num_mel_bins": 40, "feature_size": 40}),
    "w2v-BERT of three frames": ("SeamlessM4T", {"stride": 3, "padding_value": 1.0}),
    "Whisper": ("Whisper", {"chunk_length": 2}),
    "Whisper of 128 bands": ("Whisper", {"chunk_length": 3, "feature_size": 128, "hop_length": 200, "n_fft": 512}),
    "Parakeet": ("Parakeet", {}),
    "Parakeet without emphasis": ("Parakeet", {"preemphasis": None, "feature_size": 64}),
}  # fmt: skip

LENGTHS = (1000, 1001, 6240, 16000, 16161, 30000, 47999, 70000)


def extractor(name, **more):
    family, options = EXTRACTORS[name]
    return getattr(transformers(), f"{family}FeatureExtractor")(**options, **more)


@cache
def twin(name):
    return twin_of(extractor(name))


def sound(samples, seed=0):
    """Noise that swells, with silence before it."""
    drawn = np.random.default_rng(seed).standard_normal(samples) * np.linspace(0, 0.3, samples)
    drawn[: samples // 8] = 0
    return drawn.astype(np.float32)


def extracted(of, waveform):
    parts = of(waveform, sampling_rate=of.sampling_rate, return_tensors="pt")
    return {name: part for name, part in parts.items() if not (name == "attention_mask" and bool(part.bool().all()))}


def takes(made):
    longest = made.length.maximum or 10**9
    return [samples for samples in (made.length.minimum, *LENGTHS) if made.length.minimum <= samples <= longest]


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_twin_gives_what_the_extractor_gives(name):
    own, made = extractor(name), twin(name)
    for samples in takes(made):
        at = made.at(samples)
        waveform = sound(samples)
        given, expected = at.arguments(at(torch.from_numpy(waveform)[None])), extracted(own, waveform)
        assert given.keys() == expected.keys()
        for part, values in expected.items():
            assert given[part].shape == values.shape
            difference = float((given[part].double() - values.double()).abs().max())
            assert difference <= 2e-4 * max(1.0, float(np.ptp(values.double().numpy()))), (samples, part)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_twin_reads_a_folder_s_extractor_alike(name, tmp_path):
    own = extractor(name)
    own.save_pretrained(tmp_path)
    again = transformers().AutoFeatureExtractor.from_pretrained(tmp_path, local_files_only=True)
    waveform = torch.from_numpy(sound(16000))[None]
    at, anew = (twin_of(one).at(16000) for one in (own, again))
    assert torch.equal(at(waveform), anew(waveform))


@pytest.mark.parametrize("name", EXTRACTORS)
def test_gradients_are_those_of_the_features(name):
    made = twin(name)
    at = made.at(max(made.length.minimum, 3000))
    generator = torch.Generator().manual_seed(1)
    waveform = torch.randn(1, at.samples, generator=generator, dtype=torch.float64).requires_grad_()
    drawn = torch.randn(at(waveform).shape, generator=generator, dtype=torch.float64)
    # What Whisper raises to 80 dB below the loudest cell is a constant, so that only cells above it have a gradient.
    heard = drawn * (at(waveform).detach() > at(waveform).detach().amin() + 1e-6)
    assert torch.autograd.gradcheck(lambda given: (at(given) * heard).sum(), waveform, fast_mode=True, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["zeros", "quiet", "constant", "click", "half", "one bit"])
@pytest.mark.parametrize("name", ["waveform", "AST", "CLAP", "w2v-BERT", "Whisper", "Parakeet"])
def test_silence_is_no_difference(name, kind):
    """Rounding divided by next to nothing is the extractor's own."""
    noise = np.random.default_rng(2).standard_normal(16001)
    waveforms = {
        "zeros": 0 * noise,
        "quiet": 1e-7 * noise,
        "constant": 0 * noise + 0.3,
        "click": 1.0 * (np.arange(16001) == 8000),
        "half": noise * (np.arange(16001) < 8000) / 10,
        "one bit": np.round(noise) / 32768,
    }
    twin(name).at(16001).check(torch.from_numpy(waveforms[kind].astype(np.float32))[None])


FILLED = {
    "waveform": {},
    "AST": {"max_length": 98, "num_mel_bins": 40},
    "Clap": {"max_length_s": 1, "truncation": "rand_trunc"},
    "SeamlessM4T": {},
    "Whisper": {"chunk_length": 1},
    "Parakeet": {},
}
"""Extractors that pad nothing of a second."""


class TwinCase(representations.RepresentationCase):
    def make(self, **more):
        family = "Wav2Vec2" if self.name == "waveform" else self.name
        own = getattr(transformers(), f"{family}FeatureExtractor")(**FILLED[self.name])
        return twin_of(own).at(own.sampling_rate)


@pytest.mark.parametrize("check", checks_in(representations.__name__), ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sweep(FILLED, ["waveform", "AST"]))
def test_a_twin_keeps_the_contract(name, check):
    Check(check, TwinCase(xaudio.plugin.registry(), "representation", name))()


@pytest.mark.parametrize("name", ["AST", "Whisper", "CLAP"])
def test_relevance_in_the_recording_sums_to_that_of_the_cells_with_sound(name):
    at = twin(name).at(9000)
    waveform = torch.randn(1, 9000, generator=torch.Generator().manual_seed(0)).double()
    relevance = torch.rand(at(waveform).shape, generator=torch.Generator().manual_seed(1)).double()
    inside = at.amplitude(waveform) > 0
    back = at.to_waveform_relevance(waveform, relevance)
    assert back.shape == waveform.shape
    assert float(back.sum()) == pytest.approx(float((relevance * inside).sum()), rel=1e-6)
    assert inside.float().mean() < 0.6 or name == "CLAP"  # CLAP repeats, the others pad


def test_masked_sound_of_repetitions_is_their_mean():
    at = twin("CLAP of one view").at(30000)  # 3.2 of them in two seconds
    waveform = torch.from_numpy(sound(30000))[None]
    ones = torch.ones(at(waveform).shape)
    first = ones.clone()
    times = torch.as_tensor(at.axes[1].centres)
    first[..., times > 30000 / 48000] = 0  # the first repetition alone
    whole, third = at.masked_waveform(waveform, ones), at.masked_waveform(waveform, first)
    middle = slice(8000, 22000)
    assert torch.allclose(third[:, middle], whole[:, middle] / 3, atol=2e-3)


def test_what_the_extractor_cuts_off_is_silent_and_has_no_relevance():
    at = twin("AST of 40 bands, not normalised").at(30000)  # 50 frames are half a second
    waveform = torch.from_numpy(sound(30000))[None]
    ones = torch.ones(at(waveform).shape)
    back = at.to_waveform_relevance(waveform, ones)
    assert not back[:, 8240:].any()  # 49 hops and a frame
    assert back[:, 4000:8000].any()
    assert float(at.masked_waveform(waveform, ones)[:, 9000:].abs().max()) < 1e-6


def test_an_extractor_that_computes_something_else_is_refused():
    class Louder(type(extractor("AST"))):
        def _extract_fbank_features(self, waveform, max_length):
            return super()._extract_fbank_features(2 * waveform, max_length)

    with pytest.raises(ModelError, match="Louder computes something else than a ASTFeatureExtractor") as refusal:
        twin_of(Louder(max_length=100))
    assert "\n" not in str(refusal.value)
    assert "Give a representation" in str(refusal.value)


def test_an_extractor_changed_after_it_was_made_is_followed_or_refused():
    own = extractor("AST")
    own.mean = 0.0
    at = twin_of(own).at(16000)
    assert torch.allclose(at(torch.zeros(1, 16000))[..., -1], torch.zeros(()), atol=1e-6)
    own.mel_filters = own.mel_filters[:, ::-1]
    with pytest.raises(ModelError, match="mel filters of its own"):
        twin_of(own)


@pytest.mark.parametrize("name", ["AST", "w2v-BERT"])
def test_without_filters_those_of_kaldi_are_taken(name):
    """As where the extractor leaves them to torchaudio."""
    with_filters, without = (twin_of(extractor(name)) for _ in range(2))
    del without.extractor.mel_filters
    assert torch.allclose(without._spectra().filters, with_filters.spectra.filters)


def test_noise_is_refused():
    with pytest.raises(ModelError, match=r"adds noise \(dither=0.1\)"):
        twin_of(extractor("Whisper", dither=0.1))


@pytest.mark.parametrize("made", [transformers().SpeechT5FeatureExtractor, transformers().EncodecFeatureExtractor, object])
def test_an_unknown_kind_of_extractor_is_refused_in_one_line(made):
    with pytest.raises(ModelError, match="is of an unknown kind") as refusal:
        twin_of(made())
    assert "give a representation" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert all(name in str(refusal.value) for name in TWINS)


def test_bands_and_frames_lie_where_tones_and_clicks_are():
    at = twin("Whisper").at(32000)
    place = torch.arange(32000) / 16000
    tone = torch.sin(2 * np.pi * 1000 * place)[None]
    loudest = at.axes[0].centres[int(at.amplitude(tone)[0, 0].sum(1).argmax())]
    assert loudest == pytest.approx(1000, abs=40)
    click = 1.0 * (torch.arange(32000) == 12345)[None]
    assert at.axes[1].centres[int(at.amplitude(click)[0, 0].sum(0).argmax())] == pytest.approx(12345 / 16000, abs=0.005)
