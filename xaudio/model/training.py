"""Train a model so that a run can be stopped at any moment and ends with the same weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import DataError, ModelError
from ..output.runs import read_json, refuse_other_identity
from ..output.tensors import read_tensors, write_tensors
from ..output.terminal import progress
from ..registry.options import convert
from ..types import FloatArray, IntArray
from .augmentation import at_other_speed, hidden, mixed, shifted
from .examples import Examples
from .initialisation import feature_statistics, initialise
from .interrupts import WholeSteps
from .loss import loss_of, losses_of
from .model import Model
from .precision import SHORTEST, Precision, float32_products, matrix_peak, resolve_precision, training_operations
from .results import Speed
from .running import evaluation_mode
from .settings import TrainingSettings

CHECKPOINT, RESULTS = "checkpoint.safetensors", "results.json"
DAMAGED = "Delete it to train from the start."
CHECKPOINT_SECONDS = 60.0
ONEDNN_BLOCK = 16
"""Channels that oneDNN takes together with AVX-512; 8 with AVX2."""
LOSS_EVERY = 10
"""Steps between two looks at the loss: each look waits for the device."""


def train(
    model: Model, data: Examples, settings: TrainingSettings, folder: Path, *, title: str, identity: Mapping[str, Any]
) -> Speed | None:
    """Train a model in place, continuing from the folder's checkpoint if there is one.

    All that is random in a step follows from the seed and the step's number, so that a continued run ends with the
    weights of one that was never stopped (on the same device, with the same number of threads).

    Parameters
    ----------
    model : Model
        Untrained, on its device.
    data : Examples
    settings : TrainingSettings
    folder : Path
        Where the checkpoint is kept while the training runs.
    title : str
        For the progress bar.
    identity : mapping
        Everything that determines the result (data, fold, model, ...); a checkpoint of another identity is refused.

    Returns
    -------
    Speed or None
        Of the steps done now; None if there were none.

    Raises
    ------
    DataError
        If there is nothing to train on.
    ModelError
        If the loss is not a number, or the checkpoint is damaged or of another run.
    """
    if not len(data):
        raise DataError(f"{title}: the training set is empty.")
    network = model.network
    if model.device.type == "cpu" and any(_overrun(layer) for layer in network.modules()):
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    precision = decided_precision(settings, folder, model.device)
    full_identity = {**identity, "settings": settings.model_dump() | {"precision": precision}}
    if settings.subtract_mean or settings.initialisation == "he":  # else the pass over the data would be for nothing
        mean, deviation = feature_statistics(model, data)
        model.mean = mean if settings.subtract_mean else None
        if settings.initialisation == "he":
            initialise(network, settings.seed, deviation)
    optimiser = _optimiser(network, settings)
    first = step = _load_checkpoint(folder / CHECKPOINT, network, optimiser, full_identity)
    if step == settings.steps:
        return None
    network.train()
    advance_one = _Step(model, data, settings, precision, optimiser)
    operations = advance_one.operations()

    def save() -> None:
        _save_checkpoint(folder / CHECKPOINT, network, optimiser, step, full_identity)

    start = saved = time.monotonic()
    writing = 0.0
    shown, steps = progress(title, settings.steps, done=step), WholeSteps()
    try:
        with torch.random.fork_rng(), float32_products(precision == "tf32"), shown as advance, steps:
            while step < settings.steps:
                loss = advance_one(step)
                step += 1
                steps.between()
                due = time.monotonic() - saved > CHECKPOINT_SECONDS
                note = ""
                if due or step % LOSS_EVERY == 0 or step == settings.steps:
                    note = f"loss {_finite(loss, step, title, settings, folder):.3f}"
                advance(note=note)
                if due and step < settings.steps:
                    begun = time.monotonic()
                    save()
                    saved = time.monotonic()
                    writing += saved - begun
    except KeyboardInterrupt:
        if not steps.broken:  # weights of which only some were updated would continue as another training
            save()
        raise
    seconds = max(time.monotonic() - start - writing, SHORTEST)
    if not all(bool(torch.isfinite(weight).all()) for weight in network.parameters()):
        raise ModelError(
            f"{title}: the weights are no longer numbers after the last step. Lower the learning rate "
            f"({settings.learning_rate}) or set clip_norm."
        )
    network.eval()
    rate, peak = (step - first) / seconds, matrix_peak(model.device, precision)
    return Speed(
        precision=precision,
        steps_per_second=round(rate, 4),
        operations_per_step=operations,
        matrix_peak=round(peak),
        share_of_peak=round(operations * rate / peak, 4),
    )


def decided_precision(settings: TrainingSettings, folder: Path, device: torch.device) -> Precision:
    """The number format of a training: for "auto" the one that the run in the folder began with, else what suits the device.

    Raises
    ------
    DeviceError
        If the device has no such format.
    ModelError
        If what the folder holds is damaged.
    """
    decided: str = settings.precision
    if decided == "auto" and (folder / CHECKPOINT).exists():
        decided = _precision_in(read_tensors(folder / CHECKPOINT, "xaudio.checkpoint", DAMAGED)[0])
    elif decided == "auto" and (folder / RESULTS).exists():
        decided = _precision_in(read_json(folder / RESULTS))
    return resolve_precision(convert("the precision of the run", Precision | Literal["auto"], decided), device)


def _precision_in(content: Any) -> str:
    """The precision that a checkpoint or a result says; "auto" if it says none."""
    settings = (content.get("identity") or {}).get("settings") if isinstance(content, dict) else None
    return str((settings or {}).get("precision", "auto"))


def _finite(loss: Tensor, step: int, title: str, settings: TrainingSettings, folder: Path) -> float:
    value = float(loss)
    if not math.isfinite(value):
        raise ModelError(
            f"{title}: the loss became {value} by step {step}. Lower the learning rate ({settings.learning_rate}) "
            f"or set clip_norm; the last checkpoint is kept in {folder}."
        )
    return value


class _Step:
    """One step of training, addressed by its number, from which all that is random in it follows."""

    def __init__(
        self,
        model: Model,
        data: Examples,
        settings: TrainingSettings,
        precision: Precision,
        optimiser: torch.optim.Optimizer,
    ) -> None:
        self.model, self.data, self.settings, self.optimiser = model, data, settings, optimiser
        self.mixed = torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16")
        self.order = _Order(len(data), settings.seed)
        self.network: Callable[[Tensor], Tensor] = model.network
        if settings.compiled:
            mode = "reduce-overhead" if model.device.type == "cuda" else "default"
            self.network = torch.compile(model.network, mode=mode)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Features and labels of a step."""
        indices = torch.from_numpy(self.order.batch(step, self.settings.batch_size)).to(self.data.labels.device)
        with torch.no_grad():
            waveforms = at_other_speed(self.data.training_batch(indices), self.settings.speed)
            waveforms = shifted(waveforms, self.settings.shift)
            return hidden(self.model.features(waveforms), self.settings.masks), self.data.labels[indices]

    def __call__(self, step: int) -> Tensor:
        """Take the step; returns its loss."""
        _seed(_mix(self.settings.seed, step), self.model.device)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate_at(step)
        features, labels = self.batch(step)
        self.optimiser.zero_grad(set_to_none=True)
        with self.mixed:
            loss = self.loss(features, labels)
        torch.autograd.backward(loss)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.network.parameters(), self.settings.clip_norm)
        self.optimiser.step()
        return loss.detach()

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch, of which each recording may be mixed with another."""
        if not self.settings.mixup:
            return loss_of(self.network(features), labels)
        both, others, shares = mixed(features, self.settings.mixup)
        logits = self.network(both)
        return (shares * losses_of(logits, labels) + (1 - shares) * losses_of(logits, labels[others])).mean()

    def operations(self) -> int:
        """Floating-point operations of a step."""
        with self.mixed, torch.random.fork_rng():
            return training_operations(self.model.network, *self.batch(0))


def _seed(seed: int, device: torch.device) -> None:
    """Seed the generators that a step draws from; to seed devices that are not there imports torch's compiler."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.manual_seed(seed)


def _mix(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


class _Order:
    """An endless sequence of shuffled passes over the examples, addressed by step."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.shuffled: dict[int, IntArray] = {}

    def _pass(self, number: int) -> IntArray:
        if number not in self.shuffled:
            self.shuffled = {number: np.random.default_rng([self.seed, number]).permutation(self.count)}
        return self.shuffled[number]

    def batch(self, step: int, size: int) -> IntArray:
        start, stop = step * size, (step + 1) * size
        parts = []
        while start < stop:
            number, position = divmod(start, self.count)
            part = self._pass(number)[position : position + stop - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts)


def _overrun(layer: nn.Module) -> bool:
    """Whether oneDNN writes beyond its memory for these weights where channels come last (issue 6035 of uxlfoundation/oneDNN)."""
    if not isinstance(layer, nn.Conv2d) or set(layer.kernel_size) != {1} or max(layer.stride) == 1:
        return False
    return layer.in_channels // layer.groups < ONEDNN_BLOCK


def _optimiser(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    if settings.optimiser == "adam":
        return torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.SGD(network.parameters(), settings.learning_rate, momentum=settings.momentum, fused=True)


@torch.no_grad()
def evaluate(model: Model, data: Examples, title: str = "Testing") -> FloatArray:
    """Logits of all recordings, shape (recordings, classes), float32."""
    parts = []
    with evaluation_mode(model.network), progress(title, len(data)) as advance:
        for indices in data.batches():
            parts.append(model.logits(model.features(data.batch(indices))).cpu())
            advance(len(indices))
    return np.asarray(torch.cat(parts).numpy())


def _save_checkpoint(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, step: int, identity: Mapping[str, Any]
) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items() if value is not None}
    write_tensors(path, tensors, "xaudio.checkpoint", {"step": step, "identity": identity})


def _load_checkpoint(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, identity: Mapping[str, Any]) -> int:
    """Restore what a stopped run left and return the steps it did; 0 if it left nothing."""
    if not path.exists():
        return 0
    metadata, tensors = read_tensors(path, "xaudio.checkpoint", DAMAGED)
    refuse_other_identity(path, metadata["identity"], identity)
    network.load_state_dict({name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")})
    weights = list(network.parameters())
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            weight = weights[int(index)]
            # The fused optimisers read the memory of weights and state side by side, so both must lie in the same order.
            like = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
            state.setdefault(int(index), {})[key] = like
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(metadata["step"])
