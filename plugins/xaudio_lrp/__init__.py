"""Layer-wise relevance propagation, by an engine of its own or by zennit."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge

from xaudio.plugin import Amount, AtOnce, Explainer, Positive, hookimpl


def lrp(
    *,
    composite: Literal[
        "epsilon_plus",
        "epsilon_alpha2_beta1",
        "epsilon_gamma",
        "epsilon",
        "gamma",
        "epsilon_plus_flat",
        "epsilon_alpha2_beta1_flat",
        "epsilon_gamma_box",
    ] = "epsilon_plus",
    epsilon: Positive = 1e-6,
    gamma: Amount = 0.25,
    low: float | None = None,
    high: float | None = None,
    bias: Literal["absorb", "ignore"] = "absorb",
    engine: Literal["auto", "fast", "zennit"] = "auto",
    internal_batch_size: AtOnce = None,
    layer: str | None = None,
    channels: tuple[Annotated[int, Ge(0)], ...] | None = None,
    strict: bool = True,
) -> Explainer:
    """Layer-wise relevance propagation from the target's logit.

    Parameters
    ----------
    composite : str
        Which rule each layer has. "epsilon" and "gamma" have that rule in every layer; "epsilon_plus",
        "epsilon_alpha2_beta1" and "epsilon_gamma" have the epsilon rule in linear layers and the z-plus, alpha-beta or
        gamma rule in convolutions. Those that end in "_flat" or "_box" have the flat or z-box rule in the first layer,
        which is not proportional to the input: it puts relevance on silence, so do not use it for waveforms.
    epsilon : float
        Stabiliser of the epsilon rule, in the units of each layer's output.
    gamma : float
        How much the gamma rule favours positive contributions.
    low : float or None
        Lowest feature that can occur, for the z-box rule.
    high : float or None
        Highest feature that can occur, for the z-box rule.
    bias : {"absorb", "ignore"}
        "absorb" gives biases their share of the relevance, which is then missing from the sum over the features;
        "ignore" shares it among the inputs alone, which grows without bounds where a layer's output is mostly bias.
    engine : {"auto", "fast", "zennit"}
        What computes it. "fast" gives the same values in less time; it knows models whose layers run one
        after the other (convolutions, linear layers, pooling, ReLU and the like) and names what it does not know.
        "zennit" takes any model whose layers are modules. "auto" is "fast" where that knows the model, else "zennit".
    internal_batch_size : int or None
        How many recordings are computed at once, to bound the memory; by default as many as are explained at once, on a
        CPU 32 by the fast engine.
    layer : str or None
        A convolution or linear layer, as in ``model.named_modules()``: explain what flows through some of its channels only.
    channels : tuple of int or None
        These channels, from 0, as in layer=layers.3,channels=17+4.
    strict : bool
        Refuse relevance that operations without a rule (a functional convolution, residual sums) multiply or lose, so that it
        is more than ten times the logit, or less than a tenth of it, when what biases absorbed is counted in.
    """
    from ._lrp import LayerwiseRelevance, check_rules

    check_rules(composite, gamma, low, high)
    return LayerwiseRelevance(composite, epsilon, gamma, low, high, bias, engine, internal_batch_size, layer, channels, strict)


lrp.relies_on = frozenset({"rules"})  # type: ignore[attr-defined]


@hookimpl
def xaudio_explainers() -> Mapping[str, Any]:
    """Offer layer-wise relevance propagation."""
    return {"lrp": lrp}
