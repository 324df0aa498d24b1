"""Time shared work: seconds per recording by number of workers, and what a shard of 100 recordings costs beside its explanations.

    python benchmarks/shards_speed.py [--recordings 200] [--explainer lrp] [--workers 1,2,4]

Recordings are half a second of noise at 8 kHz, the network is `reference` as it begins, and every worker has one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
import torch

from xaudio.explanation.corpus import ExplainRows
from xaudio.plugin import Plan, Row, carry_out, planned

RATE, SAMPLES = 8000, 4000
COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'xaudio'; from xaudio.cli.app import main; main()"]
MODEL = """
import torch, xaudio

def network():
    torch.manual_seed(0)
    made = xaudio.create("model", "reference", classes=8)
    made.representation, made.classes = "waveform", tuple("abcdefgh")
    return made
"""
SHARD, BATCH, TIMES = 100, 32, 5


class Given:
    """A job whose results are there already: what is left is what a shard costs."""

    def __init__(self, digest: str, records: Sequence[Any]) -> None:
        self.digest, self.records = digest, records

    def load(self, row: Row) -> Row:
        """The row."""
        return row

    def run(self, rows: Sequence[Row], loaded: Sequence[Any], folder: Path) -> Sequence[Any]:
        """As they are given."""
        return [self.records[row.index] for row in rows]


def corpus(folder: Path, count: int) -> Path:
    """Recordings with their manifest, and the model."""
    (folder / "model.py").write_text(MODEL)
    draw, names = np.random.default_rng(0), [f"{number:05d}.wav" for number in range(count)]
    for name in names:
        soundfile.write(folder / name, draw.uniform(-0.5, 0.5, SAMPLES), RATE)
    manifest = folder / "recordings.csv"
    manifest.write_text("path\n" + "".join(f"{name}\n" for name in names))
    return manifest


def seconds_of_command(manifest: Path, explainer: str, workers: int, out: Path) -> tuple[float, float]:
    """How long a command takes, and how long a recording does once all workers are at work."""
    model = f"python:at={manifest.parent / 'model.py'}:network"
    words = ["explain", "--manifest", manifest, "--model", model, "--explainer", explainer, "--batch-size", 8, "--out", out]
    begun = time.perf_counter()
    done = subprocess.run(  # noqa: S603 (this package's own command)
        [*COMMAND, *map(str, words), "--engine", f"local:workers={workers}"], capture_output=True, check=True
    )
    whole = time.perf_counter() - begun
    assert b" 0 missing" in done.stdout  # noqa: S101 (else nothing was measured)
    ends = sorted(path.stat().st_mtime for path in out.glob("shards/*/results.jsonl"))[workers - 1 :]
    return whole, (ends[-1] - ends[0]) / (8 * (len(ends) - 1))


def cost_of_a_shard(manifest: Path, explainer: str, out: Path) -> tuple[float, float, float]:
    """Seconds of 100 recordings without a plan; of a shard of them whose results are there, and its processor time."""
    options: dict[str, Any] = {"model": f"python:at={manifest.parent / 'model.py'}:network", "device": "cpu", "maps": False}
    options |= {"recordings": {"root": str(manifest.parent), "outside": False}, "explainers": [explainer], "targets": [None]}
    job = ExplainRows(**options, settings={"batch_size": BATCH, "seed": 0}, renderers=[])
    fields = [{"source": f"{number:05d}.wav"} for number in range(SHARD)]
    plans = [planned(out / f"{number}", {"model": job.digest}, fields, _second, batch=BATCH, shards=1) for number in range(TIMES)]
    job.run(plans[0].rows_of(0)[:BATCH], [job.load(row) for row in plans[0].rows_of(0)[:BATCH]], out)  # warms up
    begun = time.perf_counter()
    records = _records(job, plans[0], out)
    alone = time.perf_counter() - begun
    costs = []
    for plan in plans:
        begun, worked = time.perf_counter(), time.process_time()
        carry_out(plan, Given, {"digest": job.digest, "records": records})
        costs.append((time.perf_counter() - begun, time.process_time() - worked))
    return alone, *(statistics.median(column) for column in zip(*costs, strict=True))


def _records(job: ExplainRows, plan: Plan, out: Path) -> list[Any]:
    records = {}
    for batch in plan.batches_of(0):
        for row, record in zip(batch, job.run(batch, [job.load(row) for row in batch], out), strict=True):
            records[row.index] = record
    return [records[index] for index in range(plan.rows)]


def _second(fields: Any) -> float:
    return 1.0


def main() -> None:
    """Print a line for each number of workers, and one for a shard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--explainer", default="lrp")
    parser.add_argument("--workers", default="1,2,4")
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, {given.recordings} recordings, {given.explainer}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        manifest = corpus(folder, max(SHARD, given.recordings))
        for workers in map(int, given.workers.split(",")):
            whole, each = seconds_of_command(manifest, given.explainer, workers, folder / f"out{workers}")
            print(f"workers {workers}: {1000 * each:.1f} ms a recording, the whole command {whole:.1f} s", flush=True)
        alone, wall, worked = cost_of_a_shard(manifest, given.explainer, folder / "shards")
    shares = f"{wall / alone:.1%} of its time, {worked / alone:.1%} of a processor's"
    print(
        f"a shard of {SHARD}: {alone:.2f} s of explanations, and {1000 * wall:.0f} ms ({1000 * worked:.0f} ms of CPU): {shares}"
    )


if __name__ == "__main__":
    main()
