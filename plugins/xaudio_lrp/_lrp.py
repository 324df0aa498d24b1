"""Layer-wise relevance propagation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from xaudio.plugin import Law, LayerRelevance, ModelError, PluginError, find_layer, network_name

from ._cache import plan_for
from ._chain import UnknownChainError
from ._finite import check_finite
from ._plan import CHUNK, Method, Plan
from ._watch import WEIGHTED


class Rules(NamedTuple):
    """Names of the rules of a composite: in convolutions, in linear layers, and in the first layer if that differs."""

    convolution: str
    linear: str
    first: str = ""


COMPOSITES = {
    "epsilon": Rules("epsilon", "epsilon"),
    "gamma": Rules("gamma", "gamma"),
    "epsilon_plus": Rules("plus", "epsilon"),
    "epsilon_alpha2_beta1": Rules("alpha2_beta1", "epsilon"),
    "epsilon_gamma": Rules("gamma", "epsilon"),
    "epsilon_plus_flat": Rules("plus", "epsilon", "flat"),
    "epsilon_alpha2_beta1_flat": Rules("alpha2_beta1", "epsilon", "flat"),
    "epsilon_gamma_box": Rules("gamma", "epsilon", "box"),
}
DEFAULT_GAMMA = 0.25


def check_rules(composite: str, gamma: float, low: float | None, high: float | None) -> None:
    """Raise `PluginError` for options that the rules of a composite cannot use, or do not have."""
    rules = COMPOSITES[composite]
    if gamma != DEFAULT_GAMMA and "gamma" not in rules:
        raise PluginError(f"lrp: composite {composite!r} has no gamma rule, so gamma={gamma} would do nothing.")
    if "box" not in rules and (low is not None or high is not None):
        raise PluginError(f"lrp: composite {composite!r} has no z-box rule, so low and high would do nothing.")
    if "box" in rules and (low is None or high is None or not -math.inf < low <= 0 <= high < math.inf or low == high):
        raise PluginError(
            f"lrp: composite {composite!r} needs low and high, the lowest and highest feature that can occur, with 0 "
            f"between them; got low={low} and high={high}."
        )


@dataclass(frozen=True)
class LayerwiseRelevance:
    """An explainer; see `xaudio_lrp.lrp` for the parameters.

    Relevance starts as the target's logit and is shared out backwards, layer by layer, in proportion to what each
    input contributed (Bach et al. 2015, doi 10.1371/journal.pone.0130140). Max-pooling passes it to the largest input,
    ReLU passes it on; a batch normalisation is merged into the layer before it.
    """

    composite: str
    epsilon: float
    gamma: float
    low: float | None
    high: float | None
    bias: str
    engine: str = "auto"
    internal_batch_size: int | None = None
    layer: str | None = None
    channels: tuple[int, ...] | None = None
    strict: bool = True
    attention: str = "value"
    products: str = "gate"
    precision: str = "float32"

    needs = "layers"
    remedies: ClassVar[Mapping[str, str]] = {
        "conservation-gap": "Else the rules do not suit the layers (all but epsilon lose relevance where no ReLU follows: try "
        "composite=epsilon), or epsilon is too large.",
        "padding": "Choose a composite that does not end in _flat or _box, and let no shift stand before the first layer.",
        "not-finite": "try a larger epsilon, or bias=absorb",
    }

    def __post_init__(self) -> None:
        if (self.layer is None) != (not self.channels):
            raise PluginError(
                "lrp: layer and channels go together: the relevance that flows through these channels of that layer, as in "
                f"layer=layers.3,channels=17+4; got layer={self.layer} and channels={self.channels}."
            )
        if self.precision != "float32" and self.engine == "zennit":
            raise PluginError(f"lrp: engine=zennit computes in the model's precision; got precision={self.precision}.")

    @property
    def relies_on(self) -> frozenset[str]:
        """What must hold of the model."""
        return frozenset({"rules" if self.engine == "zennit" else "functions"})

    @property
    def promises(self) -> frozenset[str]:
        """What holds of the relevance; the alpha-beta rule doubles that of neurons which nothing speaks against.

        Sums are those of three decimal digits in lower precision.
        """
        inexact = "alpha2_beta1" in COMPOSITES[self.composite] or self.precision != "float32"
        return frozenset({"nothing-on-zeros"} if inexact else {"nothing-on-zeros", "sums-to-logit"})

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features (batch, channels, *axes).

        Parameters
        ----------
        model : nn.Module
            In evaluation mode. Every ReLU must be a module of its own. It is not touched.
        features : Tensor, shape (batch, channels, *axes)
        target : Tensor of int64, shape (batch,)

        Raises
        ------
        ModelError
            If the model has no layer that a rule applies to, so that the answer would be a mere gradient; if the engine is
            "fast" and does not know the model; if it has no such layer or channel; or if its answer is NaN or infinite.
        """
        with self._format(features):
            return self._explained(model, features, target).to(features.dtype)

    def _format(self, features: Tensor) -> torch.autocast:
        """The number format of products, for a while."""
        return torch.autocast(features.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _explained(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        if self.layer is not None:
            return self._through_channels(model, features, target, self.layer)
        plan = self._plan(model, features)
        if plan:
            return self._by_plan(plan, model, features, target)[0]
        if self.engine != "zennit":
            return self._by_functions(model, features, target)[0]
        from ._hooks import relevance_by_hooks  # imported here, since zennit takes a while and is seldom needed

        at_once = self.internal_batch_size or len(features)
        parts = zip(torch.split(features, at_once), torch.split(target, at_once), strict=True)
        return torch.cat([relevance_by_hooks(model, *part, self._method()) for part in parts])

    def _by_plan(self, plan: Plan, model: nn.Module, features: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        """Relevance and logits by the fast engine."""
        relevance, logits = plan(features.detach(), target, self.internal_batch_size)
        classes = logits.argmax(1) if target is None else target
        check_finite(model, features, logits.gather(1, classes[:, None])[:, 0])
        return relevance, logits

    def _by_functions(self, model: nn.Module, features: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Relevance, and the logits if it starts from them."""
        from ._functions import explain_by_functions

        at_once = self.internal_batch_size or len(features)
        parts = torch.split(features, at_once)
        targets = [None] * len(parts) if target is None else torch.split(target, at_once)
        explained = [explain_by_functions(model, *part, self._method()) for part in zip(parts, targets, strict=True)]
        answers = torch.cat([part.answers for part in explained]) if all(part.is_output for part in explained) else None
        return torch.cat([part.relevance for part in explained]), answers

    def with_logits(self, model: nn.Module, features: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        """Relevance and logits (batch, classes), for target None of the predicted class; see `xaudio.types.Explainer`."""
        whole = self.layer is None and self.precision == "float32"
        plan = self._plan(model, features) if whole else None
        if plan and plan.exact:
            return self._by_plan(plan, model, features, target)
        if plan is None and whole and self.engine != "zennit":
            relevance, answers = self._by_functions(model, features, target)
            if answers is not None:
                return relevance, answers
        at_once = self.internal_batch_size or len(features)
        with torch.no_grad():
            logits = torch.cat([model(part.clone()) for part in torch.split(features.detach(), at_once)])
        return self(model, features, logits.argmax(1) if target is None else target), logits

    def conditional(self, model: nn.Module, features: Tensor, target: Tensor, layer: str) -> LayerRelevance:
        """Relevance at the output of a layer, and the way from there; see `xaudio.plugin.ConditionalExplainer`.

        That is concept relevance propagation (Achtibat et al. 2023, doi 10.1038/s42256-023-00711-8): the backward pass is linear
        in relevance, so that relevance kept in one channel and set to 0 in all others gives that channel's part.

        Raises
        ------
        ModelError
            If there is no such layer; see `__call__` for the rest.
        """
        plan, name = self._plan(model, features), find_layer(model, layer)
        if self.precision != "float32":
            raise PluginError("lrp: channels of a layer are explained with precision=float32.")
        if plan:
            return plan.at_layer(features.detach(), target, name)
        if self.engine != "zennit":
            from ._functions import at_layer_by_functions

            return at_layer_by_functions(model, features, target, self._method(), name)
        from ._hooks import at_layer_by_hooks

        return at_layer_by_hooks(model, features, target, self._method(), name)

    def law(self, model: nn.Module, features: Tensor, target: Tensor) -> Law | None:
        """What the answers are made of; None where the engine of functions does not explain the model."""
        if self.engine == "zennit" or self._plan(model, features):
            return None
        from ._functions import law_of

        return law_of(model, features, target, self._method())

    def _through_channels(self, model: nn.Module, features: Tensor, target: Tensor, layer: str) -> Tensor:
        """The relevance that flows through the channels of the options."""
        at_once = self.internal_batch_size or CHUNK
        parts = []
        for part, classes in zip(torch.split(features, at_once), torch.split(target, at_once), strict=True):
            relevance, through = self.conditional(model, part, classes, layer)
            wanted, count = list(self.channels or ()), relevance.shape[1]
            outside = [channel for channel in wanted if not 0 <= channel < count]
            if outside:
                raise ModelError(f"lrp: layer {layer!r} has the channels 0 to {count - 1}; there is no channel {outside[0]}.")
            weights = relevance.new_zeros(count)
            weights[wanted] = 1
            parts.append(through(weights.reshape(-1, *[1] * (relevance.ndim - 2))))
        return torch.cat(parts)

    def _plan(self, model: nn.Module, features: Tensor) -> Plan | None:
        """The fast engine's plan; None if another engine must do it."""
        if self.engine == "functions" or (self.engine == "auto" and not _has_layers(model)):
            return None
        if not any(isinstance(module, WEIGHTED) for module in model.modules()):
            scripted = ": TorchScript hides them, so give the model as it was before" if _is_scripted(model) else ""
            raise ModelError(
                f"lrp needs a model with convolutions or linear layers as modules; {network_name(model)} has none{scripted}."
            )
        if self.engine == "zennit":
            return None
        try:
            with torch.autocast(features.device.type, enabled=False):  # plans are made in full precision
                return plan_for(model, features, self._method())
        except UnknownChainError:
            if self.engine == "fast":
                raise
            return None

    def _method(self) -> Method:
        rules = COMPOSITES[self.composite]
        return Method(
            rules.convolution,
            rules.linear,
            rules.first,
            self.epsilon,
            self.gamma,
            self.low,
            self.high,
            absorb=self.bias == "absorb",
            strict=self.strict,
            attention=self.attention,
            products=self.products,
        )


class RelevanceWithConstants(LayerwiseRelevance):
    """The same with books of what lies in constants; see `xaudio_lrp.lrp`."""

    def expected_sum(self, model: nn.Module, features: Tensor, target: Tensor, logits: Tensor) -> Tensor:
        """What is explained less its constants, shape (batch,), each recording by itself; see `xaudio.types.Explainer`."""
        from ._functions import explain_by_functions

        with torch.enable_grad():
            rows = zip(features.split(1), target.split(1), strict=True)  # type: ignore[no-untyped-call]
            explained = [explain_by_functions(model, *row, self._method()) for row in rows]
        return torch.stack([part.total[0] - part.constants for part in explained])


def _has_layers(model: nn.Module) -> bool:
    return any(isinstance(module, WEIGHTED) for module in model.modules())


def _is_scripted(model: nn.Module) -> bool:
    return any(isinstance(module, torch.jit.ScriptModule) for module in model.modules())
