"""Relevance at the output of a layer, looked at and changed on its way back."""

from typing import Any

import torch
from torch import Tensor


class Watch:
    """Relevance at the output of a layer (batch, channels, ...), and what it is multiplied by on its way to the features."""

    def __init__(self) -> None:
        self.relevance: Tensor | None = None
        self.weights: Tensor | None = None


class Place:
    """Where a watch looks, until the layer goes on in a normalisation."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.over = watch, False


class Watched(torch.autograd.Function):
    """A layer's output as it is; its relevance is noted and changed."""

    @staticmethod
    def forward(context: Any, output: Tensor, place: Place) -> Tensor:
        context.save_for_backward(output)
        context.place = place
        return output.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        (output,), place, gradient = context.saved_tensors, context.place, gradients[0]
        if place.over:
            return gradient, None
        watch = place.watch
        if watch.weights is not None:
            return gradient * watch.weights, None
        relevance = gradient * output
        watch.relevance = relevance if watch.relevance is None else watch.relevance + relevance
        return gradient, None
