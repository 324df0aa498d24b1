"""Train a classifier so that a run can be stopped at any moment and ends with the same weights."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError
from torch import Tensor, nn

from .classifier import Classifier
from .errors import DataError, ModelError, PluginError, unknown
from .preparation import Prepared, place
from .runs import differences
from .tensors import read_tensors, write_tensors
from .terminal import progress
from .types import FloatArray, IntArray

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 60.0
EVALUATION_BATCH = 50


class TrainingSettings(BaseModel):
    """How a network is trained; the defaults are those of the paper's AlexNet.

    Parameters
    ----------
    steps, batch_size : int
    optimiser : {"sgd", "adam"}
    learning_rate, momentum : float
        ``momentum`` is that of SGD.
    warmup : int
        Steps over which the learning rate rises linearly from 0.
    halve_every : int or None
        Steps after which the learning rate is halved, again and again.
    schedule : {"halve", "cosine"}
        ``cosine`` falls to 0 at the last step instead of halving.
    clip_norm : float or None
        Largest L2 norm of the gradient.
    subtract_mean : bool
        Subtract the training set's mean feature, element by element.
    initialisation : {"published", "he"}
        ``he`` draws weights of variance 2 / fan-in instead of the model's own (see `initialise`), so that a short
        training gets somewhere.
    seed : int
        Of weights, order, dropout and placement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: PositiveInt = 10_000
    batch_size: PositiveInt = 100
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    warmup: NonNegativeInt = 0
    halve_every: PositiveInt | None = None
    schedule: Literal["halve", "cosine"] = "halve"
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    subtract_mean: bool = False
    initialisation: Literal["published", "he"] = "published"
    seed: NonNegativeInt = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rate = self.learning_rate
        if self.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * step / self.steps))
        elif self.halve_every:
            rate *= 0.5 ** (step // self.halve_every)
        return rate * min(1.0, (step + 1) / self.warmup) if self.warmup else rate


def settings_for(network: nn.Module, overrides: Mapping[str, Any]) -> TrainingSettings:
    """The settings a model was published with, with some replaced.

    Raises
    ------
    PluginError
        For an unknown setting (naming the nearest) or a value that does not fit.
    """
    for name in overrides:
        if name not in TrainingSettings.model_fields:
            raise PluginError(f"In the training settings: {unknown('setting', name, TrainingSettings.model_fields)}")
    try:
        return TrainingSettings.model_validate({**getattr(network, "training_settings", {}), **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PluginError(f"The training setting {where!r} is {first['input']!r}: {first['msg'].lower()}.") from None


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled recordings on the device, ready to be placed.

    Parameters
    ----------
    waveforms : Tensor, shape (recordings, samples)
        See `Prepared`.
    lengths, offsets, labels : Tensor of int64, shape (recordings,)
    per_step : bool
        Draw the offsets anew at each training step.
    """

    waveforms: Tensor
    lengths: Tensor
    offsets: Tensor
    labels: Tensor
    per_step: bool

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> Tensor:
        """Placed waveforms (batch, samples)."""
        return place(self.waveforms[indices], self.lengths[indices], self.offsets[indices])

    def batches(self, size: int = EVALUATION_BATCH) -> Iterator[Tensor]:
        """Indices of all recordings, some at a time."""
        for start in range(0, len(self), size):
            yield torch.arange(start, min(start + size, len(self)), device=self.labels.device)

    def training_batch(self, indices: Tensor) -> Tensor:
        """Placed waveforms, anew at each call if the placement is per step."""
        if not self.per_step:
            return self.batch(indices)
        free = self.waveforms.shape[1] - self.lengths[indices]
        draws = torch.rand(len(indices)).to(free.device)
        return place(self.waveforms[indices], self.lengths[indices], (draws * free).long())


def examples(prepared: Prepared, labels: IntArray, indices: IntArray, classifier: Classifier, seed: int) -> Examples:
    """The chosen recordings of a prepared data set, on the classifier's device."""
    device, placement = classifier.device, classifier.representation.placement
    offsets = prepared.offsets(placement, seed)
    return Examples(
        torch.from_numpy(np.array(prepared.waveforms[indices])).to(device),
        torch.from_numpy(prepared.lengths[indices]).to(device),
        torch.from_numpy(offsets[indices]).to(device),
        torch.from_numpy(np.asarray(labels)[indices]).to(device),
        placement == "step",
    )


def train(
    classifier: Classifier, data: Examples, settings: TrainingSettings, folder: Path, *, title: str, identity: Mapping[str, Any]
) -> None:
    """Train a classifier in place, continuing from the folder's checkpoint if there is one.

    All that is random in a step follows from the seed and the step's number, so that a continued run ends with the
    weights of one that was never stopped (on the same device, with the same number of threads).

    Parameters
    ----------
    classifier : Classifier
        Untrained, on its device.
    data : Examples
    settings : TrainingSettings
    folder : Path
        Where the checkpoint is kept while the training runs.
    title : str
        For the progress bar.
    identity : mapping
        Everything that determines the result (data, fold, model, ...); a checkpoint of another identity is refused.

    Raises
    ------
    DataError
        If there is nothing to train on.
    ModelError
        If the loss is not a number, or the checkpoint is damaged or of another run.
    """
    if not len(data):
        raise DataError(f"{title}: the training set is empty.")
    network = classifier.network
    full_identity = {**identity, "settings": settings.model_dump()}
    if settings.subtract_mean or settings.initialisation == "he":  # else the pass over the data would be for nothing
        mean, deviation = feature_statistics(classifier, data)
        classifier.mean = mean if settings.subtract_mean else None
        if settings.initialisation == "he":
            initialise(network, settings.seed, deviation)
    optimiser = _optimiser(network, settings)
    step = _load_checkpoint(folder / CHECKPOINT, network, optimiser, full_identity)
    network.train()
    saved = time.monotonic()
    order = _Order(len(data), settings.seed)
    try:
        with torch.random.fork_rng(), progress(title, settings.steps, done=step) as advance:
            while step < settings.steps:
                loss = _step(classifier, data, settings, optimiser, order, step)
                if not math.isfinite(loss):
                    raise ModelError(
                        f"{title}: the loss became {loss} at step {step + 1}. Lower the learning rate ({settings.learning_rate}) "
                        f"or set clip_norm; the last checkpoint is kept in {folder}."
                    )
                step += 1
                advance(note=f"loss {loss:.3f}")
                if time.monotonic() - saved > CHECKPOINT_SECONDS and step < settings.steps:
                    _save_checkpoint(folder / CHECKPOINT, network, optimiser, step, full_identity)
                    saved = time.monotonic()
        if not all(bool(torch.isfinite(weight).all()) for weight in network.parameters()):
            raise ModelError(
                f"{title}: the weights are no longer numbers after the last step. Lower the learning rate "
                f"({settings.learning_rate}) or set clip_norm."
            )
    except KeyboardInterrupt:
        _save_checkpoint(folder / CHECKPOINT, network, optimiser, step, full_identity)
        raise
    network.eval()


def _step(
    classifier: Classifier, data: Examples, settings: TrainingSettings, optimiser: torch.optim.Optimizer, order: _Order, step: int
) -> float:
    torch.manual_seed(_mix(settings.seed, step))
    for group in optimiser.param_groups:
        group["lr"] = settings.rate_at(step)
    indices = torch.from_numpy(order.batch(step, settings.batch_size)).to(data.labels.device)
    with torch.no_grad():
        features = classifier.features(data.training_batch(indices))
    optimiser.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(classifier.network(features), data.labels[indices])
    torch.autograd.backward(loss)
    if settings.clip_norm is not None:
        nn.utils.clip_grad_norm_(classifier.network.parameters(), settings.clip_norm)
    optimiser.step()
    return float(loss.detach())


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


def _optimiser(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    if settings.optimiser == "adam":
        return torch.optim.Adam(network.parameters(), settings.learning_rate)
    return torch.optim.SGD(network.parameters(), settings.learning_rate, momentum=settings.momentum)


def initialise(network: nn.Module, seed: int, deviation: float) -> None:
    """Draw the weights of all linear and convolutional layers from N(0, 2 / fan-in), biases 0 (He et al., 2015).

    Parameters
    ----------
    network : nn.Module
    seed : int
    deviation : float
        Standard deviation of what the network reads; the first layer's weights are divided by it, as if its input were
        normalised, since decibels and percentiles are far from the variance 1 that the rule supposes. The last layer's
        are a tenth of the rule's, so that training starts undecided instead of unlearning its first guesses.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for index, layer in enumerate(layers):
            fresh = nn.init.kaiming_normal_(torch.empty(layer.weight.shape), nonlinearity="relu")
            scale = 1 / deviation if index == 0 else 0.1 if index == len(layers) - 1 else 1.0
            layer.weight.copy_(fresh * scale)
            if layer.bias is not None:
                layer.bias.zero_()


@torch.no_grad()
def feature_statistics(classifier: Classifier, data: Examples) -> tuple[Tensor, float]:
    """Mean over recordings of what the representation gives, (channels, *axes), and the deviation of all cells from it."""
    exact = torch.float32 if classifier.device.type == "mps" else torch.float64  # MPS has no float64
    total: Tensor | float = 0.0
    squares = 0.0
    for indices in data.batches():
        features = classifier.representation(data.batch(indices)).to(exact)
        total = total + features.sum(0)
        squares += float(features.square().sum())
    mean = torch.as_tensor(total) / len(data)
    variance = squares / (len(data) * mean.numel()) - float(mean.square().mean())
    return mean.float(), max(variance, 1e-12) ** 0.5


@torch.no_grad()
def evaluate(classifier: Classifier, data: Examples, title: str = "Testing") -> FloatArray:
    """Logits of all recordings, shape (recordings, classes), float32."""
    classifier.network.eval()
    parts = []
    with progress(title, len(data)) as advance:
        for indices in data.batches():
            parts.append(classifier.logits(classifier.features(data.batch(indices))).cpu())
            advance(len(indices))
    return np.asarray(torch.cat(parts).numpy())


def accuracy(logits: FloatArray, labels: IntArray) -> float:
    """Share of recordings whose highest logit is that of the label."""
    return float((np.argmax(logits, 1) == labels).mean())


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
    metadata, tensors = read_tensors(path, "xaudio.checkpoint", "Delete it to train from the start.")
    refuse_other_identity(path, metadata["identity"], identity)
    network.load_state_dict({name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(metadata["step"])


def refuse_other_identity(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `ModelError` naming the first thing in which a saved run differs from the wanted one."""
    wanted = json.loads(json.dumps(wanted))
    difference = first_difference(found, wanted)
    if difference:
        raise ModelError(f"{path}: belongs to a run of other settings: {difference}. Use another --out, or delete that folder.")


def first_difference(found: Any, wanted: Any) -> str:
    """Where two JSON values differ first, as "name was found, now wanted"; "" if they are equal."""
    return next((f"{name} was {one!r}, now {other!r}" for name, one, other in differences(found, wanted)), "")
