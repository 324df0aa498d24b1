"""Steps of a training, beside the loop that one writes with torch."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional

import xaudio
import xaudio.plugin

from .records import Comparison
from .timing import Clock, comparison

BATCH = 16
SPEECH = {"speakers": 8, "repetitions": 1}
"""Few recordings: only their format matters here."""


def training(networks: tuple[str, ...], steps: int, clock: Clock) -> Iterator[Comparison]:
    """Seconds of a step by `xaudio train`, as its results say, and by a loop over the same features.

    Parameters
    ----------
    networks : tuple of str
        Model plugins.
    steps : int
        In each round.
    clock : Clock
    """
    for name in networks:
        seconds: dict[str, list[float]] = {"xaudio train": [], "loop": []}
        with tempfile.TemporaryDirectory() as folder:
            for number in range(clock.rounds):
                clock.calibrate()
                sides = [("xaudio train", _trained), ("loop", _loop)]
                for side, run in sides if number % 2 else reversed(sides):
                    seconds[side].append(run(name, steps, Path(folder) / str(number), clock.device))
        note = (
            f"Seconds of a step: {steps} in each round, {BATCH} recordings each, float32, SGD with momentum. xaudio makes "
            "features of the sounds in each step, draws the recordings and watches the loss; the loop has its features in memory."
        )
        yield comparison("training", name, seconds, base="loop", note=note)


def _trained(name: str, steps: int, folder: Path, device: torch.device) -> float:
    speech = xaudio.create("dataset", "synthetic", **SPEECH)
    settings = {"steps": steps, "batch_size": BATCH, "precision": "float32", "clip_norm": None}
    experiment = xaudio.plugin.Experiment(speech, task="digit", fold=0, model=name, training=settings)
    result = xaudio.plugin.run_experiment(experiment, folder, device)
    if result.speed is None:
        raise xaudio.ModelError(f"{name}: nothing was trained.")
    return 1 / result.speed.steps_per_second


def _loop(name: str, steps: int, folder: Path, device: torch.device) -> float:
    """One plain loop; ``folder`` stays empty."""
    network = xaudio.create("model", name, classes=10).to(device).train()
    reads, options = xaudio.plugin.parse_spec(str(network.representation))
    representation = xaudio.create("representation", reads, **options).to(device)
    with torch.no_grad():
        features = representation(0.1 * torch.randn(4 * BATCH, representation.samples, device=device))
    labels = torch.arange(len(features), device=device) % 10
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=True)
    batches = itertools.cycle(range(0, len(features), BATCH))
    start = time.perf_counter()
    for begin in itertools.islice(batches, steps):
        optimiser.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(features[begin : begin + BATCH]), labels[begin : begin + BATCH])
        torch.autograd.backward(loss)
        optimiser.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / steps
