"""Explainers that can tell what flows through a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn


class LayerRelevance(NamedTuple):
    """Relevance at a layer, and the way from there to the features.

    Parameters
    ----------
    relevance : Tensor, shape ``(batch, channels, *positions)``
        Of the layer's output; a linear layer has no positions.
    through : callable
        Takes weights that broadcast to the shape of ``relevance`` and gives the relevance of the features,
        ``(batch, channels, *axes)``, that is due to the relevance at the layer times these weights: linear in them, and for
        weights of 1 the explanation itself if all of it flows through the layer. What flows around it, as through a shortcut, is
        in none of its parts.
    """

    relevance: Tensor
    through: Callable[[Tensor], Tensor]


@runtime_checkable
class ConditionalExplainer(Protocol):
    """A `xaudio.plugin.Explainer` that can tell which part of the relevance flows through a channel (Achtibat et al. 2023).

    `xaudio.concepts` asks for it. Options ``layer`` and ``channels`` beside it make the explanations repeatable by name, as in
    "lrp:layer=layers.3,channels=17".
    """

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features; see `xaudio.plugin.Explainer`."""

    def conditional(self, model: nn.Module, features: Tensor, target: Tensor, layer: str) -> LayerRelevance:
        """Relevance at a layer for one class per recording.

        Parameters
        ----------
        model : nn.Module
            In evaluation mode. Must be left as it was.
        features : Tensor, shape ``(batch, channels, *axes)``
        target : Tensor of int64, shape (batch,)
        layer : str
            Of ``model.named_modules()``; what is no convolution or linear layer raises `xaudio.ModelError` (see
            `xaudio.find_layer`).
        """
