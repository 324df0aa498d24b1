"""Small models, sounds and explanations that plugins are tried on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..explanation.explaining import explain
from ..explanation.explanation import Explanation
from ..model.model import Model
from ..sound.domains import Time, TimeFrequency
from ..types import Clip, Explainer

SAMPLES = 512
RATE = 8000
CLASSES = ("a", "b", "c")


def toy_model() -> Model:
    """A small network that reads waveforms."""
    return _toy(
        lambda: [nn.Conv1d(1, 4, 9, padding=4), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(SAMPLES, 3)],
        Time(RATE, SAMPLES),
    )


def toy_model_2d() -> Model:
    """A small network that reads levels of time and frequency."""
    return _toy(
        lambda: [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(4 * 8 * 4, 3)],
        TimeFrequency(RATE, SAMPLES, window="hann", length=64, hop=32),
    )


def _toy(layers: Callable[[], list[nn.Module]], representation: Any) -> Model:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)  # the CPU's alone: to seed all devices takes longer than to make the network
        network = nn.Sequential(*layers()).eval()
    network[0].weight.requires_grad_(False)  # as in a model that was tuned in part
    return Model(network, representation, CLASSES, "toy")


def noise(count: int, samples: int = SAMPLES, channels: int = 1) -> Tensor:
    """Waveforms (count, samples) of noise in [-0.5, 0.5); (count, channels, samples) of several channels, each its own."""
    drawn = torch.rand(count, channels, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    return drawn[:, 0] if channels == 1 else drawn


SOUNDS = ("noise", "quiet noise", "silence", "sound and silence", "a click", "a loud square wave")


def sounds(samples: int = SAMPLES, channels: int = 1) -> Tensor:
    """Waveforms (sounds, samples) as `SOUNDS` names them; (sounds, channels, samples) of several channels."""
    rows = noise(len(SOUNDS), samples, channels)
    rows[1] *= 1e-4
    rows[2] = 0
    rows[3, ..., samples // 2 :] = 0
    rows[4] = 0
    rows[4, ..., samples // 3] = 0.9
    rows[5] = torch.where(torch.arange(samples) // max(1, samples // 40) % 2 == 0, 1.0, -1.0)
    return rows


def unlike_number(values: Tensor) -> str:
    """For which of the `sounds` values (sounds, ...) are NaN or infinite, or nothing."""
    bad = [name for name, row in zip(SOUNDS, values, strict=True) if not torch.isfinite(row).all()]
    return f"NaN or infinite for {', '.join(bad)}" if bad else ""


def toy_explanations(explainer: str | Explainer, *, flat: bool = True) -> tuple[Model, list[Explanation]]:
    """A model and four explanations of it, of sounds of which it is known where the evidence lies, correctly predicted."""
    model = toy_model() if flat else toy_model_2d()
    middle = np.array([[0.01, 0.03, 0, RATE / 2]])
    waveforms = noise(4)
    with torch.no_grad():
        predicted = model.logits(model.features(waveforms)).argmax(1).tolist()
    clips = [
        Clip(waveform.numpy(), RATE, labels={"toy": label}, source=f"toy {index}", truth={"boxes.toy": middle})
        for index, (waveform, label) in enumerate(zip(waveforms, predicted, strict=True))
    ]
    return model, explain(model, clips, explainer=explainer)


def times_input(model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
    """Gradient times input, where no plugin offers it."""
    features = features.detach().requires_grad_()
    score = model(features).gather(1, target[:, None]).sum()
    return features.detach() * torch.autograd.grad(score, features)[0]


def content_of(explanation: Explanation) -> dict[str, Any]:
    """What an explanation holds, to see whether somebody changed it."""
    arrays = {
        "the waveform": explanation.clip.waveform,
        "the features": explanation.features,
        "the relevance": explanation.relevance,
        "the logits": explanation.logits,
        **{f"the axis {axis.name}": axis.centres for axis in explanation.axes},
        **{f"the truth {name}": values for name, values in explanation.clip.truth.items()},
    }
    held = {name: [array.dtype, array.shape, array.tobytes()] for name, array in arrays.items()}
    others = [explanation.classes, explanation.target, explanation.task, explanation.clip.labels, explanation.provenance]
    return {**held, "the facts": repr(others)}


def changed_in(explanations: list[Explanation], before: list[dict[str, Any]]) -> str:
    """What differs from the content before, or nothing."""
    for explanation, held in zip(explanations, before, strict=True):
        now = content_of(explanation)
        if names := [name for name in held if held[name] != now.get(name)]:
            return f"it changed {', '.join(names)} of the explanation of {explanation.clip.source!r}"
    return ""
