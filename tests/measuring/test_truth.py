"""The mask of the truth against a loop over cells and boxes, and its errors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from xaudio import Clip, DataError, Explanation, create, explain
from xaudio.plugin import Axis, truth_domain, truth_mask

RATE, SAMPLES = 8000, 800
DURATION, NYQUIST = SAMPLES / RATE, RATE / 2
TIME = Axis("time", "s", np.arange(SAMPLES) / RATE)
FRAMES = Axis("time", "s", np.arange(24) * 35 / RATE)
FREQUENCY = Axis("frequency", "Hz", np.arange(100) * RATE / 200)
OTHER = Axis("modulation", "Hz", np.arange(3.0))


def explanation(boxes, *axes, channels=1, **facts):
    shape = (channels, *(len(axis.centres) for axis in axes))
    return Explanation(
        clip=Clip(np.zeros(SAMPLES, np.float32), RATE, source="some.wav", truth={"boxes.tone": np.array(boxes, dtype=float)}),
        features=np.zeros(shape),
        relevance=np.zeros(shape),
        axes=axes,
        logits=np.zeros(2),
        classes=("no", "yes"),
        target=0,
        task="tone",
        provenance=facts,
    )


def slow_mask(item, margin_s=0.0, margin_hz=0.0):
    """Cell by cell and box by box."""
    found = np.zeros(item.features.shape, dtype=bool)
    placement = item.provenance.get("placement", {})
    cut = placement.get("start", 0) / RATE
    end_heard = cut + placement.get("samples", SAMPLES) / RATE
    for cell in np.ndindex(*found.shape):
        for start, end, low, high in item.clip.truth["boxes.tone"]:
            inside = True
            for position, axis in enumerate(item.axes):
                centre = axis.centres[cell[position + 1]]
                if axis.name == "time" and not (start <= cut and end >= end_heard):
                    since_start = centre - placement.get("offset", 0) / RATE + cut
                    inside &= start - margin_s - 1e-10 <= since_start < end + margin_s - 1e-10
                if axis.name == "frequency" and not (low <= 0 and high >= NYQUIST):
                    inside &= low - margin_hz - 1e-10 <= centre <= high + margin_hz + 1e-10
            found[cell] |= inside
    return found


intervals = st.tuples(st.integers(0, 9), st.integers(1, 10)).filter(lambda pair: pair[0] < pair[1])
boxes = st.lists(
    st.tuples(intervals, intervals).map(lambda box: (*(t * DURATION / 10 for t in box[0]), *(f * NYQUIST / 10 for f in box[1]))),
    min_size=1,
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    boxes,
    st.sampled_from([(FREQUENCY,), (FRAMES,), (FREQUENCY, FRAMES), (FRAMES, FREQUENCY), (OTHER, FRAMES)]),
    st.integers(1, 2),
    st.sampled_from(
        [
            {},
            {"placement": {"offset": 70, "samples": 600}},  # as it was written before cuts were noted
            {"placement": {"offset": 70, "samples": 600, "start": 0}},
            {"placement": {"offset": 70, "samples": 300, "start": 160}},
        ]
    ),
    st.sampled_from([(0.0, 0.0), (0.012, 130.0)]),
)
def test_the_mask_is_that_of_a_loop(rows, axes, channels, facts, margins):
    item = explanation(rows, *axes, channels=channels, **facts)
    slow = slow_mask(item, *margins)
    if slow.all() or not slow.any():
        with pytest.raises(DataError, match="covers (everything|no cell)"):
            truth_mask(item, margin_s=margins[0], margin_hz=margins[1])
        return
    fast = truth_mask(item, margin_s=margins[0], margin_hz=margins[1])
    assert fast.dtype == bool
    np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize("offset", [0, 1, 77, 399])
def test_samples_are_counted_exactly(offset):
    """A burst from sample 123 to 323 is 200 samples, wherever the recording was placed."""
    item = explanation([(123 / RATE, 323 / RATE, 0, NYQUIST)], TIME, placement={"offset": offset, "samples": 400})
    np.testing.assert_array_equal(np.flatnonzero(truth_mask(item)[0]), np.arange(123, 323) + offset)


def test_axes_that_a_box_does_not_restrict_are_covered():
    in_time = explanation([(0.02, 0.05, 0, NYQUIST)], FREQUENCY, FRAMES)
    assert (truth_mask(in_time) == truth_mask(in_time)[:, :1]).all()
    # The last frame's centre lies behind the recording's end.
    in_frequency = explanation([(0, DURATION, 400, 600)], FREQUENCY, FRAMES)
    assert FRAMES.centres[-1] > DURATION
    assert (truth_mask(in_frequency) == truth_mask(in_frequency)[..., :1]).all()


def test_a_box_up_to_the_highest_frequency_of_the_recording_covers_all():
    """A recording at 4 kHz has no sound above 2 kHz, whatever rate the model reads it at."""
    box = [(0.02, 0.05, 0, 2000)]
    assert truth_domain(explanation(box, FREQUENCY, FRAMES, original_sample_rate=4000)) == "time"
    assert truth_domain(explanation(box, FREQUENCY, FRAMES, original_sample_rate=8000)) == "time-frequency"
    assert truth_domain(explanation([(0.02, 0.05, 0, 4000)], FREQUENCY, FRAMES, original_sample_rate=44100)) == "time"


@pytest.mark.parametrize(
    ("rows", "domain"),
    [
        ([(0.02, 0.05, 0, NYQUIST)], "time"),
        ([(0, DURATION, 400, 600), (0, DURATION, 900, NYQUIST)], "frequency"),
        ([(0, DURATION - 1 / RATE, 400, 600)], "frequency"),  # resampling rounds the length to whole samples
        ([(0, DURATION - 2 / RATE, 400, 600)], "time-frequency"),
        ([(0.02, 0.05, 400, 600)], "time-frequency"),
        ([(0.02, 0.05, 0, NYQUIST), (0, DURATION, 400, 600)], "time-frequency"),
    ],
)
def test_the_domain_in_which_the_truth_says_where(rows, domain):
    assert truth_domain(explanation(rows, TIME)) == domain


def test_truth_that_says_nothing_here_is_refused_in_one_line():
    cases = [
        (explanation([(0, DURATION, 400, 600)], TIME), "'boxes.tone' of some.wav covers everything in time"),
        (explanation([(0.02, 0.05, 0, NYQUIST)], FREQUENCY), "covers everything in frequency"),
        (explanation([(0.0401, 0.0402, 0, NYQUIST)], FRAMES), "covers no cell in time"),
        (explanation(np.zeros((0, 4)), FRAMES), r"shape \(0, 4\); expected finite rows"),
        (explanation([(0, 1, 2)], FRAMES), r"shape \(1, 3\); expected finite rows"),
        (explanation([(0, np.nan, 2, 3)], FRAMES), "expected finite rows"),
    ]
    for item, message in cases:
        with pytest.raises(DataError, match=message) as caught:
            truth_mask(item)
        assert "\n" not in str(caught.value)


def test_a_recording_without_truth_is_named_with_what_it_has():
    item = explanation([(0.02, 0.05, 0, NYQUIST)], TIME)
    with pytest.raises(DataError, match=r"some\.wav has no truth 'decoys\.tone' \(known: boxes\.tone\)"):
        truth_mask(item, "decoys.tone")
    with pytest.raises(DataError, match="no truth 'decoys.tone'"):
        truth_domain(item, "decoys.tone")


def test_short_recordings_that_are_placed_within_zeros():
    """The truth moves with the recording, through resampling and all."""
    rng = np.random.default_rng(0)
    sound = np.zeros(6000, np.float32)
    sound[2000:2400] = rng.normal(0, 0.1, 400)
    clip = Clip(sound, 16000, truth={"boxes.": np.array([[2000 / 16000, 2400 / 16000, 0, 8000]])})

    def loudness(model, features, target):
        return features**2

    import torch

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8000, 2))
    found = explain(network, clip, representation="waveform", explainer=loudness)
    assert found.provenance["placement"]["offset"] > 0
    mask = truth_mask(found)
    assert mask.sum() == 200
    # But for the ringing of the resampler.
    assert found.relevance[mask].sum() > 0.97 * found.relevance.sum()
    with pytest.raises(DataError, match="covers everything in frequency"):
        truth_mask(found.view("frequency"))
    assert found.view("frequency").features.shape == (1, 4001)


@pytest.mark.parametrize(("fit", "rate"), [("trim", 8000), ("loudest", 8000), ("trim", 16000), ("loudest", 16000)])
def test_truth_stays_where_the_evidence_is_when_a_recording_is_cut(fit, rate):
    """A burst 1.3 s into a recording of 2 s, of which the model hears one second or less."""
    import torch

    def loudness(model, features, target):
        return features**2

    burst = slice(round(1.3 * rate), round(1.35 * rate))
    sound = np.zeros(2 * rate)
    sound[round(0.9 * rate) : round(1.5 * rate)] = 0.01 * (-1) ** (np.arange(round(0.6 * rate)) // 4)
    sound[burst] += np.random.default_rng(3).normal(0, 0.2, burst.stop - burst.start)
    clip = Clip(sound.astype(np.float32), rate, truth={"boxes.": np.array([[1.3, 1.35, 0, rate / 2]])})
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8000, 2))
    found = explain(network, clip, representation="waveform", explainer=loudness, fit=fit)
    placement = found.provenance["placement"]
    assert placement["start"] > 0
    mask = truth_mask(found)
    assert mask.sum() == 400
    assert found.relevance[mask].sum() > 0.9 * found.relevance.sum()
    # The whole of what is left says nothing of time.
    heard = np.array([[placement["start"], placement["start"] + placement["samples"], 0, 0]]) / 8000 + [[0, 0, 100, 200]]
    whole = replace(found, clip=replace(found.clip, truth={"boxes.": heard}))
    assert truth_domain(whole) == "frequency"


def test_a_saved_explanation_keeps_its_truth(tmp_path):
    item = explanation([(0.02, 0.05, 400, 600)], FREQUENCY, FRAMES)
    again = Explanation.load(item.save(tmp_path / "one.safetensors"))
    np.testing.assert_array_equal(truth_mask(again), truth_mask(item))


def test_a_data_set_with_truth_is_among_the_plugins():
    assert "boxes.carriers" in create("dataset", "truth", recordings=160)[0].truth
