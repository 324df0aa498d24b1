"""Many recordings from their files to relevance, pictures and sounds, beside the loop that one writes without xaudio."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import xaudio
import xaudio.plugin

from .commands import RATE, run_python, trained
from .contenders import import_zennit, unit
from .records import Comparison
from .timing import Clock, Run, comparison, fresh

RENDERERS = ("visual", "audible")
DPI = 150
"""Of both sides' pictures."""


def many_files(waveforms: Tensor, recordings: int, few: int, clock: Clock) -> Comparison:
    """Seconds for each recording: `xaudio explain` with as many workers as cores, `xaudio.explain` in one process, and the loop.

    Parameters
    ----------
    waveforms : Tensor, shape (batch, samples)
    recordings : int
        What the workers explain in all rounds together.
    few : int
        What the others explain in each round.
    clock : Clock
    """
    workers = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    many = -(-recordings // clock.rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        saved = trained(folder, clock.device)
        model = xaudio.load_model(saved, str(clock.device))
        files = _written(folder, waveforms, max(many, few))
        manifest = folder / "manifest.jsonl"
        manifest.write_text("".join(json.dumps({"source": path.name}) + "\n" for path in files[:many]))
        outs = fresh(folder, "out")

        def ours() -> None:
            explanations = xaudio.explain(model, files[:few], explainer="lrp", device=str(clock.device))
            xaudio.plugin.save_and_render(explanations, RENDERERS, next(outs))

        def shared() -> None:
            command = ["explain", "--manifest", manifest, "--model", saved, "--out", next(outs)]
            command += ["--render", ",".join(RENDERERS), "--maps", "--workers", workers, "--device", clock.device]
            run_python(["-m", "xaudio", *map(str, command)])

        def loop() -> None:
            _loop(model, files[:few], next(outs))

        import_zennit(model.network, model.features(waveforms[:1]), torch.zeros(1, dtype=torch.long, device=model.device))
        _loop(model, files[:1], folder / "first")
        xaudio.plugin.save_and_render(
            xaudio.explain(model, files[:1], explainer="lrp", device=str(clock.device)), RENDERERS, folder / "first-of-ours"
        )
        times = clock.times([ours, shared, loop])
    counts = {"xaudio.explain, one process": few, f"xaudio explain, {workers} workers": many, "loop": few}
    seconds = {side: [one / count for one in rounds] for (side, count), rounds in zip(counts.items(), times, strict=True)}
    note = (
        f"Seconds for each recording, with relevance, picture and sounds in files: {many} a round by the command with "
        f"its workers, start-up included ({many * clock.rounds} in all), {few} in each round by the others, from which "
        "theirs are scaled. The loop reads by soundfile, explains by zennit one by one, draws by matplotlib, writes by soundfile."
    )
    return comparison("files", "recordings with files written", seconds, base=f"xaudio explain, {workers} workers", note=note)


def _written(folder: Path, waveforms: Tensor, count: int) -> list[Path]:
    files = [folder / f"{number:04d}.wav" for number in range(count)]
    generator = np.random.default_rng(0)
    for number, path in enumerate(files):  # a little noise, so that no two are the same
        waveform = waveforms[number % len(waveforms)].cpu().numpy()
        noise = 1e-3 * generator.standard_normal(len(waveform)).astype(np.float32)
        xaudio.write_audio(path, np.clip(waveform + noise, -1, 1), RATE)
    return files


def _loop(model: xaudio.Model, files: Sequence[Path], folder: Path) -> None:
    """What one writes for each recording: read, explain, draw, write."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import soundfile
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

    def largest(logits: Tensor) -> Tensor:
        best = logits.detach().max(1, keepdim=True)
        return torch.zeros_like(logits).scatter(1, best.indices, best.values)

    folder.mkdir()
    with Gradient(model.network, EpsilonPlus()) as attributor:
        for path in files:
            waveform, rate = soundfile.read(path, dtype="float32")
            logits, relevance = attributor(model.features(torch.from_numpy(waveform)[None].to(model.device)), largest)
            relevance = relevance.detach().cpu().numpy()[0, 0]
            limit, times = np.abs(relevance).max() or 1.0, np.arange(len(waveform)) / rate
            figure, axes = plt.subplots(3, 1, figsize=(10, 7))
            axes[0].plot(times, waveform)
            axes[1].plot(times, relevance)
            points = axes[2].scatter(times, waveform, c=relevance, cmap="seismic", vmin=-limit, vmax=limit, s=2)
            figure.colorbar(points, ax=axes[2])
            axes[0].set_title(f"{path.name}: {int(logits.argmax())}")
            axes[2].set_xlabel("time in s")
            figure.tight_layout()
            figure.savefig(folder / f"{path.stem}.png", dpi=DPI)
            plt.close(figure)
            mask = relevance / limit
            for part, sound in (("for", np.maximum(mask, 0) * waveform), ("against", np.maximum(-mask, 0) * waveform)):
                soundfile.write(folder / f"{path.stem}-{part}.wav", sound, rate)
            np.savez(folder / f"{path.stem}.npz", relevance=relevance, logits=logits.detach().cpu())


def latency(model: xaudio.Model, waveform: Tensor, clock: Clock, repeat: int = 10) -> Comparison:
    """A call for one recording on a model that has been called before.

    Parameters
    ----------
    model : Model
    waveform : Tensor, shape (samples,)
    clock : Clock
    repeat : int
        Calls in each round.
    """
    features = model.features(waveform[None])
    target = torch.zeros(1, dtype=torch.int64, device=model.device)
    single = unit(model.network, features, target)
    clip = xaudio.Clip(waveform.cpu().numpy(), model.representation.sample_rate)

    def times(call: Run) -> Run:
        def run() -> None:
            for _ in range(repeat):
                call()

        return run

    sides = {
        "unit": times(single),
        "xaudio.explain, lrp": times(lambda: xaudio.explain(model, clip, explainer="lrp", target=0, device=str(clock.device))),
        "xaudio.explain, gradient": times(
            lambda: xaudio.explain(model, clip, explainer="gradient", target=0, device=str(clock.device))
        ),
    }
    note = f"AudioNet, one recording, {repeat} calls in each round; a unit is one pass forward and one back to the input."
    return clock.compare("latency", "a call on a warm model", sides, base="unit", note=note)
