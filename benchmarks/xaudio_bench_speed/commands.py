"""Commands as one starts them from the shell: one recording beside a bare script, and long recordings."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import xaudio
import xaudio.plugin

from .records import Comparison
from .timing import Clock, comparison, fresh
from .training import SPEECH

BARE = Path(__file__).with_name("bare.py")
RATE = 8000


def trained(folder: Path, device: torch.device) -> Path:
    """A folder with AudioNet after one step of training, as a command reads it: its speed is that of any other.

    Parameters
    ----------
    folder : Path
        Gets it.
    device : torch.device
    """
    speech = xaudio.create("dataset", "synthetic", **SPEECH)
    settings = {"steps": 1, "batch_size": 2}
    experiment = xaudio.plugin.Experiment(speech, task="digit", fold=0, model="audionet", training=settings)
    xaudio.plugin.run_experiment(experiment, folder / "model", device)
    return folder / "model"


def one_recording(waveform: torch.Tensor, clock: Clock) -> Comparison:
    """`xaudio explain one.wav` with its defaults, from the shell to the last file, and split into its steps.

    Parameters
    ----------
    waveform : Tensor, shape (samples,)
    clock : Clock
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = folder / "one.wav"
        xaudio.write_audio(sound, waveform.cpu().numpy(), RATE)
        saved = trained(folder, clock.device)
        outs = fresh(folder, "out")

        def arguments() -> list[str]:
            return _explain(sound, saved, next(outs), clock)

        steps: list[dict[str, float]] = []

        def split() -> None:
            steps.append(_watched(folder, arguments())["steps"])

        sides = {
            "xaudio explain": lambda: run_python(["-m", "xaudio", *arguments()]),
            "bare script": lambda: run_python([str(BARE), str(folder / "picture.png")]),
            "xaudio explain, watched": split,
            "xaudio --help": lambda: run_python(["-m", "xaudio", "--help"]),
        }
        note = (
            "AudioNet, with its picture, sounds and page. The bare script imports torch, runs the same network forward and back "
            "on noise, and saves one figure of matplotlib."
        )
        made = clock.compare("command", "xaudio explain one.wav", sides, base="bare script", note=note)
    kept = steps[1:]  # the first is not timed
    return made.model_copy(update={"steps": {step: [one.get(step, 0.0) for one in kept] for step in kept[0]}})


def long_recordings(minutes: Sequence[float], seed: int, clock: Clock) -> list[Comparison]:
    """`xaudio explain --window 1` of long recordings: time and memory, beside a command on one window.

    Parameters
    ----------
    minutes : sequence of float
        Lengths of the recordings.
    seed : int
    clock : Clock
    """
    made = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        saved = trained(folder, clock.device)
        for number, length in enumerate(minutes):
            sound = folder / f"long{number}.wav"
            noise = np.random.default_rng(seed).standard_normal(round(60 * length * RATE)).astype(np.float32)
            xaudio.write_audio(sound, 0.1 * noise, RATE)
            clock.calibrate()
            start = time.perf_counter()
            told = _watched(folder, [*_explain(sound, saved, folder / f"out{number}", clock), "--window", "1"])
            seconds = {"xaudio explain": [time.perf_counter() - start]}
            record = comparison(
                "long",
                f"{length:g} min by windows of 1 s",
                seconds,
                base="xaudio explain",
                note=f"AudioNet, {round(60 * length)} windows scored and five explained, with pictures, sounds and pages; once.",
            )
            peaks = {"xaudio explain": told["peak_bytes"]}
            made.append(record.model_copy(update={"peak_bytes": peaks, "steps": {k: [v] for k, v in told["steps"].items()}}))
    return made


def _explain(sound: Path, model: Path, out: Path, clock: Clock) -> list[str]:
    return ["explain", str(sound), "--model", str(model), "--out", str(out), "--device", str(clock.device)]


def run_python(arguments: Sequence[str]) -> None:
    """Run Python in a process of its own, or raise an `XaudioError` with what it said."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)  # noqa: S603 (our own)
    if done.returncode:
        raise xaudio.XaudioError(f"{' '.join(arguments[:3])} failed: {' '.join(done.stderr.split())[-500:]}")


def _watched(folder: Path, arguments: Sequence[str]) -> dict[str, dict[str, float]]:
    """What `watched` says of a command."""
    file = folder / "watched.json"
    run_python(["-m", f"{__package__}.watched", str(file), str(time.time()), *arguments])
    told: dict[str, dict[str, float]] = json.loads(file.read_text())
    return told
