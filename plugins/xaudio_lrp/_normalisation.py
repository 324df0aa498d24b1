"""Batch normalisation as what it is in evaluation mode: a factor and a shift for each channel."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xaudio.plugin import ModelError

from ._rules import stabilised


def affine(module: Any) -> tuple[Tensor, Tensor]:
    """Factor and shift (channels,) of a batch normalisation with running statistics."""
    factor = (module.running_var + module.eps) ** -0.5
    factor = factor if module.weight is None else factor * module.weight
    shift = -module.running_mean * factor
    return factor, shift if module.bias is None else shift + module.bias


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """Values (channels,) to be combined with (batch, channels, ...)."""
    return values.reshape(-1, *[1] * (like.ndim - 2))


def refuse_batch_statistics(model: nn.Module) -> None:
    """Raise `ModelError` for a batch normalisation without running statistics."""
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise ModelError(
                f"lrp: the batch normalisation {name!r} has no running statistics, so that a recording's relevance would depend "
                "on the others of its batch. Train it with track_running_stats=True, or use an explainer that runs one at a time."
            )


class _Epsilon(torch.autograd.Function):
    """Inputs times factors plus shifts; on the way back relevance, by the epsilon rule."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, factor: Tensor, shift: Tensor, settings: tuple[float, bool]) -> Tensor:
        products = inputs * factor
        outputs = products + shift
        context.save_for_backward(products, outputs)
        context.settings = settings
        return outputs

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        epsilon, absorb = context.settings
        products, outputs = context.saved_tensors
        return share(gradients[0], products, outputs if absorb else products, epsilon), None, None, None


def share(relevance: Tensor, products: Tensor, outputs: Tensor, epsilon: float) -> Tensor:
    """Relevance of the inputs of an affine map of single values, which the shift takes its part of."""
    return products * (relevance / stabilised(outputs, epsilon))


class Affine(nn.Module):
    """What a batch normalisation becomes that is not merged into another layer: its relevance follows the epsilon rule."""

    factor: Tensor
    shift: Tensor
    settings: tuple[float, bool]

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs shaped like the inputs (batch, channels, ...)."""
        outputs: Tensor = _Epsilon.apply(  # type: ignore[no-untyped-call]
            inputs, per_channel(self.factor, inputs), per_channel(self.shift, inputs), self.settings
        )
        return outputs


def make_mergeable(layer: nn.Module, module: Any) -> None:
    """Give a batch normalisation a scale and a shift to merge, and a layer a weight that no other has, in place."""
    for name, tensor in list(layer._parameters.items()):
        if tensor is not None:
            layer._parameters[name] = nn.Parameter(tensor.detach(), requires_grad=False)
    if module.weight is None:
        module.weight = nn.Parameter(torch.ones_like(module.running_var), requires_grad=False)
    if module.bias is None:
        module.bias = nn.Parameter(torch.zeros_like(module.running_mean), requires_grad=False)


def make_affine(module: nn.Module, epsilon: float, absorb: bool) -> None:
    """Make an `Affine` of a batch normalisation, in place."""
    factor, shift = affine(module)
    for tensors in (module._parameters, module._buffers):
        tensors.clear()
    module.__class__ = Affine
    vars(module).update(factor=factor, shift=shift, settings=(epsilon, absorb))
