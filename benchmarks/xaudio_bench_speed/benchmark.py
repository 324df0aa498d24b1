"""Times both sides in turns, several rounds; medians and ratios, as a table and as JSON."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import xaudio
import xaudio.plugin

from .contenders import Run, long_runs, pairs, unit
from .flipping import flip
from .networks import TEXTBOOK, textbook_audionet
from .report import Long, Results, Row, table_text, write_report


class SpeedBenchmark:
    """See `xaudio_bench_speed.speed`.

    Raises
    ------
    PluginError
        If a number is too small.
    """

    def __init__(
        self, models: tuple[str, ...], batch: int, rounds: int, recordings: int, flips: int, device: str, seed: int
    ) -> None:
        self.models, self.batch, self.rounds, self.recordings, self.flips = models, batch, rounds, recordings, flips
        self.device, self.seed = xaudio.plugin.resolve_device(device), seed

    def __call__(self, folder: Path) -> None:
        """Run and write ``results.json`` and ``report.html``."""
        peak = xaudio.plugin.matrix_peak(self.device, "float32")
        rows, longs, flips = [], [], []
        for spec in self.models:
            model, waveforms = self._untrained(spec)
            rows += self._rows(spec, model, waveforms, peak)
            if self.recordings:
                longs.append(self._long(spec, model, waveforms))
            if self.flips:
                _say(f"{spec}: pixel flipping against a naive loop and Quantus")
                flips.append(flip(spec, model, waveforms, self.flips, lambda runs: self._times(runs, min(self.rounds, 3))))
        results = Results(
            device=self._device_name(),
            threads=torch.get_num_threads(),
            batch=self.batch,
            rounds=self.rounds,
            matrix_peak=peak,
            rows=rows,
            long_runs=longs,
            flips=flips,
        )
        settings = {name: getattr(self, name) for name in ("models", "batch", "rounds", "recordings", "flips", "seed")}
        xaudio.plugin.write_run(folder, settings=settings, device=str(self.device))
        xaudio.plugin.write_json(folder / "results.json", results.model_dump())
        print(table_text(results))
        print(f"Report: {self.report(folder)}")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _untrained(self, spec: str) -> tuple[xaudio.Model, Tensor]:
        """An untrained model, and recordings of synthetic speech (recordings, samples)."""
        name, options = xaudio.plugin.parse_spec(spec)
        speech = xaudio.create("dataset", "synthetic", seed=self.seed)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = textbook_audionet(10) if name == TEXTBOOK else xaudio.create("model", name, **{**options, "classes": 10})
        reads, read_options = xaudio.plugin.parse_spec(str(network.representation))
        representation = xaudio.create("representation", reads, **read_options)
        model = xaudio.Model(network.eval().requires_grad_(False), representation, tuple("0123456789"))
        model.to(self.device)
        count = max(self.batch, min(self.recordings, len(speech)))
        chosen = np.arange(count) % len(speech)
        _, waveforms = next(xaudio.plugin.placed_waveforms(model, speech, chosen, batch_size=count))
        return model, waveforms

    def _rows(self, spec: str, model: xaudio.Model, waveforms: Tensor, peak: float) -> list[Row]:
        with torch.no_grad():
            features = model.features(waveforms[: self.batch])
            target = model.logits(features).argmax(1)
        base = unit(model.network, features, target)
        rows = []
        for pair in pairs(model.network, features, target):
            _say(f"{spec}: {pair.name} against {pair.library}")
            difference = _difference(pair.xaudio(), pair.other())  # also the first, slower call of each
            operations = [xaudio.plugin.count_operations(run) for run in (pair.xaudio, pair.other)]
            times = self._times([base, pair.xaudio, pair.other])
            medians = [statistics.median(found) for found in times]
            rows.append(
                Row(
                    model=spec,
                    method=pair.name,
                    library=pair.library,
                    unit_seconds=medians[0],
                    seconds=medians[1],
                    library_seconds=medians[2],
                    units=statistics.median(one / base for one, base in zip(times[1], times[0], strict=True)),
                    library_units=statistics.median(one / base for one, base in zip(times[2], times[0], strict=True)),
                    ratio=statistics.median(other / one for one, other in zip(times[1], times[2], strict=True)),
                    share_of_peak=operations[0] / medians[1] / peak,
                    library_share_of_peak=operations[1] / medians[2] / peak,
                    difference=difference,
                )
            )
        return rows

    def _long(self, spec: str, model: xaudio.Model, waveforms: Tensor) -> Long:
        many = waveforms.repeat(1 + self.recordings // len(waveforms), 1)[: self.recordings].cpu()
        ours, theirs = long_runs(model, many, self.batch)
        _say(f"{spec}: {self.recordings} recordings through xaudio.explain against a loop with zennit")
        long_runs(model, many[: self.batch], self.batch)[0]()
        times = self._times([ours, theirs], rounds=min(self.rounds, 3))
        ratio = statistics.median(other / one for one, other in zip(*times, strict=True))
        seconds, other_seconds = (statistics.median(found) for found in times)
        return Long(model=spec, recordings=self.recordings, seconds=seconds, library_seconds=other_seconds, ratio=ratio)

    def _times(self, runs: Sequence[Run], rounds: int | None = None) -> list[list[float]]:
        """Seconds of each run in each round; the order turns from round to round."""
        times: list[list[float]] = [[] for _ in runs]
        for number in range(rounds or self.rounds):
            for position in range(len(runs)):
                index = (position + number) % len(runs)
                self._wait()
                start = time.perf_counter()
                runs[index]()
                self._wait()
                times[index].append(time.perf_counter() - start)
        return times

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _device_name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)


def _difference(one: Tensor, other: Tensor) -> float:
    """Largest difference, relative to the largest magnitude."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=torch.finfo(other.dtype).tiny))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
