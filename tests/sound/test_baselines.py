"""Sounds that stand in for what is taken away."""

import numpy as np
import pytest
import torch

import xaudio
from xaudio import PluginError
from xaudio.plugin import Sound, baseline_features, baseline_waveforms
from xaudio.sound.baselines import noise_floor


@pytest.fixture(scope="module")
def sound():
    generator = torch.Generator().manual_seed(0)
    quiet = torch.randn(2, 8000, generator=generator) * 0.01
    tone = torch.sin(2 * torch.pi * 500 * torch.arange(8000) / 8000)
    tone[: 8000 // 4] = 0
    waveforms = torch.stack([quiet[0] + 0.5 * tone, torch.zeros(8000)])
    waveforms[0, :1000] = 0
    representation = xaudio.create("representation", "spectrogram")
    return Sound(waveforms, representation, lambda batch: representation(batch) + 7)


def test_the_noise_is_as_loud_as_the_quiet_part_of_the_recording(sound):
    noise = baseline_waveforms("noise_floor", sound, seed=1)
    assert float(noise[0].std()) == pytest.approx(0.01, rel=0.1)
    assert torch.equal(noise[1], torch.zeros(8000))
    frames = sound.waveforms[0].numpy()[: 8000 // 200 * 200].reshape(-1, 200)
    levels = np.sqrt((frames**2).mean(1))
    assert float(noise_floor(sound.waveforms, 200)[0]) == pytest.approx(np.quantile(levels[levels > 0], 0.1), rel=1e-5)
    unit = torch.randn(8000, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(noise[0], unit * float(np.quantile(levels[levels > 0], 0.1)))  # frames of 25 ms
    assert torch.equal(noise, baseline_waveforms("noise_floor", sound, seed=1))
    assert not torch.equal(noise, baseline_waveforms("noise_floor", sound, seed=2))


def test_the_mean_spectrum_is_the_recordings_with_other_phases(sound):
    mean = baseline_waveforms("mean_spectrum", sound)
    assert torch.allclose(torch.fft.rfft(mean).abs(), torch.fft.rfft(sound.waveforms).abs(), atol=1e-2)
    assert float((mean[0] - sound.waveforms[0]).abs().max()) > 0.1
    assert float(mean[0, :1000].abs().max()) > 0.01  # the tone is everywhere now
    assert not torch.equal(mean, baseline_waveforms("mean_spectrum", sound, seed=1))


def test_a_baseline_does_not_depend_on_the_batch(sound):
    alone = Sound(sound.waveforms[:1], sound.representation, sound.features)
    for name in ("silence", "noise_floor", "mean_spectrum"):
        assert torch.allclose(baseline_waveforms(name, alone)[0], baseline_waveforms(name, sound)[0], atol=1e-6)


def test_a_baseline_made_from_the_recording_needs_one(sound):
    features = torch.ones(2, 1, 5)
    assert torch.equal(baseline_features("zero", features, None), torch.zeros(2, 1, 5))
    with pytest.raises(PluginError, match="The baseline 'silence' is made from the recording: give sound="):
        baseline_features("silence", features, None)


def test_features_of_a_baseline_are_what_the_model_reads_of_it(sound):
    features = sound.features(sound.waveforms)
    assert torch.equal(baseline_features("zero", features, sound), torch.zeros_like(features))
    silence = baseline_features("silence", features, sound)
    assert torch.equal(silence, sound.features(torch.zeros(2, 8000)))
    assert silence.shape == features.shape


def test_the_noise_floor_of_a_recording_shorter_than_a_frame():
    waveforms = torch.full((1, 50), 0.5)
    torch.testing.assert_close(noise_floor(waveforms, 200), torch.tensor([0.5]))
