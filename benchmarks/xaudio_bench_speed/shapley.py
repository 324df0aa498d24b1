"""What is timed beside shap: DeepLIFT, and exact Shapley values of stretches of time, which both sides ask the model alike."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import xaudio

from .contenders import Pair, Run, called
from .records import LeftOut

SLOTS = 4
"""Stretches of time, each left or taken away: both sides ask about all 16 choices."""

BATCH = 64
"""Changed recordings that are classified at once, on both sides."""

COMPLETE = 0.01
"""Share of the difference of logits by which DeepLIFT's sums may miss it; that they meet it is what it is for."""


def shap_pairs(name: str, network: nn.Module, features: Tensor, target: Tensor) -> Iterator[Pair | LeftOut]:
    """Pairs with shap for a network without gradients of its weights, and what is left out.

    Not `shap.GradientExplainer`: it draws places of its own for each recording, so that it and expected gradients by
    xaudio are the same on average alone.

    Parameters
    ----------
    name : str
        Of the network, for messages.
    network : nn.Module
    features : Tensor, shape (batch, channels, *axes)
    target : Tensor of int64, shape (batch,)
        The predicted classes, which shap finds by itself.
    """
    shap = _shap()
    if isinstance(shap, str):
        yield LeftOut(part="explainers", reason=shap)
        return
    try:
        deep = _deep(shap, network, features)
        missed = _missed(network, features, target, deep())
        reason = f"its sums miss the difference of the logits by {missed:.0%}." if not missed <= COMPLETE else ""
    except Exception as error:  # it works by hooks, which not every network bears
        reason = " ".join(str(error).split())
    if reason:
        yield LeftOut(part="explainers", reason=f"shap.DeepExplainer beside deep_lift on {name}: {reason}")
    else:
        yield Pair("deep_lift", "shap", called(xaudio.create("explainer", "deep_lift"), network, features, target), deep)
    # With a faint noise: what is 0 already is taken away without a question by xaudio, and with one by shap.
    noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(0)).to(features)
    noisy = features + 1e-3 * noise
    bands = {"bands": 1} if features.ndim > 3 else {}
    method = xaudio.create("explainer", "kernel_shap", slots=SLOTS, internal_batch_size=BATCH, **bands)
    yield Pair("kernel_shap", "shap", called(method, network, noisy, target), _kernel(shap, network, noisy, target))


def _shap() -> Any:
    """The module, or why there is none."""
    try:
        return import_module("shap")
    except Exception as error:  # it imports many libraries, any of which may be missing or broken
        return f"shap cannot be imported: {' '.join(str(error).split())}"


def _deep(shap: Any, network: nn.Module, features: Tensor) -> Run:
    """DeepLIFT's rescale rule of the predicted class against features of 0, by shap."""
    explainer = shap.DeepExplainer(network, torch.zeros_like(features[:1]))

    def run() -> Tensor:
        values, _ = explainer.shap_values(features.clone(), ranked_outputs=1, check_additivity=False)
        return torch.from_numpy(np.asarray(values)[..., 0]).to(features)

    return run


@torch.no_grad()
def _missed(network: nn.Module, features: Tensor, target: Tensor, relevance: Tensor) -> float:
    """By how much sums of relevance miss the difference of the targets' logits from those of 0, as a share of it, at most."""
    chosen = target[:, None]
    difference = (network(features) - network(torch.zeros_like(features))).gather(1, chosen)[:, 0]
    return float(((relevance.flatten(1).sum(1) - difference) / difference).abs().max())


def _kernel(shap: Any, network: nn.Module, features: Tensor, target: Tensor) -> Run:
    """Shapley values of stretches of time, recording by recording as shap takes them, in equal parts on their cells."""
    length = features.shape[-1]
    slots = torch.arange(length, device=features.device) * SLOTS // length
    cells = torch.bincount(slots, minlength=SLOTS) * (features[0].numel() // length)

    def values(row: int) -> Tensor:
        @torch.no_grad()
        def ask(choices: NDArray[Any]) -> NDArray[Any]:
            left = torch.from_numpy(choices).to(features)[:, slots]
            masks = left.reshape(len(left), *[1] * (features.ndim - 2), length)
            logits = torch.cat([network(features[row] * part)[:, target[row]] for part in torch.split(masks, BATCH)])
            return logits.cpu().numpy()

        explainer = shap.KernelExplainer(ask, np.zeros((1, SLOTS)))
        found = explainer.shap_values(np.ones((1, SLOTS)), nsamples=2**SLOTS - 2, l1_reg=0, silent=True)
        return torch.from_numpy(np.asarray(found)[0]).to(features)

    def run() -> Tensor:
        each = torch.stack([values(row) / cells for row in range(len(features))])
        return each[:, slots].reshape(len(features), *[1] * (features.ndim - 2), length).expand_as(features)

    return run
