"""A plan for explaining one model by one composite: steps forward and back, without hooks and without autograd."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ._steps import Step

CHUNK = 16
"""Recordings taken through the layers at once on a CPU, where their activations should stay in the caches."""


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
        now, then = getattr(layers[self.layer], self.attribute), self.tensor
        if now is None or then is None:
            return now is then
        place = (now.data_ptr(), now.shape, now.stride(), now.dtype, now.device)
        if place != (then.data_ptr(), then.shape, then.stride(), then.dtype, then.device):
            return False
        return self.copy is None or torch.equal(now, self.copy)


@dataclass(eq=False)
class Plan:
    """Steps from features to logits, and back from relevance to relevance."""

    steps: tuple[Step, ...]

    def forward(self, features: Tensor) -> tuple[Tensor, list[Any]]:
        """Logits (batch, classes) and what each step keeps."""
        kept = []
        values = features
        for step in self.steps:
            shape = values.shape
            values, own = step.forward(_shaped(values, step.size))
            kept.append((shape, own))
        return values.flatten(1), kept

    def explain(self, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (batch, channels, *axes), of the logit of the target (batch,)."""
        logits, kept = self.forward(features)
        relevance = torch.zeros_like(logits).scatter(1, target[:, None], logits.gather(1, target[:, None]))
        for step in reversed(self.steps):
            shape, own = kept.pop()
            relevance = _shaped(step.backward(relevance, own), tuple(shape[1:]))
        return relevance

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Relevance of any number of recordings."""
        size = CHUNK if features.device.type == "cpu" else max(1, len(features))
        found = torch.empty_like(features, memory_format=torch.contiguous_format)
        with torch.no_grad():
            for start in range(0, len(features), size):
                chosen = slice(start, start + size)
                found[chosen] = self.explain(features[chosen], target[chosen])
        return found


def _shaped(values: Tensor, size: tuple[int, ...] | None) -> Tensor:
    """The same values in the same order for a shape of one recording; convolutions on a CPU read channels-last."""
    if size is not None and values.shape[1:] != size:
        values = values.reshape(len(values), *size)
    if values.ndim == 4 and values.device.type == "cpu":
        return values.contiguous(memory_format=torch.channels_last)
    return values
