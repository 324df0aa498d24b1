"""The synthetic data set: what it says about each sound must be what a measurement finds in the sound."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.linalg import solve_toeplitz
from scipy.signal import freqz

import xaudio
from xaudio import PluginError
from xaudio.types import Dataset
from xaudio_synthetic.words import DIGITS, NAMES, PHONEMES

MALE, FEMALE = 0, 1


def make(**options):
    return xaudio.create("dataset", "synthetic", **options)


@pytest.fixture(scope="module")
def clear():
    """Recordings without background, slurring or accent."""
    return make(speakers=16, repetitions=1, difficulty=0.0)


@pytest.fixture(scope="module")
def usual():
    return make(speakers=24, repetitions=1)


@pytest.fixture(scope="module")
def clips(usual):
    return [usual[index] for index in range(len(usual))]


def yin(waveform, rate, centre, low=60.0, high=420.0):
    """F0 in Hz around a sample after de Cheveigné and Kawahara (2002), and the least normalised difference."""
    longest, shortest = int(rate / low), int(rate / high)
    width = 2 * longest
    part = waveform[centre - width : centre + width].astype(np.float64)
    difference = np.array(
        [((part[: width * 2 - longest] - part[lag : lag + width * 2 - longest]) ** 2).sum() for lag in range(longest)]
    )
    normalised = np.ones(longest)
    normalised[1:] = difference[1:] * np.arange(1, longest) / np.maximum(np.cumsum(difference[1:]), 1e-12)
    below = np.flatnonzero(normalised[shortest:] < 0.15)
    lag = shortest + (below[0] if below.size else int(np.argmin(normalised[shortest:])))
    while lag + 1 < longest - 1 and normalised[lag + 1] < normalised[lag]:
        lag += 1
    before, here, after = normalised[lag - 1 : lag + 2]
    return rate / (lag + 0.5 * (before - after) / (before - 2 * here + after)), here


def envelope_peaks(waveform, rate, centre):
    """Frequencies in Hz of the peaks of a linear prediction envelope (order 12) around a sample."""
    part = waveform[centre - rate // 50 : centre + rate // 50].astype(np.float64)
    part = np.append(part[0], part[1:] - 0.9 * part[:-1]) * np.hamming(len(part))
    correlation = np.correlate(part, part, "full")[len(part) - 1 : len(part) + 12]
    correlation[0] *= 1 + 1e-6
    coefficients = solve_toeplitz(correlation[:-1], correlation[1:])
    frequencies, response = freqz([1.0], np.append(1.0, -coefficients), worN=1024, fs=rate)
    level = np.abs(response)
    return frequencies[1:-1][(level[1:-1] > level[:-2]) & (level[1:-1] > level[2:])]


def steady_frames(clip, count=3):
    """Frames in the middle of the longest voiced stretch."""
    voiced = np.flatnonzero(clip.truth["f0"] > 0)
    longest = max(np.split(voiced, np.flatnonzero(np.diff(voiced) > 1) + 1), key=len)
    return longest[(np.linspace(0.3, 0.7, count) * (len(longest) - 1)).round().astype(int)]


def test_the_data_set_is_one_of_the_installed_plugins(usual):
    assert isinstance(usual, Dataset)
    assert (usual.name, usual.title) == ("synthetic", "synthetic speech (24 speakers, seed 0)")
    assert (usual.fit, usual.resampling) == ("error", "fft")
    assert usual.tasks == {"digit": tuple("0123456789"), "sex": ("male", "female")}
    assert len(usual) == 240
    assert any("no real speech" in note for note in usual.notes)


def test_the_tables_are_complete():
    assert len(DIGITS) == len(NAMES) == 10
    for word in DIGITS:
        assert all(name in PHONEMES and milliseconds > 0 for name, milliseconds in word)
    for phoneme in PHONEMES.values():
        assert phoneme.neighbour in {"", *PHONEMES}
        assert list(phoneme.formants) == sorted(phoneme.formants)


def test_importing_the_plugin_imports_nothing_heavy(run_python):
    code = "import sys, xaudio_synthetic; print([m for m in ('torch', 'scipy', 'matplotlib') if m in sys.modules])"
    assert run_python(code).stdout.strip() == "[]"


@pytest.mark.slow
def test_the_same_recording_twice_is_the_same_to_the_bit(usual):
    again = make(speakers=24, repetitions=1)
    for index in range(0, 240, 37):
        first, second = usual[index], again[index]
        assert first.waveform.tobytes() == second.waveform.tobytes() == usual[index].waveform.tobytes()
        assert all(np.array_equal(first.truth[key], second.truth[key]) for key in ("f0", "formants", "times"))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(8, 40), st.integers(1, 4), st.data())
def test_a_recording_does_not_depend_on_how_many_there_are(speakers, repetitions, data):
    large, small = make(speakers=40, repetitions=4), make(speakers=speakers, repetitions=repetitions)
    index = data.draw(st.integers(0, len(small) - 1))
    clip = small[index]
    twin = large[[recording.source for recording in large.recordings].index(clip.source)]
    assert clip.waveform.tobytes() == twin.waveform.tobytes()
    assert (clip.labels, clip.speaker) == (twin.labels, twin.speaker)


def test_recordings_differ_in_seed_speaker_digit_and_repetition():
    first = make(speakers=8, repetitions=2)
    other = make(speakers=8, repetitions=2, seed=1)
    sounds = [clip.waveform.tobytes() for clip in (first[0], first[1], first[2], first[20], other[0])]
    assert len(set(sounds)) == 5


def test_the_sound_is_within_full_scale_and_a_second(clips):
    peaks = np.array([np.abs(clip.waveform).max() for clip in clips])
    durations = np.array([clip.duration for clip in clips])
    assert all(clip.waveform.dtype == np.float32 and np.isfinite(clip.waveform).all() for clip in clips)
    assert peaks.max() <= 1
    assert peaks.min() > 0.1
    assert 0.25 < durations.min() < 0.35
    assert 0.6 < durations.max() < 0.9
    assert len({len(clip.waveform) for clip in clips}) > 30


def test_truth_has_the_shapes_it_promises(usual):
    for index in range(0, 240, 31):
        clip = usual[index]
        times, f0, formants = (clip.truth[key] for key in ("times", "f0", "formants"))
        assert times.shape == f0.shape
        assert formants.shape == (len(times), 4)
        assert times[0] == 0
        assert times[-1] < clip.duration <= times[-1] + 0.006
        assert (np.diff(formants, axis=1) > 0).all()
        assert 0.1 < (f0 > 0).mean() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 22050])
def test_f0_is_what_yin_measures(rate):
    dataset = make(speakers=16, repetitions=1, difficulty=0.0, sample_rate=rate)
    errors = []
    for index in range(0, 160, 3):
        clip = dataset[index]
        for frame in steady_frames(clip):
            found, difference = yin(np.pad(clip.waveform, rate // 20), rate, round((clip.truth["times"][frame] + 0.05) * rate))
            if difference < 0.15:
                errors.append(abs(found / clip.truth["f0"][frame] - 1))
    errors = np.array(errors)
    assert len(errors) > 100
    assert np.median(errors) < 0.01
    assert (errors < 0.04).mean() > 0.95


def test_there_is_no_voice_where_f0_is_0(clear):
    """Voiced frames of the same recording have far more power below 500 Hz than silent and voiceless ones."""
    ratios = []
    for index in range(3, 160, 10):  # three, which starts with a voiceless fricative
        clip = clear[index]
        spectrum = np.fft.rfft(clip.waveform)
        spectrum[round(500 * clip.duration) :] = 0
        low = np.fft.irfft(spectrum, len(clip.waveform)) ** 2
        voiced = np.interp(np.arange(len(low)) / clip.sample_rate, clip.truth["times"], clip.truth["f0"] > 0)
        ratios.append(low[voiced == 1].mean() / low[voiced == 0].mean())
    assert np.median(ratios) > 100


@pytest.mark.slow
def test_formants_are_peaks_of_the_spectral_envelope(clear):
    """Of men, whose harmonics are dense enough for linear prediction to find the envelope."""
    errors = {0: [], 1: []}
    labels = clear.labels("sex")
    for index in np.flatnonzero((labels == MALE) & (clear.labels("digit") != 6)):
        clip = clear[index]
        for frame in steady_frames(clip):
            peaks = envelope_peaks(clip.waveform, clip.sample_rate, round(clip.truth["times"][frame] * clip.sample_rate))
            for formant in errors:
                truth = clip.truth["formants"][frame, formant]
                errors[formant].append(np.abs(peaks - truth).min() / truth)
    assert np.median(errors[0]) < 0.10
    assert np.median(errors[1]) < 0.05
    assert (np.array(errors[1]) < 0.15).mean() > 0.85


@pytest.mark.slow
def test_vowels_are_where_their_table_says(clear):
    """The end of "three" has the high second formant of its vowel, "four" a low one."""
    for speaker in range(0, 16, 2):
        three, four = clear[speaker * 10 + 3], clear[speaker * 10 + 4]
        assert three.truth["formants"][:, 1].max() > 1.6 * np.median(four.truth["formants"][steady_frames(four), 1])


def test_men_and_women_differ_in_pitch_and_tract(clips):
    pitch, tract = {MALE: [], FEMALE: []}, {MALE: [], FEMALE: []}
    for clip in clips:
        f0 = clip.truth["f0"]
        pitch[clip.labels["sex"]].append(np.median(f0[f0 > 0]))
        tract[clip.labels["sex"]].append(clip.truth["formants"][:, 2].mean())
    assert 105 < np.median(pitch[MALE]) < 130
    assert 180 < np.median(pitch[FEMALE]) < 220
    assert np.mean((np.array(pitch[MALE]) > 75) & (np.array(pitch[MALE]) < 155)) > 0.85
    assert np.mean((np.array(pitch[FEMALE]) > 160) & (np.array(pitch[FEMALE]) < 265)) > 0.75
    assert 1.06 < np.median(tract[FEMALE]) / np.median(tract[MALE]) < 1.2
    # Not trivial: the tails meet.
    assert max(pitch[MALE]) > min(pitch[FEMALE])


def test_half_of_the_speakers_are_female(usual):
    sexes = dict(zip(usual.speakers, usual.labels("sex"), strict=True))
    assert sum(sexes.values()) == len(sexes) / 2 == 12


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(8, 60), st.integers(0, 9))
def test_folds_share_no_speaker_and_have_both_sexes(speakers, seed):
    dataset = make(speakers=speakers, repetitions=1, seed=seed)
    names, sexes = np.array(dataset.speakers), dataset.labels("sex")
    for task, count in (("digit", 5), ("sex", 4)):
        folds = dataset.folds(task)
        assert len(folds) == count
        tested = np.concatenate([fold.test for fold in folds])
        assert len(tested) == len(set(tested))
        for fold in folds:
            parts = [set(names[part]) for part in fold]
            assert sum(map(len, parts)) == len(set.union(*parts))
        per_fold = np.array([[len(set(names[fold.test][sexes[fold.test] == sex])) for sex in (MALE, FEMALE)] for fold in folds])
        assert (np.ptp(per_fold, axis=0) <= 1).all()
        assert set(names[np.concatenate([*folds[0]])]) == set(names[tested])
        if task == "sex":
            assert (per_fold[:, 0] == per_fold[:, 1]).all()
        else:
            assert set(names[tested]) == set(names)


def test_folds_come_from_the_seed():
    first, again, other = (make(seed=seed, repetitions=1).test_speakers for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.slow
def test_the_sample_rate_changes_the_sound_only_above_4_khz(usual):
    fine = make(speakers=24, repetitions=1, sample_rate=48000)
    for index in (1, 14, 203):  # "one" and "four": the voice is not random, the noise is
        coarse_clip, fine_clip = usual[index], fine[index]
        assert all(np.array_equal(coarse_clip.truth[key], fine_clip.truth[key]) for key in ("times", "f0", "formants"))
        assert fine_clip.duration == pytest.approx(coarse_clip.duration, abs=1e-3)
    coarse_clip = make(speakers=24, repetitions=1, difficulty=0.0)[1]
    fine_clip = make(speakers=24, repetitions=1, difficulty=0.0, sample_rate=48000)[1]
    spectrum = np.fft.rfft(fine_clip.waveform)[: len(coarse_clip.waveform) // 2 + 1]
    lowered = np.fft.irfft(spectrum, len(coarse_clip.waveform))
    assert np.corrcoef(lowered, coarse_clip.waveform)[0, 1] > 0.97


def test_nothing_clicks_between_frames(clear):
    """The second difference at the frames' borders is no larger than elsewhere."""
    clip = clear[4]
    bends = np.diff(clip.waveform.astype(np.float64), 2) ** 2
    folded = bends[: len(bends) // 40 * 40].reshape(-1, 40).mean(0)
    assert folded.max() < 4 * folded.mean()


@pytest.mark.slow
def test_difficulty_adds_noise():
    easy, hard = (make(speakers=8, repetitions=1, difficulty=difficulty) for difficulty in (0.0, 2.0))

    def floor(dataset):
        """Power of the quietest 20 ms relative to the loudest, in dB."""
        powers = [
            np.square(dataset[i].waveform[: len(dataset[i].waveform) // 160 * 160].reshape(-1, 160)).mean(1)
            for i in range(0, 80, 7)
        ]
        return np.median([10 * np.log10(power.min() / power.max()) for power in powers])

    assert floor(easy) < floor(hard) - 10


def test_the_fingerprint_follows_the_options():
    options = [{}, {"seed": 1}, {"difficulty": 0.5}, {"sample_rate": 16000}, {"repetitions": 3}, {"speakers": 23}]
    prints = [make(**one).fingerprint() for one in options]
    assert len(set(prints)) == len(options)
    assert make().fingerprint() == prints[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speakers": 7}, "7 .*'speakers' .*: expected int, 8 or more"),
        ({"repetitions": 0}, "0 .*'repetitions' .*: expected int, 1 or more"),
        ({"sample_rate": 7999}, "7999 .*'sample_rate' .*: expected int, 8000 or more, 48000 at most"),
        ({"sample_rate": 96000}, "96000 .*'sample_rate' .*: expected int, 8000 or more, 48000 at most"),
        ({"seed": -1}, "-1 .*'seed' .*: expected int, 0 or more"),
        ({"difficulty": -0.1}, "-0.1 .*'difficulty' .*: expected float, 0 or more, 4 at most"),
        ({"difficulty": float("nan")}, "nan .*'difficulty' .*: expected float, 0 or more, 4 at most, finite"),
    ],
)
def test_options_out_of_range_are_refused_in_one_line(options, message):
    with pytest.raises(PluginError, match=message) as caught:
        make(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_simple_model_tells_digits_of_unknown_speakers_apart(usual, clips):
    """Ridge regression on a coarse log spectrogram must do far better than chance, and not be perfect."""

    def features(clip):
        frames = np.array_split(clip.waveform[: len(clip.waveform) // 8 * 8], 8)
        power = [np.abs(np.fft.rfft(frame * np.hanning(len(frame)), 1024))[:512].reshape(32, 16).mean(1) for frame in frames]
        log = np.log(np.array(power) + 1e-3)
        return (log - log.mean()).ravel()

    inputs = np.stack([features(clip) for clip in clips])
    labels, fold = usual.labels("digit"), usual.folds("digit")[0]
    train = np.concatenate([fold.train, fold.validation])
    mean = inputs[train].mean(0)
    kernel = (inputs - mean) @ (inputs[train] - mean).T
    scores = kernel @ np.linalg.solve(kernel[train] + 30 * np.eye(len(train)), np.eye(10)[labels[train]] - 0.1)
    accuracy = (scores.argmax(1) == labels)[fold.test].mean()
    assert 0.45 < accuracy < 1
