"""The parts of the benchmark of speed that compare sides by name: ratios follow from the seconds, and other work is noticed."""

import json
import runpy
import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio import PluginError
from xaudio_bench_speed import bare, benchmark, commands, files, functions, preparation, watched
from xaudio_bench_speed.precision import _agreement
from xaudio_bench_speed.records import Comparison, LeftOut, Results
from xaudio_bench_speed.report import table_text
from xaudio_bench_speed.sizes import PARTS, PRESETS, chosen_parts, chosen_sizes
from xaudio_bench_speed.timing import Clock, comparison, median_interval, ratio

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def results(tmp_path_factory, session_cache):
    out = tmp_path_factory.mktemp("parts")
    options = {"preset": "short", "parts": "latency,preparation,training", "models": "audionet", "rounds": 2, "batch": 1}
    xaudio.create("benchmark", "speed", recordings=2, device="cpu", **options)(out)
    assert "Speed of explanations" in (out / "report.html").read_text()
    assert json.loads((out / "run.json").read_text())["settings"]["parts"] == ["latency", "preparation", "training"]
    return Results.model_validate(json.loads((out / "results.json").read_text()))


def test_ratios_follow_from_the_seconds_in_the_file(results):
    assert {made.part for made in results.comparisons} == {"latency", "preparation", "training"}
    for made in results.comparisons:
        base = made.seconds[made.base]
        assert {len(seconds) for seconds in made.seconds.values()} == {2}
        assert set(made.ratios) == set(made.seconds) - {made.base}
        for side, told in made.ratios.items():
            assert told.median == pytest.approx(median(one / by for one, by in zip(made.seconds[side], base, strict=True)))
            assert (told.low, told.high) == (None, None)  # of two rounds
        assert made.name in table_text(results)
    assert set(results.minutes) == {"latency", "preparation", "training"}
    assert results.calibrations is not None
    assert len(results.calibrations.loop_seconds) >= 2 * len(results.comparisons)


def test_xaudio_prepares_what_the_published_pipeline_does(results):
    (made,) = [made for made in results.comparisons if made.name == "files to spectrograms"]
    assert made.values["largest difference in dB"] < 0.1  # of float32, near the floor of 80 dB


def test_librosa_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    monkeypatch.setattr(preparation, "_prepared", lambda model, data, cache: np.zeros((len(data), 227, 227)))
    *_, left = preparation.preparation(1, Clock(CPU, 1))
    assert isinstance(left, LeftOut)
    assert left.reason.startswith("librosa cannot be imported: ")


def test_a_part_that_cannot_be_measured_is_named_and_the_others_are_kept(tmp_path, monkeypatch, session_cache):
    def refuse(*arguments):
        raise xaudio.OutputError("no room")

    monkeypatch.setattr(benchmark, "one_recording", refuse)
    monkeypatch.setattr(
        benchmark, "functions", lambda clock, count: iter([comparison("functions", "a", {"unit": [1.0]}, base="unit")])
    )
    options = {"preset": "short", "parts": "command,functions", "rounds": 1, "device": "cpu", "recordings": 1, "batch": 1}
    xaudio.create("benchmark", "speed", **options)(tmp_path)
    kept = Results.model_validate_json((tmp_path / "results.json").read_text())
    assert kept.left_out == [LeftOut(part="command", reason="no room")]
    assert [made.name for made in kept.comparisons] == ["a"]
    assert "unfinished" not in json.loads((tmp_path / "run.json").read_text())


def test_an_interval_holds_the_median_as_often_as_it_says():
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0]) is None
    assert median_interval([3.0, 1.0, 2.0, 6.0, 4.0, 5.0]) == (1.0, 6.0)
    generator = np.random.default_rng(0)
    for count in (6, 9, 20):
        drawn = generator.exponential(size=(2000, count))
        held = [low <= np.log(2) <= high for low, high in map(median_interval, drawn.tolist())]
        assert np.mean(held) > 0.94
    narrow = median_interval(np.arange(20.0).tolist())
    assert narrow == (5.0, 14.0)  # the sixth of twenty from either side (tables of the sign test)


def test_a_ratio_is_of_the_same_round():
    told = ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])
    assert told.median == 2.0
    made = comparison("part", "name", {"one": [1.0] * 6, "two": [2.0, 2.0, 2.0, 3.0, 3.0, 4.0]}, base="one")
    assert made.ratios["two"].model_dump() == {"median": 2.5, "low": 2.0, "high": 4.0}


@pytest.mark.parametrize(
    ("loop", "product", "busy"),
    [
        ([(1.0, 1.0)] * 8, [(1.0, 1.0)] * 8, False),
        ([(1.0, 0.6)] * 8, [(1.0, 1.0)] * 8, True),  # the thread waits for its turn
        ([(1.0, 1.0)] * 8, [(1.0, 0.5)] * 8, True),  # threads wait for another
        ([(1.0, 1.0)] * 4 + [(2.0, 2.0)] * 4, [(1.0, 1.0)] * 8, True),  # the same work takes twice as long now and then
    ],
)
def test_other_work_is_noticed(loop, product, busy, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    clock = Clock(CPU, 1)
    clock.loop, clock.product = loop, product
    said = clock.calibrations()
    assert said.beside_other_work == busy
    head = {"device": "cpu", "threads": 1, "batch": 1, "rounds": 1, "matrix_peak": 1e9, "rows": [], "long_runs": [], "flips": []}
    text = table_text(Results.model_construct(comparisons=[], left_out=[], calibrations=said, **head))
    assert ("OTHER WORK" in text) == busy


def test_each_round_is_calibrated():
    clock = Clock(CPU, 3)
    made = clock.compare("part", "name", {"xaudio": lambda: None, "other": lambda: None})
    assert len(made.seconds["xaudio"]) == len(clock.loop) == len(clock.product) == 3


def test_steps_within_steps_are_counted_once(monkeypatch):
    moments = iter([10.0, 11.0, 13.0, 14.0, 19.0, 21.0])  # the outer begins, the inner twice begins and ends, the outer ends
    monkeypatch.setattr(watched, "time", SimpleNamespace(time=lambda: 105.0, perf_counter=moments.__next__))
    steps = watched.Steps(100.0)
    inner = steps.of("inner", lambda: 1)
    outer = steps.of("outer", lambda: inner() + inner())
    assert outer() == 2
    assert steps.seconds == {"start": 5.0, "inner": 7.0, "outer": 4.0}


def test_the_most_memory_of_a_process_is_in_bytes():
    assert 1e7 < watched.peak_bytes() < 1e12


def test_long_recordings_are_explained_by_a_command_that_says_its_steps_and_its_memory(session_cache, processes):
    (made,) = commands.long_recordings([0.05], 0, Clock(CPU, 1))
    assert {"start", "model", "picture", "sounds", "page", "rest"} <= set(made.steps)
    assert all(seconds > 0 for (seconds,) in made.steps.values())
    assert sum(seconds for (seconds,) in made.steps.values()) <= made.seconds["xaudio explain"][0]  # which also has the end
    assert 1e8 < made.peak_bytes["xaudio explain"] < 1e10


def test_one_recording_is_explained_with_all_its_files(tmp_path, monkeypatch):
    told = {"steps": {"start": 1.0, "picture": 0.5}, "peak_bytes": 1.0}
    started = []
    monkeypatch.setattr(commands, "trained", lambda folder, device: folder)
    monkeypatch.setattr(commands, "run_python", started.append)
    monkeypatch.setattr(commands, "_watched", lambda folder, arguments: told)
    made = commands.one_recording(torch.zeros(8000), Clock(CPU, 2))
    assert made.base == "bare script"
    assert made.steps == {"start": [1.0, 1.0], "picture": [0.5, 0.5]}
    assert sum(run[:3] == ["-m", "xaudio", "explain"] for run in started) == 3  # one before, and a round each


def test_the_bare_script_draws(tmp_path):
    bare.main(str(tmp_path / "picture.png"))
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_both_sides_write_files_for_each_recording(tmp_path, monkeypatch, session_cache):
    seen = []
    monkeypatch.setattr(files, "run_python", lambda arguments: seen.append(arguments))
    waveforms = 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    made = files.many_files(waveforms, 2, 1, Clock(CPU, 1))
    assert len(made.seconds) == 3
    ((_, _, command, *options),) = seen
    assert (command, "--workers" in options, "visual,audible" in options) == ("explain", True, True)
    model = xaudio.Model(
        xaudio.create("model", "audionet", classes=10).eval(), xaudio.create("representation", "waveform"), tuple("0123456789")
    )
    (path,) = files._written(tmp_path, waveforms, 1)
    files._loop(model, [path], tmp_path / "loop")
    assert sorted(file.name for file in (tmp_path / "loop").iterdir()) == [
        *("0000-against.wav", "0000-for.wav", "0000.npz", "0000.png")
    ]


def test_functions_are_timed_in_units(monkeypatch):
    class Answer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))

        def forward(self, features):
            return type("Output", (), {"logits": self.layers(features)})

    monkeypatch.setattr(functions, "networks", lambda: iter([("small", Answer(), torch.randn(2, 1, 8))] * 2))
    (made,) = functions.functions(Clock(CPU, 2), 1)
    assert made.base == "unit"
    assert set(made.ratios) == set(functions.COMPOSITES)


def test_agreement_of_the_same_relevance_is_whole():
    generator = np.random.default_rng(0)
    one, other = (xaudio_like(generator.standard_normal((1, 500))) for _ in range(2))
    assert _agreement({"float32": [one], "bfloat16": [one]}, None) == {
        "rank correlation": pytest.approx(1.0),
        "least rank correlation": pytest.approx(1.0),
        "share of the highest 1 %": 1.0,
    }
    assert abs(_agreement({"float32": [one], "bfloat16": [other]}, None)["rank correlation"]) < 0.2


def xaudio_like(relevance):
    return type("Explained", (), {"relevance": relevance})


def test_parts_and_sizes():
    assert chosen_parts(()) == PARTS
    assert chosen_parts(("files", "command")) == ("command", "files")
    with pytest.raises(PluginError, match="Unknown part of the benchmark 'fils'. Did you mean 'files'"):
        chosen_parts(("fils",))
    assert chosen_sizes("short", {"batch": 7, "rounds": None}) == PRESETS["short"]._replace(batch=7)
    assert PRESETS["full"].rounds >= 6  # or there would be no intervals


def test_a_comparison_is_exact_about_its_fields():
    with pytest.raises(ValueError, match="Extra inputs"):
        Comparison(part="a", name="b", base="c", seconds={}, ratios={}, other=1)


@pytest.fixture(scope="module")
def tables():
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "speed_tables.py"))


def test_the_guide_holds_the_tables_of_the_kept_results(tables):
    kept = Results.model_validate_json((tables["KEPT"] / "results.json").read_text(encoding="utf-8"))
    guide = tables["GUIDE"].read_text(encoding="utf-8")
    assert tables["written"](guide, kept) == guide, "python benchmarks/speed_tables.py"
    assert {match[2] for match in tables["BLOCK"].finditer(guide)} == set(tables["TABLES"]) == {*PARTS, "machine"} - {"many"}


def test_tables_hold_what_was_measured_and_leave_alone_what_was_not(tables, results):
    guide = tables["GUIDE"].read_text(encoding="utf-8")
    new = tables["written"](guide, results)
    blocks = {match[2]: match[0] for match in tables["BLOCK"].finditer(new)}
    before = {match[2]: match[0] for match in tables["BLOCK"].finditer(guide)}
    assert blocks["files"] == before["files"]
    for made in results.comparisons:
        assert f"| {made.name} |" in blocks[made.part]
        for side in made.ratios:
            assert f"| {side} | {median(made.seconds[side]):.4g} | {made.ratios[side].text} | {made.base} |" in blocks[made.part]
