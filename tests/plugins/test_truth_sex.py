"""The truth of the synthetic speech about the speaker's sex: boxes around the F0 and the formants."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import xaudio

STEP = 0.005


@pytest.fixture(scope="module")
def speech():
    return xaudio.create("dataset", "synthetic", speakers=16, repetitions=1, difficulty=0.5)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(index=st.integers(0, 159))
def test_boxes_hold_the_tracks_of_the_voiced_frames_and_no_others(speech, index):
    truth = speech[index].truth
    times, f0, formants = truth["times"], truth["f0"], truth["formants"]
    tracks = {"boxes.sex_f0": f0[:, None], "boxes.sex_formants": formants}
    for key, values in tracks.items():
        boxes = truth[key]
        for time, pitch, row in zip(times, f0, values, strict=True):
            here = boxes[(boxes[:, 0] <= time) & (time < boxes[:, 1])]
            assert len(here) == (len(row) if pitch > 0 else 0)
            if pitch > 0:
                assert all(((here[:, 2] < value) & (value < here[:, 3])).any() for value in row)
    np.testing.assert_array_equal(truth["boxes.sex"], np.concatenate([truth["boxes.sex_f0"], truth["boxes.sex_formants"]]))
    assert truth["boxes.sex"][:, 3].max() < 8000


@pytest.mark.slow
def test_boxes_are_few_and_narrow(speech):
    for index in range(0, 160, 9):
        truth = speech[index].truth
        pitch = truth["boxes.sex_f0"]
        assert len(pitch) < 25
        assert (pitch[:, 1] - pitch[:, 0]).max() <= 10 * STEP + 1e-9
        np.testing.assert_allclose(pitch[:, 3] / pitch[:, 2], 1.5, atol=0.25)
        area = (
            (truth["boxes.sex"][:, 1] - truth["boxes.sex"][:, 0]) * (truth["boxes.sex"][:, 3] - truth["boxes.sex"][:, 2])
        ).sum()
        assert area < 0.35 * speech[index].duration * 4000


@pytest.mark.slow
def test_the_voice_is_in_the_boxes(speech):
    """The recording's mean power per cell is far higher around the F0 and the formants than elsewhere."""
    ratios = []
    for index in range(0, 160, 7):
        clip = speech[index]
        spectrum = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(clip.waveform, 320)[::80] * np.hanning(320))) ** 2
        times, frequencies = (np.arange(len(spectrum)) * 80 + 160) / clip.sample_rate, np.fft.rfftfreq(320, 1 / clip.sample_rate)
        inside = np.zeros(spectrum.shape, dtype=bool)
        for start, end, low, high in clip.truth["boxes.sex"]:
            inside |= np.outer((start <= times) & (times < end), (low <= frequencies) & (frequencies <= high))
        ratios.append(spectrum[inside].mean() / spectrum[~inside].mean())
    assert np.median(ratios) > 5


def test_sound_and_fingerprint_are_as_before():
    """Truth was added; the recordings, and the models trained on them, stay."""
    speech = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
    assert speech.fingerprint() == "7cac22e3a6443af13767f5560e969934"
    assert np.abs(speech[3].waveform).sum() == pytest.approx(215.674, rel=1e-4)
