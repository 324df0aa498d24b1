"""Layer-wise relevance propagation as in the textbook: layer by layer and output by output, in loops."""

import numpy as np
import torch
from torch import nn

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
ONE_OF_EACH_RULE = ("epsilon", "epsilon_plus", "epsilon_alpha2_beta1", "gamma")
LOW, HIGH, GAMMA, EPSILON = -4.0, 3.0, 0.25, 1e-6

FEATURES = torch.randn(3, 1, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
TARGET = torch.tensor([2, 0, 1])
"""Of networks that are small enough for loops."""


def stabilised(value):
    return value + EPSILON * (1.0 if value >= 0 else -1.0)


def dense(layer, shape):
    """Weights (outputs, inputs) and biases (outputs,) of a linear layer or convolution on inputs of a shape."""
    with torch.no_grad():
        flat = layer(torch.zeros(1, *shape, dtype=torch.float64)).reshape(-1)
        unit = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
        return (layer(unit).reshape(len(unit), -1) - flat).T.numpy(), flat.numpy()


def textbook_rule(rule, weights, biases, inputs, relevance, absorb):
    """Relevance of the inputs of one layer, output by output, from the contributions z_i = a_i w_i."""
    result = np.zeros_like(inputs)
    for row, bias, share in zip(weights, biases, relevance, strict=True):
        contributions = inputs * row
        output = contributions.sum() + bias
        bias = bias if absorb else 0.0
        if rule == "epsilon":
            result += contributions * share / stabilised(contributions.sum() + bias)
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


def textbook(layers, composite, features, target, absorb=True):
    """Relevance (channels, *axes) of one recording, layer by layer in loops."""
    convolution, linear, first = COMPOSITES[composite]
    activations = [features[None]]
    with torch.no_grad():
        for layer in layers:
            activations.append(layer(activations[-1]))
    values = [activation[0].numpy() for activation in activations]
    relevance = np.zeros_like(values[-1])
    relevance[target] = values[-1][target]
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    weighted = [layer for layer in layers if hasattr(layer, "weight") and not isinstance(layer, norms)]
    for layer, inputs, outputs in reversed(list(zip(layers, values[:-1], values[1:], strict=True))):
        if layer in weighted:
            rule = linear if isinstance(layer, nn.Linear) else convolution
            if first and layer is weighted[0]:
                rule = first
            weights, biases = dense(layer, inputs.shape)
            relevance = textbook_rule(rule, weights, biases, inputs.ravel(), relevance.ravel(), absorb)
            relevance = relevance.reshape(inputs.shape)
        elif isinstance(layer, norms):
            weights, biases = dense(layer, inputs.shape)
            relevance = textbook_rule("epsilon", weights, biases, inputs.ravel(), relevance.ravel(), absorb).reshape(inputs.shape)
        elif isinstance(layer, nn.MaxPool1d | nn.MaxPool2d):
            relevance = textbook_pool(layer, inputs, outputs, relevance)
        else:  # ReLU and flattening pass it on
            relevance = relevance.reshape(inputs.shape)
    return relevance
