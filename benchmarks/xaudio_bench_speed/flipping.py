"""What it costs to take cells away and ask again: pixel flipping by xaudio, by a naive loop and by Quantus."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

import xaudio

from .contenders import Run, import_zennit
from .records import Flip

STEPS = 20
"""Fractions, beside 0, where they divide the number of cells; Quantus takes no others."""

PASSES = 500
"""Most changed recordings that are classified by each side."""

BATCH = 32
"""Inputs that the forward passes alone and xaudio classify at once."""


def flip(
    spec: str,
    model: xaudio.Model,
    waveforms: Tensor,
    recordings: int,
    timed: Callable[[Sequence[Run]], list[list[float]]],
) -> Flip:
    """Time all sides in turns on the same relevance and fractions.

    Parameters
    ----------
    spec : str
    model : Model
    waveforms : Tensor, shape (batch, samples)
    recordings : int
        How many are flipped at most.
    timed : callable
        Gives the seconds of each run in each round.
    """
    cells = int(model.features(waveforms[:1]).numel())
    steps = STEPS if cells % STEPS == 0 else round(cells**0.5)
    count = max(1, min(recordings, len(waveforms), PASSES // (steps + 1)))
    explanations = _explained(model, waveforms[:count])
    features = torch.from_numpy(np.stack([item.features for item in explanations])).to(model.device)
    target = torch.tensor([item.target for item in explanations], device=model.device)
    metric = xaudio.create("metric", "deletion_auc", steps=steps, share="all", batch_size=BATCH)

    def ours() -> Tensor:
        return torch.from_numpy(metric(model, explanations)["deletion_auc"])

    def naive() -> Tensor:
        return torch.stack([_naive(model, features[0], explanations[0], steps)])

    other, reason = _quantus(model, features, target, explanations, steps)
    runs = [_forward(model, features, count * (steps + 1)), ours, naive, *([other] if other else [])]
    first = [run() for run in runs]  # also the first, slower call of each
    areas = [float((first[1][: len(values)] - values.cpu()).abs().max()) for values in first[2:]]
    alone, mine, loop, *library = times = timed(runs)
    return Flip(
        model=spec,
        recordings=count,
        fractions=steps + 1,
        forward_seconds=statistics.median(alone),
        seconds=statistics.median(mine),
        forwards=_ratio(mine, alone),
        naive_ratio=count * _ratio(loop, mine),
        library_ratio=_ratio(library[0], mine) if library else None,
        library_default_ratio=cells / steps * _ratio(library[0], mine) if library else None,
        left_out=reason,
        difference=max(areas),
        rounds=dict(zip(("forward", "xaudio", "naive loop, of one", "Quantus"), times, strict=False)),
    )


def _ratio(one: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def _explained(model: xaudio.Model, waveforms: Tensor) -> Any:
    """Explanations of the recordings with a faint noise: Quantus also takes away what is 0 already."""
    noise = torch.randn(waveforms.shape, generator=torch.Generator().manual_seed(0))
    clips = [
        xaudio.Clip(waveform.numpy(), model.representation.sample_rate)
        for waveform in (waveforms.cpu() + 1e-3 * noise).clamp(-1, 1)
    ]
    return xaudio.explain(model, clips, explainer="gradient", device=str(model.device))


def _forward(model: xaudio.Model, features: Tensor, passes: int) -> Run:
    """So many forward passes and nothing else."""
    batch = features.repeat(1 + BATCH // len(features), *[1] * (features.ndim - 1))[:BATCH]

    @torch.no_grad()
    def run() -> Tensor:
        return torch.cat([model.logits(batch[: passes - start]) for start in range(0, passes, BATCH)])

    return run


@torch.no_grad()
def _naive(model: xaudio.Model, features: Tensor, explanation: Any, steps: int) -> Tensor:
    """Area under the deletion curve of one recording, one fraction at a time."""
    order = torch.from_numpy(explanation.relevance).flatten().argsort(descending=True, stable=True)
    curve = []
    for step in range(steps + 1):
        changed = features.clone()
        changed.flatten()[order[: round(step / steps * len(order))].to(features.device)] = 0
        logits = model.logits(changed[None])
        curve.append(model.probabilities(logits)[0, explanation.target])
    return torch.trapezoid(torch.stack(curve).double(), dx=1 / steps)


def _quantus(model: xaudio.Model, features: Tensor, target: Tensor, explanations: Any, steps: int) -> tuple[Run | None, str]:
    """Quantus as its README calls a metric, with the recordings of 64 in a batch; or why not."""
    import_zennit(model.network, features, target)
    try:
        quantus: Any = import_module("quantus")
    except Exception as error:  # it imports many libraries, any of which may be missing or broken
        return None, f"Quantus cannot be imported: {' '.join(str(error).split())}"
    relevance = np.stack([item.relevance for item in explanations])
    metric = quantus.PixelFlipping(
        features_in_step=features[0].numel() // steps, perturb_baseline=0.0, normalise=False, disable_warnings=True
    )

    def run() -> Tensor:
        curves = metric(
            model=model.network,
            x_batch=features.cpu().numpy(),
            y_batch=target.cpu().numpy(),
            a_batch=relevance,
            device=str(model.device),
            softmax=True,
            channel_first=True,
        )
        curves = torch.tensor(curves, dtype=torch.float64)
        logits = torch.from_numpy(np.stack([item.logits for item in explanations]))
        first = model.probabilities(logits).gather(1, target[:, None].cpu())[:, 0].double()
        return torch.trapezoid(torch.cat([first[:, None], curves], dim=1), dx=1 / steps)

    return run, ""
