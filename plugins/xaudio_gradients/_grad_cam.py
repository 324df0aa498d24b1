"""Grad-CAM: where the channels of a convolution, weighted by their gradient, are active."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from xaudio.plugin import ModelError, in_this_thread, network_name, own_hooks

from ._gradients import backward, blocks

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
INTERPOLATION = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class GradCam:
    """Class activation map of one layer; see `xaudio_gradients.grad_cam`."""

    layer: str | None
    relu: bool
    internal_batch_size: int | None

    needs = "layers"

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2).

        Raises
        ------
        ModelError
            If the model has no such layer, or the layer's output cannot be laid over the features.
        """
        name, layer = _layer(model, self.layer)
        size = features.shape[2:]
        chunks = blocks(len(features), self.internal_batch_size)
        maps = torch.cat([self._map(model, name, layer, features[rows].detach(), target[rows]) for rows in chunks])
        # A network for waveforms may run on images of height 1: there, axes of one cell say nothing.
        axes = tuple(maps.shape[1:])
        if len(axes) != len(size):
            axes = tuple(length for length in axes if length > 1) or (1,)
        if len(axes) == 1 and len(size) == 2:  # a layer over time alone, as in a transformer: alike for all frequencies
            axes = (1, *axes)
        if len(axes) != len(size) or len(size) not in INTERPOLATION:
            raise ModelError(
                f"grad_cam: layer {name!r} has the axes {tuple(maps.shape[1:])}, which cannot be laid over the features' "
                f"{tuple(size)}: name another with layer=; the convolutions are {_names(model)}."
            )
        maps = maps.reshape(len(features), 1, *axes)
        return functional.interpolate(maps, size, mode=INTERPOLATION[len(size)]).expand_as(features).clone()

    def _map(self, model: nn.Module, name: str, layer: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Map (batch, *axes of the layer)."""
        outputs: list[Tensor] = []

        def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
            outputs.append(output)
            return output.clone()  # what follows may work in place

        with own_hooks(), torch.enable_grad():
            handle = layer.register_forward_hook(in_this_thread(keep))
            try:
                score = model(features.clone().requires_grad_().clone()).gather(1, target[:, None]).sum()
            finally:
                handle.remove()
        if not outputs or not isinstance(outputs[-1], Tensor) or outputs[-1].ndim < 3:
            raise ModelError(
                f"grad_cam: layer {name!r} gives no output (batch, channels, *axes) in a forward pass; the convolutions are "
                f"{_names(model)}."
            )
        active = outputs[-1]
        gradient = backward(model, score, active) if active.requires_grad else None
        if gradient is None:
            raise ModelError(f"grad_cam: the logits have no gradient for layer {name!r}; the convolutions are {_names(model)}.")
        weights = gradient.flatten(2).mean(2).reshape(*gradient.shape[:2], *[1] * (gradient.ndim - 2))
        summed = (weights * active.detach()).sum(1)
        return summed.clamp(min=0) if self.relu else summed


def _convolutions(model: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if isinstance(module, CONVOLUTIONS)}


def _names(model: nn.Module) -> str:
    return ", ".join(_convolutions(model)) or "none"


def _layer(model: nn.Module, name: str | None) -> tuple[str, nn.Module]:
    convolutions = _convolutions(model)
    if name is None:
        if not convolutions:
            raise ModelError(f"grad_cam needs a convolution, and {network_name(model)} has none: use input_x_gradient.")
        return list(convolutions.items())[-1]
    modules = dict(model.named_modules())
    if name not in modules:
        raise ModelError(f"grad_cam: the model has no layer {name!r}; its convolutions are {_names(model)}.")
    return name, modules[name]
