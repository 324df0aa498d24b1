"""Layer-wise relevance propagation, by engines of its own or by zennit."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge

from xaudio.plugin import Amount, AtOnce, Explainer, Positive, ProductPrecision, hookimpl


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
    engine: Literal["auto", "fast", "functions", "zennit"] = "auto",
    attention: Literal["value", "attnlrp"] = "value",
    products: Literal["gate", "uniform"] = "gate",
    internal_batch_size: AtOnce = None,
    layer: str | None = None,
    channels: tuple[Annotated[int, Ge(0)], ...] | None = None,
    strict: bool = True,
    constants: bool = False,
    precision: ProductPrecision = "float32",
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
    engine : {"auto", "fast", "functions", "zennit"}
        What computes it. "fast" knows models whose layers run one after the other (convolutions, linear layers, pooling, ReLU
        and the like) and names what it does not know. "functions" takes any computation, by the functions it calls.
        "zennit" takes models whose layers are modules. "auto" is "fast" where that knows the model, else "functions".
    attention : {"value", "attnlrp"}
        Whether attention passes relevance through its values alone, its weights held, or through queries and keys as well.
    products : {"gate", "uniform"}
        Whether a signal that is weighed by a gate (a sigmoid) has all relevance, or both have half of it.
    internal_batch_size : int or None
        How many recordings are computed at once, to bound the memory; by default as many as are explained at once, on a
        CPU 32 by the fast engine.
    layer : str or None
        A convolution or linear layer, as in ``model.named_modules()``: explain what flows through some of its channels only.
    channels : tuple of int or None
        These channels, from 0, as in layer=layers.3,channels=17+4.
    strict : bool
        Refuse functions that no rule conserves (a logarithm), and relevance that operations without a rule multiply or lose, so
        that it is off by orders of magnitude when what biases absorbed is counted in.
    constants : bool
        Compute what lies in biases, positions, tokens and other constants as well, for each recording, and say whether the
        relevance is the rest of what is explained. It takes about as long again.
    """
    from ._lrp import LayerwiseRelevance, RelevanceWithConstants, check_rules

    check_rules(composite, gamma, low, high)
    kind = RelevanceWithConstants if constants else LayerwiseRelevance
    return kind(
        *(composite, epsilon, gamma, low, high, bias, engine, internal_batch_size, layer, channels, strict, attention, products),
        precision,
    )


lrp.relies_on = frozenset({"functions"})  # type: ignore[attr-defined]


@hookimpl
def xaudio_explainers() -> Mapping[str, Any]:
    """Offer layer-wise relevance propagation."""
    return {"lrp": lrp}
