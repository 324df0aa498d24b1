"""A plan for explaining one model by one composite: steps forward and back, without hooks and without autograd."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xaudio.plugin import LayerRelevance

from ._steps import Step, WeightedStep

CHUNK = 32
"""Recordings explained at once on a CPU: so many share the reading of the linear layers' weights, which are large."""
CELLS = 3_200_000
"""Activations of one layer that a CPU computes at once, as they should stay in its caches: a piece of a chunk."""


class Method(NamedTuple):
    """A composite and its options: rules of convolutions, linear layers and the first layer, and their numbers."""

    convolution: str
    linear: str
    first: str
    epsilon: float
    gamma: float
    low: float | None
    high: float | None
    absorb: bool
    strict: bool = True
    attention: str = "value"
    products: str = "gate"


class Source(NamedTuple):
    """A tensor of the model that a plan uses, and its values if the plan has derived others from them."""

    layer: str
    attribute: str
    tensor: Tensor | None
    copy: Tensor | None

    def unchanged(self, layers: dict[str, nn.Module]) -> bool:
        """Whether the model still has this tensor, with these values.

        Values are compared themselves: writing to ``parameter.data`` leaves no other trace.
        """
        now, then = getattr(layers[self.layer], self.attribute, None), self.tensor
        if now is None or then is None:
            return now is then
        place = (now.data_ptr(), now.shape, now.stride(), now.dtype, now.device)
        if place != (then.data_ptr(), then.shape, then.stride(), then.dtype, then.device):
            return False
        return self.copy is None or torch.equal(now, self.copy)


class Place(NamedTuple):
    """The step of a layer, and the shape of its own output for one recording (before the pooling that the step does)."""

    step: int
    outputs: tuple[int, ...]


@dataclass(eq=False)
class Plan:
    """Steps from features to logits, and back from relevance to relevance.

    Parameters
    ----------
    steps : sequence of Step
    linear : int
        Where the linear layers at the end begin.
    cells : int
        The most activations that a layer has for one recording.
    exact : bool
        Whether its logits are the model's but for rounding: not where a batch normalisation was merged as zennit does.
    layers : mapping of str to Place
        Where the convolutions and linear layers are, by name.
    """

    steps: Sequence[Step]
    linear: int
    cells: int
    exact: bool = True
    layers: Mapping[str, Place] = field(default_factory=dict)

    def __call__(self, features: Tensor, target: Tensor | None, at_once: int | None = None) -> tuple[Tensor, Tensor]:
        """Relevance shaped like features (batch, channels, *axes), and logits (batch, classes).

        Parameters
        ----------
        features : Tensor, shape (batch, channels, *axes)
        target : Tensor of int64, shape (batch,), or None
            The class to explain; None for the one with the largest logit.
        at_once : int, optional
            How many recordings are computed at once at most.
        """
        chunk = CHUNK if features.device.type == "cpu" else max(1, len(features))
        chunk = min(chunk, at_once or chunk)
        piece = max(1, CELLS // self.cells) if features.device.type == "cpu" else chunk
        targets = [None] * -(-len(features) // chunk) if target is None else target.split(chunk)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            pairs = [self._explain(*pair, piece) for pair in zip(features.split(chunk), targets, strict=True)]  # type: ignore[no-untyped-call]
        return torch.cat([relevance for relevance, _ in pairs]), torch.cat([logits for _, logits in pairs])

    def _explain(self, features: Tensor, target: Tensor | None, piece: int) -> tuple[Tensor, Tensor]:
        before, after = self.steps[: self.linear], self.steps[self.linear :]
        parts = [_forward(before, part) for part in features.split(piece)]  # type: ignore[no-untyped-call]
        values = torch.cat([outputs for outputs, _ in parts])
        kept = [kept for _, kept in parts]
        del parts
        logits, linear_kept = _forward(after, values)
        logits = logits.flatten(1)
        relevance = _backward(after, _begun(logits, target), linear_kept)
        # The last piece first: it is the one that is still in the caches.
        pieces = [_backward(before, part, kept.pop()) for part in reversed(relevance.split(piece))]  # type: ignore[no-untyped-call]
        return torch.cat(pieces[::-1]), logits

    def at_layer(self, features: Tensor, target: Tensor, layer: str) -> LayerRelevance:
        """Relevance at the output of a layer, and the way from there; see `xaudio.plugin.ConditionalExplainer`.

        All recordings are computed at once, and what the way back needs of the layers below is kept.
        """
        place, outputs = self.layers[layer]
        with torch.no_grad():
            logits, kept = _forward(self.steps, features)
            relevance = _backward(self.steps[place + 1 :], _begun(logits.flatten(1), target), kept[place + 1 :])
        below, own = kept[: place + 1], kept[place][1]
        step = self.steps[place]
        assert isinstance(step, WeightedStep)  # noqa: S101
        shape = (len(features), *outputs)

        def through(weights: Tensor) -> Tensor:
            with torch.no_grad():
                weighted = relevance * step.after_pooling(weights.to(relevance).expand(shape), own)
                return _backward(self.steps[: place + 1], weighted, list(below))

        return LayerRelevance(step.before_pooling(relevance, own).reshape(shape), through)

    def logits(self, features: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        with torch.no_grad():
            return _forward(self.steps, features)[0].flatten(1)


def _begun(logits: Tensor, target: Tensor | None) -> Tensor:
    """The relevance to begin with: the logit of the target, by default the largest, and 0 for all other classes."""
    target = logits.argmax(1) if target is None else target
    return torch.zeros_like(logits).scatter(1, target[:, None], logits.gather(1, target[:, None]))


def _forward(steps: Sequence[Step], values: Tensor) -> tuple[Tensor, list[Any]]:
    """Outputs of the last step, and what each step keeps."""
    kept = []
    for step in steps:
        shape = tuple(values.shape[1:])
        values, own = step.forward(_shaped(values, step.size))
        kept.append((shape, own))
    return values, kept


def _backward(steps: Sequence[Step], relevance: Tensor, kept: list[Any]) -> Tensor:
    """Relevance of the inputs of the first step; frees what was kept on the way."""
    for step in reversed(steps):
        shape, own = kept.pop()
        relevance = _shaped(step.backward(relevance, own), shape)
    return relevance


def _shaped(values: Tensor, size: tuple[int, ...] | None) -> Tensor:
    """The same values in the same order for a shape of one recording; convolutions on a CPU read channels-last."""
    if size is not None and values.shape[1:] != size:
        values = values.reshape(len(values), *size)
    if values.ndim == 4 and values.device.type == "cpu":
        return values.contiguous(memory_format=torch.channels_last)
    return values
