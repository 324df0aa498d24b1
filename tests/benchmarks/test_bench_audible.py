"""How good sounds are: measures against their definitions, evidence that is exact, and the table from command to page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import stft
from typer.testing import CliRunner

import xaudio
import xaudio.plugin
from xaudio import DataError, ModelError, PluginError
from xaudio.cli.app import app
from xaudio_bench_audible.benchmark import all_settings, evidence_of, measured, recognised
from xaudio_bench_audible.measures import MEASURES, artefact_measures, evidence_measures, flatness
from xaudio_bench_audible.results import Results
from xaudio_bench_audible.table import overall, score_of

RATE = 8000
KEPT = Path(__file__).parents[2] / "benchmarks" / "results"
DATA = "truth:recordings=160"
RENDERERS = "audible,audible:domain=waveform,normalisation=maximum,smooth_ms=0"


def noise(seed=0, samples=RATE):
    return np.random.default_rng(seed).standard_normal(samples) * 0.1


def tone(hertz=200.0, samples=RATE):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)


# Measures


def test_evidence_measures_are_their_definitions():
    evidence, rest = tone(), noise()
    kept_evidence, kept_rest = 0.5 * evidence, 0.1 * rest
    found = evidence_measures(kept_evidence, evidence, kept_rest, rest)
    sound = kept_evidence + kept_rest
    assert found["kept"] == pytest.approx(0.25)
    assert found["removed"] == pytest.approx(0.99)
    assert found["likeness"] == pytest.approx(np.corrcoef(sound, evidence)[0, 1] ** 2, abs=1e-4)
    best = min(((sound - a * evidence) ** 2).sum() for a in np.linspace(0, 1, 2001))
    assert found["likeness"] == pytest.approx(1 - best / (sound**2).sum(), abs=1e-4)
    louder = evidence_measures(7 * kept_evidence, evidence, 7 * kept_rest, rest)
    assert louder["likeness"] == pytest.approx(found["likeness"])
    perfect = evidence_measures(evidence, evidence, 0 * rest, rest)
    assert list(perfect.values()) == pytest.approx([1, 1, 1])
    assert np.isnan(evidence_measures(0 * rest, 0 * rest, rest, rest)["kept"])
    assert np.isnan(evidence_measures(0 * rest, evidence, 0 * rest, rest)["likeness"])


def test_a_change_of_level_is_no_artefact_and_what_flickers_is():
    recording = noise()
    louder = artefact_measures(0.2 * recording, recording, RATE)
    assert louder["roughness_db"] < -100
    assert louder["clicks_db"] == pytest.approx(0, abs=1e-9)
    slow = recording * np.hanning(RATE)
    flicker = recording * (np.random.default_rng(1).random(RATE) > 0.5)
    values = [artefact_measures(sound, recording, RATE)["roughness_db"] for sound in (slow, flicker)]
    assert values[0] < -20
    assert values[1] > -4
    assert values[1] == pytest.approx(artefact_measures(9 * flicker, recording, RATE)["roughness_db"])
    assert all(np.isnan(value) for value in artefact_measures(0 * recording, recording, RATE).values())


def test_the_edge_of_a_mask_in_a_loud_sound_is_a_click():
    recording = tone(100)
    gate = np.ones(RATE)
    gate[4020:] = 0  # at a crest of the tone
    soft = np.clip(np.linspace(20, -20, RATE), 0, 1)
    hard = artefact_measures(recording * gate, recording, RATE)["clicks_db"]
    assert hard > 20
    assert artefact_measures(recording * soft, recording, RATE)["clicks_db"] < 1
    steps = [np.abs(np.diff(x)).max() / np.abs(x).max() for x in (recording * gate, recording)]
    assert hard == pytest.approx(20 * np.log10(steps[0] / steps[1]))


def test_flatness_is_that_of_noise_and_of_whistles():
    power = np.abs(stft(noise(), RATE, nperseg=256)[2]) ** 2
    whistle = np.abs(stft(tone(1000), RATE, nperseg=256)[2]) ** 2
    frames = [np.exp(np.log(frame).mean()) / frame.mean() for frame in power.T]
    weighted = sum(flat * frame.sum() for flat, frame in zip(frames, power.T, strict=True)) / power.sum()
    assert flatness(power) == pytest.approx(weighted, rel=1e-6)
    assert 0.4 < flatness(power) < 0.7  # exp(-0.577) = 0.56 for complex noise
    assert flatness(whistle) < 0.01
    assert flatness(np.ones((5, 3))) == pytest.approx(1)
    assert np.isnan(flatness(np.zeros((5, 3))))


# Evidence


@pytest.fixture(scope="module")
def truth():
    return xaudio.open_dataset(DATA)


@pytest.mark.parametrize("task", ["carriers", "slot", "conjunction", "clever_hans"])
def test_the_evidence_is_exactly_what_lies_in_the_boxes(truth, task):
    frequencies = np.fft.rfftfreq(RATE, 1 / RATE)
    for index in np.flatnonzero(truth.labels(task) >= 0)[::23]:
        clip, evidence = truth[int(index)], truth.evidence(int(index))
        boxes = clip.truth[f"boxes.{task}"]
        rest = clip.waveform - evidence
        if task in ("slot", "conjunction"):  # bursts: where there are some, only noise is left
            inside = np.zeros(RATE, bool)
            for start, end, _, _ in boxes:
                inside[round(start * RATE) : round(end * RATE)] = True
            assert evidence[inside].all()
            assert not evidence[~inside].any()
            assert rest[inside].std() < 0.75 * clip.waveform[inside].std()
        else:  # tones: where there are some, no peak is left above the noise
            spectrum, left = np.abs(np.fft.rfft(evidence)), np.abs(np.fft.rfft(rest))
            bands = np.zeros(len(frequencies), bool)
            for _, _, low, high in boxes:
                bands |= (frequencies >= low) & (frequencies <= high)
            assert not (spectrum[~bands] > 1e-9 * max(spectrum.max(), 1)).any()
            peaks = spectrum > 0.5 * spectrum.max() if spectrum.any() else np.zeros(len(spectrum), bool)
            assert not peaks.any() or (left[peaks] < 0.5 * spectrum[peaks]).all() or task == "clever_hans"


def test_evidence_is_placed_as_the_recording_is(truth, run_folder):
    item = xaudio.explain(run_folder, truth[0], explainer="amplitude", device="cpu")
    silent = list(np.flatnonzero(truth.labels("carriers") == 0)[:1])
    others = np.flatnonzero(truth.labels("slot") >= 0)[:2]
    items = xaudio.explain(run_folder, [truth[int(i)] for i in (*silent, *others)], explainer="amplitude", device="cpu")
    found = evidence_of(truth, np.array([*silent, *others]), items)
    assert found[0] is None  # no carrier is there
    for index, sound in zip(others, found[1:], strict=True):
        np.testing.assert_array_equal(sound, truth.evidence(int(index)))
    assert evidence_of(xaudio.open_dataset("synthetic:speakers=8,repetitions=1"), np.array([0]), [item]) == [None]
    resampled = xaudio.explain(run_folder, xaudio.Clip(np.tile(truth[0].waveform, 2)[:8820], 8820), explainer="amplitude")
    with pytest.raises(DataError, match="take a model that reads the data set as it is"):
        evidence_of(truth, np.array([0]), [resampled])


# The table


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of slots that has seen a few recordings."""
    folder = tmp_path_factory.mktemp("model") / "slot"
    dataset = xaudio.open_dataset(DATA)
    experiment = xaudio.Experiment(dataset, "slot", 0, "reference", training={"steps": 60})
    xaudio.run_experiment(experiment, folder, torch.device("cpu"))
    return folder


def benchmark(*models, **options):
    given = {"datasets": DATA, "explainers": "lrp:composite=epsilon", "renderers": RENDERERS, "recordings": 17, "device": "cpu"}
    return xaudio.create("benchmark", "audible", models=tuple(map(str, models)), **{**given, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    out = tmp_path_factory.mktemp("audible")
    benchmark(model)(out)
    return out


def read(folder):
    return Results.model_validate_json((folder / "results.json").read_text())


def test_every_combination_is_in_the_results(folder):
    results = read(folder)
    assert results.renderers == list(xaudio.plugin.split_specs(RENDERERS))
    assert results.explainers == ["lrp:composite=epsilon", "amplitude", "random"]
    (only,) = results.models
    assert {(cell.explainer, cell.renderer) for cell in only.cells} == {
        (e, r) for e in results.explainers for r in results.renderers
    }
    for cell in only.cells:
        assert set(cell.scores) == set(MEASURES)
        for name in ("fid_in", "fid_out", "roughness_db", "flatness", "clicks_db"):
            score = cell.scores[name]
            assert score.recordings == 17
            if name.startswith("fid") and score.no_interval:  # the answers are nearly all the same
                assert re.search("values are the same: too few differ", score.no_interval)
            else:
                assert score.low <= score.mean <= score.high
    assert [row.renderer for row in results.overall] == results.renderers
    for row in results.overall:  # one model and one explainer that is no control
        (cell,) = [c for c in only.cells if (c.explainer, c.renderer) == ("lrp:composite=epsilon", row.renderer)]
        assert row.scores == cell.scores
        assert "flatness" not in row.ranks


def test_a_cell_is_what_the_written_files_give(folder, model, tmp_path):
    results = read(folder)
    indices = results.models[0].indices
    loaded = xaudio.load_model(model, "cpu")
    dataset, unheard = xaudio.held_out(loaded, DATA)
    assert set(indices) <= set(unheard.tolist())
    items = xaudio.explain(
        loaded, [dataset[i] for i in indices], explainer="lrp", composite="epsilon", device="cpu", resampling="fft"
    )
    hits, kept, removed = [], [], []
    renderer = xaudio.create("renderer", "audible", domain="waveform", normalisation="maximum", smooth_ms=0)
    for index, item in zip(indices, items, strict=True):
        renderer(item, tmp_path)
        sound = torch.from_numpy(xaudio.read_audio(tmp_path / "positive.wav").waveform)[None]
        with torch.no_grad():
            hits.append(int(loaded.network.eval()(loaded.features(sound)).argmax()) == item.predicted)
        if item.label == item.predicted:
            # Equation 4: the mask is that of the samples, so it weights evidence and rest alike.
            mask = np.maximum(item.relevance[0], 0) / np.abs(item.relevance).max()
            evidence = dataset.evidence(index)
            rest = item.clip.waveform - evidence
            kept.append(((mask * evidence) ** 2).sum() / (evidence**2).sum())
            removed.append(1 - ((mask * rest) ** 2).sum() / (rest**2).sum())
    (cell,) = [c for c in results.models[0].cells if c.explainer.startswith("lrp") and "maximum" in c.renderer]
    assert cell.scores["fid_in"].mean == pytest.approx(np.mean(hits), abs=1e-4)
    for name, values in (("kept", kept), ("removed", removed)):
        score = cell.scores[name]
        assert score.recordings == len(values)
        assert score.mean is None if len(values) < 8 else score.mean == pytest.approx(np.mean(values), abs=1e-4)
    known = evidence_of(dataset, np.array(indices), items)
    by_hand = measured(
        loaded, items, known, xaudio.create("renderer", "audible", domain="waveform", normalisation="maximum", smooth_ms=0)
    )
    right = [index for index, item in enumerate(items) if item.label == item.predicted]
    np.testing.assert_allclose([by_hand["kept"][i] for i in right], kept, rtol=1e-5)
    np.testing.assert_allclose([by_hand["removed"][i] for i in right], removed, rtol=1e-5)
    assert [value is None for value in by_hand["kept"]] == [i not in right for i in range(len(items))]


def test_asking_the_model_leaves_it_as_it_was(model):
    loaded = xaudio.load_model(model, "cpu")
    loaded.network.train()
    sounds = np.stack([noise(seed) for seed in range(3)]).astype(np.float32)
    found = recognised(loaded, sounds)
    assert loaded.network.training
    assert [int(recognised(loaded, sound[None])[0]) for sound in sounds] == found.tolist()


def test_the_same_command_goes_on_and_gives_the_same(folder, model, monkeypatch):
    def again(*arguments, **options):
        raise AssertionError("made again")

    before = read(folder)
    monkeypatch.setattr("xaudio.measuring.scoring.explain_prepared", again)
    monkeypatch.setattr("xaudio_bench_audible.benchmark.measured", again)
    benchmark(model)(folder)
    assert read(folder) == before


def test_a_damaged_value_is_measured_again(folder, model):
    before = read(folder)
    path = next(iter((folder / "model0" / "sounds").glob("*.json")))
    path.write_text(path.read_text()[:-40])
    benchmark(model)(folder)
    assert read(folder) == before


@pytest.mark.parametrize(
    ("other", "message"), [({"recordings": 8}, "recordings was 17, now 8"), ({"renderers": "audible"}, "renderers was")]
)
def test_other_settings_in_the_same_folder_are_refused(folder, model, other, message):
    with pytest.raises(ModelError, match=message):
        benchmark(model, **other)(folder)


def test_the_page_plays_and_needs_nothing_else(folder):
    page = (folder / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert len(re.findall(r'<audio [^>]*src="data:audio/flac', page)) == 1 + 2
    for text in (*MEASURES, "the defaults", "domain=waveform, normalisation=maximum, smooth_ms=0", "Steepest step"):
        assert text in page
    for table in re.findall(r"<table.*?</table>", page, re.S):
        width = len(re.findall("<th", re.search(r"<thead>(.*?)</thead>", table, re.S)[1]))
        for row in re.findall(r"<tr.*?</tr>", re.search(r"<tbody>(.*?)</tbody>", table, re.S)[1], re.S):
            assert len(re.findall("<t[hd]", row)) == width


def test_settings_over_all_models_are_means_over_explainers_without_the_controls():
    rng = np.random.default_rng(0)
    explainers, renderers = ["one", "two", "random"], ["x", "y"]

    def values(high):
        return {name: (rng.random(12) + (5 if high else 0)).tolist() for name in MEASURES}

    models = [{(e, r): values(r == "y") for e in explainers for r in renderers} for _ in range(2)]
    models[0]["one", "x"]["kept"][3] = None
    rows = overall(models, explainers, renderers, 0)
    found = [np.array([m["one", "x"]["kept"], m["two", "x"]["kept"]], dtype=float) for m in models]
    means = np.concatenate([np.nanmean(part, axis=0) for part in found])
    assert rows[0].scores["kept"] == score_of(means, 0)
    assert rows[0].scores["kept"].mean == pytest.approx(means.mean(), abs=1e-4)
    assert (rows[0].ranks["kept"], rows[1].ranks["kept"]) == (2, 1)
    assert (rows[0].ranks["clicks_db"], rows[1].ranks["clicks_db"]) == (1, 2)


def test_from_the_command_line(model, tmp_path, folder):
    given = ["bench", "audible", "--models", model, "--datasets", DATA, "--explainers", "gradient", "--renderers", "audible"]
    done = CliRunner().invoke(
        app, [str(x) for x in [*given, "--recordings", 17, "--examples", 0, "--device", "cpu", "--out", tmp_path]]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"^the defaults +(not measured|[\d.]+ ).* -?[\d.]+ \[-?[\d.]+, -?[\d.]+\]", done.stdout, re.M)
    assert json.loads((tmp_path / "results.json").read_text())["benchmark"] == "audible"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"renderers": "visual"}, "names 'visual'; expected settings of the renderer audible"),
        ({"renderers": "audible:loud=1"}, "loud"),
        ({"renderers": "audible:parts=positive"}, "sets parts"),
        ({"explainers": "lpr"}, "Unknown explainer 'lpr'"),
        ({"examples": -1}, "^-1 does not fit option 'examples' .*: expected int, 0 or more"),
        ({"data": "a,b,c"}, "--data names 3 for 1 models"),
    ],
)
def test_wrong_choices_are_named_before_anything_runs(model, options, message):
    with pytest.raises(PluginError, match=message) as caught:
        benchmark(model, **options)
    assert "\n" not in str(caught.value)


def test_sounds_of_another_length_are_refused(model, tmp_path):
    with pytest.raises(PluginError, match="leave out slow and rate"):
        benchmark(model, renderers="audible:slow=2")(tmp_path)
    with pytest.raises(PluginError, match="needs trained models"):
        benchmark()(tmp_path)


def test_the_settings_are_all_combinations():
    settings = all_settings()
    assert settings[0] == "audible"
    assert len(set(settings)) == 1 + 2 * 4 * 3
    assert xaudio.plugin.split_specs(",".join(settings)) == settings


# What is kept


def test_the_published_schema_is_that_of_the_code():
    assert json.loads((KEPT / "schema-audible.json").read_text()) == Results.model_json_schema(mode="serialization")


@pytest.mark.parametrize("name", ["audible-truth", "audible-speech"])
def test_the_defaults_are_those_that_the_kept_table_speaks_for(name):
    """No other setting does better beyond the intervals: in what is recognised, in what is left out, in likeness."""
    results = xaudio.plugin.read_results(KEPT / name / "results.json", Results)
    assert tuple(results.renderers) == all_settings()
    default = next(row for row in results.overall if row.renderer == "audible")
    assert [default.ranks.get(name, 1) for name in ("kept", "likeness", "fid_in", "fid_out")] == [1] * 4
    equation = next(row for row in results.overall if "waveform,normalisation=maximum,smooth_ms=0" in row.renderer)
    assert default.scores["fid_in"].low > equation.scores["fid_in"].high
    assert default.scores["roughness_db"].high < equation.scores["roughness_db"].low
