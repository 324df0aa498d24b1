"""The generated tasks: the boxes hold all of the evidence and nothing but it, the decoys say nothing, the seed says all."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import xaudio
from xaudio import PluginError
from xaudio.types import Dataset
from xaudio_truth import sounds
from xaudio_truth.dataset import TASKS

RATE, SAMPLES = sounds.RATE, sounds.SAMPLES
BITS = [[bool(label >> bit & 1) for bit in range(4)] for label in range(16)]


def make(**options):
    return xaudio.create("dataset", "truth", **{"recordings": 320, **options})


@pytest.fixture(scope="module")
def dataset():
    return make()


def of_task(dataset, task, every=1):
    return [dataset[index] for index in np.flatnonzero(dataset.labels(task) >= 0)[::every]]


def within(boxes, waveform):
    """What is left of a sound within its boxes: its samples, then, box by box, its frequencies."""
    kept = np.zeros(SAMPLES)
    frequencies = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    for start, end, low, high in boxes:
        inside = np.zeros(SAMPLES)
        inside[round(start * RATE) : round(end * RATE)] = 1
        spectrum = np.fft.rfft(waveform * inside)
        kept += np.fft.irfft(spectrum * ((frequencies >= low) & (frequencies <= high)), SAMPLES)
    return kept


def energies(waveform, bands):
    """Energy between each two frequencies in Hz."""
    spectrum = np.abs(np.fft.rfft(waveform)) ** 2 * 2 / len(waveform)
    frequencies = np.fft.rfftfreq(len(waveform), 1 / RATE)
    return np.array([spectrum[(frequencies >= low) & (frequencies <= high)].sum() for low, high in bands])


def band(waveform, low, high):
    """Energy between two frequencies in Hz."""
    return energies(waveform, [(low, high)])[0]


EVERYWHERE = [(low, low + 400) for low in range(0, 4000, 400)]


def oracle(task, waveform):
    """The label, from how the task is built alone."""
    if task in ("carriers", "clever_hans"):
        levels = energies(waveform, [(carrier - 1, carrier + 1) for carrier in sounds.CARRIERS])
        if task == "clever_hans":
            return int(levels.argmax())
        # A carrier that is there has 36 % of the power of a tone of amplitude 1 or more; the level is not known.
        neighbours = energies(waveform, [(carrier + 3, carrier + 39) for carrier in sounds.CARRIERS]) / 19
        return sum(1 << bit for bit in range(4) if levels[bit] > 30 * neighbours[bit])
    if task == "slot":
        # A burst of noise has energy in every band, a burst of tone in one of them.
        slots = waveform.reshape(sounds.SLOTS, -1)
        bands = [energies(slot, EVERYWHERE) for slot in slots]
        return int(np.median(bands, axis=1).argmax())
    quarters = waveform.reshape(sounds.QUARTERS, -1)[1:3]
    first, second = (energies(quarter, [(key - 100, key + 100) for key in (sounds.LOW, sounds.HIGH)]) for quarter in quarters)
    return int(first[1] * second[0] > first[0] * second[1])


def test_the_data_set_is_one_of_the_installed_plugins(dataset):
    assert isinstance(dataset, Dataset)
    assert (dataset.name, dataset.fit) == ("truth", "error")
    assert list(dataset.tasks) == ["carriers", "slot", "conjunction", "clever_hans"]
    assert [len(classes) for classes in dataset.tasks.values()] == [16, 8, 2, 4]
    assert dataset.tasks["carriers"][0b1010] == "BD"
    assert any("no real sound" in note for note in dataset.notes)


def test_importing_the_plugin_imports_nothing_heavy(run_python):
    code = "import sys, xaudio_truth; print([m for m in ('torch', 'scipy', 'matplotlib') if m in sys.modules])"
    assert run_python(code).stdout.strip() == "[]"


@pytest.mark.parametrize("task", TASKS)
def test_recordings_are_a_second_at_8_khz_with_their_truth_in_it(dataset, task):
    for clip in of_task(dataset, task, 7):
        assert clip.waveform.shape == (8000,)
        assert clip.waveform.dtype == np.float32
        assert 0.1 < np.abs(clip.waveform).max() <= 1
        assert set(clip.truth) <= {f"boxes.{task}", f"decoys.{task}"}
        for boxes in clip.truth.values():
            assert boxes.shape[1] == 4
            assert (boxes[:, 0] < boxes[:, 1]).all()
            assert (boxes[:, 2] < boxes[:, 3]).all()
            assert (boxes[:, [0, 2]] >= 0).all()
            assert (boxes[:, 1] <= 1).all()
            assert (boxes[:, 3] <= 4000).all()


@pytest.mark.parametrize("task", TASKS)
def test_evidence_and_decoys_do_not_overlap(dataset, task):
    for clip in of_task(dataset, task, 11):
        for start, end, low, high in clip.truth[f"boxes.{task}"]:
            for box in clip.truth.get(f"decoys.{task}", []) if task != "clever_hans" else []:
                assert box[0] >= end or box[1] <= start or box[2] > high or box[3] < low


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_what_is_in_the_boxes_tells_the_label(dataset, task):
    clips = of_task(dataset, task, 3)
    found = [oracle(task, within(clip.truth[f"boxes.{task}"], clip.waveform)) for clip in clips]
    assert np.mean([a == clip.labels[task] for a, clip in zip(found, clips, strict=True)]) > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_what_is_outside_the_boxes_does_not(dataset, task):
    """With noise in place of what is in the boxes, the oracle is right by chance only."""
    rng = np.random.default_rng(0)
    clips = of_task(dataset, task)
    hits = []
    for clip in clips:
        boxes = clip.truth[f"boxes.{task}"]
        if task == "conjunction":  # the window of a box in time spreads in frequency, so that the burst goes as a whole
            boxes = boxes.copy()
            boxes[:, 2:] = (0, 4000)
        rest = clip.waveform - within(boxes, clip.waveform)
        background = np.quantile(clip.waveform.reshape(50, -1).std(1), 0.3)  # of bursts; most blocks have none
        noise = within(boxes, rng.normal(0, background, SAMPLES))
        hits.append(oracle(task, rest + noise) == clip.labels[task])
    chance = 1 / len(TASKS[task])
    assert abs(np.mean(hits) - chance) < 4 * np.sqrt(chance * (1 - chance) / len(hits))


BUILDERS = {
    "carriers": lambda label, rng: sounds.carriers(BITS[label], 30, rng),
    "slot": sounds.slot,
    "conjunction": sounds.conjunction,
    "clever_hans": lambda label, rng: sounds.clever_hans(label, 30, 0.5, False, rng),
}


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.sampled_from(list(TASKS)), st.integers(0, 2**32 - 1), st.data())
def test_sounds_of_two_classes_differ_in_the_boxes_alone(task, seed, data):
    """From the same random numbers, all else is the same to the bit: nothing outside the boxes can say anything."""
    labels = st.integers(0, len(TASKS[task]) - 1)
    one, other = data.draw(labels), data.draw(labels)
    first, second = (BUILDERS[task](label, np.random.default_rng(seed)) for label in (one, other))
    assert first.power == second.power
    assert first.decoys == second.decoys
    difference = first.waveform - second.waveform
    assert (one != other) == bool(difference.any())
    boxes = np.array([*first.boxes, *second.boxes])
    if task == "conjunction":  # a burst is as long as its box, so that it has frequencies beyond it; see below
        boxes[:, 2:] = (0, 4000)
    boxes = np.unique(boxes, axis=0)
    np.testing.assert_allclose(within(boxes, difference), difference, atol=1e-9)


@pytest.mark.parametrize(("task", "one", "other", "count"), [("carriers", 0, 15, 4), ("slot", 2, 6, 1), ("conjunction", 0, 1, 2)])
def test_every_box_holds_what_the_class_changes(task, one, other, count):
    """No box is there in vain: from the same random numbers, the sound of another class is another one in each of them."""
    for seed in range(10):
        first, second = (BUILDERS[task](label, np.random.default_rng(seed)) for label in (one, other))
        difference = first.waveform - second.waveform
        assert len(first.boxes) == len(second.boxes) == count
        for box in [*first.boxes, *second.boxes]:
            length = (box[1] - box[0]) * RATE
            assert np.sum(within(np.array([box]), difference) ** 2) > 0.02 * length


def test_a_burst_lies_in_its_band():
    """Of a conjunction's bursts, nearly all energy lies in the box."""
    for seed in range(20):
        sound = sounds.conjunction(seed % 2, np.random.default_rng(seed))
        for start, end, low, high in [*sound.boxes, *sound.decoys]:
            burst = sound.waveform[round(start * RATE) : round(end * RATE)]
            assert band(burst, low, high) > 0.99 * band(burst, 0, 4000)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 15), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_carriers_are_where_they_should_be_and_nothing_else_near(label, others, seed):
    sound = sounds.carriers(BITS[label], others, np.random.default_rng(seed))
    amplitudes = np.abs(np.fft.rfft(sound.waveform)) * 2 / SAMPLES
    found = set(np.flatnonzero(amplitudes > 0.5))
    assert {carrier in found for carrier, there in zip(sounds.CARRIERS, BITS[label], strict=True) if there} <= {True}
    rest = found - set(sounds.CARRIERS)
    assert len(found) - len(rest) == sum(BITS[label])
    assert len(rest) == others == len(sound.decoys)
    assert all(abs(tone - carrier) >= sounds.GUARD for tone in rest for carrier in sounds.CARRIERS)
    assert amplitudes[sorted(found)].max() < 1.4 + 1e-9
    assert np.delete(amplitudes, sorted(found)).max() < 1e-9


@pytest.mark.slow
def test_the_number_of_others_is_as_asked():
    counts = [len(clip.truth["decoys.carriers"]) for clip in of_task(make(fewest_others=3, most_others=5), "carriers", 2)]
    assert set(counts) == {3, 4, 5}
    counts = [len(clip.truth["decoys.carriers"]) for clip in of_task(make(recordings=2000), "carriers", 10)]
    assert (min(counts), max(counts)) == (10, 50)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["carriers", "slot", "conjunction"])
def test_there_are_decoys_in_every_class(dataset, task):
    classes = {clip.labels[task] for clip in of_task(dataset, task) if len(clip.truth[f"decoys.{task}"]) >= 3}
    assert classes == set(range(len(TASKS[task])))


@pytest.mark.slow
def test_neither_time_nor_frequency_alone_tells_a_conjunction(dataset):
    """A linear rule on the energy per quarter and tone is right; on that per quarter, or per tone, it guesses."""
    clips = of_task(make(recordings=1000), "conjunction")
    labels = np.array([clip.labels["conjunction"] for clip in clips])
    tones = (sounds.LOW, sounds.BESIDE[0], sounds.HIGH, sounds.BESIDE[1])
    around = [(tone - 120, tone + 120) for tone in tones]
    energy = np.array([[energies(part, around) for part in clip.waveform.reshape(4, -1)] for clip in clips])
    energy = np.log(energy / energy.sum((1, 2), keepdims=True) + 1e-4)

    def accuracy(inputs):
        inputs = np.column_stack([inputs.reshape(len(inputs), -1), np.ones(len(inputs))])
        weights = np.linalg.lstsq(inputs[::2], labels[::2] - 0.5, rcond=None)[0]
        return ((inputs[1::2] @ weights > 0) == labels[1::2]).mean()

    assert accuracy(energy) == 1
    assert accuracy(np.exp(energy).sum(2)) < 0.58
    assert accuracy(np.exp(energy).sum(1)) < 0.58


def click_quarters(dataset, indices):
    """Quarter of each recording's click, -1 where there is none."""
    boxes = [dataset[index].truth.get("decoys.clever_hans") for index in indices]
    return np.array([-1 if box is None else int(box[0, 0] * 4) for box in boxes])


@pytest.mark.slow
def test_the_click_follows_the_label_in_training_only():
    dataset = make(recordings=1000)
    labels, (fold,) = dataset.labels("clever_hans"), dataset.folds("clever_hans")
    for part in (fold.train, fold.validation):
        quarters = click_quarters(dataset, part)
        assert (quarters >= 0).mean() == pytest.approx(0.6, abs=0.12)
        np.testing.assert_array_equal(quarters[quarters >= 0], labels[part][quarters >= 0])
    quarters = click_quarters(dataset, fold.test)
    found, truth = quarters[quarters >= 0], labels[fold.test][quarters >= 0]
    assert len(found) > 60
    # 25 % by chance; and every label comes with every quarter.
    assert (found == truth).mean() < 0.45
    assert len(set(zip(found, truth, strict=True))) == 16


@pytest.mark.parametrize(("planted", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_share_of_clicks_is_as_asked(planted, share):
    dataset = make(planted=planted)
    indices = np.flatnonzero(dataset.labels("clever_hans") >= 0)[::3]
    assert (click_quarters(dataset, indices) >= 0).mean() == share


def test_the_click_is_where_its_box_is():
    """The recording with a click less the one without, from the same random numbers."""
    for seed in range(10):
        quiet, clicked = (sounds.clever_hans(2, 20, planted, False, np.random.default_rng(seed)) for planted in (0.0, 1.0))
        samples = np.flatnonzero(quiet.waveform != clicked.waveform)
        ((start, end, low, high),) = clicked.decoys
        assert (samples[0], samples[-1] + 1) == (round(start * RATE), round(end * RATE))
        assert (low, high) == (0, 4000)
    bands = energies(sounds.click(), EVERYWHERE)
    assert max(bands) < 0.4 * sum(bands)  # it has no pitch


def test_the_seed_determines_everything(dataset):
    again, other = make(), make(seed=1)
    for index in range(0, len(dataset), 77):
        first, second = dataset[index], again[index]
        assert first.waveform.tobytes() == second.waveform.tobytes()
        assert all(np.array_equal(first.truth[key], second.truth[key]) for key in first.truth)
        assert first.waveform.tobytes() != other[index].waveform.tobytes()
    assert len({dataset[index].waveform.tobytes() for index in range(0, len(dataset), 20)}) == len(dataset) / 20


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.integers(160, 400), st.integers(0, 3), st.integers(0, 159))
def test_a_recording_does_not_depend_on_how_many_there_are(recordings, task, index):
    small, large = make(recordings=recordings), make(recordings=500)
    first, second = small[task * recordings + index], large[task * 500 + index]
    assert (first.source, first.speaker, first.labels) == (second.source, second.speaker, second.labels)
    assert first.waveform.tobytes() == second.waveform.tobytes()


@pytest.mark.parametrize("task", TASKS)
def test_folds_share_no_group_and_have_every_class(dataset, task):
    labels, speakers = dataset.labels(task), np.array(dataset.speakers)
    folds = dataset.folds(task)
    assert len(folds) == (1 if task == "clever_hans" else 5)
    for fold in folds:
        groups = [set(speakers[part]) for part in fold]
        assert [len(group) for group in groups] == [6, 2, 2]
        assert len(set.union(*groups)) == 10
        for part in fold:
            assert set(labels[part]) == set(range(len(TASKS[task])))
    assert sum(map(len, folds[0])) == 320


def test_the_level_of_the_noise_is_as_asked():
    """Between the tones there is nothing but noise."""

    def level(noise):
        waveforms = [clip.waveform for clip in of_task(make(noise=noise), "carriers", 8)]
        spectra = np.abs(np.fft.rfft(waveforms)) ** 2
        return 10 * np.log10(np.median(spectra) / np.median(spectra.max(1)))

    assert level(-40.0) == pytest.approx(level(-10.0) - 30, abs=1)


def test_the_fingerprint_follows_the_options():
    options = [
        {},
        {"seed": 1},
        {"noise": -20.0},
        {"planted": 0.7},
        {"fewest_others": 11},
        {"most_others": 49},
        {"recordings": 330},
    ]
    prints = [make(**one).fingerprint() for one in options]
    assert len(set(prints)) == len(options)
    assert make().fingerprint() == prints[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recordings": 159}, "159 .*'recordings' .*: expected int, 160 or more"),
        ({"fewest_others": 0}, "0 .*'fewest_others' .*: expected int, 1 or more, 60 at most"),
        ({"fewest_others": 20, "most_others": 19}, "the fewest not above the most"),
        ({"most_others": 61}, "61 .*'most_others' .*: expected int, 1 or more, 60 at most"),
        ({"noise": 1.0}, "1.0 .*'noise' .*: expected float, -60 or more, 0 at most"),
        ({"noise": float("nan")}, "nan .*'noise' .*: expected float, -60 or more, 0 at most, finite"),
        ({"planted": 1.1}, "1.1 .*'planted' .*: expected float, 0 or more, 1 at most"),
        ({"seed": -1}, "-1 .*'seed' .*: expected int, 0 or more"),
    ],
)
def test_options_out_of_range_are_refused_in_one_line(options, message):
    with pytest.raises(PluginError, match=message) as caught:
        make(**options)
    assert "\n" not in str(caught.value)
