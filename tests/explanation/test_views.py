"""Views: the closed forms are the textbook's dense layers, nothing is lost unseen, and every view is an explanation."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, strategies as st
from scipy import signal

import xaudio
from xaudio import Clip, Explanation, ModelError, PluginError, create
from xaudio.explanation.views import parse_view
from xaudio.sound import domains
from xaudio.sound.domains import Frequency, Time, TimeFrequency

RATE = 8000


def sound_and_relevance(samples, seed=0, zeros=0.0):
    """A waveform (1, samples), nowhere near 0 but for a share of exact zeros, and relevance of it, in float64."""
    rng = np.random.default_rng(seed)
    waveform = rng.uniform(0.01, 1, (1, samples)) * rng.choice([-1, 1], (1, samples)) * (rng.uniform(size=(1, samples)) >= zeros)
    return torch.from_numpy(waveform), torch.from_numpy(rng.normal(size=(1, samples)))


def inverse_transform(length):
    """The inverse DFT as a dense layer (length, 2, frequencies): what real and imaginary part of each frequency add."""
    frequency, sample = np.arange(length // 2 + 1), np.arange(length)[:, None]
    mirrored = np.where((frequency == 0) | (2 * frequency == length), 1, 2)
    phase = 2 * np.pi * frequency * sample / length
    return np.stack([mirrored * np.cos(phase), -mirrored * np.sin(phase)], axis=1) / length


def forward_transform(frames):
    """Real and imaginary parts (..., 2, frequencies) of the DFT of frames (..., length), by its definition."""
    length = frames.shape[-1]
    phase = 2 * np.pi * np.arange(length)[:, None] * np.arange(length // 2 + 1) / length
    return np.stack([frames @ np.cos(phase), -frames @ np.sin(phase)], axis=-2)


def through_layer(layer, inputs, relevance):
    """LRP with epsilon 0 through outputs = layer @ inputs, as in a textbook."""
    outputs = layer @ inputs
    shares = np.divide(relevance, outputs, out=np.zeros_like(relevance), where=np.abs(outputs) > 1e-12)
    return inputs * (layer.T @ shares)


@given(samples=st.integers(1, 40), seed=st.integers(0, 99), zeros=st.sampled_from([0, 0.3, 1]))
def test_frequency_is_the_dense_layer(samples, seed, zeros):
    waveform, relevance = sound_and_relevance(samples, seed, zeros)
    layer = inverse_transform(samples).reshape(samples, -1)
    inputs = forward_transform(waveform[0].numpy()).ravel()
    np.testing.assert_allclose(layer @ inputs, waveform[0], atol=1e-12)
    dense = through_layer(layer, inputs, relevance[0].numpy()).reshape(2, -1).sum(0)
    found = Frequency(RATE, samples).from_waveform_relevance(waveform, relevance)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found[0, 0], dense, atol=1e-9 * (1 + np.abs(dense).max()))


transforms = st.tuples(
    st.sampled_from(["hann", "hamming", "boxcar", "bartlett", "blackman", "kaiser+6", "tukey"]),
    st.integers(1, 17),
    st.integers(1, 17),
)


def transform(samples, spec):
    """A time-frequency domain, if these windows cover the sound."""
    try:
        return TimeFrequency(RATE, samples, window=spec[0], length=spec[1], hop=spec[2])
    except PluginError:
        assume(False)


@pytest.mark.slow
@given(samples=st.integers(1, 30), spec=transforms, seed=st.integers(0, 99), zeros=st.sampled_from([0, 0.3]))
def test_time_frequency_is_the_dense_layer(samples, spec, seed, zeros):
    waveform, relevance = sound_and_relevance(samples, seed, zeros)
    domain = transform(samples, spec)
    length, hop, window = domain.length, domain.hop, domain.window.numpy()
    padded = np.zeros(domain.frames * hop + 2 * length + samples)
    padded[length // 2 : length // 2 + samples] = waveform[0]
    inputs = np.stack([forward_transform(window * padded[m * hop :][:length]) for m in range(domain.frames)])
    layer, sums = np.zeros((len(padded), domain.frames, 2 * (length // 2 + 1))), np.zeros(len(padded))
    for m in range(domain.frames):
        layer[m * hop :][:length, m] = inverse_transform(length).reshape(length, -1)
        sums[m * hop :][:length] += window
    inside = slice(length // 2, length // 2 + samples)
    layer = layer[inside].reshape(samples, -1) / sums[inside, None]
    np.testing.assert_allclose(layer @ inputs.ravel(), waveform[0], atol=1e-10)
    dense = through_layer(layer, inputs.ravel(), relevance[0].numpy()).reshape(inputs.shape).sum(1).T
    found = domain.from_waveform_relevance(waveform, relevance)
    assert found.shape == (1, 1, *(len(axis.centres) for axis in domain.axes))
    np.testing.assert_allclose(found[0, 0], dense, atol=1e-9 * (1 + np.abs(dense).max()))


@given(samples=st.integers(1, 3000), spec=transforms, scale=st.integers(1, 40), seed=st.integers(0, 99))
def test_nothing_is_lost_in_float64(samples, spec, scale, seed):
    waveform, relevance = sound_and_relevance(samples, seed, zeros=0.2)
    expected = relevance[waveform != 0].sum()
    for domain in (
        Time(RATE, samples),
        Frequency(RATE, samples),
        transform(samples, (spec[0], spec[1] * scale, spec[2] * scale)),
    ):
        found = domain.from_waveform_relevance(waveform, relevance)
        lost = relevance[waveform == 0].sum() if domain.name == "time" else 0
        assert abs(found.sum() - lost - expected) <= 1e-10 * max(1, relevance.abs().sum()), domain.name


@pytest.mark.slow
@given(samples=st.integers(1, 200), spec=transforms, seed=st.integers(0, 99))
def test_back_to_the_samples_by_the_gradient(samples, spec, seed):
    """The closed forms are what autograd makes of sum R ln|V|, and conserve the sum."""
    waveform, _ = sound_and_relevance(samples, seed)
    for domain in (Time(RATE, samples), Frequency(RATE, samples), transform(samples, spec)):
        magnitude = domain.amplitude(waveform)
        relevance = torch.randn(magnitude.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        # Where rounding alone makes the magnitude, its logarithm has no gradient worth the name.
        relevance = relevance * (magnitude > 1e-3 * magnitude.max())
        variable = waveform.clone().requires_grad_()
        logarithm = domain.amplitude(variable).clamp(min=1e-12).log()
        (gradient,) = torch.autograd.grad((relevance * logarithm).sum(), variable)
        found = domain.to_waveform_relevance(waveform, relevance)
        torch.testing.assert_close(found, (gradient * waveform).detach(), rtol=1e-8, atol=1e-8)
        assert float(found.sum()) == pytest.approx(float(relevance.sum()), abs=1e-8)


@pytest.mark.slow
@given(samples=st.integers(1, 500), spec=transforms, seed=st.integers(0, 99))
def test_a_mask_of_ones_gives_the_sound(samples, spec, seed):
    waveform, _ = sound_and_relevance(samples, seed)
    for domain in (Time(RATE, samples), Frequency(RATE, samples), transform(samples, spec)):
        mask = torch.ones_like(domain.amplitude(waveform))
        torch.testing.assert_close(domain.masked_waveform(waveform, mask), waveform, rtol=0, atol=1e-12)
        assert not domain.masked_waveform(waveform, 0 * mask).any()
        again = domain.masked_waveform(waveform.float(), mask.float())
        assert again.dtype == torch.float32


def test_transform_and_its_inverse_are_scipys():
    waveform, _ = sound_and_relevance(2000)
    domain = TimeFrequency(RATE, 2000, window="hamming", length=101, hop=20)
    settings = {"fs": RATE, "window": "hamming", "nperseg": 101, "noverlap": 81}
    frequencies, times, spectra = signal.stft(waveform[0].numpy(), **settings)
    np.testing.assert_allclose(domain.axes[0].centres, frequencies)
    np.testing.assert_allclose(domain.axes[1].centres, times)
    np.testing.assert_allclose(domain.amplitude(waveform)[0, 0], np.abs(spectra), atol=1e-12)
    mask = np.random.default_rng(1).uniform(size=spectra.shape)
    _, expected = signal.istft(mask * spectra, **settings)
    found = domain.masked_waveform(waveform, torch.from_numpy(mask)[None, None])
    np.testing.assert_allclose(found[0], expected[:2000], atol=1e-12)


def test_the_default_grid_is_the_spectrograms():
    spectrogram, domain = create("representation", "spectrogram"), TimeFrequency(RATE, 8000, window="hann", length=455, hop=35)
    waveform = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) / 9
    torch.testing.assert_close(domain.amplitude(waveform)[:, :, :227, 2:-1], spectrogram.amplitude(waveform))
    np.testing.assert_allclose(domain.axes[1].centres[2:-1], spectrogram.axes[1].centres)


def test_levels_are_relative_to_the_loudest_cell():
    time = torch.arange(4000) / RATE
    waveform = torch.sin(2 * torch.pi * 1000 * time)[None] + 0.1 * torch.sin(2 * torch.pi * 2000 * time)
    domain = Frequency(RATE, 4000)
    assert float(domain.amplitude(waveform)[0, 0, 500]) == pytest.approx(1, abs=1e-4)
    levels = domain(waveform)[0, 0]
    assert levels[[500, 1000, 700]].tolist() == pytest.approx([0, -20, -80], abs=1e-2)
    assert (domain(torch.zeros(1, 4000)) == -80).all()


def test_a_model_of_one_frequency_is_found_in_that_frequency():
    """score = sum x g with g a sinusoid hears that frequency alone, although every sample has relevance."""
    time = torch.arange(8000, dtype=torch.float64) / RATE
    tones = [torch.sin(2 * torch.pi * hertz * time + 0.3)[None] for hertz in (440, 1000)]
    waveform = tones[0] + 3 * tones[1]
    relevance = waveform * tones[0] / 1000
    frequency = Frequency(RATE, 8000).from_waveform_relevance(waveform, relevance)[0, 0]
    assert int(frequency.abs().argmax()) == 440
    assert float(frequency[440]) == pytest.approx(4, rel=1e-6)
    assert float(frequency.abs().sum() - frequency[440]) < 1e-6
    cells = TimeFrequency(RATE, 8000, window="hann", length=400, hop=100).from_waveform_relevance(waveform, relevance)[0, 0]
    assert float(cells[20:25].sum()) == pytest.approx(4, rel=0.02)
    assert float(cells[45:56].abs().sum()) < 0.1


@pytest.mark.parametrize("chunk", [1, 5000])
def test_chunks_change_nothing(monkeypatch, chunk):
    waveform, relevance = sound_and_relevance(900)
    waveform, relevance = torch.cat([waveform, 2 * waveform.flip(1)]), torch.cat([relevance, relevance])
    mask = torch.rand(2, 1, 33, 91, dtype=torch.float64)

    def everything():
        domain = TimeFrequency(RATE, 900, window="hann", length=64, hop=10)
        cells = domain.from_waveform_relevance(waveform, relevance)
        return cells, domain.masked_waveform(waveform, mask), domain.to_waveform_relevance(waveform, cells)

    whole = everything()
    monkeypatch.setattr(domains, "CHUNK", chunk)
    for found, expected in zip(everything(), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_seconds_at_16_khz_need_little_memory(run_python):
    code = """
import numpy as np
import xaudio
from xaudio import Clip, Explanation, create
samples = 160000
rng = np.random.default_rng(0)
sound = rng.normal(size=samples).astype(np.float32) / 9
given = {"sample_rate": 16000, "samples": samples}
for name in ("waveform", "spectrogram"):
    made = create("representation", name, **given)
    shape = (1, *(len(axis.centres) for axis in made.axes))
    relevance = rng.normal(size=shape).astype(np.float32)
    item = Explanation(Clip(sound, 16000), relevance, relevance, made.axes, np.zeros(2), ("a", "b"), 0,
                       provenance={"representation": {"name": name, "options": given}})
    for view in ("time", "frequency", "time-frequency:hop=35", "time-frequency:hop=8,length=1024"):
        seen = item.view(view)
        assert abs(seen.relevance.sum(dtype=float) - relevance.sum(dtype=float)) < 1e-2 * abs(relevance).sum() ** 0.5, view
lines = open("/proc/self/status").read().splitlines()  # getrusage would tell the peak of the process that started this one
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9)
"""
    done = run_python(code)
    assert float(done.stdout) < 1


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ("frequence", r"Unknown view 'frequence'. Did you mean 'frequency' .* Known: frequency, time, time-frequency."),
        ("", r"Unknown view ''. Known: frequency, time, time-frequency."),
        (3, r"Unknown view '3'"),
        ("time:hop=3", r"In the options of view 'time': Unknown option 'hop'"),
        ("time-frequency:hopp=3", r"Unknown option 'hopp'. Did you mean 'hop'\?"),
        ("time-frequency:hop=few", r"'few' does not fit option 'hop' of view 'time-frequency': expected int"),
        ("time-frequency:hop", r"expected name:option=value"),
        ("time-frequency:hop=0", r"a hop of at least 1; got 455 and 0"),
        ("time-frequency:window=glass", r"no window 'glass' of 455 samples \(.*hann, hamming"),
        ("time-frequency:window=kaiser", r"no window 'kaiser'.*kaiser\+8.6"),
        (
            "time-frequency:length=100,hop=100",
            r"'hann' of 100 samples every 100 samples do not cover the sound: over sample 50 they",
        ),
        ("time-frequency:length=100,hop=150,window=boxcar", r"do not cover the sound.*choose a smaller hop"),
    ],
)
def test_wrong_views_are_refused_in_one_line(view, message):
    with pytest.raises(PluginError, match=message) as caught:
        explained("waveform").view(view)
    assert "\n" not in str(caught.value)
    with pytest.raises(PluginError, match=message):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8000, 2))
        xaudio.explain(network, np.ones(99), sample_rate=RATE, representation="waveform", explainer="gradient", view=view)


def explained(name, **changes):
    """An explanation of relevance that is the gradient times the features of some network, on a padded recording."""
    rng = np.random.default_rng(0)
    representation = create("representation", name)
    sound = np.zeros(8000, np.float32)
    sound[1500:6500] = rng.normal(size=5000) / 9 + 0.2 * np.sin(np.arange(5000))
    amplitude = representation.amplitude(torch.from_numpy(sound)[None])[0].numpy()
    made = Explanation(
        clip=Clip(sound, RATE, source="x.wav"),
        features=amplitude,
        relevance=(rng.normal(size=amplitude.shape) * amplitude).astype(np.float32),
        axes=representation.axes,
        logits=np.array([1.0, 3.0]),
        classes=("a", "b"),
        target=0,
        provenance={"representation": {"name": name, "options": {}}, "explainer": {"name": "lrp"}},
    )
    return replace(made, **changes)


@pytest.mark.parametrize(("name", "own"), [("waveform", "time"), ("spectrogram", "time-frequency")])
def test_what_is_there_already_stays_as_it_is(name, own):
    item = explained(name)
    assert item.domain == own
    assert item.view(own) is item
    other = item.view("frequency")
    assert other.view("frequency") is other
    assert other.domain == "frequency"


def test_the_time_frequency_view_of_a_spectrogram_with_options_is_another():
    item = explained("spectrogram")
    seen = item.view("time-frequency", window="boxcar", length=64, hop=64)
    assert seen.relevance.shape == (1, 33, 126)
    assert seen.provenance["view"]["options"] == {"window": "boxcar", "length": 64, "hop": 64}
    assert seen.relevance.sum() == pytest.approx(item.relevance.sum(dtype=float), rel=1e-9)


@pytest.mark.parametrize("name", ["waveform", "spectrogram"])
@pytest.mark.parametrize("view", ["time", "frequency", "time-frequency", "time-frequency:length=128,hop=32,window=hamming"])
def test_a_view_is_an_explanation(name, view, tmp_path):
    item = explained(name)
    seen = item.view(view)
    assert seen.features.shape == seen.relevance.shape == (1, *(len(axis.centres) for axis in seen.axes))
    total = item.relevance.sum(dtype=np.float64)
    assert abs(seen.relevance.sum(dtype=np.float64) - total) <= 1e-10 * np.abs(item.relevance).sum(dtype=np.float64)
    json.dumps(dict(seen.provenance))
    again = Explanation.load(seen.save(tmp_path / "a.safetensors"))
    np.testing.assert_array_equal(again.relevance, seen.relevance)
    assert again.provenance == seen.provenance
    assert (again.title(), again.domain) == (seen.title(), seen.domain)
    waveform = torch.from_numpy(item.clip.waveform)[None]
    for which in (seen, again):
        assert [axis.name for axis in which.representation.axes] == [axis.name for axis in which.axes]
        np.testing.assert_array_equal(which.representation.axes[-1].centres, which.axes[-1].centres)
    if "view" in seen.provenance:
        assert f"lrp, {seen.domain} view" in seen.title()
        np.testing.assert_array_equal(again.representation(waveform)[0], seen.features)
        halved = again.with_relevance(seen.relevance / 2)
        assert halved.provenance == seen.provenance
        with pytest.raises(ModelError, match="expected that of the features"):
            seen.with_relevance(item.clip.waveform[None, :-1])


def test_from_the_time_view_to_the_others_but_no_further():
    item = explained("spectrogram")
    time = item.view("time")
    via = time.view("frequency")
    np.testing.assert_allclose(via.relevance, item.view("frequency").relevance, rtol=1e-12)
    assert via.provenance["view"]["of"] == time.provenance["view"]
    for first, second in (
        ("frequency", "time"),
        ("frequency", "time-frequency"),
        ("time-frequency:hop=9", "time-frequency:hop=8"),
    ):
        with pytest.raises(ModelError, match=f"{second.partition(':')[0]} view of the explanation that it was made from"):
            item.view(first).view(second)


def test_what_cannot_be_brought_along_is_said():
    """Random relevance lies on the padding as well: there is nothing in frequency it could belong to."""
    item = explained("waveform")
    relevance = np.random.default_rng(1).uniform(-1, 1, (1, 8000)).astype(np.float32)
    silent = item.clip.waveform == 0
    assert silent.sum() == 3000
    for view in ("frequency", "time-frequency"):
        seen = item.with_relevance(relevance).view(view)
        facts = seen.provenance["view"]
        magnitude = np.abs(relevance[0].astype(float))
        assert facts["lost_share"] == pytest.approx(magnitude[silent].sum() / magnitude.sum())
        assert facts["lost_sum"] == pytest.approx(relevance[0, silent].sum(dtype=float), abs=1e-8)
        assert facts["magnitude"] == pytest.approx(np.abs(seen.relevance).sum() / magnitude.sum())
        (note,) = seen.clip.notes
        assert f"{facts['lost_share']:.2%} of the relevance" in note
        assert "exactly zero" in note
        assert not item.view(view).clip.notes
        nothing = item.with_relevance(0 * relevance).view(view)
        assert (nothing.provenance["view"]["lost_share"], nothing.provenance["view"]["magnitude"]) == (0, 0)
        assert not nothing.relevance.any()


def test_relevance_of_silent_cells_is_lost_on_the_way_to_the_samples():
    item = explained("spectrogram")
    relevance = np.ones_like(item.relevance)
    silent = item.representation.amplitude(torch.from_numpy(item.clip.waveform)[None])[0].numpy() == 0
    for view in ("time", "frequency", "time-frequency:hop=64"):
        seen = item.with_relevance(relevance).view(view)
        assert seen.provenance["view"]["lost_share"] == pytest.approx(silent.mean())
        assert seen.provenance["view"]["lost_sum"] == pytest.approx(silent.sum(), rel=1e-6)
        assert len(seen.clip.notes) == 1


def test_silence_has_no_relevance_to_bring_along():
    item = explained("waveform")
    silent = replace(item, clip=replace(item.clip, waveform=np.zeros(8000, np.float32)))
    seen = silent.view("time-frequency")
    assert not seen.relevance.any()
    assert seen.provenance["view"]["lost_share"] == 1


def test_metrics_take_views():
    metric, items = create("metric", "silence"), [explained("waveform"), explained("spectrogram")]
    for view in ("frequency", "time-frequency:length=128,hop=32"):
        (share,) = metric(None, [items[0].view(view)])["silence"]
        assert 0 <= share < 1e-9


@pytest.mark.parametrize("view", ["time", "frequency", "time-frequency:length=200,hop=50"])
@pytest.mark.usefixtures("training")
@pytest.mark.parametrize("model", ["run_folder", "spectrogram_run_folder"])
def test_explain_gives_the_view_batch_by_batch(model, view, request, recording):
    folder = request.getfixturevalue(model)
    time = np.arange(4000) / RATE
    other = Clip((0.2 * np.sin(2 * np.pi * 300 * time)).astype(np.float32), RATE)
    audio = [str(recording), other, str(recording)]
    given = {"explainer": "input_x_gradient", "device": "cpu"}
    plain = xaudio.explain(folder, audio, **given)
    batched = xaudio.explain(folder, audio, view=view, **given)
    one_by_one = xaudio.explain(folder, audio, view=view, batch_size=1, **given)
    for item, seen, alone in zip(plain, batched, one_by_one, strict=True):
        expected = item.view(view)
        scale = np.abs(expected.relevance).max()
        np.testing.assert_allclose(seen.relevance, expected.relevance, atol=1e-9 * scale)
        np.testing.assert_allclose(alone.relevance, seen.relevance, atol=1e-3 * scale)
        assert seen.provenance.get("view", {}).get("options") == expected.provenance.get("view", {}).get("options")
        assert [axis.name for axis in seen.axes] == [axis.name for axis in expected.axes]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same():
    waveform, relevance = sound_and_relevance(8000, zeros=0.1)
    for domain in (Frequency(RATE, 8000), TimeFrequency(RATE, 8000, window="hann", length=455, hop=35)):
        expected = domain.from_waveform_relevance(waveform, relevance)
        found = domain.from_waveform_relevance(waveform.cuda(), relevance.cuda())
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-9, atol=1e-9)


def test_names_are_checked_without_torch(run_python):
    code = "import sys, xaudio.explanation.views as v; print(v.parse_view('time-frequency:hop=5'), 'torch' in sys.modules)"
    done = run_python(code)
    assert done.stdout.strip() == "('time-frequency', {'hop': 5}) False"
    assert parse_view("time-frequency:hop=5", length=9) == ("time-frequency", {"hop": 5, "length": 9})


def test_command(run_folder, recording, tmp_path):
    from typer.testing import CliRunner

    from xaudio.cli.app import app

    out = tmp_path / "out"
    command = ["explain", str(recording), "--model", str(run_folder), "--out", str(out), "--device", "cpu", "--json"]
    done = CliRunner().invoke(app, [*command, "--view", "time-frequency:length=200,hop=50"])
    assert done.exit_code == 0, done.output
    (record,) = json.loads(done.stdout)
    assert record["domain"] == record["view"]["name"] == "time-frequency"
    saved = Explanation.load(out / "explanation.safetensors")
    assert saved.relevance.shape == (1, 101, 161)
    assert json.loads((out / "run.json").read_text())["settings"]["view"] == ["time-frequency:length=200,hop=50"]
    wrong = CliRunner().invoke(app, [*command, "--view", "pitch"])
    assert wrong.exit_code != 0
    assert "Known: frequency, time, time-frequency" in str(wrong.exception) + wrong.output
