"""Normalisations: the spread is held, and the mean is a sum like others."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import ModelError

from ._functions_mode import Rules, Way, damped, per_channel, rule
from ._functions_weights import folded


def _arguments(names: tuple[str, ...], args: Any, kwargs: Any) -> dict[str, Any]:
    given: dict[str, Any] = dict(zip(names, args, strict=False)) | kwargs
    return given


def _per_cell(gradient: Tensor, shape: tuple[int, ...]) -> Tensor:
    return gradient.reshape(-1, math.prod(shape))


@rule("layer_norm")
def _layer_norm(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    given = _arguments(("input", "normalized_shape", "weight", "bias", "eps"), args, kwargs)
    inputs, shape = given["input"], tuple(given["normalized_shape"])
    weight, bias, eps = given.get("weight"), given.get("bias"), given.get("eps", 1e-5)

    def compute(x: Tensor) -> Way:
        values, _, spread = torch.native_layer_norm(x, shape, weight, bias, eps)

        def back(gradient: Tensor) -> Tensor:
            """The way back of torch for an input without a spread."""
            flat, wanted = torch.zeros_like(gradient), [True, False, False]
            mean = torch.zeros_like(spread)
            result: Tensor = torch.ops.aten.native_layer_norm_backward(gradient, flat, shape, mean, spread, weight, bias, wanted)[
                0
            ]
            return result

        return Way(values, back, None if bias is None else lambda gradient: _per_cell(gradient, shape).sum(0) @ bias.flatten())

    return mode.held(inputs, compute)


@rule("rms_norm")
def _rms_norm(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    given = _arguments(("input", "normalized_shape", "weight", "eps"), args, kwargs)
    inputs, weight = given["input"], given.get("weight")
    eps = given.get("eps")
    dims = tuple(range(-len(given["normalized_shape"]), 0))

    def compute(x: Tensor) -> Way:
        values = functional.rms_norm(x, tuple(given["normalized_shape"]), weight, eps)
        least = torch.finfo(x.dtype).eps if eps is None else eps
        spread = torch.rsqrt(x.square().mean(dims, keepdim=True) + least)
        return Way(values.detach(), lambda gradient: gradient * spread if weight is None else gradient * weight * spread)

    return mode.held(inputs, compute)


@rule("group_norm")
def _group_norm(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    given = _arguments(("input", "num_groups", "weight", "bias", "eps"), args, kwargs)
    return _grouped(mode, given["input"], given["num_groups"], given.get("weight"), given.get("bias"), given.get("eps", 1e-5))


def _grouped(mode: Rules, inputs: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    def compute(x: Tensor) -> Way:
        count, channels = x.shape[:2]
        values, _, spread = torch.native_group_norm(x.contiguous(), weight, bias, count, channels, x[0, 0].numel(), groups, eps)
        wide = (-1, *[1] * (x.ndim - 2))

        def back(gradient: Tensor) -> Tensor:
            gradient = gradient if weight is None else gradient * weight.reshape(wide)
            grouped = gradient.reshape(count, groups, -1)
            return ((grouped - grouped.mean(2, keepdim=True)) * spread[..., None]).reshape(x.shape)

        return Way(values, back, None if bias is None else lambda gradient: per_channel(gradient) @ bias)

    return mode.held(inputs, compute)


@rule("instance_norm")
def _instance_norm(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    names = ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps")
    if func.__module__ != "torch.nn.functional":  # torch.instance_norm
        names = ("input", "weight", "bias", "running_mean", "running_var", "use_input_stats", "momentum", "eps")
    given = _arguments(names, args, kwargs)
    inputs, weight, bias, eps = given["input"], given.get("weight"), given.get("bias"), given.get("eps", 1e-5)
    if not given.get("use_input_stats", True):
        statistics = (given["running_mean"], given["running_var"])
        with mode:
            return torch.nn.functional.batch_norm(inputs, *statistics, weight, bias, False, 0.0, eps)
    return _grouped(mode, inputs, inputs.shape[1], weight, bias, eps)


@rule("batch_norm")
def _batch_norm(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """A factor and a shift for each channel, merged into the layer before where that has a rule of its own."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    if func.__module__ != "torch.nn.functional":  # torch.batch_norm
        names = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
    given = _arguments(names, args, kwargs)
    inputs, mean, variance = given["input"], given.get("running_mean"), given.get("running_var")
    if given.get("training") or mean is None or variance is None:
        raise ModelError(
            f"lrp: the batch normalisation in {mode.where()} takes its statistics from the batch, so that a recording's "
            "relevance would depend on the others. Give it running statistics (track_running_stats=True) and evaluate it."
        )
    weight, bias = given.get("weight"), given.get("bias")
    factor = (variance + given.get("eps", 1e-5)).rsqrt()
    factor = factor if weight is None else factor * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    wide = (-1, *[1] * (inputs.ndim - 2))

    def values() -> Tensor:
        result: Tensor = functional.batch_norm(inputs.detach(), mean, variance, weight, bias, False, 0.0, given.get("eps", 1e-5))
        return result

    merged = folded(mode, inputs, factor, shift, values)
    if merged is not None:
        return merged

    def compute(x: Tensor) -> Way:
        constant = (lambda gradient: per_channel(gradient) @ shift) if mode.method.absorb else None
        return Way(values(), lambda gradient: gradient * factor.reshape(wide), constant)

    return mode.moved(inputs, mode.held(inputs, compute))


@rule("var", "var_mean")
def _variance(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """The squares in it have the identity rule, so that it has half of its gradient."""
    inputs, *rest = args or (kwargs.pop("input"),)
    result = func(damped(inputs, 0.5), *rest, **kwargs)
    return (result[0], func(inputs, *rest, **kwargs)[1]) if isinstance(result, tuple) else result
