"""Sounds beside texts: what CLAP makes of a text, and how well each of several texts describes a sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xaudio.plugin import Answer, ModelError, evaluation_mode

READ = ("input_ids", "attention_mask")
"""What a tokenizer gives that the model's texts are made of."""


class Texts:
    """What a model of sounds and texts makes of texts.

    Parameters
    ----------
    model : ClapModel
    tokenizer : object
        Of transformers.
    """

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (texts, dimensions).

        Raises
        ------
        ModelError
            If the tokenizer or the model does not take them.
        """
        device = next(self.model.parameters()).device
        try:
            encoded = self.tokenizer(list(texts), padding=True, return_tensors="pt")
            given = {name: encoded[name].to(device) for name in READ if name in encoded}
            with torch.no_grad(), evaluation_mode(self.model):
                output: Any = self.model.get_text_features(**given)  # type: ignore[operator]
        except Exception as error:  # anyone's tokenizer
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"The model's tokenizer {type(self.tokenizer).__name__} does not suit it: {reason[:300]}") from None
        embeddings: Tensor = output if isinstance(output, Tensor) else output.pooler_output
        return embeddings.detach().float()

    @property
    def scale(self) -> float:
        """By what the model multiplies cosines to get logits."""
        return float(self.model.logit_scale_a.detach().exp())  # type: ignore[operator, union-attr]


@dataclass(frozen=True, eq=False)
class Described:
    """Logits of texts, one of which describes a sound: cosines of the embeddings, times the model's scale.

    Parameters
    ----------
    names : tuple of str
        The texts.
    embeddings : Tensor, shape (texts, dimensions)
    scale : float
    """

    names: tuple[str, ...]
    embeddings: Tensor
    scale: float

    def __call__(self, answer: Answer) -> Tensor:
        """Logits (batch, texts)."""
        sounds = functional.normalize(answer.scores.flatten(1), dim=1)
        return self.scale * sounds @ functional.normalize(self.embeddings.to(sounds), dim=1).T
