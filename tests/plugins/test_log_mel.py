"""Levels of mel bands and cepstral coefficients, against librosa, transformers, and torchaudio's formulas written out."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from xaudio import Clip, Explanation, ModelError, PluginError, create, explain
from xaudio.plugin import Length
from xaudio.testing import checks_of


def noise(samples, seed=0):
    """Noise that swells and falls, float64."""
    return np.random.default_rng(seed).normal(size=samples) * np.hanning(samples) * 0.3


def features(name, waveform, **options):
    """Features (rows, frames) of a waveform by a representation."""
    made = create("representation", name, samples=len(waveform), **options)
    return made(torch.from_numpy(waveform)[None])[0, 0].numpy()


def assert_equal(actual, expected, tolerance=1e-6):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("check", checks_of("representation", "log_mel") + checks_of("representation", "mfcc"))
def test_keeps_the_contract(check):
    check()


LIBROSA = {
    "defaults": ({}, {}),
    "magnitude": ({"power": 1}, {"power": 1}),
    "htk": ({"scale": "htk", "norm": None, "bands": 40}, {"htk": True, "norm": None, "n_mels": 40}),
    "short window": (
        {"n_fft": 512, "window_length": 401, "hop": 160, "window": "hamming", "fmin": 50, "fmax": 1900},
        {"n_fft": 512, "win_length": 401, "hop_length": 160, "window": "hamming", "fmin": 50, "fmax": 1900},
    ),
    "odd and reflected": (
        {"padding": "reflect", "n_fft": 513, "hop": 100},
        {"pad_mode": "reflect", "n_fft": 513, "hop_length": 100},
    ),
    "edge": ({"padding": "edge", "window": "kaiser+8.6"}, {"pad_mode": "edge", "window": ("kaiser", 8.6)}),
    "no padding": ({"padding": None, "n_fft": 512}, {"center": False, "n_fft": 512}),
}


@pytest.mark.sweep
@pytest.mark.parametrize("case", LIBROSA)
@pytest.mark.parametrize(("rate", "samples"), [(22050, 22050), (4000, 700), (11025, 5001), (500_000, 9000)])
def test_equals_librosa(case, rate, samples):
    librosa = pytest.importorskip("librosa")
    (options, theirs), waveform = LIBROSA[case], noise(samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a band without frequencies, a window longer than the sound
        mel = librosa.feature.melspectrogram(y=waveform, sr=rate, **theirs)
    to_db = librosa.power_to_db if theirs.get("power", 2) == 2 else librosa.amplitude_to_db
    mine = {"sample_rate": rate, **options}
    assert_equal(features("log_mel", waveform, **mine), to_db(mel))
    assert_equal(features("log_mel", waveform, **mine, reference="max", top_db=None), to_db(mel, ref=np.max, top_db=None))
    assert_equal(features("log_mel", waveform, **mine, reference=0.3, top_db=30), to_db(mel, ref=0.3, top_db=30))
    assert_equal(features("log_mel", waveform, **mine, levels="linear"), mel)
    coefficients = librosa.feature.mfcc(S=to_db(mel), n_mfcc=13, lifter=22)
    assert_equal(features("mfcc", waveform, **mine, coefficients=13, lifter=22), coefficients)
    assert_equal(features("mfcc", waveform, **mine, coefficients=12, first=1, lifter=22), coefficients[1:])


@pytest.mark.sweep
def test_axes_lie_where_librosa_has_the_bands():
    librosa = pytest.importorskip("librosa")
    frequency, time = create("representation", "log_mel", sample_rate=16000, samples=16000, bands=40).axes
    np.testing.assert_allclose(frequency.centres, librosa.mel_frequencies(n_mels=42, fmax=8000)[1:-1])
    np.testing.assert_allclose(time.centres, librosa.times_like(np.zeros((1, 32)), sr=16000))


@pytest.mark.sweep
def test_preemphasis_is_librosas():
    librosa = pytest.importorskip("librosa")
    waveform = noise(5000) + 0.1
    emphasised = librosa.effects.preemphasis(waveform, coef=0.9)
    assert_equal(features("log_mel", waveform, preemphasis=0.9), features("log_mel", emphasised), 1e-12)


def torchaudio_mel(waveform, rate, n_fft=400, hop=200, bands=128, norm=None, power=2):
    """MelSpectrogram as torchaudio's documentation has it: torch.stft, and triangles over linspace(0, rate // 2)."""
    window = torch.hann_window(n_fft, dtype=torch.float64)
    spectra = torch.stft(torch.from_numpy(waveform), n_fft, hop, n_fft, window, True, "reflect", return_complex=True)
    points = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + (rate // 2) / 700), bands + 2) / 2595) - 1)
    slopes = points[None] - np.linspace(0, rate // 2, n_fft // 2 + 1)[:, None]
    difference = np.diff(points)
    triangles = np.maximum(0, np.minimum(-slopes[:, :-2] / difference[:-1], slopes[:, 2:] / difference[1:]))
    triangles *= 1 if norm is None else 2 / (points[2:] - points[:-2])
    return triangles.T @ (spectra.abs() ** power).numpy()


@pytest.mark.parametrize("rate", [16000, 11025])
@pytest.mark.parametrize(("norm", "power"), [(None, 2), ("slaney", 1)])
def test_equals_torchaudios_formulas(rate, norm, power):
    waveform = noise(6000)
    mel = torchaudio_mel(waveform, rate, norm=norm, power=power)
    options = {"convention": "torchaudio", "sample_rate": rate, "norm": norm, "power": power}
    decibels = 20 / power * np.log10(mel.clip(1e-10))
    assert_equal(features("log_mel", waveform, **options), decibels, 1e-11)
    assert_equal(features("log_mel", waveform, **options, levels="log", floor=0, offset=1e-6), np.log(mel + 1e-6), 1e-11)
    assert_equal(features("log_mel", waveform, **options, levels="log", floor=0, offset=1), np.log1p(mel), 1e-11)


def test_cepstral_coefficients_equal_torchaudios_formulas():
    from scipy.fft import dct

    waveform = noise(6000)
    decibels = 10 * np.log10(torchaudio_mel(waveform, 16000).clip(1e-10))
    clipped = decibels.clip(min=decibels.max() - 80)  # its MFCC clips, its AmplitudeToDB does not
    assert_equal(features("mfcc", waveform, convention="torchaudio"), dct(clipped, axis=0, norm="ortho")[:40], 1e-11)
    plain = features("mfcc", waveform, convention="torchaudio", orthonormal=False)
    assert_equal(plain, dct(clipped, axis=0)[:40], 1e-11)


HUGGINGFACE = {
    "defaults": ({}, {}, {"log_mel": "log10"}, {"window": "hann"}),
    "magnitude in dB": (
        {"power": 1, "levels": "dB", "floor": 1e-5, "top_db": 60, "scale": "slaney", "norm": "slaney"},
        {"norm": "slaney", "mel_scale": "slaney"},
        {"power": 1.0, "log_mel": "dB", "mel_floor": 1e-5, "min_value": 1e-5, "db_range": 60},
        {"window": "hann"},
    ),
    "kaldi": (
        {"scale": "kaldi", "levels": "log", "preemphasis": 0.97, "remove_dc": True, "padding": None, "window": "povey"},
        {"mel_scale": "kaldi", "triangularize_in_mel_space": True},
        {"log_mel": "log", "preemphasis": 0.97, "remove_dc_offset": True, "center": False},
        {"window": "povey"},
    ),
}


@pytest.mark.parametrize("case", HUGGINGFACE)
@pytest.mark.parametrize("rate", [16000, 11025])
def test_equals_transformers(case, rate):
    audio_utils = pytest.importorskip("transformers.audio_utils", exc_type=ImportError)
    options, bank, theirs, window = HUGGINGFACE[case]
    waveform, symmetric = noise(6000) + 0.05, case == "kaldi"
    filters = audio_utils.mel_filter_bank(257, 40, 20, rate // 2, rate, **bank)
    shape = audio_utils.window_function(400, window["window"], periodic=not symmetric)
    expected = audio_utils.spectrogram(
        waveform, shape, 400, 160, 512, **{"power": 2.0, "mel_filters": filters, "dtype": np.float64, **theirs}
    )
    mine = {"sample_rate": rate, "n_fft": 512, "window_length": 400, "bands": 40, "fmin": 20, "periodic": not symmetric}
    assert_equal(features("log_mel", waveform, convention="huggingface", **mine, **options), expected)


@pytest.mark.parametrize(
    ("extractor", "convention", "samples", "order"),
    [("Whisper", "whisper", 480_000, "frequency_time"), ("AST", "ast", 400 + 160 * 1023, "time_frequency")],
)
def test_equals_feature_extractors(extractor, convention, samples, order):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    waveform = noise(samples)
    waveform[samples // 2 :] = 0
    made = getattr(transformers, f"{extractor}FeatureExtractor")()
    expected = next(iter(made(waveform, sampling_rate=16000, return_tensors="np").values()))[0]
    assert_equal(features("log_mel", waveform, convention=convention, order=order), expected, 2e-5)


def test_log_of_what_is_above_zero_leaves_zeros():
    waveform = np.concatenate([noise(2000), np.zeros(4000)])
    linear = features("log_mel", waveform, levels="linear", hop=200, n_fft=400)
    logarithm = features("log_mel", waveform, levels="log", floor=0, top_db=None, hop=200, n_fft=400)
    expected = linear.copy()
    expected[linear > 0] = np.log(linear[linear > 0])
    assert (linear == 0).any()
    assert_equal(logarithm, expected, 1e-12)


@pytest.mark.parametrize("name", ["log_mel", "mfcc"])
def test_normalisation(name):
    waveform = noise(8000)
    plain = features(name, waveform, bands=20)
    normalised = features(name, waveform, bands=20, normalisation="recording")
    assert_equal(normalised, (plain - plain.mean()) / np.sqrt(plain.var() + 1e-7), 1e-12)
    rows = features(name, waveform, bands=20, normalisation="band")
    assert_equal(rows, (plain - plain.mean(1, keepdims=True)) / np.sqrt(plain.var(1, keepdims=True) + 1e-7), 1e-9)
    assert_equal(features(name, waveform, bands=20, mean=-30, std=12.5), (plain + 30) / 12.5, 1e-12)
    turned = create("representation", name, bands=20, samples=8000, order="time_frequency")
    assert_equal(turned(torch.from_numpy(waveform)[None])[0, 0].numpy(), plain.T, 1e-15)
    assert turned.axes[0].name == "time"


@pytest.mark.parametrize("convention", ["librosa", "torchaudio", "huggingface", "whisper", "kaldi", "ast", "panns"])
@pytest.mark.parametrize("name", ["log_mel", "mfcc"])
def test_silence_and_what_is_shorter_than_a_window(name, convention):
    shortest = create("representation", name, convention=convention).settings.minimum
    for samples in {shortest, shortest + 1, 700}:
        made = create("representation", name, convention=convention, samples=max(samples, shortest))
        silence = torch.zeros(1, made.samples, requires_grad=True)
        values = made(silence)
        assert torch.isfinite(values).all()
        assert torch.isfinite(torch.autograd.grad(values.sum(), silence)[0]).all()
        assert torch.isfinite(made.to_waveform_relevance(silence, torch.ones_like(values))).all()
        assert torch.isfinite(made.masked_waveform(silence, torch.ones_like(values))).all()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["log_mel", "mfcc"]),
    st.sampled_from(["reflect", "zero", "edge", None]),
    st.integers(2, 90),
    st.integers(1, 120),
    st.integers(100, 400),
    st.sampled_from(["frequency_time", "time_frequency"]),
)
def test_masks_of_ones_give_the_sound_back_and_sums_agree(name, padding, n_fft, hop, samples, order):
    options = {"padding": padding, "n_fft": n_fft, "hop": hop, "samples": samples, "order": order, "bands": 20}
    made = create("representation", name, sample_rate=8000, preemphasis=0.5, **options)
    waveform = torch.from_numpy(np.random.default_rng(samples).normal(size=(2, samples)))
    values = made(waveform)
    torch.testing.assert_close(made.masked_waveform(waveform, torch.ones_like(values)), waveform, rtol=0, atol=1e-9)
    assert made.masked_waveform(waveform, torch.zeros_like(values)).abs().max() < 1e-9
    relevance = torch.randn(values.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    heard = relevance * (made.amplitude(waveform) > 0)
    samples_relevance = made.to_waveform_relevance(waveform, relevance)
    torch.testing.assert_close(samples_relevance.sum(1), heard.sum((1, 2, 3)), rtol=1e-8, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "reflect", "power": 1, "levels": "log", "preemphasis": 0.9},
        {"normalisation": "recording", "reference": "max", "top_db": None},
        {"convention": "ast", "n_fft": 32, "window_length": 20, "hop": 10},
        {"levels": "linear", "normalisation": "band"},
    ],
)
@pytest.mark.parametrize("name", ["log_mel", "mfcc"])
def test_is_differentiable(name, options):
    small = {"n_fft": 24, "hop": 8, "bands": 5, "samples": 60, **({"coefficients": 3} if name == "mfcc" else {})}
    made = create("representation", name, **{**small, **options})
    waveforms = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 60))).requires_grad_()
    assert torch.autograd.gradcheck(made, waveforms)


def test_at_another_length_it_is_the_same():
    made = create("representation", "log_mel", convention="torchaudio", bands=40)
    assert made.length == Length(minimum=1)
    other = made.at(9000)
    assert other.length == Length(fixed=9000)
    assert (other.samples, len(other.axes[0].centres), other.settings.hop) == (9000, 40, 200)
    waveform = torch.from_numpy(noise(9000))[None]
    torch.testing.assert_close(other(waveform)[..., :18], made.at(4000)(waveform[:, :4000])[..., :18])
    with pytest.raises(PluginError, match="it takes 400 at least"):
        create("representation", "log_mel", convention="torchaudio", padding=None).at(399)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_length": 4000}, "longer than the transform"),
        ({"sample_rate": 8000, "fmax": 5000}, "has only 4000: give a lower fmax"),
        ({"fmin": 12000}, "expected fmin below fmax"),
        ({"padding": None, "samples": 2000}, "it takes 2048 at least"),
        ({"normalisation": "band", "mean": 3}, "exclude each other"),
        ({"levels": "linear", "top_db": 60}, "'top_db' would do nothing"),
        ({"window": "hexagon"}, "There is no window 'hexagon'"),
        ({"convention": "matlab"}, "expected librosa"),
        ({"n_mels": 40}, "'n_mels'"),
    ],
)
def test_what_does_not_fit_is_one_line(options, message):
    with pytest.raises(PluginError, match=message) as caught:
        create("representation", "log_mel", **options)
    assert "\n" not in str(caught.value)


def test_more_coefficients_than_bands_and_other_lengths_are_refused():
    with pytest.raises(PluginError, match="20 bands do not have 20 coefficients from number 1 on"):
        create("representation", "mfcc", bands=20, first=1)
    with pytest.raises(ModelError, match=r"The mfcc representation got waveforms \(2, 5\); expected \(batch, 22050\)"):
        create("representation", "mfcc")(torch.zeros(2, 5))


class Net(torch.nn.Module):
    """A small network of any size of features."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3)
        )

    def forward(self, features):
        return self.layers(features)


@pytest.mark.slow
def test_what_is_saved_is_seen_and_rendered_again(tmp_path):
    clip = Clip(noise(9000).astype(np.float32), 16000)
    made = explain(Net(), clip, representation="log_mel:convention=torchaudio,bands=32,samples=9000")
    loaded = Explanation.load(made.save(tmp_path / "one.safetensors"))
    assert loaded.provenance["representation"]["options"] == {"convention": "torchaudio", "bands": 32, "samples": 9000}
    for view in ("time", "frequency", "time-frequency:length=256,hop=64"):
        seen = loaded.view(view)
        assert seen.relevance.sum() == pytest.approx(made.relevance.sum(), rel=1e-5)
    assert {path.suffix for path in loaded.render("visual", "audible", "html", folder=tmp_path)} >= {".png", ".wav", ".html"}


@pytest.mark.slow
def test_coefficients_are_seen_in_time_alone(tmp_path):
    clip = Clip(noise(9000).astype(np.float32), 16000)
    made = explain(Net(), clip, representation="mfcc:sample_rate=16000,samples=9000")
    in_time = made.view("time")
    assert in_time.relevance.sum() == pytest.approx(made.relevance.sum(), rel=1e-5)
    kept = Explanation.load(in_time.save(tmp_path / "time.safetensors"))
    for explanation in (made, in_time, kept):
        with pytest.raises(
            PluginError, match="no frequency view of this model's relevance: what the model reads tells time alone"
        ):
            explanation.view("frequency")
    assert made.render("visual", "html", folder=tmp_path)
