"""Measures the parts one after the other, and writes their results as JSON, as text and as a page."""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import xaudio
import xaudio.plugin

from .commands import long_recordings, one_recording
from .contenders import long_runs, pairs, unit
from .files import latency, many_files
from .flipping import flip
from .functions import functions
from .networks import TEXTBOOK, textbook_audionet
from .precision import low_precision
from .preparation import preparation
from .records import Comparison, Flip, LeftOut, Long, Results, Row
from .report import table_text, write_report
from .shapley import shap_pairs
from .sizes import Sizes
from .timing import Clock, ratio
from .training import SPEECH, training

SPEECH_MODEL = "audionet"
"""The model of commands, files and latency."""


class SpeedBenchmark:
    """See `xaudio_bench_speed.speed`.

    Parameters
    ----------
    preset : str
    parts : tuple of str
    sizes : Sizes
    device : str
    seed : int
    """

    def __init__(self, preset: str, parts: tuple[str, ...], sizes: Sizes, device: str, seed: int) -> None:
        self.preset, self.parts, self.sizes, self.seed = preset, parts, sizes, seed
        self.device = xaudio.plugin.resolve_device(device)
        self.clock = Clock(self.device, sizes.rounds)

    def __call__(self, folder: Path) -> None:
        """Run and write ``results.json``, after each part, and ``report.html``; what cannot be measured is left out and named."""
        self.rows: list[Row] = []
        self.longs: list[Long] = []
        self.flips: list[Flip] = []
        self.comparisons: list[Comparison] = []
        self.left_out: list[LeftOut] = []
        took: dict[str, float] = {}
        settings = {"preset": self.preset, "parts": self.parts, **self.sizes._asdict(), "seed": self.seed}
        peak = xaudio.plugin.matrix_peak(self.device, "float32")
        with xaudio.plugin.reported_to(lambda words, share: None):  # to show progress takes time, too
            for part in self.parts:
                start = time.perf_counter()
                _say(part)
                try:
                    self._measure(part, peak)
                except xaudio.XaudioError as error:
                    self.left_out.append(LeftOut(part=part, reason=str(error)))
                took[part] = round((time.perf_counter() - start) / 60, 2)
                self.clock.calibrate()
                results = self._results(peak, took)
                more = {} if part == self.parts[-1] else {"unfinished": True}
                xaudio.plugin.write_run(folder, settings=settings, device=str(self.device), **more)
                xaudio.plugin.write_json(folder / "results.json", results.model_dump())
        print(table_text(results))
        print(f"Report: {self.report(folder)}")

    def _measure(self, part: str, peak: float) -> None:
        if part in ("explainers", "many", "flipping"):
            self._of_models(part, peak)
        else:
            self._compared(part)

    def _results(self, peak: float, took: Mapping[str, float]) -> Results:
        """What has been measured so far."""
        return Results(
            device=self._device_name(),
            threads=torch.get_num_threads(),
            batch=self.sizes.batch,
            rounds=self.sizes.rounds,
            matrix_peak=peak,
            rows=self.rows,
            long_runs=self.longs,
            flips=self.flips,
            comparisons=self.comparisons,
            left_out=self.left_out,
            calibrations=self.clock.calibrations(),
            minutes=dict(took),
        )

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _of_models(self, part: str, peak: float) -> None:
        for spec in self.sizes.models:
            model, waveforms = self._untrained(spec)
            if part == "explainers":
                self.rows += self._rows(spec, model, waveforms, peak)
            elif part == "many" and self.sizes.recordings:
                self.longs.append(self._long(spec, model, waveforms))
            elif part == "flipping" and self.sizes.flips:
                _say(f"{spec}: pixel flipping against a naive loop and Quantus")
                self.flips.append(flip(spec, model, waveforms, self.sizes.flips, self.clock.times))

    def _compared(self, part: str) -> None:
        """Measure one of the parts that compare sides by name."""
        sizes, clock = self.sizes, self.clock
        parts: Mapping[str, Callable[[], Iterable[Comparison | LeftOut]]] = {
            "command": lambda: [one_recording(self._one()[1], clock)],
            "latency": lambda: [latency(*self._one(), clock)],
            "files": lambda: (
                [many_files(self._untrained(SPEECH_MODEL)[1], sizes.recordings, sizes.few, clock)] * bool(sizes.recordings)
            ),
            "long": lambda: long_recordings(sizes.minutes, self.seed, clock),
            "functions": lambda: functions(clock, sizes.networks),
            "preparation": lambda: preparation(sizes.sounds, clock),
            "training": lambda: training(tuple(name for name in sizes.models if name != TEXTBOOK), sizes.steps, clock),
            "precision": lambda: low_precision(sizes.batch, 30 * sizes.steps, clock),
        }
        for made in parts[part]():
            if isinstance(made, LeftOut):
                self.left_out.append(made)
            else:
                _say(f"{part}: {made.name}")
                self.comparisons.append(made)

    def _one(self) -> tuple[xaudio.Model, Tensor]:
        model, waveforms = self._untrained(SPEECH_MODEL)
        return model, waveforms[0]

    def _untrained(self, spec: str) -> tuple[xaudio.Model, Tensor]:
        """An untrained model, and recordings of synthetic speech (recordings, samples)."""
        name, options = xaudio.plugin.parse_spec(spec)
        speech = xaudio.create("dataset", "synthetic", seed=self.seed, **SPEECH)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = textbook_audionet(10) if name == TEXTBOOK else xaudio.create("model", name, **{**options, "classes": 10})
        reads, read_options = xaudio.plugin.parse_spec(str(network.representation))
        representation = xaudio.create("representation", reads, **read_options)
        model = xaudio.Model(network.eval().requires_grad_(False), representation, tuple("0123456789"))
        model.to(self.device)
        count = max(self.sizes.batch, min(self.sizes.recordings, len(speech)))
        chosen = np.arange(count) % len(speech)
        _, waveforms = next(xaudio.plugin.placed_waveforms(model, speech, chosen, batch_size=count))
        return model, waveforms

    def _rows(self, spec: str, model: xaudio.Model, waveforms: Tensor, peak: float) -> list[Row]:
        with torch.no_grad():
            features = model.features(waveforms[: self.sizes.batch])
            target = model.logits(features).argmax(1)
        base = unit(model.network, features, target)
        rows = []
        for pair in (*pairs(model.network, features, target), *shap_pairs(spec, model.network, features, target)):
            if isinstance(pair, LeftOut):
                self.left_out += [pair] * (pair not in self.left_out)
                continue
            _say(f"{spec}: {pair.name} against {pair.library}")
            difference = _difference(pair.xaudio(), pair.other())  # also the first, slower call of each
            operations = [xaudio.plugin.count_operations(run) for run in (pair.xaudio, pair.other)]
            times = self.clock.times([base, pair.xaudio, pair.other])
            medians = [statistics.median(seconds) for seconds in times]
            faster = ratio(times[1], times[2])
            rows.append(
                Row(
                    model=spec,
                    method=pair.name,
                    library=pair.library,
                    unit_seconds=medians[0],
                    seconds=medians[1],
                    library_seconds=medians[2],
                    units=ratio(times[0], times[1]).median,
                    library_units=ratio(times[0], times[2]).median,
                    ratio=faster.median,
                    low=faster.low,
                    high=faster.high,
                    share_of_peak=operations[0] / medians[1] / peak,
                    library_share_of_peak=operations[1] / medians[2] / peak,
                    difference=difference,
                    rounds=dict(zip(("unit", "xaudio", pair.library), times, strict=True)),
                )
            )
        return rows

    def _long(self, spec: str, model: xaudio.Model, waveforms: Tensor) -> Long:
        share = min(-(-self.sizes.recordings // self.clock.rounds), 2 * self.sizes.few)
        many = waveforms.repeat(1 + share // len(waveforms), 1)[:share].cpu()
        ours, theirs = long_runs(model, many, self.sizes.batch)
        _say(f"{spec}: {share} recordings a round through xaudio.explain against a loop with zennit")
        long_runs(model, many[: self.sizes.batch], self.sizes.batch)[0]()
        times = self.clock.times([ours, theirs])
        faster = ratio(*times)
        return Long(
            model=spec,
            recordings=share * self.clock.rounds,
            seconds=sum(times[0]),
            library_seconds=sum(times[1]),
            ratio=faster.median,
            low=faster.low,
            high=faster.high,
            rounds=dict(zip(("xaudio", "zennit"), times, strict=True)),
        )

    def _device_name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{self.device} ({_processor()})"


def _difference(one: Tensor, other: Tensor) -> float:
    """Largest difference, relative to the largest magnitude."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=torch.finfo(other.dtype).tiny))


def _processor() -> str:
    """The processor's name and number of cores, as far as the system tells."""
    facts = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", facts.read_text()) if facts.is_file() else []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _say(line: Any) -> None:
    print(line, file=sys.stderr, flush=True)
