"""What is timed: the same explanation by xaudio and by the library one would otherwise use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import xaudio

COMPOSITES = {
    "epsilon_plus": ("EpsilonPlus", {}),
    "epsilon_alpha2_beta1": ("EpsilonAlpha2Beta1", {}),
    "epsilon_gamma_box": ("EpsilonGammaBox", {"low": -100.0, "high": 100.0}),
}
"""Composites by their names here and in zennit, with options."""

Run = Callable[[], Tensor]


@dataclass(frozen=True)
class Pair:
    """The same relevance computed by two sides.

    Parameters
    ----------
    name : str
    library : str
        Of the other side.
    xaudio, other : callable
        Give relevance shaped like the features.
    """

    name: str
    library: str
    xaudio: Run
    other: Run


def unit(network: nn.Module, features: Tensor, target: Tensor) -> Run:
    """Forward, and backward to the input: the least that a method by gradients costs."""

    def run() -> Tensor:
        leaf = features.detach().clone().requires_grad_()
        return torch.autograd.grad(network(leaf).gather(1, target[:, None]).sum(), leaf)[0]

    return run


def pairs(network: nn.Module, features: Tensor, target: Tensor) -> Iterator[Pair]:
    """All pairs for a network without gradients of its weights, as both sides compute faster without them."""
    for name, (other, options) in COMPOSITES.items():
        method = xaudio.create("explainer", "lrp", composite=name, **options)
        library = _zennit(other, options, network, features, target)
        yield Pair(f"lrp {name}", "zennit", called(method, network, features, target), library)
    divides = 1.0000001e-6  # by as much as zennit: up to 1e-6 it would leave the epsilon out
    lrp = xaudio.create("explainer", "lrp", composite="epsilon_plus", engine="functions", epsilon=divides)
    library = _zennit("EpsilonPlus", {}, network, features, target)
    yield Pair("lrp epsilon_plus, functions", "zennit", called(lrp, network, features, target), library)
    lrp = xaudio.create("explainer", "lrp", composite="epsilon", engine="functions")
    gradient = unit(network, features, target)  # the same relevance, in networks of ReLU and maxima
    yield Pair("lrp epsilon, functions", "torch", called(lrp, network, features, target), lambda: features * gradient())
    for name, other, chosen, arguments in (
        ("gradient", "Saliency", {}, {"abs": False}),
        ("input_x_gradient", "InputXGradient", {}, {}),
        ("integrated_gradients", "IntegratedGradients", {"steps": 10}, {"n_steps": 10, "internal_batch_size": len(features)}),
    ):
        method = xaudio.create("explainer", name, **chosen)
        library = _captum(other, arguments, network, features, target)
        yield Pair(name, "captum", called(method, network, features, target), library)


def called(method: Any, network: nn.Module, features: Tensor, target: Tensor) -> Run:
    """An explainer of xaudio as `xaudio.explain` calls it."""

    def run() -> Tensor:
        relevance: Tensor = method(network, features.clone(), target)
        return relevance

    return run


def import_zennit(network: nn.Module, features: Tensor, target: Tensor) -> None:
    """Import zennit, whether torchvision works or not."""
    xaudio.create("explainer", "lrp", engine="zennit")(network, features[:1], target[:1])


def _zennit(name: str, options: dict[str, Any], network: nn.Module, features: Tensor, target: Tensor) -> Run:
    """A loop's body as zennit's documentation writes it."""
    import_zennit(network, features, target)
    from zennit import composites
    from zennit.attribution import Gradient

    def start(logits: Tensor) -> Tensor:
        return torch.zeros_like(logits).scatter(1, target[:, None], logits.detach().gather(1, target[:, None]))

    def run() -> Tensor:
        with Gradient(network, getattr(composites, name)(**options)) as attributor:
            relevance: Tensor = attributor(features.clone(), start)[1]
        return relevance.detach()

    return run


def _captum(name: str, options: dict[str, Any], network: nn.Module, features: Tensor, target: Tensor) -> Run:
    from captum import attr

    method = getattr(attr, name)(network)

    def run() -> Tensor:
        relevance: Tensor = method.attribute(features.clone().requires_grad_(), target=target, **options)
        return relevance.detach()

    return run


def long_runs(model: xaudio.Model, waveforms: Tensor, batch: int) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Many recordings through `xaudio.explain` with its defaults, and through a loop over batches written with zennit."""
    rate = model.representation.sample_rate
    with torch.no_grad():
        first = model.features(waveforms[:1].to(model.device))
    import_zennit(model.network, first, torch.zeros(1, dtype=torch.int64, device=model.device))

    def ours() -> Tensor:
        clips = [xaudio.Clip(waveform.numpy(), rate) for waveform in waveforms]
        explanations = xaudio.explain(model, clips, explainer="lrp", target=0, device=str(model.device))
        return torch.stack([torch.from_numpy(item.relevance) for item in explanations])

    def theirs() -> Tensor:
        from zennit.attribution import Gradient
        from zennit.composites import EpsilonPlus

        parts = []
        with Gradient(model.network, EpsilonPlus()) as attributor:
            for start in range(0, len(waveforms), batch):
                chunk = waveforms[start : start + batch]
                with torch.no_grad():
                    features = model.features(chunk.to(model.device))
                one_hot = torch.eye(len(model.classes), device=model.device)[:1].expand(len(chunk), -1)
                parts.append(attributor(features, lambda logits, chosen=one_hot: chosen * logits.detach())[1].detach().cpu())
        return torch.cat(parts)

    return ours, theirs
