"""Whether the relevance depends on what the model has learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import (
    Better,
    Explanation,
    FloatArray,
    Model,
    ModelError,
    attribute,
    evaluation_mode,
    in_batches,
    network_name,
)

from ._given import Given, as_array, given, the_explainer
from ._ranks import rank_correlation, ranks


@dataclass(frozen=True)
class ModelRandomisation:
    """Adebayo et al. 2018 (arXiv 1810.03292), section 3; see `xaudio_robustness.model_randomisation`.

    Spearman's rank correlation (ties share their mean rank) of the relevance with that of the same explainer, for the same
    class, once weights are random; the mean over layers. A layer is a module with weights of its own, in the order in which
    the model calls them, from the logits to the input. It is initialised again by its ``reset_parameters``; weights that
    this leaves alone, or that have none, are shuffled. Cells that are silent in the recording do not count: that they have
    no relevance, whatever the weights, is no fault.

    An explainer that ignores the model gets exactly 1, the control ``random`` included, since it draws the same again.
    """

    order: str
    values: str
    seed: int
    batch_size: int

    @property
    def name(self) -> str:
        """Of the value, with what differs from the first definition."""
        return "model_randomisation" + "_independent" * (self.order == "independent") + "_absolute" * (self.values == "absolute")

    @property
    def better(self) -> Mapping[str, Better]:
        """Lower."""
        return {self.name: "lower"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure; see `per_layer` for what is raised.

        Returns
        -------
        dict
            The name: (n,), -1 to 1, the mean over layers.
        """
        return {self.name: np.mean(list(self.per_layer(model, explanations).values()), axis=0)}

    def per_layer(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure layer by layer.

        Returns
        -------
        dict
            (n,) for each layer by its name in the model, from the logits to the input.

        Raises
        ------
        ModelError
            For what `xaudio.plugin.check_explanations` refuses, for views, for several explainers, if the model is not what
            was explained, or it has no weights or cannot be copied.
        """
        items = given(model, explanations, self.name, self.batch_size)
        explainer = the_explainer(explanations, self.name)
        random = replace(model, network=_copied(model.network))  # the model itself is never touched

        def before(waveforms: Tensor, relevance: Tensor) -> Tensor:
            return ranks(self._counted(relevance), _sounding(model, waveforms))

        def similarity(waveforms: Tensor, target: Tensor, then: Tensor) -> Tensor:
            sounding = _sounding(random, waveforms)
            relevance = attribute(random, explainer, waveforms, target)[1]
            return rank_correlation(then, ranks(self._counted(relevance), sounding), sounding)

        first = in_batches(before, items.waveforms, items.relevance, size=self.batch_size)
        similarities = {}
        for position, (name, modules) in enumerate(_layers(random, items).items()):
            kept = [tensor.detach().clone() for module in modules for tensor in _own(module)]
            _randomise(modules, self.seed + position)
            similarities[name] = as_array(in_batches(similarity, items.waveforms, items.target, first, size=self.batch_size))
            if self.order == "independent":
                _restore(modules, kept)
        return similarities

    def _counted(self, relevance: Tensor) -> Tensor:
        return relevance.abs() if self.values == "absolute" else relevance


def _sounding(model: Model, waveforms: Tensor) -> Tensor:
    """Cells (batch, cells) that are not exactly silent."""
    with torch.no_grad():
        return (model.fitting(waveforms).representation.amplitude(waveforms) != 0).flatten(1)


def _copied(network: nn.Module) -> nn.Module:
    try:
        return deepcopy(network)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"model_randomisation works on a copy of the model, and it cannot be copied: {reason}") from error


def _layers(model: Model, items: Given) -> dict[str, list[nn.Module]]:
    """Modules with weights of their own, by the name of the layer, from the logits to the input.

    One that is never called, as the projection in `torch.nn.MultiheadAttention`, belongs to the module around it.
    """
    network = model.network
    order = _call_order(model, items.features[:1])
    modules = {name: module for name, module in network.named_modules() if _own(module)}
    layers: dict[str, list[nn.Module]] = {name: [module] for name, module in modules.items() if name in order}
    for name, module in modules.items():
        around = name
        while around and around not in order:
            around = around.rpartition(".")[0]
        if around != name and around in layers:
            layers[around].append(module)
    if not layers:
        raise ModelError(f"model_randomisation needs a model with weights in modules; {network_name(network)} has none.")
    return {name or "(model)": layers[name] for name in sorted(layers, key=order.__getitem__, reverse=True)}


def _call_order(model: Model, features: Tensor) -> dict[str, int]:
    """When each module of a copy of the model returns first, by its name."""
    order: dict[str, int] = {}
    handles = []
    for name, module in model.network.named_modules():

        def note(*_: object, name: str = name) -> None:
            order.setdefault(name, len(order))

        handles.append(module.register_forward_hook(note))
    try:
        # With gradients, since torch's transformers otherwise go round their modules.
        with evaluation_mode(model.network), torch.enable_grad():
            model.logits(features.clone())
    finally:
        for handle in handles:
            handle.remove()
    return order


def _own(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers of a module itself, or nothing if it has no parameters."""
    parameters = list(module.parameters(recurse=False))
    return [*parameters, *module.buffers(recurse=False)] if parameters else []


@torch.no_grad()
def _randomise(modules: Sequence[nn.Module], seed: int) -> None:
    """Random weights in place, the same on every device; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        for module in modules:
            fresh = deepcopy(module).cpu()
            reset = getattr(fresh, "reset_parameters", None) or getattr(fresh, "_reset_parameters", None)
            if callable(reset):
                reset()
            for now, new in zip(_own(module), _own(fresh), strict=True):
                if isinstance(now, nn.Parameter) and torch.equal(now.cpu(), new):
                    new.copy_(new.flatten()[torch.randperm(new.numel())].view_as(new))
                now.copy_(new)


@torch.no_grad()
def _restore(modules: Sequence[nn.Module], kept: Sequence[Tensor]) -> None:
    for tensor, value in zip((tensor for module in modules for tensor in _own(module)), kept, strict=True):
        tensor.copy_(value)
