"""Where relevance is lost or made: what arrives at each layer that has a rule, what leaves it, and the logit."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from xaudio.plugin import ModelError

MOST = 10.0
"""How many times the logit relevance may become, or how small a part of it, before it means nothing."""


def check_sum(relevance: Tensor, constants: Tensor, logits: Tensor) -> None:
    """Compare relevance (batch, ...) and constants () of all recordings with what was explained, (batch,).

    Raises
    ------
    ModelError
        If they miss it by more than `MOST` times what was explained, or are less than that part of it.
    """
    total, size = logits.double().sum(), logits.double().abs().sum()
    residual = float(total - relevance.double().sum() - constants.double())
    if not math.isfinite(residual):
        raise ModelError(
            "lrp: the answer is a number, but what it is made of is not: some relevance or constant is NaN or infinite, as a "
            "weight may be, or the slope of a function of one's own. Look for these, or use integrated_gradients; strict=false "
            "gives this relevance all the same."
        )
    if not bool(size) or (abs(residual) <= (1 - 1 / MOST) * float(size)):
        return
    raise _off((float(total) - residual) / float(total) if float(total) else float("inf"))


def _off(share: float) -> ModelError:
    return ModelError(
        f"lrp: operations that have no rule make {share:.3g} times the logit of the relevance, not once; "
        "xaudio doctor names them. Use modules that have a rule, or an explainer that needs none, such as "
        "integrated_gradients; strict=false gives this relevance all the same."
    )


class Ledger:
    """What the layers that have a rule keep of the relevance, as biases do, in one backward pass.

    Rules keep books: what they do not pass on, they absorbed. All else between the logit and the features must neither add
    relevance nor lose any, so that the logit is what reaches the features and what was absorbed on the way.

    Parameters
    ----------
    batch : int
        How many recordings are explained.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.absorbed = torch.zeros(batch, dtype=torch.float64)

    def watch(self, module: nn.Module) -> None:
        """Note what a layer absorbs; its rule must be registered already."""
        module.register_forward_pre_hook(self._enter, prepend=True)
        module.register_forward_hook(self._leave)

    def check(self, relevance: Tensor, logits: Tensor) -> None:
        """Compare what arrived with the logits (batch,) of the explained classes.

        Raises
        ------
        ModelError
            If for a recording it is more than `MOST` times the logit, less than that part of it, or of the other sign.
        """
        logits = logits.detach().double().cpu()
        share = (self._sums(relevance) + self.absorbed) / torch.where(logits == 0, 1, logits)
        wrong = (logits != 0) & ~((share >= 1 / MOST) & (share <= MOST))
        if wrong.any():
            raise _off(float(share[wrong][0]))

    def _enter(self, module: nn.Module, inputs: Any) -> Any:
        own = inputs[0].view_as(inputs[0])  # others may read the same tensor, whose gradient would be the sum of all
        if own.requires_grad:
            own.register_hook(lambda leaving: self._add(-self._sums(leaving)))
        return own, *inputs[1:]

    def _leave(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda arriving: self._add(self._sums(arriving)))  # type: ignore[no-untyped-call]

    def _add(self, sums: Tensor) -> None:
        self.absorbed += sums

    def _sums(self, relevance: Tensor) -> Tensor:
        """Sums of each recording; of all, in equal parts, where a layer has the recordings in another order."""
        relevance = relevance.detach().double()
        if len(relevance) % self.batch:
            return (relevance.sum() / self.batch).expand(self.batch).cpu()
        return relevance.reshape(self.batch, -1).sum(1).cpu()
