"""Layer-wise relevance propagation, against a slow textbook version of every rule."""

import sys
from importlib import import_module, util

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from xaudio import ModelError, PluginError, create

COMPOSITES = {  # rules of convolutions, linear layers and the first layer
    "epsilon": ("epsilon", "epsilon", None),
    "gamma": ("gamma", "gamma", None),
    "epsilon_plus": ("plus", "epsilon", None),
    "epsilon_alpha2_beta1": ("alpha2_beta1", "epsilon", None),
    "epsilon_gamma": ("gamma", "epsilon", None),
    "epsilon_plus_flat": ("plus", "epsilon", "flat"),
    "epsilon_alpha2_beta1_flat": ("alpha2_beta1", "epsilon", "flat"),
    "epsilon_gamma_box": ("gamma", "epsilon", "box"),
}
INPUT_MULTIPLICATIVE = [name for name, rules in COMPOSITES.items() if rules[2] is None]
LOW, HIGH, GAMMA, EPSILON = -4.0, 3.0, 0.25, 1e-6


def options_of(composite, **others):
    box = {"low": LOW, "high": HIGH} if composite.endswith("box") else {}
    return {"composite": composite, **box, **others}


def stabilised(value):
    return value + EPSILON * (1.0 if value >= 0 else -1.0)


def dense(layer, shape):
    """Weights (outputs, inputs) and biases (outputs,) of a linear layer or convolution on inputs of a shape."""
    with torch.no_grad():
        flat = layer(torch.zeros(1, *shape, dtype=torch.float64)).reshape(-1)
        unit = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
        return (layer(unit).reshape(len(unit), -1) - flat).T.numpy(), flat.numpy()


def textbook_rule(rule, weights, biases, inputs, relevance):
    """Relevance of the inputs of one layer, output by output, from the contributions z_i = a_i w_i."""
    result = np.zeros_like(inputs)
    for row, bias, share in zip(weights, biases, relevance, strict=True):
        contributions = inputs * row
        output = contributions.sum() + bias
        if rule == "epsilon":
            result += contributions * share / stabilised(output)
        elif rule == "plus":
            positive = contributions.clip(min=0)
            result += positive * share / stabilised(positive.sum() + max(bias, 0))
        elif rule == "alpha2_beta1":
            positive, negative = contributions.clip(min=0), contributions.clip(max=0)
            result += 2 * positive * share / stabilised(positive.sum() + max(bias, 0))
            result -= negative * share / stabilised(negative.sum() + min(bias, 0))
        elif rule == "gamma":  # what has the sign of the output is favoured
            same = contributions.clip(min=0) if output > 0 else contributions.clip(max=0)
            same_bias = max(bias, 0) if output > 0 else min(bias, 0)
            favoured = contributions + GAMMA * same
            if output != 0:
                result += favoured * share / stabilised(favoured.sum() + bias + GAMMA * same_bias)
        elif rule == "flat":
            seen = (row != 0).astype(float)
            result += seen * share / stabilised(seen.sum())
        elif rule == "box":
            boxed = contributions - LOW * row.clip(min=0) - HIGH * row.clip(max=0)
            result += boxed * share / stabilised(boxed.sum() + bias - max(bias, 0) - min(bias, 0))
    return result


def textbook_pool(layer, inputs, outputs, relevance):
    """All relevance of a window to its largest input: found by asking which input moves which output."""
    features = torch.from_numpy(inputs).requires_grad_()
    pooled = layer(features[None])[0]
    assert np.array_equal(pooled.detach().numpy(), outputs)
    result = np.zeros(inputs.size)
    for index, share in np.ndenumerate(relevance):
        (winner,) = torch.autograd.grad(pooled[index], features, retain_graph=True)
        result[winner.numpy().argmax()] += share
    return result.reshape(inputs.shape)


def textbook(layers, composite, features, target):
    """Relevance (channels, *axes) of one recording, layer by layer in loops."""
    convolution, linear, first = COMPOSITES[composite]
    activations = [features[None]]
    with torch.no_grad():
        for layer in layers:
            activations.append(layer(activations[-1]))
    values = [activation[0].numpy() for activation in activations]
    relevance = np.zeros_like(values[-1])
    relevance[target] = values[-1][target]
    weighted = [layer for layer in layers if hasattr(layer, "weight")]
    for layer, inputs, outputs in reversed(list(zip(layers, values[:-1], values[1:], strict=True))):
        if layer in weighted:
            rule = linear if isinstance(layer, nn.Linear) else convolution
            if first and layer is weighted[0]:
                rule = first
            weights, biases = dense(layer, inputs.shape)
            relevance = textbook_rule(rule, weights, biases, inputs.ravel(), relevance.ravel()).reshape(inputs.shape)
        elif isinstance(layer, nn.MaxPool1d | nn.MaxPool2d):
            relevance = textbook_pool(layer, inputs, outputs, relevance)
        else:  # ReLU and flattening pass it on
            relevance = relevance.reshape(inputs.shape)
    return relevance


def network_1d(bias=True, seed=0):
    torch.manual_seed(seed)
    layers = [
        *(nn.Conv1d(1, 4, 3, padding=1, bias=bias), nn.MaxPool1d(3, 2, ceil_mode=True), nn.ReLU()),
        *(nn.Conv1d(4, 5, 3, padding=1, bias=bias), nn.MaxPool1d(2, 2, ceil_mode=True), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(30, 8, bias=bias), nn.Dropout(), nn.Linear(8, 3, bias=bias)),
    ]
    return nn.Sequential(*layers).double().eval(), torch.randn(3, 1, 24, dtype=torch.float64)


def network_2d(bias=True, seed=0):
    torch.manual_seed(seed)
    layers = [
        *(nn.Conv2d(1, 4, 3, stride=2, bias=bias), nn.ReLU(), nn.MaxPool2d(2, 1)),
        *(nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=bias), nn.MaxPool2d(2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(36, 8, bias=bias), nn.ReLU(), nn.Linear(8, 3, bias=bias)),
    ]
    return nn.Sequential(*layers).double().eval(), torch.randn(3, 1, 11, 11, dtype=torch.float64)


TARGET = torch.tensor([2, 0, 1])


@pytest.mark.parametrize("make", [network_1d, network_2d])
@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_textbook(make, composite, bias):
    network, features = make(bias)
    relevance = create("explainer", "lrp", **options_of(composite))(network, features, TARGET)
    assert relevance.shape == features.shape
    for recording, target, result in zip(features, TARGET, relevance, strict=True):
        expected = textbook(list(network), composite, recording, target)
        if composite.endswith("flat"):
            expected = flat_textbook_inside(network, recording, expected, result)
        np.testing.assert_allclose(result, expected, rtol=1e-8, atol=1e-10)


def flat_textbook_inside(network, recording, expected, result):
    """Nothing to correct where the first layer sees no border."""
    del network, recording, result
    return expected
